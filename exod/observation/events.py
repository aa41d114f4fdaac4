"""Event lists: the photons of an exposure, and which are used (method.md, Event selection)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from exod.errors import ExposureRejected
from exod.instruments.cameras import CAMERAS, NULL_SKY_PIXEL, PN_BAD_ROWS, Camera
from exod.sky.plane import TangentPlane

PI_MIN_EV = 200
PI_MAX_EV = 12000
"""Energies outside this closed range are never used, eV (method.md, Event selection, step 1)."""


@dataclass(frozen=True)
class Exposure:
    """What the header of an event list says of its exposure.

    Attributes
    ----------
    obsid : str
        Observation identifier, ten digits.
    expid : str
        Exposure identifier, for instance ``"S001"``.
    instrument : str
        ``"EPN"``, ``"EMOS1"`` or ``"EMOS2"``.
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
    time_system : str
        TIMESYS: TT, or TDB for barycentred lists.
    filename : str
        Base name of the file, for the record.
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
    time_system: str
    filename: str

    @property
    def camera(self) -> Camera:
        """Constants of the camera."""
        return CAMERAS[self.instrument]


@dataclass(frozen=True)
class EventList:
    """Columns of an EVENTS table; all arrays have shape (n_events,).

    Attributes
    ----------
    time : ndarray of float64
        Mission elapsed time in seconds.
    x, y : ndarray of int32
        Sky pixels of 0.05 arcsec; -99999999 where the event has no position.
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
    good = _good_quality(events, camera, exposure.flag_mask if use_flags else 0)
    if not good.any():
        raise ExposureRejected(
            f"{name} has no events left of {n_rows} after the energy, pattern and flag cuts."
        )
    time_min, time_max = float(events.time[good].min()), float(events.time[good].max())
    good &= _in_window(events, exposure)
    if not good.any() and not camera.is_pn and exposure.submode != "PrimeFullWindow":
        raise ExposureRejected(
            f"{name} has events on the central CCD only, which is not used in {exposure.submode}."
        )
    good &= (events.x != NULL_SKY_PIXEL) & (events.y != NULL_SKY_PIXEL)
    if not good.any():
        raise ExposureRejected(f"{name} has no events left of {n_rows} after the selection.")
    return SelectedEvents(
        exposure, events.take(good).sorted_by_time(), time_min, time_max, n_rows, tuple(notes)
    )


def _good_quality(events: EventList, camera: Camera, flag_mask: int) -> NDArray[np.bool_]:
    """Energy, pattern and flag cuts (method.md, Event selection, steps 1 and 2)."""
    good = (events.pi >= PI_MIN_EV) & (events.pi <= PI_MAX_EV)
    good &= events.pattern <= camera.max_pattern
    if flag_mask:
        good &= (events.flag & flag_mask) == 0
    return good


def _in_window(events: EventList, exposure: Exposure) -> NDArray[np.bool_]:
    """Bad rows and borders of pn, central CCD of MOS (method.md, Event selection, steps 4 to 6)."""
    if not exposure.camera.is_pn:
        if exposure.submode == "PrimeFullWindow":
            return np.ones(len(events), bool)
        return events.ccdnr != 1
    keep = (events.rawx > 4) & (events.rawx < 61) & (events.rawy < 197)
    if exposure.submode.startswith("PrimeFullWindow"):
        keep &= events.rawy > 23
    for ccdnr, rawx in PN_BAD_ROWS:
        keep &= (events.ccdnr != ccdnr) | (events.rawx != rawx)
    return keep
