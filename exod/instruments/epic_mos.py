"""The two MOS cameras (UHB section 3.3; Turner et al. 2001, A&A 365, L27)."""

from __future__ import annotations

from typing import Final

import numpy as np

from exod.instruments.epic import EpicCamera
from exod.instruments.instrument import EventColumns
from exod.instruments.king import KingProfile
from exod.instruments.pointspread import POINT_SPREADS
from exod.schemas.arrays import Mask

RESPONSE_EPOCHS: Final = (
    *(51910.0, 52183.0, 52275.0, 52548.0, 52640.0, 53279.0),
    *(53644.0, 54009.0, 54374.0, 54740.0, 55105.0, 55470.0),
)
"""When the second and each later epoch of the response matrices begins, MJD: 2001-01-01,
2001-10-01, 2002-01-01, 2002-10-01, 2003-01-01, and October 1 of 2004 to 2010 (page "EPIC response
files" of ESA, as the package ecfxa has it; spectra of the pipeline of 2022 and 2023 name the
thirteenth, which has no end there)."""

WORN_ARCMIN: Final = 2.0
"""Of the patch at the boresight that is worn only its smallness is known (SAS, rmfgen, "Spatial
dependence and averaging"): so near to it no matrix is named."""

_PARTIAL_WINDOWS = frozenset({"PrimePartialRFS", *(f"PrimePartialW{i}" for i in range(2, 7))})


class EpicMos(EpicCamera):
    """A MOS camera: seven CCDs, of which only the central one is read in windows."""

    def is_usable(self, events: EventColumns, submode: str) -> Mask:
        """Without the central CCD in partial windows, shape (n_events,).

        See method.md, Event selection, step 6.
        """
        if submode in _PARTIAL_WINDOWS:
            return events.ccdnr != 1
        return np.ones(len(events.ccdnr), bool)

    def response_file(self, submode: str, mjd: float, rawy: int, arcmin: float) -> str:
        """Name of the ready-made response matrix, as the spectra of the pipeline have it.

        Examples
        --------
        >>> EMOS2.response_file("PrimeFullWindow", 59858.6, 300, 6.0)
        'm2_e13_im_pall_o.rmf'
        """
        del rawy
        if submode not in self.submodes or not arcmin >= WORN_ARCMIN:
            return ""
        epoch = 1 + sum(mjd >= start for start in RESPONSE_EPOCHS)
        return f"{self.short.lower()}_e{epoch}_im_pall_o.rmf"


def _mos(name: str, short: str, colour: str, line: str, core: KingProfile) -> EpicMos:
    return EpicMos(
        name=name,
        short=short,
        colour=colour,
        line=line,
        n_ccds=7,
        n_columns=600,
        n_rows=600,
        pixel_arcsec=1.1,
        frame_time=2.6,
        max_pattern=12,
        n_channels=2400,
        flag_keyword="XMMEA_EM",
        flag_mask=0x766BA000,
        submodes=_PARTIAL_WINDOWS | {"PrimeFullWindow"},
        core=core,
        overscan=(5, 5, 2),
        redundant_node=10,
        psf=POINT_SPREADS[name],
    )


EMOS1: Final = _mos("EMOS1", "M1", "#D55E00", "-", KingProfile(5.074, 1.472))
EMOS2: Final = _mos("EMOS2", "M2", "#009E73", "--", KingProfile(4.759, 1.411))
