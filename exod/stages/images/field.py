"""Images of a field on the sky, from the tables of a run: FITS, regions for DS9, a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.time import Time

from exod import __version__
from exod.archive import Archive
from exod.counts.frameimages import (
    ImageLayer,
    deviation_image,
    frame_statistics,
    frames_between,
    significance_image,
)
from exod.counts.grid import Box
from exod.errors import ArchiveError, InputError, plural
from exod.files.whole import write_whole
from exod.instruments import instrument_of
from exod.observation.times import TIME_ZERO_MJD, utc_date
from exod.plots.style import GREEN, KIND_COLOURS
from exod.search.rows import frame_of, run_rows
from exod.search.runs import run_id
from exod.sky.plane import TangentPlane
from exod.stages.images.onerun import OneRun
from exod.tablefiles.images import SkyMark, region_text, write_images
from exod.tablefiles.images.imagefiles import Header

_PLANE = ("x_ref", "y_ref", "ra_ref", "dec_ref", "x_delta", "y_delta")
_NEEDED = ("observations", "exposures", "known_sources", "runs", "cells", "regions", "images")


@dataclass(frozen=True)
class SkyField:
    """A run on the sky.

    Attributes
    ----------
    run : Series
        Its row of the table runs.
    plane : TangentPlane
        Projection of the sky pixels.
    layers : tuple of ImageLayer
        Images of its box.
    cells, regions, sources : DataFrame
        Rows of the tables cells, regions and known_sources.
    instruments : tuple of str
        Cameras.
    target : str
        Name of the target.
    start, stop : float
        What the images are of, mission elapsed seconds.
    """

    run: pd.Series[Any]
    plane: TangentPlane
    layers: tuple[ImageLayer, ...]
    cells: pd.DataFrame
    regions: pd.DataFrame
    sources: pd.DataFrame
    instruments: tuple[str, ...]
    target: str
    start: float
    stop: float

    @property
    def runid(self) -> str:
        """Name of the run."""
        return str(self.run["runid"])

    @property
    def box(self) -> Box:
        """Rows and columns of the grid that the images show."""
        return Box(*(int(self.run[name]) for name in ("y_lo", "y_hi", "x_lo", "x_hi")))

    @property
    def width(self) -> float:
        """Width of a cell in sky pixels."""
        return float(self.run["size_arcsec"]) / self.plane.pixel_arcsec

    @property
    def projection(self) -> TangentPlane:
        """Projection of the cells of the images."""
        return self.plane.in_cells(self.width, self.box.x_lo, self.box.y_lo)


def field_of_archive(
    archive: Archive, obsid: str, subset: int, t_bin: float, band: tuple[float, float]
) -> SkyField:
    """The field of a run as the archive has it.

    Parameters
    ----------
    archive : Archive
        Where the results are.
    obsid : str
        The observation.
    subset : int
        Its group of overlapping exposures.
    t_bin : float
        Time bin of the run in seconds.
    band : (float, float)
        Its energy band in keV.

    Raises
    ------
    ArchiveError
        If the archive has no such run, or nothing of it to draw.
    """
    tables = archive.observation(obsid, *_NEEDED)
    if tables["observations"].empty or tables["runs"].empty:
        entry = archive.entry(obsid)
        reason = f": {entry.reason}" if entry and entry.reason else "."
        raise ArchiveError(f"There is nothing to draw of observation {obsid}{reason}")
    runs = tables["runs"]
    chosen = runs[np.isclose(runs["t_bin"], t_bin) & np.isclose(runs["e_lo"], band[0])]
    chosen = chosen[np.isclose(chosen["e_hi"], band[1]) & (chosen["subset"] == subset)]
    if chosen.empty:
        raise ArchiveError(
            f"The archive has no run {run_id(obsid, subset, t_bin, band)}; it has "
            f"{', '.join(runs['runid'])}."
        )
    run = chosen.iloc[0]
    observation = tables["observations"].iloc[0]
    plane = TangentPlane(*(float(observation[name]) for name in _PLANE))
    cells, regions, images = (
        tables[name][tables[name]["runid"] == run["runid"]]
        for name in ("cells", "regions", "images")
    )
    found = SkyField(
        run,
        plane,
        (),
        cells,
        regions,
        tables["known_sources"],
        tuple(tables["exposures"].query("used")["instrument"].unique()),
        str(observation["target"]),
        float(run["t_lo"]),
        float(run["t_lo"] + run["n_frames"] * run["t_bin"]),
    )
    _check(found)
    cube = archive.config.cube
    both = cube.gti_only and cube.mask_bad_ccd
    masked = int(run["n_bccd"]) * cube.mask_bad_ccd + int(run["n_bti"]) * cube.gti_only
    # Frames that are masked for two reasons are counted twice, and nobody knows how many are.
    live = None if both else (int(run["n_frames"]) - masked) * float(run["t_bin"])
    return replace(found, layers=tuple(_layers(found, images.iloc[0], live)))


def field_of_run(one: OneRun, span: tuple[float, float] | None = None) -> SkyField:
    """The field of a run that was searched now.

    Parameters
    ----------
    one : OneRun
        The run.
    span : (float, float), optional
        Time range, mission elapsed seconds; the frames that have time in common with it are used.

    Raises
    ------
    InputError
        If there are no counts, or no frames in the range.
    """
    run, cube = one.run, one.run.cube
    parts = run_rows(one.observation.obsid, one.events, run, one.config)
    rows = {name: frame_of(own) for name, own in parts.items()}
    which = frames_in(one, span)
    image = rows["images"].iloc[0].to_dict()
    cells, regions = rows["cells"], rows["regions"]
    if span is not None:
        image = {"n": cube.image(which), "mu": run.expectation.image(which)}
        image["source_mask"] = run.expectation.source_mask
        first, last = cube.frames.starts[which][[0, -1]]
        last += run.t_bin
        cells = cells[(cells["TIME_lo"] < last) & (cells["TIME_lo"] + run.t_bin > first)]
        regions = regions[regions["label"].isin(cells["label"])] if len(regions) else regions
    starts = cube.frames.starts[which]
    found = SkyField(
        rows["runs"].iloc[0],
        one.events.plane,
        (),
        cells,
        regions,
        one.observation.sources,
        tuple(exposure.instrument for exposure in one.events.exposures),
        one.events.exposures[0].target,
        float(starts[0]) if len(starts) else one.events.t_lo,
        float(starts[-1]) + run.t_bin if len(starts) else one.events.t_hi,
    )
    _check(found)
    live = float((which & ~cube.masked).sum()) * run.t_bin
    return replace(found, layers=tuple(_layers(found, image, live)))


def frames_in(one: OneRun, span: tuple[float, float] | None) -> np.ndarray:
    """Frames of a time range, all without one, shape (n_frames,).

    Raises
    ------
    InputError
        If there are none.
    """
    frames = one.run.cube.frames
    if span is None:
        return np.ones(frames.n, bool)
    which = frames_between(frames, *span)
    if not which.any():
        stop = frames.t_lo + frames.n * frames.t_bin
        raise InputError(
            f"The run {one.run.runid} has no frames between {span[0]:.1f} and {span[1]:.1f}; it "
            f"lasts from {frames.t_lo:.1f} to {stop:.1f} ({utc_date(frames.t_lo)} to "
            f"{utc_date(stop)} UTC)."
        )
    return which


def _check(found: SkyField) -> None:
    """Refuse what has no image."""
    if not found.box.size:
        raise InputError(f"The run {found.runid} has no counts, so there is no image of it.")


def _layers(found: SkyField, image: Any, live: float | None) -> Iterator[ImageLayer]:
    shape = found.box.shape
    n, mu, mask = (np.asarray(image[name]).reshape(shape) for name in ("n", "mu", "source_mask"))
    yield ImageLayer("COUNTS", n.astype(np.int32), "ct", "Counts, summed over the frames")
    yield ImageLayer("EXPECTED", mu.astype(np.float32), "ct", "Expected counts if all is constant")
    yield ImageLayer(
        "DEVIATION",
        deviation_image(n, mu).astype(np.float32),
        "",
        "(counts - expected) / sqrt(expected)",
    )
    strongest = significance_image(found.cells, found.box, int(found.run["window"]))
    yield ImageLayer(
        "SIGNIFICANCE",
        strongest.astype(np.float32),
        "",
        "Sigma of the strongest frame, < 0 eclipse, 0 none",
    )
    if live is not None:
        seen = np.where((n > 0) | (mu > 0), live, 0.0)
        yield ImageLayer("EXPOSURE", seen.astype(np.float32), "s", "Length of the frames in use")
    yield ImageLayer("SOURCES", mask.astype(bool), "", "Cells of known sources and bright cells")
    for name, share in (("n50", "Half"), ("n90", "90 per cent")):
        if name in image:
            needed = np.asarray(image[name], np.float32).reshape(shape)
            yield ImageLayer(name.upper(), needed, "ct", f"{share} of bursts so bright are found")


def statistics_layers(one: OneRun, span: tuple[float, float] | None = None) -> list[ImageLayer]:
    """Statistics of each cell over the frames in use, see `frame_statistics`."""
    found = frame_statistics(one.run.cube, frames_in(one, span))
    dtype: dict[str, type] = {"max": np.int32, "min": np.int32, "sum": np.int32}
    known = np.isfinite(found["max"]).all()
    meanings = {
        "max": "Most counts in a frame",
        "min": "Fewest counts in a frame",
        "mean": "Mean counts in a frame",
        "median": "Median counts in a frame",
        "std": "Standard deviation of the counts in a frame",
        "sum": "Counts in all frames",
    }
    return [
        ImageLayer(
            name.upper(),
            image.astype(dtype.get(name, np.float32) if known else np.float32),
            "ct",
            meanings[name],
        )
        for name, image in found.items()
    ]


def header_of(found: SkyField) -> Header:
    """Keywords of the images of a field."""
    run = found.run
    observatories = {instrument_of(name).observatory.name for name in found.instruments}
    return {
        "TELESCOP": ("/".join(sorted(observatories)), "Observatory"),
        "INSTRUME": ("/".join(found.instruments), "Cameras"),
        "OBS_ID": (str(run["obsid"]), "Observation"),
        "OBJECT": (found.target, "Target"),
        "RUNID": (found.runid, "Run"),
        "E_MIN": (float(run["e_lo"]), "[keV] Lower end of the energy band"),
        "E_MAX": (float(run["e_hi"]), "[keV] Upper end of the energy band"),
        **time_header(found.start, found.stop),
        "TIMEDEL": (float(run["t_bin"]), "[s] Length of a frame"),
        "CREATOR": (f"exod {__version__}", "Program"),
    }


def time_header(start: float, stop: float) -> Header:
    """Keywords of a time range in mission elapsed seconds, complete as wcslib wants them."""
    keywords: dict[str, tuple[str | int | float, str]] = {
        "MJDREF": (TIME_ZERO_MJD, "[d] Zero of the times, TT"),
        "DATEREF": ("1998-01-01", "Zero of the times, TT"),
        "TIMESYS": ("TT", "Time system"),
        "TIMEUNIT": ("s", "Unit of the times"),
        "TSTART": (start, "[s] Start"),
        "TSTOP": (stop, "[s] End"),
    }
    for name, words, seconds in (("BEG", "Start", start), ("END", "End", stop)):
        date = Time(TIME_ZERO_MJD, seconds / 86400, format="mjd", scale="tt")
        keywords[f"MJD-{name}"] = (float(date.mjd), f"[d] {words}, TT")
        # Dates are in the time system of the file; DATE-OBS would be read as UTC by some.
        keywords[f"DATE-{name}"] = (str(date.isot), f"{words}, TT")
        keywords[f"UTC-{name}"] = (utc_date(seconds), f"{words}, UTC")
    return keywords


def write_field(found: SkyField, path: Path, layers: tuple[ImageLayer, ...] | None = None) -> Path:
    """Write images of a field, its own unless others are given, as FITS."""
    header = found.projection.wcs.to_header()
    return write_images(path, found.layers if layers is None else layers, header, header_of(found))


def write_regions(found: SkyField, path: Path) -> Path:
    """Write the regions and the known sources of a field for DS9."""
    title = f"exod {__version__}, {found.runid}: {plural(len(found.regions), 'region')}"
    write_whole(path, region_text(_marks(found), title))
    return path


def _marks(found: SkyField) -> Iterator[SkyMark]:
    for source in found.sources.to_dict("records"):
        place = np.array([source["ra_deg"]]), np.array([source["dec_deg"]])
        radius = float(source["mask_radius_arcsec"])
        yield SkyMark(*place, radius, GREEN, tag="known source", dashed=True)
    for region in found.regions.to_dict("records"):
        colour = KIND_COLOURS[_kind(region)]
        sigma = max(region["sigma_peak"], region["sigma_eclipse"])
        x = found.width * np.array([region[f"x_{end}"] for end in ("lo", "hi", "hi", "lo")])
        y = found.width * np.array([region[f"y_{end}"] for end in ("lo", "lo", "hi", "hi")])
        text = f"{region['label']}: {_kind(region)}, {sigma:.1f} sigma"
        yield SkyMark(*found.plane.to_sky(x, y), colour=colour, text=text, tag="region")
        place = np.array([region["ra_deg"]]), np.array([region["dec_deg"]])
        error = float(np.nan_to_num(region["pos_err_arcsec"])) or 1.0
        yield SkyMark(*place, error, colour, tag="position")


def _kind(region: dict[Any, Any]) -> str:
    if region["n_peak_cells"] and region["n_eclipse_cells"]:
        return "both"
    return "peak" if region["n_peak_cells"] else "eclipse"
