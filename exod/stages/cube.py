"""Cube: export the counts and the expectation of one run to a Zarr v3 group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import zarr

from exod.config import Config
from exod.counts.cube import CountCube
from exod.errors import ConfigError, ExodError, InputError
from exod.files.whole import whole_folder
from exod.pps import ObservationFiles, local_copies
from exod.search.subset import Run
from exod.sky.plane import TangentPlane
from exod.stages.images.onerun import one_run

INNER_FRAMES = 64
"""Frames of a Zarr chunk; a shard holds a whole number of them."""


def export_cube(files: ObservationFiles, config: Config, to: str | Path, subset: int = 0) -> str:
    """Write the cube of the time bin and the band of the settings, which have one of each.

    The group holds n (uint16) and mu (float32) with the axes (time, y, x), the coordinates of
    the axes, the flags of the frames and the source mask; its attributes hold the projection.

    Parameters
    ----------
    files : ObservationFiles
        The observation.
    config : Config
        Settings.
    to : path
        The group, by custom ``*.zarr``; replaced if it exists.
    subset : int
        Which group of overlapping exposures.

    Returns
    -------
    str
        The run that was written.

    Raises
    ------
    ConfigError
        If `to` is something else than a Zarr group, or the settings have several runs.
    ExodError
        If there is no such subset, the run is empty, or the disk refuses.
    """
    final = Path(to).absolute()
    # What is there is replaced, so it must be something that came from here.
    if final.exists() and not (final / "zarr.json").is_file():
        raise ConfigError(f"{final} exists and is not a Zarr group; name a new one, as cube.zarr.")
    with local_copies(files) as here:
        found = one_run(here, config, subset)
    run = found.run
    if not run.cube.n_sum:
        raise InputError(f"The run {run.runid} has no counts, so there is no cube to write.")
    with whole_folder(final) as folder:
        _write(folder, run, found.events.plane)
    return run.runid


def _write(path: Path, run: Run, plane: TangentPlane) -> None:
    cube = run.cube
    group = zarr.open_group(path, mode="w", zarr_format=3, attributes=_attributes(run, plane))
    for name, values, dimension, unit in (
        ("time", cube.frames.starts, "time", "s"),
        ("y", cube.grid.edges[cube.box.y_lo : cube.box.y_hi], "y", "pixel"),
        ("x", cube.grid.edges[cube.box.x_lo : cube.box.x_hi], "x", "pixel"),
        ("bti", run.bad_time.frames, "time", ""),
        ("bccd", run.camera_off, "time", ""),
        ("masked", cube.masked, "time", ""),
    ):
        array = group.create_array(
            name, shape=values.shape, dtype=values.dtype, dimension_names=[dimension]
        )
        array[:] = values
        array.attrs["unit"] = unit
    mask = run.expectation.source_mask
    image = group.create_array(
        "source_mask", shape=mask.shape, dtype=mask.dtype, dimension_names=["y", "x"]
    )
    image[:] = mask
    _store(group, "n", cube, cube.to_dask())
    _store(group, "mu", cube, run.expectation.to_dask(cube))


def _store(group: zarr.Group, name: str, cube: CountCube, source: da.Array) -> None:
    """Write a dense array, a task a shard."""
    inner = min(INNER_FRAMES, cube.chunk_frames)
    frames = -(-cube.chunk_frames // inner) * inner
    array = group.create_array(
        name,
        shape=source.shape,
        dtype=source.dtype,
        chunks=(inner, *source.shape[1:]),
        shards=(frames, *source.shape[1:]),
        dimension_names=["time", "y", "x"],
        attributes={"unit": "ct"},
    )
    aligned = source.rechunk((frames, *source.shape[1:]))
    # A shard written by two tasks would lose counts without a word.
    if any(size != frames for size in aligned.chunks[0][:-1]):
        raise ExodError(f"The blocks {aligned.chunks[0]} of {name} do not match its shards.")
    with dask.config.set(scheduler="threads"):
        da.store(aligned, array, lock=False)


def _attributes(run: Run, plane: TangentPlane) -> dict[str, Any]:
    grid, box, frames = run.cube.grid, run.cube.box, run.cube.frames
    cells = plane.in_cells(grid.width, box.x_lo, box.y_lo)
    return {
        "runid": run.runid,
        "t_lo": frames.t_lo,
        "t_bin": frames.t_bin,
        "time_unit": "s, mission elapsed time since MJD 50814 TT, start of the frame",
        "cell_width": grid.width,
        "cell_unit": "sky pixel of 0.05 arcsec; y and x are lower edges",
        "bounding_box": [int(edge) for edge in (box.y_lo, box.y_hi, box.x_lo, box.x_hi)],
        "edges_y": grid.edges[box.y_lo : box.y_hi + 1].tolist(),
        "edges_x": grid.edges[box.x_lo : box.x_hi + 1].tolist(),
        "wcs": {
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CRPIX1": cells.x_ref,
            "CRPIX2": cells.y_ref,
            "CRVAL1": plane.ra_ref,
            "CRVAL2": plane.dec_ref,
            "CDELT1": cells.x_delta,
            "CDELT2": cells.y_delta,
        },
    }
