"""Drift: medians, steps, a seasonal fit; distributions and rms of offsets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.astrometry import drift
from exod.astrometry.drift import binned_medians, find_steps, seasonal_fit, without_season
from exod.astrometry.offsetstatistics import (
    PERIODS,
    RADIAL_EDGES,
    by_observation,
    radial_distribution,
    rms_table,
)


def series(random, n=400, years=5.0, at=None, size=0.3):
    """Offsets with 0.35" scatter and 5 % outliers, with or without a step."""
    time = np.sort(random.uniform(2010, 2010 + years, n))
    values = random.normal(0, 0.35, n)
    wild = random.random(n) < 0.05
    values[wild] = random.uniform(-3, 3, wild.sum())
    return time, values + (0 if at is None else size * (time >= at))


def test_steps_are_found_within_half_a_year():
    found = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        at = random.uniform(2010.5, 2014.5)
        steps = find_steps(*series(random, at=at))
        found += any(abs(step.year - at) < 0.5 for step in steps)
    assert found >= 19


def test_nothing_is_found_where_nothing_changes():
    alerts = sum(bool(find_steps(*series(np.random.default_rng(seed)))) for seed in range(100, 160))
    assert alerts <= 3


def test_two_steps_and_their_sizes():
    random = np.random.default_rng(2)
    time, values = series(random, n=600)
    values += 0.6 * ((time > 2011.5) & (time < 2013.5))
    first, second = find_steps(time, values)
    assert [first.year, second.year] == pytest.approx([2011.5, 2013.5], abs=0.1)
    assert abs(first.size_arcsec - 0.6) < 4 * first.error_arcsec
    assert abs(second.size_arcsec + 0.6) < 4 * second.error_arcsec
    assert (first.n_before + first.n_after + second.n_after) == 600
    assert first.n_after == second.n_before


def test_order_of_rows_and_missing_values_do_not_matter():
    random = np.random.default_rng(4)
    time, values = series(random, at=2012.0, size=0.5)
    shuffled = random.permutation(len(time))
    more = np.concatenate([time[shuffled], [2012.0, np.nan]])
    assert find_steps(more, np.concatenate([values[shuffled], [np.nan, 1.0]])) == find_steps(
        time, values
    )


@given(st.lists(st.floats(-5, 5), min_size=12, max_size=40), st.booleans())
def test_statistic_is_a_correlation(values, weighted):
    """Of scores with before and after, of every division; weighted by the information of each."""
    values = np.array(values)
    time = np.arange(len(values)) // 2
    errors = np.linspace(0.0, 2.0, len(values)) if weighted else np.zeros(len(values))
    if np.ptp(values) < 1e-9:
        assert find_steps(time, values, smallest=0.0) == []
        return
    scores, information = drift._scores(values, errors)
    place, statistic = drift._divided(time, scores, information, 5)
    expected = {}
    for k in range(5, len(values) - 4):
        if time[k] > time[k - 1]:
            sides = np.array([scores / information, np.arange(len(values)) < k])
            covariance = np.cov(sides, aweights=information, bias=True)
            correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
            expected[k] = abs(correlation) * np.sqrt(len(values) - 1)
    assert statistic == pytest.approx(max(expected.values()), rel=1e-6)
    assert expected[place] == pytest.approx(statistic, rel=1e-6)


@given(st.integers(0, 10**6))
def test_observations_of_a_batch_may_come_in_any_order(seed):
    """Also those of one time, between which there is no step."""
    random = np.random.default_rng(seed)
    years = np.sort(random.integers(0, 12, 60)) / 4 + 2010
    values = random.normal(0, 0.3, 60) + 0.8 * (years > 2011.4)
    errors = random.uniform(0, 0.3, 60)
    found = find_steps(years, values, errors=errors)
    mixed = random.permutation(60)
    assert found == find_steps(years[mixed], values[mixed], errors=errors[mixed])
    assert all(step.year not in years for step in found)


def test_a_large_step_is_seen_at_once():
    """Offsets of many standard deviations are wild ones alone, and a step together."""
    time, values = series(np.random.default_rng(4), n=200)
    values[-12:] += 5.0
    (step,) = find_steps(time, values)
    assert step.n_after == 12
    assert step.size_arcsec == pytest.approx(5.0, abs=0.5)


def test_values_count_by_their_errors():
    """Half of the observations are five times worse; a step among them is seen more often."""
    seen = np.zeros(2)
    for seed in range(40):
        random = np.random.default_rng(seed)
        time = np.sort(random.uniform(2010, 2015, 200))
        errors = np.where(random.random(200) < 0.5, 0.9, 0.1)
        values = random.normal(0, np.hypot(errors, 0.15)) + 0.15 * (time > 2012.5)
        seen += [
            any(abs(step.year - 2012.5) < 0.5 for step in find_steps(time, values, errors=given))
            for given in (None, errors)
        ]
    assert seen[1] >= seen[0] + 10


