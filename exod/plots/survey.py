"""Pictures of the statistics report about what was searched, and how it compares with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from exod.catalogue.report.comparisons import FluxGroups
from exod.catalogue.report.highestframes import above
from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.objecttypes import CLASSES, UNKNOWN, ObjectTypes
from exod.catalogue.report.statistics import Histogram
from exod.catalogue.report.survey import REGIONS_LISTED, SUBSETS_LISTED, Survey
from exod.plots.distributions import MANY
from exod.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    SMALL,
    VERMILLION,
    as_it_is,
    label_logarithm,
    series_style,
)

TYPES: Final = 25
"""Object types that are drawn."""

HIGHEST: Final = 20
"""Largest limit of the counts of the highest frame that is drawn."""

CLASS_COLOURS: Final = dict(
    zip(CLASSES, (ORANGE, VERMILLION, BLUE, SKY_BLUE, GREEN, GREY), strict=True)
) | {UNKNOWN: PURPLE}


def survey_pictures(numbers: Numbers) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """What there is to draw of what was searched and compared, by the name of the picture."""
    survey = numbers.survey
    if _is_filled(survey.histograms["events"]) or _is_filled(survey.histograms["rates"]):
        yield "survey_events", partial(draw_searched, survey)
    if len(survey.modes):
        yield "survey_modes", partial(draw_modes, survey.modes)
    if _is_filled(survey.histograms["frames"]):
        yield "survey_frames", partial(draw_frames, survey.histograms["frames"])
    if survey.regions.to_numpy().sum():
        yield "survey_runs", partial(draw_runs, survey)
    highest = numbers.features.highest if numbers.features else None
    if highest is not None and len(highest):
        yield "isolated", partial(draw_isolated, highest)
    yield from _compared(numbers)


def _compared(numbers: Numbers) -> Iterator[tuple[str, Callable[[], Figure]]]:
    types = numbers.types
    if types is not None and types.samples["typed"].any():
        yield "types", partial(draw_types, types)
        if len(types.separations):
            yield "type_separations", partial(draw_type_separations, types.separations)
    if numbers.flux_groups is not None and _is_filled(numbers.flux_groups.histogram):
        yield "flux_groups", partial(draw_flux_groups, numbers.flux_groups)
    if numbers.extras is not None and numbers.extras.common:
        yield "extras", partial(draw_extras, numbers.extras.counts)


def _is_filled(shown: Histogram) -> bool:
    """Whether there is a value within the bins."""
    return bool(shown.counts.to_numpy()[:, 1:-1].any())


def _steps(axes: Axes, shown: Histogram, label: Callable[[Any], str]) -> None:
    """Groups of a histogram with logarithmic bins as steps."""
    counts = shown.counts.to_numpy()[:, 1:-1]
    for number, (group, row) in enumerate(zip(shown.counts.index, counts, strict=True)):
        colour, line = series_style(number)
        text = f"{label(group)} ({row.sum():,})"
        axes.stairs(row, shown.edges, color=colour, ls=line, lw=1.6, label=text)
    filled = np.flatnonzero(counts.sum(axis=0))
    axes.set_xscale("log")
    if len(filled):
        last = min(int(filled[-1]) + 3, len(shown.edges) - 1)
        axes.set_xlim(shown.edges[max(int(filled[0]) - 2, 0)], shown.edges[last])
    label_logarithm(axes.xaxis)
    # Room for the legend above the highest step.
    columns = 1 + (len(counts) > MANY)
    room = 1.15 + 0.09 * -(-len(counts) // columns)
    axes.set_ylim(0, room * max(1, counts.max(initial=0)))
    _whole(axes.yaxis)
    axes.legend(frameon=False, fontsize=SMALL, loc="upper left", ncols=columns)


def _whole(axis: Any) -> None:
    axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    axis.set_major_formatter("{x:,.0f}")


def draw_searched(survey: Survey) -> Figure:
    """Events of observations on the left, rates of event lists by camera on the right."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _steps(left, survey.histograms["events"], lambda _: "observations")
    left.set(xlabel="Events of an observation", ylabel="Observations")
    _steps(right, survey.histograms["rates"], lambda camera: as_it_is(str(camera)))
    right.set(xlabel="Rate of an event list (ct s⁻¹)", ylabel="Event lists")
    return figure


