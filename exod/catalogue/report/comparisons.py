"""Numbers of the report that compare the archive with whole catalogues: EXTraS and 4XMM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from exod.catalogue.report.statistics import Histogram, histogram
from exod.catalogue.report.survey import spread
from exod.schemas.arrays import Floats, Integers, Mask
from exod.sky.sphere import chord, unit_vectors

VARIABLE_P: Final = 1e-5
"""Sources of EXTraS are variable below this probability of a constant (De Luca et al. 2021)."""

RADIUS_ARCSEC: Final = 20.0
"""Largest separation of a region and a source of EXTraS, that of the cross-match."""

LEVELS: Final = (0, 3, 5)
"""Significances of the regions that are compared; 0 is all that were found."""

SAMPLES: Final = ("all", "variable")
"""Samples of EXTraS."""

FLUX_EDGES: Final = np.arange(-18.0, -7.95, 0.1)
"""Bins of log10 flux, erg cm-2 s-1."""

_APART: Final = 10.0
"""Distance that keeps observations apart in a tree; unit vectors are 2 apart at most."""


@dataclass(frozen=True)
class ExtrasComparison:
    """The archive and EXTraS in the observations that both have searched.

    Attributes
    ----------
    searched, theirs, common : int
        Observations that were searched, those of EXTraS, and those of both.
    counts : DataFrame of int64
        From `compare_extras`.
    unknown : int
        Sources of EXTraS, of an observation each, whose probability is not known.
    """

    searched: int
    theirs: int
    common: int
    counts: pd.DataFrame
    unknown: int


@dataclass(frozen=True)
class FluxGroups:
    """Fluxes of samples.

    Attributes
    ----------
    spreads : DataFrame
        `exod.catalogue.report.survey.spread` of the positive fluxes of each sample, a row each.
    histogram : Histogram
        Of log10 flux in bins of `FLUX_EDGES`, a group a sample.
    """

    spreads: pd.DataFrame
    histogram: Histogram


def flux_groups(fluxes: Mapping[str, Floats]) -> FluxGroups:
    """Describe the fluxes of samples.

    Parameters
    ----------
    fluxes : dict of str to ndarray of float64
        In erg cm-2 s-1, by the name of the sample; what is not positive is left out.
    """
    known = {name: values[values > 0] for name, values in fluxes.items()}
    counts = [
        histogram(np.log10(values), FLUX_EDGES).reindex(["all"], fill_value=0).set_axis([name])
        for name, values in known.items()
    ]
    return FluxGroups(
        pd.DataFrame({name: spread(values) for name, values in known.items()}).T,
        Histogram(FLUX_EDGES, pd.concat(counts)),
    )


def merge_light_curves(light_curves: pd.DataFrame) -> pd.DataFrame:
    """One row for each source and observation of EXTraS, which has one for each light curve.

    Parameters
    ----------
    light_curves : DataFrame
        obsid, source, ra_deg, dec_deg and p (probability of a constant; NaN if not known).

    Returns
    -------
    DataFrame
        The same columns; the position of the first light curve, and the smallest p.
    """
    groups = light_curves.groupby(["obsid", "source"], sort=True)
    return groups.agg({"ra_deg": "first", "dec_deg": "first", "p": "min"}).reset_index()


def compare_extras(
    theirs: pd.DataFrame, regions: Iterable[pd.DataFrame], radius_arcsec: float = RADIUS_ARCSEC
) -> pd.DataFrame:
    """Count how many sources of either side the other has, in the same observation.

    Parameters
    ----------
    theirs : DataFrame
        From `merge_light_curves`, of the observations that both have searched.
    regions : iterable of DataFrame
        Regions with obsid, region_num (their source), ra_deg, dec_deg and sigma, in parts; those
        of observations that `theirs` does not have are left out.
    radius_arcsec : float
        Largest separation of a region and a source of EXTraS.

    Returns
    -------
    DataFrame of int64
        Index level (`LEVELS`) and sample (`SAMPLES`). Columns ours (sources with a region of that
        significance in these observations), ours_matched (of these, with a source of the sample
        near such a region in the same observation), theirs (sources of the sample) and
        theirs_matched (of these, with such a region near).
    """
    numbers = pd.Index(np.unique(theirs["obsid"].to_numpy(str)))
    tree = cKDTree(_vectors(theirs, numbers))
    variable = theirs["p"].to_numpy(float) < VARIABLE_P
    chosen: dict[str, Mask] = {"all": np.ones(len(theirs), bool), "variable": variable}
    ours: dict[int, set[int]] = {level: set() for level in LEVELS}
    matched: dict[tuple[int, str], set[int]] = {(le, s): set() for le in LEVELS for s in SAMPLES}
    recovered: dict[int, Mask] = {level: np.zeros(len(theirs), bool) for level in LEVELS}
    for part in regions:
        here = part[part["obsid"].isin(numbers)]
        pairs = _near(here, numbers, tree, radius_arcsec)
        source, sigma = here["region_num"].to_numpy("int64"), here["sigma"].to_numpy(float)
        for level in LEVELS:
            strong = np.ones(len(here), bool) if level == 0 else sigma >= level
            ours[level].update(source[strong].tolist())
            mine, other = (side[strong[pairs[0]]] for side in pairs)
            recovered[level][other] = True
            for sample, members in chosen.items():
                matched[level, sample].update(source[mine[members[other]]].tolist())
    name = theirs["source"].to_numpy()
    rows = {
        (level, sample): {
            "ours": len(ours[level]),
            "ours_matched": len(matched[level, sample]),
            "theirs": len(np.unique(name[members])),
            "theirs_matched": len(np.unique(name[members & recovered[level]])),
        }
        for level in LEVELS
        for sample, members in chosen.items()
    }
    return pd.DataFrame(rows).T.rename_axis(["level", "sample"])


def _vectors(rows: pd.DataFrame, numbers: pd.Index) -> Floats:
    """Unit vectors with a fourth coordinate that keeps observations apart."""
    place = numbers.get_indexer(pd.Index(rows["obsid"].to_numpy(str)))
    return np.column_stack([unit_vectors(rows["ra_deg"], rows["dec_deg"]), _APART * place])


def _near(
    rows: pd.DataFrame, numbers: pd.Index, tree: cKDTree, radius_arcsec: float
) -> tuple[Integers, Integers]:
    """Rows, and points of the tree, that are no farther apart than the radius."""
    if not len(rows) or not tree.n:
        return np.empty(0, "int64"), np.empty(0, "int64")
    near = cKDTree(_vectors(rows, numbers)).query_ball_tree(tree, float(chord(radius_arcsec)))
    first = np.repeat(np.arange(len(near)), [len(own) for own in near])
    second = np.fromiter((point for own in near for point in own), "int64", len(first))
    return first, second
