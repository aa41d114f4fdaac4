"""When a variable event started and stopped, how long and how bright it was.

The search finds frames. Here the unbinned photons of a region say what happened in them. Times are
first replaced by the expected counts up to them, so that everything but the event has rate one,
whatever the background does; Bayesian blocks (Scargle et al. 2013, ApJ 764, 167) then find the
intervals of constant ratio to the expectation. The blocks that stand out around the frames are the
event, and the posterior of the change point at each end gives its start and stop (docs/events.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special
from scipy.optimize import minimize_scalar

from exod.counts.bayes import Kind, amplitude_limit, log10_b_eclipse, log10_b_peak
from exod.schemas.arrays import Floats
from exod.search.blocks import block_edges, change_point
from exod.search.clocks import ExpectedCounts

PADDING: Final = 40
"""Photons on either side of the seed that are looked at first."""

MARGIN: Final = 15
"""Photons that have to be left on either side of the event, otherwise more are looked at."""

CHANCE: Final = 1e-3
"""Poisson probability below which a block stands out of the expectation."""

FAINTEST: Final = 0.1
"""Smallest excess rate of a block of the event, relative to its brightest block: the width at a
tenth of the maximum. So an expectation that is slightly wrong does not extend the event."""

SMALLEST_STEP: Final = 0.1
"""The rate changes by at least this fraction at the start and the stop, so that they are defined
when the blocks beside the event are as bright as its own."""

CREDIBILITY: Final = float(special.erf(np.sqrt(0.5)))
"""Probability within one standard deviation of a normal distribution, 68.3 %."""


@dataclass(frozen=True)
class Event:
    """A burst or an eclipse; all times are mission elapsed times in seconds.

    Attributes
    ----------
    kind : {"peak", "eclipse"}
        Whether there are more or fewer photons than expected.
    start, start_err, stop, stop_err : float
        Mean and standard deviation of the posterior of the first and the last moment.
    duration, duration_err : float
        ``stop - start``, with gaps in the data inside the event.
    n : int
        Photons from start to stop, both included, without those in frames that expect none.
    mu : float
        Expected counts from start to stop.
    excess, excess_lo, excess_hi : float
        ``n - mu`` and its shortest 68.3 % credible interval, corrected for photons outside the
        region; negative for an eclipse. See `excess_interval`.
    peak_rate, peak_rate_err : float
        Excess in ct/s in the brightest (of an eclipse: the deepest) block, corrected likewise; a
        second counts by its live fraction.
    """

    kind: Kind
    start: float
    start_err: float
    stop: float
    stop_err: float
    duration: float
    duration_err: float
    n: int
    mu: float
    excess: float
    excess_lo: float
    excess_hi: float
    peak_rate: float
    peak_rate_err: float


def describe_event(
    time: Floats,
    expected: ExpectedCounts,
    seed: tuple[float, float],
    kind: Kind,
    *,
    psf_fraction: float = 1.0,
) -> Event | None:
    """Measure the event that the search found in some frames.

    Parameters
    ----------
    time : ndarray of float64, shape (n,)
        Photons of the region in order, mission elapsed time in seconds. Those outside the frames
        or in frames that expect nothing are ignored.
    expected : ExpectedCounts
        What the region has without the event.
    seed : tuple of float
        Start and stop of the significant frames; the event can be shorter or longer.
    kind : {"peak", "eclipse"}
        What was significant in them.
    psf_fraction : float
        Fraction of the source's photons that fall in the region, above 0 and at most 1.

    Returns
    -------
    Event or None
        None when the seed has no data, or the photons in it or in the event are not more (of an
        eclipse: not fewer) than expected.

    Raises
    ------
    ValueError
        When the times are not finite or not in order, the seed is not an interval that overlaps
        the frames, or the fraction is out of its range.

    Examples
    --------
    >>> background, burst = np.arange(50.0, 10_000.0, 100.0), np.arange(5000.5, 5010.0)
    >>> expected = ExpectedCounts(np.linspace(0.0, 10_000.0, 51), np.full(50, 2.0))
    >>> event = describe_event(
    ...     np.sort(np.append(background, burst)), expected, (5000.0, 5200.0), "peak"
    ... )
    >>> event.n, round(event.duration, 1), round(event.peak_rate, 1)
    (10, 11.0, 0.9)
    """
    time = np.asarray(time, float)
    _check(time, expected, seed, psf_fraction)
    time = time[(time >= expected.edges[0]) & (time <= expected.edges[-1])]
    time = time[expected.mu[expected.frame(time)] > 0]
    begin, end = expected.counts.at(seed)
    if end <= begin:
        return None
    found = _find(expected.counts.at(time), float(begin), float(end), expected, kind)
    if found is None:
        return None
    start, start_err = _edge(time, expected, found, kind, is_start=True)
    stop, stop_err = _edge(time, expected, found, kind, is_start=False)
    n = int(np.searchsorted(time, stop, "right") - np.searchsorted(time, start, "left"))
    mu = float(np.diff(expected.counts.at([start, stop]))[0])
    if (n <= mu) if kind == "peak" else (n >= mu):
        return None
    low, high = excess_interval(n, mu, kind)
    inner = [expected.counts.time(edge, after_gap=True) for edge in found.edges[1:-1]]
    edges = np.concatenate([[start], np.clip(inner, start, stop), [stop]])
    rate, rate_err = _extreme_rate(time, expected, edges, kind)
    return Event(
        kind=kind,
        start=start,
        start_err=start_err,
        stop=stop,
        stop_err=stop_err,
        duration=stop - start,
        duration_err=float(np.hypot(start_err, stop_err)),
        n=n,
        mu=mu,
        excess=(n - mu) / psf_fraction,
        excess_lo=low / psf_fraction,
        excess_hi=high / psf_fraction,
        peak_rate=rate / psf_fraction,
        peak_rate_err=rate_err / psf_fraction,
    )


def excess_interval(n: int, mu: float, kind: Kind) -> tuple[float, float]:
    """Shortest 68.3 % credible interval of the excess (of an eclipse: minus the deficit).

    The prior is flat for an excess above 0, or a deficit between 0 and `mu`, the likelihood
    Poisson; this is the interval of Kraft, Burrows & Nousek (1991, ApJ 374, 344). It contains
    ``n - mu`` when that has the right sign, otherwise 0.

    Parameters
    ----------
    n, mu : int, float
        Photons and expected counts.
    kind : {"peak", "eclipse"}
        Which amplitude.

    Examples
    --------
    >>> low, high = excess_interval(10, 2.0, "peak")
    >>> round(low, 2), round(high, 2)
    (5.14, 11.54)
    """
    if kind == "eclipse" and mu <= 0:
        return 0.0, 0.0
    n = int(n)
    most = 1 - CREDIBILITY

    def width(below: float) -> float:
        return _quantile(n, mu, below + CREDIBILITY, kind) - _quantile(n, mu, below, kind)

    inner = float(minimize_scalar(width, bounds=(0, most), method="bounded").x)
    below = min((0.0, inner, most), key=width)
    mode = max(n - mu, 0.0) if kind == "peak" else max(mu - n, 0.0)
    low = min(max(_quantile(n, mu, below, kind), 0.0), mode)
    high = max(_quantile(n, mu, below + CREDIBILITY, kind), mode)
    return (low, high) if kind == "peak" else (-high, -low)


def _quantile(n: int, mu: float, probability: float, kind: Kind) -> float:
    """`amplitude_limit`, also where the likelihood is so far on the other side that it fails."""
    tail = special.gammaincc(n + 1, mu) if kind == "peak" else special.gammainc(n + 1, mu)
    if tail < 1e-250:  # the posterior is an exponential that starts at no amplitude
        return float(-np.log1p(-min(probability, 1 - 1e-12)) / abs(1 - n / mu))
    return float(amplitude_limit(n, mu, probability, kind))


def _check(
    time: Floats, expected: ExpectedCounts, seed: tuple[float, float], psf_fraction: float
) -> None:
    if not np.isfinite(time).all():
        raise ValueError("The times of the photons have to be finite.")
    if (np.diff(time) < 0).any():
        raise ValueError("The photons have to be in the order of their times.")
    if not (seed[0] < seed[1] and seed[0] < expected.edges[-1] and seed[1] > expected.edges[0]):
        raise ValueError(f"The seed {seed} has to be an interval that overlaps the frames.")
    if not 0 < psf_fraction <= 1:
        raise ValueError(f"The PSF fraction {psf_fraction} has to be above 0 and at most 1.")


@dataclass(frozen=True)
class _Blocks:
    """The event: `edges` of its blocks in expected counts, shape (n_blocks + 1,).

    `before` and `after` are the far edges of the blocks on either side, or the ends of the data.
    """

    edges: Floats
    before: float
    after: float


def _find(
    tau: Floats, begin: float, end: float, expected: ExpectedCounts, kind: Kind
) -> _Blocks | None:
    """The blocks of the event around the seed, `begin` to `end`; photons at `tau`.

    Only as many photons are looked at as are needed to have some on either side of the event.
    """
    total = float(expected.counts.readings[-1])
    first, last = np.searchsorted(tau, begin, "left"), np.searchsorted(tau, end, "right")
    pad_left = pad_right = PADDING
    while True:
        i, j = max(int(first) - pad_left, 0), min(int(last) + pad_right, len(tau))
        low = (tau[i - 1] + tau[i]) / 2 if i > 0 else 0.0
        high = (tau[j - 1] + tau[j]) / 2 if j < len(tau) else total
        edges = block_edges(tau[i:j], float(low), float(high))
        found = _select(tau, edges, begin, end, expected, kind)
        if found is None:
            return None
        inside = np.searchsorted(tau, found.edges[[0, -1]])
        left, right = i > 0 and inside[0] - i < MARGIN, j < len(tau) and j - inside[1] < MARGIN
        if not (left or right):
            return found
        pad_left, pad_right = pad_left * (1 + 3 * left), pad_right * (1 + 3 * right)


def _select(
    tau: Floats, edges: Floats, begin: float, end: float, expected: ExpectedCounts, kind: Kind
) -> _Blocks | None:
    """The most significant block that overlaps the seed, and its neighbours that stand out."""
    sign = 1 if kind == "peak" else -1
    n = np.diff(np.searchsorted(tau, edges))
    mu = np.diff(edges)
    excess = sign * (n - mu)
    chance = special.gammainc(n, mu) if kind == "peak" else special.gammaincc(n + 1, mu)
    core = (edges[1:] > begin) & (edges[:-1] < end) & (excess > 0) & (chance < CHANCE)
    if not core.any():
        # The blocks do not tell the event from the rest, but the search did: it is the seed.
        if sign * (_count(tau, begin, end) - (end - begin)) <= 0:
            return None
        return _Blocks(np.array([begin, end]), float(edges[0]), float(edges[-1]))
    factor = log10_b_peak(n, mu) if kind == "peak" else log10_b_eclipse(n, mu)
    best = int(np.argmax(np.where(core, factor, -np.inf)))
    rate = excess / np.maximum(np.diff(expected.live_at(edges)), np.finfo(float).tiny)
    i, j = best, best + 1
    while i > 0 and chance[i - 1] < CHANCE and rate[i - 1] > FAINTEST * rate[i:j].max():
        i -= 1
    while j < len(n) and chance[j] < CHANCE and rate[j] > FAINTEST * rate[i:j].max():
        j += 1
    return _Blocks(edges[i : j + 1], float(edges[max(i - 1, 0)]), float(edges[min(j + 1, len(n))]))


def _edge(
    time: Floats, expected: ExpectedCounts, found: _Blocks, kind: Kind, *, is_start: bool
) -> tuple[float, float]:
    """Posterior mean and standard deviation of the start or the stop of the event.

    A burst adds a constant rate to the background beside it, an eclipse takes a constant fraction
    of it away. So the one is measured in live time, the other in expected counts.
    """
    outer, block = (found.before, found.edges[:2]) if is_start else (found.after, found.edges[-2:])
    tau = expected.counts.at(time)
    near, n_beside = block[0 if is_start else 1], _count(tau, outer, block[0 if is_start else 1])
    # One photon at the expected rate keeps the rate beside the event above zero.
    level = (n_beside + 1) / (abs(near - outer) + 1)
    if kind == "peak":
        clock, photons = expected.live, expected.live.at(time)
        outer, *limits = expected.live_at([outer, *block])
        inside = photons[slice(*np.searchsorted(tau, block))]
        rise = _rise(inside, limits[1] - limits[0], level * (block[1] - block[0]))
        middle = float(inside[(len(inside) - is_start) // 2])
        frame = expected.frame(time)
        log_ratio = np.log1p(rise * clock.speed[frame] / (level * expected.counts.speed[frame]))
    else:
        clock, photons, middle = expected.counts, tau, float(block.mean())
        left = (_count(tau, *block) + 0.5) / (block[1] - block[0]) / level
        left = min(left, 1 - SMALLEST_STEP)
        rise = -level * (1 - left)
        log_ratio = np.full(len(tau), np.log(left))
    low, high = sorted((float(outer), middle))
    use, sign = (photons > low) & (photons < high), 1 if is_start else -1
    mean, std = change_point(photons[use], sign * log_ratio[use], sign * rise, low, high)
    times = [
        clock.time(reading, after_gap=is_start)
        for reading in np.clip([mean - std, mean, mean + std], 0, clock.readings[-1])
    ]
    return times[1], (times[2] - times[0]) / 2


def _count(tau: Floats, one: float, other: float) -> int:
    """Photons between two values of the expected counts, in any order."""
    return abs(int(np.diff(np.searchsorted(tau, [one, other]))[0]))


def _rise(inside: Floats, length: float, mu: float) -> float:
    """Rate above the background of the block with these photons, in a second of live time.

    The mean gap between the photons does not depend on where the edges of the block are.
    """
    span = float(inside[-1] - inside[0])
    rate = (len(inside) - 1) / span if span > 0 else len(inside) / length
    return max(rate - mu / length, SMALLEST_STEP * rate)


def _extreme_rate(
    time: Floats, expected: ExpectedCounts, edges: Floats, kind: Kind
) -> tuple[float, float]:
    """Excess a second, and its error, of the brightest (deepest) block with these edges."""
    n = np.diff(np.searchsorted(time, edges))
    n[-1] += np.searchsorted(time, edges[-1], "right") - np.searchsorted(time, edges[-1])
    mu, live = np.diff(expected.counts.at(edges)), np.diff(expected.live.at(edges))
    use = live > 0
    if not use.any():
        return np.nan, np.nan
    n, mu, live = n[use], mu[use], live[use]
    rate = (n - mu) / live
    best = int(np.argmax(rate) if kind == "peak" else np.argmin(rate))
    low, high = excess_interval(int(n[best]), float(mu[best]), kind)
    return float(rate[best]), (high - low) / 2 / float(live[best])
