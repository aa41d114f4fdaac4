"""Statements in ADQL choose what addresses choose, with missing values and with negations."""

from __future__ import annotations

import pandas as pd
import pytest
from helpers.examples import portion
from helpers.explored_states import WHERE, chosen, states
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exod.errors import ConfigError
from exod.web.product import Product, indexed
from exod.web.selection import TABLES, selection
from exod.web.vo.adql import translated
from exod.web.vo.phrasing import in_adql
from exod.web.vo.tapschema import shown_tables

few = settings(max_examples=portion(25), deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def asked(product: Product):
    """The keys of the rows that a statement finds, as TAP asks DuckDB."""
    tables = shown_tables(product)
    with product.connected(["sources", "detections"], plain=True) as connection:
        yield lambda text: connection.execute(translated(text, tables, []).sql).df()


@few
@given(data=st.data(), table=st.sampled_from(TABLES))
def test_statements_find_the_rows_of_addresses(
    product: Product, frames: dict[str, pd.DataFrame], asked, table: str, data: st.DataObject
) -> None:
    about, rows = product.about(table), frames[table]
    state = data.draw(states(about))
    found = asked(in_adql(about, table, state))[about["key"]]
    assert set(found) == set(rows[chosen(rows, about, state)][about["key"]])
    assert found.is_unique


CONDITIONS = (
    *WHERE,
    *("not (sigma_peak > 5 and duration < 100)", "not isnull(duration)", "not notnull(duration)"),
    *("2 < sigma_peak <= 7.5", "not 2 < sigma_peak <= 7.5", "between(duration, 10, 1e3)"),
    *("not between(duration, 10, 1e3)", "kind in ('peak', 'both')", "kind not in ('peak',)"),
    *("not kind in ('peak',)", "not (kind != 'peak' or filt_hot_pixel)", "not filt_hot_pixel"),
    *("excess / duration > 0.1", "n_peak_cells / 2 > 1.2", "-abs(sigma_peak - 5) > -1"),
    *("sqrt(abs(dec_deg)) < 6", "log10(excess) > 1.5", "srcid == 'it''s'", "kind != 'peak'"),
    *("endswith(kind, 'ak')", "not contains(kind, 'ea')", "duration in (1, 2.5)", "True"),
    *("not (duration != 3 or sigma_peak == 3)", "duration in ()", "isnull(sigma_peak + duration)"),
)


@pytest.mark.parametrize("where", CONDITIONS)
def test_conditions_mean_the_same(product: Product, asked, where: str) -> None:
    about, state = product.about("detections"), {"where": where, "sort": "-duration"}
    choice = selection(about, "detections", state)
    with product.connected(indexed("detections")) as connection:
        words = f"SELECT d.detid FROM {choice.joined} WHERE {choice.condition()}"
        expected = connection.execute(f"{words} ORDER BY {choice.sort}").df()
    assert list(asked(in_adql(about, "detections", state))["detid"]) == list(expected["detid"])


@pytest.mark.parametrize(
    "state",
    [
        *({"where": "startswith(srcid, 'a%b')"}, {"where": "duration < 1e999"}, {"name": "J_"}),
        *({"where": "(duration > 3) == filt_hot_pixel"}, {"where": "srcid == 'a\\0'"}),
        *({"where": "nothing > 3"}, {"sigma": "9-2"}),
    ],
)
def test_what_cannot_be_said_is_a_sentence(product: Product, state: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        in_adql(product.about("detections"), "detections", state)
    assert str(raised.value).endswith((".", "?"))
