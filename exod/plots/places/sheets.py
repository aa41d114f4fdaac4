"""Light curves of one place on a sheet: a line an observation and time bin, a column a band."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exod.counts.bayes import Kind
from exod.plots.lightcurves import draw_counts
from exod.plots.lightcurves.curves import Curve
from exod.plots.style import (
    KIND_COLOURS,
    KIND_MARKERS,
    SMALL,
    Row,
    has_variability,
    legend_below,
    shade_frames,
    utc,
)

ROWS: Final = 10
"""Light curves below each other on a sheet."""

STEPS: Final = 300
"""Steps that a panel can show; frames of longer light curves are drawn in groups."""

_COLUMN, _ROW = 4.2, 1.45
"""Width and height of a panel in inches."""


@dataclass(frozen=True)
class Panel:
    """A light curve of a sheet.

    Attributes
    ----------
    run : mapping or Series
        Its runid, obsid, subset, t_bin, e_lo, e_hi, t_lo and sigma.
    rows : DataFrame
        Columns time, n, mu, live, bti, bccd, B_peak_log, B_eclipse_log; a row a frame.
    note : str
        What stands above it.
    sigma : float
        How significant it is; NaN if it is of no region.
    cells : DataFrame, optional
        Significant cells, rows of the table cells, whose frames are marked.
    """

    run: Row
    rows: pd.DataFrame
    note: str = ""
    sigma: float = math.nan
    cells: pd.DataFrame | None = None

    @property
    def line(self) -> tuple[float, str, int, float]:
        """What the panels beside each other have in common; lines are in this order."""
        run = self.run
        return float(run["t_lo"]), str(run["obsid"]), int(run["subset"]), float(run["t_bin"])

    @property
    def band(self) -> tuple[float, float]:
        """Energies in keV."""
        return float(self.run["e_lo"]), float(self.run["e_hi"])


def curve_sheets(
    panels: Sequence[Panel], title: str, absent: str = "", history: pd.DataFrame | None = None
) -> Iterator[Figure]:
    """Light curves in a grid: a line an observation and time bin, a column a band.

    Parameters
    ----------
    panels : sequence of Panel
        At least one; at most one for each line and band.
    title : str
        What they are of; the sheets of several are numbered.
    absent : str
        What stands in the place of a light curve that there is not.
    history : DataFrame, optional
        Columns mjd, sigma and kind of detections, which are drawn above the first sheet.

    Yields
    ------
    Figure
        `ROWS` lines on each.
    """
    bands = sorted({panel.band for panel in panels}, key=lambda band: (band[1] - band[0], band[0]))
    lines: dict[tuple[float, str, int, float], dict[tuple[float, float], Panel]] = {}
    for panel in sorted(panels, key=lambda item: item.line):
        lines.setdefault(panel.line, {})[panel.band] = panel
    pages = [list(lines.values())[first : first + ROWS] for first in range(0, len(lines), ROWS)]
    for number, page in enumerate(pages, start=1):
        which = f" (sheet {number} of {len(pages)})" if pages[1:] else ""
        yield _sheet(page, bands, f"{title}{which}", absent, history if number == 1 else None)


def _sheet(
    lines: Sequence[dict[tuple[float, float], Panel]],
    bands: Sequence[tuple[float, float]],
    title: str,
    absent: str,
    history: pd.DataFrame | None,
) -> Figure:
    above = 0 if history is None else 1
    width, height = max(9.0, _COLUMN * len(bands)), 1.8 + _ROW * (len(lines) + above)
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.add_gridspec(len(lines) + above, len(bands))
    if history is not None:
        _draw_history(figure.add_subplot(grid[0, :]), history)
    axes = np.array(
        [
            [figure.add_subplot(grid[row + above, column]) for column in range(len(bands))]
            for row in range(len(lines))
        ]
    )
    for line, row in zip(lines, axes, strict=True):
        first = next(iter(line.values()))
        for band, axis in zip(bands, row, strict=True):
            panel = line.get(band)
            if panel is None:
                _leave_empty(axis, absent)
            else:
                _draw(axis, panel)
        row[0].set_ylabel(
            _line_text(first), fontsize=SMALL, labelpad=8, rotation=0, ha="right", va="center"
        )
    figure.align_ylabels(list(axes[:, 0]))
    for band, axis in zip(bands, axes[0], strict=True):
        note = axis.get_title()
        axis.set_title(f"{band[0]:g}–{band[1]:g} keV" + (f"\n{note}" if note else ""), fontsize=9)
    for axis in (axis for axis in axes[-1] if axis.axison):
        axis.set_xlabel("Time since the start of the run (ks)", fontsize=SMALL)
    figure.suptitle(title, fontsize=11)
    legend_below(figure, figure.axes, columns=5)
    return figure


def _line_text(panel: Panel) -> str:
    run = panel.run
    subset = f", subset {int(run['subset'])}" if int(run["subset"]) else ""
    date = utc(float(run["t_lo"]))[:16]
    return f"{run['obsid']}{subset}\n{date} UTC\nct / {float(run['t_bin']):g} s"


def _draw(axes: Axes, panel: Panel) -> None:
    curve = Curve.of(panel.run, panel.rows, panel.cells)
    factor = -(-len(curve) // STEPS)
    draw_counts(axes, curve.grouped(factor) if factor > 1 else curve)
    mark = "{} of a variable cell" if has_variability(panel.run) else "significant {}"
    kinds: tuple[Kind, Kind] = ("peak", "eclipse")
    for kind in kinds:
        passing = np.flatnonzero(curve.found[kind])
        if len(passing):
            axes.plot(
                curve.middles[passing],
                curve.n[passing],
                ls="",
                marker=KIND_MARKERS[kind],
                color=KIND_COLOURS[kind],
                markersize=5,
                markeredgecolor="white",
                markeredgewidth=0.5,
                label=mark.format(kind),
                zorder=5,
                clip_on=False,
            )
    shade_frames(axes, curve.edges, curve.bti, curve.masked)
    axes.set_xlim(curve.edges[0], curve.edges[-1])
    axes.tick_params(labelsize=SMALL)
    axes.locator_params(axis="y", nbins=4, integer=True)
    if panel.note:
        axes.set_title(panel.note, fontsize=SMALL)


def _draw_history(axes: Axes, history: pd.DataFrame) -> None:
    """When each region was found, and how significant it is."""
    for kind, own in history.groupby("kind"):
        axes.plot(
            own["mjd"],
            own["sigma"],
            ls="",
            marker=KIND_MARKERS[str(kind)],
            color=KIND_COLOURS[str(kind)],
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            clip_on=False,
        )
    axes.set_ylim(bottom=0)
    axes.margins(x=0.03)
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    axes.set_title(
        "All regions: significance (σ) by the start of the observation (MJD)", fontsize=9
    )
    axes.tick_params(labelsize=SMALL)


def _leave_empty(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=SMALL, transform=axes.transAxes)
