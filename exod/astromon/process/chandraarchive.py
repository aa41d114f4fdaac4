"""The public archive of Chandra: how it is laid out, and what of it an observation needs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exod.astromon.process.workfiles import found
from exod.errors import DownloadError, InputError
from exod.files.storage import one_line
from exod.files.whole import is_temporary
from exod.pps.publicarchives import fetch_whole, is_whole
from exod.pps.transfer import NotThereError, TransferError, Transport

FOLDERS: Final = ("primary", "secondary")
"""Folders of an observation, there as here."""

LEVELS: Final = {
    **dict.fromkeys(("evt2",), "evt2"),
    **{kind: rf"{kind}\d" for kind in ("asol", "msk", "fov", "bpix", "dtf", "mtl", "flt", "stat")},
    **{"acal": r"acal\d", "evt1": "evt1", "obspar": "obs0a"},
}
"""Types of files, and the end of their names."""

_TIME: Final = r"\d{9}N\d{3}_"
"""What names have instead of the obsid: seconds since 1998, and the version."""

_logger = logging.getLogger("astromon")


@dataclass(frozen=True)
class ChandraArchive:
    """The archive by obsid: ``<last digit>/<obsid>/{primary,secondary}/``, each with an index.

    Primary are events of level 2, aspect solution, field of view, bad pixels and livetime;
    secondary what level 2 was made of. Names are ``<instrument>f<obsid>[_<interval>]N<version>_``
    and the type, as ``acisf08007N002_evt2.fits.gz``. Files of the aspect that were processed long
    ago have the nine digits of their time instead, as ``pcadf053035261N003_asol1.fits.gz``.

    Parameters
    ----------
    url : str
        Address of the folder with the ten folders of last digits.

    References
    ----------
    https://cxc.cfa.harvard.edu/cda/public.html, 00README.byobsid there, and A. Rots, "FITS File
    Names for the Chandra Data Archive".
    """

    url: str = "https://cxc.cfa.harvard.edu/cdaftp/byobsid"

    def fetch(
        self, obsid: str, ftypes: Iterable[str], folder: Path, transport: Transport | None = None
    ) -> list[Path]:
        """Fetch files of some types into ``primary`` and ``secondary`` of a folder.

        Each is there whole or not at all; what is there and whole is not fetched again.

        Parameters
        ----------
        obsid : str
            The observation.
        ftypes : iterable of str
            Some of `LEVELS`.
        folder : Path
            Of the observation.
        transport : Transport, optional
            The client.

        Returns
        -------
        list of Path
            The files that are there now. Types that the archive does not have are logged.

        Raises
        ------
        InputError
            If a type is not known.
        DownloadError
            If the archive does not have the observation, or fails.
        """
        wanted = dict.fromkeys(ftypes)
        if unknown := [kind for kind in wanted if kind not in LEVELS]:
            raise InputError(
                f"Files of the type {', '.join(unknown)} are not known; there are "
                f"{', '.join(LEVELS)}."
            )
        here = {kind: _whole_files(folder, kind) for kind in wanted}
        missing = [kind for kind in wanted if not here[kind]]
        if not missing:
            return [path for files in here.values() for path in files]
        client = transport or Transport(attempts=3, connections=1)
        place = f"{self.url.rstrip('/')}/{int(obsid) % 10}/{obsid}"
        try:
            files = self._fetched(place, obsid, missing, folder, client)
            return [path for kind in wanted for path in here[kind]] + files
        except NotThereError as error:
            raise DownloadError(
                f"The public archive of Chandra has no obsid {obsid}: it does not exist, or is not "
                f"public yet."
            ) from error
        except TransferError as error:
            raise DownloadError(f"The public archive of Chandra {one_line(error)}.") from error
        except OSError as error:
            raise DownloadError(
                f"{error.filename or folder} cannot be written ({error.strerror})."
            ) from error
        finally:
            if transport is None:
                client.close()

    def _fetched(
        self, place: str, obsid: str, wanted: list[str], folder: Path, client: Transport
    ) -> list[Path]:
        files: list[Path] = []
        kinds = set()
        for part in FOLDERS:
            names = index_names(client.text(f"{place}/{part}/"), obsid)
            for kind in wanted:
                for name in _of_kind(kind, names):
                    target = folder / part
                    target.mkdir(parents=True, exist_ok=True)
                    for remains in [path for path in target.iterdir() if is_temporary(path.name)]:
                        remains.unlink(missing_ok=True)
                    fetch_whole(f"{place}/{part}/{name}", target, name, client)
                    files.append(target / name)
                    kinds.add(kind)
        if absent := [kind for kind in wanted if kind not in kinds]:
            _logger.info("OBSID=%s: the archive has no %s", obsid, ", ".join(absent))
        if "evt2" in absent:
            raise NotThereError("has no event list")
        return files


def _whole_files(folder: Path, kind: str) -> list[Path]:
    """Files of a type that are there and not damaged."""
    files = [path for part in FOLDERS for path in found(folder, f"{part}/*") if path.is_file()]
    return [path for path in files if _is_of(kind, path.name) and is_whole(path)]


def index_names(page: str, obsid: str) -> list[str]:
    """Names of files of an observation on an index page, in their order.

    Examples
    --------
    >>> index_names('<a href="acisf08007N002_evt2.fits.gz">a</a> <a href="../">up</a>', "8007")
    ['acisf08007N002_evt2.fits.gz']
    """
    names = re.findall(r'href="(?:[^"]*/)?([A-Za-z0-9_.+-]+)"', page)
    own = re.compile(rf"(?:acis|hrc|pcad|axaf)f(?:0*{int(obsid)}(?!\d)|{_TIME})")
    return sorted({name for name in names if own.match(name)})


def _of_kind(kind: str, names: list[str]) -> list[str]:
    """Names of a type; those with the obsid where the archive has both kinds of names."""
    every = [name for name in names if _is_of(kind, name)]
    return [name for name in every if not re.search(f"f{_TIME}", name)] or every


def _is_of(kind: str, name: str) -> bool:
    return re.search(rf"_{LEVELS[kind]}[a-z]?\.(fits|par)(\.gz)?$", name) is not None
