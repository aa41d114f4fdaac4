"""Comparisons with EXTraS and the fluxes of 4XMM, against every pair and plain sums."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.catalogue.report.comparisons import (
    FLUX_EDGES,
    LEVELS,
    SAMPLES,
    VARIABLE_P,
    compare_extras,
    flux_groups,
    merge_light_curves,
)

OBSIDS = ("0000000001", "0000000002", "0000000003")
OFFSETS = st.floats(-60, 60)


def place(dx: float, dy: float) -> tuple[float, float]:
    """A position some arcsec from a place across which right ascension begins."""
    return (dx / 3600 / math.cos(math.radians(40))) % 360, 40 + dy / 3600


@st.composite
def curves(draw):
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(OBSIDS[:2]),
                st.integers(1, 6),
                OFFSETS,
                OFFSETS,
                st.sampled_from([1e-9, 0.5, math.nan]),
            ),
            max_size=12,
        )
    )
    made = [(o, s, *place(x, y), p) for o, s, x, y, p in rows]
    frame = pd.DataFrame(made, columns=["obsid", "source", "ra_deg", "dec_deg", "p"])
    return frame.astype({"ra_deg": float, "dec_deg": float, "p": float, "source": "int64"})


@st.composite
def some_regions(draw):
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(OBSIDS),
                st.integers(0, 5),
                OFFSETS,
                OFFSETS,
                st.sampled_from([2.0, 3.0, 4.9, 5.0, math.nan]),
            ),
            max_size=15,
        )
    )
    made = [(o, n, *place(x, y), s) for o, n, x, y, s in rows]
    frame = pd.DataFrame(made, columns=["obsid", "region_num", "ra_deg", "dec_deg", "sigma"])
    kinds = {"ra_deg": float, "dec_deg": float, "sigma": float, "region_num": "int64"}
    return frame.astype(kinds)


def arcsec(one: dict, other: dict) -> float:
    """Haversine."""
    a, b, c, d = (
        math.radians(value)
        for value in (one["ra_deg"], one["dec_deg"], other["ra_deg"], other["dec_deg"])
    )
    h = math.sin((d - b) / 2) ** 2 + math.cos(b) * math.cos(d) * math.sin((c - a) / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(h))) * 3600


@settings(deadline=None)
@given(curves(), some_regions(), st.integers(1, 4))
def test_extras_is_compared_as_every_pair_says(light_curves, regions, n_parts):
    theirs = merge_light_curves(light_curves)
    parts = [regions.iloc[number::n_parts] for number in range(n_parts)]
    counts = compare_extras(theirs, parts, 20.0)
    common = set(light_curves["obsid"])
    sources = {}
    for row in light_curves.to_dict("records"):
        own = sources.setdefault((row["obsid"], row["source"]), {**row, "ps": []})
        own["ps"].append(row["p"])
    for level in LEVELS:
        ours = [
            row
            for row in regions.to_dict("records")
            if row["obsid"] in common and (level == 0 or row["sigma"] >= level)
        ]
        for sample in SAMPLES:
            members = [
                row
                for row in sources.values()
                if sample == "all" or any(p < VARIABLE_P for p in row["ps"])
            ]
            pairs = [
                (mine["region_num"], other["source"])
                for mine in ours
                for other in members
                if mine["obsid"] == other["obsid"] and arcsec(mine, other) <= 20
            ]
            expected = {
                "ours": len({row["region_num"] for row in ours}),
                "ours_matched": len({mine for mine, _ in pairs}),
                "theirs": len({row["source"] for row in members}),
                "theirs_matched": len({other for _, other in pairs}),
            }
            assert counts.loc[(level, sample)].to_dict() == expected


@given(st.lists(st.floats(1e-17, 1e-9) | st.sampled_from([0.0, -1.0, math.nan]), max_size=30))
def test_fluxes_are_counted_one_by_one(values):
    found = flux_groups({"EXOD": np.array(values, float), "4XMM": np.empty(0)})
    known = [value for value in values if value > 0]
    assert found.spreads.loc["EXOD", "n"] == len(known)
    assert found.spreads.loc["4XMM", "n"] == 0
    counts = found.histogram.counts.loc["EXOD"].to_numpy()
    assert counts.sum() == len(known)
    for number, (low, high) in enumerate(pairwise(FLUX_EDGES)):
        inside = sum(low <= np.log10(value) < high for value in known)
        assert counts[number + 1] == inside
    if known:
        assert found.spreads.loc["EXOD", "mean"] == pytest.approx(math.fsum(known) / len(known))
