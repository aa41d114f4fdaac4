"""Run one task for each observation, here or on a cluster: the only importer of `distributed`.

A few tasks for each worker are in flight at a time, paths go in and small summaries come out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from exod.errors import ExodError

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT_PER_WORKER = 3
"""Tasks submitted ahead for each worker, so that it never waits."""


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
    ExodError
        If the scheduler is of no known kind or cannot be reached.
    """
    if not items:
        return
    if scheduler == "sync":
        yield from (_attempt(function, item) for item in items)
        return
    from distributed import Client, LocalCluster

    if scheduler == "local":
        count = max(min(workers or os.cpu_count() or 1, len(items)), 1)
        with (
            LocalCluster(n_workers=count, threads_per_worker=1, host="127.0.0.1") as cluster,
            Client(cluster) as client,
        ):
            on_start(client.dashboard_link)
            yield from _windowed(client, function, items, name, count)
    elif "://" in scheduler:
        try:
            client = Client(scheduler, timeout="10s")
        except (OSError, TimeoutError, ValueError) as error:
            raise ExodError(
                f"The scheduler {scheduler} cannot be reached: {error}; is it running there?"
            ) from error
        with client:
            on_start(client.dashboard_link)
            count = max(len(client.scheduler_info()["workers"]), 1)
            yield from _windowed(client, function, items, name, count)
    else:
        raise ExodError(
            f"The scheduler {scheduler!r} is not known; use sync, local or tcp://host:port."
        )


def _attempt(function: Callable[[Item], Result], item: Item) -> Done[Item, Result]:
    try:
        return Done(item, function(item), None)
    except Exception as error:  # noqa: BLE001 - handed to the caller as the outcome of the item
        return Done(item, None, error)


def _windowed(
    client: Client,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    name: Callable[[Item], str],
    workers: int,
) -> Iterator[Done[Item, Result]]:
    """Keep a few tasks in flight for each worker."""
    from distributed import as_completed

    waiting = iter(items)
    item_of: dict[str, Item] = {}
    completed = as_completed()

    def submit() -> None:
        item = next(waiting, None)
        if item is not None:
            future = client.submit(function, item, key=name(item), pure=False)
            item_of[future.key] = item
            completed.add(future)

    for _ in range(workers * IN_FLIGHT_PER_WORKER):
        submit()
    for future in completed:
        item = item_of.pop(future.key)
        error = future.exception()
        yield Done(item, None if error else future.result(), error)
        submit()
