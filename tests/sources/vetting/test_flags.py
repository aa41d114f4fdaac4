"""Quality flags: what each says, and how the product follows the archive."""

import csv
import dataclasses

import numpy as np
import pandas as pd
import pytest
from helpers.flag_archives import add_features
from helpers.survey_archives import fill, make_survey, observation
from hypothesis import given
from hypothesis import strategies as st

from exod.archive import Archive
from exod.completeness.campaign import Point
from exod.completeness.fields import burst_places, common_time, quiet_field, with_bursts
from exod.config import Config
from exod.errors import ArchiveError, ConfigError, InputError
from exod.scheduler.plan import Plan
from exod.schemas import FEATURES, FLAGS, RATES
from exod.simulate import simulate
from exod.sources.vetting.artefacts import ArtefactRule
from exod.sources.vetting.features import Curves, features
from exod.sources.vetting.filters import apply, where
from exod.sources.vetting.flags import QUALITY_FLAGS, flag_names, quality_flags, regions_of_run
from exod.sources.vetting.hotregions import HotSearch
from exod.stages.completeness.virtual import searched
from exod.stages.derive import flags as stage
from exod.stages.derive.flaginputs import no_boxes, read_boxes, read_excluded
from exod.stages.derive.flags import FlagSettings, make_flags
from exod.stages.derive.flagtasks import settings_of

SYNC = Plan(scheduler="sync")
COLUMNS = sorted({name for flag in QUALITY_FLAGS for name in flag.needs})


def facts(**values) -> pd.DataFrame:
    """One region with nothing wrong, but for `values`."""
    good = {"t_bin": 50.0, "n_max": 9.0, "n_regions_run": 1, "excluded": False, "hot": False}
    good |= {"max_B_peak_log": 7.0, "max_B_eclipse_log": 0.0, "artefact": False}
    good |= dict.fromkeys(["n_max_isolated", "n_max_first_bin", "n_max_last_bin"], False)
    return pd.DataFrame([good | values])


def flags_of(**values) -> list[str]:
    found = quality_flags(facts(**values))
    return [name for name in found if found[name].iloc[0]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"t_bin": 5.0, "n_max": 4}, ["filt_tbin_5_n_l_5"]),
        ({"t_bin": 5.0, "n_max": 5}, []),
        ({"t_bin": 50.0, "n_max": 4}, []),
        ({"n_regions_run": 20}, []),
        ({"n_regions_run": 21}, ["filt_g_20_detections"]),
        ({"max_B_peak_log": 13.2}, []),
        ({"max_B_peak_log": 13.21}, ["filt_5sig"]),
        ({"max_B_eclipse_log": 12.39}, ["filt_5sig"]),
        ({"max_B_peak_log": np.nan, "max_B_eclipse_log": 12.39}, ["filt_5sig"]),
        ({"excluded": True}, ["filt_exclude_obsid"]),
        ({"hot": True}, ["filt_hot_pixel"]),
        ({"n_max_isolated": True}, ["filt_isolated_flare"]),
        ({"n_max_first_bin": True}, ["filt_first_last_bin"]),
        ({"n_max_last_bin": True}, ["filt_first_last_bin"]),
        ({"artefact": True}, ["filt_artefact"]),
    ],
)
def test_each_flag(values, expected):
    assert flags_of(**values) == expected


def test_missing_values_set_no_flag():
    rows = pd.DataFrame({name: [None, np.nan] for name in COLUMNS}, index=[7, 3])
    found = quality_flags(rows.astype(object))
    assert found.index.tolist() == [7, 3]
    assert [str(dtype) for dtype in found.dtypes] == ["bool"] * len(QUALITY_FLAGS)
    assert not found.to_numpy().any()


def test_rows_without_a_column_are_refused():
    with pytest.raises(InputError, match="filt_tbin_5_n_l_5 needs the columns n_max"):
        quality_flags(facts().drop(columns="n_max"))


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_regions_of_a_run_are_counted(runids):
    found = regions_of_run(pd.DataFrame({"runid": pd.Series(runids, dtype=str)}))
    assert found.tolist() == [runids.count(runid) for runid in runids]


