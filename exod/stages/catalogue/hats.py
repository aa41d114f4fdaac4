"""HATS of the catalogue: its tables and the light curves of the archive, a task a partition."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive import Archive
from exod.archive.parquet import read_file, row_groups
from exod.archive.questions.comparing import comparing
from exod.catalogue.checks import ReleaseCheck, hats_checks
from exod.catalogue.columns import LIGHT_CURVE, CatalogueTable
from exod.catalogue.hats import (
    INDEX,
    Collection,
    HatsPartition,
    Nested,
    Taker,
    cut,
    plan_partitions,
    spatial_index,
    write_partition,
)
from exod.catalogue.hatsfiles import finish
from exod.catalogue.nesting import nest
from exod.catalogue.skyrows import SkyRows, sort_rows, spread
from exod.observation.identifiers import obsid_of_row
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import Plan
from exod.schemas import LIGHTCURVES

_CURVE = Nested("lightcurve", LIGHT_CURVE)


def write_hats(
    folder: Path, detected: CatalogueTable, unique: CatalogueTable, archive: Archive, plan: Plan
) -> Iterator[ReleaseCheck]:
    """Write the HATS catalogues of sources and of detections.

    The rows of both tables are read from the Parquet files beside the folder and put in order of
    the sky in files; in memory are a few numbers of each row, and the rows of the partitions that
    are written at a time.

    Parameters
    ----------
    folder : Path
        Collection of the sources; that of the detections is within it.
    detected, unique : CatalogueTable
        The two tables.
    archive : Archive
        Where the light curves are.
    plan : Plan
        Where and how partitions are written.

    Yields
    ------
    ReleaseCheck
        The checks of what was written.
    """

    def name(partition: HatsPartition) -> str:
        return f"hats-{partition.catalogue.name}-{partition.order}-{partition.pixel}"

    parent = {"unique_reg_id", "srcid"}
    own = tuple(column for column in detected.columns if column.name not in parent)
    inner = Nested("detections", own)
    of_sources = Collection(folder, unique, (inner, _CURVE))
    of_detections = Collection(folder / "detections", detected, (_CURVE,))
    files = {table.name: folder.with_name(f"{table.name}.parquet") for table in (detected, unique)}
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".sky-") as scratch:
        sources = _on_sky(files[unique.name], Path(scratch), "region_num")
        sources_with = _with_detections(sources, files[detected.name], Path(scratch), inner)
        detections = _on_sky(files[detected.name], Path(scratch), "detid")
        for collection, key, rows, take in (
            (of_sources, "best_detid", sources, sources_with),
            (of_detections, "detid", detections, detections.take),
        ):
            frames = _frames(rows, key, files[detected.name])
            parts = plan_partitions(collection, rows.place, frames)
            task = partial(
                write_partition,
                nested=_CURVE,
                schema=collection.schema,
                read=partial(light_curves, archive=archive),
            )
            items = (cut(collection.folder, part, take, key, frames) for part in parts)
            done = run_tasks(task, items, plan.fitting(len(parts)), n_items=len(parts), name=name)
            finish(collection, [one.value() for one in done], rows.place)
            own_file = files[collection.name]
            yield from hats_checks(
                collection.folder, collection.name, key, own_file, files[detected.name]
            )


def _on_sky(path: Path, scratch: Path, then: str) -> SkyRows:
    return sort_rows(path, scratch / path.name, INDEX, spatial_index, then)


def _with_detections(sources: SkyRows, detected: Path, scratch: Path, inner: Nested) -> Taker:
    """What takes sources with their detections, which are put in the order of their sources."""
    with pq.ParquetFile(sources.path) as file:
        batches = list(row_groups(file, ["region_num"]))
    numbers = np.concatenate(
        [np.empty(0, np.int64), *(b["region_num"].to_numpy() for b in batches)]
    )
    order = np.argsort(numbers)

    def place(batch: pa.RecordBatch) -> np.ndarray:
        found = np.searchsorted(numbers, batch["unique_reg_id"].to_numpy(), sorter=order)
        return np.asarray(order[found], np.int64)

    path = scratch / "members.parquet"
    members = sort_rows(detected, path, "#source", place, "detid")

    def take(rows: np.ndarray) -> pa.Table:
        own = sources.take(rows)
        ends = (np.searchsorted(members.place, rows, side) for side in ("left", "right"))
        keys = own["region_num"].combine_chunks()
        theirs = members.take(spread(*ends))
        nested = nest(theirs, "unique_reg_id", keys, inner.columns, "detid")
        return own.append_column(inner.name, nested)

    return take


def _frames(rows: SkyRows, key: str, detected: Path) -> np.ndarray:
    """How long the light curve of each row is."""
    with comparing(r=rows.path, d=detected) as connection:
        mine = connection.table("r").project(
            f'"{INDEX}" AS place, "{rows.then}" AS n, "{key}" AS id'
        )
        joined = mine.join(connection.table("d").project("detid, lc_length"), "id = detid")
        found = joined.order("place, n").project("lc_length").fetchnumpy()["lc_length"]
    return np.asarray(found, np.int64)


def light_curves(detids: Sequence[str], archive: Archive) -> pa.Table:
    """Read the light curves of detections, each observation once.

    Returns
    -------
    pyarrow.Table
        Columns detid and those of `exod.catalogue.columns.LIGHT_CURVE`, a row a frame.
    """
    wanted: dict[str, list[str]] = {}
    for detid in detids:
        wanted.setdefault(obsid_of_row(detid), []).append(detid)
    columns = ["detid", *(column.name for column in LIGHT_CURVE)]
    found = [LIGHTCURVES.schema.empty_table().select(columns)]
    for obsid, ids in sorted(wanted.items()):
        entry = archive.entry(obsid)
        file = entry.file(LIGHTCURVES.name) if entry else None
        runids = sorted({detid.rpartition("_")[0] for detid in ids})
        rows = [[("runid", "in", runids), ("detid", "in", ids)]]
        found.append(read_file(archive.store, file, LIGHTCURVES, columns, rows))
    return pa.concat_tables(found)
