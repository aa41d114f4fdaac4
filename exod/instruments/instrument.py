"""What the search asks of an instrument and of its observatory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
    def time(self) -> NDArray[np.float64]:
        """Seconds."""

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
class Zone:
    """A ring of the field that is searched on its own, in cells that fit the PSF there.

    Attributes
    ----------
    inner_arcmin, outer_arcmin : float
        Its edges, from the pointing direction; it takes in `margin_arcsec` on both sides, so that
        no source is cut.
    margin_arcsec : float
        What neighbours share.
    cell_scale : float
        Width of its cells over that of the settings.
    off_axis_arcmin : float
        Typical angle from the axis.
    """

    inner_arcmin: float
    outer_arcmin: float
    margin_arcsec: float
    cell_scale: float
    off_axis_arcmin: float


@dataclass(frozen=True)
class Observatory:
    """What the instruments of one observatory have in common.

    Attributes
    ----------
    name : str
        TELESCOP keyword.
    title, cameras : str
        What its users call it and all of its cameras.
    position_psf : KingProfile
        Typical profile that positions are fitted with; of slope 1.5, whose integral over a
        rectangle is known.
    attitude_error_arcsec : float
        Systematic error, radial, that positions of the search have for the pointing.
    photon_shares : tuple of (PointSpreadFunction, float)
        Relative number of the photons of a source that each of its telescopes collects.
    off_axis_arcmin : float
        Typical angle from the axis.
    zones : tuple of Zone
        Rings of the field; empty if cells are alike everywhere.
    position_psf_at : callable or None
        `position_psf` by off-axis angle in arcmin, where there are zones.
    energies_kev : tuple of float
        Lowest and highest energy that is searched.
    whole_frames : bool
        Whether frames of the search are at least as long as those of the camera.
    obsid : str
        Regular expression of its observation identifiers.
    dither_seconds : float
        Longest period in which its pointing moves, so that sources cross the edges of CCDs; 0 if
        it stands still.
    unframed_error_arcsec : float or None
        The same as measured, for positions that no reference catalogue has corrected; None where
        that is `attitude_error_arcsec`.
    framed_error_arcsec : float or None
        Systematic error, radial, of positions that a catalogue has corrected, beside that of the
        correction; None if it is not known, as no list of it was corrected yet.
    """

    name: str
    title: str
    cameras: str
    position_psf: KingProfile
    attitude_error_arcsec: float
    photon_shares: tuple[tuple[PointSpreadFunction, float], ...]
    off_axis_arcmin: float = 6.0
    zones: tuple[Zone, ...] = ()
    position_psf_at: Callable[[float], KingProfile] | None = None
    energies_kev: tuple[float, float] = (0.2, 12.0)
    whole_frames: bool = False
    obsid: str = "[0-9]{10}"
    dither_seconds: float = 0.0
    unframed_error_arcsec: float | None = None
    framed_error_arcsec: float | None = None

    @property
    def dithers(self) -> bool:
        """Whether its pointing moves."""
        return self.dither_seconds > 0

    def searched(self, band: tuple[float, float]) -> tuple[float, float]:
        """The part of a band that is searched, keV; its upper end may be the lower one."""
        low, high = self.energies_kev
        return max(low, band[0]), max(low, min(high, band[1]))

    def at(self, off_axis_arcmin: float) -> Observatory:
        """The observatory as it sees what is at an angle from its axis."""
        if self.position_psf_at is None:
            return self
        psf = self.position_psf_at(off_axis_arcmin)
        return replace(self, position_psf=psf, off_axis_arcmin=off_axis_arcmin)


@dataclass(frozen=True, kw_only=True)
class Instrument(ABC):
    """A camera whose event lists can be searched.

    Attributes
    ----------
    name : str
        INSTRUME keyword, or what a reader makes of it.
    short : str
        Short code in names of files.
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
    most_read : int
        CCDs that are read at a time at most; 0 if that is all of them.
    n_columns, n_rows : int
        Columns and rows of a CCD.
    pixel_arcsec : float
        Size of a detector pixel on the sky.
    frame_time : float
        Integration time of a full frame, seconds.
    transfer_time : float
        What of it is the shift to the read-out, seconds: photons that arrive meanwhile have the
        right column and a wrong row. 0 where the search does not look for these.
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
    short: str
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
    transfer_time: float = 0.0
    most_read: int = 0

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

    def response_file(self, submode: str, mjd: float, rawy: int, arcmin: float) -> str:
        """Name of the ready-made response matrix of the pipeline for a place and time.

        The place is the row of its CCD, below 1 in a gap, and how far it is from where the
        observatory points. Empty if there is none, or it is not known which.
        """
        del submode, mjd, rawy, arcmin
        return ""
