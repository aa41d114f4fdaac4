"""Limits at any place and time, from the product depth of an archive."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from exod.archive.derived import POINTER, Derived, DerivedFile, read_derived
from exod.archive.parquet import open_stored, read_file
from exod.archive.products import not_made, require_columns
from exod.archive.questions.depthrows import Row, depth_of
from exod.archive.store import Store
from exod.config import Band
from exod.counts.grid import Box
from exod.errors import ConfigError
from exod.observation.times import mjd_of
from exod.schemas.arrays import Floats, Indices
from exod.schemas.depth import COVERED, DEPTH, LIMITS
from exod.sensitivity.depth.depthmaps import ExposureDepth
from exod.sensitivity.depth.placelimits import (
    RADIUS_ARCSEC,
    PlaceSums,
    combined,
    limit_columns,
    place_sums,
    reach_of,
)
from exod.sky.healpix import sky_pixels
from exod.sky.plane import TangentPlane
from exod.sky.sphere import is_position

if TYPE_CHECKING:
    import pandas as pd

    from exod.archive.products import ProductReader

PRODUCT: Final = "depth"

ORDER: Final = 10
"""Order of the HEALPix pixels of the table covered: 3.4 arcmin."""

LARGEST_RADIUS: Final = 300.0
"""Arcsec that a place may have at most."""

_OPEN_FILES: Final = 64
_ROWS_KEPT: Final = 32

_remembered: dict[Hashable, tuple[str, DepthIndex]] = {}
"""The index of the archive that was asked last, and the stamp of its pointer."""


@dataclass(frozen=True)
class _ObservationSums:
    """What an observation has of places, which `places` numbers."""

    obsid: str
    sums: PlaceSums


class DepthIndex:
    """The product depth of an archive: which observations covered a place, and what they have.

    Parameters
    ----------
    store : Store
        The archive.
    product : Derived
        The version that is current.
    """

    def __init__(self, store: Store, product: Derived) -> None:
        self._store, self._product = store, product
        self._files: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._rows: OrderedDict[tuple[int, int], Row] = OrderedDict()

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """Energies in keV that there are limits of."""
        found: Any = self._product.parameters["bands"]
        return tuple((float(low), float(high)) for low, high in found)

    @cached_property
    def depths(self) -> list[DerivedFile]:
        """The files of the table depth, in order of their parts."""
        return self._product.of(DEPTH.name)

    @cached_property
    def _covered(self) -> pa.Table:
        """Pixels of the observations, sorted, with the file that has the observation."""
        number = {file.part: i for i, file in enumerate(self.depths)}
        parts = []
        for file in self._product.of(COVERED.name):
            columns = ["obsid", "healpix", "first_row", "n_rows"]
            gone = [[("obsid", "not in", list(file.without))]] if file.without else None
            rows = read_file(self._store, file.stored, COVERED, columns, gone)
            where = pa.array(np.full(len(rows), number[file.part], np.int32))
            parts.append(rows.append_column("file", where))
        rows = pa.concat_tables(parts).combine_chunks()
        return rows.take(pa.array(np.argsort(rows["healpix"].to_numpy(), kind="stable")))

    @cached_property
    def _columns(self) -> dict[str, NDArray[Any]]:
        rows = self._covered
        names = rows["obsid"].dictionary_encode().combine_chunks()
        found = {name: rows[name].to_numpy() for name in ("healpix", "first_row", "n_rows", "file")}
        codes, texts = names.indices.to_numpy(), np.array(names.dictionary.to_pylist(), object)
        return found | {"obsid": codes, "texts": texts}

    def covering(self, ra_deg: Floats, dec_deg: Floats) -> tuple[Indices, Indices]:
        """Pairs of places and rows of the index, by observation: where they may be covered."""
        pixels, columns = sky_pixels(ra_deg, dec_deg, ORDER), self._columns
        first = np.searchsorted(columns["healpix"], pixels, "left")
        stop = np.searchsorted(columns["healpix"], pixels, "right")
        n = stop - first
        place = np.repeat(np.arange(len(pixels)), n)
        row = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first, n)
        order = np.argsort(columns["obsid"][row], kind="stable")
        return place[order], row[order]

    def obsid(self, row: int) -> str:
        """Observation of a row of the index."""
        return str(self._columns["texts"][self._columns["obsid"][row]])

    def exposures(
        self, row: int, ra_deg: Floats, dec_deg: Floats, radius_arcsec: float, *, photons: bool
    ) -> list[ExposureDepth]:
        """The exposures of an observation, in the cells around some places."""
        columns = self._columns
        file, first = int(columns["file"][row]), int(columns["first_row"][row])
        rows = [self._row(file, first + i) for i in range(int(columns["n_rows"][row]))]
        return [
            depth_of(own, _around(own, ra_deg, dec_deg, radius_arcsec), with_photons=photons)
            for own in rows
        ]

    def _row(self, file: int, number: int) -> Row:
        """A row of the table depth; those that were asked for last are kept."""
        key = (file, number)
        if key not in self._rows:
            content = self._opened(self.depths[file]).read_row_group(number)
            self._rows[key] = {
                field.name: _value(content.column(i)) for i, field in enumerate(content.schema)
            }
            if len(self._rows) > _ROWS_KEPT:
                self._rows.popitem(last=False)
        self._rows.move_to_end(key)
        return self._rows[key]

    def _opened(self, file: DerivedFile) -> pq.ParquetFile:
        if file.path not in self._files:
            if len(self._files) >= _OPEN_FILES:
                self._files.popitem(last=False)[1].close(force=True)
            source = open_stored(self._store, file.stored)
            self._files[file.path] = pq.ParquetFile(source)
        self._files.move_to_end(file.path)
        return self._files[file.path]


def _value(column: pa.ChunkedArray) -> Any:
    """The only value of a column; a list as an array."""
    if pa.types.is_list(column.type):
        return column.chunk(0).flatten().to_numpy(zero_copy_only=False)
    return column[0].as_py()


def _around(row: Row, ra_deg: Floats, dec_deg: Floats, radius_arcsec: float) -> Box | None:
    """Cells of the whole grid around places; None for all."""
    plane = TangentPlane(*(float(value) for value in row["plane"]))
    x, y = plane.to_pixel(ra_deg, dec_deg)
    n, extent = (int(value) for value in row["cells"][:2])
    width = extent / n
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return Box(0, 0, 0, 0)
    reach = reach_of(radius_arcsec, width * plane.pixel_arcsec)
    edges = [
        edge
        for value in (y[known], x[known])
        for edge in (
            int(np.floor(value.min() / width)) - reach,
            int(np.floor(value.max() / width)) + reach + 1,
        )
    ]
    return Box(*edges)


def depth_index(archive: ProductReader) -> DepthIndex:
    """The product depth of an archive, read again if it has changed.

    Raises
    ------
    ArchiveError
        If it was not made yet, or was made by an earlier version of exod.
    """
    store = archive.store
    stamp = store.stamp(f"{PRODUCT}/{POINTER}")
    known = _remembered.get(store.key)
    if known and stamp and known[0] == stamp:
        return known[1]
    product = read_derived(store, PRODUCT)
    if product is None:
        raise not_made(store, PRODUCT, "limits at places")
    require_columns(store, product)
    _remembered.clear()
    found = DepthIndex(store, product)
    _remembered[store.key] = stamp, found
    return found


def limits(
    archive: ProductReader,
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    *,
    start: ArrayLike | None = None,
    stop: ArrayLike | None = None,
    band: Band | None = None,
    level: float = 0.9,
    radius_arcsec: float = RADIUS_ARCSEC,
    obsids: Sequence[str] = (),
) -> pd.DataFrame:
    """As `exod.archive.Archive.limits`."""
    import pandas as pd

    ra, dec = (np.atleast_1d(np.asarray(value, float)) for value in (ra_deg, dec_deg))
    _check(ra, dec, start, stop, level, radius_arcsec)
    index = depth_index(archive)
    number = _band_number(index, band)
    low = np.broadcast_to(np.asarray(-np.inf if start is None else start, float), ra.shape)
    high = np.broadcast_to(np.asarray(np.inf if stop is None else stop, float), ra.shape)
    place, row = index.covering(ra, dec)
    answers = []
    for own in _groups(index, row):
        obsid = index.obsid(row[own[0]])
        if obsids and obsid not in obsids:
            continue
        which = place[own]
        photons = start is not None or stop is not None
        exposures = index.exposures(
            row[own[0]], ra[which], dec[which], radius_arcsec, photons=photons
        )
        parts = [
            place_sums(depth, number, ra[which], dec[which], low[which], high[which], radius_arcsec)
            for depth in exposures
        ]
        sums = combined([part for part in parts if len(part.place)])
        if len(sums.place):
            answers.append(_ObservationSums(obsid, sums.renumbered(which)))
    return pd.DataFrame(_columns_of(answers, ra, dec, index.bands[number], level))


def _groups(index: DepthIndex, row: Indices) -> list[Indices]:
    """Pairs of the same observation."""
    if not len(row):
        return []
    codes = index._columns["obsid"][row]
    return np.split(np.arange(len(row)), np.flatnonzero(np.diff(codes)) + 1)


def _columns_of(
    answers: Sequence[_ObservationSums], ra: Floats, dec: Floats, band: Band, level: float
) -> dict[str, Any]:
    """Columns of the table limits."""
    if not answers:
        return dict(LIMITS.frame())
    sums = PlaceSums.concatenate([answer.sums for answer in answers])
    obsids = np.concatenate([[answer.obsid] * len(answer.sums.place) for answer in answers])
    order = np.lexsort((obsids, sums.place))
    sums, obsids = sums.take(order), obsids[order]
    columns = {
        "place": sums.place.astype(np.int64),
        "ra_deg": ra[sums.place],
        "dec_deg": dec[sums.place],
        "obsid": obsids,
        "e_lo": np.full(len(obsids), band[0]),
        "e_hi": np.full(len(obsids), band[1]),
        "cameras": sums.cameras.astype(np.int64),
        "t_start": sums.start,
        "t_stop": sums.stop,
        "t_start_mjd": mjd_of(sums.start),
        "t_stop_mjd": mjd_of(sums.stop),
        "seconds": sums.longest,
        **{name: getattr(sums, name) for name in ("live", "n", "mu", "constant")},
        **limit_columns(sums, level),
    }
    return {column.name: columns[column.name] for column in LIMITS.columns}


def _band_number(index: DepthIndex, band: Band | None) -> int:
    """Number of a band; without one, of the widest."""
    if band is None:
        widths = [high - low for low, high in index.bands]
        return int(np.argmax(widths))
    if tuple(band) in index.bands:
        return index.bands.index(tuple(band))
    known = ", ".join(f"{low:g}-{high:g}" for low, high in index.bands)
    raise ConfigError(
        f"There are no limits of {band[0]:g}-{band[1]:g} keV; the archive has {known} keV."
    )


def _check(
    ra: Floats,
    dec: Floats,
    start: ArrayLike | None,
    stop: ArrayLike | None,
    level: float,
    radius_arcsec: float,
) -> None:
    """Refuse questions that have no answer.

    Raises
    ------
    ConfigError
        With what is wrong.
    """
    if ra.shape != dec.shape or ra.ndim != 1:
        raise ConfigError(
            f"Places have as many right ascensions as declinations, not {ra.size} and {dec.size}."
        )
    bad = ~is_position(ra, dec)
    if bad.any():
        raise ConfigError(
            f"A right ascension is a number and a declination -90 to 90 deg, which the position "
            f"{ra[bad][0]:g},{dec[bad][0]:g} has not."
        )
    for what, value in (("start", start), ("stop", stop)):
        given = np.asarray(0.0 if value is None else value, float)
        if given.ndim and given.shape != ra.shape:
            raise ConfigError(f"There are {ra.size} places and {given.size} times ({what}).")
        if np.isnan(given).any():
            raise ConfigError(f"A {what} is a number of seconds, not NaN.")
    if start is not None and stop is not None and (np.asarray(start) >= np.asarray(stop)).any():
        raise ConfigError("A time range must start before it stops.")
    if not 0 < level < 1:
        raise ConfigError(f"The level is a probability between 0 and 1, not {level:g}.")
    if not 0 <= radius_arcsec <= LARGEST_RADIUS:
        raise ConfigError(
            f"The radius of a place is 0 to {LARGEST_RADIUS:g} arcsec, not {radius_arcsec:g}."
        )
