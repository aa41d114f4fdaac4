"""The light curve of a region: counts against what was expected, and how significant that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from exod.counts.bayes import MU_MIN, Kind, Thresholds, n_peak, threshold
from exod.plots.eventmarks import event_text, has_windows, mark_event, sigma_text
from exod.plots.style import (
    BLACK,
    KIND_COLOURS,
    KIND_MARKERS,
    ORANGE,
    SMALL,
    Row,
    has_variability,
    legend_below,
    position_text,
    run_text,
    shade_frames,
    utc,
)
from exod.schemas.arrays import Floats, Indices, Mask

SIGMAS: Final = (3.0, 5.0)
"""Significances that are drawn as bands and lines."""

LONG: Final = 400
"""Frames above which a light curve gets a close-up, since single frames become hard to see."""

MAX_STEPS: Final = 800
"""Steps that the page can show; frames of longer light curves are drawn in groups."""

ZOOM_FRAMES: Final = 40
"""Frames on each side of the most significant one in the close-up of a long light curve."""

LARGE_B: Final = 150.0
"""log10 B above which its axis is compressed, so that the thresholds stay visible."""

_BANDS = (("3σ", "#D6D6D6"), ("5σ", "#EDEDED"))
_KINDS: tuple[Kind, Kind] = ("peak", "eclipse")


def significance_limits(mu: ArrayLike, sigma: float) -> tuple[Floats, Floats]:
    """Counts at which a frame becomes a peak or an eclipse.

    Parameters
    ----------
    mu : array_like
        Expected counts.
    sigma : float
        Significance.

    Returns
    -------
    eclipse, peak : ndarray of float64, same shape
        Largest whole number of counts that is an eclipse and smallest that is a peak: B is at
        or above `exod.counts.bayes.threshold`. NaN where there is none.

    Examples
    --------
    >>> eclipse, peak = significance_limits([0.01, 20.0], 3)
    >>> eclipse, peak
    (array([nan,  2.]), array([ 3., 45.]))
    """
    mu = np.asarray(mu, float)
    usable = mu > MU_MIN
    known = np.where(usable, mu, 1.0)
    largest = float(known.max(initial=1.0))
    # Thresholds compares mu with a limit for each n; the limits rise with n, so invert them.
    n = np.arange(int(n_peak(sigma, largest)) + 20 + int(2 * sigma))
    thresholds = Thresholds(sigma, "exact")
    peak = np.searchsorted(thresholds.peak_limit(n), known, side="right").astype(float)
    eclipse = np.searchsorted(thresholds.eclipse_limit(n), known, side="left") - 1.0
    return (
        np.where(usable & (eclipse >= 0), eclipse, np.nan),
        np.where(usable, peak, np.nan),
    )


@dataclass(frozen=True)
class Curve:
    """A light curve ready to draw; NaN where there are no data.

    Attributes
    ----------
    edges : ndarray of float64, shape (n_frames + 1,)
        Ends of the frames in ks since the start of the run.
    n, mu : ndarray of float64, shape (n_frames,)
        Counts and expected counts.
    n_lowest, n_highest : ndarray of float64, shape (n_frames,)
        They differ from `n` if frames were grouped.
    bti, masked : ndarray of bool, shape (n_frames,)
        Frames in bad time, and without data.
    b_log : dict of str to ndarray of float64
        log10 Bayes factors by kind.
    found : dict of str to ndarray of bool
        Significant frames by kind.
    """

    edges: Floats
    n: Floats
    n_lowest: Floats
    n_highest: Floats
    mu: Floats
    bti: Mask
    masked: Mask
    b_log: dict[Kind, Floats]
    found: dict[Kind, Mask]

    @classmethod
    def of(cls, run: Row, rows: pd.DataFrame, cells: pd.DataFrame | None = None) -> Self:
        """Of the rows of a table of light curves and, for a region, of its cells."""
        rows = rows.sort_values("time")
        starts = rows["time"].to_numpy(float) - float(run["t_lo"])
        stop = starts[-1:] + float(run["t_bin"])
        masked = rows["bccd"].to_numpy(bool)
        mu = rows["mu"].to_numpy(float)
        n = np.where(masked, np.nan, rows["n"].to_numpy(float))
        b_log: dict[Kind, Floats] = {
            kind: np.where(masked, np.nan, rows[f"B_{kind}_log"].to_numpy(float)) for kind in _KINDS
        }
        return cls(
            edges=np.concatenate([starts, stop]) / 1000,
            n=n,
            n_lowest=n,
            n_highest=n,
            mu=np.where(masked | (mu <= 0), np.nan, mu),
            bti=rows["bti"].to_numpy(bool),
            masked=masked,
            b_log=b_log,
            found={
                kind: (values >= _least_b_log(run, kind))
                | significant_frames(rows["time"].to_numpy(float), run, cells, kind)
                for kind, values in b_log.items()
            },
        )

    def __len__(self) -> int:
        return len(self.n)

    @property
    def middles(self) -> Floats:
        """Middles of the frames in ks."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    def part(self, first: int, last: int) -> Curve:
        """The frames [first, last)."""
        arrays = {
            name: getattr(self, name)[first:last]
            for name in ("n", "n_lowest", "n_highest", "mu", "bti", "masked")
        }
        b_log = {kind: values[first:last] for kind, values in self.b_log.items()}
        found = {kind: values[first:last] for kind, values in self.found.items()}
        return Curve(edges=self.edges[first : last + 1], b_log=b_log, found=found, **arrays)

    def grouped(self, factor: int) -> Curve:
        """`factor` frames in one: mean of n and mu, range of n, largest B."""
        first = np.arange(0, len(self), factor)
        flags = {
            name: np.logical_or.reduceat(getattr(self, name), first) for name in ("bti", "masked")
        }
        return Curve(
            edges=np.concatenate([self.edges[first], self.edges[-1:]]),
            n=_mean_at(self.n, first),
            # Unlike min and max these skip NaN, without a warning where all are.
            n_lowest=np.fmin.reduceat(self.n_lowest, first),
            n_highest=np.fmax.reduceat(self.n_highest, first),
            mu=_mean_at(self.mu, first),
            b_log={kind: np.fmax.reduceat(b, first) for kind, b in self.b_log.items()},
            found={kind: np.logical_or.reduceat(f, first) for kind, f in self.found.items()},
            **flags,
        )

    def most_significant(self) -> int:
        """The frame, of those found if any, that is furthest above the threshold for its kind."""
        ratio = np.fmax(*(self.b_log[kind] / threshold(SIGMAS[0], kind) for kind in _KINDS))
        known = np.nan_to_num(ratio, nan=-np.inf)
        found = np.logical_or(*self.found.values())
        return int(np.argmax(np.where(found, known, -np.inf) if found.any() else known))


