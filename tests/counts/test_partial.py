"""Frames in which only some CCDs are live, against dense cubes in plain numpy."""

import numpy as np
import pytest
from helpers.examples import portion
from helpers.sliding_cases import always, make_case, random_case
from helpers.strategies import grid_of, random_live, seeds
from hypothesis import given, settings

from exod.counts.cube import CountCube
from exod.counts.grid import Box
from exod.counts.partial import FramesLive, GroupTimes, live_weights, shares_of
from exod.counts.template import background_template, bright_cells, expect
from exod.observation.gti import Frames

SIDE = 8


def cube_and_groups(counts):
    """Cube of counts by group, shape (n_groups, n_frames, y, x), and the group of each event."""
    group, frame, y, x = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0).T
    order = np.argsort(frame, kind="stable")
    n_frames = counts.shape[1]
    cube = CountCube.from_events(
        Frames(0.0, 50.0, n_frames),
        grid_of(SIDE),
        frame[order].astype(np.int32),
        (y * SIDE + x)[order].astype(np.int32),
        np.zeros(n_frames, bool),
    )
    return cube, group[order].astype(np.uint8)[cube.event]


def dense_expectation(counts, live, is_bad, known):
    """The expectation of all cells, frame after frame, shape (n_frames, y, x)."""
    n_groups, n_frames = live.shape
    templates, shares, weights = [], [], []
    images = [counts[:, frames].sum(1).astype(float) for frames in (~is_bad, is_bad)]
    steady = np.zeros((SIDE, SIDE))
    for g in range(n_groups):
        if live[g][~is_bad].sum():
            steady += images[0][g] * (~is_bad).sum() / live[g][~is_bad].sum()
    mask = known | bright_cells(steady, known)
    level = np.array([counts[:, t][:, ~mask].sum() for t in range(n_frames)], float)
    half_of = is_bad.astype(int)
    for half, frames in enumerate((~is_bad, is_bad)):
        background = np.array([image[~mask].sum() for image in images[half]])
        weight = live_weights(background, level[frames], live[:, frames])
        true = np.zeros(n_frames)
        for t in np.flatnonzero(frames):
            mean = sum(weight[g] * live[g, t] for g in range(n_groups))
            true[t] = level[t] / mean if mean > 0 else 0.0
        scaled = []
        for g in range(n_groups):
            seen = (live[g] * true).sum()
            scaled.append(images[half][g] * (true.sum() / seen if seen > 0 else 0.0))
        template = background_template(np.sum(scaled, axis=0), mask)
        share = shares_of(np.reshape(scaled, (n_groups, -1)), mask.shape)
        share = share.reshape(n_groups, SIDE, SIDE)
        outside = np.array([(own * template.shape)[~mask].sum() for own in share])
        templates.append(template)
        shares.append(share)
        weights.append(outside / max(outside.sum(), 1e-300))
    lambda_ = np.zeros(n_frames)
    for t in range(n_frames):
        mean = weights[half_of[t]] @ live[:, t]
        lambda_[t] = level[t] / mean if mean > 0 else 0.0
    source, of_source = dense_sources(images, templates, shares, live, lambda_, is_bad, mask)
    mu = np.zeros((n_frames, SIDE, SIDE))
    for t in range(n_frames):
        if not counts[:, t].sum():
            continue
        shape = templates[half_of[t]].shape
        for g in range(n_groups):
            steady = np.where(shape > 0, source, 0.0) * of_source[g] * live[g, t]
            mu[t] += shape * shares[half_of[t]][g] * lambda_[t] * live[g, t] + steady
    return mu


def dense_sources(images, templates, shares, live, lambda_, is_bad, mask):
    """Constant sources in a frame, and the shares of the groups in them."""
    longer = int((~is_bad).sum() < is_bad.sum())
    frames = is_bad == bool(longer)
    excess, by_time = np.zeros((SIDE, SIDE)), []
    for g in range(len(live)):
        seconds = live[g][frames].sum()
        ratio = frames.sum() / seconds if seconds else 0.0
        own = templates[longer].shape * shares[longer][g] * (lambda_ * live[g])[frames].sum()
        excess += (images[longer][g] - own) * ratio
        by_time.append(images[longer][g].ravel() * ratio)
    source = np.where(mask, np.maximum(excess, 0.0), 0.0) / max(frames.sum(), 1)
    return source, shares_of(np.array(by_time), mask.shape).reshape(-1, SIDE, SIDE)


@settings(max_examples=portion(40))
@given(seeds)
def test_every_cell_is_as_a_dense_cube_says(seed):
    generator = np.random.default_rng(seed)
    n_groups, n_frames = int(generator.integers(1, 4)), int(generator.integers(2, 20))
    rate = generator.choice([0.05, 1.0, 4.0]) * generator.uniform(0.2, 1, (n_groups, SIDE, SIDE))
    rate[:, 3, 4] *= 40
    live = np.ones((n_groups, n_frames))
    some = generator.random(live.shape) < 0.3
    live[some] = generator.choice([0.0, 0.5, 0.9], int(some.sum()))
    counts = generator.poisson(rate[:, None] * live[:, :, None, None])
    counts[0, :, 0, 0] += 1
    counts[0, :, -1, -1] += 1
    is_bad = generator.random(n_frames) < generator.choice([0.0, 0.3])
    known = generator.random((SIDE, SIDE)) < 0.1
    known[0, 0] = False
    cube, group = cube_and_groups(counts)
    found = expect(cube, is_bad, known, FramesLive(live, group))
    if found.partial is None:
        return
    dense = found.at(np.arange(n_frames)[:, None], np.arange(SIDE**2)).reshape(n_frames, SIDE, SIDE)
    np.testing.assert_allclose(dense, dense_expectation(counts, live, is_bad, known), rtol=1e-6)


