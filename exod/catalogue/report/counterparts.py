"""Numbers of the report about counterparts in other catalogues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.catalogue.report.statistics import Histogram, histogram
from exod.schemas.arrays import Floats

MIN_PARALLAX_SNR: Final = 5.0
"""Parallaxes below so many standard errors give no distance (Bailer-Jones 2015)."""

BINS: Final = 40
"""Bins of the separations of counterparts."""


@dataclass(frozen=True)
class Separations:
    """How far counterparts are, and how far chance would put them.

    Attributes
    ----------
    sources, matched : int
        Sources, and those with a counterpart.
    radius_arcsec : float
        Largest separation that was accepted.
    median_arcsec : float
        Median separation; NaN without counterparts.
    likely_chance : int
        Counterparts with a chance probability of one half or more.
    expected_chance : float
        Counterparts expected if no source had anything to do with the catalogue, from its density
        around each; NaN if no density is known.
    known_density : int
        Sources with a known density.
    histogram : Histogram
        Separations, one group.
    chance : ndarray of float64
        Expected counts of each bin (between its edges) by chance.
    """

    sources: int
    matched: int
    radius_arcsec: float
    median_arcsec: float
    likely_chance: int
    expected_chance: float
    known_density: int
    histogram: Histogram
    chance: Floats


def chance_separations(density_arcmin2: ArrayLike, edges_arcsec: Floats) -> Floats:
    """Expected separations of the nearest neighbours if there are only chance ones.

    With rho objects in a square arcmin at random places, the nearest is farther than r with the
    probability exp(-pi rho r^2).

    Parameters
    ----------
    density_arcmin2 : array_like
        Density of the catalogue around each source; NaN is left out.
    edges_arcsec : ndarray of float64, shape (n,)
        Edges of the bins.

    Returns
    -------
    ndarray of float64, shape (n - 1,)
        Expected number of sources whose nearest neighbour falls in each bin.

    Examples
    --------
    >>> chance_separations([1.0, 0.0], np.array([0.0, 60.0])).round(3).tolist()
    [0.957]
    """
    rho = np.asarray(density_arcmin2, float)
    rho = rho[np.isfinite(rho)]
    # One edge after the other: memory stays that of the densities.
    farther = [np.exp(-np.pi * rho * (edge / 60) ** 2).sum() for edge in edges_arcsec]
    return -np.diff(farther)


def separations(
    separation_arcsec: ArrayLike,
    density_arcmin2: ArrayLike,
    p_chance: ArrayLike,
    radius_arcsec: float | None = None,
) -> Separations:
    """Describe the separations of a cross-match.

    Parameters
    ----------
    separation_arcsec, density_arcmin2, p_chance : array_like, one value a source
        NaN where there is no counterpart, or nothing is known.
    radius_arcsec : float, optional
        Radius of the cross-match; if not given, the largest separation, in whole arcsec.
    """
    distance = np.asarray(separation_arcsec, float)
    matched = distance[np.isfinite(distance)]
    density = np.asarray(density_arcmin2, float)
    radius = radius_arcsec or max(1.0, float(np.ceil(matched.max(initial=1.0))))
    edges = np.linspace(0.0, radius, BINS + 1)
    known = int(np.isfinite(density).sum())
    chance = chance_separations(density, edges)
    return Separations(
        sources=len(distance),
        matched=len(matched),
        radius_arcsec=float(radius),
        median_arcsec=float(np.median(matched)) if len(matched) else float("nan"),
        likely_chance=int((np.asarray(p_chance, float) >= 0.5).sum()),
        expected_chance=float(chance.sum()) if known else float("nan"),
        known_density=known,
        histogram=Histogram(edges, histogram(matched, edges)),
        chance=chance,
    )


def absolute_magnitudes(
    magnitude: ArrayLike,
    colour: ArrayLike,
    parallax_mas: ArrayLike,
    parallax_error_mas: ArrayLike | None = None,
) -> pd.DataFrame:
    """Absolute magnitudes from parallaxes, without extinction.

    Parameters
    ----------
    magnitude, colour : array_like
        Apparent magnitude and colour.
    parallax_mas, parallax_error_mas : array_like
        Parallax and its standard error in milliarcsec. Without errors every positive parallax is
        used, with them those of at least `MIN_PARALLAX_SNR` standard errors.

    Returns
    -------
    DataFrame
        colour and magnitude (absolute), one row for each star with a usable parallax.

    Examples
    --------
    >>> absolute_magnitudes([10.0], [0.8], [100.0])["magnitude"].tolist()
    [10.0]
    """
    arrays = [np.asarray(values, float) for values in (magnitude, colour, parallax_mas)]
    apparent, index, parallax = arrays
    usable = np.isfinite(apparent) & np.isfinite(index) & (parallax > 0)
    if parallax_error_mas is not None:
        usable &= parallax >= MIN_PARALLAX_SNR * np.asarray(parallax_error_mas, float)
    absolute = apparent[usable] + 5 * np.log10(parallax[usable]) - 10
    return pd.DataFrame({"colour": index[usable], "magnitude": absolute})


def flux_pairs(
    matches: pd.DataFrame, unique: pd.DataFrame, regions: pd.DataFrame, flux: str
) -> pd.DataFrame:
    """Put the flux of a counterpart beside what the best region of its source has.

    Parameters
    ----------
    matches : DataFrame
        With region_num and the column of the flux.
    unique : DataFrame
        With region_num and best_detid.
    regions : DataFrame
        With detid, kind, t_bin, peak_rate, event_n and excess.
    flux : str
        Name of the column of the flux.

    Returns
    -------
    DataFrame
        Those columns of sources with a positive flux and a region, by region_num; the flux is
        called flux.
    """
    # A missing flux of a nullable dtype is pd.NA, which is neither positive nor not.
    values = matches[["region_num"]].assign(flux=matches[flux].astype("float64"))
    found = values[values["flux"] > 0].merge(unique[["region_num", "best_detid"]], on="region_num")
    columns = ["detid", "kind", "t_bin", "peak_rate", "event_n", "excess"]
    pairs = found.merge(regions[columns], left_on="best_detid", right_on="detid")
    return pairs.drop(columns=["best_detid"]).sort_values("region_num", ignore_index=True)
