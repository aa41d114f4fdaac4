"""The steps of an observation without CIAO: the same files, as far as they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from exod.astrometry.ccdreadout import counts_per_frame, largest_around, on_streak
from exod.astrometry.slidingcell import CellSources, detect_cells
from exod.astromon.process.ciaosteps import PIXELS
from exod.astromon.process.eventlists import ChandraEvents, read_events, write_chosen
from exod.astromon.process.programs import CiaoError
from exod.astromon.process.sourcelists import read_source_list
from exod.astromon.process.workfiles import (
    begun,
    event_file,
    filtered_event_file,
    name_of_filtered,
)
from exod.errors import InputError
from exod.files.whole import write_whole

_COPIED: Final = (
    *("OBS_ID", "OBJECT", "INSTRUME", "DETNAM", "GRATING", "DATE-OBS", "ASCDSVER", "CALDBVER"),
    *("RA_PNT", "DEC_PNT", "ROLL_PNT", "EXPOSURE", "TIMEDEL"),
)
_FRAME_SECONDS: Final = 3.24104
"""Time between frames of a whole ACIS CCD, Proposers' Guide 6, where the header lacks it."""


@dataclass(frozen=True)
class NativeSteps:
    """Steps of one observation, with the interface of `CiaoSteps`.

    Attributes
    ----------
    folder : Path
        Of the observation.
    obsid : str
        Its number.
    is_hrc : bool
        Whether its instrument is HRC; otherwise it is ACIS.
    """

    folder: Path
    obsid: str
    is_hrc: bool

    @property
    def band(self) -> str:
        """Energy band of the images."""
        return "wide" if self.is_hrc else "broad"

    def source_file(self, version: str) -> Path:
        """A list of sources."""
        return self.folder / "sources" / f"{self.obsid}_{version}.src"

    def _near(self, events: ChandraEvents, sky: NDArray[Any], radius: float) -> NDArray[np.bool_]:
        away = np.hypot(*(sky - np.array(events.axis)).T)
        return np.asarray(away <= radius / PIXELS[self.is_hrc])

    def coordinate(self, name: str, parameters: Mapping[str, Any]) -> float:
        """Coordinates of detectors are CIAO's."""
        del name, parameters
        raise CiaoError(f"OBSID={self.obsid} dmcoords needs CIAO; give its prefix.")

    def filter_events(self, radius: float) -> Path:
        """Leave out events that are far from the pointing."""
        path = event_file(self.folder)
        target = name_of_filtered(path)
        with begun(self.folder, "filter_events", target) as is_wanted:
            if is_wanted:
                events = read_events(path)
                write_chosen(path, target, self._near(events, events.sky, radius))
        return target

    def make_images(self, events: Path | None) -> bool:
        """Make images of counts and pile-up; False without events."""
        folder = self.folder / "images"
        with begun(self.folder, "make_images", folder) as is_wanted:
            if not is_wanted:
                return True
            read = read_events(events or filtered_event_file(self.folder))
            if not read.in_band.any():
                return False
            counts, header = _image(read)
            folder.mkdir()
            root = folder / self.obsid
            _write_image(Path(f"{root}_{self.band}_thresh.img"), counts, header)
            if not self.is_hrc:
                island = counts_per_frame(counts, _n_frames(read))
                _write_image(Path(f"{root}_pileup.img"), island.astype("f4"), header)
                largest = largest_around(island).astype("f4")
                _write_image(Path(f"{root}_pileup_max.img"), largest, header)
        return True

    def run_wavdetect(self, edition: str, scales: list[str], *, skip_exist: bool) -> None:
        """Wavelets are CIAO's."""
        del edition, scales, skip_exist
        raise CiaoError(
            f"OBSID={self.obsid} wavdetect needs CIAO; give its prefix, or use run_celldetect."
        )

    def run_celldetect(self, snr: float) -> None:
        """Find sources with a sliding cell, and note which lie on streaks."""
        target = self.source_file("celldetect")
        events = read_events(filtered_event_file(self.folder))
        used = events.sky[events.in_band]
        x, y = used.T
        found = detect_cells(x, y, events.axis, events.pixel_arcsec, snr=snr)
        streaks = np.zeros(len(found), bool)
        if not self.is_hrc and len(found):
            whole = read_events(event_file(self.folder))
            if whole.chip is not None and whole.ccd is not None:
                places = np.column_stack([found.x, found.y])
                streaks = on_streak(places, whole.sky, whole.chip, whole.ccd)
        _write_table(target, _source_table(found, streaks, events), events.header)

    def filter_sources(self, radius: float, psfratio: float) -> Path:
        """Leave out sources that are far from the pointing, or extended."""
        target = self.source_file("filtered")
        sources = self._sources()
        events = read_events(event_file(self.folder))
        sky = np.column_stack([sources["X"], sources["Y"]]).astype(float)
        compact = np.asarray(sources["PSFRATIO"], float) <= psfratio
        chosen = self._near(events, sky, radius) & compact
        _write_table(target, sources[chosen], events.header)
        return target

    def centroids(self) -> NDArray[np.void]:
        """Centroids of sources, sky pixels: those with which the sources were found."""
        sources = self._sources()
        centres = np.zeros(len(sources), dtype=[("x", float), ("y", float)])
        centres["x"], centres["y"] = sources["X"], sources["Y"]
        return centres

    def _sources(self) -> Table:
        """Sources that are there, those of wavelets first, as CIAO's steps have them."""
        for version in ("baseline", "celldetect"):
            if self.source_file(version).exists():
                return read_source_list(self.source_file(version))
        raise InputError(f"There is no list of sources in {self.folder}; run_celldetect makes it.")

    def repro(self) -> None:
        """Processing again is CIAO's."""
        if not (self.folder / "images").exists():
            raise CiaoError(f"OBSID={self.obsid} chandra_repro needs CIAO; give its prefix.")


