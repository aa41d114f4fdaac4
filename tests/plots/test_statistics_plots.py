"""Pictures of the report show the numbers they are given."""

import numpy as np
import pandas as pd
import pytest
from helpers.report_archives import add_light_curve_products, add_matches, add_sources, make_archive
from matplotlib.collections import PolyCollection

from exod.catalogue.report.counterparts import separations
from exod.catalogue.report.statistics import (
    DURATION_EDGES,
    EXCESS_EDGES,
    HARDNESS_EDGES,
    LOG_B_EDGES,
    RUN,
    Histogram,
    flag_counts,
    histogram,
)
from exod.counts.bayes import threshold
from exod.plots.counterparts import (
    draw_fluxes,
    draw_match,
    draw_offsets,
    draw_sky,
    draw_stars,
    error_ellipse,
)
from exod.plots.distributions import draw_bayes, draw_events, draw_hardness
from exod.plots.statistics import (
    draw_false_alarms,
    draw_flags,
    draw_significance,
    draw_thumbnail,
    png,
    report_pictures,
)
from exod.stages.report.count import gather


def runs(**columns):
    index = pd.MultiIndex.from_tuples([(5.0, 0.2, 2.0), (50.0, 0.2, 12.0)], names=RUN)
    return pd.DataFrame(columns, index=index)


def one(values, edges):
    return Histogram(edges, histogram(values, edges))


def test_every_picture_is_made_and_equal_numbers_give_equal_bytes(tmp_path):
    archive = make_archive(tmp_path / "archive", 2, 3)
    add_sources(archive)
    add_light_curve_products(archive)
    add_matches(archive)
    numbers = gather(archive, light_curves=1)
    pictures = report_pictures(numbers)
    names = {"significance", "false_alarms", "bayes", "events", "flags", "good_bad", "hardness"}
    names |= {"sky_icrs", "sky_galactic", "separations", "types", "fluxes", "stars"}
    names |= {"match_simbad", "match_gaia_dr3", "match_4xmm_dr14", *numbers.curves}
    names |= {f"survey_{name}" for name in ("events", "modes", "frames", "runs")} | {"isolated"}
    names |= {"type_separations", "flux_groups"}
    # With three sources a catalogue may have no counterpart, a star or a flux.
    rare = {"types", "type_separations", "fluxes", "flux_groups", "stars"}
    needed = names - {*rare, *(f"match_{n}" for n in numbers.matches)}
    assert needed <= set(pictures) <= names
    assert all(png.startswith(b"\x89PNG") for png in pictures.values())
    first = draw_significance(numbers.runs)
    assert png(first) == png(draw_significance(numbers.runs)) == pictures["significance"]


def test_bars_are_regions_at_each_significance():
    counts = {
        f"{kind}_{sigma}": [9 - sigma, 0] for kind in ("peak", "eclipse") for sigma in (3, 4, 5)
    }
    left, right = draw_significance(runs(**counts)).axes
    assert [[bar.get_height() for bar in group] for group in left.containers] == [
        [6, 0],
        [5, 0],
        [4, 0],
    ]
    assert [label.get_text() for label in right.get_xticklabels()] == ["5 s\n0.2–2", "50 s\n0.2–12"]


@pytest.mark.parametrize(
    "t_bins",
    [(50.0,), (5.0, 50.0, 200.0), (1.0, 31.6228, 1000.0), tuple(2.0 ** np.arange(10))],
)
def test_names_of_runs_do_not_meet(t_bins):
    bands = ((0.2, 2.0), (0.2, 12.0), (2.0, 12.0))
    keys = [(t_bin, *band) for t_bin in t_bins for band in bands]
    index = pd.MultiIndex.from_tuples(keys, names=RUN)
    columns = {f"{kind}_{sigma}": 1 for kind in ("peak", "eclipse") for sigma in (3, 4, 5)}
    figure = draw_significance(pd.DataFrame(columns, index=index))
    png(figure)
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.get_xticklabels()]
        assert len(boxes) == 3 * len(t_bins)
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_expectations_that_are_not_known_are_not_drawn():
    found = runs(peaks=[12, 3], eclipses=[0, 0])
    expected = runs(runs=[2, 1], unknown=[1, 1], false_peaks=[4.0, 0.0], false_eclipses=[0.1, 0.0])
    left, right = draw_false_alarms(found, expected).axes
    points = left.lines[0].get_ydata()
    assert points[0] == 4.0
    assert np.isnan(points[1])
    assert left.get_ylim()[1] > 12
    assert right.get_ylim()[1] == 10
    expected["unknown"] = expected["runs"]
    assert np.isnan(draw_false_alarms(found, expected).axes[0].lines[0].get_ydata()).all()


