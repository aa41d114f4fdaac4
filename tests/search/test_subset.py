"""The search of a subset: its results depend on the events alone, not on how they arrive."""

import re
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from helpers.examples import portion
from helpers.strategies import make_selected, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.config import Config
from exod.counts.grid import Box
from exod.errors import ConfigError
from exod.observation.events import select_events
from exod.observation.subsets import merge_subset, split_subsets
from exod.search.regions import SignificantCells
from exod.search.subset import MOST_FRAMES, Run, count_subset, run_id, search_subset
from exod.simulate import (
    BoxBurst,
    Eclipse,
    ExposureModel,
    HotPixel,
    ObservationModel,
    SoftProtonFlare,
    SourceModel,
    simulate,
)
from exod.stages.detect.read import remove_hot_pixels

OBSID = "0900000101"
START = 6.0e8
CAMERAS = ("EMOS1", "EMOS2")
CONFIG = Config.parse({"cube": {"t_bin": [7.3, 50.0], "bands": [[0.2, 12.0], [2.0, 12.0]]}})
BURST = (START + 900.0, 20.0)
ECLIPSE = (START + 1500.0, 300.0)


@pytest.fixture(scope="module")
def observation():
    """Both MOS: a burst, an eclipse, a flare, a hot pixel; many events have equal times."""
    exposures = tuple(
        ExposureModel(
            camera,
            f"S00{i}",
            START + 3 * i,
            2500.0,
            hot_pixels=(HotPixel(3, 200, 300, 0.05),),
            randomise_times=False,
        )
        for i, camera in enumerate(CAMERAS)
    )
    empty = ObservationModel(OBSID, 83.2, -5.4, 30.0, exposures)
    plane = empty.plane
    places = [tuple(float(v) for v in plane.to_sky(25921 + dx, 25921)) for dx in (2812, -3000)]
    burst = SourceModel.burst("burst", *places[0], dict.fromkeys(CAMERAS, 60.0), BoxBurst(*BURST))
    dimmed = SourceModel("dimmed", *places[1], dict.fromkeys(CAMERAS, 1.0), Eclipse(*ECLIPSE))
    flare = SoftProtonFlare(START + 2000.0, 200.0, 60.0)
    return simulate(replace(empty, sources=(burst, dimmed), flares=(flare,)), seed=4)


@pytest.fixture(scope="module")
def sources(observation):
    (dimmed,) = (s for s in observation.model.sources if s.name == "dimmed")
    return pd.DataFrame(
        {"ra_deg": [dimmed.ra_deg], "dec_deg": [dimmed.dec_deg], "extent_arcsec": 0.0, "rate": 2.0}
    )


def select(observation, shuffle=None, config=CONFIG):
    selected = []
    for simulated in observation.event_lists:
        events = simulated.events
        if shuffle is not None:
            events = events.take(shuffle.permutation(len(events)))
        kept, _ = remove_hot_pixels(select_events(simulated.exposure, events), config)
        selected.append(kept)
    return selected


def search(selected, sources, config=CONFIG, **options) -> list[Run]:
    (group,), left_out = split_subsets(selected)
    assert not left_out
    return list(search_subset(OBSID, merge_subset(0, group.exposures), sources, config, **options))


@pytest.fixture(scope="module")
def selected(observation):
    return select(observation)


@pytest.fixture(scope="module")
def expected(selected, sources):
    return search(selected, sources)


def assert_same_runs(found: list[Run], expected: list[Run]) -> None:
    assert [run.runid for run in found] == [run.runid for run in expected]
    for run, other in zip(found, expected, strict=True):
        assert run.n_events == other.n_events
        assert np.array_equal(run.bad_time.intervals, other.bad_time.intervals)
        assert np.array_equal(run.camera_off, other.camera_off)
        for item in fields(SignificantCells):
            a, b = getattr(run.cells, item.name), getattr(other.cells, item.name)
            assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), item.name
        assert len(run.regions) == len(other.regions)
        for a, b in zip(run.regions, other.regions, strict=True):
            assert a.region.box == b.region.box
            assert a.region.members.tolist() == b.region.members.tolist()
            assert a.position.x == pytest.approx(b.position.x, abs=1e-3)
            assert a.position.y == pytest.approx(b.position.y, abs=1e-3)
            assert a.position.error_arcsec == pytest.approx(b.position.error_arcsec)
            for name, values in vars(a.light_curve).items():
                assert np.array_equal(values, getattr(b.light_curve, name), equal_nan=True), name


