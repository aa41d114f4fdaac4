"""The product depth of an archive: which observations covered places, and what is kept of them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from exod.archive.derived import POINTER, Derived, DerivedFile, read_derived
from exod.archive.parquet import open_stored, read_file
from exod.archive.products import not_made, require_columns
from exod.archive.questions.depthrows import (
    COLUMNS_OF_OLD,
    Row,
    depth_of,
    head_of,
    identity_of,
    projection,
)
from exod.archive.store import Store
from exod.config import Band, Config
from exod.counts.grid import Box
from exod.instruments import INSTRUMENTS
from exod.schemas.arrays import Floats, Indices
from exod.schemas.depth import COVERED, DEPTH
from exod.sensitivity.depth.burstneeds import RUN_NUMBERS, SearchedRuns
from exod.sensitivity.depth.depthmaps import ExposureDepth
from exod.sensitivity.depth.placecells import reach_of
from exod.sensitivity.depth.placerows import ProjectedPlaces
from exod.sensitivity.depth.surveydepth import CoveredPixels
from exod.sensitivity.profiles import Profile, typical_profile
from exod.sky.healpix import sky_pixels
from exod.sky.plane import TangentPlane

if TYPE_CHECKING:
    from exod.archive.products import ProductReader

PRODUCT: Final = "depth"

ORDER: Final = 10
"""Order of the HEALPix pixels of the table covered: 3.4 arcmin."""

_OPEN_FILES: Final = 512
"""Files of 100 observations each; of an open one its directory is in memory, half a megabyte."""
_KEPT_BYTES: Final = 1 << 20
"""Of an open file: an observation, not all that were asked for."""
_OBSERVATIONS_KEPT: Final = 32
_remembered: dict[Hashable, tuple[str, DepthIndex]] = {}
"""The index of the archive that was asked last, and the stamp of its pointer."""


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
        self._rows: OrderedDict[tuple[int, int], list[Row]] = OrderedDict()

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
            columns = ["obsid", "healpix", "row_group"]
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
        found = {name: rows[name].to_numpy() for name in ("healpix", "row_group", "file")}
        codes, texts = names.indices.to_numpy(), np.array(names.dictionary.to_pylist(), object)
        return found | {"obsid": codes, "texts": texts}

    def covered_pixels(self, band: int) -> CoveredPixels:
        """The pixels of all observations, with their depth in a band."""
        parts = []
        for file in self._product.of(COVERED.name):
            gone = [[("obsid", "not in", list(file.without))]] if file.without else None
            columns = ["healpix", "children", "seconds", "response", "background"]
            rows = read_file(self._store, file.stored, COVERED, columns, gone)
            response, background = (
                rows[name].combine_chunks().flatten().to_numpy().reshape(-1, len(self.bands))
                for name in ("response", "background")
            )
            parts.append(
                CoveredPixels(
                    rows["healpix"].to_numpy(),
                    rows["children"].to_numpy().astype(np.int64),
                    rows["seconds"].to_numpy(),
                    response[:, band].astype(float),
                    background[:, band].astype(float),
                )
            )
        return CoveredPixels.concatenate(parts)

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

    def groups(self, row: Indices) -> list[Indices]:
        """Pairs, as `covering` gives them, of the same observation."""
        if not len(row):
            return []
        return np.split(
            np.arange(len(row)), np.flatnonzero(np.diff(self._columns["obsid"][row])) + 1
        )

    def runs(self, row: int, config: Config) -> SearchedRuns:
        """The runs of an observation, as an archive with these settings searched it."""
        columns = self._columns
        own = self._observation(int(columns["file"][row]), int(columns["row_group"][row]))[0]
        n, extent = own["head"]["cells"][:2].tolist()
        return SearchedRuns(
            own["head"]["runs"].reshape(-1, len(RUN_NUMBERS)),
            config.detect.rule,
            config.cube.psf_weights,
            extent / n * projection(own["head"]).pixel_arcsec,
            _profile(own["instrument"]),
        )

    def exposures(
        self,
        row: int,
        places: ProjectedPlaces,
        own: Indices,
        radius_arcsec: float,
        *,
        band: int,
        photons: bool,
    ) -> list[ExposureDepth]:
        """The exposures of an observation, in the cells around some of the places, of one band."""
        columns = self._columns
        where = int(columns["file"][row]), int(columns["row_group"][row])
        found: list[ExposureDepth] = []
        boxes: dict[tuple[TangentPlane, int, int], Box] = {}
        for row_of in self._observation(*where, photons=photons):
            head = row_of["head"]
            plane, (n, extent) = projection(head), head["cells"][:2].tolist()
            if (plane, n, extent) not in boxes:
                width = extent / n
                reach = reach_of(radius_arcsec, width * plane.pixel_arcsec)
                boxes[plane, n, extent] = _around(*places.on(plane, own), width, reach)
            around = boxes[plane, n, extent]
            found.append(depth_of(row_of, around, band=band, with_photons=photons))
        return found

    def _observation(self, file: int, group: int, *, photons: bool = False) -> list[Row]:
        """The rows of an observation; those that were asked for last are kept."""
        key = (file, group)
        rows = self._rows.get(key)
        if rows is None or (photons and "photons" not in rows[0]):
            columns = ["head", "images", "photons"] if photons else ["head", "images"]
            rows = self._row_group(file, group, columns)
            heads = [head_of(row["head"]) for row in rows]
            others: Iterable[Row] = map(identity_of, heads)
            if "names" not in heads[0]:
                others = self._row_group(file, group, COLUMNS_OF_OLD)
            self._rows[key] = rows = [
                row | other | {"head": head}
                for row, other, head in zip(rows, others, heads, strict=True)
            ]
            if len(self._rows) > _OBSERVATIONS_KEPT:
                self._rows.popitem(last=False)
        self._rows.move_to_end(key)
        return rows

    def _row_group(self, file: int, group: int, columns: Sequence[str]) -> list[Row]:
        """Some columns of the rows of an observation."""
        # Threads take longer to start than the few values to decode.
        found = self._opened(self.depths[file]).read_row_group(
            group, columns=list(columns), use_threads=False
        )
        values = [found[name].to_pylist() for name in columns]
        return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]

    def _opened(self, file: DerivedFile) -> pq.ParquetFile:
        if file.path not in self._files:
            if len(self._files) >= _OPEN_FILES:
                self._files.popitem(last=False)[1].close(force=True)
            source = open_stored(self._store, file.stored, _KEPT_BYTES)
            # Its threads would take longer to wake than the few values to read.
            self._files[file.path] = pq.ParquetFile(source, pre_buffer=False)
        self._files.move_to_end(file.path)
        return self._files[file.path]


@lru_cache(maxsize=8)
def _profile(instrument: str) -> Profile:
    return typical_profile(INSTRUMENTS[instrument].observatory)


def _around(x: Floats, y: Floats, width: float, reach: int) -> Box:
    """Cells of the whole grid, so many sky pixels wide, that far around places."""
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return Box(0, 0, 0, 0)
    edges = [
        edge
        for value in (y[known] / width, x[known] / width)
        for edge in (
            math.floor(value.min()) - reach,
            math.floor(value.max()) + reach + 1,
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
