"""Photons of a simulated exposure before the read-out: where, when and how energetic they are.

Rates count good events (0.2-12 keV, PATTERN and FLAG accepted, see `acceptance`); more are drawn,
so that the good ones come out as asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from exod.events import PI_MAX_EV, PI_MIN_EV
from exod.instruments import SKY_PIXEL_ARCSEC
from exod.psf import KingProfile
from exod.simulate.detector import DETECTORS, Detector, vignetting
from exod.simulate.lightmodels import Constant, LightCurve
from exod.simulate.models import ExposureModel, HotPixel, ObservationModel, SourceModel, source_area
from exod.sky import TangentPlane

Floats = NDArray[np.float64]

PARTICLE_RATE: Final = MappingProxyType({"EPN": 2.1, "EMOS1": 1.2, "EMOS2": 1.2})
SKY_RATE: Final = MappingProxyType({"EPN": 4.9, "EMOS1": 1.3, "EMOS2": 1.3})
"""Quiet background in the field of view, good events of 0.2-12 keV per second.

Nominal: together about 2.5 (MOS) and 7 (pn), with 0.2 and 0.35 above 10 keV, in between what low
and high solar activity give.
"""

FLARE_RESPONSE: Final = MappingProxyType({"EPN": 2.5, "EMOS1": 1.0, "EMOS2": 1.0})
"""Soft protons relative to MOS; nominal."""

PARTICLE_PI: Final = (200.0, 14_200.0)
"""Range of the flat particle spectrum, eV; MOS lists end near 14.2 keV (0001730201)."""

_SKY_KEV, _LOGNORMAL_WIDTH = 0.8, 0.6
_FLARE_INDEX = 0.3
"""Median of the sky spectrum, width of log-normal spectra (natural logarithm), photon index of
soft protons; nominal."""

ORIGIN_PARTICLE, ORIGIN_SKY, ORIGIN_FLARE, ORIGIN_HOT_PIXEL = -1, -2, -3, -10
"""Origin of events that belong to no source; hot pixel number i is -10 - i."""


@dataclass(frozen=True)
class Photons:
    """Columns of shape (n,): arrival time, chip pixel, energy (eV) and origin.

    The origin is the index of the source in the observation, or negative.
    """

    time: Floats
    ccdnr: NDArray[np.uint8]
    rawx: NDArray[np.int16]
    rawy: NDArray[np.int16]
    pi: NDArray[np.int16]
    origin: NDArray[np.int16]

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Photons:
        """The photons that a mask or an index array selects."""
        return Photons(*(getattr(self, f.name)[which] for f in fields(self)))

    @classmethod
    def concatenate(cls, parts: Iterable[Photons]) -> Photons:
        """All photons of `parts`, which must not be empty."""
        parts = list(parts)
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def arriving_photons(
    observation: ObservationModel,
    exposure: ExposureModel,
    accepted: float,
    generator: np.random.Generator,
) -> Photons:
    """Photons of all components within an exposure, in no particular order.

    Parameters
    ----------
    observation, exposure : ObservationModel, ExposureModel
        The settings.
    accepted : float
        Share of events whose PATTERN and FLAG will be accepted.
    generator : numpy.random.Generator
        Source of random numbers.
    """
    detector = DETECTORS[exposure.instrument]
    parts = [
        source_photons(
            source, exposure, observation.plane, observation.pa_pnt, accepted, generator, i
        )
        for i, source in enumerate(observation.sources)
    ]
    scale = observation.background_scale / accepted
    rate = PARTICLE_RATE[exposure.instrument] * scale
    parts.append(_particles(detector, exposure, rate, generator))
    rate = SKY_RATE[exposure.instrument] * scale
    sky = _vignetted(detector, exposure, Constant(), rate, ORIGIN_SKY, generator)
    parts.append(sky)
    for flare in observation.flares:
        rate = flare.amplitude * FLARE_RESPONSE[exposure.instrument] / accepted
        parts.append(_vignetted(detector, exposure, flare, rate, ORIGIN_FLARE, generator))
    for i, pixel in enumerate(exposure.hot_pixels):
        parts.append(_hot_pixel(exposure, pixel, ORIGIN_HOT_PIXEL - i, generator))
    return Photons.concatenate(parts)


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

    `exod.simulate.readout.read_events` turns them into events, of a simulated exposure or to be
    added to a real event list.

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
        `exod.simulate.readout.acceptance`.
    generator : numpy.random.Generator
        Source of random numbers.
    origin : int
        Value of `Photons.origin`, from 0.
    """
    detector = DETECTORS[exposure.instrument]
    camera = detector.camera
    area = source_area(source, detector, plane, pa_pnt)
    rate = source.rate.get(exposure.instrument, 0.0) * area / accepted
    time = source.light_curve.sample(generator, rate, exposure.start, exposure.stop)
    king = KingProfile(camera.king_core_arcsec, camera.king_slope)
    offset = king.sample(generator, len(time))
    offset += source.extent_arcsec * generator.standard_normal(offset.shape)
    x, y = plane.to_pixel(source.ra_deg, source.dec_deg)
    offset /= SKY_PIXEL_ARCSEC
    place = detector.detector_from_sky(x + offset[0], y + offset[1], pa_pnt)
    ccdnr, rawx, rawy = detector.raw_from_detector(*place)
    seen = (ccdnr > 0) & detector.in_field(*place)
    pi = _lognormal_pi(generator, source.energy_kev, len(time))
    origins = np.full(len(time), origin, np.int16)
    return Photons(time, ccdnr, rawx, rawy, pi, origins).take(seen)


