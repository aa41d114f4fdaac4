"""A source over all its observations on a sheet."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.survey_archives import observation
from matplotlib.backends.backend_agg import FigureCanvasAgg

from exod.archive import Archive
from exod.config import Config
from exod.errors import ArchiveError, InputError
from exod.plots.places import sources
from exod.plots.places.sheets import ROWS, Panel, curve_sheets
from exod.plots.places.sources import find_source, save_source
from exod.scheduler.plan import Plan
from exod.stages.derive.cluster import cluster_archive

POINTING = (150.0, 2.0)
PLACES = [(150.02, 2.03), (150.1, 2.1)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Four observations of two sources; the second is in one of them only."""
    made = Archive.create(tmp_path_factory.mktemp("sources") / "archive", Config())
    for number in range(4):
        found = observation(
            obsid_of(number),
            POINTING,
            PLACES if number == 0 else PLACES[:1],
            seed=number,
            mjd=55000.0 + 100 * number,
            n_runs=1 + number % 3,
        )
        made.commit(obsid_of(number), "OK", found)
    cluster_archive(made, Plan("sync"))
    return made


def obsid_of(number: int) -> str:
    return f"{700000001 + 100 * number:010d}"


def names(archive: Archive) -> list[str]:
    return list(archive.unique.compute().sort_values("n_detections", ascending=False)["srcid"])


def panel(t_bin: float = 50.0, band: tuple[float, float] = (0.2, 12.0), n_frames: int = 20, **run):
    time = 1000.0 + t_bin * np.arange(n_frames)
    b_log = np.zeros(n_frames)
    b_log[n_frames // 2] = 20.0
    rows = pd.DataFrame(
        {"time": time, "n": 1, "mu": 1.0, "live": 1.0, "bti": False, "bccd": False}
        | {"B_peak_log": b_log, "B_eclipse_log": 0.0}
    )
    about = {"obsid": obsid_of(0), "subset": 0, "t_bin": t_bin, "sigma": 3.0, "t_lo": 1000.0}
    return Panel({**about, "e_lo": band[0], "e_hi": band[1], **run}, rows, "a note")


def texts(figure) -> list[str]:
    FigureCanvasAgg(figure).draw()
    found = [text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts)]
    return [text for text in found if text]


