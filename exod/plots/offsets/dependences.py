"""Offsets against what they may depend on: season, roll, off-axis angle, temperature, detector."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from exod.astrometry.drift import BOX
from exod.astrometry.offsetstatistics import RADIAL_EDGES
from exod.catalogue.report.offsets.offsetnumbers import AXES, SEASON, Version, in_bins
from exod.plots.offsets.histories import COLOURS, SHOWN, reach_of, scatter_offsets
from exod.plots.offsets.radii import SIDE_BY_SIDE
from exod.plots.style import BLACK, SMALL, as_it_is, series_style

DEPENDENCES: Final = MappingProxyType(
    {
        SEASON: "Time of the year (0 is January)",
        "roll_deg": "Roll angle (deg)",
        "off_axis_arcmin": "Off-axis angle (arcmin)",
        "temperature_c": "Temperature (°C)",
    }
)
"""What offsets are drawn against, and how it is called."""

_WHOLE: Final = MappingProxyType({SEASON: 1.0, "roll_deg": 360.0})
"""What is periodic, from zero to this, is shown whole."""

REACH: Final = 1.1
"""Largest offset that is drawn, arcsec, or twice that."""


def draw_dependence(version: Version, name: str) -> Figure:
    """Components of the offsets against a quantity, with medians in bins of it."""
    figure = Figure(figsize=(10, 3.3), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    offsets = version.offsets
    reach = reach_of(version, REACH)
    shown = offsets.iloc[:: -(-len(offsets) // SHOWN)]
    for axes, axis in zip(panels, AXES, strict=True):
        scatter_offsets(axes, shown[name], shown[axis], COLOURS[axis])
        bins = in_bins(offsets[name], offsets[axis])
        if len(bins):
            ends = [bins["median"] - bins["low"], bins["high"] - bins["median"]]
            label = f"median, {BOX[0]:g}–{BOX[1]:g} %"
            marks: dict[str, Any] = {"fmt": "s", "color": BLACK, "ms": 4, "capsize": 2, "lw": 1.2}
            axes.errorbar(bins["place"], bins["median"], ends, **marks, label=label)
        axes.axhline(0, color="0.7", lw=0.8, zorder=0.5)
        axes.set(xlabel=DEPENDENCES[name], ylabel=f"{axis} (″)", ylim=(-reach, reach))
        axes.tick_params(labelleft=True)
        if name in _WHOLE:
            axes.set_xlim(0, _WHOLE[name])
        axes.legend(frameon=False, fontsize=SMALL, loc="upper right", ncols=2)
    return figure


def draw_detectors(version: Version) -> Figure:
    """Radial distributions of all detectors, one line each."""
    figure = Figure(figsize=SIDE_BY_SIDE, layout="constrained")
    axes = figure.subplots()
    detectors = [name for name in version.radial if name != "all"]
    for number, detector in enumerate(detectors):
        radial = version.radial[detector]
        colour, line = series_style(number)
        label = f"{as_it_is(detector)} ({radial.n:,})"
        share = np.concatenate([[0.0], radial.share])
        axes.step(RADIAL_EDGES, share, where="post", color=colour, ls=line, lw=1.6, label=label)
    axes.set(xlabel="Radial offset (″)", ylabel="Share within the radius")
    axes.set(xlim=(0, reach_of(version, 1.6)), ylim=(0, 1.02))
    figure.legend(frameon=False, fontsize=SMALL, loc="outside lower center", ncols=2)
    return figure
