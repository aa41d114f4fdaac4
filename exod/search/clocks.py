"""Time as a region counts it: seconds of live time, or counts that are expected.

In expected counts everything but an event has rate one, whatever the background does, and gaps in
the data take no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats, Integers


@dataclass(frozen=True, eq=False)
class Clock:
    """Runs at a constant speed within each frame, and stands still where the speed is zero.

    Attributes
    ----------
    edges : ndarray of float64, shape (n_frames + 1,)
        Edges of the frames, increasing, seconds.
    speed : ndarray of float64, shape (n_frames,)
        Advance a second.
    """

    edges: Floats
    speed: Floats

    @cached_property
    def readings(self) -> Floats:
        """What it shows at the edges."""
        return np.concatenate([[0.0], np.cumsum(self.speed * np.diff(self.edges))])

    def at(self, time: ArrayLike) -> Floats:
        """What it shows at times between the first and the last edge."""
        return np.interp(np.asarray(time), self.edges, self.readings)

    def time(self, reading: float, *, after_gap: bool) -> float:
        """When it shows this; where it stands still, the end or the start of that."""
        frame = int(np.searchsorted(self.readings, reading, "right" if after_gap else "left")) - 1
        moving = np.flatnonzero(self.speed > 0)
        frame = int(np.clip(frame, moving[0], moving[-1]))
        since = (reading - self.readings[frame]) / self.speed[frame]
        return float(np.clip(self.edges[frame] + since, *self.edges[frame : frame + 2]))


@dataclass(frozen=True, eq=False)
class ExpectedCounts:
    """Expected counts of a region in each frame: background and constant sources.

    Attributes
    ----------
    edges : ndarray of float64, shape (n_frames + 1,)
        Edges of the frames, increasing, mission elapsed time in seconds.
    mu : ndarray of float64, shape (n_frames,)
        Expected counts; 0 where there are no data.
    live_fraction : ndarray of float64, shape (n_frames,), or None
        Of the frames, above 0 where counts are expected; without it all of these are live.

    Raises
    ------
    ValueError
        When the frames are not in order, or a value is negative or not finite.

    Examples
    --------
    >>> expected = ExpectedCounts(np.array([0.0, 50.0, 100.0, 150.0]), np.array([2.0, 0.0, 1.0]))
    >>> expected.counts.at([25.0, 75.0, 150.0])
    array([1., 2., 3.])
    """

    edges: Floats
    mu: Floats
    live_fraction: Floats | None = None

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.mu) + 1 or not len(self.mu):
            raise ValueError("n frames need n expected counts and n + 1 edges, and n at least 1.")
        if not (np.isfinite(self.edges).all() and (np.diff(self.edges) > 0).all()):
            raise ValueError("The edges of the frames have to be finite and increasing.")
        if not (np.isfinite(self.mu).all() and (np.asarray(self.mu) >= 0).all()):
            raise ValueError("The expected counts have to be finite and not negative.")
        if self.live_fraction is not None and not (
            np.shape(self.live_fraction) == np.shape(self.mu)
            and np.isfinite(self.live_fraction).all()
            and (np.asarray(self.live_fraction)[np.asarray(self.mu) > 0] > 0).all()
        ):
            raise ValueError("The live fractions have to be above 0 where counts are expected.")

    @cached_property
    def counts(self) -> Clock:
        """Shows the expected counts up to a time."""
        return Clock(self.edges, self.mu / np.diff(self.edges))

    @cached_property
    def live(self) -> Clock:
        """Shows the seconds of live time up to a time."""
        live = 1.0 if self.live_fraction is None else self.live_fraction
        return Clock(self.edges, np.where(self.mu > 0, live, 0.0))

    def live_at(self, counts: ArrayLike) -> Floats:
        """Seconds of live time until so many counts are expected."""
        return np.interp(np.asarray(counts), self.counts.readings, self.live.readings)

    def finer(self, edges: Floats, live: Floats) -> ExpectedCounts:
        """The same with what happens within frames that are live in part.

        Parameters
        ----------
        edges : ndarray of float64, shape (n + 1,)
            Times between which nothing changes, ascending, mission elapsed time in seconds.
        live : ndarray of float64, shape (n,)
            Live fraction of the region between them; it is 0 before and after.

        Returns
        -------
        ExpectedCounts
            Each frame has the counts and the live time that it had.

        Examples
        --------
        >>> edges, live = np.array([0.0, 120.0, 160.0, 200.0]), np.array([1.0, 0.0, 1.0])
        >>> frames = ExpectedCounts(np.array([0.0, 100, 200]), np.full(2, 6.0), np.array([1, 0.6]))
        >>> fine = frames.finer(edges, live)
        >>> fine.edges, fine.mu
        (array([  0., 100., 120., 160., 200.]), array([6., 2., 0., 4.]))
        """
        if self.live_fraction is None or not len(live):
            return self
        partial = (self.mu > 0) & (self.live_fraction < 1)
        inner = edges[(edges > self.edges[0]) & (edges < self.edges[-1])]
        fine = np.union1d(self.edges, inner[partial[self.frame(inner)]])
        length, middle = np.diff(fine), (fine[:-1] + fine[1:]) / 2
        frame, own = self.frame(middle), np.searchsorted(edges, middle, "right") - 1
        inside = (own >= 0) & (own < len(live))
        weight = length * np.where(inside, live[np.clip(own, 0, len(live) - 1)], 0.0)
        total = np.bincount(frame, weight, minlength=len(self.mu))
        # Frames that are whole, and those of which only the sum is known, stay as they are.
        known = partial & (total > 0)
        whole = np.diff(self.edges)[frame]
        share = np.where(known[frame], weight / np.where(known, total, 1.0)[frame], length / whole)
        return ExpectedCounts(
            fine, self.mu[frame] * share, self.live_fraction[frame] * share * whole / length
        )

    def frame(self, time: Floats) -> Integers:
        """The frame of each time; the last edge is in the last frame."""
        frame = np.searchsorted(self.edges, time, "right") - 1
        return np.minimum(frame, len(self.mu) - 1)