def test_declarations_are_those_of_the_table():
    columns = {column.name: column for column in FLAGS.columns}
    for flag in QUALITY_FLAGS:
        assert columns[flag.name].description == flag.meaning
        assert flag.meaning.startswith(f"{flag.kind.title()}: ")
    assert [name for name in columns if name.startswith("filt_")] == flag_names()


# -------------------------------------------------------------------- the stage


def survey(tmp_path, n_observations=3, **options) -> Archive:
    archive = make_survey(tmp_path / "archive", n_observations, 3, **options)
    add_features(archive)
    return archive


def expected_flags(archive: Archive, excluded=()) -> pd.DataFrame:
    """The flags of an archive without hot regions and artefacts, from whole tables."""
    rows, features = archive.regions.compute(), archive.features.compute()
    new = features.columns.difference(rows.columns)
    rows = rows.merge(features[["detid", *new]], on="detid")
    many = rows["runid"].map(rows["runid"].value_counts()) > 20
    flags = {
        "filt_tbin_5_n_l_5": (rows["t_bin"] == 5) & (rows["n_max"] < 5),
        "filt_g_20_detections": many,
        "filt_5sig": (rows["max_B_peak_log"] > 13.2) | (rows["max_B_eclipse_log"] > 12.38),
        "filt_exclude_obsid": rows["obsid"].isin(excluded),
        "filt_hot_pixel": False,
        "filt_isolated_flare": rows["n_max_isolated"],
        "filt_first_last_bin": rows["n_max_first_bin"] | rows["n_max_last_bin"],
        "filt_artefact": False,
    }
    return FLAGS.frame(rows[["detid", "runid", "obsid"]].assign(**flags)).sort_values(
        "detid", ignore_index=True
    )


def flags_in(archive: Archive) -> pd.DataFrame:
    return archive.flags.compute().sort_values("detid", ignore_index=True)


def test_flags_are_those_of_whole_tables(tmp_path):
    archive = make_survey(tmp_path / "archive", 4, 25, t_bin=5.0)
    add_features(archive)
    first = archive.entries()[0].obsid
    made = make_flags(archive.root, FlagSettings(excluded={first: "a comet"}), SYNC)
    expected = expected_flags(archive, [first])
    pd.testing.assert_frame_equal(flags_in(archive), expected)
    for name in flag_names():
        assert made.summary[name] == expected[name].sum()
    assert made.summary["regions"] == len(expected) == 300
    assert expected["filt_g_20_detections"].all()
    assert archive.derived("flags").parameters["excluded"] == {first: "a comet"}


def test_nothing_new_makes_no_version(tmp_path):
    archive = survey(tmp_path)
    made = make_flags(archive.root, plan=SYNC)
    assert make_flags(archive.root, plan=SYNC) == made
    assert make_flags(archive.root, plan=SYNC, force=True).version != made.version


def test_rows_of_unchanged_observations_are_kept(tmp_path):
    archive = survey(tmp_path)
    make_flags(archive.root, plan=SYNC)
    before, old = flags_in(archive), archive.derived("flags").of("flags")[0]
    last = archive.entries()[-1].obsid
    new = observation("0799999999", (10.0, -89.99), [(10.0, -89.99), (190.0, -89.99)], seed=9)
    archive.commit("0799999999", "OK", new)
    archive.commit(last, "OK", observation(last, (0.01, 0.0), [(359.999, 0.0)], seed=5))
    add_features(archive)
    again = make_flags(archive.root, plan=SYNC)
    fresh = archive.derived("flags").of("flags")
    assert [file.path for file in fresh if old.path == file.path]
    assert sum(file.rows for file in fresh if file.path.startswith(f"flags/{again.version}")) == 9
    pd.testing.assert_frame_equal(flags_in(archive), expected_flags(archive))
    kept = flags_in(archive).query("obsid != '0799999999' and obsid != @last")
    pd.testing.assert_frame_equal(
        kept.reset_index(drop=True),
        before[before["obsid"] != last].reset_index(drop=True),
    )


