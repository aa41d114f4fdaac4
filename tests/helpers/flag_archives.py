"""Features of made-up archives, plainly computed, for tests of what is made of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.archive.increments import deriving, write_part
from exod.schemas import DERIVED, FEATURES
from helpers.survey_archives import fill


def add_features(archive: Archive) -> pd.DataFrame:
    """Publish the product features of an archive, as far as flags and filters need it."""
    entries = archive.entries()
    rows = []
    for entry in entries:
        tables = archive.observation(entry.obsid, "regions", "lightcurves")
        for detid, curve in tables["lightcurves"].groupby("detid"):
            rows.append(_features(str(detid), curve))
    frame = fill(FEATURES, rows) if rows else FEATURES.frame()
    with deriving(archive.store, "features", DERIVED["features"]) as new:
        new.attempts = {entry.obsid: entry.attempt for entry in entries}
        new.parameters = {"made": "plainly"}
        new.files.append(write_part(archive.store, new.folder, FEATURES, frame, "all"))
    return frame


def _features(detid: str, curve: pd.DataFrame) -> dict[str, object]:
    n = curve["n"].to_numpy()
    best = int(np.argmax(n))
    inner = 0 < best < len(n) - 1
    return {
        "detid": detid,
        "runid": curve["runid"].iloc[0],
        "obsid": curve["obsid"].iloc[0],
        "length": len(n),
        "n_max": n.max(),
        "n_sum": n.sum(),
        "n_mean": n.mean(),
        "n_max_index": best,
        "n_max_first_bin": best == 0,
        "n_max_last_bin": best == len(n) - 1,
        "n_max_isolated": bool(inner and n[best - 1] == 0 and n[best + 1] == 0),
        "max_B_peak_log": curve["B_peak_log"].max(),
        "max_B_eclipse_log": curve["B_eclipse_log"].max(),
        "ratio_bccd": 0.0,
        "n_3_sig_peak_bins": 1,
        "n_3_sig_peak_bins_gti": 1,
    }
