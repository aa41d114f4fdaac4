"""The explorer: how long it takes to prepare, to show a page and to answer a choice.

Run ``python -m benchmarks.explorer``, for 60,000, 1,000,000 and 10,000,000 rows, the last of which
take 25 GB of the disk, or with ``--rows``: the table has what was measured, what is wanted of two
cores, their ratio, and whether it is reached. Rows are those of `benchmarks.explorer_rows`. A
headless Chromium is beside the server on the same machine: ``chromium-headless-shell`` if it is
there, since a whole Chromium loads pages of its own into each new window, which takes half of the
processor while the first page is shown. What is judged are times by the clock; beside them stand
those of the processor, of the server or of the browser's main thread, which say more on a machine
that does other things. The server has answered once before; browsers have nothing in their caches.
Building is to sort the rows, to write them and their index; the product of a whole archive is made
for up to 100,000 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.report_scale import measure
from exod.archive import open_archive
from exod.stages.explore.making import make_explorer
from exod.web.app import make_app
from exod.web.serving import running

CHOICES = 60
"""How many choices are timed."""

LOOKED_MS = 1_000
"""How long a page is looked at before the first choice is made."""

SOURCES = 12
"""How many pages of sources are timed."""

WHOLE_ARCHIVE = 100_000
"""Rows up to which the whole product is made of an archive, too."""

BROWSERS = ("chromium-headless-shell", "chromium")
"""The first of these that is there is measured with."""

SIZES = (60_000, 1_000_000, 10_000_000)
"""Numbers of rows that goals are set for; others have those of the next larger one."""

GOALS = {
    "build (s)": (2.0, 10.0, 90.0),
    "first contentful paint (ms)": (500.0, 500.0, 800.0),
    "all panels, cold (ms)": (800.0, 2000.0, 4000.0),
    "a choice, p95 (ms)": (50.0, 250.0, 1500.0),
    "page of a source, p95 (ms)": (500.0, 500.0, 500.0),
    "transfer of the first page (MB)": (1.2, 8.0, 0.2),
}
"""EXPLORER, section 6, for each of `SIZES`."""

_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_CHOOSE = """async (state) => {
  const body = document.body;
  const address = new URL(location);
  for (const [name, value] of Object.entries(state)) {
    if (value === null) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  const start = performance.now();
  history.pushState(null, '', address);
  dispatchEvent(new PopStateEvent('popstate'));
  if (body.dataset.ready !== 'yes') await new Promise((done) => {
    const seen = new MutationObserver(() => {
      if (body.dataset.ready !== 'yes') return;
      seen.disconnect();
      done();
    });
    seen.observe(body, { attributeFilter: ['data-ready'] });
  });
  await painted();
  return performance.now() - start;
}"""
_BYTES = """performance.getEntriesByType('navigation').concat(
  performance.getEntriesByType('resource')).reduce((sum, one) => sum + one.transferSize, 0)"""
_READY = """// A message from a frame is read when that frame was laid out and painted.
window.painted = () => new Promise((done) => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = done;
  port2.postMessage(null);
}));
window.complete = new Promise((done, fail) => new MutationObserver(() => {
  const { ready } = document.body?.dataset ?? {};
  if (ready === 'yes') painted().then(() => done(performance.now()));
  else if (ready === 'error') fail(new Error(document.body.innerText));
}).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-ready'] }));"""
_CLOCK = "window.complete"
"""When the complete page was painted: not when that was noticed here."""


class Figure(NamedTuple):
    """What was measured: by the clock, and of the processor where that is known."""

    what: str
    value: float
    processor: float = np.nan


def build(root: str) -> None:
    """The product of a whole archive; for a process of its own."""
    make_explorer(root, force=True)


def serve(root: str) -> None:
    """Serve until the input ends; for a process of its own."""
    with running(make_app(open_archive(root))) as address:
        print(address, flush=True)
        sys.stdin.read()


class Server:
    """A server in a process of its own.

    Attributes
    ----------
    address : str
        Where it is.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        if process.stdout is None:
            raise SystemExit("The server cannot tell its address.")
        self.address = process.stdout.readline().strip()

    def seconds(self) -> float:
        """Seconds of the processor that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(root: str) -> Iterator[Server]:
    """A server of an archive as long as the block lasts."""
    words = ("from benchmarks.explorer import serve; import sys; serve(sys.argv[1])", root)
    command = [sys.executable, "-c", *words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Server(process)
        if process.stdin is not None:
            process.stdin.close()


class Reader:
    """A page of a browser with nothing in its cache, which tells what it costs."""

    def __init__(self, browser: Browser) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.add_init_script(_READY)
        self._session = self.page.context.new_cdp_session(self.page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def visit(self, address: str) -> None:
        """Show a page until it is complete."""
        self.page.goto(address)
        # To wait for an element brings scripts to the page, which take as long as some of its own.
        found = self._session.send("Runtime.evaluate", {"expression": _CLOCK, "awaitPromise": True})
        if "exceptionDetails" in found:
            raise SystemExit(f"{address} cannot be shown: {found['exceptionDetails']}")

    def busy(self) -> float:
        """Milliseconds of the processor that the main thread has taken."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return 1e3 * float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def catalogue(browser: Browser, server: Server, table: str) -> Iterator[Figure]:
    """The catalogue of a table: its first page, and choices."""
    reader, before = Reader(browser), server.seconds()
    reader.visit(f"{server.address}?table={table}")
    cold, busy = reader.page.evaluate(_CLOCK), reader.busy()
    yield Figure("first contentful paint (ms)", reader.page.evaluate(_PAINT))
    yield Figure("all panels, cold (ms)", cold, busy)
    yield Figure("of that the server (ms)", np.nan, 1e3 * (server.seconds() - before))
    yield Figure("transfer of the first page (MB)", reader.page.evaluate(_BYTES) / 1e6)
    reader.page.wait_for_timeout(LOOKED_MS)
    random = np.random.default_rng(1)
    times, before, busy = [], server.seconds(), reader.busy()
    for number in range(CHOICES):
        low = int(random.integers(0, 40))
        state = {
            0: {"sigma": f"{low}-{low + 20}", "hr": None},
            1: {"hr": f"{low}-{low + 20}"},
            2: {"noflag": str(low % 5), "duration": f"{low // 2}-{low + 10}"},
            3: {"noflag": None, "duration": None, "sigma": None},
        }[number % 4]
        times.append(reader.page.evaluate(_CHOOSE, state))
    busy = (reader.busy() - busy) / CHOICES
    yield Figure("a choice, median (ms)", float(np.median(times)), busy)
    yield Figure("a choice, p95 (ms)", float(np.quantile(times, 0.95)))
    server_each = 1e3 * (server.seconds() - before) / CHOICES
    yield Figure("of a choice the server (ms)", np.nan, server_each)
    reader.page.close()


def source_pages(browser: Browser, server: Server) -> Iterator[Figure]:
    """Pages of sources, each with an empty cache."""
    times, busy, before = [], [], server.seconds()
    for number in range(SOURCES):
        reader = Reader(browser)
        reader.visit(f"{server.address}source/{100 * number}")
        times.append(reader.page.evaluate(_CLOCK))
        busy.append(reader.busy())
        reader.page.close()
    yield Figure("page of a source, median (ms)", float(np.median(times)), float(np.median(busy)))
    yield Figure("page of a source, p95 (ms)", float(np.quantile(times, 0.95)))
    server_each = 1e3 * (server.seconds() - before) / SOURCES
    yield Figure("of that the server, each (ms)", np.nan, server_each)


def figures(root: str, rows: int, chromium: str) -> Iterator[tuple[str, Figure]]:
    """All figures of a product of that size, each with what it is about."""
    if rows <= WHOLE_ARCHIVE:
        with tempfile.TemporaryDirectory() as whole:
            measure("make", whole, str(rows))
            seconds, memory = measure("build", whole, module="explorer")
            yield "whole archive", Figure("build with imports (s)", np.nan, seconds)
            yield "whole archive", Figure("largest memory (MB)", memory)
    measure("prepare", root, str(rows), module="explorer_rows")
    _, memory = measure("write", root, module="explorer_rows")
    taken = json.loads(Path(root, "build.json").read_text(encoding="utf-8"))
    yield "product", Figure("build (s)", *taken)
    yield "product", Figure("largest memory (MB)", memory)
    measure("add_curves", root, str(rows), module="explorer_rows")
    with serving(root) as server, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which(chromium), args=["--no-sandbox"]
        )
        for table in ("detections", "sources"):
            Reader(browser).visit(f"{server.address}?table={table}")
            for figure in catalogue(browser, server, table):
                yield table, figure
        for figure in source_pages(browser, server):
            yield "source", figure
        browser.close()


def line(rows: int, about: str, figure: Figure) -> str:
    """A line of the table.

    Examples
    --------
    >>> line(60_000, "product", Figure("build (s)", 1.0, 0.5)).split("|")[3:-1]
    ['         1 ', '       0.5 ', '       2 ', ' 0.50 ', ' reached ']
    """
    size = next((place for place, size in enumerate(SIZES) if rows <= size), len(SIZES) - 1)
    goal = GOALS.get(figure.what, (np.nan,) * len(SIZES))[size]
    cells = [f"{about:13}", f"{figure.what:32}", _number(figure.value, 9)]
    cells.append(_number(figure.processor, 9))
    if np.isfinite(goal):
        ratio = figure.value / goal
        cells += [f"{goal:7g}", f"{ratio:.2f}", "reached" if ratio <= 1 else "missed"]
    else:
        cells += [" " * 7, "    ", "       "]
    return f"| {' | '.join(cells)} |"


def _number(value: float, width: int) -> str:
    return f"{value:{width}.3g}" if np.isfinite(value) else " " * width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    found = next((name for name in BROWSERS if shutil.which(name)), BROWSERS[0])
    parser.add_argument("--chromium", default=found, help="its command or path")
    parser.add_argument("--folder", help="where rows are made; by default a temporary folder")
    given = parser.parse_args()
    for rows in given.rows:
        print(f"\n{rows:,} detections, {os.cpu_count()} cores\n")
        print(f"| {'of':13} | {'what':32} | clock     | processor | goal    | ratio |         |")
        print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
        with tempfile.TemporaryDirectory(dir=given.folder) as root:
            for about, figure in figures(root, rows, given.chromium):
                print(line(rows, about, figure), flush=True)


if __name__ == "__main__":
    main()