def _mean_at(values: Floats, first: Indices) -> Floats:
    """Mean of the values from each index `first` to the next, without NaN."""
    known = np.isfinite(values)
    number = np.add.reduceat(known, first, dtype=float)
    total = np.add.reduceat(np.where(known, values, 0.0), first)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def significant_frames(start: Floats, run: Row, cells: pd.DataFrame | None, kind: Kind) -> Mask:
    """Frames of which significant cells, or windows that slide, cover half at least.

    Parameters
    ----------
    start : ndarray of float64, shape (n_frames,)
        Start of each frame, mission elapsed time in seconds.
    run : mapping or Series
        Row of the table runs.
    cells : DataFrame or None
        Rows of the table cells, of one region.
    kind : {"peak", "eclipse"}
        Which cells count.

    Returns
    -------
    ndarray of bool, shape (n_frames,)

    Examples
    --------
    >>> cells = pd.DataFrame({"kind": ["peak"], "TIME_lo": [75.0]})
    >>> significant_frames(np.array([0.0, 50.0, 100.0]), {"t_bin": 50.0}, cells, "peak")
    array([False,  True,  True])
    """
    found = np.zeros(len(start), bool)
    if cells is None:
        return found
    # Frame numbers are of frames that may overlap; only times compare with the light curve.
    half = 0.5 * float(run["t_bin"]) * (1 + 1e-6)
    for time in cells.loc[cells["kind"] == kind, "TIME_lo"].to_numpy(float):
        found |= np.abs(start - time) <= half
    return found


