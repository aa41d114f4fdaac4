"""Partition: the regions in and around a part of the sky -> its sources, with their identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive.derived import DerivedFile
from exod.archive.increments import write_part
from exod.archive.ledger.entry import StoredFile
from exod.archive.parquet import read_file, to_pandas
from exod.archive.store import Store
from exod.schemas.columns import Table
from exod.schemas.derived import FOOTPRINTS, LINEAGE, MEMBERS, UNIQUE
from exod.sky.healpix import DEEPEST, Partition, Pixels, is_among, sky_pixels, with_margin
from exod.sources.assembly import Field, Sky, sources_of
from exod.sources.footprints import Footprint, unpacked
from exod.stages.derive.cluster.gather import CARRIED, COVERED, footprint_of, read_gathered

DRAFTS = {
    table.name: Table(f"draft_{table.name}", table.description, table.columns, table.sort_by)
    for table in (UNIQUE, MEMBERS, LINEAGE)
}
"""Tables whose new sources have no number yet: -1, -2 and so on stand for the first, second."""


@dataclass(frozen=True)
class Work:
    """A partition to compute, and the files that it needs.

    Attributes
    ----------
    partition : Partition
        Part of the sky whose sources are wanted.
    order : int
        Order of the pixels that make the margin.
    regions, footprints : tuple of StoredFile
        Gathered files.
    earlier : tuple of DerivedFile
        Files of the earlier version in and around the partition.
    covering : tuple of str
        Observations that may cover something of it.
    changed : frozenset of str, optional
        Observations whose earlier rows do not count; None if no earlier row does, except to tell
        which source is which.
    redone : frozenset of str
        Those of them that the earlier version had.
    adopted : DataFrame, optional
        Sources of another catalogue in and around the partition whose names are taken over.
    """

    partition: Partition
    order: int
    regions: tuple[StoredFile, ...]
    footprints: tuple[StoredFile, ...]
    earlier: tuple[DerivedFile, ...]
    covering: tuple[str, ...]
    changed: frozenset[str] | None
    redone: frozenset[str] = frozenset()
    adopted: pd.DataFrame | None = None

    @cached_property
    def cover(self) -> Pixels:
        """Pixels of the partition and its margin, sorted."""
        return with_margin(self.partition, self.order)


@dataclass(frozen=True)
class Draft:
    """What a partition became: draft files, files, and numbers of sources and changes."""

    partition: Partition
    drafts: tuple[DerivedFile, ...]
    files: tuple[DerivedFile, ...]
    n_new: int
    changes: Mapping[str, int]
    n_divided: int


def compute(work: Work, store: Store, folder: str, sky: Sky) -> Draft:
    """Find the sources of a partition and write them, with numbers to come for the new ones."""
    earlier = {name: _earlier(work, store, table) for name, table in _SOUGHT.items()}
    members = earlier[MEMBERS.name]
    kept = members[:0] if work.changed is None else members[~members["obsid"].isin(work.changed)]
    new = [to_pandas(read_gathered(store, file, work.cover)) for file in work.regions]
    regions = pd.concat([kept[list(CARRIED)], *(rows[list(CARRIED)] for rows in new)])
    footprints = _footprints(work, store)
    field = Field(
        regions=regions.sort_values("detid", ignore_index=True),
        earlier_sources=earlier[UNIQUE.name],
        earlier_members=members,
        lineage=earlier[LINEAGE.name],
        footprints=[_footprint(row) for row in footprints.to_pylist()],
        observations=footprints["obsid"].to_pylist(),
        redone=work.redone,
        adopted=work.adopted,
    )
    span = work.partition.span(work.order)
    found = sources_of(field, sky, work.order, span)
    name = work.partition.name
    drafts = [
        write_part(store, folder, DRAFTS[table], rows, name)
        for table, rows in found.tables.items()
        if len(rows)
    ]
    files = [write_part(store, folder, FOOTPRINTS, footprints, name)] if len(footprints) else []
    return Draft(
        work.partition, tuple(drafts), tuple(files), found.n_new, found.changes, found.n_divided
    )


_SOUGHT = {table.name: table for table in (UNIQUE, MEMBERS, LINEAGE)}


def _earlier(work: Work, store: Store, table: Table) -> pd.DataFrame:
    """Rows of the earlier version in the partition and its margin."""
    files = [file for file in work.earlier if file.table == table.name]
    rows = pa.concat_tables(
        [table.schema.empty_table(), *(read_file(store, file.stored, table) for file in files)]
    )
    frame = to_pandas(rows)
    if not len(frame):
        return frame
    pixels = sky_pixels(frame["ra_deg"], frame["dec_deg"], work.order)
    return frame[is_among(pixels, work.cover)].reset_index(drop=True)


def _footprints(work: Work, store: Store) -> pa.Table:
    """Footprints of the observations that may cover something of the partition."""
    wanted = set(work.covering)
    parts = [FOOTPRINTS.schema.empty_table()]
    if work.changed is not None:
        kept = wanted - work.changed
        files = [
            file for file in work.earlier if file.table == FOOTPRINTS.name and _covers(file, work)
        ]
        same = [[("obsid", "in", sorted(kept))]]
        parts += [read_file(store, file.stored, FOOTPRINTS, rows=same) for file in files if kept]
        wanted &= work.changed
    for file in work.footprints:
        rows = [[("obsid", "in", sorted(wanted))]]
        parts.append(read_file(store, file, COVERED, rows=rows))
    return pa.concat_tables([part.cast(FOOTPRINTS.schema) for part in parts]).combine_chunks()


def _covers(file: DerivedFile, work: Work) -> bool:
    """Whether a file is of this partition or one that it is a part of, not of a neighbour."""
    first, last = Partition.parse(file.part).span(DEEPEST)
    own = work.partition.span(DEEPEST)
    return first <= own[0] and own[1] <= last


def _footprint(row: dict[str, object]) -> Footprint:
    shape = (int(row["y_hi"]) - int(row["y_lo"]), int(row["x_hi"]) - int(row["x_lo"]))  # type: ignore[call-overload]
    return footprint_of(row, unpacked(np.array(row["mask"], np.uint8), shape))


@dataclass(frozen=True)
class Numbered:
    """A draft, and the number of its first new source."""

    draft: Draft
    first: int


def number(item: Numbered, store: Store, folder: str) -> list[DerivedFile]:
    """Write the tables of a draft with the numbers of the new sources."""
    files = []
    for draft in item.draft.drafts:
        name = draft.table.removeprefix("draft_")
        table = _SOUGHT[name]
        rows = read_file(store, draft.stored, DRAFTS[name])
        column = rows.schema.get_field_index("region_num")
        given = rows[column].to_numpy()
        numbers = np.where(given < 0, item.first - 1 - given, given)
        rows = rows.set_column(column, table.schema.field(column), pa.array(numbers))
        files.append(write_part(store, folder, table, rows, draft.part))
    return [*files, *item.draft.files]
