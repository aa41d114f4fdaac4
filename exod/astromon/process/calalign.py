"""Alignment of Chandra's aspect camera: as CalDB has it, and with which data were processed."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from astropy.table import Table, hstack
from astropy.time import Time
from erfa import ErfaWarning
from numpy.typing import ArrayLike, NDArray

from exod.errors import InputError
from exod.schemas.arrays import Floats

DEFAULT_FOLDER: Final = "/data/caldb/data/chandra/pcad/align"

RELEASES: Final = {
    "N0008": ("4.4.4", "2011-06-28T20:45:00"),
    "N0009": ("4.6.2", "2014-07-09T21:00:00"),
    "N0010": ("4.10.0", "2022-06-28T14:00:00"),
}
"""Versions of the alignment: the CalDB that brought each, and since when it was used."""

_UNRELEASED: Final = ("", "2050-01-01T00:00:00")
_LATEST: Final = (10**9,)
_OPEN_END: Final = "2050-01-01T00:00:00"
_NAME: Final = re.compile(r"(\d{4}-\d{2}-\d{2})align(N\d{4})\.fits(\.gz)?$")
_APPLIED: Final = ("aca_align", "aca_misalign", "fts_misalign")
_COLUMNS: Final = ("calalign_dy", "calalign_dz", "aca_misalign", "fts_misalign", "calalign_version")


def calalign_from_files(calalign_dir: str | Path | None = None) -> Table:
    """Alignments of the files in a folder.

    Parameters
    ----------
    calalign_dir : path, optional
        Has files ``pcadD{date}align{version}.fits``; by default that of CalDB at the observatory.

    Returns
    -------
    Table
        A row a file and detector: start and stop of the validity, detector, date, version,
        caldb_version (empty of a version that is newer than exod), since, aca_misalign and
        fts_misalign (3 x 3), dy and dz in arcsec.

    Raises
    ------
    InputError
        If there are no such files, or one cannot be read.
    """
    folder = Path(DEFAULT_FOLDER if calalign_dir is None else calalign_dir)
    files = sorted(path for path in folder.glob("*.fits*") if path.is_file())
    if not files:
        raise InputError(
            f"There are no alignment files in {folder}; give the folder that has them."
        )
    rows = [row for path in files for row in _rows(path)]
    table = Table(rows)
    for name in ("start", "stop", "date", "since"):
        table[name] = Time(list(table[name]))
    table["dy"], table["dz"] = get_offsets(table["aca_misalign"])
    return table


def get_offsets(aca_misalign: ArrayLike) -> tuple[Floats, Floats]:
    """Yaw and the negative of pitch, in arcsec, of rotation matrices of shape (n, 3, 3).

    Examples
    --------
    >>> import numpy as np
    >>> dy, dz = get_offsets([np.eye(3)])
    >>> dy + 0.0, dz + 0.0
    (array([0.]), array([0.]))
    """
    axes = np.asarray(aca_misalign, float).reshape(-1, 3, 3)[:, :, 0]
    yaw = np.degrees(np.arctan2(axes[:, 1], axes[:, 0]))
    upward = np.degrees(np.arctan2(axes[:, 2], np.hypot(axes[:, 0], axes[:, 1])))
    return yaw * 3600.0, upward * 3600.0


def get_calalign_offsets(
    all_matches: Table,
    ref_calalign: str | None = None,
    calalign_dir: str | Path | None = None,
) -> Table:
    """Offsets of the alignment with which matches were made, and of a reference.

    Parameters
    ----------
    all_matches : Table
        Columns obsid, x_id, detector, time and caldb_version.
    ref_calalign : str, optional
        Version of CalDB of the reference; by default the newest.
    calalign_dir : path, optional
        As of `calalign_from_files`.

    Returns
    -------
    Table
        A row a match, in their order: obsid, x_id, calalign_dy, calalign_dz (arcsec),
        aca_misalign, fts_misalign, calalign_version, the same with ``ref_`` before the name,
        since, and after_caldb: whether the observation is later than the reference.

    Raises
    ------
    InputError
        If a column is missing, or there is no alignment for a match.
    """
    needed = ("obsid", "x_id", "detector", "time", "caldb_version")
    missing = [name for name in needed if name not in all_matches.colnames]
    if missing:
        raise InputError(f"The matches have no column {', '.join(missing)}.")
    calalign = calalign_from_files(calalign_dir)
    calalign.rename_columns(["dy", "dz", "caldb_version"], list(_COLUMNS[:2] + _COLUMNS[-1:]))
    versions = [_version(text) for text in calalign["calalign_version"]]
    reference = _LATEST if ref_calalign is None else _version(ref_calalign)
    used, referred = (
        _chosen(all_matches, calalign, versions, limits)
        for limits in (
            [_known(text) for text in all_matches["caldb_version"]],
            [reference] * len(all_matches),
        )
    )
    own, other = calalign[list(_COLUMNS)][used], calalign[[*_COLUMNS, "since"]][referred]
    other.rename_columns(list(_COLUMNS), [f"ref_{name}" for name in _COLUMNS])
    result = hstack(
        [Table(all_matches[["obsid", "x_id"]]), own, other], metadata_conflicts="silent"
    )
    result["after_caldb"] = np.asarray(other["since"] < Time(all_matches["time"]), bool)
    return result


def _chosen(
    matches: Table, calalign: Table, versions: list[tuple[int, ...]], limits: list[tuple[int, ...]]
) -> NDArray[np.intp]:
    """For each match the row of the newest alignment that is valid and within its limit."""
    # By version, then by start: the last that fits is the newest.
    order = sorted(range(len(calalign)), key=lambda row: (versions[row], calalign["start"][row].jd))
    ranked = sorted(set(versions))
    rank = np.array([ranked.index(versions[row]) for row in order], int)
    allowed = np.array([sum(version <= limit for version in ranked) for limit in limits], int)
    times = Time(matches["time"]).tt.jd
    start, stop = (calalign[name].tt.jd[order] for name in ("start", "stop"))
    detectors = np.asarray(calalign["detector"], str)[order]
    fits_match = (
        (detectors == np.asarray(matches["detector"], str)[:, None])
        & (start <= times[:, None])
        & (times[:, None] < stop)
        & (rank < allowed[:, None])
    )
    without = ~fits_match.any(axis=1)
    if without.any():
        first = matches[int(np.flatnonzero(without)[0])]
        raise InputError(
            f"There is no alignment for {first['detector']} of obsid {first['obsid']} with CalDB "
            f"{first['caldb_version']}; {without.sum()} of {len(matches)} matches have none."
        )
    last = fits_match.shape[1] - 1 - fits_match[:, ::-1].argmax(axis=1)
    return np.asarray(order, np.intp)[last] if order else np.zeros(0, np.intp)


def _version(text: Any) -> tuple[int, ...]:
    """Numbers of a version; that of a version newer than exod is later than all."""
    return tuple(int(part) for part in re.findall(r"\d+", str(text))) or _LATEST


def _known(text: Any) -> tuple[int, ...]:
    """The same for a match, which has no alignment if its version is unknown."""
    return tuple(int(part) for part in re.findall(r"\d+", str(text)))


def read_applied_alignments(path: Path) -> dict[str, Any]:
    """Alignments with which an observation was processed, of its file of type acal.

    Returns
    -------
    dict
        aca_align, aca_misalign and fts_misalign as lists, and caldb_version.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            rows, header = hdus[1].data, hdus[1].header
            alignments = {name: np.asarray(rows[name]).tolist() for name in _APPLIED}
            return alignments | {"caldb_version": str(header["CALDBVER"]).strip()}
    except (OSError, EOFError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read as alignments ({error}).") from error


def _rows(path: Path) -> list[dict[str, Any]]:
    found = _NAME.search(path.name)
    if found is None:
        raise InputError(
            f"{path} is not named as an alignment file (pcadD2001-01-01alignN0008.fits)."
        )
    version = found[2]
    caldb, since = RELEASES.get(version, _UNRELEASED)
    if version < min(RELEASES):
        caldb = "0.0"
    try:
        with fits.open(path) as hdus:
            header, data = hdus[1].header, hdus[1].data
            return [
                {
                    "start": _time(header.get("CVSD0001", _OPEN_END)),
                    "stop": _time(header.get("CVED0001", _OPEN_END)),
                    "detector": str(row["INSTR_ID"]).strip(),
                    "date": _time(found[1]),
                    "version": version,
                    "caldb_version": caldb,
                    "since": _time(since),
                    "aca_misalign": np.array(row["ACA_MISALIGN"], float).reshape(3, 3),
                    "fts_misalign": np.array(row["FTS_MISALIGN"], float).reshape(3, 3),
                }
                for row in data
            ]
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an alignment file ({error}).") from error


def _time(text: str) -> Time:
    """A time of UTC, in TT: years for which nobody knows the leap seconds are taken as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)
        return Time(text, scale="utc").tt
