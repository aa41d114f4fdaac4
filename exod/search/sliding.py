"""Search in windows that slide, with exact probabilities (method.md, Sliding windows).

A window is a square of cells in a number of sub-frames; windows overlap, so that no signal is cut
by the edges of cells or frames. Whether a window has too many or too few counts is decided by the
binomial probability of its counts given those of its cells in all frames
(`exod.counts.shares`), and the same probabilities add up to the number of false alarms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exod.counts.cube import EVENTS_PER_CHUNK, CountCube
from exod.counts.shares import ConditionalExpectation
from exod.counts.weights import WeightedChance
from exod.counts.windows import LN10, Chance, Tiling, WindowCounts
from exod.observation.gti import Frames
from exod.schemas.arrays import Floats, Integers, Mask
from exod.search.regions import CELLS_PER_BLOCK, SignificantCells

_UNLIKELY: Final = -4.0
_UNLIKELY_SIGMAS: Final = 3.0
"""Windows closer to the expectation than three binomial standard deviations have p above 1e-4."""

DENSE: Final = 2_000_000
SPARSE: Final = 16
"""Counts of windows that are held at a time, where there are fewer windows than this for an event;
otherwise only windows with events are."""


@dataclass(frozen=True)
class FoundWindows:
    """What a search found.

    Attributes
    ----------
    cells : SignificantCells
        First cell of each significant window, and the frame in which it starts.
    crowded : ndarray of bool, shape (n_events,)
        Events of the cube that share a window with `crowd` or more events; only these can be in a
        significant window of a shorter search, see `covers`.
    """

    cells: SignificantCells
    crowded: Mask


def covers(long: float, short: float, shifts: int) -> bool:
    """Whether any interval of length `short` lies in a frame of length `long`.

    Examples
    --------
    >>> covers(15.0, 6.0, 2), covers(15.0, 10.0, 2), covers(15.0, 6.0, 1)
    (True, False, False)
    """
    return short <= long * (1 - 1 / shifts)


def significant_windows(
    cube: CountCube,
    whole: CountCube,
    sums: WindowCounts,
    expectation: ConditionalExpectation,
    shifts: int,
    p_log: float,
    crowd: int = 1,
) -> FoundWindows:
    """Find the windows with too many or too few counts.

    Parameters
    ----------
    cube : CountCube
        Counts in sub-frames; `shifts` of them are a frame. Events that cannot be in a window with
        too many counts may be left out.
    whole : CountCube
        The same with all events, for windows with too few.
    sums : WindowCounts
        Window sums of the expectation.
    expectation : ConditionalExpectation
        Expected counts of the band.
    shifts : int
        Windows start at every sub-frame, `shifts` in a frame.
    p_log : float
        log10 of the largest probability of a significant window.
    crowd : int
        Events of a window from which on it is crowded.

    Returns
    -------
    FoundWindows
    """
    found = []
    n_frames = cube.frames.n // shifts
    crowded = np.zeros(cube.n_sum, bool)
    tilings = sums.windows.tilings
    for shift in range(shifts):
        frames = Frames(
            cube.frames.t_lo + shift * cube.frames.t_bin,
            cube.frames.t_bin * shifts,
            n_frames - (shift > 0),
        )
        if frames.n <= 0:
            continue
        shares = expectation.shares(frames)
        relative = expectation.relative(frames)
        search = _Shift(cube, sums, frames, shift, shifts, *shares, p_log, tilings, relative)
        found += list(search.peaks(crowd, crowded))
        found += list(replace(search, cube=whole).eclipses())
    return FoundWindows(_collect(found, cube, shifts), crowded)


def least_counts_of(sums: WindowCounts, level: Floats, p_log: float) -> int:
    """Counts below which no window can have too many, at least 2.

    Parameters
    ----------
    sums : WindowCounts
        Window sums.
    level : ndarray, shape (n_classes, n_frames)
        Shares of the frames.
    p_log : float
        log10 of the largest probability of a significant window.
    """
    share = (sums.counts.sum(1) @ level) / max(float(sums.counts.sum()), 1.0)
    smallest = float(share[share > 0].min(initial=1.0))
    if smallest >= 1:
        return 2
    # All k counts of a window in one frame: share^k.
    return max(int(np.ceil(p_log / np.log10(smallest) - 1e-9)), 2)


_Part = tuple[NDArray[Any], ...]
"""Starts, positions, counts, expected counts, probabilities and whether peaks, of windows."""


@dataclass(frozen=True)
class _Shift:
    """The windows of all positions whose frames start at one shift."""

    cube: CountCube
    sums: WindowCounts
    frames: Frames
    shift: int
    shifts: int
    level: Floats
    exposure: Floats
    p_log: float
    tilings: list[Tiling]
    relative: Floats | None = None

    def _frame(self, first: int, last: int) -> Integers:
        sub = self.cube.frame[first:last].astype(np.int64)
        return (sub - self.shift) // self.shifts

    def _chunks(self) -> Iterator[tuple[int, int, int, int]]:
        """Ranges of frames and of events."""
        n = self.frames.n
        windows = max(len(self.tilings[0].positions), 1)
        step = n * EVENTS_PER_CHUNK // max(self.cube.n_sum, 1)
        if n * windows <= SPARSE * self.cube.n_sum:
            step = min(step, DENSE // windows)
        step = max(step, 1)
        for first in range(0, n, step):
            last = min(first + step, n)
            ends = self.shift + self.shifts * np.array([first, last])
            start, stop = np.searchsorted(self.cube.frame, ends)
            yield first, last, int(start), int(stop)

    def peaks(self, crowd: int, crowded: Mask) -> Iterator[_Part]:
        """Windows with too many counts; marks the events of crowded windows."""
        least = least_counts_of(self.sums, self.level, self.p_log)
        for first, last, start, stop in self._chunks():
            frame = self._frame(start, stop) - first
            cell = self.cube.cell[start:stop]
            for tiling in self.tilings:
                windows = len(tiling.positions)
                key = frame * windows + tiling.number[cell]
                middle = tiling.is_middle[cell] if self.sums.middle else None
                together, key, n, more = _occurrences(key, (last - first) * windows, least, middle)
                crowded[start:stop] |= together >= crowd
                found, number = np.divmod(key, windows)
                position = tiling.positions[number]
                inside = position < self.sums.windows.outside
                if inside.any():
                    frames = found[inside] + first
                    yield self._peaks(frames, position[inside], n[inside], more[inside])

    def _peaks(self, frame: Integers, position: Integers, n: Floats, more: Floats) -> _Part:
        """Of windows with `n` counts, `more` of which count double."""
        expected = self.sums.expected(self.level, self.exposure, frame, position, self.relative)
        mu = expected.sum(0)
        chance: Chance | WeightedChance = self.sums.chance(expected, position)
        if self.sums.middle:
            middle = self.sums.middle.expected(
                self.level, self.exposure, frame, position, self.relative
            )
            chance = WeightedChance.of(self.sums, self.sums.middle, expected, middle, position)
        far = (n + more > chance.mean + self._unlikely(chance)) & (mu > 0)
        frame, position, n, mu = frame[far], position[far], n[far], mu[far]
        p_log = chance.take(far).log10_tail(n + more[far], upper=True)
        return self._keep(frame, position, n, mu, p_log, is_peak=True)

    def _unlikely(self, chance: Chance | WeightedChance) -> Floats:
        """Distance from the expectation up to which counts are not significant."""
        if self.p_log > _UNLIKELY:
            return np.zeros(chance.mean.shape)
        return _UNLIKELY_SIGMAS * chance.sigma

    def _keep(
        self,
        frame: Integers,
        position: Integers,
        n: Floats,
        mu: Floats,
        p_log: Floats,
        *,
        is_peak: bool,
    ) -> _Part:
        hit = p_log <= self.p_log
        time = self.frames.t_lo + self.frames.t_bin * frame[hit].astype(np.float64)
        return time, position[hit], n[hit], mu[hit], p_log[hit], np.full(len(time), is_peak)

    def eclipses(self) -> Iterator[_Part]:
        """Windows with too few counts, among those that expect enough."""
        # The least probable count is none: in each class (1 - mu / I)^I, in the frame that expects
        # most. That of the joint trials of several classes is not smaller than the product.
        # No place is more live, compared with the field, than the group that is so most.
        most_live = 1.0 if self.relative is None else self.relative.max(axis=0, initial=0.0)
        level, exposure = self.level * most_live, self.exposure * most_live
        some = self._enough(level, exposure)
        none = np.zeros(len(some))
        for counts, source, own_level, own_exposure in zip(
            self.sums.counts[:, some], self.sums.source[:, some], level, exposure, strict=True
        ):
            most = counts * own_level.max(initial=0) + source * own_exposure.max(initial=0)
            share = np.divide(most, counts, out=np.zeros_like(most), where=counts > 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                none += np.where(share > 0, counts * np.log1p(-np.minimum(share, 1)), 0.0)
        bright = some[none < self.p_log * LN10]
        if not len(bright):
            return
        step = max(CELLS_PER_BLOCK // len(bright), 1)
        for first in range(0, self.frames.n, step):
            last = min(first + step, self.frames.n)
            ends = self.shift + self.shifts * np.array([first, last])
            start, stop = np.searchsorted(self.cube.frame, ends)
            yield self._eclipses(first, last, int(start), int(stop), bright)

    def _enough(self, level: Floats, exposure: Floats) -> Integers:
        """Windows whose counts may be enough for an eclipse, by the largest share of any."""
        most = level.max(initial=0.0) + exposure.max(initial=0.0)
        if most >= 1:
            return np.arange(self.sums.windows.outside)
        least = self.p_log * LN10 / np.log1p(-most) if most > 0 else np.inf
        # Sums over the classes are not smaller than what any of them says.
        return np.flatnonzero(self.sums.counts[:, :-1].sum(0) > (1 - 1e-9) * least)

    def _eclipses(
        self,
        first: int,
        last: int,
        start: int,
        stop: int,
        bright: Integers,
    ) -> _Part:
        column = np.full(self.sums.windows.outside + 1, -1)
        column[bright] = np.arange(len(bright))
        frame, cell = self._frame(start, stop) - first, self.cube.cell[start:stop]
        size = (last - first) * len(bright)
        n = np.zeros(size)
        for tiling in self.tilings:
            where = column[tiling.positions][tiling.number[cell]]
            used = where >= 0
            n += np.bincount(frame[used] * len(bright) + where[used], minlength=size)[:size]
        frames, index = np.divmod(np.arange(size), len(bright))
        frames, position = frames + first, bright[index]
        expected = self.sums.expected(self.level, self.exposure, frames, position, self.relative)
        mu = expected.sum(0)
        chance = self.sums.chance(expected, position)
        far = n < mu - self._unlikely(chance)
        frames, position, n, mu = frames[far], position[far], n[far], mu[far]
        p_log = chance.take(far).log10_tail(n, upper=False)
        return self._keep(frames, position, n, mu, p_log, is_peak=False)


def _occurrences(
    key: Integers, size: int, least: int, middle: Mask | None
) -> tuple[Integers, Integers, Floats, Floats]:
    """How often the key of each event occurs; keys that occur often enough, and how often.

    Keys are below `size`. The last array tells how often those keys occur with `middle`.
    """
    if size <= max(SPARSE * len(key), 1000):
        number, n = key, np.bincount(key, minlength=1)
        often = enough = np.flatnonzero(n >= least)
    else:
        values, number, n = np.unique(key, return_inverse=True, return_counts=True)
        enough = np.flatnonzero(n >= least)
        often = values[enough]
    counts = n[enough].astype(float)
    if middle is None:
        return n[number], often, counts, np.zeros(len(counts))
    more = np.bincount(number[middle], minlength=len(n))[enough]
    return n[number], often, counts, more.astype(float)


def _collect(found: list[_Part], cube: CountCube, shifts: int) -> SignificantCells:
    nothing = tuple(np.zeros(0, dtype) for dtype in ("f8", "i8", "f8", "f8", "f8", "?"))
    time, position, n, mu, p_log, is_peak = (
        np.concatenate(column) for column in zip(*(found or [nothing]), strict=True)
    )
    sub = np.rint((time - cube.frames.t_lo) / cube.frames.t_bin).astype(np.int64)
    return SignificantCells.of(cube, sub // shifts, position, n, mu, is_peak, time, p_log)
