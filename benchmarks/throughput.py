"""Real searches by one worker and by two, and the memory of a worker.

Run ``python -m benchmarks.throughput --observations 16 --repeats 3`` on a machine without other
work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil
import pyarrow as pa

from benchmarks import report
from benchmarks.processes import exod, peak_mb, python, watch
from exod.archive import open_archive
from exod.scheduler import run
from exod.scheduler.plan import Plan
from exod.stages.inputs.simulate import simulate_files

DURATION = 25_000.0
BURN_SECONDS = 5.0
MEMORY_LIMIT_GIB = 2
"""What all files in deploy/dask/ give a worker."""

_DASK = """
import json, sys, time
from exod.config import Config
from exod.scheduler.plan import Plan
from exod.pps import find_observations
from exod.stages.detect.survey import detect_many

if __name__ == "__main__":
    observations = find_observations([sys.argv[1]])[0]
    plan, tasks = Plan(workers=int(sys.argv[3])), []
    for outcome in detect_many(observations, Config(), sys.argv[2], plan):
        end = time.time()
        tasks.append([end - outcome.seconds, end, outcome.n_events])
    print(json.dumps(tasks))
"""

_PLAIN = """
import json, sys, time
from exod.config import Config
from exod.pps import find_observations
from exod.stages.detect.observation import detect_to_archive

tasks = []
for files in find_observations([sys.argv[1]])[0][int(sys.argv[3]) :: int(sys.argv[4])]:
    outcome = detect_to_archive(files, Config(), sys.argv[2])
    end = time.time()
    tasks.append([end - outcome.seconds, end, outcome.n_events])
print(json.dumps(tasks))
"""

_BURN = """
import sys, time
ends, rounds = time.time() + float(sys.argv[1]), 0
while time.time() < ends:
    rounds += len([n * n for n in range(100_000)])