def draw_modes(modes: pd.DataFrame) -> Figure:
    """Event lists by camera and read-out mode, searched and left out.

    Parameters
    ----------
    modes : DataFrame
        From `exod.catalogue.report.survey.camera_modes`.
    """
    counted = modes.groupby(level=["instrument", "submode"])[["lists", "searched"]].sum()
    figure = Figure(figsize=(7.5, 1.3 + 0.28 * len(counted)), layout="constrained")
    axes = figure.subplots()
    place = np.arange(len(counted))
    searched = counted["searched"].to_numpy(float)
    left = counted["lists"].to_numpy(float) - searched
    axes.barh(place, searched, 0.75, color=BLUE, label="searched")
    if left.any():
        style: dict[str, Any] = {"color": ORANGE, "hatch": "//", "edgecolor": "white"}
        style["label"] = "left out"
        axes.barh(place, left, 0.75, searched, **style)
    for number, total in enumerate(counted["lists"]):
        text = f"{total:,}"
        axes.annotate(
            text, (total, number), (3, 0), textcoords="offset points", va="center", fontsize=SMALL
        )
    names = [as_it_is(f"{camera}, {mode}") for camera, mode in counted.index]
    _named_bars(axes, place, names, float(counted["lists"].max()), "Event lists")
    if left.any():
        axes.legend(frameon=False, fontsize=SMALL + 1, loc="lower right")
    return figure


def _named_bars(axes: Axes, place: Any, names: Iterable[str], largest: float, label: str) -> None:
    axes.set_yticks(place, list(names), fontsize=SMALL + 1)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(largest, 1.0))
    axes.set_xlabel(label)
    _whole(axes.xaxis)


def draw_frames(frames: Histogram) -> Figure:
    """Events in a frame of each run, for each time bin."""
    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    _steps(axes, frames, "{:g} s".format)
    axes.set(xlabel="Events in a frame, mean of the run", ylabel="Runs of the widest band")
    return figure


