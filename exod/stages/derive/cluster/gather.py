"""Gather: regions and images of observations -> rows in order of the sky, what was covered, where.

The first run over an archive sorts it by sky without having it in memory: a batch of observations
becomes one file in the order of the sky, of which a partition reads the few row groups it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.time import Time

from exod.archive import increments
from exod.archive.derived import DerivedFile
from exod.archive.ledger.entry import LedgerEntry, StoredFile
from exod.archive.parquet import read_file, writer
from exod.archive.parts import Part, derived_pieces, read_part
from exod.archive.store import Store, reported
from exod.counts.grid import Box
from exod.errors import ArchiveError
from exod.observation.times import mjd_of
from exod.schemas.columns import Column, Table
from exod.schemas.derived import FOOTPRINTS, MEMBERS, PLACES
from exod.schemas.frames import POSITIONS
from exod.schemas.search import IMAGES, OBSERVATIONS, REGIONS, RUNS
from exod.sky.healpix import Pixels, is_among, sky_pixels
from exod.sky.plane import TangentPlane
from exod.sky.sphere import is_position
from exod.sources.footprints import Footprint, packed, union

BATCH_REGIONS: Final = 200_000
BATCH_OBSERVATIONS: Final = 500
"""Size of a batch: some 0.2 GB in memory."""

ROW_GROUP: Final = 2_000
"""Rows of a row group of gathered files: a partition reads few that it does not need."""

_OF_SOURCE = ("region_num", "srcid", "separation_arcsec")
CARRIED: Final = tuple(c.name for c in MEMBERS.columns if c.name not in _OF_SOURCE)
"""Columns of the table members that say something about the region alone."""

GATHERED = Table(
    "gathered",
    "Regions in order of the sky, on their way to the partitions",
    (
        *(column for column in MEMBERS.columns if column.name in CARRIED),
        Column("healpix", pa.int64(), "", "HEALPix pixel, nested"),
    ),
    ("healpix", "detid"),
)
COVERED = Table(
    "covered", "Footprints on their way to the partitions", FOOTPRINTS.columns, FOOTPRINTS.sort_by
)

_PLANE = ("x_ref", "y_ref", "ra_ref", "dec_ref", "x_delta", "y_delta")
_BOX = ("y_lo", "y_hi", "x_lo", "x_hi")


@dataclass(frozen=True)
class GatherBatch:
    """Observations to gather together; `name` is part of the names of the files."""

    name: str
    entries: tuple[LedgerEntry, ...]


@dataclass(frozen=True)
class Gathered:
    """What a batch became: files, none without rows, and rows of the table places."""

    name: str
    regions: StoredFile | None
    footprints: StoredFile | None
    places: pd.DataFrame


def batches(entries: Iterable[LedgerEntry]) -> Iterator[GatherBatch]:
    """Group observations that have regions or images."""
    some = (e for e in entries if e.rows(REGIONS.name) or e.rows(IMAGES.name))
    groups = increments.batches(some, REGIONS.name, BATCH_REGIONS, BATCH_OBSERVATIONS)
    for number, group in enumerate(groups):
        yield GatherBatch(f"{number:05d}", group)


def gather(
    batch: GatherBatch,
    store: Store,
    folder: str,
    order: int,
    positions: Sequence[DerivedFile] | None = None,
) -> Gathered:
    """Read the observations of a batch and write their regions and footprints into two files.

    Regions are where the table positions says, of which `positions` are the files, or where they
    were measured.
    """
    corrected = None if positions is None else _corrected(batch, store, positions)
    regions, footprints, places = [], [], []
    for entry in batch.entries:
        file = entry.file(OBSERVATIONS.name)
        about = read_file(store, file, OBSERVATIONS, ("date_obs", *_PLANE)).to_pylist()
        date = mjd(about[0]["date_obs"]) if about else np.nan
        found = _regions(store, entry, order, date, corrected)
        seen = list(_footprints(store, entry, about[0])) if about else []
        regions.append(found)
        footprints += [_footprint_row(entry.obsid, subset, item) for subset, item in seen]
        places.append(_places(entry.obsid, order, found, [item for _, item in seen]))
    covered = pa.Table.from_pylist(footprints, COVERED.schema)
    return Gathered(
        batch.name,
        _write(store, f"{folder}/gathered-{batch.name}.parquet", GATHERED, regions),
        _write(store, f"{folder}/covered-{batch.name}.parquet", COVERED, [covered]),
        pd.concat(places, ignore_index=True),
    )


def mjd(date: str) -> float:
    """Modified Julian date (TT) of a date in UTC; NaN if it is none.

    Examples
    --------
    >>> round((mjd("2000-01-01T12:00:00") - 51544.5) * 86400, 3), mjd("")
    (64.184, nan)
    """
    try:
        return float(Time(date, scale="utc").tt.mjd)
    except ValueError:
        return float("nan")


_CORRECTED: Final = {
    "ra_deg": "ra_corr_deg",
    "dec_deg": "dec_corr_deg",
    "pos_err_arcsec": "pos_err_corr_arcsec",
}


def _corrected(batch: GatherBatch, store: Store, files: Sequence[DerivedFile]) -> pd.DataFrame:
    """Corrected positions of the regions of a batch, by detid, under the names of measured ones."""
    conditions = [[("obsid", "in", [entry.obsid for entry in batch.entries])]]
    columns = ["detid", *_CORRECTED.values()]
    part = Part(tuple(derived_pieces(files)))
    rows = read_part(part, store=store, table=POSITIONS, rows=conditions, columns=columns)
    return rows.set_axis(["detid", *_CORRECTED], axis=1).set_index("detid")


def _regions(
    store: Store, entry: LedgerEntry, order: int, date: float, corrected: pd.DataFrame | None
) -> pa.Table:
    """The regions that have a position, with the date of their event and their pixel."""
    columns = [name for name in CARRIED if name != "mjd"]
    rows = read_file(store, entry.file(REGIONS.name), REGIONS, [*columns, "t_start"])
    if corrected is not None:
        own = corrected.reindex(rows["detid"].to_pylist())
        for name in _CORRECTED:
            values = pa.array(own[name].to_numpy(float))
            rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    rows = rows.filter(pa.array(is_position(rows["ra_deg"], rows["dec_deg"])))
    ra, dec = rows["ra_deg"].to_numpy() % 360.0, rows["dec_deg"].to_numpy()
    events = mjd_of(rows["t_start"].to_numpy())
    pixel = sky_pixels(ra, dec, order) if len(rows) else np.empty(0, np.int64)
    values = {name: rows[name] for name in columns} | {
        "ra_deg": pa.array(ra),
        "mjd": pa.array(np.where(np.isfinite(events), events, date)),
        "healpix": pa.array(pixel),
    }
    return pa.table([values[name] for name in GATHERED.schema.names], GATHERED.schema)


def _footprints(
    store: Store, entry: LedgerEntry, about: dict[str, Any]
) -> Iterator[tuple[int, Footprint]]:
    """The footprint of each subset: cells where any of its runs expected something."""
    images = read_file(store, entry.file(IMAGES.name), IMAGES, ("runid", "mu"))
    columns = ("runid", "subset", "size_arcsec", *_BOX)
    runs = read_file(store, entry.file(RUNS.name), RUNS, columns).to_pylist()
    plane = TangentPlane(**{name: about[name] for name in _PLANE})
    if not len(images) or not np.isfinite([about[name] for name in _PLANE]).all():
        return
    number = {runid: i for i, runid in enumerate(images["runid"].to_pylist())}
    flat = images["mu"].combine_chunks()
    start, seen = flat.offsets.to_numpy(), flat.values.to_numpy() > 0
    masks: dict[tuple[int, float], list[Any]] = {}
    for run in runs:
        box = Box(*(run[name] for name in _BOX))
        i = number.get(run["runid"])
        if i is None or start[i + 1] - start[i] != box.size:
            continue
        mask = seen[start[i] : start[i + 1]].reshape(box.shape)
        masks.setdefault((run["subset"], run["size_arcsec"]), []).append((box, mask))
    for (subset, size_arcsec), images_ in sorted(masks.items()):
        found = union(images_, size_arcsec, plane)
        if found is not None:
            yield subset, found


def _footprint_row(obsid: str, subset: int, item: Footprint) -> dict[str, Any]:
    """A row of the table footprints."""
    about = {name: getattr(item.plane, name) for name in _PLANE}
    about |= {name: getattr(item.box, name) for name in _BOX}
    key = {"obsid": obsid, "subset": subset, "size_arcsec": item.size_arcsec}
    return {**key, **about, "mask": packed(item.mask)}


def footprint_of(row: dict[str, Any], mask: np.ndarray) -> Footprint:
    """The footprint of a row of the table footprints and its unpacked mask."""
    plane = TangentPlane(**{name: row[name] for name in _PLANE})
    return Footprint(Box(*(row[name] for name in _BOX)), mask, row["size_arcsec"], plane)


def _places(
    obsid: str, order: int, regions: pa.Table, footprints: Sequence[Footprint]
) -> pd.DataFrame:
    """Rows of the table places of one observation."""
    pixels, number = np.unique(regions["healpix"].to_numpy(), return_counts=True)
    none = np.empty(0, np.int64)
    covered = np.unique(np.concatenate([none, *(item.pixels(order) for item in footprints)]))
    every = np.union1d(pixels, covered)
    n_regions = np.zeros(len(every), np.int32)
    n_regions[np.searchsorted(every, pixels)] = number
    return PLACES.frame(
        pd.DataFrame(
            {
                "obsid": obsid,
                "healpix_order": np.int16(order),
                "healpix": every,
                "n_regions": n_regions,
                "covered": is_among(every, covered),
            }
        )
    )


def _write(store: Store, path: str, table: Table, parts: list[pa.Table]) -> StoredFile | None:
    """Write a file that only this run of the stage reads; no file without rows."""
    rows = pa.concat_tables([table.schema.empty_table(), *parts])
    if not len(rows):
        return None
    rows = rows.sort_by([(name, "ascending") for name in table.sort_by])
    with (
        reported(f"{store.path(path)} cannot be written"),
        store.writing(path) as sink,
        writer(sink, table.schema) as file,
    ):
        file.write_table(rows, row_group_size=ROW_GROUP)
    return StoredFile(path, len(rows), sink.seal())


def read_gathered(store: Store, file: StoredFile, pixels: Pixels) -> pa.Table:
    """The rows of a gathered file in some pixels, which are sorted, each once."""
    path = file.path
    try:
        with store.open(path, file.seal) as source:
            parquet = pq.ParquetFile(source)
            rows = parquet.read_row_groups(list(_row_groups(parquet.metadata, pixels)))
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(f"{store.path(path)} cannot be read ({error}); try again.") from error
    return rows.filter(pa.array(is_among(rows["healpix"].to_numpy(), pixels)))


def _row_groups(metadata: pq.FileMetaData, pixels: Pixels) -> Iterator[int]:
    """Row groups in which there may be rows of the pixels."""
    column = GATHERED.schema.get_field_index("healpix")
    for number in range(metadata.num_row_groups):
        statistics = metadata.row_group(number).column(column).statistics
        first = np.searchsorted(pixels, statistics.min)
        if first < len(pixels) and pixels[first] <= statistics.max:
            yield number
