"""Checks of a catalogue before it is released; each says what is wrong in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exod.archive.parquet import row_groups
from exod.archive.questions.comparing import comparing
from exod.catalogue.columns import CatalogueTable
from exod.catalogue.hats import using_lsdb
from exod.catalogue.rows import match_problem
from exod.errors import ArchiveError
from exod.tablefiles.fits import fits_problem


@dataclass(frozen=True)
class ReleaseCheck:
    """A check: what must hold, and what is wrong; empty if it holds."""

    what: str
    problem: str


_VIEWS: Final = {"d": "detections", "s": "sources"}
_WRONG: Final = {
    "Every detid is there once": "SELECT detid FROM d GROUP BY detid HAVING count(*) > 1",
    "Every region_num is there once": (
        "SELECT region_num FROM s GROUP BY region_num HAVING count(*) > 1"
    ),
    "Every srcid is there once": "SELECT srcid FROM s GROUP BY srcid HAVING count(*) > 1",
    "Every detection has a source of the table of sources": (
        "SELECT detid FROM d ANTI JOIN s ON d.unique_reg_id = s.region_num"
    ),
    "Every detection has the name of its source": (
        "SELECT detid FROM d JOIN s ON d.unique_reg_id = s.region_num WHERE d.srcid <> s.srcid"
    ),
    "n_detections of every source adds up": (
        "SELECT srcid FROM s LEFT JOIN (SELECT unique_reg_id, count(*) AS n FROM d GROUP BY ALL) "
        "ON unique_reg_id = region_num WHERE coalesce(n, 0) <> n_detections"
    ),
    "best_detid of every source is one of its detections": (
        "SELECT s.srcid FROM s LEFT JOIN d ON d.detid = s.best_detid "
        "WHERE d.unique_reg_id IS DISTINCT FROM s.region_num"
    ),
    "Every detection has a position on the sky": (
        "SELECT detid FROM d "
        "WHERE NOT (ra_deg >= 0 AND ra_deg < 360 AND dec_deg BETWEEN -90 AND 90)"
    ),
    "Every source has a position on the sky": (
        "SELECT srcid FROM s "
        "WHERE NOT (ra_deg >= 0 AND ra_deg < 360 AND dec_deg BETWEEN -90 AND 90)"
    ),
}
"""What must hold of the detections d and the sources s, and what selects the rows it does not."""


def table_checks(folder: Path, matches: Mapping[str, np.ndarray]) -> Iterator[ReleaseCheck]:
    """Check the rows of the two tables against each other.

    Parameters
    ----------
    folder : Path
        Where ``detections.parquet`` and ``sources.parquet`` are.
    matches : dict of str to int64 array
        The sources that each cross-match has.
    """
    tables = {view: folder / f"{name}.parquet" for view, name in _VIEWS.items()}
    with comparing(**tables) as connection:
        for what, wrong in _WRONG.items():
            yield _none(what, connection.sql(wrong))
        numbers = connection.sql("SELECT region_num FROM s").fetchnumpy()["region_num"]
    for name, matched in matches.items():
        problem = match_problem(matched, numbers)
        what = f"The cross-match with {name} has each source once at most, and no others"
        yield ReleaseCheck(what, f"it {problem}" if problem else "")


def file_checks(folder: Path, tables: Mapping[CatalogueTable, int]) -> Iterator[ReleaseCheck]:
    """Check the FITS and Parquet files by reading them again; all have so many rows."""
    for table, n_rows in tables.items():
        name = f"{table.name}.fits"
        problem = fits_problem(folder / name, table, n_rows)
        yield ReleaseCheck(
            f"{name} has valid checksums and all rows, columns and units",
            f"{name} {problem}" if problem else "",
        )
        name = f"{table.name}.parquet"
        problem = parquet_problem(folder / name, table, n_rows)
        yield ReleaseCheck(
            f"{name} has all rows and columns", f"{name} {problem}" if problem else ""
        )


def parquet_problem(path: Path, table: CatalogueTable, n_rows: int) -> str:
    """What is wrong with a Parquet file of the catalogue; empty if nothing is."""
    try:
        with pq.ParquetFile(path) as file:
            found, rows = file.schema_arrow, sum(map(len, row_groups(file)))
    except (OSError, pa.ArrowException) as error:
        return f"cannot be read again ({error})"
    if not found.equals(table.schema, check_metadata=True):
        return "has other columns than it should"
    return "" if rows == n_rows else f"has {rows} rows, not {n_rows}"


def hats_checks(
    folder: Path, name: str, key: str, rows: Path, detections: Path
) -> Iterator[ReleaseCheck]:
    """Check a HATS collection: valid, opened by LSDB, all rows, light curves as long as told.

    Parameters
    ----------
    folder : Path
        The collection.
    name : str
        Its catalogue.
    key : str
        Its column with the detid of a light curve.
    rows : Path
        Parquet file of the rows that it must have.
    detections : Path
        That of the detections, which tell the frames of the light curves.
    """
    from hats.io.validation import is_valid_collection

    valid = is_valid_collection(folder, strict=True)
    yield ReleaseCheck(
        f"The HATS catalogue of {name} is valid (hats, strict)",
        "" if valid else f"{folder.name} is not what hats expects",
    )
    n_rows = pq.read_metadata(rows).num_rows
    with using_lsdb() as lsdb:
        opened = lsdb.open_catalog(folder)
        problem = "" if len(opened) == n_rows else f"it has {len(opened)} rows, not {n_rows}"
        if opened.margin is None:
            problem = "it opens without its margin"
    yield ReleaseCheck(
        f"LSDB opens the HATS catalogue of {name} with all rows and its margin", problem
    )
    curves = pa.RecordBatchReader.from_batches(_CURVES, _curve_lengths(folder / name, key))
    with comparing(r=rows, d=detections) as connection:
        connection.from_arrow(curves).create("h")
        told = connection.table("r").project(f'"{key}" AS id')
        there = connection.table("h").project("id")
        wrong = told.except_(there).union(there.except_(told))
        # A set knows no row twice.
        same = not wrong.limit(1).fetchall() and len(there) == n_rows
        yield ReleaseCheck(
            f"Every row of {name} is in one partition of HATS",
            "" if same else "rows are missing, twice or others",
        )
        yield _none(
            f"Every light curve in the HATS catalogue of {name} has lc_length frames",
            connection.sql("SELECT id FROM h JOIN d ON d.detid = h.id WHERE d.lc_length <> n"),
        )


_CURVES: Final = pa.schema([("id", pa.string()), ("n", pa.int64())])


def _curve_lengths(folder: Path, key: str) -> Iterator[pa.RecordBatch]:
    """Identifiers and lengths of light curves, one row group after the other."""
    for path in sorted(folder.glob("dataset/Norder=*/Dir=*/*.parquet")):
        with pq.ParquetFile(path) as file:
            for rows in row_groups(file, [key, "lightcurve.bti"]):
                lists = pc.struct_field(rows["lightcurve"], "bti")
                lengths = pc.list_value_length(lists).cast(pa.int64())
                yield pa.RecordBatch.from_arrays([rows[key], lengths], schema=_CURVES)


def require(checks: Iterable[ReleaseCheck]) -> list[ReleaseCheck]:
    """The checks, if all hold.

    Raises
    ------
    ArchiveError
        If one does not.
    """
    found = list(checks)
    failed = [check for check in found if check.problem]
    if failed:
        told = "; ".join(f"{check.what}: {check.problem}" for check in failed)
        raise ArchiveError(
            f"The catalogue fails {len(failed)} of its checks and is not released ({told}); make "
            f"its products again."
        )
    return found


def _none(what: str, wrong: duckdb.DuckDBPyRelation) -> ReleaseCheck:
    """A check that holds if nothing is selected."""
    [(number, example)] = wrong.aggregate("count(*), min(columns(*))").fetchall()
    return ReleaseCheck(what, f"not for {number:,}, for instance {example}" if number else "")
