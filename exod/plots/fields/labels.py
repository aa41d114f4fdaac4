"""Labels of regions at places where they cover neither marks nor each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from exod.plots.style import SMALL
from exod.schemas.arrays import Floats


def place_labels(
    axes: Axes, boxes: Floats, texts: Sequence[str], obstacles: Floats, points: float
) -> None:
    """Write each text near its box, at the first place around it that is free.

    Parameters
    ----------
    axes : Axes
        With its final limits; of three dimensions its projection.
    boxes, obstacles : ndarray of float, shape (n, 4)
        Columns x_lo, x_hi, y_lo, y_hi, in the coordinates of the picture: what has a label, and
        what no label may cover.
    texts : sequence of str
        One a box.
    points : float
        Length of the longer side of the axes, as it will be drawn, in points.
    """
    (left, bottom), (right, top) = _corners(axes)
    cell = point_length(axes, points)
    angles = np.radians(45 + 30 * np.arange(12))
    taken = obstacles
    for (x_lo, x_hi, y_lo, y_hi), text in zip(boxes, texts, strict=True):
        half = np.array([3.0 * len(text) + 3, 6.5]) * cell
        x, y = (x_lo + x_hi) / 2, (y_lo + y_hi) / 2
        reach = np.add.outer(np.arange(4, 100, 8) * cell, np.zeros(12))
        centre_x = x + np.cos(angles) * (reach + (x_hi - x_lo) / 2 + half[0])
        centre_y = y + np.sin(angles) * (reach + (y_hi - y_lo) / 2 + half[1])
        cx, cy = centre_x.ravel(), centre_y.ravel()
        places = np.column_stack([cx - half[0], cx + half[0], cy - half[1], cy + half[1]])
        inside = (places[:, 0] > left) & (places[:, 1] < right)
        inside &= (places[:, 2] > bottom) & (places[:, 3] < top)
        apart = [np.greater_equal.outer(places[:, i], taken[:, i + 1]) for i in (0, 2)]
        apart += [np.less_equal.outer(places[:, i + 1], taken[:, i]) for i in (0, 2)]
        free = np.flatnonzero(inside & np.any(apart, axis=0).all(axis=1))
        best = free[0] if len(free) else 0
        taken = np.vstack([taken, places[best]])
        # What the class of the axes does with a place is for places on the sky or in a cube.
        Axes.annotate(
            axes,
            text,
            xy=(np.clip(cx[best], x_lo, x_hi), np.clip(cy[best], y_lo, y_hi)),
            xytext=(cx[best], cy[best]),
            fontsize=SMALL + 1,
            fontweight="bold",
            ha="center",
            va="center",
            bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
            arrowprops={"arrowstyle": "-", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
            zorder=10,
        )


def point_length(axes: Axes, points: float) -> float:
    """Length of a point in the coordinates of the picture; see `place_labels`."""
    low, high = _corners(axes)
    return float(max(high - low)) / points


def _corners(axes: Axes) -> Floats:
    return np.asarray(axes.transLimits.inverted().transform([(0, 0), (1, 1)]))
