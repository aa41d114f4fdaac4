"""How many regions chance alone makes in a run (method.md, False alarms).

A run is tested against an expectation that was estimated from the same counts, so the chance of a
false alarm is not the Poisson tail at that expectation. What holds exactly, if nothing varies but
the level of the background, is the distribution of the counts n of a cell in a frame *given* the
counts I of that cell in all frames, the counts L of that frame in all cells, and the counts N of
all cells in all frames: n is hypergeometric, whatever the background looks like and however bright
the sources in the cell are. The threshold for n follows from the expectation of the cell, which I
and L fix. The sum of the tails over cells and frames is the expected number of false cells; nearby
ones make one region.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import numpy as np
from scipy.special import betainc, gammaln

from exod.counts.bayes import Rule, log10_b_eclipse, log10_b_peak
from exod.counts.cube import CountCube
from exod.counts.template import Expectation, Template
from exod.schemas.arrays import Floats, Integers, Mask

LEVEL_GROUPS: Final = 32
TEMPLATE_GROUPS: Final = 48
"""Frames of similar level and cells of similar expectation are counted together."""

NEIGHBOURHOOD: Final = 9
"""Cells in which false alarms join to one region: a cell and its eight neighbours."""

_FEW: Final = 30.0
"""Mean counts up to which tails are summed term by term."""

_PLENTY: Final = 1e9


class Limits(Protocol):
    """What decides: `exod.counts.bayes.Thresholds`, or `BayesLimits`."""

    def least_peak(self, mu: Floats) -> Floats:
        """Smallest count that is a peak where `mu` are expected."""
        ...

    def most_eclipse(self, mu: Floats) -> Floats:
        """Largest count that is an eclipse where `mu` are expected; -1 where there is none."""
        ...


@dataclass(frozen=True)
class BayesLimits:
    """Cells with a Bayes factor of at least the given one, peak or eclipse.

    Attributes
    ----------
    b_log : float
        log10 of the Bayes factor, above 0.
    rule : {"exact", "exod2"}
        As of `exod.counts.bayes.Thresholds`: with ``exod2`` a peak has one count more.
    """

    b_log: float
    rule: Rule = "exact"

    def least_peak(self, mu: Floats) -> Floats:
        """Smallest count with this B_peak."""
        more = 1 if self.rule == "exod2" else 0
        return _limits(self.b_log)[0][_MU_GRID.searchsorted(mu)] + more

    def most_eclipse(self, mu: Floats) -> Floats:
        """Largest count with this B_eclipse; -1 where there is none."""
        return _limits(self.b_log)[1][_MU_GRID.searchsorted(mu)]


_MU_GRID: Final = np.append(np.geomspace(1e-7, 3e4, 3000), np.inf)
"""Expectations between which limits are the same."""


@lru_cache(maxsize=256)
def _limits(b_log: float) -> tuple[Floats, Floats]:
    """Smallest count of a peak and largest of an eclipse on the grid of expectations."""
    mu = _MU_GRID[:-1]
    highest = np.ceil(2 * mu + 10 * (1 + b_log) + 10)
    none = np.full(len(mu), -1.0)
    least = smallest(lambda n: log10_b_peak(n, mu) >= b_log, none, highest)
    above = smallest(lambda n: log10_b_eclipse(n, mu) < b_log, none, np.ceil(2 * mu) + 1)
    return np.append(least, np.inf), np.append(above - 1, -1.0)


def smallest(test: Callable[[Floats], Mask], low: Floats, high: Floats) -> Floats:
    """Smallest whole numbers above `low` that pass a test, which all from some number on do."""
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        passed = test(middle)
        high, low = np.where(passed, middle, high), np.where(passed, low, middle)
    return high


@dataclass(frozen=True)
class Tests:
    """Pairs of a cell and a frame, in groups of cells and groups of frames that are alike.

    Attributes
    ----------
    total, n_cells : ndarray of float64, shape (cell groups,)
        Counts of a cell in all frames; cells in the group.
    level : ndarray of float64, shape (1 or cell groups, frame groups)
        Counts of a frame in all cells.
    n_frames : ndarray of float64, shape (frame groups,)
        Frames in the group.
    counts : float
        Counts of all cells in all frames.
    mu : ndarray of float64, shape (cell groups, frame groups)
        Expected counts that the search compares with.
    """

    total: Floats
    n_cells: Floats
    level: Floats
    n_frames: Floats
    counts: float
    mu: Floats

    def false_cells(self, limits: Limits) -> tuple[Floats, Floats]:
        """Expected false peaks and eclipses of each cell, shapes (cell groups,)."""
        total = np.broadcast_to(self.total[:, None], self.mu.shape)
        level = np.broadcast_to(self.level, self.mu.shape)
        peaks = _upper_tail(total, level, self.counts, limits.least_peak(self.mu))
        eclipses = _lower_tail(total, level, self.counts, limits.most_eclipse(self.mu))
        return peaks @ self.n_frames, eclipses @ self.n_frames


@dataclass(frozen=True)
class FalseAlarms:
    """Expected numbers of false regions of a run, by what makes them."""

    peaks: float
    eclipses: float

    @property
    def total(self) -> float:
        """Of both kinds."""
        return self.peaks + self.eclipses


def expected_false_alarms(tests: list[Tests], limits: Limits) -> FalseAlarms:
    """Expected number of false peak and eclipse regions of a run.

    Parameters
    ----------
    tests : list of Tests
        From `tests_of`.
    limits : Thresholds or BayesLimits
        What is significant.

    Notes
    -----
    Cells that are significant by chance are independent, but neighbours make one region: with x
    false cells expected in a cell, each block of nine holds a region with 1 - exp(-9 x).
    """
    peaks = eclipses = 0.0
    for group in tests:
        cell_peaks, cell_eclipses = group.false_cells(limits)
        peaks += float(group.n_cells @ -np.expm1(-NEIGHBOURHOOD * cell_peaks)) / NEIGHBOURHOOD
        eclipses += float(group.n_cells @ -np.expm1(-NEIGHBOURHOOD * cell_eclipses)) / NEIGHBOURHOOD
    return FalseAlarms(peaks, eclipses)


def tests_of(cube: CountCube, expectation: Expectation) -> list[Tests]:
    """The pairs of cell and frame that a run tests.

    Parameters
    ----------
    cube : CountCube
        Counts.
    expectation : Expectation
        Expected counts of the same cube.
    """
    result = []
    mask = expectation.source_mask.ravel()
    for is_bad, template in ((False, expectation.good), (True, expectation.bad)):
        frames = (expectation.is_bad == is_bad) & (expectation.exposure > 0)
        level = expectation.level[frames]
        if not level.any():
            continue
        total = cube.image(frames).ravel().astype(float)
        seen = template.shape.ravel() > 0
        if np.any(seen & ~mask):
            result.append(_open_tests(total, template, level, seen & ~mask))
        hidden = seen & mask & (total > 0)
        if hidden.any():
            result.append(_hidden_tests(total, template, level, expectation, hidden))
    return result


def _open_tests(total: Floats, template: Template, level: Floats, which: Mask) -> Tests:
    """Tests of the cells without known sources."""
    totals, shapes, n_cells = _cell_groups(total[which], template.shape.ravel()[which])
    levels, n_frames = similar(level, LEVEL_GROUPS, 0.5)
    mu = shapes[:, None] * levels[None, :]
    return Tests(totals, n_cells, levels[None, :], n_frames, float(level.sum()), mu)


def _hidden_tests(
    total: Floats, template: Template, level: Floats, expectation: Expectation, which: Mask
) -> Tests:
    """Tests of the cells of sources, whose expectation has a constant part.

    They are few, and their counts are not among those of the frame; only its share matters.
    """
    levels, n_frames = similar(level, LEVEL_GROUPS, 0.5)
    shape, source = template.shape.ravel()[which], expectation.source.ravel()[which]
    mu = shape[:, None] * levels[None, :] + source[:, None]
    share = mu / (mu @ n_frames)[:, None] * _PLENTY
    return Tests(total[which], np.ones(len(mu)), share, n_frames, _PLENTY, mu)


def similar(values: Floats, n: int, lowest: float = 0.0) -> tuple[Floats, Floats]:
    """Means and numbers of values that are alike, in at most `n` groups.

    Groups are equally wide in the logarithm, the first from `lowest` on.
    """
    return merged(*np.unique(values, return_counts=True), n, lowest)


def merged(unique: Floats, number: Integers, n: int, lowest: float = 0.0) -> tuple[Floats, Floats]:
    """As `similar`, of ascending values and how often there is each."""
    if len(unique) > n:
        edges = np.geomspace(max(unique[0], lowest), unique[-1] * (1 + 1e-9), n + 1)
        group = np.clip(np.searchsorted(edges, unique, side="right") - 1, 0, n - 1)
        total = np.bincount(group, number, n)
        used = total > 0
        unique = np.bincount(group, number * unique, n)[used] / total[used]
        number = total[used]
    return unique, np.asarray(number, float)


def _cell_groups(total: Floats, shape: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean counts, template and number of cells in groups where both are similar."""
    rough = np.where(total < 50, total, np.rint(50 * (1 + np.log(np.maximum(total, 1) / 50))))
    height = np.log(shape)
    low, high = height.min(), height.max() + 1e-9
    fine = ((height - low) / (high - low) * TEMPLATE_GROUPS).astype(np.int64)
    key = rough.astype(np.int64) * (TEMPLATE_GROUPS + 1) + fine
    _, group, n = np.unique(key, return_inverse=True, return_counts=True)
    return np.bincount(group, total) / n, np.exp(np.bincount(group, height) / n), n.astype(float)


