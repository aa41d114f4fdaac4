"""What the motion of the pointing explains: sources that leave the CCDs and come back.

While a source is beyond an edge it has no counts, and more than its mean while it is back. What is
expected of significant windows near edges, and how probable they are, is corrected with the share
of their light that was on a CCD; those that are not significant then are left out.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincc

from exod.counts.bayes import Rule, Thresholds, log10_b_eclipse, log10_b_peak
from exod.observation.aspect import Aspect
from exod.observation.subsets import MergedEvents
from exod.schemas.arrays import Floats, Mask
from exod.search.nulls.null import Searched, TestedRun
from exod.search.regions import SignificantCells

MOST_EVENTS: Final = 200
"""Events of a window that tell how its light is spread."""

WHOLE: Final = 0.98
"""A window that was always seen by more than this has nothing to correct."""

_SAMPLES: Final = 8
_LEAST: Final = 1e-300


def without_dithered(
    tested: TestedRun, searched: Searched, events: MergedEvents, rule: Rule
) -> tuple[TestedRun, Searched, int]:
    """A run without the cells that the motion of the pointing explains, and their number.

    Parameters
    ----------
    tested, searched : TestedRun, Searched
        The run.
    events : MergedEvents
        Its events; without an aspect nothing is changed.
    rule : {"exod2", "exact"}
        Of the thresholds, where they are for Bayes factors.
    """
    cells = searched.cells
    if events.aspect is None or not len(cells) or tested.variability is not None:
        return tested, searched, 0
    factor = _factors(events.aspect, tested, searched, events)
    if (factor == 1).all():
        return tested, searched, 0
    corrected = _corrected(cells, factor)
    kept = (factor == 1) | _significant(tested, corrected, rule)
    few = SignificantCells(
        **{item.name: getattr(corrected, item.name)[kept] for item in fields(SignificantCells)}
    )
    strength = searched.strength
    if np.isfinite(cells.p_log).all():
        strength = strength + cells.p_log - corrected.p_log
    found = searched.found
    if found is not None:
        positions = tuple(found.positions[index] for index in np.flatnonzero(kept))
        found = replace(found, positions=positions, spans=found.spans[kept])
    searched = replace(searched, cells=few, strength=strength[kept], found=found)
    return replace(tested, cells=few), searched, int((~kept).sum())


def _corrected(cells: SignificantCells, factor: Floats) -> SignificantCells:
    """The cells with what is expected of them while they are on a CCD, and how likely they are."""
    mu = np.maximum(cells.mu * factor, _LEAST)
    change = _tail(cells.n, mu, cells.is_peak) - _tail(cells.n, cells.mu, cells.is_peak)
    own = factor != 1
    b_log = np.where(cells.is_peak, log10_b_peak(cells.n, mu), log10_b_eclipse(cells.n, mu))
    return replace(
        cells,
        mu=np.where(own, mu, cells.mu),
        p_log=np.where(own, np.minimum(cells.p_log + change, 0.0), cells.p_log),
        b_log=np.where(own, b_log, cells.b_log),
    )


def _significant(tested: TestedRun, cells: SignificantCells, rule: Rule) -> Mask:
    """Which cells are significant, shape (n_cells,)."""
    if np.isfinite(tested.threshold.p_log):
        return np.asarray(cells.p_log <= tested.threshold.p_log)
    limits = Thresholds(tested.threshold.sigma, rule)
    is_peak, is_eclipse = limits.is_peak(cells.n, cells.mu), limits.is_eclipse(cells.n, cells.mu)
    return np.where(cells.is_peak, is_peak, is_eclipse)


def _tail(n: NDArray[np.int32], mu: Floats, is_peak: Mask) -> Floats:
    """log10 of the Poisson probability of so many counts or more, or fewer of an eclipse."""
    more = gammainc(np.maximum(n, 1), mu)
    fewer = gammaincc(n + 1, mu)
    return np.asarray(np.log10(np.maximum(np.where(is_peak, more, fewer), _LEAST)))


def _factors(aspect: Aspect, tested: TestedRun, searched: Searched, events: MergedEvents) -> Floats:
    """Share of the light of each significant window that was seen in its frame, over the mean."""
    cells, cube = searched.cells, searched.cube
    result = np.ones(len(cells))
    inside = np.zeros(cube.box.shape, bool)
    places, which = np.unique(np.stack([cells.y, cells.x]), axis=1, return_inverse=True)
    for number, (row, column) in enumerate(places.T.tolist()):
        inside[:] = False
        inside[row : row + searched.width, column : column + searched.width] = True
        own = np.unique(cube.event[inside.ravel()[cube.cell]])
        seen = _seen(aspect, events.x[own].astype(float), events.y[own].astype(float))
        if seen is None:
            continue
        mine = np.flatnonzero(which.ravel() == number)
        part = (np.arange(_SAMPLES) + 0.5) / _SAMPLES * tested.cube.frames.t_bin
        time = cells.start[mine, None] + part
        result[mine] = np.interp(time, aspect.time, seen).mean(axis=1)
    return result


def _seen(aspect: Aspect, x: Floats, y: Floats) -> Floats | None:
    """Share of the light of events that was seen, over its mean, at the times of the aspect.

    None if all of it always was. Each event stands for as much light as it was seldom seen.
    """
    if not len(x):
        return None
    step = -(-len(x) // MOST_EVENTS)
    x, y = x[::step], y[::step]
    moments = np.broadcast_to(aspect.time, (len(x), len(aspect.time)))
    x_there, y_there = (np.broadcast_to(values[:, None], moments.shape) for values in (x, y))
    on_chip = aspect.pixels(x_there, y_there, moments)[0] > 0
    share = on_chip.mean(axis=1)
    if (share > WHOLE).all():
        return None
    light = 1 / np.maximum(share, 1 / len(aspect.time))
    return np.asarray(light @ on_chip / len(x))
