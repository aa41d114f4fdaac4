"""Sections about the data that were searched: events, cameras, frames, runs, isolated flares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from exod.catalogue.report.highestframes import above
from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.page import Blocks, Cell, Listing, Text
from exod.catalogue.report.survey import REGIONS_LISTED, SUBSETS_LISTED, Survey
from exod.catalogue.report.words import RUN_HEAD, Pictures, drawn, keyed, missing, run_cells, share
from exod.errors import plural

SPREAD_HEADS = {
    "mean": "Mean",
    "std": "Std. dev.",
    "min": "Least",
    "p5": "5 %",
    "p25": "25 %",
    "p50": "Median",
    "p75": "75 %",
    "p95": "95 %",
    "max": "Most",
}
"""Headings of a spread, after the number of values."""

LIMITS = (*range(21), 25, 30, 40)
"""Counts of the highest frame above which light curves are counted."""


def spread_cells(row: Mapping[Any, Any], head: str = "Number") -> dict[str, Cell]:
    """Cells of a spread, the number of its values under `head`."""
    found: dict[str, Cell] = {head: int(row["n"])}
    return found | {text: float(row[name]) for name, text in SPREAD_HEADS.items()}


def events(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Events and rates of observations."""
    survey = numbers.survey
    if not survey.spreads["n"].any():
        return [Text("No observation was searched, so that there are no events.", missing=True)]
    n = int(survey.spreads["n"].iloc[0])
    text = (
        f"{plural(survey.events, 'event')} in {plural(n, 'observation')} were searched: those of "
        "the merged event lists, after the selection of energies, patterns and flags and without "
        "hot pixels. Percentiles are of observations, or of subsets: the groups of overlapping "
        "exposures that are searched together."
    )
    rows = [{"What": str(name), **spread_cells(row)} for name, row in keyed(survey.spreads)]
    alternative = (
        "Histograms of the events of observations, and of the rates of event lists by camera."
    )
    return [
        Text(text),
        *drawn(pictures, "survey_events", alternative),
        Listing.of("Events, time and rates", rows),
    ]