def test_limits_of_bayes_factors_and_values_beyond():
    peaks = Histogram(LOG_B_EDGES, histogram([3.0, 7.2, 99.0], LOG_B_EDGES, [50.0] * 3))
    shown = {"log_b_peak": peaks, "log_b_eclipse": one([], LOG_B_EDGES)}
    left, right = draw_bayes(shown).axes
    assert [line.get_xdata()[0] for line in left.lines] == [
        threshold(3, "peak"),
        threshold(5, "peak"),
    ]
    assert left.patches[0].get_data().values.sum() == 2
    assert left.patches[0].get_label() == "50 s, 1 beyond"
    assert right.get_xlim()[1] > threshold(5, "eclipse")


def test_events_without_one_of_the_two():
    groups = ["peak", "peak", "eclipse"]
    excess = Histogram(EXCESS_EDGES, histogram([3.0, 30.0, 5.0], EXCESS_EDGES, groups))
    left, right = draw_events(one([np.nan], DURATION_EDGES), excess).axes
    assert not len(left.patches)
    assert {patch.get_label() for patch in right.patches} == {"peak", "eclipse"}


def test_a_hardness_ratio_of_one_is_in_the_last_bin():
    shown = one([1.0, 0.99, -1.0, 0.0], HARDNESS_EDGES)
    values = draw_hardness(shown).axes[0].patches[0].get_data().values
    assert values[-1] == 2
    assert values[0] == 1
    assert shown.counts.to_numpy()[0][-1] == 1


def test_shares_of_flags():
    flags = pd.DataFrame({"filt_a": [True, True, False], "filt_b": [True, False, False]})
    flags["filt_c"] = False
    axes = draw_flags(flag_counts(flags)).axes[0]
    shares = axes.images[0].get_array()
    np.testing.assert_allclose(shares, [[1, 0.5, 0], [1, 1, 0], [0, 0, 0]])
    assert [text.get_text() for text in axes.texts][:3] == ["2", "1", "0"]


@pytest.mark.parametrize("frame", ["icrs", "galactic"])
def test_every_pixel_of_the_sky_is_a_point(frame):
    sky = pd.DataFrame({"n": [5, 1, 300]}, index=[0, 20000, 49151])
    axes = draw_sky(sky, frame).axes[0]
    points = axes.collections[0]
    assert sorted(points.get_array().tolist()) == [1, 5, 300]
    assert (np.abs(points.get_offsets()) <= [np.pi, np.pi / 2]).all()


def test_east_is_left():
    from exod.catalogue.report.statistics import sky_pixels

    pixels = sky_pixels(np.array([90.0, 270.0]), np.array([0.0, 0.0]))
    sky = pd.DataFrame({"n": [1, 2]}, index=pixels)
    x = draw_sky(sky, "icrs").axes[0].collections[0].get_offsets()[:, 0]
    assert x[0] == pytest.approx(-np.pi / 2, abs=0.02)
    assert x[1] == pytest.approx(np.pi / 2, abs=0.02)


def test_separations_and_chance():
    found = separations([0.1, 20.0, 3.0, np.nan], [2.0, 2.0, np.nan, 1.0], [0, 1, 0, np.nan], 20.0)
    axes = draw_match("gaia_dr3", found).axes[0]
    values = axes.patches[0].get_data().values
    assert values.sum() == 3
    assert values[-1] == 1
    assert axes.lines[0].get_ydata().sum() == pytest.approx(found.expected_chance)
    # Without densities there is no line.
    unknown = separations([0.1, 1.0], [np.nan, np.nan], [np.nan, np.nan], 20.0)
    assert not draw_match("x", unknown).axes[0].lines


@pytest.mark.parametrize("n", [1, 40, 6000])
def test_many_points_become_densities(n):
    random = np.random.default_rng(n)
    rate = random.lognormal(0, 1, n)
    fluxes = pd.DataFrame(
        {"flux": rate * 1e-14, "kind": "peak", "peak_rate": rate, "excess": np.nan}
    )
    left, right = draw_fluxes(fluxes).axes[:2]
    stars = draw_stars(pd.DataFrame({"colour": rate, "magnitude": 5 + rate})).axes[0]
    for axes in (left, stars):
        assert isinstance(axes.collections[0], PolyCollection) == (n > 5000)
    assert right.texts[0].get_text() == "not measured"
    bottom, top = stars.get_ylim()
    assert bottom > top


def curve(length, **columns):
    rows = {
        "time": np.arange(length) * 5.0,
        "n": 1,
        "mu": 1.0,
        "live": 1.0,
        "bti": False,
        "bccd": False,
    }
    return pd.DataFrame(rows | {"B_peak_log": 0.1, "B_eclipse_log": -1.0} | columns)


