"""Completeness campaigns: grids, matching, curves, tasks that are resumed, reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from exod.cli import app
from exod.completeness.campaign import Campaign, Point
from exod.completeness.curves import (
    agreement,
    comparable_levels,
    counts_needed,
    needed,
    pooled,
    summarise,
    wilson,
)
from exod.completeness.fields import (
    CHIP_MARGIN_ARCSEC,
    SEPARATION_ARCSEC,
    burst_places,
    common_time,
    measured_sites,
    quiet_field,
    with_bursts,
    with_eclipses,
)
from exod.completeness.matching import ANY, FoundPlace, TrueBursts, match
from exod.completeness.report import report
from exod.config import Config
from exod.errors import ConfigError, ExodError
from exod.plots.efficiency.completeness import completeness_figure
from exod.scheduler.plan import Plan
from exod.simulate import simulate
from exod.stages.completeness.measure import collect, measure, run_campaign, write_results
from exod.stages.completeness.virtual import predict, predict_eclipses

SMALL = Config.parse({"cube": {"t_bin": [50.0], "bands": [[0.2, 12.0]]}})


def older(method: str) -> Config:
    """The same in the older method."""
    cube = {"t_bin": SMALL.cube.t_bin, "bands": SMALL.cube.bands}
    return Config.parse({"cube": cube, "detect": {"method": method}})


def small(**changes: object) -> Campaign:
    """A campaign of one quick task."""
    settings: dict[str, object] = {
        "amplitudes": (40.0,),
        "durations": (10.0,),
        "off_axis": (6.0,),
        "backgrounds": ("quiet",),
        "observations": 1,
        "bursts": 5,
        "length": 3000.0,
        "config": SMALL,
    }
    return Campaign(**(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amplitudes": ()}, "amplitudes is empty"),
        ({"amplitudes": (5.0, -1.0)}, "amplitudes has -1"),
        ({"durations": (float("nan"),)}, "durations has nan"),
        ({"durations": (float("inf"),)}, "durations has inf"),
        ({"durations": (5.0, 5.0)}, "durations has the same value twice"),
        ({"durations": (900.0,)}, "a fifth of the observation"),
        ({"off_axis": (2.0, 14.0)}, "outside the field"),
        ({"off_axis": ()}, "off-axis is empty"),
        ({"backgrounds": ("stormy",)}, "no background 'stormy'; use quiet, flaring"),
        ({"backgrounds": ()}, "backgrounds is empty"),
        ({"observations": 0}, "observations is 0"),
        ({"bursts": 1000}, "bursts is 1000"),
        ({"length": 100.0}, "length is 100"),
        ({"seed": -1}, "seed is -1"),
        ({"levels": (0.5,)}, "sigma"),
        ({"depths": (1.5,)}, "depths is 1.5; it must be between 0 and 1"),
        ({"depths": (0.0,)}, "depths has 0"),
        ({"depths": (0.5, 0.5)}, "depths has the same value twice"),
        ({"depths": (0.5,)}, "with depths that is the rate of a"),
        ({"depths": (0.5,), "config": older("exod1")}, "method exod1 finds no eclipses"),
        ({"levels": (0.0,)}, "levels has 0"),
    ],
)
def test_bad_grids_are_one_sentence(changes, said):
    with pytest.raises(ConfigError, match=said) as caught:
        small(**changes)
    assert "\n" not in str(caught.value)


def test_points_have_their_own_random_numbers():
    """A point of a larger grid is that of a smaller one."""
    large = small(amplitudes=(10.0, 40.0), durations=(5.0, 10.0), observations=2)
    alone = small().points()[0]
    assert alone in large.points()
    assert len({point.name for point in large.points()}) == 8
    draws = {point.name: float(point.generator().random()) for point in large.points()}
    assert len(set(draws.values())) == 8
    assert draws[alone.name] == alone.generator().random()


def test_fingerprint_is_that_of_everything_but_the_grid():
    assert small().fingerprint == small(amplitudes=(3.0,), observations=3, seed=4).fingerprint
    for changes in ({"bursts": 6}, {"length": 4000.0}, {"levels": (4.0,)}, {"config": Config()}):
        assert small(**changes).fingerprint != small().fingerprint
    sigma = Config.parse(SMALL.model_dump() | {"detect": {"sigma": 4.0}})
    assert small(config=sigma).levels == (4.0,)
    assert small(config=sigma).fingerprint == small(levels=(4.0,)).fingerprint
    assert small(config=older("exod1")).levels == (4.0,)
    assert small(config=older("exod1")).fingerprint != small(levels=(4.0,)).fingerprint


def test_places_keep_their_distance():
    model = quiet_field(small().points()[0], 3000.0)
    places = burst_places(model, 6.0, 12, np.random.default_rng(1))
    sources = [model.plane.to_pixel(s.ra_deg, s.dec_deg) for s in model.sources]
    x, y = np.array(places).T
    radius = np.hypot(x - model.plane.x_ref, y - model.plane.y_ref) / 1200
    assert np.all(np.abs(radius - 6) <= 1)
    everything = np.array([*places, *sources])
    for i, place in enumerate(places):
        others = np.delete(everything, i, axis=0)
        nearest = np.hypot(*(others - place).T).min() * 0.05
        assert nearest >= SEPARATION_ARCSEC > CHIP_MARGIN_ARCSEC


def test_amplitude_is_the_expected_counts_of_the_truth():
    model = quiet_field(small().points()[0], 3000.0)
    places = burst_places(model, 9.0, 4, np.random.default_rng(2))
    start, stop = common_time(model)
    lit = with_bursts(model, places, np.linspace(start, stop - 100, 4), 50.0, 30.0)
    truth = simulate(lit, 1).truth.tail(4)
    np.testing.assert_allclose(truth["expected_total"], 30.0, rtol=1e-6)


def test_sites_lose_light_in_gaps_only():
    model = quiet_field(small().points()[0], 3000.0)
    places = burst_places(model, 6.0, 4, np.random.default_rng(2))
    for site in measured_sites(model, places, Config(), 1):
        assert 0.6 < site.throughput < 1.1
        assert np.median(np.hypot(site.photon_x - site.x, site.photon_y - site.y)) * 0.05 < 20


def test_matching_asks_for_place_and_time():
    bursts = TrueBursts(
        *(np.array(v) for v in ([1000.0, 9000.0], [1000.0, 9000.0], [10.0, 50.0], [20.0, 60.0])),
        0.05,
    )

    def at(x: float, y: float, time: float) -> FoundPlace:
        return FoundPlace(x, y, np.array([time]), np.array([time + 5]))

    found, n_false = match([at(1200, 1000, 16), at(9000, 9000, 100)], bursts)
    assert found.tolist() == [True, False]
    assert n_false == 1
    # Light of a burst beside it is neither a detection nor false.
    found, n_false = match([at(1000, 1600, 16)], bursts)
    assert found.tolist() == [False, False]
    assert n_false == 0
    assert match([], bursts)[1] == 0


def test_intervals_of_fractions():
    low, high = wilson(np.array([0.0, 5.0, 10.0]), np.full(3, 10.0))
    assert np.all((low >= 0) & (high <= 1) & (low < high))
    assert low[0] == pytest.approx(0)
    assert high[2] == pytest.approx(1)


def test_counts_needed_for_a_known_curve():
    counts = np.geomspace(4, 80, 9)
    share = 1 / (1 + (counts / 15) ** -4)
    trials = np.full(9, 4000.0)
    detected = np.random.default_rng(1).binomial(4000, share).astype(float)
    value, low, high = needed(counts, detected, trials, 0.5)
    assert low <= value <= high
    assert value == pytest.approx(15.0, rel=0.03)
    assert high - low < 1.0
    assert needed(counts, detected, trials, 0.9)[0] == pytest.approx(15 * 9**0.25, rel=0.05)


def test_counts_needed_outside_of_what_was_tried():
    counts, trials = np.array([5.0, 10.0]), np.array([20.0, 20.0])
    assert needed(counts, np.array([20.0, 20.0]), trials, 0.5)[0] == 0.0
    value, low, _ = needed(counts, np.array([0.0, 1.0]), trials, 0.9)
    assert np.isinf(value)
    assert np.isinf(low)


def rows_of_two_methods() -> pd.DataFrame:
    """A made-up campaign."""
    rows = []
    for method, level, n_false, centre in (
        ("search", 3.0, 0, 10),
        ("exod1", 4.0, 9, 12),
        ("exod1", 16.0, 1, 40),
    ):
        for source in ("injected", "predicted") if method == "search" else ("injected",):
            for amplitude in (5.0, 10.0, 20.0, 50.0):
                for duration in (5.0, 50.0):
                    share = 1 / (1 + (amplitude / centre) ** -4)
                    trials = 100 if source == "injected" else 400
                    rows.append(
                        {
                            "method": method,
                            "level": level,
                            "source": source,
                            "kind": ANY,
                            **Point(amplitude, duration, 6.0, "quiet", 1, 1).columns(),
                            "trials": trials,
                            "detected": round(trials * share),
                            "injected": 95 * amplitude if source == "injected" else np.nan,
                            "selected": 90 * amplitude if source == "injected" else np.nan,
                            "n_false": float(n_false) if source == "injected" else np.nan,
                            "seconds": 1.0,
                        }
                    )
    return pd.DataFrame(rows)


def test_tables_of_two_methods():
    table = summarise(rows_of_two_methods())
    injected = table[table["source"] == "injected"]
    np.testing.assert_allclose(injected["injected"], 0.95 * injected["amplitude"])
    levels = comparable_levels(table).set_index("method")
    assert levels.loc["exod1", "level"] == 16.0
    assert levels.loc["search", "n_false"] == 0.0
    found = counts_needed(table).set_index(["method", "level", "source", "duration"])
    assert found.loc[("search", 3.0, "injected", 5.0), "n50"] == pytest.approx(10, rel=0.02)
    assert found.loc[("exod1", 16.0, "injected", 5.0), "n90"] == np.inf
    both = agreement(table)
    assert len(both) == 8
    assert both["difference"].abs().max() < 0.01
    assert (both["error"] > 0).all()
    assert pooled(table, over=["off_axis"])["trials"].sum() == table["trials"].sum()


def test_report_and_picture_of_two_methods():
    table = summarise(rows_of_two_methods())
    text = report(table, counts_needed(table), "exod completeness OUT")
    assert "Methods at equal false regions" in text
    assert "exod1 16" in text
    assert len(completeness_figure(table).axes) == 3
    without = table[table["method"] == "exod1"]
    text = report(without, counts_needed(without), "exod completeness OUT")
    assert "no prediction" in text
    assert completeness_figure(without).axes


def test_campaign_is_resumed_and_other_settings_are_refused(tmp_path: Path):
    campaign = small()
    outcomes = list(run_campaign(campaign, tmp_path, Plan("sync")))
    assert [(o.status, o.searched) for o in outcomes] == [("OK", True)]
    path = next((tmp_path / "tasks").glob("*.parquet"))
    first = path.read_bytes()
    more = small(amplitudes=(40.0, 80.0))
    outcomes = list(run_campaign(more, tmp_path, Plan("sync")))
    assert [o.searched for o in outcomes] == [False, True]
    assert path.read_bytes() == first
    with pytest.raises(ConfigError, match="bursts is 6 and was 5"):
        list(run_campaign(small(bursts=6), tmp_path, Plan("sync")))
    assert not list((tmp_path / "tasks").glob(".*"))
    paths = write_results(tmp_path, "exod completeness OUT")
    assert [p.name for p in paths] == [
        f"completeness.{ending}" for ending in ("parquet", "csv", "png", "md")
    ]
    table = pd.read_parquet(paths[0])
    assert set(table["kind"]) == {ANY, "50_0.2_12.0"}
    injected = table[table["source"] == "injected"].set_index(["kind", "amplitude"])
    assert injected.loc[(ANY, 80.0), "fraction"] == 1.0
    assert (injected["selected"] <= injected["injected"]).all()
    assert (injected["injected"] > 0.5 * injected.index.get_level_values("amplitude")).all()


def test_other_methods_go_to_the_same_folder(tmp_path: Path):
    campaign = small(config=older("exod1-ks"), amplitudes=(200.0,), levels=(4.0, 8.0))
    list(run_campaign(campaign, tmp_path, Plan("sync")))
    rows = collect(tmp_path)
    assert set(rows["source"]) == {"injected"}
    assert set(rows["level"]) == {4.0, 8.0}


def test_damaged_and_missing_results_are_told(tmp_path: Path):
    with pytest.raises(ExodError, match="no results"):
        collect(tmp_path)
    campaign = small()
    list(run_campaign(campaign, tmp_path, Plan("sync")))
    next((tmp_path / "tasks").glob("*.parquet")).write_bytes(b"nothing")
    with pytest.raises(ExodError, match="remove it"):
        list(run_campaign(campaign, tmp_path, Plan("sync")))
    with pytest.raises(ExodError, match="cannot be read"):
        collect(tmp_path)


def test_tasks_that_fail_are_told_and_tried_again(tmp_path: Path, monkeypatch):
    def fail(point: Point, campaign: Campaign) -> None:
        raise ZeroDivisionError(point.name)

    with monkeypatch.context() as patched:
        patched.setattr("exod.stages.completeness.measure.measure", fail)
        outcome = next(run_campaign(small(), tmp_path, Plan("sync")))
    assert outcome.status == "FAILED"
    assert outcome.tries == 3
    assert outcome.reason.startswith("Unexpected ZeroDivisionError: quiet-o6-t10-a40")
    assert [o.status for o in run_campaign(small(), tmp_path, Plan("sync"))] == ["OK"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("background", "amplitude", "duration", "off_axis"),
    [
        ("quiet", 20.0, 100.0, 9.0),
        pytest.param("quiet", 10.0, 2.0, 6.0, marks=pytest.mark.drill),
        pytest.param("flaring", 20.0, 10.0, 6.0, marks=pytest.mark.drill),
    ],
)
def test_injection_agrees_with_prediction(background, amplitude, duration, off_axis):
    """Within 5 points or 2.5 standard deviations, in any run and in each."""
    campaign = small(
        amplitudes=(amplitude,),
        durations=(duration,),
        off_axis=(off_axis,),
        backgrounds=(background,),
        observations=2,
        bursts=25,
        length=12_000.0,
        config=Config.parse({"cube": {"t_bin": [5, 50]}}),
    )
    rows = [
        rows.assign(**point.columns(), method="search", seconds=0.0)
        for point in campaign.points()
        for rows in (measure(point, campaign)[0], predict(point, campaign))
    ]
    both = agreement(summarise(pd.concat(rows, ignore_index=True)))
    assert len(both) == 7
    allowed = np.maximum(0.05, 2.5 * both["error"])
    assert (both["difference"].abs() <= allowed).mean() > 0.8
    any_run = both[both["kind"] == ANY].iloc[0]
    assert abs(any_run["difference"]) <= max(0.05, 2.5 * any_run["error"])


def test_command_line(tmp_path: Path):
    runner = CliRunner()
    shown = runner.invoke(app, ["completeness", "--help"])
    assert "Example" in shown.output
    wrong = runner.invoke(app, ["completeness", str(tmp_path), "--off-axis", "20"])
    assert wrong.exit_code == 2
    wrong = runner.invoke(app, ["completeness", str(tmp_path), "--amplitudes", "a"])
    assert wrong.exit_code == 2
    options = "--amplitudes 50 --durations 10 --off-axis 6 --backgrounds quiet --observations 1"
    options += " --bursts 4 --length 3000 --t-bin 50 --band 0.2-12 --scheduler sync"
    done = runner.invoke(app, ["completeness", str(tmp_path / "out"), *options.split()])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "completeness.md").is_file()
    again = runner.invoke(app, ["completeness", str(tmp_path / "out"), *options.split()])
    assert "1 of them before" in again.output


# -------------------------------------------------------------------- eclipses


def eclipses(**changes: object) -> Campaign:
    settings: dict[str, object] = {"amplitudes": (1.0,), "depths": (1.0,), "durations": (200.0,)}
    return small(**(settings | changes))


def test_a_source_with_an_eclipse_has_the_rate_of_the_point():
    point = eclipses().points()[0]
    assert point.name == "quiet-o6-t200-a1-d1-n1-s1"
    model = quiet_field(point, 3000.0)
    places = burst_places(model, 6.0, 3, np.random.default_rng(2))
    start, _ = common_time(model)
    lit = with_eclipses(model, places, np.full(3, start + 500.0), point)
    truth = simulate(lit, 1).truth.tail(3)
    exposed = np.mean([exposure.stop - exposure.start for exposure in model.exposures])
    np.testing.assert_allclose(truth["expected_total"], exposed - 200.0, rtol=0.03)


def test_eclipses_are_found_and_predicted(tmp_path: Path):
    """A total eclipse of a bright source is found; one of a tenth of its light is not."""
    campaign = eclipses(depths=(0.1, 1.0), bursts=4)
    outcomes = list(run_campaign(campaign, tmp_path, Plan("sync")))
    assert [outcome.status for outcome in outcomes] == ["OK", "OK"]
    table = summarise(collect(tmp_path)).set_index(["source", "kind", "depth"])["fraction"]
    for source in ("injected", "predicted"):
        assert table[source, ANY, 0.1] <= 0.25
        assert table[source, ANY, 1.0] >= 0.75
    names = [path.name for path in write_results(tmp_path, "exod completeness OUT")]
    assert names[2:] == ["eclipses.png", "completeness.md"]
    text = (tmp_path / "completeness.md").read_text()
    assert "eclipses of constant sources" in text
    assert "| 100% | 200 s |" in text


@pytest.mark.drill
@pytest.mark.slow
def test_injected_eclipses_agree_with_the_formula():
    """Within a tenth or 2.5 standard deviations in 9 of 10 runs."""
    campaign = eclipses(
        amplitudes=(0.5, 2.0),
        depths=(0.5, 0.8),
        durations=(50.0, 400.0),
        bursts=10,
        length=10_000.0,
        config=Config.parse({"cube": {"t_bin": [50, 200]}}),
    )
    rows = [
        rows.assign(**point.columns(), method="search", seconds=0.0)
        for point in campaign.points()
        for rows in (measure(point, campaign)[0], predict_eclipses(point, campaign))
    ]
    both = agreement(summarise(pd.concat(rows, ignore_index=True)))
    both = both[both["kind"] != ANY]
    assert both["fraction_predicted"].between(0.05, 0.95).sum() >= 4
    assert (both["difference"].abs() <= np.maximum(0.1, 2.5 * both["error"])).mean() >= 0.9
