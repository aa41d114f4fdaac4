"""The spectrum of an event, and its hardness before, during and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from exod.config import Band
from exod.plots.style import BLACK, GREY, SMALL, as_it_is, say_nothing
from exod.schemas.arrays import Floats

EDGES_KEV: Final = np.array([0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 12.0])
"""Bins of the picture: few counts want wide ones."""

_ONE_SIGMA: Final = 0.1587


@dataclass(frozen=True)
class CameraCounts:
    """What a camera counted in an event.

    Attributes
    ----------
    name, colour : str
        Camera and exposure; its colour.
    source, background : ndarray of int, shape (n,)
        Energies of the events, in eV.
    scale : float
        Area and time of the source over those of the background.
    seconds : float
        Live time.
    """

    name: str
    colour: str
    source: NDArray[np.integer]
    background: NDArray[np.integer]
    scale: float
    seconds: float


def event_sheet(
    title: str,
    cameras: Sequence[CameraCounts],
    hardness: pd.DataFrame,
    bands: tuple[Band, Band],
    kind: str,
) -> Figure:
    """Counts by energy of each camera with their background, and three hardness ratios.

    Parameters
    ----------
    title : str
        Above the sheet.
    cameras : sequence of CameraCounts
        At least one.
    hardness : DataFrame
        Rows before, during and after: n_soft, n_hard, mu_soft, mu_hard, hr, hr_lo, hr_hi.
    bands : (Band, Band)
        Soft and hard band in keV.
    kind : str
        What the background is: beside or around.
    """
    figure = Figure(figsize=(11.0, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1.0])
    _draw_counts(left, cameras, kind)
    _draw_hardness(right, hardness, bands)
    figure.suptitle(as_it_is(title), fontsize=11)
    return figure


def _draw_counts(axes: Axes, cameras: Sequence[CameraCounts], kind: str) -> None:
    width = np.diff(EDGES_KEV)
    middle = np.sqrt(EDGES_KEV[1:] * EDGES_KEV[:-1])
    top, bottom = 0.0, np.inf
    for number, camera in enumerate(cameras):
        seconds = camera.seconds or 1.0
        n = np.histogram(camera.source / 1000, EDGES_KEV)[0]
        low, high = _poisson_errors(n)
        rate, unit = n / width / seconds, width * seconds
        # Beside each other within their bin, so that error bars do not hide each other.
        x = middle * 1.05 ** (number - (len(cameras) - 1) / 2)
        seen = n > 0
        label = f"{camera.name}: {len(camera.source):,} counts, {camera.seconds:.4g} s live"
        axes.errorbar(
            x[seen],
            rate[seen],
            yerr=[((n - low) / unit)[seen], ((high - n) / unit)[seen]],
            fmt="o",
            ms=4,
            lw=1,
            color=camera.colour,
            label=label,
        )
        below = np.histogram(camera.background / 1000, EDGES_KEV)[0] * camera.scale / unit
        axes.stairs(
            np.where(below > 0, below, np.nan), EDGES_KEV, color=camera.colour, ls="--", lw=1
        )
        ends = np.concatenate([(high / unit)[seen], (low / unit)[seen], below[below > 0]])
        positive = ends[ends > 0]
        top, bottom = max(top, positive.max(initial=0)), min(bottom, positive.min(initial=np.inf))
    if not top:
        say_nothing(axes, "no counts during the event, nor in the background")
        return
    axes.plot([], [], color=GREY, ls="--", lw=1, label=f"background {kind}, of the same area")
    axes.set_xscale("log")
    axes.set_yscale("log")
    # Room for the legend above the points.
    axes.set(ylim=(bottom / 2, top * (top / bottom) ** 0.35 * 2), xlim=EDGES_KEV[[0, -1]])
    ticks = [0.2, 0.5, 1, 2, 5, 12]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="Energy (keV)", ylabel="Counts / s / keV")
    axes.set_title("During the event", fontsize=SMALL + 2)
    axes.legend(fontsize=SMALL, frameon=False, loc="upper right")


def _poisson_errors(n: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Central 68.3 % interval of Poisson means (Gehrels 1986, equations 4 and 8)."""
    low = np.where(n > 0, stats.gamma.ppf(_ONE_SIGMA, np.maximum(n, 1)), 0.0)
    return low, np.asarray(stats.gamma.isf(_ONE_SIGMA, n + 1))


def _draw_hardness(axes: Axes, hardness: pd.DataFrame, bands: tuple[Band, Band]) -> None:
    (soft_lo, soft_hi), (hard_lo, hard_hi) = bands
    for x, (when, row) in enumerate(hardness.iterrows()):
        if np.isfinite(row["hr"]):
            errors = [[row["hr"] - row["hr_lo"]], [row["hr_hi"] - row["hr"]]]
            axes.errorbar(x, row["hr"], yerr=errors, fmt="o", ms=6, color=BLACK, capsize=3)
            counts = f"{row['n_soft']:,.0f} + {row['n_hard']:,.0f}"
            text = f"{counts}\n({row['mu_soft']:,.1f} + {row['mu_hard']:,.1f})"
        else:
            text = f"nothing seen\n{when}"
        axes.text(x, 1.12, text, ha="center", va="bottom", fontsize=SMALL)
    axes.axhline(0, color=GREY, lw=0.8, ls=":")
    axes.set(xlim=(-0.6, 2.6), ylim=(-1.05, 1.6))
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])
    axes.set_xticks(range(len(hardness)), [str(when) for when in hardness.index])
    axes.set_ylabel("Hardness ratio above background")
    axes.set_title(
        f"Counts (of them background), {soft_lo:g}–{soft_hi:g} + {hard_lo:g}–{hard_hi:g} keV",
        fontsize=SMALL + 2,
    )
