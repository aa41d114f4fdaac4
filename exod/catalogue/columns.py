"""The two tables of the catalogue, declared from those of the archive.

The columns of the published catalogue come first, in their order and under their names; what else
the archive knows follows. A column that is added to a table of the archive appears here by itself.

References
----------
(method.md, Catalogue)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from exod.errors import ArchiveError
from exod.schemas import (
    FEATURES,
    FLAGS,
    LIGHTCURVES,
    MATCH,
    MEMBERS,
    POSITIONS,
    REGIONS,
    UNIQUE,
)
from exod.schemas.columns import Column, Table
from exod.schemas.longterm import LONGTERM

LIGHT_CURVE = tuple(
    column
    for column in LIGHTCURVES.columns
    if column.name in {"time", "n", "mu", "live", "bti", "bccd", "B_peak_log", "B_eclipse_log"}
)
"""The columns of a light curve within a detection."""

_DETECTIONS = (
    *("detid", "srcid", "unique_reg_id", "ra_deg", "dec_deg", "pos_err_arcsec", "X", "Y"),
    *("area_bbox", "mean_pixel_intensity"),
    *("lc_n_max", "lc_n_min", "lc_n_sum", "lc_n_mean", "lc_n_std", "lc_n_skew", "lc_n_kurt"),
    *("lc_sigma_max_B_peak", "lc_sigma_max_B_eclipse", "lc_ratio_bti"),
    *("lc_bin_min_between_peaks", "lc_n_peaks", "lc_ks_pval"),
    *("filt_tbin_5_n_l_5", "filt_exclude_obsid", "filt_5sig", "filt_g_20_detections"),
    "filt_hot_pixel",
)
"""The published columns of a detection, in their order."""

_SOURCES = ("region_num", "srcid", "ra_deg", "dec_deg", "n_detections")
"""The published columns of a unique source, in their order."""

BEST: Final = "best_"
"""How columns of a source begin that are those of its best detection; flags keep their names."""

_OF_THE_BEST = (
    *("obsid", "t_bin", "e_lo", "e_hi", "kind", "t_start", "t_start_mjd", "t_start_utc"),
    *("t_stop", "t_stop_mjd", "t_stop_utc", "duration", "event_n", "event_mu", "excess"),
    *("excess_lo", "excess_hi", "peak_rate", "peak_rate_err"),
)
"""What a source has of the region of its best detection; of features and flags it has all."""

_NAMES = {
    ("members", "region_num"): "unique_reg_id",
    ("regions", "intensity_mean"): "mean_pixel_intensity",
    ("features", "max_B_peak_log"): "lc_max_B_peak",
    ("features", "max_B_eclipse_log"): "lc_max_B_eclipse",
    ("features", "sigma_peak"): "lc_sigma_max_B_peak",
    ("features", "sigma_eclipse"): "lc_sigma_max_B_eclipse",
}
"""Columns that the published catalogue names otherwise than the archive: the whole mapping."""

_NOT_OF_THE_LIGHT_CURVE = re.compile(
    r"lc_.*|hr|hr_.*|.*(soft|hard).*|flu(x|ence)_?.*|mission|instrument"
)
"""Features that get no ``lc_`` before their name: of cameras, other runs and events."""

_Entry = tuple[Column, tuple[str, str]]
"""A column of the catalogue, and its table and name in the archive."""


@dataclass(frozen=True)
class CatalogueTable(Table):
    """A table of the catalogue.

    Attributes
    ----------
    origins : tuple of (str, str)
        Of each column the table of the archive that it comes from, and its name there.
    """

    origins: tuple[tuple[str, str], ...] = ()


def corrected_columns() -> tuple[Column, ...]:
    """What detections have of corrected positions, beside those that were measured."""
    names = ("ra_corr_deg", "dec_corr_deg", "pos_err_corr_arcsec")
    return tuple(
        replace(column, ucd=column.ucd.removesuffix(";meta.main"))
        for column in POSITIONS.columns
        if column.name in names
    )


def detections(*, rectified: bool = False) -> CatalogueTable:
    """Declare the table of detections.

    Parameters
    ----------
    rectified : bool
        Whether they have corrected positions too.

    Examples
    --------
    >>> detections().schema.names[:5]
    ['detid', 'srcid', 'unique_reg_id', 'ra_deg', 'dec_deg']
    """
    members = [column for column in MEMBERS.columns if column.name in {"region_num", "srcid"}]
    keys = {"detid", "runid", "obsid"}
    entries = [
        *_entries("members", members),
        *_entries("regions", REGIONS.shown.columns),
        *_entries("features", [c for c in FEATURES.columns if c.name not in keys]),
        *_entries("flags", [c for c in FLAGS.columns if c.name not in keys]),
        *_entries("positions", corrected_columns() if rectified else ()),
    ]
    description = "Detections: variable regions of all runs and observations"
    return _ordered("detections", description, entries, _DETECTIONS)


def sources(
    matches: Mapping[str, Table] | None = None, *, long_term: bool = False
) -> CatalogueTable:
    """Declare the table of unique sources.

    Parameters
    ----------
    matches : dict of str to Table, optional
        The cross-matches by the name of their catalogue; their columns follow those of the
        sources, with the prefix that they have.
    long_term : bool
        Whether they have how they vary between observations, of the table longterm.

    Raises
    ------
    ArchiveError
        If two columns have the same name; FITS does not tell capital from small letters.

    Examples
    --------
    >>> sources().schema.names[:5]
    ['region_num', 'srcid', 'ra_deg', 'dec_deg', 'n_detections']
    """
    entries = [*_entries("unique", UNIQUE.columns), *_entries_of_the_best()]
    if long_term:
        own = (column for column in LONGTERM.columns if column.name not in UNIQUE.schema.names)
        entries += _entries("longterm", [replace(column, nullable=True) for column in own])
    common = {column.name for column in MATCH}
    for name, table in (matches or {}).items():
        columns = [column for column in table.columns if column.name not in common]
        entries += [
            *_entries(f"xmatch-{name}", [replace(column, nullable=True) for column in columns])
        ]
    description = "Unique sources: detections at one place, with their counterparts"
    return _ordered("sources", description, entries, _SOURCES)


def _entries(table: str, columns: Iterable[Column]) -> Iterable[_Entry]:
    for column in columns:
        name = _NAMES.get((table, column.name), column.name)
        if table == "features" and not _NOT_OF_THE_LIGHT_CURVE.fullmatch(name):
            name = f"lc_{name}"
        yield replace(column, name=name), (table, column.name)


def best_columns() -> dict[str, tuple[Column, ...]]:
    """The columns that a source has of its best detection, by table of the archive."""
    keys = {"detid", "runid", "obsid"}
    return {
        "regions": tuple(c for c in REGIONS.shown.columns if c.name in _OF_THE_BEST),
        "features": tuple(c for c in FEATURES.columns if c.name not in keys),
        "flags": tuple(c for c in FLAGS.columns if c.name not in keys),
    }


def _entries_of_the_best() -> Iterable[_Entry]:
    for table, columns in best_columns().items():
        for column, (_, name) in _entries(table, columns):
            text = f"Of best_detid: {column.description}"
            shown = column.name if table == "flags" else f"{BEST}{column.name}"
            yield replace(column, name=shown, description=text, dates=""), (table, f"{BEST}{name}")


def _ordered(
    name: str, description: str, entries: Sequence[_Entry], first: Sequence[str]
) -> CatalogueTable:
    """The entries with the named ones first."""
    place = {column: number for number, column in enumerate(first)}
    found = sorted(entries, key=lambda entry: place.get(entry[0].name, len(place)))
    columns = tuple(column for column, _ in found)
    lower = [column.name.lower() for column in columns]
    twice = sorted({column.name for column in columns if lower.count(column.name.lower()) > 1})
    if twice:
        raise ArchiveError(
            f"The table {name} of the catalogue would have the columns {', '.join(twice)} twice; "
            f"give the catalogues that the sources are matched with different prefixes."
        )
    origins = tuple(origin for _, origin in found)
    return CatalogueTable(name, description, columns, (), origins=origins)
