"""Settings of a simulated observation: exposures, sources, background, defects.

Everything is frozen and checked when it is made, so that a wrong value is reported by name before
anything is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Self

import numpy as np

from exod.errors import ConfigError
from exod.instruments import CAMERAS, EPN, INSTRUMENTS
from exod.instruments.detector import DETECTORS, Detector, read_out
from exod.instruments.vignetting import VIGNETTING
from exod.observation.availability import Availability
from exod.observation.commonsky import sky_plane
from exod.observation.identifiers import validate_xmm_obsid
from exod.schemas.arrays import Floats
from exod.simulate.camera.spectra import lognormal_quantile
from exod.simulate.lights.lightmodels import Constant, LightModel, SoftProtonFlare
from exod.sky.plane import TangentPlane

TYPICAL_RATES: Final = MappingProxyType({"EPN": 1.0, "EMOS1": 0.35, "EMOS2": 0.35})
"""Rates of a source relative to pn. The MOS telescopes pass 44 per cent of their light to the
cameras (UHB section 3.3), and MOS is less sensitive below 1 keV."""

LARGEST_RATE: Final = 1e4
"""Counts per second of a source, at most."""

REVOLUTION_SECONDS: Final = 172_335.0
REVOLUTION_ZERO: Final = 1.00529502e8 - 229 * REVOLUTION_SECONDS
"""Mean length of a revolution and mission time of revolution 0, from TSTART and REVOLUT of
observations 0001730201 (revolution 229) and 0916810801 (4345)."""


def require(name: str, value: float, low: float, high: float) -> None:
    """Raise a ConfigError that names a value outside of its limits."""
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value:g}; it must be between {low:g} and {high:g}.")


@dataclass(frozen=True)
class SourceModel:
    """A source of X-rays.

    Attributes
    ----------
    name : str
        Unique in an observation.
    ra_deg, dec_deg : float
        Position (J2000) in degrees.
    rate : mapping of str to float
        By INSTRUME: good events (0.2-12 keV, pattern and flags accepted) per second on axis, in
        the whole PSF, where the relative rate of the light curve is 1.
    light_curve : LightModel
        How the rate varies.
    extent_arcsec : float
        Standard deviation of a Gaussian source, before the PSF; 0 for a point source.
    energy_kev : float
        Median photon energy; the spectrum is log-normal.
    """

    name: str
    ra_deg: float
    dec_deg: float
    rate: Mapping[str, float]
    light_curve: LightModel = field(default_factory=Constant)
    extent_arcsec: float = 0.0
    energy_kev: float = 1.2

    def __post_init__(self) -> None:
        for instrument, rate in self.rate.items():
            if instrument not in INSTRUMENTS:
                raise ConfigError(f"Source {self.name}: unknown camera {instrument!r}.")
            require(f"Source {self.name}: rate in {instrument}", rate, 0, LARGEST_RATE)
        require(f"Source {self.name}: ra_deg", self.ra_deg, 0, 360)
        require(f"Source {self.name}: dec_deg", self.dec_deg, -90, 90)
        require(f"Source {self.name}: extent_arcsec", self.extent_arcsec, 0, 600)
        require(f"Source {self.name}: energy_kev", self.energy_kev, 0.2, 12)

    @classmethod
    def burst(
        cls,
        name: str,
        ra_deg: float,
        dec_deg: float,
        counts: Mapping[str, float],
        light_curve: LightModel,
        energy_kev: float = 1.2,
    ) -> Self:
        """A burst given by its expected counts on axis, by INSTRUME, instead of a rate."""
        duration = light_curve.integral(-1e12, 1e12)
        rate = {instrument: n / duration for instrument, n in counts.items()}
        return cls(name, ra_deg, dec_deg, rate, light_curve, energy_kev=energy_kev)


@dataclass(frozen=True)
class HotPixel:
    """A detector pixel that gives events by itself, at most one a frame.

    Attributes
    ----------
    ccdnr, rawx, rawy : int
        The pixel.
    rate : float
        Events per second while it is on.
    episodes : tuple of (float, float)
        Start and stop of the times when it is on, seconds; empty for always.
    """

    ccdnr: int
    rawx: int
    rawy: int
    rate: float
    episodes: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        name = f"Hot pixel {self.ccdnr}/{self.rawx}/{self.rawy}"
        require(f"{name}: rate", self.rate, 0, 1e4)
        for start, stop in self.episodes:
            if not start < stop:
                raise ConfigError(f"{name}: an episode from {start:g} to {stop:g} s is impossible.")


@dataclass(frozen=True)
class DropOut:
    """CCDs that give no events for a while.

    Attributes
    ----------
    ccds : tuple of int
        CCD numbers.
    start, stop : float
        Seconds.
    recorded : bool
        Whether the good times of the event list tell of it.
    """

    ccds: tuple[int, ...]
    start: float
    stop: float
    recorded: bool = True

    def __post_init__(self) -> None:
        if not self.start < self.stop:
            raise ConfigError(
                f"Drop-out of CCDs {self.ccds}: stop {self.stop:g} must be after {self.start:g}."
            )

    @classmethod
    def quadrant(cls, quadrant: int, start: float, stop: float) -> Self:
        """A drop-out of pn quadrant 0, 1, 2 or 3."""
        return cls(EPN.dropout_groups[quadrant], start, stop)


@dataclass(frozen=True)
class ExposureModel:
    """One exposure of one camera.

    Attributes
    ----------
    instrument, expid : str
        Camera (INSTRUME) and identifier, for instance ``"S003"``.
    start, duration : float
        Mission elapsed time and length in seconds.
    submode, filter : str
        Read-out mode and filter; `exod.instruments.detector.read_out` knows the submodes.
    hot_pixels : tuple of HotPixel
        Defects.
    dropouts : tuple of DropOut
        Interruptions.
    randomise_times : bool
        Spread times evenly over the frame, as the pipeline does; otherwise they are frame centres.
    """

    instrument: str
    expid: str
    start: float
    duration: float
    submode: str = "PrimeFullWindow"
    filter: str = "Thin1"
    hot_pixels: tuple[HotPixel, ...] = ()
    dropouts: tuple[DropOut, ...] = ()
    randomise_times: bool = True

    def __post_init__(self) -> None:
        if self.instrument not in CAMERAS:
            raise ConfigError(
                f"Exposure {self.expid}: unknown camera {self.instrument!r}; "
                f"use one of {', '.join(CAMERAS)}."
            )
        if len(self.expid) != 4 or not (self.expid[0] in "SUX" and self.expid[1:].isdigit()):
            raise ConfigError(f"Exposure {self.expid!r} must look like S003 or U002.")
        require(f"Exposure {self.expid}: duration", self.duration, 1, 1e6)
        require(f"Exposure {self.expid}: start", self.start, 0, 2e9)
        camera = CAMERAS[self.instrument]
        windows = read_out(camera, self.submode).windows
        for pixel in self.hot_pixels:
            name = f"Exposure {self.expid}: hot pixel"
            require(f"{name} ccdnr", pixel.ccdnr, 1, camera.n_ccds)
            x_lo, x_hi, y_lo, y_hi = (int(edge) for edge in windows[pixel.ccdnr])
            require(f"{name} rawx", pixel.rawx, x_lo, x_hi)
            require(f"{name} rawy", pixel.rawy, y_lo, y_hi)
        for dropout in self.dropouts:
            for ccdnr in dropout.ccds:
                require(f"Exposure {self.expid}: drop-out of CCD", ccdnr, 1, camera.n_ccds)

    @property
    def stop(self) -> float:
        """End of the exposure, seconds."""
        return self.start + self.duration

    @property
    def availability(self) -> Availability:
        """When the CCDs give events, as is recorded: always but for drop-outs."""
        good_times = {}
        for ccdnr in range(1, CAMERAS[self.instrument].n_ccds + 1):
            edges = [self.start]
            for dropout in sorted(self.dropouts, key=lambda item: item.start):
                mine = ccdnr in dropout.ccds and dropout.recorded
                if mine and dropout.stop > edges[-1]:
                    edges += [max(dropout.start, edges[-1]), dropout.stop]
            edges.append(max(self.stop, edges[-1]))
            good_times[ccdnr] = np.reshape(edges, (-1, 2))
        return Availability(self.start, self.stop, good_times)


@dataclass(frozen=True)
class ObservationModel:
    """A whole observation.

    Attributes
    ----------
    obsid : str
        Ten digits.
    ra_pnt, dec_pnt, pa_pnt : float
        Pointing and position angle, degrees.
    exposures : tuple of ExposureModel
        At least one.
    sources : tuple of SourceModel
        Every one in the field of view of at least one exposure.
    flares : tuple of SoftProtonFlare
        Seen by all exposures.
    background_scale : float
        Factor on the particle and sky background.
    revolution : int
        Revolution of the satellite.
    target : str
        OBJECT keyword.
    plane : TangentPlane
        Sky pixels of the pointing, which follows from the above.
    """

    obsid: str
    ra_pnt: float
    dec_pnt: float
    pa_pnt: float
    exposures: tuple[ExposureModel, ...]
    sources: tuple[SourceModel, ...] = ()
    flares: tuple[SoftProtonFlare, ...] = ()
    background_scale: float = 1.0
    revolution: int = 2500
    target: str = "Simulated field"
    plane: TangentPlane = field(init=False, repr=False)

    def __post_init__(self) -> None:
        validate_xmm_obsid(self.obsid)
        require("ra_pnt", self.ra_pnt, 0, 360)
        require("dec_pnt", self.dec_pnt, -90, 90)
        require("pa_pnt", self.pa_pnt, -360, 720)
        require("background_scale", self.background_scale, 0, 1000)
        object.__setattr__(self, "plane", sky_plane(self.ra_pnt, self.dec_pnt))
        if not self.exposures:
            raise ConfigError(f"Observation {self.obsid} has no exposure.")
        keys = [(exposure.instrument, exposure.expid) for exposure in self.exposures]
        names = [source.name for source in self.sources]
        for what, items in (("exposure", keys), ("source", names)):
            if len(set(items)) != len(items):
                raise ConfigError(f"Observation {self.obsid} has the same {what} twice: {items}.")
        for source in self.sources:
            if not any(self.area(source, exposure) > 0 for exposure in self.exposures):
                raise ConfigError(
                    f"Source {source.name} at RA {source.ra_deg:.4f}, Dec {source.dec_deg:.4f} is "
                    f"outside the field of view of observation {self.obsid}."
                )

    def on_chips(self, x: Floats, y: Floats, *, sent: bool = False) -> bool:
        """Whether sky pixels are in the field and on chips (in rows `sent` to ground) of all."""
        for exposure in self.exposures:
            detector = DETECTORS[exposure.instrument]
            place = detector.detector_from_sky(x, y, self.pa_pnt)
            ccdnr, _, rawy = detector.raw_from_detector(*place)
            first = detector.camera.first_row if sent else 1
            if not (np.all((ccdnr > 0) & (rawy >= first)) and np.all(detector.in_field(*place))):
                return False
        return True

    def area(self, source: SourceModel, exposure: ExposureModel) -> float:
        """Vignetting at the source; 0 outside the field of view."""
        return source_area(source, DETECTORS[exposure.instrument], self.plane, self.pa_pnt)


def source_area(
    source: SourceModel, detector: Detector, plane: TangentPlane, pa_pnt: float
) -> float:
    """Effective area at a source relative to the axis, averaged over its spectrum.

    0 outside the field of view.
    """
    x, y = plane.to_pixel(source.ra_deg, source.dec_deg)
    if not (np.isfinite(x) and np.isfinite(y)):
        return 0.0
    position = detector.detector_from_sky(x, y, pa_pnt)
    if not detector.in_field(*position):
        return 0.0
    energy = lognormal_quantile(source.energy_kev, (np.arange(64) + 0.5) / 64)
    return float(VIGNETTING[detector.camera.name].at(*position, energy).mean())
