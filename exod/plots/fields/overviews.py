"""An observation at a glance: the rate of each camera, flares and subsets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exod.errors import plural
from exod.instruments import instrument_of
from exod.observation.gti import BTI_RATE, HIGH_ENERGY_EV
from exod.plots.style import SMALL, Row, as_it_is, legend_below, shade_bad_time, utc

MAX_LISTED: Final = 9
"""Exposures that the legend describes one by one."""

SUBSET_LINES: Final = ("-", "--", "-.", ":")
"""Of subsets that an exposure has at the same time: parts of its field."""


def observation_overview(
    observation: Row, rates: pd.DataFrame, bti: pd.DataFrame, exposures: pd.DataFrame
) -> Figure:
    """Light curve of each exposure that was searched, of all energies and of 10-12 keV.

    Parameters
    ----------
    observation : mapping or Series
        Row of the table observations.
    rates, exposures : DataFrame
        Its rows of the tables rates and exposures; may be empty.
    bti : DataFrame
        Bad time intervals (table bti), of one run for each subset.

    Returns
    -------
    Figure
        Axes: all energies above, 10-12 keV below.
    """
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    start = float(rates["time"].min()) if len(rates) else np.nan
    for axes, column in ((upper, "n"), (lower, "n_hard")):
        _draw_rates(axes, rates, column, start, exposures)
        shade_bad_time(
            axes,
            (bti["START"].to_numpy(float) - start) / 1000,
            (bti["STOP"].to_numpy(float) - start) / 1000,
        )
        axes.margins(x=0.01)
        axes.set_ylim(bottom=0)
    lower.axhline(
        BTI_RATE,
        color="black",
        ls=":",
        lw=1.2,
        label=f"flare threshold, {BTI_RATE:g} ct/s per exposure",
    )
    lower.set_ylim(top=max(lower.get_ylim()[1], 1.2 * BTI_RATE))
    upper.set_ylabel("Rate in live time, all energies (ct/s)")
    low, high = (energy / 1000 for energy in HIGH_ENERGY_EV)
    lower.set_ylabel(f"Rate, {low:g}–{high:g} keV (ct/s)")
    lower.set_xlabel(
        f"Time since {utc(start)} UTC (ks)" if len(rates) else "Time since the start (ks)"
    )
    if rates.empty:
        upper.text(0.5, 0.5, "no exposure was searched", ha="center", transform=upper.transAxes)
    elif not rates["n_hard"].any():
        text = "no events of these energies: bad time is not looked for"
        lower.text(0.5, 0.4, text, ha="center", transform=lower.transAxes)
    _mark_subsets(upper, rates, start)
    figure.suptitle(_title(observation, exposures), fontsize=12)
    legend_below(figure, (upper, lower), columns=3)
    return figure


def _draw_rates(
    axes: Axes, rates: pd.DataFrame, column: str, start: float, exposures: pd.DataFrame
) -> None:
    keys = ["subset", "instrument", "expid"]
    many = rates[keys].drop_duplicates().shape[0] > MAX_LISTED
    again = rates[rates.duplicated(["instrument", "expid", "time"])]
    divided = set(zip(again["instrument"], again["expid"], strict=True))
    for (subset, instrument, expid), rows in rates.groupby(keys):
        camera = instrument_of(str(instrument))
        label = str(instrument) if many else _exposure_text(str(instrument), str(expid), exposures)
        line = camera.line
        if (instrument, expid) in divided:
            label = f"{label}, subset {subset}"
            line = SUBSET_LINES[int(str(subset)) % len(SUBSET_LINES)]
        for part in _unbroken(rows.sort_values("time")):
            time, width = part["time"].to_numpy(float), part["width"].to_numpy(float)
            edges = np.append(time, time[-1] + width[-1])
            axes.stairs(
                part[column].to_numpy() / width,
                (edges - start) / 1000,
                baseline=None,
                color=camera.colour,
                ls=line,
                lw=1.1,
                label=label,
                zorder=3,
            )


def _unbroken(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Stretches without a gap, bins in order of time."""
    time, width = rows["time"].to_numpy(float), rows["width"].to_numpy(float)
    gaps = np.flatnonzero(time[1:] > time[:-1] + 1.5 * width[:-1]) + 1
    bounds = [0, *gaps.tolist(), len(rows)]
    for first, last in pairwise(bounds):
        yield rows.iloc[first:last]


def _exposure_text(instrument: str, expid: str, exposures: pd.DataFrame) -> str:
    own = exposures[(exposures["instrument"] == instrument) & (exposures["expid"] == expid)]
    details = [
        ", ".join(filter(None, map(str, (row.submode, row.filter)))) for row in own.itertuples()
    ]
    return f"{instrument} {expid}" + (f" ({details[0]})" if details else "")


def _mark_subsets(axes: Axes, rates: pd.DataFrame, start: float) -> None:
    """A bar above the axes over the time of each subset, one for those of the same time."""
    if rates.empty:
        return
    whole = float((rates["time"] + rates["width"]).max()) - start
    ends = rates.assign(stop=rates["time"] + rates["width"]).groupby("subset", as_index=False)
    spans = ends.agg(low=("time", "min"), high=("stop", "max"))
    for _, rows in spans.groupby(["low", "high"]):
        low, high = float(rows["low"].iloc[0]), float(rows["high"].iloc[0])
        middle = ((low + high) / 2 - start) / 1000
        axes.plot(
            [(low - start) / 1000, (high - start) / 1000],
            [1.02, 1.02],
            transform=axes.get_xaxis_transform(),
            color="black",
            lw=2.5,
            solid_capstyle="butt",
            clip_on=False,
        )
        first, last = rows["subset"].min(), rows["subset"].max()
        number = f"{first}" if first == last else f"{first}–{last}"
        word = "subset" if first == last else "subsets"
        name = f"{word} {number}" if high - low > 0.1 * whole else number
        axes.annotate(
            name,
            (middle, 1.02),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL + 1,
            annotation_clip=False,
        )


def _title(observation: Row, exposures: pd.DataFrame) -> str:
    left_out = int((~exposures["used"].astype(bool)).sum())
    counts = [
        f"{plural(int(observation['n_exposures']), 'exposure')} searched",
        f"{left_out} left out",
        plural(int(observation["n_subsets"]), "subset"),
        plural(int(observation["n_events"]), "event"),
        plural(int(observation["n_regions"]), "variable region"),
    ]
    name = [as_it_is(str(observation[key])) for key in ("target", "obsid", "date_obs")]
    name[2] = name[2].replace("T", " ") + " UTC" if name[2] else ""
    return " · ".join(filter(None, name)) + "\n" + ", ".join(counts)