def test_an_observation_that_loses_its_regions_loses_its_flags(tmp_path):
    archive = survey(tmp_path)
    make_flags(archive.root, plan=SYNC)
    gone = archive.entries()[0].obsid
    archive.commit(gone, "FAILED", reason="The file is damaged.")
    add_features(archive)
    make_flags(archive.root, plan=SYNC)
    pd.testing.assert_frame_equal(flags_in(archive), expected_flags(archive))
    assert gone not in set(archive.flags.compute()["obsid"])


def test_new_boxes_set_the_flag_of_kept_rows_too(tmp_path):
    """A box of the user over half of the detector: other parameters, all anew."""
    archive = survey(tmp_path)
    make_flags(archive.root, FlagSettings(boxes=no_boxes()), SYNC)
    boxes = pd.DataFrame(
        {"t_bin": [np.nan], "x_lo": [0.0], "x_hi": [1e5], "y_lo": -1e5, "y_hi": 1e5}
    )
    made = make_flags(archive.root, FlagSettings(boxes=boxes), SYNC)
    where = archive.derived_table("flags", "detector").compute().set_index("detid")
    found = flags_in(archive).set_index("detid")["filt_hot_pixel"]
    assert 0 < found.sum() < len(found)
    assert (found == (where["X_det"] >= 0).reindex(found.index)).all()
    table = archive.derived_table("flags", "hot_regions").compute()
    assert table["origin"].tolist() == ["given"]
    assert table["n_regions"].tolist() == [found.sum()] == [made.summary["filt_hot_pixel"]]


def test_settings_last_until_others_are_given(tmp_path):
    archive = survey(tmp_path)
    boxes = pd.DataFrame({"t_bin": [5.0, np.nan], "x_lo": 0.0, "x_hi": 1e5, "y_lo": 0.0, "y_hi": 1})
    settings = FlagSettings(None, ArtefactRule(tolerance=0.5), {"0700000001": "dust"}, boxes)
    made = make_flags(archive.root, settings, SYNC)
    assert settings_of(settings.described()).described() == settings.described()
    assert make_flags(archive.root, plan=SYNC) == made
    assert make_flags(archive.root, FlagSettings(), SYNC).version != made.version


def hot_survey(root, n_observations: int, spot=(6000.0, -2000.0), first=0) -> Archive:
    """Observations of different fields and angles, each with a region at one detector position."""
    random = np.random.default_rng(3)
    archive = Archive.create(root, Config())
    for number in range(n_observations):
        pointing = (random.uniform(0, 360), random.uniform(-80, 80))
        obsid = f"{number + 1:010d}"
        tables = observation(obsid, pointing, [pointing, pointing], seed=number, n_runs=1)
        angle = np.deg2rad(tables["observations"]["pa_pnt"].iloc[0])
        centre = tables["observations"]["x_ref"].iloc[0]
        regions = tables["regions"]
        x, y = spot
        # The rotation (method.md, Hot regions) the other way round.
        regions.loc[1, "X"] = centre + x * np.cos(angle) - y * np.sin(angle)
        regions.loc[1, "Y"] = centre + x * np.sin(angle) + y * np.cos(angle)
        if number >= first:
            archive.commit(obsid, "OK", tables)
    add_features(archive)
    return archive


def test_hot_spots_are_found_and_the_target_is_not_one(tmp_path):
    archive = hot_survey(tmp_path / "archive", 12)
    make_flags(archive.root, plan=SYNC)
    flags = flags_in(archive)
    assert flags["filt_hot_pixel"].tolist() == [False, True] * 12
    boxes = archive.derived_table("flags", "hot_regions").compute()
    box = boxes.iloc[0]
    assert len(boxes) == 1
    assert box["x_lo"] <= 6000 < box["x_hi"]
    assert box["y_lo"] <= -2000 < box["y_hi"]
    assert (box["n_regions"], box["n_observations"], box["t_bin"]) == (12, 12, 50.0)


