"""Seconds for which places were seen while the pointing moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from exod.observation.aspect import aspect_of_events
from exod.observation.commonsky import sky_plane
from exod.observation.livetime import LiveCurve
from exod.sensitivity.ditheredtime import DitheredTime
from exod.sensitivity.exposuremaps import MapGrid, exposure_map
from exod.simulate.acisobservation import AcisModel, simulate_acis
from exod.simulate.lights.lightmodels import Constant
from exod.simulate.models import SourceModel

MODEL = AcisModel("900", 150.0, 2.0, 40.0, 1e8, 8000.0, background_rate=0.3)


@pytest.fixture(scope="module")
def seen() -> DitheredTime:
    """Of the events alone, as of a file without its good times."""
    simulated = simulate_acis(MODEL, 3)
    aspect = aspect_of_events(simulated.as_read, simulated.exposure.camera)
    assert aspect is not None
    curve = LiveCurve(np.array([[MODEL.start, MODEL.start + MODEL.duration, 1.0]]))
    plane, pointing = simulated.exposure.plane, (MODEL.ra_pnt, MODEL.dec_pnt)
    return DitheredTime("ACIS", aspect, plane, pointing, dict.fromkeys(aspect.chips, curve))


def near_edge(offset: float) -> tuple[float, float]:
    """Degrees of a place so many pixels inside the outer edge of a CCD."""
    chip = MODEL.view.aspect.chips[4]
    pixel = np.array([1024.5 - offset, 512.0])
    x, y = np.linalg.solve(chip.matrix[:, :2], pixel - chip.matrix[:, 2])
    ra, dec = MODEL.view.plane.to_sky(x, y)
    return float(ra), float(dec)


def share_at(seen: DitheredTime, ra: float, dec: float) -> float:
    x, y = (np.atleast_1d(value) for value in sky_plane(*seen.pointing).to_pixel(ra, dec))
    ccdnr, share = seen.view()(x, y)
    assert (ccdnr > 0) == (share > 0)
    return float(share[0])


@pytest.mark.parametrize("offset", [-20.0, -5.0, 0.0, 10.0, 25.0])
def test_shares_near_edges_are_those_of_constant_sources(seen, offset):
    """As many photons of a constant source are in the list as the time says."""
    ra, dec = near_edge(offset)
    source = SourceModel("one", ra, dec, {"ACIS": 2.0}, Constant())
    simulated = simulate_acis(replace(MODEL, sources=(source,), background_rate=0.0), 7)
    expected = float(simulated.truth["expected_ACIS"].item())
    share = share_at(seen, ra, dec)
    # The light is spread over 8 arcsec there, over which the share is nearly even.
    assert len(simulated.events) / expected == pytest.approx(share, abs=0.05)


def test_middle_outside_and_live_time(seen):
    assert share_at(seen, *near_edge(300.0)) == 1
    assert share_at(seen, *near_edge(-60.0)) == 0
    off = LiveCurve(np.array([[MODEL.start, MODEL.start + 2000.0, 1.0]]))
    part = replace(seen, curves={**seen.curves, 4: off})
    assert part.live[4] == 2000
    assert share_at(part, *near_edge(300.0)) == 1
    none = replace(seen, curves={})
    assert share_at(none, *near_edge(300.0)) == 0


def test_map(seen):
    grid = MapGrid.of(MODEL.ra_pnt, MODEL.dec_pnt, 30.0, 4030.0)
    found = exposure_map(seen, grid)
    assert found.bands == ()
    assert found.on.max() == MODEL.duration
    assert grid.n * 30.0 >= 4030.0
    # As much area as the four CCDs have, whatever the motion.
    area = (found.on / MODEL.duration).sum() * 30.0**2
    assert area == pytest.approx(4 * (1024 * 0.492) ** 2, rel=0.01)
    # The pixel in which a place lies, by the coordinates of the map.
    ra, dec = near_edge(300.0)
    x, y = (int(np.rint(float(value))) - 1 for value in grid.projection.to_pixel(ra, dec))
    assert found.on[y, x] == MODEL.duration
    outside = (int(np.rint(float(v))) - 1 for v in grid.projection.to_pixel(*near_edge(-150.0)))
    x, y = outside
    assert found.on[y, x] == 0
