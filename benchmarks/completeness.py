"""Completeness of several searches at equal false regions, and what searches and maps cost.

``python -m benchmarks.completeness compare FOLDER [--workers 2]`` runs the campaigns in FOLDER, or
what is missing there, and draws docs/images/completeness_methods.png; ``... times`` measures the
preset deep against published, ``... costs`` formula and virtual bursts against the search. Each
replaces its section in benchmarks/results_completeness.md.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import re
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import exod
from benchmarks import data_folder
from benchmarks.completeness_picture import methods_figure
from benchmarks.measure import timed
from exod.completeness.campaign import Campaign
from exod.completeness.curves import counts_needed, summarise
from exod.completeness.fields import quiet_field
from exod.completeness.matching import ANY
from exod.completeness.virtualcells import VirtualCells
from exod.completeness.virtualwindows import VirtualWindows
from exod.config import Config
from exod.counts.windows import WindowCounts, Windows
from exod.instruments.epic import XMM
from exod.plots.drawing import save_figure
from exod.scheduler.plan import Plan
from exod.sensitivity.cellneeds import detection_counts
from exod.sensitivity.profiles import typical_profile
from exod.sensitivity.windowneeds import window_detection_counts
from exod.simulate import SimulatedObservation, simulate
from exod.stages.completeness.measure import collect, run_campaign
from exod.stages.completeness.virtual import SearchedField, predict, searched, searched_field
from exod.stages.inputs.simulate import simulate_files, write_observation

HERE = Path(__file__).parent
RESULTS = HERE / "results_completeness.md"
PICTURE = HERE.parent / "docs" / "images" / "completeness_methods.png"
TITLES = ("Methods at equal false regions", "Time of the preset deep", "Cost of predictions")

AMPLITUDES = tuple(float(f"{4 * 15 ** (i / 7):.3g}") for i in range(9))
"""4 to 88 counts, even in the logarithm; of each duration six that span its N50."""

GRID = {
    "quiet": {(2, 5, 10, 20): slice(0, 6), (50, 100, 200): slice(1, 7), (500,): slice(2, 8)}
    | {(1000,): slice(3, 9)},
    "flaring": {(2, 10): slice(0, 6), (50, 200): slice(1, 7)},
}
"""Of each background: durations, and which of the amplitudes."""

REPEATS = 2


@dataclass(frozen=True)
class Method:
    """A search, and how it is measured."""

    name: str
    config: Config
    levels: tuple[float, ...]
    observations: int = 1
    bursts: int = 25
    backgrounds: tuple[str, ...] = ("quiet", "flaring")


def methods() -> tuple[Method, ...]:
    """The searches that are compared; the first one tells the number of false regions."""
    deep, published = (
        Config.load(overrides=["detect.false_alarm_rate=1"], preset=name)
        for name in ("deep", "published")
    )
    older = Config.load(overrides=["detect.method=exod1"])
    return (
        Method("deep", deep, (1.0,)),
        Method("published", published, (1.0, 1.6)),
        # Its bursts compete with each other, and it looks at good time only.
        Method("EXOD I", older, (13.0, 16.0, 19.0), 2, 4, ("quiet",)),
    )


def compare(folder: Path, workers: int) -> None:
    """Run what is missing of the campaigns, write table and picture."""
    parts = []
    for method in methods():
        own = folder / method.name.replace(" ", "").lower().replace("exodi", "exod1")
        for campaign in _campaigns(method):
            for outcome in run_campaign(campaign, own, Plan("local", workers)):
                print(outcome.obsid, outcome.status, outcome.reason, flush=True)
        parts.append(collect(own).assign(method=method.name))
    table = summarise(pd.concat(parts, ignore_index=True))
    needed = at_equal_false_regions(table[table["kind"] == ANY], methods()[0].name)
    save_figure(methods_figure(needed), PICTURE)
    record(TITLES[0], comparison(table[table["kind"] == ANY], needed))


def _campaigns(method: Method) -> Iterator[Campaign]:
    for background in method.backgrounds:
        for durations, which in GRID[background].items():
            yield Campaign(
                amplitudes=AMPLITUDES[which],
                durations=tuple(float(duration) for duration in durations),
                off_axis=(6.0,),
                backgrounds=(background,),  # type: ignore[arg-type]
                observations=method.observations,
                bursts=method.bursts,
                levels=method.levels,
                config=method.config,
            )


def false_regions(table: pd.DataFrame) -> pd.DataFrame:
    """Mean false regions of an observation by method, background and level, with their error."""
    rows = table[table["source"] == "injected"]
    rows = rows.assign(sum=table["n_false"] * table["observations"])
    keys = ["method", "background", "level"]
    total = rows.groupby(keys)[["sum", "observations"]].sum().reset_index()
    total["false"] = total["sum"] / total["observations"]
    total["error"] = np.sqrt(np.maximum(total["sum"], 1)) / total["observations"]
    return total


def at_equal_false_regions(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Counts for 50 % of each method where it makes as many false regions as the reference.

    Linear in the logarithms of false regions and counts between levels, with the errors of the
    nearest level.
    """
    rates = false_regions(table)
    counts = counts_needed(table).merge(rates, on=["method", "background", "level"])
    most = table.groupby(["background", "duration"])["amplitude"].max().rename("most")
    counts = counts.merge(most, on=["background", "duration"])
    rows = []
    keys = ["background", "duration", "method", "source"]
    for key, levels in counts.groupby(keys, sort=True):
        background = key[0]
        same = (rates["method"] == reference) & (rates["background"] == background)
        wanted = np.log(rates.loc[same, "false"].iloc[0])
        log = np.log(np.maximum(levels["false"], 0.5 / levels["observations"]))
        own = levels.assign(log=log).sort_values("log")
        nearest = own.iloc[np.abs(own["log"] - wanted).argmin()]
        value, low, high = (float(nearest[f"n50{end}"]) for end in ("", "_low", "_high"))
        if np.isfinite(own["n50"]).all() and (own["n50"] > 0).all():
            between = float(np.exp(np.interp(wanted, own["log"], np.log(own["n50"]))))
            value, low, high = (n * between / value for n in (value, low, high))
        row = dict(zip(keys, key, strict=True)) | {"most": float(own["most"].iloc[0])}
        rows.append(row | {"n50": value, "n50_low": low, "n50_high": high})
    return pd.DataFrame(rows)


