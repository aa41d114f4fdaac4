"""Fixtures that several tests share."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import typer.main
import typer.testing
from hypothesis import HealthCheck, settings

from exod.cli import main
from exod.scheduler import cluster

settings.register_profile(
    "exod",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=30,
)
# Random input by the hundred: `make drill`.
settings.register_profile("drill", settings.get_profile("exod"), max_examples=100)
settings.load_profile("exod")


def _shared() -> Path:
    data = os.environ.get("EXOD_TEST_DATA")
    return Path(data) if data else Path(__file__).resolve().parents[2] / "shared" / "data"


LONG = ("tests/stages/test_drill.py", "tests/stages/test_detect_stage.py")
"""Files whose tests take longest; where several processes run tests, nobody waits for them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


# What collecting makes stays: there is no garbage before tests run.
gc.disable()


def pytest_collection_finish() -> None:
    """Do not look for garbage among modules and tests again and again: an eighth of the time."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(100_000, 50, 100)


def pytest_sessionfinish() -> None:
    """What is still there may be cleaned up."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _own_port() -> Iterator[None]:
    """Processes that run tests side by side show their dashboards at ports of their own."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "DASHBOARD_PORT", cluster.DASHBOARD_PORT + 1 + number)
        yield


@pytest.fixture(scope="session", autouse=True)
def _disk_not_waited_for() -> Iterator[None]:
    """Nobody cuts the power of this machine; processes that tests start do wait for its disk."""
    with pytest.MonkeyPatch.context() as patch:
        # It refuses what is no open file as well.
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_command_line() -> Iterator[None]:
    """Commands are put together once: for each call it would take longer than most calls do."""
    made = cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", made)
        patch.setattr(typer.testing, "_get_command", made)
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real data: EXOD_TEST_DATA, or shared/data beside the checkout."""
    path = _shared()
    if not path.is_dir():
        pytest.skip(f"the real data are not at {path}; set EXOD_TEST_DATA to their folder")
    return path


@pytest.fixture(scope="session")
def oracle_dir(data_dir: Path) -> Path:
    """What EXOD2 finds in the real observation."""
    path = data_dir.parent / "oracle"
    if not path.is_dir():
        pytest.skip(f"EXOD2's own results are not at {path}, beside the real data")
    return path


@pytest.fixture(scope="session")
def real_sources(data_dir: Path) -> dict[Path, pd.DataFrame]:
    """The sources of each real list of the pipeline, read in silence; not to be changed."""
    from exod.pps.lists import read_source_list

    lists = sorted((data_dir / "obsmli").glob("P*OBSMLI*"))
    assert len(lists) == 53
    found = {path: read_source_list(path) for path in lists}
    assert all(notes == () for _, notes in found.values())
    return {path: sources for path, (sources, _) in found.items()}


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two short simulated observations, one folder each; not to be changed."""
    from helpers.faults import GOOD, OTHER, write_small

    folder = tmp_path_factory.mktemp("small")
    for seed, obsid in enumerate((GOOD, OTHER), start=3):
        write_small(folder, obsid, seed)
    return folder


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["exod", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return int(end.value.code or 0), said.out, said.err

    return run
