"""The explorer: how long its pages take to prepare, to show and to answer a choice.

Run ``python -m benchmarks.explorer --detections 60000 1000000``. Rows are random, two detections a
source. Times of the browser are of a headless Chromium beside the server on the same machine, by
the clock, p95 of a number of choices; those of building are of the processor and by the clock. The
reference of a build is to read the whole table of regions once, in the same run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.report_scale import measure
from exod.archive import open_archive
from exod.stages.explore.making import make_explorer
from exod.web.app import make_app
from exod.web.serving import running

CHOICES = 40
"""How many choices are timed."""

_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_CHOOSE = """async (state) => {
  const site = await import('/static/js/site.js');
  const body = document.body;
  const start = performance.now();
  site.change({ sigma: state });
  await new Promise((done) => {
    const look = () => (body.dataset.ready === 'yes' ? done() : requestAnimationFrame(look));
    requestAnimationFrame(look);
  });
  return performance.now() - start;
}"""
_BYTES = "performance.getEntriesByType('resource').reduce((sum, one) => sum + one.transferSize, 0)"


def build(root: str) -> None:
    """The product; for a process of its own."""
    make_explorer(root, force=True)


def browse(page: Page, address: str, table: str) -> Iterator[tuple[str, float]]:
    """Milliseconds of a view, and MB that it transfers."""
    page.goto(f"{address}?table={table}")
    page.wait_for_selector("body[data-ready=yes]")
    yield "first contentful paint (ms)", page.evaluate(_PAINT)
    yield "all panels, cold (ms)", page.evaluate("performance.now()")
    yield "transfer of the first page (MB)", page.evaluate(_BYTES) / 1e6
    random = np.random.default_rng(1)
    low = random.integers(0, 40, CHOICES)
    times = [page.evaluate(_CHOOSE, f"{start}-{start + 20}") for start in low.tolist()]
    yield "a choice: counts, histograms, sky, plots, rows (ms, median)", float(np.median(times))
    yield "the same, p95", float(np.quantile(times, 0.95))


def source_page(page: Page, address: str, number: int) -> float:
    """Milliseconds of the page of a source, complete."""
    page.goto(f"{address}source/{number}")
    page.wait_for_selector("body[data-ready=yes]")
    return float(page.evaluate("performance.now()"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detections", type=int, nargs="+", default=[60_000])
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    for wanted in given.detections:
        with tempfile.TemporaryDirectory() as root:
            report(root, wanted, given.chromium, lambda text: print(text, flush=True))


def report(root: str, wanted: int, chromium: str, say: Callable[[str], Any]) -> None:
    """Measure one archive."""
    measure("make", root, str(wanted))
    say(f"{wanted:,} detections, {wanted // 2:,} sources")
    reference, _ = measure("read", root)
    seconds, memory = measure("build", root, module="explorer")
    size = sum(path.stat().st_size for path in Path(root, "explorer").rglob("*.parquet")) / 1e6
    say(
        f"  build: {seconds:.1f} s of the processor, {seconds / reference:.1f} x read, "
        f"{memory:.0f} MB"
    )
    say(f"  size of the product: {size:.1f} MB")
    with running(make_app(open_archive(root))) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for table in ("detections", "sources"):
            page = browser.new_page()
            for what, value in browse(page, address, table):
                say(f"  {table}: {what}: {value:.4g}")
            page.close()
        page = browser.new_page()
        times = [source_page(page, address, number) for number in range(5)]
        say(f"  page of a source (ms, median): {np.median(times):.4g}")
        browser.close()


if __name__ == "__main__":
    main()
