"""What surrounds the partitions of a HATS catalogue: properties, metadata, a map of the sky."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from astropy.units import UnitsWarning

from exod.catalogue.hats import INDEX, MARGIN_ARCSEC, Collection, Written
from exod.sky.healpix import DEEPEST
from exod.tablefiles.fitsheads import fits_unit

SKYMAP_ORDER = 6
"""Order of the map of the sky, 55 arcmin."""


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
    histogram = np.bincount(index >> 2 * (DEEPEST - SKYMAP_ORDER), minlength=12 * 4**SKYMAP_ORDER)
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
    with warnings.catch_warnings():
        # VOUnit would rather have no erg, in which all X-ray catalogues have their fluxes.
        warnings.simplefilter("ignore", UnitsWarning)
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
        healpix_order=DEEPEST,
        hats_max_rows=most,
        hats_order=info.get_highest_order() if written else None,
        moc_sky_fraction=float(info.calculate_fractional_coverage()),
        obs_title=collection.table.description,
    ).to_properties_file(folder)


def _described(collection: Collection) -> tuple[Mapping[str, str], ...]:
    """Units, UCDs and meanings by column, those of nested columns with a dot."""
    columns = [(column.name, column) for column in collection.table.columns]
    for nested in collection.nested:
        columns += [(f"{nested.name}.{c.name}", c) for c in nested.columns]
    units = {name: unit for name, column in columns if (unit := fits_unit(column.unit))}
    ucds = {name: column.ucd for name, column in columns}
    return units, ucds, {name: column.description for name, column in columns}


def _provenance(folder: Path) -> dict[str, Any]:
    from hats.catalog import HatsProperties

    found: dict[str, Any] = HatsProperties.new_provenance_dict(
        folder, builder=f"exod v{metadata.version('exod')}", hats_creator="exod"
    )
    return found