@pytest.mark.parametrize("rate", [20, 300])
def test_as_many_steps_by_chance_as_are_told(rate):
    """Of those who look each month; one in ten years is allowed, so that there are some."""
    random, told, length = np.random.default_rng(rate), 0, 4.0
    for _ in range(40):
        time, values = series(random, n=round(rate * length), years=length)
        dates = []
        for look in 2010 + np.arange(1, length, 1 / 12):
            seen = time < look
            for step in find_steps(time[seen], values[seen], 0.1, smallest=0.0):
                if all(abs(step.year - date) >= 0.5 for date in dates):
                    dates.append(step.year)
        told += len(dates)
    # 12 are expected; the limits are those of Poisson at 0.1 %.
    assert 3 <= told <= 25


@pytest.mark.parametrize("n", [0, 1, 9])
def test_few_values_have_no_step(n):
    assert find_steps(np.arange(n), np.arange(n)) == []


@given(
    st.lists(st.tuples(st.floats(1999, 2030), st.floats(-2, 2)), max_size=60),
    st.sampled_from([0.5, 1.0]),
)
def test_medians_of_bins(pairs, width):
    years, values = (
        np.array(side, float) for side in (zip(*pairs, strict=True) if pairs else ([], []))
    )
    bins = binned_medians(years, values, width)
    assert bins["n"].sum() == len(years)
    assert (bins["stop"] - bins["start"] == width).all()
    for row in bins.itertuples():
        own = values[(years >= row.start) & (years < row.stop)]
        assert len(own) == row.n
        assert np.percentile(own, [15.8, 50, 84.2]) == pytest.approx(
            [row.low, row.median, row.high]
        )


def test_halves_of_years_are_bins():
    """A bin is half a year wide and not two years, and begins with January or July."""
    bins = binned_medians([2013.0, 2013.49, 2013.5, 2014.99], [1, 3, 5, 7])
    assert bins["start"].tolist() == [2013.0, 2013.5, 2014.5]
    assert bins["median"].tolist() == [2.0, 5.0, 7.0]


@settings(max_examples=portion(25))
@given(st.integers(0, 10**6))
def test_seasonal_fit_recovers_what_was_put_in(seed):
    random = np.random.default_rng(seed)
    years = random.uniform(2001, 2013, 500)
    truth = random.normal(0, 0.3, 6) / [1, 6, 36, 216, 1, 1]
    t = years - (years.min() + years.max()) / 2
    turn = 2 * np.pi * t
    terms = np.stack([t**0, t, t**2, t**3, np.sin(turn), np.cos(turn)], -1)
    noise = random.normal(0, 0.1, 500)
    noise[:25] = random.uniform(-3, 3, 25)
    fit = seasonal_fit(years, terms @ truth + noise)
    pulls = (fit.coefficients - truth) / np.sqrt(np.diag(fit.covariance))
    assert np.abs(pulls).max() < 5.5
    assert fit.scatter_arcsec == pytest.approx(0.1, rel=0.25)
    assert fit.trend(years) + fit.season(years) == pytest.approx(terms @ fit.coefficients)
    # The sine is largest at its maximum.
    at = np.floor(years.mean()) + fit.maximum
    assert fit.season(at) == pytest.approx(fit.amplitude_arcsec)


def test_a_season_is_no_step():
    random = np.random.default_rng(1)
    years = np.sort(random.uniform(2010, 2013, 300))
    values = random.normal(0, 0.2, 300) + 0.6 * np.sin(2 * np.pi * years)
    assert find_steps(years, values)
    assert find_steps(years, without_season(years, values)) == []


def test_a_step_is_no_season():
    random = np.random.default_rng(6)
    years, values = series(random, at=2012.4, size=0.5)
    (step,) = find_steps(years, without_season(years, values))
    assert step.year == pytest.approx(2012.4, abs=0.3)


@pytest.mark.parametrize("years", [np.linspace(2010, 2020, 19), np.linspace(2010, 2011.9, 50)])
def test_no_seasonal_fit_of_too_little(years):
    assert seasonal_fit(years, np.ones(len(years))) is None
    assert without_season(years, np.ones(len(years))).tolist() == [1.0] * len(years)


def test_constant_values_fit():
    fit = seasonal_fit(np.linspace(2010, 2014, 30), np.full(30, 0.25))
    assert fit.trend(2012.3) == pytest.approx(0.25)
    assert fit.amplitude_arcsec == pytest.approx(0, abs=1e-9)