def _upper_tail(total: Floats, level: Floats, counts: float, least: Floats) -> Floats:
    """P(n >= least) if `total` of `counts` are marked and `level` are drawn; one shape."""
    result = np.zeros(least.shape)
    mean = total * level / counts
    possible = least <= np.minimum(total, level)
    few = possible & (mean <= _FEW)
    result[few] = _hypergeometric_tail(total[few], level[few], counts, least[few])
    many = possible & ~few
    k, share = least[many], level[many] / counts
    result[many] = betainc(k, np.maximum(total[many] - k, 0) + 1, np.minimum(share, 1.0))
    return result


def _lower_tail(total: Floats, level: Floats, counts: float, most: Floats) -> Floats:
    """P(n <= most), 0 where most is -1; one shape."""
    result = np.zeros(most.shape)
    some = most >= 0
    k, n, share = most[some], total[some], np.minimum(level[some] / counts, 1.0)
    result[some] = np.where(k >= n, 1.0, betainc(np.maximum(n - k, 1e-9), k + 1, 1 - share))
    return result


def _hypergeometric_tail(total: Floats, level: Floats, counts: float, least: Floats) -> Floats:
    rest = np.maximum(counts - total - level, 0.0)
    term = np.exp(
        gammaln(total + 1)
        - gammaln(total - least + 1)
        + gammaln(level + 1)
        - gammaln(level - least + 1)
        - gammaln(least + 1)
        + gammaln(counts - total + 1)
        + gammaln(counts - level + 1)
        - gammaln(counts + 1)
        - gammaln(rest + least + 1)
    )
    tail, k = term.copy(), least.copy()
    while np.any(term > 1e-4 * tail):
        ratio = (total - k) * (level - k) / ((k + 1) * (rest + k + 1))
        term = term * np.maximum(ratio, 0.0)
        tail += term
        k += 1
    return np.minimum(tail, 1.0)


@dataclass(frozen=True)
class AlarmsByStrength:
    """Expected number of false regions of a run that are at least so strong.

    Attributes
    ----------
    strength : ndarray of float64, shape (n,)
        log10 of the Bayes factor, or -log10 of the probability, ascending.
    number : ndarray of float64, shape (n,)
        Expected false regions of at least this strength.
    """

    strength: Floats
    number: Floats

    def at(self, strength: float) -> float:
        """Expected number at a strength; a tenth for each unit beyond the last that is known."""
        if not len(self.strength):
            return 0.0
        last = float(self.strength[-1])
        log_number = np.log10(np.maximum(self.number, 1e-300))
        inside = np.interp(min(strength, last), self.strength, log_number)
        return float(10 ** (inside - max(strength - last, 0.0)))


def alarms_by_strength(
    tests: list[Tests], strengths: list[float], rule: Rule = "exact"
) -> AlarmsByStrength:
    """Expected false regions with at least these log10 Bayes factors, exactly."""
    wanted = np.unique(strengths)
    number = [expected_false_alarms(tests, BayesLimits(float(b), rule)).total for b in wanted]
    return AlarmsByStrength(wanted, np.array(number))
