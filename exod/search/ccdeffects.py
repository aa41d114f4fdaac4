"""What CCDs explain: sources that leave them and come back, and streaks of bright bursts.

While a source is beyond an edge it has no counts, and more than its mean while it is back. What is
expected of significant windows near edges, and how probable they are, is corrected with the share
of their light that was on a CCD. Photons that arrive while a frame is shifted to the read-out have
the right column and a wrong row: what their columns have more than usual, at the time, is expected
in windows along these, too. Windows that are not significant then are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincc

from exod.counts.bayes import Rule, Thresholds, log10_b_eclipse, log10_b_peak
from exod.errors import plural
from exod.observation.aspect import STEP_SECONDS, Aspect
from exod.observation.subsets import MergedEvents
from exod.schemas.arrays import Floats, Mask
from exod.search.nulls.null import Searched, TestedRun
from exod.search.regions import SignificantCells

MOST_EVENTS: Final = 200
"""Events of a window that tell how its light is spread."""

WHOLE: Final = 0.98
"""A window that was always seen by more than this has nothing to correct."""

FAINTEST_STREAK: Final = 0.02
"""Counts of a streak, relative to those of a window, that are nothing to correct."""

_SAMPLES: Final = 8
_LEAST: Final = 1e-300


@dataclass(frozen=True)
class LeftOut:
    """Cells of a run that its CCDs explain.

    Attributes
    ----------
    n_dithered : int
        Those that the motion of the pointing explains.
    n_streaks : int
        Those along the columns of bright bursts.
    """

    n_dithered: int = 0
    n_streaks: int = 0


def left_out_notes(runs: Iterable[LeftOut]) -> list[str]:
    """Sentences on what was left out of the runs of an observation.

    Examples
    --------
    >>> left_out_notes([LeftOut(n_streaks=2), LeftOut()])
    ['2 windows, as significant as streaks of bright bursts make them, were left out.']
    """
    every = list(runs)
    dithered, streaks = sum(run.n_dithered for run in every), sum(run.n_streaks for run in every)
    kinds = (
        (dithered, " at edges of CCDs", "the motion of the pointing makes"),
        (streaks, "", "streaks of bright bursts make"),
    )
    return [
        f"{plural(number, 'window')}{where}, as significant as {why} them, "
        f"{'was' if number == 1 else 'were'} left out."
        for number, where, why in kinds
        if number
    ]


def without_explained(
    tested: TestedRun, searched: Searched, events: MergedEvents, rule: Rule
) -> tuple[TestedRun, Searched, LeftOut]:
    """A run without the cells that the CCDs explain.

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
        return tested, searched, LeftOut()
    factor = _factors(events.aspect, tested, searched, events)
    streak = _streaks(events.aspect, tested, searched, events)
    own = (factor != 1) | (streak > 0)
    if not own.any():
        return tested, searched, LeftOut()
    corrected = _corrected(cells, factor, streak)
    kept = ~own | _significant(tested, corrected, rule)
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
    n_streaks = int((~kept & (streak > 0)).sum())
    left_out = LeftOut(int((~kept).sum()) - n_streaks, n_streaks)
    return replace(tested, cells=few), searched, left_out


def _corrected(cells: SignificantCells, factor: Floats, streak: Floats) -> SignificantCells:
    """The cells with what is expected of them, and how likely they are."""
    mu = np.maximum(cells.mu * factor + streak, _LEAST)
    tail = _tail(cells.n, mu, cells.is_peak)
    p_log = np.minimum(cells.p_log + tail - _tail(cells.n, cells.mu, cells.is_peak), 0.0)
    # What columns say does not depend on the counts of the window.
    p_log = np.where(streak > 0, np.maximum(p_log, tail), p_log)
    own = (factor != 1) | (streak > 0)
    b_log = np.where(cells.is_peak, log10_b_peak(cells.n, mu), log10_b_eclipse(cells.n, mu))
    return replace(
        cells,
        mu=np.where(own, mu, cells.mu),
        p_log=np.where(own, p_log, cells.p_log),
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


def _streaks(aspect: Aspect, tested: TestedRun, searched: Searched, events: MergedEvents) -> Floats:
    """Counts that each significant window has of brighter columns than usual, shape (n_cells,).

    A column gives its windows the share of its photons that arrive while a frame is shifted, over
    all rows.
    """
    cells, grid, box = searched.cells, searched.cube.grid, searched.cube.box
    camera, t_bin = events.exposures[0].camera, tested.cube.frames.t_bin
    size = searched.width * grid.width * grid.pixel_arcsec / camera.pixel_arcsec
    of_row = camera.transfer_time / camera.frame_time / camera.n_rows
    result = np.zeros(len(cells))
    chosen = np.flatnonzero(cells.is_peak)
    if not of_row or not len(chosen):
        return result
    x, y = (
        np.asarray((low + first[chosen, None] + searched.width / 2) * grid.width, float)
        for low, first in ((box.x_lo, cells.x), (box.y_lo, cells.y))
    )
    aspect = replace(aspect, photons=aspect.photons.within(tested.band))
    steps = np.linspace(0, t_bin, int(np.ceil(t_bin / STEP_SECONDS)) + 1)
    during = of_row * _in_columns(aspect, x, y, cells.start[chosen, None] + steps, size)
    bright = during > FAINTEST_STREAK * cells.n[chosen]
    if not bright.any():
        return result
    whole = np.arange(events.t_lo, events.t_hi + STEP_SECONDS, STEP_SECONDS)[None]
    usual = of_row * _in_columns(aspect, x[bright], y[bright], whole, size)
    share = t_bin / max(events.t_hi - events.t_lo, t_bin)
    result[chosen[bright]] = np.maximum(during[bright] - share * usual, 0.0)
    return result


def _in_columns(aspect: Aspect, x: Floats, y: Floats, edges: Floats, size: float) -> Floats:
    """Photons in the columns through windows, each times the rows that it has there, shape (n,).

    Windows are squares on the sky of `size` pixels around places of shape (n, 1); times are
    between edges of shape (n, n_steps + 1).
    """
    middle = (edges[:, 1:] + edges[:, :-1]) / 2
    shape = np.broadcast_shapes(x.shape, middle.shape)
    x, y, middle, begin, end = (
        np.broadcast_to(values, shape) for values in (x, y, middle, edges[:, :-1], edges[:, 1:])
    )
    ccdnr, place, _ = aspect.pixels(x, y, middle)
    # CCDs are turned by right angles against each other, which squares are not changed by.
    along = np.abs(next(iter(aspect.chips.values())).matrix[0, :2])
    cosine, sine = along.max() / np.hypot(*along), along.min() / np.hypot(*along)
    half = size / 2 * (cosine + sine)
    column, reach = np.rint(place).astype(np.int64), int(np.ceil(half + 0.5))
    n = aspect.photons.around(ccdnr, column, reach, begin, end)
    away = np.abs(column[..., None] + np.arange(-reach, reach + 1) - place[..., None])
    # Rows in a column of a square that is turned: fewer near its corners.
    rows = size / cosine * np.clip((half - away) / max(size * sine, 1.0), 0, 1)
    return np.asarray((n * rows).sum(axis=(1, 2)))
