"""Counterparts: cross-matches of the sources -> what the statistics report counts of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.archive.products import XMATCH
from exod.catalogue.report import inputs
from exod.catalogue.report.comparisons import FluxGroups, flux_groups
from exod.catalogue.report.counterparts import (
    Separations,
    absolute_magnitudes,
    flux_pairs,
    separations,
)
from exod.catalogue.report.objecttypes import ObjectTypes, describe_types, named_types, type_names
from exod.observation.identifiers import obsid_of_row
from exod.schemas.arrays import Floats, Mask
from exod.stages.report.giventables import XmmSources, read_types

_FEW: Final = 50
"""Observations whose files are found by a condition; for more, reading all is quicker."""


@dataclass(frozen=True)
class Match:
    """What is read of a cross-match.

    Attributes
    ----------
    rows : DataFrame
        With region_num.
    columns : dict of str to str
        The columns that are wanted, by what they are.
    separations : Separations or None
        None if it has none.
    distance : ndarray of float64 or None
        Separation of each, arcsec; NaN without a counterpart.
    """

    rows: pd.DataFrame
    columns: Mapping[str, str]
    separations: Separations | None
    distance: Floats | None

    def has(self, *names: str) -> bool:
        """Whether it has all of these columns."""
        return all(name in self.columns for name in names)

    def floats(self, name: str) -> Floats:
        """A column as floats, with NaN where it is missing."""
        return _floats(self.rows[self.columns[name]])

    def truths(self, name: str) -> Mask:
        """A column as true or false; what is missing is false."""
        return self.rows[self.columns[name]].fillna(value=False).to_numpy(bool)


def read_match(archive: Archive, name: str) -> Match:
    """Read a cross-match: separations, and the columns that are wanted."""
    product = f"{XMATCH}{name}"
    table = archive.derived_table(product, "xmatch")
    present = list(table.columns)
    prefix = inputs.prefix_of(present)
    if prefix is None:
        return Match(table[["region_num"]].compute(), {}, None, None)
    wanted = inputs.catalogue_columns(present, prefix)
    measured = [f"{prefix}{end}" for end in (inputs.SEPARATION, "density_arcmin2", "p_chance")]
    own = [column for column in measured if column in present]
    rows = table[["region_num", *own, *wanted.values()]].compute()
    nothing = pd.Series(np.nan, index=rows.index)
    distance, density, chance = (_floats(rows.get(column, nothing)) for column in measured)
    derived = archive.derived(product)
    radius = derived.parameters.get("radius_arcsec") if derived else None
    known = float(radius) if isinstance(radius, int | float) else None
    return Match(rows, wanted, separations(distance, density, chance, known), distance)


def object_types(matched: Mapping[str, Match], theirs: XmmSources | None) -> ObjectTypes | None:
    """Object types of the sources, and of all of 4XMM if its table has them."""
    simbad = matched.get(inputs.CATALOGUES["simbad"])
    if simbad is None or not simbad.has("type"):
        return None
    names = type_names(read_types())
    own = named_types(simbad.rows[simbad.columns["type"]], names)
    samples = {"EXOD": own}
    xmm = matched.get(inputs.CATALOGUES["xmm"])
    if xmm is not None and xmm.distance is not None:
        numbers = simbad.rows["region_num"]
        found = np.isfinite(xmm.distance)
        samples["EXOD in 4XMM"] = own[numbers.isin(xmm.rows["region_num"][found]).to_numpy()]
        if xmm.has("variable"):
            varies = found & xmm.truths("variable")
            for text, some in (("variable", varies), ("not variable", found & ~varies)):
                chosen = numbers.isin(xmm.rows["region_num"][some]).to_numpy()
                samples[f"EXOD {text} in 4XMM"] = own[chosen]
    if theirs is not None and theirs.types is not None:
        types = named_types(theirs.types, names)
        samples |= {"4XMM": types, "4XMM variable": types[theirs.variable]}
    distance = np.full(len(own), np.nan) if simbad.distance is None else simbad.distance
    return describe_types(samples, distance)


def flux_samples(matched: Mapping[str, Match], theirs: XmmSources | None) -> FluxGroups | None:
    """Fluxes of the counterparts in 4XMM, and of all of 4XMM if its table was given."""
    groups: dict[str, Floats] = {}
    if theirs is not None:
        groups |= {"4XMM": theirs.flux, "4XMM variable": theirs.flux[theirs.variable]}
    match = matched.get(inputs.CATALOGUES["xmm"])
    if match is not None and match.has("flux"):
        groups["EXOD"] = match.floats("flux")
        if match.has("variable"):
            groups["EXOD variable in 4XMM"] = groups["EXOD"][match.truths("variable")]
    return flux_groups(groups) if groups else None


def stars(matched: Mapping[str, Match]) -> pd.DataFrame | None:
    """Absolute magnitudes of the counterparts in Gaia; None without the columns for them."""
    match = matched.get(inputs.CATALOGUES["gaia"])
    if match is None or not match.has("magnitude", "parallax"):
        return None
    if match.has("colour"):
        colour = match.floats("colour")
    elif match.has("blue", "red"):
        colour = match.floats("blue") - match.floats("red")
    else:
        return None
    error = match.floats("parallax_error") if match.has("parallax_error") else None
    return absolute_magnitudes(match.floats("magnitude"), colour, match.floats("parallax"), error)


def fluxes(archive: Archive, matched: Mapping[str, Match]) -> pd.DataFrame | None:
    """Fluxes in 4XMM beside the best regions; None without a column of fluxes."""
    match = matched.get(inputs.CATALOGUES["xmm"])
    if match is None or not match.has("flux"):
        return None
    rows = match.rows[match.floats("flux") > 0]
    unique = archive.derived_table("unique", "unique", columns=["region_num", "best_detid"])
    best = unique.compute()
    best = best[best["region_num"].isin(rows["region_num"])]
    regions = regions_of(archive, best["best_detid"])
    return flux_pairs(rows, best, regions, match.columns["flux"])


def regions_of(archive: Archive, detids: pd.Series) -> pd.DataFrame:
    """Rows of regions with these identifiers; files of other observations are not read."""
    wanted = set(detids.astype(str))
    obsids = sorted({obsid_of_row(detid) for detid in wanted})
    # A condition with thousands of values is slower than reading.
    filters = [("obsid", "in", obsids)] if 0 < len(obsids) <= _FEW else ()
    rows = archive.table("regions", columns=inputs.BEST_REGION, filters=filters)
    kept = rows[rows["detid"].isin(list(wanted))].compute()
    return kept.drop_duplicates("detid", ignore_index=True)


def _floats(values: pd.Series) -> Floats:
    """Floats of a column that may hold nulls."""
    found: Floats = values.to_numpy("float64", na_value=np.nan)
    return found
