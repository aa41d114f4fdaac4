"""Exposure maps of an observation: event lists in, FITS images with sky coordinates out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from exod import __version__
from exod.config import Config
from exod.counts.frameimages import ImageLayer
from exod.errors import ConfigError, ExposureRejected
from exod.instruments.vignetting import ENERGIES_KEV
from exod.observation.aspect import aspect_of_events
from exod.observation.availability import Availability, pixel_codes
from exod.observation.events import EventList, Exposure, SelectedEvents, select_events
from exod.observation.limits import without_impossible
from exod.observation.livetime import LiveCurve
from exod.plots.drawing import DEFAULT, Drawing, save_figures
from exod.plots.fields.exposures import exposure_sheet
from exod.pps import ObservationFiles, local_copies, read_event_list
from exod.pps.fits.extensions import read_availability
from exod.pps.ingested import SUFFIX
from exod.sensitivity.ditheredtime import DitheredTime
from exod.sensitivity.exposuremaps import ExposureMap, MapGrid, Seen, SeenTime, exposure_map
from exod.sensitivity.fluxes import EDGES_KEV
from exod.stages.detect.read import remove_hot_pixels
from exod.stages.images.field import time_header
from exod.tablefiles.images import write_images

PIXEL_ARCSEC: Final = 4.0
"""Pixels of the pipeline's images."""


@dataclass(frozen=True)
class MappedExposure:
    """The map of an exposure, with what it is of.

    Attributes
    ----------
    exposure : Exposure
        The exposure.
    grid : MapGrid
        Pixels of the map.
    map : ExposureMap
        Seconds for which they were seen.
    """

    exposure: Exposure
    grid: MapGrid
    map: ExposureMap


def exposure_files(
    files: ObservationFiles,
    config: Config,
    folder: Path,
    *,
    pixel_arcsec: float = PIXEL_ARCSEC,
    drawing: Drawing = DEFAULT,
    on_left_out: Callable[[str], None] = lambda _why: None,
) -> Iterator[Path]:
    """Write the exposure maps of an observation, and a picture of all of them.

    Parameters
    ----------
    files : ObservationFiles
        The observation.
    config : Config
        Settings; those of the selection say how hot pixels are found.
    folder : Path
        Where the files go.
    pixel_arcsec : float
        Width of a pixel.
    drawing : Drawing
        Format, size and style of the picture.
    on_left_out : callable
        Is told of each exposure without a map, and why.

    Yields
    ------
    Path
        A file for each exposure, then the picture.

    Raises
    ------
    ConfigError
        If no exposure has a map.
    """
    done: list[MappedExposure] = []
    with local_copies(files) as here:
        for path in here.event_lists:
            try:
                found = mapped(path, config, pixel_arcsec)
            except (ExposureRejected, ConfigError) as error:
                on_left_out(str(error))
                continue
            exposure = found.exposure
            name = f"{exposure.obsid}_{exposure.camera.short}{exposure.expid}_exposure.fits"
            yield _write(found, folder / name)
            done.append(found)
    if not done:
        raise ConfigError(f"No exposure of observation {files.obsid} has an exposure map.")
    first = done[0]
    bands = tuple(number for number in (3, 5) if number in first.map.bands)
    layers = [
        (
            one.exposure.instrument,
            one.exposure.expid,
            (one.map.on, *(one.map.band(number) for number in bands)),
        )
        for one in done
    ]
    titles = ("On", *(f"{_band(number)} keV" for number in bands))
    target = f"{first.exposure.target} · {files.obsid}"
    figure = exposure_sheet(target, titles, layers, first.grid.projection)
    yield from save_figures([(f"{files.obsid}_exposure", figure)], folder, drawing)


def mapped(path: Path, config: Config, pixel_arcsec: float = PIXEL_ARCSEC) -> MappedExposure:
    """The exposure map of an event list.

    Raises
    ------
    ExposureRejected, ConfigError
        If it has none; the text says why.
    """
    read = read_exposure(path, config)
    exposure = read.selected.exposure
    side = exposure.camera.sky_extent * exposure.plane.pixel_arcsec
    grid = MapGrid.of(exposure.ra_pnt, exposure.dec_pnt, pixel_arcsec, side)
    return MappedExposure(exposure, grid, exposure_map(read.seen, grid))


@dataclass(frozen=True)
class ReadExposure:
    """An event list, and when and where it saw.

    Attributes
    ----------
    selected : SelectedEvents
        Its events without hot pixels.
    seen : Seen
        Live seconds of its CCDs, and where they saw.
    live : dict of int to LiveCurve
        When each CCD was live.
    """

    selected: SelectedEvents
    seen: Seen
    live: dict[int, LiveCurve]


