"""Tasks here and in other processes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
from helpers.processes import wait_until

from exod.errors import ConfigError, ExodError
from exod.scheduler import Done, cluster, machine_memory, memory_limit, run, tasks
from exod.scheduler.interrupts import Stop, stoppable
from exod.scheduler.mainscript import is_guarded
from exod.scheduler.plan import Plan


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
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.1)
    before = set(threading.enumerate())
    with pytest.raises(ExodError, match=f"The scheduler {address} cannot be reached"):
        list(run(square, [1], Plan(address)))
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_credentials_in_an_address_are_never_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.1)
    for wrong in ("tcp://me:secret@127.0.0.1:1", "tcp://127.0.0.1:1?token=secret"):
        plan = Plan(wrong)
        assert "secret" not in repr(plan)
        with pytest.raises(ExodError) as caught:
            list(run(square, [1], plan))
        assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError) as refused:
        Plan("me:secret@host:8786")
    assert "secret" not in str(refused.value)
    said = capfd.readouterr()
    assert "secret" not in said.out + said.err


SCRIPT = """
from exod.errors import ExodError
from exod.scheduler import run
from exod.scheduler.plan import Plan

def search():
    try:
        print([done.result for done in run(abs, [1, -2], Plan(workers=1))])
    except ExodError as error:
        print(error)

