"""Random cubes for the sliding search, and its slow reference: every window, counted plainly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from exod.counts.cube import CountCube
from exod.counts.partial import GroupTimes
from exod.counts.shares import (
    ConditionalExpectation,
    LiveTime,
    class_images,
    grouped_expectation,
)
from exod.counts.windows import WindowCounts, Windows
from exod.observation.gti import Frames
from helpers.strategies import grid_of

T_LO = 1e8


@dataclass(frozen=True)
class Case:
    """Counts and their expectation, ready to be searched.

    Attributes
    ----------
    cube : CountCube
        Counts in sub-frames.
    expectation : ConditionalExpectation
        Expected counts, in whole frames.
    sums : WindowCounts
        Window sums.
    shifts : int
        Sub-frames of a frame.
    """

    cube: CountCube
    expectation: ConditionalExpectation
    sums: WindowCounts
    shifts: int

    @property
    def width(self) -> int:
        """Cells along a side of a window."""
        return self.sums.windows.width

    @property
    def frames(self) -> Frames:
        """Whole frames, without shift."""
        return self.expectation.frames


def always(span: float) -> LiveTime:
    """Cameras that never stop."""
    return LiveTime(np.array([T_LO, T_LO + span]), np.ones(1, bool))


def make_case(
    time: np.ndarray,
    cell: np.ndarray,
    side: int,
    live_time: LiveTime,
    t_bin: float,
    *,
    width: int = 1,
    shifts: int = 1,
    known: np.ndarray | None = None,
    weighted: bool = False,
    groups: tuple[GroupTimes, np.ndarray] | None = None,
) -> Case:
    """Events at `time` in `cell` (row * side + column), binned and with their expectation.

    `known` is a mask of the whole grid, shape (side, side); `groups` are CCDs that are not always
    live, with that of each event.
    """
    order = np.argsort(time, kind="stable")
    time, cell = time[order], cell[order]
    alive = live_time.contains(time)
    time, cell, order = time[alive], cell[alive], order[alive]
    span = float(live_time.edges[-1] - live_time.edges[0])
    whole = CountCube.from_events(
        Frames(T_LO, span * (1 + 1e-9), 1),
        grid_of(side),
        np.zeros(len(time), np.int32),
        cell.astype(np.int32),
        np.zeros(1, bool),
    )
    mask = np.zeros((side, side), bool) if known is None else known
    known = mask[whole.box.slices]
    frames = Frames.covering(T_LO, T_LO + span, t_bin)
    if groups is not None:
        group = groups[1][order].astype(np.uint8)
        expectation = grouped_expectation(whole, time, group, groups[0], known)
        expectation = replace(expectation, frames=frames, is_bad=np.zeros(frames.n, bool))
    else:
        images = class_images(whole, live_time.at(time), live_time, known)
        curve, counts, source, source_mask = images
        expectation = ConditionalExpectation(
            counts, source, source_mask, curve, live_time, frames, np.zeros(frames.n, bool)
        )
    fine = Frames(T_LO, t_bin / shifts, frames.n * shifts)
    windows = Windows(expectation.source_mask.shape, width, weighted)
    shares = expectation.groups[1] if expectation.groups else None
    sums = WindowCounts.of(expectation.counts, expectation.source, windows, shares)
    return Case(in_frames(whole, time, fine), expectation, sums, shifts)


def in_frames(whole: CountCube, time: np.ndarray, frames: Frames) -> CountCube:
    """The same events in other frames; those outside are left out."""
    frame = frames.index(time)
    inside = (frame >= 0) & (frame < frames.n)
    return replace(
        whole,
        frames=frames,
        frame=frame[inside],
        cell=whole.cell[inside],
        event=whole.event[inside],
        exposure=np.ones(frames.n),
        chunk_frames=max(frames.n, 1),
    )


def random_case(
    seed: int, *, n_frames: int = 0, width: int = 0, shifts: int = 0, weighted: bool = False
) -> Case:
    """Bursts and dips on a background that jumps, with gaps and sources; zeros: any."""
    generator = np.random.default_rng(seed)
    side = int(generator.integers(1, 8))
    n_frames = n_frames or int(generator.integers(1, 26))
    width, shifts = width or int(generator.integers(1, 4)), shifts or int(generator.integers(1, 4))
    t_bin = float(generator.choice([1.0, 7.3, 40.0]))
    span = t_bin * (n_frames + float(generator.choice([0.0, 0.4])))
    mean = generator.choice([0.05, 0.5, 4.0, 12.0])
    n = int(generator.poisson(mean * n_frames * side**2))
    # A third of the time is bright.
    bright = generator.random(n) < generator.choice([0.0, 0.7])
    time = np.where(bright, generator.uniform(0.3, 0.6, n), generator.random(n)) * span
    cell = generator.integers(0, side**2, n)
    known = generator.random((side, side)) < generator.choice([0.0, 0.1])
    for place in np.flatnonzero(known):
        more = generator.poisson(5 * mean * n_frames)
        time = np.append(time, generator.random(more) * span)
        cell = np.append(cell, np.full(more, place))
    for _ in range(int(generator.integers(0, 4))):
        start, length = generator.random() * span, t_bin * generator.choice([0.01, 0.5, 1.5])
        place = int(generator.integers(0, side**2))
        if generator.random() < 0.5:
            more = int(generator.integers(2, 25))
            time = np.append(time, start + length * generator.random(more))
            cell = np.append(cell, np.full(more, place))
        else:
            gone = (time >= start) & (time < start + 2 * length) & (np.abs(cell - place) < 3)
            time, cell = time[~gone], cell[~gone]
    edges = T_LO + np.array([0.0, *np.sort(generator.random(2)) * span, span])
    live = np.array([True, generator.random() < 0.7, True])
    time = np.minimum(T_LO + time, edges[-1] - 1e-6)
    live_time = LiveTime(edges, live)
    groups = None
    if generator.random() < 0.4:
        n_groups = int(generator.integers(1, 4))
        own = generator.choice([0.0, 0.4, 1.0, 1.0], (n_groups, 3))
        group = generator.integers(0, n_groups, len(time))
        interval = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, 2)
        kept = generator.random(len(time)) < own[group, interval]
        time, cell, group = time[kept], cell[kept], group[kept]
        groups = GroupTimes(edges, own * live), group
    return make_case(
        time,
        cell,
        side,
        live_time,
        t_bin,
        width=width,
        shifts=shifts,
        known=known,
        weighted=weighted,
        groups=groups,
    )


def window_counts(case: Case) -> np.ndarray:
    """Counts of all windows, shape (sub-frames at which one starts, y, x)."""
    rows, columns = case.cube.box.shape
    w = case.width
    dense = np.zeros((case.cube.frames.n, max(rows, w), max(columns, w)), int)
    y, x = np.divmod(case.cube.cell, max(columns, 1))
    np.add.at(dense, (case.cube.frame, y, x), 1)
    size = (case.shifts, w, w)
    return np.lib.stride_tricks.sliding_window_view(dense, size).sum((-3, -2, -1))


def window_probabilities(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expected counts of all windows, and log10 of the upper and the lower tail of their counts."""
    counts = window_counts(case)
    mu, upper, lower = (np.zeros(counts.shape) for _ in range(3))
    expectation, w = case.expectation, case.width
    t_bin = case.cube.frames.t_bin
    for k, y, x in np.ndindex(*counts.shape):
        frame = Frames(T_LO + k * t_bin, t_bin * case.shifts, 1)
        level, exposure = (share[:, 0] for share in expectation.shares(frame))
        own = expectation.counts[:, y : y + w, x : x + w].sum((1, 2))
        source = expectation.source[:, y : y + w, x : x + w].sum((1, 2))
        by_class = (own - source) * level + source * exposure
        if expectation.groups is not None:
            by_class *= live_of_window(expectation, frame, y, x, w)
        mu[k, y, x] = by_class.sum()
        some = own > 1e-9
        shares = np.minimum(by_class[some] / own[some], 1.0)
        tails = tails_of_classes(int(counts[k, y, x]), own[some], shares)
        upper[k, y, x], lower[k, y, x] = tails
    return mu, upper, lower