def _image(events: ChandraEvents) -> tuple[NDArray[np.int32], Any]:
    """Counts of the band in sky pixels, and the header that says where they are."""
    pixels = np.rint(events.sky[events.in_band]).astype(int)
    corner = pixels.min(axis=0)
    shape = pixels.max(axis=0) - corner + 1
    counts = np.zeros(shape[::-1], np.int32)
    np.add.at(counts, tuple((pixels - corner).T[::-1]), 1)
    moved = events.projection.deepcopy()
    moved.wcs.crpix = events.projection.wcs.crpix - corner + 1
    header = moved.to_header()
    for name in _COPIED:
        if name in events.header and name not in header:
            header[name] = events.header[name]
    return counts, header


def _n_frames(events: ChandraEvents) -> float:
    frame = float(events.header.get("TIMEDEL") or _FRAME_SECONDS)
    exposure = float(events.header.get("EXPOSURE") or 0.0)
    if not (exposure > 0.0 and frame > 0.0):
        raise InputError("The event list has no EXPOSURE, so that pile-up cannot be told.")
    return exposure / frame


def _source_table(found: CellSources, streaks: NDArray[np.bool_], events: ChandraEvents) -> Table:
    places = np.column_stack([found.x, found.y])
    ra, dec = events.radec(places).T
    radius = np.repeat((found.cell / 2.0)[:, None], 2, axis=1)
    return Table(
        {
            "RA": ra,
            "DEC": dec,
            "X": found.x,
            "Y": found.y,
            "POS_ERR": found.error * events.pixel_arcsec,
            "NET_COUNTS": found.net_counts.astype("f4"),
            "SNR": found.snr.astype("f4"),
            "R": radius.astype("f4"),
            "PSFRATIO": found.psf_ratio.astype("f4"),
            "COMPONENT": np.arange(1, len(found) + 1, dtype="i4"),
            "ACIS_STREAK": streaks,
        }
    )


def _write_table(target: Path, table: Table, header: Any) -> None:
    plain = Table(table, meta={})
    hdu = fits.BinTableHDU(plain.as_array(), name="SRCLIST")
    for name in _COPIED:
        if name in header:
            hdu.header[name] = header[name]
    _write(target, fits.HDUList([fits.PrimaryHDU(), hdu]))


def _write_image(target: Path, image: NDArray[Any], header: Any) -> None:
    _write(target, fits.HDUList([fits.PrimaryHDU(image, header)]))


def _write(target: Path, hdus: Any) -> None:
    buffer = BytesIO()
    hdus.writeto(buffer)
    write_whole(target, buffer.getvalue(), error=InputError)
