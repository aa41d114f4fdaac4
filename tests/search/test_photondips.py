"""Dips of sources photon by photon, and the counts that bursts need, against plain references."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from exod.config import Config
from exod.search.nulls.photonsearch.photonimages import PIXEL_ARCSEC
from exod.search.nulls.photonsearch.photonnull import PhotonNull
from exod.search.nulls.photonsearch.photonscan import scan_field
from exod.search.nulls.photonsearch.sources.photoncurves import (
    SourceTimes,
    all_sources,
    source_times,
)
from exod.search.nulls.photonsearch.sources.photondips import (
    COUNTED_FROM,
    LONGEST,
    DipChance,
    best_windows,
    find_dips,
    with_ends,
)
from exod.search.nulls.photonsearch.sources.photonvariability import slow_variability
from exod.search.subset import null_hypothesis, search_subset
from exod.sensitivity.photonneeds import BRIGHTER, MORE, PhotonNeeds
from exod.simulate import Constant, Eclipse, ExposureModel, ObservationModel, SourceModel, simulate
from exod.stages.inputs.memory import in_memory

START, LENGTH = 6.0e8, 4000.0
CAMERAS = ("EMOS1", "EMOS2")
IDEAL = Config.load(preset="ideal", overrides=["detect.false_alarm_rate=0.3"])
ECLIPSE = (START + 1500.0, 900.0)


def reference(share, background, all_windows=True):
    """Lambda of the best dip and burst from the formulae alone, over windows between photons."""
    edges, n, dip, burst = with_ends(share), len(share), -1e9, -1e9
    for i in range(n + 1):
        j = i + 1
        while j <= n + 1 and (p := edges[j] - edges[i]) <= LONGEST:
            k = j - i - 1
            if k < n * p:
                q = max(k / n, background * p / (1 - (1 - background) * p))
                if q < p:
                    value = (k * np.log(q / p) if k else 0) + (n - k) * np.log((1 - q) / (1 - p))
                    dip = max(dip, value + np.log(p))
            elif p > 1e-12 and i > 0 and j <= n and p < (q := (k + 2) / n) < 1:
                value = (k + 2) * np.log(q / p) + (n - k - 2) * np.log((1 - q) / (1 - p))
                burst = max(burst, value + np.log(p))
            j += 1 if all_windows else 1 + k // 16
    return dip, burst


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(30, 80), st.floats(0.01, 0.9), st.floats(0, 0.4))
def test_the_best_dip_is_that_of_all_windows(seed, n, background, gone):
    share = np.sort(np.random.default_rng(seed).random(n))
    share = share[(share < 0.3) | (share > 0.3 + gone)]
    value, _, _, burst = best_windows(with_ends(share), background)
    assert (value, burst) == pytest.approx(reference(share, background, all_windows=False))
    # Of windows with more than 16 photons not all are looked at.
    assert value > reference(share, background)[0] - 0.5


def test_a_burst_makes_no_dip_of_what_is_beside_it(field):
    random = np.random.default_rng(3)
    share = np.sort(np.concatenate([random.random(60), random.uniform(0.8, 0.82, 200)]))
    source = replace(all_sources(field, np.zeros((0, 2)))[0], time=share * 9e3, share=share)
    value, _, _, burst = best_windows(with_ends(share), source.background)
    assert value > COUNTED_FROM
    assert burst > value
    assert len(find_dips([source], 9e3)) == 0


@pytest.fixture(scope="module")
def subset():
    """Both MOS, with an eclipsed source and two constant ones, a bright one among them."""
    exposures = tuple(ExposureModel(c, f"S00{i}", START, LENGTH) for i, c in enumerate(CAMERAS))
    rate = dict.fromkeys(CAMERAS, 0.02)
    sources = (
        SourceModel("eclipsed", 83.2, -5.4, rate, Eclipse(*ECLIPSE, 1.0)),
        SourceModel("constant", 83.3, -5.45, rate, Constant()),
        SourceModel("bright", 83.23, -5.5, dict.fromkeys(CAMERAS, 0.7), Constant()),
    )
    model = ObservationModel("0900000101", 83.25, -5.42, 30.0, exposures, sources=sources)
    (merged,) = in_memory(simulate(model, seed=5), IDEAL).subsets
    return merged


@pytest.fixture(scope="module")
def none():
    names = ("ra_deg", "dec_deg", "extent_arcsec", "rate")
    return pd.DataFrame({name: np.empty(0) for name in names})


@pytest.fixture(scope="module")
def field(subset, none):
    null = null_hypothesis(subset, none, IDEAL)
    assert isinstance(null, PhotonNull)
    (counts,) = null.counting.bands()
    return null.field(counts)


def test_an_eclipse_is_found_and_a_constant_source_is_not(subset, none, field):
    sources = all_sources(field, np.zeros((0, 2)))
    assert len(sources) >= 3
    regions = [
        region for run in search_subset("0900000101", subset, none, IDEAL) for region in run.regions
    ]
    (eclipse,) = [one for one in regions if one.event.kind == "eclipse"]
    ra, dec = subset.plane.to_sky(eclipse.position.x, eclipse.position.y)
    assert np.hypot(ra - 83.2, dec + 5.4) * 3600 < 6
    assert eclipse.event.start == pytest.approx(ECLIPSE[0], abs=250)
    assert eclipse.event.stop > sum(ECLIPSE) - 200


def test_a_bright_constant_source_is_no_burst(subset, field):
    x, y = subset.plane.to_pixel(83.23, -5.5)
    at = np.array([x, y]) * subset.plane.pixel_arcsec - field.corner
    near = np.hypot(field.marks.x - at[0], field.marks.y - at[1]) < 15
    assert near.sum() > 2000
    # All of its photons are weighed against a burst, not those of the smooth background alone.
    row, column = (at[::-1] / PIXEL_ARCSEC).astype(int)
    assert (field.expected * field.brightness)[row, column] > 0.3 * near.sum()
    found = scan_field(field)
    assert np.max(found.value[np.hypot(found.x - at[0], found.y - at[1]) < 120], initial=0) < 12


def test_the_wings_of_a_bright_source_are_what_is_there(subset, field):
    x, y = subset.plane.to_pixel(83.23, -5.5)
    at = np.array([x, y]) * subset.plane.pixel_arcsec - field.corner
    rows, columns = ((np.arange(n) + 0.5) * PIXEL_ARCSEC for n in field.expected.shape)
    far = np.hypot(rows[:, None] - at[1], columns - at[0])
    away = np.hypot(field.marks.x - at[0], field.marks.y - at[1])
    for low, high in ((25, 45), (45, 80)):
        ring, photons = (far > low) & (far < high), (away > low) & (away < high)
        density = field.expected * field.brightness / field.area
        area = np.pi * (high**2 - low**2)
        assert density[ring].mean() * area == pytest.approx(photons.sum(), rel=0.25)
        # What the source adds is far more than the background, and its level is constant.
        smooth = field.expected[ring].mean() / field.area * area
        assert photons.sum() > 1.5 * smooth
        share = field.marks.steady[photons].mean()
        assert share == pytest.approx(1 - smooth / photons.sum(), abs=0.15)
    assert np.median(field.marks.steady[away > 300]) < 0.05


def test_shares_of_photons_are_those_of_time_with_gaps_taken_out(field):
    # What the groups of CCDs see of a steady source, second by second.
    x, y = (field.axis[0] + 60, field.axis[1] - 100)
    source = source_times(field, x, y)
    assert (np.diff(source.share) >= 0).all()
    assert source.background > 0.7
    assert kstest(source.share, "uniform").pvalue > 1e-3


def test_chance_makes_as_many_dips_as_are_drawn(field):
    sources = all_sources(field, np.zeros((0, 2))) * 6
    chance = DipChance.of(sources, np.random.default_rng(1))
    random, found = np.random.default_rng(2), []
    for source in sources * 6:
        share = np.sort(random.random(len(source.time)))
        found.append(find_dips([replace(source, share=share)], LENGTH).value)
    number = np.count_nonzero(np.concatenate(found) >= COUNTED_FROM) / 6
    assert number == pytest.approx(float(chance.above(np.array(COUNTED_FROM))), abs=1.2)
    assert chance.above(np.array(9.0)) < 0.05 * chance.number


def test_share_of_found_bursts_is_that_of_drawn_likelihood_ratios():
    radii = np.arange(30.0)
    profile = np.exp(-radii / 5) / (2 * np.pi * (np.exp(-radii / 5) * radii).sum())
    needs = PhotonNeeds(profile[None], radii, np.zeros(1), np.ones(1))
    counts, background, least = 15.0, 4e-3, 14.0
    ring = 2 * np.pi * radii
    light, behind = counts * profile, background * BRIGHTER
    drawn = np.random.default_rng(1).poisson((light + behind) * ring, (20_000, 30))
    value = (drawn * np.log1p(light / behind)).sum(1) - (light * ring).sum() + MORE
    share = float(needs.found(np.array([counts]), np.array([background]), least)[0, 0, 0])
    assert share == pytest.approx(np.mean(value > least), abs=0.03)
    needs = PhotonNeeds(np.stack([profile] * 2), radii, np.array([0.0, 9.0]), np.ones(1))
    image = np.array([[background, 3 * background, np.nan]])
    half, most = needs.counts(image, np.full(image.shape, 5.0), least).images
    assert half[0, 0] < half[0, 1] < most[0, 1]
    assert np.isnan(half[0, 2])
    again = needs.found(half[0, :1].astype(float), np.array([background]), least)
    assert again[0, 0, 0] == pytest.approx(0.5, abs=0.02)


def test_probabilities_of_constant_sources_are_even():
    random, values = np.random.default_rng(4), []
    for _ in range(120):
        share = np.sort(random.random(200))
        source = SourceTimes(0.0, 0.0, 2e4 * share, share, 0.2)
        values.append(slow_variability(source, 2e4))
    for number in range(2):
        assert kstest([one.probability[number] for one in values], "uniform").pvalue > 1e-3
        excess = [one.excess_variance[number] for one in values]
        assert abs(np.mean(excess)) < 4 * np.std(excess) / np.sqrt(len(values))
    assert np.mean([one.blocks > 1 for one in values]) < 0.02


def test_probabilities_are_even_where_as_many_are_expected_of_each_class_as_came():
    # Three classes, each in two parts of the time: less is left to chance.
    random, knots = np.random.default_rng(6), np.linspace(0.0, 1.0, 13)
    own = np.arange(12) // 2 % 3 == np.arange(3)[:, None]
    parts = np.pad(np.cumsum(own / own.sum(axis=1, keepdims=True), axis=1), ((0, 0), (1, 0)))
    even, taken_for_independent = [], []
    for _ in range(400):
        share = np.sort([np.interp(u, row, knots) for row in parts for u in random.random(70)])
        source = SourceTimes(0.0, 0.0, 1.2e4 * share, share, 0.2, np.full(3, 70.0), parts)
        even.append(slow_variability(source, 1.2e4))
        plain = SourceTimes(0.0, 0.0, 1.2e4 * share, share, 0.2)
        taken_for_independent.append(slow_variability(plain, 1.2e4).probability[1])
    for number in range(2):
        assert kstest([one.probability[number] for one in even], "uniform").pvalue > 1e-3
        excess = [one.excess_variance[number] for one in even]
        assert abs(np.mean(excess)) < 4 * np.std(excess) / np.sqrt(len(even))
        steps = [one.structure[number] for one in even]
        assert abs(np.mean(steps)) < 4 * np.std(steps) / np.sqrt(len(even))
    assert kstest([one.least_probability for one in even], "uniform").pvalue > 1e-3
    assert kstest(taken_for_independent, "uniform").pvalue < 1e-6


def test_parts_of_a_source_are_those_of_its_classes_and_groups(field):
    source = source_times(field, field.axis[0] + 60, field.axis[1] - 100)
    assert source.counts.sum() == len(source.time)
    assert (np.diff(source.parts, axis=1) >= -1e-12).all()
    assert source.parts[:, [0, -1]] == pytest.approx(np.tile([0.0, 1.0], (len(source.parts), 1)))
    knots = np.linspace(0, 1, source.parts.shape[1])
    assert source.counts @ source.parts == pytest.approx(knots * len(source.time), abs=0.02)
