"""The steps of an observation with programs of CIAO: what is called, and what the files are named.

Functions take the folder of the observation and a `Ciao` whose calls carry the tag of the
observation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from exod.astromon.process.chandraarchive import FOLDERS
from exod.astromon.process.programs import Ciao, CiaoError
from exod.astromon.process.workfiles import (
    begun,
    event_file,
    filtered_event_file,
    found,
    name_of_filtered,
    the_file,
)
from exod.errors import InputError

PIXELS: Final = {False: 0.5, True: 0.13175}
"""Size in arcsec of a pixel of ACIS (as the original rounds it) and of HRC (as it is)."""

_FEWEST_SCALES: Final = 3
_TRIES: Final = 2
_logger = logging.getLogger("astromon")


@dataclass(frozen=True)
class CiaoSteps:
    """Steps of one observation.

    Attributes
    ----------
    folder : Path
        Of the observation.
    obsid : str
        Its number.
    is_hrc : bool
        Whether its instrument is HRC; otherwise it is ACIS.
    ciao : Ciao
        Runs the programs.
    """

    folder: Path
    obsid: str
    is_hrc: bool
    ciao: Ciao

    @property
    def tag(self) -> str:
        """What messages begin with."""
        return f"OBSID={self.obsid}"

    @property
    def band(self) -> str:
        """Energy band of the images, as fluximage calls it."""
        return "wide" if self.is_hrc else "broad"

    def image(self, kind: str) -> Path:
        """An image of the band."""
        return self.folder / "images" / f"{self.obsid}_{self.band}_{kind}"

    def source_file(self, version: str) -> Path:
        """A list of sources."""
        return self.folder / "sources" / f"{self.obsid}_{version}.src"

    def run(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Run a program."""
        self.ciao(name, *args, logging_tag=self.tag, **kwargs)

    def asked(self, command: str, param: str = "value") -> str:
        """A parameter of a program that has run."""
        value = self.ciao.pget(command, param, logging_tag=self.tag)
        if not value:
            raise CiaoError(f"{self.tag} {command} of CIAO gave no {param}.")
        return value

    def circle(self, radius: float) -> str:
        """The circle of a radius in arcsec around the pointing, as a filter of the data model."""
        events = event_file(self.folder)
        self.run("dmkeypar", events, "RA_PNT")
        ra = self.asked("dmkeypar")
        self.run("dmkeypar", events, "DEC_PNT")
        dec = self.asked("dmkeypar")
        self.run("dmcoords", events, op="cel", celfmt="deg", ra=ra, dec=dec)
        x, y = self.asked("dmcoords", "x"), self.asked("dmcoords", "y")
        return f"(x,y)=circle({x},{y},{radius / PIXELS[self.is_hrc]})"

    def coordinate(self, name: str, parameters: Mapping[str, Any]) -> float:
        """A coordinate by dmcoords along the aspect solution."""
        aspect = [path for part in FOLDERS for path in found(self.folder, f"{part}/*asol*.fits*")]
        solution = {"asolfile": ",".join(map(str, aspect))} if aspect else {}
        self.run("punlearn", "dmcoords")
        self.run("dmcoords", event_file(self.folder), **solution, **parameters)
        value = self.asked("dmcoords", name)
        try:
            return float(value)
        except ValueError as error:
            raise CiaoError(f"{self.tag} dmcoords of CIAO gave {value!r} as {name}.") from error

    def filter_events(self, radius: float) -> Path:
        """Leave out events that are far from the pointing."""
        events = event_file(self.folder)
        target = name_of_filtered(events)
        with begun(self.folder, "filter_events", target) as is_wanted:
            if is_wanted:
                self.run("dmcopy", f"{events}[{self.circle(radius)}]", target)
        return target

    def make_images(self, events: Path | None) -> bool:
        """Make images of counts, exposure, point spread and pile-up; False without events."""
        used = events or filtered_event_file(self.folder)
        folder = self.folder / "images"
        with begun(self.folder, "make_images", folder) as is_wanted:
            if not is_wanted:
                return True
            if self._n_events(used) <= 0:
                return False
            fov = the_file(self.folder, "primary/*_fov1.fits*", "field of view")
            folder.mkdir()
            self.run(
                "fluximage",
                infile=used,
                outroot=folder / self.obsid,
                bands=self.band,
                binsize=1,
                psfecf=0.9,
                background="none",
            )
            if not self.is_hrc:
                self._pileup_and_streaks(used, fov)
        return True

    def _n_events(self, events: Path) -> int:
        said = self.ciao.output("dmlist", f"{events}[2]", "count", logging_tag=self.tag)
        try:
            return int(said)
        except ValueError as error:
            raise CiaoError(
                f"{self.tag} dmlist of CIAO gave no number of events: {said}."
            ) from error

    def _pileup_and_streaks(self, events: Path, fov: Path) -> None:
        folder = self.folder / "images"
        pileup = folder / f"{self.obsid}_pileup.img"
        largest = folder / f"{self.obsid}_pileup_max.img"
        self.run("pileup_map", infile=self.image("thresh.img"), outfile=pileup, clobber="yes")
        self.run(
            "dmimgfilt",
            infile=pileup,
            outfile=largest,
            fun="max",
            mask="circle(0,0,3)",
            clobber="yes",
        )
        regions = folder / f"{self.obsid}_acis_streaks.txt"
        try:
            self.run(
                "acis_streak_map",
                infile=str(events).replace("_filtered", ""),
                fovfile=fov,
                bkgroot=folder / f"{self.obsid}_acis_streaks_bkg.fits",
                regfile=regions,
                msigma="4",
                clobber="yes",
            )
        except CiaoError as error:
            regions.unlink(missing_ok=True)
            _logger.warning("%s", error)

    def run_wavdetect(self, edition: str, scales: list[str], *, skip_exist: bool) -> None:
        """Find sources with wavelets; with one scale fewer if that fails."""
        target = self.source_file(edition)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not skip_exist:
            target.unlink(missing_ok=True)
        with begun(self.folder, f"wavdetect_{edition}", target) as is_wanted:
            for number in range(_TRIES if is_wanted else 0):
                try:
                    self._wavdetect(target, scales[: len(scales) - number])
                    return
                except CiaoError:
                    if number == _TRIES - 1 or len(scales) - 1 < _FEWEST_SCALES:
                        raise

    def _wavdetect(self, target: Path, scales: list[str]) -> None:
        self.run(
            "wavdetect",
            infile=self.image("thresh.img"),
            expfile=self.image("thresh.expmap"),
            psffile=self.image("thresh.psfmap"),
            outfile=target,
            scellfile=target.with_suffix(".cell"),
            imagefile=target.with_suffix(".img"),
            defnbkgfile=target.with_suffix(".nbkg"),
            scales=" ".join(scales),
            clobber="yes",
        )

    def run_celldetect(self, snr: float) -> None:
        """Find sources with a sliding cell."""
        target = self.source_file("celldetect")
        self._anew(
            "celldetect",
            target,
            lambda: self.run(
                "celldetect",
                self.image("thresh.img"),
                target,
                psffile=self.image("thresh.psfmap"),
                thresh=snr,
                maxlogicalwindow=2048,
                clobber="yes",
            ),
        )

    def _anew(self, step: str, target: Path, work: Callable[[], None]) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with begun(self.folder, step, target):
            work()

    def filter_sources(self, radius: float, psfratio: float) -> Path:
        """Leave out sources that are far from the pointing, or extended."""
        sources, target = self.source_file("baseline"), self.source_file("filtered")
        if not sources.exists():
            raise InputError(f"There is no {sources}; run_wavdetect('baseline') makes it.")
        chosen = f"[psfratio=:{psfratio},{self.circle(radius)}]"
        self._anew(
            "filter_sources", target, lambda: self.run("dmcopy", f"{sources}{chosen}", target)
        )
        return target

    def centroids(self) -> NDArray[np.void]:
        """Centroids of sources in the image of fluxes, sky pixels."""
        image = self.image("flux.img")
        if not image.exists():
            raise InputError(f"There is no {image}; make_images makes it.")
        sources = self.source_file("baseline")
        try:
            with fits.open(sources) as hdus:
                rows = [(float(r["X"]), float(r["Y"]), float(np.max(r["R"]))) for r in hdus[1].data]
        except (OSError, KeyError, IndexError, TypeError) as error:
            raise InputError(f"{sources} cannot be read as a list of sources ({error}).") from error
        centres = []
        for x, y, size in rows:
            self.run("dmstat", f"{image}[sky=circle({x},{y},{size})]", centroid="yes")
            centre = self.asked("dmstat", "out_cntrd_phys").split(",")
            centres.append((float(centre[0]), float(centre[1])))
        return np.array(centres, dtype=[("x", float), ("y", float)])

    def repro(self) -> None:
        """Process the data again, unless there are images of them."""
        if not (self.folder / "images").exists():
            self.run("chandra_repro", self.folder, cleanup="yes", clobber="yes")
