"""Searches that are killed, starved of space and lied to, and what their archives hold then.

All that happens in a drill is drawn from its seed. When it happens is counted in observations
committed, not in seconds, so that it is the same part of the work on any machine.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from pathlib import Path
from random import Random
from typing import Any, Literal, Self

import fsspec
import pandas as pd
import psutil
import pyarrow as pa
import pytest

from exod.archive import Archive, open_archive
from exod.archive.ledger.entry import FullEntry
from exod.cli import main
from exod.schemas import TABLES
from exod.stages.inputs.simulate import simulate_files
from helpers.faults import VOLATILE, event_lists
from helpers.faulty_proxy import FaultyProxy
from helpers.processes import EXOD, start_interruptible, wait_until

SEEDS = int(os.environ.get("EXOD_DRILL_SEEDS", "0"))
"""How many seeds a drill is to have; 0 if this is none but the tests of every day."""

OBSIDS = tuple(f"09{number:06d}01" for number in range(1, 61 if SEEDS else 11))
SETTINGS = ("--t-bin", "200", "--band", "0.2-12")
RUNS = 5
"""How often the command is run again, at most, once all is quiet."""

TRUNCATED = 3

NO_SPACE = "No space left on device"

Where = Literal["disk", "small disk", "bucket"]
Action = Literal["kill driver", "kill all", "interrupt", "kill worker"]


# -------------------------------------------------------------------- what is searched


def simulate_all(folder: Path) -> None:
    """Short observations, each different; every fourth has two exposures."""
    for seed, obsid in enumerate(OBSIDS):
        cameras = ("EMOS1", "EMOS2") if seed % 4 == 0 else ("EMOS1",)
        simulate_files(
            folder,
            obsid,
            seed,
            duration=2000,
            cameras=cameras,
            n_sources=3,
            n_bursts=seed % 3,
            n_eclipses=0,
            n_flares=int(seed % 5 == 0),
        )


# -------------------------------------------------------------------- what is drawn


@dataclass(frozen=True)
class Blow:
    """Something done to a running search.

    It falls when `share` of what was missing at the start is committed, and `delay` seconds later.
    """

    share: float
    delay: float
    action: Action


@dataclass(frozen=True)
class Plan:
    """All that a seed decides."""

    seed: int
    where: Where
    disk_mb: float
    truncated: dict[str, float]
    """The part that is left of the first event list of an observation."""
    searches: tuple[tuple[Literal["sync", "local"], tuple[Blow, ...]], ...]


def plan_of(seed: int) -> Plan:
    random = Random(f"drill {seed}")
    where: tuple[Where, ...] = ("disk", "small disk", "bucket", "disk")
    truncated = {obsid: random.random() for obsid in sorted(random.sample(OBSIDS, TRUNCATED))}
    disk_mb = random.uniform(1, 3) / 60 * len(OBSIDS)
    # The first search is always stopped, and late enough that it has begun to commit.
    searches = [_search(random, stopped=True, early=0)]
    searches += [_search(random, stopped=True, early=0.3) for _ in range(random.randint(1, 2))]
    searches.append(_search(random, stopped=False, early=0))
    return Plan(seed, where[seed % len(where)], disk_mb, truncated, tuple(searches))


def _search(
    random: Random, *, stopped: bool, early: float
) -> tuple[Literal["sync", "local"], tuple[Blow, ...]]:
    """How a search runs and what is done to it, at last that it is stopped.

    A part `early` of what is done falls while it starts, which takes some seconds.
    """
    if stopped and random.random() < early:
        # Nothing promises a good end to who interrupts a program that is only being loaded.
        return "local", (
            Blow(0.0, random.uniform(0, 4), random.choice(("kill driver", "kill all"))),
        )
    if stopped and random.random() < 0.25:
        return "sync", (_last_blow(random, after=0),)
    blows = []
    for share in sorted(random.uniform(0.01, 0.25) for _ in range(random.randint(not stopped, 2))):
        when = 0.0 if random.random() < early else share
        blows.append(Blow(when, random.uniform(0, 0.3), "kill worker"))
    if stopped:
        blows.append(_last_blow(random, after=max((b.share for b in blows), default=0)))
    return "local", tuple(blows)


def _last_blow(random: Random, after: float) -> Blow:
    action: Action = random.choice(("kill driver", "kill driver", "kill all", "interrupt"))
    return Blow(after + random.uniform(0.05, 0.25), random.uniform(0, 0.3), action)


# -------------------------------------------------------------------- where the archive is


@dataclass
class Place:
    """The root of an archive, and how to get there."""

    root: str
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    grow: Callable[[], None] | None = None
    """Ends the lack of space, if that is what the place is for."""
    proxy: FaultyProxy | None = None
    look_every: float = 0.02
    """Seconds between two looks at what is committed, which an object store has to answer."""

    def open(self) -> Archive:
        return open_archive(self.root, self.options)

    def entries(self) -> list[FullEntry]:
        """The ledger with all that its files have; empty before there is an archive."""
        files, path = fsspec.url_to_fs(self.root, **self.options)
        if not files.exists(f"{path}/archive.json"):
            return []
        archive = self.open()
        found = [archive.entry(entry.obsid) for entry in archive.entries()]
        return [entry for entry in found if entry is not None]

    def commits(self) -> int:
        """How many results have been written up to now, also those replaced since."""
        files, path = fsspec.url_to_fs(self.root, **self.options)
        try:
            names = files.ls(f"{path}/observations", detail=False)
        except FileNotFoundError:
            return 0
        return sum(name.endswith(".parquet") for name in names)

    def names(self) -> set[str]:
        """All files there are, hidden ones as well."""
        files, path = fsspec.url_to_fs(self.root, **self.options)
        return {name.removeprefix(f"{path}/") for name in files.find(path)}


@contextmanager
def small_disk(mount_point: Path, size_mb: float) -> Iterator[Place]:
    """A disk in memory that only a process of its own has mounted; others see it through /proc.

    Raises
    ------
    OSError
        If an ordinary user may not mount one here.
    """
    script = (
        'mount -t tmpfs -o "size=$1" none "$2" && echo there && '
        'while read size; do mount -o "remount,size=$size" "$2" && echo there; done'
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    mount_point.mkdir()
    with subprocess.Popen(
        [*command, f"{size_mb * 1024:.0f}k", str(mount_point)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stderr is not None
        stdin, stdout = holder.stdin, holder.stdout

        def grow() -> None:
            stdin.write("256m\n")
            stdin.flush()
            assert stdout.readline() == "there\n"

        try:
            if stdout.readline() != "there\n":
                raise OSError(holder.stderr.read().strip())
            yield Place(f"/proc/{holder.pid}/root{mount_point}/archive", grow=grow)
        finally:
            # It ends with its input, and the disk with it.
            with suppress(BrokenPipeError):
                stdin.close()


# -------------------------------------------------------------------- what an archive holds


def contents(archive: Archive) -> dict[tuple[str, str], str]:
    """Hash of the rows of each observation in each table, as readers see them.

    What differs from run to run is left out. An observation that is lost has no hash, and one that
    is double has another.
    """
    found = {}
    for name in TABLES:
        frame = archive.table(name).compute(scheduler="sync")
        frame = frame.drop(columns=[column for column in VOLATILE if column in frame])
        for obsid, rows in frame.groupby("obsid", sort=False):
            found[name, str(obsid)] = _digest(rows)
    return found


def _digest(rows: pd.DataFrame) -> str:
    table = pa.Table.from_pandas(rows, preserve_index=False).combine_chunks()
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return hashlib.sha256(stream.getvalue()).hexdigest()


def outcomes(entries: list[FullEntry]) -> dict[str, Any]:
    """What the ledger says of each observation, without what differs from run to run."""
    return {
        entry.obsid: (
            entry.status,
            entry.reason,
            {name: file.rows for name, file in entry.files.items()},
            [(file.name, file.size, file.checksum) for file in entry.inputs],
        )
        for entry in entries
    }


def names_referred_to(entries: list[FullEntry]) -> set[str]:
    tables = {file.path for entry in entries for file in entry.files.values() if file.path}
    return tables | {f"ledger/{entry.obsid}.json" for entry in entries} | {"archive.json"}


def failed(entries: list[FullEntry]) -> set[str]:
    return {entry.obsid for entry in entries if entry.status == "FAILED"}


# -------------------------------------------------------------------- what runs


class Command:
    """A running command of exod: the leader of a session, so that its processes are known.

    What it says goes to files, which those it leaves behind do not keep open.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str], said: Path) -> None:
        self.said = said
        with said.with_suffix(".out").open("wb") as out, said.with_suffix(".err").open("wb") as err:
            self.process = start_interruptible(
                [EXOD, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                start_new_session=True,
            )
        self.is_over = False

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def members(self) -> list[psutil.Process]:
        """Processes of the session, the first one as well."""
        found = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):
                in_session = os.getsid(process.pid) == self.process.pid
                # Those without a parent may not be collected by anybody.
                if in_session and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        found = []
        for process in self.members():
            with suppress(psutil.Error):
                if "--multiprocessing-fork" in process.cmdline():
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)

    def reaches(self, condition: Callable[[], bool], every: float = 0.02) -> bool:
        """Wait for a condition; False if the command ends before."""
        return wait_until(
            condition, self.process, every=every, hangs=lambda: f"It hangs: {self.text}"
        )

    def end(self) -> int:
        """Wait until it and all that it started have ended."""
        self.reaches(lambda: False)
        # Workers must end whose driver was killed.
        wait_until(
            lambda: not self.members(),
            every=0.02,
            hangs=lambda: f"Processes stay behind: {self.members()}",
        )
        self.is_over = True
        return int(self.process.returncode)

    def discard(self) -> None:
        """Leave nothing behind, whatever happened."""
        # The number of a session that is over may be that of another by now.
        for process in [] if self.is_over else self.members():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait()

    @property
    def text(self) -> str:
        return self.said.with_suffix(".err").read_text() or "nothing was said"

    def output(self) -> str:
        return self.said.with_suffix(".out").read_text()

    def complaints(self) -> list[str]:
        """What it said to standard error: sentences, a line each."""
        return sentences(self.said.with_suffix(".err").read_text())


