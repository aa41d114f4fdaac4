"""Ctrl-C ends every command with exit code 130 and one sentence, whenever it comes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.processes import LONGEST, start_interruptible

SENTENCE = "exod: interrupted; what is done is kept, and the same command continues.\n"
STAND_IN = """
import sys, types
command_line = types.ModuleType("exod.cli")
sys.modules["exod.cli"] = command_line
{command}
command_line.main = command
from exod.__main__ import main
main()
"""
LOST_IN_A_DESTRUCTOR = """
import signal, time
class Deaf:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
def command():
    try:
        Deaf()
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(130)
"""
WHILE_PYTHON_ENDS = """
import atexit, signal
def command():
    atexit.register(signal.raise_signal, signal.SIGINT)
    sys.exit(0)
"""
BEFORE_A_COMMAND_BEGINS = """
import signal
def command():
    signal.raise_signal(signal.SIGINT)
"""


def test_while_modules_are_imported(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    # What is given last is searched first.
    run = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from exod.__main__ import main; main()"
    )
    with start_interruptible(
        [sys.executable, "-c", run], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LONGEST)
    assert (process.returncode, said) == (130, SENTENCE)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (LOST_IN_A_DESTRUCTOR, ""),
        (BEFORE_A_COMMAND_BEGINS, SENTENCE),
        (WHILE_PYTHON_ENDS, SENTENCE),
    ],
)
def test_where_nothing_can_be_raised(command: str, said: str) -> None:
    script = STAND_IN.format(command=command)
    with start_interruptible(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True
    ) as process:
        _, errors = process.communicate(timeout=LONGEST)
    assert (process.returncode, errors) == (130, said)
