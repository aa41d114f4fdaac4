"""Features of light curves (method.md, Features), computed for many light curves at once.

Nothing but the Kolmogorov-Smirnov test loops over light curves: sums and extremes are those of
the rows between offsets. The slow reference, curve by curve with pandas and scipy, is in
``tests/helpers/features.py``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from exod.counts.bayes import Kind, sigma_equivalent, threshold
from exod.errors import InputError
from exod.schemas.arrays import Floats, Integers, Mask
from exod.sources.vetting.episodes import (
    ECLIPSE_LIMIT,
    PEAK_LIMIT,
    Segments,
    episodes,
    largest_peak,
    local_maxima,
    spacing,
)


@dataclass(frozen=True)
class Curves:
    """Many light curves, their frames one after the other.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n_curves + 1,)
        First frame of each, and one past the last frame of the last; ascending from 0. Equal
        neighbours are an empty light curve.
    t_bin : ndarray of float64, shape (n_curves,)
        Lengths of the frames in seconds.
    n : ndarray of int, shape (n_rows,)
        Counts.
    mu : ndarray of float, shape (n_rows,)
        Expected counts.
    bti, bccd : ndarray of bool, shape (n_rows,)
        Frame in a bad time interval; frame in which a CCD or a camera was off.
    B_peak_log, B_eclipse_log : ndarray of float64, shape (n_rows,)
        log10 Bayes factors; NaN where nothing is expected.

    Raises
    ------
    InputError
        If the arrays do not fit together.
    """

    offsets: Integers
    t_bin: Floats
    n: NDArray[np.integer]
    mu: NDArray[np.floating]
    bti: Mask
    bccd: Mask
    B_peak_log: Floats
    B_eclipse_log: Floats

    def __post_init__(self) -> None:
        offsets = self.offsets
        rows = {len(getattr(self, field.name)) for field in fields(self)[2:]}
        if not len(offsets) or offsets[0] or (np.diff(offsets) < 0).any():
            raise InputError("Offsets of light curves must ascend from 0.")
        if rows != {int(offsets[-1])} or len(self.t_bin) != len(offsets) - 1:
            raise InputError("Arrays of light curves differ in length from what offsets say.")


def features(curves: Curves) -> dict[str, NDArray[Any]]:
    """Features of light curves, by the names of the columns of the table ``features``.

    Parameters
    ----------
    curves : Curves
        The light curves.

    Returns
    -------
    dict of str to ndarray, each of shape (n_curves,)
        All from ``length`` to ``n_5_sig_eclipse_bins_gti``. Numbers of frames are int64, flags
        bool, the rest float64. Without frames all numbers are 0 but n_max_index, which is -1, and
        what would be a property of frames is NaN.

    Examples
    --------
    >>> from exod.counts.bayes import log10_b_eclipse, log10_b_peak
    >>> n, mu = np.array([0, 1, 0, 9, 0]), np.full(5, 0.5)
    >>> good = np.zeros(5, bool)
    >>> b = log10_b_peak(n, mu), log10_b_eclipse(n, mu)
    >>> found = features(Curves(np.array([0, 5]), np.array([50.0]), n, mu, good, good, *b))
    >>> found["n_max"], found["n_max_index"], found["n_max_isolated"], found["n_peaks"]
    (array([9.]), array([3]), array([ True]), array([1]))
    """
    segments = Segments(np.asarray(curves.offsets, np.int64))
    mu = np.asarray(curves.mu, float)
    lengths, n_bccd, n_bti = (
        segments.lengths,
        segments.count(curves.bccd),
        segments.count(curves.bti),
    )
    ks_stat, ks_pval = ks_test(segments, curves.n, mu)
    return {
        "length": lengths,
        "n_bccd": n_bccd,
        "n_bti": n_bti,
        "ratio_bccd": _ratio(n_bccd, lengths),
        "ratio_bti": _ratio(n_bti, lengths),
        **_moments(segments, np.asarray(curves.n, float), "n"),
        **_moments(segments, mu, "mu"),
        "ks_stat": ks_stat,
        "ks_pval": ks_pval,
        **largest_peak(segments, curves.n),
        **_significance(segments, curves),
    }


def ks_test(segments: Segments, n: NDArray[np.integer], mu: Floats) -> tuple[Floats, Floats]:
    """Two-sample Kolmogorov-Smirnov test of n against mu of each light curve.

    It compares how counts and expected counts are distributed over frames, whatever their order.
    mu is no sample: it has no Poisson noise, so that p is small for any source whose counts
    scatter as they should. Use both numbers for ordering only. p is exact up to 10,000 frames and
    asymptotic above, as `scipy.stats.ks_2samp` has it: one light curve after the other, a
    millisecond each.

    Returns
    -------
    statistic, p : ndarray of float64, shape (n_curves,)
        NaN for empty light curves and for those with mu that is not finite.

    Examples
    --------
    >>> mu = np.array([1.5, 1.5, 1.5, 1.5])
    >>> statistic, p = ks_test(Segments(np.array([0, 4])), np.array([0, 1, 1, 9]), mu)
    >>> statistic, p.round(4)
    (array([0.75]), array([0.2286]))
    """
    finite = segments.reduce(np.logical_and, np.isfinite(mu), empty=False)
    statistic, p = np.full(segments.n, np.nan), np.full(segments.n, np.nan)
    for curve in np.flatnonzero(finite & (segments.lengths > 0)):
        own = slice(*segments.offsets[curve : curve + 2])
        # Where the exact p comes out above 1 by rounding scipy warns and takes the asymptotic one.
        with warnings.catch_warnings(record=True, action="always") as above_one:
            found = stats.ks_2samp(n[own], mu[own])
        statistic[curve], p[curve] = found.statistic, 1.0 if above_one else found.pvalue
    return statistic, p


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """Quotient; NaN where `whole` is 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _moments(segments: Segments, values: Floats, name: str) -> dict[str, Floats]:
    """Extremes, sum and moments: std as pandas, skew and kurt as `scipy.stats` by default.

    That is the sample standard deviation (ddof 1, NaN below two frames), and the skewness and
    excess kurtosis of the population (bias=True, NaN where the values do not differ).
    """
    lengths = segments.lengths.astype(float)
    total = segments.sum(values)
    mean = _ratio(total, lengths)
    shifted = values - mean[segments.owner]
    power = shifted * shifted
    squares = segments.sum(power)
    power *= shifted
    third = _ratio(segments.sum(power), lengths)
    power *= shifted
    fourth = _ratio(segments.sum(power), lengths)
    second = _ratio(squares, lengths)
    # What scipy takes for equal values.
    differ = second > (np.finfo(float).eps * mean) ** 2
    second = np.where(differ, second, np.nan)
    return {
        f"{name}_max": segments.reduce(np.maximum, values, np.nan),
        f"{name}_min": segments.reduce(np.minimum, values, np.nan),
        f"{name}_sum": total,
        f"{name}_mean": mean,
        f"{name}_std": np.sqrt(_ratio(squares, lengths - 1)),
        f"{name}_skew": third / second**1.5,
        f"{name}_kurt": fourth / second**2 - 3,
    }