def test_the_truth_is_recovered():
    """A group with two thirds of the light is off for a tenth of the time."""
    generator = np.random.default_rng(3)
    rate = np.stack([np.full((SIDE, SIDE), 2.0), np.full((SIDE, SIDE), 4.0)])
    rate[:, 4, 4] = 10.0, 60.0
    rate[1, :, :2] = 0.0
    level = generator.uniform(0.5, 2.0, 400)
    live = np.ones((2, 400))
    live[1, 100:140] = 0.0
    live[1, 140] = 0.5
    mean = rate[:, None] * np.where(rate[:, None] > 5, 1.0, level[:, None, None])
    mean = mean * live[:, :, None, None]
    counts = generator.poisson(mean)
    cube, group = cube_and_groups(counts)
    known = np.zeros((SIDE, SIDE), bool)
    known[4, 4] = True
    found = expect(cube, np.zeros(400, bool), known, FramesLive(live, group))
    for y, x, frames in ((4, 4, slice(100, 140)), (4, 4, slice(140, 141)), (2, 5, slice(100, 140))):
        box = Box(y, y + 1, x, x + 1)
        expected = mean[:, frames, y, x].sum()
        assert found.light_curve(box)[frames].sum() == pytest.approx(expected, rel=0.06)
    left = Box(1, 7, 0, 2)
    expected = mean[:, 100:140, 1:7, 0:2].sum()
    assert found.light_curve(left)[100:140].sum() == pytest.approx(expected, rel=0.06)
    assert found.exposure[120] == pytest.approx(2 * 63 / (2 * 63 + 4 * 47), rel=0.03)


def test_without_a_frame_that_is_live_in_part_nothing_changes():
    generator = np.random.default_rng(5)
    cube, group = cube_and_groups(generator.poisson(1.0, (2, 10, SIDE, SIDE)))
    known, is_bad = np.zeros((SIDE, SIDE), bool), np.arange(10) > 7
    one = expect(cube, is_bad, known)
    other = expect(cube, is_bad, known, FramesLive(np.ones((2, 10)), group))
    assert other.partial is None
    assert np.array_equal(one.image(), other.image())
    assert np.array_equal(one.source, other.source)


def test_the_shares_of_the_groups_follow_from_what_is_off():
    weights = live_weights(
        np.array([100.0, 300.0]),
        np.array([200.0, 200.0]),
        np.array([[1.0, 0.0], [1.0, 1.0]]),
    )
    # The second has 200 in the second frame, so as many in a first one of the same level.
    assert weights[1] > 0.5
    assert random_live(np.random.default_rng(1), cube_and_groups(np.ones((1, 4, 8, 8), int))[0])


@settings(max_examples=portion(30))
@given(seeds)
def test_views_of_the_conditional_expectation_agree(seed):
    case = random_case(seed)
    expectation = case.expectation
    n, shape = expectation.frames.n, expectation.source_mask.shape
    cells = np.arange(expectation.source_mask.size)
    dense = expectation.at(np.arange(n)[:, None], cells[None]).reshape(n, *shape)
    box = Box(0, shape[0], 0, max(shape[1] - 1, 0))
    np.testing.assert_allclose(
        expectation.light_curve(box), dense[:, *box.slices].sum((1, 2)), rtol=1e-9, atol=1e-9
    )
    which = np.random.default_rng(seed).random(n) < 0.6
    np.testing.assert_allclose(expectation.image(which), dense[which].sum(0), rtol=1e-9, atol=1e-9)
    background = expectation.background_image(which)
    assert (background <= expectation.image(which) + 1e-9).all()


def test_a_group_that_is_off_is_no_eclipse_in_windows_and_counts_add_up():
    generator = np.random.default_rng(8)
    edges = 1e8 + np.array([0.0, 500.0, 560.0, 1000.0])
    times = GroupTimes(edges, np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]))
    n = 40_000
    time, group = 1e8 + 1000 * generator.random(n), generator.integers(0, 2, n)
    # Half of the cells are those of one group.
    cell = generator.integers(0, 5, n) + 5 * generator.integers(0, 5, n)
    cell = np.where(group == 1, np.minimum(cell, 14), cell)
    off = (group == 1) & (time >= edges[1]) & (time < edges[2])
    case = make_case(time[~off], cell[~off], 5, always(1000.0), 20.0, groups=(times, group[~off]))
    curve = case.expectation.light_curve(Box(0, 5, 0, 5))
    n_frames = np.bincount(case.cube.frame, minlength=50)
    assert curve.sum() == pytest.approx(n_frames.sum(), rel=2e-3)
    residual = (n_frames - curve) / np.sqrt(curve)
    assert np.abs(residual).max() < 4
    row = Box(0, 1, 0, 5)
    gap = slice(25, 28)
    expected = (~off & (cell < 5) & (time >= edges[1]) & (time < edges[2])).sum()
    assert case.expectation.light_curve(row)[gap].sum() == pytest.approx(expected, rel=0.15)