def test_a_line_a_time_bin_and_a_column_a_band() -> None:
    bands = [(2.0, 12.0), (0.2, 2.0), (0.2, 12.0)]
    panels = [panel(t_bin, band) for band in bands for t_bin in (200.0, 5.0)]
    (figure,) = curve_sheets(panels[:-1], "a place", "nothing here")
    assert len(figure.axes) == 6
    assert texts(figure).count("nothing here") == 1
    heads = [axes.get_title().partition("\n")[0] for axes in figure.axes[:3]]
    assert heads == ["0.2–2 keV", "2–12 keV", "0.2–12 keV"]
    lines = [axes.get_ylabel().splitlines()[-1].strip() for axes in figure.axes[::3]]
    assert lines == ["ct / 5 s", "ct / 200 s"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "significant peak" in labels


@pytest.mark.parametrize("n_frames", [1, 2, 5000])
def test_light_curves_of_any_length(n_frames: int) -> None:
    (figure,) = curve_sheets([panel(n_frames=n_frames)], "a place")
    assert texts(figure)


def test_many_lines_make_several_sheets() -> None:
    panels = [panel(obsid=obsid_of(number), t_lo=1000.0 + number) for number in range(2 * ROWS + 1)]
    history = pd.DataFrame({"mjd": [5e4, 5.1e4], "sigma": [3.0, 4.0], "kind": ["peak", "eclipse"]})
    sheets = list(curve_sheets(panels, "a place", "", history))
    assert [len(figure.axes) for figure in sheets] == [ROWS + 1, ROWS, 1]
    assert [figure.get_suptitle() for figure in sheets] == [
        f"a place (sheet {number} of 3)" for number in (1, 2, 3)
    ]
    assert texts(sheets[0])


def test_a_source_over_its_observations(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[Panel]] = []

    def watched(panels, *rest):
        drawn.append(list(panels))
        return curve_sheets(panels, *rest)

    monkeypatch.setattr(sources, "curve_sheets", watched)
    often, once = names(archive)
    members = archive.members.compute()
    for name in (often, once):
        (path,) = save_source(archive, name, tmp_path)
        assert path.name == f"{name.replace(' ', '_')}.png"
        own = members[members["srcid"] == name]
        runs = [str(item.run["runid"]) for item in drawn[-1]]
        assert sorted(runs) == sorted(own["detid"].str.rpartition("_")[0])
        for item in drawn[-1]:
            (detid,) = own.loc[own["detid"].str.startswith(f"{item.run['runid']}_"), "detid"]
            pd.testing.assert_frame_equal(item.rows, archive.lightcurve(detid))


def test_the_least_significant_lines_are_left_out(
    archive: Archive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sources, "MOST_LINES", 3)
    with caplog.at_level(logging.WARNING):
        save_source(archive, names(archive)[0], tmp_path)
    assert "1 of 4 observations and time bins are not drawn" in caplog.text


def test_names_as_people_write_them(archive: Archive) -> None:
    often, once = names(archive)
    number = 0
    while often[: number + 1] == once[: number + 1]:
        number += 1
    for text in (
        often,
        often.removeprefix("EXOD "),
        often.replace(" ", "   "),
        often[: number + 1],
    ):
        assert find_source(archive, text)["srcid"] == often
    with pytest.raises(InputError, match=r"2 sources of .* begin with 'EXOD J10'.*give more"):
        find_source(archive, "J10")


def test_unknown_names_and_the_nearest(archive: Archive) -> None:
    often, once = names(archive)
    # The declination is 25 arcsec further south.
    with pytest.raises(InputError, match="has no source") as told:
        find_source(archive, "EXOD J100004.8+020122")
    said = str(told.value)
    assert said.index(often) < said.index(once)
    assert f"{often} (2" in said
    assert "arcsec)" in said
    assert "arcmin)" in said
    with pytest.raises(InputError, match=f"the nearest are .*{once.split()[1][:4]}"):
        find_source(archive, "EXOD 4711")


def test_an_archive_without_sources(tmp_path: Path) -> None:
    empty = Archive.create(tmp_path / "empty", Config())
    with pytest.raises(ArchiveError, match="no unique sources yet; run `exod cluster"):
        save_source(empty, "EXOD J1", tmp_path)
    cluster_archive(empty, Plan("sync"))
    with pytest.raises(InputError, match="it has no sources"):
        save_source(empty, "EXOD J100004.8+020128", tmp_path)


def test_names_that_were_taken_over(tmp_path: Path, command) -> None:
    """They may be of any kind; pictures stay in their folder, whatever they say."""
    made = Archive.create(tmp_path / "archive", Config())
    made.commit(obsid_of(0), "OK", observation(obsid_of(0), POINTING, PLACES[:2]))
    cluster_archive(made, Plan("sync"))
    rows = made.unique[["srcid", "ra_deg", "dec_deg"]].compute()
    given = ["4XMM J1", "EXOD /../../<out>"]
    rows.assign(srcid=given).to_csv(tmp_path / "names.csv", index=False)
    cluster_archive(made, Plan("sync"), names_from=tmp_path / "names.csv")
    for name, file in zip(given, ("4XMM_J1.png", "EXOD__.._..__out_.png"), strict=True):
        code, _, _ = command("plot", made.root, name, "--to", tmp_path / "plots" / "here")
        assert code == 0
        assert (tmp_path / "plots" / "here" / file).is_file()
        table = tmp_path / f"{file}.csv"
        assert command("query", made.root, "--name", name[:6], "--to", table)[0] == 0
        assert pd.read_csv(table)["srcid"].tolist() == [name]
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["here"]


def test_regions_that_were_replaced(tmp_path: Path) -> None:
    made = Archive.create(tmp_path / "archive", Config())
    made.commit(obsid_of(0), "OK", observation(obsid_of(0), POINTING, PLACES[:1]))
    cluster_archive(made, Plan("sync"))
    (name,) = names(made)
    made.commit(obsid_of(0), "EMPTY", observation(obsid_of(0), POINTING, []))
    with pytest.raises(ArchiveError, match=r"are older than its regions: .* is gone; run"):
        save_source(made, name, tmp_path)


def test_the_command(
    archive: Archive, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    name = names(archive)[1]
    code, said, _ = command("plot", archive.root, name, "--to", tmp_path, "--format", "svg")
    assert (code, said) == (0, f"{tmp_path / name.replace(' ', '_')}.svg\n")
    for unknown in ("EXOD J99", "0999999999", "nothing", f"{'0' * 10}_0_50_0.2_12.0_0"):
        to = tmp_path / "before"
        code, said, _ = command("plot", archive.root, name, unknown, "--to", to)
        assert (code, said, to.exists()) == (1, "", False)
    code, _, said = command("plot", archive.root, "EXOD J1", "--to", tmp_path)
    assert (code, said.count("\n")) == (1, 1)
    code, _, said = command("plot", archive.root, "EXOD J990000.0+000000", "--to", tmp_path)
    assert (code, said.count("\n")) == (1, 1)
