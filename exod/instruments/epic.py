"""What the EPIC cameras share, with where each number comes from.

References: XMM-Newton Users' Handbook (UHB), sections 3.2 (telescopes) and 3.3 (EPIC); Strueder
et al. 2001, A&A 365, L18 (pn); Turner et al. 2001, A&A 365, L27 (MOS).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from exod.instruments.instrument import EventColumns, Instrument, Observatory
from exod.instruments.king import KingProfile
from exod.instruments.pointspread import POINT_SPREADS
from exod.schemas.arrays import Integers, Mask

SKY_PIXEL_ARCSEC: Final = 0.05
"""Size of the sky pixels that X and Y count, arcsec (REFXCDLT of every PPS event list)."""

SKY_DELTA_DEG: Final = 1.38888888888889e-05
"""The same in degrees, as headers have it (REFYCDLT)."""

SKY_EXTENT: Final = 51840
"""Number of sky pixels along X and along Y (TLMAX of X and Y in every PPS event list)."""

IMAGE_PIXEL_ARCSEC: Final = 4.0
"""Size of the pipeline's image pixels, the unit of EP_EXTENT in OBSMLI files, arcsec."""

PI_MIN_EV: Final = 200
PI_MAX_EV: Final = 12000
"""Energies outside this closed range are never used, eV (method.md, Event selection, step 1)."""

PI_HIGHEST_EV: Final = 32_766
"""Energies of event lists are whole numbers of 16 bits; the highest stands for all above it."""

PATTERN_HIGHEST: Final = 31
"""TLMAX of PATTERN in PPS event lists."""

XMM: Final = Observatory(
    name="XMM",
    title="XMM-Newton",
    cameras="EPIC",
    # Mean of the on-axis profiles of the three cameras (UHB section 3.2.1.1, table 2).
    position_psf=KingProfile(5.5, 1.5),
    # SAS manual, task catcorr, "Output files": SYSERRCC of fields without a satisfactory fit.
    attitude_error_arcsec=1.29,
    # pn collects as many photons as both MOS and half as many again (UHB section 3.3: 44 per cent
    # of the light of a MOS telescope reaches its camera; MOS is less sensitive below 1 keV).
    photon_shares=(
        (POINT_SPREADS["EPN"], 0.588),
        (POINT_SPREADS["EMOS1"], 0.206),
        (POINT_SPREADS["EMOS2"], 0.206),
    ),
    # Of the sources of 45 lists, around where their frames put them (docs/astrometry.md).
    unframed_error_arcsec=1.40,
    # 4XMM against Gaia (docs/astrometry.md): with the error of a frame half an arcsec for most.
    framed_error_arcsec=0.28,
)


@dataclass(frozen=True, kw_only=True)
class EpicCamera(Instrument):
    """An EPIC camera.

    Attributes
    ----------
    max_pattern : int
        Largest PATTERN of a good X-ray event.
    n_channels : int
        Channels of the pipeline's spectra.
    flag_keyword : str
        Header keyword that holds the pipeline's flag selection.
    first_row : int
        First RAWY that is sent to ground.
    overscan : tuple of int
        RAWX and RAWY that event lists may have beyond the pixels: below 1, and above the last
        column and row (TLMIN and TLMAX of these columns in PPS event lists).
    redundant_node : int
        What CCDNR is larger by for a CCD that is read through its redundant node.
    """

    max_pattern: int
    n_channels: int
    flag_keyword: str
    first_row: int = 1
    overscan: tuple[int, int, int] = (0, 0, 0)
    redundant_node: int = 0
    observatory: Observatory = XMM
    sky_extent: int = SKY_EXTENT

    @property
    def is_pn(self) -> bool:
        """Whether this is the pn camera."""
        return self.name == "EPN"

    @property
    def limits(self) -> Mapping[str, tuple[int, int]]:
        """Lowest and highest value of columns of event lists, by their names."""
        before, columns, rows = self.overscan
        return MappingProxyType(
            {
                "ccdnr": (1, self.n_ccds),
                "rawx": (1 - before, self.n_columns + columns),
                "rawy": (1, self.n_rows + rows),
                "pi": (0, PI_HIGHEST_EV),
                "pattern": (0, PATTERN_HIGHEST),
            }
        )

    def ccd_numbers(self, ccdnr: ArrayLike) -> Integers:
        """CCDs from 1 by CCDNR (any shape)."""
        numbers = np.asarray(ccdnr, np.int64)
        through = numbers - self.redundant_node
        return np.where((through >= 1) & (through <= self.n_ccds), through, numbers)

    def is_good(self, events: EventColumns, flag_mask: int) -> Mask:
        """Energy, pattern and flag cuts, shape (n_events,).

        See method.md, Event selection, steps 1 and 2.
        """
        good = (events.pi >= PI_MIN_EV) & (events.pi <= PI_MAX_EV)
        good &= events.pattern <= self.max_pattern
        if flag_mask:
            good &= (events.flag & flag_mask) == 0
        return good
