"""The cube of a run in three dimensions: events and significant cells in x, y and time."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from exod.counts.cube import CountCube
from exod.errors import plural
from exod.plots.fields.sheets import sheet_title
from exod.plots.style import KIND_COLOURS, KIND_MARKERS, SMALL, Row, utc
from exod.schemas.arrays import Mask

MOST_EVENTS: Final = 15_000
"""Events that are drawn at most; of more, every so many-th."""

MOST_LABELS: Final = 15
"""Regions that are labelled, the most significant ones."""


def cube_picture(
    run: Row, cube: CountCube, which: Mask, cells: pd.DataFrame, regions: pd.DataFrame, target: str
) -> Figure:
    """Events of a cube as dots, its significant cells as marks, in x, y and time.

    Parameters
    ----------
    run : mapping or Series
        Row of the table runs.
    cube : CountCube
        Counts.
    which : ndarray of bool, shape (n_frames,)
        Frames to draw.
    cells, regions : DataFrame
        Their rows of the tables cells and regions.
    target : str
        Name of the target.

    Returns
    -------
    Figure
    """
    figure = Figure(figsize=(9.5, 8.5), layout="constrained")
    # Marks and numbers are in front of all events, wherever they are.
    axes = figure.add_subplot(projection="3d", computed_zorder=False)
    frames, box = cube.frames, cube.box
    starts = frames.starts[which]
    start, stop = float(starts[0]), float(starts[-1]) + frames.t_bin
    chosen = np.flatnonzero(which[cube.frame])
    step = -(-len(chosen) // MOST_EVENTS) or 1
    drawn = chosen[::step]
    y, x = np.divmod(cube.cell[drawn], max(box.shape[1], 1))
    time = (frames.starts[cube.frame[drawn]] + frames.t_bin / 2 - start) / 1000
    label = f"events, one in {step}" if step > 1 else "events"
    axes.scatter(
        x + box.x_lo,
        y + box.y_lo,
        time,
        # Of few events each is to be seen, and of many the clouds that they make.
        s=float(np.clip(30_000 / max(len(drawn), 1), 3, 12)),
        color="#404040",
        alpha=float(np.clip(6000 / max(len(drawn), 1), 0.4, 0.8)),
        linewidths=0,
        depthshade=False,
        zorder=1,
        label=label,
        rasterized=True,
    )
    for kind in ("peak", "eclipse"):
        own = cells[cells["kind"] == kind] if len(cells) else cells
        if len(own):
            axes.scatter(
                own["x"].to_numpy(float),
                own["y"].to_numpy(float),
                (own["TIME_lo"].to_numpy(float) + frames.t_bin / 2 - start) / 1000,
                s=38,
                marker=KIND_MARKERS[kind],
                color=KIND_COLOURS[kind],
                # Edges of marks that lie close would cover them.
                linewidths=0,
                depthshade=False,
                zorder=3,
                label=f"{plural(len(own), 'significant cell')}: {kind}",
            )
    _label(axes, cells, regions, start, frames.t_bin)
    axes.set(
        xlim=(box.x_lo, box.x_hi),
        ylim=(box.y_lo, box.y_hi),
        zlim=(0, (stop - start) / 1000),
        xlabel="x (cell, west to the right)",
        ylabel="y (cell, north away)",
        zlabel=f"Time since {utc(start)} UTC (ks)",
    )
    axes.set_box_aspect((box.shape[1], box.shape[0], 1.1 * max(box.shape)), zoom=1.05)
    axes.view_init(elev=18, azim=-60)
    figure.legend(
        loc="outside lower center", ncols=3, fontsize=SMALL + 1, frameon=False, markerscale=2
    )
    figure.suptitle(sheet_title(run, target, start, stop), fontsize=12)
    return figure


def _label(
    axes: object, cells: pd.DataFrame, regions: pd.DataFrame, start: float, t_bin: float
) -> None:
    """The numbers of the most significant regions beside their first cells."""
    if regions.empty or cells.empty:
        return
    strongest = regions.assign(s=regions[["sigma_peak", "sigma_eclipse"]].max(axis=1))
    for label in strongest.nlargest(MOST_LABELS, "s")["label"]:
        own = cells[cells["label"] == label]
        if len(own):
            first = own.iloc[0]
            time = (float(first["TIME_lo"]) + t_bin / 2 - start) / 1000
            place = (float(first["x"]) + 1.5, float(first["y"]) + 1.5, time)
            axes.text(  # type: ignore[attr-defined]
                *place,
                str(label),
                fontsize=SMALL + 2,
                fontweight="bold",
                zorder=10,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )
