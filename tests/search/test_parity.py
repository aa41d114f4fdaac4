"""The real observation 0001730201: what EXOD2 finds in it, and what is known of its sources.

EXOD2 ran without the quality flags and without removing hot pixels, so does this comparison.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from scipy import ndimage

from exod.config import Config
from exod.counts.bayes import threshold
from exod.observation.events import select_events
from exod.observation.hotpixels import hot_pixel_mask
from exod.pps import find_observations, read_event_list
from exod.search.subset import Run, search_subset
from exod.stages.detect.read import read_observation

pytestmark = pytest.mark.realdata

OBSID = "0001730201"
BANDS = ((0.2, 2.0), (2.0, 12.0), (0.2, 12.0))
RUNS = [f"{OBSID}_0_{t_bin}_{low}_{high}" for t_bin in (5, 50, 200) for low, high in BANDS]
SIGMAS = (3, 2)

KNOWN_EXTRA: dict[int, set[tuple[str, int, int, int, bool]]] = {3: set(), 2: set()}
"""Cells (run, frame, y, x, peak) that EXOD2 lacks because it interpolates its table, by sigma."""


@dataclass(frozen=True)
class Oracle:
    """EXOD2's results at one threshold; boxes and cells as (y, x)."""

    folder: Path
    sigma: int
    runs: dict[str, dict]
    cells: pd.DataFrame
    regions: pd.DataFrame
    light_curves: pd.DataFrame

    def images(self, runid: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / f"{runid}_s{self.sigma}.npz") as arrays:
            return {name: array.T for name, array in arrays.items()}

    def cell_set(self, runid: str) -> set[tuple[int, int, int, bool]]:
        own = self.cells[self.cells["runid"] == runid]
        return {*zip(own["t"], own["y"], own["x"], own["kind"] == "peak", strict=True)}

    def regions_of(self, runid: str) -> pd.DataFrame:
        return self.regions[self.regions["runid"] == runid].sort_values("label")


PUBLISHED_CUBE = {"live_time": "frames"}


@pytest.fixture(scope="module")
def oracle(oracle_dir) -> dict[int, Oracle]:
    results = {}
    for sigma in SIGMAS:
        folder = oracle_dir / f"exod2_{OBSID}_sigma{sigma}"
        runs = json.loads((folder / "runs.json").read_text())
        tables = (
            pd.read_parquet(folder / f"{n}.parquet") for n in ("cells", "regions", "lightcurves")
        )
        results[sigma] = Oracle(folder, sigma, {run["runid"]: run for run in runs}, *tables)
    return results


@pytest.fixture(scope="module")
def files(data_dir):
    (files,), _ = find_observations([data_dir / "xmm" / OBSID])
    return files


def search(files, **settings) -> dict[str, Run]:
    config = Config.parse(settings)
    observation = read_observation(files, config)
    (subset,) = observation.subsets
    return {run.runid: run for run in search_subset(OBSID, subset, observation.sources, config)}


@pytest.fixture(scope="module")
def found(files) -> dict[tuple[int, str], dict[str, Run]]:
    settings = {"selection": {"flags": "none", "hot_pixels": "off"}, "cube": PUBLISHED_CUBE}
    return {
        (sigma, rule): search(files, **settings, detect={"sigma": sigma, "rule": rule})
        for sigma in SIGMAS
        for rule in ("exod2", "exact")
    }


@pytest.fixture(scope="module")
def defaults(files) -> dict[str, Run]:
    return search(files, cube=PUBLISHED_CUBE)


def test_a_gap_of_the_cameras_is_no_eclipse(files, defaults):
    """Both cameras were off for 36 to 60 s, each CCD for another time."""
    (gap,) = (item for run in defaults.values() for item in run.regions)
    assert gap.event.kind == "eclipse"
    runs = search(files)
    assert not any(run.regions for run in runs.values())
    curve = runs[f"{OBSID}_0_50_0.2_12.0"].expectation.light_curve(gap.region.box)
    frame = int(np.argmax(gap.light_curve.B_eclipse_log))
    assert curve[frame] < 0.4 * gap.light_curve.mu[frame]


def cell_set(run: Run) -> set[tuple[int, int, int, bool]]:
    cells = run.cells
    columns = (cells.frame, cells.y, cells.x, cells.is_peak)
    return {*zip(*(column.tolist() for column in columns), strict=True)}


def test_the_nine_runs(found, oracle):
    for sigma in SIGMAS:
        assert sorted(oracle[sigma].runs) == sorted(RUNS)
        assert list(found[sigma, "exod2"]) == RUNS


