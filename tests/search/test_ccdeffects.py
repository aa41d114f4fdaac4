"""Sources that the motion of the pointing takes off their CCD."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from exod.config import Config
from exod.observation.aspect import ColumnPhotons
from exod.observation.events import select_events
from exod.observation.subsets import MergedEvents, merge_exposures
from exod.search.subset import Run, search_subset
from exod.simulate.acisobservation import AcisModel, acis_places, simulate_acis
from exod.simulate.lights.lightmodels import BoxBurst, Constant
from exod.simulate.models import SourceModel

MODEL = AcisModel("900", 150.0, 2.0, 40.0, 1e8, 8000.0)
NO_SOURCES = pd.DataFrame(columns=["ra_deg", "dec_deg", "extent_arcsec", "rate"], dtype=float)
SETTINGS = ["cube.t_bin=[600]", "cube.bands=[[0.2, 12.0]]", "detect.false_alarm_rate=0.1"]


def edge_place() -> tuple[float, float]:
    """The middle of a side of a CCD, sky pixels: a source is on it half of the time."""
    chip = MODEL.view.aspect.chips[4]
    x, y = np.linalg.solve(chip.matrix[:, :2], np.array([1024.5, 512.0]) - chip.matrix[:, 2])
    return float(x), float(y)


def subset_with(light, rate: float) -> MergedEvents:
    """The ring of the field with a source there."""
    ra, dec = (float(value) for value in MODEL.view.plane.to_sky(*edge_place()))
    source = SourceModel("edge", ra, dec, {"ACIS": rate}, light)
    simulated = simulate_acis(replace(MODEL, sources=(source,)), 5)
    subsets = merge_exposures([select_events(simulated.exposure, simulated.as_read)]).subsets
    x, y = edge_place()
    off_axis = MODEL.view.off_axis(x, y)
    (found,) = (
        subset
        for subset in subsets
        if subset.zone and subset.zone.inner_arcmin <= off_axis < subset.zone.outer_arcmin
    )
    return found


def regions(subset: MergedEvents, preset: str) -> tuple[int, Run]:
    """Regions within 20 arcsec of the source."""
    config = Config.load(preset=preset, overrides=SETTINGS)
    (run,) = search_subset("900", subset, NO_SOURCES, config, n_subsets=4)
    x, y = edge_place()
    near = [
        item
        for item in run.regions
        if item.position and np.hypot(item.position.x - x, item.position.y - y) * 0.492 < 20
    ]
    return len(near), run


@pytest.mark.parametrize("preset", ["deep", "published"])
def test_constant_source_at_an_edge_is_no_region(preset):
    subset = subset_with(Constant(), 0.05)
    assert subset.aspect is not None
    n_found, run = regions(replace(subset, aspect=None), preset)
    assert n_found == 1
    assert run.left_out.n_dithered == 0
    n_found, run = regions(subset, preset)
    assert n_found == 0
    assert run.left_out.n_dithered > 0
    assert len(run.cells) == len(run.cells.p_log)


def test_burst_at_an_edge_is_found():
    # From 500 s before the middle of a time on the CCD to 500 s after it.
    share = MODEL.view.aspect.seen(*edge_place(), np.array([1.0]), MODEL.view.aspect.time)
    middle = MODEL.view.aspect.time[np.flatnonzero(np.diff(share) < 0)[1]] - 400
    subset = subset_with(BoxBurst(float(middle - 250), 500.0), 0.15)
    n_found, run = regions(subset, "deep")
    assert n_found == 1
    # It is as probable as while the place is on the CCD, not as if it always were.
    _, plain = regions(replace(subset, aspect=None), "deep")
    strongest = run.cells.p_log.argmin()
    same = (plain.cells.start == run.cells.start[strongest]) & plain.cells.is_peak
    same &= (plain.cells.y == run.cells.y[strongest]) & (plain.cells.x == run.cells.x[strongest])
    assert run.cells.p_log[strongest] > plain.cells.p_log[same] + 0.5
    assert run.cells.mu[strongest] > 1.3 * plain.cells.mu[same]
    assert max(item.strength for item in run.regions) == pytest.approx(-run.cells.p_log.min())


FLARE = BoxBurst(MODEL.start + 3000.0, 600.0)


def burst(place: tuple[float, float], counts: float) -> SourceModel:
    ra, dec = (float(value) for value in MODEL.view.plane.to_sky(*place))
    return SourceModel.burst("flare", ra, dec, {"ACIS": counts}, FLARE)


def found_with(sources: tuple[SourceModel, ...], *, with_streaks: bool) -> tuple[list[float], int]:
    """Counts of the strongest windows of regions, and how many windows are left out."""
    simulated = simulate_acis(replace(MODEL, sources=sources), 5)
    config, counts, left_out = Config.load(preset="deep", overrides=SETTINGS), [], 0
    none = ColumnPhotons(np.zeros(0), np.zeros(0, np.int16))
    for subset in merge_exposures([select_events(simulated.exposure, simulated.as_read)]).subsets:
        assert subset.aspect is not None
        bare = replace(subset, aspect=replace(subset.aspect, photons=none))
        searched = subset if with_streaks else bare
        (run,) = search_subset("900", searched, NO_SOURCES, config, n_subsets=4)
        left_out += run.left_out.n_streaks
        counts += [int(run.cells.n[item.region.members].max()) for item in run.regions]
    return sorted(counts), left_out


def test_streak_of_a_bright_burst_is_no_region():
    """13 in a thousand of its photons arrive while frames are shifted."""
    (place,) = acis_places(MODEL, 1, np.random.default_rng(4), (4.0, 4.5))
    bright = burst(place, 20_000.0)
    plain, none = found_with((bright,), with_streaks=False)
    assert not none
    # Others in its ring, and one along it in the next.
    assert len(plain) > 4
    counts, left_out = found_with((bright,), with_streaks=True)
    assert len(counts) == 1
    assert counts[0] > 15_000
    assert left_out > 20
    # A burst of its own in the same columns stays.
    chip = MODEL.view.aspect.chips[3].matrix
    x, y = np.array(place) + np.linalg.solve(chip[:, :2], [0.0, 150.0])
    both, _ = found_with((bright, burst((float(x), float(y)), 60.0)), with_streaks=True)
    assert len(both) == 2
    assert both[0] > 40
