"""The flux of a source or a place in all observations that covered it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exod.errors import percent
from exod.plots.style import (
    BLACK,
    BLUE,
    GREY,
    SMALL,
    VERMILLION,
    Row,
    as_it_is,
    label_logarithm,
    say_nothing,
)
from exod.schemas.arrays import Floats, Mask

_MJD_2000, _YEAR = 51544.5, 365.25
_LEAST_DAYS: Final = 0.2
"""Of the axis of time: a short observation."""
_COMPACT: Final = MappingProxyType({"columnspacing": 1.2, "handletextpad": 0.3, "frameon": False})
"""Of legends: four entries in one line of a picture."""


def history_figure(source: Row, rows: pd.DataFrame) -> Figure:
    """Mean fluxes with their intervals, upper limits, and peaks of events.

    Parameters
    ----------
    source : dict or Series
        Row of the table longterm.
    rows : DataFrame
        Its rows of the table history, in order of time. Rates are drawn if no flux is known.
    """
    figure = Figure(figsize=(9.0, 4.4), layout="constrained")
    axes = figure.subplots()
    what = "flux" if rows["flux_hi"].notna().any() else "rate"
    known = rows[rows[f"{what}_hi"].notna()]
    if len(known):
        _draw(axes, known, what)
    else:
        say_nothing(axes, "no observation with counts of it")
    figure.suptitle(_title(source, rows), fontsize=10)
    return figure


def limits_figure(place: str, rows: pd.DataFrame, level: float) -> Figure:
    """What observations had at a place: fluxes or limits above, and counts below.

    Parameters
    ----------
    place : str
        Its position in words.
    rows : DataFrame
        Rows of the table limits of it, in any order; none for a place that was never covered.
    level : float
        Probability of the intervals.
    """
    figure = Figure(figsize=(9.0, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    rows = rows.sort_values("t_start_mjd").assign(
        mjd=rows["t_start_mjd"], found=rows["detected"], flux_peak=np.nan
    )
    what = "flux" if rows["flux_hi"].notna().any() else "rate"
    known = rows[rows[f"{what}_hi"].notna()]
    if len(known):
        _draw(upper, known, what, f"{what} with its {percent(level)} interval", level)
        upper.set_xlabel("")
        _draw_counts(lower, known)
    else:
        for axes in (upper, lower):
            say_nothing(axes, "no observation with counts of it")
    seen = "one observation" if len(rows) == 1 else f"{len(rows) or 'no'} observations"
    lit = f", above the background in {int(rows['detected'].sum())}" if len(rows) else ""
    figure.suptitle(f"{place} · {seen}{lit}", fontsize=10)
    return figure


def _draw_counts(axes: Axes, rows: pd.DataFrame) -> None:
    """Counts over what is expected, so that short and long observations can be compared."""
    when = _Times(rows)
    n, mu = (rows[name].to_numpy(float) for name in ("n", "mu"))
    axes.plot(when.values, n, "o", ms=5, color=BLACK, ls="", label="counts within the radius")
    axes.plot(when.values, mu, "_", ms=12, mew=2, color=BLUE, ls="", label="background expected")
    axes.vlines(when.values, n, mu, color=GREY, lw=1)
    highest = float(max(n.max(), mu.max()))
    axes.set_yscale("symlog", linthresh=10.0)
    axes.set_ylim(0, 3 * highest + 10)
    axes.set_ylabel("Counts")
    when.label(axes)
    axes.legend(fontsize=SMALL, loc="upper left", ncols=2, **_COMPACT)


class _Times:
    """When observations began, as the axis of time has them: years, or days if they are near.

    Parameters
    ----------
    rows : DataFrame
        With the column ``mjd``.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
        Years, or MJD if several began within a year.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        days = rows["mjd"].to_numpy(float)
        self._in_days = 0 < np.ptp(days) < _YEAR
        self.values = np.asarray(days if self._in_days else 2000 + (days - _MJD_2000) / _YEAR)

    def label(self, axes: Axes) -> None:
        """A year at least, or the days from the first to the last; numbers as they are."""
        values = self.values
        span = max(float(np.ptp(values)), _LEAST_DAYS if self._in_days else 1.0)
        middle = float(values.min() + values.max()) / 2
        axes.set_xlim(middle - 0.55 * span, middle + 0.55 * span)
        axes.ticklabel_format(axis="x", useOffset=False, style="plain")
        axes.set_xlabel("MJD" if self._in_days else "Year")


