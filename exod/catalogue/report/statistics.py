"""Numbers of the report that are counted part by part and added up, so that size does not matter.

Every function takes rows of a table, any part of it, and returns counts in a frame whose index says
what was counted; `added` joins the counts of the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from astropy import units
from astropy.coordinates import SkyCoord
from numpy.typing import ArrayLike, NDArray

from exod.schemas.arrays import Floats, Integers, Mask
from exod.sky import healpix

SIGMAS: Final = (3, 4, 5)
"""Significances whose regions are counted."""

RUN: Final = ("t_bin", "e_lo", "e_hi")
"""What makes a run, apart from the observation."""

LOG_B_EDGES: Final = np.arange(0.0, 40.5, 0.5)
"""Bins of log10 B; 40 lies beyond 9 sigma."""

DURATION_EDGES: Final = np.logspace(-1, 6, 57)
"""Bins of durations, s: eight a decade."""

EXCESS_EDGES: Final = np.logspace(0, 5, 41)
"""Bins of excess counts without their sign: eight a decade."""

SEPARATION_EDGES: Final = np.arange(0.0, 30.5, 0.5)
"""Bins of separations, arcsec."""

HARDNESS_EDGES: Final = np.linspace(-1.0, 1.0, 41)
"""Bins of hardness ratios."""

OBSERVATIONS_LISTED: Final = 5
"""Sources seen in at least so many observations are counted together."""

SKY_ORDER: Final = 6
"""Order of the HEALPix pixels in which sources are counted: 49,152 pixels of 0.84 deg2, each about
the size of a field of view."""

Parts = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins, one row a group.

    Attributes
    ----------
    edges : ndarray of float64, shape (n,)
        Edges of the bins [edge, next edge), ascending.
    counts : DataFrame of int64, n + 1 columns
        Column 0 holds values below the first edge and column n those at or above the last; column
        i those in the bin that begins at edge i - 1. NaN is not counted.
    """

    edges: Floats
    counts: pd.DataFrame

    @property
    def total(self) -> int:
        """Values that were counted."""
        return int(self.counts.to_numpy().sum())


