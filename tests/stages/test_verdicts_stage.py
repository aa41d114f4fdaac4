"""Votes follow sources through clustering, become labels of regions, and are exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from astropy.table import Table
from helpers.cluster_archives import FIELD, HERE, add, spots
from helpers.flag_archives import add_features
from helpers.survey_archives import make_survey
from typer.testing import CliRunner

from exod.archive import Archive
from exod.archive.snapshot import Snapshot
from exod.archive.votes import VoteLog
from exod.cli import app
from exod.config import Config
from exod.errors import ArchiveError
from exod.stages.derive.cluster import cluster_archive
from exod.stages.derive.flags import FlagSettings, make_flags
from exod.stages.derive.verdicts import judge, read_controls


def vote(archive: Archive, vetter: str, number: int, label: str) -> None:
    version = archive.derived("unique").version
    VoteLog(archive.store).add(vetter, region_num=number, label=label, unique_version=version)


def state(archive: Archive) -> dict[tuple[str, int], tuple[str, bool]]:
    rows = judge(archive).states
    pairs = zip(rows["vetter"], rows["region_num"], strict=True)
    return dict(zip(pairs, zip(rows["label"], rows["stale"], strict=True), strict=True))


def test_votes_survive_merges_and_splits(tmp_path):
    archive = Archive.create(tmp_path, Config())
    with pytest.raises(ArchiveError, match="run `exod cluster"):
        judge(archive)
    near = {"jitter_arcsec": 0.0, "n_runs": 1}
    add(archive, 1, spots((0, 0), (21, 0)), FIELD, **near)
    cluster_archive(archive.root, HERE)
    vote(archive, "ada", 0, "artefact")
    vote(archive, "ada", 1, "real")
    vote(archive, "bo", 1, "real")
    vote(archive, "cy", 0, "unsure")
    add(archive, 1, spots((2, 0), (15, 0)), FIELD, **near)
    assert cluster_archive(archive.root, HERE).counts["n_merged"] == 1
    assert state(archive) == {
        ("ada", 0): ("real", False),
        ("bo", 0): ("real", False),
        ("cy", 0): ("unsure", False),
    }
    assert judge(archive).verdicts[["n_votes", "verdict"]].to_numpy().tolist() == [[3, "real"]]
    add(archive, 1, spots((0, 0), (21, 0)), FIELD, **near)
    assert cluster_archive(archive.root, HERE).counts["n_split"] == 1
    assert {stale for _, stale in state(archive).values()} == {True}
    assert judge(archive).verdicts[["n_stale", "verdict"]].to_numpy().tolist() == [[3, "open"]]
    vote(archive, "ada", 0, "artefact")
    assert state(archive)["ada", 0] == ("artefact", False)


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> Archive:
    """An archive with flags, and two sources with verdicts: one real, one an artefact."""
    archive = make_survey(tmp_path_factory.mktemp("judged") / "results", 4, 3)
    add_features(archive)
    cluster_archive(archive.root, HERE)
    make_flags(archive, plan=HERE)
    for vetter in ("ada", "bo"):
        vote(archive, vetter, 0, "real")
        vote(archive, vetter, 1, "artefact")
        vote(archive, vetter, 2, "real" if vetter == "bo" else "artefact")
    return archive


def columns(archive: Archive) -> list[str]:
    return list(archive.detections.columns)


def test_verdicts_become_labels_of_regions(judged):
    before, plain = judged.derived("flags").version, judged.flags.compute()
    assert "vet_real" not in columns(judged)
    made = make_flags(judged, FlagSettings(verdicts=True), HERE)
    assert made.version != before
    rows = judged.detections.compute()
    assert set(rows.loc[rows["vet_real"], "region_num"]) == {0}
    assert set(rows.loc[rows["vet_artefact"], "region_num"]) == {1}
    for name, number in (("vet_real", 0), ("vet_artefact", 1)):
        assert rows[name].sum() == (rows["region_num"] == number).sum() == made.summary[name] > 0
    # They are labels, not flags: no defect, and the flags stay as they were.
    assert judged.flags.compute().equals(plain)
    assert "vetted" in Snapshot(judged).names
    # Without new votes there is nothing to do; an update keeps what was asked for.
    assert make_flags(judged, FlagSettings(verdicts=True), HERE).version == made.version
    assert make_flags(judged, plan=HERE).version == made.version
    vote(judged, "cy", 2, "real")
    made = make_flags(judged, plan=HERE)
    rows = judged.detections.compute()
    assert set(rows.loc[rows["vet_real"], "region_num"]) == {0, 2}
    make_flags(judged, FlagSettings(), HERE)
    assert "vet_real" not in columns(judged)
    vote(judged, "cy", 2, "none")


def run(*words: object) -> str:
    found = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert found.exit_code == 0, found.output
    return found.output


def test_the_command(judged, tmp_path):
    controls = tmp_path / "controls.csv"
    controls.write_text("region_num,answer\n0,real\n1,artefact\n2,artefact\n")
    path = tmp_path / "verdicts.fits"
    said = run("verdicts", judged.root, "--to", path, "--controls", controls, "--compact")
    assert f"{len(VoteLog(judged.store).votes())} events copied to one file" in said
    assert "Fleiss' kappa" in said
    assert "50.0 %" in said
    assert "3 verdicts in" in said
    rows = Table.read(path)
    assert [text.strip() for text in rows["verdict"]] == ["real", "artefact", "conflict"]
    sources = judged.unique.compute().set_index("region_num")
    assert [text.strip() for text in rows["srcid"]] == list(sources.loc[[0, 1, 2], "srcid"])
    assert rows["ra_deg"].tolist() == list(sources.loc[[0, 1, 2], "ra_deg"])
    assert rows.meta["KAPPA"] == pytest.approx(judge(judged).kappa)
    said = run("flags", judged.root, "--verdicts", "--scheduler", "sync")
    assert "vet_artefact" in said
    found = tmp_path / "found.jsonl"
    run("query", judged.root, "--table", "detections", "--where", "vet_artefact", "--to", found)
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    assert {line["region_num"] for line in lines} == {1}


def test_votes_are_never_removed(judged):
    """All else can be computed again."""
    before = VoteLog(judged.store).rows()
    judged.gc(older_than=0)
    judged.compact()
    judged.gc(older_than=0)
    assert (
        VoteLog(judged.store).rows().drop_columns("seconds").equals(before.drop_columns("seconds"))
    )
    assert len(before) > 0


def test_controls_by_place(judged, tmp_path):
    """As `exod inject` writes them: the source there, if there is one, is real."""
    sources = judged.unique.compute()
    one, other = sources.iloc[0], sources.iloc[1]
    lines = ["name,ra_deg,dec_deg", f"a,{one.ra_deg},{one.dec_deg + 10 / 3600}"]
    lines.append(f"b,{other.ra_deg},{other.dec_deg - 3}")
    path = Path(tmp_path, "0000000001_injected.csv")
    path.write_text("\n".join(lines))
    assert read_controls(path, judged) == {one.region_num: "real"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("number,answer\n1,real\n", "need the columns region_num and answer"),
        ("region_num,answer\n1,good\n", "line 2: a control is the number of a source, or a place"),
        ("region_num,answer\nx,real\n", "line 2"),
        ("ra_deg,dec_deg\n10,95\n", "line 2"),
        ("ra_deg,dec_deg,answer\n10,5,\n", "line 2"),
        (None, "The table of controls"),
    ],
)
def test_controls_that_cannot_be(judged, tmp_path, content, sentence):
    path = Path(tmp_path, "controls.csv")
    if content is not None:
        path.write_text(content)
    found = CliRunner().invoke(app, ["verdicts", judged.root, "--controls", str(path)])
    assert found.exit_code != 0
    assert sentence in " ".join((found.output + str(found.exception)).split())
