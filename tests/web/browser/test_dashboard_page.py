"""The page of the dashboard of a Dask scheduler, as a browser shows it while a run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from types import SimpleNamespace

import pytest
from bokeh.server.server import Server
from tornado.ioloop import IOLoop

from exod.scheduler.dashboard import TOLD, progress_page

expect = pytest.importorskip("playwright.sync_api").expect

RUN = {
    **{"stage": "detect", "began": 1.7e9, "news": 1.7e9 + 60, "ended": False},
    **{"total": 9, "before": 2, "succeeded": 1, "failed": 0, "left": 6},
}


@contextmanager
def shown(scheduler: object) -> Iterator[str]:
    """The page of a scheduler; its address."""
    started, found = Event(), []

    def serve() -> None:
        page = partial(progress_page, scheduler, {"pages": []})
        server = Server({"/exod": page}, port=0, allow_websocket_origin=["*"])
        server.start()
        found.extend([server, IOLoop.current()])
        started.set()
        IOLoop.current().start()

    thread = Thread(target=serve)
    thread.start()
    started.wait()
    server, loop = found
    try:
        yield f"http://localhost:{server.port}/exod"
    finally:
        loop.add_callback(server.stop)
        loop.add_callback(loop.stop)
        thread.join()


def test_the_table_goes_on_as_the_bars_do(chromium):
    runs = {"a": RUN}
    with shown(SimpleNamespace(task_metadata={TOLD: runs})) as address:
        page = chromium.new_page()
        page.goto(address)
        cells = page.locator("tbody tr").first.locator("td")
        expect(cells.nth(4)).to_have_text("1")
        runs["a"] = RUN | {"succeeded": 4, "failed": 2, "left": 1}
        expect(cells.nth(4)).to_have_text("4")
        told = cells.all_inner_texts()
        page.close()
    assert told[1:7] == ["running", "9", "2", "4", "2", "1"]
