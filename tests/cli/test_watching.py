"""`exod status --watch`: on a terminal, piped, to the end of the search and until Ctrl-C."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import wait_until
from rich.console import Console
from typer.testing import CliRunner

from exod.archive import Archive
from exod.archive.ledger import progress
from exod.archive.ledger.running import search_recorded
from exod.cli import app, watching
from exod.config import Config
from exod.scheduler.tally import Tally


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "results", Config())


def shown(archive: Archive, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> str:
    """What is said of a search of three that finds, fails and ends, one a look."""
    sink = io.StringIO()
    console = Console(file=sink, force_terminal=terminal, width=100, highlight=False)
    tally = Tally("detect", 3, before=1)
    with search_recorded(archive.store, tally) as record:
        steps = iter(
            [
                lambda: archive.commit("0000000001", "OK"),
                lambda: archive.commit("0000000002", "FAILED", reason="[No] events."),
                record.remove,
            ]
        )

        class Waiting:
            set = None

            def wait(self, _seconds: float) -> bool:
                next(steps)()
                return False

        monkeypatch.setattr(watching, "Event", Waiting)
        watching.follow_archive(archive, console, 0.1)
    return sink.getvalue()


def test_piped(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(archive, monkeypatch, terminal=False).splitlines()
    assert len(lines) == 4
    assert "\x1b" not in "".join(lines)
    assert lines[0].startswith("detect: 1 of 3 observations done, 1 of them before; 0 obs")
    assert re.match(r"detect: 2 of 3 .* an hour, .* left; 1 observation in the ledger", lines[1])
    assert re.match(r"detect: 3 of 3 .*1 failed.*\(1 OK, 1 FAILED\)\.", lines[2])
    assert lines[3].startswith("Nothing is being searched; 2 observations")


def test_on_a_terminal(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(archive, monkeypatch, terminal=True)
    assert "1 failed: [No] events." in text
    assert f"exod retry {archive.root}"[:60] in text.replace("\n", "")


def test_nothing_runs(archive: Archive) -> None:
    found = CliRunner().invoke(app, ["status", archive.root, "--watch"])
    assert (found.exit_code, found.output) == (
        0,
        "Nothing is being searched; 0 observations in the ledger.\n",
    )


def test_many_reasons_and_long_commands(archive: Archive) -> None:
    for number, letter in enumerate("abcdefg"):
        archive.commit(f"000000000{number}", "FAILED", reason=f"Reason {letter}.")
    for number in range(30):
        archive.commit(f"00000001{number:02d}", "FAILED", reason="Reason a.")
    console = Console(file=io.StringIO(), width=300)
    console.print(watching.drawn(progress.archive_progress(archive), archive.root))
    text: Any = console.file
    assert "31 failed: Reason a." in text.getvalue()
    assert " ..." in text.getvalue()
    assert "2 more reasons: exod status" in text.getvalue()


def test_ctrl_c(archive: Archive) -> None:
    with search_recorded(archive.store, Tally("detect", 3)):
        command = [sys.executable, "-m", "exod", "status", archive.root, "--watch"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("detect: 0 of 3 observations")
            process.send_signal(signal.SIGINT)
            wait_until(lambda: process.poll() is not None)
            assert (process.returncode, *process.communicate()) == (130, "", "")
