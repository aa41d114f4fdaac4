"""Light curves given by a table of rates at times, with straight lines in between."""

# ruff: noqa: D102 - each model's methods are those its base class describes

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from exod.errors import ConfigError
from exod.schemas.arrays import Floats
from exod.simulate.lights.lightmodels import (
    Kind,
    LightEvent,
    LightModel,
    require_positive,
    require_share,
)
from exod.simulate.textvalues import finite_number

Outside = Literal["zero", "held"]


@dataclass(frozen=True, eq=False)
class Tabulated(LightModel):
    """A rate that changes linearly between given times.

    Attributes
    ----------
    times : ndarray of float64, shape (n,)
        Mission elapsed seconds, ascending; at least two.
    rates : ndarray of float64, shape (n,)
        Relative rates at the times, none negative. They are used as they are: with rates in
        counts per second, the rate of the source is 1.
    outside : {"zero", "held"}
        The rate before the first and after the last time: none, or that at this time.

    Examples
    --------
    >>> curve = Tabulated([0.0, 10.0, 30.0], [0.0, 1.0, 0.0])
    >>> curve.cumulative([5.0, 10.0, 50.0])
    array([ 1.25,  5.  , 15.  ])
    """

    times: Floats
    rates: Floats
    outside: Outside = "zero"
    kind: Kind = field(init=False)
    _integrals: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        times, rates = np.array(self.times, float), np.array(self.rates, float)
        if times.ndim != 1 or times.shape != rates.shape or len(times) < 2:
            raise ConfigError(
                f"Tabulated: {times.size} times and {rates.size} rates are given; as many of one "
                f"as of the other are needed, at least two."
            )
        if not np.isfinite(times).all() or not (np.diff(times) > 0).all():
            raise ConfigError("Tabulated: times must be numbers that ascend.")
        if not (np.isfinite(rates) & (rates >= 0)).all():
            raise ConfigError("Tabulated: rates must be numbers of at least 0.")
        if self.outside not in {"zero", "held"}:
            raise ConfigError(f"Tabulated: outside is {self.outside!r}; it must be zero or held.")
        if not rates.any():
            raise ConfigError("Tabulated: all rates are 0; at least one must be above.")
        parts = np.diff(times) * (rates[1:] + rates[:-1]) / 2
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "rates", rates)
        object.__setattr__(self, "kind", "burst" if self.outside == "zero" else "variable")
        object.__setattr__(self, "_integrals", np.concatenate([[0.0], np.cumsum(parts)]))

    def shifted(self, seconds: float) -> Self:
        """The same curve, later by some seconds."""
        return type(self)(self.times + seconds, self.rates, self.outside)

    def rate(self, time: ArrayLike) -> Floats:
        ends = {"left": 0.0, "right": 0.0} if self.outside == "zero" else {}
        return np.asarray(np.interp(np.asarray(time, float), self.times, self.rates, **ends))

    def cumulative(self, time: ArrayLike) -> Floats:
        time = np.asarray(time, float)
        inside = np.clip(time, self.times[0], self.times[-1])
        i = np.clip(np.searchsorted(self.times, inside, "right") - 1, 0, len(self.times) - 2)
        after = inside - self.times[i]
        total = self._integrals[i] + after * (self.rates[i] + after * self._slopes[i] / 2)
        if self.outside == "held":
            total += self.rates[0] * np.minimum(time - self.times[0], 0)
            total += self.rates[-1] * np.maximum(time - self.times[-1], 0)
        return np.asarray(total)

    def inverse(self, cumulative: ArrayLike) -> Floats:
        value = np.asarray(cumulative, float)
        inside = np.clip(value, 0, self._integrals[-1])
        i = np.searchsorted(self._integrals, inside, "right") - 1
        i = np.clip(i, 0, len(self.times) - 2)
        rest, rate, slope = inside - self._integrals[i], self.rates[i], self._slopes[i]
        # The root of a quadratic in the form that does not cancel; no light, no time.
        root = rate + np.sqrt(np.maximum(rate**2 + 2 * slope * rest, 0))
        step = np.divide(2 * rest, root, out=np.zeros(np.shape(rest)), where=root > 0)
        time = np.minimum(self.times[i] + step, self.times[i + 1])
        if self.outside == "held":
            time = time + _extended(np.minimum(value, 0), self.rates[0])
            time = time + _extended(np.maximum(value - self._integrals[-1], 0), self.rates[-1])
        return np.asarray(time)

    @property
    def _slopes(self) -> Floats:
        return np.asarray(np.diff(self.rates) / np.diff(self.times))

    @property
    def interval(self) -> tuple[float, float]:
        """From the first to the last time with light; infinite for a rate that is held."""
        if self.outside == "held":
            return -np.inf, np.inf
        light = np.flatnonzero(self._integrals[1:] > self._integrals[:-1])
        return float(self.times[light[0]]), float(self.times[light[-1] + 1])


