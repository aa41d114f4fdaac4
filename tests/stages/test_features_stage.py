"""The product features: right, in batches of any size, and only what changed is read."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.features import reference
from helpers.survey_archives import fill, make_survey, observation
from typer.testing import CliRunner

from exod.archive import Archive, open_archive
from exod.archive import store as store_module
from exod.cli import app
from exod.config import Config
from exod.errors import ArchiveError
from exod.scheduler.interrupts import Stop
from exod.scheduler.plan import Plan
from exod.schemas import EXPOSURES, FEATURES, LIGHTCURVES, REGIONS
from exod.sources.vetting.features import features
from exod.sources.vetting.hardness import excess_hardness, hardness_ratio
from exod.stages.derive import features as stage
from exod.stages.derive import observation_features as reading
from exod.stages.derive.features import make_features

HERE = Plan("sync")


def table(archive: Archive) -> pd.DataFrame:
    found = archive.features.compute().sort_values("detid", ignore_index=True)
    assert found["detid"].is_unique
    assert list(found) == [column.name for column in FEATURES.columns]
    return found


def again(archive: Archive, obsid: str, seed: int, **options) -> None:
    """Search an observation again, with another result."""
    tables = observation(obsid, (10.0, 20.0), [(10.0, 20.0)], seed=seed, **options)
    archive.commit(obsid, "OK", tables)


@pytest.fixture
def archive(tmp_path) -> Archive:
    return make_survey(tmp_path / "archive", 4, 3)


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Names of the files that are opened for reading."""
    names: list[str] = []
    opened = store_module.Store.open

    def counted(self, name, *about):
        names.append(name)
        return opened(self, name, *about)

    monkeypatch.setattr(store_module.Store, "open", counted)
    return names


def observations_read(names: list[str]) -> set[str]:
    tables = ("regions/", "lightcurves/", "images/", "runs/")
    return {Path(name).name[:10] for name in names if name.startswith(tables)}


def test_every_region_has_the_features_of_its_light_curve(archive):
    made = make_features(archive.root, HERE)
    assert (made.n_rows, made.n_read, made.n_kept, made.failures) == (36, 4, 0, {})
    found = table(archive).set_index("detid")
    regions = archive.regions.compute().set_index("detid")
    assert set(found.index) == set(regions.index)
    for detid in regions.index:
        expected = reference(archive.lightcurve(detid), regions["t_bin"][detid])
        for name, value in expected.items():
            assert float(found[name][detid]) == pytest.approx(float(value), nan_ok=True), name


@pytest.mark.parametrize(
    ("obsid", "mission", "cameras"),
    [("0000000007", "xmm", ["EPN", "EMOS1"]), ("28964", "chandra", ["ACIS"])],
)
def test_observatory_and_cameras_are_told(tmp_path, obsid, mission, cameras):
    archive = Archive.create(tmp_path, Config())
    tables = observation(obsid, (10.0, 20.0), [(10.0, 20.0)], seed=1)
    about = {"obsid": obsid, "subset": 0, "used": True, "time_min": 0.0, "time_max": 99.0}
    lost = about | {"filename": "lost", "instrument": "EMOS2", "used": False}
    used = [about | {"filename": name, "instrument": name} for name in cameras]
    tables["exposures"] = fill(EXPOSURES, [lost, *used])
    times = {"subset": 0, "t_lo": 0.0, "t_hi": 99.0, "n_exposures": len(cameras)}
    tables["runs"] = tables["runs"].assign(**times)
    archive.commit(obsid, "OK", tables)
    make_features(archive.root, HERE)
    found = table(archive)
    assert set(found["mission"]) == {mission}
    assert set(found["instrument"]) == {"+".join(sorted(cameras))}


@pytest.mark.parametrize("groups", [1, 2, 1000])
def test_pieces_of_any_size_give_the_same(tmp_path, monkeypatch, groups):
    """Light curves of 30 frames in row groups of 7: pieces end within light curves."""
    monkeypatch.setattr("exod.archive.parquet.ROW_GROUP_ROWS", 7)
    archive = make_survey(tmp_path / "archive", 2, 3)
    monkeypatch.setattr(reading, "PIECE_GROUPS", groups)
    assert make_features(archive.root, HERE).failures == {}
    found = table(archive).set_index("detid")
    for detid in found.index[::5]:
        expected = reference(archive.lightcurve(detid), 50.0)
        for name, value in expected.items():
            assert float(found[name][detid]) == pytest.approx(float(value), nan_ok=True), name


