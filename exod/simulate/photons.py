"""Photons of a simulated source: where, when and how energetic they reach the camera.

Rates count good events (0.2-12 keV, PATTERN and FLAG accepted, see
`exod.simulate.camera.readout`); more are drawn, so that the good ones come out as asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exod.instruments.detector import DETECTORS
from exod.instruments.epic import SKY_PIXEL_ARCSEC
from exod.instruments.pointspread import POINT_SPREADS
from exod.instruments.vignetting import VIGNETTING
from exod.schemas.arrays import EqualColumns, Floats
from exod.simulate.camera.spectra import blurred, lognormal_quantile, pi_of
from exod.simulate.models import ExposureModel, SourceModel, source_area
from exod.sky.plane import TangentPlane

ORIGIN_PARTICLE, ORIGIN_SKY, ORIGIN_FLARE, ORIGIN_HOT_PIXEL = -1, -2, -3, -10
"""Origin of events that belong to no source; hot pixel number i is -10 - i."""


@dataclass(frozen=True)
class Photons(EqualColumns):
    """Columns of shape (n,): arrival time, chip pixel, energy (eV) and origin.

    The origin is the index of the source in the observation, or negative.
    """

    time: Floats
    ccdnr: NDArray[np.uint8]
    rawx: NDArray[np.int16]
    rawy: NDArray[np.int16]
    pi: NDArray[np.int16]
    origin: NDArray[np.int16]


def source_photons(
    source: SourceModel,
    exposure: ExposureModel,
    plane: TangentPlane,
    pa_pnt: float,
    accepted: float,
    generator: np.random.Generator,
    origin: int,
) -> Photons:
    """Photons of one source that meet a chip within an exposure, in no particular order.

    `exod.simulate.camera.readout.read_events` turns them into events, of a simulated exposure or to
    be added to a real event list.

    Parameters
    ----------
    source : SourceModel
        The source; one outside the field of view gives no photons.
    exposure : ExposureModel
        Camera, times and submode.
    plane : TangentPlane
        Projection of X and Y of the event list.
    pa_pnt : float
        Position angle of the pointing (PA_PNT) in degrees.
    accepted : float
        Share of events whose PATTERN and FLAG will be accepted, see
        `exod.simulate.camera.readout.acceptance`.
    generator : numpy.random.Generator
        Source of random numbers.
    origin : int
        Value of `Photons.origin`, from 0.
    """
    detector, instrument = DETECTORS[exposure.instrument], exposure.instrument
    on_axis = source.rate.get(instrument, 0.0) / accepted
    if not source_area(source, detector, plane, pa_pnt):
        on_axis = 0.0
    time = source.light_curve.sample(generator, on_axis, exposure.start, exposure.stop)
    energy = lognormal_quantile(source.energy_kev, generator.random(len(time)))
    x, y = plane.to_pixel(source.ra_deg, source.dec_deg)
    detx, dety = detector.detector_from_sky(x, y, pa_pnt)
    off_axis = float(detector.off_axis_arcmin(detx, dety))
    azimuth = float(np.arctan2(dety - detector.axis[1], detx - detector.axis[0]))
    offset = POINT_SPREADS[instrument].sample(generator, energy, off_axis, azimuth)
    offset += source.extent_arcsec * generator.standard_normal(offset.shape)
    place = (detx + offset[0] / SKY_PIXEL_ARCSEC, dety + offset[1] / SKY_PIXEL_ARCSEC)
    ccdnr, rawx, rawy = detector.raw_from_detector(*place)
    seen = (ccdnr > 0) & detector.in_field(*place)
    seen &= generator.random(len(time)) < VIGNETTING[instrument].at(detx, dety, energy)
    pi = pi_of(blurred(energy, instrument, generator))
    origins = np.full(len(time), origin, np.int16)
    return Photons(time, ccdnr, rawx, rawy, pi, origins).take(seen)