@pytest.mark.parametrize("runid", RUNS)
def test_cube(runid, found, oracle):
    run, theirs = found[3, "exod2"][runid], oracle[3].runs[runid]
    images = oracle[3].images(runid)
    cube, box = run.cube, run.cube.box
    assert [box.x_lo, box.x_hi, box.y_lo, box.y_hi] == theirs["bbox"]
    assert (*cube.shape[:0:-1], cube.shape[0]) == tuple(theirs["shape"])
    assert cube.n_sum == theirs["n_sum"]
    assert run.n_events == theirs["n_events"]
    assert np.array_equal(cube.image(), images["image_n"])
    assert np.array_equal(cube.light_curve(), images["lc_n"])
    assert sum(len(chunk.n) for chunk in cube.chunks()) == theirs["n_nonzero"]


@pytest.mark.parametrize("runid", RUNS)
def test_bad_time(runid, found, oracle):
    run, theirs = found[3, "exod2"][runid], oracle[3].runs[runid]
    images = oracle[3].images(runid)
    assert run.bad_time.intervals == pytest.approx(np.array(theirs["bti"]), abs=1e-6)
    assert np.array_equal(run.bad_time.frames, images["bti"])
    assert np.array_equal(run.camera_off, images["bccd"])
    assert (~run.bad_time.frames).sum() == theirs["n_gti"]
    assert run.cube.frames.t_lo == theirs["t_min"]


@pytest.mark.parametrize("runid", RUNS)
def test_expectation(runid, found, oracle):
    run, theirs = found[3, "exod2"][runid], oracle[3].runs[runid]
    images = oracle[3].images(runid)
    expectation = run.expectation
    assert np.array_equal(expectation.source_mask, images["source_mask"])
    for number, template in enumerate((expectation.good, expectation.bad)):
        assert template.counts == theirs["template_counts"][number]
        assert template.shape.sum() == pytest.approx(theirs["template_sums"][number], rel=1e-5)
    image = expectation.image()
    assert np.array_equal(image > 0, images["image_mu"] > 0)
    assert image == pytest.approx(images["image_mu"], rel=1e-5, abs=1e-9)
    everywhere = type(run.cube.box)(0, image.shape[0], 0, image.shape[1])
    assert expectation.light_curve(everywhere) == pytest.approx(images["lc_mu"], rel=1e-5, abs=1e-9)
    assert image.sum() == pytest.approx(theirs["mu_sum"], rel=1e-5)


