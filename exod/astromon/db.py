"""Tables of astromon in a file: read, save, join, regions. See docs/astromon.md.

The file is HDF5, SQLite or a folder of Parquet files, as its suffix says. Changes are made whole or
not at all, and by one process at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table

from exod.astromon.filters import filter_matches
from exod.astromon.matches import stored_table, with_places
from exod.astromon.regions import (
    add_regions,
    get_regions,
    is_in_excluded_region,
    remove_regions,
    sync_regions,
    update_regions,
)
from exod.astromon.stored import connect, create_table, declared, edited, get_table, lazy, save
from exod.astromon.tables import DTYPES, as_rows, empty
from exod.errors import InputError

__all__ = [
    "DTYPES",
    "add_regions",
    "connect",
    "create_table",
    "get_cross_matches",
    "get_regions",
    "get_table",
    "is_in_excluded_region",
    "lazy",
    "remove_regions",
    "save",
    "save_cross_matches",
    "sync_regions",
    "update_regions",
]


def get_cross_matches(name: str = "astromon_21", dbfile: Any = None, **kwargs: Any) -> Table:
    """Matches that are stored, with the columns of what they match.

    Parameters
    ----------
    name : str
        Of the selection, for instance one of `exod.astromon.cross_match.CROSS_MATCHES`.
    dbfile : path or open file, optional
        The file; by default that of the environment.
    **kwargs
        Filters, of `exod.astromon.cross_match.filter_matches`.

    Returns
    -------
    Table
        A row for each match, by obsid and source, with an index on obsid; columns of
        astromon_xcorr, astromon_obs, category, columns of the counterpart (c_) and of the source
        (x_), time (UTC), c_loc, x_loc. Without rows if none is stored or is left.

    Raises
    ------
    MissingTableException
        If the file lacks one of the tables.
    """
    stored = get_table("astromon_xcorr", dbfile)
    tables = (get_table(f"astromon_{part}", dbfile) for part in ("obs", "xray_src", "cat_src"))
    matches = with_places(stored_table(stored[stored["select_name"] == name], *tables))
    if kwargs:
        matches = matches[filter_matches(matches, dbfile=dbfile, **kwargs)]
    matches.add_index("obsid")
    return matches


def save_cross_matches(matches: Table, name: str, dbfile: Any = None) -> None:
    """Store matches in the place of all that are stored under the name of their selection.

    Parameters
    ----------
    matches : Table
        Of `exod.astromon.cross_match.compute_cross_matches`.
    name : str
        Of the selection, up to 14 letters: what select_name is in the file.
    dbfile : path or open file, optional
        The file; by default that of the environment.

    Raises
    ------
    InputError
        If a column is missing, or the name is too long.
    """
    rows = as_rows("astromon_xcorr", matches)
    rows["select_name"] = name.encode()
    if (rows["select_name"] != name.encode()).any():
        raise InputError(f"{name!r} is too long for select_name, which has 14 letters.")
    with edited(dbfile) as storage:
        there = "astromon_xcorr" in storage.names()
        old = storage.read("astromon_xcorr") if there else empty("astromon_xcorr")
        others = declared("astromon_xcorr", old)
        others = others[others["select_name"] != name.encode()]
        storage.write({"astromon_xcorr": np.concatenate([others, rows])})
