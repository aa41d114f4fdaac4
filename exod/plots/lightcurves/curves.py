"""A light curve ready to draw: counts in frames, and which of these are significant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.counts.bayes import MU_MIN, Kind, Thresholds, n_peak, threshold
from exod.plots.style import (
    Row,
    has_variability,
)
from exod.schemas.arrays import Floats, Indices, Mask

SIGMAS: Final = (3.0, 5.0)
"""Significances that are drawn as bands and lines."""

KINDS: Final[tuple[Kind, Kind]] = ("peak", "eclipse")


def significance_limits(mu: ArrayLike, sigma: float) -> tuple[Floats, Floats]:
    """Counts at which a frame becomes a peak or an eclipse.

    Parameters
    ----------
    mu : array_like
        Expected counts.
    sigma : float
        Significance.

    Returns
    -------
    eclipse, peak : ndarray of float64, same shape
        Largest whole number of counts that is an eclipse and smallest that is a peak: B is at
        or above `exod.counts.bayes.threshold`. NaN where there is none.

    Examples
    --------
    >>> eclipse, peak = significance_limits([0.01, 20.0], 3)
    >>> eclipse, peak
    (array([nan,  2.]), array([ 3., 45.]))
    """
    mu = np.asarray(mu, float)
    usable = mu > MU_MIN
    known = np.where(usable, mu, 1.0)
    largest = float(known.max(initial=1.0))
    # Thresholds compares mu with a limit for each n; the limits rise with n, so invert them.
    n = np.arange(int(n_peak(sigma, largest)) + 20 + int(2 * sigma))
    thresholds = Thresholds(sigma, "exact")
    peak = np.searchsorted(thresholds.peak_limit(n), known, side="right").astype(float)
    eclipse = np.searchsorted(thresholds.eclipse_limit(n), known, side="left") - 1.0
    return (
        np.where(usable & (eclipse >= 0), eclipse, np.nan),
        np.where(usable, peak, np.nan),
    )


@dataclass(frozen=True)
class Curve:
    """A light curve ready to draw; NaN where there are no data.

    Attributes
    ----------
    edges : ndarray of float64, shape (n_frames + 1,)
        Ends of the frames in ks since the start of the run.
    n, mu : ndarray of float64, shape (n_frames,)
        Counts and expected counts, divided by the live fraction.
    live : ndarray of float64, shape (n_frames,)
        Live fraction; 1 also where there are no data.
    n_lowest, n_highest : ndarray of float64, shape (n_frames,)
        They differ from `n` if frames were grouped.
    bti, masked : ndarray of bool, shape (n_frames,)
        Frames in bad time, and without data.
    b_log : dict of str to ndarray of float64
        log10 Bayes factors by kind.
    found : dict of str to ndarray of bool
        Significant frames by kind.
    """

    edges: Floats
    n: Floats
    n_lowest: Floats
    n_highest: Floats
    mu: Floats
    live: Floats
    bti: Mask
    masked: Mask
    b_log: dict[Kind, Floats]
    found: dict[Kind, Mask]

    @classmethod
    def of(cls, run: Row, rows: pd.DataFrame, cells: pd.DataFrame | None = None) -> Self:
        """Of the rows of a table of light curves and, for a region, of its cells."""
        rows = rows.sort_values("time")
        starts = rows["time"].to_numpy(float) - float(run["t_lo"])
        stop = starts[-1:] + float(run["t_bin"])
        mu, n = (rows[name].to_numpy(float) for name in ("mu", "n"))
        # With `cube.mask_bad_ccd` off such frames have data as all others.
        masked = rows["bccd"].to_numpy(bool) & (mu <= 0) & (n == 0)
        live = rows["live"].to_numpy(float)
        live = np.where(live > 0, live, 1.0)
        n = np.where(masked, np.nan, n) / live
        b_log: dict[Kind, Floats] = {
            kind: np.where(masked, np.nan, rows[f"B_{kind}_log"].to_numpy(float)) for kind in KINDS
        }
        return cls(
            edges=np.concatenate([starts, stop]) / 1000,
            n=n,
            n_lowest=n,
            n_highest=n,
            mu=np.where(masked | (mu <= 0), np.nan, mu) / live,
            live=live,
            bti=rows["bti"].to_numpy(bool),
            masked=masked,
            b_log=b_log,
            found={
                kind: (values >= _least_b_log(run, kind))
                | significant_frames(rows["time"].to_numpy(float), run, cells, kind)
                for kind, values in b_log.items()
            },
        )

    def __len__(self) -> int:
        return len(self.n)

    @property
    def middles(self) -> Floats:
        """Middles of the frames in ks."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    def part(self, first: int, last: int) -> Curve:
        """The frames [first, last)."""
        arrays = {
            name: getattr(self, name)[first:last]
            for name in ("n", "n_lowest", "n_highest", "mu", "live", "bti", "masked")
        }
        b_log = {kind: values[first:last] for kind, values in self.b_log.items()}
        found = {kind: values[first:last] for kind, values in self.found.items()}
        return Curve(edges=self.edges[first : last + 1], b_log=b_log, found=found, **arrays)

    def grouped(self, factor: int) -> Curve:
        """`factor` frames in one: mean of n and mu, range of n, largest B."""
        first = np.arange(0, len(self), factor)
        flags = {
            name: np.logical_or.reduceat(getattr(self, name), first) for name in ("bti", "masked")
        }
        return Curve(
            edges=np.concatenate([self.edges[first], self.edges[-1:]]),
            n=_mean_at(self.n, first),
            # Unlike min and max these skip NaN, without a warning where all are.
            n_lowest=np.fmin.reduceat(self.n_lowest, first),
            n_highest=np.fmax.reduceat(self.n_highest, first),
            mu=_mean_at(self.mu, first),
            live=_mean_at(self.live, first),
            b_log={kind: np.fmax.reduceat(b, first) for kind, b in self.b_log.items()},
            found={kind: np.logical_or.reduceat(f, first) for kind, f in self.found.items()},
            **flags,
        )

    def most_significant(self) -> int:
        """The frame, of those found if any, that is furthest above the threshold for its kind."""
        ratio = np.fmax(*(self.b_log[kind] / threshold(SIGMAS[0], kind) for kind in KINDS))
        known = np.nan_to_num(ratio, nan=-np.inf)
        found = np.logical_or(*self.found.values())
        return int(np.argmax(np.where(found, known, -np.inf) if found.any() else known))


