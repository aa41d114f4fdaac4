"""What an observation of Chandra is: its parameters, its proposal, its category."""

from __future__ import annotations

import csv
import gzip
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from astropy.io import fits

from exod.astromon.process.workfiles import event_file, found
from exod.astromon.tables import CATEGORIES, SIM_Z
from exod.errors import InputError
from exod.files.whole import write_whole
from exod.pps.transfer import TransferError, Transport

ID_CATEGORY_MAP: Final = CATEGORIES
"""Categories of observations by their numbers, under the name of the original."""

UNKNOWN: Final = 200
OCAT: Final = "https://cda.harvard.edu/srservices/ocatDetails.do"
"""The public catalogue of observations."""

SUMMARY: Final = "seq_summary.json"

_WANTED: Final = {
    "Title": ("title", "prop_title"),
    "PI": ("pi_name", "pi name"),
    "Observer": ("observer",),
    "Subject Category": ("category", "category_descrip", "subject category"),
    "Cycle": ("obs_cycle", "prop_cycle", "cycle"),
}
_TYPES: Final = {"r": float, "i": int, "s": str, "b": str, "f": str}
_NEEDED: Final = (
    *("instrume", "object", "date-obs", "ra_nom", "dec_nom", "roll_nom"),
    *("ra_pnt", "dec_pnt", "roll_pnt"),
)
_logger = logging.getLogger("astromon")


def category_id(name: str) -> int:
    """Number of a category, as the proposals or the catalogue of observations write it.

    Examples
    --------
    >>> category_id("SN, SNR, and Isolated NS"), category_id("STARS AND WD"), category_id("none")
    (110, 10, 200)
    >>> category_id("SOLAR SYSTEM"), category_id("NORMAL GALAXIES: X-RAY POPULATIONS")
    (100, 40)
    """
    words = f"{_plain(name)} "
    return next(
        (number for key, number in _NUMBERS.items() if words.startswith(f"{key} ")), UNKNOWN
    )


def _plain(name: str) -> str:
    """What the ways in which a category is written have in common; some say more after it."""
    words = re.findall(r"[a-z]+", name.lower())
    left = {"and", "normal", "misc", "surveys"}
    return " ".join(word.replace("cvs", "cv") for word in words if word not in left)


_NUMBERS: Final = {_plain(name): number for number, name in ID_CATEGORY_MAP.items()}


def observation_parameters(folder: Path, obsid: int) -> dict[str, Any]:
    """Parameters of an observation, from its parameter file or else the header of its events.

    Parameters
    ----------
    folder : Path
        Of the observation.
    obsid : int
        Its number.

    Returns
    -------
    dict
        Parameters by their names, with instrument, obsid, target, date_obs, ra, dec, roll
        (nominal, deg) and version.

    Raises
    ------
    InputError
        If there is neither file, or it cannot be read, or is that of another observation.
    """
    files = found(folder, "*obs0*")
    path = files[0] if files else event_file(folder)
    values = read_parameters(path) if files else read_header(path)
    missing = [name for name in _NEEDED if name not in values]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}, so that it cannot be used.")
    said = str(values.get("obs_id", obsid)).strip()
    if said.isdigit() and int(said) != obsid:
        raise InputError(f"{path} is of obsid {said}, not of {obsid}.")
    try:
        pointing = {name: float(values[f"{name}_nom"]) for name in ("ra", "dec", "roll")}
    except ValueError as error:
        raise InputError(f"{path} has a pointing that is no number ({error}).") from error
    return (
        values
        | pointing
        | {
            "instrument": str(values["instrume"]).lower(),
            "obsid": obsid,
            "target": values["object"],
            "date_obs": values["date-obs"],
            "version": version_number(str(values.get("ascdsver", ""))),
        }
    )


def version_number(text: str) -> float:
    """A version as a number that sorts.

    Examples
    --------
    >>> version_number("10.9.2"), version_number("7.6.11.3"), version_number("")
    (10.0902, 7.0611, 0.0)
    """
    found_parts = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    if found_parts is None:
        return 0.0
    major, minor, patch = map(int, found_parts.groups())
    return major + minor / 100 + patch / 10000


def read_parameters(path: Path) -> dict[str, Any]:
    """Values of a parameter file, lines of name, type, mode and value.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode()
        rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]
        return {
            row[0].strip(): _TYPES.get(row[1].strip(), str)(row[3].strip())
            for row in rows
            if not row[0].startswith("#")
        }
    except (OSError, EOFError, IndexError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a parameter file ({error}).") from error


def read_header(path: Path) -> dict[str, Any]:
    """The same from the header of an event list; the detector follows from its place.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        header = fits.getheader(path, "EVENTS")
    except (OSError, EOFError, KeyError, IndexError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read as an event list ({error}); download it again."
        ) from error
    values = {
        name.lower(): value.strip() if isinstance(value, str) else value
        for name, value in header.items()
        if name not in {"COMMENT", "HISTORY", ""} and isinstance(value, str | int | float)
    }
    if "sim_z" in values:
        own = {k: v for k, v in SIM_Z.items() if k.startswith(str(values.get("instrume")))} or SIM_Z
        nearest = min(own, key=lambda name: abs(own[name] - float(values["sim_z"])))
        values.setdefault("detector", nearest)
    return values


def sequence_summary(
    folder: Path, parameters: Mapping[str, Any], url: str = OCAT, transport: Transport | None = None
) -> dict[str, Any]:
    """Title, PI, Observer, Subject Category, Cycle and category_id of an observation.

    It is asked for once: the answer is kept in the folder. Where there is no answer, title and
    observer are those of the event list, the category is unknown, and nothing is kept.
    """
    path = folder / SUMMARY
    if path.exists():
        try:
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return kept
        except ValueError:
            _logger.warning("%s is damaged and is asked for again", path)
    client = transport or Transport(attempts=2, timeout=30.0, connections=1)
    question = f"{url}?{urlencode({'obsid': parameters['obsid'], 'format': 'text'})}"
    try:
        answer = catalogue_row(client.text(question), int(parameters["obsid"]))
    except (TransferError, InputError) as error:
        _logger.warning("OBSID=%s: no proposal is known: %s", parameters["obsid"], error)
        return _summary(
            {"title": parameters.get("title", ""), "observer": parameters.get("observer", "")}
        )
    summary = _summary(answer)
    write_whole(path, json.dumps(summary, indent=2))
    return summary


def _summary(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        name: next((str(row[key]) for key in keys if row.get(key)), "")
        for name, keys in _WANTED.items()
    }
    values["Subject Category"] = values["Subject Category"] or "NO MATCH"
    return values | {"category_id": category_id(values["Subject Category"])}


def catalogue_row(text: str, obsid: int) -> dict[str, str]:
    """The row of an observation in a table of the catalogue, tab-separated with a line of names.

    Raises
    ------
    InputError
        If there is none.
    """
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    names = [name.strip().lower() for name in lines[0]] if lines else []
    if "obsid" in names:
        place = names.index("obsid")
        for cells in lines[1:]:
            values = [cell.strip() for cell in cells]
            if len(values) > place and values[place] == str(obsid):
                return dict(zip(names, values, strict=False))
    raise InputError(f"the catalogue of observations has no obsid {obsid}")
