"""What was searched: events, modes, rates, frames and runs, against plain sums."""

import math
import statistics as plain

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.catalogue.report.highestframes import HIGHEST_LISTED, above, highest_frames
from exod.catalogue.report.survey import (
    REGIONS_LISTED,
    camera_modes,
    describe_survey,
    frame_events,
    list_rates,
    region_tally,
    searched_subsets,
    spread,
)

BANDS = ((0.2, 2.0), (2.0, 12.0), (0.2, 12.0))


@st.composite
def all_runs(draw):
    rows = []
    for obsid in draw(st.sets(st.integers(1, 5), max_size=4)):
        for subset in range(draw(st.integers(1, 3))):
            for t_bin in (5.0, 50.0):
                for lo, hi in BANDS:
                    frames = draw(st.integers(0, 5))
                    rows.append(
                        {"obsid": f"{obsid:010d}", "subset": subset, "t_bin": t_bin}
                        | {"e_lo": lo, "e_hi": hi, "t_lo": 100.0, "t_hi": 100.0 + frames * t_bin}
                        | {"n_frames": frames, "n_events": draw(st.integers(0, 10**6))}
                        | {"n_regions": draw(st.integers(0, 30))}
                    )
    names = ["obsid", "subset", "t_bin", "e_lo", "e_hi", "t_lo", "t_hi"]
    return pd.DataFrame(rows, columns=[*names, "n_frames", "n_events", "n_regions"])


@st.composite
def all_exposures(draw):
    texts = st.sampled_from(["EPN", "EMOS1", "EMOS2", ""])
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "instrument": texts,
                    "submode": st.sampled_from(["PrimeFullWindow", "PrimeSmallWindow", ""]),
                    "filter": st.sampled_from(["Thin1", "Medium"]),
                    "used": st.booleans(),
                    "n_selected": st.integers(0, 10**6),
                    "time_min": st.sampled_from([0.0, 100.0, math.nan]),
                    "time_max": st.sampled_from([100.0, 5100.0, math.nan]),
                }
            ),
            max_size=12,
        )
    )
    names = ["instrument", "submode", "filter", "used", "n_selected", "time_min", "time_max"]
    return pd.DataFrame(rows, columns=names).astype({"used": bool, "n_selected": "int64"})


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=20))
def test_spreads_are_those_of_plain_statistics(values):
    found = spread(values)
    known = sorted(value for value in values if not math.isnan(value))
    assert found["n"] == len(known)
    if not known:
        assert found.drop("n").isna().all()
        return
    assert found["mean"] == pytest.approx(math.fsum(known) / len(known), abs=1e-6)
    assert (found["min"], found["max"]) == (known[0], known[-1])
    assert found["p50"] == pytest.approx(plain.median(known), abs=1e-6)
    for name, part in (("p5", 0.05), ("p95", 0.95)):
        place = part * (len(known) - 1)
        low = known[math.floor(place)]
        high = known[math.ceil(place)]
        assert found[name] == pytest.approx(low + (high - low) * (place % 1), abs=1e-6)
    if len(known) > 1:
        assert found["std"] == pytest.approx(plain.stdev(known), abs=1e-5)
    else:
        assert math.isnan(found["std"])


