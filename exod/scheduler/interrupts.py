"""Ctrl-C: let what has begun be finished, and keep half-made things whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import Any, Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""A user's Ctrl-C, and what cluster managers send before they kill."""


class Stop:
    """A wish to end that long work looks at between its steps.

    Attributes
    ----------
    signal : int or None
        The signal that asked; None as long as nobody did.

    Examples
    --------
    >>> stop = Stop()
    >>> bool(stop)
    False
    >>> stop.ask()
    >>> bool(stop)
    True
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._wakers: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        return self.signal is not None

    def ask(self, number: int = signal.SIGINT) -> None:
        """Ask whoever looks here to end; wakes those that wait."""
        self.signal = number
        for wake in self._wakers:
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake`, which must not wait for anything, when somebody asks during the block."""
        self._wakers.append(wake)
        try:
            yield
        finally:
            self._wakers.remove(wake)


@contextmanager
def stoppable(on_ask: Callable[[], None]) -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM in the block into a wish; the second interrupts at once.

    Parameters
    ----------
    on_ask : callable
        Says so to the user.

    Yields
    ------
    Stop
        What long work is to look at. In other threads than the main one nobody asks.

    Notes
    -----
    Also a process hears it that a shell has started in its background with SIGINT ignored: what
    ends in order may be asked by anybody. Outside the block an ignored signal stays ignored.
    """
    stop = Stop()

    def handle(number: int, _frame: object) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.ask(number)
        # Whatever is interrupted here may be in the middle of printing.
        threading.Thread(target=on_ask, daemon=True).start()

    with ExitStack() as previous:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                previous.callback(signal.signal, number, signal.signal(number, handle))
        yield stop


@contextmanager
def interrupts_held() -> Iterator[None]:
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
        signal.raise_signal(signal.SIGINT)
