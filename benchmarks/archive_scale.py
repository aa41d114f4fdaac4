"""An archive of the whole mission: reading it before and after compaction.

Run ``python -m benchmarks.archive_scale --observations 15000 --to FOLDER``. The rows are random,
but as many and as large as those of real observations: nine runs each, regions and light curves in
two of three. They are published as the search does it, except that nothing is flushed to the disk.
With ``--light`` all but the last observations have no tables but regions, for what depends on the
number of observations. An archive that is in the folder already is read as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from benchmarks import report
from exod.archive import Archive, open_archive
from exod.archive.compaction import read_pointer
from exod.archive.ledger.entry import FullEntry, TableFile, entry_name, versions
from exod.archive.parquet import ROW_GROUP_ROWS, encode, writer
from exod.config import Config
from exod.files.seals import sealed
from exod.schemas import TABLES, Table
from exod.schemas.conditions import Query
from exod.stages.query.rows import select

T_BINS = (5.0, 50.0, 200.0)
BANDS = ((0.2, 2.0), (2.0, 12.0), (0.2, 12.0))
DURATION = 35_000.0
"""Typical length of an observation in seconds: 7,000 frames of 5 s."""

_PYARROW = ", after / pyarrow.dataset"
_PROCESSOR = ", after / pyarrow.dataset, processor time"

_IN_NEW_PROCESS = """
import json, resource, sys
from benchmarks import archive_scale
found = getattr(archive_scale, sys.argv[1])(*sys.argv[2:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([found, peak]))
"""


def random_rows(table: Table, n: int, obsid: str, random: np.random.Generator) -> pd.DataFrame:
    """Rows of a table, each number random."""
    values: dict[str, Any] = {}
    for column in table.columns:
        if pa.types.is_boolean(column.type):
            values[column.name] = random.random(n) < 0.1
        elif pa.types.is_integer(column.type):
            values[column.name] = random.integers(0, 90, n)
        elif pa.types.is_floating(column.type):
            values[column.name] = random.normal(0, 1, n).round(3)
        else:
            values[column.name] = np.full(n, "text")
    return table.frame(pd.DataFrame(values | {"obsid": np.full(n, obsid)}))


def observation(random: np.random.Generator) -> dict[str, pd.DataFrame]:
    """The tables of an observation of no name and place."""
    obsid = "0" * 10
    runs = [(f"{obsid}_0_{t:g}_{e[0]}_{e[1]}", t, e) for t, e in product(T_BINS, BANDS)]
    counts = random.poisson(0.6, len(runs)) if random.random() < 0.67 else np.zeros(9, int)
    of = np.repeat(np.arange(len(runs)), counts)
    keys = pd.DataFrame(
        {
            "runid": [runs[i][0] for i in of],
            "t_bin": [runs[i][1] for i in of],
            "e_lo": [runs[i][2][0] for i in of],
            "e_hi": [runs[i][2][1] for i in of],
            "label": [k for n in counts for k in range(n)],
        }
    )
    keys["detid"] = [
        f"{runid}_{label}" for runid, label in zip(keys["runid"], keys["label"], strict=True)
    ]
    sizes = {
        "observations": 1,
        "exposures": 3,
        "runs": len(runs),
        "cells": 6 * len(keys),
        "regions": len(keys),
    }
    rows = {name: random_rows(TABLES[name], n, obsid, random) for name, n in sizes.items()}
    rows["runs"]["runid"] = [run[0] for run in runs]
    rows["cells"]["runid"] = np.repeat(keys["runid"].to_numpy(), 6)
    rows["regions"] = rows["regions"].assign(**{name: keys[name] for name in keys})
    frames = (DURATION / keys["t_bin"]).astype(int).to_numpy()
    curves = random_rows(TABLES["lightcurves"], int(frames.sum()), obsid, random)
    for name in ("detid", "runid", "label"):
        curves[name] = np.repeat(keys[name].to_numpy(), frames)
    curves["time"] = np.concatenate([[], *(np.arange(n) * DURATION / n for n in frames)])
    rows["lightcurves"] = curves
    return {name: TABLES[name].frame(frame) for name, frame in rows.items()}


def named(rows: pa.Table, obsid: str) -> pa.Table:
    """The rows as those of the observation `obsid`."""
    for i, name in enumerate(rows.schema.names):
        if name in ("obsid", "runid", "detid"):
            keys = rows[name].combine_chunks().dictionary_encode()
            names = pa.array([obsid + key[10:] for key in keys.dictionary.to_pylist()], pa.string())
            column = pa.DictionaryArray.from_arrays(keys.indices, names).cast(pa.string())
            rows = rows.set_column(i, rows.schema.field(i), column)
    return rows


def placed(rows: pa.Table, random: np.random.Generator) -> pa.Table:
    """The regions somewhere on the sky, within one field of view."""
    ra, dec = random.uniform(0, 360), np.degrees(np.arcsin(random.uniform(-0.99, 0.99)))
    n = rows.num_rows
    values = {
        "ra_deg": (ra + random.uniform(-0.2, 0.2, n)) % 360,
        "dec_deg": dec + random.uniform(-0.2, 0.2, n),
    }
    for name, column in values.items():
        i = rows.schema.get_field_index(name)
        rows = rows.set_column(i, rows.schema.field(i), pa.array(column))
    return rows


def commit_some(root: str, numbers: range, only: frozenset[str] = frozenset(TABLES)) -> None:
    """Commit observations: a few kinds, encoded once, under many names."""
    os.fsync = lambda _: None  # type: ignore[assignment]
    pa.set_cpu_count(1)
    archive, random = open_archive(root), np.random.default_rng(numbers.start)
    kinds = [
        {
            name: pq.read_table(pa.BufferReader(encode(TABLES[name], frame, "0" * 10)))
            for name, frame in observation(random).items()
            if len(frame) and name in only
        }
        for _ in range(len(numbers) // 25 + 5)
    ]
    for number in numbers:
        obsid = f"{number * 7:010d}"
        kind = kinds[number % len(kinds)]
        tables = {name: named(rows, obsid) for name, rows in kind.items()}
        if "regions" in tables:
            tables["regions"] = placed(tables["regions"], random)
        publish(archive, obsid, tables)


def publish(archive: Archive, obsid: str, tables: dict[str, pa.Table]) -> None:
    """What `Archive.commit` does with frames."""
    contents, files = {}, {}
    for name, rows in tables.items():
        sink = pa.BufferOutputStream()
        with writer(sink, rows.schema) as file:
            file.write_table(rows, row_group_size=ROW_GROUP_ROWS)
        path = f"{name}/{obsid}-0001-0123abcd.parquet"
        contents[path] = bytes(sink.getvalue())
        seal = sealed(contents[path])
        files[name] = TableFile(path, rows.num_rows, seal.size, seal.sha256)
    now = datetime.now(UTC)
    entry = FullEntry(
        obsid=obsid,
        status="OK" if "regions" in tables else "EMPTY",
        reason="",
        traceback="",
        attempt="0001-0123abcd",
        files=files,
        inputs=(),
        fingerprint=archive.fingerprint,
        versions=versions(),
        seconds=1.0,
        peak_memory_mb=100.0,
        started=now,
        finished=now,
    )
    archive._store.publish(contents, entry_name(obsid), entry.to_json())


def make(root: Path, observations: int, processes: int, only: frozenset[str]) -> None:
    """Make the archive; the last observations have all tables, so that there are light curves."""
    Archive.create(root, Config())
    light = observations - WHOLE if only < set(TABLES) else observations
    chunks = [range(i, min(i + 500, light)) for i in range(0, light, 500)]
    with ProcessPoolExecutor(processes) as pool:
        n = len(chunks)
        list(pool.map(commit_some, [str(root)] * n, chunks, [only] * n))
        pool.submit(commit_some, str(root), range(light, observations)).result()


WHOLE = 100
"""Observations of a light archive that have all tables."""


def timed(function: Callable[[], Any]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


INTERLEAVED = 9
"""How often a question and its reference are asked in turn."""


def ratios(own: Callable[[], Any], reference: Callable[[], Any]) -> tuple[float, float]:
    """Least time over least time, and processor time over processor time (medians), in turn."""
    found = np.empty((INTERLEAVED, 2, 2))
    for turn in range(INTERLEAVED):
        for which, function in enumerate((own, reference)):
            began = time.process_time()
            found[turn, which, 0] = timed(function)
            found[turn, which, 1] = time.process_time() - began
    least, middle = found[:, :, 0].min(axis=0), np.median(found[:, :, 1], axis=0)
    return float(least[0] / least[1]), float(middle[0] / middle[1])


def read(root: str) -> dict[str, float]:
    """What reading takes, in seconds, and its ratio to what pyarrow takes for large files."""
    archive = open_archive(root)
    # What is loaded at the first use, and the threads of dask, are not the archive's.
    archive.regions.partitions[0]["label"].sum().compute()
    detids = _some_curves(archive)
    of_5_s: dict[str, Any] = {"columns": ["detid"], "filters": [("t_bin", "==", 5.0)]}
    questions: dict[str, Callable[[], Any]] = {
        "open and count regions": lambda: len(open_archive(root).regions),
        "only open the table": lambda: open_archive(root).regions,
        "regions of 5 s runs": lambda: archive.table("regions", **of_5_s).compute(),
        "light curves of an observation, plain dask": lambda: _of_observation(
            archive.lightcurves, detids[0][:10]
        ),
        "cone of 5 arcmin": lambda: archive.cone(123.0, 20.0, 300.0).compute(),
        "light curves of nine regions": lambda: [*map(archive.lightcurve, detids)],
        "mean of a column of all light curves": lambda: archive.lightcurves["mu"].mean().compute(),
    }
    found = {name: timed(question) for name, question in questions.items()}
    if (pointer := read_pointer(archive.store)) is None:
        return found
    regions, curves = (
        [archive.store.path(file.path) for file in pointer.tables[name]]
        for name in ("regions", "lightcurves")
    )
    references: dict[str, Callable[[], Any]] = {
        "open and count regions": lambda: ds.dataset(regions).count_rows(),
        "regions of 5 s runs": lambda: (
            ds.dataset(regions)
            .to_table(columns=["detid"], filter=ds.field("t_bin") == 5.0)
            .to_pandas()
        ),
        "light curves of an observation, plain dask": lambda: (
            ds.dataset(curves).to_table(filter=ds.field("obsid") == detids[0][:10]).to_pandas()
        ),
        "light curves of nine regions": lambda: [_curve(curves, detid) for detid in detids],
    }
    for name, reference in references.items():
        found[f"{name}{_PYARROW}"], found[f"{name}{_PROCESSOR}"] = ratios(
            questions[name], reference
        )
    return found


def _of_observation(lazy: Any, obsid: str) -> pd.DataFrame:
    rows: pd.DataFrame = lazy[lazy["obsid"] == obsid].compute()
    return rows


def _curve(paths: list[str], detid: str) -> pd.DataFrame:
    wanted = (ds.field("runid") == detid.rpartition("_")[0]) & (ds.field("detid") == detid)
    rows: pd.DataFrame = ds.dataset(paths).to_table(filter=wanted).to_pandas()
    return rows


def _some_curves(archive: Archive) -> list[str]:
    """A light curve, as long as there is, of each of a few observations."""
    obsids = archive.status().query("n_regions > 0")["obsid"]
    chosen = [obsids.iloc[i] for i in np.linspace(0, len(obsids) - 1, 9).astype(int)]
    regions = [archive.observation(obsid, "regions")["regions"] for obsid in chosen]
    return [table.sort_values("t_bin")["detid"].iloc[0] for table in regions]


def count(root: str) -> int:
    """Count the regions."""
    return len(open_archive(root).regions)


def count_entries(root: str) -> int:
    """Make all entries of the ledger."""
    return len(open_archive(root).entries())


def show_status(root: str) -> int:
    """Summarise the ledger."""
    return len(open_archive(root).status())


def choose(root: str) -> int:
    """Filter by a column."""
    wanted: dict[str, Any] = {"columns": ["detid"], "filters": [("t_bin", "==", 5.0)]}
    return len(open_archive(root).table("regions", **wanted).compute())


def look(root: str) -> int:
    """Search a cone."""
    return len(open_archive(root).cone(123.0, 20.0, 300.0).compute())


def ask(root: str) -> int:
    """Ask for rows as `exod query` does."""
    question = Query(where="sigma_peak > 2.5 and t_bin >= 50", columns=("detid",))
    return sum(len(rows) for rows in select(open_archive(root), question).chunks())


def column(root: str) -> float:
    """Read a column of all regions through dask."""
    return float(open_archive(root).regions["sigma_peak"].mean().compute())


def curve(root: str) -> int:
    """Read a light curve."""
    archive = open_archive(root)
    detids = archive.table("lightcurves", columns=["detid"]).partitions[0].compute()["detid"]
    return len(archive.lightcurve(detids.iloc[0]))


def keep(root: str) -> None:
    """Keep the ledger in one file, as the end of a search does."""
    open_archive(root).keep_ledger()


READERS = ("count", "count_entries", "show_status", "choose", "look", "ask", "column", "curve")


def readers(root: Path, observations: int, processes: int) -> Iterator[tuple[str, float]]:
    """Make an archive of many small observations, and read it in new processes: peak memory."""
    if not root.exists():
        yield (
            "making it (s)",
            timed(lambda: make(root, observations, processes, frozenset(["regions"]))),
        )
    yield "observations", observations
    for state, prepare in (
        ("with its entries", ""),
        ("ledger kept", "keep"),
        ("compact", "compact"),
    ):
        if prepare:
            _, peak = apart(prepare, root)
            yield f"{prepare}, peak memory (MB)", peak
        for name in READERS if prepare else ("count", "count_entries"):
            began = time.perf_counter()
            _, peak = apart(name, root)
            yield f"{state}: {name}, process (s)", time.perf_counter() - began
            yield f"{state}: {name}, peak memory (MB)", peak
    yield from questions(root)


def compact(root: str) -> float:
    """Compact; the time in seconds."""
    return timed(open_archive(root).compact)


def grow(root: str) -> float:
    """Compact after one observation more; the time in seconds."""
    commit_some(root, range(10**6, 10**6 + 1))
    return compact(root)


REPEATS = 3
"""How often a command is run."""


def questions(root: Path) -> Iterator[tuple[str, float]]:
    """Commands that ask, compared with the help: the best of `REPEATS`, asked in turn."""
    commands: dict[str, tuple[str, ...]] = {
        "exod --help": ("--help",),
        "exod query, cone": ("query", str(root), "--table", "regions", "--cone", "123,20,300"),
        "exod query, expression": (
            *("query", str(root), "--table", "regions"),
            *("--where", "sigma_peak > 2.5 and t_bin >= 50"),
        ),
        "exod filter": ("filter", str(root), "--filter", "t_bin=50"),
    }
    found = np.empty((REPEATS, len(commands), 2))
    for turn in range(REPEATS):
        for number, arguments in enumerate(commands.values()):
            began = _processor_time_of_children()
            found[turn, number, 0] = timed(partial(_command, *arguments))
            found[turn, number, 1] = _processor_time_of_children() - began
    best = dict(zip(commands, found.min(axis=0).tolist(), strict=True))
    goals = [1.5 * seconds + 0.5 for seconds in best["exod --help"]]
    for name, (seconds, processor) in best.items():
        yield f"{name} (s)", seconds
        yield f"{name}, processor time (s)", processor
        if name != "exod --help":
            yield f"{name}: time / (1.5 x help + 0.5 s)", seconds / goals[0]
            yield f"{name}: processor time / (1.5 x help + 0.5 s)", processor / goals[1]


def _command(*arguments: str) -> None:
    # Modules are compiled once, as those of an installed package are.
    settings = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    program = [sys.executable, "-m", "exod", *arguments]
    subprocess.run(program, check=True, capture_output=True, env=settings)


def _processor_time_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def apart(function: str, root: Path) -> tuple[Any, float]:
    """Result of a function and the peak memory in MB, in a new process."""
    command = [sys.executable, "-c", _IN_NEW_PROCESS, function, str(root)]
    folder = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder)
    found, peak = json.loads(done.stdout)
    return found, peak


def measure(root: Path, observations: int, processes: int) -> Iterator[tuple[str, float]]:
    """Make an archive, read it, compact it, read it again: rows of a table."""
    if not root.exists():
        yield (
            "making it (s)",
            timed(lambda: make(root, observations, processes, frozenset(TABLES))),
        )
    status = open_archive(root).status()
    yield "observations", len(status)
    yield "regions", int(status["n_regions"].sum())
    before, peak_before = apart("read", root)
    compacting, peak = apart("compact", root)
    after, peak_after = apart("read", root)
    growing, _ = apart("grow", root)
    _, peak_count = apart("count", root)
    compacted = list(root.glob("compact/*/*.parquet"))
    own = [file for name in TABLES for file in root.glob(f"{name}/*.parquet")]
    yield "files before", len(own)
    yield "files after", len(compacted)
    yield "MB before", sum(file.stat().st_size for file in own) / 1e6
    yield "MB after", sum(file.stat().st_size for file in compacted) / 1e6
    yield "rows of light curves", len(open_archive(root).lightcurves)
    yield "compaction (s)", compacting
    yield "compaction, peak memory (MB)", peak
    yield "compaction after one observation more (s)", growing
    yield "compaction / compaction after one observation more", compacting / growing
    yield "counting, peak memory (MB)", peak_count
    yield "reading, peak memory before (MB)", peak_before
    yield "reading, peak memory after (MB)", peak_after
    for name, seconds in before.items():
        yield f"{name}, before (s)", seconds
        yield f"{name}, after (s)", after[name]
        yield f"{name}, before / after", seconds / after[name]
        for what in (_PYARROW, _PROCESSOR):
            if f"{name}{what}" in after:
                yield f"{name}{what}", after[f"{name}{what}"]
    yield from questions(root)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--observations", type=int, default=15_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--to", type=Path, help="Keep the archive in this folder.")
    parser.add_argument("--light", action="store_true", help="Hardly any tables but regions.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.to or Path(folder, "archive")
        report.record(
            "Readers of many small observations"
            if arguments.light
            else "An archive of the whole mission",
            "Rows are random; before and after compaction.",
            (readers if arguments.light else measure)(
                root, arguments.observations, arguments.processes
            ),
        )


if __name__ == "__main__":
    main()
