"""Light curves of sources that decay slowly, pulsate or erupt again and again."""

# ruff: noqa: D102 - each model's methods are those its base class describes

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import exprel, ndtr

from exod.errors import ConfigError
from exod.schemas.arrays import Floats, Indices, Mask
from exod.simulate.lights.lightmodels import LightModel, require_positive, require_share

LONGEST_TRAIN: Final = 2 * 86_400.0
"""Eruptions are drawn for two days, more than a revolution of the satellite lasts, seconds."""

_REACH = 9.0
"""A Gaussian is complete to the precision of float64 at this many widths from its centre."""


@dataclass(frozen=True)
class PowerLawDecay(LightModel):
    """A sudden onset, then ``((t - start) / scale + 1) ** -index``.

    Attributes
    ----------
    start, scale : float
        Onset, and the time in which the rate falls to ``2 ** -index``, seconds.
    index : float
        Any positive number; up to 1 the light adds up without limit unless it stops.
    stop : float or None
        Time at which the light ends, seconds; None for never.

    Examples
    --------
    >>> PowerLawDecay(100.0, 50.0, 2.0).rate([99.0, 100.0, 150.0])
    array([0.  , 1.  , 0.25])
    """

    start: float
    scale: float
    index: float
    stop: float | None = None
    kind = "burst"

    def __post_init__(self) -> None:
        require_positive(self, scale=self.scale, index=self.index)
        if self.stop is not None and not self.stop > self.start:
            raise ConfigError(
                f"PowerLawDecay: stop is {self.stop:g}; it must be after start, {self.start:g}."
            )

    @property
    def _length(self) -> float:
        return np.inf if self.stop is None else self.stop - self.start

    def rate(self, time: ArrayLike) -> Floats:
        time = np.asarray(time, float) - self.start
        falling = (np.maximum(time, 0) / self.scale + 1) ** -self.index
        return np.where((time >= 0) & (time < self._length), falling, 0.0)

    def cumulative(self, time: ArrayLike) -> Floats:
        time = np.clip(np.asarray(time, float) - self.start, 0, self._length)
        stretched = np.log1p(time / self.scale)
        # exprel(z) = (exp(z) - 1) / z is right for an index of 1 and beside it.
        return np.asarray(self.scale * stretched * exprel((1 - self.index) * stretched))

    def inverse(self, cumulative: ArrayLike) -> Floats:
        value, slope = np.asarray(cumulative, float) / self.scale, 1 - self.index
        stretched = value
        if slope:
            grown = np.maximum(slope * value, -1 + np.finfo(float).epsneg)
            stretched = np.log1p(grown) / slope
        return np.asarray(self.start + np.minimum(self.scale * np.expm1(stretched), self._length))

    @property
    def interval(self) -> tuple[float, float]:
        """Start, and stop or the end of 95 per cent of the photons."""
        if self.stop is not None:
            return self.start, self.stop
        if self.index <= 1:
            return self.start, np.inf
        return self.start, float(self.inverse(0.95 * self.scale / (self.index - 1)))