def comparison(table: pd.DataFrame, needed: pd.DataFrame) -> str:
    """Text and tables of the comparison."""
    names = [method.name for method in methods()]
    lines = [
        "Counts for 50 % detection in any run; bursts of constant rate at 6' in simulated "
        "observations of 20 ks, the same observations for deep and published. Deep and published "
        "with `detect.false_alarm_rate=1`. Counts of published and EXOD I are interpolated between "
        "levels to the measured false regions of deep. Errors: 68 per cent. Predicted: by virtual "
        "injection of 200 bursts for each point.",
        "| Background | Method | Level | False regions an observation |\n|---|---|---|---|\n"
        + "\n".join(
            f"| {row['background']} | {row['method']} | {row['level']:g} | "
            f"{row['false']:.2f} ± {row['error']:.2f} |"
            for row in false_regions(table).sort_values("background").to_dict("records")
        ),
    ]
    for background, own in needed.groupby("background", sort=True):
        lines.append(f"{str(background).capitalize()}:\n\n{_by_duration(own, names)}")
    injected = table[table["source"] == "injected"]
    trials = int(
        injected.drop_duplicates(["method", "background", "duration", "amplitude"])["trials"].sum()
    )
    about = "`>`: beyond what was tried. Mean: of the logarithms of the ratios that are known."
    return "\n\n".join([*lines, f"{trials:,} bursts searched for. {about}"])


