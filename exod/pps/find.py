"""Find the event lists and source lists of observations in files and folders."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Generic, TypeVar

from exod.errors import DownloadError, InputError
from exod.files.whole import is_temporary
from exod.observation.events import EVENT_DTYPES
from exod.pps import ingested
from exod.pps.chandra.names import kind_of_name, obsid_of_name
from exod.pps.fits.fitsfile import Header, open_fits
from exod.pps.lists import is_source_table
from exod.pps.names import (
    EVENT_PRODUCTS,
    PPS_NAME,
    SOURCE_INSTRUMENT,
    SOURCE_PRODUCT,
    SUFFIXES,
    is_pipeline_name,
    obsid_of_path,
)
from exod.pps.remote import LISTING_THREADS, RemoteFile, is_remote, list_remote
from exod.schemas.kinds import OBSID_FORM

_MOST_COLUMNS: Final = 5
"""A table with so many of the nine columns of an event list is one, whatever its name."""

_OF_EVENTS: Final = frozenset(name.upper() for name in EVENT_DTYPES)

File = TypeVar("File", bound=Path | RemoteFile)


@dataclass(frozen=True)
class ObservationFiles(Generic[File]):
    """The files of one observation.

    Attributes
    ----------
    obsid : str
        Observation identifier.
    event_lists, source_lists : tuple of Path or RemoteFile
        Sorted by file name; source lists of the pipeline come first.
    notes : tuple of str
        Files beside them that look like lists but are none, with the reason, one sentence each.
    """

    obsid: str
    event_lists: tuple[File, ...]
    source_lists: tuple[File, ...]
    notes: tuple[str, ...] = ()

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
        yield ObservationFiles(files.obsid, copies[:count], copies[count:], files.notes)


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

    Files with pipeline names are known by them; others are opened and known by their content.
    What cannot be read in a folder with other lists is a note of the observation there. Folders are
    searched with their subfolders and what links lead to, those of a URL as `list_remote` says.

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
    found: dict[str, _Group] = {}
    problems: list[InputError] = []
    unread: list[tuple[Path, InputError]] = []
    masks: list[tuple[str, Path | RemoteFile]] = []
    for path, candidates in _listed(paths, options):
        before = len(problems) + len(unread)
        is_empty = True
        if isinstance(candidates, InputError):
            problems.append(candidates)
            continue
        for candidate in candidates:
            if isinstance(candidate, InputError):
                problems.append(candidate)
                continue
            required = candidate == path
            try:
                identity = _identify(candidate, required=required)
            except InputError as error:
                if required or isinstance(candidate, RemoteFile):
                    problems.append(error)
                else:
                    unread.append((candidate, error))
                continue
            if identity is not None:
                obsid, kind = identity
                is_empty = False
                if kind == "masks":
                    masks.append((obsid, candidate))
                else:
                    found.setdefault(obsid, _Group()).add(kind, candidate)
        if is_empty and len(problems) + len(unread) == before:
            problems.append(
                InputError(
                    f"The folder {path} holds no event lists of XMM-Newton's EPIC cameras "
                    f"or of Chandra's ACIS (*IEVLI*.FTZ, *_evt2.fits.gz, or any of "
                    f"{', '.join(SUFFIXES)} with an EVENTS extension)."
                )
            )
    problems += _put_aside(unread, found)
    problems += [
        InputError(
            f"{mask.name} is of observation {obsid}, of which there is no event list: give its "
            f"event list (evt2), or remove it."
        )
        for obsid, mask in masks
        if obsid not in found
    ]
    return [group.files(obsid) for obsid, group in sorted(found.items())], problems


class _Group:
    """Files of an observation as they are found."""

    def __init__(self) -> None:
        self.lists: dict[str, dict[object, Path | RemoteFile]] = {"events": {}, "sources": {}}
        self.notes: list[str] = []

    def add(self, kind: str, path: Path | RemoteFile) -> None:
        self.lists[kind][_place(path)] = path

    @property
    def folders(self) -> set[Path]:
        return {path.parent for path in self.lists["events"].values() if isinstance(path, Path)}

    def files(self, obsid: str) -> ObservationFiles:
        return ObservationFiles(
            obsid,
            _by_name(self.lists["events"].values()),
            tuple(
                sorted(
                    _by_name(self.lists["sources"].values()),
                    key=lambda path: not is_pipeline_name(path.name),
                )
            ),
            tuple(self.notes),
        )


def _put_aside(
    unread: Sequence[tuple[Path, InputError]], found: dict[str, _Group]
) -> Iterator[InputError]:
    """Make files that are no lists notes of the observations they lie with; yield the others."""
    for path, error in unread:
        here = [obsid for obsid, group in found.items() if path.parent in group.folders]
        obsid = obsid_of_path(path) or (here[0] if len(here) == 1 else "")
        if obsid in found:
            found[obsid].notes.append(f"Left aside: {error}")
        elif obsid:
            # Reading it again as part of its observation records the error there.
            found.setdefault(obsid, _Group()).add("events", path)
        else:
            yield error


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
            for file in _files_below(path)
            # Hidden files are remains of programs: copies in progress, metadata of macOS.
            if file.name.lower().endswith(SUFFIXES)
            and file.name[0] != "."
            and not any(is_temporary(name) for name in file.relative_to(path).parts)
        ]
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    return [path]


def _files_below(folder: Path) -> Iterator[Path]:
    """Files in a folder and its subfolders, also in those that are links, each folder once.

    A subfolder that holds nothing new is one of them: under the name of a list it is no list.
    """
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        known = {name for name in folders if os.path.realpath(f"{place}/{name}") in seen}
        folders[:] = sorted(set(folders) - known)
        yield from (Path(place, name) for name in sorted({*names, *known}))
        if not names and not folders and place != str(folder):
            yield Path(place)


def _identify(path: Path | RemoteFile, *, required: bool) -> tuple[str, str] | None:
    """Obsid and kind ("events" or "sources") of a file; None if it is some other product."""
    match, looks_like = PPS_NAME.match(path.name), _kind_by_name(path.name)
    if of_chandra := kind_of_name(path.name):
        return obsid_of_name(path.name), of_chandra
    if match and looks_like and (is_pipeline_name(path.name) or isinstance(path, RemoteFile)):
        return match["obsid"], looks_like
    if isinstance(path, RemoteFile) or (match and not looks_like and not required):
        return None  # Only names are known of remote files.
    kind, obsid = _identify_by_content(path)
    if not kind:
        if required:
            raise InputError(f"{path} holds neither an event list nor a source list.")
        if looks_like:
            raise InputError(f"{path.name} is named like a list of {looks_like} but holds none.")
        return None
    obsid = obsid or obsid_of_path(path)
    if not obsid:
        raise InputError(f"{path} does not say its observation: OBS_ID is missing or malformed.")
    return obsid, kind


def _kind_by_name(name: str) -> str:
    """Kind that a pipeline name begins with; empty if it is neither list."""
    match = PPS_NAME.match(name)
    product = match["product"].upper() if match else ""
    if product in EVENT_PRODUCTS:
        return "events"
    is_epic = match is not None and match["instrument"].upper() == SOURCE_INSTRUMENT
    return "sources" if product == SOURCE_PRODUCT and is_epic else ""


def _identify_by_content(path: Path) -> tuple[str, str]:
    """Kind and obsid; empty if it is neither list, or does not say of which observation."""
    if path.suffix == ingested.SUFFIX:
        return ingested.kind_of(path) or "", ""
    with open_fits(path, whole=False) as file:
        for hdu in file.extensions(check=False):
            is_list = hdu.name == "EVENTS" and hdu.columns
            if is_list or hdu.name == "SRCLIST" or is_source_table(hdu):
                obsid = Header(hdu.keywords, file.primary).text("OBS_ID")
                kind = "events" if is_list else "sources"
                return kind, obsid if re.fullmatch(OBSID_FORM, obsid) else ""
            if hdu.name == "EVENTS" or len(_OF_EVENTS & set(hdu.columns)) >= _MOST_COLUMNS:
                raise InputError(
                    f"{path.name} may be an event list, but has no table EVENTS: fetch it again."
                )
    return "", ""
