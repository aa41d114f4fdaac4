"""ACIS, the camera of Chandra: ten CCDs behind one telescope.

References: Chandra Proposers' Observatory Guide (POG), chapters 4 (telescope), 5 (aspect) and 6
(ACIS); docs/instruments.md compares the size of the PSF with what is published and seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike

from exod.instruments.instrument import EventColumns, Instrument, Observatory, Zone
from exod.instruments.king import KingProfile, king_fraction
from exod.schemas.arrays import Floats, Indices, Integers, Mask

AFTERGLOW_FRAMES: Final = 4.0
AFTERGLOW_SECONDS: Final = 100.0
AFTERGLOW_EVENTS: Final = 12
"""Frames between the events of an afterglow, time around it that tells it from a source, and how
many events it has at most."""

PI_HIGHEST_EV: Final = 32_766
"""Energies are whole numbers of 16 bits; the highest stands for all above it."""

SKY_PIXEL_ARCSEC: Final = 0.492
"""Sky pixels are as large as those of the CCDs, and events are in whole ones."""


@dataclass(frozen=True)
class ChandraPsf:
    """The PSF of the telescope: a King profile that grows off the axis.

    The radius of 90 per cent of the photons is taken as 1 + 10 (angle / 10 arcmin)^2 arcsec, a
    round form that fits what is known. The slope gives half of them 0.4 times that radius: 0.4
    arcsec on the axis and 9.4 at 15 arcmin. In the ray-traced PSF of source 35 of observation 7999
    in the Chandra Source Catalog, 8.5 arcmin off the axis, they are 7.5 and 3.3 arcsec; 8.3 and 3.3
    here. Up to 9 arcmin it was compared with sources of observation 29128; on the ground ACIS-I
    had 34 pixels, 16.7 arcsec, of 90 per cent at 12 arcmin and 3.5 keV (ACIS calibration, PSF memo,
    section 8), 15.4 here.
    """

    slope: ClassVar[float] = 2.5
    reach_arcsec: ClassVar[float] = 120.0

    def core(self, off_axis_arcmin: ArrayLike) -> Floats:
        """Core radius in arcsec (any shape)."""
        whole = 1 + 10 * (np.asarray(off_axis_arcmin, float) / 10) ** 2
        return np.asarray(whole / np.sqrt(0.1 ** (1 / (1 - self.slope)) - 1))

    def half_light(self, off_axis_arcmin: float) -> float:
        """Radius of half of the photons in arcsec."""
        return float(self.core(off_axis_arcmin) * np.sqrt(0.5 ** (1 / (1 - self.slope)) - 1))

    def encircled(
        self, radius_arcsec: ArrayLike, energy_kev: ArrayLike, off_axis_arcmin: ArrayLike = 0.0
    ) -> Floats:
        """Share of the photons within a radius (any shape); alike at all energies.

        Examples
        --------
        >>> ChandraPsf().encircled([1.0, 11.0], 1.5, [0.0, 10.0]).round(2)
        array([0.9, 0.9])
        """
        shape = np.broadcast_shapes(np.shape(radius_arcsec), np.shape(energy_kev))
        core = self.core(off_axis_arcmin)
        whole = king_fraction(self.reach_arcsec, core, self.slope)
        share = king_fraction(radius_arcsec, core, self.slope) / whole
        return np.broadcast_to(np.minimum(share, 1.0), np.broadcast_shapes(shape, share.shape))


PSF: Final = ChandraPsf()


def position_psf(off_axis_arcmin: float) -> KingProfile:
    """Profile of slope 1.5 that positions are fitted with; events are in whole sky pixels."""
    half = np.hypot(PSF.half_light(off_axis_arcmin), SKY_PIXEL_ARCSEC / 2)
    # Half of the light of such a profile is within 1.73 core radii.
    return KingProfile(float(half / np.sqrt(3)), 1.5)


def _zones(edges: tuple[float, ...], scales: tuple[float, ...]) -> tuple[Zone, ...]:
    """Rings, each typical of its middle, at most 12 arcmin from the axis."""
    return tuple(
        Zone(
            inner,
            outer,
            margin_arcsec=PSF.half_light(min(outer, 12.0)),
            cell_scale=scale,
            off_axis_arcmin=min((inner + outer) / 2, 12.0),
        )
        for (inner, outer), scale in zip(pairwise(edges), scales, strict=True)
    )


CHANDRA: Final = Observatory(
    name="CHANDRA",
    title="Chandra",
    cameras="ACIS",
    position_psf=position_psf(5.0),
    # Positions of 2019 to 2024 are within 1.11 arcsec with 90 per cent, 1.63 with 99 ("Chandra
    # absolute astrometric accuracy", CXC), those up to 2003 within 0.6 with 90: 63 per cent of the
    # newer ones within 0.73.
    attitude_error_arcsec=0.73,
    photon_shares=((PSF, 1.0),),
    off_axis_arcmin=5.0,
    # Windows of twice 15 arcsec, those of the deepest search, become 1.6 times as wide as the
    # circle of 90 per cent at the outer edge of each ring, and stay what they are beyond the last.
    zones=_zones((0.0, 3.0, 6.0, 10.0, np.inf), (1 / 6, 0.3, 0.6, 1.0)),
    position_psf_at=position_psf,
    # Below, the response is uncertain; above, there are few photons among many particles.
    energies_kev=(0.5, 7.0),
    whole_frames=True,
    obsid="[1-9][0-9]{0,4}",
    # As in lists of 2023, the other axis in 1414; twice that of earlier years.
    dither_seconds=2000.0,
)


@dataclass(frozen=True, kw_only=True)
class AcisCamera(Instrument):
    """ACIS; its CCDs I0 to I3 and S0 to S5 are 1 to 10, CCD_ID and one."""

    @property
    def limits(self) -> Mapping[str, tuple[int, int]]:
        """Lowest and highest value of columns of event lists, by their names."""
        return MappingProxyType(
            {
                "ccdnr": (1, self.n_ccds),
                "rawx": (1, self.n_columns),
                "rawy": (1, self.n_rows),
                "pi": (0, PI_HIGHEST_EV),
                "pattern": (0, 7),
            }
        )

    def ccd_numbers(self, ccdnr: ArrayLike) -> Integers:
        """CCDs from 1 (any shape)."""
        return np.asarray(ccdnr, np.int64)

    def is_good(self, events: EventColumns, flag_mask: int) -> Mask:
        """Energy cut, shape (n_events,); level 2 has good grades and status only."""
        low, high = (1000 * energy for energy in self.observatory.energies_kev)
        good = (events.pi >= low) & (events.pi <= high)
        return good & ((events.flag & flag_mask) == 0) if flag_mask else good

    def is_usable(self, events: EventColumns, submode: str) -> Mask:  # noqa: ARG002 - all modes
        """Without afterglows of cosmic rays, shape (n_events,).

        A cosmic ray leaves charge in a pixel that is released over some frames: three or more
        events within two by two pixels, each with less energy than the one before. Those that are
        missed by the processing look like short bursts. Where more events come from around them,
        or more of their kind, they are kept: it is a source.
        """
        is_afterglow = np.zeros(len(events.ccdnr), bool)
        for x, y in ((0, 0), (0, 1), (1, 0), (1, 1)):
            row, column = (events.rawy.astype(np.int64) + y) // 2, (events.rawx + x) // 2
            place = (events.ccdnr.astype(np.int64) << 20) + (row << 10) + column
            order = np.lexsort((events.time, place))
            steps = np.diff(place[order]) == 0
            steps &= np.diff(events.time[order]) <= AFTERGLOW_FRAMES * self.frame_time
            steps &= np.diff(events.pi[order].astype(np.int64)) < 0
            twice = np.flatnonzero(steps[1:] & steps[:-1])
            is_afterglow[order[(twice[:, None] + np.arange(3)).ravel()]] = True
        found = np.flatnonzero(is_afterglow)
        is_afterglow[found] = self._stands_alone(events, found)
        return ~is_afterglow

    def _stands_alone(self, events: EventColumns, chosen: Indices) -> Mask:
        """Whether those chosen are few, and most of the events around near in time, their shape."""
        time = events.time - events.time.min(initial=np.inf)
        length = float(time.max(initial=0.0)) + 3 * AFTERGLOW_SECONDS
        row, column = (values.astype(np.int64) // 16 for values in (events.rawy, events.rawx))
        block = (events.ccdnr.astype(np.int64) << 14) + (row << 7) + column
        keys = block * length + time
        steps = [(down << 7) + right for down in (-1, 0, 1) for right in (-1, 0, 1)]
        places = keys[chosen] + np.array(steps)[:, None] * length

        def near(ordered: Floats) -> Integers:
            low, high = places - AFTERGLOW_SECONDS, places + AFTERGLOW_SECONDS
            found = np.searchsorted(ordered, high) - np.searchsorted(ordered, low)
            return np.asarray(found.sum(axis=0))

        own = near(np.sort(keys[chosen]))
        return np.asarray((near(np.sort(keys)) < 2 * own) & (own <= AFTERGLOW_EVENTS))


ACIS: Final = AcisCamera(
    name="ACIS",
    short="ACIS",
    observatory=CHANDRA,
    colour="#CC79A7",
    line="-.",
    submodes=frozenset({"TIMED"}),
    sky_extent=8192,
    n_ccds=10,
    # POG, chapter 6: any six of them.
    most_read=6,
    n_columns=1024,
    n_rows=1024,
    pixel_arcsec=SKY_PIXEL_ARCSEC,
    frame_time=3.2,
    # 40 microseconds a row (POG, chapter 6).
    transfer_time=0.04104,
    core=KingProfile(float(PSF.core(0.0)), PSF.slope),
    psf=PSF,
    flag_mask=0,
)
"""The camera."""