def added(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Sum of counts of parts, by index, in ascending order of it.

    Examples
    --------
    >>> one = pd.DataFrame({"n": [1, 2]}, index=["a", "b"])
    >>> added([one, one.loc[["b"]]])["n"].to_dict()
    {'a': 1, 'b': 4}
    """
    frames = list(parts)
    # A part without rows may have an index of another type.
    joined = pd.concat([frame for frame in frames if len(frame)] or frames[:1])
    return joined.groupby(level=list(range(joined.index.nlevels)), sort=True).sum()


def histogram(
    values: ArrayLike, edges: Floats, groups: pd.Series | Sequence[Any] | None = None
) -> pd.DataFrame:
    """Count values in bins, for each group.

    Parameters
    ----------
    values : array_like of float
        Values; NaN are left out.
    edges : ndarray of float64
        Edges as in `Histogram`.
    groups : sequence, optional
        Group of each value; all are of the group "all" if not given.

    Returns
    -------
    DataFrame
        `Histogram.counts`.

    Examples
    --------
    >>> histogram([0.0, 0.5, 1.0, np.nan, 9.0], np.array([0.0, 1.0, 2.0])).loc["all"].tolist()
    [0, 2, 1, 1]
    """
    numbers = np.asarray(values, float)
    names = pd.Series("all", index=range(len(numbers))) if groups is None else pd.Series(groups)
    known = ~np.isnan(numbers)
    places = np.searchsorted(edges, numbers[known], side="right")
    table = pd.crosstab(names.to_numpy()[known], places)
    wide = table.reindex(columns=range(len(edges) + 1), fill_value=0).astype("int64")
    return wide.rename_axis(index=None, columns=None)


def run_counts(regions: pd.DataFrame) -> pd.DataFrame:
    """Count the regions of each time bin and band by kind and significance.

    Parameters
    ----------
    regions : DataFrame
        With the columns t_bin, e_lo, e_hi, kind, sigma_peak and sigma_eclipse.

    Returns
    -------
    DataFrame of int64
        Index t_bin, e_lo, e_hi; columns regions, peaks, eclipses (by kind) and, for each of
        `SIGMAS`, peak_S, eclipse_S and any_S: regions at or above that significance.
    """
    kinds = regions["kind"].to_numpy(str)
    sigmas = {kind: regions[f"sigma_{kind}"].to_numpy(float) for kind in ("peak", "eclipse")}
    counted: dict[str, Mask] = {"regions": np.ones(len(regions), bool)}
    counted |= {f"{kind}s": kinds == kind for kind in sigmas}
    for sigma in SIGMAS:
        peak, eclipse = (sigmas[kind] >= sigma for kind in ("peak", "eclipse"))
        counted |= {f"peak_{sigma}": peak, f"eclipse_{sigma}": eclipse}
        counted |= {f"any_{sigma}": peak | eclipse}
    frame = pd.DataFrame({name: value.astype("int64") for name, value in counted.items()})
    keys = [regions[name].to_numpy() for name in RUN]
    return frame.groupby(keys).sum().rename_axis(RUN)


def region_counts(regions: pd.DataFrame) -> Parts:
    """Everything that is counted of regions.

    Parameters
    ----------
    regions : DataFrame
        With the columns of `exod.catalogue.report.inputs.REGIONS`.

    Returns
    -------
    dict of str to DataFrame
        runs (see `run_counts`) and counts of histograms: log_b_peak, log_b_eclipse and duration
        for each time bin, excess (without its sign) for each kind.
    """
    bins = regions["t_bin"]
    return {
        "runs": run_counts(regions),
        "log_b_peak": histogram(regions["max_B_peak_log"], LOG_B_EDGES, bins),
        "log_b_eclipse": histogram(regions["max_B_eclipse_log"], LOG_B_EDGES, bins),
        "duration": histogram(regions["duration"], DURATION_EDGES, bins),
        "excess": histogram(np.abs(regions["excess"]), EXCESS_EDGES, regions["kind"]),
    }


def source_counts(unique: pd.DataFrame) -> Parts:
    """Everything that is counted of unique sources.

    Parameters
    ----------
    unique : DataFrame
        With the columns of `exod.catalogue.report.inputs.UNIQUE`.

    Returns
    -------
    dict of str to DataFrame
        sky (column n, index HEALPix pixel, see `sky_pixels`) and observations (column n, index
        number of observations with a region of the source, up to `OBSERVATIONS_LISTED`).
    """
    seen = unique["n_observations"].clip(upper=OBSERVATIONS_LISTED).to_numpy()
    pixels = sky_pixels(unique["ra_deg"].to_numpy(float), unique["dec_deg"].to_numpy(float))
    return {"sky": _tally(pixels), "observations": _tally(seen)}


def _tally(values: NDArray[np.integer]) -> pd.DataFrame:
    names, counts = np.unique(values, return_counts=True)
    return pd.DataFrame({"n": counts.astype("int64")}, index=names.astype("int64"))


def sky_pixels(ra_deg: Floats, dec_deg: Floats) -> Integers:
    """HEALPix pixels of order `SKY_ORDER` (nested, ICRS) of positions; NaN are left out."""
    known = np.isfinite(ra_deg) & np.isfinite(dec_deg)
    return healpix.sky_pixels(ra_deg[known], dec_deg[known], SKY_ORDER)


def pixel_centres(pixels: Integers, frame: str = "icrs") -> tuple[Floats, Floats]:
    """Longitude and latitude (deg) of the centres of HEALPix pixels.

    Parameters
    ----------
    pixels : ndarray of int64
        From `sky_pixels`.
    frame : {"icrs", "galactic"}
        Of the longitudes and latitudes.

    Returns
    -------
    longitude, latitude : ndarray of float64
        The longitude is within [0, 360).
    """
    ra, dec = healpix.pixel_centres(pixels, SKY_ORDER)
    sky = SkyCoord(ra, dec, unit="deg", frame="icrs").transform_to(frame).spherical
    return sky.lon.to_value(units.deg), sky.lat.to_value(units.deg)


def flag_counts(flags: pd.DataFrame) -> pd.DataFrame:
    """Count the regions that have each pair of flags; the diagonal counts single flags.

    Parameters
    ----------
    flags : DataFrame of bool
        One column a flag.

    Returns
    -------
    DataFrame of int64, flags x flags
        Symmetric. Two further rows are the same in each column: "(none)" counts regions without
        any flag, "(all)" all regions.
    """
    values = flags.to_numpy("int64")
    both = pd.DataFrame(values.T @ values, index=flags.columns, columns=flags.columns)
    both.loc["(none)"] = int((values.sum(axis=1) == 0).sum())
    both.loc["(all)"] = len(flags)
    return both.astype("int64")


def time_bins(runids: pd.Series) -> Floats:
    """Time bins (s) of runs or regions, from identifiers ``{obsid}_{subset}_{t_bin}_...``.

    Examples
    --------
    >>> time_bins(pd.Series(["0001730201_0_50_0.2_12", "0001730201_1_5_0.2_2"])).tolist()
    [50.0, 5.0]
    """
    if runids.empty:
        return np.empty(0)
    return runids.astype(str).str.split("_").str[2].to_numpy(float)


def good_and_bad(features: pd.DataFrame, columns: Mapping[tuple[int, str, str], str]) -> Parts:
    """Count significant bins, and regions with some, inside and outside bad time intervals.

    Parameters
    ----------
    features : DataFrame
        With runid and the columns named.
    columns : dict of (sigma, kind, place) to str
        Columns with the number of significant bins of a light curve; kind is peak or eclipse,
        place is gti or bti.

    Returns
    -------
    dict of str to DataFrame
        bins and regions, each with the index t_bin, sigma, kind. Columns of bins are gti and bti;
        columns of regions are gti (significant bins in good time only), bti (in bad time only) and
        both.
    """
    t_bin = time_bins(features["runid"])
    bins, regions = [], []
    for sigma, kind in sorted({key[:2] for key in columns}):
        good, bad = (features[columns[sigma, kind, place]].to_numpy() for place in ("gti", "bti"))
        key = {"t_bin": t_bin, "sigma": sigma, "kind": kind}
        bins.append(pd.DataFrame({**key, "gti": good, "bti": bad}))
        only = {"gti": (good > 0) & (bad == 0), "bti": (good == 0) & (bad > 0)}
        regions.append(pd.DataFrame({**key, **only, "both": (good > 0) & (bad > 0)}))
    index = ["t_bin", "sigma", "kind"]
    return {
        "bins": pd.concat(bins).groupby(index).sum().astype("int64"),
        "regions": pd.concat(regions).groupby(index).sum().astype("int64"),
    }


def searched_time(runs: pd.DataFrame) -> tuple[float, float]:
    """Time that was searched, and how much of it was good; that of the parts of a field once.

    Parameters
    ----------
    runs : DataFrame
        With obsid, subset, t_lo, t_hi, n_frames and n_gti. The runs of a subset search the same
        time with other bins; its time is that of the longest of them. Subsets of an observation
        from the same start to the same stop are parts of its field.

    Returns
    -------
    total, good : float
        Seconds.
    """
    used = runs[runs["n_frames"] > 0]
    if used.empty:
        return 0.0, 0.0
    span = used.assign(span=used["t_hi"] - used["t_lo"], good=used["n_gti"] / used["n_frames"])
    subsets = span.groupby(["obsid", "subset"]).agg(
        t_lo=("t_lo", "min"), t_hi=("t_hi", "max"), span=("span", "max"), good=("good", "mean")
    )
    times = subsets.groupby(["obsid", "t_lo", "t_hi"]).agg({"span": "max", "good": "mean"})
    return float(times["span"].sum()), float((times["span"] * times["good"]).sum())


def expected_false(runs: pd.DataFrame) -> pd.DataFrame:
    """Regions that chance is expected to make, for each time bin and band.

    Parameters
    ----------
    runs : DataFrame
        With t_bin, e_lo, e_hi, false_peaks and false_eclipses, which may be NaN.

    Returns
    -------
    DataFrame
        Index t_bin, e_lo, e_hi; columns runs, false_peaks, false_eclipses (sums over the runs for
        which they are known) and unknown (runs for which one of them is not).
    """
    false = runs[["false_peaks", "false_eclipses"]]
    counted = pd.DataFrame({"runs": np.ones(len(runs), "int64")}, index=runs.index)
    counted["unknown"] = false.isna().any(axis=1).astype("int64")
    counted[["false_peaks", "false_eclipses"]] = false.fillna(0.0)
    return counted.groupby([runs[name] for name in RUN]).sum()


def most_significant(unique: pd.DataFrame, n: int) -> pd.DataFrame:
    """The sources of the largest sigma of a peak or an eclipse; of equal ones the larger B first.

    Sigmas end at 10, so that B decides among the strongest.
    """
    sigma = unique[["sigma_peak", "sigma_eclipse"]].max(axis=1)
    strength = unique[["max_B_peak_log", "max_B_eclipse_log"]].max(axis=1)
    ordered = unique.assign(_sigma=sigma, _strength=strength).sort_values(
        ["_sigma", "_strength", "region_num"], ascending=[False, False, True]
    )
    return ordered.head(n).drop(columns=["_sigma", "_strength"]).reset_index(drop=True)
