"""Files of an archive that change behind its back, and whoever reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from exod.archive import Archive, open_archive
from exod.errors import ArchiveError
from exod.schemas import TABLES
from exod.schemas.conditions import Query
from exod.stages.query.rows import select
from exod.stages.query.statements import connect
from exod.stages.verify import verify


def stored_tables(archive: Archive) -> list[Path]:
    """The Parquet files of an archive."""
    return sorted(Path(archive.root).rglob("*.parquet"))


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    """Other content in a file, which is as old as before."""
    old, times = path.read_bytes(), path.stat()
    try:
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        yield
    finally:
        path.write_bytes(old)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flipped(content: bytes, random: np.random.Generator) -> bytes:
    """The content with one other bit."""
    new = bytearray(content)
    new[random.integers(len(new))] ^= 1 << random.integers(8)
    return bytes(new)


def readers(archive: Archive) -> dict[str, Callable[[], str]]:
    """Every way to the rows of an archive: text that tells all values."""
    ways: dict[str, Callable[[], str]] = {}
    tables = dict.fromkeys(TABLES, archive.table)
    for name, table in tables.items():
        ways[f"lazy {name}"] = lambda name=name, table=table: _text(
            table(name).compute(scheduler="sync")
        )
    for name in ("unique", "members", "lineage", "features", "flags", "detections"):
        ways[f"lazy {name}"] = lambda name=name: _text(
            getattr(open_archive(archive.root), name).compute(scheduler="sync")
        )
    names = ("regions", "lightcurves", "runs", "sources", "members", "detections", "matches_gaia")
    for name in names:
        ways[f"sql {name}"] = lambda name=name: _answer(archive, f"SELECT * FROM {name}")
        ways[f"query {name}"] = lambda name=name: _text(
            select(archive, Query(table=name)).computed()
        )
    obsids = [entry.obsid for entry in archive.entries()]
    ways["observations"] = lambda: "".join(
        _text(frame) for obsid in obsids for frame in archive.observation(obsid).values()
    )
    return ways


def _answer(archive: Archive, statement: str) -> str:
    with connect(archive, statement) as answer:
        return _sorted(row for chunk in answer.chunks() for row in chunk.to_pylist())


def _text(frame: pd.DataFrame) -> str:
    return _sorted(frame.to_dict("records"))


def _sorted(rows: Iterable[Any]) -> str:
    """A join may give its rows in any order."""
    return "\n".join(sorted(map(str, rows)))


def silent(
    archive: Archive, path: Path, content: bytes, truth: dict[str, str], ways: list[str]
) -> list[str]:
    """Readers that give other rows or other errors than those that name the damaged file."""
    found, known = [], readers(archive)
    with changed(path, content):
        said = [one.path for one in verify(archive) if one.fault]
        if said != [str(path.relative_to(archive.root))]:
            found.append(f"verify: {said}")
        for way in ways:
            try:
                if known[way]() != truth[way]:
                    found.append(way)
            except ArchiveError as error:
                if path.name not in str(error) or "exod verify" not in str(error):
                    found.append(f"{way}: {error}")
    return found


def concerned(path: Path, ways: dict[str, str]) -> list[str]:
    """Readers of a file, by its table; all read regions or products that it may be joined to."""
    table = path.name.split("-")[0] if path.parent.name[:2] == "20" else path.parent.name
    joined = {"regions", "members", "features", "flags"}
    names = {table, {"unique": "sources", "xmatch": "matches_gaia"}.get(table, table)}
    names |= {"detections"} if table in joined else set()
    return [way for way in ways if way.split()[-1] in names or way == "observations"]
