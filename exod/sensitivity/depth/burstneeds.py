"""The faintest burst that a search would have found at a place, by formula.

The counts for 50 and 90 % detection are those of `exod.sensitivity.cellneeds` for fixed cells and
of `exod.sensitivity.windowneeds` for sliding windows, at the background that the place had in the
time that is asked for. Of a burst longer than a frame, a frame has its share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from exod.counts.bayes import Rule, Thresholds
from exod.schemas.arrays import EqualColumns, Floats, Integers
from exod.sensitivity.cellneeds import PROBABILITIES, counts_needed
from exod.sensitivity.depth.placelimits import PlaceSums
from exod.sensitivity.profiles import Profile
from exod.sensitivity.windowneeds import Light, needed_at

RUN_NUMBERS: Final = ("t_bin", "e_lo", "e_hi", "sigma", "p_log", "window", "t_lo", "t_hi")
"""What is kept of each run of an observation, in this order."""


@dataclass(frozen=True)
class SearchedRuns:
    """The runs of an observation.

    Attributes
    ----------
    numbers : ndarray of float64, shape (n_runs, 8)
        `RUN_NUMBERS`.
    rule : {"exact", "exod2"}
        Threshold rule of fixed cells.
    weighted : bool
        Whether the middle cells of windows count double.
    size_arcsec : float
        Width of a cell.
    profile : Profile
        Typical point spread function.
    """

    numbers: Floats
    rule: Rule
    weighted: bool
    size_arcsec: float
    profile: Profile


@dataclass(frozen=True)
class BurstNeeds(EqualColumns):
    """Bursts that would have been found, one for each place.

    Attributes
    ----------
    n50, n90 : ndarray of float64, shape (n,)
        Counts in the whole PSF that 50 and 90 % of bursts need; NaN if nothing was searched there
        and then.
    burst_bin : ndarray of float64, shape (n,)
        Length of the frames in which they need least.
    seconds : ndarray of float64, shape (n,)
        Length of the bursts.
    """

    n50: Floats
    n90: Floats
    burst_bin: Floats
    seconds: Floats


def burst_needs(
    runs: SearchedRuns, band: tuple[float, float], sums: PlaceSums, lengths: Floats
) -> BurstNeeds:
    """The faintest bursts that the runs of an observation would have found.

    Parameters
    ----------
    runs : SearchedRuns
        The runs; those of the band count.
    band : (float, float)
        Energies in keV.
    sums : PlaceSums
        Places in the time that is asked for.
    lengths : ndarray of float64, shape (n,)
        Seconds that bursts last; NaN for as short as is best.
    """
    own = runs.numbers[(runs.numbers[:, 1] == band[0]) & (runs.numbers[:, 2] == band[1])]
    own = own[np.isfinite(own[:, 3]) | np.isfinite(own[:, 4])]
    n = len(sums.place)
    if not len(own) or not n:
        return BurstNeeds(*np.full((4, n), np.nan))
    t_bin, t_lo, t_hi = (own[:, [column]] for column in (0, 6, 7))
    cells = np.maximum(sums.cells, 1e-9)
    rate = (sums.mu / cells + sums.constant) / sums.longest
    needs = _needs(runs, own, rate * t_bin, np.broadcast_to(sums.whole / cells, (len(own), n)))
    # Only a frame of a longer burst is tested.
    needs = needs * np.fmax(lengths / t_bin, 1.0)
    seen = (sums.start < t_hi) & (sums.stop > t_lo) & np.isfinite(needs[1])
    least = np.where(seen, needs[1], np.inf).argmin(axis=0)
    found = np.stack([*needs, np.broadcast_to(t_bin, seen.shape)])[:, least, np.arange(n)]
    found = np.where(seen[least, np.arange(n)], found, np.nan)
    seconds = np.where(np.isnan(lengths) | np.isnan(found[2]), found[2], lengths)
    return BurstNeeds(found[0], found[1], found[2], seconds)


def _needs(runs: SearchedRuns, own: Floats, mu: Floats, total: Floats) -> Floats:
    """Counts for each of `PROBABILITIES` of a burst within a frame, shape (2, n_runs, n).

    `mu` and `total` are of a cell, in a frame and in all of the observation, shape (n_runs, n).
    """
    found = np.full((2, *mu.shape), np.nan)
    sigma, p_log, window = own[:, 3], own[:, 4], own[:, 5].astype(int)
    for limit in np.unique(sigma[np.isnan(p_log)]):
        which = np.isnan(p_log) & (sigma == limit)
        test = Thresholds(float(limit), runs.rule), runs.profile, runs.size_arcsec
        for number, probability in enumerate(PROBABILITIES):
            found[number, which] = counts_needed(mu[which], *test, probability)
    for width in np.unique(window[np.isfinite(p_log)]).tolist():
        which = np.isfinite(p_log) & (window == width)
        counts = np.maximum(total[which] * width**2, 1e-9)
        share = np.minimum(mu[which] * width**2 / counts, 1 - 1e-9)
        least = np.broadcast_to(p_log[which, None], counts.shape)
        for number, probability in enumerate(PROBABILITIES):
            light = Light.of(runs.profile, runs.size_arcsec, width, probability, runs.weighted)
            found[number, which] = needed_at(counts, share, least, light)
    return found


def run_numbers(columns: dict[str, Integers | Floats]) -> Floats:
    """Rows of `RUN_NUMBERS` from columns of the table runs."""
    rows = [np.asarray(columns[name], float) for name in RUN_NUMBERS]
    return np.stack(rows, axis=1)