def _draw(
    axes: Axes,
    rows: pd.DataFrame,
    what: str,
    found_label: str = "mean, and an event was found",
    level: float = 0.9,
) -> None:
    when = _Times(rows)
    time = when.values
    value, low, high = (rows[f"{what}{end}"].to_numpy(float) for end in ("", "_lo", "_hi"))
    lit, found = low > 0, rows["found"].to_numpy(bool)
    counts = int(lit.sum()), int((~lit).sum())
    for own, face, label in (
        (lit & found, BLACK, found_label),
        (lit & ~found, "white", "mean, no event found"),
    ):
        if own.any():
            _points(axes, time[own], value[own], (low[own], high[own]), face, label)
    if counts[1]:
        axes.errorbar(
            time[~lit],
            high[~lit],
            yerr=0.25 * high[~lit],
            uplims=True,
            fmt="_",
            ms=7,
            lw=1,
            color=GREY,
            label=f"upper limit of the mean, {percent(level)}",
        )
    peak = rows["flux_peak"].to_numpy(float)
    seen = (peak > 0) & (what == "flux")
    if seen.any():
        axes.plot(
            time[seen], peak[seen], "*", ms=9, color=VERMILLION, ls="", label="peak of an event"
        )
    _scale(axes, np.concatenate([value[lit], low[lit], high, 0.7 * high[~lit], peak[seen]]))
    when.label(axes)
    unit = "erg/cm²/s" if what == "flux" else "counts/s"
    e_lo, e_hi = (float(rows[name].iloc[0]) for name in ("e_lo", "e_hi"))
    axes.set_ylabel(f"{what.capitalize()}, {e_lo:g}–{e_hi:g} keV ({unit})")
    axes.legend(fontsize=SMALL, loc="upper left", ncols=4, **_COMPACT)


def _points(
    axes: Axes, time: Floats, value: Floats, ends: tuple[Floats, Floats], face: str, label: str
) -> None:
    errors = np.maximum([value - ends[0], ends[1] - value], 0.0)
    axes.errorbar(time, value, yerr=errors, fmt="o", ms=5, lw=1, color=BLACK, mfc=face, label=label)


def _scale(axes: Axes, values: Floats) -> None:
    """Logarithmic, with room for the legend above."""
    positive = values[np.isfinite(values) & (values > 0)]
    low, high = float(positive.min()), float(positive.max())
    axes.set_yscale("log")
    axes.set_ylim(low / 1.5, high * (high / low) ** 0.15 * 1.8)
    label_logarithm(axes.yaxis)


def _title(source: Row, rows: pd.DataFrame) -> str:
    lit: Mask = (rows["rate_lo"] > 0).to_numpy()
    seen = f"{len(rows)} observations" if len(rows) != 1 else "one observation"
    first = f"{as_it_is(str(source['srcid']))} · {seen}, its mean above 0 in {int(lit.sum())}"
    sigma, ratio = float(source["var_sigma"]), float(source["flux_ratio"])
    if not np.isfinite(sigma):
        return f"{first}\nnothing to compare"
    least = float(source["flux_ratio_lo"])
    if not np.isfinite(ratio):
        return f"{first}\nno observation with a mean flux above 0"
    sure = f", more than {least:.3g} at 90 %" if least > 1 else ""
    return f"{first}\nhighest over lowest {ratio:.3g}{sure}; {sigma:.1f}σ against a constant"
