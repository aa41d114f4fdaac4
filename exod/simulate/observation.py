"""Simulate the exposures of an observation, event by event.

The chain for each exposure: photons of every component at their chip pixels
(`exod.simulate.photons`) -> windows and frames of the submode -> randomisation inside pixel and
frame -> sky pixels -> PATTERN and FLAG. Not simulated: pile-up, out-of-time events, dead time,
energy resolution, the dependence of the PSF on energy and off-axis angle, and attitude drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd
from astropy.time import Time
from numpy.typing import NDArray

from exod.errors import ConfigError
from exod.events import PI_MAX_EV, PI_MIN_EV, EventList, Exposure
from exod.instruments import CAMERAS, MJDREF_TT, Camera
from exod.simulate.detector import DETECTORS, read_out
from exod.simulate.models import (
    ExposureModel,
    ObservationModel,
)
from exod.simulate.photons import ORIGIN_HOT_PIXEL, Photons, arriving_photons
from exod.simulate.truth import hot_pixel_table, source_list, truth_table

OUT_OF_FIELD: Final = 0x10000
"""FLAG bit of events outside the field of view; MOS selections reject it, the pn one does not."""

_REJECTED_BY_GATTI = 0x400000
"""FLAG bit that MOS lists carry on nearly all events above 12 keV (observation 0001730201)."""

_MOS_COMMON = (0.746, 0.122, 0.0153, 0.084, 0.015, 0.0014, 0.0018, 0.0016, 0.0018, 0.0024, 0.0018)
_MOS_PATTERNS = (*_MOS_COMMON, 0.0019, 0.0023, *(0.0002,) * 13)
_PN_PATTERNS = (0.68, 0.065, 0.045, 0.13, 0.03) + (0.00625,) * 8
"""Relative frequency of PATTERN 0, 1, 2, ... MOS as in observation 0001730201 (0.2-12 keV); pn
singles and doubles as in 0916810801, with a nominal 5 per cent above the limit of 4."""

_FLAG_SHARES: Final = MappingProxyType(
    {
        True: {0x4: 0.02, 0x8: 0.01, 0x10: 0.02, 0x20: 0.02, 0x400000: 0.01, 0x800000: 0.005},
        False: {
            0x1: 0.0015,
            0x2: 0.001,
            0x40: 0.0071,
            0x100: 0.0171,
            0x800: 0.0026,
            0x200000: 0.005,
        },
    }
)
"""Share of events with each FLAG bit, pn (True) and MOS. The harmless bits of MOS are as in
0001730201; those of pn and the bits from 0x200000 up, which selections reject, are nominal."""


@dataclass(frozen=True)
class SimulatedExposure:
    """Events of an exposure in the order of a pipeline file: chip after chip, frame after frame.

    Attributes
    ----------
    exposure : Exposure
        What the header says.
    events : EventList
        The events.
    detx, dety : ndarray of int16, shape (n_events,)
        Detector coordinates in 0.05 arcsec.
    origin : ndarray of int16, shape (n_events,)
        Index of the source in the settings; negative for background, see `exod.simulate.photons`.
    start, stop : float
        Interval of the exposure in mission elapsed seconds.
    """

    exposure: Exposure
    events: EventList
    detx: NDArray[np.int16]
    dety: NDArray[np.int16]
    origin: NDArray[np.int16]
    start: float
    stop: float

    @property
    def good(self) -> NDArray[np.bool_]:
        """Events within 0.2-12 keV with accepted PATTERN and FLAG, shape (n_events,)."""
        events, camera = self.events, self.exposure.camera
        good = (events.pi >= PI_MIN_EV) & (events.pi <= PI_MAX_EV)
        good &= events.pattern <= camera.max_pattern
        good &= (events.flag & self.exposure.flag_mask) == 0
        return np.asarray(good)


@dataclass(frozen=True)
class SimulatedObservation:
    """The outcome of `simulate`.

    Attributes
    ----------
    model : ObservationModel
        The settings.
    seed : int
        The seed.
    event_lists : tuple of SimulatedExposure
        In the order of the settings.
    source_list : pandas.DataFrame
        As an OBSMLI file has it, see `exod.simulate.truth.source_list`.
    truth : pandas.DataFrame
        One row a source, see `exod.simulate.truth.truth_table`.
    hot_pixels : pandas.DataFrame
        One row a bad pixel and episode, see `exod.simulate.truth.hot_pixel_table`.
    """

    model: ObservationModel
    seed: int
    event_lists: tuple[SimulatedExposure, ...]
    source_list: pd.DataFrame
    truth: pd.DataFrame
    hot_pixels: pd.DataFrame

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        """Headers of the exposures."""
        return tuple(simulated.exposure for simulated in self.event_lists)


def simulate(model: ObservationModel, seed: int) -> SimulatedObservation:
    """Simulate an observation; the same settings and seed give identical events.

    Parameters
    ----------
    model : ObservationModel
        The settings, for instance from `default_observation`.
    seed : int
        Seed of the random numbers, at least 0. Each exposure has its own stream, so that adding
        an exposure does not change the others.

    Raises
    ------
    ConfigError
        If the seed is negative.

    Examples
    --------
    >>> from exod.simulate import default_observation
    >>> model = default_observation("0900000101", seed=1, duration=2000.0, cameras=["EMOS1"])
    >>> observation = simulate(model, seed=1)
    >>> len(observation.event_lists[0].events) > 4000
    True
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must not be negative.")
    entropy = [int(model.obsid), seed]
    event_lists = tuple(
        _simulate_exposure(model, exposure, entropy) for exposure in model.exposures
    )
    counts = np.zeros((len(event_lists), len(model.sources)), np.int64)
    hot_times = []
    for i, simulated in enumerate(event_lists):
        origin = simulated.origin
        mine = origin[simulated.good & (origin >= 0)]
        counts[i] = np.bincount(mine, minlength=len(model.sources))
        numbers = range(len(model.exposures[i].hot_pixels))
        time = simulated.events.time
        hot_times.append([time[origin == ORIGIN_HOT_PIXEL - k] for k in numbers])
    return SimulatedObservation(
        model=model,
        seed=seed,
        event_lists=event_lists,
        source_list=source_list(model, np.random.default_rng([*entropy, 0])),
        truth=truth_table(model, counts),
        hot_pixels=hot_pixel_table(model.exposures, hot_times),
    )


