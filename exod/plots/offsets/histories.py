"""Offsets against time: points, half-year medians with their boxes, fits and alerts."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from exod.catalogue.report.offsets.offsetnumbers import AXES, Version
from exod.plots.style import BLACK, BLUE, GREEN, ORANGE, SMALL, VERMILLION, as_it_is

REACH: Final = 2.0
"""Largest offset of a history, arcsec, or twice that; what is beyond is drawn at the edge."""

COLOURS: Final = {"dy": BLUE, "dz": ORANGE}
"""Those of the pages of astromon."""

MANY: Final = 1000
"""Points from which they are small and faint."""

SHOWN: Final = 20_000
"""Points that are drawn at most, evenly chosen, so that their number does not matter."""


def draw_history(version: Version, detector: str, alerts: pd.DataFrame) -> Figure:
    """Both components against time, one panel each.

    Parameters
    ----------
    version : Version
        Offsets and their medians.
    detector : str
        "all", or which.
    alerts : DataFrame
        Steps to mark, from `exod.catalogue.report.offsets.offsetnumbers.drift_alerts`.
    """
    reach = reach_of(version, REACH)
    figure = Figure(figsize=(10, 5.0), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    offsets = version.offsets
    if detector != "all":
        offsets = offsets[offsets["detector"] == detector]
    every = -(-len(offsets) // SHOWN)
    shown, bins = offsets.iloc[::every], version.history[detector]
    for axes, name in zip(panels, AXES, strict=True):
        _points(axes, shown["year"], shown[name], COLOURS[name], reach)
        _boxes(axes, bins[bins["axis"] == name])
        if detector == "all" and (fit := version.seasonal[name]) is not None:
            years = np.linspace(offsets["year"].min(), offsets["year"].max(), 1000)
            label = "cubic and yearly sine"
            axes.plot(years, fit.trend(years) + fit.season(years), color=GREEN, lw=1.2, label=label)
        for number, step in enumerate(alerts[alerts["axis"] == name].to_dict("records")):
            named = {"label": "alert"} if number == 0 else {}
            axes.axvline(step["year"], color=VERMILLION, ls="--", lw=1.5, **named)
            text = f"{step['size']:+.2f}″".replace("-", "−")
            style: dict[str, Any] = {
                "fontsize": SMALL,
                "color": VERMILLION,
                "textcoords": "offset points",
            }
            axes.annotate(text, (step["year"], 0.86 * reach), (4, 0), **style)
        axes.axhline(0, color="0.7", lw=0.8, zorder=0.5)
        axes.set_ylim(-reach, reach)
        axes.set_ylabel(f"{name} (″)")
        # Beside the axes, where it hides no offset.
        axes.legend(frameon=False, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    low, high = offsets["year"].min(), offsets["year"].max()
    margin = max(0.04 * (high - low), 0.6)
    panels[-1].set_xlim(low - margin, high + margin)
    panels[-1].xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    panels[-1].xaxis.set_major_formatter("{x:.0f}")
    panels[-1].set_xlabel("Year")
    name = "All detectors" if detector == "all" else as_it_is(detector)
    figure.suptitle(
        f"{name}, {len(offsets):,} offset{'' if len(offsets) == 1 else 's'}", fontsize=10
    )
    return figure


def reach_of(version: Version, usual: float) -> float:
    """The usual largest offset of a picture, or twice that if one in ten is beyond."""
    return usual if version.radial["all"].quantiles["radius"][90.0] < usual else 2 * usual


def scatter_offsets(axes: Axes, places: pd.Series, values: pd.Series, colour: str) -> None:
    """Points, small and faint if there are many, with a mark in the legend that is seen."""
    many = len(values) > MANY
    style: dict[str, Any] = {"color": colour, "lw": 0, "alpha": 0.45 if many else 0.8}
    axes.scatter(places, values, 3 if many else 12, zorder=1 if many else 4, **style)
    axes.scatter([], [], 14, color=colour, lw=0, label="offset")


def _points(axes: Axes, years: pd.Series, values: pd.Series, colour: str, reach: float) -> None:
    beyond = values.abs() > reach
    scatter_offsets(axes, years[~beyond], values[~beyond], colour)
    for sign, marker in ((1, "^"), (-1, "v")):
        out = beyond & (np.sign(values) == sign)
        place = np.full(int(out.sum()), sign * 0.97 * reach)
        axes.scatter(years[out], place, 14, marker=marker, color=colour, lw=0)
    if beyond.any():
        axes.scatter([], [], 14, marker="^", color=colour, lw=0, label=f"beyond ±{reach:g}″")


def _boxes(axes: Axes, bins: pd.DataFrame) -> None:
    """Medians as lines over their half year, with a box of 15.8 to 84.2 %."""
    width = (bins["stop"] - bins["start"]).to_numpy()
    height = (bins["high"] - bins["low"]).to_numpy()
    place = (bins["start"] + bins["stop"]).to_numpy() / 2
    style: dict[str, Any] = {"color": "none", "edgecolor": BLACK, "lw": 0.8, "label": "15.8–84.2 %"}
    axes.bar(place, height, 0.9 * width, bins["low"].to_numpy(), **style)
    ends = place - 0.45 * width, place + 0.45 * width
    axes.hlines(bins["median"], *ends, color=BLACK, lw=2.2, label="half-year median")
