"""Event lists and source lists as Parquet files, written once and read again and again.

A file ``NAME.parquet`` stands for the pipeline product ``NAME``: the same content, sorted by time,
in row groups of about ten minutes, so that a range of times is read without the rest. A product
that cannot be searched (timing mode, another telescope) has a file without rows that says why.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from exod.errors import DownloadError, ExposureRejected, InputError
from exod.files.whole import whole_file
from exod.observation.events import EVENT_DTYPES, EventList, Exposure
from exod.observation.times import TimeFrame
from exod.pps.fitsfile import require_regular
from exod.pps.remote import RemoteFile
from exod.sky.plane import TangentPlane

SUFFIX: Final = ".parquet"

ROW_GROUP_SECONDS: Final = 600.0
"""Length of the row groups of an event list (ARCHITECTURE 3)."""

_KEY: Final = b"exod"
_VERSION: Final = 3


def product_name(path: Path | RemoteFile) -> str:
    """Name of the pipeline product that a file is or stands for.

    Examples
    --------
    >>> product_name(Path("events/P0001730201M1S002MIEVLI.FTZ.parquet"))
    'P0001730201M1S002MIEVLI.FTZ'
    """
    return path.name.removesuffix(SUFFIX)


def write_events(path: Path, exposure: Exposure, events: EventList, origin: dict[str, Any]) -> None:
    """Write an event list; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
        File to write.
    exposure : Exposure
        Header.
    events : EventList
        All rows, in any order; written in order of time, rows without a time last.
    origin : dict
        What the file was made of, as `origin_of` returns it.

    Raises
    ------
    ExodError
        If it cannot be written.
    """
    ordered = events.take(np.argsort(events.time, kind="stable"))
    table = pa.table({name: getattr(ordered, name) for name in EVENT_DTYPES})
    start = ordered.time[0] if len(ordered) else 0.0
    group = np.nan_to_num((ordered.time - start) // ROW_GROUP_SECONDS, nan=-1.0)
    edges = np.flatnonzero(np.diff(group, prepend=np.nan))
    header = {"kind": "events", "exposure": asdict(exposure)}
    _write(path, table, header, origin, [*edges.tolist(), len(ordered)])


def write_rejected(path: Path, reason: str, origin: dict[str, Any]) -> None:
    """Write that a product cannot be searched, and why."""
    _write(path, pa.table({}), {"kind": "events", "rejected": reason}, origin, [0, 0])


def write_sources(
    path: Path, sources: pd.DataFrame, notes: Sequence[str], origin: dict[str, Any]
) -> None:
    """Write a source list as `exod.pps.read_source_list` returns it."""
    table = pa.Table.from_pandas(sources, preserve_index=False).replace_schema_metadata(None)
    _write(path, table, {"kind": "sources", "notes": list(notes)}, origin, [0, len(sources)])


def _write(
    path: Path, table: pa.Table, header: dict[str, Any], origin: dict[str, Any], edges: list[int]
) -> None:
    text = json.dumps({"version": _VERSION, "origin": origin, **header})
    table = table.replace_schema_metadata({_KEY: text})
    with (
        whole_file(path) as temporary,
        pq.ParquetWriter(temporary, table.schema, compression="zstd") as writer,
    ):
        for first, last in pairwise(edges):
            writer.write_table(table.slice(first, last - first), row_group_size=1 << 40)


def origin_of(path: Path | RemoteFile) -> dict[str, Any] | None:
    """What an ingested file was made of; None if there is no such file or it is damaged."""
    try:
        return dict(_header(path)["origin"])
    except (InputError, DownloadError):
        return None


def kind_of(path: Path) -> str | None:
    """``events`` or ``sources``; None if the file was not written by `exod ingest`.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    schema = _open(path).schema_arrow
    return str(_header(path)["kind"]) if _KEY in (schema.metadata or {}) else None


def read_events(path: Path) -> tuple[Exposure, EventList]:
    """Read an ingested event list; see `exod.pps.read_event_list`."""
    header = _header(path)
    if "rejected" in header:
        raise ExposureRejected(header["rejected"])
    table = _read(path)
    columns = {
        name: table.column(name).to_numpy().astype(dtype, copy=False)
        for name, dtype in EVENT_DTYPES.items()
    }
    fields = dict(header["exposure"])
    fields["plane"] = TangentPlane(**fields["plane"])
    fields["clock"] = TimeFrame(**fields["clock"])
    fields["notes"] = tuple(fields["notes"])
    return Exposure(**fields), EventList(**columns)


def extent(path: Path | RemoteFile) -> tuple[int, float, float]:
    """Rows of an ingested event list, and its first and last time in seconds."""
    file = _open(path)
    if not file.metadata.num_rows:
        return 0, 0.0, 0.0
    groups = [file.metadata.row_group(i).column(0) for i in range(file.num_row_groups)]
    known = [g.statistics for g in groups if g.is_stats_set and g.statistics.has_min_max]
    start = min((statistics.min for statistics in known), default=0.0)
    return file.metadata.num_rows, start, max((s.max for s in known), default=start)


def read_sources(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read an ingested source list; see `exod.pps.read_source_list`."""
    notes = tuple(_header(path)["notes"])
    return _read(path).to_pandas(ignore_metadata=True), notes


def _header(path: Path | RemoteFile) -> dict[str, Any]:
    metadata = _open(path).schema_arrow.metadata or {}
    if _KEY not in metadata:
        raise InputError(f"{path.name} was not written by exod ingest.")
    header: dict[str, Any] = json.loads(metadata[_KEY])
    if header["version"] != _VERSION:
        raise InputError(
            f"{path.name} was written by another version of exod: ingest its observation again."
        )
    return header


def _open(path: Path | RemoteFile) -> pq.ParquetFile:
    try:
        if isinstance(path, Path):
            require_regular(path)
        return pq.ParquetFile(path if isinstance(path, Path) else path.open())
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path | RemoteFile, error: Exception) -> InputError:
    cause = str(error).strip().rstrip(".").split("\n")[0]
    return InputError(f"{path.name} cannot be read ({cause}): ingest its observation again.")
