"""Numbers of the report about the data that were searched: events, modes, rates, frames, runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.catalogue.report.statistics import RUN, Histogram, histogram

QUANTILES: Final = (5, 25, 50, 75, 95)
"""Percentiles of a `spread`; 50 is the median."""

EVENT_EDGES: Final = np.logspace(0, 9, 73)
"""Bins of events: eight a decade."""

RATE_EDGES: Final = np.logspace(-3, 5, 65)
"""Bins of rates, ct/s: eight a decade."""

FRAME_EDGES: Final = np.logspace(-2, 7, 73)
"""Bins of events in a frame: eight a decade."""

REGIONS_LISTED: Final = 11
"""Runs with at least so many regions are counted together."""

SUBSETS_LISTED: Final = 6
"""Observations with at least so many subsets, or event lists, are counted together."""


@dataclass(frozen=True)
class Survey:
    """What was searched.

    Attributes
    ----------
    events : int
        Events that were searched, all observations.
    spreads : DataFrame
        A `spread` a row: events, event lists, ks and rate of an observation or a subset.
    modes : DataFrame
        From `camera_modes`.
    rates : DataFrame
        A `spread` a row, index camera: rate of an event list.
    frames : DataFrame
        From `frame_events`.
    histograms : dict of str to Histogram
        events (of observations), rates (of event lists by camera) and frames (of the widest band
        by time bin).
    regions : DataFrame
        From `region_tally`.
    subsets, lists : Series of int
        Observations by their subsets, and by the event lists that were searched.
    """

    events: int
    spreads: pd.DataFrame
    modes: pd.DataFrame
    rates: pd.DataFrame
    frames: pd.DataFrame
    histograms: dict[str, Histogram]
    regions: pd.DataFrame
    subsets: pd.Series
    lists: pd.Series


def describe_survey(
    observations: pd.DataFrame, exposures: pd.DataFrame, runs: pd.DataFrame
) -> Survey:
    """Count what was searched.

    Parameters
    ----------
    observations, exposures, runs : DataFrame
        With the columns of `exod.catalogue.report.inputs` of these names.
    """
    subsets = searched_subsets(runs)
    rates = list_rates(exposures)
    # Subsets of the same time are parts of the field.
    times = subsets.drop_duplicates(["obsid", "t_lo", "t_hi"])
    seconds = times.groupby("obsid")["seconds"].sum() / 1e3
    spreads = {
        "Events of an observation": spread(observations["n_events"]),
        "Event lists of an observation": spread(observations["n_exposures"]),
        "Time searched of an observation (ks)": spread(seconds),
        "Rate of a subset, widest band (ct/s)": spread(subsets["rate"]),
    }
    used = runs[runs["n_frames"] > 0]
    per_frame = used["n_events"] / used["n_frames"]
    widest = is_widest(used)
    return Survey(
        events=int(observations["n_events"].sum()),
        spreads=pd.DataFrame(spreads).T,
        modes=camera_modes(exposures),
        rates=spreads_of(rates["rate"], rates["instrument"]),
        frames=frame_events(runs),
        histograms={
            "events": Histogram(EVENT_EDGES, histogram(observations["n_events"], EVENT_EDGES)),
            "rates": Histogram(
                RATE_EDGES, histogram(rates["rate"], RATE_EDGES, rates["instrument"])
            ),
            "frames": Histogram(
                FRAME_EDGES, histogram(per_frame[widest], FRAME_EDGES, used["t_bin"][widest])
            ),
        },
        regions=region_tally(runs),
        subsets=tally(observations["n_subsets"], SUBSETS_LISTED),
        lists=tally(observations["n_exposures"], SUBSETS_LISTED),
    )


def spread(values: ArrayLike) -> pd.Series:
    """Number, mean, sample standard deviation, extremes and percentiles of values.

    Parameters
    ----------
    values : array_like of float
        NaN are left out.

    Returns
    -------
    Series of float64
        n, mean, std, min, those of `QUANTILES` with a p before them, max; NaN where there are too
        few values. Percentiles between two values are interpolated linearly.

    Examples
    --------
    >>> spread([1.0, 2.0, 3.0, 6.0, float("nan")])[["n", "mean", "p50", "max"]].tolist()
    [4.0, 3.0, 2.5, 6.0]
    """
    numbers = np.asarray(values, float)
    numbers = numbers[np.isfinite(numbers)]
    found: dict[str, float] = dict.fromkeys(_NAMES, float("nan")) | {"n": float(len(numbers))}
    if len(numbers):
        found |= {"mean": float(numbers.mean()), "min": numbers.min(), "max": numbers.max()}
        found |= dict(zip(_PERCENTILES, np.percentile(numbers, QUANTILES), strict=True))
    if len(numbers) > 1:
        found["std"] = float(numbers.std(ddof=1))
    return pd.Series(found, dtype="float64")


_PERCENTILES: Final = tuple(f"p{quantile}" for quantile in QUANTILES)
_NAMES: Final = ("n", "mean", "std", "min", *_PERCENTILES, "max")


def spreads_of(values: pd.Series, groups: pd.Series) -> pd.DataFrame:
    """The `spread` of each group, one a row, in order of the groups."""
    rows = {name: spread(own) for name, own in values.groupby(groups.to_numpy())}
    return pd.DataFrame(rows, index=list(_NAMES)).T


def is_widest(runs: pd.DataFrame) -> pd.Series:
    """Which runs are of the widest energy band of all: the one that holds most events."""
    width = runs["e_hi"] - runs["e_lo"]
    return width >= width.max() * (1 - 1e-9)


def searched_subsets(runs: pd.DataFrame) -> pd.DataFrame:
    """Time and rate of each subset.

    Parameters
    ----------
    runs : DataFrame
        With obsid, subset, e_lo, e_hi, t_lo, t_hi, n_frames and n_events. The runs of a subset
        search the same time; of those of its widest band the longest counts. Runs without frames
        are left out.

    Returns
    -------
    DataFrame
        obsid, subset, t_lo, t_hi, seconds and rate (events of the band in the merged list over its
        time).
    """
    used = runs[runs["n_frames"] > 0]
    frame = used[["obsid", "subset", "t_lo", "t_hi", "n_events"]].assign(
        width=used["e_hi"] - used["e_lo"], seconds=used["t_hi"] - used["t_lo"]
    )
    ordered = frame.sort_values(["width", "seconds"], ascending=False, kind="stable")
    first = ordered.drop_duplicates(["obsid", "subset"]).sort_values(["obsid", "subset"])
    first = first.assign(rate=first["n_events"] / first["seconds"])
    return first[["obsid", "subset", "t_lo", "t_hi", "seconds", "rate"]].reset_index(drop=True)


def camera_modes(exposures: pd.DataFrame) -> pd.DataFrame:
    """Event lists by camera, read-out mode and filter.

    Parameters
    ----------
    exposures : DataFrame
        With instrument, submode, filter, used, n_selected, time_min and time_max.

    Returns
    -------
    DataFrame
        Index instrument, submode, filter ("unknown" where a header does not say). Columns lists
        and searched (of these; int64), events (selected, of those that were searched; int64),
        seconds (from the first to the last event of each).
    """
    counted = _lengths(exposures)
    keys = [
        exposures[name].astype(object).where(exposures[name].fillna("") != "", "unknown")
        for name in ("instrument", "submode", "filter")
    ]
    return counted.groupby(keys).sum().astype({"lists": "int64", "events": "int64"})


def _lengths(exposures: pd.DataFrame) -> pd.DataFrame:
    """Whether each list was searched, with its events and seconds if it was."""
    used = exposures["used"].to_numpy(bool)
    seconds = (exposures["time_max"] - exposures["time_min"]).to_numpy(float)
    return pd.DataFrame(
        {
            "lists": np.ones(len(exposures), "int64"),
            "searched": used.astype("int64"),
            "events": np.where(used, exposures["n_selected"].to_numpy("int64"), 0),
            "seconds": np.where(used & np.isfinite(seconds), seconds, 0.0),
        },
        index=exposures.index,
    )


def list_rates(exposures: pd.DataFrame) -> pd.DataFrame:
    """Rate of each event list that was searched: selected events over its length.

    Returns
    -------
    DataFrame
        instrument and rate, ct/s; lists of no length are left out.
    """
    counted = _lengths(exposures)
    known = (counted["seconds"] > 0).to_numpy()
    rate = counted["events"][known] / counted["seconds"][known]
    return pd.DataFrame({"instrument": exposures["instrument"][known].astype(object), "rate": rate})


def frame_events(runs: pd.DataFrame) -> pd.DataFrame:
    """Events in a frame, for each time bin and band.

    Parameters
    ----------
    runs : DataFrame
        With t_bin, e_lo, e_hi, n_frames and n_events.

    Returns
    -------
    DataFrame
        Index t_bin, e_lo, e_hi; a `spread` of the mean events in a frame of each run. Runs without
        frames are left out.
    """
    used = runs[runs["n_frames"] > 0]
    per_frame = used["n_events"] / used["n_frames"]
    groups = per_frame.groupby([used[name] for name in RUN])
    found: dict[Any, pd.Series] = {key: spread(own) for key, own in groups}
    if not found:
        return pd.DataFrame(columns=list(_NAMES), dtype="float64")
    return pd.DataFrame(found, index=list(_NAMES)).T.rename_axis(RUN)


def region_tally(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs by the number of their regions, for each time bin.

    Returns
    -------
    DataFrame of int64
        Index number of regions up to `REGIONS_LISTED`, which stands for all from there on; a
        column for each time bin. Runs without frames are left out.
    """
    used = runs[runs["n_frames"] > 0]
    found = used["n_regions"].clip(upper=REGIONS_LISTED)
    table = pd.crosstab(found.to_numpy(), used["t_bin"].to_numpy())
    whole = table.reindex(range(REGIONS_LISTED + 1), fill_value=0).astype("int64")
    return whole.rename_axis(index=None, columns=None)


def tally(values: pd.Series, last: int) -> pd.Series:
    """How often each whole number is there; those from `last` on are counted together.

    Examples
    --------
    >>> tally(pd.Series([1, 1, 3, 9]), 4).to_dict()
    {1: 2, 3: 1, 4: 1}
    """
    names, counts = np.unique(values.clip(upper=last).to_numpy("int64"), return_counts=True)
    return pd.Series(counts.astype("int64"), index=names)
