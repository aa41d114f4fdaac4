"""An observation of Chandra: downloaded, imaged, searched for sources, kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from astropy.table import Table

from exod.astromon.process.calalign import read_applied_alignments
from exod.astromon.process.chandraarchive import ChandraArchive
from exod.astromon.process.chandrafiles import ARCHIVE_PATTERNS
from exod.astromon.process.chandrasteps import ChandraSteps, Skipped, SkippedWithWarning
from exod.astromon.process.ciaosteps import CiaoSteps
from exod.astromon.process.description import (
    ID_CATEGORY_MAP,
    observation_parameters,
    sequence_summary,
)
from exod.astromon.process.nativesteps import NativeSteps
from exod.astromon.process.observatory import PLACES, by_arc5gl, by_download_program
from exod.astromon.process.programs import LIMIT_H, Ciao, CiaoError
from exod.astromon.process.sourcelists import read_source_list, source_rows
from exod.astromon.process.workfiles import found, the_file
from exod.astromon.utils import logging_call_decorator
from exod.errors import ConfigError, InputError
from exod.files.whole import write_whole
from exod.pps.transfer import Transport

__all__ = [
    "ARCHIVE_PATTERNS",
    "ID_CATEGORY_MAP",
    "MULTI_OBI_OBSIDS",
    "ChandraObservation",
    "Observation",
    "Skipped",
    "SkippedWithWarning",
]

logger = logging.getLogger("astromon")

MULTI_OBI_OBSIDS: Final = frozenset(
    {
        *(82, 108, 279, 380, 400, 433, 800, 861, 897, 906, 943, 1411, 1431, 1456, 1561, 1578),
        *(2010, 2042, 2077, 2365, 2783, 3057, 3182, 3764, 4175),
        *(60879, 60880, 62249, 62264, 62796),
    }
)
"""Observations of more than one interval, which the steps are not made for."""

_FTYPES: Final = ("evt2", "asol", "msk", "fov", "bpix", "dtf")


class ChandraObservation(ChandraSteps):
    """An observation of Chandra, with its files in a folder.

    Parameters
    ----------
    obsid : int or str
        Its number.
    workdir : path, optional
        The files are in ``{workdir}/obs{obsid // 1000:02d}/{obsid}``; by default in a temporary
        folder, which is gone with this object.
    source : {"arc5gl", "archive"} or None
        Where to download from: by arc5gl of the observatory, where it is installed, or from the
        public archive.
    ciao_prefix : path, optional
        Where CIAO is, by default /soft/ciao. Without CIAO there the steps are done natively; a
        prefix that is given must be one.
    archive_dir : path, optional
        Where `archive` copies to, in folders as those below `workdir`.
    archive_regex : sequence of str, optional
        Patterns of files to archive, by default `ARCHIVE_PATTERNS`.
    use_ciao : bool
        Whether CIAO is used if it is there.
    archive_url : str, optional
        Address of the public archive.
    ciao_limit_h : float
        Hours after which a program of CIAO that has not ended is stopped.

    Raises
    ------
    InputError
        If the obsid is no number.
    """

    def __init__(
        self,
        obsid: int | str,
        workdir: str | Path | None = None,
        source: str | None = "arc5gl",
        ciao_prefix: str | Path | None = None,
        archive_dir: str | Path | None = None,
        archive_regex: Sequence[str] | None = None,
        use_ciao: bool = True,  # noqa: FBT001, FBT002 - a call of the original
        *,
        archive_url: str | None = None,
        ciao_limit_h: float = LIMIT_H,
    ) -> None:
        super().__init__(obsid, workdir, archive_dir, archive_regex)
        self.ciao_prefix = ciao_prefix
        self.use_ciao = bool(use_ciao or ciao_prefix)
        self._source = source
        self._ciao_limit_h = ciao_limit_h
        self._public = ChandraArchive(archive_url) if archive_url else ChandraArchive()
        self.transport: Transport | None = None
        logger.info("%s starting. Context: %s", self, self.workdir)

    @cached_property
    def ciao(self) -> Ciao | None:
        """Programs of CIAO; None where there is no CIAO, or it is not to be used."""
        if not self.use_ciao:
            return None
        try:
            return Ciao(
                self.ciao_prefix, self.workdir / "param", "astromon", limit_h=self._ciao_limit_h
            )
        except CiaoError as error:
            if self.ciao_prefix is not None:
                raise
            logger.warning("%s is processed without CIAO: %s", self, error)
            return None

    @property
    def is_multi_obi(self) -> bool:
        """Whether it has more than one interval."""
        return int(self.obsid) in MULTI_OBI_OBSIDS

    @property
    def is_hrc(self) -> bool:
        """Whether its instrument is HRC."""
        return bool(self.get_obspar()["instrument"] == "hrc")

    @property
    def is_acis(self) -> bool:
        """Whether its instrument is ACIS."""
        return bool(self.get_obspar()["instrument"] == "acis")

    @property
    def steps(self) -> CiaoSteps | NativeSteps:
        """The steps with CIAO, or without it."""
        if self.ciao is None:
            return NativeSteps(self.workdir, self.obsid, self.is_hrc)
        return CiaoSteps(self.workdir, self.obsid, self.is_hrc, self.ciao)

    @logging_call_decorator
    def download(self, ftypes: Sequence[str] | None = None) -> None:
        """Download files that are not there.

        Parameters
        ----------
        ftypes : sequence of str, optional
            By default evt2, asol, msk, fov, bpix and dtf.

        Raises
        ------
        ConfigError
            If the source is not known.
        DownloadError
            If they cannot be fetched.
        """
        wanted = list(_FTYPES if ftypes is None else ftypes)
        if not wanted:
            return
        if self._source == "arc5gl":
            if by_arc5gl(self.workdir, self.obsid, wanted):
                return
            logger.info("%s arc5gl is not installed; the public archive is asked", self)
        elif self._source != "archive":
            said = "no source" if self._source is None else f"the unknown source {self._source!r}"
            raise ConfigError(f"{self} has {said} of data; give archive or arc5gl.")
        if self.ciao is not None:
            by_download_program(self.workdir, self.obsid, wanted, self.ciao)
        else:
            self._public.fetch(self.obsid, wanted, self.workdir, self.transport)

    @property
    def archive_file_locations(self) -> dict[str, tuple[str, str]]:
        """What arc5gl is asked for by type, and the folder that gets it."""
        instrument = self.get_obspar()["instrument"]
        return {
            kind: (what.format(instrument=instrument), folder)
            for kind, (what, folder) in PLACES.items()
        }

    def get_obspar(self) -> dict[str, Any]:
        """Parameters of the observation, of its parameter file or the header of its event list.

        Raises
        ------
        InputError
            If what is there cannot be read.
        DownloadError
            If nothing is there and nothing can be fetched.
        """
        if not (found(self.workdir, "*obs0*") or found(self.workdir, "primary/*_evt2.fits*")):
            has_arc5gl = self._source == "arc5gl" and by_arc5gl(
                self.workdir, self.obsid, ["obspar"]
            )
            if not has_arc5gl:
                self.download(["evt2"])
        return observation_parameters(self.workdir, int(self.obsid))

    def get_info(self) -> dict[str, Any]:
        """Parameters of the observation, and Title, PI, Observer, category of its proposal."""
        parameters = self.get_obspar()
        kept = self.file_path("seq_summary.json")
        return parameters | sequence_summary(kept.parent, parameters, transport=self.transport)

    @logging_call_decorator
    def process(self) -> None:
        """Do all steps: events near the axis, images, sources.

        Raises
        ------
        Skipped
            If it is of another kind than those that are processed: in more than one interval, no
            pointing, or with ACIS neither timed nor without alternating exposures.
        SkippedWithWarning
            If there are no events.
        """
        self.download(None if self.ciao is not None else self._missing_events())
        info = self.get_info()
        is_timed = (
            info["instrument"] == "acis"
            and info.get("readmode") == "TIMED"
            and int(info.get("dtycycle", 0)) == 0
        )
        is_pointing = info.get("obs_mode") == "POINTING"
        if self.is_multi_obi or not is_pointing or not (info["instrument"] == "hrc" or is_timed):
            raise Skipped("does not fulfill observation requirements")
        self.filter_events()
        self.make_images()
        if self.ciao is not None:
            self.run_wavdetect("baseline", skip_exist=True)
        self.run_celldetect()

    def _missing_events(self) -> list[str]:
        return [] if found(self.workdir, "primary/*_evt2.fits*") else ["evt2"]

    @logging_call_decorator
    def get_sources(self, version: str = "celldetect") -> Table:
        """Sources as rows of astromon_xray_src, with psfratio.

        Parameters
        ----------
        version : str
            Which list: celldetect, or the edition of `run_wavdetect`.

        Returns
        -------
        Table
            No rows where nothing was found.

        Raises
        ------
        InputError
            If there is no such list, or it cannot be read.
        """
        path = self.file_path(f"sources/{self.obsid}_{version}.src")
        table = read_source_list(path)
        folder = self.file_path("images").parent
        return source_rows(table, folder, self.get_obspar(), self._caldb_version())

    def _caldb_version(self) -> str:
        """With which CalDB the data were processed, from what is there."""
        kept = self.file_path("calalign.json").exists() or found(self.workdir, "secondary/*acal*")
        if kept:
            return str(self.get_calalign()["caldb_version"])
        return str(self.get_obspar().get("caldbver", "0.0"))

    def get_calalign(self) -> dict[str, Any]:
        """Alignments of the aspect camera: aca_align, aca_misalign, fts_misalign, caldb_version.

        Raises
        ------
        InputError
            If they cannot be read.
        """
        path = self.file_path("calalign.json")
        if path.exists():
            try:
                kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise InputError(f"{path} is damaged ({error}); remove it.") from error
            return kept
        if not found(self.workdir, "secondary/*acal*fits*"):
            self.download(["acal"])
        file = the_file(self.workdir, "secondary/*acal*fits*", "file of alignments")
        calalign = {**read_applied_alignments(file), "obsid": int(self.obsid)}
        write_whole(self.workdir / "calalign.json", json.dumps(calalign))
        return calalign


Observation = ChandraObservation
"""The name of the original; elsewhere in exod an observation is one of XMM-Newton."""