def _significance(segments: Segments, curves: Curves) -> dict[str, NDArray[Any]]:
    """What the Bayes factors say."""
    b_log: dict[Kind, Floats] = {
        "peak": np.asarray(curves.B_peak_log, float),
        "eclipse": np.asarray(curves.B_eclipse_log, float),
    }
    limits: dict[Kind, float] = {"peak": PEAK_LIMIT, "eclipse": ECLIPSE_LIMIT}
    largest = {kind: segments.reduce(np.fmax, b, np.nan) for kind, b in b_log.items()}
    apart = spacing(curves.t_bin)
    varies = (b_log["peak"] > PEAK_LIMIT) | (b_log["eclipse"] > ECLIPSE_LIMIT)
    found: dict[str, NDArray[Any]] = {
        **{f"max_B_{kind}_log": value for kind, value in largest.items()},
        **{f"sigma_{kind}": sigma_equivalent(value, kind) for kind, value in largest.items()},
        **{
            f"n_local_{kind}s": local_maxima(segments, b, limits[kind]) for kind, b in b_log.items()
        },
        "bin_min_between_peaks": apart,
        "n_peaks": episodes(segments, varies, apart),
    }
    for sigma in (3, 5):
        for kind, b in b_log.items():
            rows = np.flatnonzero(b >= threshold(sigma, kind))
            everywhere, bad = segments.count(rows), segments.count(rows[curves.bti[rows]])
            name = f"n_{sigma}_sig_{kind}_bins"
            found |= {name: everywhere, f"{name}_bti": bad, f"{name}_gti": everywhere - bad}
    return found