def cameras(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Event lists by camera, read-out mode and filter, and their rates."""
    survey = numbers.survey
    if survey.modes.empty:
        return [Text("No event list was read.", missing=True)]
    total = survey.modes.sum()
    modes = [
        {
            "Camera": camera,
            "Read-out mode": mode,
            "Filter": blocking,
            **_mode_cells(row, float(total["lists"])),
        }
        for (camera, mode, blocking), row in keyed(survey.modes)
    ]
    named = {"Camera": "All", "Read-out mode": "", "Filter": ""}
    modes.append({**named, **_mode_cells(total.to_dict(), float(total["lists"]))})
    left = int(total["lists"] - total["searched"])
    how_many = f"{left:,} {'was' if left == 1 else 'were'}" if left else "none was"
    text = (
        f"{plural(int(total['lists']), 'event list')}, of which {how_many} left out (the table "
        "exposures of the archive says why). The rate of an event list is its selected events over "
        "the time from its first to its last event."
    )
    blocks: Blocks = [
        Text(text),
        *drawn(pictures, "survey_modes", "Bars: event lists by camera and read-out mode."),
        Listing.of("Event lists by camera, read-out mode and filter", modes),
    ]
    if len(survey.rates):
        rates = [
            {"Camera": str(name), **spread_cells(row, "Event lists")}
            for name, row in keyed(survey.rates)
        ]
        blocks.append(Listing.of("Rates of the event lists that were searched (ct/s)", rates))
    return blocks


def _mode_cells(row: Mapping[Any, Any], total: float) -> dict[str, Cell]:
    return {
        "Event lists": int(row["lists"]),
        "Share": share(row["lists"], total),
        "Searched": int(row["searched"]),
        "Events": int(row["events"]),
        "Time (ks)": row["seconds"] / 1e3,
        "Rate (ct/s)": row["events"] / row["seconds"] if row["seconds"] else None,
    }


def frames(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Events in a frame of each time bin and band."""
    found = numbers.survey.frames
    if found.empty:
        return [Text("No run has frames.", missing=True)]
    text = (
        "The mean number of events in a frame over the whole field, of each run: events of the "
        "band over the number of frames. The picture shows the runs of the widest band."
    )
    rows = [
        {**dict(zip(RUN_HEAD, run_cells(key), strict=True)), **spread_cells(row, "Runs")}
        for key, row in keyed(found)
    ]
    alternative = "Histograms of the events in a frame of each run, by time bin."
    return [
        Text(text),
        *drawn(pictures, "survey_frames", alternative),
        Listing.of("Events in a frame", rows),
    ]


def runs(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Regions of a run, subsets and event lists of an observation."""
    survey = numbers.survey
    total = int(survey.regions.to_numpy().sum())
    blocks: Blocks = []
    if total:
        rows = [_region_row(number, row, survey.regions) for number, row in _numbered(survey)]
        few = int(survey.regions.to_numpy()[0].sum())
        text = (
            f"{plural(total, 'run')} have frames; {few:,} of them ({share(few, total)}) have no "
            "region. Runs with very many regions are mostly those of bad data: the flag "
            "`filt_g_20_detections` marks those with more than 20."
        )
        alternative = "Bars: runs by the number of their regions, for each time bin."
        blocks += [
            Text(text),
            *drawn(pictures, "survey_runs", alternative),
            Listing.of("Runs by the number of their regions", rows),
        ]
    else:
        blocks.append(Text("No run has frames.", missing=True))
    if survey.subsets.empty:
        return [*blocks, Text("No observation was searched, so none has subsets.", missing=True)]
    tables = (("Subsets", survey.subsets), ("Event lists searched", survey.lists))
    for head, counts in tables:
        own = int(counts.sum())
        listed = tuple(
            (_or_more(int(str(number)), SUBSETS_LISTED), int(n), share(int(n), own))
            for number, n in counts.items()
        )
        caption = f"Observations by their {head.lower()}"
        blocks.append(Listing(caption, (head, "Observations", "Share"), listed))
    return blocks


def _numbered(survey: Survey) -> list[tuple[int, Mapping[Any, Any]]]:
    """Rows of the regions of runs, up to the last that is not zero."""
    last = int(np.flatnonzero(survey.regions.to_numpy().any(axis=1))[-1])
    return list(keyed(survey.regions.iloc[: last + 1]))


def _region_row(number: int, row: Mapping[Any, Any], table: pd.DataFrame) -> dict[str, Cell]:
    found: dict[str, Cell] = {"Regions": _or_more(number, REGIONS_LISTED)}
    own = int(sum(row.values()))
    found |= {"Runs": own, "Share": share(own, int(table.to_numpy().sum()))}
    return found | {f"{t_bin:g} s": int(n) for t_bin, n in row.items()}


def _or_more(number: int, last: int) -> str:
    return f"{number} or more" if number == last else f"{number}"


def isolated_flares(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Light curves by the counts of their highest frame, isolated or not."""
    if numbers.features is None:
        return [missing("Light curves have no features", "features", numbers)]
    found = numbers.features.highest
    if found is None:
        text = "The features do not have the highest frame of light curves"
        return [missing(text, "features", numbers, "--force")]
    if found.empty:
        return [Text("There are no light curves with counts.", missing=True)]
    counts = above(found, LIMITS)
    # One row of zeros says that there is nothing above.
    some = counts[["isolated", "not isolated"]].to_numpy().any(axis=1)
    counts = counts.iloc[: int(some.sum()) + 1]
    total = int(found["n"].sum())
    alone = int(found.xs(1, level="isolated")["n"].sum()) if _has_isolated(found) else 0
    text = (
        f"The highest frame of {alone:,} of {plural(total, 'light curve')} ({share(alone, total)}) "
        "is isolated: the frames before and after it have no counts. Short bursts of faint sources "
        "look like that, and hot pixels and cosmic rays too; the higher the frame, the fewer are "
        "isolated by chance. The table counts light curves whose highest frame has more counts "
        "than the number in its first column."
    )
    rows: list[dict[str, Cell]] = [
        {
            "More counts than": int(str(limit)),
            "Isolated": int(row["isolated"]),
            "Not isolated": int(row["not isolated"]),
            "Share isolated": share(row["isolated"], row["isolated"] + row["not isolated"]),
            **{f"{name:g} s": row[name] for name in counts.columns[2:]},
        }
        for limit, row in keyed(counts)
    ]
    alternative = "Lines: light curves, isolated and not, above counts of their highest frame."
    return [
        Text(text),
        *drawn(pictures, "isolated", alternative),
        Listing.of("Light curves by the counts of their highest frame", rows),
    ]


def _has_isolated(found: pd.DataFrame) -> bool:
    return 1 in found.index.get_level_values("isolated")
