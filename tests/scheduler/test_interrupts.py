"""Interruptions: who hears them, and what they ask for."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE

import pytest
from helpers.processes import LONGEST, start_interruptible

from exod.scheduler.interrupts import interrupts_held, stoppable


@contextmanager
def handled(handler: signal.Handlers) -> Iterator[None]:
    """SIGINT and SIGTERM as a process has them that inherits them from a shell."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, previous in zip(numbers, before, strict=True):
            signal.signal(number, previous)


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_asks_and_the_second_interrupts(
    number: signal.Signals, handler: signal.Handlers
) -> None:
    """Also a search in the background, where SIGINT is ignored, hears who asks it to end."""
    said = threading.Event()
    with handled(handler):
        with stoppable(said.set) as stop:
            assert not stop
            signal.raise_signal(number)
            assert stop.signal == number
            assert said.wait(LONGEST)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        assert signal.getsignal(number) is handler


def test_those_that_wait_are_woken() -> None:
    woken: list[bool] = []
    with stoppable(lambda: None) as stop:
        with stop.waking(lambda: woken.append(True)):
            signal.raise_signal(signal.SIGINT)
        assert woken == [True]
        stop.ask()
        assert woken == [True]


def test_nobody_asks_in_other_threads() -> None:
    before = signal.getsignal(signal.SIGINT)
    found: list[bool] = []

    def work() -> None:
        with stoppable(lambda: None) as stop, interrupts_held():
            found.append(bool(stop) or signal.getsignal(signal.SIGINT) is not before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]


def test_what_is_held_comes_afterwards() -> None:
    reached = False
    with stoppable(lambda: None) as stop:
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            reached = not stop
        assert reached
        assert stop.signal == signal.SIGINT


def test_children_of_tests_hear_what_the_tests_ignore() -> None:
    code = "import signal; print(*[signal.getsignal(n) for n in (2, 15, 1)], sep='\\n')"
    with (
        handled(signal.SIG_IGN),
        start_interruptible([sys.executable, "-c", code], stdout=PIPE, text=True) as child,
    ):
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        said, _ = child.communicate(timeout=LONGEST)
    assert "default_int_handler" in said
    assert "SIG_IGN" not in said
