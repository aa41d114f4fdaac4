"""Tasks here and in other processes."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from exod import scheduler
from exod.errors import ConfigError, ExodError
from exod.plan import Plan
from exod.scheduler import Done, run


def square(number: int) -> int:
    if number == 3:
        raise ValueError("three is not liked")
    return number * number


def results(done: list[Done[Any, Any]]) -> dict[Any, Any]:
    return {item.item: item.result for item in done}


def test_sync() -> None:
    done = list(run(square, [1, 2, 3, 4], Plan("sync")))
    assert [item.item for item in done] == [1, 2, 3, 4]
    assert results(done) == {1: 1, 2: 4, 3: None, 4: 16}
    assert str(done[2].error) == "three is not liked"


def test_nothing_to_do() -> None:
    assert list(run(square, [], Plan("local"))) == []


@pytest.mark.parametrize("kind", ["", "slurm", "LOCAL", "127.0.0.1:8786"])
def test_unknown_scheduler(kind: str) -> None:
    with pytest.raises(ConfigError, match="use sync, local or tcp://host:port"):
        Plan(kind)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://nowhere", "foo://127.0.0.1:1"])
def test_unreachable_scheduler(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 1)
    with pytest.raises(ExodError, match=f"The scheduler {address} cannot be reached"):
        list(run(square, [1], Plan(address)))


def by_value(function: Any) -> Any:
    """Workers cannot import test modules: send the function itself."""
    from distributed.protocol.pickle import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[function.__module__])
    return function


def die_of_five(number: int) -> int:
    if number == 5:
        os._exit(1)
    return number


@pytest.mark.slow
def test_only_the_one_that_kills_workers_is_to_blame() -> None:
    done = list(run(by_value(die_of_five), range(8), Plan(workers=2), name=lambda n: f"task-{n}"))
    assert results(done) == {n: None if n == 5 else n for n in range(8)}
    errors = [item.error for item in done if item.error]
    assert len(errors) == 1
    assert isinstance(errors[0], ExodError)
    assert "worker processes died" in str(errors[0])


def where(number: int) -> tuple[int, bool]:
    if number == 3:
        raise ValueError("three is not liked")
    return os.getpid(), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.slow
def test_processes_and_their_errors() -> None:
    links: list[str] = []
    # Equal items are tasks of their own.
    done = list(run(by_value(where), [1, 3, 7, 7], Plan(workers=2, on_start=links.append)))
    assert sorted(item.item for item in done) == [1, 3, 7, 7]
    assert links[0].startswith("http://127.0.0.1:")
    for item in done:
        if item.item == 3:
            assert isinstance(item.error, ValueError)
        else:
            assert item.result is not None
            process, hears_no_interrupt = item.result
            assert process != os.getpid()
            assert hears_no_interrupt


def test_dashboard_port() -> None:
    with socket.socket() as other:
        with suppress(OSError):
            other.bind(("127.0.0.1", scheduler.DASHBOARD_PORT))
            other.listen()
        assert scheduler._dashboard_port() == 0


@pytest.mark.slow
def test_stopping_early_ends_the_workers(tmp_path: Path) -> None:
    def slow(number: int) -> int:
        (tmp_path / str(os.getpid())).touch()
        time.sleep(0 if number == 0 else 300)
        return number

    tasks = run(slow, range(4), Plan(workers=2))
    assert next(tasks).item == 0
    began = time.monotonic()
    tasks.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 10
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)
