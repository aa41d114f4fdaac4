"""The search that weighs every photon, against a plain reference."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.config import Config
from exod.errors import ConfigError
from exod.search.nulls.photonsearch import photonplaces as kernels
from exod.search.nulls.photonsearch.photonbackground import FARTHEST_ARCSEC, SteadyLight, lights_at
from exod.search.nulls.photonsearch.photonchance import COUNTED_FROM, ShuffledChance
from exod.search.nulls.photonsearch.photonimages import Binned, PhotonsByPlace
from exod.search.nulls.photonsearch.photonkernels import enough, fewest_counts
from exod.search.nulls.photonsearch.photonlevels import STEADY
from exod.search.nulls.photonsearch.photonnull import PhotonNull
from exod.search.nulls.photonsearch.photonratio import PRIOR
from exod.search.nulls.photonsearch.photonscan import (
    CORE_COUNTS,
    Bursts,
    durations,
    least_shares,
    most_expected,
    photons_of,
    scan_field,
    shuffled,
    tables_of,
    tiles_of,
)
from exod.search.subset import null_hypothesis, search_subset
from exod.simulate import BoxBurst, ExposureModel, ObservationModel, SourceModel, simulate
from exod.stages.inputs.memory import in_memory

OBSID = "0900000101"
START = 6.0e8
CAMERAS = ("EMOS1", "EMOS2")
IDEAL = Config.preset("ideal")
BURST = (START + 1297.0, 8.0)
RA, DEC = 83.2, -5.4


@pytest.fixture(scope="module")
def subset():
    """Both MOS, quiet and short, with one burst of 24 counts in all near the axis."""
    exposures = tuple(ExposureModel(c, f"S00{i}", START, 2500.0) for i, c in enumerate(CAMERAS))
    burst = SourceModel.burst("burst", RA, DEC, dict.fromkeys(CAMERAS, 12.0), BoxBurst(*BURST))
    model = ObservationModel(OBSID, 83.25, -5.42, 30.0, exposures, sources=(burst,))
    (merged,) = in_memory(simulate(model, seed=11), IDEAL).subsets
    return merged


@pytest.fixture(scope="module")
def null(subset):
    none = pd.DataFrame(
        {name: np.empty(0) for name in ("ra_deg", "dec_deg", "extent_arcsec", "rate")}
    )
    found = null_hypothesis(subset, none, IDEAL)
    assert isinstance(found, PhotonNull)
    return found


@pytest.fixture(scope="module")
def field(null):
    (counts,) = null.counting.bands()
    return null.field(counts)


@pytest.fixture(scope="module")
def bursts(field):
    return scan_field(field)


def reference(field, x, y, begin, length, decay, spectrum):
    """Likelihood ratio of a burst, less its trials, from the formula alone.

    The counts are tried one after the other.
    """
    marks, levels = field.marks, field.levels
    radius = np.hypot(marks.x - x, marks.y - y)
    near = radius < kernels.REACH
    angle = round(np.hypot(x - field.axis[0], y - field.axis[1]) / 60)
    node = (radius[near] * kernels.RADIAL + 0.5).astype(int)
    weight = field.profiles[marks.camera[near], angle, node] * marks.v[near, spectrum]
    time, piece = marks.time[near], marks.piece[near]
    steady, constant = marks.steady[near], np.full(near.sum(), STEADY)
    density = (1 - steady) * levels.at(time, marks.kind[near]) + steady * levels.at(time, constant)
    expected = (field.expected * field.brightness)[int(y / 10), int(x / 10)]
    inside = (time >= begin) & (time <= begin + length)
    knots = levels.curve.live
    overlap = np.maximum(np.minimum(knots[1:], begin + length) - np.maximum(knots[:-1], begin), 0)
    share = (overlap * levels.overall).sum()
    if decay:
        until = np.clip(knots - begin, 0, length)
        overlap = np.diff(-np.exp(-until / decay))
    seconds = np.bincount(levels.curve.kind, overlap)
    whole = weight * (seconds / seconds.sum())[piece]
    brighter = max(1.0, whole[~inside].sum() / max(1 - share, 0.1) / field.enclosed)
    known = expected * brighter
    keep = known / (known + PRIOR)
    rate = np.full(inside.sum(), 1 / length)
    if decay:
        rate = np.exp(-(time[inside] - begin) / decay) / (decay * -np.expm1(-length / decay))
    moment = weight[inside] * rate / density[inside]
    counts = np.geomspace(1e-2, 1e4, 4000)[:, None] / brighter
    value = np.log1p(counts * moment).sum(1) - np.log1p(counts * keep * whole).sum(1)
    value -= PRIOR * np.log1p(counts * brighter * field.enclosed / (known + PRIOR))[:, 0]
    trial = 2 * decay if decay else length
    return value.max() - np.log(levels.total / trial)


def test_the_values_of_the_scan_are_those_of_the_formula(field, bursts):
    assert len(bursts) > 15
    for i in range(15):
        place = (bursts.x[i], bursts.y[i], bursts.begin[i], bursts.length[i], bursts.decay[i])
        # Profiles are taken at the angle of the place where the refinement began.
        value = reference(field, *place, bursts.spectrum[i])
        assert bursts.value[i] == pytest.approx(value, rel=3e-3, abs=0.1)


def test_no_window_beats_what_the_scan_finds(field, bursts):
    # Around the burst, all places 6 arcsec apart, windows from any photon near, every length.
    best, marks = bursts.take(np.array([0])), field.marks
    near = np.hypot(marks.x - best.x[0], marks.y - best.y[0]) < 10
    in_time = np.abs(marks.time - best.begin[0]) < 30
    highest = max(
        reference(field, best.x[0] + dx, best.y[0] + dy, begin, length, 0.0, spectrum)
        for dx in (-6, 0, 6)
        for dy in (-6, 0, 6)
        for begin in marks.time[near & in_time][:4]
        for length in durations(field.levels.total)[4:12:2]
        for spectrum in range(kernels.SPECTRA)
    )
    assert highest <= bursts.value[0] + 1e-6


@pytest.mark.parametrize("rough", [3.0, 7.5])
def test_no_fewer_counts_are_worth_a_look_than_the_fewest(rough):
    most = most_expected(np.array([rough]))[0]
    for mean in (1e-3, 0.4, 7.0, 300.0, 5000.0):
        fewest = fewest_counts(mean, most, 2)
        assert fewest_counts(mean, most, CORE_COUNTS) == fewest_counts(mean, most, 40) == fewest
        worth = [enough(counts, mean, most, rough) for counts in range(2, CORE_COUNTS)]
        assert fewest == (2 + worth.index(True) if any(worth) else CORE_COUNTS)
        assert not any(worth[: fewest - 2])
        assert all(worth[fewest - 2 :])


@pytest.mark.parametrize("seed", range(5))
def test_no_window_has_less_of_the_background_than_the_least(seed):
    random = np.random.default_rng(seed)
    rate = np.repeat(random.lognormal(sigma=1.0, size=30), 40)
    share = np.concatenate([[0.0], np.cumsum(rate / rate.sum())])
    lengths = np.array([1.0, 7.3, 61.9, 600.0])
    until, least = least_shares(share, lengths)
    for number, length in enumerate(lengths):
        start = random.uniform(0, len(share) - 1 - length, 4000)
        ends = np.interp([start, start + length], np.arange(len(share)), share)
        part = np.searchsorted(until[number], start, side="right")
        ratio = np.diff(ends, axis=0)[0] / least[number, part]
        assert ratio.min() >= 1 - 1e-9
        assert np.median(ratio) < 2.5


def test_photons_of_a_rectangle_are_those_that_lie_in_it(field):
    marks = field.marks
    photons = photons_of(field, tables_of(field).table[0])
    tiles = tiles_of(field)
    own = kernels.room_for(len(marks.time))
    scratch = np.empty(len(marks.time), np.int64)
    x, y = field.axis
    for low in ((x - 40.0, y - 35.5), (-30.0, -30.0), (x - 700.0, y)):
        high = low[0] + 120.0, low[1] + 90.0
        # A rectangle touches at most three squares along each axis.
        n = kernels.gather(*low, *high, photons, tiles, own, scratch)
        inside = (low[0] < marks.x) & (marks.x < high[0])
        inside &= (low[1] < marks.y) & (marks.y < high[1])
        for name, column in own._asdict().items():
            np.testing.assert_array_equal(column[:n], getattr(photons, name)[inside])


def test_a_steady_source_is_added_where_its_profile_reaches():
    random = np.random.default_rng(3)
    x, y = random.uniform(0, 1500, (2, 3000))
    camera, band, piece = (random.integers(0, n, 3000) for n in (2, 5, 3))
    photons = Binned(x, y, camera, band, piece, (3, 2, 5), (1500.0, 1500.0))
    profiles = (lambda r: 1 / (1 + r), lambda r: 2 / (1 + r**2))
    light = SteadyLight(700.0, 400.0, profiles, random.uniform(1, 9, (3, 2, 5)))
    steady = lights_at([light], photons)
    away = np.hypot(x - 700.0, y - 400.0)
    density = np.where(camera == 0, profiles[0](away), profiles[1](away))
    density[away >= FARTHEST_ARCSEC] = 0.0
    expected = density * light.counts[piece, camera, band]
    np.testing.assert_allclose(steady, expected, rtol=1e-4)
    np.testing.assert_allclose(lights_at([light, light], photons), 2 * steady)
    (rows, columns), image = light.image(10.0, (150, 150))
    row, column = (np.arange(150)[one] for one in (rows, columns))
    away = 10 * np.hypot(*np.meshgrid(row + 0.5 - 40, column + 0.5 - 70, indexing="ij"))
    np.testing.assert_allclose(image[0], np.where(away < FARTHEST_ARCSEC, profiles[0](away), 0.0))
    every = 10 * np.hypot(*np.meshgrid(np.arange(150) - 39.5, np.arange(150) - 69.5, indexing="ij"))
    assert (every < FARTHEST_ARCSEC).sum() == (away < FARTHEST_ARCSEC).sum()


@given(
    st.integers(0, 10_000), st.floats(0, 400), st.floats(0, 250), st.sampled_from([3.0, 15.0, 90.0])
)
def test_photons_near_a_place_are_those_of_all_distances(seed, x, y, arcsec):
    random = np.random.default_rng(seed)
    columns = random.uniform(0, 400, 500), random.uniform(0, 250, 500)
    near = PhotonsByPlace.of(*columns).within(x, y, arcsec)
    away = np.hypot(columns[0] - x, columns[1] - y)
    np.testing.assert_array_equal(near, np.flatnonzero(away < arcsec))


def test_a_burst_is_found_where_and_when_it_was(subset, null):
    (counts, *others) = [
        run for run in search_subset(OBSID, subset, null.subset.sources, IDEAL) if run.regions
    ]
    assert not others
    (region,) = counts.regions
    ra, dec = subset.plane.to_sky(region.position.x, region.position.y)
    off = 3600 * np.hypot((ra - RA) * np.cos(np.radians(DEC)), dec - DEC)
    assert off < 3 * region.position.error_arcsec < 12
    assert region.event.start == pytest.approx(BURST[0], abs=3)
    assert region.event.duration == pytest.approx(BURST[1], rel=0.5)
    assert counts.t_bin == 5
    assert counts.alarms.at(region.strength) < 1e-6


def test_runs_share_the_false_alarms_of_the_settings(null):
    expected = [tested.false_alarms.total for tested, _ in null.runs()]
    assert sum(expected) == pytest.approx(0.1, rel=0.02)


def test_shuffled_photons_keep_what_they_are_and_the_times_of_their_kind(field):
    other = shuffled(field, np.random.default_rng(1))
    order = np.argsort(other.marks.event)
    for name in ("event", "x", "y", "camera", "v", "piece", "kind", "steady"):
        column, expected = getattr(other.marks, name)[order], getattr(field.marks, name)
        assert np.array_equal(column, expected[np.argsort(field.marks.event)])
    assert (np.diff(other.marks.time) >= 0).all()
    only = replace(field, marks=replace(field.marks, steady=np.zeros(len(field.marks.time))))
    permuted = shuffled(only, np.random.default_rng(1))
    for kind in np.unique(field.marks.kind):
        own, before = permuted.marks.kind == kind, field.marks.kind == kind
        assert np.array_equal(permuted.marks.time[own], np.sort(field.marks.time[before]))
    assert not np.array_equal(other.marks.event, field.marks.event)


def test_the_scan_does_not_depend_on_where_the_corner_of_the_field_is(field, bursts):
    # Whole tiles, so that the same places are looked at, among other photons.
    marks = replace(field.marks, x=field.marks.x + kernels.TILE, y=field.marks.y + kernels.TILE)
    moved = replace(
        field,
        marks=marks,
        axis=(field.axis[0] + kernels.TILE, field.axis[1] + kernels.TILE),
        expected=np.pad(field.expected, ((6, 0), (6, 0)), mode="edge"),
        brightness=np.pad(field.brightness, ((6, 0), (6, 0)), mode="edge"),
        shape=(field.shape[0] + 1, field.shape[1] + 1),
    )
    found = scan_field(moved)
    assert np.allclose(np.sort(found.value), np.sort(bursts.value), atol=1e-6)


def chance(number):
    nothing = np.zeros(number)
    columns = dict.fromkeys(Bursts.__dataclass_fields__, nothing)
    return ShuffledChance.of(
        [Bursts(**{**columns, "value": nothing + COUNTED_FROM + 1, "length": nothing + 9.0})]
    )


@pytest.mark.parametrize("rate", [0.01, 0.3, 3.0])
def test_the_threshold_expects_the_rate(rate):
    known = chance(50)
    assert known.above(np.array(known.threshold(rate))) == pytest.approx(rate, rel=0.01)
    shares = known.share(known.lengths == 9.0, 3), known.share(known.lengths == 1.0, 3)
    assert shares[0] > 0.98
    assert shares[0] + 2 * shares[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("cube.window=1", "cube.window"),
        ("cube.frame_shifts=2", "frame_shifts"),
        ("detect.null=template", "detect.null"),
        ("detect.sigma=4", "sigma"),
        ("detect.false_alarm_rate=none", "false_alarm_rate"),
        ("cube.bands=[[0.2,2],[2,12]]", "one band"),
    ],
)
def test_settings_without_effect_are_refused(setting, names):
    with pytest.raises(ConfigError, match=names):
        Config.load(overrides=[setting], preset="ideal")
