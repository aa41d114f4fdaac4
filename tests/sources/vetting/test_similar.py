"""Numbers of light curves: what they do not depend on, and that likes are close."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.schemas.explorer import N_SIMILAR
from exod.sources.vetting.features import Curves
from exod.sources.vetting.similar import N_SHAPE, CurveEvents, similarity_numbers

FRAMES = 80
UNCHANGED = [*range(N_SHAPE), 25, 26, 27, 30, 31]
"""The shape, share of the observation, hardness, asymmetry, contrast and share of bad time."""


def curves(seed: int, n_curves: int = 6) -> tuple[Curves, CurveEvents]:
    random = np.random.default_rng(seed)
    rows = n_curves * FRAMES
    t_bin = random.choice([5.0, 50.0, 200.0], n_curves)
    mu = random.uniform(0.5, 4.0, rows)
    start = random.uniform(20, 40, n_curves)
    length = random.uniform(1, 25, n_curves)
    frame = np.tile(np.arange(FRAMES), n_curves)
    inside = (frame >= start.repeat(FRAMES)) & (frame < (start + length).repeat(FRAMES))
    n = random.poisson(mu + inside * random.uniform(5, 50, n_curves).repeat(FRAMES))
    found = Curves(
        np.arange(n_curves + 1) * FRAMES,
        t_bin,
        n,
        mu,
        random.random(rows) < 0.1,
        random.random(rows) < 0.05,
        random.uniform(-3, 40, rows),
        random.uniform(-3, 4, rows),
    )
    events = CurveEvents(start * t_bin, (start + length) * t_bin, random.uniform(-1, 1, n_curves))
    return found, events


@given(st.integers(0, 10_000))
def test_a_copy_is_the_nearest(seed: int):
    first, events = curves(seed)
    number = seed % 6
    own = slice(*first.offsets[number : number + 2])
    names = ("n", "mu", "bti", "bccd", "B_peak_log", "B_eclipse_log")
    copied = {name: np.r_[getattr(first, name), getattr(first, name)[own]] for name in names}
    both = Curves(
        np.r_[first.offsets, first.offsets[-1] + FRAMES],
        np.r_[first.t_bin, first.t_bin[number]],
        **copied,
    )
    found = similarity_numbers(both, events.take(np.r_[np.arange(6), number]))
    assert found.shape == (7, N_SIMILAR)
    assert found.dtype == np.float32
    distance = ((found[:-1] - found[-1]) ** 2).sum(axis=1)
    assert distance.argmin() == number
    assert distance[number] < 1e-12
    assert (np.delete(distance, number) > 1e-4).all()


@given(st.integers(0, 10_000), st.sampled_from([2, 5]), st.sampled_from([0.5, 4.0]))
def test_what_does_not_change_it(seed: int, counts: int, stretch: float):
    first, events = curves(seed)
    found = similarity_numbers(first, events)
    np.testing.assert_allclose((found[:, :N_SHAPE] ** 2).sum(axis=1), 1, rtol=1e-5)
    more = replace(first, n=first.n * counts, mu=first.mu * counts, t_bin=first.t_bin * stretch)
    later = replace(events, start=events.start * stretch, stop=events.stop * stretch)
    again = similarity_numbers(more, later)
    np.testing.assert_allclose(again[:, UNCHANGED], found[:, UNCHANGED], atol=1e-5)
    np.testing.assert_allclose(again[:, 24] - found[:, 24], np.log10(stretch) / 4, atol=1e-5)


def _moved(values: np.ndarray, frames: int, fill: float) -> np.ndarray:
    wide = np.full((len(values) // FRAMES, FRAMES), fill, values.dtype)
    wide[:, frames:] = values.reshape(-1, FRAMES)[:, :-frames]
    return wide.ravel()


def test_a_shape_moves_with_its_event_and_turns_with_time():
    first, events = curves(3)
    # Nothing but the event, so that nothing is lost at the ends of the light curve.
    frame = np.tile(np.arange(FRAMES), 6) * first.t_bin.repeat(FRAMES)
    near = (frame >= events.start.repeat(FRAMES)) & (frame < events.stop.repeat(FRAMES))
    quiet = replace(
        first,
        n=np.where(near, first.n, 1),
        mu=np.ones(len(first.mu)),
        bccd=np.zeros(len(first.mu), bool),
    )
    found = similarity_numbers(quiet, events)[:, :N_SHAPE]
    moved = replace(quiet, n=_moved(quiet.n, 7, 1))
    later = replace(
        events, start=events.start + 7 * first.t_bin, stop=events.stop + 7 * first.t_bin
    )
    np.testing.assert_allclose(similarity_numbers(moved, later)[:, :N_SHAPE], found, atol=1e-5)
    turned = replace(quiet, n=quiet.n.reshape(-1, FRAMES)[:, ::-1].ravel())
    length = FRAMES * first.t_bin
    back = replace(events, start=length - events.stop, stop=length - events.start)
    again = similarity_numbers(turned, back)
    np.testing.assert_allclose(again[:, :N_SHAPE], found[:, ::-1], atol=1e-5)
    np.testing.assert_allclose(again[:, 27], -similarity_numbers(quiet, events)[:, 27], atol=1e-5)


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_light_curves_of_which_little_is_known(frames: int):
    nothing = np.full(frames, np.nan)
    curve = Curves(
        np.array([0, frames]),
        np.array([5.0]),
        np.zeros(frames, int),
        nothing,
        np.zeros(frames, bool),
        np.zeros(frames, bool),
        nothing,
        nothing,
    )
    unknown = np.array([np.nan])
    found = similarity_numbers(curve, CurveEvents(unknown, unknown, unknown))
    assert np.isfinite(found).all()
    assert not found[:, :N_SHAPE].any()
