"""Counts of events in the soft and the hard band, from the light curves of sister regions.

A region has a sister in the run of another band if that run found one in the same place; an event
of the region is counted in the light curves of its sisters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.config import Band
from exod.schemas.arrays import Floats, Integers, Mask
from exod.sources.vetting.hardness import (
    best_sisters,
    event_counts,
    excess_hardness,
    hardness_ratio,
)

Pair = tuple[Band, Band]
Columns = dict[str, NDArray[Any]]

BOX: Final = ("y_lo", "y_hi", "x_lo", "x_hi")
KEY: Final = ("subset", "t_bin")
"""Columns that regions of sister runs share."""

_RATIOS: Final = ("hr", "hr_lo", "hr_hi")


TIMES: Final = ("event", "before", "after")
"""Stretches of time that are counted: during the event, and the rest of the run."""


def with_ratios(columns: Columns) -> Columns:
    """Columns with hardness ratios; many regions at once take little longer than one."""
    events = (columns[f"{what}_{band}_event"] for band in ("soft", "hard") for what in ("n", "mu"))
    ratios = dict(zip(_RATIOS, hardness_ratio(columns["n_soft"], columns["n_hard"]), strict=True))
    of_events = (f"{name[:2]}_event{name[2:]}" for name in _RATIOS)
    ratios |= dict(zip(of_events, excess_hardness(*events), strict=True))
    # Of all counts in these, so that they compare with each other.
    for name, end in (("during", "event"), ("before", "before"), ("after", "after")):
        counts = columns[f"n_soft_{end}"], columns[f"n_hard_{end}"]
        names = (f"{ratio[:2]}_{name}{ratio[2:]}" for ratio in _RATIOS)
        ratios |= dict(zip(names, hardness_ratio(*counts), strict=True))
    return columns | ratios


def is_band(frame: pd.DataFrame, band: Band) -> Mask:
    """Which rows, of runs or regions, are of an energy band in keV."""
    return np.asarray((frame["e_lo"] == band[0]) & (frame["e_hi"] == band[1]))


def boxes_of(frame: pd.DataFrame) -> Integers:
    """Boxes of regions as an array of shape (n_regions, 4): y_lo, y_hi, x_lo, x_hi."""
    return frame[list(BOX)].to_numpy(np.int64)


@dataclass(frozen=True)
class EventsInBands:
    """Counts that are asked for: of which light curve, for which region and band, and when.

    Bands are 0 soft, 1 hard, 2 both together; times are those of `TIMES`.

    Attributes
    ----------
    curve, region, band : ndarray of int, shape (n,)
        Light curve to count in, as the row of its region; region with the event; band.
    window : ndarray, shape (3, n)
        Start, end and length of a frame in seconds.
    boxes : ndarray of int, shape (3, n_regions, 4)
        Box of each region's sister in each band; -1 without sister.
    counts : ndarray, shape (3, 2, 3, n_regions)
        Counts and expected counts in each band in each time; NaN until they are counted.
    """

    curve: Integers
    region: Integers
    band: Integers
    window: Floats
    boxes: Integers
    counts: Floats

    @classmethod
    def of(cls, regions: pd.DataFrame, bands: Pair | None) -> EventsInBands:
        """What the sisters of regions with a burst of known times are asked for.

        Parameters
        ----------
        regions : DataFrame
            Regions of an observation: `KEY`, `BOX`, e_lo, e_hi, kind, t_start, t_stop.
        bands : ((float, float), (float, float)) or None
            Soft and hard energy band in keV; None if there are no such runs.
        """
        times = regions[["t_start", "t_stop", "t_bin"]].to_numpy(float).T
        known = (regions["kind"] == "peak").to_numpy() & np.isfinite(times).all(axis=0)
        found, boxes = np.full((3, len(regions)), -1), boxes_of(regions)
        groups = [
            np.asarray(rows, np.int64) for rows in regions.groupby(list(KEY)).indices.values()
        ]
        for place, band in enumerate(_with_both(bands)):
            found[place] = _sisters(groups, boxes, is_band(regions, band))
        boxes = np.append(boxes, np.full((1, 4), -1), axis=0)
        number, region = np.nonzero(known & (found >= 0))
        counts = np.full((len(TIMES), 2, 3, len(regions)), np.nan)
        return cls(found[number, region], region, number, times[:, region], boxes[found], counts)

    def count(
        self, offsets: Integers, time: Floats, n: NDArray[np.integer], mu: Floats, curve: Integers
    ) -> None:
        """Fill in the counts that are asked of some light curves.

        Parameters
        ----------
        offsets, time, n, mu : ndarray
            Whole light curves one after the other, as of
            `exod.sources.vetting.hardness.event_counts`.
        curve : ndarray of int, shape (n_curves,)
            Row of the region of each.
        """
        order = np.full(max(self.curve.max(initial=-1), curve.max(initial=-1)) + 1, -1)
        order[curve] = np.arange(len(curve))
        own = np.flatnonzero(order[self.curve] >= 0)
        start, stop, t_bin = self.window[:, own]
        everywhere = np.full(len(own), np.inf)
        stretches = ((start - t_bin, stop), (-everywhere, start - t_bin), (stop, everywhere))
        for when, (after, until) in enumerate(stretches):
            found = event_counts(offsets, time, n, mu, order[self.curve[own]], after, until)
            self.counts[when][:, self.band[own], self.region[own]] = found

    def columns(self) -> Columns:
        """Columns of counts in the soft and the hard band, shape (n_regions,).

        n during the event, before and after it, and mu during it.

        A band is what the other lacks of both together if these two have the same box and the soft
        and the hard sister have not, for instance as one of them was not found.
        """
        soft, hard, both = self.boxes
        equal = _same(soft, hard)
        of_hard = ~equal & _same(soft, both)
        of_soft = ~equal & ~of_hard & _same(hard, both)
        counts = self.counts.copy()
        for wanted, other, where in ((1, 0, of_hard), (0, 1, of_soft)):
            rest = np.maximum(counts[:, :, 2] - counts[:, :, other], 0.0)
            counts[:, :, wanted] = np.where(where, rest, counts[:, :, wanted])
        found: Columns = {}
        for number, band in enumerate(("soft", "hard")):
            found |= {
                f"n_{band}_{when}": own
                for when, own in zip(TIMES, counts[:, 0, number], strict=True)
            }
            found[f"mu_{band}_event"] = counts[0, 1, number]
        return found


def _same(boxes: Integers, others: Integers) -> Mask:
    """Whether both are there and equal."""
    return np.asarray((boxes == others).all(axis=1) & (boxes[:, 0] >= 0))


def _with_both(bands: Pair | None) -> list[Band]:
    """The soft and the hard band, and if they touch that of both together."""
    if bands is None:
        return []
    soft, hard = bands
    return [soft, hard] + ([(soft[0], hard[1])] if soft[1] == hard[0] else [])


def _sisters(groups: list[Integers], boxes: Integers, is_band: Mask) -> Integers:
    """Row of each region's sister in the run of a band; -1 if none.

    Groups are the rows of each subset and time bin, `boxes` those of all regions.
    """
    found = np.full(len(boxes), -1)
    for rows in groups:
        others = rows[is_band[rows]]
        best = best_sisters(boxes[rows], boxes[others])
        found[rows] = np.append(others, -1)[best]
    # A region of the band is its own.
    return np.where(is_band, np.arange(len(boxes)), found)
