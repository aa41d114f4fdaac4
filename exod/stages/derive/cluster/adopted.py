"""Adopted: names and numbers of another archive, a release or a table, to go on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive import open_archive
from exod.archive.parquet import to_pandas
from exod.catalogue.readme import is_release
from exod.errors import ArchiveError, InputError, plural
from exod.sky.sphere import is_position
from exod.tablefiles.reading import ForeignTable, table_place

_NEEDED = ("srcid", "ra_deg", "dec_deg")
_NUMBER = "region_num"
_SOUGHT = (*_NEEDED, _NUMBER)
_LARGEST: Final = 2**53
"""Numbers up to this one are exact in every program and leave room for those that follow."""

_LONGEST: Final = 100
"""Characters of a name, four times those of a name of exod."""


@dataclass(frozen=True)
class Adopted:
    """Sources whose names, and numbers where nothing has one yet, are taken over.

    Attributes
    ----------
    rows : DataFrame
        region_num, srcid, ra_deg, dec_deg; number -1 where it does not count.
    next_number : int
        The first number that none of them had.
    """

    rows: pd.DataFrame
    next_number: int

    @property
    def names_only(self) -> Adopted:
        """The same without the numbers."""
        return replace(self, rows=self.rows.assign(region_num=np.int64(-1)), next_number=0)


def read_adopted(place: str | Path, storage: Mapping[str, Any] | None = None) -> Adopted:
    """Read the sources of an archive, of the folder of a release, or of a file with a table.

    Parameters
    ----------
    place : path
        An archive whose regions were clustered; a folder that `exod catalogue` wrote, or its
        folder of HATS catalogues alone; or a HATS catalogue, a FITS, Parquet, CSV or VOTable file
        with the columns srcid, ra_deg, dec_deg and, if numbers are to stay too, region_num.
    storage : dict, optional
        Options of the file system of an archive.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or has a name or number twice, or a source
        without a position.
    ArchiveError
        If there is no such archive, or it has no sources.
    """
    path, _ = table_place(place)
    if is_release(path):
        files = [path / f"sources{end}" for end in (".parquet", ".fits")]
        # Who keeps one of the forms of a release has all that is needed.
        own = [file for file in files if file.exists()][:1] or _hats_partitions(path) or files[:1]
        return _of_tables(path, [ForeignTable(file) for file in own])
    if path.is_file():
        return _of_tables(path, [ForeignTable(place, [[name] for name in _NEEDED])])
    if partitions := _hats_partitions(path):
        return _of_tables(path, [ForeignTable(file) for file in partitions])
    archive = open_archive(str(place), storage)
    found = archive.derived("unique")
    if found is None:
        raise ArchiveError(
            f"The archive {archive.root} has no sources whose names could be taken over; run "
            f"`exod cluster {archive.root}` first."
        )
    rows = archive.unique[[_NUMBER, *_NEEDED]].compute()
    return Adopted(rows.reset_index(drop=True), int(str(found.summary["next_region_num"])))


def _hats_partitions(path: Path) -> list[Path]:
    """The files of a HATS catalogue of sources, which may be the one in the folder of a release.

    They are Parquet files as others, by pixels of the sky.
    """
    folders = (path, path / "sources", path / "hats" / "sources")
    catalogues = [folder for folder in folders if _is_hats(folder)]
    return sorted(catalogues[0].glob("dataset/Norder=*/Dir=*/Npix=*.parquet")) if catalogues else []


def _is_hats(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("hats.properties", "properties"))


def _of_tables(place: Path, tables: Sequence[ForeignTable]) -> Adopted:
    """Of tables that have the same columns."""
    # Of columns that differ in case alone the exact name counts, which is the last in this order.
    columns = sorted(
        (column.name for column in tables[0].columns), key=lambda name: name in _SOUGHT
    )
    there = {name.strip().lower(): name for name in columns}
    lacking = [name for name in _NEEDED if name not in there]
    if lacking:
        raise InputError(
            f"{place} has no column {', '.join(lacking)}; names are taken over from a table "
            f"with srcid, ra_deg, dec_deg and, for numbers, region_num."
        )
    names = [name for name in _SOUGHT if name in there]
    own = [there[name] for name in names]
    parts = [part for table in tables for part in table.batches(own, as_text=[there["srcid"]])]
    frame = to_pandas(pa.concat_tables(parts)) if parts else pd.DataFrame(columns=names)
    frame = frame.set_axis(names, axis=1)
    try:
        rows = pd.DataFrame(
            {
                "srcid": frame["srcid"].fillna("").astype(str).str.strip().astype(object),
                "ra_deg": frame["ra_deg"].astype(float) % 360.0,
                "dec_deg": frame["dec_deg"].astype(float),
            }
        )
        numbers = frame[_NUMBER] if _NUMBER in frame else pd.Series(np.arange(len(rows)))
        if not (numbers.astype(float) % 1 == 0).all():
            raise ValueError("region_num is a whole number")
        numbers = numbers.astype("int64")
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{place} has a position or a number that is none ({error}); each source needs them."
        ) from error
    rows.insert(0, _NUMBER, np.asarray(numbers, np.int64))
    _check(rows, place)
    return Adopted(rows, int(rows[_NUMBER].max()) + 1 if len(rows) else 0)


def _check(rows: pd.DataFrame, path: Path) -> None:
    for name in ("srcid", _NUMBER):
        twice = rows.loc[rows[name].duplicated(), name]
        if len(twice):
            raise InputError(
                f"{path} has the {name} {twice.iloc[0]} twice; each source needs its own."
            )
    wrong = ~is_position(rows["ra_deg"], rows["dec_deg"])
    wrong |= ~rows["srcid"].map(_is_name).to_numpy(bool)
    wrong |= ~rows[_NUMBER].between(0, _LARGEST).to_numpy()
    if wrong.any():
        raise InputError(
            f"{path} has {plural(int(wrong.sum()), 'source')} without a name (of one line and at "
            f"most {_LONGEST} characters), a position on the sky or a number from 0 to 2^53, the "
            f"first in row {int(np.flatnonzero(wrong)[0]) + 1}; leave them out."
        )


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable()