def test_hot_regions_that_appear_later_flag_earlier_rows(tmp_path, monkeypatch):
    whole = hot_survey(tmp_path / "whole", 12)
    part = Archive.create(tmp_path / "part", Config())
    for number, entry in enumerate(whole.entries()):
        part.commit(entry.obsid, "OK", whole.observation(entry.obsid))
        if number in (2, 10, 11):
            add_features(part)
            make_flags(part.root, plan=SYNC)
        if number == 2:
            assert not part.flags.compute()["filt_hot_pixel"].any()
    make_flags(whole.root, plan=SYNC)
    pd.testing.assert_frame_equal(flags_in(part), flags_in(whole))
    assert flags_in(whole)["filt_hot_pixel"].sum() == 12
    # Many small parts are put together, without a change of rows.
    monkeypatch.setattr(stage, "MAX_PARTS", 2)
    part.commit("0000000099", "OK", observation("0000000099", (1.0, 2.0), [(1.0, 2.0)], n_runs=1))
    add_features(part)
    make_flags(part.root, plan=SYNC)
    made = part.derived("flags")
    assert len(made.of("flags")) == len(made.of("detector")) <= 4
    rows = flags_in(part)
    assert len(rows) == 25
    pd.testing.assert_frame_equal(rows[rows["obsid"] != "0000000099"], flags_in(whole))


def test_batches_do_not_matter(tmp_path, monkeypatch):
    archive = hot_survey(tmp_path / "archive", 8)
    make_flags(archive.root, plan=SYNC)
    once = flags_in(archive)
    monkeypatch.setattr(stage, "BATCH_OBSERVATIONS", 3)
    make_flags(archive.root, plan=SYNC, force=True)
    assert len(archive.derived("flags").of("flags")) == 3
    pd.testing.assert_frame_equal(flags_in(archive), once)


def test_the_hot_search_can_be_left_out(tmp_path):
    archive = hot_survey(tmp_path / "archive", 12)
    made = make_flags(archive.root, FlagSettings(hot=None), SYNC)
    assert (made.summary["hot_regions"], made.summary["filt_hot_pixel"]) == (0, 0)


def test_unknown_angles_are_never_hot(tmp_path):
    archive = hot_survey(tmp_path / "archive", 12)
    first = archive.entries()[0].obsid
    tables = archive.observation(first)
    tables["observations"]["pa_pnt"] = np.nan
    archive.commit(first, "OK", tables)
    add_features(archive)
    make_flags(archive.root, plan=SYNC)
    flags = flags_in(archive)
    assert not flags[flags["obsid"] == first]["filt_hot_pixel"].any()
    assert flags["filt_hot_pixel"].sum() == 11


@pytest.mark.parametrize("n_sources", [0, 1])
def test_archives_with_little_in_them(tmp_path, n_sources):
    archive = make_survey(tmp_path / "archive", 1, n_sources, n_runs=1)
    add_features(archive)
    made = make_flags(archive.root, plan=SYNC)
    assert made.summary["regions"] == len(archive.flags) == n_sources
    assert len(archive.derived_table("flags", "hot_regions")) == 0


def test_an_empty_archive(tmp_path):
    archive = Archive.create(tmp_path / "archive", Config())
    add_features(archive)
    assert make_flags(archive.root, plan=SYNC).summary["regions"] == 0
    assert list(archive.flags.compute().columns) == FLAGS.schema.names


def test_features_must_be_there(tmp_path, command):
    archive = make_survey(tmp_path / "archive", 1, 1)
    with pytest.raises(ArchiveError, match=r"none yet; run `exod features"):
        make_flags(archive.root, plan=SYNC)
    code, _, wrong = command("flags", archive.root)
    assert code == 1
    assert "exod features" in wrong


def test_observations_without_features_are_left_out(tmp_path, command):
    archive = survey(tmp_path)
    before = expected_flags(archive)
    old = archive.entries()[0].obsid
    new = "0799999999"
    for obsid in (old, new):
        archive.commit(obsid, "OK", observation(obsid, (1.0, 2.0), [(1.0, 2.0)]))
    archive.commit("0799999998", "EMPTY", {})
    made = make_flags(archive.root, plan=SYNC)
    assert made.left_out == (old, new)
    expected = before[before["obsid"] != old].reset_index(drop=True)
    pd.testing.assert_frame_equal(flags_in(archive), expected)
    assert make_flags(archive.root, plan=SYNC).version == made.version
    code, said, _ = command("flags", archive.root, "--scheduler", "sync")
    assert code == 0
    assert "2 observations left out, since features does not have what they are now" in said
    add_features(archive)
    assert make_flags(archive.root, plan=SYNC).left_out == ()
    pd.testing.assert_frame_equal(flags_in(archive), expected_flags(archive))