def test_no_more_than_a_piece_is_in_memory(tmp_path, monkeypatch):
    """A piece, and what is left of the light curve that began in the one before."""
    monkeypatch.setattr("exod.archive.parquet.ROW_GROUP_ROWS", 50)
    monkeypatch.setattr(reading, "PIECE_GROUPS", 2)
    archive = make_survey(tmp_path / "archive", 1, 20)
    sizes: list[int] = []

    def watched(curves):
        sizes.append(len(curves.n))
        return features(curves)

    monkeypatch.setattr(reading, "features", watched)
    make_features(archive.root, HERE)
    assert sum(sizes) == len(archive.lightcurves) == 1800
    assert max(sizes) <= 100 + 30


@pytest.mark.parametrize(("rows", "observations"), [(1, 500), (10**9, 500), (10**9, 3)])
def test_batches_of_any_size_give_the_same(archive, monkeypatch, rows, observations):
    make_features(archive.root, HERE)
    expected = table(archive)
    shutil.rmtree(Path(archive.root) / "features")
    monkeypatch.setattr(stage, "BATCH_ROWS", rows)
    monkeypatch.setattr(stage, "BATCH_OBSERVATIONS", observations)
    make_features(archive.root, HERE)
    pd.testing.assert_frame_equal(table(archive), expected)


@pytest.mark.drill
def test_processes_give_the_same(archive, monkeypatch):
    make_features(archive.root, HERE)
    expected = table(archive)
    shutil.rmtree(Path(archive.root) / "features")
    monkeypatch.setattr(stage, "BATCH_OBSERVATIONS", 2)
    made = make_features(archive.root, Plan("local", 2))
    assert made.n_read == 4
    pd.testing.assert_frame_equal(table(archive), expected)


def test_regions_without_light_curve_have_a_row(tmp_path):
    archive = make_survey(tmp_path / "archive", 2, 2, light_curves=False)
    make_features(archive.root, HERE)
    found = table(archive)
    assert len(found) == 12
    assert (found["length"] == 0).all()
    assert found["n_max"].isna().all()
    assert found["hr"].notna().all()


def test_an_archive_without_regions_has_a_table_without_rows(tmp_path):
    archive = Archive.create(tmp_path / "empty", Config())
    assert make_features(archive.root, HERE).n_rows == 0
    assert table(archive).empty
    archive.commit("0700000001", "EMPTY", {})
    archive.commit("0700000002", "FAILED", {}, reason="no")
    made = make_features(archive.root, HERE)
    assert (made.n_rows, made.n_read) == (0, 2)
    assert archive.derived("features").outdated(archive.entries()) == []


# -------------------------------------------------------------------- what is read


def test_one_more_observation_is_all_that_is_read(tmp_path, reads):
    archive = make_survey(tmp_path / "archive", 12, 1, n_runs=1)
    make_features(archive.root, HERE)
    assert len(observations_read(reads)) == 12
    before = archive.derived("features")
    again(archive, "0700009901", 99)
    reads.clear()
    made = make_features(archive.root, HERE)
    assert observations_read(reads) == {"0700009901"}
    assert not [name for name in reads if name.startswith("features/")]
    assert (made.n_read, made.n_kept, made.n_rows) == (1, 12, 15)
    assert set(before.files) < set(archive.derived("features").files)


def test_what_is_current_is_left_alone(archive, reads):
    first = make_features(archive.root, HERE)
    reads.clear()
    second = make_features(archive.root, HERE)
    assert reads == []
    assert (second.derived.version, second.n_rows, second.n_read) == (first.derived.version, 36, 0)
    assert second.n_kept == 4


def test_results_that_were_replaced_do_not_count(archive, reads):
    make_features(archive.root, HERE)
    before = table(archive)
    obsid = archive.entries()[1].obsid
    again(archive, obsid, 5)
    reads.clear()
    made = make_features(archive.root, HERE)
    assert observations_read(reads) == {obsid}
    assert made.n_rows == 27 + 3
    after = table(archive)
    other = before["obsid"] != obsid
    pd.testing.assert_frame_equal(
        after[after["obsid"] != obsid].reset_index(drop=True), before[other].reset_index(drop=True)
    )
    assert (after["obsid"] == obsid).sum() == 3
    # And once more, now that its rows are in a file of its own.
    again(archive, obsid, 6)
    assert make_features(archive.root, HERE).n_rows == 30
    assert len(table(archive)) == 30


