"""The count cube against histograms, and that dense cubes stay lazy."""

from dataclasses import replace

import dask
import numpy as np
import pytest
from helpers.strategies import PLANE, cubes, grid_of, grid_of_size, lively_cubes, seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.counts.cube import CountCube, EventsByCell
from exod.counts.grid import Box, Grid
from exod.instruments.epic import SKY_EXTENT
from exod.observation.gti import Frames


def fails_if_computed(dsk, keys, **kwargs):
    raise AssertionError("building the array computed it")


def cube_of(time, x, y, *, n_frames=10, size=20.0, chunk_frames=None, masked=None):
    """A cube of events at `time` (frames of one second from 0) and sky pixels."""
    frames, grid = Frames(0.0, 1.0, n_frames), grid_of_size(size)
    frame = frames.index(np.asarray(time, float))
    flat = grid.flat_index(np.asarray(x, np.int32), np.asarray(y, np.int32))
    masked = np.zeros(n_frames, bool) if masked is None else masked
    return CountCube.from_events(frames, grid, frame, flat, masked, chunk_frames=chunk_frames)


# --- grid ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "n"), [(20.0, 129), (5.0, 518), (300.0, 8), (4.0, 648)])
def test_grid_of_size(size, n):
    grid = grid_of_size(size)
    assert grid.n == n
    assert grid.size_arcsec >= size
    assert grid.edges[[0, -1]].tolist() == [0, SKY_EXTENT]
    assert np.diff(grid.edges) == pytest.approx(grid.width)


@given(st.integers(1, 650), st.integers(0, SKY_EXTENT), st.integers(0, SKY_EXTENT))
def test_flat_index_is_that_of_a_histogram(n, x, y):
    grid = grid_of(n)
    image, _, _ = np.histogram2d([y], [x], bins=[np.arange(n + 1) * SKY_EXTENT / n] * 2)
    flat = grid.flat_index(np.array([x], np.int32), np.array([y], np.int32))
    assert flat[0] == image.ravel().argmax()


@given(st.sampled_from([1, 2, 4, 9, 10, 15, 20]), st.sampled_from([20.0, 15.0, 60.0]), seeds)
def test_other_sky_pixels_give_the_same_cells(factor, size_arcsec, seed):
    """Places on the sky, away from edges, in pixels that are `factor` times as large."""
    generator = np.random.default_rng(seed)
    plane = replace(PLANE, ra_ref=150.0, dec_ref=2.0)
    extent = SKY_EXTENT // factor
    coarse = replace(
        plane,
        x_ref=(plane.x_ref - 1) / factor + 1,
        y_ref=(plane.y_ref - 1) / factor + 1,
        x_delta=plane.x_delta * factor,
        y_delta=plane.y_delta * factor,
    )
    fine = grid_of_size(size_arcsec)
    other = Grid.of_size(size_arcsec, extent, coarse.pixel_arcsec)
    assert (other.n, other.size_arcsec) == (fine.n, pytest.approx(fine.size_arcsec))
    # A pixel is one arcsec at most, so that a seventh of a cell is far enough from its edge.
    cell = generator.integers(0, fine.n, (2, 50))
    x, y = (cell + generator.uniform(0.15, 0.85, cell.shape)) * fine.width
    sky = plane.to_sky(x, y)
    flat = [
        grid.flat_index(*(np.rint(pixel).astype(np.int32) for pixel in own.to_pixel(*sky)))
        for grid, own in ((fine, plane), (other, coarse))
    ]
    assert flat[0].tolist() == flat[1].tolist() == (cell[1] * fine.n + cell[0]).tolist()


def test_cells_of_large_fields():
    """Where pixel times cells is more than 32 bits hold."""
    grid = Grid(40_000, 200_000, 0.01)
    pixel = np.array([0, 4, 5, 199_999, 200_000], np.int32)
    assert grid.flat_index(pixel, np.zeros_like(pixel)).tolist() == [0, 0, 1, 39_999, 39_999]


