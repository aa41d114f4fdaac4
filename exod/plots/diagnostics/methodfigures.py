"""Figures of the statistics of the method: Bayes factors, limits and equivalent sigmas."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exod.counts.bayes import (
    Kind,
    amplitude_limit,
    log10_b_eclipse,
    log10_b_peak,
    sigma_equivalent,
    threshold,
)
from exod.errors import percent
from exod.plots.counterparts import DENSE
from exod.plots.diagnostics import Sheets
from exod.plots.lightcurves.curves import significance_limits
from exod.plots.style import BLACK, GREY, KIND_COLOURS, SMALL, label_logarithm, series_style

SIGMAS: Final = (3.0, 5.0)
EXPECTED: Final = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Expected counts of the curves."""

CREDIBILITIES: Final = (0.683, 0.95, 0.997)
_LARGEST: Final = 60.0
"""Largest log10 B of the pictures; beyond, all is significant."""

_FUNCTIONS: Final = {"peak": log10_b_peak, "eclipse": log10_b_eclipse}
_KINDS: tuple[Kind, Kind] = ("peak", "eclipse")


def method_figures() -> Sheets:
    """Name and picture of each figure of the statistics; they need no data."""
    yield "bayes_factors", bayes_figure()
    yield "bayes_curves", curves_figure()
    yield "limits", limits_figure()
    yield "sigmas", sigma_figure()


def bayes_figure() -> Figure:
    """log10 B of peaks and of eclipses by counts and expected counts, with 3 and 5 sigma."""
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    mu = np.geomspace(1e-3, 1e3, 241)
    n = np.unique(np.round(np.geomspace(1, 2000, 240)))
    for axes, kind in zip(figure.subplots(1, 2), _KINDS, strict=True):
        log_b = _FUNCTIONS[kind](n[:, np.newaxis], mu[np.newaxis])
        shown = np.clip(log_b, 0, _LARGEST)
        picture = axes.pcolormesh(
            mu, n, shown, cmap=DENSE, vmin=0, vmax=_LARGEST, shading="nearest"
        )
        picture.set_rasterized(True)
        levels = [threshold(sigma, kind) for sigma in SIGMAS]
        lines = axes.contour(mu, n, log_b, levels=levels, colors="white", linewidths=1.6)
        axes.clabel(lines, fmt=dict(zip(levels, ("3σ", "5σ"), strict=True)), fontsize=SMALL + 1)
        axes.plot(mu, mu, color=BLACK, ls=":", lw=1)
        axes.set(xscale="log", yscale="log", xlim=(mu[0], mu[-1]), ylim=(n[0], n[-1]))
        axes.set(xlabel="Expected counts μ", ylabel="Counts n", title=f"{kind.capitalize()}s")
        figure.colorbar(
            picture, ax=axes, label=f"log₁₀ B ({kind}), {_LARGEST:g} or more at the end"
        )
    return figure


def curves_figure() -> Figure:
    """log10 B against counts, for several expected counts."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    n = np.arange(0, 301, dtype=float)
    for axes, kind in zip(figure.subplots(1, 2), _KINDS, strict=True):
        for number, mu in enumerate(EXPECTED):
            colour, line = series_style(number)
            log_b = _FUNCTIONS[kind](n, mu)
            axes.plot(n, log_b, color=colour, ls=line, lw=1.5, label=f"μ = {mu:g}")
        _mark_thresholds(axes, kind)
        axes.set_ylim(-2, 40)
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xlim(0, n[-1])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set(xlabel="Counts n", ylabel=f"log₁₀ B ({kind})", title=f"{kind.capitalize()}s")
        axes.legend(fontsize=SMALL + 1, frameon=False)
    return figure


def limits_figure() -> Figure:
    """Counts that are significant, and upper limits of the amplitude, against expected counts."""
    figure = Figure(figsize=(12, 5.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    mu = np.geomspace(1e-3, 900, 400)
    for sigma, line in zip(SIGMAS, ("-", "--"), strict=True):
        eclipse, peak = significance_limits(mu, sigma)
        left.plot(
            mu, peak, color=KIND_COLOURS["peak"], ls=line, label=f"least n of a {sigma:g}σ peak"
        )
        label = f"largest n of a {sigma:g}σ eclipse"
        left.plot(mu, np.maximum(eclipse, 0.5), color=KIND_COLOURS["eclipse"], ls=line, label=label)
    left.plot(mu, mu, color=GREY, ls=":", lw=1, label="n = μ")
    left.set(ylabel="Counts n", title="Counts at the thresholds (0 at 0.5)")
    for number, credibility in enumerate(CREDIBILITIES):
        colour, line = series_style(number)
        limit = amplitude_limit(np.round(mu), mu, credibility, "peak")
        label = f"{percent(credibility)} limit of a peak at n = round(μ)"
        right.plot(mu, limit, color=colour, ls=line, label=label)
    right.set(ylabel="Excess counts", title="Upper limits without a detection")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="Expected counts μ")
        axes.set_ylim(bottom=0.4)
        axes.set_xlim(mu[0], mu[-1])
        label_logarithm(axes.xaxis)
        label_logarithm(axes.yaxis)
        axes.legend(fontsize=SMALL + 1, frameon=False)
    return figure


def sigma_figure() -> Figure:
    """Equivalent Gaussian sigma against log10 B."""
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    axes = figure.subplots()
    log_b = np.linspace(0, 52, 1041)
    for kind, line in zip(_KINDS, ("-", "--"), strict=True):
        axes.plot(
            log_b, sigma_equivalent(log_b, kind), color=KIND_COLOURS[kind], ls=line, label=kind
        )
        limits = [threshold(sigma, kind) for sigma in SIGMAS]
        axes.plot(limits, SIGMAS, "o", color=KIND_COLOURS[kind], ms=5)
    for sigma in SIGMAS:
        peak, eclipse = (threshold(sigma, kind) for kind in _KINDS)
        axes.annotate(
            f"{sigma:g}σ: peak {peak:.2f}, eclipse {eclipse:.2f}",
            (peak, sigma),
            xytext=(12, -6),
            textcoords="offset points",
            va="top",
            fontsize=SMALL + 1,
        )
    axes.set(xlabel="log₁₀ B", ylabel="Equivalent σ", xlim=(0, log_b[-1]), ylim=(0, 10.5))
    axes.set_title("0 below the first, 10 above the last value that is told apart", fontsize=10)
    axes.grid(color="0.9", lw=0.6)
    axes.legend(fontsize=SMALL + 1, frameon=False)
    return figure


def _mark_thresholds(axes: Axes, kind: Kind) -> None:
    for sigma, line in zip(SIGMAS, (":", "--"), strict=True):
        limit = threshold(sigma, kind)
        axes.axhline(limit, color=BLACK, ls=line, lw=1, label=f"{sigma:g}σ: {limit:.2f}")
