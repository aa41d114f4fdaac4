"""Images of one field side by side on the sky."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from astropy.visualization.wcsaxes import WCSAxes
from astropy.wcs import WCS
from matplotlib.colors import AsinhNorm, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from exod.counts.frameimages import ImageLayer
from exod.counts.grid import Box
from exod.errors import plural
from exod.plots.style import BLACK, GREEN, GREY, SMALL, Row, as_it_is, run_text, utc

COLUMNS: Final = 3
"""Images side by side."""

_SIGNED: Final = frozenset({"DEVIATION", "SIGNIFICANCE"})
_GROUND: Final = "#F5E6C8"
_EXTEND: Final = ("neither", "min", "max", "both")


def field_sheet(
    run: Row,
    layers: Sequence[ImageLayer],
    wcs: WCS,
    title: tuple[str, float, float],
    regions: pd.DataFrame | None = None,
    sources: pd.DataFrame | None = None,
) -> Figure:
    """Images of a field, each with its colour bar; north is up and east left.

    Parameters
    ----------
    run : mapping or Series
        Row of the table runs.
    layers : sequence of ImageLayer
        The images.
    wcs : WCS
        Their projection.
    title : (str, float, float)
        Name of the target, and start and stop in mission elapsed seconds.
    regions, sources : DataFrame, optional
        Its rows of the tables regions and known_sources, drawn on all images.

    Returns
    -------
    Figure
    """
    rows = -(-len(layers) // COLUMNS)
    # The layout leaves out titles of such axes, so the room between rows is given to them.
    layout = ConstrainedLayoutEngine(h_pad=0.22, w_pad=0.06, hspace=0.02)
    figure = Figure(figsize=(13.5, 4.5 * rows + 1.1), layout=layout)
    box = Box(*(int(run[name]) for name in ("y_lo", "y_hi", "x_lo", "x_hi")))
    for number, layer in enumerate(layers):
        axes = figure.add_subplot(rows, COLUMNS, number + 1, projection=wcs)
        draw_layer(figure, axes, layer)
        sky_axes(axes, left=number % COLUMNS == 0, bottom=number + COLUMNS >= len(layers))
        if sources is not None:
            _draw_sources(axes, sources, wcs, float(run["size_arcsec"]))
        if regions is not None:
            _draw_regions(axes, regions, box)
    handles = []
    if regions is not None and len(regions):
        handles.append(Patch(fill=False, lw=1.2, label=plural(len(regions), "region")))
    if sources is not None and len(sources):
        circle = {"marker": "o", "mfc": "none", "color": GREEN, "ls": ""}
        handles.append(Line2D([], [], **circle, label="known source (radius of its mask)"))  # type: ignore[arg-type]
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=4, fontsize=SMALL + 1, frameon=False
        )
    figure.suptitle(sheet_title(run, *title), fontsize=12)
    return figure


def sheet_title(run: Row, target: str, start: float, stop: float) -> str:
    """Two lines: which observation and run, and what of it."""
    first = " · ".join(filter(None, [as_it_is(target), f"{run['obsid']}, subset {run['subset']}"]))
    span = f"{utc(start)} to {utc(stop)} UTC, {(stop - start) / 1000:,.2f} ks"
    return f"{first}\n{run_text(run)} · {span}"


def draw_layer(figure: Figure, axes: Any, layer: ImageLayer) -> None:
    """An image with its colour bar; what is not known shows the ground."""
    values = np.asarray(layer.values, float)
    axes.set_facecolor(_GROUND)
    norm = layer_norm(layer.name, values)
    picture = axes.imshow(
        np.ma.masked_invalid(values),
        cmap="RdBu_r" if layer.name in _SIGNED else "viridis",
        norm=norm,
        origin="lower",
        interpolation="nearest",
    )
    low, high = (np.nanmin(values), np.nanmax(values)) if np.isfinite(values).any() else (0, 0)
    beyond = [bool(low < float(norm.vmin or 0) - 1e-9), bool(high > float(norm.vmax or 0) + 1e-9)]
    finite = values[np.isfinite(values)]
    whole = bool((finite % 1 == 0).all())
    bar = figure.colorbar(
        picture,
        ax=axes,
        shrink=0.9,
        pad=0.02,
        ticks=_ticks(norm) if isinstance(norm, AsinhNorm) else MaxNLocator("auto", integer=whole),
        format=lambda value, _: f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}",
        extend=_EXTEND[beyond[0] + 2 * beyond[1]],
    )
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL)
    unit = f" ({layer.unit})" if layer.unit else ""
    axes.set_title(f"{layer.name.capitalize()}{unit}\n{layer.meaning}", fontsize=SMALL + 1)
    if low == high == 0:
        # An image of one colour looks like a picture that went wrong.
        text = "nothing" if layer.name in _SIGNED else "0 in all cells"
        text = text if len(finite) else "not known"
        ground = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2}
        axes.text(0.5, 0.06, text, transform=axes.transAxes, ha="center", bbox=ground, zorder=5)


def layer_norm(name: str, values: np.ndarray[Any, Any]) -> Normalize:
    """How colours follow the values: signed ones around 0, counts linear near the typical one."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Normalize(0, 1)
    if name in _SIGNED:
        # Few cells are significant, and those are to be seen.
        part = 100.0 if name == "SIGNIFICANCE" else 99.9
        reach = max(float(np.percentile(np.abs(finite), part)), 1.0)
        return TwoSlopeNorm(0, -reach, reach)
    positive = finite[finite > 0]
    if not len(positive):
        return Normalize(0, 1)
    typical, high = float(np.median(positive)), float(np.percentile(finite, 99.8))
    if high < typical:
        high = float(positive.max())
    return AsinhNorm(typical, vmin=0, vmax=high) if high > 4 * typical else Normalize(0, high)


