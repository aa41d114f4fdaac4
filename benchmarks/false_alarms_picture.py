"""Calibration of false alarms: found against predicted, and how probable the strongest are."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from exod.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, SMALL, VERMILLION

_COLOURS: Final = (BLUE, ORANGE, GREEN, VERMILLION)
_MARKERS: Final = ("o", "s", "^", "D")
_PRESET_COLOURS: Final = {"published": ORANGE, "deep": BLUE}

_BAND: Final = 0.2
"""Half-width of the band about equality."""

_APART: Final = 0.035
"""Points of different conditions are drawn so much apart, in log10."""


def calibration_figure(table: pd.DataFrame, smallest: pd.DataFrame) -> Figure:
    """Picture of the calibration.

    Parameters
    ----------
    table : DataFrame
        A row for each preset, condition, rate and kind: observations, predicted, observed and the
        error of their ratio.
    smallest : DataFrame
        The smallest `fap_obs` of each observation and preset; NaN where nothing was found.

    Returns
    -------
    Figure
        False regions an observation, found against predicted, one panel a preset; fraction of
        observations whose smallest `fap_obs` is below each value.
    """
    figure = Figure(figsize=(14, 4.8), layout="constrained")
    panels = figure.subplots(1, 3)
    shown = table[(table["kind"] == "both") & (table["condition"] != "all")]
    for axes, (preset, own) in zip(panels, shown.groupby("preset", sort=False), strict=False):
        _draw_counts(axes, own)
        axes.set_title(f"Preset {preset}", fontsize=10)
    _draw_probabilities(panels[2], smallest)
    return figure


def _draw_counts(axes: Axes, table: pd.DataFrame) -> None:
    conditions = list(dict.fromkeys(table["condition"]))
    for number, condition in enumerate(conditions):
        own = table[table["condition"] == condition]
        n = own["observations"].to_numpy(float)
        predicted, observed = (own[name].to_numpy(float) / n for name in ("predicted", "observed"))
        error = own["error"].to_numpy(float) * predicted
        some = observed > 0
        axes.errorbar(
            (predicted * 10 ** (_APART * (number - (len(conditions) - 1) / 2)))[some],
            observed[some],
            yerr=np.stack([np.minimum(error, 0.9 * observed), error])[:, some],
            fmt=_MARKERS[number % len(_MARKERS)],
            color=_COLOURS[number % len(_COLOURS)],
            ms=5,
            lw=1,
            label=condition,
            zorder=3,
        )
    _draw_equality(axes, (0.008, 60.0))
    axes.set_xlabel("Predicted false regions an observation")
    axes.set_ylabel("Found false regions an observation")
    axes.legend(fontsize=SMALL, frameon=False, loc="upper left")


def _draw_probabilities(axes: Axes, smallest: pd.DataFrame) -> None:
    for preset, own in smallest.groupby("preset", sort=False):
        value = np.sort(own["fap_obs"].dropna().to_numpy(float))
        fraction = np.arange(1, len(value) + 1) / len(own)
        colour = _PRESET_COLOURS.get(str(preset), BLACK)
        axes.step(value, fraction, where="post", color=colour, lw=1.5, label=str(preset))
    n = max(smallest.groupby("preset").size().max(), 1)
    grid = np.geomspace(1 / n, 1, 100)
    spread = 2 * np.sqrt(grid * (1 - grid) / n)
    axes.fill_between(
        grid,
        np.maximum(grid - spread, 1e-4),
        grid + spread,
        color=GREY,
        alpha=0.2,
        lw=0,
        label="two standard deviations",
    )
    axes.plot(grid, grid, color=GREY, lw=1)
    _logarithmic(axes, (0.7 / n, 1.3))
    axes.set_xlabel("Smallest fap_obs of an observation")
    axes.set_ylabel("Fraction of observations below")
    axes.set_title("All conditions", fontsize=10)
    axes.legend(fontsize=SMALL, frameon=False, loc="upper left")


def _draw_equality(axes: Axes, limits: tuple[float, float]) -> None:
    line = np.array(limits)
    axes.fill_between(
        line, line * (1 - _BAND), line * (1 + _BAND), color=GREY, alpha=0.2, lw=0, label="20 %"
    )
    axes.plot(line, line, color=GREY, lw=1)
    _logarithmic(axes, limits)


def _logarithmic(axes: Axes, limits: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(alpha=0.25)