@dataclass(frozen=True)
class Dip(LightEvent):
    """A steady source that loses part of its light gradually, and regains it in the same way.

    Attributes
    ----------
    start, duration : float
        First contact, and time from it to the last one, seconds.
    ingress : float
        Length of the linear fall and of the rise, seconds; at most half of the duration.
    depth : float
        Lost share of the light in between, above 0 and at most 1.

    Examples
    --------
    >>> Dip(100.0, 60.0, 20.0, 0.8).rate([90.0, 110.0, 130.0])
    array([1. , 0.6, 0.2])
    """

    ingress: float
    depth: float = 1.0
    kind = "eclipse"
    _curve: Tabulated = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ingress=self.ingress)
        require_share(self, depth=self.depth)
        if 2 * self.ingress > self.duration:
            raise ConfigError(
                f"Dip: ingress is {self.ingress:g}; it must be at most half of the duration, "
                f"{self.duration / 2:g}."
            )
        contacts = [0.0, self.ingress, self.duration - self.ingress, self.duration]
        rates = [1.0, 1 - self.depth, 1 - self.depth, 1.0]
        if 2 * self.ingress == self.duration:
            del contacts[2], rates[2]
        object.__setattr__(self, "_curve", Tabulated(np.array(contacts), np.array(rates), "held"))

    def rate(self, time: ArrayLike) -> Floats:
        return self._curve.rate(self._since(time))

    def cumulative(self, time: ArrayLike) -> Floats:
        return self._curve.cumulative(self._since(time))

    def inverse(self, cumulative: ArrayLike) -> Floats:
        return self.start + self._curve.inverse(cumulative)


def _extended(light: Floats, rate: float) -> Floats:
    """Time that a held rate takes to give the light."""
    return np.asarray(light / rate if rate > 0 else np.zeros(np.shape(light)))


def tabulated_from_csv(text: str, name: str, outside: Outside = "zero") -> Tabulated:
    r"""A light curve from the text of a CSV file.

    Parameters
    ----------
    text : str
        A line with the names of the columns, among them ``time`` (seconds) and ``rate``, then one
        line a time; lines that are empty or begin with # are passed over.
    name : str
        Name of the file, for errors.
    outside : {"zero", "held"}
        As of `Tabulated`.

    Raises
    ------
    ConfigError
        If a column is missing, a value is no number, a rate is negative, times do not ascend or
        there are fewer than two; the text names file and line.

    Examples
    --------
    >>> curve = tabulated_from_csv("time,rate\n0,0\n10,2\n20,0\n", "burst.csv")
    >>> float(curve.rate(5.0))
    1.0
    """
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise ConfigError(f"{name} is empty; it must have the columns time and rate.")
    names = [column.strip().lower() for column in next(csv.reader([lines[0][1]]))]
    missing = [column for column in ("time", "rate") if column not in names]
    if missing:
        raise ConfigError(
            f"{name}, line {lines[0][0]}: the column {' and '.join(missing)} is missing; the "
            f"columns time and rate are needed, and {', '.join(names)} is there."
        )
    rows = list(_rows(lines[1:], name, names.index("time"), names.index("rate")))
    if len(rows) < 2:
        raise ConfigError(f"{name} has {len(rows)} rows of times and rates; at least 2 are needed.")
    times, rates = np.array(rows).T
    if not rates.any():
        raise ConfigError(f"{name} has no rate above 0.")
    return Tabulated(times, rates, outside)


def _rows(
    lines: list[tuple[int, str]], name: str, time_column: int, rate_column: int
) -> Iterator[tuple[float, float]]:
    previous = -np.inf
    for number, line in lines:
        cells, where = next(csv.reader([line])), f"{name}, line {number}"
        time, rate = (
            finite_number("".join(cells[column : column + 1]).strip() or "missing", what)
            for column, what in (
                (time_column, f"{where}: the time"),
                (rate_column, f"{where}: the rate"),
            )
        )
        if rate < 0:
            raise ConfigError(f"{where}: the rate is {rate:g}; it must not be negative.")
        if time <= previous:
            raise ConfigError(
                f"{where}: the time is {time:.10g}; it must be after that of the line before, "
                f"{previous:.10g}."
            )
        previous = time
        yield time, rate
