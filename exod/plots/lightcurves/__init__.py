"""The light curve of a region: counts against what was expected, and how significant that is."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from exod.counts.bayes import Kind, threshold
from exod.plots.lightcurves.curves import KINDS, SIGMAS, Curve, significance_limits
from exod.plots.lightcurves.eventmarks import event_text, has_windows, mark_event, sigma_text
from exod.plots.style import (
    BLACK,
    KIND_COLOURS,
    KIND_MARKERS,
    ORANGE,
    SMALL,
    Row,
    has_variability,
    legend_below,
    position_text,
    run_text,
    shade_frames,
    utc,
)

LONG: Final = 400
"""Frames above which a light curve gets a close-up, since single frames become hard to see."""

MAX_STEPS: Final = 800
"""Steps that the page can show; frames of longer light curves are drawn in groups."""

ZOOM_FRAMES: Final = 40
"""Frames on each side of the most significant one in the close-up of a long light curve."""

_TELLING: Final = 0.2
"""Frames that were live for less than this say little of the rate; the axis need not hold them."""

LARGE_B: Final = 150.0
"""log10 B above which its axis is compressed, so that the thresholds stay visible."""

_BANDS = (("3σ", "#D6D6D6"), ("5σ", "#EDEDED"))


def region_light_curve(
    run: Row, region: Row, light_curve: pd.DataFrame, cells: pd.DataFrame | None = None
) -> Figure:
    """Counts of a region against expectation, and the Bayes factors of its frames.

    Counts above (below) the grey bands are peaks (eclipses) at 3 and 5 sigma. A light curve of
    many frames is drawn in groups of frames, with a close-up of the most significant one beside.

    Parameters
    ----------
    run, region : mapping or Series
        Rows of the tables runs and regions.
    light_curve : DataFrame
        Rows of the table lightcurves, one a frame.
    cells : DataFrame, optional
        Rows of the table cells of the region: their frames are marked, besides those in which the
        whole region is significant.

    Returns
    -------
    Figure
        Axes: counts above, Bayes factors below.
    """
    curve = Curve.of(run, light_curve, cells)
    figure, axes = _drawn(curve, run, _title(run, region, cells))
    mark_event(axes[0], run, region)
    legend_below(figure, axes.ravel(), columns=6)
    return figure


def place_light_curve(run: Row, light_curve: pd.DataFrame, title: str) -> Figure:
    """Counts of any cells, as `region_light_curve` shows those of a region.

    Parameters
    ----------
    run : mapping or Series
        Its t_lo, t_bin and sigma.
    light_curve : DataFrame
        Columns time, n, mu, live, bti, bccd, B_peak_log, B_eclipse_log; a row a frame.
    title : str
        What it is.

    Returns
    -------
    Figure
        Axes: counts above, Bayes factors below.
    """
    figure, axes = _drawn(Curve.of(run, light_curve), run, title)
    legend_below(figure, axes.ravel(), columns=6)
    return figure


def _drawn(curve: Curve, run: Row, title: str) -> tuple[Figure, NDArray[Any]]:
    """Counts above and Bayes factors below, without a legend."""
    is_long = len(curve) > LONG
    figure = Figure(figsize=(13 if is_long else 10, 6.6), layout="constrained")
    axes = figure.subplots(
        2,
        2 if is_long else 1,
        sharex="col",
        squeeze=False,
        height_ratios=(3, 2),
        width_ratios=(1.7, 1) if is_long else (1,),
    )
    if is_long:
        factor = -(-len(curve) // MAX_STEPS)
        peak = curve.most_significant()
        first, last = max(peak - ZOOM_FRAMES, 0), min(peak + ZOOM_FRAMES + 1, len(curve))
        _draw_column(axes[:, 0], curve, run, factor)
        _draw_column(axes[:, 1], curve.part(first, last), run, 1)
        groups = f", in groups of {factor} frames" if factor > 1 else ""
        axes[0, 0].set_title(f"Whole run{groups}; ▼ close-up", fontsize=10)
        axes[0, 1].set_title(f"±{ZOOM_FRAMES} frames around the most significant", fontsize=10)
        above = {"transform": axes[0, 0].get_xaxis_transform(), "clip_on": False}
        axes[0, 0].plot(curve.middles[peak], 1.015, "kv", markersize=5, **above)
    else:
        _draw_column(axes[:, 0], curve, run, 1)
    what = "live seconds" if (curve.live < 1).any() else "s"
    axes[0, 0].set_ylabel(f"Counts per frame (ct / {run['t_bin']:g} {what})")
    axes[1, 0].set_ylabel("log$_{10}$ Bayes factor (no unit)")
    since = f"Time since {utc(float(run['t_lo']))} UTC (ks)"
    for column, axis in enumerate(axes[1]):
        axis.set_xlabel("Time, as on the left (ks)" if column else since)
    figure.suptitle(title, fontsize=11)
    return figure, axes


def _draw_column(axes: NDArray[Any], curve: Curve, run: Row, factor: int) -> None:
    """Counts and Bayes factors of a curve, its frames in groups of `factor`."""
    upper, lower = axes
    shown = curve.grouped(factor) if factor > 1 else curve
    draw_counts(upper, shown)
    _draw_bayes_factors(lower, shown)
    _mark(upper, lower, curve, run)
    for axis in axes:
        shade_frames(axis, curve.edges, curve.bti, curve.masked)
        axis.locator_params(axis="x", nbins=6 if len(curve) <= 2 * ZOOM_FRAMES + 1 else "auto")
        axis.set_xlim(curve.edges[0], curve.edges[-1])


def draw_counts(axes: Axes, curve: Curve) -> None:
    """Counts as steps, the expectation, and the counts that are within 3 and 5 sigma of it."""
    told = curve.live >= _TELLING
    highest = float(np.nanmax(curve.n_highest[told], initial=1.0))
    for sigma, (name, colour) in reversed(list(zip(SIGMAS, _BANDS, strict=True))):
        limits = significance_limits(curve.mu * curve.live, sigma)
        eclipse, peak = (limit / curve.live for limit in limits)
        low = np.where(np.isfinite(eclipse), eclipse + 0.5, -0.5)
        axes.stairs(
            peak - 0.5,
            curve.edges,
            baseline=low,
            fill=True,
            color=colour,
            linewidth=0,
            label=f"within {name}",
            zorder=1,
        )
        if sigma == SIGMAS[0]:
            highest = max(highest, float(np.nanmax(peak[told], initial=1.0)))
    is_grouped = bool(np.any(curve.n_highest > curve.n_lowest))
    if is_grouped:
        axes.stairs(
            curve.n_highest,
            curve.edges,
            baseline=curve.n_lowest,
            fill=True,
            color=BLACK,
            alpha=0.3,
            linewidth=0,
            label="lowest to highest $n$ of a group",
            zorder=2,
        )
    axes.stairs(
        curve.n,
        curve.edges,
        baseline=None,
        color="#4D4D4D" if is_grouped else BLACK,
        lw=0.9,
        label="mean $n$ of a group" if is_grouped else "counts $n$",
        zorder=3,
    )
    axes.stairs(
        curve.mu,
        curve.edges,
        baseline=None,
        color=ORANGE,
        lw=1.6,
        label="expected $\\mu$",
        zorder=4,
    )
    axes.set_ylim(-0.5, 1.12 * highest + 0.5)
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))


def _draw_bayes_factors(axes: Axes, curve: Curve) -> None:
    styles: dict[Kind, str] = {"peak": "-", "eclipse": "--"}
    largest = 1.15 * threshold(SIGMAS[-1], "peak")
    for kind, style in styles.items():
        values = np.maximum(curve.b_log[kind], 0.0)
        largest = max(largest, 1.1 * float(np.nanmax(values, initial=0.0)))
        axes.stairs(
            values,
            curve.edges,
            baseline=None,
            color=KIND_COLOURS[kind],
            lw=0.9,
            ls=style,
            label=f"log$_{{10}}$ $B_\\mathrm{{{kind}}}$",
            zorder=3,
        )
        for sigma in SIGMAS:
            axes.axhline(threshold(sigma, kind), color=KIND_COLOURS[kind], ls=":", lw=1.1, zorder=2)
    for sigma in SIGMAS:
        axes.annotate(
            f"{sigma:g}σ",
            (1, threshold(sigma, "peak")),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL + 1,
            annotation_clip=False,
        )
    if largest > LARGE_B:
        axes.set_yscale("asinh", linear_width=15)
        axes.set_yticks([0, *(m * 10.0**e for e in range(1, 7) for m in (1, 3))])
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
    axes.set_ylim(-0.03 * largest if largest <= LARGE_B else -1, largest)


def _mark(upper: Axes, lower: Axes, curve: Curve, run: Row) -> None:
    """Mark the significant frames, in both panels."""
    where = "in a window of" if has_windows(run) else "of"
    what = f"{where} {float(run['sigma']):.3g}σ or more"
    if has_variability(run):
        what = "of a variable cell"
    for kind in KINDS:
        passing = np.flatnonzero(curve.found[kind])
        if not len(passing):
            continue
        for axes, values in ((upper, curve.n), (lower, curve.b_log[kind])):
            axes.plot(
                curve.middles[passing],
                values[passing],
                ls="",
                marker=KIND_MARKERS[kind],
                color=KIND_COLOURS[kind],
                markersize=7,
                markeredgecolor="white",
                markeredgewidth=0.6,
                label=f"{kind} {what}",
                zorder=5,
                clip_on=False,
            )


def _title(run: Row, region: Row, cells: pd.DataFrame | None) -> str:
    ra, dec = float(region["ra_deg"]), float(region["dec_deg"])
    position = f"{position_text(ra, dec)} ({ra:.5f}°, {dec:+.5f}°)".replace("-", "−")
    error = f"± {float(region['pos_err_arcsec']):.1f}″"
    name = f"{region['detid']} · {run_text(run)} · {sigma_text(run, region, cells)}"
    return f"{name}\n{position} {error}{event_text(region)}"
