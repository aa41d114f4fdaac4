"""Addresses: what cannot be chosen is said in a sentence that names it."""

from __future__ import annotations

from urllib.parse import urlencode

import pandas as pd
import pytest
from helpers.examples import portion
from helpers.explored_states import chosen, states
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from exod.archive import Archive
from exod.errors import ConfigError
from exod.web.counting import rows_at
from exod.web.product import Product
from exod.web.selection import TABLES, selection, state_of

WRONG = {
    "sigma": ("5", "7-3", "0-64", "-1-4", "a-b", "1-2;DROP", "1-2 OR 1=1", "nan", "inf-inf", "٣-٤"),
    "kind": ("x", "1..2", "200", "256", ".", "0.999", "-1"),
    "flag": ("8", "x", "0.", "-1", "1e1", "nan"),
    "noflag": ("99", "-0", "inf"),
    "simga": ("14-63",),
    "": ("3",),
    "where": ("nothing > 3", "sigma_peak >", "__import__('os')", "sigma_peak; DROP TABLE x"),
    "cone": ("1,2", "a,b,c", "10,95,3", "10,10,-3", "M31,3", ",,", "nan,0,1", "0,0,inf", "1,2,3,4"),
    "obsid": ("12a", "123456", "0700000001' OR '1'='1", "0700000001,"),
    "sort": ("nothing", "--ra_deg", '"; DROP TABLE sources', "sigma_peak,ra_deg"),
}


@pytest.mark.parametrize(("name", "text"), [(n, text) for n, own in WRONG.items() for text in own])
def test_what_cannot_be_chosen_is_a_sentence(product: Product, name: str, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        selection(product.about("detections"), "detections", {name: text})
    assert str(raised.value).rstrip().endswith((".", "?"))
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("state", ["sigma=7-3", "where=nothing+%3E+1", "cone=1,2", "sort=nothing"])
def test_the_server_answers_the_same_sentence(client: TestClient, state: str) -> None:
    answer = client.get(f"/api/v1/facets?table=detections&{state}")
    assert answer.status_code == 400
    named = {"where": "nothing", "sort": "nothing"}
    name = state.partition("=")[0]
    assert named.get(name, name) in answer.json()["detail"]
    assert client.get("/api/v1/facets?table=passwords").status_code == 404


def test_text_of_an_address_is_never_a_statement(client: TestClient) -> None:
    answer = client.get("/api/v1/rows", params={"name": "x' OR '1'='1", "columns": "srcid"})
    assert answer.json() == {"total": 0, "rows": []}
    wrong = client.get("/api/v1/rows", params={"columns": 'srcid", (SELECT 1) AS "x'})
    assert wrong.status_code == 400
    assert "no column" in wrong.json()["detail"]


def test_what_pages_keep_in_an_address_is_not_looked_at(client: TestClient) -> None:
    plain = client.get("/api/v1/facets").json()
    assert client.get("/api/v1/facets?x=hr&y=sigma&sel=3").json() == plain


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
PLACES = (
    "http://127.0.0.1:8765/",
    "http://[::1]:1/stats",
    "https://a.example/x/#/",
    "file:///s/#/",
)


@given(
    state=st.dictionaries(TEXTS.filter(lambda name: name != "table"), TEXTS, max_size=5),
    table=st.sampled_from(TABLES),
    place=st.sampled_from(PLACES),
)
def test_whatever_an_address_says_is_read_from_it(
    state: dict[str, str], table: str, place: str
) -> None:
    assert state_of(f"{place}?{urlencode({'table': table, **state})}") == (table, state)


@settings(max_examples=portion(8), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), table=st.sampled_from(TABLES), place=st.sampled_from(PLACES))
def test_an_address_gives_the_rows_of_its_page(
    explored: Archive,
    product: Product,
    frames: dict[str, pd.DataFrame],
    data: st.DataObject,
    table: str,
    place: str,
) -> None:
    about, rows = product.about(table), frames[table]
    sort = data.draw(st.sampled_from(["", "dec_deg", "-sigma_peak", "-srcid"]))
    state = data.draw(states(about)) | ({"sort": sort} if sort else {})
    query = urlencode({"table": table, **state, "x": "hr", "sel": "3"})
    found = rows_at(explored.root, f"{place}?{query}")
    expected = rows[chosen(rows, about, state)]
    if sort:
        order = [sort.removeprefix("-"), about["key"]]
        way = [not sort.startswith("-"), True]
        expected = expected.sort_values(order, ascending=way, na_position="last")
    assert found[about["key"]].tolist() == expected[about["key"]].tolist()
    assert list(found.columns) == [name for name in rows.columns if not name.startswith("i.")]


@pytest.mark.parametrize("page", ["source/3", "detection/x", "obs/0", "runs", "compare", "about"])
def test_addresses_of_other_pages_are_refused(page: str) -> None:
    for place in PLACES[:3]:
        with pytest.raises(ConfigError, match="not the address of a catalogue"):
            state_of(f"{place.removesuffix('stats')}{page}?sigma=1-2")
