"""Background of a simulated exposure: particles, sky, soft protons and bad pixels."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.instruments.detector import DETECTORS, Detector
from exod.instruments.epic import PI_MAX_EV, PI_MIN_EV
from exod.instruments.vignetting import VIGNETTING, Vignetting, node_weights
from exod.schemas.arrays import Floats
from exod.simulate.camera.protons import proton_vignetting
from exod.simulate.camera.spectra import LINES, PARTICLES, PROTONS, SKY, Spectrum, blurred, pi_of
from exod.simulate.lights.lightmodels import Constant, LightModel
from exod.simulate.models import ExposureModel, HotPixel, ObservationModel
from exod.simulate.photons import (
    ORIGIN_FLARE,
    ORIGIN_HOT_PIXEL,
    ORIGIN_PARTICLE,
    ORIGIN_SKY,
    Photons,
)

Pixels = tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.int16]]

PARTICLE_RATE: Final = MappingProxyType({"EPN": 2.1, "EMOS1": 0.95, "EMOS2": 0.95})
SKY_RATE: Final = MappingProxyType({"EPN": 4.9, "EMOS1": 1.3, "EMOS2": 1.3})
"""Quiet background in the field of view, good events of 0.2-12 keV per second.

Particles of MOS as in the quiet time of 0001730201 (near solar maximum, when they are fewest).
Those of pn, and the sky through the thin
filter, are nominal.
"""

FILTER_SKY: Final = MappingProxyType({"Medium": 0.9, "Thick": 0.6})
"""Sky through a filter relative to the thin ones: thick as in the quiet time of 0001730201 (0.8
counts per second in MOS), medium nominal."""

FLARE_RESPONSE: Final = MappingProxyType({"EPN": 4.7, "EMOS1": 1.0, "EMOS2": 1.0})
"""Soft protons relative to MOS: slope of the pn against the MOS1 flaring-background series
(FBKTSR, 0.5-7.5 keV, thick filter) of 0001730201."""


def background_photons(
    observation: ObservationModel,
    exposure: ExposureModel,
    accepted: float,
    generator: np.random.Generator,
) -> list[Photons]:
    """Everything that is not a source, component after component.

    Parameters
    ----------
    observation, exposure : ObservationModel, ExposureModel
        The settings.
    accepted : float
        Share of events whose PATTERN and FLAG will be accepted.
    generator : numpy.random.Generator
        Source of random numbers.
    """
    instrument, scale = exposure.instrument, observation.background_scale / accepted
    parts = [
        _particles(exposure, PARTICLE_RATE[instrument] * scale, generator),
        _sky(
            exposure, SKY_RATE[instrument] * FILTER_SKY.get(exposure.filter, 1.0) * scale, generator
        ),
    ]
    for flare in observation.flares:
        rate = flare.amplitude * FLARE_RESPONSE[instrument] / accepted
        parts.append(_protons(exposure, flare, rate, generator))
    for i, pixel in enumerate(exposure.hot_pixels):
        parts.append(_hot_pixel(exposure, pixel, ORIGIN_HOT_PIXEL - i, generator))
    return parts


def _particles(exposure: ExposureModel, rate: float, generator: np.random.Generator) -> Photons:
    """Even over the chips, in the field of view or not: a continuum and fluorescence lines."""
    detector, lines = DETECTORS[exposure.instrument], LINES[exposure.instrument]
    expected = rate * exposure.duration * _n_pixels(detector) / detector.field_pixels
    continuum = PARTICLES[exposure.instrument]
    inside = continuum.integral(PI_MIN_EV / 1000, PI_MAX_EV / 1000)
    whole = continuum.integral(continuum.energies_kev[0], continuum.energies_kev[-1])
    share = (1 - sum(line.share for line in lines)) * whole / inside
    energies = [continuum.sample(generator, generator.poisson(expected * share))]
    holes = [np.zeros(len(energies[0]))]
    for line in lines:
        n = generator.poisson(expected * line.share)
        energies.append(blurred(np.full(n, line.energy_kev), exposure.instrument, generator))
        holes.append(np.full(n, line.hole_arcmin))
    energy, hole = np.concatenate(energies), np.concatenate(holes)
    n = len(energy)
    pixels = _any_pixel(detector, n, generator)
    time = generator.uniform(exposure.start, exposure.stop, n)
    photons = Photons(time, *pixels, pi_of(energy), np.full(n, ORIGIN_PARTICLE, np.int16))
    if not hole.any():
        return photons
    return photons.take(detector.off_axis_arcmin(*detector.detector_from_raw(*pixels)) >= hole)


def _sky(exposure: ExposureModel, rate: float, generator: np.random.Generator) -> Photons:
    """Diffuse X-rays through the telescope, each with the vignetting of its energy."""
    detector, spectrum = DETECTORS[exposure.instrument], SKY[exposure.instrument]
    density = rate / _sky_pixels(exposure.instrument)
    time, pixels, place = _in_field(detector, exposure, Constant(), density, generator)
    energy = spectrum.sample(generator, len(time))
    area = VIGNETTING[exposure.instrument].at(*place, energy)
    seen = generator.random(len(time)) < area
    pi = pi_of(blurred(energy, exposure.instrument, generator))
    return Photons(time, *pixels, pi, np.full(len(time), ORIGIN_SKY, np.int16)).take(seen)


def _protons(
    exposure: ExposureModel, flare: LightModel, rate: float, generator: np.random.Generator
) -> Photons:
    """Soft protons of a flare."""
    detector = DETECTORS[exposure.instrument]
    density = rate / _proton_pixels(exposure.instrument)
    time, pixels, place = _in_field(detector, exposure, flare, density, generator)
    pi = pi_of(PROTONS.sample(generator, len(time)))
    share = proton_vignetting(detector.off_axis_arcmin(*place))
    seen = generator.random(len(time)) < share
    return Photons(time, *pixels, pi, np.full(len(time), ORIGIN_FLARE, np.int16)).take(seen)


def _in_field(
    detector: Detector,
    exposure: ExposureModel,
    curve: LightModel,
    density: float,
    generator: np.random.Generator,
) -> tuple[Floats, Pixels, tuple[Floats, Floats]]:
    """Times, pixels, and DETX and DETY of an even illumination of the field of view.

    `density` is the rate of a pixel.
    """
    time = curve.sample(generator, density * _n_pixels(detector), exposure.start, exposure.stop)
    pixels = _any_pixel(detector, len(time), generator)
    place = detector.detector_from_raw(*pixels)
    inside = detector.in_field(*place)
    ccdnr, rawx, rawy = pixels
    pixels = ccdnr[inside], rawx[inside], rawy[inside]
    return time[inside], pixels, (place[0][inside], place[1][inside])


@cache
def _sky_pixels(instrument: str) -> float:
    """Pixels of the field of view, each weighted with the vignetting of the sky spectrum."""
    area, spectrum = VIGNETTING[instrument], SKY[instrument]
    return DETECTORS[instrument].weigh_pixels(
        lambda *place: mean_vignetting(area, spectrum, *place)
    )


@cache
def _proton_pixels(instrument: str) -> float:
    detector = DETECTORS[instrument]
    return detector.weigh_pixels(lambda *place: proton_vignetting(detector.off_axis_arcmin(*place)))


def mean_vignetting(area: Vignetting, spectrum: Spectrum, detx: Floats, dety: Floats) -> Floats:
    """Vignetting averaged over a spectrum (any shape)."""
    energy = spectrum.quantile((np.arange(64) + 0.5) / 64)
    return np.asarray(area.at_nodes(detx, dety) @ node_weights(energy).mean(axis=0))


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
    return camera.n_ccds * camera.n_columns * camera.n_rows


def _any_pixel(detector: Detector, n: int, generator: np.random.Generator) -> Pixels:
    camera = detector.camera
    ccdnr = generator.integers(1, camera.n_ccds, n, np.uint8, endpoint=True)
    rawx = generator.integers(1, camera.n_columns, n, np.int16, endpoint=True)
    rawy = generator.integers(1, camera.n_rows, n, np.int16, endpoint=True)
    return ccdnr, rawx, rawy
