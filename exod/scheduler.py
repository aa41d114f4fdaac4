"""Run one task for each observation, here or on a cluster: the only importer of `distributed`.

A few tasks for each worker are in flight at a time, paths go in and small summaries come out.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from exod.errors import ConfigError, ExodError
from exod.interrupts import interrupts_held
from exod.plan import Plan

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT_PER_THREAD = 2
"""Tasks with the scheduler for each thread of its workers: one to run and the one that follows."""

LEAST_MEMORY = 300 * 2**20
"""Bytes that a worker process needs before it has any data."""

STARTS = 3
"""How often to try to start the processes of ``local``."""

CONNECT_SECONDS = 10
"""How long to try to reach a scheduler."""

COUNT_SECONDS = 10.0
"""How often to look whether workers have come or gone."""

DASHBOARD_PORT = 8787
"""Where people look for a Dask dashboard."""

_SETTINGS = {
    # The death of a worker is told at once: who is to blame is found out here.
    "distributed.scheduler.allowed-failures": 0,
    # There are no results to write to disk, and a paused worker would not go on by itself.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # The stacks that the dashboard shows: a tree of them every second would take 300 MB.
    "distributed.worker.profile.interval": "100ms",
    "distributed.worker.profile.cycle": "60s",
    "distributed.admin.low-level-log-length": 100,
}
_PLACE = "On the worker "


@dataclass(frozen=True)
class Done(Generic[Item, Result]):
    """A task that ended: its item, its result or its error, and how often it was tried."""

    item: Item
    result: Result | None
    error: Exception | None
    tries: int = 1


def run(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    plan: Plan,
    *,
    n_items: int | None = None,
    name: Callable[[Item], str] = str,
    is_final: Callable[[Exception], bool] = lambda _error: False,
) -> Iterator[Done[Item, Result]]:
    """Apply a function to each item and yield the outcomes as they come.

    Parameters
    ----------
    function : callable
        Must be picklable unless the scheduler is ``sync``.
    items : iterable
        Arguments, one a task; taken one by one as they are needed.
    plan : Plan
        Where and how.
    n_items : int, optional
        How many items there are at most; by default their length.
    name : callable
        Name of an item's task on the dashboard.
    is_final : callable
        Whether it is useless to try again after this error.

    Yields
    ------
    Done
        In order of completion.

    Raises
    ------
    ExodError
        If the scheduler cannot be reached, or is lost.

    Notes
    -----
    When a worker dies, nobody knows which of its tasks killed it. They are all tried again, then
    with one task a worker and at last each alone, so that only the one to blame ends in an error.
    """
    if n_items is None:
        items = list(items)
        n_items = len(items)
    waiting = iter(items)
    # Without anything to do there is no need of a cluster.
    first = list(islice(waiting, 1))
    if not first:
        return
    tasks = _Tasks(function, chain(first, waiting), plan, name, is_final)
    if plan.scheduler == "sync":
        yield from tasks.run_here()
    elif plan.scheduler == "local":
        count = max(min(plan.workers or default_workers(n_items), n_items), 1)
        with _local_client(count, plan.memory) as client:
            plan.on_start(client.dashboard_link)
            yield from tasks.run_on(client)
    else:
        with _remote_client(plan.scheduler) as client:
            plan.on_start(client.dashboard_link)
            yield from tasks.run_on(client)


def default_workers(n_items: int) -> int:
    """Processes of ``local`` if nobody says how many: one a core, at most one an item."""
    return max(min(os.cpu_count() or 1, n_items), 1)


def memory_limit() -> float | None:
    """Bytes that the running task may take: what its worker may, shared by its threads.

    None outside a worker, or if it has no limit.
    """
    if "distributed.worker" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return None
    limit = worker.memory_manager.memory_limit
    return float(limit) / worker.state.nthreads if limit else None


def machine_memory() -> float:
    """Bytes of memory of this machine, or of the container that this process is in."""
    from distributed.system import MEMORY_LIMIT

    return float(MEMORY_LIMIT)


@contextmanager
def _local_client(count: int, memory: float | None) -> Iterator[Client]:
    """A client of `count` processes of this machine that end with it."""
    import dask
    from distributed import Client

    memory = memory or machine_memory() / count
    if memory < LEAST_MEMORY:
        raise ConfigError(
            f"{count} worker processes may take {memory / 2**20:.0f} MB each, and need "
            f"{LEAST_MEMORY / 2**20:.0f} MB to begin with; use fewer --workers or more --memory."
        )
    with interrupts_held(), warnings.catch_warnings(), dask.config.set(_SETTINGS):
        # Another run may take the port at the same moment.
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        cluster = _start(count, int(memory))
        client = Client(cluster, set_as_default=False)
    try:
        yield client
    except BaseException:
        _kill_workers(cluster)
        raise
    finally:
        with interrupts_held():
            client.close()
            cluster.close()


def _start(count: int, memory: int) -> LocalCluster:
    """Processes of this machine; a process may die at its start, as later."""
    from distributed import LocalCluster

    for _ in range(STARTS):
        try:
            return LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                memory_limit=memory,
                host="127.0.0.1",
                dashboard_address=f"127.0.0.1:{_dashboard_port()}",
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError) as error:
            failure = error
    raise ExodError(
        f"{count} worker processes of {memory / 2**20:.0f} MB cannot be started "
        f"({str(failure).rstrip('.')}); use fewer --workers, more --memory or --scheduler sync."
    ) from failure


def _dashboard_port() -> int:
    """The usual port of the dashboard; any (0) if it is taken, as by another run."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DASHBOARD_PORT))
        except OSError:
            return 0
    return DASHBOARD_PORT


