"""Tables imported once: partitions of the sky as Parquet files in the cache.

A table of any size becomes files of at most a million rows, each a HEALPix pixel, or a single file
if there are fewer rows in all. They are kept under the checksum of the table's content.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exod.archive.parquet import to_pandas
from exod.counterparts.cache import REMEDY, checksum
from exod.counterparts.partitions import Partitions
from exod.counterparts.registry import Catalogue
from exod.counterparts.standard import (
    DEC,
    PM_DEC,
    PM_RA,
    RA,
    ROW,
    conversions,
    standard,
    wanted,
    with_columns,
    with_positions,
)
from exod.errors import InputError, plural
from exod.files.whole import whole_folder
from exod.sky.healpix import (
    WHOLE_SKY,
    Partition,
    Pixels,
    located,
    occupied,
    refined,
    sky_pixels,
)
from exod.tablefiles.reading import ForeignTable, table_place

LIMIT: Final = 1_000_000
"""Rows of a partition."""
EVERYTHING: Final = Partition(-1, 0)
"""The partition of tables that are not divided."""

_ORDER: Final = 8
"""HEALPix order of the finest partitions, 14 arcmin."""
_SORTED: Final = 14
_LAYOUT: Final = 3
_MANIFEST: Final = "manifest.json"
_FILES: Final = 500
"""Partitions at most, since all are written at once."""


def import_table(
    path: str | Path, catalogue: Catalogue, cache: Path, limit: int = LIMIT
) -> Partitions:
    """Import a table, unless it was imported before.

    Parameters
    ----------
    path : path
        FITS, CSV, ECSV, VOTable or Parquet, and the table in it, as of `ForeignTable`.
    catalogue : Catalogue
        What to keep; if it declares no columns, all.
    cache : Path
        Where imported tables are kept.
    limit : int
        Rows of a partition at most, except in the finest pixels.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column, or has no positions that can be degrees.
    """
    file = ForeignTable(path, (catalogue.ra, catalogue.dec))
    full, notes = with_columns(with_positions(catalogue, file.columns), file.columns)
    if not catalogue.columns:
        # What a declaration does not ask for is not missed.
        notes = (*file.notes, *notes)
    content = f"{checksum(file.path)}{table_place(path)[1]}"
    key = sha256(f"{_LAYOUT} {limit} {content} {full.fingerprint}".encode()).hexdigest()[:24]
    folder = cache / "tables" / f"{catalogue.name}-{key}"
    if not (folder / _MANIFEST).is_file():
        with whole_folder(folder, error=InputError, remedy=REMEDY) as part:
            _import(file, full, part, limit, key)
    try:
        about = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is damaged; delete it, and it is made again.") from error
    pixels = [(int(order), int(pixel)) for order, pixel in about["pixels"]]
    read = lru_cache(maxsize=1)(partial(_read, folder))
    notes = (*notes, *about["notes"])
    return Partitions(full, about["fingerprint"], pixels, read, about["fastest"], notes)


def _read(folder: Path, pixel: tuple[int, int]) -> pd.DataFrame:
    """Rows of a partition, as `exod.counterparts.standard.standard` names them."""
    path = folder / _file_of(pixel)
    try:
        return to_pandas(pq.read_table(path))
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} is damaged ({error}); delete its folder, and it is made again."
        ) from error


def _import(file: ForeignTable, catalogue: Catalogue, folder: Path, limit: int, key: str) -> None:
    """Write all rows to one file, count them over the sky, and divide the file if it is large."""
    counts = np.zeros(12 * 4**_ORDER, np.int64)
    rows, fastest = 0, 0.0
    batches = CatalogueRows(file, catalogue)
    first = folder / _file_of(EVERYTHING)
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for found in batches:
            rows += len(found)
            fastest = max(fastest, _fastest(found))
            counts += np.bincount(_pixel(found, _ORDER), minlength=counts.size)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(first, found.schema))
            writer.write_table(found)
    if writer is None:
        raise InputError(f"{file.path} has no rows.")
    if rows == 0:
        raise InputError(f"{file.path} has no row with a position.")
    pixels = [EVERYTHING]
    if rows <= limit:
        _sort(first)
    else:
        some = np.flatnonzero(counts)
        whole = refined(WHOLE_SKY, some, counts[some], _ORDER, max(limit, rows // _FILES))
        pixels = sorted(occupied(whole, some, _ORDER))
        _split(first, folder, pixels)
        first.unlink()
        for pixel in pixels:
            _sort(folder / _file_of(pixel))
    about = {"fingerprint": key, "pixels": pixels, "fastest": fastest, "notes": batches.notes}
    (folder / _MANIFEST).write_text(json.dumps(about), encoding="utf-8")


class CatalogueRows:
    """The rows of a table with a position, as `standard` gives them, in batches.

    Parameters
    ----------
    file : ForeignTable
        The table.
    catalogue : Catalogue
        Which columns to keep.

    Attributes
    ----------
    notes : list of str
        What the user should know; complete when all batches were taken.

    Raises
    ------
    InputError
        If a column is missing or cannot be of its type.
    """

    def __init__(self, file: ForeignTable, catalogue: Catalogue) -> None:
        unit = {column.name: column.unit for column in file.columns}
        self._file, self._catalogue = file, catalogue
        self._which = wanted(catalogue, unit.keys(), str(file.path))
        self._factors, notes = conversions(self._which, catalogue, unit, str(file.path))
        self.notes = list(notes)

    def __iter__(self) -> Iterator[pa.Table]:
        names = list(dict.fromkeys(self._which.values()))
        texts = {column.name for column in self._catalogue.columns if column.type == "string"}
        as_text = {self._which[name] for name in texts & self._which.keys()}
        origin, start, kept = str(self._file.path), 0, 0
        for batch in self._file.batches(names, as_text=as_text):
            numbered = batch.append_column(ROW, pa.array(np.arange(start, start + len(batch))))
            start += len(batch)
            found = standard(numbered, self._which, self._catalogue, self._factors, origin)
            kept += len(found)
            yield found
        if start > kept:
            self.notes.append(
                f"{start - kept:,} of {plural(start, 'row')} are left out, since they have no "
                f"position."
            )


def _fastest(rows: pa.Table) -> float:
    if PM_RA not in rows.column_names:
        return 0.0
    motion = np.hypot(rows[PM_RA].to_numpy(), rows[PM_DEC].to_numpy())
    return float(np.nan_to_num(motion).max(initial=0.0))


def _split(first: Path, folder: Path, pixels: list[Partition]) -> None:
    """Write the rows of a file into one of each pixel; all rows are in some pixel."""
    starts = sorted(pixels, key=lambda pixel: pixel.span(_ORDER))
    with ExitStack() as stack, pq.ParquetFile(first) as source:
        writers: dict[int, pq.ParquetWriter] = {}
        for group in range(source.num_row_groups):
            rows = source.read_row_group(group)
            owners = located(starts, _pixel(rows, _ORDER), _ORDER)
            for number in np.unique(owners):
                if number not in writers:
                    path = folder / _file_of(starts[number])
                    writers[number] = stack.enter_context(pq.ParquetWriter(path, rows.schema))
                writers[number].write_table(rows.filter(pc.equal(pa.array(owners), number)))


def _sort(path: Path) -> None:
    """Rows in the order of the sky: trees of neighbours near in memory are twice as quick."""
    rows = pq.read_table(path)
    order = np.argsort(_pixel(rows, _SORTED), kind="stable")
    pq.write_table(rows.take(pa.array(order)), path)


def _pixel(rows: pa.Table, order: int) -> Pixels:
    return sky_pixels(rows[RA].to_numpy(), rows[DEC].to_numpy(), order)


def _file_of(pixel: tuple[int, int]) -> str:
    return "all.parquet" if pixel == EVERYTHING else f"order{pixel[0]}-pixel{pixel[1]}.parquet"
