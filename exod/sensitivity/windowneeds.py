"""Counts that a burst needs to be found in sliding windows, by formula.

A window with I counts in a class of time, of which a frame has the share x, is significant with k
counts if the binomial probability of at least k of I' is small, where I' are the counts outside
the frame and k. Of a burst of N counts within a frame, the photons arrive in random order at random
places of the point spread function; N_k is their expected number when any of the windows around has
k of them. With mu counts of background expected in the window, and the share f of the light in the
best window, the burst is found with N = N_k - mu / f counts.

Where the middle cell counts double, the sum of the window takes the place of its counts; the middle
is taken to hold a ninth of the background, and f is weighted in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
from scipy import special

from exod.counts.shares import ConditionalExpectation
from exod.counts.weights import WeightedChance
from exod.counts.windows import Chance, WindowCounts, log10_tail
from exod.schemas.arrays import Floats, Mask
from exod.sensitivity.cellalarms import smallest
from exod.sensitivity.cellneeds import PROBABILITIES, DetectionCounts, grouped
from exod.sensitivity.profiles import Profile, cell_shares

_LEVELS: Final = 12
_NODES: Final = 48
"""Levels of the background that are told apart in each class, and counts of a window."""

_PLACES: Final = 5

WINDOW_CELLS: Final = 9
"""Cells of a window whose middle counts double."""

_BURSTS: Final = 4000
_MOST: Final = 48
_SEED: Final = 1
"""Simulated bursts, and the counts of a window up to which they are followed; the median of N_k is
known to one or two per cent for the smallest k, better for others."""


def window_detection_counts(
    expectation: ConditionalExpectation,
    sums: WindowCounts,
    p_log: float,
    size_arcsec: float,
    profile: Profile,
) -> DetectionCounts:
    """Maps and medians of the counts for 50 and 90 % detection in a run.

    Parameters
    ----------
    expectation : ConditionalExpectation
        Expected counts of the run.
    sums : WindowCounts
        Its window sums.
    p_log : float
        log10 of the largest probability of a significant window.
    size_arcsec : float
        Width of a cell.
    profile : Profile
        Point spread function.

    Returns
    -------
    DetectionCounts
        Counts in the whole point spread function of a burst within one frame, mean over the
        frames with data; NaN where there are no counts.
    """
    width = sums.windows.width
    weighted = sums.windows.weighted
    lights = [Light.of(profile, size_arcsec, width, p, weighted) for p in PROBABILITIES]
    level, _ = expectation.shares(expectation.frames)
    own = np.argmax(sums.counts.sum(1)[:, None] * level, axis=0)
    live = level.sum(0) > 0
    shape = expectation.source_mask.shape
    totals = np.zeros((len(PROBABILITIES), sums.windows.outside))
    weight = np.zeros(sums.windows.outside)
    for number, distinct in enumerate(sums.distinct):
        shares, counts = level[number][live & (own == number)], distinct.counts
        if not len(shares) or not len(counts):
            continue
        nodes = np.geomspace(counts[0], counts[-1] * (1 + 1e-9), _NODES)
        at, log_nodes = np.log(counts), np.log(nodes)
        for row, needed in enumerate(_needed(nodes, shares, p_log, lights)):
            of_windows = len(shares) * np.interp(at, log_nodes, needed)
            totals[row][distinct.windows] += of_windows[distinct.index]
        weight[distinct.windows] += len(shares)
    with np.errstate(invalid="ignore"):
        images = totals / np.where(weight > 0, weight, np.nan)
    return DetectionCounts(
        tuple(_of_cells(image.reshape(shape), width).astype(np.float32) for image in images)
    )


def _needed(
    counts: Floats, shares: Floats, p_log: float, lights: Sequence[Light]
) -> Iterator[Floats]:
    """Counts of a burst, for windows with these counts, for each light; mean over frames."""
    levels, weights = grouped(shares, _LEVELS)
    total, share = (a.ravel() for a in np.meshgrid(counts, levels, indexing="ij"))
    least, mean = _least(total, share, p_log, weighted=lights[0].weighted)
    for light in lights:
        yield np.asarray(light.needed(least, mean).reshape(len(counts), -1) @ weights)


def needed_at(total: Floats, share: Floats, p_log: Floats | float, light: Light) -> Floats:
    """Counts of a burst in frames with a share of windows with these counts; one shape."""
    return light.needed(*_least(total, share, p_log, weighted=light.weighted))


def _least(
    total: Floats, share: Floats, p_log: Floats | float, *, weighted: bool
) -> tuple[Floats, Floats]:
    """Least significant counts, or sums if the middle cell counts double, and what is expected."""
    if weighted:
        mean = total * share * (WINDOW_CELLS + 1) / WINDOW_CELLS
        return least_sums(total, share, p_log), mean
    return least_counts(total, share, p_log), total * share


def least_counts(total: Floats, share: Floats, p_log: Floats | float) -> Floats:
    """Least significant counts of frames with a share of windows with these counts; one shape.

    Examples
    --------
    >>> least_counts(np.array([50.0]), np.array([0.001]), -9.0)
    array([6.])
    """
    rest = total * (1 - share)

    def enough(n: Floats) -> Mask:
        # The counts of a burst are among those of its window.
        trials = rest + n
        return log10_tail(n, trials, trials * share, upper=True) <= p_log

    highest = np.ceil(2 * total * share - 6 * p_log + 20)
    return smallest(enough, np.floor(total * share), highest)


def least_sums(total: Floats, share: Floats, p_log: Floats | float) -> Floats:
    """As `least_counts`, of sums in which the middle cell counts double.

    Examples
    --------
    >>> least_sums(np.array([50.0]), np.array([0.001]), -9.0)
    array([8.])
    """

    def enough(s: Floats) -> Mask:
        # The counts of a burst are among those of its window.
        trials = total * (1 - share) + s * WINDOW_CELLS / (WINDOW_CELLS + 1)
        inner = trials / WINDOW_CELLS
        parts = [Chance(np.zeros_like(inner), n, share) for n in (trials - inner, inner)]
        endless = np.full_like(inner, np.inf)
        return WeightedChance(parts[0], parts[1], endless, endless).log10_tail(s) <= p_log

    # A sum is at least the counts, and at most twice as large.
    least = least_counts(total, share, p_log)
    return smallest(enough, least - 1, 2 * least)


@dataclass(frozen=True, eq=False)
class Light:
    """How the photons of a burst gather in the windows around it.

    Attributes
    ----------
    probability : float
        Detection probability.
    share : float
        Share of the light in the best window, mean over places in a cell.
    counts : ndarray of float64, shape (n,)
        Expected counts of a burst of which any window has 1, 2, ... n with that probability, if
        there is no background.
    weighted : bool
        Whether the middle cell counts double, in the share and in the counts of the window.
    """

    probability: float
    share: float
    counts: Floats
    weighted: bool = False

    @classmethod
    @lru_cache(maxsize=16)
    def of(
        cls,
        profile: Profile,
        size_arcsec: float,
        width: int,
        probability: float,
        weighted: bool = False,  # noqa: FBT001, FBT002
    ) -> Light:
        """For windows of `width` x `width` cells."""
        expected = _expected_counts(profile, size_arcsec, width, weighted)
        share = best_share(profile, size_arcsec, width, weighted)
        return cls(probability, share, np.quantile(expected, probability, axis=0), weighted)

    def needed(self, least: Floats, mu: Floats) -> Floats:
        """Counts of a burst for windows that need `least` and expect `mu`, same shape."""
        single = special.gammaincinv(least, self.probability) / self.share
        most = len(self.counts)
        gain = special.gammaincinv(most, self.probability) / self.share - self.counts[-1]
        # What the choice among windows gains grows as the fluctuations.
        many = single - gain * np.sqrt(least / most)
        few = self.counts[np.clip(least, 1, most).astype(np.int64) - 1]
        return np.maximum(np.where(least <= most, few, many) - mu / self.share, 0.0)


@lru_cache(maxsize=8)
def _expected_counts(
    profile: Profile,
    size_arcsec: float,
    width: int,
    weighted: bool,  # noqa: FBT001
) -> Floats:
    """Expected counts of simulated bursts when any window reaches 1, 2, ... counts.

    If the expected counts of a burst grow, its photons come one after the other with exponential
    distances. Shape (n_bursts, `_MOST`).
    """
    generator = np.random.default_rng(_SEED)
    n = int((_MOST + 6 * np.sqrt(_MOST)) / best_share(profile, size_arcsec, width, weighted))
    place = generator.uniform(-0.5, 0.5, (2, _BURSTS, 1))
    offset = profile.sample(generator, _BURSTS * n).reshape(2, _BURSTS, n)
    cell = np.rint(place + offset / size_arcsec)
    # Windows with the cell of the burst inside; of single cells the neighbours too.
    starts = range(1 - width, 1) if width > 1 else range(-1, 2)
    most = np.zeros((_BURSTS, n), np.int16)
    for i, j in product(starts, starts):
        (row, column), middle = cell - np.array([i, j])[:, None, None], width // 2
        inside = (row >= 0) & (row < width) & (column >= 0) & (column < width)
        counts = inside.astype(np.int16)
        if weighted:
            counts += (row == middle) & (column == middle)
        np.maximum(most, counts.cumsum(1, dtype=np.int16), out=most)
    arrival = generator.exponential(size=most.shape).cumsum(1)
    reached = [np.minimum((most < k).sum(1), n - 1) for k in range(1, _MOST + 1)]
    return np.take_along_axis(arrival, np.stack(reached, axis=1), axis=1)


@lru_cache(maxsize=8)
def best_share(
    profile: Profile,
    size_arcsec: float,
    width: int,
    weighted: bool = False,  # noqa: FBT001, FBT002
) -> float:
    """Share of the light in the best window, mean over places in a cell.

    Of weighted windows the share of the middle cell counts double.
    """
    places = (np.arange(_PLACES) + 0.5) / _PLACES - 0.5
    dx, dy = (a.ravel() for a in np.meshgrid(places, places))
    cells = cell_shares(profile, dx, dy, size_arcsec, reach=width)
    windows = np.lib.stride_tricks.sliding_window_view(cells, (width, width), axis=(1, 2))
    sums = windows.sum((-2, -1)) + weighted * windows[..., width // 2, width // 2]
    return float(sums.max((1, 2)).mean())


def _of_cells(image: Floats, width: int) -> Floats:
    """What a source in a cell needs: the least of the windows that have it inside.

    Windows are named by their first cell.
    """
    rows, columns = image.shape
    padded = np.pad(image, ((width - 1, 0), (width - 1, 0)), constant_values=np.nan)
    stack = [padded[i : i + rows, j : j + columns] for i in range(width) for j in range(width)]
    best = np.fmin.reduce(np.array(stack))
    return np.asarray(best)
