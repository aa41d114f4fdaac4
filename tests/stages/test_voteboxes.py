"""Artefacts that vetters see at one place of the detector become boxes that flags accept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.flag_archives import add_features
from helpers.survey_archives import observation
from typer.testing import CliRunner

from exod.archive import Archive
from exod.archive.votes import VoteLog
from exod.cli import app
from exod.config import Config
from exod.errors import ArchiveError
from exod.scheduler.plan import Plan
from exod.sources.vetting.hotregions import inside
from exod.stages.derive.cluster import cluster_archive
from exod.stages.derive.flaginputs import read_boxes
from exod.stages.derive.flags import FlagSettings, make_flags
from exod.stages.derive.verdicts import judge
from exod.stages.derive.voteboxes import boxes_of_votes

SYNC = Plan(scheduler="sync")
N_OBSERVATIONS = 24
COLUMN = 6000.0
"""Of the detector, along which three pixels are hot in turn."""


@pytest.fixture(scope="module")
def columned(tmp_path_factory) -> Archive:
    """Fields with an artefact on a hot column, and one region anywhere; flags without a search."""
    random = np.random.default_rng(5)
    archive = Archive.create(tmp_path_factory.mktemp("column") / "results", Config())
    for number in range(N_OBSERVATIONS):
        pointing = (random.uniform(0, 360), random.uniform(-80, 80))
        obsid = f"{number + 1:010d}"
        near = (pointing[0], pointing[1] + 0.05)
        tables = observation(obsid, pointing, [near, pointing], seed=number, n_runs=1)
        about = tables["observations"].iloc[0]
        angle = np.deg2rad(about["pa_pnt"])
        places = [random.uniform(-9000, 9000, 2), (COLUMN, 400.0 * (number % 3) - 2000)]
        for row, (x, y) in enumerate(places):
            tables["regions"].loc[row, "X"] = about["x_ref"] + x * np.cos(angle) - y * np.sin(angle)
            tables["regions"].loc[row, "Y"] = about["y_ref"] + x * np.sin(angle) + y * np.cos(angle)
        archive.commit(obsid, "OK", tables)
    add_features(archive)
    cluster_archive(archive)
    make_flags(archive, FlagSettings(hot=None), SYNC)
    return archive


@pytest.fixture
def place(columned) -> pd.DataFrame:
    """Where the regions are, with their source; nobody has voted yet."""
    for name in columned.store.names("vetting/events"):
        Path(columned.root, name).unlink()
    where = columned.derived_table("flags", "detector").compute()
    members = columned.derived_table("unique", "members").compute()
    return where.merge(members[["detid", "region_num"]], on="detid")


def vote(archive: Archive, numbers, label: str, vetter: str = "ada") -> None:
    log = VoteLog(archive.store)
    version = archive.derived("unique").version
    for number in numbers:
        log.add(vetter, region_num=int(number), label=label, unique_version=version)


def on_column(place: pd.DataFrame) -> pd.Series:
    return np.isclose(place["X_det"], COLUMN, atol=1)


@pytest.mark.drill
def test_a_hot_column_becomes_boxes_that_flags_take(columned, place, tmp_path):
    hot = on_column(place)
    vote(columned, place.loc[hot, "region_num"], "artefact")
    vote(columned, place.loc[~hot, "region_num"], "real")
    path = tmp_path / "proposed.csv"
    command = ["verdicts", columned.root, "--boxes", str(path)]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    boxes = read_boxes(path)
    in_box = inside(place["X_det"], place["Y_det"], place["t_bin"], boxes)
    assert in_box[hot].all()
    # No box is wider than the cells that the artefacts are in.
    assert boxes["x_lo"].min() >= COLUMN - 400
    assert boxes["x_hi"].max() <= COLUMN + 400
    assert boxes["t_bin"].unique().tolist() == [50.0]
    assert CliRunner().invoke(app, command).exit_code == 2
    make_flags(columned, FlagSettings(hot=None, boxes=boxes), SYNC)
    flags = columned.flags.compute().set_index("detid")["filt_hot_pixel"]
    assert flags[place["detid"]].to_numpy().tolist() == in_box.tolist()
    make_flags(columned, FlagSettings(hot=None), SYNC)


def test_artefacts_at_random_places_make_no_box(columned, place, tmp_path):
    vote(columned, place.loc[~on_column(place), "region_num"], "artefact")
    assert len(boxes_of_votes(columned, judge(columned))) == 0
    path = tmp_path / "none.csv"
    found = CliRunner().invoke(app, ["verdicts", columned.root, "--boxes", str(path)])
    assert "0 boxes" in found.output
    assert len(read_boxes(path)) == 0


@pytest.mark.parametrize("label", ["real", "unsure", "none"])
def test_only_artefacts_count(columned, place, label):
    """What another believes in is no artefact by more than half of the votes."""
    hot = place.loc[on_column(place), "region_num"]
    vote(columned, hot, "artefact")
    assert len(boxes_of_votes(columned, judge(columned))) > 0
    vote(columned, hot, label, "ada" if label == "none" else "bo")
    assert len(boxes_of_votes(columned, judge(columned))) == 0


def test_boxes_need_flags(tmp_path):
    archive = Archive.create(tmp_path / "bare", Config())
    archive.commit(
        "0000000001", "OK", observation("0000000001", (1.0, 2.0), [(1.0, 2.0)], n_runs=1)
    )
    cluster_archive(archive)
    with pytest.raises(ArchiveError, match="has no flags yet; run `exod flags"):
        boxes_of_votes(archive, judge(archive))