def region_light_curve(
    run: Row, region: Row, light_curve: pd.DataFrame, cells: pd.DataFrame | None = None
) -> Figure:
    """Counts of a region against expectation, and the Bayes factors of its frames.

    Counts above (below) the grey bands are peaks (eclipses) at 3 and 5 sigma. A light curve of
    many frames is drawn in groups of frames, with a close-up of the most significant one beside.

    Parameters
    ----------
    run, region : mapping or Series
        Rows of the tables runs and regions.
    light_curve : DataFrame
        Rows of the table lightcurves, one a frame.
    cells : DataFrame, optional
        Rows of the table cells of the region: their frames are marked, besides those in which the
        whole region is significant.

    Returns
    -------
    Figure
        Axes: counts above, Bayes factors below.
    """
    curve = Curve.of(run, light_curve, cells)
    figure, axes = _drawn(curve, run, _title(run, region, cells))
    mark_event(axes[0], run, region)
    legend_below(figure, axes.ravel(), columns=6)
    return figure


def place_light_curve(run: Row, light_curve: pd.DataFrame, title: str) -> Figure:
    """Counts of any cells, as `region_light_curve` shows those of a region.

    Parameters
    ----------
    run : mapping or Series
        Its t_lo, t_bin and sigma.
    light_curve : DataFrame
        Columns time, n, mu, bti, bccd, B_peak_log, B_eclipse_log; a row a frame.
    title : str
        What it is.

    Returns
    -------
    Figure
        Axes: counts above, Bayes factors below.
    """
    figure, axes = _drawn(Curve.of(run, light_curve), run, title)
    legend_below(figure, axes.ravel(), columns=6)
    return figure


def _drawn(curve: Curve, run: Row, title: str) -> tuple[Figure, NDArray[Any]]:
    """Counts above and Bayes factors below, without a legend."""
    is_long = len(curve) > LONG
    figure = Figure(figsize=(13 if is_long else 10, 6.6), layout="constrained")
    axes = figure.subplots(
        2,
        2 if is_long else 1,
        sharex="col",
        squeeze=False,
        height_ratios=(3, 2),
        width_ratios=(1.7, 1) if is_long else (1,),
    )
    if is_long:
        factor = -(-len(curve) // MAX_STEPS)
        peak = curve.most_significant()
        first, last = max(peak - ZOOM_FRAMES, 0), min(peak + ZOOM_FRAMES + 1, len(curve))
        _draw_column(axes[:, 0], curve, run, factor)
        _draw_column(axes[:, 1], curve.part(first, last), run, 1)
        groups = f", in groups of {factor} frames" if factor > 1 else ""
        axes[0, 0].set_title(f"Whole run{groups}; ▼ close-up", fontsize=10)
        axes[0, 1].set_title(f"±{ZOOM_FRAMES} frames around the most significant", fontsize=10)
        above = {"transform": axes[0, 0].get_xaxis_transform(), "clip_on": False}
        axes[0, 0].plot(curve.middles[peak], 1.015, "kv", markersize=5, **above)
    else:
        _draw_column(axes[:, 0], curve, run, 1)
    axes[0, 0].set_ylabel(f"Counts per frame (ct / {run['t_bin']:g} s)")
    axes[1, 0].set_ylabel("log$_{10}$ Bayes factor (no unit)")
    since = f"Time since {utc(float(run['t_lo']))} UTC (ks)"
    for column, axis in enumerate(axes[1]):
        axis.set_xlabel("Time, as on the left (ks)" if column else since)
    figure.suptitle(title, fontsize=11)
    return figure, axes


def _draw_column(axes: NDArray[Any], curve: Curve, run: Row, factor: int) -> None:
    """Counts and Bayes factors of a curve, its frames in groups of `factor`."""
    upper, lower = axes
    shown = curve.grouped(factor) if factor > 1 else curve
    draw_counts(upper, shown)
    _draw_bayes_factors(lower, shown)
    _mark(upper, lower, curve, run)
    for axis in axes:
        shade_frames(axis, curve.edges, curve.bti, curve.masked)
        axis.locator_params(axis="x", nbins=6 if len(curve) <= 2 * ZOOM_FRAMES + 1 else "auto")
        axis.set_xlim(curve.edges[0], curve.edges[-1])


def draw_counts(axes: Axes, curve: Curve) -> None:
    """Counts as steps, the expectation, and the counts that are within 3 and 5 sigma of it."""
    highest = float(np.nanmax(curve.n_highest, initial=1.0))
    for sigma, (name, colour) in reversed(list(zip(SIGMAS, _BANDS, strict=True))):
        eclipse, peak = significance_limits(curve.mu, sigma)
        low = np.where(np.isfinite(eclipse), eclipse + 0.5, -0.5)
        axes.stairs(
            peak - 0.5,
            curve.edges,
            baseline=low,
            fill=True,
            color=colour,
            linewidth=0,
            label=f"within {name}",
            zorder=1,
        )
        if sigma == SIGMAS[0]:
            highest = max(highest, float(np.nanmax(peak, initial=1.0)))
    is_grouped = bool(np.any(curve.n_highest > curve.n_lowest))
    if is_grouped:
        axes.stairs(
            curve.n_highest,
            curve.edges,
            baseline=curve.n_lowest,
            fill=True,
            color=BLACK,
            alpha=0.3,
            linewidth=0,
            label="lowest to highest $n$ of a group",
            zorder=2,
        )
    axes.stairs(
        curve.n,
        curve.edges,
        baseline=None,
        color="#4D4D4D" if is_grouped else BLACK,
        lw=0.9,
        label="mean $n$ of a group" if is_grouped else "counts $n$",
        zorder=3,
    )
    axes.stairs(
        curve.mu,
        curve.edges,
        baseline=None,
        color=ORANGE,
        lw=1.6,
        label="expected $\\mu$",
        zorder=4,
    )
    axes.set_ylim(-0.5, 1.12 * highest + 0.5)
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))


