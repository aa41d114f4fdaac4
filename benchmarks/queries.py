"""Queries of an archive: time, and files that may be read, against reading the whole table.

Run with ``python -m benchmarks.queries``. Ratios count; seconds are of the machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.query_archives import make_queried

from exod.schemas.conditions import Cone, Query
from exod.stages.query.rows import select
from exod.stages.query.statements import connect

N_OBSERVATIONS = 400


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, the better of two, and the result."""
    best = float("inf")
    for _ in range(2):
        began = time.perf_counter()
        found = function()
        best = min(best, time.perf_counter() - began)
    return best, found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = make_queried(Path(folder) / "archive", N_OBSERVATIONS, 4)
        regions = archive.regions.compute(scheduler="sync")
        place = regions.iloc[len(regions) // 2]
        detid = place["detid"]
        cone = Cone(float(place["ra_deg"]), float(place["dec_deg"]), 60.0)
        print(f"{N_OBSERVATIONS} observations, {len(regions)} regions")
        report(archive, detid, cone)
        archive.compact()
        print("compacted:")
        report(archive, detid, cone)


def report(archive: Any, detid: str, cone: Cone) -> None:
    def rows(**asked: Any) -> int:
        return sum(len(frame) for frame in select(archive, Query(**asked)).frames())

    def opened(**asked: Any) -> int:
        files = select(archive, Query(**asked)).files
        return sum(map(len, files.values()))

    def answered(statement: str) -> int:
        with connect(archive, statement) as answer:
            return sum(chunk.num_rows for chunk in answer.chunks())

    whole, _ = timed(lambda: len(archive.lightcurves.compute(scheduler="sync")))
    print(f"  all light curves through dask: {whole:.2f} s")
    questions: dict[str, dict[str, Any]] = {
        "one light curve": {"table": "lightcurves", "where": f"detid == '{detid}'"},
        "bright frames": {"table": "lightcurves", "where": "n > 9", "columns": ("detid", "n")},
        "cone of regions": {"table": "regions", "cone": cone},
        "cone of sources": {"table": "sources", "cone": cone},
        "detections without hot pixels": {"table": "detections", "no_flags": ("hot_pixel",)},
        "detections of an observation": {"table": "detections", "obsids": (detid[:10],)},
        "sources with counterparts": {"table": "sources", "matches": ("gaia",)},
    }
    for name, asked in questions.items():
        seconds, found = timed(lambda asked=asked: rows(**asked))
        print(
            f"  {name}: {found} rows, {opened(**asked)} files, {seconds:.3f} s, "
            f"{seconds / whole:.4f} of reading all light curves"
        )
    statement = "SELECT obsid, max(n) AS n FROM lightcurves GROUP BY obsid"
    seconds, found = timed(lambda: answered(statement))
    print(f"  SQL, largest frame of each observation: {found} rows, {seconds:.3f} s", end="")
    print(f", {seconds / whole:.4f} of reading all light curves")


if __name__ == "__main__":
    main()
