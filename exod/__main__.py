"""Where the command line begins: what ``exod`` and ``python -m exod`` run.

Ctrl-C ends every command with exit code 130, also while its modules are still being imported.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, Final

from exod.errors import INTERRUPTED, INTERRUPTION

_AGAIN_SECONDS: Final = 0.01


def main() -> None:
    """Run the command line."""
    end_at_interrupts()
    from exod.cli import main as run

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = _heard_again
    try:
        run()
    except KeyboardInterrupt:
        # The command had not begun yet: typer makes the commands first.
        _end()
    finally:
        end_at_interrupts()


def end_at_interrupts() -> None:
    """From now on let Ctrl-C end the process at once: nothing is begun, or all is said.

    What ignores it, as a shell lets what runs in its background do, ignores it still.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(*_: object) -> None:
    # An exception would end in a traceback, or be lost in a callback of the import system.
    with suppress(OSError):
        os.write(2, f"{INTERRUPTION}\n".encode())
    os._exit(INTERRUPTED)


def _heard_again(lost: Any) -> None:
    """Where Python cannot raise what Ctrl-C raises, as in destructors, let it be raised later."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        again = threading.Timer(
            _AGAIN_SECONDS, signal.pthread_kill, [threading.get_ident(), signal.SIGINT]
        )
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


if __name__ == "__main__":
    main()
