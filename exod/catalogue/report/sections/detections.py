"""Sections about what was found: significance, Bayes factors, false alarms, durations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.page import Blocks, Cell, Listing, Text
from exod.catalogue.report.statistics import SIGMAS
from exod.catalogue.report.words import RUN_HEAD, Pictures, drawn, missing, run_cells, share
from exod.counts.bayes import threshold
from exod.errors import plural


def significance(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Regions of each time bin and band above 3, 4 and 5 sigma."""
    head: tuple[str, ...] = (*RUN_HEAD, "Regions", "Peaks", "Eclipses")
    head += tuple(f"{name} ≥ {sigma}σ" for sigma in SIGMAS for name in ("Peak", "Eclipse", "Any"))
    columns = ["regions", "peaks", "eclipses"]
    columns += [f"{name}_{sigma}" for sigma in SIGMAS for name in ("peak", "eclipse", "any")]
    if numbers.runs.empty:
        return [Text("There are no regions.", missing=True)]
    rows = [(*run_cells(key), *values) for key, values in _rows(numbers.runs[columns])]
    rows.append(("All", "", *(int(total) for total in numbers.runs[columns].sum())))
    text = (
        "Regions by the largest Bayes factor of a frame of their light curve, as equivalent "
        "Gaussian sigmas. A region can have a peak and an eclipse; its kind is peak then. The "
        "same source is found in several runs, so the sums count it more than once."
    )
    return [
        Text(text),
        *drawn(pictures, "significance", "Bars: regions of each run at 3, 4 and 5 sigma."),
        Listing("Regions of each run by significance", head, tuple(rows)),
    ]


def _rows(frame: pd.DataFrame) -> Iterable[tuple[tuple[Any, ...], list[Any]]]:
    values = [[item.item() for item in row] for row in frame.to_numpy()]
    return zip(frame.index.tolist(), values, strict=True)


def good_and_bad_time(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Significant frames and regions in good and in bad time."""
    if numbers.features is None:
        return [missing("Light curves have no features", "features", numbers)]
    bins, regions = numbers.features.bins, numbers.features.regions
    if bins is None or regions is None:
        return [missing("The features do not count significant frames", "features", numbers)]
    if bins.empty:
        return [Text("There are no light curves.", missing=True)]
    rows = [
        {
            "Time bin": f"{t_bin:g} s",
            "Significance": f"{sigma}σ {kind}",
            "Frames in good time": good,
            "in bad time": bad,
            "bad": share(bad, good + bad),
            "Regions in good time only": int(regions["gti"].loc[t_bin, sigma, kind]),
            "in bad time only": int(regions["bti"].loc[t_bin, sigma, kind]),
            "in both": int(regions["both"].loc[t_bin, sigma, kind]),
        }
        for (t_bin, sigma, kind), (good, bad) in _rows(bins[["gti", "bti"]])
    ]
    text = (
        "Bad time intervals (BTI) are flares of the particle background; the expectation follows "
        "them, but what varies only there deserves a second look. Good time (GTI) is the rest."
    )
    alternative = "Bars: regions with significant frames in good time, bad time and both."
    return [
        Text(text),
        *drawn(pictures, "good_bad", alternative),
        Listing.of("Significant frames, and regions that have some", rows),
    ]


def bayes_factors(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Distributions of log10 B."""
    both = [numbers.histograms[f"log_b_{kind}"] for kind in ("peak", "eclipse")]
    if not sum(item.total for item in both):
        return [Text("No region has a Bayes factor.", missing=True)]
    limits = ", ".join(
        f"{threshold(sigma, kind):.2f} ({kind}, {sigma}σ)"
        for kind in ("peak", "eclipse")
        for sigma in (3, 5)
    )
    text = (
        f"The largest log10 B of the light curve of each region. Limits of significance: {limits}. "
        "A region is found by single cells; the light curve of its whole box may be less "
        "significant than its strongest cell, so that some lie below the limit of the search."
    )
    alternative = "Histograms of log10 B of peaks and of eclipses with their 3 and 5 sigma limits."
    return [Text(text), *drawn(pictures, "bayes", alternative)]


def false_alarms(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Regions that chance is expected to make beside those that were found."""
    if numbers.expected.empty:
        return [Text("There are no runs.", missing=True)]
    counts = numbers.runs[["peaks", "eclipses"]].reindex(numbers.expected.index, fill_value=0)
    table = pd.concat([numbers.expected, counts], axis=1)
    total = table.sum()
    named = [*zip(map(run_cells, table.index), table.to_dict("records"), strict=True)]
    rows: list[Mapping[str, Cell]] = [
        {
            **dict(zip(RUN_HEAD, names, strict=True)),
            "Runs": int(row["runs"]),
            "without expectation": int(row["unknown"]),
            "Peaks found": int(row["peaks"]),
            # Zero that is the sum of nothing is not an expectation.
            "peaks by chance": row["false_peaks"] if row["unknown"] < row["runs"] else None,
            "Eclipses found": int(row["eclipses"]),
            "eclipses by chance": row["false_eclipses"] if row["unknown"] < row["runs"] else None,
        }
        for names, row in [*named, (("All", ""), total.to_dict())]
    ]
    text = (
        "How many regions of each kind chance alone is expected to make, from the expectation of "
        "every cell, summed over the runs for which it is known."
    )
    if unknown := int(total["unknown"]):
        text += (
            f" {plural(unknown, 'run')} {'has' if unknown == 1 else 'have'} no such "
            "number; what was found there is counted all the same."
        )
    alternative = "Points: regions found and expected by chance in each run."
    listing = Listing.of("Regions found, and expected by chance", rows)
    return [Text(text), *drawn(pictures, "false_alarms", alternative), listing]


def durations(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Distributions of the durations and of the excess counts."""
    duration, excess = numbers.histograms["duration"], numbers.histograms["excess"]
    if not duration.total and not excess.total:
        return [Text("No region has a measured event (duration and excess counts).", missing=True)]
    text = (
        f"Measured for {duration.total:,} (duration) and {excess.total:,} (excess) of "
        f"{plural(numbers.n_regions, 'region')}. Excess counts are those of the event in the whole "
        "point spread function; those of eclipses are negative and shown without their sign."
    )
    alternative = "Histograms of the durations by time bin and of the excess counts by kind."
    return [Text(text), *drawn(pictures, "events", alternative)]