def live_of_window(
    expectation: ConditionalExpectation, frame: Frames, y: int, x: int, w: int
) -> np.ndarray:
    """Live fraction of a window in a frame over that of the field, by class of time."""
    times, shares = expectation.groups
    overlap = np.minimum(times.edges[1:], frame.t_lo + frame.t_bin) - np.maximum(
        times.edges[:-1], frame.t_lo
    )
    overlap = np.maximum(overlap, 0.0)
    field = overlap @ expectation.live_time.live
    if field <= 1e-9 * frame.t_bin:
        return np.ones(len(expectation.counts))
    relative = times.live @ overlap / field
    result = []
    for counts, own in zip(expectation.counts, shares.shares, strict=True):
        images = own.reshape(len(own), *counts.shape) * counts
        sums = images[:, y : y + w, x : x + w].sum((1, 2))
        result.append(sums @ relative / max(sums.sum(), 1e-300))
    return np.array(result)


def tails_of_classes(n: int, counts: np.ndarray, shares: np.ndarray) -> tuple[float, float]:
    """log10 of P(N >= n) and P(N <= n), N the sum of binomial numbers, one a class of time.

    A sure number and a binomial one with the same mean, variance and third central moment stand
    for it.
    """
    mean = (counts * shares).sum()
    variance = (counts * shares * (1 - shares)).sum()
    third = (counts * shares * (1 - shares) * (1 - 2 * shares)).sum()
    if variance == 0:
        return (0.0 if n <= mean + 1e-9 else -np.inf), 0.0
    share = min(max((1 - third / variance) / 2, 1e-12), 1 - 1e-12)
    trials = variance / (share * (1 - share))
    return binomial_tails(max(n - (mean - trials * share), 0.0), trials, share)


def binomial_tails(n: float, trials: float, share: float) -> tuple[float, float]:
    """By incomplete beta functions, since numbers may be real."""
    trials = max(trials, n)
    high = special.betainc(n, trials - n + 1, share) if n else 1.0
    low = special.betaincc(n + 1, trials - n, share) if trials > n else 1.0
    with np.errstate(divide="ignore"):
        return float(np.log10(high)), float(np.log10(low))