# --------------------------------------------------------------------------- distributions and rms


@settings(max_examples=portion(30))
@given(st.lists(st.floats(0, 4), min_size=1, max_size=50))
def test_radial_distribution(radii):
    found = radial_distribution(radii, np.arange(len(radii)), bootstraps=20)
    shares = [(np.array(radii) <= edge).mean() for edge in RADIAL_EDGES[1:]]
    assert found.share == pytest.approx(np.array(shares))
    assert found.quantiles["radius"].tolist() == pytest.approx(
        np.percentile(radii, [68, 90, 99]).tolist()
    )
    assert (found.low <= found.high + 1e-12).all()
    assert found.worst == max(radii)


def test_bands_hold_the_truth_as_often_as_they_say():
    """Of Rayleigh's distribution with sigma 0.3" the 68 and 90 % radii."""
    truth = 0.3 * np.sqrt(-2 * np.log([0.32, 0.10]))
    random = np.random.default_rng(0)
    inside = np.zeros(2)
    for seed in range(150):
        found = radial_distribution(random.rayleigh(0.3, 200), np.arange(200), seed=seed)
        bands = found.quantiles.loc[[68, 90]]
        inside += (bands["low"] <= truth) & (truth <= bands["high"])
    assert (np.abs(inside / 150 - 0.683) < 0.13).all()


def test_offsets_of_one_observation_are_not_independent():
    random = np.random.default_rng(5)
    radii = np.repeat(random.rayleigh(0.3, 20), 50)
    alone = radial_distribution(radii, np.arange(1000)).quantiles.loc[68]
    shared = radial_distribution(radii, np.repeat(np.arange(20), 50)).quantiles.loc[68]
    assert shared["high"] - shared["low"] > 3 * (alone["high"] - alone["low"])


def test_no_offsets():
    assert radial_distribution([], []) is None
    assert radial_distribution([np.nan], [1]) is None
    table = rms_table(pd.DataFrame({"year": [], "detector": [], "dr": []}, dtype=float))
    assert table["n"].tolist() == [0] * len(PERIODS)


def test_rms_of_periods_and_detectors():
    random = np.random.default_rng(9)
    offsets = pd.DataFrame(
        {
            "year": random.uniform(2010, 2020, 300),
            "detector": random.choice(["ACIS-I", "ACIS-S"], 300),
            "dr": random.rayleigh(0.5, 300),
        }
    )
    table = rms_table(offsets, 2020.0).set_index(["period", "detector"])
    age = 2020.0 - offsets["year"]
    for (name, begin, until), detector in ((p, d) for p in PERIODS for d in ("all", "ACIS-I")):
        chosen = (age <= begin) & (age > until)
        if detector != "all":
            chosen &= offsets["detector"] == detector
        own = offsets["dr"][chosen].to_numpy()
        row = table.loc[(name, detector)]
        expected = [len(own), np.sqrt((own**2).mean()), np.percentile(own, 90)]
        assert row.tolist() == pytest.approx([*expected, 100 * (own > 1).mean()])
    # The last offset is part of the last years.
    assert rms_table(offsets).query("detector == 'all'")["n"].iloc[0] == 300


def test_medians_of_observations():
    offsets = pd.DataFrame(
        {
            "obsid": ["2", "1", "1", "1"],
            "detector": ["a"] * 4,
            "year": [2001.0, 2003.0, 2003.0, 2003.0],
            "dy": [1.0, 0.1, 0.2, 9.0],
            "dz": 0.0,
        }
    )
    rows = by_observation(offsets)
    assert rows["obsid"].tolist() == ["2", "1"]
    assert rows["dy"].tolist() == [1.0, 0.2]
    assert rows["n"].tolist() == [1, 3]


def test_weighted_rms_is_that_of_repeated_offsets():
    random = np.random.default_rng(3)
    offsets = pd.DataFrame(
        {"year": random.uniform(2010, 2020, 40), "detector": "A", "dr": random.exponential(1, 40)}
    )
    times = random.integers(0, 4, 40)
    weighted = rms_table(offsets.assign(weight=times * 0.5))
    repeated = rms_table(offsets.loc[offsets.index.repeat(times)], offsets["year"].max())
    for name in ("rms", "beyond"):
        np.testing.assert_allclose(weighted[name], repeated[name])
    assert weighted["n"].iloc[0] == 40
    ranked = np.sort(offsets["dr"].to_numpy().repeat(times))
    assert weighted["q90"].iloc[0] == ranked[int(np.ceil(0.9 * len(ranked))) - 1]
    assert rms_table(offsets.assign(weight=0.0))["rms"].isna().all()
    pd.testing.assert_frame_equal(rms_table(offsets.assign(weight=np.nan)), rms_table(offsets))
