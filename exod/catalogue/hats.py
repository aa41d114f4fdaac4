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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.catalogue.columns import CatalogueTable
from exod.catalogue.healpix import INDEX_ORDER, Part, batches, margins, partitions
from exod.catalogue.nesting import nest, nested_type
from exod.columns import Column
from exod.errors import ConfigError

INDEX = "_healpix_29"
"""Column of the pixel by which rows are sorted, as hats calls it."""

MARGIN_ARCSEC = 60.0
"""Width of the margins: a cross-match within this is right at the borders of the partitions."""

HIGHEST_ORDER = 9
"""Smallest partitions, 7 arcmin; the margins need two orders more."""

PARTITION_FRAMES = 4_000_000
"""Frames of light curves in a partition: some 160 MB when they are read."""

BATCH_FRAMES = 1_000_000
"""Frames in memory at a time, and in a row group."""

SKYMAP_ORDER = 6
"""Order of the map of the sky, 55 arcmin."""

COMPRESSION: Mapping[str, Any] = {"compression": "zstd", "compression_level": 3}
"""Light curves take 17 % more room than with the level 15 of hats, in a fifteenth of the time."""

Reader = Callable[[list[str]], pa.Table]
"""Reads the light curves of detections: a row a frame, with the column detid."""


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
class Partition:
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


def sorted_on_the_sky(rows: pa.Table) -> pa.Table:
    """Rows sorted by their pixel of order 29, which becomes the first column."""
    from hats.pixel_math.spatial_index import compute_spatial_index

    index = compute_spatial_index(rows["ra_deg"].to_numpy(), rows["dec_deg"].to_numpy())
    found = rows.add_column(0, INDEX, pa.array(np.asarray(index, np.int64)))
    return found.sort_by([(INDEX, "ascending")])


def plan_partitions(
    collection: Collection, index: np.ndarray, frames: np.ndarray
) -> list[tuple[str, Part]]:
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
    list of (str, Part)
        Name of the catalogue or of its margin, and the pixel with its rows.
    """
    from hats.pixel_math import get_margin, healpix_shim

    cover = list(partitions(index, np.maximum(frames, 1), PARTITION_FRAMES, HIGHEST_ORDER))
    pixels = [(part.order, part.pixel) for part in cover]
    order = int(healpix_shim.margin2order(MARGIN_ARCSEC / 60))
    around = margins(index, pixels, order, get_margin)
    return [(collection.name, part) for part in cover if len(part.rows)] + [
        (collection.margin, part) for part in around
    ]


def cut(
    folder: Path, part: tuple[str, Part], rows: pa.Table, key: str, frames: np.ndarray
) -> Partition:
    """Take the rows of one of the planned partitions."""
    name, pixel = part
    taken = rows.take(pa.array(pixel.rows))
    return Partition(folder / name, pixel.order, pixel.pixel, taken, key, frames[pixel.rows])


def write_partition(
    partition: Partition, nested: Nested, schema: pa.Schema, read: Reader
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


def finish(collection: Collection, written: Sequence[Written], index: np.ndarray) -> None:
    """Write what surrounds the partitions of a catalogue and its margin.

    Parameters
    ----------
    collection : Collection
        The collection.
    written : sequence
        What `write_partition` returned of each of its partitions.
    index : int64 array
        The pixels of order 29 of its rows.
    """
    from hats.catalog.catalog_collection import CollectionProperties
    from hats.io.skymap import write_skymap

    for name in (collection.name, collection.margin):
        _surround(collection, name, [part for part in written if part[0] == name])
    histogram = np.bincount(
        index >> 2 * (INDEX_ORDER - SKYMAP_ORDER), minlength=12 * 4**SKYMAP_ORDER
    )
    write_skymap(histogram, collection.folder / collection.name)
    about = {
        "obs_collection": f"exod_{collection.name}",
        "hats_primary_table_url": collection.name,
        "all_margins": collection.margin,
        "default_margin": collection.margin,
    }
    properties = CollectionProperties(**about, **_provenance(collection.folder))
    properties.to_properties_file(collection.folder)


def _surround(collection: Collection, name: str, written: Sequence[Written]) -> None:
    from hats.catalog import PartitionInfo, TableProperties
    from hats.io import paths, write_parquet_metadata
    from hats.io.parquet_metadata import write_voparquet_in_common_metadata
    from hats.pixel_math import HealpixPixel

    folder = collection.folder / name
    is_margin = name == collection.margin
    most = max((rows for *_, rows in written), default=0)
    if written:
        write_parquet_metadata(
            folder,
            create_thumbnail=not is_margin,
            thumbnail_threshold=most,
            create_per_partition_stats=True,
        )
    else:
        for file in (paths.get_parquet_metadata_pointer, paths.get_common_metadata_pointer):
            path = file(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_metadata(collection.schema, path.path)
    units, ucds, meanings = _described(collection)
    write_voparquet_in_common_metadata(
        folder, field_units=units, field_ucds=ucds, field_descriptions=meanings
    )
    info = PartitionInfo([HealpixPixel(order, pixel) for _, order, pixel, _ in written])
    info.write_to_file(folder / "partition_info.csv")
    kind: dict[str, Any] = {"catalog_type": "object", "skymap_order": SKYMAP_ORDER}
    if is_margin:
        kind = {
            "catalog_type": "margin",
            "primary_catalog": collection.name,
            "margin_threshold": MARGIN_ARCSEC,
        }
    TableProperties(
        **kind,
        **_provenance(folder),
        catalog_name=name,
        total_rows=sum(rows for *_, rows in written),
        ra_column="ra_deg",
        dec_column="dec_deg",
        healpix_column=INDEX,
        healpix_order=INDEX_ORDER,
        hats_max_rows=most,
        hats_order=info.get_highest_order() if written else None,
        moc_sky_fraction=float(info.calculate_fractional_coverage()),
        obs_title=collection.table.description,
    ).to_properties_file(folder)


def _described(collection: Collection) -> tuple[Mapping[str, str], ...]:
    """Units, UCDs and meanings by column, those of nested columns with a dot."""
    from exod.catalogue.fits import fits_unit
    from exod.catalogue.ucds import ucd

    columns = [(entry.name, entry.column, entry.ucd) for entry in collection.table.entries]
    for nested in collection.nested:
        columns += [(f"{nested.name}.{c.name}", c, ucd(c)) for c in nested.columns]
    units = {name: unit for name, column, _ in columns if (unit := fits_unit(column.unit))}
    ucds = {name: word for name, _, word in columns}
    return units, ucds, {name: column.description for name, column, _ in columns}


def _provenance(folder: Path) -> dict[str, Any]:
    from hats.catalog import HatsProperties

    found: dict[str, Any] = HatsProperties.new_provenance_dict(
        folder, builder=f"exod v{metadata.version('exod')}", hats_creator="exod"
    )
    return found
