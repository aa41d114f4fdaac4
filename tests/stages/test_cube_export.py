"""The count cube as a Zarr v3 group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from astropy.wcs import WCS
from helpers.faults import GOOD, copy, event_lists, set_keys

from exod.config import Config
from exod.counts.cube import CountCube
from exod.errors import ConfigError, ExodError, InputError
from exod.pps import ObservationFiles, find_observations
from exod.search.subset import search_subset
from exod.stages.cube import INNER_FRAMES, export_cube
from exod.stages.detect.read import read_observation
from exod.stages.images.onerun import with_one_run

CONFIG = Config.load(overrides=["cube.t_bin=[5]", "cube.bands=[[0.2,12]]"])


@pytest.fixture(scope="module")
def files(small: Path) -> ObservationFiles:
    (found,), _ = find_observations([small / GOOD])
    return found


@pytest.fixture(scope="module")
def exported(files: ObservationFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("cube") / "cube.zarr"
    assert export_cube(files, CONFIG, to) == f"{GOOD}_0_5_0.2_12.0"
    return to


def searched(files: ObservationFiles, config: Config = CONFIG) -> Any:
    observation = read_observation(files, config)
    events = observation.subsets[0]
    return events, next(search_subset(files.obsid, events, observation.sources, config))


def test_is_the_cube_of_the_search(files: ObservationFiles, exported: Path) -> None:
    events, run = searched(files)
    group = zarr.open_group(exported, mode="r")
    assert group.metadata.zarr_format == 3
    n, mu = group["n"], group["mu"]
    assert n.metadata.dimension_names == mu.metadata.dimension_names == ("time", "y", "x")
    assert n.shape == mu.shape == run.cube.shape
    assert (n.dtype, mu.dtype) == (np.dtype("uint16"), np.dtype("float32"))
    np.testing.assert_array_equal(n[:], run.cube.dense_block(0, run.cube.frames.n))
    np.testing.assert_array_equal(mu[:], run.expectation.to_dask(run.cube).compute())
    assert n[:].sum() == run.cube.n_sum
    np.testing.assert_array_equal(group["time"][:], run.cube.frames.starts)
    for name, values in (
        ("bti", run.bad_time.frames),
        ("bccd", run.camera_off),
        ("masked", run.cube.masked),
        ("source_mask", run.expectation.source_mask),
    ):
        np.testing.assert_array_equal(group[name][:], values)
    attributes = dict(group.attrs)
    assert attributes["t_lo"] == events.t_lo
    assert attributes["t_bin"] == 5.0
    box = run.cube.box
    assert attributes["bounding_box"] == [box.y_lo, box.y_hi, box.x_lo, box.x_hi]
    assert len(attributes["edges_y"]) == box.shape[0] + 1
    assert attributes["edges_x"][:-1] == list(group["x"][:])


def test_one_task_writes_one_shard(
    files: ObservationFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With blocks that are no whole number of chunks too."""
    build = CountCube.from_events.__func__  # type: ignore[attr-defined]

    def chunked(cls: Any, *arguments: Any, **options: Any) -> CountCube:
        return build(cls, *arguments, **{**options, "chunk_frames": 100})

    monkeypatch.setattr(CountCube, "from_events", classmethod(chunked))
    export_cube(files, CONFIG, tmp_path / "cube.zarr")
    monkeypatch.undo()
    _, run = searched(files)
    n = zarr.open_group(tmp_path / "cube.zarr", mode="r")["n"]
    assert n.shards == (2 * INNER_FRAMES, *n.shape[1:])
    assert n.chunks == (INNER_FRAMES, *n.shape[1:])
    shards = [path for path in (tmp_path / "cube.zarr" / "n" / "c").rglob("*") if path.is_file()]
    assert len(shards) == -(-n.shape[0] // n.shards[0]) > 1
    np.testing.assert_array_equal(n[:], run.cube.dense_block(0, run.cube.frames.n))


def test_positions_of_cells(files: ObservationFiles, exported: Path) -> None:
    events, run = searched(files)
    attributes = dict(zarr.open_group(exported, mode="r").attrs)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [attributes["wcs"][f"CTYPE{axis}"] for axis in (1, 2)]
    wcs.wcs.cunit = [attributes["wcs"][f"CUNIT{axis}"] for axis in (1, 2)]
    for name in ("crpix", "crval", "cdelt"):
        value = [attributes["wcs"][f"{name.upper()}{axis}"] for axis in (1, 2)]
        setattr(wcs.wcs, name, value)
    grid, box = run.cube.grid, run.cube.box
    rows, columns = np.mgrid[0 : box.shape[0] : 7, 0 : box.shape[1] : 7]
    ra, dec = wcs.wcs_pix2world(columns.ravel(), rows.ravel(), 0)
    expected = events.plane.to_sky(
        (box.x_lo + columns.ravel() + 0.5) * grid.width,
        (box.y_lo + rows.ravel() + 0.5) * grid.width,
    )
    np.testing.assert_allclose(ra, expected[0], atol=1e-8)
    np.testing.assert_allclose(dec, expected[1], atol=1e-8)
    # An event lies in the cell that its position says.
    place = run.cube.event[:500]
    at = wcs.wcs_world2pix(*events.plane.to_sky(events.x[place], events.y[place]), 0)
    y, x = np.divmod(run.cube.cell[:500], box.shape[1])
    assert np.abs(at[0] - x).max() <= 0.5 + 1e-6
    assert np.abs(at[1] - y).max() <= 0.5 + 1e-6


def test_replaces_an_older_one(files: ObservationFiles, tmp_path: Path) -> None:
    to = tmp_path / "cube.zarr"
    coarse = with_one_run(Config.load(overrides=["cube.t_bin=[200]"]))
    export_cube(files, CONFIG, to)
    export_cube(files, coarse, to)
    assert dict(zarr.open_group(to, mode="r").attrs)["t_bin"] == 200
    assert [path.name for path in tmp_path.iterdir()] == ["cube.zarr"]


def test_nothing_else_is_replaced(files: ObservationFiles, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").touch()
    for to in (precious, precious / "thesis.tex"):
        with pytest.raises(ConfigError, match="is not a Zarr group"):
            export_cube(files, CONFIG, to)
    assert (precious / "thesis.tex").exists()
    with pytest.raises(ExodError, match=r"cannot be written: Not a directory"):
        export_cube(files, CONFIG, precious / "thesis.tex" / "cube.zarr")


def test_failure_leaves_the_older_one(
    files: ObservationFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "cube.zarr"
    export_cube(files, CONFIG, to)

    def fill_the_disk(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("exod.stages.cube.da.store", fill_the_disk)
    with pytest.raises(ExodError, match="No space left on device"):
        export_cube(files, CONFIG, to)
    monkeypatch.undo()
    assert zarr.open_group(to, mode="r")["n"][:].sum() > 0
    assert [path.name for path in tmp_path.iterdir()] == ["cube.zarr"]


def test_no_such_subset(files: ObservationFiles, small: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{GOOD} has no subset 1: there are 1, numbered from 0"):
        export_cube(files, CONFIG, tmp_path / "cube.zarr", subset=1)
    bad = copy(small / GOOD, tmp_path)
    for path in event_lists(bad):
        set_keys(path, DATAMODE="TIMING")
    (timing,), _ = find_observations([bad])
    with pytest.raises(InputError, match=r"cannot be searched: .*TIMING mode"):
        export_cube(timing, CONFIG, tmp_path / "cube.zarr")
    assert not (tmp_path / "cube.zarr").exists()
