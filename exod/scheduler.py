"""Run one task for each observation, here or on a cluster: the only importer of `distributed`.

A few tasks for each worker are in flight at a time, paths go in and small summaries come out.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from exod.errors import ConfigError, ExodError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT_PER_WORKER = 3
"""Tasks submitted ahead for each worker, so that it never waits."""

CONNECT_SECONDS = 10
"""How long to try to reach a scheduler."""

DASHBOARD_PORT = 8787
"""Where people look for a Dask dashboard."""


@dataclass(frozen=True)
class Done(Generic[Item, Result]):
    """A task that ended: its item, and its result or the error that ended it."""

    item: Item
    result: Result | None
    error: Exception | None


def run(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    scheduler: str = "local",
    workers: int | None = None,
    name: Callable[[Item], str] = str,
    on_start: Callable[[str], None] = lambda _link: None,
) -> Iterator[Done[Item, Result]]:
    """Apply a function to each item and yield the outcomes as they come.

    Parameters
    ----------
    function : callable
        Must be picklable unless the scheduler is ``sync``.
    items : sequence
        Arguments, one a task.
    scheduler : str
        ``sync`` (this process), ``local`` (processes of this machine, with a dashboard on
        localhost) or the address of a Dask scheduler, ``tcp://host:port``.
    workers : int, optional
        Processes of ``local``; by default one a core, at most one an item.
    name : callable
        Name of an item's task on the dashboard.
    on_start : callable
        Is told the link of the dashboard once there is one.

    Yields
    ------
    Done
        In order of completion.

    Raises
    ------
    ConfigError
        If the scheduler is of no known kind.
    ExodError
        If the scheduler cannot be reached, or is lost.

    Notes
    -----
    When a worker dies, nobody knows which of its tasks killed it. They are all tried again, then
    with one task a worker and at last each alone, so that only the one to blame ends in an error.
    """
    check_scheduler(scheduler)
    if not items:
        return
    if scheduler == "sync":
        yield from (_attempt(function, item) for item in items)
        return
    if scheduler == "local":
        count = max(min(workers or default_workers(len(items)), len(items)), 1)
        with _local_client(count) as client:
            on_start(client.dashboard_link)
            yield from _patiently(client, function, items, name, count)
        return
    with _remote_client(scheduler) as client:
        on_start(client.dashboard_link)
        count = max(len(client.scheduler_info()["workers"]), 1)
        yield from _patiently(client, function, items, name, count)


def default_workers(n_items: int) -> int:
    """Processes of ``local`` if nobody says how many: one a core, at most one an item."""
    return max(min(os.cpu_count() or 1, n_items), 1)


def check_scheduler(scheduler: str) -> None:
    """Refuse a scheduler of no known kind.

    Raises
    ------
    ConfigError
        With the kinds that there are.
    """
    if scheduler not in {"sync", "local"} and "://" not in scheduler:
        raise ConfigError(
            f"The scheduler {scheduler!r} is not known; use sync, local or tcp://host:port."
        )


def _attempt(function: Callable[[Item], Result], item: Item) -> Done[Item, Result]:
    try:
        return Done(item, function(item), None)
    except Exception as error:  # noqa: BLE001 - handed to the caller as the outcome of the item
        return Done(item, None, error)


@contextmanager
def _local_client(count: int) -> Iterator[Client]:
    """A client of `count` processes of this machine that end with it."""
    import dask
    from distributed import Client, LocalCluster

    with _interrupts_held(), warnings.catch_warnings():
        # Another run may take the port at the same moment.
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        # The death of a worker is told at once: who is to blame is found out here.
        with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
            try:
                cluster = LocalCluster(
                    n_workers=count,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=f"127.0.0.1:{_dashboard_port()}",
                    silence_logs=logging.CRITICAL,
                )
            except (OSError, RuntimeError) as error:
                raise ExodError(
                    f"{count} worker processes cannot be started: {error}; use fewer --workers or "
                    f"--scheduler sync."
                ) from error
        client = Client(cluster, set_as_default=False)
    try:
        yield client
    except BaseException:
        _kill_workers(cluster)
        raise
    finally:
        with _interrupts_held():
            client.close()
            cluster.close()


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
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done: half a cluster cannot be closed cleanly.

    Processes that are started by the threads that the block starts never hear it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[Any] = []
    previous = signal.signal(signal.SIGINT, lambda *_: caught.append(True))
    # Its first start would take the signal off the mask again.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, previous)
    if caught:
        raise KeyboardInterrupt


@contextmanager
def _remote_client(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=f"{CONNECT_SECONDS}s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ExodError(
            f"The scheduler {address} cannot be reached: {error}; is it running there?"
        ) from error
    with client:
        yield client


def _patiently(
    client: Client,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    name: Callable[[Item], str],
    workers: int,
) -> Iterator[Done[Item, Result]]:
    """All items; those whose worker died again, with fewer and fewer beside them."""
    from distributed import KilledWorker

    attempts = (workers * IN_FLIGHT_PER_WORKER, workers, 1)
    for in_flight in attempts:
        suspects = []
        for done in _windowed(client, function, items, name, in_flight):
            if isinstance(done.error, KilledWorker):
                suspects.append(done.item)
            else:
                yield done
        items = suspects
    for item in items:
        yield Done(
            item,
            None,
            ExodError(
                f"Each of {len(attempts)} worker processes died during it, most often for want of "
                f"memory; use fewer --workers, then --retry-failed."
            ),
        )


def _windowed(
    client: Client,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    name: Callable[[Item], str],
    in_flight: int,
) -> Iterator[Done[Item, Result]]:
    """Keep `in_flight` tasks with the scheduler."""
    from distributed import as_completed

    waiting = iter(items)
    item_of: dict[str, Item] = {}
    completed = as_completed(loop=client.loop)

    def submit() -> None:
        for item in waiting:
            # Without a unique key, equal names of two users of a scheduler would be one task.
            key = f"{name(item)}-{uuid.uuid4().hex}"
            future = client.submit(function, item, key=key, pure=False)
            item_of[key] = item
            completed.add(future)
            return

    for _ in range(in_flight):
        submit()
    for future in completed:
        if future.cancelled():
            raise ExodError(
                "The scheduler was lost; what is done is kept: run the same command to continue."
            )
        item, error = item_of.pop(future.key), future.exception()
        yield Done(item, None if error else future.result(), error)
        submit()