@pytest.mark.drill
@settings(max_examples=portion(5))
@given(st.integers(1, 500))
def test_chunks_do_not_matter(selected, sources, expected, chunk_frames):
    assert_same_runs(search(selected, sources, chunk_frames=chunk_frames), expected)


@pytest.mark.drill
@settings(max_examples=portion(5))
@given(seeds)
def test_order_of_the_rows_does_not_matter(observation, sources, expected, seed):
    selected = select(observation, shuffle=np.random.default_rng(seed))
    assert_same_runs(search(selected, sources), expected)


@settings(max_examples=portion(2))
@given(st.permutations([0, 1]))
def test_order_of_the_exposures_does_not_matter(selected, sources, expected, order):
    assert_same_runs(search([selected[i] for i in order], sources), expected)


def test_order_of_the_sources_does_not_matter(selected, sources, expected):
    more = pd.concat([sources, sources.assign(dec_deg=89.0), sources]).iloc[::-1]
    assert_same_runs(search(selected, more, CONFIG), expected)


def test_what_is_found(observation, expected):
    """The burst is a peak, the eclipse is an eclipse, both where they are; no pixel is left."""
    run = next(run for run in expected if run.t_bin == 50 and run.band == (0.2, 12.0))
    plane = observation.model.plane
    for source, is_peak, (start, length) in zip(
        observation.model.sources, (True, False), (BURST, ECLIPSE), strict=True
    ):
        x, y = plane.to_pixel(source.ra_deg, source.dec_deg)
        near = [
            item
            for item in run.regions
            if np.hypot(item.position.x - x, item.position.y - y) * 0.05 < 10
        ]
        (item,) = near
        cells = item.region.members
        assert (run.cells.is_peak[cells] == is_peak).all()
        times = run.cube.frames.starts[run.cells.frame[cells]]
        assert ((times > start - 50) & (times < start + length)).all()
        assert np.hypot(item.position.x - x, item.position.y - y) * 0.05 < (
            3 * item.position.error_arcsec
        )
    assert len(run.regions) == 2
    assert run.bad_time.frames.any()


def test_an_eclipsed_source_is_located_by_its_light_outside(expected):
    """2 ct/s for 2200 s: the thousands of counts of the source are no background."""
    for run in expected:
        for item in run.regions:
            if not run.cells.is_peak[item.region.members].any():
                assert item.position.counts > 500
                assert item.position.error_arcsec < 1.5


def test_light_curve_of_the_burst(observation, expected):
    run = next(run for run in expected if run.t_bin == 50 and run.band == (0.2, 12.0))
    item = next(item for item in run.regions if run.cells.is_peak[item.region.members[0]])
    x, y = observation.model.plane.to_pixel(
        observation.model.sources[0].ra_deg, observation.model.sources[0].dec_deg
    )
    column, row = int(x / run.cube.grid.width), int(y / run.cube.grid.width)
    box = item.region.box.shifted(run.cube.box.y_lo, run.cube.box.x_lo)
    assert box.x_lo <= column < box.x_hi
    assert box.y_lo <= row < box.y_hi
    during = np.argmax(item.light_curve.n)
    assert -50 < run.cube.frames.starts[during] - BURST[0] < BURST[1]
    assert item.light_curve.n[during] > 30


def test_runs_come_in_the_order_of_the_settings(expected):
    assert [(run.t_bin, run.band) for run in expected] == [
        (7.3, (0.2, 12.0)),
        (7.3, (2.0, 12.0)),
        (50.0, (0.2, 12.0)),
        (50.0, (2.0, 12.0)),
    ]
    assert [run.runid for run in expected] == [
        run_id(OBSID, 0, run.t_bin, run.band) for run in expected
    ]


