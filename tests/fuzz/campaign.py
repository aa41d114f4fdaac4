"""Many mutants: read in processes that are watched, judged, counted."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from exod.errors import ExodError
from exod.stages.detect.observation import peak_memory_mb, reset_peak_memory
from fuzz import judge, mutants
from fuzz.bases import Base
from fuzz.reading import Reader, Reading, add_error, read

FAILURES = ("silent loss", "hang", "foreign exception", "too much memory", "end of the process")
"""What must not happen."""

OUTCOMES = (
    *FAILURES,
    *("error", "note", "equal", "undetectable values", "undetectable headers"),
    *("undetectable extensions", "undetectable files"),
)

TIMES_EVERY, SEARCH_EVERY = 8, 100
"""How often the good times of exposures are read, too, and how often there is a search."""

_CASES_OF_A_PROCESS = 2000
_START_SECONDS = 600.0


@dataclass(frozen=True)
class Limits:
    """What a mutant may take, and how often more is done with it.

    Attributes
    ----------
    seconds : float
        Until its process is ended.
    memory_mb : float
        Address space beyond what the process has after its imports.
    """

    seconds: float = 60.0
    memory_mb: float = 1024.0


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes
    ----------
    number : int
        The mutant.
    outcome : str
        One of `OUTCOMES`.
    kind : str
        Its damage.
    detail : str
        What was said, differs, or was raised.
    seconds : float
        Of the processor.
    peak_mb, predicted_mb : float
        Memory of the process, and what exod predicts.
    """

    number: int
    outcome: str
    kind: str
    detail: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0
    predicted_mb: float = 0.0


@dataclass
class Tally:
    """Counts of a campaign."""

    outcomes: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[Verdict] = field(default_factory=list)
    slowest: Verdict | None = None
    largest_share: float = 0.0
    seconds: float = 0.0

    def add(self, verdict: Verdict) -> None:
        self.outcomes[verdict.outcome] += 1
        self.by_kind.setdefault(verdict.kind, Counter())[verdict.outcome] += 1
        self.seconds += verdict.seconds
        if verdict.outcome in FAILURES:
            self.failures.append(verdict)
        if self.slowest is None or verdict.seconds > self.slowest.seconds:
            self.slowest = verdict
        if verdict.predicted_mb:
            self.largest_share = max(self.largest_share, verdict.peak_mb / verdict.predicted_mb)


class Examiner:
    """Reads mutants of some observations and judges what is found.

    Parameters
    ----------
    bases : list of Base
        Sound observations.
    seed : int
        Of the mutants.
    reader : callable
        What reads a folder.
    """

    def __init__(self, bases: list[Base], seed: int, reader: Reader = read) -> None:
        self._bases, self._seed, self._reader = bases, seed, reader
        self._sound: dict[tuple[int, bool, bool], Reading] = {}

    def prepare(self) -> None:
        """Read and search a sound observation, so that everything is imported and at work."""
        self._reading_of_sound(0, with_times=True, with_search=True)

    def examine(self, number: int) -> Verdict:
        """Read one mutant."""
        mutant = mutants.make(self._bases, self._seed, number)
        with_times, with_search = number % TIMES_EVERY == 0, number % SEARCH_EVERY == 0
        sound = self._reading_of_sound(mutant.base, with_times, with_search)
        began = time.process_time()
        reset_peak_memory()
        reading, raised = self._read(mutant, with_times, with_search)
        peak = peak_memory_mb()
        predicted = reading.predicted_mb or sound.predicted_mb
        if raised:
            outcome, detail = "foreign exception", raised
        elif reading.allocated_too_much or peak > predicted:
            outcome, detail = "too much memory", f"{peak:.0f} MB, predicted {predicted:.0f} MB"
        else:
            outcome, detail = self._judged(mutant, reading, sound, with_times)
        seconds = time.process_time() - began
        detail = f"{'; '.join(mutant.done)}: {detail}"
        return Verdict(number, outcome, mutant.kind, detail, seconds, peak, predicted)

    def _read(
        self, mutant: mutants.Mutant, with_times: bool, with_search: bool
    ) -> tuple[Reading, str]:
        folder = Path(tempfile.mkdtemp(prefix="exod-fuzz-", dir=_fast_folder()))
        try:
            place = folder / self._bases[mutant.base].obsid
            mutant.write(place)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return self._reader(place, with_times, with_search), ""
        except ExodError as error:
            reading = Reading(error=str(error))
            add_error(reading, error, folder)
            return reading, ""
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            lines = traceback.format_exception(error)
            return Reading(), "".join(lines[-4:]).strip()
        finally:
            shutil.rmtree(folder)

    def _reading_of_sound(self, base: int, with_times: bool, with_search: bool) -> Reading:
        key = (base, with_times, with_search)
        if key not in self._sound:
            files = dict(self._bases[base].files)
            sound = mutants.Mutant(self._seed, -1, base, files, ["nothing"])
            reading, raised = self._read(sound, with_times, with_search)
            if raised or reading.error or not reading.n_events:
                raise AssertionError(f"a sound observation cannot be read: {raised}{reading.error}")
            self._sound[key] = reading
        return self._sound[key]

    def _judged(
        self, mutant: mutants.Mutant, reading: Reading, sound: Reading, with_times: bool
    ) -> tuple[str, str]:
        new = sorted(reading.said - sound.said)
        if reading.error:
            return "error", reading.error
        differs = [key for key, value in sound.found.items() if reading.found.get(key) != value]
        if not differs:
            return "equal", "; ".join(new)
        if new:
            return "note", "; ".join(new)
        lost = f"{', '.join(differs)} ({sound.n_events} events, now {reading.n_events})"
        if fault := judge.fault_in(mutant.files, with_times):
            return "silent loss", f"{lost}: {fault}"
        changed = judge.what_changed(mutant.files, self._bases[mutant.base].files)
        return f"undetectable {changed}", lost


