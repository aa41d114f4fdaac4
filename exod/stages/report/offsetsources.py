"""Offsets from the sky in one form, of tables of Chandra and of archives of XMM-Newton."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from astropy.table import Table
from astropy.time import Time

from exod.archive import Archive, open_archive
from exod.astromon import cross_match, db
from exod.astromon.forms.storage import HDF5_SUFFIXES, SQLITE_SUFFIXES
from exod.astromon.utils import MissingTableException
from exod.catalogue.report.offsets.offsetnumbers import Wording
from exod.errors import InputError, plural
from exod.tablefiles.reading import ForeignTable

SELECTION: Final = "astromon_21"
"""Standard selection whose matches are watched."""

SIM_Z_MM: Final = 4.0
"""How far a detector may be from its nominal place."""

EXCLUDED_CATEGORIES: Final = (
    "Solar System and Misc",
    "SN, SNR, and Isolated NS",
    "Clusters of Galaxies",
)
"""Observations of extended sources and of what moves, whose matches are often wrong."""

NO_CALDB: Final = "0.0"
"""What is in the place of a version of CalDB that is not known."""

MATCHED: Final = 0.5
"""Least probability of a pair of XMM-Newton that is taken, where it has one."""

_ALIGNMENT: Final = ("calalign_dy", "calalign_dz", "ref_calalign_dy", "ref_calalign_dz")
_CHANDRA_TABLES: Final = ("astromon_obs", "astromon_xcorr", "astromon_xray_src")


def read_offsets(
    source: str,
    *,
    snr: float = 3.0,
    calalign: Path | None = None,
    temperatures: Path | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> tuple[pd.DataFrame, Wording]:
    """Offsets of a file of Chandra tables or of an archive.

    Parameters
    ----------
    source : str
        File or folder of tables of astromon, or an archive with the product frames.
    snr : float
        Least signal to noise of the sources of Chandra.
    calalign : Path, optional
        Folder of alignment files of the aspect camera of Chandra.
    temperatures : Path, optional
        Table with columns obsid and temperature_c.
    storage_options : dict, optional
        Of the archive.

    Returns
    -------
    offsets : DataFrame
        Columns of `exod.catalogue.report.offsets.offsetnumbers.OPTIONAL` as far as they are known,
        and of `REQUIRED` there.
    words : Wording
        What they are.

    Raises
    ------
    InputError
        If the source or a table cannot be read.
    ArchiveError
        If the archive has no offsets.
    """
    if is_chandra(source):
        offsets, words = chandra_offsets(source, snr=snr, calalign=calalign)
    else:
        offsets, words = xmm_offsets(open_archive(source, storage_options))
    if temperatures is not None:
        offsets = offsets.merge(_temperatures(temperatures), on="obsid", how="left")
    return offsets, words


def is_chandra(source: str) -> bool:
    """Whether a file or folder holds tables of astromon, by its suffix or the files in it."""
    path = Path(source)
    if path.suffix.lower() in (*HDF5_SUFFIXES, *SQLITE_SUFFIXES):
        return True
    return path.is_dir() and any(item.name.startswith(_CHANDRA_TABLES) for item in path.iterdir())


def chandra_offsets(
    dbfile: Any = None,
    *,
    snr: float = 3.0,
    calalign: Path | None = None,
    weighted: bool = False,
) -> tuple[pd.DataFrame, Wording]:
    """Offsets of the standard matches, selected as on the pages of astromon.

    They are those that are stored; if none is, they are computed. Parameters and exceptions are
    those of `read_offsets`; `weighted` adds the weights of `exod.astromon.cross_match.with_errors`.
    """
    matches = _matches(dbfile)
    chosen = cross_match.filter_matches(
        matches,
        snr=snr,
        sim_z=SIM_Z_MM,
        exclude_bad_targets=True,
        exclude_categories=EXCLUDED_CATEGORIES,
        dbfile=dbfile,
    )
    chosen &= np.asarray(matches["caldb_version"]).astype(str) != NO_CALDB
    left = matches[chosen]
    correction = (
        "No alignment files were given, so that it is not known what offsets would be; give the "
        "folder of them with `--calalign`."
    )
    if len(left) and calalign is not None:
        left = _aligned(left, calalign)
    has_alignment = set(_ALIGNMENT) <= set(left.colnames)
    if has_alignment:
        correction = (
            "The alignment with which each observation was processed is taken back, and the "
            "newest one applied: dy minus its offset plus that of the newest, and dz likewise."
        )
    selection = (
        f"They are matches of {SELECTION} with a signal to noise of {snr:g} or more: those of "
        "targets with a known offset, of supernova remnants, clusters and the solar system, of "
        f"detectors more than {SIM_Z_MM:g} mm from their place and of unknown CalDB are left out "
        f"({plural(len(matches) - len(left), 'match').replace('matchs', 'matches')})."
    )
    frame = _chandra_frame(left, has_alignment=has_alignment)
    if weighted:
        frame["weight"] = np.asarray(cross_match.with_errors(left, dbfile)["weight"])
    words = Wording(selection, "As archived", "As if reprocessed", correction)
    return frame, words


def _matches(dbfile: Any) -> Table:
    """Stored matches of the selection; computed if there are none."""
    try:
        stored = db.get_cross_matches(SELECTION, dbfile=dbfile)
        if len(stored):
            return stored
    except MissingTableException as error:
        # Only the table of matches may be missing.
        if "astromon_xcorr" not in str(error).partition(" not in ")[0]:
            raise
    return cross_match.compute_cross_matches(SELECTION, dbfile=dbfile)


def _aligned(matches: Table, calalign: Path) -> Table:
    """Matches with the offsets of their alignments and of the newest."""
    from exod.astromon.utils import get_calalign_offsets

    offsets = get_calalign_offsets(matches, calalign_dir=calalign)
    aligned = Table(matches, copy=True)
    for name in _ALIGNMENT:
        aligned[name] = offsets[name]
    return aligned


def _chandra_frame(matches: Table, *, has_alignment: bool) -> pd.DataFrame:
    def numbers(name: str) -> Any:
        return np.ma.filled(np.ma.asarray(matches[name]).astype(float), np.nan)

    time = Time(matches["time"]) if len(matches) else None
    frame = pd.DataFrame(
        {
            "obsid": np.asarray(matches["obsid"]).astype(int).astype(str),
            "year": np.zeros(0) if time is None else np.asarray(time.decimalyear, float),
            "detector": np.asarray(matches["detector"]).astype(str),
            "dy": numbers("dy"),
            "dz": numbers("dz"),
            "roll_deg": numbers("roll"),
            "off_axis_arcmin": numbers("r_angle") / 60.0,
            "name": [
                f"{target}, {name.strip()}"
                for target, name in zip(
                    np.asarray(matches["target"]).astype(str),
                    np.asarray(matches["name"]).astype(str),
                    strict=True,
                )
            ],
        }
    )
    if has_alignment:
        for axis in ("dy", "dz"):
            change = numbers(f"calalign_{axis}") - numbers(f"ref_calalign_{axis}")
            frame[f"{axis}_new"] = frame[axis] - change
    return frame


def xmm_offsets(archive: Archive) -> tuple[pd.DataFrame, Wording]:
    """Offsets of the known sources of an archive, along the axes of the spacecraft.

    Raises
    ------
    ArchiveError
        If `exod rectify` was not run with a catalogue.
    """
    columns = [
        *("obsid", "instrument", "mjd", "dy_arcsec", "dz_arcsec", "dy_corr_arcsec"),
        *("dz_corr_arcsec", "p_match", "off_axis_arcmin"),
    ]
    pairs = archive.derived_table("frames", "offsets", columns=columns).compute()
    angles = archive.table("observations", columns=["obsid", "pa_pnt"]).compute()
    angles = angles.drop_duplicates("obsid").set_index("obsid")["pa_pnt"]
    doubtful = pairs["p_match"].to_numpy(float) < MATCHED
    kept = pairs[~doubtful]
    frame = pd.DataFrame(
        {
            "obsid": kept["obsid"].astype(str),
            "year": _decimal_years(kept["mjd"].to_numpy(float)),
            "detector": kept["instrument"].astype(str),
            "dy": kept["dy_arcsec"],
            "dz": kept["dz_arcsec"],
            "dy_new": kept["dy_corr_arcsec"],
            "dz_new": kept["dz_corr_arcsec"],
            "roll_deg": kept["obsid"].map(angles).astype(float),
            "off_axis_arcmin": kept["off_axis_arcmin"],
        }
    ).reset_index(drop=True)
    selection = (
        f"They are known point sources of {archive.root} and the nearest counterpart of each in "
        f"the catalogue of `exod rectify`; {plural(int(doubtful.sum()), 'pair')} with a "
        f"probability below {MATCHED:g} are left out. Some of the others are there by chance."
    )
    correction = (
        "Positions are those after the frame of the observation (of the pipeline or an own fit). "
        "Observations without a frame are as archived."
    )
    return frame, Wording(selection, "As archived", "After the frame", correction)


def _decimal_years(mjd: Any) -> Any:
    years = np.full(len(mjd), np.nan)
    known = np.isfinite(mjd)
    if known.any():
        years[known] = Time(mjd[known], format="mjd", scale="tt").decimalyear
    return years


def _temperatures(path: Path) -> pd.DataFrame:
    columns = ["obsid", "temperature_c"]
    table = ForeignTable(path)
    missing = [name for name in columns if name not in {column.name for column in table.columns}]
    if missing:
        raise InputError(
            f"{path} lacks column {', '.join(missing)}; a table of temperatures has obsid and "
            f"temperature_c."
        )
    batches = [batch.to_pandas() for batch in table.batches(columns, as_text=["obsid"])]
    rows = pd.concat([pd.DataFrame(columns=columns), *batches])
    rows["obsid"] = rows["obsid"].astype(str)
    given = rows["temperature_c"].replace("", None)
    rows["temperature_c"] = pd.to_numeric(given, errors="coerce")
    wrong = given[given.notna() & rows["temperature_c"].isna()]
    if len(wrong):
        raise InputError(f"{path} has {wrong.iloc[0]!r} in temperature_c, which is no number.")
    return rows.drop_duplicates("obsid")
