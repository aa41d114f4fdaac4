"""What the photons of a subset say of bursts, from its events (docs/ideal.md)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.counts.shares import ConditionalExpectation
from exod.observation.subsets import MergedEvents
from exod.schemas.arrays import Floats, Mask
from exod.search.nulls.photonsearch.photonbackground import Profile, background_images
from exod.search.nulls.photonsearch.photonimages import BAND_EDGES_EV, SOFT_EV, Binned
from exod.search.nulls.photonsearch.photonlevels import GroupLive, TimedPhotons, levels_of
from exod.search.nulls.photonsearch.photonmarks import (
    ENERGY_STEPS,
    Marks,
    PhotonField,
    camera_shares,
    optical_axis,
    profile_at,
    profile_table,
    spectrum_shares,
)

RINGS_ARCMIN: Final = (6.0, 10.0)
"""Edges of rings around the axis: soft protons are spread otherwise than the quiet background, and
cameras see other shares of them."""


def field_of(
    events: MergedEvents,
    expectation: ConditionalExpectation,
    group: NDArray[np.integer],
    used: Mask,
    hidden: Mask,
) -> PhotonField:
    """What the photons of a subset say of bursts.

    Parameters
    ----------
    events : MergedEvents
        The events.
    expectation : ConditionalExpectation
        What is expected of the cells, for live time and sources.
    group : ndarray of int, shape (n_events,)
        Group of CCDs of each, which are live together.
    used : ndarray of bool, shape (n_events,)
        Events that are searched.
    hidden : ndarray of bool, shape (n_events,)
        Those at known or bright sources.
    """
    from exod.search.nulls.photonsearch.photonplaces import RADIAL, REACH, TILE

    live_time = expectation.live_time
    total = float(live_time.at(live_time.edges[-1:])[0])

    event = np.flatnonzero(used).astype(np.int32)
    pixel = events.plane.pixel_arcsec
    x, y = events.x[event] * pixel, events.y[event] * pixel
    corner = np.array([x.min() - TILE / 4, y.min() - TILE / 4]) if len(event) else np.zeros(2)
    x, y = x - corner[0], y - corner[1]
    size = (float(y.max()) + TILE / 4, float(x.max()) + TILE / 4) if len(event) else (TILE, TILE)
    shape = (int(np.ceil(size[0] / TILE)), int(np.ceil(size[1] / TILE)))
    camera = events.source[event].astype(np.int16)
    energy = np.clip(
        events.pi[event].astype(float), BAND_EDGES_EV[0] + 0.5, BAND_EDGES_EV[-1] - 0.5
    )
    hard = (energy >= SOFT_EV).astype(np.int16)
    time, outside = live_time.at(events.time[event]), ~hidden[event]
    n_cells = int((~expectation.source_mask).sum())
    groups = GroupLive.of(expectation, total)
    axis_x, axis_y = (u * pixel - low for u, low in zip(optical_axis(events), corner, strict=True))
    ring = np.searchsorted(RINGS_ARCMIN, np.hypot(x - axis_x, y - axis_y) / 60).astype(np.int16)
    kind = 2 * (camera * (len(RINGS_ARCMIN) + 1) + ring) + hard
    own = group[event].astype(np.int16)
    n_kinds = 2 * len(events.exposures) * (len(RINGS_ARCMIN) + 1)
    levels = levels_of(
        TimedPhotons(time[outside], hard[outside], kind[outside], own[outside], n_kinds),
        total,
        n_cells,
        groups,
    )
    piece = levels.curve.kind_at(time).astype(np.int16)
    band = (np.searchsorted(BAND_EDGES_EV, energy, side="right") - 1).astype(np.int16)
    n = (levels.curve.n_classes, len(events.exposures), len(BAND_EDGES_EV) - 1)
    photons = Binned(x, y, camera, band, piece, n, (shape[0] * TILE, shape[1] * TILE))
    edges, at, _ = levels.steps
    seconds = np.bincount(levels.curve.kind[at], np.diff(edges), minlength=n[0]).astype(float)

    def profile(camera: int, x: float, y: float) -> Profile:
        return profile_at(events.exposures[camera], float(np.hypot(x - axis_x, y - axis_y)) / 60)

    images = background_images(photons, ~outside, seconds, profile)
    edges = np.geomspace(BAND_EDGES_EV[0], BAND_EDGES_EV[-1], ENERGY_STEPS + 1)
    step = np.clip(np.searchsorted(edges, energy, side="right") - 1, 0, ENERGY_STEPS - 1)
    share = _spectra_within_bands(step, band, camera, piece, outside, n)
    shares = camera_shares(events.exposures)
    every = images.at_smooth + images.at_steady
    share = shares[camera] / np.maximum(share * every, 1e-30)
    v = np.stack([of[step] * share for of in spectrum_shares(edges / 1000)], 1, dtype=np.float32)
    steady = np.divide(images.at_steady, every, dtype=np.float32, casting="same_kind")
    profiles = profile_table(events.exposures, REACH, RADIAL)
    radius = np.arange(profiles.shape[-1]) / RADIAL
    weight = shares @ profiles[:, min(6, profiles.shape[1] - 1)]
    inner = radius < REACH
    enclosed = float((2 * np.pi * radius * weight)[inner].sum() / RADIAL)
    area = 1 / float((2 * np.pi * radius * weight**2)[inner].sum() / RADIAL)
    piece += own * levels.curve.n_classes
    marks = Marks(event, time, x, y, camera, v, piece, kind, steady)
    expected = images.smooth.sum(axis=(0, 1, 2)) * area
    return PhotonField(
        marks,
        levels,
        profiles,
        shares,
        (axis_x, axis_y),
        expected,
        images.brightness,
        area,
        enclosed,
        shape,
        (corner[0], corner[1]),
    )


def _spectra_within_bands(
    step: NDArray[np.integer],
    band: NDArray[np.integer],
    camera: NDArray[np.integer],
    piece: NDArray[np.integer],
    outside: Mask,
    n: tuple[int, int, int],
) -> Floats:
    """Share of the background of its band in the energy step of each photon, shape (n,)."""
    shape = n[0], n[1], ENERGY_STEPS
    size, key = int(np.prod(shape)), np.ravel_multi_index((piece, camera, step), shape)
    # A photon at least in each step, of both classes of place.
    counts = np.bincount(key[outside], minlength=size).astype(float) + 0.5
    key_of_band = np.ravel_multi_index((piece, camera, band), n)
    of_band = np.bincount(key_of_band[outside], minlength=n[0] * n[1] * n[2]).astype(float) + 0.5
    return np.asarray(np.minimum(counts[key] / of_band[key_of_band], 1.0))
