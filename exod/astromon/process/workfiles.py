"""The folder of an observation: which files are there, and which steps were broken off."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exod.errors import InputError


def subfolder(obsid: int | str) -> Path:
    """Folder of an observation below a working folder or an archive.

    Raises
    ------
    InputError
        If the obsid is no whole number of up to five digits.

    Examples
    --------
    >>> str(subfolder(8007)), str(subfolder("14533"))
    ('obs08/8007', 'obs14/14533')
    """
    text = str(obsid).strip()
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 100_000):
        raise InputError(f"{text!r} is no obsid of Chandra; give a number of up to five digits.")
    return Path(f"obs{int(text) // 1000:02d}", str(int(text)))


def found(folder: Path, pattern: str) -> list[Path]:
    """Files of a pattern, by name, without those that are being written."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def the_file(folder: Path, pattern: str, what: str) -> Path:
    """The only file of a pattern.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    files = found(folder, pattern)
    if len(files) == 1:
        return files[0]
    if not files:
        raise InputError(f"There is no {what} ({pattern}) in {folder}; download it first.")
    names = ", ".join(path.name for path in files)
    raise InputError(f"There are {len(files)} files {pattern} in {folder} ({names}); leave one.")


def event_file(folder: Path) -> Path:
    """The event list of level 2."""
    return the_file(folder, "primary/*_evt2.fits*", "event list")


def filtered_event_file(folder: Path) -> Path:
    """The event list without what is far from the axis."""
    return the_file(folder, "primary/*_evt2_filtered.fits*", "filtered event list")


def name_of_filtered(event_list: Path) -> Path:
    """What the filtered event list of an event list is called."""
    return event_list.with_name(event_list.name.replace("evt2", "evt2_filtered"))


@contextmanager
def begun(folder: Path, step: str, *outputs: Path) -> Iterator[bool]:
    """Let a step make its files: whole, or not at all, also if the process is killed.

    A mark stays in the folder while it works. What is there beside such a mark was broken off, and
    is removed before it is made again.

    Parameters
    ----------
    folder : Path
        Of the observation.
    step : str
        Name of the step.
    outputs : Path
        Files and folders that it makes.

    Yields
    ------
    bool
        Whether there is anything to do: False if all outputs are there.
    """
    mark = folder / f".{step}.begun"
    if mark.exists():
        _remove(outputs)
    if outputs and all(path.exists() for path in outputs):
        yield False
        return
    mark.touch()
    try:
        yield True
    except BaseException:
        _remove(outputs)
        raise
    finally:
        mark.unlink(missing_ok=True)


def _remove(paths: tuple[Path, ...]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
