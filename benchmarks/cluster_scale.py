"""Thousands of observations that take no work: what scheduling, reading and the ledger cost.

Run ``python -m benchmarks.cluster_scale --observations 15000 --workers 2``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import report
from benchmarks.processes import Watched, exod, python, watch
from exod.archive import Archive
from exod.archive.ledger.entry import LEDGER
from exod.config import Config
from exod.pps import find_observations
from exod.pps.ingested import write_rejected
from exod.stages.detect.observation import detect_observation, detect_to_archive
from exod.stages.inputs.filestamps import file_identity

REASON = "P0000000000M1S001MIEVLI0000.FTZ is of timing mode, which has no image."

_NO_OP = """
import json, sys, time
from exod.scheduler.plan import Plan
from exod.scheduler import run

if __name__ == "__main__":
    items = [f"{i:010d}" for i in range(int(sys.argv[1]))]
    began = time.perf_counter()
    ends = [
        time.perf_counter() - began
        for done in run(len, items, Plan(workers=int(sys.argv[2])))
        if done.error is None
    ]
    print(json.dumps([len(ends), ends[0], ends[-1], time.perf_counter() - began]))
"""


def scheduling(observations: int, workers: int) -> Iterator[tuple[str, float]]:
    """A function that does nothing, through `exod.scheduler.run`."""
    found = watch(python(_NO_OP, str(observations), str(workers)))
    done, first, last, whole = json.loads(found.output)
    if done != observations:
        raise RuntimeError(f"Only {done} of {observations} tasks ended well.")
    yield "tasks", observations
    yield "worker processes", workers
    yield "call to first task finished, with the start of the workers (s)", first
    yield "whole call (s)", whole
    yield "whole call / tasks (ms)", 1000 * whole / observations
    yield "first to last task / tasks (ms)", 1000 * (last - first) / (observations - 1)
    yield from _memory(found)


def whole_path(
    folder: Path, observations: int, workers: int, references: int
) -> Iterator[tuple[str, float]]:
    """`exod detect` with event lists that say at once that they cannot be searched."""
    data, root = folder / "data", folder / "archive"
    make_rejected(data, observations)
    command = exod("detect", str(data), "--archive", str(root), "--workers", str(workers))
    ledger = root / LEDGER
    found = watch(command, until=lambda: any(ledger.glob("[0-9]*.json")))
    _check(ledger, observations)
    again = watch(command)
    _check(ledger, observations)
    looking = _seconds(lambda: find_observations([data]))
    committing, detecting = _references(folder, data, references)
    each = 1000 * found.seconds / observations
    yield "observations", observations
    yield "worker processes", workers
    yield "command to first ledger entry (s)", found.seen or 0.0
    yield "whole command (s)", found.seconds
    yield "whole command / observations (ms)", each
    yield from _memory(found)
    yield f"reference: Archive.commit in a loop of {references:,} (ms each)", committing
    yield f"reference: detect_to_archive in a loop of {references:,} (ms each)", detecting
    yield "whole command / reference of Archive.commit", each / committing
    yield "whole command / reference of detect_to_archive", each / detecting
    yield "of it, finding the observations (s)", looking
    yield "the same command again, nothing to do (s)", again.seconds
    yield "the same command again / observations (ms)", 1000 * again.seconds / observations
    yield "the same command again, peak memory of the driver (MB)", again.driver_mb


def _memory(found: Watched) -> Iterator[tuple[str, float]]:
    yield "peak memory of the driver, which has the scheduler in it (MB)", found.driver_mb
    yield "peak memory of a worker process (MB)", found.worker_mb


def make_rejected(folder: Path, observations: int) -> None:
    """A folder an observation with an ingested event list that is not searched."""
    for number in range(observations):
        obsid = f"{number:010d}"
        name = f"P{obsid}M1S001MIEVLI0000.FTZ"
        origin = {"name": name, "size": number, "checksum": f"{number:032x}"}
        reason = REASON.replace("0000000000", obsid, 1)
        write_rejected(folder / obsid / f"{name}.parquet", reason, origin)


def _check(ledger: Path, observations: int) -> None:
    entries = list(ledger.glob("[0-9]*.json"))
    if len(entries) != observations:
        raise RuntimeError(f"Only {len(entries)} of {observations} are in the ledger.")
    for path in (entries[0], entries[-1]):
        if json.loads(path.read_text(encoding="utf-8"))["status"] != "SKIPPED":
            raise RuntimeError(f"{path} is not of an observation that was skipped.")


def _references(folder: Path, data: Path, count: int) -> tuple[float, float]:
    """Milliseconds of a commit, and of a whole task, in a loop of this process."""
    config = Config()
    some = find_observations(sorted(data.iterdir())[:count])[0]
    archive = Archive.create(folder / "commits", config)
    committed = [(files.obsid, detect_observation(files, config)) for files in some]
    inputs = [file_identity(path) for path in some[0].paths]

    def commit() -> None:
        for obsid, tables in committed:
            archive.commit(obsid, "SKIPPED", tables, reason=REASON, inputs=inputs)

    task = partial(detect_to_archive, config=config, root=str(folder / "tasks"))
    committing = _seconds(commit)
    detecting = _seconds(lambda: [*map(task, some)])
    return 1000 * committing / len(some), 1000 * detecting / len(some)


def _seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--observations", type=int, default=15_000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    count, workers = arguments.observations, arguments.workers
    report.record(
        "Scheduler alone",
        "A function that does nothing, through `exod.scheduler.run`.",
        scheduling(count, workers),
    )
    with tempfile.TemporaryDirectory() as folder:
        report.record(
            "exod detect with nothing to search",
            "Each observation is a folder with one event list that cannot be searched, so that "
            "reading, committing and scheduling remain.",
            whole_path(Path(folder), count, workers, min(count, 500)),
        )


if __name__ == "__main__":
    main()
