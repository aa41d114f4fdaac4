"""Artefacts of edges and merging: the field changes, and the source with it (method.md, Artefacts).

Where an exposure of a merged list begins or ends, or a frame has less exposure than its
neighbours, all of the field peaks or dips in one frame. A region found in that frame is no source
unless it changed by more than the field did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.counts.bayes import Kind
from exod.errors import InputError
from exod.schemas.arrays import Floats

REFERENCE_FRAMES: Final = 5
"""Frames on each side that an event is compared with (method.md, Artefacts)."""

TOLERANCE: Final = 0.25
"""By how much a source must exceed the field, in relative amplitude (method.md, Artefacts)."""

MIN_SIGMA: Final = 3.0
"""How significant it must be that the field peaks or dips; the published rule has no number.

Without one, half of all frames would pass by chance.
"""


@dataclass(frozen=True)
class ArtefactRule:
    """The numbers of the rule: see the constants of the same names."""

    reference_frames: int = REFERENCE_FRAMES
    tolerance: float = TOLERANCE
    min_sigma: float = MIN_SIGMA

    def __post_init__(self) -> None:
        if self.reference_frames < 1 or self.tolerance < 0 or self.min_sigma < 0:
            raise InputError(
                f"A rule for artefacts needs at least one reference frame and numbers that are not "
                f"negative, not {self}."
            )


@dataclass(frozen=True)
class Amplitude:
    """How far a frame stands out of those around it.

    Attributes
    ----------
    relative : float
        (n - reference) / reference, above 0 for a peak; infinite if the reference is 0 and n is
        not, NaN if both are 0 or there is no reference.
    sigma : float
        The same difference in its standard error for Poisson counts; NaN without a reference.
    """

    relative: float
    sigma: float


def amplitude(counts: ArrayLike, frame: int, reference_frames: int = REFERENCE_FRAMES) -> Amplitude:
    """Compare a frame with the mean of the frames around it.

    Parameters
    ----------
    counts : array_like, shape (n_frames,)
        Counts; frames without data are NaN and no reference.
    frame : int
        Which frame.
    reference_frames : int
        Frames on each side, fewer at the ends of the light curve.

    Raises
    ------
    InputError
        If there is no such frame.

    Examples
    --------
    >>> amplitude([4, 4, 8, 4, 4], 2).relative
    1.0
    """
    n = np.asarray(counts, np.float64)
    if not 0 <= frame < len(n):
        raise InputError(f"There is no frame {frame} in a light curve of {len(n)} frames.")
    near = np.arange(max(frame - reference_frames, 0), frame + reference_frames + 1)
    around = n[near[(near < len(n)) & (near != frame)]]
    around = around[np.isfinite(around)]
    if not len(around) or not np.isfinite(n[frame]):
        return Amplitude(np.nan, np.nan)
    reference = float(around.mean())
    difference = float(n[frame]) - reference
    if reference == 0:
        return Amplitude(np.inf if difference > 0 else np.nan, np.inf if difference > 0 else 0.0)
    # The variance of a Poisson count and of the mean of as many as there are around it.
    error = np.sqrt(reference * (1 + 1 / len(around)))
    return Amplitude(difference / reference, difference / error)


def is_artefact(
    source: ArrayLike,
    rest: ArrayLike,
    frame: int,
    kind: Kind,
    rule: ArtefactRule | None = None,
) -> bool:
    """Whether a peak (eclipse) is one of all the field (method.md, Artefacts).

    It is, if the rest of the frame peaks (dips) too, and the source's relative amplitude exceeds
    that of the rest by less than the tolerance.

    Parameters
    ----------
    source : array_like, shape (n_frames,)
        Counts of the source, such as those of 3 x 3 cells; NaN in frames without data.
    rest : array_like, shape (n_frames,)
        Counts of all other cells; NaN in frames without data.
    frame : int
        Frame of the event.
    kind : str
        ``peak`` or ``eclipse``.
    rule : ArtefactRule, optional
        Other numbers than the published ones (method.md, Artefacts).

    Raises
    ------
    InputError
        If the light curves differ in length, or there is no such frame or kind.

    Examples
    --------
    An exposure that counts half in one frame makes an eclipse of every source:

    >>> source, rest = [20, 20, 10, 20, 20], [2000, 2000, 1000, 2000, 2000]
    >>> is_artefact(source, rest, 2, "eclipse")
    True
    >>> is_artefact([20, 20, 2, 20, 20], rest, 2, "eclipse")
    False
    """
    rule = rule or ArtefactRule()
    if np.shape(source) != np.shape(rest):
        raise InputError("The light curves of the source and of the rest differ in length.")
    if kind not in ("peak", "eclipse"):
        raise InputError(f"An event is a peak or an eclipse, not {kind!r}.")
    of_source, of_rest = (amplitude(n, frame, rule.reference_frames) for n in (source, rest))
    sign = 1 if kind == "peak" else -1
    # A source or field without counts around the event rejects nothing; NaN compares as false.
    changes = sign * of_rest.sigma >= rule.min_sigma and np.isfinite(of_source.relative)
    return bool(changes and sign * (of_source.relative - of_rest.relative) < rule.tolerance)


def rebin(
    start: Floats, width: Floats, counts: ArrayLike, new_start: Floats, new_width: ArrayLike
) -> Floats:
    """Counts of other bins, if rates are constant inside the given ones.

    Parameters
    ----------
    start, width : ndarray of float64, shape (n,)
        Starts of the bins in increasing order, and their lengths, in seconds; they do not overlap.
    counts : array_like, shape (n,)
        Counts of the bins.
    new_start : ndarray of float64, shape (m,)
        Starts of the other bins.
    new_width : array_like
        Their lengths, one for all or one each.

    Returns
    -------
    ndarray of float64, shape (m,)
        Counts; NaN for bins that no given bin touches.

    Examples
    --------
    >>> start = np.array([0.0, 100.0, 200.0])
    >>> rebin(start, np.full(3, 100.0), [10, 20, 30], np.array([0.0, 200.0, 400.0]), 200.0)
    array([30., 30., nan])
    """
    if not len(start):
        return np.full(len(new_start), np.nan)
    new_stop = new_start + np.broadcast_to(new_width, new_start.shape)
    edges = np.ravel(np.column_stack([start, start + width]))

    def inside(content: ArrayLike) -> Floats:
        # Up to each edge: it grows inside bins and stays between them.
        steps = np.ravel(np.column_stack([np.asarray(content, np.float64), np.zeros(len(start))]))
        up_to = np.concatenate([[0.0], np.cumsum(steps)[:-1]])
        return np.interp(new_stop, edges, up_to) - np.interp(new_start, edges, up_to)

    return np.where(inside(width) > 0, inside(counts), np.nan)


def is_artefact_of_rates(
    curve: pd.DataFrame,
    t_bin: float,
    kind: Kind,
    rates: pd.DataFrame,
    rule: ArtefactRule | None = None,
) -> bool:
    """Whether the event of a light curve is one of all the field, as the exposures' rates show it.

    The event is the most significant frame. Where its frames are shorter than the bins of the
    rates, the counts of the light curve are summed to these bins; where they are not, the rates
    are summed to the frames. The rest of the field is the sum of all exposures less the source.

    Parameters
    ----------
    curve : DataFrame
        Rows of the table lightcurves of one region, sorted by time: time, n, mu, B_peak_log,
        B_eclipse_log.
    t_bin : float
        Length of its frames in seconds.
    kind : str
        ``peak`` or ``eclipse``.
    rates : DataFrame
        Rows of the table rates of its subset, all exposures: time, width, n.
    rule : ArtefactRule, optional
        Other numbers than the published ones (method.md, Artefacts).

    Returns
    -------
    bool
        False too if nothing is expected in any frame, or there are no rates.
    """
    strength = curve[f"B_{kind}_log"].to_numpy(np.float64)
    has_data = curve["mu"].to_numpy() > 0
    known = np.isfinite(strength) & has_data
    if not known.any() or rates.empty:
        return False
    event = int(np.argmax(np.where(known, strength, -np.inf)))
    time, n = curve["time"].to_numpy(np.float64), curve["n"].to_numpy(np.float64)
    field = rates.groupby("time").agg({"width": "max", "n": "sum"})
    start, width, total = field.index.to_numpy(), field["width"].to_numpy(), field["n"].to_numpy()
    if t_bin >= width.max():
        source = np.where(has_data, n, np.nan)
        whole = rebin(start, width, total, time, t_bin)
        return is_artefact(source, whole - source, event, kind, rule)
    bins = np.searchsorted(start, time + t_bin / 2, side="right") - 1
    if bins[event] < 0:
        return False
    inside = has_data & (bins >= 0)
    source = np.bincount(bins[inside], n[inside], len(start))
    source[np.bincount(bins[inside], minlength=len(start)) == 0] = np.nan
    return is_artefact(source, total - source, int(bins[event]), kind, rule)
