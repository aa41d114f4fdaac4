"""Light-curve models of simulated sources: relative rates whose photon times can be drawn exactly.

Each model has a closed cumulative curve and its inverse, so that photon times follow from uniform
random numbers without binning or rejection.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from exod.errors import ConfigError
from exod.schemas.arrays import Floats

Kind = Literal["constant", "burst", "eclipse", "variable", "flare"]
"""What a model is for truth tables: a steady source, an event, or changes all the time."""


class LightModel(ABC):
    """A rate relative to its reference: 1 at the peak of a burst, 1 outside an eclipse.

    Times are mission elapsed times in seconds.
    """

    kind: Kind

    @abstractmethod
    def rate(self, time: ArrayLike) -> Floats:
        """Relative rate at `time` (any shape)."""

    @abstractmethod
    def cumulative(self, time: ArrayLike) -> Floats:
        """Integral of the relative rate up to `time` in seconds, from an arbitrary zero."""

    @abstractmethod
    def inverse(self, cumulative: ArrayLike) -> Floats:
        """Time at which `cumulative` reaches a value."""

    @property
    def interval(self) -> tuple[float, float]:
        """Start and end of the event; infinite for a source that is not one.

        Soft edges: 90 per cent of the photons of a Gaussian or a decay lie inside.
        """
        return -np.inf, np.inf

    def integral(self, start: float, stop: float) -> float:
        """Integral of the relative rate in seconds; times a rate it is an expected count."""
        low, high = self.cumulative([start, stop])
        return float(high - low)

    def sample(
        self, generator: np.random.Generator, rate: float, start: float, stop: float
    ) -> Floats:
        """Photon times of a source whose reference rate is `rate`.

        Parameters
        ----------
        generator : numpy.random.Generator
            Source of random numbers.
        rate : float
            Counts per second where the relative rate is 1.
        start, stop : float
            Interval to fill, in seconds.

        Returns
        -------
        ndarray of float64, shape (n,)
            Times in no particular order; n is a Poisson number.
        """
        low, high = self.cumulative([start, stop])
        n = generator.poisson(rate * max(high - low, 0.0))
        return np.clip(self.inverse(low + (high - low) * generator.random(n)), start, stop)


def require_positive(owner: object, **values: float) -> None:
    """Raise a ConfigError that names the model and the parameter that is not positive."""
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ConfigError(
                f"{type(owner).__name__}: {name} is {value:g}; it must be a positive number."
            )


def require_share(owner: object, **values: float) -> None:
    """As `require_positive`, for values that must not be above 1 either."""
    require_positive(owner, **values)
    for name, value in values.items():
        if value > 1:
            raise ConfigError(
                f"{type(owner).__name__}: {name} is {value:g}; it must not be above 1."
            )


@dataclass(frozen=True)
class Constant(LightModel):
    """A steady source.

    Examples
    --------
    >>> Constant().integral(100.0, 160.0)
    60.0
    """

    kind = "constant"

    def rate(self, time: ArrayLike) -> Floats:
        return np.ones(np.shape(time))

    def cumulative(self, time: ArrayLike) -> Floats:
        return np.asarray(time, float)

    def inverse(self, cumulative: ArrayLike) -> Floats:
        return np.asarray(cumulative, float)


@dataclass(frozen=True)
class LightEvent(LightModel):
    """Anything that begins and ends sharply.

    Attributes
    ----------
    start, duration : float
        Seconds.
    """

    start: float
    duration: float

    def __post_init__(self) -> None:
        require_positive(self, duration=self.duration)

    def _since(self, time: ArrayLike) -> Floats:
        return np.asarray(time, float) - self.start

    @property
    def interval(self) -> tuple[float, float]:
        return self.start, self.start + self.duration


@dataclass(frozen=True)
class BoxBurst(LightEvent):
    """A burst of constant rate."""

    kind = "burst"

    def rate(self, time: ArrayLike) -> Floats:
        time = np.asarray(time, float) - self.start
        return np.where((time >= 0) & (time < self.duration), 1.0, 0.0)

    def cumulative(self, time: ArrayLike) -> Floats:
        return np.clip(np.asarray(time, float) - self.start, 0.0, self.duration)

    def inverse(self, cumulative: ArrayLike) -> Floats:
        return self.start + np.asarray(cumulative, float)


@dataclass(frozen=True)
class GaussianBurst(LightModel):
    """A burst of Gaussian shape.

    Attributes
    ----------
    centre, width : float
        Time of the peak and standard deviation, seconds.
    """

    centre: float
    width: float
    kind = "burst"

    def __post_init__(self) -> None:
        require_positive(self, width=self.width)

    def rate(self, time: ArrayLike) -> Floats:
        return np.exp(-0.5 * ((np.asarray(time, float) - self.centre) / self.width) ** 2)

    def cumulative(self, time: ArrayLike) -> Floats:
        scaled = (np.asarray(time, float) - self.centre) / self.width
        return np.asarray(ndtr(scaled) * self.width * np.sqrt(2 * np.pi))

    def inverse(self, cumulative: ArrayLike) -> Floats:
        share = np.asarray(cumulative, float) / (self.width * np.sqrt(2 * np.pi))
        return np.asarray(self.centre + self.width * ndtri(share))

    @property
    def interval(self) -> tuple[float, float]:
        return self.centre - 1.645 * self.width, self.centre + 1.645 * self.width


@dataclass(frozen=True)
class FastRiseBurst(LightModel):
    """Fast rise, exponential decay (FRED): a linear rise, then ``exp(-t / decay)``.

    Attributes
    ----------
    start, rise, decay : float
        Begin, length of the rise and time constant of the decay, seconds.
    """

    start: float
    rise: float
    decay: float
    kind = "burst"

    def __post_init__(self) -> None:
        require_positive(self, rise=self.rise, decay=self.decay)

    def rate(self, time: ArrayLike) -> Floats:
        time = np.asarray(time, float) - self.start
        falling = np.exp(-np.maximum(time - self.rise, 0) / self.decay)
        return np.where(time < self.rise, np.clip(time / self.rise, 0, 1), falling)

    def cumulative(self, time: ArrayLike) -> Floats:
        time = np.asarray(time, float) - self.start
        rising = np.clip(time, 0, self.rise) ** 2 / (2 * self.rise)
        return np.asarray(
            rising - self.decay * np.expm1(-np.maximum(time - self.rise, 0) / self.decay)
        )

    def inverse(self, cumulative: ArrayLike) -> Floats:
        value, half = np.asarray(cumulative, float), self.rise / 2
        rising = np.sqrt(2 * self.rise * np.minimum(value, half))
        share = np.clip((value - half) / self.decay, 0, 1 - np.finfo(float).epsneg)
        return np.asarray(self.start + rising - self.decay * np.log1p(-share))

    @property
    def interval(self) -> tuple[float, float]:
        total = self.rise / 2 + self.decay
        low, high = self.inverse([0.05 * total, 0.95 * total])
        return float(low), float(high)


@dataclass(frozen=True)
class Eclipse(LightEvent):
    """A steady source that loses part of its light for a while.

    Attributes
    ----------
    depth : float
        Lost share of the light, above 0 and at most 1 (total eclipse).
    """

    depth: float = 1.0
    kind = "eclipse"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share(self, depth=self.depth)

    def rate(self, time: ArrayLike) -> Floats:
        time = np.asarray(time, float) - self.start
        return np.where((time >= 0) & (time < self.duration), 1 - self.depth, 1.0)

    def cumulative(self, time: ArrayLike) -> Floats:
        time = np.asarray(time, float) - self.start
        return np.asarray(time - self.depth * np.clip(time, 0, self.duration))

    def inverse(self, cumulative: ArrayLike) -> Floats:
        value = np.asarray(cumulative, float)
        left = self.duration * (1 - self.depth)
        inside = value / (1 - self.depth) if self.depth < 1 else value
        after = value - left + self.duration
        time = np.where(value < 0, value, np.where(value < left, inside, after))
        return np.asarray(self.start + time)


@dataclass(frozen=True)
class SoftProtonFlare(LightEvent):
    """Half a sine wave, as a rough outline of a soft-proton flare.

    Attributes
    ----------
    amplitude : float
        Rate at the peak in the field of view of a MOS camera, 0.2-12 keV, counts per second; pn
        sees more, see `exod.simulate`.
    """

    amplitude: float
    kind = "flare"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, amplitude=self.amplitude)

    def _phase(self, time: ArrayLike) -> Floats:
        return np.pi * np.clip((np.asarray(time, float) - self.start) / self.duration, 0, 1)

    def rate(self, time: ArrayLike) -> Floats:
        return np.sin(self._phase(time))

    def cumulative(self, time: ArrayLike) -> Floats:
        return np.asarray(self.duration / np.pi * (1 - np.cos(self._phase(time))))

    def inverse(self, cumulative: ArrayLike) -> Floats:
        cosine = 1 - np.pi / self.duration * np.asarray(cumulative, float)
        return self.start + self.duration / np.pi * np.arccos(np.clip(cosine, -1, 1))
