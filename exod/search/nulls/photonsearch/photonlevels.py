"""When the background of each kind of photons comes, and which CCDs were live (docs/ideal.md)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.counts.shares import ConditionalExpectation, LevelCurve, level_curve
from exod.schemas.arrays import Floats, Indices

STEADY: Final = -1
"""The last of the kinds of levels: a constant one."""


@dataclass(frozen=True)
class GroupLive:
    """How live the groups of CCDs are along the live time of the field.

    Attributes
    ----------
    edges : ndarray of float64, shape (n + 1,)
        Live times between which nothing changes, seconds from 0.
    relative : ndarray of float64, shape (n_groups, n)
        Live fraction of each group over that of the field.
    """

    edges: Floats
    relative: Floats

    @classmethod
    def of(cls, expectation: ConditionalExpectation, total: float) -> GroupLive:
        """Of an expectation; a single group if all CCDs are live whenever one is."""
        if expectation.groups is None:
            return cls(np.array([0.0, total]), np.ones((1, 1)))
        times, live_time = expectation.groups[0], expectation.live_time
        lived = live_time.live > 0
        edges = np.concatenate([[0.0], live_time.at(times.edges[1:][lived])])
        relative = times.live[:, lived] / live_time.live[lived]
        # Intervals may be too short to be told apart in live time.
        long = np.diff(edges) > 0
        return cls(np.concatenate([[0.0], edges[1:][long]]), relative[:, long])

    def between(self, edges: Floats) -> Floats:
        """Live time of each group between some live times, shape (n_groups, n)."""
        steps = np.cumsum(self.relative * np.diff(self.edges), axis=1)
        before = np.pad(steps, ((0, 0), (1, 0)))
        return np.array([np.diff(np.interp(edges, self.edges, row)) for row in before])


@dataclass(frozen=True)
class TimedPhotons:
    """Photons in order of time; arrays of shape (n,).

    Attributes
    ----------
    time : ndarray of float64
        Live times.
    hard : ndarray of int
        0 below, 1 above 2 keV.
    kind : ndarray of int
        Which level they have: twice the number of their camera and ring of the field, and `hard`.
    group : ndarray of int
        Group of CCDs.
    n_kinds : int
        Number of kinds.
    """

    time: Floats
    hard: NDArray[np.integer]
    kind: NDArray[np.integer]
    group: NDArray[np.integer]
    n_kinds: int


@dataclass(frozen=True)
class Levels:
    """How the background of each kind of photons goes with live time.

    Attributes
    ----------
    curve : LevelCurve
        Classes of time, and the level of all photons.
    density : ndarray of float64, shape (n_kinds + 1, n_pieces)
        Of each kind between two knots, and a constant one: the integral over each class is 1.
    live : GroupLive
        When which CCDs were live.
    """

    curve: LevelCurve
    density: Floats
    live: GroupLive

    @property
    def total(self) -> float:
        """Live time of everything, seconds."""
        return float(self.curve.live[-1])

    def at(self, time: Floats, kind: NDArray[np.integer] | int) -> Floats:
        """Density of a kind at live times, same shape, for a second."""
        piece = np.searchsorted(self.curve.live, time, side="right") - 1
        return self.density[kind, np.clip(piece, 0, self.density.shape[1] - 1)]

    @property
    def overall(self) -> Floats:
        """Share of all background photons in a second of each piece, shape (n_pieces,)."""
        counts = self.curve.rate * np.diff(self.curve.live)
        return np.asarray(self.curve.rate / max(float(counts.sum()), 1e-300))

    @cached_property
    def steps(self) -> tuple[Floats, Indices, Floats]:
        """Edges between which nothing changes, and piece and relative live fractions of each."""
        edges = np.unique(np.concatenate([self.curve.live, self.live.edges]))
        middle = (edges[:-1] + edges[1:]) / 2
        piece = np.searchsorted(self.curve.live, middle, side="right") - 1
        own = np.searchsorted(self.live.edges, middle, side="right") - 1
        n = self.live.relative.shape[1]
        piece = np.clip(piece, 0, len(self.curve.kind) - 1)
        return edges, piece, self.live.relative[:, np.clip(own, 0, n - 1)]

    @cached_property
    def seconds(self) -> Floats:
        """Live time of each step in each piece of the marks, shape (n_pieces, n_steps)."""
        edges, piece, relative = self.steps
        lengths = np.diff(edges) * relative
        kind = self.curve.kind[piece]
        own = [lengths * (kind == number) for number in range(self.curve.n_classes)]
        return np.stack(own, axis=1).reshape(-1, len(piece))

    def seen(self) -> Floats:
        """What each group sees of each kind in each class, shape (n_kinds + 1, n_pieces).

        Over what it would see if it were as live as the field.
        """
        piece = self.steps[1]
        return np.asarray(self.density[:, piece] @ self.seconds.T)

    def inverse(
        self,
        time: Floats,
        kind: NDArray[np.integer],
        piece: NDArray[np.integer],
        steady: NDArray[np.floating],
    ) -> Floats:
        """What is expected of the class over what is at each photon, seconds; same shape.

        `steady` is the share of constant sources in it.
        """
        seen = np.maximum(self.seen(), 1e-9)
        density = (1 - steady) * self.at(time, kind) / seen[kind, piece]
        density += steady * self.at(time, STEADY) / seen[STEADY, piece]
        return np.asarray(1 / np.maximum(density, 1e-300))

    def table(self) -> Floats:
        """What lies before each whole second, shape (2 + n_pieces, n_seconds).

        Share of all background photons, seconds, and seconds of each group in each class.
        """
        at = np.arange(int(np.ceil(self.total)) + 2, dtype=float)
        edges, piece, _ = self.steps
        length = np.diff(edges)
        weights = [length * self.overall[piece], length, *self.seconds]
        totals = [np.concatenate([[0.0], np.cumsum(weight)]) for weight in weights]
        return np.array([np.interp(at, edges, total) for total in totals])


def levels_of(photons: TimedPhotons, total: float, n_cells: int, groups: GroupLive) -> Levels:
    """Level of the background from the live times of its photons.

    Parameters
    ----------
    photons : TimedPhotons
        Those outside sources.
    total : float
        Live time of everything, seconds.
    n_cells : int
        Cells over which they are spread, for the classes.
    groups : GroupLive
        When which CCDs were live.
    """
    curve = level_curve(photons.time, total, n_cells)
    length, lived = np.maximum(np.diff(curve.live), 1e-9), groups.between(curve.live)
    piece = np.searchsorted(curve.live, photons.time, side="right") - 1
    piece = np.clip(piece, 0, len(length) - 1)
    counts = _table(photons.kind, piece, (photons.n_kinds, len(length)))
    level = _table(photons.hard, piece, (2, len(length))) / length
    of_group = _table(photons.kind, photons.group, (photons.n_kinds, len(lived)))
    seconds = of_group / np.maximum(of_group.sum(axis=1, keepdims=True), 1.0) @ lived
    rates = [straight(counts[k], seconds[k], level[k % 2]) for k in range(photons.n_kinds)]
    # A piece in which a kind has no photon has a tenth of one, so that nothing is impossible.
    density = np.stack([*np.maximum(rates, 0.1 / length), np.ones(len(length))])
    for row in density:
        for number in range(curve.n_classes):
            own = curve.kind == number
            row[own] /= max(float((row * length)[own].sum()), 1e-300)
    return Levels(curve, density, groups)


def _table(row: NDArray[np.integer], column: NDArray[np.integer], shape: tuple[int, int]) -> Floats:
    """How many there are of each row and column."""
    at = np.ravel_multi_index((row, column), shape)
    return np.bincount(at, minlength=shape[0] * shape[1]).reshape(shape).astype(float)


def straight(counts: Floats, seconds: Floats, level: Floats) -> Floats:
    """A rate that goes with a level as a straight line, shape (n_pieces,).

    Of one that has more than its part of flares the line is below 0 at none of the level.

    Parameters
    ----------
    counts, seconds : ndarray of float64, shape (n_pieces,)
        What is seen of it, and in how much time.
    level : ndarray of float64, shape (n_pieces,)
        The level.

    Examples
    --------
    >>> level = np.array([1.0, 2.0, 8.0])
    >>> straight(np.array([30.0, 20.0, 50.0]), np.array([10.0, 5.0, 5.0]), level).round(6)
    array([ 3.,  4., 10.])
    >>> straight(np.array([0.0, 10.0, 70.0]), np.full(3, 10.0), level).round(6) + 0.0
    array([0., 1., 7.])
    """
    expected = seconds * level
    expected *= counts.sum() / max(float(expected.sum()), 1e-300)
    terms = seconds[:, None] * np.stack([np.ones(len(level)), level], axis=1)
    weight = 1 / np.sqrt(np.maximum(expected, 1.0))
    constant, slope = np.linalg.lstsq(terms * weight[:, None], counts * weight)[0]
    return np.asarray(constant + slope * level)
