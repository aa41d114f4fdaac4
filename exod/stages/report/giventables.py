"""Tables beside the archive: object types of SIMBAD, and what users give of EXTraS and 4XMM."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive.parquet import to_pandas
from exod.catalogue.report import inputs
from exod.catalogue.report.comparisons import merge_light_curves
from exod.counterparts.registry import Catalogue, CatalogueColumn
from exod.counterparts.standard import DEC, RA
from exod.counterparts.tables import CatalogueRows
from exod.files.text import read_text
from exod.schemas.arrays import Floats, Mask
from exod.tablefiles.reading import ForeignTable
from exod.tablefiles.shipped import catalogs_folder

TYPES: Final = "simbad_types.csv"
"""Our table of the object types of SIMBAD, in the folder of the catalogues."""

_PREFIX: Final = "their_"


@dataclass(frozen=True)
class ExtrasSources:
    """Sources of EXTraS.

    Attributes
    ----------
    n_observations : int
        Observations that the table has.
    rows : DataFrame
        `exod.catalogue.report.comparisons.merge_light_curves` of those that were searched.
    """

    n_observations: int
    rows: pd.DataFrame


@dataclass(frozen=True)
class XmmSources:
    """All sources of 4XMM, a row each.

    Attributes
    ----------
    flux : ndarray of float64
        0.2-12 keV, erg cm-2 s-1; NaN if not known.
    variable : ndarray of bool
        Whether a detection of the source is variable; where it is not known it is not.
    types : Series of str or None
        Object types of SIMBAD, missing without a counterpart; None if the table has none.
    """

    flux: Floats
    variable: Mask
    types: pd.Series | None


def read_types() -> pd.DataFrame:
    """The table of object types for `exod.catalogue.report.objecttypes.type_names`."""
    text = read_text(catalogs_folder() / TYPES, "The table of object types")
    return pd.read_csv(StringIO(text), comment="#", dtype=str, keep_default_na=False)


def read_extras(path: str | Path, searched: Collection[str]) -> ExtrasSources:
    """Read a table of EXTraS, some rows at a time.

    Parameters
    ----------
    path : path
        A table with the columns of `exod.catalogue.report.inputs.EXTRAS`, a row for each light
        curve.
    searched : collection of str
        Observations whose rows are kept.

    Raises
    ------
    InputError
        If it cannot be read or lacks a column.
    """
    own = {"obsid": "string", "source": "int64", "p": "float64"}
    wanted, parts, theirs = set(searched), [_NO_LIGHT_CURVES], set[str]()
    for rows in _rows(path, "EXTraS", inputs.EXTRAS, own):
        # A table may have them as numbers.
        rows["obsid"] = rows["obsid"].str.strip().str.zfill(10)
        theirs |= set(rows["obsid"].dropna())
        kept = rows[rows["obsid"].isin(wanted) & rows["source"].notna()]
        parts.append(kept.astype({"source": "int64", "obsid": object}))
    light_curves = pd.concat(parts, ignore_index=True)
    return ExtrasSources(len(theirs), merge_light_curves(light_curves))


_NO_LIGHT_CURVES: Final = pd.DataFrame(
    {
        "ra_deg": np.empty(0),
        "dec_deg": np.empty(0),
        "obsid": pd.Series(dtype=object),
        "source": np.empty(0, "int64"),
        "p": np.empty(0),
    }
)


def read_xmm(path: str | Path) -> XmmSources:
    """Read a table of all sources of 4XMM, some rows at a time.

    Parameters
    ----------
    path : path
        A table with the columns of `exod.catalogue.report.inputs.XMM`. If it has numbers of
        sources, one row of each source counts: the table of detections has several.

    Raises
    ------
    InputError
        If it cannot be read or lacks a column.
    """
    own = {"flux": "float64", "variable": "bool", "source": "int64", "type": "string"}
    optional = ("source", "type")
    parts = [
        rows.drop(columns=["ra_deg", "dec_deg"])
        for rows in _rows(path, "4XMM", inputs.XMM, own, optional)
    ]
    table = pd.concat(parts, ignore_index=True)
    numbered = table["source"].notna()
    table = pd.concat([table[~numbered], table[numbered].drop_duplicates("source")])
    has_types = table["type"].notna().any()
    return XmmSources(
        table["flux"].to_numpy("float64", na_value=np.nan),
        table["variable"].fillna(value=False).to_numpy(bool),
        table["type"].reset_index(drop=True) if has_types else None,
    )


def _rows(
    path: str | Path,
    what: str,
    called: inputs.Called,
    types: dict[str, str],
    optional: Collection[str] = (),
) -> Iterator[pd.DataFrame]:
    """Rows of a table with ra_deg, dec_deg and the columns wanted."""
    columns = [
        CatalogueColumn.model_validate(
            {"name": name, "type": kind, "description": name, "called": called[name]}
            | {"optional": name in optional}
        )
        for name, kind in types.items()
    ]
    catalogue = Catalogue(
        name=what,
        title=what,
        method="table",
        prefix=_PREFIX,
        ra=called["ra"],
        dec=called["dec"],
        columns=tuple(columns),
    )
    names = {RA: "ra_deg", DEC: "dec_deg"} | {_PREFIX + name: name for name in types}
    file = ForeignTable(path, [called[name] for name in called if name not in optional])
    for batch in CatalogueRows(file, catalogue):
        yield to_pandas(pa.table({new: batch[name] for name, new in names.items()}))