@pytest.mark.parametrize("t_bin", [5.0, 50.0, 100.0, 200.0])
def test_artefacts_are_seen_in_the_rates(tmp_path, t_bin):
    """All the field is ten times as bright when the region is, in one of two observations."""
    archive = Archive.create(tmp_path / "archive", Config())
    for obsid, factor in (("0000000001", 40), ("0000000002", 1)):
        tables = observation(obsid, (10.0, 20.0), [(10.0, 20.0)], n_runs=1, t_bin=t_bin)
        curve = tables["lightcurves"]
        event = 15
        curve["n"] = np.where(np.arange(30) == event, 40, 1)
        curve["B_peak_log"] = np.where(np.arange(30) == event, 9.0, 0.0)
        time = np.arange(0, 30 * t_bin, 100.0)
        n = np.full(len(time), 1000)
        n[(time < (event + 1) * t_bin) & (time + 100 > event * t_bin)] *= factor
        rates = [
            {"obsid": obsid, "subset": 0, "instrument": camera, "expid": "S001"}
            | {"time": t, "width": 100.0, "n": int(k)}
            for camera in ("EPN", "EMOS1")
            for t, k in zip(time, n, strict=True)
        ]
        tables["rates"] = fill(RATES, rates)
        archive.commit(obsid, "OK", tables)
    add_features(archive)
    make_flags(archive.root, plan=SYNC)
    assert flags_in(archive)["filt_artefact"].tolist() == [True, False]


# -------------------------------------------------------------------- what users give


def test_our_own_table_of_excluded_observations_is_sound():
    excluded = read_excluded()
    assert len(excluded) == 181
    assert excluded["0103461135"] == "moving target"
    assert FlagSettings().excluded == excluded


def test_our_own_table_of_excluded_observations_is_that_of_exod2(data_dir):
    with (data_dir / "exod2" / "excluded_observations.csv").open(newline="") as file:
        theirs = {row["obsid"]: row["reason"] for row in csv.DictReader(file)}
    assert read_excluded() == theirs


def test_a_region_of_an_excluded_observation_is_flagged_by_default(tmp_path):
    archive = Archive.create(tmp_path / "archive", Config())
    for obsid in ("0103461135", "0000000001"):
        archive.commit(obsid, "OK", observation(obsid, (80.0, -70.0), [(80.0, -70.0)], n_runs=1))
    add_features(archive)
    make_flags(archive.root, plan=SYNC)
    found = archive.flags.compute()
    flagged = found.loc[found["filt_exclude_obsid"], "obsid"]
    assert set(flagged) == {"0103461135"}
    assert set(found["obsid"]) == {"0103461135", "0000000001"}


