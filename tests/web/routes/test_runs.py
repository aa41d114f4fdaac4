"""The progress by the API: now, and as events."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from helpers.query_archives import make_queried
from starlette.testclient import TestClient

from exod.archive import Archive
from exod.archive.ledger.progress import archive_progress
from exod.archive.ledger.running import search_recorded
from exod.errors import ExodError
from exod.scheduler.tally import Tally
from exod.web.app import WebSettings, make_app
from exod.web.product import Product
from exod.web.routes import runs
from exod.web.routes.runs import RunsView, told

HOST = "http://127.0.0.1:8765"


def figures(explored: Archive, **settings: Any) -> dict[str, Any]:
    with TestClient(make_app(explored, WebSettings(**settings)), base_url=HOST) as client:
        answer = client.get("/api/v1/runs")
    assert answer.status_code == 200
    return dict(answer.json())


def test_figures(explored: Archive) -> None:
    with search_recorded(explored.store, Tally("detect", 9)) as record:
        record.dashboard = "http://127.0.0.1:8787/status"
        record.write()
        found = figures(explored)
    assert (found["stage"], found["total"], found["left"]) == ("detect", 9, 9)
    assert found["dashboard"] == "http://127.0.0.1:8787/status"
    assert found["cluster"] is None
    expected = json.loads(json.dumps(archive_progress(explored).figures()))
    for name in ("counts", "failures", "slowest", "stages"):
        assert found[name] == expected[name]


def test_scheduler_that_is_gone(explored: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exod.scheduler.cluster.CONNECT_SECONDS", 0.1)
    found = figures(explored, scheduler="tcp://127.0.0.1:1")
    assert "cannot be reached" in found["cluster"]["problem"]
    assert sum(found["counts"].values()) == len(explored.entries())


class Cluster:
    """A scheduler with one more task at each look."""

    def __init__(self) -> None:
        self.tasks = 0

    def figures(self) -> dict[str, Any]:
        self.tasks += 1
        if self.tasks == 3:
            raise ExodError("The scheduler is gone.")
        return {"tasks": self.tasks}


def messages(view: RunsView, steps: list[Any]) -> list[str]:
    """What is told while `steps` happen, one after each look."""
    waiting = iter(steps)
    ended = []

    async def wait(_seconds: float) -> None:
        step = next(waiting, None)
        if step is None:
            ended.append(True)
        else:
            step()

    async def collect() -> list[str]:
        return [message async for message in told(view, lambda: bool(ended), wait)]

    return asyncio.run(collect())


def test_events(tmp_path: Path) -> None:
    archive = make_queried(tmp_path / "results", 2, 2)
    steps = [lambda: None, lambda: archive.commit("0999999999", "FAILED", reason="No."), int]
    found = messages(RunsView(archive, None), steps)
    assert all(message.startswith("data: ") and message.endswith("\n\n") for message in found)
    first, second = (json.loads(message[6:]) for message in found)
    assert (first["counts"]["FAILED"], second["counts"]["FAILED"]) == (0, 1)
    assert first["cluster"] is None
    assert second["failures"][0]["command"] == f"exod retry {archive.root}"


def test_events_of_a_cluster(explored: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "CLUSTER_LOOKS", 2)
    found = messages(RunsView(explored, Cluster()), [int] * 5)  # type: ignore[arg-type]
    told_of = [json.loads(message[6:])["cluster"] for message in found]
    assert told_of == [{"tasks": 1}, {"tasks": 2}, {"problem": "The scheduler is gone."}]


def test_events_of_nothing_new(explored: Archive) -> None:
    found = messages(RunsView(explored, None), [int] * (2 * runs.SILENT_LOOKS))
    assert found[1:] == [": nothing new\n\n"] * 2


def test_events_of_a_damaged_ledger(tmp_path: Path) -> None:
    archive = make_queried(tmp_path / "results", 2, 2)
    Path(archive.root, "ledger", "0999999999.json").write_text("{")
    (found,) = messages(RunsView(archive, None), [])
    assert "0999999999" in json.loads(found[6:])["problem"]


def test_figures_of_the_time_of_making(explored: Archive) -> None:
    with Product(explored).opened("progress.parquet") as source:
        (row,) = pq.read_table(source)["figures"].to_pylist()
    kept, now = json.loads(row), archive_progress(explored).figures()
    assert kept["counts"] == now["counts"]
    assert kept.keys() == now.keys()