def _by_duration(needed: pd.DataFrame, names: Sequence[str]) -> str:
    """Counts of the methods and their ratios to those of the first, a row a duration."""
    pairs = [(name, "injected") for name in names[1:]] + [(names[1], "predicted")]
    ratios: dict[tuple[str, str], list[tuple[float, float]]] = {pair: [] for pair in pairs}
    rows = []
    for duration, line in needed.groupby("duration", sort=True):
        cells = {(row["method"], row["source"]): row for row in line.to_dict("records")}
        row = [f"{duration:g} s", *(_counts(cells.get((name, "injected"))) for name in names)]
        for name, source in pairs:
            value, error = _ratio(cells.get((names[0], source)), cells.get((name, source)))
            if np.isfinite(value):
                ratios[name, source].append((value, error))
            row.append(f"{value:.2f} ± {value * error:.2f}" if np.isfinite(value) else "")
        rows.append(row)
    rows.append(["mean", *([""] * len(names)), *(_mean(ratios[pair]) for pair in pairs)])
    heading = ["Duration", *names, *(f"{names[0]} / {name}" for name in names[1:])]
    return _table([*heading, f"{names[0]} / {names[1]}, predicted"], rows)


def _counts(row: dict[Any, Any] | None) -> str:
    if row is None:
        return ""
    if not np.isfinite(row["n50"]):
        return f"> {row['most']:g}"
    return f"{row['n50']:.1f} ± {row['n50'] * _relative(row):.1f}"


def _relative(row: dict[Any, Any]) -> float:
    """Relative error of the counts."""
    low, high = (float(row[f"n50_{end}"]) for end in ("low", "high"))
    value = float(row["n50"])
    sides = [abs(side - value) for side in (low, high) if np.isfinite(side) and side > 0]
    return float(np.mean(sides)) / value if sides else np.nan


def _ratio(first: dict[Any, Any] | None, second: dict[Any, Any] | None) -> tuple[float, float]:
    """Ratio of the counts and its relative error; NaN if one is not known."""
    if first is None or second is None:
        return np.nan, np.nan
    if not (0 < first["n50"] < np.inf and 0 < second["n50"] < np.inf):
        return np.nan, np.nan
    error = float(np.hypot(_relative(first), _relative(second)))
    return float(first["n50"] / second["n50"]), error


def _mean(ratios: Sequence[tuple[float, float]]) -> str:
    if not ratios:
        return ""
    value = np.exp(np.mean([np.log(ratio) for ratio, _ in ratios]))
    error = value * np.sqrt(np.nansum([error**2 for _, error in ratios])) / len(ratios)
    return f"{value:.2f} ± {error:.2f}"


STEPS = {
    "read_observation": "reading and selecting",
    "significant_windows": "counts and probabilities of windows",
    "alarm_curve": "expected false alarms",
    "window_detection_counts": "maps of counts needed",
    "describe_regions": "regions, positions, light curves",
    "run_rows": "rows of tables",
}
"""Functions of the search that are told apart."""


def times() -> None:
    """CPU time of deep against published, from files to tables."""
    data = data_folder()
    rows, parts = [], []
    with tempfile.TemporaryDirectory() as name:
        point = Campaign().points()[0]
        write_observation(simulate(quiet_field(point, 20_000.0), 1), name)
        simulate_files(name, "0900000601", 5, duration=60_000.0)
        folders = {
            "simulated, 20 ks, quiet": Path(name) / point.obsid,
            "simulated, 60 ks, with flares": Path(name) / "0900000601",
            "0001730201, 17 ks, MOS, flaring": data / "xmm" / "0001730201",
        }
        for what, folder in folders.items():
            if folder.is_dir():
                published, deep = _cpu(folder)
                rows.append([what, f"{published:.2f}", f"{deep:.2f}", f"{deep / published:.1f}"])
                parts.append([what, *_shares(folder)])
    table = _table(["Observation", "published, CPU s", "deep, CPU s", "ratio"], rows)
    text = (
        "`exod.detect` from files to tables, means of "
        f"{REPEATS} in one process, in turn: 9 runs of the preset published and 30 of deep."
    )
    share = "Shares of the time of deep (of a profile):"
    shares = _table(["Observation", *STEPS.values(), "other"], parts)
    record(TITLES[1], "\n\n".join([text, table, share, shares]))


