"""EXOD I: the variability image, the cells that stand out of it, and its search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.strategies import grid_of_size
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats

from exod.archive import Archive, open_archive
from exod.config import Config
from exod.counts.cube import CountCube
from exod.errors import ArchiveError, ConfigError
from exod.observation.gti import Frames
from exod.plots import save_observation
from exod.pps import find_observations
from exod.search.nulls.exod1null import constant_expectation, varying
from exod.search.nulls.variability import (
    CONSTANT,
    MAX_AREA,
    MAX_REGIONS,
    brightest_frames,
    p_constant,
    variability_image,
    variable_cells,
)
from exod.search.rows import frame_of, run_rows
from exod.search.subset import search_subset
from exod.simulate import (
    BoxBurst,
    ExposureModel,
    ObservationModel,
    SoftProtonFlare,
    SourceModel,
    simulate,
)
from exod.stages.detect.observation import detect_to_archive
from exod.stages.inputs.memory import in_memory
from exod.stages.inputs.simulate import write_observation

EXOD1 = Config.parse(
    {"cube": {"t_bin": [50.0], "bands": [[0.2, 12.0]]}, "detect": {"method": "exod1"}}
)


def cube_of(
    n: np.ndarray, chunk_frames: int | None = None, masked: np.ndarray | None = None
) -> CountCube:
    """A cube with these counts, axes (time, y, x), at the corner of the field."""
    grid = grid_of_size(20.0)
    frame, y, x = (np.repeat(axis, n[n > 0]).astype(np.int32) for axis in np.nonzero(n))
    flat = (y * grid.n + x).astype(np.int32)
    masked = np.zeros(len(n), bool) if masked is None else masked
    frames = Frames(0.0, 10.0, len(n))
    return CountCube.from_events(frames, grid, frame, flat, masked, chunk_frames=chunk_frames)


def field(mean: float = 1.0, shape: tuple[int, int, int] = (200, 40, 40)) -> np.ndarray:
    return np.random.default_rng(1).poisson(mean, shape)


def found_in(n: np.ndarray, level: float = 4.0, masked: np.ndarray | None = None):
    cube = cube_of(n, masked=masked)
    return cube, variable_cells(variability_image(cube), cube.image() > 0, level)


def image_dense(cube: CountCube) -> np.ndarray:
    """From the dense cube; slow."""
    n = cube.to_dask().compute()[~cube.masked].astype(float)
    if not len(n):
        return np.zeros(cube.box.shape)
    return np.asarray((n.max(axis=0) - n.mean(axis=0)) * n.std(axis=0))


@given(seed=st.integers(0, 50), mean=st.floats(0.05, 3), chunk=st.integers(1, 12))
def test_image_and_brightest_frames_are_those_of_the_dense_cube(seed, mean, chunk):
    generator = np.random.default_rng(seed)
    masked = generator.random(11) > 0.7
    cube = cube_of(generator.poisson(mean, (11, 4, 5)), chunk, masked)
    np.testing.assert_allclose(variability_image(cube), image_dense(cube), atol=1e-9)
    keep = (cube.image() > 0) & (generator.random(cube.box.shape) < 0.5)
    dense = cube.to_dask().compute()
    frame, cell, n = brightest_frames(cube, keep)
    assert cell.tolist() == np.flatnonzero(keep).tolist()
    assert frame.tolist() == dense.argmax(axis=0)[keep].tolist()
    assert n.tolist() == dense.max(axis=0)[keep].tolist()


@given(seed=st.integers(0, 200), level=st.floats(1, 6), bursts=st.integers(0, 8))
def test_regions_are_those_of_the_definition(seed, level, bursts):
    """Those above the threshold, without large ones; the reference labels with scipy."""
    generator = np.random.default_rng(seed)
    n = generator.poisson(0.5, (30, 14, 14))
    for _ in range(bursts):
        y, x = generator.integers(0, 12, 2)
        n[generator.integers(30), y : y + 2, x : x + 2] += generator.integers(5, 40)
    cube, found = found_in(n, level)
    image = image_dense(cube)
    inside = image[cube.image() > 0]
    above = image > inside.mean() + found.level * inside.std() * (1 - 1e-12)
    labels, number = ndimage.label(above, np.ones((3, 3)))
    if found.level > level * (1 + 1e-9):
        assert number <= MAX_REGIONS
    kept = {
        (rows.start, rows.stop, columns.start, columns.stop)
        for rows, columns in ndimage.find_objects(labels)
        if (rows.stop - rows.start) * (columns.stop - columns.start) <= MAX_AREA
    }
    boxes = {(b.y_lo, b.y_hi, b.x_lo, b.x_hi) for b in found.boxes.values()}
    assert boxes == kept
    assert set(np.unique(found.labels)) - {0} == set(found.boxes)


def test_a_burst_is_the_most_variable_place():
    n = field()
    n[77, 20, 11] += 30
    cube, found = found_in(n)
    image = variability_image(cube)
    assert np.unravel_index(image.argmax(), image.shape) == (20, 11)
    assert found.labels[20, 11] > 0
    frame, cell, counts = brightest_frames(cube, found.labels > 0)
    burst = np.flatnonzero(cell == 20 * cube.box.shape[1] + 11)
    assert (frame[burst], counts[burst]) == (77, n[77, 20, 11])


def test_frames_that_are_left_out_do_not_count():
    n = field()
    n[77, 20, 11] += 30
    cube, found = found_in(n, masked=np.arange(200) == 77)
    assert 77 not in brightest_frames(cube, found.labels > 0)[0]
    assert found.labels[20, 11] == 0


def test_many_regions_raise_the_threshold():
    n = field()
    for i in range(30):
        n[i, 3 + 6 * (i // 6), 3 + 6 * (i % 6)] += 20 + i
    # At this level all 30 would be regions.
    _, found = found_in(n, level=2.0)
    assert 5 <= len(found.boxes) <= MAX_REGIONS
    assert found.level > 2.0
    assert found.labels[3 + 6 * 4, 3 + 6 * 5] > 0


def test_large_regions_are_dropped():
    n = field()
    n[50, 10:18, 10:18] += 30
    assert MAX_AREA < 8 * 8
    _, found = found_in(n)
    assert not found.labels[11:17, 11:17].any()


@pytest.mark.parametrize("masked", [np.zeros(5, bool), np.ones(5, bool)])
def test_nothing_in_nothing(masked):
    cube, found = found_in(np.zeros((5, 3, 3), int), masked=masked)
    assert not found.boxes
    assert np.isnan(found.level)
    assert len(brightest_frames(cube, found.labels > 0)[0]) == 0


def test_the_expectation_is_the_mean_of_the_frames():
    n = field(0.3, (40, 6, 7))
    masked = np.arange(40) < 5
    cube = cube_of(n, masked=masked)
    mu = constant_expectation(cube, np.zeros(40, bool)).to_dask(cube).compute()
    dense = cube.to_dask().compute()
    np.testing.assert_allclose(mu[5:], np.broadcast_to(dense[5:].mean(axis=0), mu[5:].shape))
    assert not mu[:5].any()


def test_probability_is_that_of_scipy():
    """scipy compares both sides of each step with the continuous curve; here both are steps."""
    n = np.random.default_rng(2).poisson(2.0, 500)
    n[:60] += 6
    assert p_constant(n) < 1e-3
    assert p_constant(n) >= stats.kstest(n, stats.poisson(n.mean()).cdf).pvalue


def test_constant_light_curves_are_seldom_called_variable():
    generator = np.random.default_rng(3)
    found = [p_constant(generator.poisson(1.5, 300)) for _ in range(200)]
    assert np.mean(np.array(found) < 0.05) <= 0.05
    assert np.isnan(p_constant(np.zeros(10, int)))


def test_one_bright_frame_does_not_show_in_the_distribution():
    n = np.random.default_rng(4).poisson(0.02, 4000)
    n[100] += 30
    assert p_constant(n) > 0.5


def test_the_last_test_keeps_what_changes_for_long():
    """A source that is on for an eighth of the time, and one bright frame."""
    n = field(0.02, (2000, 12, 12))
    n[:250, 3, 3] += np.random.default_rng(5).poisson(2.0, 250)
    n[900, 8, 8] += 9
    cube, found = found_in(n)
    assert found.labels[3, 3] > 0
    assert found.labels[8, 8] > 0
    kept = varying(cube, found)
    assert kept[3, 3]
    assert not kept[8, 8]
    assert not (kept & (found.labels == 0)).any()


# -------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("overrides", "preset", "said"),
    [
        (["cube.window=2"], "published", "cube.window: it compares"),
        (["cube.frame_shifts=2"], "published", "cube.frame_shifts"),
        (["cube.window=3", "cube.psf_weights=true"], "published", "cube.window, cube.psf_weights"),
        (["detect.null=conditional"], "published", "detect.null"),
        (["detect.null=template"], "published", "detect.null"),
        (["detect.rule=exact"], "published", "detect.rule"),
        (["detect.false_alarm_rate=1"], "published", "detect.false_alarm_rate"),
        (["cube.gti_only=false"], "published", "good time only; leave cube.gti_only out"),
        ([], "deep", "cube.window, cube.frame_shifts, detect.rule, detect.false_alarm_rate"),
        (["detect.sigma=0.5"], "published", "greater than or equal to 1"),
    ],
)
@pytest.mark.parametrize("method", ["exod1", "exod1-ks"])
def test_settings_that_it_does_not_have_are_one_sentence(overrides, preset, said, method):
    with pytest.raises(ConfigError, match=said) as caught:
        Config.load(overrides=[f"detect.method={method}", *overrides], preset=preset)
    assert "\n" not in str(caught.value)


def test_settings_are_completed_and_stay():
    config = Config.load(overrides=["detect.method=exod1"])
    assert (config.detect.sigma, config.cube.gti_only) == (4.0, True)
    assert Config.parse(config.model_dump(mode="json")) == config
    assert Config.load(overrides=["detect.method=exod1", "detect.sigma=20"]).detect.sigma == 20
    with pytest.raises(ConfigError, match=r"sigma: input should be less than or equal to 10"):
        Config.load(overrides=["detect.sigma=20"])
    with pytest.raises(ConfigError, match=r"detect\.method"):
        Config.load(overrides=["detect.method=exod3"])
    assert config.fingerprint() != Config().fingerprint()


# -------------------------------------------------------------------- the search

START, OBSID = 6.0e8, "0900000301"


@pytest.fixture(scope="module")
def observation():
    """A bright burst in good time, and one in a flare of the background."""
    exposures = tuple(
        ExposureModel(camera, f"S00{i}", START, 4000.0)
        for i, camera in enumerate(("EMOS1", "EMOS2"))
    )
    empty = ObservationModel(OBSID, 83.2, -5.4, 30.0, exposures)
    sources = []
    for name, dx, start in (("good", 2812, START + 900.0), ("bad", -3000, START + 3100.0)):
        ra, dec = (float(v) for v in empty.plane.to_sky(25921 + dx, 25921))
        rates = dict.fromkeys(("EMOS1", "EMOS2"), 60.0)
        sources.append(SourceModel.burst(name, ra, dec, rates, BoxBurst(start, 20.0)))
    flare = SoftProtonFlare(START + 3000.0, 300.0, 60.0)
    return simulate(replace(empty, sources=tuple(sources), flares=(flare,)), seed=4)


def test_a_search_finds_the_burst_in_good_time(observation):
    loaded = in_memory(observation, EXOD1)
    (subset,) = loaded.subsets
    (run,) = search_subset(OBSID, subset, loaded.sources, EXOD1)
    parts = run_rows(OBSID, subset, run, EXOD1)
    rows = {name: frame_of(own) for name, own in parts.items()}
    (good, bad) = observation.model.sources
    offsets = {
        source.name: np.hypot(
            (rows["regions"]["ra_deg"] - source.ra_deg) * np.cos(np.radians(source.dec_deg)),
            rows["regions"]["dec_deg"] - source.dec_deg,
        )
        * 3600
        for source in (good, bad)
    }
    assert offsets["good"].min() < 10
    assert offsets["bad"].min() > 60
    region = rows["regions"].loc[offsets["good"].idxmin()]
    assert region["kind"] == "peak"
    assert abs(region["t_start"] - (START + 900)) < 20
    curve = rows["lightcurves"][rows["lightcurves"]["detid"] == region["detid"]]
    used = curve["mu"] > 0
    assert not (used & curve["bti"]).any()
    np.testing.assert_allclose(curve["mu"][used], curve["n"][used].mean(), rtol=1e-5)
    np.testing.assert_allclose(
        rows["variability"]["variability"].iloc[0], image_dense(run.cube).ravel(), rtol=1e-5
    )
    (described,) = rows["runs"].to_dict("records")
    assert described["rule"] == "exod1"
    assert described["sigma"] == pytest.approx(run.threshold.sigma)
    assert pd.isna([described["false_peaks"], described["n50"]]).all()
    assert rows["regions"][["fap_run", "fap_obs"]].isna().all(axis=None)
    assert rows["cells"]["B_log"].notna().all()


def test_the_last_test_is_of_the_light_curves_in_the_archive(observation):
    config = Config.parse(EXOD1.model_dump() | {"detect": {"method": "exod1-ks"}})
    loaded = in_memory(observation, config)
    (run,) = search_subset(OBSID, loaded.subsets[0], loaded.sources, config)
    assert run.regions
    for item in run.regions:
        used = item.light_curve.mu > 0
        assert p_constant(item.light_curve.n[used]) < CONSTANT


@pytest.mark.parametrize("t_bin", [2100.0, 3900.0])
def test_of_one_frame_nothing_is_searched(observation, tmp_path: Path, t_bin: float):
    """It is skipped, not empty: no burst could have been found."""
    write_observation(observation, tmp_path)
    (files,), _ = find_observations([tmp_path / OBSID])
    config = Config.parse({"cube": {"t_bin": [t_bin]}, "detect": {"method": "exod1"}})
    outcome = detect_to_archive(files, config, str(tmp_path / "archive"))
    assert outcome.status == "SKIPPED"
    assert "one frame that is not masked" in outcome.reason


def test_an_archive_is_of_one_method(observation, tmp_path: Path):
    write_observation(observation, tmp_path)
    (files,), _ = find_observations([tmp_path / OBSID])
    root = str(tmp_path / "archive")
    outcome = detect_to_archive(files, EXOD1, root)
    assert outcome.status == "OK"
    archive = open_archive(root)
    assert archive.config.detect.method == "exod1"
    assert len(archive.variability.compute()) == len(archive.runs.compute()) == 1
    assert set(archive.lightcurves.compute()["detid"]) == set(archive.regions.compute()["detid"])
    pictures = [path.stem for path in save_observation(archive, OBSID, tmp_path / "pictures", 1)]
    assert f"{OBSID}_0_50_0.2_12.0_variability" in pictures
    with pytest.raises(ArchiveError, match=r"detect\.method"):
        Archive.create(root, Config.parse({"cube": EXOD1.cube.model_dump()}))
