"""Event lists: the photons of an exposure, and which are used (method.md, Event selection)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.errors import ExposureRejected
from exod.instruments import Instrument, instrument_of
from exod.observation.livetime import LiveTimes
from exod.observation.times import PIPELINE_TIME, TimeFrame
from exod.sky.plane import TangentPlane

NO_POSITION: Final = -99999999
"""X and Y of events without a position on the sky (TNULL of these columns in PPS event lists)."""


@dataclass(frozen=True)
class Exposure:
    """What the header of an event list says of its exposure.

    Attributes
    ----------
    obsid : str
        Observation identifier.
    expid : str
        Exposure identifier, for instance ``"S001"``.
    instrument : str
        Name of the camera in `exod.instruments.INSTRUMENTS`.
    submode, datamode, filter : str
        Read-out mode and blocking filter.
    revolution : int
        Revolution of the satellite; -1 when the header does not say.
    target : str
        Name of the target.
    date_obs : str
        Start of the exposure, UTC, ISO 8601.
    elapsed : float
        TELAPSE in seconds; NaN when the header does not say.
    ra_pnt, dec_pnt, pa_pnt : float
        Pointing and position angle in degrees; NaN when the header does not say.
    flag_mask : int
        Bits of FLAG that must be zero for a good event.
    plane : TangentPlane
        Projection of X and Y.
    sky_extent : int
        Sky pixels along X and along Y; they are counted from 0 or 1.
    time_system : str
        TIMESYS: TT, or TDB for barycentred lists.
    filename : str
        Base name of the file, for the record.
    clock : TimeFrame
        How times count.
    start, stop : float
        TSTART and TSTOP in mission elapsed seconds; NaN when the header does not say.
    notes : tuple of str
        What is unusual about the file, one sentence each.
    live : LiveTimes
        When its CCDs were live, as far as the file records it.
    frame_time : float or None
        Integration time of a frame in seconds, where the header says it.
    """

    obsid: str
    expid: str
    instrument: str
    submode: str
    datamode: str
    filter: str
    revolution: int
    target: str
    date_obs: str
    elapsed: float
    ra_pnt: float
    dec_pnt: float
    pa_pnt: float
    flag_mask: int
    plane: TangentPlane
    sky_extent: int
    time_system: str
    filename: str
    clock: TimeFrame = PIPELINE_TIME
    start: float = np.nan
    stop: float = np.nan
    notes: tuple[str, ...] = ()
    live: LiveTimes = field(default_factory=LiveTimes)
    frame_time: float | None = None

    @property
    def camera(self) -> Instrument:
        """What is known of the camera."""
        return _camera_of(self.instrument, self.frame_time)

    def is_good(self, events: EventList) -> NDArray[np.bool_]:
        """X-ray events by energy, pattern and quality bits, shape (n_events,)."""
        return self.camera.is_good(events, self.flag_mask)


@lru_cache(maxsize=64)
def _camera_of(name: str, frame_time: float | None) -> Instrument:
    camera = instrument_of(name)
    return camera if frame_time is None else replace(camera, frame_time=frame_time)


@dataclass(frozen=True)
class EventList:
    """Columns of an EVENTS table; all arrays have shape (n_events,).

    Attributes
    ----------
    time : ndarray of float64
        Mission elapsed time in seconds, see `exod.observation.times`.
    x, y : ndarray of int32
        Sky pixels; `NO_POSITION` where the event has none.
    pi : ndarray of int16
        Energy in eV.
    ccdnr : ndarray of uint8
        CCD number, from 1.
    rawx, rawy : ndarray of int16
        Detector pixel, from 1.
    pattern : ndarray of uint8
        Pattern of the charge distribution.
    flag : ndarray of int32
        Quality bits.
    """

    time: NDArray[np.float64]
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    pi: NDArray[np.int16]
    ccdnr: NDArray[np.uint8]
    rawx: NDArray[np.int16]
    rawy: NDArray[np.int16]
    pattern: NDArray[np.uint8]
    flag: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def empty(cls) -> EventList:
        """A list without events."""
        return cls(**{name: np.empty(0, dtype) for name, dtype in EVENT_DTYPES.items()})

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> EventList:
        """The events that a boolean mask or an index array of shape (n,) selects."""
        return EventList(*(getattr(self, f.name)[which] for f in fields(self)))

    def sorted_by_time(self) -> EventList:
        """The same events in order of time, ties kept in their order."""
        if np.all(self.time[1:] >= self.time[:-1]):
            return self
        return self.take(np.argsort(self.time, kind="stable"))


EVENT_DTYPES = {
    "time": "f8",
    "x": "i4",
    "y": "i4",
    "pi": "i2",
    "ccdnr": "u1",
    "rawx": "i2",
    "rawy": "i2",
    "pattern": "u1",
    "flag": "i4",
}
"""Columns of an `EventList` with their dtypes; the FITS columns have the same names in capitals."""


@dataclass(frozen=True)
class SelectedEvents:
    """Events of an exposure after the selection, before and after the spatial cuts.

    Attributes
    ----------
    exposure : Exposure
        The exposure.
    events : EventList
        Selected events in order of time.
    time_min, time_max : float
        First and last time after the energy, pattern and flag cuts, in seconds.
    n_rows : int
        Rows of the event list.
    notes : tuple of str
        What was unusual, one sentence each.
    """

    exposure: Exposure
    events: EventList
    time_min: float
    time_max: float
    n_rows: int
    notes: tuple[str, ...] = ()


def select_events(
    exposure: Exposure, events: EventList, *, use_flags: bool = True
) -> SelectedEvents:
    """Apply steps 1 to 6 and 8 (method.md, Event selection).

    Hot pixels, step 7, are found by `exod.observation.hotpixels`.

    Parameters
    ----------
    exposure : Exposure
        Header of the event list.
    events : EventList
        All rows, in any order.
    use_flags : bool
        Whether to apply the quality flags.

    Returns
    -------
    SelectedEvents
        With events in order of time; those of equal time in the order of the file.

    Raises
    ------
    ExposureRejected
        If the submode is not supported or no event is left; the text says which.
    """
    name, camera = exposure.filename, exposure.camera
    if exposure.submode not in camera.submodes:
        raise ExposureRejected(
            f"{name} was taken in submode {exposure.submode or '(none)'}, which is not supported."
        )
    n_rows, notes = len(events), []
    if not np.isfinite(events.time).all():
        finite = np.isfinite(events.time)
        notes.append(f"{name}: {n_rows - int(finite.sum())} events without a time were dropped.")
        events = events.take(finite)
    good = camera.is_good(events, exposure.flag_mask if use_flags else 0)
    if not good.any():
        raise ExposureRejected(
            f"{name} has no events left of {n_rows} after the energy, pattern and flag cuts."
        )
    time_min, time_max = float(events.time[good].min()), float(events.time[good].max())
    good &= camera.is_usable(events, exposure.submode)
    if not good.any():
        raise ExposureRejected(
            f"{name} has events only where its detector is not used in {exposure.submode}."
        )
    good &= (events.x != NO_POSITION) & (events.y != NO_POSITION)
    if not good.any():
        raise ExposureRejected(f"{name} has no events left of {n_rows} after the selection.")
    return SelectedEvents(
        exposure, events.take(good).sorted_by_time(), time_min, time_max, n_rows, tuple(notes)
    )
