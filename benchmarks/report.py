"""Sections of benchmarks/results_scale.md; each script replaces its own."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from exod import __version__

RESULTS = Path(__file__).with_name("results_scale.md")

TITLES = (
    "Scheduler alone",
    "exod detect with nothing to search",
    "Throughput of one and two workers",
    "Memory of a worker",
    "An archive of the whole mission",
    "Readers of many small observations",
)
"""Sections in their order."""

_TOP = """# Benchmark results at the scale of the mission

Made by `make bench-scale`; compare ratios, not seconds. What other programs used at the
same time is said with each section. Memory is in MB of 2^20 bytes."""


def record(title: str, text: str, rows: Iterable[tuple[str, float | str]]) -> None:
    """Measure the rows and write them as a section in place of the earlier one of this title."""
    others = _Others()
    lines = [f"| {what} | {_shown(value)} |" for what, value in rows]
    about = f"{text}\n\n{_machine()} {others}"
    section = "\n".join([f"## {title}", "", about, "", "| what | value |", "|---|---|", *lines])
    sections = _sections() | {title: section}
    ordered = [sections[name] for name in TITLES if name in sections]
    RESULTS.write_text("\n\n".join([_TOP, *ordered]) + "\n", encoding="utf-8")
    print(section, flush=True)


class _Others:
    """Cores that other programs use from now on until this is made a text."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]
        self._began, self._used = time.perf_counter(), self._seconds()

    def __str__(self) -> str:
        cores = (self._seconds() - self._used) / (time.perf_counter() - self._began)
        return f"Load before: {self._load:.1f}; other programs used {max(cores, 0):.2f} cores."

    @staticmethod
    def _seconds() -> float:
        machine, own = psutil.cpu_times(), os.times()
        busy = sum(machine) - machine.idle - machine.iowait - machine.guest - machine.guest_nice
        return busy - sum(own[:4])


def _machine() -> str:
    """What a section was measured on."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="ascii"))
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"exod {__version__}, Python {platform.python_version()}, {os.cpu_count()} cores "
        f"({models[0] if models else platform.machine()}), {memory:.0f} GiB, "
        f"{datetime.now(UTC):%Y-%m-%d}."
    )


def _sections() -> dict[str, str]:
    if not RESULTS.exists():
        return {}
    _, *sections = re.split(r"^(?=## )", RESULTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {text.partition("\n")[0].removeprefix("## "): text.strip() for text in sections}


def _shown(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
