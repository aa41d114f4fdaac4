"""Diagnostic sheets show the numbers of the search, of anything from nothing to hundreds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers.faults import GOOD, OTHER, copy, event_lists
from helpers.report_archives import add_match, add_sources, make_archive
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from exod.archive import Archive
from exod.config import Config
from exod.counts.template import background_template
from exod.pps import ObservationFiles, find_observations
from exod.search.subset import search_subset
from exod.stages.detect.read import read_observation
from exod.stages.diagnostics.archivesheets import archive_sheets
from exod.stages.diagnostics.asking import one_run
from exod.stages.diagnostics.observationsheets import observation_sheets, with_template

CONFIG = Config.load(overrides=["cube.t_bin=[50]", "cube.bands=[[0.2,12]]"])
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def files(small: Path) -> ObservationFiles:
    (found,), _ = find_observations([small / GOOD])
    return found


@pytest.fixture(scope="module")
def drawn(files: ObservationFiles) -> dict[str, Figure]:
    return dict(observation_sheets(files, CONFIG))


def heights(figure: Figure, panel: int) -> dict[str, np.ndarray]:
    """Heights of the steps of a panel, by label."""
    return {str(p.get_label()): p.get_data().values for p in figure.axes[panel].patches}


def test_sheets_show_what_the_search_had(files: ObservationFiles, drawn: dict[str, Figure]) -> None:
    run_id = f"{GOOD}_0_50_0.2_12.0"
    assert list(drawn) == [f"{run_id}_{end}" for end in ("template", "frames", "ccds", "energies")]
    observation = read_observation(files, CONFIG)
    events = observation.subsets[0]
    (run,) = search_subset(GOOD, events, observation.sources, CONFIG)
    counts = heights(drawn[f"{run_id}_frames"], 0)["counts of the image"] * 50
    np.testing.assert_allclose(counts, run.cube.light_curve())
    hard = events.time[(events.pi > 10_000) & (events.pi < 12_000)]
    expected, _ = np.histogram(hard, events.t_lo + 50 * np.arange(run.cube.frames.n + 1))
    rate = heights(drawn[f"{run_id}_frames"], 2)["rate, 10–12 keV"]
    np.testing.assert_allclose(rate, expected / 50)
    pictures = [axes.get_images() for axes in drawn[f"{run_id}_template"].axes]
    shown = [np.asarray(found[0].get_array().filled(0)) for found in pictures if found]
    good = run.cube.image(~run.bad_time.frames)
    template = background_template(good, run.expectation.source_mask)
    np.testing.assert_array_equal(shown[0], good)
    np.testing.assert_allclose(shown[3], template.shape * template.counts)


def test_rates_of_ccds_are_those_of_the_events(
    files: ObservationFiles, drawn: dict[str, Figure]
) -> None:
    figure = drawn[f"{GOOD}_0_50_0.2_12.0_ccds"]
    events = read_observation(files, CONFIG).subsets[0]
    edges = events.t_lo + 50 * np.arange(int((events.t_hi - events.t_lo) // 50) + 1)
    for panel in range(len(events.exposures)):
        for ccd in np.unique(events.ccdnr[events.source == panel]):
            own = (events.source == panel) & (events.ccdnr == ccd)
            expected, _ = np.histogram(events.time[own], edges)
            shown = heights(figure, panel)[f"CCD {ccd}"]
            # An event at the very last edge belongs to no frame.
            np.testing.assert_allclose(shown[:-1], expected[:-1] / 50)


def test_soft_and_hard_counts_are_all_counts(
    files: ObservationFiles, drawn: dict[str, Figure]
) -> None:
    events = read_observation(files, CONFIG).subsets[0]
    points = drawn[f"{GOOD}_0_50_0.2_12.0_energies"].axes[0].collections
    found = np.concatenate([np.asarray(points.get_offsets()) for points in points])
    n = int((events.t_hi - events.t_lo) // 50)
    assert len(found) == n
    inside = (events.time >= events.t_lo) & (events.time < events.t_lo + 50 * n)
    assert found[:, 0].sum() == (inside & (events.pi >= 200) & (events.pi < 2000)).sum()
    assert found[:, 1].sum() == (inside & (events.pi >= 2000) & (events.pi < 12_000)).sum()


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param("cube.t_bin=[0.5]", marks=pytest.mark.drill),
        "cube.t_bin=[5000]",
        "cube.bands=[[11,12]]",
    ],
)
def test_sheets_of_odd_runs(files: ObservationFiles, setting: str) -> None:
    config = Config.load(overrides=["cube.t_bin=[50]", "cube.bands=[[0.2,12]]", setting])
    for _, figure in observation_sheets(files, config):
        FigureCanvasAgg(figure).draw()


def test_one_run_of_presets() -> None:
    for name, t_bin in (("published", 50.0), ("deep", 40.0)):
        config = Config.preset(name)
        cube = with_template(one_run(config, config.cube, None, None)).cube
        assert (cube.t_bin, cube.bands) == ((t_bin,), ((0.2, 12.0),))
        assert not cube.slides
    other = Config.load(overrides=["detect.method=exod1", "detect.sigma=8"])
    assert with_template(one_run(other, other.cube, None, None)).detect.method == "search"
    given = Config.load(overrides=["cube.t_bin=[7]", "cube.bands=[[1,2]]"]).cube
    assert one_run(config, given, "7", "1-2").cube.bands == ((1.0, 2.0),)


def test_sheets_of_an_archive_say_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = Archive.create(tmp_path / "archive", Config())
    assert list(archive_sheets(archive)) == []
    assert "exod flags" in caplog.text
    assert "exod features" in caplog.text


def test_offsets_of_an_archive(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "archive", 4, 6)
    add_sources(archive)
    n = len(archive.unique.compute())
    east = np.linspace(-2, 2, n)
    columns = {"dra_arcsec": (pa.float64(), east), "ddec_arcsec": (pa.float64(), 1 + 0 * east)}
    rows = add_match(archive, "gaia_dr3", "gaia_", columns)
    (figure,) = dict(archive_sheets(archive)).values()
    known = rows["gaia_dra_arcsec"].notna() & ~(rows["gaia_p_chance"] >= 0.5)
    mean = rows["gaia_dra_arcsec"][known].mean()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any(f"mean {mean:+.2f} ± ".replace("-", "−") in text for text in texts)


# ------------------------------------------------------------------ the command


def test_the_command_draws_event_lists(small: Path, tmp_path: Path, command: Command) -> None:
    to = tmp_path / "sheets"
    code, said, _ = command("sheets", small, OTHER, "--t-bin", "100", "--to", to, "--format", "svg")
    assert code == 0
    assert sorted(path.name for path in to.iterdir()) == sorted(
        f"{OTHER}_0_100_0.2_12.0_{end}.svg" for end in ("template", "frames", "ccds", "energies")
    )
    assert len(said.split()) == 4


def test_the_command_draws_from_an_archive(small: Path, tmp_path: Path, command: Command) -> None:
    root, to = tmp_path / "archive", tmp_path / "sheets"
    options = ("--t-bin", "200", "--band", "0.2-12", "--scheduler", "sync")
    assert command("detect", small / GOOD, "--archive", root, *options)[0] == 0
    for product in ("features", "flags"):
        assert command(product, root, "--scheduler", "sync")[0] == 0
    code, said, wrong = command("sheets", root, GOOD, "1111111111", "--to", to)
    assert (code, said) == (1, "")
    assert wrong.startswith(f"exod: {root} has no observation 1111111111")
    assert not to.exists(), "nothing is drawn before it is said"
    assert command("sheets", root, GOOD, "--to", to)[0] == 0
    names = {path.name.removeprefix(f"{GOOD}_0_200_0.2_12.0_") for path in to.iterdir()}
    parts = ("template", "frames", "ccds", "energies", "detector_plane", "region_energies")
    assert names == {f"{part}.png" for part in parts}


def test_figures_of_the_method_need_no_data(tmp_path: Path, command: Command) -> None:
    code, _, _ = command("sheets", "--statistics", "--to", tmp_path / "sheets")
    assert code == 0
    names = ("bayes_curves", "bayes_factors", "limits", "sigmas")
    assert sorted(p.stem for p in (tmp_path / "sheets").iterdir()) == sorted(names)


def test_wrong_usage_is_one_sentence(small: Path, tmp_path: Path, command: Command) -> None:
    cases = {
        (): "--statistics",
        ("1234567890",): "Say where observation 1234567890 is",
        (tmp_path / "none",): "There is no file or folder",
        (small, "--t-bin", "x"): "--t-bin takes numbers",
    }
    for arguments, words in cases.items():
        code, _, wrong = command("sheets", *arguments, "--to", tmp_path / "sheets")
        assert code == 2, arguments
        assert words in wrong
    Archive.create(tmp_path / "archive", Config())
    code, _, wrong = command("sheets", tmp_path / "archive", "--preset", "deep")
    assert (code, "its settings" in wrong) == (2, True)
    code, _, wrong = command("sheets", small, tmp_path / "archive")
    assert code == 2
    assert f"{tmp_path / 'archive'} is an archive: give one archive alone, or event" in wrong
    assert not (tmp_path / "sheets").exists()


def test_one_bad_observation_does_not_stop_the_others(
    small: Path, tmp_path: Path, command: Command
) -> None:
    good, bad = copy(small / GOOD, tmp_path), copy(small / OTHER, tmp_path)
    event_lists(bad)[0].write_bytes(event_lists(bad)[0].read_bytes()[:3000])
    code, said, wrong = command("sheets", bad, good, "1111111111", "--to", tmp_path / "sheets")
    assert code == 1
    assert said.count(GOOD) == 0, "only the observation that was asked for"
    assert "There is no observation 1111111111 among the files" in wrong
    code, said, wrong = command("sheets", bad, good, "--to", tmp_path / "sheets")
    assert code == 1
    assert f"{OTHER} cannot be drawn" in wrong
    assert f"{GOOD}_0_50_0.2_12.0_frames.png" in said.replace("\n", "")
