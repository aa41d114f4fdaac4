"""Sources of a field, and when their photons came against what is expected (docs/ideal.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from exod.schemas.arrays import Floats
from exod.search.nulls.photonsearch.photonimages import (
    FINE_ARCSEC,
    PIXEL_ARCSEC,
    apart,
    counts_in,
    on_fine,
    peaks,
    sharpened,
)

if TYPE_CHECKING:
    from exod.search.nulls.photonsearch.photonmarks import PhotonField

AROUND_ARCSEC: Final = 15.0
"""Photons closer than this to a source are taken for its own."""

FEWEST: Final = 30
"""Photons that a source has at least, background included."""

_KNOTS: Final = 513


@dataclass(frozen=True)
class SourceTimes:
    """When the photons of a place came.

    Attributes
    ----------
    x, y : float
        The place, arcsec from the corner of the field.
    time : ndarray of float64, shape (n,)
        Live times, ascending.
    share : ndarray of float64, shape (n,)
        Share of all photons that is expected before each if the source is constant: from 0 to 1, in
        proportion to the live time of its CCDs and, as far as they are background, to its level.
    background : float
        Share of the background in them.
    counts : ndarray of float64, shape (n_parts,)
        How many there are in each class of the level and group of CCDs, or in proportion.
    parts : ndarray of float64, shape (n_parts, n_knots)
        What share of each of those is expected before equally wide steps of `share`.
    """

    x: float
    y: float
    time: Floats
    share: Floats
    background: float
    counts: Floats = field(default_factory=lambda: np.ones(1))
    parts: Floats = field(default_factory=lambda: np.linspace(0.0, 1.0, 2)[None])


def source_times(field: PhotonField, x: float, y: float) -> SourceTimes:
    """Photons around a place, with what is expected of a constant source there.

    In each class of the level, and of each group of CCDs, as many are expected as came.
    """
    marks, levels = field.marks, field.levels
    near = field.places.within(x, y, AROUND_ARCSEC)
    time, piece = marks.time[near], marks.piece[near]
    edges, at, _ = levels.steps
    length, seconds = np.diff(edges), levels.seconds
    level, n_classes = levels.overall[at], levels.curve.n_classes
    row, column = (
        min(max(int(u / PIXEL_ARCSEC), 0), n - 1)
        for u, n in zip((y, x), field.expected.shape, strict=True)
    )
    behind = field.expected[row, column] / field.area * np.pi * AROUND_ARCSEC**2
    of_class = np.bincount(levels.curve.kind[at], length * level, minlength=n_classes) * behind
    counts = np.bincount(piece, minlength=len(seconds)).astype(float)
    in_class = np.bincount(np.arange(len(counts)) % n_classes, counts, minlength=n_classes)
    steps, background = np.zeros((len(counts), len(length))), 0.0
    for number in np.flatnonzero(counts):
        own = number % n_classes
        part = min(of_class[own] / in_class[own], 1.0)
        steady, varying = seconds[number], seconds[number] * level
        if steady.sum() > 0:
            steps[number] = counts[number] * (1 - part) * steady / steady.sum()
            steps[number] += counts[number] * part * varying / max(varying.sum(), 1e-300)
        background += counts[number] * part
    own = steps.sum(axis=1) > 0
    each = np.pad(np.cumsum(steps[own], axis=1), ((0, 0), (1, 0)))
    before = each.sum(axis=0)
    before /= max(before[-1], 1e-300)
    knots = np.linspace(0.0, 1.0, _KNOTS)
    parts = np.array([np.interp(knots, before, row / row[-1]) for row in each])
    return SourceTimes(
        x,
        y,
        time,
        np.interp(time, edges, before),
        float(background / max(len(time), 1)),
        counts[own],
        parts.reshape(-1, _KNOTS),
    )


def source_places(field: PhotonField, known: Floats) -> Floats:
    """Places of sources, arcsec from the corner of the field, shape (n, 2).

    Parameters
    ----------
    field : PhotonField
        The photons.
    known : ndarray of float64, shape (n_known, 2)
        Known sources, of which those that are seen as well count once.
    """
    from exod.search.nulls.photonsearch.photonplaces import TILE

    fine = tuple(int(np.ceil(n * TILE / FINE_ARCSEC)) for n in field.shape)
    seen = sharpened(counts_in(field.marks.x, field.marks.y, FINE_ARCSEC, (fine[0], fine[1])))
    places = peaks(seen, on_fine(field.expected / field.area, (fine[0], fine[1])))
    return apart(np.concatenate([places, known.reshape(-1, 2)]), AROUND_ARCSEC)


def all_sources(field: PhotonField, known: Floats) -> list[SourceTimes]:
    """Photons of all sources that have enough of them; parameters as of `source_places`."""
    found = (source_times(field, float(x), float(y)) for x, y in source_places(field, known))
    return [source for source in found if len(source.time) >= FEWEST]
