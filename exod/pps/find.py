"""Find the event lists and source lists of observations in files and folders."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exod.errors import InputError
from exod.pps import ingested
from exod.pps.fitsfile import Header, open_fits
from exod.pps.names import EVENT_PRODUCTS, PPS_NAME, SOURCE_PRODUCT, SUFFIXES, obsid_of_path


@dataclass(frozen=True)
class ObservationFiles:
    """The files of one observation.

    Attributes
    ----------
    obsid : str
        Ten digits.
    event_lists, source_lists : tuple of Path
        Sorted by file name.
    """

    obsid: str
    event_lists: tuple[Path, ...]
    source_lists: tuple[Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return self.event_lists + self.source_lists


def find_observations(
    paths: Iterable[str | Path],
) -> tuple[list[ObservationFiles], list[InputError]]:
    """Group the event lists and source lists in files and folders by observation.

    Files with pipeline names are known by them; others are opened and known by their header.
    Folders are searched with their subfolders.

    Parameters
    ----------
    paths : iterable of path
        Files or folders.

    Returns
    -------
    observations : list of ObservationFiles
        In order of obsid.
    problems : list of InputError
        One for each file or folder that belongs to no observation, with the reason.
    """
    found: dict[str, dict[str, dict[Path, Path]]] = {}
    problems: list[InputError] = []
    for path in map(Path, paths):
        before = len(problems)
        is_empty = True
        try:
            candidates = _candidates(path)
        except InputError as error:
            problems.append(error)
            continue
        for candidate in candidates:
            try:
                identity = _identify(candidate, required=candidate == path)
            except InputError as error:
                problems.append(error)
                continue
            if identity is not None:
                obsid, kind = identity
                group = found.setdefault(obsid, {"events": {}, "sources": {}})
                # A file may be given twice, by different names of its folder.
                group[kind][candidate.parent.resolve() / candidate.name] = candidate
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


def _by_name(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(sorted(paths, key=lambda path: (path.name, str(path))))


def _candidates(path: Path) -> list[Path]:
    """Files that may be event or source lists."""
    if path.is_dir():
        return [
            file
            for file in path.rglob("*")
            # Hidden files are remains of programs: copies in progress, metadata of macOS.
            if file.name.lower().endswith(SUFFIXES) and file.name[0] != "." and not file.is_dir()
        ]
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    return [path]


def _identify(path: Path, *, required: bool) -> tuple[str, str] | None:
    """Obsid and kind ("events" or "sources") of a file; None if it is some other product."""
    match = PPS_NAME.match(path.name)
    if match:
        product = match["product"].upper()
        if product in EVENT_PRODUCTS:
            return match["obsid"], "events"
        if product == SOURCE_PRODUCT:
            return match["obsid"], "sources"
        if not required:
            return None
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
