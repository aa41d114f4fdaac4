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
from exod.schemas.arrays import Floats, Integers
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
class BurstNeeds:
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
    runs: SearchedRuns, band: tuple[float, float], sums: PlaceSums, whole: Floats, lengths: Floats
) -> BurstNeeds:
    """The faintest bursts that the runs of an observation would have found.

    Parameters
    ----------
    runs : SearchedRuns
        The runs; those of the band count.
    band : (float, float)
        Energies in keV.
    sums : PlaceSums
        Background in the time that is asked for.
    whole : ndarray of float64, shape (n,)
        Background and constant sources of the places in all of the observation.
    lengths : ndarray of float64, shape (n,)
        Seconds that bursts last; NaN for as short as is best.
    """
    n = len(sums.place)
    best = np.full((3, n), np.nan)
    cells = np.maximum(sums.cells, 1e-9)
    rate = (sums.mu / cells + sums.constant) / sums.longest
    total = whole / cells
    for t_bin, low, high, sigma, p_log, window, t_lo, t_hi in runs.numbers.tolist():
        fits = (low, high) == band
        if not fits or not np.isfinite([sigma, p_log]).any():
            continue
        seen = (sums.start < t_hi) & (sums.stop > t_lo)
        needs = _needs(runs, rate * t_bin, total, (sigma, p_log, int(window)))
        # Only a frame of a longer burst is tested.
        needs = needs * np.fmax(lengths / t_bin, 1.0)
        better = seen & ~(best[1] <= needs[1]) & np.isfinite(needs[1])
        best[:, better] = np.stack([*needs, np.full(n, t_bin)])[:, better]
    seconds = np.where(np.isnan(lengths) | np.isnan(best[2]), best[2], lengths)
    return BurstNeeds(best[0], best[1], best[2], seconds)


def _needs(runs: SearchedRuns, mu: Floats, total: Floats, test: tuple[float, float, int]) -> Floats:
    """Counts for each of `PROBABILITIES` of a burst within a frame, shape (2, n)."""
    sigma, p_log, window = test
    if np.isnan(p_log):
        limits = Thresholds(sigma, runs.rule)
        return np.array(
            [counts_needed(mu, limits, runs.profile, runs.size_arcsec, p) for p in PROBABILITIES]
        )
    counts = total * window**2
    share = np.divide(mu * window**2, counts, out=np.ones_like(mu), where=counts > 0)
    lights = (
        Light.of(runs.profile, runs.size_arcsec, window, p, runs.weighted) for p in PROBABILITIES
    )
    share = np.minimum(share, 1 - 1e-9)
    return np.array([needed_at(np.maximum(counts, 1e-9), share, p_log, own) for own in lights])


def run_numbers(columns: dict[str, Integers | Floats]) -> Floats:
    """Rows of `RUN_NUMBERS` from columns of the table runs."""
    rows = [np.asarray(columns[name], float) for name in RUN_NUMBERS]
    return np.stack(rows, axis=1)
