"""Completeness: fractions and counts needed of bursts, eclipses by depth and duration."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from exod.completeness.curves import PUBLISHED, agreement, comparable_levels, counts_needed, pooled
from exod.completeness.matching import ANY
from exod.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SMALL, VERMILLION

_METHOD_COLOURS: Final = {"search": BLUE, "exod1": ORANGE, "exod1-ks": PURPLE}
_BACKGROUND_COLOURS: Final = {"quiet": BLUE, "flaring": VERMILLION}
_ECLIPSE_SOURCES: Final = {"injected": "Injected", "predicted": "Formula, best run"}
_PUBLISHED_MARKERS: Final = ("o", "s", "D")


def completeness_figure(table: pd.DataFrame) -> Figure:
    """Picture of a campaign.

    Parameters
    ----------
    table : DataFrame
        From `exod.completeness.curves.summarise`.

    Returns
    -------
    Figure
        Fraction in any run against counts for each duration, all fields together; counts for 50
        and 90 % against duration, of several methods at levels with equal false regions;
        prediction against injection.
    """
    figure = Figure(figsize=(15, 6), layout="constrained")
    curves, against, pairs = figure.subplots(1, 3)
    # Of several methods and levels, curves are those of the one that was searched with first.
    first = table.sort_values(["method", "level"], key=_search_first).iloc[0]
    own = table[(table["method"] == first["method"]) & (table["level"] == first["level"])]
    _draw_curves(curves, own[own["kind"] == ANY])
    _draw_needed(against, table[table["kind"] == ANY])
    _draw_pairs(pairs, own)
    level = f"level {first['level']:g}"
    drawn = own[(own["kind"] == ANY) & (own["source"] == "injected")]
    figure.suptitle(
        f"Bursts found in any run ({first['method']}, {level}); "
        f"{int(drawn['trials'].sum()):,} trials",
        fontsize=12,
    )
    return figure


def _search_first(values: pd.Series[Any]) -> pd.Series[Any]:
    return values.map(lambda value: "" if value == "search" else value)


def _draw_curves(axes: Axes, rows: pd.DataFrame) -> None:
    """Fractions of each duration: points injected, lines predicted."""
    total = pooled(rows, over=["background", "off_axis"])
    durations = sorted(total["duration"].unique())
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(durations)))
    for duration, colour in zip(durations, colours, strict=True):
        own = total[total["duration"] == duration].sort_values("amplitude")
        drawn = own[own["source"] == "injected"]
        axes.errorbar(
            drawn["amplitude"],
            drawn["fraction"],
            yerr=error_bars(drawn, "fraction"),
            fmt="o",
            ms=4,
            color=colour,
            lw=1,
            label=f"{duration:g} s",
            zorder=3,
        )
        predicted = own[own["source"] == "predicted"]
        shown = predicted if len(predicted) else drawn
        axes.plot(shown["amplitude"], shown["fraction"], color=colour, lw=1.3)
    axes.set_xscale("log")
    _plain_ticks(axes.xaxis, sorted(total["amplitude"].unique()))
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("Expected counts of the burst, all cameras, whole PSF")
    axes.set_ylabel("Detected fraction")
    axes.set_title("Points: injected; lines: predicted", fontsize=10)
    axes.legend(title="Duration", fontsize=SMALL, title_fontsize=SMALL, frameon=False)
    axes.grid(alpha=0.25)


def error_bars(rows: pd.DataFrame, name: str) -> np.ndarray[Any, Any]:
    """Lengths of error bars of a column, shape (2, n); 0 where there is no limit."""
    bars = np.stack([rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]])
    return np.where(np.isfinite(bars), np.maximum(bars, 0), 0)


def _plain_ticks(axis: Any, values: list[float]) -> None:
    """Label a logarithmic axis at these values."""
    axis.set_ticks(values)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _draw_needed(axes: Axes, rows: pd.DataFrame) -> None:
    """Counts for 50 % against duration, by method and background."""
    levels = comparable_levels(rows)
    needed = counts_needed(pooled(rows, over=["off_axis"]))
    needed = needed.merge(levels, on=["method", "background", "level"])
    several = needed["method"].nunique() > 1
    injected = needed[needed["source"] == "injected"]
    for key, own in injected.groupby(["method", "level", "background"]):
        method, level, background = (str(part) for part in key)
        colour = _METHOD_COLOURS[method] if several else _BACKGROUND_COLOURS[background]
        style = "-" if background == "quiet" else "--"
        name = f"{method} {float(level):g}, {background}" if several else f"{background}"
        for fraction, marker, width in ((50, "o", 1.5), (90, "s", 0.9)):
            column = f"n{fraction}"
            known = own[np.isfinite(own[column]) & (own[column] > 0)]
            axes.errorbar(
                known["duration"],
                known[column],
                yerr=error_bars(known, column),
                color=colour,
                ls=style,
                lw=width,
                marker=marker,
                ms=4,
                mfc=colour if fraction == 50 else "white",
                label=f"{name}, {fraction} %",
            )
    for i, (fraction, marker) in enumerate(zip((50, 90, 100), _PUBLISHED_MARKERS, strict=True)):
        draw_published(axes, i, marker, f"EXOD2 published, {fraction} %")
    logarithmic_counts(axes, sorted({*needed["duration"], *PUBLISHED}))
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.set_xlabel("Duration of the burst (s); time bin of the published points")
    axes.set_ylabel("Expected counts for detection")
    axes.legend(
        fontsize=SMALL, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14)
    )


def draw_published(axes: Axes, column: int, marker: str, label: str) -> None:
    """Mark the published counts, those of a column of `exod.completeness.curves.PUBLISHED`."""
    counts = [values[column] for values in PUBLISHED.values()]
    axes.plot(list(PUBLISHED), counts, marker, color=GREY, ms=7, mfc="none", mew=1.4, label=label)


def logarithmic_counts(axes: Axes, durations: list[float]) -> None:
    """Logarithmic axes of counts against durations."""
    axes.set(xscale="log", yscale="log")
    _plain_ticks(axes.xaxis, durations)
    _plain_ticks(axes.yaxis, [5, 7, 10, 15, 20, 30, 50, 70, 100])
    axes.grid(alpha=0.25, which="both")


def _draw_pairs(axes: Axes, rows: pd.DataFrame) -> None:
    """Injected against predicted fractions, each point of the grid."""
    found = agreement(rows)
    axes.plot([0, 1], [0, 1], color=BLACK, lw=1)
    axes.fill_between([0, 1], [-0.05, 0.95], [0.05, 1.05], color=GREEN, alpha=0.2, lw=0)
    for is_any, colour, name in ((False, GREY, "single runs"), (True, VERMILLION, "any run")):
        own = found[(found["kind"] == ANY) == is_any]
        axes.errorbar(
            own["fraction_predicted"],
            own["fraction_injected"],
            yerr=own["error"],
            fmt="o",
            ms=3 + is_any,
            lw=0.5,
            color=colour,
            alpha=0.35 + 0.4 * is_any,
            label=name,
            zorder=2 + is_any,
        )
    if found.empty:
        axes.text(0.5, 0.5, "no prediction", ha="center", va="center")
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.15, 1.15)
    axes.set_xlabel("Predicted fraction")
    axes.set_ylabel("Injected fraction")
    axes.set_title("Each point of the grid; band: 5 points", fontsize=10)
    axes.legend(fontsize=SMALL, frameon=False, loc="upper left")
    axes.grid(alpha=0.25)


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
    sources = [source for source in _ECLIPSE_SOURCES if (rows["source"] == source).any()]
    size = (3.2 + 3.6 * len(rates), 1.2 + 3.3 * len(sources))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(sources), len(rates), squeeze=False)
    picture: Any = None
    for line, source in zip(grid, sources, strict=True):
        for axes, rate in zip(line, rates, strict=True):
            own = rows[(rows["source"] == source) & (rows["amplitude"] == rate)]
            picture = _draw_map(axes, own)
            axes.set_title(f"{_ECLIPSE_SOURCES[source]}: {rate:g} ct/s", fontsize=10)
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
