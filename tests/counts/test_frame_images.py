"""Images over time against numpy on the dense cube."""

import numpy as np
import pandas as pd
import pytest
from helpers.strategies import cubes, seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.counts.bayes import sigma_equivalent
from exod.counts.frameimages import (
    STATISTICS,
    deviation_image,
    frame_statistics,
    frames_between,
    significance_image,
)
from exod.counts.grid import Box
from exod.observation.gti import Frames


@given(cubes(), seeds, st.booleans())
def test_statistics_are_those_of_the_dense_cube(cube, seed, part):
    which = np.random.default_rng(seed).random(cube.frames.n) < 0.6 if part else None
    found = frame_statistics(cube, which)
    use = ~cube.masked if which is None else which & ~cube.masked
    dense = cube.dense_block(0, cube.frames.n)[use].astype(float)
    assert tuple(found) == STATISTICS
    assert all(image.shape == cube.box.shape for image in found.values())
    np.testing.assert_array_equal(found["sum"], dense.sum(0))
    if not use.any():
        assert all(np.isnan(found[name]).all() for name in STATISTICS if name != "sum")
        return
    for name in STATISTICS:
        np.testing.assert_allclose(found[name], getattr(np, name)(dense, axis=0), atol=1e-12)


def test_no_dense_cube_is_made(monkeypatch):
    frames = Frames(0.0, 1.0, 500_000)
    from helpers.strategies import grid_of

    from exod.counts.cube import CountCube

    grid = grid_of(129)
    frame = np.arange(0, 500_000, 50, dtype=np.int32)
    flat = (frame % grid.n**2).astype(np.int32)
    cube = CountCube.from_events(frames, grid, frame, flat, np.zeros(frames.n, bool))
    monkeypatch.setattr(CountCube, "dense_block", None)
    # The dense cube would have 16 GB.
    assert frame_statistics(cube)["sum"].sum() == len(frame)


@given(st.floats(0, 50), st.floats(0.1, 9), st.integers(0, 12), st.floats(-5, 60), st.floats(1, 30))
def test_frames_between(t_lo, t_bin, n, start, length):
    frames, stop = Frames(t_lo, t_bin, n), start + length
    expected = [max(begin, start) < min(begin + t_bin, stop) for begin in frames.starts]
    assert frames_between(frames, start, stop).tolist() == expected


def test_deviation():
    found = deviation_image(np.array([[9, 0, 5]]), np.array([[4.0, 4.0, 0.0]]))
    np.testing.assert_array_equal(found, [[2.5, -2.0, np.nan]])


@given(seeds, st.integers(1, 4), st.integers(0, 30))
def test_significance_is_the_strongest_of_each_cell(seed, window, n):
    generator = np.random.default_rng(seed)
    box = Box(3, 10, 5, 14)
    cells = pd.DataFrame(
        {
            "kind": generator.choice(["peak", "eclipse"], n),
            "y": generator.integers(box.y_lo, box.y_hi, n),
            "x": generator.integers(box.x_lo, box.x_hi, n),
            "B_log": generator.uniform(5, 30, n),
        }
    )
    expected = np.zeros(box.shape)
    for cell in cells.to_dict("records"):
        sigma = float(sigma_equivalent(cell["B_log"], cell["kind"]))
        for y in range(cell["y"], min(cell["y"] + window, box.y_hi)):
            for x in range(cell["x"], min(cell["x"] + window, box.x_hi)):
                place = (y - box.y_lo, x - box.x_lo)
                if sigma > abs(expected[place]):
                    expected[place] = sigma if cell["kind"] == "peak" else -sigma
    found = significance_image(cells, box, window)
    # A peak and an eclipse may be equally strong, at the largest sigma that there is.
    np.testing.assert_allclose(np.abs(found), np.abs(expected))
    other = np.abs(found) < 10
    np.testing.assert_allclose(found[other], expected[other])


def test_nothing_is_significant():
    cells = pd.DataFrame({name: [] for name in ("kind", "y", "x", "B_log")})
    assert significance_image(cells, Box(0, 2, 0, 3)).tolist() == [[0.0] * 3] * 2
    assert pytest.approx(0) == deviation_image(np.ones((1, 1)), np.ones((1, 1)))[0, 0]