@dataclass(frozen=True)
class Periodic(LightModel):
    """Pulsations about a mean rate of 1: a sine wave, or rectangular pulses.

    Attributes
    ----------
    period : float
        Seconds.
    start : float
        Time at which the phase is `phase`, seconds.
    phase : float
        0 to 1; a maximum, or the middle of a pulse, has phase 0.
    pulsed_fraction : float
        ``(max - min) / (max + min)``, above 0 and at most 1.
    duty_cycle : float or None
        Share of the period that a rectangular pulse takes, between 0 and 1; None for a sine wave.

    Examples
    --------
    >>> Periodic(10.0, duty_cycle=0.25).rate([0.0, 1.2, 1.3, 5.0, 9.0])
    array([4., 4., 0., 0., 4.])
    """

    period: float
    start: float = 0.0
    phase: float = 0.0
    pulsed_fraction: float = 1.0
    duty_cycle: float | None = None
    kind = "variable"

    def __post_init__(self) -> None:
        require_positive(self, period=self.period)
        require_share(self, pulsed_fraction=self.pulsed_fraction)
        if not 0 <= self.phase <= 1:
            raise ConfigError(f"Periodic: phase is {self.phase:g}; it must be between 0 and 1.")
        if self.duty_cycle is not None and not 0 < self.duty_cycle < 1:
            raise ConfigError(
                f"Periodic: duty_cycle is {self.duty_cycle:g}; it must be above 0 and below 1."
            )

    def _cycles(self, time: ArrayLike) -> Floats:
        """Cycles since the begin of a pulse, or since a maximum of a sine wave."""
        early = (self.duty_cycle or 0.0) / 2
        return (np.asarray(time, float) - self.start) / self.period + self.phase + early

    def _levels(self, duty_cycle: float) -> tuple[float, float]:
        """Rates in a pulse and outside, of mean 1."""
        ratio = (1 - self.pulsed_fraction) / (1 + self.pulsed_fraction)
        high = 1 / (duty_cycle + (1 - duty_cycle) * ratio)
        return high, high * ratio

    def rate(self, time: ArrayLike) -> Floats:
        cycles = self._cycles(time)
        if self.duty_cycle is None:
            return self._wave(cycles)
        high, low = self._levels(self.duty_cycle)
        return np.where(cycles - np.floor(cycles) < self.duty_cycle, high, low)

    def cumulative(self, time: ArrayLike) -> Floats:
        cycles = self._cycles(time)
        whole = np.floor(cycles)
        part = cycles - whole
        return np.asarray(self.period * (whole + self._share(part)))

    def _wave(self, cycles: Floats) -> Floats:
        return np.asarray(1 + self.pulsed_fraction * np.cos(2 * np.pi * cycles))

    def _share(self, part: Floats) -> Floats:
        """Share of the light of a period within its first `part` (0 to 1)."""
        if self.duty_cycle is None:
            angle = 2 * np.pi
            return np.asarray(part + self.pulsed_fraction * np.sin(angle * part) / angle)
        high, low = self._levels(self.duty_cycle)
        pulse = np.minimum(part, self.duty_cycle)
        return np.asarray(high * pulse + low * (part - pulse))

    def inverse(self, cumulative: ArrayLike) -> Floats:
        value = np.asarray(cumulative, float) / self.period
        whole = np.floor(value)
        share = value - whole
        if self.duty_cycle is None:
            ends = np.zeros(share.shape), np.ones(share.shape)
            part = _solve(self._share, self._wave, share, *ends, tolerance=1e-15)
        else:
            high, low = self._levels(self.duty_cycle)
            rest = np.maximum(share - high * self.duty_cycle, 0)
            part = np.minimum(share / high, self.duty_cycle) + (rest / low if low > 0 else 0.0)
        early = (self.duty_cycle or 0.0) / 2
        return np.asarray(self.start + self.period * (whole + part - self.phase - early))


