"""A few hundred mutants of what exod reads, and readers with faults that the fuzzer must find."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exod.errors import InputError
from fuzz import __main__ as command_line
from fuzz import judge, layout, mutants
from fuzz.bases import Base, simulated_bases
from fuzz.campaign import FAILURES, Examiner, Limits, Tally, Verdict, run, save
from fuzz.reading import Reader, Reading, read

N_MUTANTS = 200


@pytest.fixture(scope="module")
def bases() -> list[Base]:
    return simulated_bases()


def test_no_mutant_is_believed(bases: list[Base]) -> None:
    tally = Tally()
    for verdict in run(Examiner(bases, seed=3), range(N_MUTANTS)):
        tally.add(verdict)
    assert tally.outcomes.total() == N_MUTANTS
    assert [(v.number, v.outcome, v.detail) for v in tally.failures] == []
    assert min(tally.outcomes[name] for name in ("error", "note", "equal")) > 0


def _silent(folder: Path, with_times: bool, with_search: bool) -> Reading:
    """Never says anything."""
    reading = read(folder, with_times=False, with_search=False)
    reading.said, reading.error = set(), ""
    return reading


def _raising(folder: Path, with_times: bool, with_search: bool) -> Reading:
    reading = read(folder, with_times=False, with_search=False)
    if reading.error:
        raise KeyError("BITPIX")
    return reading


def _greedy(folder: Path, with_times: bool, with_search: bool) -> Reading:
    """Asks for what the file says, and calls it damaged when there is no such memory."""
    reading = read(folder, with_times=False, with_search=False)
    if reading.error:
        try:
            np.ones(1 << 50)
        except MemoryError as error:
            raise InputError("It is damaged.") from error
    return reading


def _large(folder: Path, with_times: bool, with_search: bool) -> Reading:
    """Takes more than was predicted."""
    reading = read(folder, with_times=False, with_search=False)
    reading.predicted_mb = 10.0
    return reading


def _endless(folder: Path, with_times: bool, with_search: bool) -> Reading:
    reading = read(folder, with_times=False, with_search=False)
    while reading.error:
        time.sleep(1)
    return reading


def _mortal(folder: Path, with_times: bool, with_search: bool) -> Reading:
    reading = read(folder, with_times=False, with_search=False)
    if reading.error:
        os.kill(os.getpid(), signal.SIGKILL)
    return reading


@pytest.fixture(scope="module")
def damaged(bases: list[Base]) -> list[int]:
    """Numbers of mutants that exod refuses."""
    # In another process: the memory of this one is that of all tests before.
    verdicts = run(Examiner(bases, seed=1), range(1, 13))
    return [verdict.number for verdict in verdicts if verdict.outcome == "error"][:3]


@pytest.mark.parametrize(
    ("reader", "outcome"),
    [
        (_silent, "silent loss"),
        (_raising, "foreign exception"),
        (_greedy, "too much memory"),
        (_large, "too much memory"),
    ],
)
def test_faults_of_a_reader_are_found(
    bases: list[Base], damaged: list[int], reader: Reader, outcome: str
) -> None:
    verdicts = list(run(Examiner(bases, 1, reader), damaged))
    assert len(verdicts) == 3
    assert {verdict.outcome for verdict in verdicts} == {outcome}


@pytest.mark.parametrize(
    ("reader", "limits", "outcome"),
    [(_endless, Limits(seconds=0.5), "hang"), (_mortal, Limits(), "end of the process")],
)
def test_processes_that_do_not_answer(
    bases: list[Base], damaged: list[int], reader: Reader, limits: Limits, outcome: str
) -> None:
    """The others go on in a new process."""
    numbers = damaged[:2]
    verdicts = list(run(Examiner(bases, 1, reader), numbers, limits=limits))
    assert [verdict.number for verdict in verdicts] == numbers
    assert {verdict.outcome for verdict in verdicts} == {outcome}


def test_equal_seeds_give_equal_mutants(bases: list[Base]) -> None:
    first, again, other = (mutants.make(bases, seed, 17) for seed in (5, 5, 6))
    assert first == again
    assert first.files != other.files


@pytest.mark.parametrize("damage", [*mutants.OF_CONTENT, *mutants.OF_FILES])
def test_damage_damages(bases: list[Base], damage: str) -> None:
    """Most of the time; a new value may be the old one."""
    base = bases[1]
    generator = np.random.default_rng(8)
    changed = 0
    for target in [*base.files] * 5:
        files = dict(base.files)
        if damage in mutants.OF_FILES:
            mutants.OF_FILES[damage][1](generator, files, target, base)
        else:
            files[target] = mutants.OF_CONTENT[damage][1](generator, base.files[target])
        changed += files != base.files
    assert changed > 7


def test_sound_files_have_no_fault(bases: list[Base]) -> None:
    for base in bases:
        assert judge.fault_in(dict(base.files)) == ""
        assert len(base.event_lists) + 1 == len(base.files)


def _changed_row(content: bytes, name: str, value: float, row: int = 10) -> bytes:
    events = next(hdu for hdu in layout.hdus(content) if hdu.name in {"EVENTS", "SRCLIST"})
    column = next(column for column in layout.columns(events) if column.name == name)
    changed = np.frombuffer(content, np.uint8).copy()
    layout.stored(changed, events, column)[row] = value
    return changed.tobytes()


CHANGES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "in range": ("PNS003", lambda content: _changed_row(content, "PI", 1234), ""),
    "an energy": ("PNS003", lambda content: _changed_row(content, "PI", -5), "PI outside"),
    "a chip": ("PNS003", lambda content: _changed_row(content, "CCDNR", 13), "CCDNR outside"),
    "a time": ("PNS003", lambda content: _changed_row(content, "TIME", 0), "TIME outside"),
    "no time": ("PNS003", lambda content: _changed_row(content, "TIME", np.nan), "TIME outside"),
    "a position": ("OBSMLI", lambda content: _changed_row(content, "DEC", 91, 0), "DEC outside"),
    "cut": ("PNS003", lambda content: content[:-2880], "too early"),
    "more": ("PNS003", lambda content: content + b"1" * 2880, "no header"),
    "not filled": ("OBSMLI", lambda content: content[:-1] + b"1", "not filled"),
    "a byte of a header": (
        "PNS003",
        lambda content: content.replace(b"NAXIS1  =", b"NAXIS1\xff =", 2),
        "not text",
    ),
    "a row less": (
        "PNS003",
        lambda content: content.replace(b"                 900", b"                 899"),
        "not filled",
    ),
    "two values": (
        "PNS003",
        lambda content: content.replace(b"GCOUNT  =", b"PCOUNT  =", 1),
        "PCOUNT = ",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_judge(bases: list[Base], change: str) -> None:
    part, make, fault = CHANGES[change]
    base = bases[0]  # The one of pn.
    name = next(name for name in base.files if part in name)
    changed = {**base.files, name: make(base.files[name])}
    assert changed != base.files
    assert fault in judge.fault_in(dict(changed))
    assert bool(fault) == bool(judge.fault_in(dict(changed)))
    if not fault:
        assert judge.what_changed(dict(changed), base.files) == "values"


def test_judge_of_checksums(bases: list[Base]) -> None:
    base = next(base for base in bases if base.name == "checksums")
    name = base.event_lists[0]
    changed = _changed_row(base.files[name], "PI", 1234)
    assert "DATASUM" in judge.fault_in({**base.files, name: changed})


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seed", "3", "--only", "1", "2", "--failures", str(tmp_path)]
    assert command_line.main(arguments) == 0
    assert "2 mutants of" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_failures_are_kept(bases: list[Base], tmp_path: Path) -> None:
    verdict = Verdict(7, FAILURES[0], "flipped bits", "what was lost")
    place = save(tmp_path, bases, 3, verdict, 'make fuzz ARGS="--seed 3 --only 7"')
    text = (place / "what.txt").read_text(encoding="utf-8")
    assert "what was lost" in text
    assert "--seed 3 --only 7" in text
    mutant = mutants.make(bases, 3, 7)
    names = {path.name for path in (place / bases[mutant.base].obsid).iterdir()}
    assert names == set(mutant.files)
