"""Constants of the EPIC cameras, with where each number comes from.

References: XMM-Newton Users' Handbook (UHB), sections 3.2 (telescopes) and 3.3 (EPIC); Strueder
et al. 2001, A&A 365, L18 (pn); Turner et al. 2001, A&A 365, L27 (MOS).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

SKY_PIXEL_ARCSEC: Final = 0.05
"""Size of the sky pixels that X and Y count, arcsec (REFXCDLT of every PPS event list)."""

SKY_EXTENT: Final = 51840
"""Number of sky pixels along X and along Y (REFXLMAX of every PPS event list)."""

NULL_SKY_PIXEL: Final = -99999999
"""TNULL of the X and Y columns: the event has no sky position."""

IMAGE_PIXEL_ARCSEC: Final = 4.0
"""Size of the pipeline's image pixels, the unit of EP_EXTENT in OBSMLI files, arcsec."""

MJDREF_TT: Final = 50814.0
"""Mission time zero, 1998-01-01T00:00:00 TT, as MJD (MJDREF of every event list)."""

PN_QUADRANTS: Final = ((1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12))
"""CCD numbers of the four quadrants of the pn camera (Strueder et al. 2001, figure 2)."""

PN_BAD_ROWS: Final = ((4, 12), (5, 11), (10, 28))
"""(CCDNR, RAWX) of pn lines that are always bad (Strueder et al. 2001).

They are left out (method.md, Event selection, step 4).
"""


@dataclass(frozen=True)
class Camera:
    """What the search needs to know of a camera.

    Attributes
    ----------
    name : str
        INSTRUME keyword.
    short : str
        Two-letter code in PPS file names.
    n_ccds, n_rawx, n_rawy : int
        CCDs and their pixels.
    pixel_arcsec : float
        Size of a detector pixel on the sky.
    frame_time : float
        Integration time of a full frame in seconds (UHB table 4).
    max_pattern : int
        Largest PATTERN of a good X-ray event.
    flag_keyword : str
        Header keyword that holds the pipeline's flag selection.
    flag_mask : int
        Bits that must be zero when the header does not say.
    submodes : frozenset of str
        SUBMODE values the search supports.
    king_core_arcsec, king_slope : float
        On-axis King profile of the PSF at 1.5 keV (UHB section 3.2.1.1, table 2).
    """

    name: str
    short: str
    n_ccds: int
    n_rawx: int
    n_rawy: int
    pixel_arcsec: float
    frame_time: float
    max_pattern: int
    flag_keyword: str
    flag_mask: int
    submodes: frozenset[str]
    king_core_arcsec: float
    king_slope: float

    @property
    def is_pn(self) -> bool:
        """Whether this is the pn camera."""
        return self.name == "EPN"


_MOS_SUBMODES = frozenset(
    {"PrimeFullWindow", "PrimePartialRFS", *(f"PrimePartialW{i}" for i in range(2, 7))}
)


def _mos(name: str, short: str, core: float, slope: float) -> Camera:
    return Camera(
        name=name,
        short=short,
        n_ccds=7,
        n_rawx=600,
        n_rawy=600,
        pixel_arcsec=1.1,
        frame_time=2.6,
        max_pattern=12,
        flag_keyword="XMMEA_EM",
        flag_mask=0x766BA000,
        submodes=_MOS_SUBMODES,
        king_core_arcsec=core,
        king_slope=slope,
    )


EPN: Final = Camera(
    name="EPN",
    short="PN",
    n_ccds=12,
    n_rawx=64,
    n_rawy=200,
    pixel_arcsec=4.1,
    frame_time=0.0734,
    max_pattern=4,
    flag_keyword="XMMEA_EP",
    flag_mask=0xCFA0000,
    submodes=frozenset({"PrimeFullWindow", "PrimeFullWindowExtended", "PrimeLargeWindow"}),
    king_core_arcsec=6.636,
    king_slope=1.525,
)
EMOS1: Final = _mos("EMOS1", "M1", 5.074, 1.472)
EMOS2: Final = _mos("EMOS2", "M2", 4.759, 1.411)

CAMERAS: Final = MappingProxyType({camera.name: camera for camera in (EPN, EMOS1, EMOS2)})
"""The cameras by INSTRUME."""