def _draw_bayes_factors(axes: Axes, curve: Curve) -> None:
    styles: dict[Kind, str] = {"peak": "-", "eclipse": "--"}
    largest = 1.15 * threshold(SIGMAS[-1], "peak")
    for kind, style in styles.items():
        values = np.maximum(curve.b_log[kind], 0.0)
        largest = max(largest, 1.1 * float(np.nanmax(values, initial=0.0)))
        axes.stairs(
            values,
            curve.edges,
            baseline=None,
            color=KIND_COLOURS[kind],
            lw=0.9,
            ls=style,
            label=f"log$_{{10}}$ $B_\\mathrm{{{kind}}}$",
            zorder=3,
        )
        for sigma in SIGMAS:
            axes.axhline(threshold(sigma, kind), color=KIND_COLOURS[kind], ls=":", lw=1.1, zorder=2)
    for sigma in SIGMAS:
        axes.annotate(
            f"{sigma:g}σ",
            (1, threshold(sigma, "peak")),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL + 1,
            annotation_clip=False,
        )
    if largest > LARGE_B:
        axes.set_yscale("asinh", linear_width=15)
        axes.set_yticks([0, *(m * 10.0**e for e in range(1, 7) for m in (1, 3))])
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
    axes.set_ylim(-0.03 * largest if largest <= LARGE_B else -1, largest)


def _least_b_log(run: Row, kind: Kind) -> float:
    """log10 of the Bayes factor that makes a frame significant; EXOD I does not ask for one."""
    return np.inf if has_variability(run) else threshold(float(run["sigma"]), kind)


def _mark(upper: Axes, lower: Axes, curve: Curve, run: Row) -> None:
    """Mark the significant frames, in both panels."""
    where = "in a window of" if has_windows(run) else "of"
    what = f"{where} {float(run['sigma']):.3g}σ or more"
    if has_variability(run):
        what = "of a variable cell"
    for kind in _KINDS:
        passing = np.flatnonzero(curve.found[kind])
        if not len(passing):
            continue
        for axes, values in ((upper, curve.n), (lower, curve.b_log[kind])):
            axes.plot(
                curve.middles[passing],
                values[passing],
                ls="",
                marker=KIND_MARKERS[kind],
                color=KIND_COLOURS[kind],
                markersize=7,
                markeredgecolor="white",
                markeredgewidth=0.6,
                label=f"{kind} {what}",
                zorder=5,
                clip_on=False,
            )


def _title(run: Row, region: Row, cells: pd.DataFrame | None) -> str:
    ra, dec = float(region["ra_deg"]), float(region["dec_deg"])
    position = f"{position_text(ra, dec)} ({ra:.5f}°, {dec:+.5f}°)".replace("-", "−")
    error = f"± {float(region['pos_err_arcsec']):.1f}″"
    name = f"{region['detid']} · {run_text(run)} · {sigma_text(run, region, cells)}"
    return f"{name}\n{position} {error}{event_text(region)}"
