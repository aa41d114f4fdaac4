"""How many regions chance makes in simulated observations, against what the search predicts.

``python -m benchmarks.false_alarms`` simulates observations in which nothing varies but the
background, searches them with both presets and writes ``results_false_alarms.md`` and the picture
of docs/false_alarms.md. What is in ``--folder`` with the same settings is not done again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.false_alarms_picture import calibration_figure
from exod import __version__
from exod.cli.progress import follow
from exod.config import Config
from exod.counts.bayes import Thresholds
from exod.counts.shares import ConditionalExpectation
from exod.counts.windows import WindowCounts, Windows
from exod.plots.drawing import save_figure
from exod.scheduler import run as run_tasks
from exod.scheduler.plan import Plan
from exod.search.nulls.templatenull import SIGMA_STEP
from exod.search.regions import SignificantCells, find_regions
from exod.search.subset import Run, search_subset
from exod.sensitivity.cellalarms import (
    AlarmsByStrength,
    FalseAlarms,
    expected_false_alarms,
    tests_of,
)
from exod.sensitivity.windowalarms import alarm_curve
from exod.simulate import SimulatedObservation, default_observation, simulate
from exod.stages.detect.observation import Outcome
from exod.stages.inputs.memory import in_memory

RESULTS: Final = Path(__file__).with_name("results_false_alarms.md")
PICTURE: Final = RESULTS.parents[1] / "docs" / "images" / "false_alarms.png"

RATES: Final = (0.03, 0.1, 0.3, 1.0, 3.0)
"""False regions an observation, all runs together."""

PRESETS: Final = ("published", "deep")
CAMERAS: Final = {"pn + MOS": ("EPN", "EMOS1", "EMOS2"), "MOS": ("EMOS1", "EMOS2")}
FLARES: Final = {"quiet": 0, "flaring": 1}
KINDS: Final = ("peaks", "eclipses")

LENGTH: Final = 10_000.0
LONG_EVERY: Final = 5
"""Every fifth observation is twice as long."""

HIGH_RATE: Final = 30.0
HIGH_EVERY: Final = 4
HIGH_FROM: Final = 1000
"""For every fourth observation there is one that is searched at a high rate, with a number from
1001: many false regions show small errors of the prediction."""

GOOD: Final = 0.2
GOOD_SIGMAS: Final = 2.0
"""A prediction is right within 20 per cent or two standard deviations."""


@dataclass(frozen=True)
class Item:
    """A simulated observation, and the rates at which it is searched."""

    background: Literal["quiet", "flaring"]
    cameras: str
    number: int
    length: float
    rates: tuple[float, ...] = RATES

    @property
    def condition(self) -> str:
        return f"{self.background}, {self.cameras}"

    @property
    def obsid(self) -> str:
        place = 2 * list(FLARES).index(self.background) + list(CAMERAS).index(self.cameras)
        return f"09{place + 1}{self.number:07d}"

    def simulated(self) -> SimulatedObservation:
        model = default_observation(
            self.obsid,
            self.number,
            duration=self.length,
            cameras=CAMERAS[self.cameras],
            n_bursts=0,
            n_eclipses=0,
            n_hot_pixels=0,
            n_flares=FLARES[self.background],
            background=self.background,
        )
        return simulate(model, self.number)


def items(n: int, length: float) -> list[Item]:
    """`n` observations of each condition, in turn, and those with the high rate between them."""
    result = []
    for i in range(1, n + 1):
        long = 2 if i % LONG_EVERY == 0 else 1
        settings: list[tuple[int, float, tuple[float, ...]]] = [(i, long * length, RATES)]
        if i % HIGH_EVERY == 0:
            settings.append((HIGH_FROM + i // HIGH_EVERY, length, (HIGH_RATE,)))
        result += [
            Item(background, cameras, *own)
            for own in settings
            for background in FLARES
            for cameras in CAMERAS
        ]
    return result


class Level(NamedTuple):
    """What one rate makes of a run: prediction, and which of its cells are significant."""

    rate: float
    predicted: FalseAlarms
    chosen: NDArray[np.bool_]


def levels(run: Run, config: Config, rates: Sequence[float], n_subsets: int) -> Iterator[Level]:
    """Prediction and significant cells of lower rates, from a run that was searched at the highest.

    The same as searching at each of the rates, without doing so.
    """
    n_runs = len(config.cube.t_bin) * len(config.cube.bands) * n_subsets
    below = _sliding if isinstance(run.expectation, ConditionalExpectation) else _fixed
    limit = below(run, config)
    for rate in sorted(rates, reverse=True):
        yield Level(rate, *limit(rate / n_runs))


Limit = Callable[[float], tuple[FalseAlarms, NDArray[np.bool_]]]


def _sliding(run: Run, config: Config) -> Limit:
    """Of a search in windows: the threshold is a probability."""
    expectation = run.expectation
    assert isinstance(expectation, ConditionalExpectation)
    windows = Windows(expectation.source_mask.shape, config.cube.window)
    sums = WindowCounts.of(
        expectation.counts,
        expectation.source,
        windows,
        expectation.groups[1] if expectation.groups else None,
    )
    curve = alarm_curve(expectation, sums, run.cube.frames, config.cube.frame_shifts)

    def limit(share: float) -> tuple[FalseAlarms, NDArray[np.bool_]]:
        p_log = curve.threshold(share)
        return FalseAlarms(*curve.at(p_log)), run.cells.p_log <= p_log

    return limit


def _fixed(run: Run, config: Config) -> Limit:
    """Of a search in cells: the threshold is in equivalent sigmas."""
    assert not isinstance(run.expectation, ConditionalExpectation)
    tests = tests_of(run.cube, run.expectation)
    step = round(run.threshold.sigma / SIGMA_STEP)

    @cache
    def alarms(step: int) -> FalseAlarms:
        return expected_false_alarms(tests, thresholds(step))

    def thresholds(step: int) -> Thresholds:
        return Thresholds(round(step * SIGMA_STEP, 4), config.detect.rule)

    def limit(share: float) -> tuple[FalseAlarms, NDArray[np.bool_]]:
        # Rates are close to each other: a few steps are faster than bisection.
        low, highest = step, round(10 / SIGMA_STEP)
        while low < highest and alarms(low).total > share:
            low = min(low + 2, highest)
        if low > step and alarms(low - 1).total <= share:
            low -= 1
        own, cells = thresholds(low), run.cells
        is_peak, is_eclipse = own.is_peak(cells.n, cells.mu), own.is_eclipse(cells.n, cells.mu)
        return alarms(low), np.where(cells.is_peak, is_peak, is_eclipse)

    return limit


def regions_of(run: Run, chosen: NDArray[np.bool_], width: int) -> tuple[int, int]:
    """Numbers of regions with and without a peak that some of the cells of a run make."""
    names = [field.name for field in fields(SignificantCells)]
    cells = SignificantCells(**{name: getattr(run.cells, name)[chosen] for name in names})
    found = find_regions(cells, run.cube.image(), width)
    n_peaks = sum(bool(cells.is_peak[region.members].any()) for region in found)
    return n_peaks, len(found) - n_peaks


def measure(item: Item) -> pd.DataFrame:
    """Simulate and search an observation.

    Returns
    -------
    DataFrame
        One row a preset, run and rate: expected and found peaks and eclipses, and the smallest
        false-alarm probabilities of the regions at the highest rate, NaN where there is none.
    """
    simulated = item.simulated()
    rows = [row for preset in PRESETS for row in _search(item, simulated, preset)]
    about = {"condition": item.condition, "obsid": item.obsid, "length": item.length}
    return pd.DataFrame(rows).assign(**about)


def _search(
    item: Item, simulated: SimulatedObservation, preset: str
) -> Iterator[dict[str, float | str]]:
    config = config_of(preset, max(item.rates))
    loaded = in_memory(simulated, config)
    n_subsets = len(loaded.subsets)
    found: list[dict[str, float | str]] = []
    alarms: list[AlarmsByStrength] = []
    strengths: list[float] = []
    for subset in loaded.subsets:
        for run in search_subset(loaded.obsid, subset, loaded.sources, config, n_subsets=n_subsets):
            alarms.append(run.alarms)
            own = [region.strength for region in run.regions]
            strengths += own
            about = {"preset": preset, "t_bin": run.t_bin, "band": f"{run.band[0]}-{run.band[1]}"}
            about["fap_run"] = min((_any(run.alarms.at(s)) for s in own), default=np.nan)
            for rate, predicted, chosen in levels(run, config, item.rates, n_subsets):
                counts = regions_of(run, chosen, config.cube.window)
                found.append(
                    about
                    | {"rate": rate}
                    | {f"predicted_{kind}": getattr(predicted, kind) for kind in KINDS}
                    | dict(zip(KINDS, counts, strict=True))
                )
    fap_obs = min((_any(sum(a.at(s) for a in alarms)) for s in strengths), default=np.nan)
    yield from (row | {"fap_obs": fap_obs} for row in found)


def _any(number: float) -> float:
    return float(-np.expm1(-number))


def config_of(preset: str, rate: float) -> Config:
    """Settings of a preset with this rate of false alarms."""
    return Config.load(preset=preset, overrides=[f"detect.false_alarm_rate={rate}"])


def do_item(item: Item, folder: Path) -> Outcome:
    """Measure an observation and write its rows, if that was not done before."""
    began, path, name = (
        time.perf_counter(),
        path_of(item, folder),
        f"{item.condition} {item.number}",
    )
    if path.exists():
        return Outcome(name, "OK", "", searched=False)
    rows = measure(item)
    rows.to_parquet(temporary := path.with_suffix(".tmp"), index=False)
    temporary.replace(path)
    highest = rows[rows["rate"] == max(item.rates)]
    n_regions = int(highest[[*KINDS]].to_numpy().sum())
    seconds = time.perf_counter() - began
    return Outcome(name, "OK", "", n_runs=len(highest), n_regions=n_regions, seconds=seconds)


def path_of(item: Item, folder: Path) -> Path:
    """Where the rows of an observation are; other settings have other names."""
    prints = [config_of(preset, max(item.rates)).fingerprint() for preset in PRESETS]
    text = json.dumps([asdict(item), prints, __version__], sort_keys=True)
    return folder / f"{item.obsid}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.parquet"


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Expected and found regions of each preset, condition, rate and kind.

    The error of the ratio is the jackknife over observations: regions of one observation that
    several runs show are not independent. It is at least that of a Poisson number.
    """
    together = pd.concat([rows, rows.assign(condition="all")], ignore_index=True)
    wide = together.groupby(["preset", "condition", "rate", "obsid"], as_index=False)[
        [name for kind in KINDS for name in (kind, f"predicted_{kind}")]
    ].sum()
    wide["both"] = wide[[*KINDS]].sum(axis=1)
    wide["predicted_both"] = wide[[f"predicted_{kind}" for kind in KINDS]].sum(axis=1)
    result = []
    for (preset, condition, rate), own in wide.groupby(["preset", "condition", "rate"]):
        for kind in ("both", *KINDS):
            found, predicted = own[kind].to_numpy(float), own[f"predicted_{kind}"].to_numpy(float)
            ratio, error = found.sum() / max(predicted.sum(), 1e-300), ratio_error(found, predicted)
            values = predicted.sum(), found.sum(), ratio, error
            result.append((preset, condition, rate, kind, len(own), *values))
    names = "preset condition rate kind observations predicted observed ratio error"
    return pd.DataFrame(result, columns=names.split())