@dataclass(frozen=True)
class QuasiPeriodicEruptions(LightModel):
    """Gaussian eruptions over a quiescent rate of 1, at nearly equal distances.

    Their shape is that which describes the eruptions of GSN 069 (Miniutti et al. 2019, Nature
    573, 381).

    Attributes
    ----------
    start : float
        Peak of the first eruption, seconds; they follow for `LONGEST_TRAIN`.
    recurrence : float
        Mean distance of two peaks, seconds.
    width : float
        Standard deviation of an eruption, seconds.
    amplitude : float
        Rate at a peak above quiescence, in units of the latter.
    jitter : float
        Each distance is evenly distributed within `recurrence` times 1 - jitter and 1 + jitter.
    seed : int
        Seed of the distances; equal settings have equal peaks.
    peaks : ndarray of float64, shape (n,)
        Times of the peaks, ascending; derived.

    Examples
    --------
    >>> eruptions = QuasiPeriodicEruptions(1000.0, 9000.0, 300.0, 20.0)
    >>> eruptions.peaks[:3]
    array([ 1000., 10000., 19000.])
    >>> eruptions.rate([1000.0, 5500.0])
    array([21.,  1.])
    """

    start: float
    recurrence: float
    width: float
    amplitude: float
    jitter: float = 0.0
    seed: int = 1
    peaks: Floats = field(init=False, repr=False, compare=False)
    kind = "variable"

    def __post_init__(self) -> None:
        require_positive(
            self, recurrence=self.recurrence, width=self.width, amplitude=self.amplitude
        )
        if not 0 <= self.jitter < 1:
            raise ConfigError(
                f"QuasiPeriodicEruptions: jitter is {self.jitter:g}; it must be at least 0 and "
                f"below 1."
            )
        if self.seed < 0 or self.seed != int(self.seed):
            raise ConfigError(
                f"QuasiPeriodicEruptions: seed is {self.seed}; it must be a whole number from 0 on."
            )
        shortest = self.recurrence * (1 - self.jitter)
        if shortest < 4 * self.width:
            raise ConfigError(
                f"QuasiPeriodicEruptions: width is {self.width:g}; eruptions that may follow "
                f"after {shortest:g} s merge unless it is at most {shortest / 4:g}."
            )
        # In text it is 3.0 as every number is.
        object.__setattr__(self, "seed", int(self.seed))
        # The shortest distances may all come together.
        number = int(np.ceil(LONGEST_TRAIN / shortest))
        draws = np.random.default_rng(self.seed).uniform(-1, 1, number)
        after = np.concatenate([[0.0], np.cumsum(self.recurrence * (1 + self.jitter * draws))])
        object.__setattr__(self, "peaks", self.start + after[after <= LONGEST_TRAIN])

    @property
    def _light(self) -> float:
        """Integral of one eruption, seconds."""
        return float(self.amplitude * self.width * np.sqrt(2 * np.pi))

    def _near(self, after: Floats) -> tuple[Indices, Floats, Mask]:
        """Complete eruptions, and phases in widths of those around each time after the start.

        Shapes are those of `after`, and for the phases and whether there is such an eruption, one
        more axis in front.
        """
        peaks = self.peaks - self.start
        complete = np.searchsorted(peaks, after - _REACH * self.width)
        # Peaks are at least four widths apart.
        index = complete + np.arange(int(2 * _REACH / 4) + 2).reshape(-1, *[1] * after.ndim)
        exists = index < len(peaks)
        peak = peaks[np.minimum(index, len(peaks) - 1)]
        return complete, (after - peak) / self.width, exists

    def _rate(self, after: Floats) -> Floats:
        _, phase, exists = self._near(after)
        return np.asarray(1 + self.amplitude * np.sum(np.exp(-0.5 * phase**2) * exists, axis=0))

    def _cumulative(self, after: Floats) -> Floats:
        complete, phase, exists = self._near(after)
        eruptions = complete + np.sum(ndtr(phase) * exists, axis=0)
        return np.asarray(after + self._light * eruptions)

    def rate(self, time: ArrayLike) -> Floats:
        return self._rate(np.asarray(time, float) - self.start)

    def cumulative(self, time: ArrayLike) -> Floats:
        return self._cumulative(np.asarray(time, float) - self.start)

    def inverse(self, cumulative: ArrayLike) -> Floats:
        value = np.asarray(cumulative, float)
        # Between two eruptions the light is known, so that each search is within one of them.
        peaks = self.peaks - self.start
        middles = (peaks[1:] + peaks[:-1]) / 2
        piece = np.searchsorted(self._cumulative(middles), value)
        earliest = np.concatenate([[-np.inf], middles])[piece]
        latest = np.concatenate([middles, [np.inf]])[piece]
        low = np.maximum(earliest, value - self._light * (piece + 1))
        high = np.minimum(latest, value)
        return self.start + _solve(self._cumulative, self._rate, value, low, high, tolerance=1e-8)


def _solve(
    function: Callable[[Floats], Floats],
    slope: Callable[[Floats], Floats],
    value: Floats,
    low: Floats,
    high: Floats,
    tolerance: float,
) -> Floats:
    """Where a rising function has the values, between `low` and `high` (all of one shape).

    Newton's steps where they stay between the limits and the last one helped, else half of the way
    between these.
    """
    place, before = (low + high) / 2, np.full(value.shape, np.inf)
    for _ in range(200):  # Halves two days to less than the spacing of float64, with some to spare.
        excess = function(place) - value
        error = np.abs(excess)
        if np.all(error <= tolerance):
            break
        low, high = np.where(excess < 0, place, low), np.where(excess < 0, high, place)
        rate = slope(place)
        step = place - np.divide(excess, rate, out=np.full(place.shape, np.inf), where=rate > 0)
        use_step = (step > low) & (step < high) & (error < before / 2)
        moved = np.where(use_step, step, (low + high) / 2)
        place, before = np.where(error <= tolerance, place, moved), error
    return np.asarray(place)
