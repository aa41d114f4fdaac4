"""Good and bad time: flares, and cameras that are off (method.md, Bad time; Count cube)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

HIGH_ENERGY_EV: Final = (10_000, 12_000)
"""Open energy range in which soft-proton flares are seen, eV (method.md, Bad time)."""

MAX_HIGH_ENERGY_BIN: Final = 100.0
"""Longest bin of the high-energy light curve, seconds (method.md, Bad time)."""

BTI_RATE: Final = 0.5
"""Rate above which the background flares, ct/s for each exposure (method.md, Bad time)."""

MANY_HARD: Final = 30
"""Events above 10 keV of which some must be above 11 keV."""

_EPSILON = 1e-9
"""Rounding allowed when lengths of time are expressed in bins."""


@dataclass(frozen=True)
class Frames:
    """Time bins of equal length, counted from 0.

    Attributes
    ----------
    t_lo : float
        Start of frame 0, mission elapsed time in seconds.
    t_bin : float
        Length of a frame in seconds.
    n : int
        Number of frames.
    """

    t_lo: float
    t_bin: float
    n: int

    @classmethod
    def covering(cls, t_lo: float, t_hi: float, t_bin: float) -> Frames:
        """The whole frames between `t_lo` and `t_hi`; none if the span is shorter than a bin."""
        return cls(t_lo, t_bin, max(int((t_hi - t_lo) // t_bin), 0))

    @property
    def starts(self) -> NDArray[np.float64]:
        """Start of each frame in seconds, shape (n,)."""
        return self.t_lo + self.t_bin * np.arange(self.n, dtype=np.float64)

    def shifted(self, shift: int, shifts: int) -> Frames:
        """The frames that start `shift` times 1/shifts of their length later, within these."""
        start = self.t_lo + shift * self.t_bin / shifts
        return Frames(start, self.t_bin, max(self.n - (shift > 0), 0))

    def index(self, time: NDArray[np.float64]) -> NDArray[np.int32]:
        """Frame of each time, same shape; below 0 or at least `n` for times outside."""
        return np.floor((time - self.t_lo) / self.t_bin).astype(np.int32)


@dataclass(frozen=True)
class BadTime:
    """Bad time intervals of one merged event list.

    Attributes
    ----------
    intervals : ndarray of float64, shape (n_intervals, 2)
        Start and stop in seconds; they may touch and may be empty.
    frames : ndarray of bool, shape (n_frames,)
        Frames of the cube that are bad.
    """

    intervals: NDArray[np.float64]
    frames: NDArray[np.bool_]


def is_hard(pi: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Events of energies, eV, in which soft-proton flares are seen, shape (n_events,)."""
    low, high = HIGH_ENERGY_EV
    return np.asarray((pi > low) & (pi < high))


def flare_note(name: str, pi: NDArray[np.integer]) -> str:
    """What to say of an event list `name` in which flares cannot be seen as in others.

    Parameters
    ----------
    name : str
        The list.
    pi : ndarray, shape (n_events,)
        Energies of its events, eV.

    Returns
    -------
    str
        A sentence; empty if there is nothing to say.

    Examples
    --------
    >>> flare_note("list.fits", np.array([500, 9000, 11_500]))
    ''
    >>> flare_note("list.fits", np.array([500, 9000]))
    'list.fits has no events between 10 and 12 keV, so that it shows no bad time.'
    """
    hard = pi[is_hard(pi)]
    low, high = HIGH_ENERGY_EV
    if not len(hard):
        return (
            f"{name} has no events between {low / 1000:g} and {high / 1000:g} keV, so that it "
            f"shows no bad time."
        )
    # Of so many events chance leaves none in the upper half once in a million lists.
    if len(hard) >= MANY_HARD and hard.max() < (low + high) / 2:
        return (
            f"{name} has no events above {int(hard.max()) / 1000:g} keV, so that it shows the "
            f"worst of the bad time only."
        )
    return ""


def bad_time(
    time: NDArray[np.float64],
    pi: NDArray[np.integer],
    frames: Frames,
    t_hi: float,
    n_exposures: int,
) -> BadTime:
    """Find the bad time intervals from the rate between 10 and 12 keV.

    Parameters
    ----------
    time : ndarray, shape (n_events,)
        Times of the merged event list in seconds.
    pi : ndarray, shape (n_events,)
        Energies in eV, not cut to a band.
    frames : Frames
        Frames of the cube.
    t_hi : float
        End of the searched interval in seconds.
    n_exposures : int
        Exposures in the merged list that have such events; those without, as lists that were cut
        to lower energies, say nothing of flares.

    Returns
    -------
    BadTime

    Notes
    -----
    An interval (method.md, Bad time) starts at the left edge of the last bin below the threshold
    and ends at the left edge of the last bin above it; the frames are those of the published
    pipeline, so that the last frame of an interval stays good.
    """
    bins, counts = high_energy_counts(time, pi, frames, t_hi)
    if not bins.n:
        return BadTime(np.empty((0, 2)), np.zeros(frames.n, bool))
    dt = bins.t_bin
    starts, stops = _crossings(counts / dt > BTI_RATE * n_exposures)
    bad = np.zeros(frames.n, bool)
    ratio = dt / frames.t_bin
    for start, stop in zip(starts, stops, strict=True):
        first = int(np.ceil(start * ratio - _EPSILON))
        last = int(np.ceil(stop * ratio - _EPSILON)) - 1
        bad[first : max(last, first)] = True
    edges = frames.t_lo + dt * np.column_stack([starts, stops]).astype(np.float64)
    return BadTime(edges, bad)