def _kill_workers(cluster: LocalCluster) -> None:
    """End the workers now, not after their tasks; commits survive that."""
    # What they leave unsaid would be told after the cluster has ended.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    for nanny in list(cluster.workers.values()):
        nanny.auto_restart = False
        if nanny.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


@contextmanager
def _remote_client(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=f"{CONNECT_SECONDS}s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ExodError(
            f"The scheduler {address} cannot be reached: {error}; is it running there?"
        ) from error
    # What there is to say when the scheduler is lost, the error says.
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with client:
            yield client
    finally:
        logger.setLevel(level)


def _in_worker(function: Callable[[Item], Result], item: Item) -> Result:
    """The function; its errors say where it was."""
    from distributed import get_worker

    try:
        return function(item)
    except Exception as error:
        error.add_note(f"{_PLACE}{get_worker().address}")
        raise


@dataclass
class _Task(Generic[Item]):
    """An item, how often it was tried, and the workers where that ended in an error."""

    item: Item
    tries: int = 0
    failed_on: set[str] = field(default_factory=set)


class _Workers:
    """The threads of a cluster, counted now and then: workers come and go."""

    def __init__(self, client: Client, on_note: Callable[[str], None]) -> None:
        self._client = client
        self._on_note = on_note
        self._counted = -COUNT_SECONDS
        self._threads: dict[str, int] = {}

    @property
    def threads(self) -> dict[str, int]:
        """Threads of each worker, by its address."""
        if time.monotonic() - self._counted >= COUNT_SECONDS:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
            found = {address: int(worker["nthreads"]) for address, worker in workers.items()}
            if not found and (self._threads or self._counted < 0):
                self._on_note("The scheduler has no workers; waiting for some.")
            self._threads, self._counted = found, time.monotonic()
        return self._threads

    def capacity(self, per_thread: int) -> int:
        """Tasks to have in flight; one without workers, which an adaptive cluster needs to see."""
        return max(per_thread * sum(self.threads.values()), 1)