@pytest.mark.parametrize("n", [1, 129, 144, 648])
def test_cells_are_half_open_but_the_last(n):
    grid = grid_of(n)
    pixel = np.arange(-2, SKY_EXTENT + 3, dtype=np.int32)
    column = grid.flat_index(pixel, np.zeros_like(pixel))
    exact = [
        min(p * n // SKY_EXTENT, n - 1) if 0 <= p <= SKY_EXTENT else -1 for p in range(-2, 51843)
    ]
    assert column.tolist() == exact
    assert grid.flat_index(np.zeros_like(pixel), pixel).tolist() == [
        i * n if i >= 0 else -1 for i in exact
    ]


def test_events_without_a_position_are_outside():
    null = np.array([-99999999], np.int32)
    assert grid_of(129).flat_index(null, np.array([100], np.int32)) == -1
    assert grid_of(129).flat_index(np.array([100], np.int32), null) == -1


# --- boxes -----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 99), max_size=20))
def test_bounding_box(flat):
    box = Box.around(np.array(flat, np.int64), 10)
    if not flat:
        assert box.size == 0
        return
    rows, columns = np.divmod(flat, 10)
    assert box == Box(rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)


def test_widened_boxes_stay_inside():
    assert Box(0, 2, 3, 4).widened(1, (5, 4)) == Box(0, 3, 2, 4)
    assert Box(2, 3, 1, 2).widened(3, (4, 4)) == Box(0, 4, 0, 4)
    assert Box(1, 2, 3, 4).shifted(10, -3) == Box(11, 12, 0, 1)


# --- counts ----------------------------------------------------------------------------------


@given(st.data(), seeds, st.integers(0, 300), st.integers(1, 20))
def test_cube_is_a_histogram(data, seed, n, n_frames):
    generator = np.random.default_rng(seed)
    t_bin = data.draw(st.sampled_from([0.37, 5.0, 50.0]))
    grid, frames = grid_of(data.draw(st.integers(1, 12))), Frames(1e8, t_bin, n_frames)
    time = np.sort(generator.uniform(1e8 - t_bin, 1e8 + (n_frames + 1) * t_bin, n))
    x, y = generator.integers(-500, SKY_EXTENT + 500, (2, n)).astype(np.int32)
    masked = generator.random(n_frames) < 0.2
    frame = frames.index(time)
    cube = CountCube.from_events(
        frames,
        grid,
        frame,
        grid.flat_index(x, y),
        masked,
        chunk_frames=data.draw(st.integers(1, n_frames + 1)),
    )
    edges = (np.arange(n_frames + 1), grid.edges, grid.edges)
    before_the_end = frame < n_frames  # the last edge of a histogram is closed
    events = np.column_stack([frame, y, x])[before_the_end]
    full, _ = np.histogramdd(events.astype(float), bins=edges)
    used = np.argwhere(full.any(axis=0))
    if len(used):
        (y_lo, x_lo), (y_hi, x_hi) = used.min(axis=0), used.max(axis=0) + 1
        assert cube.box == Box(y_lo, y_hi, x_lo, x_hi)
    full[masked] = 0
    box = (slice(None), *cube.box.slices)
    dense = np.zeros(cube.shape, int)
    for chunk in cube.chunks():
        np.add.at(dense.reshape(n_frames, -1), (chunk.frame, chunk.cell), chunk.n)
    assert np.array_equal(dense, full[box])
    assert cube.n_sum == full.sum()


@given(cubes())
def test_chunks_are_sorted_tables_of_the_dense_cube(cube):
    dense = cube.to_dask()
    assert dense.shape == cube.shape
    assert dense.dtype == np.uint16
    assert dense.chunks[0] == tuple(last - first for first, last in cube.chunk_bounds)
    values = dense.compute(scheduler="synchronous")
    assert values.shape == cube.shape
    stop = 0
    for chunk in cube.chunks():
        assert chunk.first == stop
        stop = chunk.last
        key = (chunk.frame - chunk.first).astype(int) * max(cube.box.size, 1) + chunk.cell
        assert (np.diff(key) > 0).all()
        assert (chunk.n > 0).all()
        block = values[chunk.first : chunk.last].reshape(chunk.last - chunk.first, -1)
        assert np.array_equal(block[chunk.frame - chunk.first, chunk.cell], chunk.n)
        assert chunk.n.sum() == block.sum()
    assert stop == cube.frames.n
    assert not values[cube.masked].any()


@given(cubes(), seeds)
def test_images_and_light_curves_are_sums(cube, seed):
    generator = np.random.default_rng(seed)
    dense = cube.to_dask().compute(scheduler="synchronous").astype(int)
    frames = generator.random(cube.frames.n) < 0.5
    cells = generator.random(cube.box.shape) < 0.5
    assert np.array_equal(cube.image(), dense.sum(axis=0))
    assert np.array_equal(cube.image(frames), dense[frames].sum(axis=0))
    assert np.array_equal(cube.light_curve(), dense.sum(axis=(1, 2)))
    assert np.array_equal(cube.light_curve(cells), dense[:, cells].sum(axis=1))


@given(cubes(), seeds)
def test_events_of_a_box(cube, seed):
    generator = np.random.default_rng(seed)
    y, x = (np.sort(generator.integers(0, size + 1, 2)) for size in cube.box.shape)
    box = Box(int(y[0]), int(y[1]), int(x[0]), int(x[1]))
    if not box.size:
        return
    wanted = generator.random(cube.box.shape) < 0.2
    wanted[box.slices] = True
    inside = np.zeros(cube.box.shape, bool)
    inside[box.slices] = True
    found = EventsByCell(cube, wanted).in_box(box)
    assert sorted(found) == np.flatnonzero(inside.ravel()[cube.cell]).tolist()


@given(cubes())
def test_events_point_to_their_origin(cube):
    assert (np.diff(cube.event) > 0).all()
    assert len(cube.event) == len(cube.frame) == len(cube.cell)
    assert not cube.masked[cube.frame].any()


# --- edge cases ------------------------------------------------------------------------------


def test_no_events():
    cube = cube_of([], [], [])
    assert cube.shape == (10, 0, 0)
    assert cube.n_sum == 0
    assert cube.to_dask().compute().shape == (10, 0, 0)
    assert sum(len(chunk.n) for chunk in cube.chunks()) == 0
    assert cube.light_curve().tolist() == [0] * 10


def test_no_frames():
    cube = cube_of([0.5], [100], [100], n_frames=0)
    assert cube.shape == (0, 0, 0)
    assert list(cube.chunks()) == []
    assert cube.image().shape == (0, 0)


def test_one_event_at_the_far_corner():
    cube = cube_of([9.5], [SKY_EXTENT], [SKY_EXTENT])
    assert cube.box == Box(128, 129, 128, 129)
    assert cube.to_dask().compute().ravel().tolist() == [0] * 9 + [1]


def test_one_frame_that_is_masked():
    cube = cube_of([0.5, 0.6], [0, 900], [0, 0], n_frames=1, masked=np.array([True]))
    assert cube.shape == (1, 1, 3)
    assert cube.n_sum == 0
    assert not cube.to_dask().compute().any()


def test_event_at_the_edge_of_a_frame_belongs_to_the_later():
    cube = cube_of([0.0, 1.0, 1.9999999, 10.0], [0] * 4, [0] * 4)
    assert cube.light_curve()[:3].tolist() == [1, 2, 0]
    assert cube.n_sum == 3


def test_many_counts_in_a_cell():
    cube = cube_of(np.full(60_000, 0.5), np.zeros(60_000), np.zeros(60_000), n_frames=1)
    assert cube.to_dask().compute().item() == 60_000


# --- laziness --------------------------------------------------------------------------------


@given(lively_cubes())
def test_building_dense_arrays_computes_nothing(pair):
    cube, expectation = pair
    with dask.config.set(scheduler=fails_if_computed):
        counts, expected = cube.to_dask(), expectation.to_dask(cube)
        assert counts.chunks == expected.chunks
        with pytest.raises(AssertionError, match="computed"):
            counts.compute()


def test_default_chunks_bound_memory():
    generator = np.random.default_rng(1)
    n = 500_000
    x, y = generator.integers(0, SKY_EXTENT, (2, n))
    cube = cube_of(np.sort(generator.uniform(0, 10_000, n)), x, y, n_frames=10_000)
    assert len(cube.chunk_bounds) > 1
    largest = max(last - first for first, last in cube.chunk_bounds)
    assert largest * cube.box.size <= 4_000_000