def read_exposure(path: Path, config: Config) -> ReadExposure:
    """Read an event list of a camera whose chips are known.

    Raises
    ------
    ExposureRejected, ConfigError
        If it cannot be searched, or its chips or its pointing are not known.
    """
    exposure, rows = read_event_list(path)
    name = exposure.filename
    if not np.isfinite([exposure.ra_pnt, exposure.dec_pnt, exposure.pa_pnt]).all():
        raise ConfigError(f"The header of {name} does not say where the camera looked (PA_PNT).")
    rows, _ = without_impossible(exposure, rows)
    selected = select_events(exposure, rows, use_flags=config.selection.flags == "header")
    selected, hot = remove_hot_pixels(selected, config)
    if exposure.camera.observatory.dithers:
        dithered = _dithered(selected)
        return ReadExposure(selected, dithered, dict(dithered.curves))
    seen, live = _seen(path, exposure, rows, hot)
    return ReadExposure(selected, seen, live)


def _dithered(selected: SelectedEvents) -> DitheredTime:
    """Where the pointing of an exposure moved, and when its CCDs were live."""
    exposure, events = selected.exposure, selected.events
    aspect = aspect_of_events(events, exposure.camera)
    if aspect is None:
        raise ConfigError(
            f"{exposure.filename} has too few events, or no columns, that tell how its pointing "
            f"moved, so that it is not known where its CCDs saw."
        )
    throughout = np.array([[selected.time_min, selected.time_max, 1.0]])
    curves = {ccd: exposure.live.curves.get(ccd, LiveCurve(throughout)) for ccd in aspect.chips}
    pointing = exposure.ra_pnt, exposure.dec_pnt
    return DitheredTime(exposure.instrument, aspect, exposure.plane, pointing, curves)


def _seen(
    path: Path, exposure: Exposure, rows: EventList, hot: pd.DataFrame
) -> tuple[SeenTime, dict[int, LiveCurve]]:
    """Live times of the CCDs, bad pixels that the file lists and hot ones that were found."""
    is_fits = path.suffix != SUFFIX
    available = read_availability(path, rows) if is_fits else Availability.of_events(rows)
    live = {}
    for ccdnr, good in available.good_times.items():
        curve = exposure.live.curves.get(ccdnr)
        live[ccdnr] = curve or LiveCurve(np.column_stack([good, np.ones(len(good))]))
    length = available.stop - available.start
    codes, share = available.bad_pixels, np.ones(len(available.bad_pixels))
    if len(hot):
        own = pixel_codes(hot["ccdnr"], hot["rawx"], hot["rawy"])
        codes = np.append(codes, own)
        share = np.append(share, (hot["time_hi"] - hot["time_lo"]).to_numpy(float) / length)
    lost, number = np.unique(codes, return_inverse=True)
    shares = np.minimum(np.bincount(number, share, len(lost)), 1.0)
    seconds = {ccdnr: curve.seconds for ccdnr, curve in live.items()}
    seen = SeenTime(exposure.instrument, exposure.submode, exposure.pa_pnt, seconds, lost, shares)
    return seen, live


def _band(number: int) -> str:
    return f"{EDGES_KEV[number - 1]:g}-{EDGES_KEV[number]:g}"


def _write(found: MappedExposure, path: Path) -> Path:
    """Write a map: seconds on, then with vignetting in each band of the pipeline."""
    exposure = found.exposure
    layers = [ImageLayer("ON", found.map.on.astype(np.float32), "s", "Live time")]
    for number in found.map.bands:
        energy = ENERGIES_KEV[number - 1]
        meaning = f"Live time with vignetting, {_band(number)} keV (at {energy:g} keV)"
        seconds = found.map.band(number).astype(np.float32)
        layers.append(ImageLayer(f"BAND{number}", seconds, "s", meaning))
    keywords: dict[str, tuple[str | int | float, str]] = {
        "TELESCOP": (exposure.camera.observatory.name, "Observatory"),
        "INSTRUME": (exposure.instrument, "Camera"),
        "OBS_ID": (exposure.obsid, "Observation"),
        "EXPIDSTR": (exposure.expid, "Exposure"),
        "OBJECT": (exposure.target, "Target"),
        "FILTER": (exposure.filter, "Blocking filter"),
        "SUBMODE": (exposure.submode, "Read-out mode"),
        "PA_PNT": (exposure.pa_pnt, "[deg] Position angle of the pointing"),
        "CREATOR": (f"exod {__version__}", "Program"),
    }
    if np.isfinite([exposure.start, exposure.stop]).all():
        keywords |= time_header(exposure.start, exposure.stop)
    return write_images(path, layers, found.grid.projection.wcs.to_header(), keywords)
