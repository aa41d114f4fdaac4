"""How deep a survey is: a map of the sky, and the area against the flux limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from exod.plots.style import BLUE, GREY, SMALL, as_it_is, label_logarithm
from exod.schemas.arrays import Floats

NARROW_DEG: Final = 5.0
"""A survey that is nowhere farther than this from its middle is drawn from near."""


@dataclass(frozen=True)
class DrawnDepth:
    """What is drawn of a survey.

    Attributes
    ----------
    ra_deg, dec_deg, flux : ndarray of float64, shape (n,)
        Places, and the flux limit there in erg/cm^2/s; NaN if it is not known.
    limits, areas : ndarray of float64, shape (n,)
        Flux limits that ascend, and the area in square degrees with these or lower ones.
    title, label : str
        Of the picture, and of the flux.
    """

    ra_deg: Floats
    dec_deg: Floats
    flux: Floats
    limits: Floats
    areas: Floats
    title: str
    label: str


def survey_depth_figure(drawn: DrawnDepth) -> Figure:
    """A map of the flux limit, and the area against it."""
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=(1.6, 1))
    figure.suptitle(as_it_is(drawn.title), fontsize=SMALL + 3)
    across, up, projection = _placed(drawn.ra_deg, drawn.dec_deg)
    axes: Any = figure.add_subplot(grid[0], projection=projection)
    known = np.isfinite(drawn.flux)
    is_near = projection is None
    if is_near:
        axes.set_aspect("equal")
        axes.set_xlabel("Offset in right ascension (deg), east to the left")
        axes.set_ylabel("Offset in declination (deg)")
        axes.invert_xaxis()
    else:
        axes.grid(visible=True, color=GREY, alpha=0.35, linewidth=0.5)
        axes.set_xticklabels([f"{(360 - 30 * i) % 360}°" for i in range(-5, 6)], fontsize=SMALL - 1)
        axes.tick_params(labelsize=SMALL - 1)
    marks = 14.0 if is_near else 5.0
    if (~known).any():
        axes.scatter(across[~known], up[~known], s=marks, color=GREY, linewidths=0, marker="s")
    if known.any():
        # A few places at the rim would take most of the colours.
        low, high = np.percentile(drawn.flux[known], (0, 97))
        norm = LogNorm(low, high if high > low else 1.01 * low)
        # The deepest on top.
        order = np.flatnonzero(known)[np.argsort(-drawn.flux[known], kind="stable")]
        picture = axes.scatter(
            across[order],
            up[order],
            c=drawn.flux[order],
            s=marks,
            marker="s",
            linewidths=0,
            norm=norm,
            cmap="viridis_r",
        )
        bar = figure.colorbar(picture, ax=axes, orientation="horizontal", shrink=0.8, aspect=35)
        bar.set_label(drawn.label, fontsize=SMALL)
        label_logarithm(bar.ax.xaxis)
        bar.ax.tick_params(which="both", labelsize=SMALL - 1)
    _curve(figure.add_subplot(grid[1]), drawn)
    return figure


def _placed(ra_deg: Floats, dec_deg: Floats) -> tuple[Floats, Floats, str | None]:
    """Where places are drawn: offsets in degrees from near, else a map of the whole sky."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    vectors = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    middle = vectors.mean(axis=1)
    length = np.linalg.norm(middle)
    apart = np.degrees(np.arccos(np.clip(middle @ vectors / max(length, 1e-9), -1, 1)))
    if length > 0 and apart.max(initial=0.0) < NARROW_DEG:
        ra_0, dec_0 = np.arctan2(middle[1], middle[0]), np.arcsin(middle[2] / length)
        turn = (ra - ra_0 + np.pi) % (2 * np.pi) - np.pi
        return np.degrees(turn * np.cos(dec_0)), np.degrees(dec - dec_0), None
    # East is on the left.
    return -((ra + np.pi) % (2 * np.pi) - np.pi), dec, "mollweide"


def _curve(axes: Any, drawn: DrawnDepth) -> None:
    """Area against flux limit."""
    if len(drawn.limits):
        axes.plot(drawn.limits, drawn.areas, color=BLUE, drawstyle="steps-post")
        axes.set_xscale("log")
        axes.set_ylim(0, 1.05 * drawn.areas[-1])
        label_logarithm(axes.xaxis)
    else:
        axes.text(0.5, 0.5, "no flux limit is known", ha="center", transform=axes.transAxes)
    axes.set_xlabel(drawn.label)
    axes.set_ylabel("Area that is as deep (deg²)")
    axes.grid(visible=True, alpha=0.3)