def test_excluded_observations_of_the_user(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("# mine\nobsid,reason\n0000000002,dust\n0000000001,a comet\n")
    assert read_excluded(path) == {"0000000001": "a comet", "0000000002": "dust"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("obsid\n0000000001\n", "must have the columns obsid, reason"),
        ("obsid,reason\n123456,dust\n", "ten digits, or the number"),
        ("obsid,reason\n0000000001, \n", "without a reason"),
        ("obsid,reason\n0000000001,a\n0000000001,b\n", "twice"),
        ("", "cannot be read"),
    ],
)
def test_bad_tables_of_excluded_observations(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_excluded(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_excluded(tmp_path / "missing.csv")


def test_boxes_of_the_user(tmp_path):
    table, toml = tmp_path / "hot.csv", tmp_path / "hot.toml"
    table.write_text("t_bin,x_lo,x_hi,y_lo,y_hi\n5,0,400,-400,0\n,1,2,3,4\n")
    toml.write_text(
        "[[box]]\nt_bin = 5\nx_lo = 0\nx_hi = 400\ny_lo = -400\ny_hi = 0\n"
        "[[box]]\nx_lo = 1\nx_hi = 2\ny_lo = 3\ny_hi = 4\n"
    )
    pd.testing.assert_frame_equal(read_boxes(table), read_boxes(toml))
    assert read_boxes(table)["t_bin"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "x_lo,x_hi,y_lo\n1,2,3\n", "need the columns"),
        ("a.csv", "x_lo,x_hi,y_lo,y_hi\n2,1,3,4\n", "box 1 is empty"),
        ("a.csv", "x_lo,x_hi,y_lo,y_hi\n1,2,3,\n", "box 1 is empty"),
        ("a.csv", "x_lo,x_hi,y_lo,y_hi\n1,b,3,4\n", "must be numbers"),
        ("a.csv", "x_lo,x_hi,y_lo,y_hi,z\n1,2,3,4,5\n", "need the columns"),
        ("a.toml", "box = 1\n", "must have tables"),
        ("a.toml", "[[box]\n", "cannot be read"),
    ],
)
def test_bad_boxes(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_boxes(path)


def test_boxes_of_exod2_have_a_corner_and_sides(tmp_path):
    corner, edges = tmp_path / "corner.csv", tmp_path / "edges.csv"
    corner.write_text("t_bin,x,y,w,h\n5,9536.02,13601.21,588.91,600.74\n,-1,-2,3,4\n")
    edges.write_text(
        "t_bin,x_lo,x_hi,y_lo,y_hi\n5,9536.02,10124.93,13601.21,14201.95\n,-1,2,-2,2\n"
    )
    pd.testing.assert_frame_equal(read_boxes(corner), read_boxes(edges))
    for text in ("x,y,w,h\n1,2,-3,4\n", "x,y,w,h,x_lo\n1,2,3,4,5\n", "x,y,w,h\n1,2,a,4\n"):
        corner.write_text(text)
        with pytest.raises(ConfigError, match=r"box 1 is empty|need the columns|must be numbers"):
            read_boxes(corner)


def in_published_boxes(archive, boxes, pivot) -> dict[str, bool]:
    """The rotation word by word (method.md, Hot regions), a region at a time."""
    found = {}
    angles = archive.observations.compute().set_index("obsid")["pa_pnt"]
    for row in archive.regions.compute().itertuples():
        a, dx, dy = np.deg2rad(angles[row.obsid]), row.X - pivot[0], row.Y - pivot[1]
        x = dx * np.cos(-a) - dy * np.sin(-a)
        y = dx * np.sin(-a) + dy * np.cos(-a)
        found[row.detid] = any(
            (np.isnan(box.t_bin) or box.t_bin == row.t_bin)
            and box.x_lo <= x < box.x_hi
            and box.y_lo <= y < box.y_hi
            for box in boxes.itertuples()
        )
    return found


@pytest.mark.drill
def test_boxes_about_a_pivot_of_their_own(tmp_path, command):
    """Also of observations whose flags are set again since the hot regions moved."""
    whole = hot_survey(tmp_path / "whole", 12)
    path, pivot = tmp_path / "boxes.csv", (25719.0, 25719.0)
    # The spot is within 286 pixels of its place about the pointing, at a different one each time.
    path.write_text("x,y,w,h\n5714,-2286,480,600\n-3000,-3000,3000,6000\n")
    expected = in_published_boxes(whole, read_boxes(path), pivot)
    assert 3 < sum(expected.values()) < 21, "some are in the boxes, some are not"
    about_pointing = in_published_boxes(whole, read_boxes(path), (25921.0, 25921.0))
    assert about_pointing != expected
    options = ("--boxes", path, "--scheduler", "sync")
    assert command("flags", whole.root, *options, "--no-hot-search")[0] == 0
    assert dict(flags_in(whole)[["detid", "filt_hot_pixel"]].to_numpy()) == about_pointing
    more = (*options, "--pivot", "25719,25719")
    assert command("flags", whole.root, *more, "--no-hot-search")[0] == 0
    assert dict(flags_in(whole)[["detid", "filt_hot_pixel"]].to_numpy()) == expected
    given_boxes = whole.derived_table("flags", "hot_regions").compute()
    assert set(given_boxes["origin"]) == {"given, about 25719, 25719"}
    assert given_boxes["n_regions"].sum() >= sum(expected.values())

    part = Archive.create(tmp_path / "part", Config())
    for number, entry in enumerate(whole.entries()):
        part.commit(entry.obsid, "OK", whole.observation(entry.obsid))
        if number in (2, 11):
            add_features(part)
            assert command("flags", part.root, *more)[0] == 0
    found = dict(flags_in(part)[["detid", "filt_hot_pixel"]].to_numpy())
    spots = {name: name.endswith("_1") for name in expected}
    assert found == {name: expected[name] or spots[name] for name in expected}


@pytest.mark.parametrize("pivot", ["25719", "a,b", "1,2,3", "nan,1", "inf,1"])
def test_wrong_pivots(tmp_path, command, pivot):
    path = tmp_path / "boxes.csv"
    path.write_text("x_lo,x_hi,y_lo,y_hi\n1,2,3,4\n")
    code, _, wrong = command("flags", tmp_path, "--boxes", path, "--pivot", pivot)
    assert (code, "--pivot takes a sky pixel" in wrong) == (2, True)
    code, _, wrong = command("flags", tmp_path, "--pivot", "25719,25719")
    assert (code, "--boxes FILE" in wrong) == (2, True)


def test_the_command(tmp_path, command):
    archive = hot_survey(tmp_path / "archive", 12)
    excluded = tmp_path / "mine.csv"
    excluded.write_text("obsid,reason\n0000000003,dust\n")
    code, said, _ = command("flags", archive.root, "--excluded", excluded, "--scheduler", "sync")
    assert code == 0
    assert "24 regions; 1 hot region of the detector." in said
    assert flags_in(archive)["filt_exclude_obsid"].sum() == 2
    code, _, wrong = command("flags", archive.root, "--boxes", tmp_path / "none.csv")
    assert code == 2
    assert "cannot be read" in wrong


def test_settings_are_described_in_full():
    described = FlagSettings().described()
    assert described["hot"] == dataclasses.asdict(HotSearch())
    assert set(described) == {"hot", "artefacts", "excluded", "boxes"}
    assert set(FEATURES.schema.names) >= {"n_max", "n_max_isolated"}


# -------------------------------------------------------------------- bursts in one frame


def test_bursts_in_one_frame_stay_clean():
    """Five-sigma bursts shorter than a frame; before and after them a faint field has nothing."""
    point = Point(30.0, 2.0, 6.0, "quiet", 1, 5)
    generator, field = point.generator(), quiet_field(point, 4000.0)
    places = burst_places(field, point.off_axis, 12, generator)
    # All of each burst is in one frame, counted from any start of a frame of 5 s.
    starts = common_time(field)[0] + 101.0 + 300.0 * np.arange(len(places))
    model = with_bursts(field, places, starts, point.duration, point.amplitude)
    rows = []
    config = Config.parse({"cube": {"t_bin": [5.0], "bands": [[0.2, 12.0]]}})
    (run,) = searched(simulate(model, 3), config)
    for item in run.regions:
        curve = item.light_curve
        one = features(
            Curves(
                np.array([0, len(curve.n)]),
                np.array([run.t_bin]),
                *(curve.n, curve.mu, curve.bti, curve.bccd),
                *(curve.B_peak_log, curve.B_eclipse_log),
            )
        )
        rows.append({name: values[0] for name, values in one.items()})
    found = pd.DataFrame(rows).assign(t_bin=run.t_bin, n_regions_run=len(rows))
    found = found.assign(excluded=False, hot=False, artefact=False)
    found = found.join(quality_flags(found))
    bursts = found[found["filt_5sig"] & found["filt_isolated_flare"]]
    assert len(bursts) >= 5
    kept, _ = apply(where(clean=True), bursts)
    assert len(kept) == len(bursts)
    kept, _ = apply(where(clean=True, without="isolated_flare"), bursts)
    assert kept.empty