def draw_runs(survey: Survey) -> Figure:
    """Runs by the number of their regions for each time bin, observations by their subsets."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    table = survey.regions
    width = 0.85 / max(table.shape[1], 1)
    for number, t_bin in enumerate(table.columns):
        place = table.index.to_numpy() + (number - (table.shape[1] - 1) / 2) * width
        colour = series_style(number)[0]
        left.bar(place, table[t_bin], width, color=colour, label=f"{t_bin:g} s")
    ends = [*(str(number) for number in range(REGIONS_LISTED)), f"{REGIONS_LISTED}+"]
    left.set_xticks(table.index, ends)
    left.set(xlabel="Regions of a run", ylabel="Runs")
    left.set_ylim(0, 1.3 * max(1, table.to_numpy().max(initial=0)))
    left.legend(frameon=False, fontsize=SMALL, ncols=5, loc="upper right")
    step = 0.4
    named = (("subsets", survey.subsets, BLUE), ("event lists", survey.lists, ORANGE))
    for number, (name, counts, colour) in enumerate(named):
        place = counts.index.to_numpy() + (number - 0.5) * step
        right.bar(place, counts.to_numpy(), step, color=colour, label=name)
    right.set(xlabel="Number in an observation", ylabel="Observations")
    highest = max((int(counts.max()) for _, counts, _ in named if len(counts)), default=1)
    right.set_ylim(0, 1.3 * max(highest, 1))
    numbers = range(max((int(counts.index.max()) for _, counts, _ in named), default=0) + 1)
    right.set_xticks(numbers, [_number(number) for number in numbers])
    right.set_xlim(-0.6, max(numbers[-1], 3) + 0.6)
    right.legend(frameon=False, fontsize=SMALL + 1, ncols=2, loc="upper right")
    for axes in (left, right):
        _whole(axes.yaxis)
    return figure


def _number(number: int) -> str:
    return f"{number}+" if number == SUBSETS_LISTED else f"{number}"


def draw_isolated(highest: pd.DataFrame) -> Figure:
    """Light curves whose highest frame has more counts than a limit: isolated or not, by time bin.

    Parameters
    ----------
    highest : DataFrame
        From `exod.catalogue.report.highestframes.highest_frames`.
    """
    limits = list(range(HIGHEST + 1))
    counts = above(highest, limits)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = (("isolated", VERMILLION, "o", "-"), ("not isolated", BLUE, "s", "--"))
    for name, colour, marker, line in shown:
        left.plot(limits, counts[name], color=colour, marker=marker, ls=line, ms=4, label=name)
    widths = [name for name in counts.columns if not isinstance(name, str)]
    for number, width in enumerate(widths):
        colour, line = series_style(number)
        right.plot(limits, counts[width], color=colour, ls=line, lw=1.6, label=f"{width:g} s")
    for axes in (left, right):
        axes.set(xlabel="Counts of the highest frame, more than", ylabel="Light curves")
        axes.set_xlim(0, HIGHEST)
        axes.set_ylim(0, 1.15 * max(1, axes.get_ylim()[1]))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _whole(axes.yaxis)
        axes.grid(color="0.92", lw=0.6)
        columns = 1 + (len(axes.lines) > MANY)
        axes.legend(frameon=False, fontsize=SMALL + 1, loc="upper right", ncols=columns)
    return figure


def draw_types(types: ObjectTypes) -> Figure:
    """Sources by their commonest object types; colours are sub-classes."""
    first = types.samples.index[0]
    listed = types.types[types.types[first] > 0].head(TYPES)
    figure = Figure(figsize=(8.5, 1.2 + 0.26 * max(len(listed), 5)), layout="constrained")
    axes = figure.subplots()
    place, widths = np.arange(len(listed)), listed[first].to_numpy(float)
    colours = [CLASS_COLOURS[kind] for kind in listed["class"]]
    bars = axes.barh(place, widths, 0.75, color=colours)
    axes.bar_label(bars, [f"{number:,.0f}" for number in widths], padding=3, fontsize=SMALL)
    names = [as_it_is(str(name)) for name in listed.index]
    _named_bars(axes, place, names, float(widths.max(initial=1.0)), "Sources")
    _class_legend(axes, [kind for kind in CLASS_COLOURS if kind in set(listed["class"])])
    return figure


def _class_legend(axes: Axes, kinds: Iterable[str]) -> None:
    """Sub-classes beside the axes, where they cover nothing."""
    handles = [Patch(color=CLASS_COLOURS[kind], label=kind) for kind in kinds]
    style: dict[str, Any] = {"frameon": False, "fontsize": SMALL + 1}
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), **style)


def draw_type_separations(separations: pd.DataFrame) -> Figure:
    """Median separation of each sub-class and type, with the range from 16 to 84 %.

    Parameters
    ----------
    separations : DataFrame
        From `exod.catalogue.report.objecttypes.type_separations`.
    """
    classes = separations[separations["kind"] == "class"]
    types = separations[separations["kind"] == "type"]
    listed = pd.concat([classes, types.head(TYPES)])
    figure = Figure(figsize=(7.5, 1.2 + 0.26 * len(listed)), layout="constrained")
    axes = figure.subplots()
    place, median = np.arange(len(listed)), listed["p50"].to_numpy(float)
    ends = [median - listed["p16"].to_numpy(float), listed["p84"].to_numpy(float) - median]
    is_class = (listed["kind"] == "class").to_numpy()
    for chosen, marker, colour, label in (
        (is_class, "D", VERMILLION, "sub-class"),
        (~is_class, "o", BLUE, "type"),
    ):
        if chosen.any():
            bars = [end[chosen] for end in ends]
            style: dict[str, Any] = {
                "fmt": marker,
                "color": colour,
                "ms": 5,
                "capsize": 3,
                "label": label,
            }
            axes.errorbar(median[chosen], place[chosen], xerr=bars, **style)
    if is_class.any() and not is_class.all():
        axes.axhline(is_class.sum() - 0.5, color="0.8", lw=0.8)
    texts = zip(listed["name"], listed["n"], strict=True)
    names = [as_it_is(f"{name} ({n:,})") for name, n in texts]
    axes.set_yticks(place, names, fontsize=SMALL + 1)
    axes.set_ylim(len(listed) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * max(float(listed["p84"].max()), 1.0))
    axes.set_xlabel("Separation from the counterpart in SIMBAD (″): median, 16 to 84 %")
    axes.grid(axis="x", color="0.92", lw=0.6)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=SMALL + 1)
    return figure


def draw_flux_groups(groups: FluxGroups) -> Figure:
    """Fluxes of samples, each as shares of its sources."""
    figure = Figure(figsize=(7.5, 3.8), layout="constrained")
    axes = figure.subplots()
    styles = {
        "4XMM": (BLACK, "-"),
        "4XMM variable": (BLUE, "--"),
        "EXOD": (VERMILLION, "-"),
        "EXOD variable in 4XMM": (ORANGE, "-."),
    }
    shown, highest, filled = groups.histogram, 0.0, np.zeros(len(groups.histogram.edges) - 1, bool)
    for name, row in shown.counts.iterrows():
        counts = row.to_numpy(float)
        if counts.sum():
            shares = counts[1:-1] / counts.sum()
            colour, line = styles[str(name)]
            label = f"{name} ({counts.sum():,.0f})"
            axes.stairs(shares, shown.edges, color=colour, ls=line, lw=1.6, label=label)
            highest, filled = max(highest, shares.max()), filled | (shares > 0)
    places = np.flatnonzero(filled)
    if len(places):
        last = min(places[-1] + 2, len(shown.edges) - 1)
        axes.set_xlim(shown.edges[max(places[0] - 1, 0)], shown.edges[last])
    axes.set_ylim(0, 1.4 * max(highest, 1e-3))
    axes.set(xlabel="log₁₀ flux in 4XMM, 0.2–12 keV (erg cm⁻² s⁻¹)", ylabel="Share in a bin")
    axes.legend(frameon=False, fontsize=SMALL + 1, ncols=2, loc="upper left")
    return figure


def draw_extras(counts: pd.DataFrame) -> Figure:
    """Shares of the sources of either side that the other has, by significance.

    Parameters
    ----------
    counts : DataFrame
        From `exod.catalogue.report.comparisons.compare_extras`.
    """
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    sides = (
        ("ours", "Sources of the archive that EXTraS has"),
        ("theirs", "Sources of EXTraS that the archive has"),
    )
    levels = list(dict.fromkeys(counts.index.get_level_values("level")))
    names = ["all regions" if level == 0 else f"≥ {level}σ" for level in levels]
    samples = (("all", BLUE, "all of EXTraS"), ("variable", ORANGE, "variable in EXTraS"))
    for axes, (side, title) in zip(figure.subplots(1, 2), sides, strict=True):
        for number, (sample, colour, label) in enumerate(samples):
            own = counts.xs(sample, level="sample").loc[levels]
            total, found = own[side].to_numpy(float), own[f"{side}_matched"].to_numpy(float)
            shares = 100 * np.divide(found, total, out=np.zeros_like(found), where=total > 0)
            place = np.arange(len(levels)) + (number - 0.5) * 0.4
            bars = axes.bar(place, shares, 0.38, color=colour, label=label)
            texts = [f"{a:,.0f} / {b:,.0f}" for a, b in zip(found, total, strict=True)]
            axes.bar_label(bars, texts, padding=2, fontsize=SMALL - 1)
        axes.set_xticks(range(len(levels)), names)
        axes.set_ylim(0, 130)
        axes.set_yticks(range(0, 101, 20))
        axes.set(ylabel="Share (%)", title=title)
        axes.legend(frameon=False, fontsize=SMALL + 1, ncols=2, loc="upper left")
    return figure
