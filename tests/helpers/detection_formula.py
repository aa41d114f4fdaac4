"""The probability that a burst is found in a run of fixed cells, by formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from exod.completeness.probability import (
    REACH,
    OwnLight,
    Patch,
    blurred_patch,
    bright_limit,
    with_own_light,
)
from exod.counts.bayes import Thresholds
from exod.counts.cube import CountCube
from exod.counts.template import Expectation
from exod.observation.gti import Frames
from exod.schemas.arrays import Floats, Integers, Mask
from exod.sensitivity.profiles import Profile, cell_shares


@dataclass(frozen=True)
class Bursts:
    """Bursts of constant rate; all arrays have shape (n_bursts,).

    Attributes
    ----------
    counts : ndarray of float64
        Expected counts in the whole point spread function, in the band of the run.
    start, duration : ndarray of float64
        Seconds; the start is a mission elapsed time.
    x, y : ndarray of float64
        Place in sky pixels.
    """

    counts: Floats
    start: Floats
    duration: Floats
    x: Floats
    y: Floats


def detection_probability(
    cube: CountCube,
    expectation: Expectation,
    thresholds: Thresholds,
    bursts: Bursts,
    profile: Profile,
) -> Floats:
    """Probability that each burst makes at least one cell of a run significant.

    Parameters
    ----------
    cube : CountCube
        Frames and cells of the run.
    expectation : Expectation
        Expected counts without the bursts.
    thresholds : Thresholds
        Significance.
    bursts : Bursts
        Each is looked at as if it were alone. The mean over bursts of random places and times is
        the completeness for random places and times.
    profile : Profile
        Point spread function.

    Returns
    -------
    ndarray of float64, shape (n_bursts,)
        0 for bursts that lie outside the frames or cells with data.

    Notes
    -----
    Exact but for one thing: the counts of cells are independent Poisson numbers, and mu includes
    the burst itself, see `with_own_light`, with its expected instead of its actual counts.
    """
    limit = bright_limit(expectation)
    index = zip(bursts.counts, bursts.start, bursts.duration, bursts.x, bursts.y, strict=True)
    chances = []
    for counts, start, duration, x, y in index:
        frame, in_frame = frame_shares(cube.frames, start, duration)
        use = (frame >= 0) & (frame < cube.frames.n)
        use[use] &= expectation.exposure[frame[use]] > 0
        patch = Patch.around(cube, np.array([x]), np.array([y]))
        inside = patch.cell[0] >= 0
        if not (use.any() and inside.any()):
            chances.append(0.0)
            continue
        dx, dy = (np.array([place / cube.grid.width]) % 1 - 0.5 for place in (x, y))
        shares = cell_shares(profile, dx, dy, cube.grid.size_arcsec, REACH)[0]
        light = counts * in_frame[use][:, None, None] * np.where(inside, shares, 0.0)
        chances.append(_chance(expectation, thresholds, frame[use], patch, light, limit))
    return np.array(chances)


def _chance(
    expectation: Expectation,
    thresholds: Thresholds,
    frame: Integers,
    patch: Patch,
    light: Floats,
    limit: float,
) -> float:
    """Probability that some cell is significant; `light` has the shape (n_frames, 5, 5)."""
    inside = patch.cell[0] >= 0
    cell = np.where(inside, patch.cell[0], 0)[None]
    own = _own_light(light, expectation.is_bad[frame], patch, expectation)
    frame = frame[:, None, None]
    mu = expectation.at(frame, cell)
    estimate = with_own_light(expectation, frame, cell, own, limit)
    least = np.where(inside & (estimate > 0), thresholds.least_peak(estimate), np.inf)
    missed = np.where(np.isfinite(least), special.gammaincc(least, mu + light), 1.0)
    return 1 - float(missed.prod())


def _own_light(light: Floats, is_bad: Mask, patch: Patch, expectation: Expectation) -> OwnLight:
    """Light of one burst, shape (n_frames, 5, 5), in frames that are bad or not."""
    hidden = expectation.source_mask.ravel()[np.maximum(patch.cell[0], 0)]
    outside = np.where(hidden | (patch.cell[0] < 0), 0.0, light)
    image = np.where(is_bad[:, None, None], light[is_bad].sum(0), light[~is_bad].sum(0))
    total = np.where(is_bad, outside[is_bad].sum(), outside[~is_bad].sum())
    return OwnLight(
        image,
        blurred_patch(image),
        total[:, None, None],
        outside.sum(axis=(1, 2))[:, None, None],
    )


def frame_shares(frames: Frames, start: float, duration: float) -> tuple[Integers, Floats]:
    """Frames that a burst of constant rate touches, in the run or not, and its share in each.

    Examples
    --------
    >>> number, share = frame_shares(Frames(100.0, 10.0, 5), 105.0, 20.0)
    >>> number, share
    (array([0, 1, 2]), array([0.25, 0.5 , 0.25]))
    """
    first = int(np.floor((start - frames.t_lo) / frames.t_bin))
    last = int(np.floor((start + duration - frames.t_lo) / frames.t_bin))
    number = np.arange(first, last + 1)
    edges = frames.t_lo + frames.t_bin * np.arange(first, last + 2)
    within = np.clip((edges - start) / duration, 0, 1)
    share = np.diff(within)
    return number[share > 0], share[share > 0]
