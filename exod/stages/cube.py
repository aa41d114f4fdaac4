"""Cube: export the counts and the expectation of one run to a Zarr v3 group."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import zarr

from exod.config import PRESETS, Band, Config
from exod.counts.cube import CountCube
from exod.errors import ConfigError, ExodError, InputError
from exod.files.whole import whole_folder
from exod.pps import ObservationFiles, local_copies
from exod.search.subset import Run, search_subset
from exod.sky.plane import TangentPlane
from exod.stages.detect.read import read_observation

USUAL_T_BIN = 50.0
USUAL_BAND: Band = (0.2, 12.0)
"""The run of a cube if nobody says which, seconds and keV."""

INNER_FRAMES = 64
"""Frames of a Zarr chunk; a shard holds a whole number of them."""


def with_one_run(config: Config, given: Collection[str] = ()) -> Config:
    """The settings with the usual time bin and band in place of those of a preset.

    Those that are `given`, ``t_bin`` or ``bands``, stay whatever they are.

    Examples
    --------
    >>> with_one_run(Config.preset("deep")).cube.t_bin
    (50.0,)
    """
    presets = [Config.preset(name).cube for name in PRESETS]
    usual = {"t_bin": (USUAL_T_BIN,), "bands": (USUAL_BAND,)}
    changed = {
        name: value
        for name, value in usual.items()
        if name not in given
        and any(getattr(config.cube, name) == getattr(preset, name) for preset in presets)
    }
    return config.model_copy(update={"cube": config.cube.model_copy(update=changed)})


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
    for option, values in (("--t-bin", config.cube.t_bin), ("--band", config.cube.bands)):
        if len(values) > 1:
            raise ConfigError(
                f"A cube is of one run, and the settings have {len(values)} values of {option}; "
                f"give one."
            )
    final = Path(to).absolute()
    # What is there is replaced, so it must be something that came from here.
    if final.exists() and not (final / "zarr.json").is_file():
        raise ConfigError(f"{final} exists and is not a Zarr group; name a new one, as cube.zarr.")
    with local_copies(files) as here:
        observation = read_observation(here, config)
    if not 0 <= subset < len(observation.subsets):
        reasons = " ".join(item.reason for item in observation.rejected)
        raise InputError(
            f"Observation {files.obsid} has no subset {subset}: there are "
            f"{len(observation.subsets)}, numbered from 0. {reasons}".strip()
        )
    events = observation.subsets[subset]
    (run,) = search_subset(files.obsid, events, observation.sources, config)
    if not run.cube.n_sum:
        raise InputError(f"The run {run.runid} has no counts, so there is no cube to write.")
    with whole_folder(final) as folder:
        _write(folder, run, events.plane)
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
            "CRPIX1": (plane.x_ref - grid.edges[box.x_lo]) / grid.width + 0.5,
            "CRPIX2": (plane.y_ref - grid.edges[box.y_lo]) / grid.width + 0.5,
            "CRVAL1": plane.ra_ref,
            "CRVAL2": plane.dec_ref,
            "CDELT1": plane.x_delta * grid.width,
            "CDELT2": plane.y_delta * grid.width,
        },
    }
