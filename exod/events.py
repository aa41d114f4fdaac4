"""Event lists: the photons of one exposure, and which of them the search uses (METHOD 2)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from exod.errors import ExposureRejected
from exod.instruments import CAMERAS, NULL_SKY_PIXEL, PN_BAD_ROWS, Camera
from exod.sky import TangentPlane

PI_MIN_EV = 200
PI_MAX_EV = 12000
"""Energies outside this closed range are never used, eV (METHOD 2.1)."""


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
