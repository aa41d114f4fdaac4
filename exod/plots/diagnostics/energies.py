"""Soft against hard counts: of the frames and cells of an observation, and of regions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from exod.errors import plural
from exod.plots.counterparts import DENSE, MANY
from exod.plots.style import (
    BLACK,
    BLUE,
    GREY,
    KIND_COLOURS,
    KIND_MARKERS,
    SKY_BLUE,
    SMALL,
    VERMILLION,
    say_nothing,
)
from exod.schemas.arrays import Floats, Integers, Mask

SOFT: Final = "0.2–2 keV"
HARD: Final = "2–12 keV"

FEW: Final = 200
"""Regions up to which their marks are large."""


def events_sheet(
    title: str,
    frames: tuple[Integers, Integers],
    bad_time: Mask,
    camera_off: Mask,
    cells: tuple[Integers, Integers],
) -> Figure:
    """Soft against hard counts of the frames of an observation and of its cells.

    Parameters
    ----------
    title : str
        Above the sheet.
    frames : pair of ndarray of int, shape (n_frames,)
        Soft and hard counts of each frame, all cells.
    bad_time, camera_off : ndarray of bool, shape (n_frames,)
        Frames in bad time, and frames in which a CCD or a camera was off.
    cells : pair of ndarray of int, shape (y, x)
        Soft and hard counts of each cell, all frames.

    Returns
    -------
    Figure
        Frames on the left, cells on the right.
    """
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    soft, hard = frames
    kinds = (
        ("bad CCD", camera_off, SKY_BLUE, "x"),
        ("bad time", bad_time & ~camera_off, VERMILLION, "^"),
        ("good time", ~bad_time & ~camera_off, BLUE, "o"),
    )
    for name, which, colour, marker in kinds:
        if which.any():
            label = f"{name} ({int(which.sum()):,})"
            style: dict[str, Any] = {"s": 12, "alpha": 0.6, "linewidths": 0.8}
            left.scatter(soft[which], hard[which], c=colour, marker=marker, label=label, **style)
    left.set(xlabel=f"Counts of a frame, {SOFT}", ylabel=f"Counts of a frame, {HARD}")
    left.set_title("Frames", fontsize=SMALL + 2)
    if len(soft):
        left.legend(fontsize=SMALL + 1, frameon=False)
    else:
        say_nothing(left, "no frames")
    _draw_cells(right, *(image.ravel() for image in cells))
    figure.suptitle(title, fontsize=12)
    return figure


def _draw_cells(axes: Axes, soft: Integers, hard: Integers) -> None:
    used = soft + hard > 0
    axes.set_title(f"Cells with counts ({int(used.sum()):,})", fontsize=SMALL + 2)
    axes.set(xlabel=f"Counts of a cell, {SOFT}", ylabel=f"Counts of a cell, {HARD}")
    if not used.any():
        say_nothing(axes, "no counts")
        return
    # One more, so that cells without soft or hard counts have a place on logarithmic axes.
    found = axes.hexbin(
        soft[used] + 1.0,
        hard[used] + 1.0,
        xscale="log",
        yscale="log",
        gridsize=60,
        mincnt=1,
        cmap=DENSE,
        norm=LogNorm(),
        linewidths=0.2,
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlabel=f"Counts of a cell + 1, {SOFT}", ylabel=f"Counts of a cell + 1, {HARD}")
    share = hard[used].sum() / max(int(soft[used].sum()), 1)
    ends = np.array(axes.get_xlim())
    label = f"all: {share:.2f} hard for each soft"
    axes.plot(ends, 1 + share * (ends - 1), color=BLACK, ls="--", lw=1, label=label)
    axes.legend(fontsize=SMALL + 1, frameon=False, loc="upper left")
    axes.figure.colorbar(found, ax=axes, label="cells")


def regions_sheet(title: str, regions: pd.DataFrame) -> Figure:
    """Soft against hard counts of regions, of the whole observation and of the event.

    Parameters
    ----------
    title : str
        Above the sheet.
    regions : DataFrame
        Columns kind, n_soft, n_hard, n_soft_event, n_hard_event; NaN where nothing is known.
    """
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    panels = (("Whole observation", ""), ("Event", "_event"))
    for axes, (name, end) in zip(figure.subplots(1, 2), panels, strict=True):
        soft, hard = (regions[f"n_{band}{end}"].to_numpy(float) for band in ("soft", "hard"))
        known = np.isfinite(soft) & np.isfinite(hard)
        axes.set_title(f"{name} ({plural(int(known.sum()), 'region')})", fontsize=SMALL + 2)
        if known.any():
            _draw_regions(axes, soft[known], hard[known], regions["kind"][known])
        else:
            say_nothing(
                axes, "no region with soft and hard counts" if len(regions) else "no regions"
            )
        axes.set(xlabel=f"Counts, {SOFT}", ylabel=f"Counts, {HARD}")
    figure.suptitle(title, fontsize=12)
    return figure


def _draw_regions(axes: Axes, soft: Floats, hard: Floats, kinds: pd.Series) -> None:
    many = len(soft) > MANY
    for kind in ("peak", "eclipse"):
        own = (kinds == kind).to_numpy()
        if own.any():
            axes.scatter(
                soft[own],
                hard[own],
                s=4 if many else 14 if len(soft) > FEW else 30,
                alpha=0.25 if many else 0.65,
                color=KIND_COLOURS[kind],
                marker=KIND_MARKERS[kind],
                edgecolors="none",
                label=f"{kind} ({int(own.sum()):,})",
                rasterized=many,
            )
    # Linear up to 10 counts: zero and a few are common, and must be seen.
    axes.set_xscale("symlog", linthresh=10)
    axes.set_yscale("symlog", linthresh=10)
    top = 1.5 * float(max(soft.max(), hard.max(), 10.0))
    axes.plot([0, top], [0, top], color=GREY, ls=":", lw=1, label="as many hard as soft")
    axes.set(xlim=(-0.7, top), ylim=(-0.7, top))
    steps = [5 * 10.0**power for power in range(6)] + [2 * 10.0**power for power in range(1, 6)]
    ticks = sorted([0.0, *(10.0**power for power in range(1, 7)), *steps])
    for axis in (axes.xaxis, axes.yaxis):
        # Of many decades only the powers of ten.
        shown = [tick for tick in ticks if tick <= top and (top < 300 or f"{tick:.0e}"[0] in "01")]
        axis.set_ticks(shown)
        axis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(fontsize=SMALL + 1, frameon=False, loc="upper left")