{call}
"""


def run_script(folder: Path, call: str) -> tuple[str, str]:
    path = folder / "script.py"
    path.write_text(SCRIPT.format(call=call))
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_a_script_without_a_guard_is_one_sentence(tmp_path: Path) -> None:
    out, err = run_script(tmp_path, "search()")
    assert err == ""
    assert out == (
        f"{tmp_path / 'script.py'} starts processes, and each of them would run it again; put what "
        f'it does under `if __name__ == "__main__":`, or search with Plan("sync").\n'
    )


@pytest.mark.slow
def test_a_script_with_a_guard_is_run(tmp_path: Path) -> None:
    out, err = run_script(tmp_path, 'if __name__ == "__main__":\n    search()')
    assert err == ""
    assert out in {"[1, 2]\n", "[2, 1]\n"}


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("search()", False),
        ("if True:\n    search()", False),
        ("for n in range(3):\n    if n:\n        search()", False),
        ("with open(__name__):\n    search()", False),
        ('if __name__ == "__main__":\n    search()', True),
        ("if '__main__' == __name__ and True:\n    with x:\n        search()", True),
        ('try:\n    if __name__ == "__main__":\n        search()\nfinally:\n    pass', True),
        ("this is no Python: search()", True),
    ],
)
def test_guards(tmp_path: Path, text: str, guarded: bool) -> None:
    path = tmp_path / "script.py"
    path.write_text(text)
    line = 1 + text[: text.index("search()")].count("\n")
    assert is_guarded(path, line) == guarded


@pytest.mark.parametrize(("arguments", "refused"), [(["-m", "tool"], False), (["tool"], True)])
def test_a_module_that_is_run_is_not_run_again(tmp_path, arguments, refused):
    """Processes that ``python -m`` starts do not import it; those of a script do."""
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "__init__.py").touch()
    text = "from exod.scheduler.mainscript import check_guard\n\ncheck_guard()\n"
    (tmp_path / "tool" / "__main__.py").write_text(text)
    run = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ("starts processes" in run.stderr) == refused
    assert (run.returncode != 0) == refused, run.stderr


def by_value(function: Any) -> Any:
    """Workers cannot import test modules: send the function itself."""
    from distributed.protocol.pickle import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[function.__module__])
    return function


def die_of_some(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        os._exit(128 + signal.SIGINT)
    return number


@pytest.mark.drill
@pytest.mark.slow
def test_only_those_that_kill_workers_are_to_blame() -> None:
    """However a worker dies, that is no interruption: all the others are done."""
    with stoppable(lambda: None) as stop:
        plan = Plan(workers=2, stop=stop)
        done = list(run(by_value(die_of_some), range(8), plan, name=lambda n: f"task-{n}"))
    assert stop.signal is None
    assert results(done) == {n: None if n in {2, 4, 5} else n for n in range(8)}
    errors = [item.error for item in done if item.error]
    assert len(errors) == 3
    for error in errors:
        assert isinstance(error, ExodError)
        assert "worker processes died" in str(error)


@pytest.mark.slow
def test_the_place_of_a_dead_worker_is_not_given_up() -> None:
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "0s"}),
        cluster.local_client(2, None) as client,
    ):
        workers = client.cluster.workers
        first = workers[0].pid
        os.kill(first, signal.SIGKILL)
        # Its process is started again, or the place is removed.
        wait_until(lambda: 0 not in workers or workers[0].pid not in {None, first})
        assert set(workers) == {0, 1}
        client.wait_for_workers(2)


def where(number: int) -> tuple[int, bool, float | None]:
    if number == 3:
        raise ValueError("three is not liked")
    hears_no_interrupt = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return os.getpid(), hears_no_interrupt, memory_limit()


@pytest.mark.slow
def test_processes_their_memory_and_their_errors() -> None:
    links: list[str] = []
    plan = Plan(workers=2, memory=600 * 2**20, on_start=links.append)
    # Equal items are tasks of their own.
    done = list(run(by_value(where), [1, 3, 7, 7], plan))
    assert sorted(item.item for item in done) == [1, 3, 7, 7]
    assert links[0].startswith("http://127.0.0.1:")
    for item in done:
        if item.item == 3:
            assert isinstance(item.error, ValueError)
        else:
            assert item.result is not None
            process, hears_no_interrupt, limit = item.result
            assert process != os.getpid()
            assert hears_no_interrupt
            assert limit == 600 * 2**20


def test_dashboard_port() -> None:
    with socket.socket() as other:
        with suppress(OSError):
            other.bind(("127.0.0.1", cluster.DASHBOARD_PORT))
            other.listen()
        assert cluster._dashboard_port() == 0


@pytest.mark.slow
def test_stopping_early_ends_the_workers(tmp_path: Path) -> None:
    def without_end(number: int) -> int:
        (tmp_path / str(os.getpid())).touch()
        if number > 0:
            threading.Event().wait()
        return number

    running = run(without_end, range(4), Plan(workers=2))
    assert next(running).item == 0
    running.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir())
    for path in tmp_path.iterdir():
        wait_until(lambda number=int(path.name): not psutil.pid_exists(number))  # type: ignore[misc]


def fail_once(place: tuple[Path, int]) -> str:
    """Where it succeeds: not in the process that was first."""
    folder, _ = place
    try:
        (folder / "first").touch(exist_ok=False)
        (folder / "first").write_text(str(os.getpid()))
    except FileExistsError:
        if (folder / "first").read_text() != str(os.getpid()):
            return "elsewhere"
    raise OSError("not here")


@pytest.mark.slow
def test_errors_are_tried_again_on_another_worker(tmp_path: Path) -> None:
    (done,) = run(by_value(fail_once), [(tmp_path, 1)], Plan(workers=2, retries=1), n_items=2)
    assert (done.result, done.tries) == ("elsewhere", 2)


@pytest.mark.parametrize("kind", ["sync", pytest.param("local", marks=pytest.mark.slow)])
def test_errors_that_stay(kind: str) -> None:
    calls = list(run(by_value(square), [3, 4], Plan(kind, workers=2, retries=2)))
    assert {(done.item, done.result, done.tries) for done in calls} == {(3, None, 3), (4, 16, 1)}
    (error,) = (done.error for done in calls if done.error)
    told = "".join(traceback.format_exception(error))
    assert "three is not liked" in told
    assert "in square" in told
    once = run(square, [3], Plan("sync", retries=2), is_final=lambda e: isinstance(e, ValueError))
    assert [done.tries for done in once] == [1]


@pytest.mark.parametrize("kind", ["sync", pytest.param("local", marks=pytest.mark.slow)])
def test_stop_finishes_what_has_begun(kind: str) -> None:
    stop = Stop()
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    done = []
    for item in run(square, items(), Plan(kind, workers=1, stop=stop), n_items=100):
        done.append(item.item)
        stop.ask()
    assert sorted(done) == taken
    assert len(done) <= 1 + tasks.IN_FLIGHT_PER_THREAD


def test_items_are_taken_as_they_are_needed() -> None:
    def endless() -> Iterator[int]:
        number = 4
        while True:
            yield (number := number + 1)

    running = run(square, endless(), Plan("sync"), n_items=5)
    assert [next(running).result for _ in range(3)] == [25, 36, 49]


def test_no_cluster_for_nothing() -> None:
    def refuse(_link: str) -> None:
        raise AssertionError("a cluster was started")

    assert list(run(square, iter(()), Plan(on_start=refuse), n_items=5)) == []


@pytest.mark.slow
def test_workers_that_come_later_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(tasks, "COUNT_SECONDS", 0.2)
    notes: list[str] = []
    with LocalCluster(
        n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as other:

        def bring(note: str) -> None:
            notes.append(note)
            other.scale(2)

        plan = Plan(other.scheduler_address, on_note=bring)
        done = list(run(by_value(two_are_here), [tmp_path] * 6, plan))
    assert notes == ["The scheduler has no workers; waiting for some."]
    assert [item.result for item in done] == [True] * 6


def two_are_here(folder: Path) -> bool:
    """Wait until a second process has begun the same."""
    (folder / str(os.getpid())).touch()
    return wait_until(lambda: len(list(folder.iterdir())) == 2)


@pytest.mark.slow
def test_a_scheduler_that_is_lost_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0"]
    command += ["--host", "127.0.0.1", "--no-dashboard"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = iter(process.stderr)
    address = next(m[0] for line in lines if (m := re.search(r"tcp://127\.0\.0\.1:\d+", line)))

    def lose(_note: str) -> None:
        process.kill()
        process.wait()

    try:
        with pytest.raises(ExodError, match="The scheduler was lost; what is done is kept"):
            list(run(abs, [1, 2], Plan(address, on_note=lose)))
        assert capfd.readouterr().err == ""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_memory_of_tasks() -> None:
    assert memory_limit() is None
    assert machine_memory() > 1e8


def test_too_little_memory_for_any_worker() -> None:
    said = r"2 worker processes may take 100 MB each, and need 300 MB to begin with; use fewer"
    with pytest.raises(ConfigError, match=said):
        list(run(square, [1, 2], Plan(workers=2, memory=100 * 2**20)))


@pytest.mark.slow
def test_a_death_at_the_start_is_tolerated(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    whole = distributed.LocalCluster
    deaths = iter([True, True])

    def start(**options: Any) -> Any:
        if next(deaths, False):
            raise RuntimeError("Nanny failed to start.")
        return whole(**options)

    monkeypatch.setattr(distributed, "LocalCluster", start)
    assert [done.result for done in run(by_value(square), [4], Plan(workers=1))] == [16]
    deaths = iter([True] * 3)
    with pytest.raises(
        ExodError, match=r"MB cannot be started \(Nanny failed to start\); use fewer"
    ):
        list(run(square, [4], Plan(workers=1)))
