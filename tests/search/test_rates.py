"""Rates: the light curve of each exposure, in bins that end where the subset does."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.strategies import seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.observation.gti import HIGH_ENERGY_EV
from exod.observation.livetime import LiveCurve, LiveTimes
from exod.observation.subsets import MergedEvents
from exod.search.rows import RATE_BIN, rate_rows

T_LO = 1e8
CAMERAS = ("EPN", "EMOS1")


def merged(time, pi, source, t_hi):
    exposures = tuple(
        SimpleNamespace(instrument=name, expid="S003", live=LiveTimes()) for name in CAMERAS
    )
    columns = {name: np.zeros(len(time), np.int32) for name in ("x", "y", "ccdnr")}
    return MergedEvents(2, exposures, time, pi=pi, source=source, t_lo=T_LO, t_hi=t_hi, **columns)


@given(seeds, st.floats(1.0, 950.0))
def test_rates_count_the_events_of_each_bin(seed, length):
    generator = np.random.default_rng(seed)
    # Also just outside, at the very start and on the edges of bins.
    offsets = np.concatenate([generator.uniform(-50, length + 250, 80), [0.0, RATE_BIN, 300.0]])
    time = T_LO + np.sort(offsets)
    pi = generator.integers(200, 15_000, len(time))
    source = generator.integers(0, 2, len(time)).astype(np.uint8)
    rows = rate_rows("0001730201", merged(time, pi, source, T_LO + length))

    edges = T_LO + RATE_BIN * np.arange(np.ceil(length / RATE_BIN) + 1)
    low, high = HIGH_ENERGY_EV
    for number, camera in enumerate(CAMERAS):
        own = rows[rows["instrument"] == camera]
        for column, which in (("n", source == number), ("n_hard", (pi > low) & (pi < high))):
            inside = (source == number) & which
            # A histogram counts what lies on its last edge, and a bin does not.
            counted = np.histogram(time[inside & (time < edges[-1])], edges)[0]
            np.testing.assert_array_equal(own[column], counted)
        np.testing.assert_array_equal(own["time"], edges[:-1])
        np.testing.assert_allclose(own["width"], np.minimum(RATE_BIN, T_LO + length - edges[:-1]))
        assert own["width"].sum() == pytest.approx(length, rel=1e-6)
    assert (rows["subset"] == 2).all()


def test_exposures_without_a_common_time_have_no_rates():
    nothing = np.empty(0)
    rows = rate_rows(
        "0001730201", merged(nothing, nothing.astype(int), nothing.astype(np.uint8), T_LO - 500)
    )
    assert rows.empty


def test_rates_do_not_dip_where_the_camera_was_off():
    """One CCD off for 60 s, the other throughout; then the whole camera off for 250 s."""
    time = np.arange(T_LO, T_LO + 1000, 0.25)
    ccdnr = np.tile(np.array([1, 2], np.uint8), len(time) // 2)
    off = (ccdnr == 1) & (time >= T_LO + 120) & (time < T_LO + 180)
    off |= (time >= T_LO + 500) & (time < T_LO + 750)
    first = np.array([[0.0, 120], [180, 500], [750, 1000]]) + T_LO
    second = np.array([[0.0, 500], [750, 1000]]) + T_LO
    curves = {
        number: LiveCurve(np.column_stack([rows, np.full(len(rows), 0.9)]), 0.9)
        for number, rows in ((1, first), (2, second))
    }
    exposure = SimpleNamespace(instrument="EMOS1", expid="S001", live=LiveTimes(curves))
    columns = {name: np.zeros((~off).sum(), np.int32) for name in ("x", "y", "pi", "source")}
    events = MergedEvents(
        0, (exposure,), time[~off], ccdnr=ccdnr[~off], t_lo=T_LO, t_hi=T_LO + 1000, **columns
    )
    rows = rate_rows("0001730201", events)
    np.testing.assert_allclose(rows["n"] / rows["width"], 4.0, rtol=0.02)
    assert (rows["time"] - T_LO).tolist() == [0, 100, 200, 300, 400, 700, 800, 900]
    np.testing.assert_allclose(rows["width"][[0, 1, 5]], [100, 70, 50], rtol=0.02)
    as_recorded = rate_rows("0001730201", events, with_live=False)
    assert as_recorded["width"].tolist() == [100.0] * 10