def high_energy_counts(
    time: NDArray[np.float64], pi: NDArray[np.integer], frames: Frames, t_hi: float
) -> tuple[Frames, NDArray[np.int64]]:
    """Counts between 10 and 12 keV, by which bad time is found; parameters as of `bad_time`.

    Returns
    -------
    bins : Frames
        Bins as long as the frames, but not longer than `MAX_HIGH_ENERGY_BIN`.
    counts : ndarray of int64, shape (n_bins,)
        Counts of each bin.
    """
    dt = min(frames.t_bin, MAX_HIGH_ENERGY_BIN)
    n_bins = max(int(np.floor((t_hi - frames.t_lo) / dt + _EPSILON)), 0)
    bins = Frames(frames.t_lo, dt, n_bins)
    index = bins.index(time[is_hard(pi)])
    return bins, np.bincount(index[(index >= 0) & (index < n_bins)], minlength=n_bins)


def _crossings(above: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bins whose left edges bound the intervals in which `above` holds (method.md, Bad time)."""
    change = np.diff(above.astype(np.int8))
    starts, stops = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    if above[0]:
        starts = np.r_[0, starts]
    if above[-1]:
        stops = np.r_[stops, len(above)]
    return starts.astype(np.int64), stops.astype(np.int64)


def camera_off(
    frame: NDArray[np.integer],
    ccdnr: NDArray[np.integer],
    n_frames: int,
    bad_time_frames: NDArray[np.bool_],
    groups: tuple[tuple[int, ...], ...],
) -> NDArray[np.bool_]:
    """Frames in which an exposure has no events, or a group of its CCDs dropped out.

    Parameters
    ----------
    frame, ccdnr : ndarray, shape (n_events,)
        Frame and CCD of the exposure's selected events, all energies; frames outside
        [0, n_frames) are ignored.
    n_frames : int
        Number of frames.
    bad_time_frames : ndarray of bool, shape (n_frames,)
        Frames in bad time intervals.
    groups : tuple of tuples of int
        CCDs that drop out together, as `exod.instruments.Instrument.dropout_groups`.

    Returns
    -------
    ndarray of bool, shape (n_frames,)

    Notes
    -----
    If there are groups (method.md, Count cube), the frame after a bad one is bad as well. EXOD2
    also carries the last frame to the first; here nothing wraps.
    """
    inside = (frame >= 0) & (frame < n_frames)
    frame, ccdnr = frame[inside], ccdnr[inside]
    bad = np.bincount(frame, minlength=n_frames) == 0
    if groups:
        bad |= _group_off(frame, ccdnr, n_frames, bad_time_frames, groups)
        bad[1:] |= bad[:-1]
    return bad


def _group_off(
    frame: NDArray[np.integer],
    ccdnr: NDArray[np.integer],
    n_frames: int,
    bad_time_frames: NDArray[np.bool_],
    groups: tuple[tuple[int, ...], ...],
) -> NDArray[np.bool_]:
    counts = ccd_counts(frame, ccdnr, n_frames, 1 + max(max(group) for group in groups))
    by_ccd = counts[:, np.array(groups)]  # (frame, group, ccd)
    total = by_ccd.sum(axis=2)
    median = np.median(by_ccd, axis=2)
    highest, lowest = median.max(axis=1), median.min(axis=1)
    with np.errstate(invalid="ignore"):
        contrast = (highest - lowest) / (highest + lowest)
    missing = (total > 0).sum(axis=1) < len(groups)
    return (total.max(axis=1) > 10) & (missing | (bad_time_frames & (contrast > 0.5)))


def ccd_counts(
    frame: NDArray[np.integer], ccdnr: NDArray[np.integer], n_frames: int, n_ccds: int
) -> NDArray[np.int64]:
    """Counts of each frame and CCD, shape (n_frames, n_ccds).

    Parameters
    ----------
    frame, ccdnr : ndarray, shape (n_events,)
        Frame, from 0 to `n_frames` - 1, and CCD, from 0 to `n_ccds` - 1, of each event.
    n_frames, n_ccds : int
        How many there are.
    """
    flat = frame.astype(np.int64) * n_ccds + ccdnr
    return np.bincount(flat, minlength=n_frames * n_ccds).reshape(n_frames, n_ccds)