@pytest.mark.parametrize("runid", RUNS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_cells(sigma, runid, found, oracle):
    run, theirs = found[sigma, "exod2"][runid], oracle[sigma].cell_set(runid)
    extra = {cell[1:] for cell in KNOWN_EXTRA[sigma] if cell[0] == runid}
    assert cell_set(run) == theirs | extra
    rows = oracle[sigma].cells.query("runid == @runid").set_index(["t", "y", "x"])
    for frame, y, x, n, mu in zip(
        run.cells.frame, run.cells.y, run.cells.x, run.cells.n, run.cells.mu, strict=True
    ):
        if (frame, y, x) in rows.index:
            row = rows.loc[(frame, y, x)]
            assert n == row["n"]
            assert mu == pytest.approx(row["mu"], rel=1e-5)
            assert run.cube.grid.edges[y + run.cube.box.y_lo] == pytest.approx(row["Y_lo"])
            assert run.cube.grid.edges[x + run.cube.box.x_lo] == pytest.approx(row["X_lo"])
            assert run.cube.frames.starts[frame] == pytest.approx(row["TIME_lo"], abs=1e-6)


@pytest.mark.parametrize("runid", RUNS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_exact_rule_adds_cells_that_pass_the_threshold(sigma, runid, found, oracle):
    run, theirs = found[sigma, "exact"][runid], oracle[sigma].cell_set(runid)
    assert cell_set(run) >= theirs
    for is_peak, kind in ((True, "peak"), (False, "eclipse")):
        b_log = run.cells.b_log[run.cells.is_peak == is_peak]
        assert (b_log >= threshold(sigma, kind) - 1e-9).all()


def test_exact_rule_does_add_cells(found):
    for sigma in SIGMAS:
        published, exact = (
            sum(len(run.cells) for run in found[sigma, rule].values())
            for rule in ("exod2", "exact")
        )
        assert exact > published > 0


@pytest.mark.parametrize("runid", RUNS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_regions(sigma, runid, found, oracle):
    run, theirs = found[sigma, "exod2"][runid], oracle[sigma].regions_of(runid)
    regions = [item.region for item in run.regions]
    assert [region.label for region in regions] == theirs["label"].tolist()
    significant = np.zeros(run.cube.box.shape, bool)
    for _, y, x, _ in oracle[sigma].cell_set(runid):
        significant[y, x] = True
    components, n = ndimage.label(significant, np.ones((3, 3)))
    assert n == len(regions)
    for region, (_, row) in zip(regions, theirs.iterrows(), strict=True):
        box = region.box
        assert [box.x_lo, box.y_lo, box.x_hi, box.y_hi] == [row[f"bbox-{i}"] for i in range(4)]
        pixels = {*zip(run.cells.y[region.members], run.cells.x[region.members], strict=True)}
        (label,) = {components[pixel] for pixel in pixels}
        assert len(pixels) == (components == label).sum()
        assert region.equivalent_diameter == pytest.approx(row["equivalent_diameter_area"])
        assert region.intensity_mean == pytest.approx(row["intensity_mean"])
        assert box.size == row["area_bbox"]
        assert [region.x_centroid, region.y_centroid] == pytest.approx(
            [row["centroid-0"], row["centroid-1"]]
        )
        assert [region.x_weighted, region.y_weighted] == pytest.approx(
            [row["weighted_centroid-0"], row["weighted_centroid-1"]], rel=1e-5
        )


@pytest.mark.parametrize("runid", RUNS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_light_curves(sigma, runid, found, oracle):
    run, table = found[sigma, "exod2"][runid], oracle[sigma].light_curves
    for item in run.regions:
        curve = item.light_curve
        theirs = table[(table["runid"] == runid) & (table["label"] == item.region.label)]
        assert len(theirs) == run.cube.frames.n
        assert curve.time == pytest.approx(theirs["time"].to_numpy(), abs=1e-6)
        for name in ("n", "bti", "bccd"):
            assert np.array_equal(getattr(curve, name), theirs[name]), name
        mu = theirs["mu"].to_numpy()
        assert curve.mu == pytest.approx(mu, rel=1e-5, abs=1e-12)
        for name in ("B_peak_log", "B_eclipse_log"):
            values = getattr(curve, name)
            # Their single-precision mu limits the agreement; without mu there is no B.
            assert values[mu > 0] == pytest.approx(
                theirs[name].to_numpy()[mu > 0], rel=1e-4, abs=1e-4
            )
            assert np.isnan(values[mu == 0]).all()


# --- the truth -------------------------------------------------------------------------------


def test_the_eclipse_is_where_the_star_is(defaults, files):
    """HD 159176, 4XMM position; its pile-up core flickers as an eclipse."""
    run = defaults[f"{OBSID}_0_50_0.2_12.0"]
    star = SkyCoord(263.67710, -32.58169, unit="deg")
    observation = read_observation(files, Config())
    distances = []
    for item in run.regions:
        if not run.cells.is_peak[item.region.members].any():
            ra, dec = observation.subsets[0].plane.to_sky(item.position.x, item.position.y)
            distances.append(float(SkyCoord(ra, dec, unit="deg").separation(star).arcsec))
            assert distances[-1] < 3 * item.position.error_arcsec
    assert min(distances) < 3


def test_no_region_holds_a_hot_pixel(files):
    """Events of rejected pixels and episodes never reach the search, all others do."""
    observation = read_observation(files, Config())
    (subset,) = observation.subsets
    for path in files.event_lists:
        exposure, events = read_event_list(path)
        kept = select_events(exposure, events).events
        hot = hot_pixel_mask(kept, observation.hot_pixels[path.name])
        number = [e.filename for e in subset.exposures].index(path.name)
        mine = subset.source == number
        assert mine.sum() == (~hot).sum()
        removed = {*zip(kept.time[hot], kept.x[hot], kept.y[hot], strict=True)}
        searched = {*zip(subset.time[mine], subset.x[mine], subset.y[mine], strict=True)}
        assert not removed & searched


def test_the_table_of_4xmm_removes_its_pixels_and_nothing_else(files, data_dir):
    """Of the events whose cubes equal EXOD2's, those in the pixels listed are not searched."""
    selection = {"flags": "none"}
    subsets = {}
    for setting in ("off", "4xmm-dr14"):
        config = Config.parse({"selection": selection | {"hot_pixels": setting}})
        (subsets[setting],) = read_observation(files, config).subsets
    listed: Counter[tuple[float, ...]] = Counter()
    for path in files.event_lists:
        exposure, events = read_event_list(path)
        kept = select_events(exposure, events, use_flags=False).events
        name = exposure.instrument.replace("EMOS", "M")
        table = pd.read_csv(data_dir / "exod2" / f"4xmmdr14_hotpixels_{name}.csv")
        hot = np.zeros(len(kept), bool)
        for ccd, _, column, row_lo, row_hi, after, before in table.to_numpy():
            if after < exposure.revolution < before:
                there = (kept.ccdnr == ccd) & (kept.rawx == column)
                hot |= there & (kept.rawy >= row_lo) & (kept.rawy <= row_hi)
        assert hot.any()
        listed.update(zip(kept.time[hot], kept.x[hot], kept.y[hot], kept.pi[hot], strict=True))
    every, left = (
        Counter(zip(s.time, s.x, s.y, s.pi, strict=True))
        for s in (subsets["off"], subsets["4xmm-dr14"])
    )
    assert left == every - listed


def test_defaults_use_nearly_all_events(defaults, found):
    """The quality flags and hot pixels cost a few per cent of the events."""
    for runid, run in defaults.items():
        assert run.cube.n_sum < found[3, "exod2"][runid].cube.n_sum
        assert run.cube.n_sum > 0.9 * found[3, "exod2"][runid].cube.n_sum
