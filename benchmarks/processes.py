"""Memory and CPU time of a command and of the processes that it starts."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

SECONDS_BETWEEN = 0.1


@dataclass
class Watched:
    """What a command and its worker processes took.

    Attributes
    ----------
    output : str
        What it printed.
    seconds : float
        From its start to its end.
    seen : float or None
        Seconds until `until` said yes.
    driver_mb, worker_mb : float
        Largest resident memory of the command itself, and of a process that it started.
    cpu : dict of int to list of (float, float)
        Unix time and CPU seconds so far of it and the processes that it started, by process id.
    threads : int
        Most threads of a process that it started.
    """

    output: str = ""
    seconds: float = 0.0
    seen: float | None = None
    driver_mb: float = 0.0
    worker_mb: float = 0.0
    cpu: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    threads: int = 0

    def cpu_seconds(self, first: float, last: float) -> list[float]:
        """CPU seconds of each process between two Unix times, largest first."""
        series = [np.array(points).T for points in self.cpu.values()]
        used = [float(np.diff(np.interp([first, last], when, cpu))[0]) for when, cpu in series]
        return sorted(used, reverse=True)


def watch(
    command: list[str],
    *,
    until: Callable[[], bool] = lambda: True,
) -> Watched:
    """Run a command and look at it and its processes ten times a second.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    found = Watched()
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    waiting = threading.Thread(target=_wait, args=(found, until, process, began))
    looking = threading.Thread(target=_look, args=(found, process))
    for thread in (waiting, looking):
        thread.start()
    found.output = process.communicate()[0]
    found.seconds = time.perf_counter() - began
    for thread in (waiting, looking):
        thread.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, found.output)
    return found


def python(code: str, *arguments: str) -> list[str]:
    """The command that runs a piece of Python."""
    return [sys.executable, "-c", code, *arguments]


def exod(*arguments: str) -> list[str]:
    """The command line of exod, of the package that is imported here."""
    return python("from exod.cli import main; main()", *arguments)


def _wait(
    found: Watched, until: Callable[[], bool], process: subprocess.Popen[str], began: float
) -> None:
    while not until():
        if process.returncode is not None:
            return
        time.sleep(0.01)
    found.seen = time.perf_counter() - began


def _look(found: Watched, process: subprocess.Popen[str]) -> None:
    driver = psutil.Process(process.pid)
    while process.returncode is None:
        with suppress(psutil.Error, OSError):
            found.driver_mb = max(found.driver_mb, peak_mb(process.pid))
            _take_cpu(found, driver)
            for child in driver.children(recursive=True):
                found.worker_mb = max(found.worker_mb, peak_mb(child.pid))
                found.threads = max(found.threads, child.num_threads())
                _take_cpu(found, child)
        time.sleep(SECONDS_BETWEEN)


def _take_cpu(found: Watched, process: psutil.Process) -> None:
    times = process.cpu_times()
    found.cpu[process.pid].append((time.time(), times.user + times.system))


def peak_mb(pid: int) -> float:
    """Largest resident memory of a process so far, in MB; 0 if it has just ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    kilobytes = status.partition("VmHWM:")[2].split()
    return int(kilobytes[0]) / 1024 if kilobytes else 0.0
