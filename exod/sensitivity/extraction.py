"""Where and when the events of a spectrum are taken, what area that is, and for how long it was on.

Places are boxes and rings of sky pixels without discs. Their area counts pixels that were read and
not lost, as BACKSCAL of the pipeline's spectra does; their exposure is the live time of their CCDs,
weighted with the area on each, as EXPOSURE does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.instruments.detector import DETECTORS, read_out
from exod.observation.availability import pixel_codes
from exod.observation.livetime import LiveCurve, common_intervals
from exod.schemas.arrays import Floats, Integers, Mask
from exod.sensitivity.exposuremaps import SeenTime, lost_share
from exod.sky.plane import TangentPlane

STEP: Final = 4.0
"""Sky pixels between the places at which it is asked whether they were seen: 0.2 arcsec, a fifth of
a pixel of MOS."""

MOST_STEPS: Final = 400
"""Places along a side; in larger extractions they are farther apart."""

CHANNEL_EV: Final = 5
"""Width of a channel of EPIC spectra (SPECDELT of the pipeline's)."""

ShapeRow = tuple[str, float, float, float, float]
"""SHAPE, X, Y and two sizes, as in the extension REGION."""


@dataclass(frozen=True)
class Extraction:
    """A box or a ring of sky pixels.

    Attributes
    ----------
    box : tuple of float
        x_lo, x_hi, y_lo, y_hi, half-open; everything if it is infinite.
    ring : tuple of float
        X and Y of the centre, inner and outer radius; everything if it is infinite.
    holes : ndarray of float64, shape (n, 3)
        X, Y and radius of discs that are left out.
    """

    box: tuple[float, float, float, float] = (-np.inf, np.inf, -np.inf, np.inf)
    ring: tuple[float, float, float, float] = (0.0, 0.0, -1.0, np.inf)
    holes: Floats = field(default_factory=lambda: np.empty((0, 3)))

    def contains(self, x: ArrayLike, y: ArrayLike) -> Mask:
        """Whether sky pixels are in it (one shape).

        Examples
        --------
        >>> ring = Extraction(ring=(0.0, 0.0, 5.0, 10.0), holes=np.array([[7.0, 0.0, 1.0]]))
        >>> ring.contains([0.0, 7.0, -7.0, 11.0], [0.0, 0.0, 0.0, 0.0]).tolist()
        [False, False, True, False]
        """
        x, y = np.asarray(x, float), np.asarray(y, float)
        x_lo, x_hi, y_lo, y_hi = self.box
        found = (x >= x_lo) & (x < x_hi) & (y >= y_lo) & (y < y_hi)
        x_ring, y_ring, inner, outer = self.ring
        distance = np.hypot(x - x_ring, y - y_ring)
        found &= (distance > inner) & (distance <= outer)
        for x_hole, y_hole, radius in self.holes:
            found &= np.hypot(x - x_hole, y - y_hole) > radius
        return found

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """x_lo, x_hi, y_lo, y_hi of a box around it."""
        x_lo, x_hi, y_lo, y_hi = self.box
        x, y, _, outer = self.ring
        return (
            max(x_lo, x - outer),
            min(x_hi, x + outer),
            max(y_lo, y - outer),
            min(y_hi, y + outer),
        )

    @property
    def shapes(self) -> list[ShapeRow]:
        """Rows of the extension REGION; those with an exclamation mark are left out."""
        x_lo, x_hi, y_lo, y_hi = self.box
        rows: list[ShapeRow] = []
        if np.isfinite(self.box).all():
            rows.append(("BOX", (x_lo + x_hi) / 2, (y_lo + y_hi) / 2, x_hi - x_lo, y_hi - y_lo))
        if np.isfinite(self.ring[3]):
            rows.append(("ANNULUS", *self.ring))
        return rows + [("!CIRCLE", x, y, radius, 0.0) for x, y, radius in self.holes.tolist()]


def seen_area(
    seen: SeenTime, extraction: Extraction, plane: TangentPlane, pointing: TangentPlane
) -> tuple[float, float]:
    """Area of an extraction that was seen, and for how long.

    Parameters
    ----------
    seen : SeenTime
        What the exposure had of its time.
    extraction : Extraction
        A box or a ring.
    plane, pointing : TangentPlane
        Projection of the sky pixels of the extraction, and of sky pixels about the pointing.

    Returns
    -------
    area : float
        Sky pixels (0.05 arcsec squared) on CCDs that were live, without lost pixels: BACKSCAL.
    exposure : float
        Live seconds of these CCDs, weighted with the area on each: EXPOSURE. 0 without area.

    Raises
    ------
    ConfigError
        If the submode is not known.
    """
    detector = DETECTORS[seen.instrument]
    windows = read_out(detector.camera, seen.submode)
    x_lo, x_hi, y_lo, y_hi = extraction.edges
    x, y = np.meshgrid(_middles(x_lo, x_hi), _middles(y_lo, y_hi))
    own = extraction.contains(x, y)
    each = (x_hi - x_lo) * (y_hi - y_lo) / max(x.size, 1)
    sky = pointing.to_pixel(*plane.to_sky(x[own], y[own]))
    places = detector.detector_from_sky(*sky, seen.pa_pnt)
    ccdnr, rawx, rawy = detector.raw_from_detector(*places)
    read = (ccdnr > 0) & windows.reads(ccdnr, rawx, rawy) & detector.in_field(*places)
    order = np.argsort(seen.lost)
    share = lost_share(pixel_codes(ccdnr, rawx, rawy), seen.lost[order], seen.share[order])
    by_ccd = np.bincount(ccdnr, read * (1 - share), detector.camera.n_ccds + 1) * each
    live = np.zeros(len(by_ccd))
    for number, seconds in seen.live.items():
        live[number] = seconds
    by_ccd[live <= 0] = 0.0
    area = float(by_ccd.sum())
    return area, float(by_ccd @ live / area) if area else 0.0


def _middles(low: float, high: float) -> Floats:
    n = min(max(int(np.ceil((high - low) / STEP)), 1), MOST_STEPS)
    return low + (np.arange(n) + 0.5) * (high - low) / n


def live_within(
    curves: Mapping[int, LiveCurve], good_times: Mapping[int, Floats], during: Floats
) -> dict[int, float]:
    """Live seconds of each CCD within intervals.

    Parameters
    ----------
    curves : mapping of int to LiveCurve
        By CCD, those whose live time is recorded.
    good_times : mapping of int to ndarray of float64, shape (n, 2)
        By CCD, of those that are not.
    during : ndarray of float64, shape (n, 2)
        Starts and stops.

    Examples
    --------
    >>> curve = LiveCurve(np.array([[0.0, 10.0, 0.9]]), 0.9)
    >>> live_within({1: curve}, {2: np.array([[8.0, 20.0]])}, np.array([[5.0, 9.0]]))
    {1: 3.6, 2: 1.0}
    """
    found = {}
    for ccd, curve in curves.items():
        common = common_intervals(curve.pieces[:, :2], during)
        # Up to a time, seconds on count in terms of the usual live share.
        found[ccd] = float(np.diff(curve.at(common), axis=1).sum() * curve.usual)
    for ccd, good in good_times.items():
        found.setdefault(ccd, float(np.diff(common_intervals(good, during), axis=1).sum()))
    return found


def channels(pi: NDArray[np.integer], n_channels: int) -> NDArray[np.int64]:
    """Counts by channel of 5 eV from 0 on, shape (n_channels,).

    Parameters
    ----------
    pi : ndarray of int, shape (n_events,)
        Energies in eV.
    n_channels : int
        4096 for pn, 2400 for MOS (DETCHANS); energies beyond are not counted.

    Examples
    --------
    >>> channels(np.array([0, 4, 5, 19]), 4).tolist()
    [2, 1, 0, 1]
    """
    number = np.asarray(pi, np.int64) // CHANNEL_EV
    return np.bincount(number[(number >= 0) & (number < n_channels)], minlength=n_channels)


def grouped(counts: Integers, usable: Mask, minimum: int) -> tuple[Integers, Integers]:
    """GROUPING and QUALITY such that each group has at least so many counts.

    Parameters
    ----------
    counts : ndarray of int, shape (n_channels,)
        The spectrum.
    usable : ndarray of bool, shape (n_channels,)
        Channels with events, one stretch; others have quality 1.
    minimum : int
        Counts of a group, 1 or more.

    Returns
    -------
    grouping, quality : ndarray of int64, shape (n_channels,)
        1 where a group begins and -1 where it goes on; 0 good, 1 without events, 2 for the last
        group if its counts are too few (OGIP/92-007).

    Examples
    --------
    >>> grouping, quality = grouped(np.array([0, 1, 0, 2, 1]), np.array([0, 1, 1, 1, 1]) > 0, 2)
    >>> grouping.tolist(), quality.tolist()
    ([1, 1, -1, -1, 1], [1, 0, 0, 0, 2])
    """
    grouping = np.ones(len(counts), np.int64)
    quality = np.where(usable, 0, 1)
    total, first = minimum, 0
    for channel in np.flatnonzero(usable).tolist():
        if total >= minimum:
            total, first = 0, channel
        else:
            grouping[channel] = -1
        total += int(counts[channel])
    if total < minimum:
        quality[first:][usable[first:]] = 2
    return grouping, quality