class _Tasks(Generic[Item, Result]):
    """The tasks of a run: those that wait, those to try again, those whose worker died."""

    def __init__(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        plan: Plan,
        name: Callable[[Item], str],
        is_final: Callable[[Exception], bool],
    ) -> None:
        self._function = function
        self._waiting: Iterator[_Task[Item]] = (_Task(item) for item in items)
        self._again: deque[_Task[Item]] = deque()
        self._plan = plan
        self._name = name
        self._is_final = is_final

    def run_here(self) -> Iterator[Done[Item, Result]]:
        """One after the other in this process."""
        while not self._plan.stop and (task := self._next()) is not None:
            task.tries += 1
            try:
                result = self._function(task.item)
            except Exception as error:  # noqa: BLE001 - handed to the caller as the outcome
                if not self._tried_again(task, error):
                    yield Done(task.item, None, error, task.tries)
            else:
                yield Done(task.item, result, None, task.tries)

    def run_on(self, client: Client) -> Iterator[Done[Item, Result]]:
        """On a cluster; those whose worker died again, with fewer and fewer beside them."""
        from distributed import KilledWorker

        workers = _Workers(client, self._plan.on_note)
        capacities: tuple[Callable[[], int], ...] = (
            lambda: workers.capacity(IN_FLIGHT_PER_THREAD),
            lambda: workers.capacity(1),
            lambda: 1,
        )
        for capacity in capacities:
            suspects = []
            for task, future in self._in_flight(client, workers, capacity):
                error = future.exception()
                if isinstance(error, KilledWorker):
                    suspects.append(task)
                elif error is None:
                    yield Done(task.item, future.result(), None, task.tries)
                elif not self._tried_again(task, error):
                    yield Done(
                        task.item, None, error.with_traceback(future.traceback()), task.tries
                    )
            self._waiting = iter(suspects)
        if not self._plan.stop:
            for task in suspects:
                error = ExodError(
                    f"Each of {len(capacities)} worker processes died during it, most often for "
                    f"want of memory; use fewer --workers, then --retry-failed."
                )
                yield Done(task.item, None, error, task.tries)

    def _next(self) -> _Task[Item] | None:
        return self._again.popleft() if self._again else next(self._waiting, None)

    def _tried_again(self, task: _Task[Item], error: Exception) -> bool:
        """Put a task back that ended in an error; False if it is not to be tried again."""
        if task.tries > self._plan.retries or self._is_final(error):
            return False
        notes = getattr(error, "__notes__", [])
        task.failed_on |= {note.removeprefix(_PLACE) for note in notes if note.startswith(_PLACE)}
        self._again.append(task)
        return True

    def _in_flight(
        self, client: Client, workers: _Workers, capacity: Callable[[], int]
    ) -> Iterator[tuple[_Task[Item], Future]]:
        """Keep as many tasks as there is capacity with the scheduler; yields those that ended."""
        ended: SimpleQueue[Future | None] = SimpleQueue()
        tasks: dict[str, tuple[_Task[Item], Future]] = {}
        with self._plan.stop.waking(partial(ended.put, None)):
            while True:
                while not self._plan.stop and len(tasks) < capacity():
                    if (task := self._next()) is None:
                        break
                    future = self._submit(client, workers, task)
                    tasks[future.key] = task, future
                    future.add_done_callback(ended.put)
                if not tasks:
                    return
                # Without an end, to see whether there are workers for those that wait.
                with suppress(Empty):
                    if (future := ended.get(timeout=COUNT_SECONDS)) is not None:
                        if future.status not in {"finished", "error"}:
                            raise ExodError(
                                "The scheduler was lost; what is done is kept: run the same "
                                "command to continue."
                            )
                        yield tasks.pop(future.key)

    def _submit(self, client: Client, workers: _Workers, task: _Task[Item]) -> Future:
        task.tries += 1
        elsewhere = sorted(workers.threads.keys() - task.failed_on) if task.failed_on else []
        # Without a unique key, equal names of two users of a scheduler would be one task.
        return client.submit(
            _in_worker,
            self._function,
            task.item,
            key=f"{self._name(task.item)}-{uuid.uuid4().hex}",
            workers=elsewhere or None,
            allow_other_workers=bool(elsewhere),
            pure=False,
        )
