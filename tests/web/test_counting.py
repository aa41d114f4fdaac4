"""Counts of DuckDB are those of pandas, whatever an address chooses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers.examples import portion
from helpers.explored_states import chosen, counted, states
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exod.schemas.facets import MISSING
from exod.web import counting
from exod.web.product import Product
from exod.web.selection import TABLES, selection

few = settings(max_examples=portion(12), suppress_health_check=list(HealthCheck))


@few
@given(data=st.data(), table=st.sampled_from(TABLES))
def test_counts_of_duckdb_are_those_of_pandas(
    product: Product, frames: dict[str, pd.DataFrame], table: str, data: st.DataObject
) -> None:
    about, rows = product.about(table), frames[table]
    state = data.draw(states(about))
    choice = selection(about, table, state)
    assert counting.facet_counts(product, choice) == counted(rows, about, state)
    found = chosen(rows, about, state)
    assert counting.mask(product, choice) == np.packbits(found).tobytes()
    pixels = rows["i.hp6"][found].value_counts()
    assert counting.sky(product, choice) == pixels.reindex(range(12 * 4**6), fill_value=0).tolist()


def test_plots_leave_out_what_lacks_either_value(
    product: Product, frames: dict[str, pd.DataFrame]
) -> None:
    choice = selection(product.about("detections"), "detections", {"sigma": "10-63"})
    counts = np.array(counting.histogram(product, choice, "duration", "sigma"))
    rows = frames["detections"]
    both = rows[(rows["i.sigma"] != MISSING) & (rows["i.sigma"] >= 10)]
    both = both[both["i.duration"] != MISSING]
    assert 0 < counts.sum() == len(both) < len(rows)
    expected = np.zeros((64, 64), int)
    np.add.at(expected, (both["i.sigma"].astype(int), both["i.duration"].astype(int)), 1)
    np.testing.assert_array_equal(counts, expected)


@few
@given(data=st.data(), table=st.sampled_from(TABLES))
def test_steps_go_through_what_is_chosen_in_its_order(
    product: Product, frames: dict[str, pd.DataFrame], table: str, data: st.DataObject
) -> None:
    about = product.about(table)
    state = data.draw(states(about)) | {"sort": "-duration" if table == "detections" else "ra_deg"}
    choice = selection(about, table, state)
    key = about["key"]
    every = [row[key] for row in counting.rows(product, choice, [key], 10_000)]
    for place, own in list(enumerate(every))[:3]:
        assert counting.besides_chosen(product, choice, own) == {
            "before": every[place - 1] if place else None,
            "after": every[place + 1] if place + 1 < len(every) else None,
            "place": place + 1,
            "total": len(every),
        }
    nobody = counting.besides_chosen(product, choice, -1 if table == "sources" else "nobody")
    assert nobody == {"before": None, "after": None, "place": None, "total": len(every)}


@pytest.mark.parametrize("sort", ["duration", "-duration", ""])
def test_rows_come_in_their_order_and_missing_values_last(
    product: Product, frames: dict[str, pd.DataFrame], sort: str
) -> None:
    choice = selection(product.about("detections"), "detections", {"sort": sort})
    found = counting.rows(product, choice, ["detid", "duration"], 30, 110)
    rows = frames["detections"]
    if sort:
        up = not sort.startswith("-")
        rows = rows.sort_values("i.duration_f4", ascending=up, na_position="last", kind="stable")
    assert [row["detid"] for row in found] == rows["detid"].iloc[110:140].tolist()
    assert {row["duration"] is None for row in found} == {True, False}
