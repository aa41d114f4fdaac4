"""All regions on the detector, whatever the position angle, with its hot regions."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from exod.errors import plural
from exod.plots.style import BLUE, SMALL, VERMILLION
from exod.sources.vetting.detectorframe import UNIT_ARCSEC
from exod.sources.vetting.hotregions import BOX_EDGES, inside

EXTENT: Final = 17_500.0
"""Half the side of a panel, in units of 0.05 arcsec: the field of view reaches out 15 arcmin."""

MAX_POINT: Final = 30.0
"""Area of a point if there are few, square points of the page."""

PANELS_A_ROW: Final = 4


def detector_sheet(title: str, regions: pd.DataFrame, boxes: pd.DataFrame) -> Figure:
    """Where regions are on the detector, a panel for each time bin, and the hot regions.

    Parameters
    ----------
    title : str
        Above the sheet.
    regions : DataFrame
        Rows of the table detector: t_bin, X_det, Y_det; positions that are NaN are left out.
    boxes : DataFrame
        Rows of the table hot_regions: t_bin (NaN for all) and the edges.
    """
    known = regions[np.isfinite(regions["X_det"]) & np.isfinite(regions["Y_det"])]
    bins = sorted(known["t_bin"].unique().tolist()) or [np.nan]
    columns = min(len(bins), PANELS_A_ROW)
    rows = -(-len(bins) // columns)
    size = 6.2 if columns == 1 else 4.0
    figure = Figure(figsize=(size * columns, size * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, t_bin in zip(axes, bins, strict=False):
        _draw(panel, known[known["t_bin"] == t_bin], boxes, t_bin)
    for panel in axes[len(bins) :]:
        panel.set_axis_off()
    figure.supxlabel("X on the detector (arcmin from the pointing)", fontsize=SMALL + 2)
    figure.supylabel("Y on the detector (arcmin from the pointing)", fontsize=SMALL + 2)
    figure.suptitle(title, fontsize=12)
    return figure


def _draw(axes: Axes, regions: pd.DataFrame, boxes: pd.DataFrame, t_bin: float) -> None:
    scale = UNIT_ARCSEC / 60
    own = boxes[boxes["t_bin"].isna() | np.isclose(boxes["t_bin"], t_bin)]
    x, y = (regions[name].to_numpy(float) for name in ("X_det", "Y_det"))
    hot = inside(x, y, regions["t_bin"], own)
    area = float(np.clip(4000 / max(len(regions), 1), 0.8, MAX_POINT))
    alpha = float(np.clip(300 / max(len(regions), 1), 0.15, 0.8))
    for which, colour in ((~hot, BLUE), (hot, VERMILLION)):
        axes.scatter(
            x[which] * scale,
            y[which] * scale,
            s=area,
            alpha=alpha,
            color=colour,
            edgecolors="none",
            rasterized=len(regions) > 2000,
        )
    for number, (x_lo, x_hi, y_lo, y_hi) in enumerate(own[list(BOX_EDGES)].to_numpy(float)):
        corner, sides = (x_lo * scale, y_lo * scale), ((x_hi - x_lo) * scale, (y_hi - y_lo) * scale)
        axes.add_patch(Rectangle(corner, *sides, fill=False, edgecolor=VERMILLION, lw=1.1))
        axes.annotate(
            str(number + 1),
            (x_hi * scale, y_hi * scale),
            xytext=(2, 1),
            textcoords="offset points",
            fontsize=SMALL - 1,
            color=VERMILLION,
            annotation_clip=True,
        )
    if regions.empty:
        axes.text(0.5, 0.5, "no regions", transform=axes.transAxes, ha="center", va="center")
    ends = (-EXTENT * scale, EXTENT * scale)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    name = f"{t_bin:g} s: " if np.isfinite(t_bin) else ""
    counts = (
        f"{plural(len(regions), 'region')}, {int(hot.sum()):,} in {plural(len(own), 'hot region')}"
    )
    axes.set_title(f"{name}{counts}", fontsize=SMALL + 1)
    axes.tick_params(labelsize=SMALL)
