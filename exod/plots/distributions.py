"""Pictures of distributions in the statistics report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from exod.catalogue.report.statistics import Histogram
from exod.counts.bayes import Kind, threshold
from exod.plots.style import BLACK, BLUE, SMALL, VERMILLION, label_logarithm, series_style

MANY: Final = 6
"""Groups above which a legend has two columns, so that it stays above the steps."""

_KIND_LINES: Final = {"peak": (VERMILLION, "-"), "eclipse": (BLUE, "--")}
_KINDS: tuple[Kind, Kind] = ("peak", "eclipse")


def _stairs(axes: Axes, shown: Histogram, label: Callable[[Any], str]) -> None:
    """Groups of a histogram as steps; values beyond the last edge are told in the label."""
    for number, (group, row) in enumerate(shown.counts.iterrows()):
        colour, line = _KIND_LINES.get(str(group), series_style(number))
        counts = row.to_numpy()
        beyond = f", {counts[-1]:,} beyond" if counts[-1] else ""
        text = f"{label(group)}{beyond}"
        axes.stairs(counts[1:-1], shown.edges, color=colour, ls=line, lw=1.6, label=text)


def _fit(axes: Axes, shown: Histogram, lowest: float | None = None) -> None:
    """Show the bins that hold something, and one on each side."""
    filled = np.flatnonzero(shown.counts.to_numpy()[:, 1:-1].sum(axis=0))
    if len(filled):
        edges = shown.edges
        low = edges[max(filled[0] - 1, 0)] if lowest is None else lowest
        axes.set_xlim(low, edges[min(filled[-1] + 2, len(edges) - 1)])


def _count_linearly(axes: Axes, shown: Histogram) -> None:
    """An axis of counts from 0, of whole numbers, with room for the legend."""
    top = shown.counts.to_numpy()[:, 1:-1].max(initial=0)
    axes.set_ylim(0, max((1.6 if len(shown.counts) > MANY else 1.3) * top, 1.0))
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def _legend(axes: Axes, **place: Any) -> None:
    """A legend inside the axes, in two columns if it has many entries."""
    columns = 1 + (len(axes.get_legend_handles_labels()[1]) > MANY)
    ground: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "framealpha": 0.85}
    axes.legend(fontsize=SMALL + 1, ncols=columns, **ground, **place)


def _count_logarithmically(axes: Axes, shown: Histogram) -> None:
    """A logarithmic axis of counts from 1 to 10 at least, so that it has two plain numbers."""
    top = shown.counts.to_numpy()[:, 1:-1].max(initial=0)
    # A long legend covers the upper part of the axes.
    axes.set_ylim(0.7, max(12.0, (4.0 if len(shown.counts) > MANY else 2.0) * top))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def draw_bayes(histograms: dict[str, Histogram]) -> Figure:
    """Distributions of log10 B of peaks and eclipses for each time bin, with the limits."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2), _KINDS, strict=True):
        shown = histograms[f"log_b_{kind}"]
        _stairs(axes, shown, "{:g} s".format)
        _fit(axes, shown, 0.0)
        for sigma, line in ((3, ":"), (5, "--")):
            limit = threshold(sigma, kind)
            axes.axvline(limit, color=BLACK, ls=line, lw=1.1, label=f"{sigma}σ: {limit:.2f}")
        axes.set_xlim(right=max(axes.get_xlim()[1], 1.15 * threshold(5, kind)))
        _count_logarithmically(axes, shown)
        axes.set(xlabel=f"largest log₁₀ B ({kind})", ylabel="Regions")
        _legend(axes, loc="upper right")
    return figure


def draw_events(duration: Histogram, excess: Histogram) -> Figure:
    """Distributions of the durations for each time bin and of the excess counts for each kind."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _stairs(left, duration, "{:g} s frames".format)
    _stairs(right, excess, str)
    left.set(xlabel="Duration (s)", ylabel="Regions")
    right.set(xlabel="PSF-corrected excess (ct, without its sign)", ylabel="Regions")
    for axes, shown in ((left, duration), (right, excess)):
        axes.set_xscale("log")
        _fit(axes, shown)
        label_logarithm(axes.xaxis)
        _count_linearly(axes, shown)
        if shown.total:
            _legend(axes)
    return figure


def draw_hardness(hardness: Histogram) -> Figure:
    """Distributions of the hardness ratios."""
    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axes = figure.subplots()
    # A ratio of exactly 1 is an ordinary value and belongs to the last bin.
    counts = hardness.counts.copy()
    counts[len(hardness.edges) - 1] += counts[len(hardness.edges)]
    counts[len(hardness.edges)] = 0
    shown = Histogram(hardness.edges, counts)
    _stairs(axes, shown, str)
    axes.set(xlabel="Hardness ratio, (hard − soft) / (hard + soft)", ylabel="Regions")
    axes.set_xlim(-1, 1)
    _count_linearly(axes, shown)
    _legend(axes, loc="upper right")
    return figure


def draw_separations(separations: Histogram) -> Figure:
    """Distances of regions from their sources."""
    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axes = figure.subplots()
    counts = separations.counts.to_numpy()[0]
    beyond = f"{counts[-1]:,} regions beyond" if counts[-1] else None
    axes.stairs(counts[1:-1], separations.edges, fill=True, color=BLUE, alpha=0.8, label=beyond)
    _fit(axes, separations, 0.0)
    axes.set(xlabel="Distance of a region from its source (″)", ylabel="Regions")
    _count_logarithmically(axes, separations)
    if beyond:
        axes.legend(frameon=False, fontsize=SMALL + 1)
    return figure
