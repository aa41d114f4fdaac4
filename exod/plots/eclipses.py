"""Completeness of eclipses: the detected fraction by depth and duration."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exod.completeness.curves import pooled
from exod.completeness.matching import ANY
from exod.plots.style import SMALL

_SOURCES: Final = {"injected": "Injected", "predicted": "Formula, best run"}


def eclipse_figure(table: pd.DataFrame) -> Figure:
    """Map of the detected fraction, depth against duration, for each rate of the source.

    Parameters
    ----------
    table : DataFrame
        From `exod.completeness.curves.summarise`, rows with a depth.

    Returns
    -------
    Figure
        A row of maps of what was injected, below it what the formula says if there is such; all
        backgrounds and off-axis angles together, at the smallest level of several.
    """
    level = float(table["level"].min())
    rows = table[(table["level"] == level) & (table["kind"] == ANY)]
    rows = pooled(rows, over=["background", "off_axis"])
    rates = sorted(rows["amplitude"].unique())
    sources = [source for source in _SOURCES if (rows["source"] == source).any()]
    size = (3.2 + 3.6 * len(rates), 1.2 + 3.3 * len(sources))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(sources), len(rates), squeeze=False)
    picture: Any = None
    for line, source in zip(grid, sources, strict=True):
        for axes, rate in zip(line, rates, strict=True):
            own = rows[(rows["source"] == source) & (rows["amplitude"] == rate)]
            picture = _draw_map(axes, own)
            axes.set_title(f"{_SOURCES[source]}: {rate:g} ct/s", fontsize=10)
        line[0].set_ylabel("Depth, share of the light (%)")
    for axes in grid[-1]:
        axes.set_xlabel("Duration (s)")
    bar = figure.colorbar(picture, ax=grid, shrink=0.85, pad=0.02)
    bar.set_label("Detected fraction")
    trials = int(rows.loc[rows["source"] == "injected", "trials"].sum())
    figure.suptitle(f"Eclipses found in any run (level {level:g}); {trials:,} trials", fontsize=12)
    return figure


def _draw_map(axes: Axes, rows: pd.DataFrame) -> Any:
    """Squares of one size with their fraction, whatever the steps of depth and duration."""
    shares = rows.pivot(index="depth", columns="duration", values="fraction")
    values = shares.to_numpy(float)
    picture = axes.imshow(values, origin="lower", cmap="viridis", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(np.arange(values.shape[1]), [f"{duration:g}" for duration in shares.columns])
    axes.set_yticks(np.arange(values.shape[0]), [f"{100 * depth:g}" for depth in shares.index])
    for (y, x), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "black" if value > 0.55 else "white"
            axes.text(
                x, y, f"{value:.2f}", color=colour, ha="center", va="center", fontsize=SMALL + 1
            )
    return picture
