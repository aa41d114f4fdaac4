"""A server of the explorer on a free port, in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from exod.archive import Archive
from exod.web.app import WebSettings, make_app
from exod.web.serving import bound


class Watched(uvicorn.Server):
    """Tells when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = threading.Event()

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        self.answers.set()


@contextmanager
def served(archive: Archive, settings: WebSettings | None = None) -> Iterator[str]:
    """The address of the server, with a slash at its end."""
    guard = make_app(archive, settings)
    with bound("127.0.0.1", 0) as listening:
        server = Watched(uvicorn.Config(guard, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert server.answers.wait(60)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()
