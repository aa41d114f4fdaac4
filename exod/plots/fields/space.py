"""The cube of a run in three dimensions: events and significant cells in x, y and time."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.axes3d import Axes3D  # type: ignore[import-untyped]
from mpl_toolkits.mplot3d.proj3d import proj_transform  # type: ignore[import-untyped]

from exod.counts.cube import CountCube
from exod.errors import plural
from exod.plots.fields.labels import place_labels, point_length
from exod.plots.fields.sheets import sheet_title
from exod.plots.style import KIND_COLOURS, KIND_MARKERS, SMALL, Row, found_text, utc
from exod.schemas.arrays import Mask

MOST_EVENTS: Final = 15_000
"""Events that are drawn at most; of more, every so many-th."""

MOST_LABELS: Final = 15
"""Regions that are labelled, the most significant ones."""

_MARK_POINTS: Final = 6.0
_AXES_POINTS: Final = 560.0
"""Widths of a mark and of the axes."""


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
                s=_MARK_POINTS**2,
                marker=KIND_MARKERS[kind],
                color=KIND_COLOURS[kind],
                # Edges of marks that lie close would cover them.
                linewidths=0,
                depthshade=False,
                zorder=3,
                label=f"{plural(len(own), f'{found_text(run)} cell')}: {kind}",
            )
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
        title=_label(axes, cells, regions, start, frames.t_bin),
        loc="outside lower center",
        ncols=3,
        fontsize=SMALL + 1,
        title_fontsize=SMALL + 1,
        frameon=False,
        markerscale=2,
    )
    figure.suptitle(sheet_title(run, target, start, stop), fontsize=12)
    return figure


def _label(
    axes: Axes3D, cells: pd.DataFrame, regions: pd.DataFrame, start: float, t_bin: float
) -> str:
    """Numbers of the most significant regions beside their first cells; says how many there are."""
    if regions.empty or cells.empty:
        return ""
    time = (cells["TIME_lo"].to_numpy(float) + t_bin / 2 - start) / 1000
    places = (cells["x"].to_numpy(float), cells["y"].to_numpy(float), time)
    x, y, _ = proj_transform(*places, axes.get_proj())
    reach = point_length(axes, _AXES_POINTS) * _MARK_POINTS / 2
    marks = np.column_stack([x - reach, x + reach, y - reach, y + reach])
    strongest = regions.assign(s=regions[["sigma_peak", "sigma_eclipse"]].max(axis=1))
    labels = cells["label"].to_numpy()
    wanted = [label for label in strongest.nlargest(MOST_LABELS, "s")["label"] if label in labels]
    first = [int(np.flatnonzero(labels == label)[0]) for label in wanted]
    place_labels(axes, marks[first], [str(label) for label in wanted], marks, _AXES_POINTS)
    few = len(regions) <= MOST_LABELS
    note = "" if few else f", the {MOST_LABELS} most significant labelled"
    return f"{plural(len(regions), 'region')}{note}"
