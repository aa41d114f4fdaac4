"""What a browser counts is what pandas counts, and conditions mean there what they mean here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from helpers.examples import portion
from helpers.explored_states import chosen, counted, states
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from exod.errors import ConfigError
from exod.schemas.conditions import parse
from exod.schemas.facets import BINS, MISSING
from exod.web.product import Product
from exod.web.selection import TABLES

COUNT = """async ([base, table, states]) => {
  const engine = await import(`${base}static/js/engine.js`);
  const { meta } = await import(`${base}static/js/data.js`);
  // What is counted in practice is forgotten.
  for (const facet of (await meta()).tables[table].facets) await engine.practise(table, facet);
  const found = [];
  for (const state of states) {
    const asked = new URLSearchParams(state);
    const count = await engine.count(table, asked);
    const pairs = Object.entries(count.counts).map(([name, own]) => [name, [...own]]);
    const [plot, sky] = [await count.histogram("duration", "sigma"), await count.sky()];
    const listed = await count.listed(state.sort);
    const key = table === "sources" ? "region_num" : "detid";
    const shown = await listed.rows(3, Math.min(listed.length, 40), [key]);
    found.push({
      rows: count.rows, length: listed.length, flags: count.flagCounts,
      facets: Object.fromEntries(pairs),
      plot: [...plot.counts], sky: [...sky.entries()].filter(([, number]) => number),
      keys: shown.map((row) => typeof row[key] === "bigint" ? Number(row[key]) : row[key]),
    });
  }
  return found;
}"""

FULFIL = """async ([base, table, texts]) => {
  const { meta } = await import(`${base}static/js/data.js`);
  const { rowsThatFulfil } = await import(`${base}static/js/conditions.js`);
  const about = (await meta()).tables[table];
  const found = [];
  for (const where of texts) {
    found.push([...await rowsThatFulfil({ table, about, rows: about.rows }, { where })]);
  }
  return found;
}"""

once = settings(
    max_examples=1, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
)
"""Many at a time are asked of one page."""

NUMBERS = ("sigma_peak", "duration", "hr_event", "n_peak_cells", "label", "ra_deg")
TEXTS = ("kind", "obsid", "detid")
TRUTHS = ("filt_5sig", "filt_hot_pixel")


def _expressions() -> st.SearchStrategy[str]:
    """Conditions on detections, of everything that the language has."""
    constants = st.sampled_from(["0", "2", "5.5", "1e3", ".25", "-1", "200"])
    numbers = st.recursive(
        st.sampled_from(NUMBERS) | constants,
        lambda part: st.one_of(
            st.builds("({} {} {})".format, part, st.sampled_from("+-*/"), part),
            st.builds("{}({})".format, st.sampled_from(["abs", "sqrt", "log10"]), part),
            st.builds("-{}".format, part),
        ),
        max_leaves=4,
    )
    quotes = st.sampled_from(["'peak'", '"eclipse"', "'0700000001'", "'_3'", "''", "'07000002'"])
    texts = st.sampled_from(TEXTS) | quotes
    signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    within = st.sampled_from(["in", "not in"])
    truths = st.one_of(
        *(st.builds("{} {} {}".format, kind, signs, kind) for kind in (numbers, texts)),
        st.builds("{} {} {} {} {}".format, numbers, signs, numbers, signs, numbers),
        st.builds("{} {} ({}, {})".format, st.sampled_from(NUMBERS), within, constants, constants),
        st.builds("{} {} [{}, {}]".format, st.sampled_from(TEXTS), within, quotes, quotes),
        st.builds(
            "{}({}, {})".format,
            st.sampled_from(["startswith", "endswith", "contains"]),
            texts,
            quotes,
        ),
        st.builds("{}({})".format, st.sampled_from(["isnull", "notnull"]), numbers),
        st.builds("between({}, {}, {})".format, numbers, numbers, numbers),
        st.sampled_from(TRUTHS),
        st.builds("{} {} {}".format, st.sampled_from(TRUTHS), signs, st.just("True")),
    )
    return st.recursive(
        truths,
        lambda part: st.one_of(
            st.builds("{} and {}".format, part, part),
            st.builds("({} or {})".format, part, part),
            st.builds("not {}".format, part),
            st.builds("not ({})".format, part),
        ),
        max_leaves=4,
    )


@once
@given(data=st.data())
def test_a_browser_counts_what_pandas_counts(
    visitor, product: Product, frames: dict[str, pd.DataFrame], data: st.DataObject
) -> None:
    visitor.visit("/about")
    sorts = st.sampled_from(["duration", "-duration", "-ra_deg"])
    for table in TABLES:
        about, rows = product.about(table), frames[table]
        asked = data.draw(st.lists(states(about), min_size=portion(40), max_size=portion(40)))
        for state in asked[::2]:
            state["sort"] = data.draw(sorts).replace("duration", _named(about, "duration"))
        # Of large tables the server counts: all the same, whoever does.
        ways = [{}, {"count": "server"}] if visitor.mode == "server" else [{}]
        for way in ways:
            answers = visitor.page.evaluate(
                COUNT, [visitor.base, table, [{**state, **way} for state in asked]]
            )
            for state, found in zip(asked, answers, strict=True):
                _compare(found, rows, about, state)


def _named(about: Mapping[str, Any], name: str) -> str:
    return next(own for own in about["sortable"] if own.removeprefix("best_") == name)


def _compare(
    found: dict[str, Any], rows: pd.DataFrame, about: Mapping[str, Any], state: dict[str, str]
) -> None:
    """Everything that a count answers, against pandas."""
    expected, own = counted(rows, about, state), rows[chosen(rows, about, state)]
    assert found["rows"] == found["length"] == expected["rows"], state
    assert found["flags"] == expected["flags"], state
    for facet in about["facets"]:
        size = BINS if facet["kind"] == "bins" else len(facet["labels"])
        counts = found["facets"][facet["name"]]
        assert [*counts[:size], counts[MISSING]] == expected["facets"][facet["name"]], state
    plot = np.zeros((BINS, BINS), int)
    both = own[(own["i.duration"] != MISSING) & (own["i.sigma"] != MISSING)]
    np.add.at(plot, (both["i.sigma"].astype(int), both["i.duration"].astype(int)), 1)
    assert found["plot"] == plot.ravel().tolist(), state
    assert dict(found["sky"]) == own["i.hp6"].value_counts().to_dict(), state
    sort = state.get("sort", "")
    if sort.removeprefix("-") in about["sortable"]:
        up, column = not sort.startswith("-"), f"i.{sort.removeprefix('-')}_f4"
        own = own.sort_values(column, ascending=up, na_position="last", kind="stable")
    assert found["keys"] == own[about["key"]].iloc[3:40].tolist(), state


@once
@given(texts=st.lists(_expressions(), min_size=portion(150), max_size=portion(150), unique=True))
def test_conditions_mean_the_same_in_a_browser(
    static_visitor, product: Product, frames: dict[str, pd.DataFrame], texts: list[str]
) -> None:
    visitor, rows = static_visitor, frames["detections"]
    names = {*NUMBERS, *TEXTS, *TRUTHS}
    kinds = dict.fromkeys(NUMBERS, "number") | dict.fromkeys(TEXTS, "text")
    kinds |= dict.fromkeys(TRUTHS, "boolean")
    expected = {}
    for text in texts:
        try:
            expected[text] = parse(text, kinds).mask(rows[sorted(names)])
        except ConfigError:
            continue
    assert len(expected) > portion(150) * 2 / 3
    assert len({mask.sum() for mask in expected.values()}) > portion(150) / 8
    visitor.visit("/about")
    answers = visitor.page.evaluate(FULFIL, [visitor.base, "detections", list(expected)])
    for (text, mask), found in zip(expected.items(), answers, strict=True):
        np.testing.assert_array_equal(np.array(found, bool), mask, err_msg=text)
