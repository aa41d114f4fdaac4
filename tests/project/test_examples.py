"""What the tutorial and the user guide show is what happens."""

from __future__ import annotations

import doctest
import shlex
from pathlib import Path
from typing import Any

import pytest
from helpers.pages import FENCE, GROUP, ROOT, blocks, text_of
from typer.testing import CliRunner

from exod.cli import app
from exod.config import Config
from exod.pps import find_observations
from exod.scheduler.plan import Plan
from exod.stages.cube import export_cube
from exod.stages.detect.survey import detect_many

USER_GUIDE = ROOT / "docs" / "user_guide.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"


@pytest.mark.realdata
def test_python_examples_of_the_user_guide(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data_dir / "xmm" / "0001730201"
    if not folder.is_dir():
        pytest.skip(f"the observation is not at {folder}")
    monkeypatch.chdir(tmp_path)
    Path("0001730201").symlink_to(folder)
    observations, _ = find_observations(["0001730201"])
    published = Config.parse({"cube": {"live_time": "frames"}})
    list(detect_many(observations, published, "results", Plan("sync")))
    one_run = Config.parse({"cube": {"t_bin": [50], "bands": [[0.2, 12]]}})
    export_cube(observations[0], one_run, "cube.zarr")
    check_examples(USER_GUIDE, "\n".join(blocks(USER_GUIDE, "pycon")), {})


@pytest.mark.slow
def test_the_tutorial_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands and examples, one after the other, give what it shows."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for language, body in FENCE.findall(text_of(TUTORIAL)):
        if language == "pycon":
            check_examples(TUTORIAL, body, names)
        for line in body.splitlines() if language == "bash" else ():
            command = shlex.split(line)
            if command[0] == "exod":
                options = {name for item in command_of(command[1]).params for name in item.opts}
                quick = ["--scheduler", "sync"] if "--scheduler" in options else []
                done = CliRunner().invoke(app, [*command[1:], *quick])
                assert done.exit_code == 0, f"{line}: {done.output}"


def command_of(name: str) -> Any:
    return GROUP.commands[name]  # type: ignore[attr-defined]


def check_examples(page: Path, source: str, names: dict[str, Any]) -> None:
    """Run examples; `names` holds what earlier ones defined, and gets what these define."""
    test = doctest.DocTestParser().get_doctest(source, names, page.name, str(page), 0)
    report: list[str] = []
    result = doctest.DocTestRunner().run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    assert result.attempted > 0
    assert not result.failed, "".join(report)
