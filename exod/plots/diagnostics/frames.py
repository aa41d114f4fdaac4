"""Which frames of a run are good, in bad time or masked, and by what."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exod.observation.gti import BTI_RATE, HIGH_ENERGY_EV, Frames
from exod.observation.subsets import MergedEvents
from exod.plots.style import (
    BLACK,
    GREEN,
    SKY_BLUE,
    SMALL,
    YELLOW,
    legend_below,
    series_style,
    shade_frames,
    spans,
    utc,
)
from exod.schemas.arrays import Floats, Integers, Mask

STEPS: Final = 600
"""Steps of a curve that a sheet can show; frames of longer ones are added up in groups."""


def frames_sheet(
    title: str,
    frames: Frames,
    counts: Integers,
    bad_time: Mask,
    camera_off: Mask,
    hard: tuple[Frames, Integers],
    n_monitors: int,
) -> Figure:
    """Frame masks over the light curve, and the high-energy rate with its threshold.

    Parameters
    ----------
    title : str
        Above the sheet.
    frames : Frames
        Frames of the run.
    counts : ndarray of int, shape (n_frames,)
        Counts of the whole image.
    bad_time, camera_off : ndarray of bool, shape (n_frames,)
        Frames in bad time, and frames in which a CCD or a camera was off.
    hard : (Frames, ndarray of int)
        Bins and counts between 10 and 12 keV.
    n_monitors : int
        Exposures that count there; the threshold is for each.

    Returns
    -------
    Figure
        Light curve, three strips of masks, high-energy rate.
    """
    figure = Figure(figsize=(12, 8), layout="constrained")
    top, strips, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 2))
    edges = np.append(frames.starts, frames.t_lo + frames.n * frames.t_bin)
    edges = (edges - frames.t_lo) / 1000
    _stairs(top, edges, counts, frames.t_bin, BLACK, "-", "counts of the image")
    top.set_ylabel("Rate (ct/s)")
    shade_frames(top, edges, bad_time, camera_off)
    shade_frames(bottom, edges, bad_time, camera_off)
    _draw_strips(strips, edges, bad_time, camera_off)
    bins, hard_counts = hard
    hard_edges = (np.append(bins.starts, bins.t_lo + bins.n * bins.t_bin) - frames.t_lo) / 1000
    low, high = (energy / 1000 for energy in HIGH_ENERGY_EV)
    name = f"{low:g}–{high:g} keV"
    _stairs(bottom, hard_edges, hard_counts, bins.t_bin, "#4D4D4D", "-", f"rate, {name}")
    limit = BTI_RATE * n_monitors
    exposures = f"{BTI_RATE:g} ct/s for each of {n_monitors}"
    bottom.axhline(limit, color=BLACK, ls=":", lw=1.3, label=f"threshold, {exposures}")
    bottom.set_ylim(0, max(bottom.get_ylim()[1], 1.3 * limit, 0.1))
    bottom.set_ylabel(f"Rate, {name} (ct/s)")
    bottom.set_xlabel(f"Time since {utc(frames.t_lo)} UTC (ks)")
    if frames.n:
        bottom.set_xlim(edges[0], edges[-1])
    else:
        top.text(0.5, 0.5, "no whole frame", transform=top.transAxes, ha="center", va="center")
    figure.suptitle(title, fontsize=12)
    legend_below(figure, (top, bottom), columns=5)
    return figure


def _draw_strips(axes: Axes, edges: Floats, bad_time: Mask, camera_off: Mask) -> None:
    """A strip for each kind of frame, filled where frames are of it."""
    kinds = (
        ("bad time", bad_time, YELLOW),
        ("bad CCD", camera_off, SKY_BLUE),
        ("good time", ~bad_time & ~camera_off, GREEN),
    )
    for place, (_, which, colour) in enumerate(kinds):
        ranges = [(edges[first], edges[last] - edges[first]) for first, last in spans(which)]
        # The edge keeps a frame visible that is narrower than a dot.
        axes.broken_barh(ranges, (place - 0.4, 0.8), color=colour, linewidth=0.5)
    names = [f"{name} ({int(which.sum()):,} of {len(which):,})" for name, which, _ in kinds]
    axes.set_yticks(range(len(kinds)), names, fontsize=SMALL + 1)
    axes.set_ylim(len(kinds) - 0.5, -0.5)


def _stairs(
    axes: Axes, edges: Floats, counts: Integers, t_bin: float, colour: str, line: str, label: str
) -> None:
    """Rates of frames, in groups if they are many; the last group may be short."""
    if not len(counts):
        return
    factor = -(-len(counts) // STEPS)
    first = np.arange(0, len(counts), factor)
    sizes = np.diff(np.append(first, len(counts)))
    rate = np.add.reduceat(np.asarray(counts, float), first) / (sizes * t_bin)
    shown = np.append(edges[first], edges[-1])
    axes.stairs(rate, shown, baseline=None, color=colour, ls=line, lw=1.0, label=label, zorder=3)


def ccd_sheet(
    title: str, events: MergedEvents, frames: Frames, counts: list[Integers], camera_off: Mask
) -> Figure:
    """Rates of the CCDs of each exposure, and of the groups that drop out together.

    Parameters
    ----------
    title : str
        Above the sheet.
    events : MergedEvents
        For its exposures.
    frames : Frames
        Frames of the curves.
    counts : list of ndarray of int, shape (n_frames, n_ccds)
        Counts of each exposure by frame and number of the CCD.
    camera_off : ndarray of bool, shape (n_frames,)
        Frames in which a CCD or a camera was off.

    Returns
    -------
    Figure
        A panel for each exposure, two where CCDs have groups.
    """
    panels = []
    for exposure, by_ccd in zip(events.exposures, counts, strict=True):
        name = f"{exposure.instrument} {exposure.expid}"
        groups = exposure.camera.dropout_groups
        if groups:
            sums = {
                f"CCDs {group[0]}–{group[-1]}": by_ccd[:, list(group)].sum(axis=1)
                for group in groups
            }
            panels.append((f"{name}, quadrants", sums))
        used = np.flatnonzero(by_ccd.sum(axis=0))
        panels.append((f"{name}, CCDs", {f"CCD {ccd}": by_ccd[:, ccd] for ccd in used}))
    figure = Figure(figsize=(12, 1.5 + 2.7 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    edges = np.append(frames.starts, frames.t_lo + frames.n * frames.t_bin)
    edges = (edges - frames.t_lo) / 1000
    for panel, (name, curves) in zip(axes, panels, strict=True):
        for number, (label, curve) in enumerate(curves.items()):
            colour, line = series_style(number)
            _stairs(panel, edges, curve, frames.t_bin, colour, line, label)
        shade_frames(panel, edges, np.zeros(frames.n, bool), camera_off)
        panel.set_ylabel("Rate, all energies (ct/s)")
        panel.set_title(name, fontsize=SMALL + 2, loc="left")
        panel.set_ylim(bottom=0)
        if curves and frames.n:
            panel.legend(
                fontsize=SMALL, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
            )
    axes[-1].set_xlabel(f"Time since {utc(frames.t_lo)} UTC (ks)")
    if frames.n:
        axes[-1].set_xlim(edges[0], edges[-1])
    figure.suptitle(title, fontsize=12)
    return figure
