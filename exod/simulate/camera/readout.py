"""From photons to events of a file: windows, frames, pixels, sky positions, PATTERN, FLAG."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.instruments import CAMERAS
from exod.instruments.detector import DETECTORS, read_out
from exod.instruments.epic import PI_MAX_EV, EpicCamera
from exod.observation.events import EventList
from exod.schemas.arrays import Floats, Mask
from exod.simulate.camera.pileup import MORE_PIXELS, TWO_PIXELS, pile_up
from exod.simulate.models import ExposureModel
from exod.simulate.photons import ORIGIN_HOT_PIXEL, Photons

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
class ReadEvents:
    """Events in the order of a pipeline file: chip after chip, frame after frame.

    Attributes
    ----------
    events : EventList
        The events.
    detx, dety : ndarray of int16, shape (n_events,)
        Detector coordinates in 0.05 arcsec.
    origin : ndarray of int16, shape (n_events,)
        Index of the source in the settings; negative for background, see `exod.simulate.photons`.
    """

    events: EventList
    detx: NDArray[np.int16]
    dety: NDArray[np.int16]
    origin: NDArray[np.int16]


def read_events(
    photons: Photons, exposure: ExposureModel, pa_pnt: float, generator: np.random.Generator
) -> ReadEvents:
    """What the camera and the pipeline make of photons, whether all of an exposure or of a source.

    Parameters
    ----------
    photons : Photons
        In any order.
    exposure : ExposureModel
        Camera, times, submode, drop-outs.
    pa_pnt : float
        Position angle of the pointing (PA_PNT) in degrees.
    generator : numpy.random.Generator
        Source of random numbers.

    Raises
    ------
    ConfigError
        If the simulator does not know the submode.
    """
    camera = CAMERAS[exposure.instrument]
    photons, spread = _read_out(photons, exposure, generator)
    detector = DETECTORS[exposure.instrument]
    n = len(photons.time)
    dither = generator.random((2, n), np.float32) - np.float32(0.5)
    detx, dety = detector.detector_from_raw(
        photons.ccdnr, photons.rawx + dither[0], photons.rawy + dither[1]
    )
    x, y = detector.sky_from_detector(detx, dety, pa_pnt)
    flag = _flags(camera, photons.pi, detector.in_field(detx, dety), generator)
    events = EventList(
        time=photons.time,
        x=np.rint(x).astype(np.int32),
        y=np.rint(y).astype(np.int32),
        pi=photons.pi,
        ccdnr=photons.ccdnr,
        rawx=photons.rawx,
        rawy=photons.rawy,
        pattern=_patterns(camera, spread, generator),
        flag=flag,
    )
    return ReadEvents(
        events, np.rint(detx).astype(np.int16), np.rint(dety).astype(np.int16), photons.origin
    )


def _read_out(
    photons: Photons, settings: ExposureModel, generator: np.random.Generator
) -> tuple[Photons, NDArray[np.uint8]]:
    """Windows, frames, drop-outs and pile-up: events in the order of the file, and their spread.

    The times are those of the file.
    """
    camera = CAMERAS[settings.instrument]
    mode = read_out(camera, settings.submode)
    photons = _smeared(photons, mode.out_of_time, camera.n_rows, generator)
    photons = photons.take(mode.reads(photons.ccdnr, photons.rawx, photons.rawy))
    length = mode.frame_time[photons.ccdnr]
    # The chips are read out one after the other, so their frames are staggered.
    first = settings.start + photons.ccdnr / camera.n_ccds * length
    frame = np.floor((photons.time - first) / length)
    phase: Floats | float = 0.5
    if settings.randomise_times:
        phase = generator.random(len(frame))
    time = first + (frame + phase) * length
    whole = (frame >= 0) & (first + (frame + 1) * length <= settings.stop)
    for dropout in settings.dropouts:
        off = np.isin(photons.ccdnr, dropout.ccds)
        whole &= ~(off & (time >= dropout.start) & (time < dropout.stop))
    whole &= ~_repeated(photons, frame)
    photons, frame = replace(photons, time=time).take(whole), frame[whole].astype(np.int64)
    piled = pile_up(photons, frame)
    photons = replace(photons.take(piled.kept), pi=piled.pi)
    order = np.lexsort((frame[piled.kept], photons.ccdnr))
    return photons.take(order), piled.spread[order]


def _smeared(
    photons: Photons, share: float, n_rows: int, generator: np.random.Generator
) -> Photons:
    """Photons with `share` of them (not of the bad pixels) anywhere along their column."""
    if not share:
        return photons
    late = generator.random(len(photons.time), np.float32) < share
    late &= photons.origin > ORIGIN_HOT_PIXEL
    rawy = photons.rawy.copy()
    rawy[late] = generator.integers(1, n_rows, int(late.sum()), np.int16, endpoint=True)
    return replace(photons, rawy=rawy)


def _repeated(photons: Photons, frame: Floats) -> Mask:
    """Second and later events of a hot pixel in one frame."""
    repeated = np.zeros(len(frame), bool)
    hot = np.flatnonzero(photons.origin <= ORIGIN_HOT_PIXEL)
    order = hot[np.lexsort((frame[hot], photons.origin[hot]))]
    same = (np.diff(frame[order]) == 0) & (np.diff(photons.origin[order]) == 0)
    repeated[order[1:][same]] = True
    return repeated


def acceptance(camera: EpicCamera) -> float:
    """Share of simulated events whose random PATTERN and FLAG are accepted."""
    patterns = np.array(_PN_PATTERNS if camera.is_pn else _MOS_PATTERNS)
    accepted = patterns[: camera.max_pattern + 1].sum() / patterns.sum()
    for bit, share in _FLAG_SHARES[camera.is_pn].items():
        if bit & camera.flag_mask:
            accepted *= 1 - share
    return float(accepted)


def _patterns(
    camera: EpicCamera, spread: NDArray[np.uint8], generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Random patterns; of piled-up events doubles, or no X-ray's if more pixels are hit."""
    edges = np.cumsum(_PN_PATTERNS if camera.is_pn else _MOS_PATTERNS)
    share = generator.random(len(spread))
    pattern = np.searchsorted(edges / edges[-1], share, side="right").astype(np.uint8)
    double = (spread == TWO_PIXELS) & (pattern == 0)
    pattern[double] = generator.integers(1, 4, int(double.sum()), np.uint8, endpoint=True)
    pattern[spread == MORE_PIXELS] = camera.max_pattern + 1
    return pattern


def _flags(
    camera: EpicCamera, pi: NDArray[np.int16], in_field: Mask, generator: np.random.Generator
) -> NDArray[np.int32]:
    flag = np.where(in_field, 0, OUT_OF_FIELD).astype(np.int32)
    if not camera.is_pn:
        flag[pi > PI_MAX_EV] |= _REJECTED_BY_GATTI
    for bit, share in _FLAG_SHARES[camera.is_pn].items():
        flag[generator.random(len(pi), np.float32) < share] |= bit
    return flag
