"""Distributions of offsets: radial, in the plane of the telescope, by half years."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from exod.astrometry.drift import HALF_YEAR
from exod.astrometry.offsetstatistics import MARKS, RADIAL_EDGES, RadialDistribution
from exod.catalogue.report.offsets.offsetnumbers import HALVES, Version, half_year
from exod.plots.offsets.histories import MANY, reach_of
from exod.plots.style import BLACK, BLUE, SMALL, VERMILLION, as_it_is, series_style

REACH: Final = 1.1
"""Largest radius of the distribution that is drawn, arcsec, unless 99 % lie beyond it."""

SIDE_BY_SIDE: Final = (5.2, 4.4)
"""Size of a picture in a gallery, inches."""

POINTS: Final = 5000
"""Points of a scatter plot from which they are drawn as a density."""


def draw_radial(radial: RadialDistribution, detector: str) -> Figure:
    """Share of offsets within a radius with its band, and the radii that hold 68, 90 and 99 %."""
    # Those of single detectors stand side by side, and are legible if they are narrow.
    whole = detector == "all"
    figure = Figure(figsize=(8.2, 3.8) if whole else SIDE_BY_SIDE, layout="constrained")
    axes = figure.subplots()
    edges = RADIAL_EDGES
    style: dict[str, Any] = {"step": "post", "color": BLUE, "alpha": 0.25, "lw": 0}
    axes.fill_between(edges[1:], radial.low, radial.high, **style, label="1σ (bootstrap)")
    name = "all detectors" if detector == "all" else as_it_is(detector)
    label = f"{name}, {radial.n:,} offset{'' if radial.n == 1 else 's'}"
    axes.step(edges, [0.0, *radial.share], where="post", color=BLUE, lw=1.6, label=label)
    marked = radial.quantiles["radius"]
    reach = next(
        (r for r in (REACH, 1.6, 2.2) if marked.iloc[-1] < 0.95 * r), float(RADIAL_EDGES[-1])
    )
    for percent, radius, line in zip(MARKS, marked, ("-", "--", ":"), strict=True):
        text = f"{percent:g} % within {radius:.2f}″"
        shown = min(float(radius), reach)
        axes.plot([shown, shown], [0, percent / 100], color=VERMILLION, ls=line, lw=1.2, label=text)
        axes.plot([0, shown], [percent / 100] * 2, color="0.8", lw=0.7, zorder=0.5)
    axes.set(xlabel="Radial offset (″)", ylabel="Share within the radius")
    axes.set_xlim(0, reach)
    axes.set_ylim(0, 1.02)
    # Beside or below the axes, where it hides nothing however the curve runs.
    if whole:
        axes.legend(frameon=False, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    else:
        figure.legend(frameon=False, fontsize=SMALL, loc="outside lower center", ncols=2)
    return figure


def draw_plane(version: Version) -> Figure:
    """Offsets along both axes of the telescope, with the circle that holds 90 %."""
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    offsets = version.offsets
    radius = float(version.radial["all"].quantiles["radius"][90.0])
    reach = max(1.1, 1.35 * float(version.radial["all"].quantiles["radius"][99.0]))
    reach = min(reach, 6.0)
    if len(offsets) > POINTS:
        style: dict[str, Any] = {
            "gridsize": 60,
            "extent": (-reach, reach, -reach, reach),
            "bins": "log",
        }
        drawn = axes.hexbin(offsets["dy"], offsets["dz"], mincnt=1, cmap="Blues", **style)
        figure.colorbar(drawn, ax=axes, label="Offsets", shrink=0.8)
    else:
        for number, (detector, part) in enumerate(offsets.groupby("detector")):
            colour = series_style(number)[0]
            size = 9 if len(offsets) < MANY else 3
            name = as_it_is(str(detector))
            axes.scatter(part["dy"], part["dz"], size, colour, alpha=0.7, lw=0)
            axes.scatter([], [], 14, colour, lw=0, label=name)
    circle = Circle((0, 0), radius, fill=False, ec=BLACK, ls="--")
    axes.plot([], [], color=BLACK, ls="--", label=f"90 % within {radius:.2f}″")
    axes.add_patch(circle)
    for line in (axes.axhline, axes.axvline):
        line(0, color="0.8", lw=0.8, zorder=0.5)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="dy (″)", ylabel="dz (″)")
    axes.set_aspect("equal")
    for one in (axes.xaxis, axes.yaxis):
        one.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.legend(frameon=False, fontsize=SMALL, loc="upper left", handletextpad=0.3)
    return figure


def draw_components(version: Version) -> Figure:
    """Distributions of dy, dz and dr in each of the last half years with offsets."""
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    offsets = version.offsets
    number = np.floor(offsets["year"].to_numpy() / HALF_YEAR).astype(int)
    halves = np.unique(number)[-HALVES:]
    wide, long = reach_of(version, REACH), reach_of(version, 1.6)
    ends = {"dy": (-wide, wide), "dz": (-wide, wide), "dr": (0.0, long)}
    for axes, (name, (low, high)) in zip(panels, ends.items(), strict=True):
        axes.set(xlabel=f"{name} (″)", xlim=(low, high), ylim=(0, 1.02))
        if low < 0:
            axes.axvline(0, color="0.8", lw=0.8)
        for place, half in enumerate(halves):
            values = np.sort(offsets[name].to_numpy()[number == half])
            colour, line = series_style(place)
            label = f"{half_year(half * HALF_YEAR)} ({len(values):,})"
            _steps(axes, values, (low, high), color=colour, ls=line, label=label)
    panels[0].set_ylabel("Share below")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(halves),
        fontsize=SMALL,
        frameon=False,
    )
    return figure


def _steps(axes: Axes, values: np.ndarray, ends: tuple[float, float], **style: Any) -> None:
    """Share of values below, from one end of the axis to the other."""
    share = np.arange(len(values) + 1) / len(values)
    places = np.concatenate([[min(ends[0], values[0])], values])
    last = max(ends[1], values[-1])
    axes.step([*places, last], [*share, 1.0], where="post", lw=1.4, **style)