def sentences(said: str) -> list[str]:
    """The lines of what a command says to standard error, which all are sentences."""
    lines = said.splitlines()
    for line in lines:
        assert re.fullmatch(r"exod: .*[^.]\.", line), said
    return lines


@contextmanager
def surroundings(environment: dict[str, str]) -> Iterator[pytest.MonkeyPatch]:
    """An environment for what runs here; clients of object stores keep what they began with."""
    forget = fsspec.get_filesystem_class("s3").clear_instance_cache if environment else bool
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        forget()
        yield patch
        forget()


def end_here(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, list[str]]:
    """Exit code and complaints of a command that nothing disturbs: it needs no process."""
    with (
        surroundings(environment or {}) as patch,
        redirect_stdout(io.TextIOWrapper(io.BytesIO())),
        redirect_stderr(io.TextIOWrapper(io.BytesIO(), "utf-8")) as said,
    ):
        patch.setattr(sys, "argv", ["exod", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    said.seek(0)
    return int(end.value.code or 0), sentences(said.read())


class Drill:
    """One search of all observations, with all that its plan does to it."""

    def __init__(self, plan: Plan, place: Place, source: Path, folder: Path) -> None:
        self.plan, self.place, self.folder = plan, place, folder
        self.source, self.data = source, folder / "data"
        self.truncated = set(plan.truncated)
        self.random = Random(f"victims {plan.seed}")
        self.hits: Counter[str] = Counter()
        self.commands: list[Command] = []
        # Killed workers leave their scratch folders.
        (folder / "scratch").mkdir()
        shutil.copytree(source, self.data)
        for obsid, share in plan.truncated.items():
            path = event_lists(self.data / obsid)[0]
            content = path.read_bytes()
            path.write_bytes(content[: int(share * len(content))])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for command in self.commands:
            command.discard()

    def start(self, *arguments: str) -> Command:
        environment = {**os.environ, **self.place.environment}
        environment["TMPDIR"] = str(self.folder / "scratch")
        command = Command(list(arguments), environment, self.folder / f"{len(self.commands)}")
        self.commands.append(command)
        return command

    def end(self, *arguments: str) -> tuple[int, list[str]]:
        """Exit code and complaints of a command that nothing disturbs."""
        return end_here(*arguments, environment=self.place.environment)

    def search(self, scheduler: str) -> list[str]:
        """The command; if faults made observations fail, with the option that tries those again."""
        arguments = ["detect", str(self.data), "--archive", self.place.root, *SETTINGS]
        arguments += ["--scheduler", scheduler, "--workers", "2"]
        if failed(self.place.entries()) - self.truncated:
            arguments.append("--retry-failed")
        return arguments

    def fill_disk(self) -> None:
        """Search where not all fits; then make space."""
        assert self.place.grow is not None
        command = self.start(*self.search("local"))
        assert command.end() == 1
        said = command.complaints()
        self.hits["no space"] = command.output().count(NO_SPACE)
        # The search gives up when it fails too often.
        causes = (NO_SPACE, "could not be committed, so the search ends here", *self.truncated)
        assert all(any(cause in line for cause in causes) for line in said), command.text
        self.place.grow()

    def missing(self) -> set[str]:
        """Observations that can be searched and are not."""
        good = {entry.obsid for entry in self.place.entries() if entry.status != "FAILED"}
        return set(OBSIDS) - good - self.truncated

    def disturb(self, scheduler: str, blows: tuple[Blow, ...]) -> None:
        """Search, while the blows fall."""
        missing, before = len(self.missing()), self.place.commits()
        command = self.start(*self.search(scheduler))
        fallen: list[Action] = []
        for blow in blows:
            due = before + ceil(blow.share * missing)
            if not command.reaches(partial(self.has_committed, due), self.place.look_every):
                break
            time.sleep(blow.delay)
            if self.strike(command, blow.action):
                fallen.append(blow.action)
        code = command.end()
        # A signal from elsewhere would end it as well; then this tells that no blow was to blame.
        told = f"It ended with {code} after {fallen}: {command.text}"
        if code == -signal.SIGKILL:
            assert {"kill driver", "kill all"} & set(fallen), told
            return
        said = command.complaints()
        if code == 128 + signal.SIGINT:
            assert "interrupt" in fallen, told
            assert any("interrupted" in line for line in said), told
            return
        assert code in {0, 1}, told
        # What stopped it came in its last moment.
        assert {*fallen} <= {"kill worker"} or not self.missing(), told

    def has_committed(self, count: int) -> bool:
        return self.place.commits() >= count

    def strike(self, command: Command, action: Action) -> bool:
        """Whether there was something left to hit."""
        if action == "kill worker":
            command.reaches(lambda: bool(command.workers()))
            workers = command.workers()
            if workers:
                with suppress(psutil.NoSuchProcess):
                    self.random.choice(workers).kill()
        is_hit = command.is_running
        if action == "kill driver":
            command.process.kill()
        elif action != "kill worker" and is_hit:
            # An interruption is for all processes, as a terminal has it.
            number = signal.SIGKILL if action == "kill all" else signal.SIGINT
            os.killpg(command.process.pid, number)
        self.hits[action] += is_hit
        return is_hit

    def settle(self) -> list[FullEntry]:
        """Run the same command until only what is truncated fails; the ledger."""
        for _ in range(RUNS):
            code, said = self.end(*self.search("sync"))
            entries = self.place.entries()
            is_whole = {entry.obsid for entry in entries} == set(OBSIDS)
            if is_whole and failed(entries) == self.truncated and len(said) == len(self.truncated):
                break
        assert {entry.obsid for entry in entries} == set(OBSIDS)
        assert failed(entries) == self.truncated
        assert code == (1 if self.truncated else 0)
        for line, obsid in zip(sorted(said), sorted(self.truncated), strict=True):
            assert line.startswith(f"exod: {obsid} failed: ")
        return entries

    def restore(self) -> None:
        """Whole files in place of the truncated ones."""
        for obsid in self.truncated:
            path = event_lists(self.data / obsid)[0]
            shutil.copy(self.source / obsid / path.name, path)
        self.truncated = set()