@given(all_runs())
def test_runs_are_counted_one_by_one(runs):
    rows = [row for row in runs.to_dict("records") if row["n_frames"]]
    frames = frame_events(runs)
    keys = {(row["t_bin"], row["e_lo"], row["e_hi"]) for row in rows}
    assert set(frames.index) == keys
    for key in keys:
        own = [
            row["n_events"] / row["n_frames"]
            for row in rows
            if (row["t_bin"], row["e_lo"], row["e_hi"]) == key
        ]
        assert frames.loc[key, "n"] == len(own)
        assert frames.loc[key, "mean"] == pytest.approx(sum(own) / len(own))
    tally = region_tally(runs)
    for t_bin in {row["t_bin"] for row in rows}:
        for number in range(REGIONS_LISTED + 1):
            last = number == REGIONS_LISTED
            same = [
                row
                for row in rows
                if row["t_bin"] == t_bin
                and (row["n_regions"] >= number if last else row["n_regions"] == number)
            ]
            assert tally.loc[number, t_bin] == len(same)
    subsets = searched_subsets(runs).set_index(["obsid", "subset"])
    for key in {(row["obsid"], row["subset"]) for row in rows}:
        own = [row for row in rows if (row["obsid"], row["subset"]) == key]
        width = max(row["e_hi"] - row["e_lo"] for row in own)
        widest = [row for row in own if row["e_hi"] - row["e_lo"] == width]
        best = max(widest, key=lambda row: row["t_hi"] - row["t_lo"])
        seconds = best["t_hi"] - best["t_lo"]
        assert subsets.loc[key, "seconds"] == seconds
        rates = [r["n_events"] / seconds for r in widest if r["t_hi"] - r["t_lo"] == seconds]
        assert subsets.loc[key, "rate"] in rates


@given(all_exposures())
def test_modes_are_counted_one_by_one(exposures):
    found = camera_modes(exposures)
    rows = exposures.to_dict("records")
    assert found["lists"].sum() == len(rows)
    for (camera, mode, blocking), row in found.to_dict("index").items():
        own = [
            one
            for one in rows
            if (one["instrument"] or "unknown") == camera
            and (one["submode"] or "unknown") == mode
            and one["filter"] == blocking
        ]
        used = [one for one in own if one["used"]]
        assert row["lists"] == len(own)
        assert row["searched"] == len(used)
        assert row["events"] == sum(one["n_selected"] for one in used)
        lengths = [one["time_max"] - one["time_min"] for one in used]
        assert row["seconds"] == sum(length for length in lengths if not math.isnan(length))
    rates = list_rates(exposures)
    expected = [
        one["n_selected"] / (one["time_max"] - one["time_min"])
        for one in rows
        if one["used"] and one["time_max"] > one["time_min"]
    ]
    assert rates["rate"].tolist() == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["5", "200"]),
            st.integers(0, 60) | st.just(math.nan),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_highest_frames_are_counted_above_each_limit(curves):
    rows = pd.DataFrame(
        [
            {"runid": f"0000000001_0_{width}_0.2_2", "n_max": n, "n_max_isolated": alone}
            for width, n, alone in curves
        ],
        columns=["runid", "n_max", "n_max_isolated"],
    ).astype({"n_max": float, "n_max_isolated": bool})
    limits = [0, 1, 5, 20, HIGHEST_LISTED - 1]
    counts = above(highest_frames(rows), limits)
    for limit in limits:
        over = [curve for curve in curves if curve[1] > limit]
        assert counts.loc[limit, "isolated"] == sum(alone for _, _, alone in over)
        assert counts.loc[limit, "not isolated"] == sum(not alone for _, _, alone in over)
        for width in {width for width, n, _ in curves if not math.isnan(n)}:
            own = [curve for curve in over if curve[0] == width]
            assert counts.loc[limit, float(width)] == len(own)


def test_a_survey_of_nothing():
    runs = pd.DataFrame(
        columns=["obsid", "subset", "t_bin", "e_lo", "e_hi", "t_lo", "t_hi"], dtype=float
    ).assign(n_frames=0, n_events=0, n_regions=0)
    observations = pd.DataFrame(
        columns=["obsid", "n_events", "n_exposures", "n_subsets"], dtype="int64"
    )
    names = ["instrument", "submode", "filter", "used", "n_selected", "time_min", "time_max"]
    exposures = pd.DataFrame(columns=names).astype({"time_min": float, "time_max": float})
    found = describe_survey(observations, exposures, runs)
    assert found.events == 0
    assert (found.spreads["n"] == 0).all()
    assert found.frames.empty
    assert found.modes.empty
    assert found.regions.to_numpy().sum() == 0
    assert found.subsets.empty
    assert all(item.total == 0 for item in found.histograms.values())
    assert np.isnan(found.spreads["mean"]).all()