def _ticks(norm: AsinhNorm) -> list[float]:
    """0 and 1, 2, 5 times the powers of ten, as far as they stand apart on the colour bar."""
    chosen = [0.0]
    for step in (m * 10.0**e for e in range(-5, 10) for m in (1, 2, 5)):
        if step <= float(norm.vmax or 0) and norm(step) - norm(chosen[-1]) > 0.08:
            chosen.append(step)
    return chosen


def sky_axes(axes: WCSAxes, *, left: bool, bottom: bool) -> None:
    """Right ascension and declination along the sides where they are wanted."""
    ra, dec = axes.coords
    ra.set_major_formatter("hh:mm:ss")
    dec.set_major_formatter("dd:mm")
    for coordinate, shown, name in (
        (ra, bottom, "Right ascension (ICRS, h m s)"),
        (dec, left, "Declination (ICRS, ° ′)"),
    ):
        coordinate.grid(color=GREY, alpha=0.4, linestyle=":", linewidth=0.6)
        coordinate.set_ticks(number=4)
        coordinate.set_ticklabel(exclude_overlapping=True, size=SMALL)
        coordinate.set_ticklabel_visible(shown)
        coordinate.set_axislabel(name if shown else "", size=SMALL + 1)
        if not shown:
            coordinate.set_auto_axislabel(False)


def _draw_regions(axes: WCSAxes, regions: pd.DataFrame, box: Box) -> None:
    for region in regions.to_dict("records"):
        x, y = region["x_lo"] - box.x_lo - 1.5, region["y_lo"] - box.y_lo - 1.5
        width, height = region["x_hi"] - region["x_lo"] + 2, region["y_hi"] - region["y_lo"] + 2
        for colour, line in (("white", 2.2), (BLACK, 1.1)):
            outline = Rectangle((x, y), width, height, fill=False, zorder=4, color=colour, lw=line)
            axes.add_patch(outline)


def _draw_sources(axes: WCSAxes, sources: pd.DataFrame, wcs: WCS, size_arcsec: float) -> None:
    x, y = wcs.wcs_world2pix(sources["ra_deg"].to_numpy(), sources["dec_deg"].to_numpy(), 0)
    radius = sources["mask_radius_arcsec"].to_numpy() / size_arcsec
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for cx, cy, size in zip(x, y, radius, strict=True):
        if left < cx < right and bottom < cy < top:
            axes.add_patch(Circle((cx, cy), size, fill=False, color=GREEN, lw=0.8, zorder=3))
