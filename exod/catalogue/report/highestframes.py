"""Numbers of the report about the highest frame of light curves: its counts, is it alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from exod.catalogue.report.statistics import time_bins
from exod.schemas.arrays import Mask

HIGHEST_LISTED: Final = 41
"""Light curves whose highest frame has at least so many counts are counted together."""


def highest_frames(features: pd.DataFrame) -> pd.DataFrame:
    """Count light curves by the counts of their highest frame, and whether it is isolated.

    Parameters
    ----------
    features : DataFrame
        With runid, n_max (NaN is left out) and n_max_isolated.

    Returns
    -------
    DataFrame of int64
        Index t_bin, isolated (0 or 1) and n_max, a whole number up to `HIGHEST_LISTED`, which
        stands for all from there on; column n.
    """
    known = features["n_max"].notna().to_numpy()
    isolated = features["n_max_isolated"].fillna(value=False).to_numpy(bool)
    highest = features["n_max"].clip(upper=HIGHEST_LISTED).to_numpy(float)[known]
    frame = pd.DataFrame(
        {
            "t_bin": time_bins(features["runid"])[known],
            "isolated": isolated[known].astype("int64"),
            "n_max": np.floor(highest).astype("int64"),
            "n": np.ones(int(known.sum()), "int64"),
        }
    )
    return frame.groupby(["t_bin", "isolated", "n_max"]).sum()


def above(counts: pd.DataFrame, limits: Sequence[int]) -> pd.DataFrame:
    """Light curves whose highest frame has more counts than each limit.

    Parameters
    ----------
    counts : DataFrame
        From `highest_frames`.
    limits : sequence of int
        Below `HIGHEST_LISTED`.

    Returns
    -------
    DataFrame of int64
        Index limit; columns isolated, not isolated, and a number for each time bin.
    """
    n_max, t_bin, isolated = (
        counts.index.get_level_values(name) for name in ("n_max", "t_bin", "isolated")
    )
    groups: dict[str | float, Mask] = {"isolated": isolated == 1, "not isolated": isolated == 0}
    groups |= {float(width): t_bin == width for width in sorted(set(t_bin))}
    n = counts["n"].to_numpy()
    rows = {
        limit: {name: int(n[(n_max > limit) & own].sum()) for name, own in groups.items()}
        for limit in limits
    }
    return pd.DataFrame.from_dict(rows, orient="index", dtype="int64")
