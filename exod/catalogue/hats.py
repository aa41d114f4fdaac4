"""HATS catalogues of sources and of detections, with tables nested in their rows.

The partitions are written one by one, so that no more than a piece of one is in memory; what
surrounds them (properties, metadata, margins, the map of the sky) hats itself writes.

References
----------
The HATS scheme, IVOA Note: https://www.ivoa.net/documents/Notes/HATS/
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.catalogue.columns import CatalogueTable
from exod.catalogue.division import SkyPart, batches, margins, partitions
from exod.catalogue.nesting import nest, nested_type
from exod.errors import ConfigError
from exod.schemas.columns import Column

INDEX = "_healpix_29"
"""Column of the pixel by which rows are sorted, as hats calls it."""

POSITION = ("ra_deg", "dec_deg")
"""The columns that pixel is of."""

MARGIN_ARCSEC = 60.0
"""Width of the margins: a cross-match within this is right at the borders of the partitions."""

HIGHEST_ORDER = 9
"""Smallest partitions, 7 arcmin; the margins need two orders more."""

PARTITION_FRAMES = 4_000_000
"""Frames of light curves in a partition: some 160 MB when they are read."""

BATCH_FRAMES = 1_000_000
"""Frames in memory at a time, and in a row group."""

COMPRESSION: Mapping[str, Any] = {"compression": "zstd", "compression_level": 3}
"""Light curves take 17 % more room than with the level 15 of hats, in a fifteenth of the time."""

Reader = Callable[[list[str]], pa.Table]
"""Reads the light curves of detections: a row a frame, with the column detid."""

Taker = Callable[[np.ndarray], pa.Table]
"""Reads rows in order of the sky by their numbers."""


Written = tuple[str, int, int, int]
"""Of a partition: name of its catalogue, order, pixel and number of rows."""


@dataclass(frozen=True)
class Nested:
    """A column with a table in each row.

    Attributes
    ----------
    name : str
        Its name.
    columns : tuple of Column
        The columns of its tables.
    """

    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Collection:
    """A catalogue with its margin.

    Attributes
    ----------
    folder : Path
        The folder of the collection.
    table : CatalogueTable
        The columns of its rows.
    nested : tuple of Nested
        What is nested in them; the last is the light curve.
    """

    folder: Path
    table: CatalogueTable
    nested: tuple[Nested, ...]

    @property
    def name(self) -> str:
        """Its name and that of the folder of the catalogue itself."""
        return self.table.name

    @property
    def margin(self) -> str:
        """The name of its margin and of the folder of that."""
        return f"{self.name}_{MARGIN_ARCSEC:.0f}arcs"

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of its partitions."""
        nested = [pa.field(item.name, nested_type(item.columns)) for item in self.nested]
        return pa.schema([pa.field(INDEX, pa.int64()), *self.table.schema, *nested])


@dataclass(frozen=True)
class HatsPartition:
    """A partition to write.

    Attributes
    ----------
    catalogue : Path
        Folder of the catalogue or of the margin that it is part of.
    order, pixel : int
        Its pixel.
    rows : pyarrow.Table
        All columns but the light curve.
    key : str
        The column with the detid of the light curve.
    frames : int64 array
        About how long each light curve is.
    """

    catalogue: Path
    order: int
    pixel: int
    rows: pa.Table
    key: str
    frames: np.ndarray


@contextmanager
def using_lsdb() -> Iterator[Any]:
    """LSDB, which comes with hats; it uses things of pandas that will change, and says so.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            lsdb = importlib.import_module("lsdb")
        except ImportError as error:
            raise ConfigError(
                f"A HATS catalogue needs {error.name}, which is not installed; run "
                f"`pip install exod[catalogue]`, or leave HATS out with --no-hats."
            ) from error
        yield lsdb


def spatial_index(batch: pa.RecordBatch) -> np.ndarray:
    """The pixel of order 29 of each row, int64."""
    from hats.pixel_math.spatial_index import compute_spatial_index

    found = compute_spatial_index(*(batch[name].to_numpy() for name in POSITION))
    return np.asarray(found, np.int64)


def plan_partitions(
    collection: Collection, index: np.ndarray, frames: np.ndarray
) -> list[tuple[str, SkyPart]]:
    """Divide a table into the partitions of its catalogue, then those of its margin.

    Parameters
    ----------
    collection : Collection
        Where they go.
    index : int64 array, shape (n,)
        The pixels of order 29 of the rows, ascending.
    frames : int64 array, shape (n,)
        About how long the light curve of each row is.

    Returns
    -------
    list of (str, SkyPart)
        Name of the catalogue or of its margin, and the pixel with its rows.
    """
    from hats.pixel_math import healpix_shim

    cover = list(partitions(index, np.maximum(frames, 1), PARTITION_FRAMES, HIGHEST_ORDER))
    order = int(healpix_shim.margin2order(MARGIN_ARCSEC / 60))
    around = margins(index, [part.pixel for part in cover], order)
    return [(collection.name, part) for part in cover if len(part.rows)] + [
        (collection.margin, part) for part in around
    ]


def cut(
    folder: Path, part: tuple[str, SkyPart], rows: Taker, key: str, frames: np.ndarray
) -> HatsPartition:
    """Take the rows of one of the planned partitions."""
    name, (pixel, which) = part
    return HatsPartition(folder / name, pixel.order, pixel.pixel, rows(which), key, frames[which])


def write_partition(
    partition: HatsPartition, nested: Nested, schema: pa.Schema, read: Reader
) -> Written:
    """Write a partition, row group by row group, with the light curves of its rows.

    Returns
    -------
    Written
        What was written.
    """
    from hats.io.file_io import get_parquet_write_table_kwargs
    from hats.io.paths import new_pixel_catalog_file
    from hats.pixel_math import HealpixPixel

    pixel = HealpixPixel(partition.order, partition.pixel)
    path = new_pixel_catalog_file(partition.catalogue, pixel, create_dirs=True)
    options = get_parquet_write_table_kwargs(schema, write_table_kwargs=dict(COMPRESSION))
    options.pop("row_group_size", None)
    with pq.ParquetWriter(path.path, schema, **options) as file:
        for part in batches(partition.frames, BATCH_FRAMES):
            rows = partition.rows.slice(part.start, part.stop - part.start)
            keys = rows[partition.key].combine_chunks()
            curves = nest(read(keys.to_pylist()), "detid", keys, nested.columns, "time")
            whole = rows.append_column(nested.name, curves).select(schema.names)
            file.write_table(whole.cast(schema))
    return partition.catalogue.name, partition.order, partition.pixel, len(partition.rows)
