"""Processes that tests start, interrupt and kill, and waiting for what they do.

Tests wait for events. Seconds only end what hangs, and are far more than any machine needs.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

TESTS: Final = Path(__file__).parents[1]
"""The folder of the tests, from which they import."""

EXOD: Final = Path(sys.executable).parent / "exod"
"""The installed command."""

LONGEST: Final = 600.0
"""Seconds until what is waited for counts as hanging."""

_INTERRUPTIONS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def start_interruptible(command: Sequence[object], **options: Any) -> subprocess.Popen[Any]:
    """Start a process that hears interruptions, also where the tests themselves ignore them.

    What a process ignores, its children ignore too. A shell lets what runs in its background
    (``make test &``) ignore SIGINT, and ``nohup`` lets it ignore SIGHUP.
    """
    with _interruptions_heard():
        return subprocess.Popen([str(word) for word in command], **options)


@contextmanager
def _interruptions_heard() -> Iterator[None]:
    """Handlers in place of what is ignored: a new program begins without any, with defaults."""
    with ExitStack() as previous:
        for number in _INTERRUPTIONS:
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
                previous.callback(signal.signal, number, signal.SIG_IGN)
        yield


def wait_until(
    condition: Callable[[], object],
    process: subprocess.Popen[Any] | None = None,
    *,
    every: float = 0.01,
    hangs: Callable[[], str] = lambda: "What is waited for does not happen.",
) -> bool:
    """Wait for a condition; False if the process that is to bring it about ends before."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        if process is not None and process.poll() is not None:
            return bool(condition())
        assert time.monotonic() < deadline, hangs()
        time.sleep(every)
    return True


def wait_for_changes(
    look: Callable[[], object], count: int, process: subprocess.Popen[Any] | None = None
) -> None:
    """Wait until what `look` returns has changed so often; the process must not end before."""
    for _ in range(count):
        before = look()
        changed = wait_until(lambda before=before: look() != before, process)  # type: ignore[misc]
        assert changed, "The process has ended."


@contextmanager
def running(code: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that has said it is ready; killed at the end of the block.

    The code finds the helpers of tests, as tests do.
    """
    code = f"import sys; sys.path.insert(0, {str(TESTS)!r})\n{code}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()
