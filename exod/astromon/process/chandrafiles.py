"""The files of an observation of Chandra: in its folder, and in an archive of what is kept."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exod.astromon.process.programs import lasting_folder
from exod.astromon.process.workfiles import found, subfolder
from exod.astromon.utils import logging_call_decorator
from exod.errors import InputError
from exod.files.whole import whole_file

logger = logging.getLogger("astromon")

ARCHIVE_PATTERNS: Final = (
    *("*.par.gz", "seq_summary.json", "cache", "*_wide_flux.img", "*_broad_flux.img"),
    *("*_acis_streaks.*", "*.src", "calalign.json", "*_psf_size_*.fits"),
)
"""What is kept of an observation, unless other patterns are given."""


class ChandraFiles:
    """Files of an observation; see `exod.astromon.observation.ChandraObservation`.

    Parameters
    ----------
    obsid : int or str
        Its number.
    workdir : path, optional
        Has the folders of observations; by default a temporary folder.
    archive_dir : path, optional
        Where `archive` copies to.
    archive_regex : sequence of str, optional
        Patterns of files to archive, by default `ARCHIVE_PATTERNS`.

    Raises
    ------
    InputError
        If the obsid is no number, or its folder cannot be made.
    """

    def __init__(
        self,
        obsid: int | str,
        workdir: str | Path | None = None,
        archive_dir: str | Path | None = None,
        archive_regex: Sequence[str] | None = None,
    ) -> None:
        below = subfolder(obsid)
        self.obsid = below.name
        place = lasting_folder(self) if workdir is None else Path(workdir).expanduser()
        self.workdir = place / below
        self.archive_dir = Path(archive_dir).expanduser() / below if archive_dir else None
        self.archive_regex = list(ARCHIVE_PATTERNS if archive_regex is None else archive_regex)
        try:
            self.workdir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.workdir} cannot be made ({error.strerror}).") from error

    def __str__(self) -> str:
        return f"OBSID={self.obsid}"

    def file_glob(self, pattern: str) -> list[Path]:
        """Files of a pattern, those of the working folder before those of the archive."""
        places = [place for place in (self.archive_dir, self.workdir) if place is not None]
        files = {
            path.relative_to(place): path for place in places for path in found(place, pattern)
        }
        return list(files.values())

    def file_path(self, path: str | Path) -> Path:
        """Where a file is: in the working folder, or in the archive if it is only there.

        Raises
        ------
        InputError
            If the path is not relative.
        """
        if Path(path).is_absolute():
            raise InputError(f"{path} is not relative to the folder of the observation.")
        here = self.workdir / path
        kept = None if self.archive_dir is None else self.archive_dir / path
        return kept if kept is not None and kept.exists() and not here.exists() else here

    @logging_call_decorator
    def archive(self, *regex: str, destination: str | Path | None = None) -> None:
        """Copy files to an archive, each whole.

        Parameters
        ----------
        regex : str
            Patterns of names of files and folders; by default those of this object.
        destination : path, optional
            Gets a folder named after the obsid; by default the archive of this object.

        Raises
        ------
        InputError
            If there is no place to copy to, or it cannot be written.
        """
        place = self.archive_dir if destination is None else Path(destination) / self.obsid
        if place is None:
            raise InputError(f"{self} has no archive; give archive_dir, or a destination.")
        for pattern in regex or self.archive_regex:
            for matched in sorted(self.workdir.rglob(pattern)):
                inside = sorted(matched.rglob("*")) if matched.is_dir() else [matched]
                for path in inside:
                    if path.is_file():
                        target = place / path.relative_to(self.workdir)
                        logger.debug("%s   - %s", self, path)
                        with whole_file(target, error=InputError) as temporary:
                            shutil.copy(path, temporary)
