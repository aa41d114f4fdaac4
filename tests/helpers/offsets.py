"""Offsets as the monitor describes them, with a step, a season and outliers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from exod.catalogue.report.offsets.offsetnumbers import Wording

WORDS = Wording("They are simulated.", "As archived", "As if reprocessed", "Taken back.")


def offsets(n, seed=0, detectors=("ACIS-I", "ACIS-S"), step=0.4, **more):
    """Offsets of 2000 to 2022, an observation each, with a step of dy in April of 2015."""
    random = np.random.default_rng(seed)
    years = np.sort(random.uniform(2000, 2022, n))
    dy = random.normal(0, 0.3, n) + step * (years > 2015.3)
    frame = pd.DataFrame(
        {
            "obsid": np.arange(n).astype(str),
            "year": years,
            "detector": random.choice(detectors, n),
            "dy": dy,
            "dz": random.normal(0.05, 0.35, n),
            "dy_new": dy - step * (years > 2015.3),
            "roll_deg": random.uniform(0, 360, n),
            "off_axis_arcmin": 2 * np.sqrt(random.random(n)),
            "name": "HD <1> $x",
        }
    )
    frame["dz_new"] = frame["dz"]
    return frame.assign(**more)