def _simulate_exposure(
    model: ObservationModel, settings: ExposureModel, entropy: list[int]
) -> SimulatedExposure:
    stream = [*entropy, *f"{settings.instrument}{settings.expid}".encode()]
    generator = np.random.default_rng(stream)
    exposure = _header(model, settings)
    photons = arriving_photons(model, settings, acceptance(exposure.camera), generator)
    photons = _read_out(photons, settings, generator)
    detector = DETECTORS[settings.instrument]
    n = len(photons.time)
    dither = generator.random((2, n), np.float32) - np.float32(0.5)
    detx, dety = detector.detector_from_raw(
        photons.ccdnr, photons.rawx + dither[0], photons.rawy + dither[1]
    )
    x, y = detector.sky_from_detector(detx, dety, model.pa_pnt)
    flag = _flags(exposure.camera, photons.pi, detector.in_field(detx, dety), generator)
    events = EventList(
        time=photons.time,
        x=np.rint(x).astype(np.int32),
        y=np.rint(y).astype(np.int32),
        pi=photons.pi,
        ccdnr=photons.ccdnr,
        rawx=photons.rawx,
        rawy=photons.rawy,
        pattern=_patterns(exposure.camera, n, generator),
        flag=flag,
    )
    return SimulatedExposure(
        exposure,
        events,
        np.rint(detx).astype(np.int16),
        np.rint(dety).astype(np.int16),
        photons.origin,
        settings.start,
        settings.stop,
    )


