"""Machine code that is kept: it is that of the files as they are now."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exod.search.nulls.photonsearch import photonratio

CALLED = """from kept.photonratio import jit

NUMBER = {}


@jit
def value():
    return NUMBER


@jit
def between():
    return value()
"""
CALLING = """from kept.called import NUMBER, between
from kept.photonratio import jit


@jit
def twice():
    return between() + NUMBER
"""
ASKING = "from kept.calling import twice; print(twice(), *twice.stats.cache_hits.values())"


@pytest.fixture
def asked(tmp_path: Path):
    """What a new process gets of a function that calls another file, and if it was kept."""
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "__init__.py").touch()
    shutil.copy(photonratio.__file__, folder)
    (folder / "calling.py").write_text(CALLING)

    def ask(value: int) -> list[str]:
        (folder / "called.py").write_text(CALLED.format(value))
        environ = {**os.environ, "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path / "home")}
        command = [sys.executable, "-c", ASKING]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        return done.stdout.split()

    return ask


def test_a_function_of_another_file_that_was_changed_is_compiled_anew(asked) -> None:
    assert asked(3) == ["6"]
    assert asked(3) == ["6", "1"]
    assert asked(5) == ["10"]


def test_a_folder_that_cannot_be_written_does_not_keep_from_compiling(
    asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/none")
    assert asked(3)[0] == "6"
