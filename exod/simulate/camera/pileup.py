"""Pile-up: photons that meet neighbouring pixels in one frame become one event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from exod.schemas.arrays import Indices, Integers
from exod.simulate.photons import Photons

ONE_PIXEL, TWO_PIXELS, MORE_PIXELS = 0, 1, 2
"""Pixels over which the photons of an event are spread; two pixels share an edge."""

_MAX_PI = 32_000


@dataclass(frozen=True)
class PiledUp:
    """Events of a read-out.

    Attributes
    ----------
    kept : ndarray of intp, shape (n_events,)
        Index of the most energetic photon of each event, in the order of the photons.
    pi : ndarray of int16, shape (n_events,)
        Sum of the energies, eV.
    spread : ndarray of uint8, shape (n_events,)
        `ONE_PIXEL`, `TWO_PIXELS` or `MORE_PIXELS`.
    """

    kept: Indices
    pi: NDArray[np.int16]
    spread: NDArray[np.uint8]


def pile_up(photons: Photons, frame: Integers) -> PiledUp:
    """Merge photons of one chip and frame whose pixels touch, also by a corner.

    Chains of touching pixels are one event (the 3x3 pixels of the event recognition; UHB section
    3.3.9). The energies add up, and the event lies at the most energetic photon.

    Parameters
    ----------
    photons : Photons
        Photons of one exposure, in any order.
    frame : ndarray of int64, shape (n,)
        Number of the frame, from 0.
    """
    n = len(frame)
    pi, spread = photons.pi.copy(), np.zeros(n, np.uint8)
    first, second = _touching(photons, frame)
    if not len(first):
        return PiledUp(np.arange(n), pi, spread)
    members, numbers = np.unique(np.concatenate([first, second]), return_inverse=True)
    links = coo_array(
        (np.ones(len(first)), (numbers[: len(first)], numbers[len(first) :])),
        shape=(len(members), len(members)),
    )
    _, group = connected_components(links, directed=False)
    order = np.lexsort((-photons.pi[members].astype(int), group))
    members, group = members[order], group[order]
    start = np.flatnonzero(np.diff(group, prepend=-1))
    energy = np.add.reduceat(photons.pi[members].astype(np.int64), start)
    width = _extent(photons.rawx[members], start) + _extent(photons.rawy[members], start)
    brightest = members[start]
    pi[brightest] = np.minimum(energy, _MAX_PI)
    spread[brightest] = np.minimum(width, MORE_PIXELS)
    lost = np.ones(len(members), bool)
    lost[start] = False
    kept = np.ones(n, bool)
    kept[members[lost]] = False
    return PiledUp(np.flatnonzero(kept), pi[kept], spread[kept])


def _touching(photons: Photons, frame: Integers) -> tuple[Indices, Indices]:
    """Pairs of photons of one chip and frame in the same or in touching pixels."""
    # Two columns more than the widest chip keep neighbours in this order on one chip and frame.
    key = (photons.ccdnr.astype(np.int64) * (frame.max(initial=0) + 1) + frame) * 602
    key += photons.rawx
    order = np.argsort(key, kind="stable")
    key, rawy = key[order], photons.rawy[order]
    pairs = [(order[:0], order[:0])]
    for step in range(1, len(key)):
        near = key[step:] - key[:-step] <= 1
        if not near.any():
            break
        touch = np.flatnonzero(near & (np.abs(rawy[step:] - rawy[:-step]) <= 1))
        pairs.append((order[touch], order[touch + step]))
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


def _extent(values: NDArray[np.int16], start: Indices) -> Integers:
    """Largest minus smallest value of each group."""
    span = np.maximum.reduceat(values, start) - np.minimum.reduceat(values, start)
    return span.astype(np.int64)
