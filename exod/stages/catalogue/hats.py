"""HATS of the catalogue: its tables and the light curves of the archive, a task a partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from exod.archive import Archive
from exod.archive.parquet import read_file
from exod.catalogue.checks import ReleaseCheck, hats_checks
from exod.catalogue.columns import LIGHT_CURVE, CatalogueTable
from exod.catalogue.hats import (
    INDEX,
    Collection,
    HatsPartition,
    Nested,
    Written,
    cut,
    plan_partitions,
    sorted_on_the_sky,
    write_partition,
)
from exod.catalogue.hatsfiles import finish
from exod.catalogue.nesting import nest
from exod.scheduler import Done
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import Plan
from exod.schemas import LIGHTCURVES

Rows = tuple[CatalogueTable, pa.Table]
"""A table of the catalogue and its rows."""

_CURVE = Nested("lightcurve", LIGHT_CURVE)


def write_hats(
    folder: Path, detected: Rows, unique: Rows, archive: Archive, plan: Plan
) -> Iterator[ReleaseCheck]:
    """Write the HATS catalogues of sources and of detections.

    Parameters
    ----------
    folder : Path
        Collection of the sources; that of the detections is within it.
    detected, unique : (CatalogueTable, pyarrow.Table)
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
    (detection_table, detections), (source_table, sources) = detected, unique
    lengths = dict(
        zip(detections["detid"].to_pylist(), detections["lc_length"].to_pylist(), strict=True)
    )
    parent = {"unique_reg_id", "srcid"}
    inner = Nested(
        "detections",
        tuple(column for column in detection_table.columns if column.name not in parent),
    )
    members = nest(
        detections, "unique_reg_id", sources["region_num"].combine_chunks(), inner.columns, "detid"
    )
    of_sources = Collection(folder, source_table, (inner, _CURVE))
    of_detections = Collection(folder / "detections", detection_table, (_CURVE,))
    for collection, key, rows in (
        (of_sources, "best_detid", sources.append_column(inner.name, members)),
        (of_detections, "detid", detections),
    ):
        on_sky = sorted_on_the_sky(rows)
        frames = np.array([lengths[detid] for detid in on_sky[key].to_pylist()], np.int64)
        index = on_sky[INDEX].to_numpy()
        parts = plan_partitions(collection, index, frames)
        task = partial(
            write_partition,
            nested=_CURVE,
            schema=collection.schema,
            read=partial(light_curves, archive=archive),
        )
        items = (cut(collection.folder, part, on_sky, key, frames) for part in parts)
        done = run_tasks(task, items, plan.fitting(len(parts)), n_items=len(parts), name=_name)
        finish(collection, [_result(one) for one in done], index)
        yield from hats_checks(collection.folder, collection.name, key, on_sky, lengths)


def light_curves(detids: Sequence[str], archive: Archive) -> pa.Table:
    """Read the light curves of detections, each observation once.

    Returns
    -------
    pyarrow.Table
        Columns detid and those of `exod.catalogue.columns.LIGHT_CURVE`, a row a frame.
    """
    wanted: dict[str, list[str]] = {}
    for detid in detids:
        wanted.setdefault(detid[:10], []).append(detid)
    columns = ["detid", *(column.name for column in LIGHT_CURVE)]
    found = [LIGHTCURVES.schema.empty_table().select(columns)]
    for obsid, ids in sorted(wanted.items()):
        entry = archive.entry(obsid)
        path = entry.path(LIGHTCURVES.name) if entry else None
        if path is not None:
            runids = sorted({detid.rpartition("_")[0] for detid in ids})
            rows = [[("runid", "in", runids), ("detid", "in", ids)]]
            found.append(read_file(archive.store, path, LIGHTCURVES, columns, rows))
    return pa.concat_tables(found)


def _name(partition: HatsPartition) -> str:
    return f"hats-{partition.catalogue.name}-{partition.order}-{partition.pixel}"


def _result(done: Done[HatsPartition, Written]) -> Written:
    if done.result is None:
        raise done.error or RuntimeError("a task of the HATS catalogue ended without a result")
    return done.result
