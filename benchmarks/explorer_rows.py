"""A product of the explorer with as many detections as are wanted, without a search.

All columns are there with values like those of a survey: sources are in fields, two detections a
source; sigma, durations and counts have the distributions that thresholds leave. Light curves and
coverage are of the first sources only, since no page reads those of others.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.archive_scale import BANDS, T_BINS
from benchmarks.report_scale import REGIONS_PER_SOURCE
from benchmarks.report_scale import make as make_archive
from exod.archive import open_archive
from exod.archive.derived import EXPLORER, Derived
from exod.archive.increments import deriving
from exod.archive.parquet import row_groups
from exod.archive.snapshot import Snapshot
from exod.files.ahead import done_at_once
from exod.schemas.columns import Table
from exod.schemas.explorer import COVERAGE, NEIGHBOURS
from exod.stages.explore.density import DENSITY, DENSITY_ROWS, Density
from exod.stages.explore.lightcurves import LIGHT_CURVE_ROWS, light_curve_rows
from exod.stages.explore.making import (
    make_explorer,
    shown_detections,
    shown_sources,
    tables_at_once,
)
from exod.stages.explore.similar import NEIGHBOUR_ROWS
from exod.stages.explore.writing import DETAIL_ROWS, ProductWriter

CHUNK: Final = 20_000
WITH_CURVES: Final = 5_000
"""Sources that have light curves."""

FRAMES: Final = 500

_KINDS: Final = np.array(["peak", "eclipse", "both"])

_DRAWN: Final[Mapping[str, Callable[[np.random.Generator, int], np.ndarray]]] = {
    "sigma_peak": lambda r, n: 3 + r.exponential(1.2, n),
    "sigma_eclipse": lambda r, n: np.where(r.random(n) < 0.7, np.nan, 3 + r.exponential(0.8, n)),
    "duration": lambda r, n: r.lognormal(5, 1.5, n),
    "excess": lambda r, n: r.lognormal(3, 1.0, n),
    "peak_rate": lambda r, n: r.lognormal(-3, 1.2, n),
    "hr_event": lambda r, n: np.clip(r.normal(0, 0.5, n), -1, 1),
    "fap_obs": lambda r, n: 10 ** -r.exponential(3, n),
    "t_start_mjd": lambda r, n: r.uniform(51_700, 61_000, n),
    "pos_err_arcsec": lambda r, n: r.lognormal(1, 0.5, n),
    "ratio_bti": lambda r, n: r.beta(1, 5, n),
    "t_bin": lambda r, n: r.choice(T_BINS, n),
    "e_lo": lambda r, n: r.choice([band[0] for band in BANDS], n),
    "e_hi": lambda r, n: r.choice([band[1] for band in BANDS], n),
    "kind": lambda r, n: _KINDS[r.choice(3, n, p=[0.8, 0.15, 0.05])],
    "n_detections": lambda _r, n: np.full(n, REGIONS_PER_SOURCE),
    "n_observations": lambda r, n: 1 + r.poisson(0.3, n),
    "n_undetected": lambda r, n: r.poisson(2, n),
}
"""What values of columns are, by their name without what says that they are of the best one."""


class SurveyRows:
    """Rows of detections and sources of a survey that never was.

    Parameters
    ----------
    n_detections : int
        How many there are.
    """

    def __init__(self, n_detections: int) -> None:
        self.n_detections = n_detections
        self.n_sources = -(-n_detections // REGIONS_PER_SOURCE)
        random = np.random.default_rng(1)
        fields = int(np.clip(n_detections // 20, 100, 15_000))
        centre = np.stack(
            [random.uniform(0, 360, fields), np.rad2deg(np.arcsin(random.uniform(-1, 1, fields)))]
        )
        self._field = random.integers(0, fields, self.n_sources)
        place = centre[:, self._field] + random.normal(0, 0.12, (2, self.n_sources))
        self._ra, self._dec = place[0] % 360, np.clip(place[1], -90, 90)

    def detections(self, table: Table) -> Iterator[pa.Table]:
        """The detections, in no order of the sky."""
        yield from self._chunks(table, self.n_detections, REGIONS_PER_SOURCE)

    def sources(self, table: Table) -> Iterator[pa.Table]:
        """The sources in order of their number."""
        yield from self._chunks(table, self.n_sources, 1)

    def _chunks(self, table: Table, rows: int, each: int) -> Iterator[pa.Table]:
        random = np.random.default_rng(each)
        columns = {c.name: _drawn(c.name, c.type, random, CHUNK) for c in table.columns}
        template = pa.table(columns, schema=table.schema)
        for start in range(0, rows, CHUNK):
            numbers = np.arange(start, min(start + CHUNK, rows))
            own = self._own(numbers, numbers // each, random)
            cut = int(random.integers(CHUNK))
            part = pa.concat_tables([template.slice(cut), template.slice(0, cut)])
            part = part.slice(0, len(numbers))
            for place, column in enumerate(table.columns):
                values = own.get(column.name)
                if values is None and _plain(column.name) in _DRAWN:
                    values = _DRAWN[_plain(column.name)](random, len(numbers))
                if values is not None:
                    cast = pa.array(values).cast(column.type)
                    part = part.set_column(place, table.schema.field(place), cast)
            yield part

    def _own(
        self, number: np.ndarray, source: np.ndarray, random: np.random.Generator
    ) -> dict[str, np.ndarray]:
        obsid = np.array([f"{700000001 + 100 * field:010d}" for field in self._field[source]])
        names = zip(self._ra[source] / 15 * 36e3, self._dec[source] * 3600, strict=True)
        label = [f"{one}_0_50_0.2_12.0_{row}" for one, row in zip(obsid, number, strict=True)]
        return {
            "ra_deg": (self._ra[source] + random.normal(0, 1e-4, len(number))) % 360,
            "dec_deg": self._dec[source],
            "region_num": source,
            "srcid": np.array([f"EXOD J{int(ra):07d}{int(dec):+07d}" for ra, dec in names]),
            "obsid": obsid,
            "best_obsid": obsid,
            "detid": np.array(label),
            "best_detid": np.array(label),
        }


def _plain(name: str) -> str:
    return {
        "best_lc_sigma_max_B_peak": "sigma_peak",
        "best_lc_sigma_max_B_eclipse": "sigma_eclipse",
    }.get(name, name.removeprefix("best_lc_").removeprefix("best_"))


def _drawn(name: str, kind: pa.DataType, random: np.random.Generator, n: int) -> pa.Array:
    """Values of a column of which nothing is known but its type."""
    if pa.types.is_boolean(kind):
        return pa.array(random.random(n) < 0.1)
    if pa.types.is_integer(kind):
        return pa.array(random.poisson(5, n)).cast(kind)
    if pa.types.is_floating(kind):
        return pa.array(random.lognormal(2, 1, n).round(3)).cast(kind)
    words = {"t_start_utc": "2015-06-01T12:00:{:06.3f}", "t_stop_utc": "2015-06-01T13:00:{:06.3f}"}
    text = words.get(_plain(name), name[:6])
    return pa.array([text.format(one) for one in random.uniform(0, 60, n)]).cast(kind)


def prepare(root: str, wanted: str) -> None:
    """An archive of few observations with the product, and all rows of the survey to be read."""
    make_archive(root, "900")
    make_explorer(root)
    archive, survey = open_archive(root), SurveyRows(int(wanted))
    snapshot = Snapshot(archive)
    for (table, _), rows in (
        (shown_detections(snapshot, ()), survey.detections),
        (shown_sources(snapshot, ()), survey.sources),
    ):
        path = f"{root}/{table.name}.rows"
        # To read them is no part of what is measured: it takes little.
        with pq.ParquetWriter(
            path, table.schema, compression="lz4", use_dictionary=False, write_statistics=False
        ) as sink:
            for chunk in rows(table):
                sink.write_table(chunk)


def write(root: str) -> None:
    """Sort the rows of the survey, write them and their index: what the explorer builds.

    How long that took is in ``build.json``: seconds by the clock and of the processor.
    """
    start = time.perf_counter(), time.process_time()
    archive = open_archive(root)
    earlier = archive.derived(EXPLORER)
    if earlier is None:
        raise SystemExit(f"{root} was not prepared.")
    with (
        deriving(archive.store, EXPLORER, ()) as new,
        tempfile.TemporaryDirectory(dir=root) as scratch,
    ):
        new.parameters, new.attempts = earlier.parameters, earlier.attempts
        snapshot = Snapshot(archive)
        writer = ProductWriter(archive.store, new, Path(scratch), lambda _what: None)

        def sort(table: Table, key: str) -> Density:
            return writer.write(table, _read_once(Path(root, f"{table.name}.rows")), key)

        found, sources = shown_detections(snapshot, ())[0], shown_sources(snapshot, ())[0]
        tasks = partial(sort, found, "detid"), partial(sort, sources, "region_num")
        _, density = done_at_once(tasks, threads=tables_at_once())
        writer.write_exact(DENSITY, density.rows(), DENSITY_ROWS)
        written = {file.table for file in new.files}
        new.files += [file for file in earlier.files if file.table not in written]
        new.summary = {**earlier.summary, "tables": dict(sorted(writer.described.items()))}
    taken = time.perf_counter() - start[0], time.process_time() - start[1]
    Path(root, "build.json").write_text(json.dumps(taken), encoding="utf-8")


def _read_once(path: Path) -> Iterator[pa.Table]:
    """The rows of a file, which makes room on the disk when all were read."""
    with pq.ParquetFile(path) as rows:
        yield from (pa.Table.from_batches([one]) for one in row_groups(rows))
    path.unlink()


def add_curves(root: str, wanted: str) -> None:
    """Light curves, numbers of light curves and coverage."""
    archive, random = open_archive(root), np.random.default_rng(3)
    earlier = archive.derived(EXPLORER)
    if earlier is None:
        raise SystemExit(f"{root} was not prepared.")
    with (
        deriving(archive.store, EXPLORER, ()) as new,
        tempfile.TemporaryDirectory(dir=root) as scratch,
    ):
        new.parameters, new.attempts = earlier.parameters, earlier.attempts
        new.summary = earlier.summary
        writer = ProductWriter(archive.store, new, Path(scratch), lambda _what: None)
        table, _ = light_curve_rows(Snapshot(archive))
        detids = _detids(archive.store.path(_path(earlier, "detections")))
        writer.write_plain(table, _curves(table, detids, random), LIGHT_CURVE_ROWS)
        writer.write_exact(NEIGHBOURS, _neighbours(detids, int(wanted), random), NEIGHBOUR_ROWS)
        writer.write_plain(COVERAGE, _coverage(random), DETAIL_ROWS)
        written = {file.table for file in new.files}
        new.files += [file for file in earlier.files if file.table not in written]


def _path(product: Derived, table: str) -> str:
    return next(file.path for file in product.files if file.table == table)


def _detids(path: str) -> pa.Table:
    """Number and detection of the sources that have light curves, in that order."""
    rows = pq.read_table(path, columns=["region_num", "srcid", "detid", "t_bin"])
    few = rows.filter(pc.less(rows["region_num"], WITH_CURVES))
    return few.sort_by([("region_num", "ascending"), ("detid", "ascending")])


def _curves(table: Table, rows: pa.Table, random: np.random.Generator) -> Iterator[pa.Table]:
    for batch in rows.to_batches(200):
        size = len(batch) * FRAMES
        mu = random.lognormal(0, 1, size)
        time = np.tile(np.arange(FRAMES) * 50.0, len(batch)) + 5e8
        each = np.repeat(np.arange(len(batch)), FRAMES)
        columns = {
            "region_num": batch["region_num"].take(pa.array(each)),
            "detid": batch["detid"].take(pa.array(each)),
            "time": time,
            "n": random.poisson(mu),
            "mu": mu,
            "live": np.ones(size, np.float32),
            "bti": random.random(size) < 0.1,
            "bccd": random.random(size) < 0.02,
            "B_peak_log": random.normal(-1, 1, size),
            "B_eclipse_log": random.normal(-1, 1, size),
        }
        arrays = [pa.array(columns[c.name]).cast(c.type) for c in table.columns]
        yield pa.Table.from_arrays(arrays, schema=table.schema)


def _neighbours(rows: pa.Table, wanted: int, random: np.random.Generator) -> Iterator[pa.Table]:
    """Numbers of all light curves, if not more than a page reads."""
    for start in range(0, min(wanted, 60_000), len(rows)):
        few = rows.slice(0, min(len(rows), wanted - start))
        numbers = random.normal(0, 0.2, (len(NEIGHBOURS.columns) - 3, len(few)))
        keys = [few[name].combine_chunks() for name in ("region_num", "srcid", "detid")]
        columns = [*keys, *(pa.array(own.astype(np.float32)) for own in numbers)]
        yield pa.Table.from_arrays(columns, schema=NEIGHBOURS.schema)


def _coverage(random: np.random.Generator) -> Iterator[pa.Table]:
    size = 3 * WITH_CURVES
    columns = {
        "region_num": np.repeat(np.arange(WITH_CURVES), 3),
        "obsid": np.tile(["0700000001", "0700000101", "0700000201"], WITH_CURVES),
        "mjd": np.tile([52_000.0, 55_000.0, 58_000.0], WITH_CURVES),
        "detected": np.tile([True, False, False], WITH_CURVES),
        "t_bin": np.full(size, 50.0),
        "e_lo": np.full(size, 0.2),
        "e_hi": np.full(size, 12.0),
        "rate": random.lognormal(-3, 1, size),
        "n90": random.lognormal(-2, 1, size),
        **{name: random.lognormal(-30, 1, size) for name in ("flux", "flux_lo", "flux_hi")},
    }
    arrays = [pa.array(columns[c.name]).cast(c.type) for c in COVERAGE.columns]
    yield pa.Table.from_arrays(arrays, schema=COVERAGE.schema)
