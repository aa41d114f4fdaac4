"""The simulator beside a real observation: spectra, PSF, cells and rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from exod.plots.style import BLACK, BLUE, GREY, ORANGE, SMALL, VERMILLION

Floats = NDArray[np.float64]
Curve = tuple[Floats, Floats]
"""Edges of bins (n + 1) and the values in them (n)."""


@dataclass(frozen=True)
class Measured:
    """What is compared of an observation.

    Attributes
    ----------
    spectra : mapping of str to Curve
        Counts per second and keV against keV, by component.
    profile : Curve
        Surface brightness of the bright source, counts per square arcsec, against arcsec.
    background : float
        Surface brightness of the background around it.
    cells : Curve
        Share of the cells with so many counts.
    rates : tuple of ndarray
        Count rates in bins of 100 s, 0.2-12 keV, without sources; one array or several.
    hard_rates : tuple of ndarray
        The same, 10-12 keV.
    """

    spectra: Mapping[str, Curve]
    profile: Curve
    background: float
    cells: Curve
    rates: tuple[Floats, ...]
    hard_rates: tuple[Floats, ...]


_COLOURS = {"quiet": BLUE, "outside the field": GREY, "flares": VERMILLION}


def simulator_comparison(real: Measured, simulated: Measured, title: str) -> Figure:
    """Four panels: spectrum, radial profile, counts per cell, distribution of rates.

    Points and thick lines are the real observation, thin lines the simulation.

    Parameters
    ----------
    real, simulated : Measured
        With the same components and bins.
    title : str
        Which observation it is.

    Returns
    -------
    Figure
        The picture.
    """
    figure = Figure(figsize=(7.2, 5.5), layout="constrained")
    figure.suptitle(title, fontsize=SMALL + 3)
    (spectrum, profile), (cells, rates) = figure.subplots(2, 2)
    _draw_spectra(spectrum, real, simulated)
    _draw_profile(profile, real, simulated)
    _draw_cells(cells, real, simulated)
    _draw_rates(rates, real, simulated)
    for axes in (spectrum, profile, cells, rates):
        axes.tick_params(labelsize=SMALL)
        axes.legend(fontsize=SMALL, frameon=False, handlelength=1.2, labelspacing=0.2)
        axes.grid(alpha=0.2)
    return figure


def _draw_spectra(axes: Axes, real: Measured, simulated: Measured) -> None:
    for name, (edges, rate) in real.spectra.items():
        middle = np.sqrt(edges[1:] * edges[:-1])
        shown = np.where(rate > 0, rate, np.nan)
        colour = _COLOURS[name]
        axes.plot(middle, shown, "o", markersize=3, color=colour, label=f"{name}: real")
        axes.stairs(simulated.spectra[name][1], edges, color=colour, label=f"{name}: simulated")
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(0.2, 12),
        ylim=(4e-4, 3),
        xlabel="energy (keV)",
        ylabel="counts s$^{-1}$ keV$^{-1}$",
    )
    ticks = (0.2, 0.5, 1, 2, 5, 10)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])


def _draw_profile(axes: Axes, real: Measured, simulated: Measured) -> None:
    for measured, style, name in _pair(real, simulated):
        edges, brightness = measured.profile
        middle = (edges[1:] + edges[:-1]) / 2
        axes.plot(middle, brightness, **style, label=f"bright source: {name}")
        axes.axhline(
            measured.background,
            color=style["color"],
            linestyle=":",
            linewidth=1,
            label=f"background: {name}",
        )
    axes.set(
        xscale="log",
        yscale="log",
        ylim=(4e-4, 300),
        xlabel="distance from the source (arcsec)",
        ylabel="counts arcsec$^{-2}$",
    )
    ticks = (1, 2, 5, 10, 20, 50, 100)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])


def _draw_cells(axes: Axes, real: Measured, simulated: Measured) -> None:
    for measured, style, name in _pair(real, simulated):
        edges, share = measured.cells
        axes.plot((edges[1:] + edges[:-1]) / 2 - 0.5, share, **style, label=name)
    axes.set(yscale="log", xlabel="counts in a cell of 20 arcsec", ylabel="share of the cells")


def _draw_rates(axes: Axes, real: Measured, simulated: Measured) -> None:
    for label, attribute, colour in (
        ("0.2–12 keV", "rates", BLACK),
        ("10–12 keV", "hard_rates", ORANGE),
    ):
        for i, rate in enumerate(getattr(simulated, attribute)):
            name = f"{label}: simulated" if i == 0 else None
            axes.plot(*_exceedance(rate), color=colour, linewidth=0.7, alpha=0.5, label=name)
        for rate in getattr(real, attribute):
            axes.plot(*_exceedance(rate), color=colour, linewidth=2.2, label=f"{label}: real")
    axes.set(
        xscale="log",
        xlim=(0.03, 600),
        ylim=(0, 1),
        xlabel="counts s$^{-1}$ in 100 s, without sources",
        ylabel="share of the time above",
    )


def _exceedance(rate: Floats) -> Curve:
    ordered = np.sort(rate)
    return ordered, 1 - (np.arange(len(ordered)) + 0.5) / len(ordered)


def _pair(real: Measured, simulated: Measured) -> tuple[tuple[Measured, dict[str, Any], str], ...]:
    """Both with the style of their marks and their names."""
    points = {"color": BLACK, "marker": "o", "markersize": 3, "linestyle": ""}
    line = {"color": VERMILLION, "linewidth": 1.2}
    return (real, points, "real"), (simulated, line, "simulated")
