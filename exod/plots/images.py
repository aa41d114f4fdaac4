"""The counts image of a run with what was found in it, on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from astropy.visualization.wcsaxes import WCSAxes
from astropy.wcs import WCS
from matplotlib.colors import AsinhNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Rectangle
from mpl_toolkits.axes_grid1.anchored_artists import (  # type: ignore[import-untyped]
    AnchoredSizeBar,
)
from numpy.typing import NDArray

from exod.counts.grid import Box
from exod.errors import plural
from exod.plots.fields.labels import place_labels
from exod.plots.style import (
    GREEN,
    GREY,
    KIND_COLOURS,
    KIND_MARKERS,
    SMALL,
    Row,
    as_it_is,
    run_text,
    threshold_text,
)
from exod.sky.plane import TangentPlane

MAX_LABELS: Final = 60
"""Regions that are labelled, the most significant ones; more would cover the image."""

_IMAGE_POINTS = 460
"""Approximate size of the image on the page, points; to place labels."""

# Lightness falls evenly with counts; the ends are cut so that marks stand out on both.
_COLOURS = LinearSegmentedColormap.from_list("counts", ["#FAFAFA", "#1C1C1C"])
_NO_COUNTS = "#F5E6C8"


@dataclass(frozen=True)
class _Shown:
    """What an image shows: its column, the label of its colours, the least power of ten there."""

    column: str
    label: str
    least_tick: int


_COUNTS: Final = _Shown("n", "Counts per cell (ct, {:.1f}″ cells, all frames)", 0)
_VARIABILITY: Final = _Shown(
    "variability", "Variability, (max − mean) × standard deviation (ct$^2$, {:.1f}″ cells)", -2
)


def detection_image(
    run: Row,
    image: Row,
    cells: pd.DataFrame,
    regions: pd.DataFrame,
    plane: TangentPlane,
    sources: pd.DataFrame | None = None,
    target: str = "",
    *,
    variability: bool = False,
) -> Figure:
    """Counts of a run, its significant cells and regions; north is up and east left.

    Parameters
    ----------
    run : mapping or Series
        Row of the table runs.
    image : mapping or Series
        Its row of the table images, or variability; flattened in order of y, then x.
    cells, regions : DataFrame
        Its rows of the tables cells and regions; may be empty.
    plane : TangentPlane
        Projection of the sky pixels.
    sources : DataFrame, optional
        Known sources (table sources), drawn as circles of their mask's radius.
    target : str
        Name of the target.
    variability : bool
        Draw the variability of the cells, not their counts.

    Returns
    -------
    Figure
    """
    shown = _VARIABILITY if variability else _COUNTS
    box = Box(*(int(run[name]) for name in ("y_lo", "y_hi", "x_lo", "x_hi")))
    figure = Figure(figsize=(8.5, 7.9), layout="constrained")
    wcs = cell_wcs(plane, float(run["size_arcsec"]))
    axes = figure.add_subplot(projection=wcs)
    _draw_values(figure, axes, np.asarray(image[shown.column]).reshape(box.shape), box, run, shown)
    handles = [Patch(facecolor=_NO_COUNTS, edgecolor=GREY, hatch="....", label="no counts")]
    if sources is not None and len(sources):
        handles += _draw_sources(axes, sources, wcs, float(run["size_arcsec"]))
    handles += _draw_cells(axes, cells, int(run["window"]))
    handles += _draw_regions(axes, regions)
    _decorate(figure, axes, run, target)
    figure.legend(
        handles=handles, loc="outside lower center", ncols=4, fontsize=SMALL, frameon=False
    )
    return figure


def cell_wcs(plane: TangentPlane, size_arcsec: float) -> WCS:
    """The projection in units of cells: the centre of the cell with index i lies at i.

    Parameters
    ----------
    plane : TangentPlane
        Projection of the sky pixels.
    size_arcsec : float
        True size of a cell.

    Examples
    --------
    >>> plane = TangentPlane(25921, 25921, 263.6579, -32.556, -1.3888889e-05, 1.3888889e-05)
    >>> wcs, width = cell_wcs(plane, 20.0), 400
    >>> ra, dec = wcs.wcs_pix2world(61, 59, 0)
    >>> bool(np.allclose((ra, dec), plane.to_sky(61.5 * width, 59.5 * width), atol=1e-9))
    True
    """
    return plane.in_cells(size_arcsec / plane.pixel_arcsec).wcs


def _draw_values(
    figure: Figure, axes: WCSAxes, values: NDArray[Any], box: Box, run: Row, shown: _Shown
) -> None:
    """The image with its colour bar; where nothing was ever counted the ground shows."""
    axes.add_patch(
        Rectangle(
            (0, 0),
            1,
            1,
            transform=axes.transAxes,
            facecolor=_NO_COUNTS,
            edgecolor="#D9C59A",
            hatch="....",
            linewidth=0,
            zorder=-2,
        )
    )
    if not values.any():
        # The reference pixel is in the middle of the field; FITS counts it from 1.
        x, y = 2 * axes.wcs.wcs.crpix
        axes.set(xlim=(-0.5, x - 0.5), ylim=(-0.5, y - 0.5), aspect="equal")
        axes.text(
            0.5, 0.5, "no counts in this band", transform=axes.transAxes, ha="center", va="center"
        )
        return
    # Linear up to the typical cell, so the background keeps its contrast beside bright sources.
    typical = float(np.median(values[values > 0]))
    norm = AsinhNorm(typical, vmin=0, vmax=max(float(np.percentile(values, 99.9)), 5 * typical))
    picture = axes.imshow(
        np.ma.masked_equal(values, 0),
        cmap=_COLOURS,
        norm=norm,
        extent=(box.x_lo - 0.5, box.x_hi - 0.5, box.y_lo - 0.5, box.y_hi - 0.5),
        origin="lower",
        interpolation="nearest",
        zorder=-1,
    )
    axes.set(xlim=(box.x_lo - 1.5, box.x_hi + 0.5), ylim=(box.y_lo - 1.5, box.y_hi + 0.5))
    bar = figure.colorbar(
        picture,
        ax=axes,
        shrink=0.85,
        pad=0.02,
        ticks=_ticks(norm, shown.least_tick),
        format="{x:,.12g}",
        extend="max" if values.max() > norm.vmax else "neither",
    )
    bar.ax.minorticks_off()
    bar.set_label(shown.label.format(float(run["size_arcsec"])))


def _ticks(norm: AsinhNorm, least: int) -> list[float]:
    """0 and 1, 2, 5, 10, ... from a power of ten on, as far as they stand apart."""
    chosen = [0.0]
    for step in (m * 10.0**e for e in range(least, 10) for m in (1, 2, 5)):
        if step <= float(norm.vmax or 0) and norm(step) - norm(chosen[-1]) > 0.05:
            chosen.append(step)
    return chosen


def _draw_sources(axes: WCSAxes, sources: pd.DataFrame, wcs: WCS, size_arcsec: float) -> list[Any]:
    ra, dec = sources["ra_deg"].to_numpy(), sources["dec_deg"].to_numpy()
    x, y = wcs.wcs_world2pix(ra, dec, 0)
    radius = sources["mask_radius_arcsec"].to_numpy() / size_arcsec
    for centre, size in zip(zip(x, y, strict=True), radius, strict=True):
        if np.isfinite(centre).all():
            axes.add_patch(
                Circle(centre, size, fill=False, color=GREEN, linewidth=0.9, alpha=0.9, zorder=2)
            )
    label = "known source (radius of its mask)"
    return [Line2D([], [], marker="o", mfc="none", color=GREEN, ls="", markersize=7, label=label)]


def cell_kinds(cells: pd.DataFrame) -> pd.DataFrame:
    """Each significant cell of the image once: y, x and kind (peak, eclipse or both)."""
    kinds = cells.groupby(["y", "x"], sort=True)["kind"].agg(
        lambda kind: "+".join(sorted(set(kind)))
    )
    frame = kinds.reset_index()
    return frame.assign(kind=frame["kind"].replace("eclipse+peak", "both"))


def _draw_cells(axes: WCSAxes, cells: pd.DataFrame, window: int) -> list[Any]:
    """Markers on the significant cells, or in the middle of windows of `window` cells."""
    if cells.empty:
        return []
    kinds = cell_kinds(cells)
    handles = []
    for kind, colour in KIND_COLOURS.items():
        own = kinds[kinds["kind"] == kind]
        if own.empty:
            continue
        name = {"peak": "peak", "eclipse": "eclipse", "both": "peak and eclipse"}[kind]
        (line,) = axes.plot(
            own["x"].to_numpy() + (window - 1) / 2,
            own["y"].to_numpy() + (window - 1) / 2,
            ls="",
            marker=KIND_MARKERS[kind],
            color=colour,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            label=f"{plural(len(own), 'window' if window > 1 else 'cell')}: {name}",
            zorder=4,
        )
        handles.append(line)
    return handles


def _draw_regions(axes: WCSAxes, regions: pd.DataFrame) -> list[Any]:
    if regions.empty:
        return []
    boxes = regions[["x_lo", "x_hi", "y_lo", "y_hi"]].to_numpy(float)
    # One cell wider, so that the outline does not cover the cells of a small region.
    boxes = boxes + np.array([-1.5, 0.5, -1.5, 0.5])
    for x_lo, x_hi, y_lo, y_hi in boxes:
        axes.add_patch(
            Rectangle((x_lo, y_lo), x_hi - x_lo, y_hi - y_lo, fill=False, linewidth=1.2, zorder=3)
        )
    order = np.argsort(-regions[["sigma_peak", "sigma_eclipse"]].max(axis=1).to_numpy())
    chosen = order[:MAX_LABELS]
    texts = [str(label) for label in regions["label"].to_numpy()[chosen]]
    place_labels(axes, boxes[chosen], texts, boxes, _IMAGE_POINTS)
    note = "" if len(regions) <= MAX_LABELS else f", the {MAX_LABELS} most significant labelled"
    return [Patch(fill=False, linewidth=1.2, label=f"{plural(len(regions), 'region')}{note}")]


def _decorate(figure: Figure, axes: WCSAxes, run: Row, target: str) -> None:
    """Title, sky grid, labels of the axes and the scale bar."""
    ra, dec = axes.coords
    axes.set_xlabel("Right ascension (ICRS, h m s)")
    axes.set_ylabel("Declination (ICRS, ° ′ ″)")
    ra.set_major_formatter("hh:mm:ss")
    dec.set_major_formatter("dd:mm:ss")
    for coordinate in (ra, dec):
        coordinate.set_ticklabel(exclude_overlapping=True)
        coordinate.grid(color=GREY, alpha=0.45, linestyle=":", linewidth=0.7)
    first = " · ".join(filter(None, [as_it_is(target), f"{run['obsid']}, subset {run['subset']}"]))
    second = f"{run_text(run)} · {plural(int(run['n_regions']), 'variable region')}"
    # A title of the axes would not be given space by the layout: WCSAxes leaves it out.
    figure.suptitle(f"{first}\n{second} {threshold_text(run)}", fontsize=12)
    size_arcsec = float(run["size_arcsec"])
    left, right = axes.get_xlim()
    minutes = 5 if 300 / size_arcsec < 0.6 * (right - left) else 1
    axes.add_artist(
        AnchoredSizeBar(
            axes.transData,
            60 * minutes / size_arcsec,
            f"{minutes} arcmin",
            loc="lower right",
            pad=0.4,
            borderpad=0.6,
            size_vertical=0.25,
            frameon=True,
        )
    )
