"""Which runs find the regions of the others, and how bright regions of each run are."""

from __future__ import annotations

from typing import Final

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exod.plots.style import SMALL, series_style
from exod.schemas.arrays import Floats, Integers
from exod.sources.recovery import Recovery

_MAP: Final = "cividis"
"""Evenly perceived, also by the colour-blind (Nunez, Anderton & Renslow 2018, PLoS ONE 13)."""


def recovery_figure(
    recovery: Recovery, histograms: Integers, edges: Floats, label: str, radius_arcsec: float
) -> Figure:
    """Matrix of the recovery of runs by others, and distributions of mean counts.

    Parameters
    ----------
    recovery : Recovery
        Counts of regions recovered.
    histograms : ndarray of int64, shape (n_runs, n_bins)
        Regions of each run by mean counts.
    edges : ndarray of float64, shape (n_bins + 1,)
        Edges of these bins, positive.
    label : str
        What the bins are of.
    radius_arcsec : float
        For the title.

    Returns
    -------
    Figure
        Two panels, three where runs have more than one band.
    """
    runs = recovery.runs
    bands = list(runs[["e_lo", "e_hi"]].drop_duplicates().itertuples(index=False, name=None))
    size = max(0.62 * len(runs), 4.0)
    figure = Figure(figsize=(size + 3.4 + 4.2, size + 1.2), layout="constrained")
    left, right = np.ravel(np.asarray(figure.subfigures(1, 2, width_ratios=[size + 3.4, 4.2])))
    axes = left.subplots()
    _draw_matrix(axes, recovery)
    axes.set_title(
        f"Fraction recovered within {radius_arcsec:g}″ in the same observation", fontsize=10
    )
    panels = np.atleast_1d(right.subplots(max(len(bands), 1), 1, sharex=True))
    for panel, band in zip(panels, bands, strict=False):
        own = (runs[["e_lo", "e_hi"]] == list(band)).all(axis=1).to_numpy()
        _draw_histograms(panel, runs[own], histograms[own], edges)
        panel.set_title(f"{band[0]:g}–{band[1]:g} keV", fontsize=SMALL + 2)
    panels[-1].set_xlabel(label)
    return figure


def _draw_matrix(axes: Axes, recovery: Recovery) -> None:
    names = [
        f"{t_bin:g} s, {e_lo:g}–{e_hi:g}"
        for t_bin, e_lo, e_hi in recovery.runs[["t_bin", "e_lo", "e_hi"]].to_numpy()
    ]
    fraction = recovery.fraction
    shown = fraction if names else np.full((1, 1), np.nan)
    colours = matplotlib.colormaps[_MAP].with_extremes(bad="white")
    image = axes.imshow(shown, vmin=0, vmax=1, cmap=colours)
    for (of, by), value in np.ndenumerate(fraction):
        text = f"{value:.2f}\n{recovery.recovered[of, by]:,}" if np.isfinite(value) else "–"
        dark = np.isfinite(value) and value < 0.5
        axes.text(
            by, of, text, ha="center", va="center", fontsize=SMALL, color="w" if dark else "k"
        )
    rows = [f"{name}  ({n:,})" for name, n in zip(names, recovery.n_regions, strict=True)]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=SMALL)
    axes.set_yticks(range(len(names)), rows, fontsize=SMALL)
    axes.set_xlabel("found in the run (time bin, keV)")
    axes.set_ylabel("Regions of the run (time bin, keV; number)")
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label="Fraction recovered")


def _draw_histograms(axes: Axes, runs: pd.DataFrame, histograms: Integers, edges: Floats) -> None:
    for number, (t_bin, counts) in enumerate(zip(runs["t_bin"], histograms, strict=True)):
        colour, line = series_style(number)
        axes.stairs(counts, edges, color=colour, ls=line, lw=1.4, label=f"{t_bin:g} s")
    axes.set_xscale("log")
    axes.set_ylabel("Regions")
    axes.tick_params(labelsize=SMALL)
    if len(runs):
        axes.legend(fontsize=SMALL, frameon=False)
