"""Chance makes as many regions as the search predicts: a small version of the benchmark."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.false_alarms import (
    PRESETS,
    Item,
    config_of,
    do_item,
    is_right,
    items,
    levels,
    measure,
    path_of,
    ratio_error,
    regions_of,
    report,
    smallest,
    summary,
)
from benchmarks.false_alarms_picture import calibration_figure
from exod.search.subset import search_subset
from exod.stages.inputs.memory import in_memory

RATE = 30.0
"""High, so that a few short observations have enough false regions."""

LENGTH = 4000.0
SIGMAS = 3.0
"""Of the scatter between observations; 20 per cent is allowed in any case."""


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Observations of two MOS cameras, four of each weather."""
    wanted = [
        Item(background, "MOS", number, LENGTH, (RATE,))
        for background in ("quiet", "flaring")
        for number in range(1, 5)
    ]
    return pd.concat([measure(item) for item in wanted])


@pytest.mark.drill
@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("condition", ["quiet, MOS", "flaring, MOS"])
def test_as_many_false_regions_as_predicted(rows: pd.DataFrame, preset: str, condition: str):
    table = summary(rows).set_index(["preset", "condition", "kind"])
    own = table.loc[preset, condition, "both"]
    assert own["predicted"] > 50
    assert abs(own["ratio"] - 1) < max(0.2, SIGMAS * own["error"])


@pytest.mark.drill
@pytest.mark.slow
def test_report_and_picture(rows: pd.DataFrame):
    table = summary(rows)
    text = report(table, "the command")
    assert text.count("| deep | flaring, MOS | 30 |") >= 2
    figure = calibration_figure(table, smallest(rows))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["Preset deep", "Preset published", "All conditions"]


@pytest.mark.drill
@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_lower_rates_are_those_of_another_search(preset: str):
    """Counting what is left at a lower rate is the same as searching at it."""
    item, low = Item("flaring", "MOS", 5, LENGTH), 8.0

    def searched(rate: float) -> list:
        config = config_of(preset, rate)
        loaded = in_memory(item.simulated(), config)
        (subset,) = loaded.subsets
        return list(search_subset(item.obsid, subset, loaded.sources, config))

    config = config_of(preset, RATE)
    total = 0
    for high, again in zip(searched(RATE), searched(low), strict=True):
        at_high, at_low = levels(high, config, (low, RATE), 1)
        assert at_high.chosen.all()
        assert at_high.predicted == high.false_alarms
        assert at_low.predicted == again.false_alarms
        assert at_low.chosen.sum() == len(again.cells)
        assert sum(regions_of(high, at_low.chosen, config.cube.window)) == len(again.regions)
        total += len(again.regions)
    assert total


def test_conditions_take_turns():
    found = items(5, 1000.0)
    assert len({item.condition for item in found[:4]}) == 4
    assert len({item.obsid for item in found}) == len(found)
    assert {item.length for item in found if item.number == 5} == {2000.0}


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    made = []
    frame = pd.DataFrame({"rate": [3.0], "peaks": [2], "eclipses": [0]})
    monkeypatch.setattr("benchmarks.false_alarms.measure", lambda item: made.append(item) or frame)
    item = Item("quiet", "MOS", 1, LENGTH)
    first, second = do_item(item, tmp_path), do_item(item, tmp_path)
    assert made == [item]
    assert (first.n_regions, first.searched, second.searched) == (2, True, False)
    assert path_of(Item("quiet", "MOS", 1, 2 * LENGTH), tmp_path) != path_of(item, tmp_path)


def test_error_follows_the_scatter_of_observations():
    """Regions in pairs scatter more than independent ones, by the square root of two."""
    generator = np.random.default_rng(1)
    predicted = np.full(4000, 1.0)
    alone = ratio_error(generator.poisson(1.0, 4000).astype(float), predicted)
    pairs = ratio_error(2.0 * generator.poisson(0.5, 4000), predicted)
    assert alone == pytest.approx(4000**-0.5, rel=0.05)
    assert pairs == pytest.approx(2000**-0.5, rel=0.05)


def test_error_without_any_region_is_that_of_the_prediction():
    assert ratio_error(np.zeros(100), np.full(100, 0.04)) == pytest.approx(0.5)


def test_right_is_within_a_fifth_or_two_sigmas():
    rows = pd.DataFrame({"ratio": [1.19, 1.21, 1.21, 0.5], "error": [0.01, 0.05, 0.11, 0.24]})
    assert list(is_right(rows)) == [True, False, True, False]