@pytest.mark.parametrize("n", [1, 2, 299, 301, 5000])
def test_bursts_of_one_frame_stay_in_long_light_curves(n):
    counts = np.ones(n, int)
    counts[n // 2] = 7
    axes = draw_thumbnail(curve(n, n=counts, B_peak_log=counts.astype(float)), 5.0).axes[0]
    steps = axes.patches[0].get_data()
    assert steps.values.max() == 7
    assert len(steps.values) <= 300
    assert steps.edges[-1] == pytest.approx(n * 5 / 1000)
    assert axes.texts[0].xy == (pytest.approx((n // 2 + 0.5) * 5 / 1000), 7)


def test_frames_without_data_are_left_out():
    masked = np.array([True, False, True, True])
    counts, expected = np.array([0, 2, 0, 0]), np.where(masked, 0.0, 1.0)
    rows = curve(4, bccd=masked, n=counts, mu=expected, bti=~masked)
    axes = draw_thumbnail(rows, 5.0).axes[0]
    values = axes.patches[0].get_data().values
    assert np.isnan(values).tolist() == masked.tolist()
    assert len(axes.collections) == 2
    nothing = draw_thumbnail(
        curve(3, bccd=True, n=0, mu=0.0, B_peak_log=np.nan, B_eclipse_log=np.nan), 5.0
    ).axes[0]
    assert not nothing.texts
    # A gap in a part of a frame is no dip.
    partly = curve(4, n=[4, 2, 4, 0], mu=[4.0, 2.0, 4.0, 0.04], live=[1, 0.5, 1, 0.01])
    drawn, expected = draw_thumbnail(partly, 5.0).axes[0].patches[:2]
    assert drawn.get_data().values.tolist() == [4, 4, 4, 0]
    assert expected.get_data().values == pytest.approx([4, 4, 4, 0.2])
    # Where such frames are not masked they have data, and are drawn.
    kept = draw_thumbnail(curve(4, bccd=masked), 5.0).axes[0].patches[0].get_data().values
    assert not np.isnan(kept).any()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_error_ellipses_hold_their_share(seed):
    random = np.random.default_rng(seed)
    root = random.normal(size=(2, 2))
    points = random.normal(size=(20_000, 2)) @ root.T
    width, height, angle = error_ellipse(root @ root.T)
    turn = np.deg2rad(angle)
    along = points @ [np.cos(turn), np.sin(turn)]
    across = points @ [-np.sin(turn), np.cos(turn)]
    share = ((2 * along / width) ** 2 + (2 * across / height) ** 2 <= 1).mean()
    assert share == pytest.approx(0.683, abs=0.015)


@pytest.mark.parametrize("n", [0, 1, 2, 400])
def test_offsets_of_counterparts(n):
    random = np.random.default_rng(n)
    east, north = 1 + random.normal(size=n), -2 + random.normal(size=n)
    chance = np.where(np.arange(n) % 4 == 3, 0.9, np.nan)
    figure = draw_offsets("gaia", [*east, np.nan], [*north, 0], [*chance, 0], 20.0)
    png(figure)
    axes = figure.axes[0]
    reach = axes.get_xlim()[0]
    assert axes.get_xlim() == (reach, -reach), "east is left"
    assert axes.get_ylim() == (-reach, reach)
    assert 0.5 <= reach <= 20
    outside = (np.abs(np.column_stack([east, north])) > reach).any(axis=1).sum()
    told = axes.get_title().partition("source")[2]
    assert told == (f", {outside} outside" if outside else "")
    if n:
        assert reach < 10, "as far as the offsets"
        likely = chance != 0.9
        (mean,) = (line for line in axes.get_lines() if line.get_label().startswith("mean"))
        found = np.array([mean.get_xdata()[0], mean.get_ydata()[0]])
        np.testing.assert_allclose(found, [east[likely].mean(), north[likely].mean()])
        assert outside <= 0.07 * n + (1 if n < 3 else 0)
    assert len(axes.patches) == (2 if n == 400 else 0)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 5.0, 40.0])
def test_offsets_are_drawn_as_wide_as_they_are(scale):
    """The ellipse of most of them takes up a good part of the picture, and is in it."""
    east, north = scale * np.random.default_rng(1).normal(size=(2, 300))
    axes = draw_offsets("gaia", east, north, np.zeros(300), 20.0).axes[0]
    reach = axes.get_xlim()[0]
    assert reach == pytest.approx(float(np.clip(2.5 * scale, 0.5, 20.0)), rel=0.2)
