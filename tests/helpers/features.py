"""Features of one light curve with pandas and scipy, in a plain loop."""

import warnings

import numpy as np
import pandas as pd
from scipy import signal, stats

from exod.counts.bayes import sigma_equivalent, threshold


def reference_maxima(values: pd.Series, limit: float) -> int:
    padded = np.r_[-np.inf, np.where(np.isnan(values), -np.inf, values), -np.inf]
    peaks, _ = signal.find_peaks(padded)
    return int((padded[peaks] > limit).sum())


def reference_ks(n: pd.Series, mu: pd.Series) -> tuple[float, float]:
    """As scipy has it; where its exact p comes out above 1 by rounding it takes another formula."""
    with warnings.catch_warnings(record=True, action="always") as caught:
        found = stats.ks_2samp(n, mu)
    return found.statistic, 1.0 if caught else found.pvalue


def reference_episodes(varies: np.ndarray, apart: int) -> int:
    count, before = 0, None
    for row in np.flatnonzero(varies):
        if before is None or row - before > apart:
            count += 1
        before = row
    return count


def reference_moments(values: pd.Series, name: str) -> dict[str, float]:
    differ = len(values) > 0 and values.nunique() > 1
    return {
        f"{name}_max": values.max(),
        f"{name}_min": values.min(),
        f"{name}_sum": values.sum(),
        f"{name}_mean": values.mean(),
        f"{name}_std": values.std(),
        f"{name}_skew": stats.skew(values) if differ else np.nan,
        f"{name}_kurt": stats.kurtosis(values) if differ else np.nan,
    }


def reference(curve: pd.DataFrame, t_bin: float) -> dict[str, float]:
    """Features of one light curve, as one would write them without thinking of speed."""
    length, mu = len(curve), curve["mu"].astype(float)
    test = reference_ks(curve["n"], mu) if length else (np.nan, np.nan)
    counts = curve["n"].to_numpy()
    peak = int(counts.argmax()) if length and counts.max() > 0 else -1
    apart = {5.0: 1000, 50.0: 100, 200.0: 5, 12.0: 417, 1500.0: 5}[t_bin]
    varies = (curve["B_peak_log"] > 6.4) | (curve["B_eclipse_log"] > 5.5)
    found = {
        "length": length,
        "n_bccd": curve["bccd"].sum(),
        "n_bti": curve["bti"].sum(),
        "ratio_bccd": curve["bccd"].sum() / length if length else np.nan,
        "ratio_bti": curve["bti"].sum() / length if length else np.nan,
        **reference_moments(curve["n"].astype(float), "n"),
        **reference_moments(mu, "mu"),
        "ks_stat": test[0],
        "ks_pval": test[1],
        "n_max_index": peak,
        "n_max_first_bin": peak == 0,
        "n_max_last_bin": peak >= 0 and peak == length - 1,
        "n_max_isolated": 0 < peak < length - 1 and counts[peak - 1] == 0 == counts[peak + 1],
        "max_B_peak_log": curve["B_peak_log"].max(),
        "max_B_eclipse_log": curve["B_eclipse_log"].max(),
        "sigma_peak": float(sigma_equivalent(curve["B_peak_log"].max(), "peak")),
        "sigma_eclipse": float(sigma_equivalent(curve["B_eclipse_log"].max(), "eclipse")),
        "n_local_peaks": reference_maxima(curve["B_peak_log"], 6.4),
        "n_local_eclipses": reference_maxima(curve["B_eclipse_log"], 5.5),
        "bin_min_between_peaks": apart,
        "n_peaks": reference_episodes(varies, apart),
    }
    for sigma in (3, 5):
        for kind in ("peak", "eclipse"):
            name, high = (
                f"n_{sigma}_sig_{kind}_bins",
                curve[f"B_{kind}_log"] >= threshold(sigma, kind),
            )
            found[name] = high.sum()
            found[f"{name}_bti"] = (high & curve["bti"]).sum()
            found[f"{name}_gti"] = (high & ~curve["bti"]).sum()
    return found
