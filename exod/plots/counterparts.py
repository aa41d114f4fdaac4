"""Pictures of sources on the sky and of their counterparts in other catalogues."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from astropy import units
from astropy.coordinates import SkyCoord
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter
from numpy.typing import ArrayLike

from exod.catalogue.report.counterparts import Separations
from exod.catalogue.report.statistics import pixel_centres
from exod.plots.style import (
    BLACK,
    BLUE,
    GREY,
    KIND_COLOURS,
    KIND_MARKERS,
    SMALL,
    VERMILLION,
    label_logarithm,
    legend_below,
)

MANY_OFFSETS: Final = 40
"""Offsets from which the picture reaches as far as nineteen in twenty of them."""

MANY: Final = 5000
"""Points above which a scatter is drawn as densities."""

DENSE: Final = ListedColormap(colormaps["viridis_r"](np.linspace(0.15, 1, 256)))
"""From light to dark; the lightest part is left out, since it is hard to see on white."""

LIKELY_CHANCE: Final = 0.5
"""Chance probability from which a counterpart is more likely another object."""


def draw_sky(sky: pd.DataFrame, frame: str) -> Figure:
    """Sources by HEALPix pixel in an Aitoff projection, longitudes to the left.

    Parameters
    ----------
    sky : DataFrame
        Column n, index pixel; see `exod.catalogue.report.statistics.sky_pixels`.
    frame : {"icrs", "galactic"}
        Coordinates of the map. The equatorial one shows the Galactic plane, the Galactic one the
        celestial equator.
    """
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.add_subplot(projection="aitoff")
    lon, lat = pixel_centres(sky.index.to_numpy(np.int64), frame)
    counts = sky["n"].to_numpy(float)
    order = np.argsort(counts)
    # Few fields are drawn large enough to be seen, many so that they do not cover one another.
    size = float(np.clip(20000 / max(len(sky), 1), 4, 30))
    points = axes.scatter(
        _left(lon[order]),
        np.deg2rad(lat[order]),
        c=counts[order],
        s=size,
        cmap=DENSE,
        norm=LogNorm(1, max(10.0, counts.max())),
        edgecolors="none",
        zorder=3,
    )
    other = "galactic" if frame == "icrs" else "icrs"
    _great_circle(axes, other, frame)
    axes.grid(color="0.8", lw=0.6)
    places = np.arange(-150, 151, 30)
    axes.set_xticks(np.deg2rad(places), [])
    for place in places.tolist():
        # Texts of ticks lie under the points.
        edged = [withStroke(linewidth=2.5, foreground="white")]
        style: dict[str, Any] = {"fontsize": SMALL, "path_effects": edged, "zorder": 5}
        axes.text(np.deg2rad(place), 0.02, f"{-place % 360}°", ha="center", va="bottom", **style)
    axes.tick_params(axis="y", labelsize=SMALL)
    axes.legend(loc="lower right", fontsize=SMALL, frameon=False, bbox_to_anchor=(1.05, -0.05))
    bar = figure.colorbar(
        points, ax=axes, shrink=0.7, pad=0.03, label="sources in a pixel", format="%d"
    )
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    return figure


def _left(longitude_deg: Any) -> Any:
    """Longitudes as seen from inside: to the left, 0 in the middle; radians."""
    return -np.deg2rad((np.asarray(longitude_deg) + 180) % 360 - 180)


def _great_circle(axes: Axes, other: str, frame: str) -> None:
    circle = SkyCoord(np.linspace(0, 360, 721) * units.deg, np.zeros(721) * units.deg, frame=other)
    found = circle.transform_to(frame).spherical
    x, y = _left(found.lon.to_value(units.deg)), found.lat.to_value(units.rad)
    order = np.argsort(x)
    label = "Galactic plane" if other == "galactic" else "celestial equator"
    axes.plot(x[order], y[order], color=VERMILLION, lw=0.9, ls="--", label=label, zorder=2)


def draw_match(name: str, match: Separations) -> Figure:
    """Separations of the counterparts in a catalogue, and those expected by chance."""
    figure = Figure(figsize=(3.5, 2.5), layout="constrained")
    axes = figure.subplots()
    shown = match.histogram
    counts = shown.counts.to_numpy()[0].copy()
    # A counterpart at the radius itself belongs to the last bin.
    counts[-2] += counts[-1]
    axes.stairs(counts[1:-1], shown.edges, fill=True, color=BLUE, alpha=0.8, label="counterparts")
    if match.known_density:
        middles = (shown.edges[1:] + shown.edges[:-1]) / 2
        label = f"expected by chance: {match.expected_chance:,.0f}"
        axes.plot(middles, match.chance, color=BLACK, lw=1.4, ls="--", label=label)
    axes.set_xlim(0, match.radius_arcsec)
    # Room for the legend above whatever is highest.
    axes.set_ylim(0, 1.35 * max(counts.max(), match.chance.max(initial=0.0), 1.0))
    axes.tick_params(labelsize=SMALL)
    axes.set_xlabel("Separation (″)", fontsize=SMALL + 1)
    axes.set_ylabel("Sources", fontsize=SMALL + 1)
    axes.set_title(f"{name}: {match.matched:,} of {match.sources:,}", fontsize=SMALL + 2)
    axes.legend(frameon=False, fontsize=SMALL)
    return figure


def draw_offsets(
    name: str, east: ArrayLike, north: ArrayLike, p_chance: ArrayLike, radius_arcsec: float
) -> Figure:
    """Offsets of counterparts in right ascension and declination, with mean and error ellipse.

    Parameters
    ----------
    name : str
        The catalogue.
    east, north : array_like, shape (n,)
        Counterpart less source in arcsec, that in right ascension on the sky; NaN without.
    p_chance : array_like, shape (n,)
        Probability that one is there by chance; those of one half or more do not count in the
        mean. NaN counts.
    radius_arcsec : float
        Radius of the cross-match, beyond which there are none. The axes reach as far as the offsets
        that count do, of many as far as 95 % of them; the title says how many are outside.
    """
    offsets = np.column_stack([np.asarray(east, float), np.asarray(north, float)])
    matched = np.isfinite(offsets).all(axis=1)
    likely = matched & ~(np.asarray(p_chance, float) >= LIKELY_CHANCE)
    figure = Figure(figsize=(5.8, 6.2), layout="constrained")
    axes = figure.subplots()
    rest = matched & ~likely
    size = float(np.clip(3000 / max(int(matched.sum()), 1), 2, 16))
    for which, colour, label in ((rest, GREY, "likely chance"), (likely, BLUE, "counterparts")):
        if which.any():
            text = f"{label} ({int(which.sum()):,})"
            style: dict[str, Any] = {"s": size, "alpha": 0.5, "edgecolors": "none"}
            axes.scatter(*offsets[which].T, color=colour, label=text, **style)
    for draw in (axes.axhline, axes.axvline):
        draw(0, color=BLACK, lw=0.6, zorder=1)
    if likely.any():
        _draw_mean(axes, offsets[likely])
        legend_below(figure, [axes], columns=2)
    else:
        axes.text(0.5, 0.6, "no counterparts", transform=axes.transAxes, ha="center")
    reach = _reach(offsets[likely], radius_arcsec)
    beyond = int((np.abs(offsets[matched]) > reach).any(axis=1).sum())
    # Right ascension grows to the left, as on the sky.
    axes.set(xlim=(reach, -reach), ylim=(-reach, reach))
    axes.set(xlabel="Δ RA cos Dec (″)", ylabel="Δ Dec (″)", aspect="equal")
    outside = f", {beyond:,} outside" if beyond else ""
    axes.set_title(f"{name}: counterpart less source{outside}", fontsize=SMALL + 3)
    return figure


def _reach(offsets: Any, radius_arcsec: float) -> float:
    """Half the side of a picture that shows the offsets and the ellipse of 68.3 % of them."""
    if not len(offsets):
        return radius_arcsec
    # A few chance matches far away would make a point of all others.
    far = float(
        np.percentile(np.abs(offsets).max(axis=1), 100 if len(offsets) < MANY_OFFSETS else 95)
    )
    if len(offsets) > 2:
        width, height, _ = error_ellipse(np.cov(offsets.T))
        far = max(far, float(np.abs(offsets.mean(axis=0)).max()) + max(width, height) / 2)
    return min(max(1.15 * far, 0.5), radius_arcsec)


def _draw_mean(axes: Axes, offsets: Any) -> None:
    """The mean, the ellipse of 68.3 % of the offsets, and that of the mean."""
    n, mean = len(offsets), offsets.mean(axis=0)
    text = f"mean {mean[0]:+.2f}″, {mean[1]:+.2f}″".replace("-", "−")
    if n > 2:
        covariance = np.cov(offsets.T)
        error = np.sqrt(np.diag(covariance) / n)
        text = f"mean {mean[0]:+.2f} ± {error[0]:.2f}″, {mean[1]:+.2f} ± {error[1]:.2f}″"
        text = text.replace("-", "−")
        shown = (
            (covariance, "--", "68.3 % of offsets"),
            (covariance / n, "-", "68.3 % of the mean"),
        )
        for spread, line, label in shown:
            axes.add_patch(_ellipse(mean, spread, ls=line, label=label))
    axes.plot(*mean, "+", color=VERMILLION, ms=10, mew=1.8, label=text)


def error_ellipse(covariance: ArrayLike, probability: float = 0.683) -> tuple[float, float, float]:
    """Axes and angle of the ellipse that holds a share of a normal distribution in the plane.

    Parameters
    ----------
    covariance : array_like, shape (2, 2)
        Of x and y.
    probability : float
        The share.

    Returns
    -------
    width, height, angle_deg : float
        Full axes in x and y before it is turned, counterclockwise, by the angle.

    Examples
    --------
    >>> width, height, angle = error_ellipse([[4.0, 0.0], [0.0, 1.0]])
    >>> round(width / height, 6), round(angle % 180, 6)
    (2.0, 0.0)
    """
    values, vectors = np.linalg.eigh(np.asarray(covariance, float))
    # The square of the distance in sigmas has a chi-squared distribution of two degrees.
    scale = np.sqrt(-2 * np.log1p(-probability))
    height, width = 2 * scale * np.sqrt(np.maximum(values, 0))
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    return float(width), float(height), float(angle)


def _ellipse(mean: Any, covariance: Any, **style: Any) -> Ellipse:
    width, height, angle = error_ellipse(covariance)
    return Ellipse(mean, width, height, angle=angle, fill=False, ec=VERMILLION, lw=1.5, **style)


def draw_fluxes(fluxes: pd.DataFrame) -> Figure:
    """Peak rate and excess counts of the best regions against the flux in 4XMM.

    Parameters
    ----------
    fluxes : DataFrame
        From `exod.catalogue.report.counterparts.flux_pairs`.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    shown = {
        "peak_rate": "PSF-corrected peak rate (ct s⁻¹)",
        "excess": "PSF-corrected excess (ct, without its sign)",
    }
    for axes, (column, label) in zip(figure.subplots(1, 2), shown.items(), strict=True):
        size = fluxes[column].abs().to_numpy(float)
        flux = fluxes["flux"].to_numpy(float)
        known = size > 0
        if known.sum() > MANY:
            _density(axes, flux[known], size[known], figure, xscale="log", yscale="log")
        else:
            _points_of_kinds(axes, flux, size, known, fluxes["kind"])
        if not known.any():
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
        axes.set(xscale="log", yscale="log", ylabel=label)
        for axis in (axes.xaxis, axes.yaxis):
            label_logarithm(axis)
        axes.set_xlabel("Flux in 4XMM, 0.2–12 keV (erg cm⁻² s⁻¹)")
    return figure


