"""Run the explorer's server."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Final

import uvicorn

from exod.errors import ConfigError
from exod.web.security import Guard


def serve(
    guard: Guard,
    listening: socket.socket,
    on_ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve until it is interrupted.

    Parameters
    ----------
    guard : Guard
        The application.
    listening : socket
        Where, see `bound`.
    on_ready : callable
        Is told the address as soon as it answers.
    """
    host, port = listening.getsockname()[:2]
    server = _Server(_config(guard), guard, lambda: on_ready(address(host, port)))
    # It has ended in order then, and raises the interruption that it heard once more.
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


@contextmanager
def running(guard: Guard) -> Iterator[str]:
    """Serve at a free port of this machine, in a thread, as long as the block lasts; the address.

    Raises
    ------
    ConfigError
        If no port can be had.
    """
    with bound("127.0.0.1", 0) as listening:
        ready = Event()
        server = _Server(_config(guard), guard, ready.set)
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        ready.wait()
        try:
            yield address(*listening.getsockname()[:2])
        finally:
            server.should_exit = True
            thread.join()


def _config(guard: Guard) -> uvicorn.Config:
    # Who asks is who is at the other end, whatever headers of a proxy say.
    return uvicorn.Config(
        guard, log_level="warning", access_log=False, server_header=False, proxy_headers=False
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, guard: Guard, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._guard, self._on_ready = guard, on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What follows waits for all answers, and some have no end of their own.
        self._guard.ending.set()
        await super().shutdown(sockets)


def address(host: str, port: int) -> str:
    """The address of a server, for people.

    Examples
    --------
    >>> address("::1", 8765)
    'http://[::1]:8765/'
    """
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


_WHY: Final = {
    errno.EADDRINUSE: "another program has it",
    errno.EACCES: "only the administrator may take it",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens; with port 0 at a free one.

    Raises
    ------
    ConfigError
        If the port is taken, or may not be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family)
        # What comes in inherits it: else an answer waits until its head was acknowledged.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        number = error.errno if isinstance(error, OSError) else None
        why = _WHY.get(number or 0) or getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"The server cannot listen at {host}, port {port}: {why}; give another --port, or "
            f"--port 0 for a free one."
        ) from error
