"""What a scheduler is told of a run, and the page of its dashboard, read from a real cluster."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from bokeh.client import pull_session
from distributed import Client, LocalCluster
from helpers.processes import wait_until

from exod.errors import ExodError
from exod.scheduler import run
from exod.scheduler.dashboard import TOLD, ClusterView, shown_runs
from exod.scheduler.plan import Plan
from exod.scheduler.tally import Tally


def half(number: int) -> int:
    if number % 10 == 0:
        raise ValueError("no tens")
    return number // 2


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A scheduler of somebody else, with one worker in a thread."""
    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as found:
        yield found


@pytest.fixture(scope="module")
def runs(cluster: LocalCluster) -> Tally:
    """A run of 30 tasks, of which three raise and five are failures by their result."""
    tally = Tally("detect", 40, lambda result: result < 5, before=10)
    tasks = run(half, range(1, 31), Plan(cluster.scheduler_address), tally=tally)
    assert sum(done.error is not None for done in tasks) == 3
    return tally


def test_tally(runs: Tally) -> None:
    # 1 to 9 have halves below five, and 10, 20, 30 raise.
    assert (runs.before, runs.succeeded, runs.failed, runs.ended) == (10, 18, 12, True)
    assert runs.figures()["left"] == 0


def test_page_of_the_dashboard(cluster: LocalCluster, runs: Tally) -> None:
    address = cluster.dashboard_link.rpartition("/")[0]
    with pull_session(url=f"{address}/exod") as session:
        found = session.document.get_model_by_name(TOLD)
        shown = {name: list(values) for name, values in found.data.items()}
    assert shown["stage"] == ["detect"]
    assert shown["total"] == [runs.total]
    assert shown["before"] == [runs.before]
    assert shown["succeeded"] == [runs.succeeded]
    assert shown["failed"] == [runs.failed]
    assert (shown["left"], shown["state"], shown["time_left"]) == ([0], ["done"], [""])


def test_the_other_pages_link_to_it(cluster: LocalCluster, runs: Tally) -> None:
    with urllib.request.urlopen(cluster.dashboard_link) as answer:
        page = answer.read().decode()
    assert page.count('href="exod"') == 1
    list(run(half, [1, 2], Plan(cluster.scheduler_address)))
    with urllib.request.urlopen(cluster.dashboard_link) as answer:
        assert answer.read().decode().count('href="exod"') == 1


def test_view_of_a_cluster(cluster: LocalCluster, runs: Tally) -> None:
    found = ClusterView(cluster.scheduler_address).figures()
    assert found["dashboard"] == cluster.dashboard_link
    (worker,) = found["workers"]
    assert worker["threads"] == 2
    assert worker["memory_limit"] > 0
    own = next(one for one in found["runs"] if one["before"])
    assert (own["succeeded"], own["failed"]) == (runs.succeeded, runs.failed)
    assert json.loads(json.dumps(found)) == found


def test_a_run_is_seen_while_it_goes_on(cluster: LocalCluster) -> None:
    view = ClusterView(cluster.scheduler_address)

    def told() -> dict[str, Any]:
        return next(one for one in view.figures()["runs"] if one["stage"] == "slow")

    tasks = run(half, range(1, 6), Plan(cluster.scheduler_address), name=lambda n: f"slow-{n}")
    next(tasks)
    wait_until(lambda: told()["succeeded"] >= 1)
    assert (told()["total"], told()["ended"]) == (5, False)
    tasks.close()  # type: ignore[attr-defined]
    assert told()["ended"]


def test_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exod.scheduler.cluster.CONNECT_SECONDS", 0.1)
    with pytest.raises(ExodError, match="cannot be reached"):
        ClusterView("tcp://127.0.0.1:1").figures()


def test_runs_without_exod_at_the_scheduler(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise ModuleNotFoundError("No module named 'exod'")

    monkeypatch.setattr(Client, "run_on_scheduler", refuse)
    plan = Plan(cluster.scheduler_address)
    assert len(list(run(half, [1, 2], plan, name=lambda n: f"without-{n}"))) == 2
    stages = [one["stage"] for one in ClusterView(cluster.scheduler_address).figures()["runs"]]
    assert "without" in stages


def test_rate_and_time_left() -> None:
    tally = Tally("detect", 100, before=20, succeeded=15, failed=5, began=1000.0)
    figures = tally.figures()
    (found,) = shown_runs({"mark": figures}, 1040.0)
    assert found["per_hour"] == pytest.approx(1800)
    assert found["seconds_left"] == pytest.approx(120)
    (ended,) = shown_runs({"mark": {**figures, "ended": True, "news": 1020.0}}, 5000.0)
    assert ended["per_hour"] == pytest.approx(3600)
    assert ended["seconds_left"] == 0
