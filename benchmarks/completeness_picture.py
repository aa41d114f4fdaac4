"""Picture of the completeness of several searches at equal numbers of false regions."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from exod.plots.efficiency.completeness import draw_published, error_bars, logarithmic_counts
from exod.plots.style import BLUE, ORANGE, SMALL, VERMILLION

_SEVERAL_COLOURS: Final = {"deep": BLUE, "published": VERMILLION, "EXOD I": ORANGE}


def methods_figure(needed: pd.DataFrame) -> Figure:
    """Counts for 50 % against duration of several searches.

    Parameters
    ----------
    needed : DataFrame
        One row a background, duration, method and source (injected or predicted): n50, n50_low,
        n50_high.
    """
    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    axes = figure.subplots()
    known = needed[np.isfinite(needed["n50"]) & (needed["n50"] > 0)].sort_values("duration")
    for key, own in known.groupby(["method", "background", "source"], sort=False):
        method, background, source = (str(part) for part in key)
        if source == "predicted":
            colour, style = _SEVERAL_COLOURS[method], "-" if background == "quiet" else "--"
            axes.plot(own["duration"], own["n50"], color=colour, ls=style, lw=5, alpha=0.2)
            continue
        # The lines are apart, so that their bars can be told.
        axes.errorbar(
            own["duration"] * (1.03 if background == "quiet" else 0.97),
            own["n50"],
            yerr=error_bars(own, "n50"),
            color=_SEVERAL_COLOURS[method],
            ls="-" if background == "quiet" else "--",
            marker="o",
            mfc=_SEVERAL_COLOURS[method] if background == "quiet" else "white",
            ms=5,
            lw=1.4,
            capsize=2,
            label=f"{method}, {background}",
        )
    draw_published(axes, 0, "D", "EXOD2, as published (time bin)")
    logarithmic_counts(axes, sorted(needed["duration"].unique()))
    axes.set_xlabel("Duration of the burst (s)")
    axes.set_ylabel("Expected counts for 50 % detection")
    axes.set_title(
        "Searches at equal numbers of false regions; broad lines: predicted", fontsize=11
    )
    axes.legend(fontsize=SMALL, frameon=False)
    return figure