def test_files_that_are_mostly_outdated_are_written_again(archive):
    make_features(archive.root, HERE)
    first = archive.derived("features")
    for number, entry in enumerate(archive.entries()[:3]):
        again(archive, entry.obsid, number)
    made = make_features(archive.root, HERE)
    derived = archive.derived("features")
    assert made.n_rows == 9 + 3 * 3 == len(table(archive))
    assert not {file.path for file in first.files} & {file.path for file in derived.files}
    assert not any(file.without for file in derived.files)


def test_many_small_files_become_one(archive, monkeypatch, reads):
    monkeypatch.setattr(stage, "SMALL_FILES", 3)
    for number in range(6):
        again(archive, f"08000000{number:02d}", number)
        make_features(archive.root, HERE)
    files = archive.derived("features").files
    assert len(files) <= 5
    assert len(table(archive)) == 36 + 6 * 3


def test_observations_that_are_gone_do_not_count(archive):
    make_features(archive.root, HERE)
    obsid = archive.entries()[0].obsid
    (Path(archive.root) / "ledger" / f"{obsid}.json").unlink()
    assert make_features(archive.root, HERE).n_rows == 27
    assert obsid not in set(table(archive)["obsid"])


def test_other_bands_make_everything_anew(archive, monkeypatch):
    make_features(archive.root, HERE)
    monkeypatch.setattr(stage, "_VERSION", stage._VERSION + 1)
    assert make_features(archive.root, HERE).n_read == 4


# -------------------------------------------------------------------- damage


def damage(archive: Archive, obsid: str, name: str) -> Path:
    path = Path(archive.root) / archive.entry(obsid).path(name)
    path.write_bytes(path.read_bytes()[:-40] + b"x" * 40)
    return path


@pytest.mark.parametrize("name", ["lightcurves", "regions", "images"])
def test_a_damaged_file_costs_its_observation_only(archive, name):
    obsid = archive.entries()[2].obsid
    path = damage(archive, obsid, name)
    made = make_features(archive.root, HERE)
    assert list(made.failures) == [obsid]
    assert made.failures[obsid].startswith(f"{path} is not what was written: ")
    assert made.failures[obsid].endswith(
        f"run `exod verify {archive.root}`, which lists what to do."
    )
    assert made.n_read == 3
    assert obsid not in archive.derived("features").attempts
    assert len(table(archive)) == 27
    again(archive, obsid, 3)
    repaired = make_features(archive.root, HERE)
    assert (repaired.n_read, repaired.failures) == (1, {})
    assert len(table(archive)) == 30


def test_a_file_that_is_gone_is_told(archive):
    obsid = archive.entries()[0].obsid
    (Path(archive.root) / archive.entry(obsid).path("lightcurves")).unlink()
    made = make_features(archive.root, HERE)
    assert made.failures[obsid].endswith(f"is gone; process observation {obsid} again.")


def test_light_curves_of_other_regions_are_told(tmp_path):
    archive = make_survey(tmp_path / "archive", 1, 2)
    obsid = archive.entries()[0].obsid
    tables = archive.observation(obsid)
    tables["regions"] = tables["regions"].iloc[1:]
    archive.commit(obsid, "OK", tables)
    made = make_features(archive.root, HERE)
    assert "does not fit the regions" in made.failures[obsid]


def test_images_that_do_not_fit_are_told(tmp_path):
    archive = make_survey(tmp_path / "archive", 1, 2)
    obsid = archive.entries()[0].obsid
    tables = archive.observation(obsid)
    tables["runs"] = tables["runs"].assign(y_hi=tables["runs"]["y_hi"] + 1)
    archive.commit(obsid, "OK", tables)
    assert "does not fit its box" in make_features(archive.root, HERE).failures[obsid]


