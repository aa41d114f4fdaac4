"""The report of a campaign, as Markdown that needs nothing else but the picture beside it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from exod.completeness.campaign import METHODS
from exod.completeness.curves import FALSE_REGIONS, PUBLISHED, agreement, comparable_levels
from exod.completeness.matching import ANY
from exod.errors import percent

CLOSE = 0.05
"""Difference of detection fractions that counts as agreement even if errors are smaller."""

PREDICTION = (
    "Prediction: photons of bursts and of the expected background, binned and tested as the runs "
    "do, without simulated event lists."
)
FORMULA = (
    "Prediction: Poisson chance of few enough counts in a frame of one of 3 x 3 cells, without "
    "simulated event lists."
)
_DIFFERENCE = (
    "Difference: injected minus predicted fraction. Pull: difference over its binomial error; its "
    "standard deviation is 1 if nothing else differs. Agrees: within 5 points or two standard "
    "deviations."
)


def report(
    table: pd.DataFrame, needed: pd.DataFrame, command: str, picture: str = "completeness.png"
) -> str:
    """Text of the report.

    Parameters
    ----------
    table : DataFrame
        From `exod.completeness.curves.summarise`.
    needed : DataFrame
        From `exod.completeness.curves.counts_needed`.
    command : str
        What made the results.
    picture : str
        Name of the picture beside it.
    """
    injected = table[(table["source"] == "injected") & (table["kind"] == ANY)]
    trials = int(injected.drop_duplicates(_grid(injected))["trials"].sum())
    parts = [
        "# Completeness of the search",
        f"Made by\n\n    {command}",
        f"{trials:,} bursts of constant rate in {_observations(injected):,} simulated observations "
        "(three cameras), searched, and found if a region lies within 20 arcsec "
        "and is significant while the burst lasts. *Counts* are the expected good counts of a "
        "burst over all cameras, in the whole point spread function, without losses between "
        "chips. Errors are 68 per cent intervals.",
        f"![completeness]({picture})",
        "## Counts for 50 and 90 % detection in any run",
        _needed_table(needed[needed["kind"] == ANY]),
        "`<` and `>`: beyond the counts that were tried.",
        "## Published efficiency of EXOD2",
        "For single time bins, read off a plot; not the same definition of counts.",
        _table(
            ["Time bin", "50 %", "90 %", "100 %"],
            ([f"{t_bin:g} s", *(f"{n:g}" for n in counts)] for t_bin, counts in PUBLISHED.items()),
        ),
        "## False regions",
        "Regions that are neither the light of a burst nor anything else that varies, a mean "
        "observation, all runs together.",
        _false_table(injected),
        *_comparison(table, needed),
        "## Prediction and injection",
        _agreement_text(table, PREDICTION),
    ]
    return "\n\n".join(parts) + "\n"


def eclipse_report(table: pd.DataFrame, command: str, picture: str) -> str:
    """Text of the report on eclipses.

    Parameters
    ----------
    table : DataFrame
        From `exod.completeness.curves.summarise`, rows with a depth.
    command : str
        What made the results.
    picture : str
        File name of the picture.
    """
    injected = table[(table["source"] == "injected") & (table["kind"] == ANY)]
    keys = ["level", "background", "off_axis", "amplitude", "depth", "duration"]
    rows = []
    for key, own in table[table["kind"] == ANY].groupby(keys, sort=True):
        level, background, off_axis, rate, depth, duration = key
        shares = own.set_index("source")["fraction"].to_dict()
        measured = own[own["source"] == "injected"].iloc[0]
        found = f"{int(measured['detected'])} of {int(measured['trials'])}"
        predicted = shares.get("predicted", np.nan)
        row = [f"{level:g}", str(background), f"{off_axis:g}'", f"{rate:g} ct/s", f"{depth:.0%}"]
        rows.append([*row, f"{duration:g} s", found, _percent(predicted)])
    names = ["Level", "Background", "Off-axis", "Rate", "Depth", "Duration", "Found", "Formula"]
    parts = [
        "# Completeness of the search: eclipses",
        f"Made by\n\n    {command}",
        f"{int(injected['trials'].sum()):,} eclipses of constant sources in "
        f"{int(injected['observations'].sum()):,} simulated observations (three cameras), each of "
        "which loses a share of its light once. Found: a region with an eclipse lies within 20 "
        "arcsec and is significant while the eclipse lasts. Formula: the best single run, a lower "
        "limit of any run.",
        f"![eclipses]({picture})",
        "## Found in any run",
        _table(names, rows),
        "## Formula and injection",
        _agreement_text(table[table["kind"] != ANY], FORMULA),
    ]
    return "\n\n".join(parts) + "\n"


def _percent(share: float) -> str:
    return percent(share, ".0f") if np.isfinite(share) else ""


def _grid(rows: pd.DataFrame) -> list[str]:
    names = ["method", "level", "background", "off_axis", "duration", "amplitude"]
    return [name for name in names[2:] if name in rows.columns]


def _observations(injected: pd.DataFrame) -> int:
    return int(injected.drop_duplicates(_grid(injected))["observations"].sum())


def _needed_table(needed: pd.DataFrame) -> str:
    names = ["Method", "Level", "Background", "Off-axis", "Duration"]
    names += ["50 %", "50 %, predicted", "90 %", "90 %, predicted"]
    keys = ["method", "level", "background", "off_axis", "duration"]
    rows = []
    for key, both in needed.groupby(keys, sort=True):
        method, level, background, off_axis, duration = key
        row = [str(method), f"{level:g}", str(background), f"{off_axis:g}'", f"{duration:g} s"]
        for name in ("n50", "n90"):
            for source in ("injected", "predicted"):
                own = both[both["source"] == source]
                row.append(_counts(own.iloc[0].to_dict(), name) if len(own) else "")
        rows.append(row)
    return _table(names, rows)


def _counts(row: Mapping[Hashable, Any], name: str) -> str:
    """Counts with their interval."""
    value, low, high = (float(row[name + end]) for end in ("", "_low", "_high"))
    if value == 0:
        return "<"
    if np.isinf(value):
        return ">"
    upper = f"+{high - value:.1f}" if np.isfinite(high) else "+..."
    lower = f"-{value - low:.1f}" if low > 0 else "-..."
    return f"{value:.1f} {upper} {lower}"


def _false_table(injected: pd.DataFrame) -> str:
    rows = []
    for key, own in injected.groupby(["method", "level", "background"], sort=True):
        method, level, background = key
        mean = float(np.average(own["n_false"], weights=own["observations"]))
        error = np.sqrt(max(mean, 1 / own["observations"].sum()) / own["observations"].sum())
        rows.append([str(method), f"{level:g}", str(background), f"{mean:.2f} ± {error:.2f}"])
    table = _table(["Method", "Level", "Background", "False regions"], rows)
    used = {row[0] for row in rows}
    legend = [f"* {name}: {text}." for name, text in METHODS.items() if name in used]
    return table + "\n\n" + "\n".join(legend)


def _comparison(table: pd.DataFrame, needed: pd.DataFrame) -> list[str]:
    """Methods side by side, each at its comparable level; nothing for a single one."""
    levels = comparable_levels(table)
    if levels["method"].nunique() < 2:
        return []
    own = needed[(needed["kind"] == ANY) & (needed["source"] == "injected")]
    own = own.merge(levels, on=["method", "background", "level"])
    keys = ["background", "off_axis", "duration", "n_false", "method"]
    rows = [
        [
            str(row["background"]),
            f"{row['off_axis']:g}'",
            f"{row['duration']:g} s",
            f"{row['method']} {row['level']:g}",
            f"{row['n_false']:.2f}",
            _counts(row, "n50"),
            _counts(row, "n90"),
        ]
        for row in own.sort_values(keys).to_dict("records")
    ]
    names = ["Background", "Off-axis", "Duration", "Method, level", "False regions", "50 %", "90 %"]
    return [
        "## Methods at equal false regions",
        f"Each at the level that gives most false regions up to {FALSE_REGIONS:g} in an "
        "observation.",
        _table(names, rows),
    ]


def _agreement_text(table: pd.DataFrame, intro: str) -> str:
    """How prediction and injection agree, in words and numbers."""
    pairs = agreement(table)
    if pairs.empty:
        return "There is no prediction for this method."
    pairs = pairs.assign(
        agrees=pairs["difference"].abs() <= np.maximum(2 * pairs["error"], CLOSE),
        pull=pairs["difference"] / pairs["error"],
    )
    rows = []
    for kind, own in pairs.groupby("kind", sort=True):
        rows.append(
            [
                str(kind),
                f"{len(own)}",
                f"{own['difference'].mean():+.3f}",
                f"{own['pull'].std():.2f}",
                percent(own["agrees"].mean(), ".0f"),
            ]
        )
    names = ["Run", "Points", "Mean difference", "Standard deviation of pull", "Agrees"]
    return f"{intro} {_DIFFERENCE}\n\n{_table(names, rows)}"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
