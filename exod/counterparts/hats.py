"""HATS catalogues, local or remote, opened with LSDB; only the parts near sources are read.

A margin cache is not needed: sources are looked up in every part that their circles touch (see
`exod.counterparts.partitions`), with any radius.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive.parquet import to_pandas
from exod.counterparts.partitions import Partitions
from exod.counterparts.registry import Catalogue
from exod.counterparts.standard import ROW, standard, wanted, with_columns
from exod.errors import InputError
from exod.schemas.columns import Column
from exod.tablefiles.plain import left_out, plain_arrow

_FASTEST: Final = 10.4
"""Proper motion of Barnard's star, the largest, in arcsec a year."""
_INTERNAL: Final = frozenset({"_healpix_29", "_hipscat_index", "Norder", "Dir", "Npix"})
"""Columns by which HATS orders rows."""
_FILES: Final = ("properties", "hats.properties", "collection.properties")


def is_hats(where: str) -> bool:
    """Whether a path is the folder of a HATS catalogue, or an address that can be one."""
    if "://" in where:
        return True
    return any((Path(where) / name).is_file() for name in _FILES)


def open_hats(where: str, catalogue: Catalogue) -> Partitions:
    """Open a HATS catalogue as parts of the sky.

    Parameters
    ----------
    where : str
        Folder or address, of a catalogue or a collection.
    catalogue : Catalogue
        What to keep; if it declares no columns, all with one value a row.

    Raises
    ------
    InputError
        If it cannot be opened or lacks a column.
    """
    try:
        with warnings.catch_warnings():
            # LSDB uses things of pandas that will change, and says so.
            warnings.simplefilter("ignore", DeprecationWarning)
            import hats
            import lsdb
    except ImportError as error:
        raise InputError(
            f"HATS catalogues as {where} are read by lsdb, which is missing; install "
            f"exod[catalogue]."
        ) from error
    described = _reported(where, lambda: hats.read_hats(where))
    described = getattr(described, "main_catalog", described)
    info, schema = described.catalog_info, described.schema
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    plain, _ = plain_arrow(schema.empty_table().drop_columns(nested))
    notes = [left_out(name, "holds several values a row") for name in nested]
    there = [
        Column(field.name, field.type, "", "")
        for field in plain.schema
        if field.name not in _INTERNAL
    ]
    # Its own properties say which columns are the position.
    update = {"ra": (*catalogue.ra, info.ra_column), "dec": (*catalogue.dec, info.dec_column)}
    full, more = with_columns(catalogue.model_copy(update=update), there)
    which = wanted(full, [column.name for column in there], where)
    names = list(dict.fromkeys(which.values()))
    opened = _reported(where, lambda: lsdb.open_catalog(where, columns=names))
    pixels = [(int(p.order), int(p.pixel)) for p in described.get_healpix_pixels()]

    @lru_cache(maxsize=1)
    def read(pixel: tuple[int, int]) -> pd.DataFrame:
        part = _reported(where, lambda: opened.get_partition(*pixel).compute())
        rows = pa.Table.from_pandas(pd.DataFrame(part[names]), preserve_index=False)
        # Rows are numbered through all parts, so that of two at one place the same is taken.
        numbers = (pixels.index(pixel) << 32) + np.arange(len(rows))
        rows = rows.append_column(ROW, pa.array(numbers))
        return to_pandas(standard(plain_arrow(rows)[0], which, full, {}, where))

    about = sha256(f"{info.model_dump_json()} {pixels} {schema}".encode())
    told = (*notes, *more) if not catalogue.columns else ()
    return Partitions(full, about.hexdigest()[:24], pixels, read, _FASTEST, told)


def _reported(where: str, work: Callable[[], Any]) -> Any:
    import dask

    try:
        # LSDB warns of what it does itself; warnings are of one thread, so that there is one.
        with warnings.catch_warnings(), dask.config.set(scheduler="synchronous"):
            warnings.simplefilter("ignore")
            return work()
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{where} cannot be read as a HATS catalogue ({reason}).") from error
