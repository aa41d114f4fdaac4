"""What is known of a source from its regions: the best of them, and the error of their mean."""

from __future__ import annotations

import pandas as pd


def best_regions(rows: pd.DataFrame) -> pd.Series:
    """The detid of the most significant region of each `source`.

    It is the least likely by chance, then that of the largest sigma, of the largest Bayes factor,
    and the first detid.
    """
    sigma = rows[["sigma_peak", "sigma_eclipse"]].max(axis=1)
    bayes = rows[["max_B_peak_log", "max_B_eclipse_log"]].max(axis=1)
    ranked = rows.assign(sigma=sigma, bayes=bayes).sort_values(
        ["source", "fap_obs", "sigma", "bayes", "detid"], ascending=[True, True, False, False, True]
    )
    return ranked.drop_duplicates("source").set_index("source")["detid"]


def position_errors(rows: pd.DataFrame) -> pd.Series:
    """Error of the mean position of each `source` in arcsec; NaN if no region has an error.

    Notes
    -----
    The runs of an observation see the same photons, so that their errors do not average out: that
    of its mean is the mean of theirs. Observations are independent: their errors add in quadrature,
    each weighted with its share of the regions, since that is its share of the mean position.
    """
    known = rows[rows["pos_err_arcsec"] > 0]
    groups = known.groupby(["source", "obsid"])["pos_err_arcsec"]
    weighted = (groups.sum() ** 2).groupby("source").sum() ** 0.5
    return weighted / known.groupby("source").size()