print(rounds)
"""


@dataclass(frozen=True)
class Tasks:
    """Tasks that ended: Unix times of start and end, and events of each."""

    start: np.ndarray
    end: np.ndarray
    events: np.ndarray
    workers: int

    @classmethod
    def of(cls, rows: list[list[float]], workers: int) -> Tasks:
        return cls(*np.array(sorted(rows, key=lambda row: row[1])).T, workers)

    @property
    def busy(self) -> tuple[float, float]:
        """From when all workers have ended their first task to when one has nothing to do."""
        return self.end[self.workers - 1], self.end[-self.workers]

    @property
    def events_while_busy(self) -> float:
        """Events of the tasks while all workers were busy; of a part of a task in proportion."""
        first, last = self.busy
        inside = np.minimum(self.end, last) - np.maximum(self.start, first)
        return float(np.sum(self.events * np.clip(inside / (self.end - self.start), 0, 1)))

    @property
    def events_a_second(self) -> float:
        first, last = self.busy
        return self.events_while_busy / (last - first)

    @property
    def seconds(self) -> float:
        """From the start of the first task to the end of the last."""
        return float(self.end[-1] - self.start.min())


def in_turn(folder: Path, observations: int, repeats: int) -> Iterator[tuple[str, float | str]]:
    """One worker, two workers, one worker, ...: medians."""
    for number in range(observations):
        simulate_files(folder / "data", f"09000020{number:02d}", 7, duration=DURATION)
    found: dict[str, list[float]] = defaultdict(list)
    for repeat in range(repeats):
        for workers in (1, 2):
            of = f"{workers} of {repeat}"
            for what, value in (
                *_burnt(workers),
                *_plain(folder / "data", folder / f"plain {of}", workers),
                *_with_dask(folder / "data", folder / f"dask {of}", workers),
            ):
                found[f"{what}, {workers}"].append(value)
    yield "observations", observations
    yield "events searched, millions", found["events, 1"][0] / 1e6
    yield "repetitions", repeats
    for what in ("steady", "first to last task", "with start"):
        one, two = (np.array(found[f"{what}, {workers}"]) for workers in (1, 2))
        yield f"{what}: events a second, 1 worker", statistics.median(one)
        yield f"{what}: events a second, 2 workers", statistics.median(two)
        yield f"{what}: **ratio**, median", statistics.median(two / one)
        yield f"{what}: ratio, each", ", ".join(f"{ratio:.2f}" for ratio in two / one)
    for what in ("plain processes", "loops of Python"):
        ratios = np.array(found[f"{what}, 2"]) / np.array(found[f"{what}, 1"])
        yield f"reference, {what}: ratio, median", statistics.median(ratios)
        yield f"reference, {what}: ratio, each", ", ".join(f"{ratio:.2f}" for ratio in ratios)
    for what in (
        "CPU time / time of a worker, steady",
        "CPU time of an event, steady (us)",
        "most threads of a worker process",
        "peak memory of a worker process (MB)",
        "peak memory of the driver (MB)",
    ):
        for workers in (1, 2):
            name = f"{what}, {workers}"
            yield f"{name} worker{'s' * (workers > 1)}", statistics.median(found[name])
    [settings] = [done.result for done in run(thread_settings, [None], Plan(workers=1))]
    yield "threads that libraries of a worker may use", settings or "unknown"


def _burnt(processes: int) -> Iterator[tuple[str, float]]:
    """A loop of Python: what the machine gives to two processes."""
    command = python(_BURN, str(BURN_SECONDS))
    yield "loops of Python", sum(int(printed) for printed in _outputs([command] * processes))


def _plain(data: Path, root: Path, processes: int) -> Iterator[tuple[str, float]]:
    """The same searches in processes of their own, each with its share of the observations."""
    commands = [
        python(_PLAIN, str(data), str(root), str(share), str(processes))
        for share in range(processes)
    ]
    rows = [row for printed in _outputs(commands) for row in json.loads(printed)]
    yield "plain processes", Tasks.of(rows, processes).events_a_second


def _outputs(commands: list[list[str]]) -> list[str]:
    """What commands print that run at the same time."""

    def output(command: list[str]) -> str:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    with ThreadPoolExecutor() as pool:
        return list(pool.map(output, commands))


def _with_dask(data: Path, root: Path, workers: int) -> Iterator[tuple[str, float]]:
    found = watch(python(_DASK, str(data), str(root), str(workers)))
    tasks = Tasks.of(json.loads(found.output), workers)
    n_events, (first, last) = float(tasks.events.sum()), tasks.busy
    cpu = sum(found.cpu_seconds(first, last)[:workers])
    yield "events", n_events
    yield "steady", tasks.events_a_second
    yield "first to last task", n_events / tasks.seconds
    yield "with start", n_events / found.seconds
    yield "CPU time / time of a worker, steady", cpu / workers / (last - first)
    yield "CPU time of an event, steady (us)", 1e6 * cpu / tasks.events_while_busy
    yield "most threads of a worker process", found.threads
    yield "peak memory of a worker process (MB)", found.worker_mb
    yield "peak memory of the driver (MB)", found.driver_mb


def thread_settings(_: None) -> str:
    """How many threads the libraries may use here."""
    blas = os.environ.get("OPENBLAS_NUM_THREADS", "all")
    return f"OpenCV {cv2.getNumThreads()}, pyarrow {pa.cpu_count()}, BLAS {blas}"


def worker_memory(folder: Path) -> Iterator[tuple[str, float]]:
    """A worker with the limit of the deployments, and the longest observation."""
    data = folder / "data"
    simulate_files(data, "0900000901", 5, duration=130_000.0, n_sources=30)
    yield "memory limit (MB)", 1024 * MEMORY_LIMIT_GIB
    for name, t_bin in (("nine runs", "5,50,200"), ("twelve runs, 1 s as well", "1,5,50,200")):
        root = folder / t_bin
        before, peak, seconds = _peak_of_worker(data, root, t_bin)
        entry = open_archive(root).entry("0900000901")
        if entry is None or entry.status == "FAILED":
            raise RuntimeError(f"The search failed: {entry and entry.reason}")
        events = open_archive(root).table("observations", columns=["n_events"]).compute()
        yield f"{name}: events searched", int(events["n_events"].sum())
        yield f"{name}: memory of the worker before (MB)", before
        yield f"{name}: peak memory of the worker (MB)", peak
        yield f"{name}: limit / peak", 1024 * MEMORY_LIMIT_GIB / peak
        yield f"{name}: whole command (s)", seconds


def _peak_of_worker(data: Path, root: Path, t_bin: str) -> tuple[float, float, float]:
    """Peak memory of a worker before and after a search in MB, and the seconds of the command."""
    config = Path(__file__).parents[1] / "deploy" / "dask" / "dask.yaml"
    where = root.with_suffix(".scheduler")
    at = ["--scheduler-file", str(where)]
    local = ["--host", "127.0.0.1"]
    limit = ["--nthreads", "1", "--memory-limit", f"{MEMORY_LIMIT_GIB}GiB"]
    started = [
        _dask(config, "scheduler", *at, *local, "--port", "0", "--dashboard-address", ":0"),
        _dask(config, "worker", *at, *local, *limit, "--local-directory", str(root.parent)),
    ]
    try:
        worker = _worker_process(started[1].pid)
        address = json.loads(where.read_text(encoding="utf-8"))["address"]
        before = peak_mb(worker.pid)
        command = exod(
            *("detect", str(data), "--archive", str(root), "--t-bin", t_bin),
            *("--scheduler", address),
        )
        seconds = watch(command).seconds
        # A worker that was ended for its memory is another process now, and this one is gone.
        return before, peak_mb(worker.pid), seconds
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def _dask(config: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DASK_CONFIG": str(config)}
    command = [sys.executable, "-m", "dask", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def _worker_process(nanny: int) -> psutil.Process:
    """The process that a nanny has started, once it has had time to connect."""
    for _ in range(100):
        time.sleep(0.2)
        children = psutil.Process(nanny).children()
        found = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        if found and time.time() - found[0].create_time() > 5:
            return found[0]
    raise RuntimeError("No worker has started.")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--observations", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.observations < 8:
        parser.error("Two workers need some time to be busy: at least 8 observations.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report.record(
            "Memory of a worker",
            "A simulated observation of 130 ks by pn and both MOS, a worker started as in "
            "`deploy/dask/`.",
            worker_memory(folder / "long"),
        )
        report.record(
            "Throughput of one and two workers",
            f"Simulated observations of {DURATION / 1000:g} ks by pn and both "
            f"MOS, nine runs. *Steady* is while all workers are busy, without the first task of "
            f"each; *first to last task* has those and the wait for the last; *with start* is the "
            f"whole command. Plain processes do the same searches without Dask, and loops of "
            f"Python use nothing but the processor: they say what the machine has to give.",
            in_turn(folder, arguments.observations, arguments.repeats),
        )


if __name__ == "__main__":
    main()