def ratio_error(found: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """Standard deviation of sum(found) / sum(predicted), from the scatter of the observations."""
    total, n = max(float(predicted.sum()), 1e-300), len(found)
    rest = found - predicted * found.sum() / total
    jackknife = np.sqrt((rest**2).sum() * n / max(n - 1, 1)) / total
    return float(max(jackknife, 1 / np.sqrt(total)))


def is_right(rows: pd.DataFrame) -> pd.Series:
    """Whether the predictions of a summary hold."""
    return (rows["ratio"] - 1).abs() <= np.maximum(GOOD, GOOD_SIGMAS * rows["error"])


def report(table: pd.DataFrame, command: str) -> str:
    """The results in Markdown."""
    several = table[table["condition"] == "all"].groupby("rate")["observations"].max()
    n, n_high = int(several.get(max(RATES), 0)), int(several.get(HIGH_RATE, 0))
    judged = table[(table["kind"] == "both") & (table["condition"] != "all")]
    judged = judged[judged["predicted"] >= 1]
    lines = [
        "# Calibration of false alarms",
        "",
        f"exod {__version__}, Python {platform.python_version()}, {os.cpu_count()} cores. Made by "
        f"`{command}`: {n} observations in which nothing varies but the background, and "
        f"{n_high} more at the rate {HIGH_RATE:g}.",
        "",
        "The rate is that of `detect.false_alarm_rate`. Errors of the ratio are from the scatter "
        f"of the observations. {int(is_right(judged).sum())} of {len(judged)} numbers of peaks and "
        "eclipses agree within 20 % or two standard deviations, those with few regions for lack of "
        f"numbers: only {int((judged['error'] <= GOOD).sum())} have errors of up to 20 %.",
    ]
    for kind, title in (("both", "Peaks and eclipses"), *((k, k.capitalize()) for k in KINDS)):
        lines += ["", f"## {title}", "", *_rows(table[table["kind"] == kind])]
    return "\n".join(lines) + "\n"


def _rows(table: pd.DataFrame) -> Iterator[str]:
    yield "| preset | condition | rate | predicted | observed | ratio | error | agrees |"
    yield "|---|---|---|---|---|---|---|---|"
    shown = table[table["predicted"] >= 1].assign(right=is_right)
    for row in shown.itertuples():
        yield (
            f"| {row.preset} | {row.condition} | {row.rate:g} | {row.predicted:.1f} "
            f"| {row.observed:.0f} | {row.ratio:.2f} | {row.error:.2f} "
            f"| {'yes' if row.right else 'no'} |"
        )


def run(n: int, length: float, workers: int, folder: Path) -> pd.DataFrame:
    """Rows of all observations."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = items(n, length)
    plan = Plan("local", workers) if workers > 1 else Plan("sync")
    with follow(len(wanted)) as follower:
        for done in run_tasks(partial(do_item, folder=folder), wanted, plan):
            if done.result is None:
                raise RuntimeError(f"{done.item} failed.") from done.error
            follower.report(done.result)
    return pd.concat([pd.read_parquet(path_of(i, folder)) for i in wanted], ignore_index=True)


def main() -> None:
    """Run the campaign and write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observations", type=int, default=60, help="of each of four conditions")
    parser.add_argument("--length", type=float, default=LENGTH, help="seconds")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("false_alarms"))
    given = parser.parse_args()
    rows = run(given.observations, given.length, given.workers, given.folder)
    table = summary(rows)
    command = f"python -m benchmarks.false_alarms --observations {given.observations}"
    if given.length != LENGTH:
        command += f" --length {given.length:g}"
    RESULTS.write_text(report(table, command), encoding="utf-8")
    save_figure(calibration_figure(table, smallest(rows)), PICTURE)
    print(RESULTS.read_text(encoding="utf-8"))


def smallest(rows: pd.DataFrame) -> pd.DataFrame:
    """The smallest `fap_obs` of each observation, by preset; NaN where nothing was found."""
    return rows.groupby(["preset", "condition", "obsid"], as_index=False)["fap_obs"].first()


if __name__ == "__main__":
    main()
