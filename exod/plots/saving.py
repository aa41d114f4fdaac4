"""Pictures of what an archive holds, as files that appear whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from exod.archive import Archive
from exod.errors import ArchiveError, InputError
from exod.observation.identifiers import obsid_of_row
from exod.plots.drawing import DEFAULT, Drawing, save_figures
from exod.plots.fields.overviews import observation_overview
from exod.plots.images import detection_image
from exod.plots.lightcurves import region_light_curve
from exod.sky.plane import TangentPlane

_PLANE = ("x_ref", "y_ref", "ra_ref", "dec_ref", "x_delta", "y_delta")
_NEEDED: Final = (
    "observations",
    "exposures",
    "known_sources",
    "bti",
    "runs",
    "cells",
    "regions",
    "images",
    "variability",
    "rates",
)

_log = logging.getLogger(__name__)

Frames = Mapping[str, pd.DataFrame]


def save_observation(
    archive: Archive,
    obsid: str,
    folder: str | Path,
    max_light_curves: int = 50,
    drawing: Drawing = DEFAULT,
) -> list[Path]:
    """Pictures of an observation: overview, image of each run with regions, light curves.

    If no run has regions, the image is of the run with the widest band and the middle time bin.

    Parameters
    ----------
    archive : Archive
        Where the results are.
    obsid : str
        Observation identifier.
    folder : path
        Where the pictures go; made if it is missing, and pictures there are replaced.
    max_light_curves : int
        Light curves at most, the most significant first; a log message says how many are left
        out.
    drawing : Drawing
        Format, size and style.

    Returns
    -------
    list of Path
        The pictures, in the order they were made.

    Raises
    ------
    ArchiveError
        If the archive does not have the observation, or something cannot be read or written.
    """
    tables = _observation(archive, obsid)
    figures = _figures(archive, tables, obsid, max_light_curves)
    return save_figures(figures, Path(folder), drawing)


def _figures(
    archive: Archive, tables: Frames, obsid: str, max_light_curves: int
) -> Iterator[tuple[str, Figure]]:
    observation, regions = tables["observations"].iloc[0], tables["regions"]
    yield (
        f"{obsid}_overview",
        observation_overview(
            observation, tables["rates"], _one_run_each(tables), tables["exposures"]
        ),
    )
    for runid in _runs_to_draw(tables["runs"]):
        yield from _image(tables, runid)
    strongest = regions[["sigma_peak", "sigma_eclipse"]].max(axis=1)
    ordered = regions.loc[strongest.sort_values(ascending=False, kind="stable").index]
    for detid in ordered["detid"].iloc[:max_light_curves]:
        yield _light_curve(archive, tables, detid)
    left_out = len(ordered) - max_light_curves
    if left_out > 0:
        _log.warning(
            "%s: %d of %d light curves are not drawn, the least significant ones.",
            obsid,
            left_out,
            len(ordered),
        )


def save_detection(
    archive: Archive, detid: str, folder: str | Path, drawing: Drawing = DEFAULT
) -> list[Path]:
    """Pictures of a region: its light curve, and the image of its run.

    Parameters and exceptions are those of `save_observation`, with a region identifier.
    """
    tables = _observation_of_region(archive, detid)
    return save_figures(_figures_of_region(archive, tables, detid), Path(folder), drawing)


def check_name(archive: Archive, name: str) -> None:
    """Refuse a region or an observation that `save_detection` and `save_observation` would refuse.

    Raises
    ------
    ArchiveError
        If the archive does not have it.
    """
    if name.isdigit():
        _observation(archive, name, ("observations",))
    else:
        tables = _observation_of_region(archive, name, ("observations", "regions"))
        _row(tables["regions"], "detid", name)


def _figures_of_region(
    archive: Archive, tables: Frames, detid: str
) -> Iterator[tuple[str, Figure]]:
    yield _light_curve(archive, tables, detid)
    yield from _image(tables, detid.rpartition("_")[0])


def _observation_of_region(
    archive: Archive, detid: str, needed: tuple[str, ...] = _NEEDED
) -> Frames:
    try:
        return _observation(archive, obsid_of_row(detid), needed)
    except InputError as error:
        raise ArchiveError(
            f"{detid!r} is no region, observation or source: a region begins with its obsid "
            f"(ten digits, or the number of a Chandra observation), a source with EXOD J."
        ) from error


def _observation(archive: Archive, obsid: str, needed: tuple[str, ...] = _NEEDED) -> Frames:
    """The tables of one observation that pictures need, read from its own files."""
    tables = archive.observation(obsid, *needed)
    if tables["observations"].empty:
        entry = archive.entry(obsid)
        reason = f": {entry.reason}" if entry and entry.reason else "."
        raise ArchiveError(f"There is nothing to draw of observation {obsid}{reason}")
    return tables


def _runs_to_draw(runs: pd.DataFrame) -> list[str]:
    """Runs with regions; if there are none, the widest band with the middle time bin."""
    found = runs[runs["n_regions"] > 0]
    if len(found) or runs.empty:
        return list(found["runid"])
    width = (runs["e_hi"] - runs["e_lo"]).round(6)
    widest = runs[(width == width.max()) & (runs["subset"] == runs["subset"].min())]
    ordered = widest.sort_values("t_bin", kind="stable")
    return [str(ordered["runid"].iloc[len(ordered) // 2])]


def _one_run_each(tables: Frames) -> pd.DataFrame:
    """Bad time intervals of one run a subset: of the longest time bin, near that of the rates."""
    runs = tables["runs"].sort_values("t_bin", kind="stable").drop_duplicates("subset", keep="last")
    return tables["bti"][tables["bti"]["runid"].isin(runs["runid"])]


def _row(frame: pd.DataFrame, column: str, value: str) -> pd.Series[Any]:
    rows = frame[frame[column] == value]
    if rows.empty:
        raise ArchiveError(f"The archive has no {column} {value!r}.")
    return rows.iloc[0]


def _image(tables: Frames, runid: str) -> Iterator[tuple[str, Figure]]:
    """The image of a run; none if the projection is unknown, for nothing was searched then."""
    observation = tables["observations"].iloc[0]
    plane = TangentPlane(*(float(observation[name]) for name in _PLANE))
    if not np.isfinite([getattr(plane, name) for name in _PLANE]).all():
        return
    cells, regions = (tables[name][tables[name]["runid"] == runid] for name in ("cells", "regions"))
    # A run of EXOD I has a variability image, too.
    for table, name in (("images", "image"), ("variability", "variability")):
        images = tables[table][tables[table]["runid"] == runid]
        if table == "variability" and images.empty:
            continue
        figure = detection_image(
            _row(tables["runs"], "runid", runid),
            _row(images, "runid", runid),
            cells,
            regions,
            plane,
            tables["known_sources"],
            str(observation["target"]),
            variability=table == "variability",
        )
        yield f"{runid}_{name}", figure


def _light_curve(archive: Archive, tables: Frames, detid: str) -> tuple[str, Figure]:
    region = _row(tables["regions"], "detid", detid)
    run = _row(tables["runs"], "runid", str(region["runid"]))
    cells = tables["cells"]
    own = cells[(cells["runid"] == region["runid"]) & (cells["label"] == region["label"])]
    figure = region_light_curve(run, region, archive.lightcurve(detid), own)
    return f"{detid}_lightcurve", figure