def _fast_folder() -> str | None:
    """In memory where there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _work(pipe: Connection, examiner: Examiner, limits: Limits) -> None:
    """A process: numbers come in, verdicts go out."""
    # What libraries allocate at their first use is no part of the limit.
    examiner.prepare()
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    size *= resource.getpagesize()
    limit = size + int(limits.memory_mb * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    pipe.send(None)
    while (number := pipe.recv()) is not None:
        pipe.send(examiner.examine(number))


class _Worker:
    """A process and what it is doing."""

    def __init__(self, context: Any, examiner: Examiner, limits: Limits) -> None:
        self.pipe, theirs = context.Pipe()
        self._limits = limits
        self._process = context.Process(target=_work, args=(theirs, examiner, limits), daemon=True)
        self._process.start()
        theirs.close()
        self.number: int | None = None
        self.n_done = 0
        self.deadline = time.monotonic() + _START_SECONDS

    def give(self, number: int) -> None:
        self.number = number
        self.deadline = time.monotonic() + self._limits.seconds
        self.pipe.send(number)

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def run(
    examiner: Examiner, numbers: Sequence[int], workers: int = 1, limits: Limits | None = None
) -> Iterator[Verdict]:
    """Examine mutants in processes of their own.

    Parameters
    ----------
    examiner : Examiner
        What to do.
    numbers : sequence of int
        The mutants.
    workers : int
        Processes.
    limits : Limits, optional
        For each mutant.

    Yields
    ------
    Verdict
        In order of completion.
    """
    limits = limits or Limits()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fuzz.campaign"])
    waiting = list(reversed(numbers))
    active: list[_Worker] = []
    try:
        while waiting or active:
            while waiting and len(active) < min(workers, len(waiting) + len(active)):
                active.append(_Worker(context, examiner, limits))
            ready = wait([worker.pipe for worker in active], timeout=1.0)
            for worker in list(active):
                verdict, is_free = None, False
                if worker.pipe in ready:
                    verdict, is_free = _received(worker)
                elif time.monotonic() > worker.deadline:
                    verdict = _ended(worker, "hang", f"longer than {limits.seconds:g} s")
                if verdict is not None:
                    yield verdict
                if is_free and waiting and worker.n_done < _CASES_OF_A_PROCESS:
                    worker.give(waiting.pop())
                elif is_free or verdict is not None:
                    worker.end()
                    active.remove(worker)
    finally:
        for worker in active:
            worker.end()


def _received(worker: _Worker) -> tuple[Verdict | None, bool]:
    """What a process sent, and whether it can go on."""
    try:
        verdict = worker.pipe.recv()
    except (EOFError, ConnectionError):
        return _ended(worker, "end of the process", "it ended or was ended"), False
    worker.n_done += 1
    return verdict, True


def _ended(worker: _Worker, outcome: str, detail: str) -> Verdict:
    if worker.number is None:
        raise AssertionError(f"a process did not begin: {detail}")
    return Verdict(worker.number, outcome, outcome, detail)


def save(folder: Path, bases: list[Base], seed: int, verdict: Verdict, command: str) -> Path:
    """Write a mutant that failed with what happened and the command that repeats it."""
    place = folder / f"{seed}-{verdict.number}"
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(place)
    mutant = mutants.make(bases, seed, verdict.number)
    mutant.write(place / bases[mutant.base].obsid)
    text = f"{verdict.outcome}\n{verdict.detail}\n\nRepeat it:\n{command}\n"
    (place / "what.txt").write_text(text, encoding="utf-8")
    return place
