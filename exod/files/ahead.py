"""Work on files that threads do: ahead of what takes its results, or all of it at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from threading import Event
from typing import Any, Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

STOP_SECONDS: Final = 0.1
"""How often what runs is told to end."""


def done_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, waiting: int
) -> Iterator[Result]:
    """What a function makes of each item, in their order; threads work on the next ones meanwhile.

    Parameters
    ----------
    function : callable
        What is done with an item; an error appears in its turn.
    items : iterable
        The items, taken as they are needed.
    threads : int
        Items that are worked on at once.
    waiting : int
        Items that are taken before the first result is: so many results are in memory at most.

    Examples
    --------
    >>> list(done_ahead(abs, range(-2, 1), threads=2, waiting=2))
    [2, 1, 0]
    """
    with ThreadPoolExecutor(threads) as pool:
        todo = (pool.submit(function, item) for item in items)
        begun: deque[Future[Result]] = deque(islice(todo, waiting))
        while begun:
            yield begun.popleft().result()
            begun.extend(islice(todo, 1))


def done_at_once(
    tasks: Iterable[Callable[[], Any]],
    *,
    threads: int,
    stop: Callable[[], None] = lambda: None,
) -> list[Any]:
    """What functions return, some of which run at once; each is begun in its turn.

    Parameters
    ----------
    tasks : iterable of callable
        What is done. After an error no other is begun, and it appears when those that were have
        ended; of several errors the first in this order does.
    threads : int
        How many run at once.
    stop : callable
        Makes those that run end; called after Ctrl-C, again and again until they have.

    Examples
    --------
    >>> done_at_once([lambda: "a", lambda: "b"], threads=2)
    ['a', 'b']
    """
    over = Event()

    def done(task: Callable[[], Any]) -> Any:
        try:
            return None if over.is_set() else task()
        except BaseException:
            over.set()
            raise

    with ThreadPoolExecutor(threads) as pool:
        begun = [pool.submit(done, task) for task in tasks]
        try:
            wait(begun)
        except BaseException:
            over.set()
            while wait(begun, STOP_SECONDS).not_done:
                stop()
            raise
    return [task.result() for task in begun]
