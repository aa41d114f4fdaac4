"""Event lists and source lists as Parquet files, written once and read again and again.

A file ``NAME.parquet`` stands for the pipeline product ``NAME``: the same content, sorted by time,
in row groups of about ten minutes, so that a range of times is read without the rest. A product
that cannot be searched (timing mode, another telescope) has a file without rows that says why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from exod.observation.livetime import LiveCurve, LiveTimes
from exod.observation.times import TimeFrame
from exod.pps.fits.fitsfile import require_regular
from exod.pps.remote import RemoteFile
from exod.sky.plane import TangentPlane

SUFFIX: Final = ".parquet"

ROW_GROUP_SECONDS: Final = 600.0
"""Length of the row groups of an event list (ARCHITECTURE 3)."""

_KEY: Final = b"exod"
_DIGEST: Final = b"exod.digest"
_VERSION: Final = 4
_READABLE: Final = (3, 4)
"""Version 3 has no live times."""

_DAMAGE: Final = (
    OSError,
    pa.ArrowException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)
"""What pyarrow raises on files with wrong bytes, and what wrong metadata lead to."""


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
    stated = asdict(exposure) | {"live": _live_rows(exposure.live)}
    header = {"kind": "events", "exposure": stated}
    _write(path, table, header, origin, [*edges.tolist(), len(ordered)])


def write_rejected(path: Path, reason: str, origin: dict[str, Any]) -> None:
    """Write that a product cannot be searched, and why."""
    _write(path, pa.table({}), {"kind": "events", "rejected": reason}, origin, [0, 0])


def write_sources(
    path: Path,
    sources: pd.DataFrame,
    notes: Sequence[str],
    keywords: Mapping[str, Any],
    origin: dict[str, Any],
) -> None:
    """Write a source list, with the attributes of `exod.pps.lists.ListedSources`."""
    table = pa.Table.from_pandas(sources, preserve_index=False).replace_schema_metadata(None)
    header = {"kind": "sources", "notes": list(notes), "keywords": dict(keywords)}
    _write(path, table, header, origin, [0, len(sources)])


def _write(
    path: Path, table: pa.Table, header: dict[str, Any], origin: dict[str, Any], edges: list[int]
) -> None:
    stated = {"version": _VERSION, "origin": origin, "n_rows": table.num_rows, **header}
    text = json.dumps(stated).encode()
    table = table.replace_schema_metadata({_KEY: text, _DIGEST: _digest(text)})
    options = {"compression": "zstd", "write_page_checksum": True}
    with (
        whole_file(path) as temporary,
        pq.ParquetWriter(temporary, table.schema, **options) as writer,
    ):
        for first, last in pairwise(edges):
            writer.write_table(table.slice(first, last - first), row_group_size=1 << 40)


def _digest(text: bytes) -> bytes:
    """Checksum of what the metadata say; the rows have theirs in each page."""
    return hashlib.blake2b(text, digest_size=16).hexdigest().encode()


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
    with _reported(path):
        if _KEY not in (_open(path).schema_arrow.metadata or {}):
            return None
        return str(_header(path)["kind"])


def read_events(path: Path) -> tuple[Exposure, EventList]:
    """Read an ingested event list; see `exod.pps.read_event_list`."""
    header = _header(path)
    if "rejected" in header:
        raise ExposureRejected(header["rejected"])
    with _reported(path):
        table = _read(path, header)
        columns = {
            name: table.column(name).to_numpy().astype(dtype, copy=False)
            for name, dtype in EVENT_DTYPES.items()
        }
        fields = dict(header["exposure"])
        fields["plane"] = TangentPlane(**fields["plane"])
        fields["clock"] = TimeFrame(**fields["clock"])
        fields["notes"] = tuple(fields["notes"])
        if "live" in fields:
            fields["live"] = _live_times(fields["live"])
        else:
            name = fields["filename"]
            fields["notes"] += (
                f"{name} was ingested by an earlier version of exod, without its good times: "
                f"ingest its observation again to have them used.",
            )
        return Exposure(**fields), EventList(**columns)


def _live_rows(live: LiveTimes) -> list[dict[str, Any]]:
    return [
        {"ccd": ccd, "usual": curve.usual, "pieces": curve.pieces.tolist()}
        for ccd, curve in live.curves.items()
    ]


def _live_times(rows: Sequence[Mapping[str, Any]]) -> LiveTimes:
    return LiveTimes(
        {
            int(row["ccd"]): LiveCurve(np.reshape(row["pieces"], (-1, 3)), float(row["usual"]))
            for row in rows
        }
    )


def extent(path: Path | RemoteFile) -> tuple[int, float, float]:
    """Rows of an ingested event list, and its first and last time in seconds."""
    with _reported(path):
        file = _open(path)
        if not file.metadata.num_rows:
            return 0, 0.0, 0.0
        groups = [file.metadata.row_group(i).column(0) for i in range(file.num_row_groups)]
        known = [g.statistics for g in groups if g.is_stats_set and g.statistics.has_min_max]
        start = min((float(statistics.min) for statistics in known), default=0.0)
        stop = max((float(statistics.max) for statistics in known), default=start)
        return file.metadata.num_rows, start, stop


def read_sources(
    path: Path | RemoteFile,
) -> tuple[pd.DataFrame, tuple[str, ...], dict[str, Any]]:
    """Read an ingested source list: the attributes of `exod.pps.lists.ListedSources`.

    One that an earlier version wrote has neither errors nor keywords.
    """
    header = _header(path)
    with _reported(path):
        sources = _read(path, header).to_pandas(ignore_metadata=True)
        if "error_arcsec" not in sources:
            sources["error_arcsec"] = np.nan
        return sources, tuple(header["notes"]), dict(header.get("keywords", {}))


def _header(path: Path | RemoteFile) -> dict[str, Any]:
    with _reported(path):
        metadata = _open(path).schema_arrow.metadata or {}
        if _KEY not in metadata:
            raise InputError(f"{path.name} was not written by exod ingest.")
        header: dict[str, Any] = json.loads(metadata[_KEY])
        if header["version"] not in _READABLE:
            raise InputError(
                f"{path.name} was written by another version of exod: ingest its observation again."
            )
        if metadata.get(_DIGEST) != _digest(metadata[_KEY]):
            raise ValueError("what it says of itself does not have its checksum")
        return header


def _open(path: Path | RemoteFile) -> pq.ParquetFile:
    if isinstance(path, Path):
        require_regular(path)
    return pq.ParquetFile(path if isinstance(path, Path) else path.open())


def _read(path: Path | RemoteFile, header: Mapping[str, Any]) -> pa.Table:
    place = path if isinstance(path, Path) else path.open("rb")
    table = pq.read_table(place, partitioning=None, page_checksum_verification=True)
    if table.num_rows != header["n_rows"]:
        raise ValueError(f"it has {table.num_rows:,} of {header['n_rows']:,} rows")
    return table


@contextmanager
def _reported(path: Path | RemoteFile) -> Iterator[None]:
    """Turn whatever a damaged file makes of the block into an InputError that names it."""
    try:
        yield
    except _DAMAGE as error:
        cause = str(error).strip().rstrip(".").split("\n")[0]
        raise InputError(
            f"{path.name} cannot be read ({cause}): ingest its observation again."
        ) from error
