"""Images of the CCDs in detector coordinates, from event lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from exod import __version__
from exod.config import Config
from exod.counts.frameimages import ImageLayer
from exod.observation.detectorimages import ccd_images
from exod.observation.events import Exposure, select_events
from exod.observation.limits import without_impossible
from exod.pps import ObservationFiles, read_event_list
from exod.stages.detect.read import remove_hot_pixels
from exod.stages.images.field import time_header
from exod.stages.images.onerun import OneRun
from exod.tablefiles.images import write_images


@dataclass(frozen=True)
class DetectorImages:
    """The CCDs of an exposure.

    Attributes
    ----------
    exposure : Exposure
        The exposure.
    images : dict of int to ndarray of int32, shape (n_rows, n_columns)
        Counts of the pixels of each CCD.
    start, stop : float
        What they are of, mission elapsed seconds.
    """

    exposure: Exposure
    images: dict[int, np.ndarray[Any, Any]]
    start: float
    stop: float


def detectors(
    files: ObservationFiles[Path], one: OneRun, span: tuple[float, float] | None = None
) -> Iterator[DetectorImages]:
    """The CCDs of each exposure of a run, with the events of its band that the search uses.

    Parameters
    ----------
    files : ObservationFiles
        The event lists, on a disk here.
    one : OneRun
        The run.
    span : (float, float), optional
        Time range, mission elapsed seconds; that of the run if there is none.
    """
    names = {exposure.filename for exposure in one.events.exposures}
    events = one.events
    start, stop = span or (events.t_lo, np.nextafter(events.t_hi, np.inf))
    for path in files.event_lists:
        exposure, rows = read_event_list(path)
        if exposure.filename not in names:
            continue
        yield _detector(exposure, rows, one.config, start, stop)


def _detector(
    exposure: Exposure, rows: Any, config: Config, start: float, stop: float
) -> DetectorImages:
    rows, _ = without_impossible(exposure, rows)
    selected = select_events(exposure, rows, use_flags=config.selection.flags == "header")
    selected, _ = remove_hot_pixels(selected, config)
    low, high = (1000 * energy for energy in config.cube.bands[0])
    events = selected.events
    chosen = (events.pi > low) & (events.pi < high)
    chosen &= (events.time >= start) & (events.time < stop)
    selected = replace(selected, events=events.take(chosen))
    return DetectorImages(exposure, ccd_images(selected.events, exposure.camera), start, stop)


def write_detector(found: DetectorImages, band: tuple[float, float], path: Path) -> Path:
    """Write the images of the CCDs as FITS, in the coordinates RAWX and RAWY."""
    header = fits.Header()
    for axis, name in enumerate(("RAWX", "RAWY"), start=1):
        header[f"CTYPE{axis}"] = (name, "Pixel of the CCD, from 1")
        header[f"CRPIX{axis}"], header[f"CRVAL{axis}"], header[f"CDELT{axis}"] = 1.0, 1.0, 1.0
    exposure = found.exposure
    layers = [
        ImageLayer(f"CCD{number:02d}", image, "ct", f"Counts of the pixels of CCD {number}")
        for number, image in found.images.items()
    ]
    keywords: dict[str, tuple[str | int | float, str]] = {
        "TELESCOP": (exposure.camera.observatory.name, "Observatory"),
        "INSTRUME": (exposure.instrument, "Camera"),
        "OBS_ID": (exposure.obsid, "Observation"),
        "EXPIDSTR": (exposure.expid, "Exposure"),
        "OBJECT": (exposure.target, "Target"),
        "E_MIN": (band[0], "[keV] Lower end of the energy band"),
        "E_MAX": (band[1], "[keV] Upper end of the energy band"),
        **time_header(found.start, found.stop),
        "CREATOR": (f"exod {__version__}", "Program"),
    }
    return write_images(path, layers, header, keywords)