def _read_out(photons: Photons, settings: ExposureModel, generator: np.random.Generator) -> Photons:
    """Windows, frames and drop-outs; sorted by chip and frame, with the times of the file."""
    camera = CAMERAS[settings.instrument]
    mode = read_out(camera, settings.submode)
    photons = photons.take(mode.reads(photons.ccdnr, photons.rawx, photons.rawy))
    length = mode.frame_time[photons.ccdnr]
    # The chips are read out one after the other, so their frames are staggered.
    first = settings.start + photons.ccdnr / camera.n_ccds * length
    frame = np.floor((photons.time - first) / length)
    phase: NDArray[np.float64] | float = 0.5
    if settings.randomise_times:
        phase = generator.random(len(frame))
    time = first + (frame + phase) * length
    whole = (frame >= 0) & (first + (frame + 1) * length <= settings.stop)
    for dropout in settings.dropouts:
        off = np.isin(photons.ccdnr, dropout.ccds)
        whole &= ~(off & (time >= dropout.start) & (time < dropout.stop))
    whole &= ~_repeated(photons, frame)
    order = np.lexsort((frame[whole], photons.ccdnr[whole]))
    photons = photons.take(np.flatnonzero(whole)[order])
    return Photons(
        time[whole][order],
        photons.ccdnr,
        photons.rawx,
        photons.rawy,
        photons.pi,
        photons.origin,
    )


def _repeated(photons: Photons, frame: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Second and later events of a hot pixel in one frame."""
    repeated = np.zeros(len(frame), bool)
    hot = np.flatnonzero(photons.origin <= ORIGIN_HOT_PIXEL)
    order = hot[np.lexsort((frame[hot], photons.origin[hot]))]
    same = (np.diff(frame[order]) == 0) & (np.diff(photons.origin[order]) == 0)
    repeated[order[1:][same]] = True
    return repeated


def _header(model: ObservationModel, settings: ExposureModel) -> Exposure:
    camera = CAMERAS[settings.instrument]
    kind = "PIEVLI" if camera.is_pn else "MIEVLI"
    return Exposure(
        obsid=model.obsid,
        expid=settings.expid,
        instrument=settings.instrument,
        submode=settings.submode,
        datamode="IMAGING",
        filter=settings.filter,
        revolution=model.revolution,
        target=model.target,
        date_obs=utc_date(settings.start),
        elapsed=settings.duration,
        ra_pnt=model.ra_pnt,
        dec_pnt=model.dec_pnt,
        pa_pnt=model.pa_pnt,
        flag_mask=camera.flag_mask,
        plane=model.plane,
        time_system="TT",
        filename=f"P{model.obsid}{camera.short}{settings.expid}{kind}0000.FTZ",
    )


def utc_date(time: float) -> str:
    """Mission elapsed seconds as a UTC date, ISO 8601.

    Examples
    --------
    >>> utc_date(809873689.94)  # TSTART of 0916810801
    '2023-08-31T12:53:41'
    """
    date = Time(MJDREF_TT, time / 86400, format="mjd", scale="tt", precision=0).utc
    return str(date.isot)


def acceptance(camera: Camera) -> float:
    """Share of simulated events whose random PATTERN and FLAG are accepted."""
    patterns = np.array(_PN_PATTERNS if camera.is_pn else _MOS_PATTERNS)
    accepted = patterns[: camera.max_pattern + 1].sum() / patterns.sum()
    for bit, share in _FLAG_SHARES[camera.is_pn].items():
        if bit & camera.flag_mask:
            accepted *= 1 - share
    return float(accepted)


def _patterns(camera: Camera, n: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    edges = np.cumsum(_PN_PATTERNS if camera.is_pn else _MOS_PATTERNS)
    pattern = np.searchsorted(edges / edges[-1], generator.random(n), side="right")
    return pattern.astype(np.uint8)


def _flags(
    camera: Camera,
    pi: NDArray[np.int16],
    in_field: NDArray[np.bool_],
    generator: np.random.Generator,
) -> NDArray[np.int32]:
    flag = np.where(in_field, 0, OUT_OF_FIELD).astype(np.int32)
    if not camera.is_pn:
        flag[pi > PI_MAX_EV] |= _REJECTED_BY_GATTI
    for bit, share in _FLAG_SHARES[camera.is_pn].items():
        flag[generator.random(len(pi), np.float32) < share] |= bit
    return flag
