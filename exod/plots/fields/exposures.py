"""Exposure maps side by side: a row an exposure, a column an energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.visualization.wcsaxes import WCSAxes
from matplotlib.figure import Figure

from exod.plots.style import SMALL, as_it_is
from exod.schemas.arrays import Floats
from exod.sky.plane import TangentPlane

MappedRow = tuple[str, str, Sequence[Floats]]
"""Camera, exposure, and an image of each column, shape (n_y, n_x), seconds."""


def exposure_sheet(
    title: str, columns: Sequence[str], rows: Sequence[MappedRow], projection: TangentPlane
) -> Figure:
    """Exposure maps; north is up and east left.

    Parameters
    ----------
    title : str
        Target and observation.
    columns : sequence of str
        What the images of each column are.
    rows : sequence of (str, str, sequence of ndarray)
        Camera, exposure and images of each row.
    projection : TangentPlane
        Projection of the pixels of all images.

    Returns
    -------
    Figure
    """
    figure = Figure(
        figsize=(1.2 + 3.1 * len(columns), 0.8 + 2.75 * len(rows)), layout="constrained"
    )
    across, up = _seen(rows)
    for row, (instrument, expid, images) in enumerate(rows):
        highest = max(float(np.max(image)) for image in images) / 1000
        panels, picture = [], None
        for column, (name, image) in enumerate(zip(columns, images, strict=True)):
            place = (len(rows), len(columns), row * len(columns) + column + 1)
            axes: Any = figure.add_subplot(*place, projection=projection.wcs)
            picture = axes.imshow(
                np.ma.masked_equal(image / 1000, 0),
                cmap="viridis",
                vmin=0,
                vmax=highest or 1,
                origin="lower",
                interpolation="nearest",
            )
            axes.set_xlim(*across)
            axes.set_ylim(*up)
            _label(axes, is_first=column == 0, is_last=row == len(rows) - 1)
            if column == 0:
                axes.set_title(f"{instrument} {expid}, {name.lower()}", fontsize=SMALL + 1)
            else:
                axes.set_title(name, fontsize=SMALL + 1)
            panels.append(axes)
        if picture is not None:
            bar = figure.colorbar(picture, ax=panels, shrink=0.85, pad=0.01)
            bar.set_label("Exposure (ks)", fontsize=SMALL)
            bar.ax.tick_params(labelsize=SMALL)
    figure.suptitle(as_it_is(title), fontsize=11)
    return figure


def _seen(rows: Sequence[MappedRow]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of a square around all that was seen, with a margin, in pixels across and up."""
    mask = np.any([np.asarray(image) > 0 for _, _, images in rows for image in images], axis=0)
    if not mask.any():
        mask = ~mask
    ends = [np.flatnonzero(mask.any(axis))[[0, -1]] for axis in (0, 1)]
    half = 0.54 * max(float(np.ptp(pair)) for pair in ends) + 1
    x, y = (float(pair.mean()) for pair in ends)
    return (x - half, x + half), (y - half, y + half)


def _label(axes: WCSAxes, *, is_first: bool, is_last: bool) -> None:
    """Coordinates at the left and below only: the panels share them."""
    ra, dec = axes.coords
    ra.set_ticks_position("b")
    dec.set_ticks_position("l")
    ra.set_ticklabel(size=SMALL - 1, exclude_overlapping=True)
    dec.set_ticklabel(size=SMALL - 1)
    ra.set_axislabel("RA (J2000)" if is_last else " ", fontsize=SMALL)
    dec.set_axislabel("Dec (J2000)" if is_first else " ", fontsize=SMALL)
    ra.set_ticklabel_visible(is_last)
    dec.set_ticklabel_visible(is_first)