def _cpu(folder: Path) -> list[float]:
    """Mean CPU seconds of published and deep."""
    taken: dict[str, list[float]] = {"published": [], "deep": []}
    for number in range(REPEATS + 1):
        for preset, seconds in taken.items():
            began = time.process_time()
            exod.detect(folder, Config.preset(preset))
            if number:
                seconds.append(time.process_time() - began)
    return [statistics.mean(seconds) for seconds in taken.values()]


def _shares(folder: Path) -> list[str]:
    profile = cProfile.Profile()
    profile.runcall(exod.detect, folder, Config.preset("deep"))
    stats = pstats.Stats(profile)
    known = dict.fromkeys(STEPS, 0.0)
    for (_, _, function), (_, _, _, cumulative, _) in stats.stats.items():  # type: ignore[attr-defined]
        if function in known:
            known[function] += cumulative / stats.total_tt  # type: ignore[attr-defined]
    return [f"{share:.0%}" for share in [*known.values(), 1 - sum(known.values())]]


def costs() -> None:
    """Time of maps, virtual bursts and injected bursts against that of the search."""
    rows = []
    for method in methods()[:2]:
        campaign = replace(next(_campaigns(method)), levels=method.levels[:1])
        point = replace(campaign.points()[0], amplitude=20.0, duration=50.0)
        field = replace(point, amplitude=0.0, duration=0.0, off_axis=0.0)
        found = searched_field(field, campaign.length, campaign.config_at(1.0))
        observation = simulate(quiet_field(point, campaign.length), 1)
        searching, mapping, injecting = timed(
            partial(_search, observation, campaign.config),
            partial(_maps, found),
            partial(predict, point, campaign),
        )
        runs = len(found.kinds)
        rows += [
            [f"{method.name}: search, {runs} runs", f"{searching:.2f}", ""],
            [f"{method.name}: maps", f"{mapping:.2f}", f"{mapping / searching:.2f}"],
            [
                f"{method.name}: 200 virtual bursts",
                f"{injecting:.2f}",
                f"{injecting / searching:.2f}",
            ],
        ]
    record(TITLES[2], _table(["", "s", "ratio to the search"], rows))


def _search(observation: SimulatedObservation, config: Config) -> int:
    return sum(1 for _ in searched(observation, config))


def _maps(found: SearchedField) -> None:
    """Maps of all runs."""
    profile = typical_profile(XMM)
    for run in found.runs:
        size = run.cube.grid.size_arcsec
        if isinstance(run, VirtualCells):
            detection_counts(run.expectation, run.thresholds, size, profile)
        elif isinstance(run, VirtualWindows):
            images, windows = run.expectation, Windows(run.cube.box.shape, run.width)
            sums = WindowCounts.of(
                images.counts,
                images.source,
                windows,
                images.groups[1] if images.groups else None,
            )
            window_detection_counts(images, sums, run.p_log, size, profile)


def record(title: str, text: str) -> None:
    """Write a section in place of the earlier one of this title."""
    known = {}
    if RESULTS.exists():
        _, *sections = re.split(r"^(?=## )", RESULTS.read_text(encoding="utf-8"), flags=re.M)
        known = {part.partition("\n")[0].removeprefix("## "): part.strip() for part in sections}
    known[title] = f"## {title}\n\n{text}"
    top = (
        "# Completeness and its cost\n\n"
        "Made by `python -m benchmarks.completeness compare FOLDER`, `times` and `costs`."
    )
    parts = [top, *(known[name] for name in TITLES if name in known)]
    RESULTS.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(known[title], flush=True)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.completeness")
    parser.add_argument("what", choices=("compare", "times", "costs"))
    parser.add_argument("folder", type=Path, nargs="?", default=Path("completeness"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.what == "compare":
        compare(given.folder, given.workers)
    else:
        {"times": times, "costs": costs}[given.what]()


if __name__ == "__main__":
    main()
