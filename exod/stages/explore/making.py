"""The product ``explorer``: the tables that its pages read, in order of the sky."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exod.archive import Archive, open_archive
from exod.archive.derived import EXPLORER, Derived, DerivedFile, derived_products
from exod.archive.increments import NewVersion, deriving
from exod.archive.parquet import row_groups, to_arrow
from exod.archive.questions.detections import detections
from exod.archive.snapshot import MATCHES, Snapshot
from exod.archive.store import Store, reported
from exod.catalogue.columns import sources
from exod.catalogue.rows import source_rows
from exod.catalogue.skyrows import sort_rows
from exod.errors import ArchiveError
from exod.scheduler.plan import Plan
from exod.schemas.columns import Table
from exod.schemas.explorer import COVERAGE, NEAR_PHOTONS, NEIGHBOURS, SIGNIFICANCES
from exod.stages.explore.coverage import coverage_rows
from exod.stages.explore.cutouts import CUTOUT_ROWS, cutout_rows
from exod.stages.explore.index import FLAG_NAMES, IndexTable, labels_of, sky_pixel
from exod.stages.explore.lightcurves import LIGHT_CURVE_ROWS, light_curve_rows
from exod.stages.explore.photons import (
    PHOTON_ROWS,
    PhotonsKept,
    covered_fields,
    gather_photons,
)
from exod.stages.explore.runs import PROGRESS, progress_rows
from exod.stages.explore.significances import significance_rows
from exod.stages.explore.similar import NEIGHBOUR_ROWS, SimilarCurves
from exod.stages.explore.whole import WHOLE, whole_rows

NEEDED: Final = ("unique", "features", "flags")
"""The products that it is made of, besides cross-matches."""

DETAIL_ROWS: Final = 4_096
INDEX_ROWS: Final = 122_880
"""Rows of a row group, of the tables that are read row by row, and of the index."""

_VERSION: Final = 9
"""Of what its files mean; with another one they are made anew."""

Chunks = Iterator[pa.Table]
Told = Callable[[str], None]


@dataclass(frozen=True)
class ExplorerMade:
    """What became of the product.

    Attributes
    ----------
    version : str
        The version that is current now.
    made : bool
        Whether it was made now; otherwise it was up to date.
    n_detections, n_sources, n_photons : int
        Rows.
    left_out : dict of str to str
        Observations whose photons it does not have, with the reason where it is known.
    """

    version: str
    made: bool
    n_detections: int
    n_sources: int
    n_photons: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)


def make_explorer(
    archive: Archive | str,
    *,
    photons: str | None = None,
    force: bool = False,
    plan: Plan | None = None,
    on_step: Told = lambda _what: None,
) -> ExplorerMade:
    """Bring the product ``explorer`` of an archive up to date.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    photons : str, optional
        Folder or URL of event lists, whose photons near the sources are kept, or ``recorded``:
        where the search read them. By default as before.
    force : bool
        Whether it is made anew in any case.
    plan : Plan, optional
        How event lists are read; by default by all cores of this machine.
    on_step : callable
        Is told what is being made.

    Raises
    ------
    ArchiveError
        If sources, features or flags were not made yet, or something cannot be read or written.
    InputError
        If there are no event lists in the folder.
    """
    archive = open_archive(archive)
    parts = parts_of(archive)
    earlier = archive.derived(EXPLORER)
    attempts = {entry.obsid: entry.attempt for entry in archive.entries()}
    kept = PhotonsKept.of(None if force else earlier, photons, attempts, parts["unique"])
    parameters = {"version": _VERSION, "parts": parts, "photons": kept.place}
    current = not force and earlier and earlier.is_made_with(parameters)
    if earlier and current and earlier.attempts == attempts and kept.is_complete:
        return _made(earlier, kept.left_out, made=False)
    snapshot = Snapshot(archive)
    matches = [name.removeprefix("xmatch-") for name in parts if name.startswith("xmatch-")]
    with deriving(archive.store, EXPLORER, ()) as new:
        new.parameters, new.attempts = parameters, attempts
        with tempfile.TemporaryDirectory(prefix="exod-explorer-") as folder:
            writer = _Writer(archive.store, new, Path(folder), on_step)
            writer.write(*_detections(snapshot, matches), "detid")
            writer.write(*_sources(snapshot, matches), "region_num")
            table, curves = light_curve_rows(snapshot)
            similar = SimilarCurves(snapshot)
            writer.write_plain(table, similar.watched(curves), LIGHT_CURVE_ROWS)
            writer.write_exact(NEIGHBOURS, similar.rows(), NEIGHBOUR_ROWS)
            coverage = coverage_rows(snapshot)
            rows = to_arrow(COVERAGE, coverage, COVERAGE.name)
            writer.write_plain(COVERAGE, iter([rows]), DETAIL_ROWS)
            writer.write_plain(*cutout_rows(snapshot), CUTOUT_ROWS)
            writer.write_plain(PROGRESS, progress_rows(archive), DETAIL_ROWS)
            history = significance_rows(snapshot, earlier)
            rows = to_arrow(SIGNIFICANCES, history, SIGNIFICANCES.name)
            writer.write_plain(SIGNIFICANCES, iter([rows]), INDEX_ROWS)
            for name in WHOLE:
                writer.write_plain(*whole_rows(snapshot, name), DETAIL_ROWS)
            if kept.is_complete:
                new.files += kept.files
            else:
                fields = covered_fields(snapshot, coverage)
                scratch = Path(folder, "photons-read.parquet")
                near = gather_photons(archive, fields, kept.place, scratch, plan or Plan(), on_step)
                kept = replace(kept, left_out=near.left_out)
                if near.rows:
                    on_step("Sorting photons")
                    writer.write_exact(NEAR_PHOTONS, near.chunks(), PHOTON_ROWS)
        new.summary = {
            "tables": writer.described,
            "catalogues": matches,
            "photons": kept.summary,
        }
    made = archive.derived(EXPLORER)
    if made is None:
        raise ArchiveError(f"The product {EXPLORER} of {archive.root} was removed meanwhile.")
    return _made(made, kept.left_out, made=True)


def parts_of(archive: Archive) -> dict[str, str]:
    """The versions of the products that the explorer shows.

    Raises
    ------
    ArchiveError
        If one that it needs was not made yet.
    """
    wanted = [
        *NEEDED,
        *(name for name in derived_products(archive.store) if name.startswith("xmatch-")),
    ]
    found = {}
    for name in wanted:
        pointer = archive.derived(name)
        if pointer is None:
            command = {"unique": "cluster"}.get(name, name)
            raise ArchiveError(
                f"The archive {archive.root} has no {name} yet, which its pages show; run "
                f"`exod {command} {archive.root}`."
            )
        found[name] = pointer.version
    return found


def _made(pointer: Derived, left_out: Mapping[str, str], *, made: bool) -> ExplorerMade:
    rows = {file.table: file.rows for file in pointer.files}
    return ExplorerMade(
        pointer.version,
        made,
        rows["detections"],
        rows["sources"],
        rows.get(NEAR_PHOTONS.name, 0),
        left_out,
    )


def _detections(snapshot: Snapshot, matches: Sequence[str]) -> tuple[Table, Chunks]:
    rows = detections(snapshot)
    for name in matches:
        rows.add_matches(f"{MATCHES}{name}")
    table = Table("detections", "Regions with their source", tuple(rows.columns.values()), ())
    return table, rows.selected(table).chunks()


def _sources(snapshot: Snapshot, matches: Sequence[str]) -> tuple[Table, Chunks]:
    table = sources({name: snapshot.table(f"{MATCHES}{name}") for name in matches})
    return table, source_rows(snapshot, table, matches)


class _Writer:
    """Writes a table and its index in order of the sky.

    Attributes
    ----------
    described : dict
        What a reader is told of the tables that were written.
    """

    def __init__(self, store: Store, new: NewVersion, scratch: Path, on_step: Told) -> None:
        self._store, self._new, self._scratch, self._on_step = store, new, scratch, on_step
        self.described: dict[str, Any] = {}

    def write(self, table: Table, chunks: Chunks, then: str) -> None:
        """Write the rows to files ``<table>`` and ``<table>_index``, sorted by place and `then`."""
        self._on_step(f"Reading {table.name}")
        table = as_shown(table)
        source = self._scratch / f"{table.name}-read.parquet"
        first = next(chunks)
        with pq.ParquetWriter(source, table.schema, compression="zstd") as sink:

            def kept() -> Chunks:
                for chunk in chain([first], chunks):
                    rows = without_nan(chunk, table)
                    sink.write_table(rows)
                    yield rows

            labels = labels_of(table, kept())
        self._on_step(f"Sorting {table.name}")
        target = self._scratch / f"{table.name}-sorted.parquet"
        sort_rows(source, target, "#pixel", sky_pixel, ["ra_deg", "dec_deg"], then)
        index = IndexTable.of(table, labels)
        self._on_step(f"Writing {table.name}")
        self._write_files(table, index, target)
        self.described[table.name] = {
            "key": then,
            "facets": [index.described(facet) for facet, _ in index.facets],
            "flags": list(FLAG_NAMES),
            "sortable": list(index.numbers),
            "columns": [
                {"name": c.name, "type": str(c.type), "unit": c.unit, "description": c.description}
                for c in table.columns
            ],
        }

    def write_plain(self, table: Table, chunks: Chunks, group_rows: int) -> None:
        """Write rows to a file as they are, with null for NaN."""
        self._on_step(f"Writing {table.name}")
        table = as_shown(table)
        parts = (without_nan(chunk, table) for chunk in chunks)
        self._file(table.name, table.schema, parts, group_rows)

    def write_exact(self, table: Table, chunks: Chunks, group_rows: int) -> None:
        """Write rows in which nothing is missing, so that browsers read them as typed arrays."""
        self._on_step(f"Writing {table.name}")
        self._file(table.name, table.schema, chunks, group_rows)

    def _write_files(self, table: Table, index: IndexTable, path: Path) -> None:
        with pq.ParquetFile(path) as file:

            def parts() -> Iterator[tuple[pa.Table, np.ndarray]]:
                for batch in row_groups(file):
                    rows = pa.Table.from_batches([batch])
                    yield rows.drop_columns("#pixel"), rows["#pixel"].to_numpy()

            detail = (rows for rows, _ in parts())
            self._file(table.name, table.schema, detail, DETAIL_ROWS)
            own = (index.rows(rows, pixel) for rows, pixel in parts())
            self._file(f"{table.name}_index", index.schema, own, INDEX_ROWS)

    def _file(self, name: str, schema: pa.Schema, parts: Chunks, group_rows: int) -> None:
        path = f"{self._new.folder}/{name}-all.parquet"
        rows = 0
        with (
            reported(f"{self._store.path(path)} cannot be written"),
            self._store.writing(path) as sink,
            pq.ParquetWriter(sink, schema, compression="zstd", write_page_index=True) as file,
        ):
            for part in regrouped(parts, group_rows):
                rows += len(part)
                file.write_table(part, row_group_size=group_rows)
        seal = sink.seal()
        self._new.files.append(
            DerivedFile(
                path=path,
                table=name,
                part="all",
                rows=rows,
                bytes=seal.size,
                sha256=seal.sha256,
                blocks=seal.blocks,
            )
        )


def as_shown(table: Table) -> Table:
    """The table as the explorer has it: a missing number is null."""
    columns = tuple(replace(column, nullable=True, dates="") for column in table.columns)
    return Table(table.name, table.description, columns, ())


def without_nan(rows: pa.Table, table: Table) -> pa.Table:
    """The rows with null for NaN."""
    columns = []
    for own in table.schema:
        values = rows[own.name]
        if pa.types.is_floating(own.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        columns.append(values.cast(own.type))
    return pa.Table.from_arrays(columns, schema=table.schema)


def regrouped(parts: Chunks, size: int) -> Chunks:
    """The same rows, `size` at a time.

    Examples
    --------
    >>> parts = (pa.table({"n": [k, k + 1, k + 2]}) for k in (0, 3, 6))
    >>> [len(part) for part in regrouped(parts, 4)]
    [4, 4, 1]
    """
    waiting: list[pa.Table] = []
    rows = 0
    for part in parts:
        waiting.append(part)
        rows += len(part)
        if rows >= size:
            whole = pa.concat_tables(waiting)
            full = rows - rows % size
            for start in range(0, full, size):
                yield whole.slice(start, size)
            waiting, rows = [whole.slice(full)], rows - full
    if rows:
        yield pa.concat_tables(waiting)
