"""Pictures of what was searched and compared show the numbers they are given."""

import numpy as np
import pandas as pd
import pytest

from exod.catalogue.report.comparisons import flux_groups
from exod.catalogue.report.highestframes import highest_frames
from exod.catalogue.report.objecttypes import describe_types, named_types
from exod.catalogue.report.statistics import Histogram, histogram
from exod.catalogue.report.survey import FRAME_EDGES, describe_survey
from exod.plots.survey import (
    TYPES,
    draw_extras,
    draw_flux_groups,
    draw_frames,
    draw_isolated,
    draw_modes,
    draw_runs,
    draw_type_separations,
    draw_types,
)


def heights(axes):
    return [bar.get_height() for bar in axes.patches]


def described(texts):
    known = {"Star": ("Star", "Star"), "QSO": ("Quasar", "Active galaxy")}
    own = named_types(pd.Series(texts), known)
    return describe_types({"EXOD": own}, np.arange(len(texts)) / 10)


def test_types_of_any_text():
    types = described(["Star"] * 3 + ["$\\frac{"] * 2 + ["<b>"])
    figure = draw_types(types)
    figure.draw_without_rendering()
    assert [bar.get_width() for bar in figure.axes[0].patches] == [3, 2, 1]
    many = described([f"T{number}" for number in range(60)])
    assert len(draw_types(many).axes[0].patches) == TYPES


def test_separations_have_a_point_and_a_bar_each():
    types = described(["Star"] * 12 + ["QSO"] * 3)
    figure = draw_type_separations(types.separations)
    figure.draw_without_rendering()
    classes, own = figure.axes[0].containers
    assert classes[0].get_xdata().tolist() == pytest.approx([0.55, 1.3])
    assert own[0].get_xdata().tolist() == pytest.approx([0.55])


def test_modes_show_what_was_left_out():
    index = pd.MultiIndex.from_tuples(
        [("EPN", "PrimeFullWindow", "Thin1"), ("EPN", "PrimeFullWindow", "Medium")],
        names=["instrument", "submode", "filter"],
    )
    modes = pd.DataFrame({"lists": [5, 2], "searched": [4, 2]}, index=index)
    axes = draw_modes(modes).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [6, 1]
    assert [text.get_text() for text in axes.texts] == ["7"]
    all_searched = modes.assign(searched=modes["lists"])
    assert draw_modes(all_searched).axes[0].get_legend() is None


def test_frames_and_runs_are_steps_and_bars():
    counts = histogram([30.0, 31.0, 900.0], FRAME_EDGES, [5.0, 5.0, 200.0])
    axes = draw_frames(Histogram(FRAME_EDGES, counts)).axes[0]
    assert [patch.get_data().values.sum() for patch in axes.patches] == [2, 1]
    low, high = axes.get_xlim()
    assert low < 30
    assert 900 < high < 1e4
    runs = pd.DataFrame({"obsid": ["1", "1"], "subset": 0, "t_bin": 5.0, "e_lo": 0.2, "e_hi": 2.0})
    runs = runs.assign(t_lo=0.0, t_hi=50.0, n_frames=10, n_events=100, n_regions=[0, 40])
    observations = pd.DataFrame({"n_events": [100], "n_exposures": [9], "n_subsets": [1]})
    names = ["instrument", "submode", "filter", "used", "n_selected", "time_min", "time_max"]
    exposures = pd.DataFrame(columns=names).astype({"time_min": float, "time_max": float})
    left, right = draw_runs(describe_survey(observations, exposures, runs)).axes
    assert heights(left) == [1, *[0] * 10, 1]
    assert left.get_xticklabels()[-1].get_text() == "11+"
    assert heights(right) == [1, 1]
    assert right.get_xticklabels()[-1].get_text() == "6+"


def test_isolated_flares_fall_with_the_counts():
    rows = pd.DataFrame({"n_max": [1.0, 4.0, 4.0], "n_max_isolated": [True, True, False]})
    rows["runid"] = "0000000001_0_5_0.2_2"
    left, right = draw_isolated(highest_frames(rows)).axes
    assert left.lines[0].get_ydata()[:5].tolist() == [2, 1, 1, 1, 0]
    assert left.lines[1].get_ydata()[:5].tolist() == [1, 1, 1, 1, 0]
    assert right.lines[0].get_ydata()[:5].tolist() == [3, 2, 2, 2, 0]


def test_fluxes_are_shares_of_their_sample():
    samples = {"4XMM": np.array([1e-14, 1e-13]), "EXOD": np.array([1e-12]), "4XMM variable": []}
    found = flux_groups({name: np.array(values) for name, values in samples.items()})
    axes = draw_flux_groups(found).axes[0]
    assert [patch.get_data().values.sum() for patch in axes.patches] == [1.0, 1.0]
    assert [patch.get_label() for patch in axes.patches] == ["4XMM (2)", "EXOD (1)"]


def test_shares_of_extras_without_sources_are_zero():
    index = pd.MultiIndex.from_product([(0, 3, 5), ("all", "variable")], names=["level", "sample"])
    counts = pd.DataFrame(
        {"ours": [4, 4, 2, 2, 0, 0], "ours_matched": [2, 1, 1, 0, 0, 0]}
        | {"theirs": [10, 0] * 3, "theirs_matched": [5, 0] * 3},
        index=index,
    )
    figure = draw_extras(counts)
    figure.draw_without_rendering()
    left, right = figure.axes
    assert heights(left) == [50, 50, 0, 25, 0, 0]
    assert heights(right) == [50, 50, 50, 0, 0, 0]
