"""What the search asks of an instrument and of its observatory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.instruments.king import KingProfile
from exod.schemas.arrays import Floats, Integers, Mask


class EventColumns(Protocol):
    """Columns of an event list that selections look at, arrays of shape (n_events,).

    `exod.observation.events.EventList` has them and says what they hold.
    """

    @property
    def pi(self) -> NDArray[np.int16]:
        """Energy in eV."""

    @property
    def ccdnr(self) -> NDArray[np.uint8]:
        """CCD number, from 1."""

    @property
    def rawx(self) -> NDArray[np.int16]:
        """Column on the CCD, from 1."""

    @property
    def rawy(self) -> NDArray[np.int16]:
        """Row on the CCD, from 1."""

    @property
    def pattern(self) -> NDArray[np.uint8]:
        """Pattern or grade of the charge distribution."""

    @property
    def flag(self) -> NDArray[np.int32]:
        """Quality bits."""


class PointSpreadFunction(Protocol):
    """How a telescope spreads the light of a point source."""

    @property
    def reach_arcsec(self) -> float:
        """Radius that holds all photons."""

    def encircled(
        self, radius_arcsec: ArrayLike, energy_kev: ArrayLike, off_axis_arcmin: ArrayLike = 0.0
    ) -> Floats:
        """Share of the photons within a radius, by energy and off-axis angle (any shape)."""


@dataclass(frozen=True)
class Observatory:
    """What the instruments of one observatory have in common.

    Attributes
    ----------
    name : str
        TELESCOP keyword.
    position_psf : KingProfile
        Typical profile that positions are fitted with; of slope 1.5, whose integral over a
        rectangle is known.
    attitude_error_arcsec : float
        Systematic error of positions that no reference catalogue has corrected.
    photon_shares : tuple of (PointSpreadFunction, float)
        Relative number of the photons of a source that each of its telescopes collects.
    """

    name: str
    position_psf: KingProfile
    attitude_error_arcsec: float
    photon_shares: tuple[tuple[PointSpreadFunction, float], ...]


@dataclass(frozen=True, kw_only=True)
class Instrument(ABC):
    """A camera whose event lists can be searched.

    Attributes
    ----------
    name : str
        INSTRUME keyword, or what a reader makes of it.
    observatory : Observatory
        The observatory that carries it.
    colour, line : str
        Colour and style of lines in pictures, as Matplotlib names them.
    submodes : frozenset of str
        Read-out modes that can be searched.
    sky_extent : int
        Sky pixels along X and along Y where the header of an event list does not say.
    n_ccds : int
        Number of CCDs.
    n_columns, n_rows : int
        Columns and rows of a CCD.
    pixel_arcsec : float
        Size of a detector pixel on the sky.
    frame_time : float
        Integration time of a full frame, seconds.
    core : KingProfile
        On-axis profile near the centre, against which hot pixels are told from sources.
    psf : PointSpreadFunction
        Point spread function.
    flag_mask : int
        Bits of FLAG that must be zero when the header does not say.
    dropout_groups : tuple of tuples of int
        Equally many CCDs that drop out together; empty if they do not. Frames in which a group is
        silent are off, and so are those that follow.
    """

    name: str
    observatory: Observatory
    colour: str
    line: str
    submodes: frozenset[str]
    sky_extent: int
    n_ccds: int
    n_columns: int
    n_rows: int
    pixel_arcsec: float
    frame_time: float
    core: KingProfile
    psf: PointSpreadFunction
    flag_mask: int
    dropout_groups: tuple[tuple[int, ...], ...] = ()

    @property
    @abstractmethod
    def limits(self) -> Mapping[str, tuple[int, int]]:
        """Lowest and highest value that columns of `EventColumns` have, by their names."""

    @abstractmethod
    def ccd_numbers(self, ccdnr: ArrayLike) -> Integers:
        """CCDs from 1 by CCDNR, which may tell more than the CCD (any shape)."""

    @abstractmethod
    def is_good(self, events: EventColumns, flag_mask: int) -> Mask:
        """X-ray events by energy, pattern and quality bits, shape (n_events,)."""

    @abstractmethod
    def is_usable(self, events: EventColumns, submode: str) -> Mask:
        """Events where the detector is used in a submode, shape (n_events,)."""
