"""The steps from the counts of a run to its background template and its constant sources."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from exod.counts.grid import Box
from exod.counts.template import TemplateSteps
from exod.errors import plural
from exod.plots.style import SMALL
from exod.schemas.arrays import Mask

_NO_DATA: Final = "#F5E6C8"
_COLOURS: Final = colormaps["cividis"].with_extremes(bad=_NO_DATA)
_MASK: Final = ListedColormap(["#00224E"]).with_extremes(bad=_NO_DATA)


def template_sheet(
    title: str,
    box: Box,
    images: tuple[NDArray[np.integer], NDArray[np.integer]],
    frames: tuple[int, int],
    steps: tuple[TemplateSteps, TemplateSteps],
    source_mask: Mask,
    source: NDArray[np.floating],
) -> Figure:
    """Counts, inpainted and smoothed image, templates, source mask and constant sources.

    Parameters
    ----------
    title : str
        Above the sheet.
    box : Box
        Place of the images in the full grid.
    images : pair of ndarray of int, shape (y, x)
        Counts of the frames in good and in bad time.
    frames : pair of int
        How many frames these are.
    steps : pair of TemplateSteps
        The templates of good and of bad time.
    source_mask : ndarray of bool, shape (y, x)
        Cells of sources.
    source : ndarray of float, shape (y, x)
        Counts of the constant sources in a frame.

    Returns
    -------
    Figure
        Good time above, bad time below, source mask and sources right; no data is light.
    """
    figure = Figure(figsize=(18, 7.4), layout="constrained")
    axes = figure.subplots(2, 5, sharex=True, sharey=True)
    extent = (box.x_lo - 0.5, box.x_hi - 0.5, box.y_lo - 0.5, box.y_hi - 0.5)
    for row, (name, image, n_frames, found) in enumerate(
        zip(("good time", "bad time"), images, frames, steps, strict=True)
    ):
        heading = f"Counts, {name} ({plural(n_frames, 'frame')})"
        _show(axes[row, 0], image, heading, "ct", extent)
        for column, (step, shape) in enumerate(
            (
                ("Inpainted", found.filled),
                ("Smoothed", found.blurred),
                ("Template", found.template.shape),
            ),
            start=1,
        ):
            # Templates are for one count outside the mask; here they are what the image expects.
            _show(axes[row, column], shape * found.template.counts, f"{step}, {name}", "ct", extent)
    n_masked = plural(int(source_mask.sum()), "cell")
    _show(axes[0, 4], source_mask.astype(float), f"Source mask ({n_masked})", "", extent)
    _show(axes[1, 4], source, "Constant sources", "ct in a frame", extent)
    for panel in axes[1]:
        panel.set_xlabel("Column (cells, east is left)")
    for panel in axes[:, 0]:
        panel.set_ylabel("Row (cells, north is up)")
    figure.suptitle(title, fontsize=12)
    return figure


def _show(
    axes: Axes,
    image: NDArray[np.generic],
    title: str,
    unit: str,
    extent: tuple[float, float, float, float],
) -> None:
    values = np.asarray(image, float)
    axes.set_title(title, fontsize=SMALL + 2)
    if not (values > 0).any():
        axes.set_facecolor(_NO_DATA)
        left, right, bottom, top = extent
        if right > left and top > bottom:
            # As large as the panels that have an image.
            axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        text = "no counts" if unit else "no cells"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center")
        return
    positive = values[values > 0]
    typical = float(np.median(positive))
    # Linear up to the typical cell, so that the background keeps its contrast beside sources.
    norm = AsinhNorm(typical, vmin=0, vmax=max(float(np.percentile(positive, 99.8)), typical))
    picture = axes.imshow(
        np.ma.masked_less_equal(values, 0),
        # The brightest colour is hard to tell from the ground.
        cmap=_COLOURS if unit else _MASK,
        norm=norm,
        extent=extent,
        origin="lower",
        interpolation="nearest",
    )
    if unit:
        ticks = [0.0, typical, float(norm.vmax or typical)]
        bar = axes.figure.colorbar(picture, ax=axes, shrink=0.8, ticks=sorted(set(ticks)))
        bar.ax.set_yticklabels([f"{tick:.3g}" for tick in sorted(set(ticks))])
        bar.ax.minorticks_off()
        bar.ax.tick_params(labelsize=SMALL)
        bar.set_label(unit, fontsize=SMALL)