def _particles(
    detector: Detector, exposure: ExposureModel, rate: float, generator: np.random.Generator
) -> Photons:
    """Flat over the chips, in the field of view or not, and flat in energy."""
    low, high = PARTICLE_PI
    rate *= (high - low) / (PI_MAX_EV - low)
    n = generator.poisson(rate * exposure.duration * _n_pixels(detector) / detector.field_pixels)
    time = generator.uniform(exposure.start, exposure.stop, n)
    pi = generator.uniform(low, high, n).astype(np.int16)
    origin = np.full(n, ORIGIN_PARTICLE, np.int16)
    return Photons(time, *_any_pixel(detector, n, generator), pi, origin)


def _vignetted(
    detector: Detector,
    exposure: ExposureModel,
    curve: LightCurve,
    rate: float,
    origin: int,
    generator: np.random.Generator,
) -> Photons:
    """Diffuse light through the telescope: `rate` counts per second in the field of view."""
    density = rate / detector.sky_pixels
    time = curve.sample(generator, density * _n_pixels(detector), exposure.start, exposure.stop)
    ccdnr, rawx, rawy = _any_pixel(detector, len(time), generator)
    place = detector.detector_from_raw(ccdnr, rawx, rawy)
    weight = vignetting(detector.off_axis_arcmin(*place)) * detector.in_field(*place)
    seen = generator.random(len(time)) < weight
    n = int(seen.sum())
    if origin == ORIGIN_FLARE:
        pi = _powerlaw_pi(generator, _FLARE_INDEX, n)
    else:
        pi = _lognormal_pi(generator, _SKY_KEV, n)
    return Photons(
        time[seen], ccdnr[seen], rawx[seen], rawy[seen], pi, np.full(n, origin, np.int16)
    )


def _hot_pixel(
    exposure: ExposureModel, pixel: HotPixel, origin: int, generator: np.random.Generator
) -> Photons:
    """Events of a bad pixel, soft (exponential above 0.2 keV, mean excess 0.15 keV)."""
    times = [np.empty(0)]
    for first, last in pixel.episodes or ((exposure.start, exposure.stop),):
        start, stop = max(first, exposure.start), min(last, exposure.stop)
        times.append(Constant().sample(generator, pixel.rate, start, max(start, stop)))
    time = np.concatenate(times)
    n = len(time)
    pi = np.minimum(200 + generator.exponential(150, n), PI_MAX_EV).astype(np.int16)
    return Photons(
        time,
        np.full(n, pixel.ccdnr, np.uint8),
        np.full(n, pixel.rawx, np.int16),
        np.full(n, pixel.rawy, np.int16),
        pi,
        np.full(n, origin, np.int16),
    )


def _n_pixels(detector: Detector) -> int:
    camera = detector.camera
    return camera.n_ccds * camera.n_rawx * camera.n_rawy


def _any_pixel(
    detector: Detector, n: int, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.int16]]:
    camera = detector.camera
    ccdnr = generator.integers(1, camera.n_ccds, n, np.uint8, endpoint=True)
    rawx = generator.integers(1, camera.n_rawx, n, np.int16, endpoint=True)
    rawy = generator.integers(1, camera.n_rawy, n, np.int16, endpoint=True)
    return ccdnr, rawx, rawy


def _lognormal_pi(generator: np.random.Generator, median_kev: float, n: int) -> NDArray[np.int16]:
    """Energies in eV of a log-normal spectrum cut to 0.2-12 keV."""
    edges = np.log(np.array([PI_MIN_EV, PI_MAX_EV]) / (1000 * median_kev)) / _LOGNORMAL_WIDTH
    low, high = ndtr(edges)
    deviate = ndtri(low + (high - low) * generator.random(n))
    energy = 1000 * median_kev * np.exp(_LOGNORMAL_WIDTH * deviate)
    return np.asarray(np.clip(energy, PI_MIN_EV, PI_MAX_EV), np.int16)


def _powerlaw_pi(generator: np.random.Generator, index: float, n: int) -> NDArray[np.int16]:
    """Energies in eV of a power law ``E^-index`` (index below 1) from 0.2 to 12 keV."""
    low, high = np.array([PI_MIN_EV, PI_MAX_EV], float) ** (1 - index)
    energy = (low + (high - low) * generator.random(n)) ** (1 / (1 - index))
    return np.asarray(np.clip(energy, PI_MIN_EV, PI_MAX_EV), np.int16)
