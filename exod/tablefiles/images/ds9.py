"""Region files of SAOImage DS9, in celestial coordinates.

References
----------
DS9 reference manual, "Regions": polygons and circles in ICRS, properties behind ``#``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from exod.schemas.arrays import Floats

_HEAD = (
    "# Region file format: DS9 version 4.1",
    'global width=1 font="helvetica 10 normal roman" select=1 edit=1 move=0 delete=1 source=1',
    "icrs",
)


@dataclass(frozen=True)
class SkyMark:
    """A circle or a polygon on the sky.

    Attributes
    ----------
    ra_deg, dec_deg : ndarray of float64, shape (n_corners,)
        The corners, or the centre of a circle.
    radius_arcsec : float
        Radius of a circle; 0 of a polygon.
    colour : str
        As ``#D55E00``.
    text, tag : str
        What is written beside it, and the group that it belongs to.
    dashed : bool
        Whether its line is.
    """

    ra_deg: Floats
    dec_deg: Floats
    radius_arcsec: float = 0.0
    colour: str = "#D55E00"
    text: str = ""
    tag: str = ""
    dashed: bool = False

    @property
    def line(self) -> str:
        """The line of a region file."""
        if self.radius_arcsec:
            shape = f'circle({_numbers(self.ra_deg, self.dec_deg)},{self.radius_arcsec:.3f}")'
        else:
            shape = f"polygon({_numbers(self.ra_deg, self.dec_deg)})"
        words = [f"color={self.colour}"]
        words += ["dash=1"] if self.dashed else []
        words += [f"text={{{_plain(self.text)}}}"] if self.text else []
        words += [f"tag={{{_plain(self.tag)}}}"] if self.tag else []
        return f"{shape} # {' '.join(words)}"


def region_text(marks: Iterable[SkyMark], title: str = "") -> str:
    r"""A region file; marks without a position are left out.

    Examples
    --------
    >>> mark = SkyMark(np.array([10.5]), np.array([-3.0]), 20.0, text="source")
    >>> print(region_text([mark]).splitlines()[-1])
    circle(10.5000000,-3.0000000,20.000") # color=#D55E00 text={source}
    """
    first, *rest = _HEAD
    lines = [first, *([f"# {_plain(title)}"] if title else []), *rest]
    lines += [
        mark.line for mark in marks if np.isfinite(np.append(mark.ra_deg, mark.dec_deg)).all()
    ]
    return "\n".join(lines) + "\n"


def _numbers(ra_deg: Floats, dec_deg: Floats) -> str:
    pairs = np.column_stack([np.atleast_1d(ra_deg), np.atleast_1d(dec_deg)]).ravel()
    return ",".join(f"{number:.7f}" for number in pairs)


def _plain(text: str) -> str:
    """Text without what would end it."""
    fine = ("" if letter in "{}" else letter if " " <= letter <= "~" else "?" for letter in text)
    return "".join(fine)
