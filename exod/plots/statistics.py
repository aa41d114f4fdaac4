"""Pictures of the statistics report: what an archive holds, all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.statistics import SIGMAS, time_bins
from exod.counts.bayes import Kind
from exod.plots.counterparts import (
    draw_fluxes,
    draw_match,
    draw_sky,
    draw_stars,
)
from exod.plots.distributions import (
    draw_bayes,
    draw_events,
    draw_hardness,
    draw_separations,
)
from exod.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    KIND_COLOURS,
    ORANGE,
    SKY_BLUE,
    SMALL,
    shade_frames,
)
from exod.plots.survey import survey_pictures

DOTS_PER_INCH: Final = 130
"""A page holds dozens of pictures, so they are a little coarser than those in files."""

LEAST_LIVE: Final = 0.2
"""Live fraction of a frame below which its counts say little of the rate."""

STEPS: Final = 300
"""Steps of a small light curve at most; longer ones are grouped by the largest counts."""

AXIS_LETTERS: Final = 66
"""Letters of the smallest size that fit side by side under one of two panels."""

_SIGMA_COLOURS: Final = (SKY_BLUE, BLUE, BLACK)
_KINDS: tuple[Kind, Kind] = ("peak", "eclipse")


def report_pictures(numbers: Numbers) -> dict[str, bytes]:
    """Draw everything that the numbers allow.

    Parameters
    ----------
    numbers : Numbers
        Of an archive.

    Returns
    -------
    dict of str to bytes
        PNG by name, for `exod.catalogue.report.sections.contents.sections`; light curves by their
        region.
    """
    return {name: png(draw()) for name, draw in _wanted(numbers)}


def _wanted(numbers: Numbers) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """What there is to draw, one figure at a time so that few are in memory."""
    if len(numbers.runs):
        yield "significance", partial(draw_significance, numbers.runs)
    if len(numbers.runs) or (numbers.expected["unknown"] < numbers.expected["runs"]).any():
        yield "false_alarms", partial(draw_false_alarms, numbers.runs, numbers.expected)
    histograms = numbers.histograms
    if histograms["log_b_peak"].total or histograms["log_b_eclipse"].total:
        yield "bayes", partial(draw_bayes, histograms)
    if histograms["duration"].total or histograms["excess"].total:
        yield "events", partial(draw_events, histograms["duration"], histograms["excess"])
    if numbers.flags is not None and numbers.flags.shape[1] and int(numbers.flags.to_numpy().sum()):
        yield "flags", partial(draw_flags, numbers.flags)
    yield from survey_pictures(numbers)
    yield from _of_features(numbers)
    yield from _of_sources(numbers)


def _of_features(numbers: Numbers) -> Iterator[tuple[str, Callable[[], Figure]]]:
    if numbers.features is None:
        return
    regions, hardness = numbers.features.regions, numbers.features.hardness
    if regions is not None and len(regions):
        yield "good_bad", partial(draw_good_bad, regions)
    if hardness is not None and hardness.total:
        yield "hardness", partial(draw_hardness, hardness)


def _of_sources(numbers: Numbers) -> Iterator[tuple[str, Callable[[], Figure]]]:
    sources = numbers.sources
    if sources is not None and sources.n:
        yield "sky_icrs", partial(draw_sky, sources.sky, "icrs")
        yield "sky_galactic", partial(draw_sky, sources.sky, "galactic")
        if sources.separations.total:
            yield "separations", partial(draw_separations, sources.separations)
    for name, match in numbers.matches.items():
        if match is not None and match.matched:
            yield f"match_{name}", partial(draw_match, name, match)
    if numbers.fluxes is not None and len(numbers.fluxes):
        yield "fluxes", partial(draw_fluxes, numbers.fluxes)
    if numbers.stars is not None and len(numbers.stars):
        yield "stars", partial(draw_stars, numbers.stars)
    for detid, curve in numbers.curves.items():
        if isinstance(curve, pd.DataFrame):
            (t_bin,) = time_bins(pd.Series([detid]))
            yield detid, partial(draw_thumbnail, curve, float(t_bin))


def png(figure: Figure) -> bytes:
    """A picture as the bytes of a PNG; equal pictures give equal bytes."""
    sink = BytesIO()
    # The name of the library has its version in it.
    figure.savefig(sink, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return sink.getvalue()


def _fit_side_by_side(runs: pd.Index) -> bool:
    """Whether the names of runs fit under an axis without being turned."""
    widths = (max(len(f"{t_bin:g} s"), len(f"{lo:g}–{hi:g}")) + 1 for t_bin, lo, hi in runs)
    return len(runs) * max(widths, default=0) <= AXIS_LETTERS


def _run_axis(axes: Axes, frame: pd.DataFrame) -> None:
    if _fit_side_by_side(frame.index):
        labels = [f"{t_bin:g} s\n{lo:g}–{hi:g}" for t_bin, lo, hi in frame.index]
        axes.set_xticks(range(len(frame)), labels, fontsize=SMALL)
    else:
        labels = [f"{t_bin:g} s, {lo:g}–{hi:g}" for t_bin, lo, hi in frame.index]
        axes.set_xticks(range(len(frame)), labels, fontsize=SMALL - 1, rotation=90)
    axes.set_xlabel("Time bin and band (keV)")
    axes.set_xlim(-0.6, len(frame) - 0.4)


def _two_panels(runs: pd.Index) -> Figure:
    """Panels of peaks and of eclipses, higher if names of runs are turned."""
    figure = Figure(figsize=(10, 3.6 if _fit_side_by_side(runs) else 4.2), layout="constrained")
    figure.subplots(1, 2)
    return figure


def draw_significance(runs: pd.DataFrame) -> Figure:
    """Regions of each run at or above 3, 4 and 5 sigma: peaks on the left, eclipses on the right.

    Parameters
    ----------
    runs : DataFrame
        From `exod.catalogue.report.statistics.run_counts`.
    """
    figure = _two_panels(runs.index)
    for axes, kind in zip(figure.axes, _KINDS, strict=True):
        for sigma, colour in zip(SIGMAS, _SIGMA_COLOURS, strict=True):
            heights = runs[f"{kind}_{sigma}"].to_numpy(float)
            width = 0.85 - 0.22 * (sigma - SIGMAS[0])
            axes.bar(range(len(runs)), heights, width, color=colour, label=f"≥ {sigma}σ")
        axes.set(ylabel="Regions", title=f"{kind.capitalize()}s")
        axes.set_ylim(0, max(1.0, 1.2 * float(runs[f"{kind}_{SIGMAS[0]}"].max())))
        axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        _run_axis(axes, runs)
        axes.legend(frameon=False, fontsize=SMALL + 1, ncols=len(SIGMAS), loc="upper right")
    return figure


def draw_false_alarms(runs: pd.DataFrame, expected: pd.DataFrame) -> Figure:
    """Regions found in each run beside those that chance is expected to make.

    Parameters
    ----------
    runs, expected : DataFrame
        From `exod.catalogue.report.statistics.run_counts` and `expected_false`.
    """
    figure = _two_panels(expected.index)
    counts = runs.reindex(expected.index, fill_value=0)
    place = np.arange(len(expected), dtype=float)
    for axes, kind in zip(figure.axes, _KINDS, strict=True):
        found = counts[f"{kind}s"].to_numpy(float)
        known = (expected["unknown"] < expected["runs"]).to_numpy()
        chance = np.where(known, expected[f"false_{kind}s"].to_numpy(float), np.nan)
        axes.bar(place, found, 0.7, color=KIND_COLOURS[kind], alpha=0.75, label="found")
        axes.errorbar(
            place,
            chance,
            yerr=np.sqrt(chance),
            fmt="o",
            color=BLACK,
            mfc="white",
            ms=5,
            capsize=3,
            label="expected by chance, ± 1σ",
        )
        # A logarithmic axis has no zero, and no eclipses is a common result.
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, max(10.0, 8 * float(np.nanmax([found, chance + chance**0.5]))))
        axes.set(ylabel="Regions", title=f"{kind.capitalize()}s")
        _run_axis(axes, expected)
        axes.legend(frameon=False, fontsize=SMALL + 1, ncols=2, loc="upper left")
    return figure


def draw_good_bad(regions: pd.DataFrame) -> Figure:
    """Regions with significant frames in good time only, in both, and in bad time only.

    Parameters
    ----------
    regions : DataFrame
        From `exod.catalogue.report.statistics.good_and_bad`.
    """
    figure = Figure(figsize=(8.5, 1.2 + 0.26 * len(regions)), layout="constrained")
    axes = figure.subplots()
    place, left = np.arange(len(regions)), np.zeros(len(regions))
    parts = (
        ("gti", GREEN, "", "good time only"),
        ("both", SKY_BLUE, "//", "both"),
        ("bti", ORANGE, "..", "bad time only"),
    )
    for column, colour, hatch, label in parts:
        width = regions[column].to_numpy(float)
        axes.barh(
            place, width, 0.75, left, color=colour, hatch=hatch, edgecolor="white", label=label
        )
        left += width
    names = [f"{t_bin:g} s, {sigma}σ {kind}" for t_bin, sigma, kind in regions.index]
    axes.set_yticks(place, names, fontsize=SMALL + 1)
    axes.invert_yaxis()
    axes.set_xlabel("Regions with significant frames")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    axes.set_xlim(0, max(1.0, 1.05 * float(left.max(initial=0.0))))
    figure.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=SMALL + 1)
    return figure


def draw_flags(flags: pd.DataFrame) -> Figure:
    """Matrix of flags: how many regions of the flag of a row have that of the column.

    Parameters
    ----------
    flags : DataFrame
        From `exod.catalogue.report.statistics.flag_counts`.
    """
    names = list(flags.columns)
    both = flags.loc[names].to_numpy(float)
    alone = np.diag(both)[:, np.newaxis]
    shares = np.divide(both, alone, out=np.zeros_like(both), where=alone > 0)
    side = 2.0 + 0.5 * len(names)
    figure = Figure(figsize=(side + 1.6, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    short = [name.removeprefix("filt_") for name in names]
    axes.set_xticks(range(len(names)), short, rotation=40, ha="right", fontsize=SMALL + 1)
    axes.set_yticks(range(len(names)), short, fontsize=SMALL + 1)
    for (row, column), number in np.ndenumerate(both):
        colour = "white" if shares[row, column] < 0.55 else "black"
        text = f"{number:,.0f}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=SMALL)
    figure.colorbar(image, ax=axes, label="share of the regions of the row", shrink=0.8)
    return figure


def draw_thumbnail(curve: pd.DataFrame, t_bin: float) -> Figure:
    """A small light curve.

    Parameters
    ----------
    curve : DataFrame
        Rows of the table lightcurves, by time; frames without data are left out.
    t_bin : float
        Length of a frame, s.
    """
    figure = Figure(figsize=(3.3, 1.8), layout="constrained")
    axes = figure.subplots()
    starts = curve["time"].to_numpy(float)
    edges = (np.append(starts, starts[-1] + t_bin) - starts[0]) / 1000
    group = np.arange(0, len(starts), max(1, -(-len(starts) // STEPS)))
    n, mu = (curve[name].to_numpy(float) for name in ("n", "mu"))
    # With `cube.mask_bad_ccd` off such frames have data as all others.
    masked = curve["bccd"].to_numpy(bool) & (mu <= 0) & (n == 0)
    # Of frames that were live for a part, what whole ones would have, but of the shortest parts.
    live = curve["live"].to_numpy(float)
    live = np.where(live > 0, np.maximum(live, LEAST_LIVE), 1.0)
    n, mu = (np.where(masked, np.nan, counts) / live for counts in (n, mu))
    steps = np.append(edges[group], edges[-1])
    # The largest of a group: a burst of one frame must not be averaged away.
    axes.stairs(np.fmax.reduceat(n, group), steps, baseline=None, color=BLUE, lw=1)
    axes.stairs(np.fmax.reduceat(mu, group), steps, baseline=None, color=BLACK, lw=0.9, ls="--")
    shade_frames(axes, edges, curve["bti"].to_numpy(bool), masked)
    _mark_strongest(axes, curve, edges, n)
    # Room for the mark above the highest frame.
    axes.set_ylim(0, 1.2 * max(1.0, float(np.nanmax(n, initial=0.0))))
    axes.margins(x=0.01)
    axes.tick_params(labelsize=SMALL)
    axes.set_xlabel("Time (ks)", fontsize=SMALL)
    axes.set_ylabel(f"Counts in {t_bin:g} s", fontsize=SMALL)
    return figure


def _mark_strongest(axes: Axes, curve: pd.DataFrame, edges: Any, n: Any) -> None:
    """A triangle at the frame of the largest B."""
    strengths = {
        kind: np.where(np.isnan(n), np.nan, curve[f"B_{kind}_log"].to_numpy(float))
        for kind in _KINDS
    }
    best = {kind: np.nanmax(b) for kind, b in strengths.items() if np.isfinite(b).any()}
    if not best:
        return
    kind = max(best, key=lambda name: float(best[name]))
    frame = int(np.nanargmax(strengths[kind]))
    middle = (edges[frame] + edges[frame + 1]) / 2
    axes.annotate(
        "▼",
        (middle, n[frame]),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=KIND_COLOURS[kind],
        fontsize=SMALL,
    )
