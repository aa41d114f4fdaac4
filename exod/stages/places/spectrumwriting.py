"""The spectra of an event as PHA files, and as a picture."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exod import __version__
from exod.errors import ConfigError
from exod.instruments import CAMERAS
from exod.instruments.detector import DETECTORS
from exod.observation.commonsky import sky_plane
from exod.observation.times import TIME_ZERO_MJD, mjd_of, utc_date
from exod.plots.drawing import DEFAULT, Drawing, save_figures
from exod.plots.places.eventspectra import CameraCounts, event_sheet
from exod.plots.style import run_text
from exod.pps.spectrumfiles import Keywords, SpectrumFile, write_spectrum
from exod.sensitivity.extraction import CHANNEL_EV, channels, grouped
from exod.stages.places.spectra import CameraSpectra, EventSpectra, TakenEvents

_USED_EV = (200, 12_000)


def check_free(folder: Path, detid: str) -> None:
    """Refuse a folder that has spectra of a region, before event lists are read.

    Raises
    ------
    ConfigError
        If it has.
    """
    there = sorted(folder.glob(f"{glob.escape(detid)}_*.pha"))
    if there:
        raise ConfigError(f"{there[0]} is there already; give another folder or --overwrite.")


def write_spectra(
    found: EventSpectra, folder: Path, *, minimum: int = 0, overwrite: bool = False
) -> Iterator[Path]:
    """Write the spectrum of an event and of its background, two files a camera.

    Parameters
    ----------
    found : EventSpectra
        The spectra.
    folder : Path
        Where the files go.
    minimum : int
        Counts of a group at least; 0 for no groups.
    overwrite : bool
        Whether they may take the place of others.

    Yields
    ------
    Path
        The files, the background before what refers to it.

    Raises
    ------
    FileExistsError
        If there is such a file; see `check_free`.
    """
    for one in found.cameras:
        stem = f"{found.region['detid']}_{_short(one)}"
        shared = _shared(found, one)
        beside = ""
        if one.background.scale:
            beside = f"{stem}_bkg.pha"
            background = _spectrum(found, one, one.background, 0)
            yield write_spectrum(folder / beside, background, shared, overwrite=overwrite)
        source = _spectrum(found, one, one.source["during"], minimum, beside)
        yield write_spectrum(folder / f"{stem}.pha", source, shared, overwrite=overwrite)


def draw_spectra(found: EventSpectra, folder: Path, drawing: Drawing = DEFAULT) -> list[Path]:
    """Draw the spectra of an event, and its hardness before, during and after."""
    cameras = [
        CameraCounts(
            f"{one.exposure.instrument} {one.exposure.expid}",
            one.exposure.camera.colour,
            one.source["during"].pi,
            one.background.pi,
            one.source["during"].scale / one.background.scale if one.background.scale else 0.0,
            one.source["during"].seconds,
        )
        for one in found.cameras
    ]
    region = found.region
    title = f"{region['detid']} · {region['kind']}, {run_text(region)}"
    with drawing.applied():
        figure = event_sheet(title, cameras, found.hardness(), found.bands, found.kind)
    return save_figures([(f"{region['detid']}_spectrum", figure)], folder, drawing)


def _short(one: CameraSpectra) -> str:
    return f"{CAMERAS[one.exposure.instrument].short}{one.exposure.expid}"


def _shared(found: EventSpectra, one: CameraSpectra) -> Keywords:
    """Keywords of all parts of the files of a camera."""
    exposure, (start, stop) = one.exposure, found.window
    return {
        "TELESCOP": (exposure.camera.observatory.name, "Telescope (mission) name"),
        "INSTRUME": (exposure.instrument, "Instrument name"),
        "FILTER": (exposure.filter, "Filter ID"),
        "OBS_ID": (exposure.obsid, "Observation identifier"),
        "EXPIDSTR": (exposure.expid, "Exposure identifier"),
        "DATAMODE": (exposure.datamode, "Instrument mode"),
        "SUBMODE": (exposure.submode, "Guest Observer mode"),
        "OBJECT": (
            "".join(letter if " " <= letter <= "~" else "?" for letter in exposure.target),
            "Name of observed object",
        ),
        "DATE-OBS": (utc_date(start), "Start of the event (UTC)"),
        "DATE-END": (utc_date(stop), "End of the event (UTC)"),
        "TIMESYS": ("TT", "XMM time is TT (Terrestrial Time)"),
        "MJDREF": (TIME_ZERO_MJD, "[d] Zero of the times, TT"),
        "TIMEZERO": (0, "Clock correction (if not zero)"),
        "TIMEUNIT": ("s", "All times in s unless specified otherwise"),
        "TIMEREF": ("LOCAL", "Reference location of photon arrival times"),
        "TASSIGN": ("SATELLITE", "Location of time assignment"),
        "CLOCKAPP": (True, "Clock correction applied"),
        "TSTART": (start, "[s] Start of the event"),
        "TSTOP": (stop, "[s] End of the event"),
        "CREATOR": (f"exod {__version__}", "Name of code"),
        "DETID": (str(found.region["detid"]), "Region"),
    }


def _spectrum(
    found: EventSpectra,
    one: CameraSpectra,
    taken: TakenEvents,
    minimum: int,
    beside: str = "NONE",
) -> SpectrumFile:
    """A spectrum as it is written; that of a background has none beside it and no groups."""
    counts = channels(taken.pi, CAMERAS[one.exposure.instrument].n_channels)
    grouping = quality = None
    if taken is not one.background:
        first, last = (energy // CHANNEL_EV for energy in _USED_EV)
        number = np.arange(len(counts))
        usable = (number >= first) & (number < last)
        grouping, quality = grouped(counts, usable, max(minimum, 1))
        grouping = grouping if minimum else None
    on_time = float(np.diff(taken.good_times, axis=1).sum())
    region = found.region
    header: Keywords = {
        "FILTER": (one.exposure.filter, "Filter ID"),
        "EXPOSURE": (taken.seconds, "[s] Weighted live time of CCDs in the region"),
        "ONTIME": (on_time, "[s] Sum of good time intervals"),
        "BACKSCAL": (taken.area, "Area that was seen, (0.05 arcsec)^2"),
        "BACKFILE": (beside or "NONE", "Background spectrum"),
        "RESPFILE": (_response(found, one) or "NONE", "Response matrix"),
        "ANCRFILE": ("NONE", "Ancillary response"),
        "SPECDELT": (CHANNEL_EV, "Spectral channel size, i.e. the binning factor"),
        "SPECVAL": ((CHANNEL_EV - 1) / 2, "Original chan value at centre of rebinned chan"),
        "SRC_RA": (float(region["ra_deg"]), "[deg] RA of source"),
        "SRC_DEC": (float(region["dec_deg"]), "[deg] Dec of source"),
        "BACKGRND": (found.kind, "Background: a ring beside, or around in time"),
    }
    return SpectrumFile(
        counts, grouping, quality, header, taken.extraction.shapes, taken.good_times
    )


def _response(found: EventSpectra, one: CameraSpectra) -> str:
    """Name of the ready-made response matrix; empty if it is not known which."""
    exposure, region = one.exposure, found.region
    pointing = sky_plane(exposure.ra_pnt, exposure.dec_pnt)
    sky = pointing.to_pixel([float(region["ra_deg"])], [float(region["dec_deg"])])
    detector = DETECTORS[exposure.instrument]
    _, _, rawy = detector.raw_from_detector(*detector.detector_from_sky(*sky, exposure.pa_pnt))
    mjd = float(mjd_of(np.array(found.window[0])))
    from_axis = np.hypot(sky[0] - pointing.x_ref, sky[1] - pointing.y_ref)
    arcmin = float(from_axis[0]) * pointing.pixel_arcsec / 60
    return exposure.camera.response_file(exposure.submode, mjd, int(rawy[0]), arcmin)
