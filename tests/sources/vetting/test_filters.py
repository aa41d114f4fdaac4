"""Filters: what each keeps, how they count, and how they read an archive."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.examples import portion
from helpers.flag_archives import add_features
from helpers.query_archives import make_queried
from helpers.survey_archives import fill, make_survey, observation
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.archive import Archive
from exod.archive.increments import deriving, write_part
from exod.config import Config
from exod.errors import ArchiveError, ConfigError, InputError
from exod.scheduler.plan import Plan
from exod.schemas import DERIVED, FEATURES, FLAGS, MATCH, MEMBERS, REGIONS
from exod.schemas.columns import Column, Table
from exod.sources.vetting.filterkinds import DEFECTS, FILTERS, N_REGIONS, VARIABLE
from exod.sources.vetting.filters import COUNTS, apply, parse, subset_counts, subsets, where
from exod.sources.vetting.flags import flag_names
from exod.stages.derive.flags import make_flags
from exod.stages.query.filters import filter_archive, open_regions

SYNC = Plan(scheduler="sync")
TESTS = {
    "t_bin=5,200": lambda r: r["t_bin"] in (5.0, 200.0),
    "band=0.2-2,0.2-12": lambda r: (r["e_lo"], r["e_hi"]) in ((0.2, 2.0), (0.2, 12.0)),
    "max_regions=2": lambda r: r[N_REGIONS] <= 2,
    "max_intensity=10": lambda r: r["intensity_mean"] <= 10,
    "max_pixel_intensity=0.5": lambda r: r["intensity_mean"] <= 0.5 * r["area_bbox"],
    "max_area=36": lambda r: r["area_bbox"] <= 36,
    "min_sigma_peak=5": lambda r: r["sigma_peak"] >= 5,
    "min_sigma_eclipse=5": lambda r: r["sigma_eclipse"] >= 5,
    "min_sigma=5": lambda r: r["sigma_peak"] >= 5 or r["sigma_eclipse"] >= 5,
    "five_sigma=yes": lambda r: r["filt_5sig"],
    "five_sigma=no": lambda r: not r["filt_5sig"],
    "min_counts=20": lambda r: r["n_sum"] >= 20,
    "max_counts=20": lambda r: r["n_sum"] <= 20,
    "min_n_max=5": lambda r: r["n_max"] >= 5,
    "max_n_max=5": lambda r: r["n_max"] <= 5,
    "max_bad_ccd=0.1": lambda r: r["ratio_bccd"] <= 0.1,
    "min_length=20": lambda r: r["length"] >= 20,
    "min_bins=peak:3:all:2": lambda r: r["n_3_sig_peak_bins"] >= 2,
    "max_bins=eclipse:5:bti:0": lambda r: r["n_5_sig_eclipse_bins_bti"] <= 0,
    "min_bins=peak:5:gti:1": lambda r: r["n_5_sig_peak_bins_gti"] >= 1,
    "max_sep=gaia:5": lambda r: r["gaia_sep_arcsec"] <= 5,
    "min_sep=gaia:5": lambda r: not r["gaia_sep_arcsec"] <= 5,
    "not_variable_4xmm=yes": lambda r: r[VARIABLE] is not True,
    "not_variable_4xmm=no": lambda r: r[VARIABLE] is True,
    "flag=hot_pixel,filt_artefact": lambda r: r["filt_hot_pixel"] or r["filt_artefact"],
    "without=hot_pixel": lambda r: not r["filt_hot_pixel"],
    "clean=yes": lambda r: not any(r[name] for name in DEFECTS),
    "clean=no": lambda r: any(r[name] for name in DEFECTS),
}

NUMBERS = (
    "intensity_mean",
    "area_bbox",
    "sigma_peak",
    "sigma_eclipse",
    "n_sum",
    "n_max",
    "ratio_bccd",
    "length",
    "n_3_sig_peak_bins",
    "n_5_sig_eclipse_bins_bti",
    "n_5_sig_peak_bins_gti",
    "gaia_sep_arcsec",
)

number = st.one_of(st.just(np.nan), st.integers(0, 50).map(float))
row = st.fixed_dictionaries(
    {
        "t_bin": st.sampled_from([5.0, 50.0, 200.0]),
        "e_lo": st.sampled_from([0.2, 2.0]),
        "e_hi": st.sampled_from([2.0, 12.0]),
        "obsid": st.sampled_from(["1", "2", "3"]),
        N_REGIONS: st.integers(1, 4),
        VARIABLE: st.sampled_from([True, False, None]),
    }
    | {name: st.booleans() for name in flag_names()}
    | dict.fromkeys(NUMBERS, number)
)
tables = st.lists(row, min_size=1, max_size=12)


def frame(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, index=range(3, 3 + len(rows)))


def test_every_kind_of_filter_is_tested():
    assert {text.partition("=")[0] for text in TESTS} == set(FILTERS)


@pytest.fixture(scope="module")
def many_rows() -> list[dict[str, object]]:
    """Rows in which every value of `row` occurs, each with many others."""
    random = np.random.default_rng(1)
    return [
        {
            "t_bin": random.choice([5.0, 50.0, 200.0]),
            "e_lo": random.choice([0.2, 2.0]),
            "e_hi": random.choice([2.0, 12.0]),
            "obsid": random.choice(["1", "2", "3"]),
            N_REGIONS: int(random.integers(1, 5)),
            VARIABLE: [True, False, None][random.integers(3)],
        }
        | {name: bool(random.random() < 0.1) for name in flag_names()}
        | {name: random.choice([np.nan, *map(float, range(51))]) for name in NUMBERS}
        for _ in range(500)
    ]


@pytest.mark.parametrize("text", sorted(TESTS))
def test_each_filter_is_its_plain_condition(many_rows, text):
    item = parse(text)
    expected = [bool(TESTS[text](r)) for r in many_rows]
    assert 0 < sum(expected) < len(expected)
    assert item.keeps(frame(many_rows)).tolist() == expected
    assert str(item) == text


@settings(max_examples=portion(10))
@given(tables, st.lists(st.sampled_from(sorted(TESTS)), max_size=4))
def test_counts_are_those_of_loops(rows, texts):
    table = frame(rows)
    kept, counts = apply(map(parse, texts), table)
    left = list(rows)
    for text, (_, count) in zip(texts, counts.iterrows(), strict=True):
        assert (count["filter"], count["before"]) == (text, len(left))
        left = [r for r in left if TESTS[text](r)]
        assert (count["kept"], count["removed"]) == (len(left), count["before"] - len(left))
        alone = sum(bool(TESTS[text](r)) for r in rows)
        assert (count["kept_alone"], count["removed_alone"]) == (alone, len(rows) - alone)
    assert len(kept) == len(left)
    assert kept.index.isin(table.index).all()
    again, _ = apply(map(parse, reversed(texts)), table)
    assert again.index.tolist() == kept.index.tolist()


@settings(max_examples=portion(8))
@given(tables)
def test_subsets_are_none_or_one_of_each_list(rows):
    table = frame(rows)
    first, second = where(t_bin=5) + where(t_bin=50), where(min_sigma=5)
    found = subset_counts(table, first, second).set_index("filters")["kept"]
    assert len(subsets(first, second)) == len(found) == 6
    assert found["all"] == len(rows)
    both = [r for r in rows if r["t_bin"] == 50 and TESTS["min_sigma=5"](r)]
    assert found["t_bin=50 min_sigma=5"] == len(both)
    assert subsets() == [()]


@settings(max_examples=portion(10))
@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_regions_of_an_observation_are_counted_where_nobody_did(obsids):
    rows = pd.DataFrame({"obsid": pd.Series(obsids, dtype=str)})
    kept = where(max_regions=2)[0].keeps(rows)
    assert kept.tolist() == [obsids.count(obsid) <= 2 for obsid in obsids]


def test_values_in_python():
    assert [str(item) for item in where(t_bin=[5, 50], clean=True, max_area=36)] == [
        "t_bin=5,50",
        "clean=yes",
        "max_area=36",
    ]
    assert apply([], frame([]))[1].columns.tolist() == COUNTS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour=red", r"no filter 'colour'; use one of t_bin, band"),
        ("t_bin", r"t_bin is written t_bin=S,"),
        ("max_area=wide", "max_area is written max_area=N"),
        ("max_area=nan", "max_area is written max_area=N"),
        ("band=0.2", "band is written band=LO-HI"),
        ("max_sep=5", "max_sep is written max_sep=PREFIX:ARCSEC"),
        ("min_bins=peak:4:all:1", "min_bins is written"),
        ("min_bins=peak:3", "min_bins is written"),
        ("flag=bad", "there is no flag filt_bad; use filt_tbin_5_n_l_5"),
        ("clean=maybe", "clean is written clean=yes|no".replace("|", r"\|")),
    ],
)
def test_filters_that_there_are_not(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text)


def test_missing_columns_are_named():
    with pytest.raises(InputError, match="max_area=36 needs the columns area_bbox"):
        apply(where(max_area=36), pd.DataFrame({"t_bin": [5.0]}))


def test_columns_are_those_of_the_tables():
    known = {name for table in (REGIONS, FEATURES, FLAGS) for name in table.schema.names}
    known.add(N_REGIONS)
    for text in TESTS:
        item = parse(text)
        if item.name not in ("max_sep", "min_sep", "not_variable_4xmm"):
            assert set(item.needs) <= known


# -------------------------------------------------------------------- archives


@pytest.fixture(scope="module")
def survey(tmp_path_factory) -> Archive:
    """Seven observations with features and flags; not to be changed."""
    archive = make_survey(tmp_path_factory.mktemp("survey") / "archive", 7, 5)
    add_features(archive)
    make_flags(archive.root, plan=SYNC)
    return archive


def test_an_archive_is_filtered_as_whole_tables_are(survey):
    filters = where(band="0.2-2,2-12", without="first_last_bin", min_n_max=5, max_regions=15)
    found = filter_archive(survey.root, filters, [where(clean=True), where(t_bin=50)])
    rows = survey.regions.compute()
    for table in (survey.features.compute(), survey.flags.compute()):
        rows = rows.merge(table[["detid", *table.columns.difference(rows.columns)]], on="detid")
    kept, counts = apply(filters, rows)
    assert found.kept["detid"].tolist() == sorted(kept["detid"])
    pd.testing.assert_frame_equal(found.counts, counts)
    assert found.n_regions == len(rows) == 105
    assert 0 < len(kept) < len(rows)
    assert found.subsets["kept"].tolist()[0] == len(kept)
    assert found.left_out == {}
    assert len(filter_archive(survey.root, where(max_regions=14)).kept) == 0


def test_nothing_is_read_before_it_is_asked_for(survey, monkeypatch):
    monkeypatch.setattr(
        "exod.archive.questions.sql.connected", lambda *_: pytest.fail("it was read")
    )
    rows = open_regions(survey, ["n_max", "filt_5sig"])
    assert {"n_max", "filt_5sig", N_REGIONS} <= set(rows.columns)


def test_the_command(survey, tmp_path, command):
    arguments = ["filter", survey.root, "--filter", "band=0.2-2", "--filter", "clean=yes"]
    for name in ("kept.csv", "kept.parquet"):
        code, said, _ = command(*arguments, "--to", tmp_path / name)
        assert code == 0
    filtered = filter_archive(survey.root, where(band="0.2-2", clean=True)).kept
    assert f"{len(filtered)} of 105 regions kept." in said
    read = pd.read_csv(tmp_path / "kept.csv", dtype={"obsid": str})
    assert read["detid"].tolist() == filtered["detid"].tolist()
    assert pd.read_parquet(tmp_path / "kept.parquet")["obsid"].tolist() == read["obsid"].tolist()
    code, said, _ = command("filter", survey.root, "--subsets", "t_bin=5 t_bin=50")
    assert code == 0
    assert "t_bin=50" in said
    code, said, _ = command("filter", "--list")
    assert code == 0
    assert all(name in said for name in FILTERS)


@pytest.fixture(scope="module")
def clustered(tmp_path_factory) -> Archive:
    """Six observations with sources, features and flags; not to be changed."""
    return make_queried(tmp_path_factory.mktemp("clustered") / "archive")


@pytest.mark.parametrize(
    "conditions",
    [{}, {"min_length": 12}, {"five_sigma": True, "band": "0.2-2"}, {"min_sigma": 99}],
)
def test_sources_and_light_curves_of_what_is_kept(clustered, tmp_path, command, conditions):
    filters = where(**conditions)
    rows = clustered.detections.compute()
    kept, _ = apply(filters, rows)
    names = [f"--filter={item}" for item in filters]
    files = {name: tmp_path / f"{name}.parquet" for name in ("to", "sources", "light-curves")}
    options = [text for name, path in files.items() for text in (f"--{name}", path)]
    code, said, _ = command("filter", clustered.root, *names, *options)
    assert code == 0
    numbers = kept.groupby("region_num")["detid"].agg("count")
    assert f"{len(kept)} of {len(rows)} regions kept, of {len(numbers)} unique source" in said
    found = pd.read_parquet(files["sources"])
    assert found["region_num"].tolist() == sorted(numbers.index)
    assert found["n_kept"].tolist() == numbers.sort_index().tolist()
    seen = kept.groupby("region_num")["obsid"].nunique().sort_index()
    assert found["n_kept_observations"].tolist() == seen.tolist()
    sources = clustered.unique.compute().set_index("region_num").loc[found["region_num"]]
    assert found["srcid"].tolist() == sources["srcid"].tolist()
    curves = clustered.lightcurves.compute()
    expected = curves[curves["detid"].isin(set(kept["detid"]))]
    expected = expected.sort_values(["runid", "label", "time"], ignore_index=True)
    written = pd.read_parquet(files["light-curves"])
    assert list(written.columns) == list(expected.columns)
    assert written["detid"].tolist() == expected["detid"].tolist()
    for name in ("time", "n", "mu", "B_peak_log"):
        np.testing.assert_array_equal(written[name], expected[name])
    assert pd.read_parquet(files["to"])["detid"].tolist() == sorted(kept["detid"])


def test_sources_of_each_subset_are_counted(clustered, command):
    lists = [where(min_length=12), [*where(band="0.2-2"), *where(five_sigma=True)]]
    found = filter_archive(clustered.root, where(min_length=3), lists)
    rows, _ = apply(where(min_length=3), clustered.detections.compute())
    for choice, number in zip(subsets(*lists), found.subsets["sources"], strict=True):
        assert number == apply(choice, rows)[0]["region_num"].nunique()
    assert found.n_sources == rows["region_num"].nunique()
    code, said, _ = command("filter", clustered.root, "--subsets", "min_length=12")
    assert code == 0
    assert "sources" in said


def test_sources_need_a_clustering(survey, tmp_path, command):
    code, said, _ = command("filter", survey.root, "--subsets", "t_bin=5")
    assert code == 0
    assert "run `exod cluster" in said.replace("\n", " ")
    code, _, error = command("filter", survey.root, "--sources", tmp_path / "sources.csv")
    assert code == 1
    assert "exod cluster" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--filter", "colour=red"], "There is no filter 'colour'"),
        (["--to", "kept.doc"], "kept.doc ends in no known format"),
        (["--sources", "kept.doc"], "kept.doc ends in no known format"),
        (["--light-curves", "kept.doc"], "kept.doc ends in no known format"),
        (["--to", "kept.csv", "--sources", "./kept.csv"], "give each a file of its own"),
        (["--sources", "a.fits", "--light-curves", "a.fits"], "give each a file of its own"),
        (["--subsets", "t_bin=5 colour=red"], "There is no filter 'colour'"),
    ],
)
def test_wrong_usage(survey, command, arguments, message):
    code, _, wrong = command("filter", survey.root, *arguments)
    assert code == 2
    assert message in wrong
    code, _, wrong = command("filter")
    assert code == 2
    assert "Give an archive" in wrong


@pytest.mark.parametrize("option", ["--to", "--sources", "--light-curves"])
def test_what_is_there_is_kept_unless_it_is_to_be_replaced(clustered, command, tmp_path, option):
    path = tmp_path / "kept.csv"
    path.write_text("mine")
    arguments = ["filter", clustered.root, "--filter", "min_sigma=3", option, path]
    code, said, wrong = command(*arguments)
    assert (code, said, path.read_text()) == (2, "", "mine")
    assert "kept.csv exists; give another name, or --overwrite." in " ".join(wrong.split())
    code, _, _ = command(*arguments, "--overwrite")
    assert code == 0
    assert path.read_text() != "mine"


def test_products_that_are_missing_or_behind(tmp_path, command):
    archive = make_survey(tmp_path / "archive", 2, 2)
    assert len(filter_archive(archive.root, where(max_area=36)).kept) == 12
    for filters, message in (
        (where(min_n_max=1), "exod features"),
        (where(clean=True), "exod flags"),
        (where(max_sep="gaia:5"), "exod cluster"),
    ):
        with pytest.raises(ArchiveError, match=message):
            filter_archive(archive.root, filters)
    add_features(archive)
    archive.commit("0799999999", "OK", observation("0799999999", (1.0, 2.0), [(1.0, 2.0)]))
    found = filter_archive(archive.root, where(min_n_max=1))
    assert found.left_out == {"features": ("0799999999",)}
    assert (found.n_regions, len(found.kept)) == (12, 12)
    code, said, _ = command("filter", archive.root, "--filter", "min_n_max=1")
    assert code == 0
    assert "1 observation left out, since features does not have" in said


@pytest.mark.parametrize("n_observations", [0, 2])
def test_archives_without_regions(tmp_path, n_observations):
    archive = make_survey(tmp_path / "archive", n_observations, 0)
    add_features(archive)
    make_flags(archive.root, plan=SYNC)
    found = filter_archive(archive.root, where(clean=True, min_n_max=1), [where(t_bin=5)])
    assert (found.n_regions, len(found.kept)) == (0, 0)
    assert found.counts["kept"].tolist() == found.subsets["kept"].tolist() == [0, 0]


def test_counterparts_are_joined_through_the_unique_sources(tmp_path):
    archive = make_survey(tmp_path / "archive", 1, 3, n_runs=1)
    regions = archive.regions.compute().sort_values("detid", ignore_index=True)
    known = regions[["detid", "obsid"]].assign(region_num=[10, 11, 12], srcid=["A", "B", "C"])
    members = fill(MEMBERS, known.to_dict("records"))
    attempts = {entry.obsid: entry.attempt for entry in archive.entries()}
    with deriving(archive.store, "unique", DERIVED["unique"]) as new:
        new.attempts = attempts
        new.files.append(write_part(archive.store, new.folder, MEMBERS, members, "0"))
    separation = Column("DR14_sep_arcsec", pa.float64(), "arcsec", "Separation")
    variable = Column(VARIABLE, pa.bool_(), "", "Variable", nullable=True)
    table = Table("xmatch", "Counterparts", (*MATCH, separation, variable), ("region_num",))
    rows = fill(table, [{"region_num": number} for number in (10, 11, 12)]).assign(
        DR14_sep_arcsec=[1.0, 9.0, np.nan], **{VARIABLE: pd.array([True, False, None], "boolean")}
    )
    with deriving(archive.store, "xmatch-xmm", [table]) as new:
        new.files.append(write_part(archive.store, new.folder, table, rows, "0"))

    def kept(**conditions):
        return filter_archive(archive.root, where(**conditions)).kept["srcid"].tolist()

    assert kept(max_sep="DR14:5") == ["A"]
    assert kept(min_sep="DR14:5") == ["B", "C"]
    assert kept(not_variable_4xmm=True) == ["B", "C"]
    assert kept(not_variable_4xmm=True, max_sep="DR14:10") == ["B"]
    with pytest.raises(ArchiveError, match="has the column gaia_sep_arcsec"):
        kept(max_sep="gaia:5")


def test_the_empty_archive_of_a_new_survey(tmp_path):
    archive = Archive.create(tmp_path / "archive", Config())
    assert filter_archive(archive.root, where(t_bin=5)).n_regions == 0
