"""Find the event lists and source lists of observations in files and folders."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar

from exod.errors import DownloadError, InputError
from exod.files.whole import is_temporary
from exod.pps import ingested
from exod.pps.fitsfile import Header, open_fits
from exod.pps.names import (
    EVENT_PRODUCTS,
    PPS_NAME,
    SOURCE_INSTRUMENT,
    SOURCE_PRODUCT,
    SUFFIXES,
    obsid_of_path,
)
from exod.pps.remote import LISTING_THREADS, RemoteFile, is_remote, list_remote

File = TypeVar("File", bound=Path | RemoteFile)


@dataclass(frozen=True)
class ObservationFiles(Generic[File]):
    """The files of one observation.

    Attributes
    ----------
    obsid : str
        Ten digits.
    event_lists, source_lists : tuple of Path or RemoteFile
        Sorted by file name.
    """

    obsid: str
    event_lists: tuple[File, ...]
    source_lists: tuple[File, ...]

    @property
    def paths(self) -> tuple[File, ...]:
        """All files."""
        return self.event_lists + self.source_lists


@contextmanager
def local_copies(files: ObservationFiles) -> Iterator[ObservationFiles[Path]]:
    """The files on a disk here: as they are, or copied to a folder that ends with the block.

    Parameters
    ----------
    files : ObservationFiles
        Anywhere.

    Yields
    ------
    ObservationFiles
        The same in the same order.

    Raises
    ------
    DownloadError
        If a file cannot be copied.
    """
    if not any(isinstance(path, RemoteFile) for path in files.paths):
        yield files
        return
    try:
        folder = TemporaryDirectory(prefix=f"exod-{files.obsid}-", ignore_cleanup_errors=True)
    except OSError as error:
        raise DownloadError(f"There is no folder for temporary files: {error}.") from error
    with folder as name:
        with ThreadPoolExecutor() as pool:
            copies = tuple(pool.map(_copied, files.paths, _places(Path(name), files)))
        count = len(files.event_lists)
        yield ObservationFiles(files.obsid, copies[:count], copies[count:])


def _places(folder: Path, files: ObservationFiles) -> Iterator[Path]:
    """Where to copy each: files of the same name may come from several folders."""
    for number, _ in enumerate(files.paths):
        place = folder / str(number) / files.obsid
        place.mkdir(parents=True)
        yield place


def _copied(path: Path | RemoteFile, folder: Path) -> Path:
    return path.copy_to(folder / path.name) if isinstance(path, RemoteFile) else path


def find_observations(
    paths: Iterable[str | Path], options: Mapping[str, Any] | None = None
) -> tuple[list[ObservationFiles], list[InputError]]:
    """Group the event lists and source lists in files and folders by observation.

    Files with pipeline names are known by them; others are opened and known by their header.
    Folders are searched with their subfolders, those of a URL as `list_remote` says.

    Parameters
    ----------
    paths : iterable of path or URL
        Files, folders, or patterns of these with ``*``.
    options : dict, optional
        Of the fsspec file systems of URLs.

    Returns
    -------
    observations : list of ObservationFiles
        In order of obsid.
    problems : list of InputError
        One for each file or folder that belongs to no observation, with the reason.
    """
    found: dict[str, dict[str, dict[object, Path | RemoteFile]]] = {}
    problems: list[InputError] = []
    for path, candidates in _listed(paths, options):
        before = len(problems)
        is_empty = True
        if isinstance(candidates, InputError):
            problems.append(candidates)
            continue
        for candidate in candidates:
            if isinstance(candidate, InputError):
                problems.append(candidate)
                continue
            try:
                identity = _identify(candidate, required=candidate == path)
            except InputError as error:
                problems.append(error)
                continue
            if identity is not None:
                obsid, kind = identity
                group = found.setdefault(obsid, {"events": {}, "sources": {}})
                group[kind][_place(candidate)] = candidate
                is_empty = False
        if is_empty and len(problems) == before:
            problems.append(
                InputError(
                    f"The folder {path} holds no event lists of XMM-Newton's EPIC cameras "
                    f"(*IEVLI*.FTZ, or any of {', '.join(SUFFIXES)} with an EVENTS extension)."
                )
            )
    observations = [
        ObservationFiles(
            obsid, _by_name(group["events"].values()), _by_name(group["sources"].values())
        )
        for obsid, group in sorted(found.items())
    ]
    return observations, problems


def _expanded(paths: Iterable[str | Path]) -> Iterator[Path | str]:
    """Paths, and URLs as text; a pattern that no shell has expanded becomes what it matches."""
    for path in paths:
        if is_remote(path):
            yield str(path)
            continue
        local = Path(str(path).removeprefix("file://"))
        matching = [] if local.exists() else sorted(glob.glob(str(local)))  # noqa: PTH207 - absolute
        yield from (Path(name) for name in matching or [str(local)])


def _listed(
    paths: Iterable[str | Path], options: Mapping[str, Any] | None
) -> Iterator[tuple[Path | str, Sequence[Path | RemoteFile | InputError] | InputError]]:
    """Each path with what is there, or why nothing can be said of it."""

    def listed(path: Path | str) -> Sequence[Path | RemoteFile | InputError] | InputError:
        try:
            return list_remote(path, options) if isinstance(path, str) else _candidates(path)
        except InputError as error:
            return error

    expanded = list(_expanded(paths))
    with ThreadPoolExecutor(LISTING_THREADS) as pool:
        yield from zip(expanded, pool.map(listed, expanded), strict=True)


def _place(path: Path | RemoteFile) -> object:
    """What is the same for a file that is given twice, by different names of its folder."""
    return path.url if isinstance(path, RemoteFile) else path.parent.resolve() / path.name


def _by_name(paths: Iterable[Path | RemoteFile]) -> tuple[Path | RemoteFile, ...]:
    return tuple(sorted(paths, key=lambda path: (path.name, str(path))))


def _candidates(path: Path) -> list[Path]:
    """Files that may be event or source lists."""
    if path.is_dir():
        return [
            file
            for file in path.rglob("*")
            # Hidden files are remains of programs: copies in progress, metadata of macOS.
            if file.name.lower().endswith(SUFFIXES)
            and file.name[0] != "."
            and not any(is_temporary(name) for name in file.relative_to(path).parts)
            and not file.is_dir()
        ]
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    return [path]


def _identify(path: Path | RemoteFile, *, required: bool) -> tuple[str, str] | None:
    """Obsid and kind ("events" or "sources") of a file; None if it is some other product."""
    match = PPS_NAME.match(path.name)
    if match:
        product = match["product"].upper()
        if product in EVENT_PRODUCTS:
            return match["obsid"], "events"
        if product == SOURCE_PRODUCT and match["instrument"].upper() == SOURCE_INSTRUMENT:
            return match["obsid"], "sources"
        if not required:
            return None
    if isinstance(path, RemoteFile):
        return None  # Only names are known there.
    kind, obsid = _identify_by_content(path)
    if kind is None:
        if required:
            raise InputError(f"{path} holds neither an event list nor a source list.")
        return None
    obsid = obsid or obsid_of_path(path)
    if not obsid:
        raise InputError(f"{path} does not say its observation: OBS_ID is missing or malformed.")
    return obsid, kind


def _identify_by_content(path: Path) -> tuple[str | None, str | None]:
    try:
        if path.suffix == ingested.SUFFIX:
            return ingested.kind_of(path), None
        with open_fits(path, whole=False) as hdus:
            for kind, extension in (("events", "EVENTS"), ("sources", "SRCLIST")):
                if extension in hdus:
                    header = Header(hdus[extension].header, hdus[0].header)
                    obsid = header.text("OBS_ID")
                    return kind, obsid if re.fullmatch(r"[0-9]{10}", obsid) else None
    except InputError:
        # Reading it again as part of its observation records the error there.
        if obsid_of_path(path):
            return "events", None
        raise
    return None, None
