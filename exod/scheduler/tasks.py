"""Tasks: a few for each worker in flight, tried again elsewhere, told as they end."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from exod.errors import ExodError, without_credentials
from exod.scheduler.cluster import default_workers, local_client, remote_client
from exod.scheduler.dashboard import Teller
from exod.scheduler.plan import Plan
from exod.scheduler.tally import Tally

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT_PER_THREAD = 2
"""Tasks with the scheduler for each thread of its workers: one to run and the one that follows."""

COUNT_SECONDS = 10.0
"""How often to look whether workers have come or gone."""

_PLACE = "On the worker "
_LOST = "The scheduler was lost; what is done is kept: run the same command to continue."


@dataclass(frozen=True)
class Done(Generic[Item, Result]):
    """A task that ended: its item, its result or its error, and how often it was tried."""

    item: Item
    result: Result | None
    error: Exception | None
    tries: int = 1

    def value(self) -> Result:
        """The result; raises the error that there was instead."""
        if self.result is None:
            raise self.error or RuntimeError(f"The task of {self.item} ended without a result.")
        return self.result

    @property
    def reason(self) -> str:
        """What the error says, as a sentence."""
        if isinstance(self.error, ExodError):
            return str(self.error)
        return f"Unexpected {type(self.error).__name__}: {self.error}."


def run(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    plan: Plan,
    *,
    n_items: int | None = None,
    name: Callable[[Item], str] = str,
    is_final: Callable[[Exception], bool] = lambda _error: False,
    tally: Tally | None = None,
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
    tally : Tally, optional
        Counts the tasks as they end, and is shown on the dashboard; by default one of its own.

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
    tally = tally or Tally(name(first[0]).partition("-")[0], n_items)
    if plan.scheduler == "sync":
        yield from _counted(tasks.run_here(), tally)
    elif plan.scheduler == "local":
        count = max(min(plan.workers or default_workers(n_items), n_items), 1)
        with local_client(count, plan.memory) as client:
            plan.on_start(client.dashboard_link)
            yield from _told(tasks.run_on(client), tally, client)
    else:
        with remote_client(plan.scheduler) as client:
            plan.on_start(without_credentials(client.dashboard_link))
            yield from _told(tasks.run_on(client), tally, client)


def _counted(outcomes: Iterator[Done[Item, Result]], tally: Tally) -> Iterator[Done[Item, Result]]:
    for done in outcomes:
        tally.count(done.result, done.error)
        yield done


def _told(
    outcomes: Iterator[Done[Item, Result]], tally: Tally, client: Client
) -> Iterator[Done[Item, Result]]:
    """The outcomes; the scheduler is told of each."""
    teller = Teller(client, tally)
    try:
        for done in _counted(outcomes, tally):
            teller.tell()
            yield done
    finally:
        teller.end()


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
            workers = self._client.scheduler_info(n_workers=-1).get("workers")
            if workers is None:
                raise ExodError(_LOST)
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
                try:
                    # What a worker held that died is computed again, and may end otherwise.
                    done = Done(task.item, future.result(), None, task.tries)
                except KilledWorker:
                    suspects.append(task)
                except Exception as error:
                    if future.cancelled():
                        raise ExodError(_LOST) from error
                    if not self._tried_again(task, error):
                        yield Done(task.item, None, error, task.tries)
                else:
                    yield done
            self._waiting = iter(suspects)
        if not self._plan.stop:
            for task in suspects:
                died = ExodError(
                    f"Each of {len(capacities)} worker processes died during it, most often for "
                    f"want of memory; use fewer --workers, then --retry-failed."
                )
                yield Done(task.item, None, died, task.tries)

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
                        if future.cancelled():
                            raise ExodError(_LOST)
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
