"""Dates of mission elapsed times, compared with those of astropy."""

from __future__ import annotations

import numpy as np
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from exod.observation.times import TIME_ZERO_MJD, leap_steps, mjd_of, utc_date, utc_texts

SECONDS = st.integers(-800_000_000_000, 900_000_000_000).map(lambda ms: ms / 1000)
"""1972 to 2026: astropy warns of leap seconds that may come."""


def reference(seconds: np.ndarray) -> list[str]:
    time = Time(TIME_ZERO_MJD, seconds / 86400, format="mjd", scale="tt", precision=3)
    return [str(text) for text in time.utc.isot]


@given(st.lists(SECONDS, min_size=1, max_size=50))
def test_dates_are_those_of_astropy(seconds):
    times = np.array(seconds)
    assert utc_texts(times).tolist() == reference(times)
    days = Time(TIME_ZERO_MJD, times / 86400, format="mjd", scale="tt").mjd
    np.testing.assert_allclose(mjd_of(times), days, rtol=0, atol=2e-11)


def test_leap_seconds_have_the_number_60():
    steps = leap_steps()
    offsets = np.array([-1001, -1000, -999, -500, -1, 0, 1, 500, 999, 1000])
    times = ((steps.begin[1:, None] + offsets) / 1000).ravel()
    found = utc_texts(times)
    assert found.tolist() == reference(times)
    assert sum(text[17:19] == "60" for text in found) == 4 * (len(steps.begin) - 1)
    edge = ["2016-12-31T23:59:59.999", "2016-12-31T23:59:60.000", "2017-01-01T00:00:00.000"]
    assert all(text in found for text in edge)


def test_what_is_no_time_has_no_date():
    wrong = [np.nan, np.inf, -np.inf, 1e30, -1e30, -1e12]
    assert utc_texts(np.array(wrong)).tolist() == [""] * len(wrong)
    assert utc_texts(np.array([])).tolist() == []
    assert np.isnan(mjd_of(np.array([np.nan]))).all()


def test_dates_to_the_second_are_rounded():
    midnight = float(leap_steps().begin[-1]) / 1000
    times = midnight + np.array([-1.6, -1.4, -0.6, -0.4, 0.4, 0.6])
    assert [utc_date(time)[17:] for time in times] == ["59", "60", "60", "00", "00", "01"]
