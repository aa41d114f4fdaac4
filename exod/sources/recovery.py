"""Which regions of a run are found by other runs (method.md, Recovery among runs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from exod.errors import InputError
from exod.schemas.arrays import Floats, Integers
from exod.sky.sphere import chord, unit_vectors

RADIUS_ARCSEC: Final = 15.0
"""Largest distance of the same source in two runs (method.md, Recovery among runs)."""

RUN: Final = ("t_bin", "e_lo", "e_hi")
"""Columns that say which run a region is of, in any observation."""


@dataclass(frozen=True)
class Recovery:
    """How many regions of each kind of run the others recover.

    Attributes
    ----------
    runs : DataFrame
        Columns t_bin (s), e_lo, e_hi (keV), one row a kind of run.
    n_regions : ndarray of int64, shape (n_runs,)
        Regions of each.
    recovered : ndarray of int64, shape (n_runs, n_runs)
        Axes (of, by): regions of one that have a region of the other within the radius, in the
        same observation.
    """

    runs: pd.DataFrame
    n_regions: Integers
    recovered: Integers

    @property
    def fraction(self) -> Floats:
        """`recovered` / `n_regions`, same shape; NaN in rows of runs without regions."""
        total = self.n_regions[:, None].astype(np.float64)
        nothing = np.full(self.recovered.shape, np.nan)
        return np.divide(self.recovered, total, out=nothing, where=total > 0)

    def __add__(self, other: Recovery) -> Recovery:
        """Of the observations of both together; the runs must be the same."""
        if not self.runs.equals(other.runs):
            raise InputError("Recoveries of different runs cannot be added.")
        recovered = self.recovered + other.recovered
        return Recovery(self.runs, self.n_regions + other.n_regions, recovered)

    def table(self) -> pd.DataFrame:
        """One row a pair of runs: of and by (t_bin, e_lo, e_hi each), counts and fraction."""
        of, by = (index.ravel() for index in np.indices(self.recovered.shape))
        names = {name: f"{name}_of" for name in RUN}, {name: f"{name}_by" for name in RUN}
        sides = [
            self.runs.iloc[index].reset_index(drop=True).rename(columns=called)
            for index, called in zip((of, by), names, strict=True)
        ]
        return pd.concat(sides, axis=1).assign(
            n_regions=self.n_regions[of],
            n_recovered=self.recovered.ravel(),
            fraction=self.fraction.ravel(),
        )


def kinds_of_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The different runs among rows, in order of energy band and time bin.

    Parameters
    ----------
    runs : DataFrame
        With t_bin, e_lo and e_hi; of observations, or of regions.

    Returns
    -------
    DataFrame
        These columns, float64.
    """
    kinds = runs[list(RUN)].astype(np.float64).drop_duplicates()
    return kinds.sort_values(["e_lo", "e_hi", "t_bin"], ignore_index=True)


def recovery(
    regions: pd.DataFrame, runs: pd.DataFrame, radius_arcsec: float = RADIUS_ARCSEC
) -> Recovery:
    """Count the regions of each run that each other run has too.

    Parameters
    ----------
    regions : DataFrame
        All regions of one or more observations: obsid, t_bin, e_lo, e_hi, ra_deg, dec_deg.
        Regions without position are counted and never recovered, not even by their own run.
    runs : DataFrame
        What `kinds_of_runs` gives for all observations; regions of other runs are left out.
    radius_arcsec : float
        Largest distance.

    Returns
    -------
    Recovery
        Recoveries of other observations with the same `runs` can be added.

    Raises
    ------
    InputError
        If the radius is not positive.

    Examples
    --------
    >>> regions = pd.DataFrame({"obsid": "0000000001", "t_bin": [5.0, 50.0, 50.0], "e_lo": 0.2,
    ...     "e_hi": 12.0, "ra_deg": [10.0, 10.001, 10.1], "dec_deg": 0.0})
    >>> recovery(regions, kinds_of_runs(regions)).fraction
    array([[1. , 1. ],
           [0.5, 1. ]])
    """
    if not radius_arcsec > 0:
        raise InputError(f"The radius of recovery must be positive, not {radius_arcsec} arcsec.")
    counts = np.zeros(len(runs), np.int64)
    recovered = np.zeros((len(runs), len(runs)), np.int64)
    index = runs[list(RUN)].assign(_run=np.arange(len(runs)))
    rows = regions.astype(dict.fromkeys(RUN, np.float64)).merge(index, on=list(RUN), how="inner")
    counts += np.bincount(rows["_run"], minlength=len(runs))
    for _, own in rows.groupby("obsid"):
        _count_pairs(own, radius_arcsec, recovered)
    return Recovery(runs, counts, recovered)


def _count_pairs(rows: pd.DataFrame, radius_arcsec: float, recovered: Integers) -> None:
    """Add the regions of one observation that are recovered."""
    vectors = unit_vectors(rows["ra_deg"], rows["dec_deg"])
    limit = float(chord(radius_arcsec))
    known = np.isfinite(vectors).all(axis=1)
    run = rows["_run"].to_numpy()
    trees = {number: cKDTree(vectors[known & (run == number)]) for number in np.unique(run[known])}
    for of, tree in trees.items():
        for by, other in trees.items():
            nearest, _ = other.query(tree.data, distance_upper_bound=np.nextafter(limit, np.inf))
            recovered[of, by] += np.count_nonzero(nearest <= limit)


def histograms(
    regions: pd.DataFrame, runs: pd.DataFrame, column: str, edges: ArrayLike
) -> Integers:
    """How a number is distributed over the regions of each run.

    Parameters
    ----------
    regions : DataFrame
        With t_bin, e_lo, e_hi and `column`.
    runs : DataFrame
        What `kinds_of_runs` gives.
    column : str
        Such as n_mean, the mean counts in a frame of the light curve.
    edges : array_like of float, shape (n_bins + 1,)
        Edges of the bins, in increasing order; values outside and NaN are left out.

    Returns
    -------
    ndarray of int64, shape (n_runs, n_bins)

    Examples
    --------
    >>> rows = pd.DataFrame({"t_bin": [5.0, 5.0], "e_lo": 0.2, "e_hi": 2.0, "n_mean": [0.5, 2.0]})
    >>> histograms(rows, kinds_of_runs(rows), "n_mean", [0, 1, 10])
    array([[1, 1]])
    """
    limits = np.asarray(edges, np.float64)
    found = []
    for kind in runs[list(RUN)].to_numpy(np.float64):
        own = (regions[list(RUN)].to_numpy(np.float64) == kind).all(axis=1)
        values = regions.loc[own, column].to_numpy(np.float64)
        found.append(np.histogram(values[np.isfinite(values)], limits)[0])
    return np.array(found, np.int64).reshape(len(runs), len(limits) - 1)