def test_band_is_open(selected, sources):
    """E_lo < PI < E_hi, both excluded (method.md, Count cube)."""
    (group,), _ = split_subsets(selected)
    merged = merge_subset(0, group.exposures)
    config = Config.parse({"cube": {"t_bin": [50.0], "bands": [[0.5, 1.234]]}})
    (run,) = search_subset(OBSID, merged, sources, config)
    assert run.n_events == ((merged.pi >= 501) & (merged.pi <= 1233)).sum()


def test_gti_only_masks_bad_time(selected, sources):
    config = Config.parse({"cube": {"t_bin": [50.0], "bands": [[0.2, 12.0]], "gti_only": True}})
    (run,) = search(selected, sources, config)
    bad = run.bad_time.frames
    assert bad.any()
    assert np.array_equal(run.cube.masked, bad | run.camera_off)
    assert not run.cube.light_curve()[bad].any()
    assert not np.isin(run.cells.frame, np.flatnonzero(bad)).any()


def test_bad_ccd_frames_are_masked_on_request(observation, sources):
    """Half a minute without MOS1 loses those frames, unless that is switched off."""
    selected = select(observation)
    gap = (START + 1000, START + 1100)
    time = selected[0].events.time
    without = selected[0].events.take((time < gap[0]) | (time > gap[1]))
    selected[0] = replace(selected[0], events=without)
    settings = {"t_bin": [20.0], "bands": [[0.2, 12.0]], "live_time": "frames"}
    for mask in (True, False):
        config = Config.parse({"cube": {**settings, "mask_bad_ccd": mask}})
        (run,) = search(selected, sources, config)
        starts = run.cube.frames.starts
        off = (starts >= gap[0]) & (starts + 20 <= gap[1])
        assert off.sum() >= 3
        assert run.camera_off[off].all()
        assert run.camera_off.sum() <= off.sum() + 2
        assert np.array_equal(run.cube.masked, run.camera_off & mask)


@pytest.mark.parametrize("span", [0.0, 3.0, 7.0])
def test_a_subset_shorter_than_a_frame(span):
    """Every run ends, none finds anything, none warns."""
    subset = merge_subset(0, [make_selected("EMOS1", "P1", 100.0, 100.0 + span)])
    empty = pd.DataFrame({name: [] for name in ("ra_deg", "dec_deg", "extent_arcsec", "rate")})
    for run in search_subset(OBSID, subset, empty, Config()):
        assert run.cube.shape[0] == (1 if span >= run.t_bin else 0)
        assert len(run.cells) == 0
        assert run.regions == ()


@pytest.mark.parametrize("t_bin", [1e-6, 0.001, 0.0024])
@pytest.mark.parametrize("shifts", [1, 2])
def test_frames_that_are_too_many_are_refused(t_bin, shifts):
    """In a sentence with a remedy that is accepted, before memory is taken for them."""
    subset = merge_subset(0, [make_selected("EMOS1", "P1", 100.0, 10_100.0)])
    empty = pd.DataFrame({name: [] for name in ("ra_deg", "dec_deg", "extent_arcsec", "rate")})
    config = Config.parse({"cube": {"t_bin": [50.0, t_bin], "frame_shifts": shifts}})
    for runs in (search_subset(OBSID, subset, empty, config), count_subset(subset, empty, config)):
        with pytest.raises(ConfigError, match=f"Time bins of {t_bin:g} s make ") as caught:
            next(runs)
    text = str(caught.value)
    assert f"more than the {MOST_FRAMES:,}" in text
    remedy = float(re.search(r"choose ([\d.e-]+) s or more", text)[1])
    assert 0.9 <= 10_000 * shifts / remedy / MOST_FRAMES <= 1


def test_a_band_without_events(selected, sources):
    config = Config.parse({"cube": {"t_bin": [50.0], "bands": [[0.2, 0.2001]]}})
    (run,) = search(selected, sources, config)
    assert run.n_events == 0
    assert run.cube.box == Box(0, 0, 0, 0)
    assert run.regions == ()


def test_names_of_runs():
    assert run_id(OBSID, 1, 5, (0.2, 2)) == f"{OBSID}_1_5_0.2_2.0"
    assert run_id(OBSID, 0, 0.5, (0.25, 12.0)) == f"{OBSID}_0_0.5_0.25_12.0"
    assert run_id(OBSID, 0, 200.0, (0.2, 12.0)) == f"{OBSID}_0_200_0.2_12.0"
