"""The sliding search of a subset, from merged events to tables."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from helpers.examples import portion
from helpers.strategies import EPIC, grid_of_size, make_events, make_selected, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import exod
from exod.config import Config
from exod.counts.bayes import MU_REFERENCE, n_peak
from exod.counts.grid import Box
from exod.observation.subsets import MergedEvents, merge_subset
from exod.search.nulls import conditionalnull
from exod.search.nulls.conditionalnull import p_of_sigma
from exod.search.regions import SignificantCells
from exod.search.subset import Run, search_subset
from exod.sensitivity.windowneeds import best_share, least_counts
from exod.simulate import BoxBurst, ExposureModel, ObservationModel, SourceModel, simulate
from exod.stages.inputs.memory import in_memory
from exod.stages.inputs.simulate import write_observation

OBSID = "0900000101"
START = 6.0e8
CAMERAS = ("EMOS1", "EMOS2")
BINS = [2.5, 15.0, 100.0, 600.0]
DEEP = Config.load(overrides=[f"cube.t_bin={BINS}", "cube.bands=[[0.2,12.0]]"], preset="deep")
GRID = grid_of_size(DEEP.cube.size_arcsec)
# On the corner of four cells, and over the edge of frames of every length.
CORNER = (round(93 * GRID.width), round(79 * GRID.width))
BURST = (START + 1797.0, 8.0)
ONE_BAND = Config.load(overrides=["cube.t_bin=[10, 80]", "cube.bands=[[0.2,12.0]]"], preset="deep")


@pytest.fixture(scope="module")
def observation():
    """Both MOS, quiet, with one burst of 40 counts in all."""
    exposures = tuple(ExposureModel(c, f"S00{i}", START, 4000.0) for i, c in enumerate(CAMERAS))
    empty = ObservationModel(OBSID, 83.2, -5.4, 30.0, exposures)
    ra, dec = (float(v) for v in empty.plane.to_sky(*CORNER))
    burst = SourceModel.burst("burst", ra, dec, dict.fromkeys(CAMERAS, 20.0), BoxBurst(*BURST))
    return simulate(replace(empty, sources=(burst,)), seed=11)


@pytest.fixture(scope="module")
def subset(observation):
    (merged,) = in_memory(observation, DEEP).subsets
    return merged


NO_SOURCES = pd.DataFrame(
    {name: np.empty(0) for name in ("ra_deg", "dec_deg", "extent_arcsec", "rate")}
)


@pytest.fixture(scope="module")
def expected(subset):
    return list(search_subset(OBSID, subset, NO_SOURCES, DEEP))


def assert_same_runs(found: list[Run], expected: list[Run]) -> None:
    assert [run.runid for run in found] == [run.runid for run in expected]
    for run, other in zip(found, expected, strict=True):
        assert run.threshold == other.threshold
        assert run.false_alarms == other.false_alarms
        for item in fields(SignificantCells):
            a, b = getattr(run.cells, item.name), getattr(other.cells, item.name)
            assert np.array_equal(a, b), (run.runid, item.name)
        assert len(run.regions) == len(other.regions)
        for a, b in zip(run.regions, other.regions, strict=True):
            assert a.region.box == b.region.box
            assert (a.position.x, a.position.y) == pytest.approx((b.position.x, b.position.y))
            assert a.event == b.event
            assert a.strength == b.strength


# --- a burst ---------------------------------------------------------------------------------


def near(run: Run):
    """Regions within half an arcmin of the burst."""
    return [item for item in run.regions if distance(item.position) < 30]


def distance(position) -> float:
    """From the burst, arcsec."""
    return 0.05 * float(np.hypot(position.x - CORNER[0], position.y - CORNER[1]))


def corner_of(run: Run) -> tuple[int, int]:
    """First column and row of its image in the grid."""
    return run.cube.box.x_lo, run.cube.box.y_lo


def test_the_burst_is_on_edges():
    """Of cells, and of frames without shift of each length but one that is far longer."""
    x, y = (np.array(v) / GRID.width for v in CORNER)
    assert abs(x - round(float(x))) < 0.01
    assert abs(y - round(float(y))) < 0.01
    for t_bin in (15.0, 100.0, 600.0):
        edges = START + t_bin * np.arange(300)
        assert ((edges > BURST[0]) & (edges < sum(BURST))).any()


def test_a_burst_over_the_edges_of_cells_and_frames_is_found_once(expected):
    for run in expected:
        (item,) = near(run)
        assert run.cells.is_peak[item.region.members].all()
        assert distance(item.position) < 3 * item.position.error_arcsec
        x, y = (v / GRID.width - low for v, low in zip(CORNER, corner_of(run), strict=True))
        assert item.region.box.y_lo < y < item.region.box.y_hi
        assert item.region.box.x_lo < x < item.region.box.x_hi
    others = sum(len(run.regions) - 1 for run in expected)
    assert others <= 1


def test_a_window_that_has_all_of_the_burst_is_the_strongest(expected):
    run = next(run for run in expected if run.t_bin == 15)
    (item,) = near(run)
    best = item.region.members[np.argmin(run.cells.p_log[item.region.members])]
    start = run.cells.start[best]
    assert start <= BURST[0] + 1
    assert start + 15 >= sum(BURST) - 1
    assert run.cells.n[best] > 15
    assert item.strength == pytest.approx(-run.cells.p_log[best])


def test_what_happened_is_described(expected):
    for run in expected:
        (item,) = near(run)
        event = item.event
        assert event.start == pytest.approx(BURST[0], abs=max(5 * event.start_err, 1.5))
        assert event.stop == pytest.approx(sum(BURST), abs=max(5 * event.stop_err, 1.5))
        assert event.duration == pytest.approx(8.0, abs=4)


def test_thresholds_share_the_false_alarm_rate(expected, subset):
    for run in expected:
        assert run.false_alarms.total <= 0.1 / len(BINS) * (1 + 1e-6)
        assert run.false_alarms.total > 0.1 / len(BINS) / 30
        assert run.threshold.p_log < -5
        assert (run.cells.p_log <= run.threshold.p_log).all()
        assert run.alarms.at(-run.threshold.p_log) == pytest.approx(run.false_alarms.total, rel=0.3)
    half = list(search_subset(OBSID, subset, NO_SOURCES, DEEP, n_subsets=10))
    for run, other in zip(half, expected, strict=True):
        assert run.threshold.p_log < other.threshold.p_log
        assert run.threshold.sigma >= other.threshold.sigma
        assert run.false_alarms.total <= 0.01 / len(BINS) * (1 + 1e-6)


def test_sigma_instead_of_a_rate(subset):
    config = Config.parse(
        {**ONE_BAND.model_dump(mode="json"), "detect": {"sigma": 5.0, "rule": "exact"}}
    )
    for run in search_subset(OBSID, subset, NO_SOURCES, config):
        assert run.threshold.sigma == 5
        assert run.threshold.p_log == pytest.approx(np.log10(p_of_sigma(5.0)))


@pytest.mark.parametrize("sigma", [1.0, 3.0, 5.0, 7.5])
def test_probability_of_a_sigma_is_that_of_its_counts(sigma):
    least = int(np.ceil(n_peak(sigma, MU_REFERENCE)))
    assert p_of_sigma(sigma) == pytest.approx(stats.poisson.sf(least - 1, MU_REFERENCE))


# --- what does not matter --------------------------------------------------------------------


def test_long_frames_are_searched_first(expected):
    """Only the events of their crowded windows are looked at in shorter ones."""
    assert [run.t_bin for run in expected] == sorted(BINS, reverse=True)


def test_pruning_does_not_matter(subset, expected, monkeypatch):
    """Without what long frames tell about short ones."""
    monkeypatch.setattr(conditionalnull, "covers", lambda *_: False)
    assert_same_runs(list(search_subset(OBSID, subset, NO_SOURCES, DEEP)), expected)


@pytest.mark.drill
@settings(max_examples=portion(6))
@given(seeds, st.integers(1, 3), st.integers(1, 3))
def test_pruning_does_not_matter_at_loose_thresholds(seed, width, shifts):
    generator = np.random.default_rng(seed)
    start, n = generator.uniform(100, 1090, 30), 2000
    time = np.concatenate([generator.uniform(100, 1100, n), np.repeat(start, 6)])
    time[n:] += generator.exponential(2, 180)
    place = np.round(generator.normal(25921, 700, (2, n + 30)))
    x, y = (np.concatenate([p[:n], np.repeat(p[n:], 6)]) for p in place)
    order = np.argsort(time)
    subset = subset_of(time[order], x=x[order], y=y[order])
    cube = {"window": width, "frame_shifts": shifts, "bands": [[0.2, 12.0]], "size_arcsec": 15.0}
    cube["t_bin"] = [0.7, 3.0, 10.0, 37.0, 200.0]
    config = Config.parse(
        {"cube": cube, "detect": {"null": "conditional", "false_alarm_rate": 50.0}}
    )
    found = list(search_subset(OBSID, subset, NO_SOURCES, config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditionalnull, "covers", lambda *_: False)
        expected = list(search_subset(OBSID, subset, NO_SOURCES, config))
    for run, other in zip(found, expected, strict=True):
        for name, values in vars(run.cells).items():
            assert np.array_equal(values, getattr(other.cells, name)), (run.runid, name)
    assert sum(run.cells.is_peak.sum() for run in found) > 20


@settings(max_examples=portion(3))
@given(st.integers(1, 5000))
def test_chunks_do_not_matter(subset, expected, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exod.search.sliding.EVENTS_PER_CHUNK", size)
        patch.setattr("exod.search.sliding.DENSE", 100 * size)
        patch.setattr("exod.search.sliding.SPARSE", size % 40)
        patch.setattr("exod.search.sliding.CELLS_PER_BLOCK", 50 * size)
        config = Config.parse(DEEP.model_dump(mode="json"))
        assert_same_runs(list(search_subset(OBSID, subset, NO_SOURCES, config)), expected)


@settings(max_examples=portion(2))
@given(seeds)
def test_order_of_rows_and_sources_does_not_matter(observation, seed):
    generator = np.random.default_rng(seed)
    lists = [
        replace(item, events=item.events.take(generator.permutation(len(item.events))))
        for item in observation.event_lists
    ]
    (merged,) = in_memory(observation, ONE_BAND).subsets
    shuffled = replace(observation, event_lists=tuple(lists[::-1]))
    (other,) = in_memory(shuffled, ONE_BAND).subsets
    ra, dec = merged.plane.to_sky(generator.integers(2e4, 3e4, 6), generator.integers(2e4, 3e4, 6))
    sources = pd.DataFrame({"ra_deg": ra, "dec_deg": dec, "extent_arcsec": 0.0, "rate": 0.01})
    found = [
        list(search_subset(OBSID, events, table, ONE_BAND))
        for events, table in ((merged, sources), (other, sources.iloc[::-1]))
    ]
    assert_same_runs(*found)
    assert found[0][0].expectation.source_mask.any()


# --- degenerate subsets ----------------------------------------------------------------------


def subset_of(time, **columns) -> MergedEvents:
    """MOS1 alone, from 100 s to the last event."""
    events = make_events(time, **columns)
    return merge_subset(0, [make_selected("EMOS1", "P1S001", 100.0, float(time[-1]), events)])


@pytest.mark.parametrize("span", [0.0, 0.4, 3.0, 30.0])
@pytest.mark.parametrize("shifts", [1, 2])
def test_a_subset_shorter_than_a_frame(span, shifts):
    config = Config.load(overrides=[f"cube.frame_shifts={shifts}"], preset="deep")
    subset = subset_of(np.array([100.0, 100.0 + span]))
    runs = list(search_subset(OBSID, subset, NO_SOURCES, config))
    assert len(runs) == 30
    for run in runs:
        assert run.cube.shape[0] == int(span // run.t_bin)
        assert len(run.cells) == 0
        assert run.regions == ()
        assert run.false_alarms.total == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_few_events(n):
    subset = subset_of(np.linspace(150.0, 4100.0, n))
    for run in search_subset(OBSID, subset, NO_SOURCES, ONE_BAND):
        assert run.n_events == n
        assert len(run.cells) == 0


def test_a_band_without_events(subset):
    config = Config.load(overrides=["cube.bands=[[0.2,0.2001]]"], preset="deep")
    for run in search_subset(OBSID, subset, NO_SOURCES, config):
        assert run.n_events == 0
        assert run.cube.box == Box(0, 0, 0, 0)
        assert run.regions == ()


def test_time_that_is_bad_is_left_out_on_request():
    time = np.sort(np.random.default_rng(4).uniform(100, 4100, 16_000))
    hard = (time < 3000) & (np.arange(16_000) % 2 == 0)
    subset = subset_of(time, pi=np.where(hard, 11_000, 1000))
    config = Config.load(overrides=["cube.gti_only=true", "cube.t_bin=[10, 80]"], preset="deep")
    for run in search_subset(OBSID, subset, NO_SOURCES, config):
        frames = run.cube.frames
        bad = frames.starts + frames.t_bin < 2900
        assert not run.cube.light_curve()[bad].any()
        cells = Box(0, run.cube.box.shape[0], 0, run.cube.box.shape[1])
        assert not run.expectation.light_curve(cells)[bad].any()
        assert (run.cells.start + frames.t_bin >= 2900).all()
        assert (run.cube.exposure[bad] == 0).all()
        assert run.cube.n_sum > 0


# --- completeness ----------------------------------------------------------------------------


@settings(max_examples=portion(40))
@given(st.integers(1, 2000), st.floats(1e-5, 0.3), st.floats(-15.0, -3.0))
def test_least_counts_of_a_burst_against_a_scan(total, share, p_log):
    """The counts of the burst are among the trials of its window."""
    rest = round(total * (1 - share))
    total = rest / (1 - share)
    n = np.arange(int(np.floor(total * share)) + 1, 2000)
    p = stats.binom.logsf(n - 1, rest + n, share) / np.log(10)
    expected = n[np.argmax(p <= p_log)]
    assert least_counts(np.array([total]), np.array([share]), p_log) == expected


def test_best_windows_hold_more_of_the_light():
    shares = [best_share(EPIC, 15.0, width) for width in (1, 2, 3)]
    assert shares == sorted(shares)
    assert shares[0] > 0.2
    assert shares[2] < 1


def test_needed_counts_are_in_every_run(expected):
    for run in expected:
        n50, n90 = run.needed.medians
        assert 3 < n50 < n90 < 40
        assert run.needed.images[0].shape == run.cube.box.shape
    by_bin = {run.t_bin: run.needed.medians[0] for run in expected}
    assert by_bin[2.5] < by_bin[100] < by_bin[600]


# --- tables ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables(observation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    return exod.detect(write_observation(observation, folder)[0].parent, DEEP)


def test_tables_of_a_deep_search(tables, expected):
    runs, regions = tables.runs, tables.regions
    assert len(runs) == len(BINS)
    assert (runs["window"] == 2).all()
    assert (runs["frame_shifts"] == 2).all()
    assert (runs["p_log"] < -5).all()
    assert ((runs["false_peaks"] + runs["false_eclipses"]) <= 0.1 / len(BINS) * 1.000001).all()
    assert (runs["n50"] < runs["n90"]).all()
    assert (
        tables.cells["p_log"] <= tables.cells["runid"].map(runs.set_index("runid")["p_log"])
    ).all()
    assert runs["n_regions"].sum() == len(regions)
    assert len(tables.images) == len(BINS)


def test_regions_of_a_deep_search(tables):
    regions = tables.regions
    assert (regions["kind"] == "peak").all()
    assert (regions["fap_run"] <= regions["fap_obs"] * (1 + 1e-9)).all()
    assert (regions["fap_obs"] < 0.2).all()
    burst = regions[np.hypot(regions["X"] - CORNER[0], regions["Y"] - CORNER[1]) < 600]
    assert len(burst) == len(BINS)
    assert (burst["fap_obs"] < 1e-4).all()
    best = burst.loc[burst["strength"].idxmax()]
    assert best["t_bin"] == 15
    assert best["fap_obs"] < 1e-12
    assert abs(best["t_start"] - BURST[0]) < 1.5
    assert best["duration"] == pytest.approx(8.0, abs=2)


def test_the_published_search_has_no_windows(observation, tmp_path):
    config = Config.load(overrides=["cube.t_bin=[50]", "cube.bands=[[0.2,12.0]]"])
    found = exod.detect(write_observation(observation, tmp_path)[0].parent, config)
    (run,) = found.runs.itertuples()
    assert (run.window, run.frame_shifts, run.sigma, run.rule) == (1, 1, 3, "exod2")
    assert np.isnan(run.p_log)
    assert found.cells["p_log"].isna().all()
    assert len(found.regions) >= 1
    assert (found.regions["fap_run"] <= found.regions["fap_obs"] * (1 + 1e-9)).all()
