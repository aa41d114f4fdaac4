"""The CCDs of a camera side by side, in their own pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from exod.errors import plural
from exod.instruments import instrument_of
from exod.plots.style import SMALL, as_it_is, utc


def ccd_sheet(
    title: tuple[str, str, str],
    images: Mapping[int, np.ndarray[Any, Any]],
    band: tuple[float, float],
    span: tuple[float, float],
) -> Figure:
    """Counts of each pixel of each CCD, all in the same colours.

    Parameters
    ----------
    title : (str, str, str)
        Target and observation, name of the camera, exposure.
    images : dict of int to ndarray, shape (n_rows, n_columns)
        Counts by the number of the CCD.
    band : (float, float)
        Energy band in keV.
    span : (float, float)
        Start and stop, mission elapsed seconds.

    Returns
    -------
    Figure
    """
    name, instrument, exposure = title
    camera = instrument_of(instrument)
    # Long CCDs stand in two rows, square ones in a block.
    columns = -(-len(images) // 2) if camera.n_rows > 2 * camera.n_columns else 4
    rows = -(-len(images) // columns)
    tall = camera.n_rows / camera.n_columns
    figure = Figure(
        figsize=(11, min(1.2 + rows * 11 / columns * tall * 0.8, 11)), layout="constrained"
    )
    high = max((int(image.max()) for image in images.values()), default=0)
    # White is far below one count, so that single counts stand out from the ground.
    norm = LogNorm(0.05, max(high, 3))
    picture, panels = None, []
    for place, (number, image) in enumerate(images.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        panels.append(axes)
        # Several pixels of the CCD share a dot of the page, and the brightest is to be seen.
        coarse, step = _coarser(image)
        axes.set_facecolor("white")
        picture = axes.imshow(
            np.ma.masked_equal(coarse, 0),
            norm=norm,
            cmap="Greys",
            origin="lower",
            interpolation="nearest",
            extent=(0.5, 0.5 + step * coarse.shape[1], 0.5, 0.5 + step * coarse.shape[0]),
        )
        axes.set_xlim(0.5, camera.n_columns + 0.5)
        axes.set_ylim(0.5, camera.n_rows + 0.5)
        axes.set_title(f"CCD {number}: {plural(int(image.sum()), 'count')}", fontsize=SMALL)
        axes.tick_params(labelsize=SMALL - 1)
        axes.set_xlabel("RAWX" if place + columns >= len(images) else "", fontsize=SMALL)
        axes.set_ylabel("RAWY" if place % columns == 0 else "", fontsize=SMALL)
    if picture is not None:
        bar = figure.colorbar(picture, ax=panels, shrink=0.8, pad=0.01, format=_number)
        bar.ax.set_ylim(bottom=0.5)
        step = _coarser(next(iter(images.values())))[1]
        block = f", largest of {step} × {step} pixels" if step > 1 else ""
        bar.set_label(f"Counts per pixel (ct{block})")
    first = " · ".join(filter(None, [as_it_is(name), f"{instrument} {exposure}"]))
    figure.suptitle(
        f"{first}\n{band[0]:g}–{band[1]:g} keV · {utc(span[0])} to {utc(span[1])} UTC", fontsize=12
    )
    return figure


def _coarser(image: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int]:
    """The image in blocks of pixels, the largest value of each, so that single ones are seen."""
    step = max(1, image.shape[1] // 150)
    rows, columns = -(-image.shape[0] // step), -(-image.shape[1] // step)
    padded = np.zeros((rows * step, columns * step), image.dtype)
    padded[: image.shape[0], : image.shape[1]] = image
    return padded.reshape(rows, step, columns, step).max(axis=(1, 3)), step


def _number(value: float, _: object) -> str:
    """Counts as people write them, without powers of ten."""
    return f"{value:,.0f}" if value >= 1 else f"{value:.3g}"
