"""The bar tells the truth, and plain lines where there is no terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from exod.cli import progress
from exod.cli.progress import Follower, follow
from exod.errors import ExodError
from exod.stages.detect.observation import Outcome

BEFORE = Outcome("0000000001", "OK", "", 9, 3, searched=False)
FOUND = Outcome("0000000002", "OK", "", 9, 3, 1000, 2.0)
FAILED = Outcome("0000000003", "FAILED", "The disk is full.")


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=140)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return Text.from_ansi(console.file.getvalue()).plain


def test_the_bar_counts_what_is_to_be_searched() -> None:
    console = terminal()
    with follow(4, console) as follower:
        follower.dashboard("http://127.0.0.1:8787/status")
        for outcome in (BEFORE, FOUND, FAILED):
            assert follower.report(outcome) is outcome
    shown = said(console)
    assert "Dashboard: http://127.0.0.1:8787/status\n" in shown
    assert "0000000003 failed: The disk is full.\n" in shown
    last = shown.strip().splitlines()[-1]
    assert "2/3 1 FAILED, 2 OK, 1 of them before" in last
    assert "/min" in last


def test_time_left_is_by_the_mean_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    console = terminal()
    bar = progress.Progress(
        progress._TimeLeft(), console=console, get_time=lambda: now[0], auto_refresh=False
    )
    with bar:
        follower = Follower(console, 10, bar)
        assert follower is not None
        for seconds in (100.0, 101.0):
            now[0] = seconds
            follower.report(FOUND)
        (task,) = bar.tasks
        assert progress._TimeLeft().render(task).plain == "0:06:44 left"


def test_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=40)
    log = tmp_path / "log"
    with follow(2, console, log) as follower:
        follower.report(BEFORE)
        follower.report(FAILED)
    assert said(console).splitlines() == [
        "[1/2] 0000000001 OK: 3 regions in 9 runs, done before.",
        "[2/2] 0000000003 FAILED: 0 regions in 0 runs, 0.0 s. The disk is full.",
    ]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["obsid"] for line in lines] == ["0000000001", "0000000003"]
    with (
        follow(1, console, tmp_path / "none" / "log") as follower,
        pytest.raises(ExodError, match="log cannot be written"),
    ):
        follower.report(FOUND)