def _mean_at(values: Floats, first: Indices) -> Floats:
    """Mean of the values from each index `first` to the next, without NaN."""
    known = np.isfinite(values)
    number = np.add.reduceat(known, first, dtype=float)
    total = np.add.reduceat(np.where(known, values, 0.0), first)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def significant_frames(start: Floats, run: Row, cells: pd.DataFrame | None, kind: Kind) -> Mask:
    """Frames of which significant cells, or windows that slide, cover half at least.

    Parameters
    ----------
    start : ndarray of float64, shape (n_frames,)
        Start of each frame, mission elapsed time in seconds.
    run : mapping or Series
        Row of the table runs.
    cells : DataFrame or None
        Rows of the table cells, of one region.
    kind : {"peak", "eclipse"}
        Which cells count.

    Returns
    -------
    ndarray of bool, shape (n_frames,)

    Examples
    --------
    >>> cells = pd.DataFrame({"kind": ["peak"], "TIME_lo": [75.0]})
    >>> significant_frames(np.array([0.0, 50.0, 100.0]), {"t_bin": 50.0}, cells, "peak")
    array([False,  True,  True])
    """
    found = np.zeros(len(start), bool)
    if cells is None:
        return found
    # Frame numbers are of frames that may overlap; only times compare with the light curve.
    half = 0.5 * float(run["t_bin"]) * (1 + 1e-6)
    for time in cells.loc[cells["kind"] == kind, "TIME_lo"].to_numpy(float):
        found |= np.abs(start - time) <= half
    return found


def _least_b_log(run: Row, kind: Kind) -> float:
    """log10 of the Bayes factor that makes a frame significant; EXOD I does not ask for one."""
    return np.inf if has_variability(run) else threshold(float(run["sigma"]), kind)
