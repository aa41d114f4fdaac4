"""The null hypothesis of a search: which settings go together, and what they find."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from helpers.strategies import make_events, make_selected
from scipy import stats

from exod.config import PRESETS, Config
from exod.counts.shares import ConditionalExpectation
from exod.counts.template import Expectation
from exod.errors import ConfigError
from exod.observation.subsets import MergedEvents, merge_subset
from exod.search.rows import frame_of, run_rows
from exod.search.subset import Run, search_subset

OBSID = "0900000101"
NO_SOURCES = pd.DataFrame(
    {name: np.empty(0) for name in ("ra_deg", "dec_deg", "extent_arcsec", "rate")}
)
SPAN, T_BIN = 4000.0, 20.0
FRAME, N_BURST = 57, 14
PLACE = (25_100, 26_300)


@pytest.fixture(scope="module")
def subset() -> MergedEvents:
    """MOS1 with a flat background of 30 x 30 cells of 20 arcsec, and a burst in one frame."""
    generator = np.random.default_rng(2)
    time = generator.uniform(0, SPAN, 18_000)
    x, y = generator.integers(20_000, 32_000, (2, len(time)))
    burst = T_BIN * (FRAME + generator.uniform(0.05, 0.95, N_BURST))
    time = np.concatenate([[0.0], time, burst, [SPAN]])
    x = np.concatenate([[x[0]], x, np.full(N_BURST, PLACE[0]), [x[0]]])
    y = np.concatenate([[y[0]], y, np.full(N_BURST, PLACE[1]), [y[0]]])
    order = np.argsort(time)
    events = make_events(time[order], x=x[order], y=y[order])
    return merge_subset(0, [make_selected("EMOS1", "P1S001", 0.0, SPAN, events)])


def search(subset: MergedEvents, config: Config) -> list[Run]:
    return list(search_subset(OBSID, subset, NO_SOURCES, config))


# --- which settings go together --------------------------------------------------------------


NULLS = (None, "auto", "template", "conditional")
RULES = (None, "exod2", "exact")
WINDOWS = ((1, 1), (2, 1), (1, 2), (3, 4))


@pytest.mark.parametrize(("null", "rule", "window"), list(product(NULLS, RULES, WINDOWS)))
def test_every_combination_is_searched_or_refused(subset, null, rule, window):
    """Windows that overlap have no template, and without a template there is no published rule."""
    slides = window != (1, 1)
    detect = {"null": null, "rule": rule}
    data = {
        "cube": {
            "window": window[0],
            "frame_shifts": window[1],
            "t_bin": [T_BIN],
            "bands": [[0.2, 12.0]],
        },
        "detect": {name: value for name, value in detect.items() if value is not None},
    }
    if slides and null == "template":
        assert_refused(data, "detect.null = template has no windows that overlap")
        return
    conditional = slides or null == "conditional"
    if conditional and rule == "exod2":
        assert_refused(data, "detect.rule = exod2 is a rule for Bayes factors")
        return
    config = Config.parse(data)
    assert config.null == ("conditional" if conditional else "template")
    assert config.detect.rule == (rule or ("exact" if conditional else "exod2"))
    assert Config.parse(config.model_dump(mode="json")) == config
    (run,) = search(subset, config)
    assert isinstance(run.expectation, ConditionalExpectation if conditional else Expectation)
    assert np.isfinite(run.threshold.p_log) == conditional
    assert FRAME in run.cells.frame
    row = frame_of(run_rows(OBSID, subset, run, config)["runs"]).iloc[0]
    assert (row["window"], row["frame_shifts"]) == window
    assert row["rule"] == config.detect.rule


def assert_refused(data: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.parse(data)
    text = str(caught.value)
    assert text.startswith(f"The settings are not valid: {message}")
    assert text.endswith(".")


def test_presets_keep_their_null_hypotheses():
    nulls = {name: Config.preset(name).null for name in PRESETS}
    assert nulls == {"published": "template", "deep": "conditional", "ideal": "conditional"}
    assert all(Config.preset(name).detect.null == "auto" for name in PRESETS)


def test_naming_the_null_hypothesis_that_is_meant_changes_nothing(subset):
    cube = {"t_bin": [T_BIN], "bands": [[0.2, 12.0]]}
    for null, window in (("template", 1), ("conditional", 2)):
        data = {"cube": {**cube, "window": window}}
        configs = (Config.parse(data), Config.parse({**data, "detect": {"null": null}}))
        tables = [
            run_rows(OBSID, subset, run, config)
            for config in configs
            for run in search(subset, config)
        ]
        for name, parts in tables[0].items():
            first, second = (
                frame_of(own).drop(columns="seconds", errors="ignore")
                for own in (parts, tables[1][name])
            )
            pd.testing.assert_frame_equal(first, second)


# --- the conditional null hypothesis in fixed cells ------------------------------------------


def conditional(**detect: float) -> Config:
    return Config.parse(
        {
            "cube": {"t_bin": [T_BIN], "bands": [[0.2, 12.0]]},
            "detect": {"null": "conditional", **detect},
        }
    )


def test_probabilities_in_fixed_cells_are_binomial(subset):
    """Each significant cell against a histogram; the level is flat but for its own noise."""
    (run,) = search(subset, conditional(sigma=3.0))
    cube = run.cube
    assert run.cells.is_peak.any()
    edges = cube.grid.edges
    bins = [np.append(cube.frames.starts, cube.frames.n * T_BIN), edges, edges]
    counts, _ = np.histogramdd(np.stack([subset.time, subset.y, subset.x], axis=1), bins)
    peaks = np.flatnonzero(run.cells.is_peak)
    frame, y, x = (a[peaks] for a in (run.cells.frame, run.cells.y, run.cells.x))
    n = counts[frame, y + cube.box.y_lo, x + cube.box.x_lo]
    total = counts[:, y + cube.box.y_lo, x + cube.box.x_lo].sum(0)
    assert np.array_equal(run.cells.n[peaks], n)
    p_log = np.log10(stats.binom.sf(n - 1, total, T_BIN / SPAN))
    np.testing.assert_allclose(run.cells.p_log[peaks], p_log, rtol=0.08)


def test_false_alarms_in_fixed_cells(subset):
    """As many as were asked for, within the noise of their number, beside the burst."""
    (run,) = search(subset, conditional(false_alarm_rate=40.0))
    assert 15 < run.false_alarms.total <= 40
    found = len(run.regions) - 1
    assert abs(found - run.false_alarms.total) < 4 * np.sqrt(run.false_alarms.total)
    burst = max(run.regions, key=lambda item: item.strength)
    assert np.hypot(burst.position.x - PLACE[0], burst.position.y - PLACE[1]) < 100


# --- frames in which a camera is off ---------------------------------------------------------


@pytest.mark.parametrize("stray", [0, 2])
def test_a_quadrant_that_never_works_masks_no_frame(stray):
    """One that drops out for a while masks its frames, and the one that follows."""
    generator = np.random.default_rng(4)
    time = np.sort(generator.uniform(0, SPAN, 60_000))
    ccdnr = generator.integers(1, 13, len(time))
    works = ccdnr <= 9
    works[generator.choice(np.flatnonzero(ccdnr == 11), stray, replace=False)] = True
    drops = (ccdnr <= 3) & (time > SPAN / 2) & (time < SPAN / 2 + 2 * T_BIN)
    chosen = works & ~drops
    events = make_events(time[chosen], ccdnr=ccdnr[chosen])
    merged = merge_subset(0, [make_selected("EPN", "P1S003", 0.0, SPAN, events)])
    config = Config.parse({"cube": {"t_bin": [T_BIN], "bands": [[0.2, 12.0]]}})
    (run,) = search(merged, config)
    off = np.flatnonzero(run.camera_off)
    assert 2 <= len(off) <= 3
    assert abs(off[0] - run.cube.frames.n / 2) <= 1
    assert run.live_share > 0.8
