"""The pn camera (UHB section 3.3; Strueder et al. 2001, A&A 365, L18)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from exod.instruments.epic import EpicCamera
from exod.instruments.instrument import EventColumns
from exod.instruments.king import KingProfile
from exod.instruments.pointspread import POINT_SPREADS
from exod.schemas.arrays import Mask

BAD_COLUMNS: Final = ((4, 12), (5, 11), (10, 28))
"""(CCDNR, RAWX) of columns that are always bad (Strueder et al. 2001)."""

RESPONSE_MODES: Final = MappingProxyType(
    {"PrimeFullWindow": "ff", "PrimeFullWindowExtended": "ef", "PrimeLargeWindow": "lw"}
)
RESPONSE_EPOCHS: Final = (54101.0, 56658.0)
"""Modes in the names of response matrices, and when their second and third epoch begin, MJD:
2007-01-01 and 2014-01-01 (page "EPIC response files" of ESA and of the Guest Observer Facility;
spectra of the pipeline of 2021 to 2024 name the third)."""


class EpicPn(EpicCamera):
    """The pn camera: twelve CCDs in four quadrants, each with electronics of its own."""

    def is_usable(self, events: EventColumns, submode: str) -> Mask:
        """Without borders and bad columns, shape (n_events,).

        See method.md, Event selection, steps 4 and 5.
        """
        keep = (events.rawx > 4) & (events.rawx < 61) & (events.rawy < 197)
        if submode.startswith("PrimeFullWindow"):
            keep &= events.rawy > 23
        for ccdnr, rawx in BAD_COLUMNS:
            keep &= (events.ccdnr != ccdnr) | (events.rawx != rawx)
        return keep

    def response_file(self, submode: str, mjd: float, rawy: int, arcmin: float) -> str:
        """Name of the ready-made response matrix, as the spectra of the pipeline have it.

        Examples
        --------
        >>> EPN.response_file("PrimeFullWindow", 59289.8, 170, 3.0)
        'epn_e3_ff20_sdY8.rmf'
        """
        del arcmin
        mode = RESPONSE_MODES.get(submode)
        if mode is None or not 1 <= rawy <= self.n_rows:
            return ""
        epoch = 1 + sum(mjd >= start for start in RESPONSE_EPOCHS)
        return f"epn_e{epoch}_{mode}20_sdY{min(rawy // 20, 9)}.rmf"


EPN: Final = EpicPn(
    name="EPN",
    short="PN",
    colour="#0072B2",
    line="-",
    n_ccds=12,
    n_columns=64,
    n_rows=200,
    pixel_arcsec=4.1,
    frame_time=0.0734,
    max_pattern=4,
    n_channels=4096,
    flag_keyword="XMMEA_EP",
    flag_mask=0xCFA0000,
    submodes=frozenset({"PrimeFullWindow", "PrimeFullWindowExtended", "PrimeLargeWindow"}),
    core=KingProfile(6.636, 1.525),
    psf=POINT_SPREADS["EPN"],
    # CCD numbers of the quadrants (Strueder et al. 2001, figure 2).
    dropout_groups=((1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12)),
    # UHB section 3.3; SAS Users' Guide on pn event lists.
    first_row=13,
)