def test_an_unexpected_error_of_a_task_is_told_of_its_observations(archive, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(stage, "observation_features", broken)
    made = make_features(archive.root, HERE)
    assert len(made.failures) == 4
    assert set(made.failures.values()) == {"Unexpected ZeroDivisionError: oh."}


def test_work_that_is_interrupted_is_kept_and_goes_on(archive, monkeypatch):
    monkeypatch.setattr(stage, "BATCH_OBSERVATIONS", 1)
    stop = Stop()
    plan = HERE.watched(lambda _: None, lambda _: None, stop)
    made = make_features(archive.root, plan, on_batch=lambda _: stop.ask())
    assert (made.n_read, made.n_waiting) == (1, 3)
    assert len(table(archive)) == 9
    made = make_features(archive.root, HERE)
    assert (made.n_read, made.n_kept, made.n_waiting) == (3, 1, 0)
    assert len(table(archive)) == 36


def test_a_damaged_part_of_the_features_is_told(archive):
    make_features(archive.root, HERE)
    path = Path(archive.root) / archive.derived("features").files[0].path
    path.write_bytes(b"nothing")
    again(archive, archive.entries()[0].obsid, 1)
    with pytest.raises(ArchiveError, match="of the features is damaged or gone; delete"):
        make_features(archive.root, HERE)
    (Path(archive.root) / "features" / "current.json").unlink()
    assert make_features(archive.root, HERE).n_read == 4


def test_the_command(archive):
    runner = CliRunner()
    obsid = archive.entries()[2].obsid
    path = damage(archive, obsid, "lightcurves")
    failed = runner.invoke(app, ["features", archive.root, "--scheduler", "sync"])
    assert failed.exit_code == 1
    assert f"{obsid} failed: {path}" in failed.output.replace("\n", "")
    assert "3 observations read" in failed.output
    again(archive, obsid, 3)
    good = runner.invoke(app, ["features", archive.root, "--scheduler", "sync"])
    assert good.exit_code == 0
    assert "Features of 30 regions: 1 observation read, 3 kept." in good.output
    assert runner.invoke(app, ["features", str(Path(archive.root) / "no")]).exit_code == 1


# -------------------------------------------------------------------- hardness ratios


def region(runid: str, label: int, box: tuple[int, int, int, int], **columns) -> dict:
    obsid, subset, t_bin, e_lo, e_hi = runid.split("_")
    key = {"obsid": obsid, "subset": int(subset), "t_bin": float(t_bin)}
    names = ("y_lo", "y_hi", "x_lo", "x_hi")
    return (
        {**key, "runid": runid, "detid": f"{runid}_{label}", "label": label, "kind": "peak"}
        | {"e_lo": float(e_lo), "e_hi": float(e_hi), "t_start": np.nan, "t_stop": np.nan}
        | dict(zip(names, box, strict=True))
        | columns
    )


def curve(row: dict, n: list[int], mu: float) -> pd.DataFrame:
    frame = pd.DataFrame({"n": n, "mu": mu, "time": 1000 + row["t_bin"] * np.arange(len(n))})
    keys = {name: row[name] for name in ("detid", "runid", "obsid", "label")}
    return fill(LIGHTCURVES, frame.assign(**keys).to_dict("records"))


@pytest.mark.parametrize("rows", [4, 20_000])
def test_hardness_ratios_come_from_images_and_sisters(tmp_path, monkeypatch, rows):
    """Bursts seen in all bands, in two, in the soft band alone, and an eclipse; in any pieces."""
    monkeypatch.setattr("exod.archive.parquet.ROW_GROUP_ROWS", rows)
    monkeypatch.setattr(reading, "PIECE_GROUPS", 1)
    archive = make_survey(tmp_path / "archive", 1, 0)
    obsid = archive.entries()[0].obsid
    tables = archive.observation(obsid)
    soft, hard, full = (f"{obsid}_0_50_{band}" for band in ("0.2_2", "2_12", "0.2_12"))
    run = tables["runs"].set_index("runid").loc[soft]
    y, x = int(run["y_lo"]), int(run["x_lo"])
    one, two = (y + 3, y + 5, x + 7, x + 8), (y + 20, y + 21, x + 30, x + 33)
    three = (y, y + 1, x, x + 1)
    event = {"t_start": 1120.0, "t_stop": 1180.0}
    rows = [
        region(full, 0, one, **event),
        region(full, 1, two, **event),
        region(full, 2, one, **event | {"kind": "eclipse"}),
        region(full, 3, one),
        region(hard, 0, (one[0], one[1], one[2], one[3] + 1), **event),
        region(soft, 0, (one[0] - 1, one[1], one[2], one[3]), **event),
        region(soft, 1, two, **event),
        region(soft, 2, three, **event),
    ]
    counts = {"0.2_12": [1, 2, 9, 8, 1], "0.2_2": [1, 1, 6, 5, 0], "2_12": [0, 1, 3, 2, 1]}
    curves = [curve(row, counts["_".join(row["runid"].split("_")[3:])], 0.5) for row in rows]
    tables["regions"] = fill(REGIONS, rows)
    tables["lightcurves"] = LIGHTCURVES.frame(pd.concat(curves))
    archive.commit(obsid, "OK", tables)
    make_features(archive.root, HERE)
    found = table(archive).set_index("detid")

    def in_box(runid: str, box: tuple[int, int, int, int]) -> int:
        image = tables["images"].set_index("runid")["n"][runid].reshape(40, 40)
        return int(image[box[0] - y : box[1] - y, box[2] - x : box[3] - x].sum())

    first = found.loc[f"{full}_0"]
    assert (first["n_soft"], first["n_hard"]) == (in_box(soft, one), in_box(hard, one))
    ratio = hardness_ratio([in_box(soft, one)], [in_box(hard, one)])
    assert first[["hr", "hr_lo", "hr_hi"]].tolist() == pytest.approx([v[0] for v in ratio])
    # Frames from 1100 and 1150 touch the event.
    event_columns = ["n_soft_event", "mu_soft_event", "n_hard_event", "mu_hard_event"]
    assert first[event_columns].tolist() == [11, 1, 5, 1]
    expected = [value[0] for value in excess_hardness([11.0], [1.0], [5.0], [1.0])]
    assert first[["hr_event", "hr_event_lo", "hr_event_hi"]].tolist() == pytest.approx(expected)
    assert found.loc[f"{soft}_0", event_columns].tolist() == [11, 1, 5, 1]
    # The frames from 1000 and 1050 are before it, that from 1200 after it.
    beside = ["n_soft_before", "n_hard_before", "n_soft_after", "n_hard_after"]
    assert first[beside].tolist() == [2, 1, 0, 1]
    for when, counts_then in {"before": (2, 1), "during": (11, 5), "after": (0, 1)}.items():
        expected = [value[0] for value in hardness_ratio(*([n] for n in counts_then))]
        names = [f"hr_{when}", f"hr_{when}_lo", f"hr_{when}_hi"]
        assert first[names].tolist() == pytest.approx(expected)
    # With the same box, hard is what soft lacks of the full band.
    for detid in (f"{full}_1", f"{soft}_1"):
        assert found.loc[detid, event_columns].tolist() == [11, 1, 6, 0]
        assert found.loc[detid, beside].tolist() == [2, 1, 0, 1]
        assert found.loc[detid, "hr_event"] < -0.2
        assert found.loc[detid, "n_hard"] == in_box(hard, two)
    alone = found.loc[f"{soft}_2"]
    assert alone["n_soft_event"] == 11
    assert alone[["n_hard_event", "hr_event"]].isna().all()
    for detid in (f"{full}_2", f"{full}_3"):
        assert found.loc[detid, [*event_columns, *beside, "hr_event", "hr_after"]].isna().all()
        assert found.loc[detid, "hr"] == pytest.approx(ratio[0][0])


def test_without_soft_and_hard_runs_there_is_no_hardness_ratio(tmp_path):
    archive = Archive.create(tmp_path / "archive", Config.load(overrides=["cube.bands=[[0.2,12]]"]))
    archive.commit("0700000001", "OK", observation("0700000001", (1.0, 2.0), [(1.0, 2.0)]))
    make_features(archive.root, HERE)
    names = ["n_soft", "n_hard", "hr", "hr_lo", "hr_hi", "hr_event", "n_soft_event", "hr_after"]
    assert table(archive)[names].isna().all(axis=None)


def test_nothing_is_computed_before_it_is_asked_for(archive, reads):
    make_features(archive.root, HERE)
    reads.clear()
    lazy = open_archive(archive.root).features
    assert not [name for name in reads if name.endswith(".parquet")]
    assert len(lazy) == 36
