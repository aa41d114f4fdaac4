"""Comparison with published detections, against a slow one of every pair."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import InputError
from exod.sources.comparison import (
    FOUND,
    LOST,
    NEW,
    NEW_RUN,
    NOT_SEARCHED,
    OTHER_RUN,
    OUTCOMES,
    compare,
    with_runs,
)

RUNS = [(5.0, 0.2, 2.0), (50.0, 0.2, 12.0), (200.0, 2.0, 12.0)]
OBSIDS = ["0000000001", "0000000002", "0000000003"]
place = st.tuples(
    st.sampled_from(OBSIDS), st.sampled_from(RUNS), st.integers(0, 8), st.integers(0, 2)
)


def rows_of(places) -> pd.DataFrame:
    """Rows 8 arcsec apart along a great circle over the pole, so that RA jumps."""
    frame = pd.DataFrame(
        [
            (obsid, *run, 12.0 + 180 * (k > 4), 90 - abs(k - 4) * 8 / 3600)
            for obsid, run, k, _ in places
        ],
        columns=["obsid", "t_bin", "e_lo", "e_hi", "ra_deg", "dec_deg"],
    )
    names = [
        f"{obsid}_0_{run[0]:g}_{run[1]}_{run[2]}_{i}" for i, (obsid, run, *_) in enumerate(places)
    ]
    return frame.assign(detid=pd.Series(names, dtype=object))


def slow(published, regions, runs, radius) -> list[tuple]:
    """Outcomes by looking at every pair."""
    searched = {*runs[["obsid", "t_bin", "e_lo", "e_hi"]].itertuples(index=False, name=None)}
    observations = {run[0] for run in searched}

    def near(a, b) -> bool:
        if a.obsid != b.obsid:
            return False
        turn = np.radians(a.ra_deg - b.ra_deg) / 2
        dec = np.radians([a.dec_deg, b.dec_deg])
        chord = np.sin((dec[0] - dec[1]) / 2) ** 2 + np.prod(np.cos(dec)) * np.sin(turn) ** 2
        return np.degrees(2 * np.arcsin(np.sqrt(chord))) * 3600 <= radius

    def run(row) -> tuple:
        return row.t_bin, row.e_lo, row.e_hi

    found = []
    ours, theirs = list(regions.itertuples()), list(published.itertuples())
    for row in (row for row in theirs if row.obsid in observations):
        mates = [other for other in ours if near(row, other)]
        if any(run(other) == run(row) for other in mates):
            found.append((row.detid, FOUND))
        elif mates:
            found.append((row.detid, OTHER_RUN))
        else:
            known = (row.obsid, *run(row)) in searched
            found.append((row.detid, LOST if known else NOT_SEARCHED))
    for row in ours:
        mates = [other for other in theirs if near(row, other)]
        if not mates:
            found.append((row.detid, NEW))
        elif not any(run(other) == run(row) for other in mates):
            found.append((row.detid, NEW_RUN))
    return sorted(found)


@given(st.lists(place, max_size=12), st.lists(place, max_size=12), st.integers(0, 6))
def test_outcomes_are_those_of_every_pair(theirs, ours, n_left_out):
    published = with_runs(rows_of(theirs)[["detid", "ra_deg", "dec_deg"]])
    published["srcid"] = [f"EXOD {k}" for _, _, k, _ in theirs]
    regions = rows_of(ours)
    every = pd.DataFrame(
        [(obsid, *run) for obsid in OBSIDS for run in RUNS],
        columns=["obsid", "t_bin", "e_lo", "e_hi"],
    )
    searched = set(regions[["obsid", "t_bin", "e_lo", "e_hi"]].itertuples(index=False, name=None))
    keep = [
        i < len(every) - n_left_out or tuple(r) in searched
        for i, r in enumerate(every.to_numpy().tolist())
    ]
    runs = every[keep]
    found = compare(published, regions, runs, 15.0)
    rows = found.rows
    names = rows["published_detid"].fillna(rows["detid"])
    assert sorted(zip(names, rows["outcome"], strict=True)) == slow(published, regions, runs, 15.0)
    inside = published[published["obsid"].isin(runs["obsid"])]
    assert found.n_elsewhere == len(published) - len(inside)
    hit = rows[rows["outcome"].isin([FOUND, OTHER_RUN])]
    assert (hit["sep_arcsec"] <= 15.0).all()
    assert hit["detid"].isin(regions["detid"]).all()
    assert rows.loc[~rows.index.isin(hit.index), "sep_arcsec"].isna().all()
    assert found.n_sources == inside["srcid"].nunique()
    assert found.n_sources_found == hit["published_srcid"].nunique()
    counts = found.counts()
    assert counts[list(OUTCOMES)].to_numpy().sum() == len(rows)


def test_the_nearest_of_the_same_run_is_taken_and_places_may_be_missing():
    run = (50.0, 0.2, 12.0)
    published = with_runs(rows_of([(OBSIDS[0], run, 4, 0)] * 2)[["detid", "ra_deg", "dec_deg"]])
    published = published.assign(srcid="EXOD 1")
    published.loc[1, ["ra_deg", "dec_deg"]] = np.nan
    regions = rows_of([(OBSIDS[0], run, 3, 0), (OBSIDS[0], RUNS[0], 4, 0)])
    regions.loc[len(regions)] = {**regions.iloc[0], "ra_deg": np.nan, "detid": "nowhere"}
    found = compare(published, regions, regions, 15.0).rows
    assert found["outcome"].tolist() == [FOUND, LOST, NEW_RUN, NEW]
    detids = [regions["detid"][0], "", regions["detid"][1], "nowhere"]
    assert found["detid"].fillna("").tolist() == detids
    assert found["sep_arcsec"][0] == pytest.approx(8.0)


def test_what_cannot_be_compared():
    with pytest.raises(InputError, match=r"The detection '12_3' \(row 1\) is not named OBSID_SUB"):
        with_runs(pd.DataFrame({"detid": ["12_3"]}))
    nothing = with_runs(pd.DataFrame({"detid": [], "srcid": [], "ra_deg": [], "dec_deg": []}))
    assert compare(nothing, rows_of([]), rows_of([])).rows.empty
    with pytest.raises(InputError, match="must be positive"):
        compare(nothing, rows_of([]), rows_of([]), 0.0)