def _points_of_kinds(axes: Axes, flux: Any, size: Any, known: Any, kinds: pd.Series) -> None:
    for kind in ("peak", "eclipse"):
        own = known & (kinds == kind).to_numpy()
        if own.any():
            axes.scatter(
                flux[own],
                size[own],
                s=11,
                alpha=0.6,
                color=KIND_COLOURS[kind],
                marker=KIND_MARKERS[kind],
                edgecolors="none",
                label=f"{kind} ({own.sum():,})",
            )
    if known.any():
        axes.legend(frameon=False, fontsize=SMALL + 1)


def draw_stars(stars: pd.DataFrame) -> Figure:
    """Absolute magnitude against colour.

    Parameters
    ----------
    stars : DataFrame
        From `exod.catalogue.report.counterparts.absolute_magnitudes`.
    """
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.subplots()
    colour, magnitude = stars["colour"].to_numpy(), stars["magnitude"].to_numpy()
    if len(stars) > MANY:
        _density(axes, colour, magnitude, figure)
    else:
        axes.scatter(colour, magnitude, s=12, alpha=0.6, color=BLUE, edgecolors="none")
    axes.invert_yaxis()
    axes.set(xlabel="BP − RP (mag)", ylabel="Absolute G magnitude")
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    return figure


def _density(axes: Axes, x: Any, y: Any, figure: Figure, **scales: Any) -> None:
    found = axes.hexbin(x, y, gridsize=70, bins="log", mincnt=1, cmap=DENSE, **scales)
    figure.colorbar(found, ax=axes, label="sources")
