"""Conditions equal a row-by-row evaluation; queries read little and give what they should."""

from __future__ import annotations

import math
import operator
import pickle
import re
import tempfile

import dask
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.query_archives import BIG, make_queried
from helpers.survey_archives import make_survey, observation
from hypothesis import given
from hypothesis import strategies as st

from exod.archive import Archive
from exod.archive.increments import deriving
from exod.archive.parquet import to_pandas
from exod.archive.questions import sql
from exod.archive.snapshot import Snapshot
from exod.errors import ArchiveError, ConfigError
from exod.schemas import DERIVED
from exod.schemas.columns import NULLABLE, Column, Table, pandas_dtype
from exod.schemas.conditions import Cone, Query, parse
from exod.schemas.conditions.compiling import quoted
from exod.stages.query.rows import PlannedQuery, kind_of, select

# -------------------------------------------------------------------- conditions

TABLE = Table(
    "t",
    "Anything",
    (
        Column("a", pa.int64(), "", ""),
        Column("b", pa.int16(), "", "", nullable=True),
        Column("x", pa.float64(), "", ""),
        Column("y", pa.float32(), "", "", nullable=True),
        Column("s", pa.string(), "", ""),
        Column("t", pa.string(), "", "", nullable=True),
        Column("p", pa.bool_(), "", ""),
        Column("q", pa.bool_(), "", "", nullable=True),
    ),
    (),
)
KINDS = {"a": "number", "b": "number", "x": "number", "y": "number"} | {
    "s": "text",
    "t": "text",
    "p": "boolean",
    "q": "boolean",
}
SIGNS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
small = st.integers(-3, 3)
numbers = st.one_of(
    small,
    st.sampled_from([0.1, -0.5, 2.0, 1e9, 70000, 40000]),
)
words = st.sampled_from(["", "0001730201", "b", "bc", "ä", "'", "c\\"])
ROWS = st.lists(
    st.tuples(
        st.one_of(small, st.sampled_from([2**62 + 1, -(2**53) - 1])),
        st.none() | small,
        st.sampled_from([math.nan, math.inf, 0.1, -0.5, 1.0, 2.0]),
        st.none() | st.sampled_from([math.nan, 0.1, 0.5, 2.0]),
        words,
        st.none() | words,
        st.booleans(),
        st.none() | st.booleans(),
    ),
    max_size=8,
)


def missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


# A random expression is its text and a plain function of a row.


def column(name: str):
    position = list(KINDS).index(name)
    return name, lambda row: row[position]


number_leaf = st.sampled_from("abxy").map(column) | numbers.map(
    lambda value: (repr(value), lambda row: value)
)
text_leaf = st.sampled_from("st").map(column) | words.map(
    lambda value: (repr(value), lambda row: value)
)


def arithmetic(left, sign, right):
    def compute(row):
        values = left[1](row), right[1](row)
        if any(map(missing, values)):
            return math.nan
        one, two = map(float, values)
        if sign == "/":
            if two == 0 or math.isinf(two):
                return float(np.divide(np.float64(one), np.float64(two)))
            return one / two
        result = {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign](one, two)
        return math.nan if math.isnan(result) else result

    return f"({left[0]} {sign} {right[0]})", compute


number = number_leaf | st.builds(arithmetic, number_leaf, st.sampled_from("+-*/"), number_leaf)


def comparison(left, sign, right):
    def holds(row):
        values = left[1](row), right[1](row)
        return not any(map(missing, values)) and SIGNS[sign](*values)

    return f"{left[0]} {sign} {right[0]}", holds


def chain(one, first, two, second, three):
    def holds(row):
        return comparison(one, first, two)[1](row) and comparison(two, second, three)[1](row)

    return f"{one[0]} {first} {two[0]} {second} {three[0]}", holds


def listed(left, sign, values):
    def holds(row):
        value = left[1](row)
        return not missing(value) and (value in values) is (sign == "in")

    return f"{left[0]} {sign} {values!r}", holds


def null(leaf, function):
    return f"{function}({leaf[0]})", lambda row: missing(leaf[1](row)) is (function == "isnull")


def between(value, low, high):
    def holds(row):
        return comparison(low, "<=", value)[1](row) and comparison(value, "<=", high)[1](row)

    return f"between({value[0]}, {low[0]}, {high[0]})", holds


def text_test(value, function, part):
    tests = {"startswith": str.startswith, "endswith": str.endswith, "contains": str.__contains__}

    def holds(row):
        return not missing(value[1](row)) and tests[function](value[1](row), part)

    return f"{function}({value[0]}, {part!r})", holds


signs = st.sampled_from(sorted(SIGNS))
inside = st.sampled_from(["in", "not in"])
simple = st.one_of(
    st.builds(comparison, number, signs, number),
    st.builds(comparison, text_leaf, signs, text_leaf),
    st.builds(chain, number_leaf, signs, number_leaf, signs, number_leaf),
    st.builds(listed, number_leaf, inside, st.lists(numbers, max_size=3)),
    st.builds(listed, text_leaf, inside, st.lists(words, max_size=3)),
    st.builds(null, number_leaf | text_leaf, st.sampled_from(["isnull", "notnull"])),
    st.builds(between, number_leaf, number_leaf, number_leaf),
    st.builds(text_test, text_leaf, st.sampled_from(["startswith", "endswith", "contains"]), words),
    st.sampled_from("pq").map(lambda n: (n, lambda row: bool(row[list(KINDS).index(n)]))),
    st.builds(
        comparison, st.sampled_from("pq").map(column), signs, st.sampled_from("pq").map(column)
    ),
)
expressions = st.recursive(
    simple,
    lambda inner: st.one_of(
        inner.map(lambda e: (f"(not {e[0]})", lambda row: not e[1](row))),
        st.tuples(inner, inner).map(
            lambda e: (f"({e[0][0]} and {e[1][0]})", lambda r: e[0][1](r) and e[1][1](r))
        ),
        st.tuples(inner, inner).map(
            lambda e: (f"({e[0][0]} or {e[1][0]})", lambda r: e[0][1](r) or e[1][1](r))
        ),
    ),
    max_leaves=6,
)


def frame_of(rows) -> tuple[pa.Table, list[tuple]]:
    columns = [*zip(*rows, strict=True)] or [()] * len(KINDS)
    table = pa.Table.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, TABLE.schema, strict=True)],
        schema=TABLE.schema,
    )
    # Values as they are stored: single precision rounds.
    return table, [tuple(row.values()) for row in table.to_pylist()]


@given(expressions, ROWS)
def test_conditions_equal_a_row_by_row_evaluation(expression, rows):
    text, holds = expression
    table, stored = frame_of(rows)
    parsed = parse(text, KINDS)
    assert parsed.mask(to_pandas(table)).tolist() == [bool(holds(row)) for row in stored]


@pytest.mark.drill
@given(expressions, ROWS)
def test_statistics_of_files_lose_no_row(expression, rows):
    """The same of a Parquet file of many row groups, of which DuckDB leaves some out."""
    text, holds = expression
    table, stored = frame_of(rows)
    parsed = parse(text, {column.name: kind_of(column) for column in TABLE.columns})
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        path = f"{folder}/rows.parquet"
        numbered = table.append_column("row", pa.array(range(len(table)), pa.int64()))
        pq.write_table(numbered, path, row_group_size=2)
        scan = connection.sql(f"FROM read_parquet('{path}', can_have_nan = true)")
        found = scan.filter(parsed.sql()).order('"row"').project('"row"').fetchall()
    assert [row for (row,) in found] == [row for row, values in enumerate(stored) if holds(values)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1", r"character 3 \(= 1\); equality is =="),
        ("a > 1 AND x > 2", r"character 7 .*and, or, not"),
        ("s == 0001730201", "put quotes around"),
        ("s == 'b", "a quote is not closed"),
        ("s == 5", "s is text and 5 is a number"),
        ("obsid == '1'", "has no column 'obsid'; its columns are a, b, x"),
        ("q & p", "Write and and or"),
        ("~p", "Write not"),
        ("x == None", "isnull"),
        ("x is q", "isnull"),
        ("a", "neither true nor false"),
        ("not a", "a is a number and stands where true or false"),
        ("", "is empty"),
        ("a > (1", "cannot be understood"),
        ("open('x') == 1", "the functions are"),
        ("isnull(x, y)", "isnull takes 1 values, not 2"),
        ("isnull(x=1)", "the functions are"),
        ("startswith(s, t)", "text in quotes"),
        ("a in x", "is no list"),
        ("a in (1, x)", "must not depend"),
        ("a in (1, 's')", "a is a number and 's' is text"),
        ("x.real > 1", "has no meaning"),
        ("(lambda: 1)() == 1", "the functions are"),
        ("a if p else q", "has no meaning"),
        ("[y for y in x]", "has no meaning"),
        ("a ** 2 > 1", "has no meaning"),
        ("s == '\udcff'", "cannot be understood"),
        ("s == '\\udcff'", "cannot be compared"),
        ("p\x00", "cannot be understood"),
        ("not " * 200 + "p", "nested more than 100"),
        ("-" * 5000 + "1 > 0", "cannot be understood|nested"),
        ("a + " * 5000 + "1 > 0", "cannot be understood|nested"),
        ("(" * 500 + "p" + ")" * 500, "cannot be understood"),
        ("p or " * 30_000 + "p", "more than 100,000 characters"),
    ],
)
def test_bad_conditions_are_told_in_a_sentence(text, said):
    with pytest.raises(ConfigError, match=said) as error:
        parse(text, KINDS)
    assert "\n" not in str(error.value)


def test_conditions_travel_to_other_processes():
    parsed = parse("a > 1 and s in ('b', 'c')", KINDS)
    assert pickle.loads(pickle.dumps(parsed)) == parsed


def test_text_of_lists_and_images_cannot_be_compared():
    with pytest.raises(ConfigError, match="holds a list"):
        parse("n > 1", {"n": "list"})


# -------------------------------------------------------------------- cones


def test_cones_are_read_in_degrees_and_sexagesimal():
    assert Cone.parse("17:34:35.9, -32:35:52, 30") == Cone(
        pytest.approx(263.6495833), pytest.approx(-32.5977778), 30.0
    )
    assert Cone.parse("0:0:0,-0:30:00,5").dec_deg == -0.5
    assert Cone.parse("10.5,+2,0") == Cone(10.5, 2.0, 0.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("HD 159176,60", "not looked up"),
        ("1,2", "not looked up"),
        ("1", "RA,DEC,ARCSEC"),
        ("1,2,3,4", "RA,DEC,ARCSEC"),
        ("x,2,3", "'x' in the cone"),
        ("1,2,near", "no number of arcsec"),
        ("361,2,3", "right ascension"),
        ("1,91,3", "declination"),
        ("1,2,-3", "radius"),
        ("nan,2,3", "right ascension"),
        ("1:70:00,2,3", "no angle"),
        ("25:00:00,2,3", "right ascension"),
    ],
)
def test_bad_cones_are_told_in_a_sentence(text, said):
    with pytest.raises(ConfigError, match=said):
        Cone.parse(text)


# -------------------------------------------------------------------- rows of archives


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Archive:
    return make_queried(tmp_path_factory.mktemp("queried") / "archive")


def rows(archive: Archive, **asked) -> pd.DataFrame:
    return pd.concat(select(archive, Query(**asked)).frames(), ignore_index=True)


def equal(found: pd.DataFrame, expected: pd.DataFrame, key: str) -> None:
    expected = expected[list(found.columns)]
    sort = [frame.sort_values(key).reset_index(drop=True) for frame in (found, expected)]
    pd.testing.assert_frame_equal(*sort)


def test_building_a_query_reads_no_rows(archive, monkeypatch):
    monkeypatch.setattr(sql, "connected", lambda *_: pytest.fail("a file was read"))

    def refuse(*_, **__):
        pytest.fail("something was computed")

    with dask.config.set(scheduler=refuse):
        asked = Query(table="detections", where="length > 3", no_flags=("hot_pixel",), limit=3)
        found = select(archive, asked)
        assert len(found.table.columns) > 60
        assert found.frame.columns.tolist() == found.table.schema.names


@pytest.mark.parametrize(
    "asked",
    [
        Query(table="detections", where="length > 3", sort="-sigma_peak", limit=7),
        Query(table="regions", cone=Cone(10.0, 20.0, 1e5), no_flags=("hot_pixel",)),
        Query(matches=("gaia",), sort="gaia_sep"),
    ],
)
def test_some_columns_are_those_of_the_whole_answer(archive, asked):
    planned = PlannedQuery(archive, asked)
    names = [name for name in planned.table.schema.names if name.startswith(("n", "d", "ra"))]
    some, whole = planned.question(names), planned.question().computed()
    assert len(names) < len(whole.columns)
    assert not any(quoted(name) in some.text for name in ("region_area", "pos_err_arcsec"))
    pd.testing.assert_frame_equal(some.computed(), whole[names])


def test_the_table_follows_the_question(archive, tmp_path):
    assert select(archive, Query()).table.name == "sources"
    assert select(archive, Query(obsids=("0700000001",))).table.name == "detections"
    assert select(archive, Query(no_flags=("5sig",))).table.name == "detections"
    bare = make_survey(tmp_path / "bare", 2, 1)
    assert select(bare, Query()).table.name == "regions"
    assert select(bare, Query(obsids=("0700000001",))).table.name == "regions"
    for asked, said in (
        (Query(name="J1"), "exod cluster"),
        (Query(matches=("gaia",)), "exod cluster"),
        (Query(table="detections"), "exod cluster"),
        (Query(table="features"), "exod features"),
        (Query(no_flags=("5sig",)), "exod flags"),
        (Query(table="matches:gaia"), "exod crossmatch .* --with gaia"),
    ):
        with pytest.raises(ArchiveError, match=said):
            select(bare, asked)


@pytest.mark.parametrize(
    "name",
    ["sources", "members", "lineage", "features", "flags", "regions", "runs", "observations"],
)
def test_whole_tables_are_what_the_archive_shows(archive, name):
    own = {"sources": "unique"}.get(name, name)
    expected = getattr(archive, own).compute(scheduler="sync")
    for column in Snapshot(archive).table(name).columns:
        if column.none is not None:
            values = expected[column.name].astype(NULLABLE[column.type])
            expected[column.name] = values.where(values != column.none)
    equal(rows(archive, table=name), expected, expected.columns[0])


def test_known_sources_are_the_source_lists(archive):
    assert len(rows(archive, table="known_sources")) == len(archive.known_sources) == 0
    with pytest.raises(ConfigError, match="det_ml'; it is a column of known_sources"):
        select(archive, Query(table="sources", where="det_ml > 5"))


def test_conditions_select_rows(archive):
    regions = archive.regions.compute(scheduler="sync")
    found = rows(archive, table="regions", where="e_lo < 1 and label != 2 and isnull(duration)")
    expected = regions[(regions["e_lo"] < 1) & (regions["label"] != 2)]
    assert 0 < len(expected) < len(regions)
    equal(found, expected, "detid")


def test_names_and_their_beginnings(archive):
    everything = archive.unique.compute(scheduler="sync")
    one = everything["srcid"].iloc[1]
    assert rows(archive, name=one)["srcid"].tolist() == [one]
    assert rows(archive, name=one.removeprefix("EXOD "))["srcid"].tolist() == [one]
    assert len(rows(archive, name="J")) == len(everything)
    assert rows(archive, name="EXOD J99").empty
    with pytest.raises(ConfigError, match="no column 'srcid'; it is a column of sources"):
        select(archive, Query(table="regions", name=one))


@pytest.mark.parametrize("radius", [0.0, 5.0, 400.0])
def test_cones_equal_those_of_the_archive(archive, radius):
    place = archive.regions.compute(scheduler="sync").iloc[3]
    centre = float(place["ra_deg"]), float(place["dec_deg"]), radius
    expected = archive.cone(*centre).compute(scheduler="sync")
    found = rows(archive, table="regions", cone=Cone(*centre), sort="cone_arcsec")
    assert found["cone_arcsec"].is_monotonic_increasing
    found = found.rename(columns={"cone_arcsec": "separation_arcsec"})
    equal(found, expected, "detid")
    assert len(rows(archive, table="members", cone=Cone(*centre))) == len(expected)


def test_cones_need_positions(archive):
    with pytest.raises(ConfigError, match="no positions for a cone"):
        select(archive, Query(table="runs", cone=Cone(1.0, 2.0, 3.0)))


def test_detections_are_those_of_the_archive(archive):
    expected = archive.detections.compute(scheduler="sync")
    assert len(expected) == 72
    equal(rows(archive, table="detections"), expected, "detid")
    chosen = (expected["length"] > 20) & ~expected["filt_hot_pixel"] & (expected["label"] < 2)
    assert 0 < chosen.sum() < 72
    found = rows(
        archive,
        table="detections",
        where="length > 20 and label < 2",
        no_flags=("hot_pixel",),
        columns=("srcid", "detid"),
    )
    assert list(found.columns) == ["srcid", "detid"]
    equal(found, expected[chosen], "detid")


@pytest.mark.parametrize("limit", [None, 0, 1, 5, 100])
def test_rows_are_sorted_and_limited(archive, limit):
    expected = archive.unique.compute(scheduler="sync")
    ordered = expected.sort_values("first_seen", ascending=False, kind="stable")
    found = rows(archive, sort="-first_seen", limit=limit, columns=("region_num",))
    assert found["region_num"].tolist() == ordered["region_num"][:limit].tolist()
    assert len(rows(archive, limit=limit)) == min(len(expected), 99 if limit is None else limit)


def test_flags_are_found_for_regions_too(archive):
    flags = archive.flags.compute(scheduler="sync")
    for table in ("regions", "detections", "flags", "features"):
        found = rows(archive, table=table, flags=("5sig",), no_flags=("filt_hot_pixel",))
        assert set(found["detid"]) == set(
            flags["detid"][flags["filt_5sig"] & ~flags["filt_hot_pixel"]]
        )
    assert "filt_5sig" not in rows(archive, table="regions", flags=("5sig",))
    with pytest.raises(ConfigError, match="no flag 'hotpixel'; did you mean hot_pixel"):
        select(archive, Query(flags=("hotpixel",)))
    with pytest.raises(ConfigError, match="use detections"):
        select(archive, Query(table="sources", flags=("5sig",)))


def test_counterparts_are_added_and_stay_exact(archive):
    found = rows(archive, matches=("gaia",)).set_index("region_num")
    expected = archive.matches("gaia").compute(scheduler="sync").set_index("region_num")
    assert found["gaia_source_id"].dtype == pd.Int64Dtype()
    pd.testing.assert_series_equal(
        found["gaia_source_id"], expected["gaia_source_id"], check_index=True
    )
    assert found["gaia_source_id"].max() > BIG
    assert len(found) == len(archive.unique)
    without = rows(archive, matches=("gaia",), where="isnull(gaia_source_id)")
    assert len(without) == expected["gaia_source_id"].isna().sum() > 0
    exact = rows(archive, matches=("gaia",), where=f"gaia_source_id == {BIG + 1}")
    assert exact["gaia_source_id"].tolist() == [BIG + 1]
    detections = rows(archive, table="detections", matches=("gaia",), columns=("gaia_n", "detid"))
    assert len(detections) == 72
    with pytest.raises(ConfigError, match="no sources whose counterparts"):
        select(archive, Query(table="runs", matches=("gaia",)))


def test_sources_newer_than_a_cross_match_have_none(tmp_path):
    archive = make_queried(tmp_path / "archive", 2, 3)
    with deriving(archive.store, "xmatch-gaia", [_of_matches()]):
        pass
    found = rows(archive, matches=("gaia",))
    assert len(found) == 3
    assert found[["gaia_source_id", "gaia_n", "gaia_variable"]].isna().all(axis=None)
    table = pa.concat_tables(select(archive, Query(matches=("gaia",))).chunks())
    assert table["gaia_n"].type == pa.int16()
    assert table["gaia_n"].null_count == 3


def _of_matches() -> Table:
    from helpers.query_archives import GAIA

    return GAIA


# -------------------------------------------------------------------- what is read


def files(archive: Archive, **asked) -> list[str]:
    """Files of the base table that a question may open."""
    found = select(archive, Query(**asked))
    return [file.path for file in found.files[found.base]]


def scanned(archive: Archive, **asked) -> list[tuple[int, int]]:
    """Row groups that were read and that there are, for each table of a question."""
    found = select(archive, Query(**asked))
    with sql.connected(found.snapshot, found.files) as connection:
        (_, said) = connection.execute(f"EXPLAIN ANALYZE {found.text}{found.ordered}").fetchall()[0]
    return [(int(n), int(m)) for n, m in re.findall(r"Row Groups Scanned: (\d+) / (\d+)", said)]


def test_a_light_curve_is_read_from_its_observation_only(archive):
    detid = archive.regions["detid"].compute(scheduler="sync").iloc[5]
    asked = {"table": "lightcurves", "where": f"detid == '{detid}' and n > 3"}
    (path,) = files(archive, **asked)
    assert detid[:10] in path
    curve = archive.lightcurve(detid)
    equal(rows(archive, **asked), curve[curve["n"] > 3], "time")
    asked = {"table": "lightcurves", "where": "detid == 'none'"}
    assert files(archive, **asked) == []
    assert rows(archive, **asked).empty


def test_other_observations_are_not_read(archive):
    asked = {"table": "regions", "obsids": ("0700000101", "0700000001", "0999999999")}
    assert len(files(archive, **asked)) == 2
    assert set(rows(archive, **asked)["obsid"]) == {"0700000001", "0700000101"}
    asked = {"table": "runs", "where": "obsid in ('0700000001',) and obsid == '0700000101'"}
    assert files(archive, **asked) == []
    assert rows(archive, **asked).empty


def test_row_groups_are_left_out(tmp_path):
    archive = make_queried(tmp_path / "archive", 4, 2)
    place = archive.unique.compute(scheduler="sync").iloc[0]
    cone = Cone(float(place["ra_deg"]), float(place["dec_deg"]), 1.0)
    assert scanned(archive, cone=cone) == [(1, 2)]
    assert len(rows(archive, cone=cone)) == 1
    assert scanned(archive, table="sources", where="region_num > 1e6") == [(0, 2)]
    # The files of the other tables too, by the observation.
    assert [read for read, _ in scanned(archive, obsids=("0700000301",))] == [1, 1, 1, 1]


def test_compact_archives_give_the_same(tmp_path):
    archive = make_queried(tmp_path / "archive", 4, 2)
    questions = (
        {"table": "regions", "where": "e_lo < 1"},
        {"table": "detections", "no_flags": ("hot_pixel",)},
        {"table": "regions", "obsids": ("0700000101", "0700000201")},
        {"table": "lightcurves", "where": "detid == '0700000201_0_50_2_12_1' and n > 2"},
    )
    before = [rows(archive, **asked) for asked in questions]
    archive.compact(1)
    key = {"lightcurves": "time"}
    for asked, expected in zip(questions, before, strict=True):
        assert len(expected)
        equal(rows(archive, **asked), expected, key.get(asked["table"], "detid"))
    # Processed again, and not compacted again.
    archive.commit("0700000201", "OK", observation("0700000201", (10.0, 10.0), [(10.0, 10.0)]))
    again = {"table": "regions", "obsids": ("0700000201",)}
    assert len(rows(archive, **again)) == 3
    assert not any(path.startswith("compact/") for path in files(archive, **again))
    assert len(rows(archive, table="regions")) == 3 * 6 + 3


def test_rows_of_replaced_observations_do_not_count(archive, tmp_path):
    copy = make_queried(tmp_path / "archive", 2, 2)
    pointer = copy.derived("flags")
    with deriving(copy.store, "flags", DERIVED["flags"]) as new:
        new.files += [
            file.model_copy(update={"without": ("0700000101",)}) for file in pointer.files
        ]
        new.attempts = {"0700000001": pointer.attempts["0700000001"]}
    assert set(rows(copy, table="flags")["obsid"]) == {"0700000001"}
    assert set(rows(copy, table="detections")["obsid"]) == {"0700000001"}


@pytest.mark.parametrize("files", [1, 2, 256])
def test_partitions_do_not_matter(archive, monkeypatch, files):
    monkeypatch.setattr(sql, "PARTITION_FILES", files)
    found = select(archive, Query(table="detections", where="length > 5"))
    assert found.frame.npartitions == math.ceil(6 / files)
    equal(found.frame.compute(scheduler="sync"), pd.concat(found.frames()), "detid")


def test_an_archive_without_anything_answers(tmp_path):
    from exod.config import Config

    empty = Archive.create(tmp_path / "empty", Config())
    assert rows(empty).empty
    assert rows(empty, table="lightcurves", where="n > 1").empty
    assert list(rows(empty, columns=("detid",)).columns) == ["detid"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"table": "source"}, "did you mean sources"),
        ({"columns": ("srcid", "n_detection")}, "did you mean n_detections"),
        ({"sort": "-sigmapeak"}, "did you mean sigma_peak"),
        ({"where": "n_detection > 1"}, "did you mean n_detections"),
        ({"table": "images", "where": "n > 1"}, "holds a list"),
    ],
)
def test_bad_questions_are_told_in_a_sentence(archive, asked, said):
    with pytest.raises(ConfigError, match=said):
        select(archive, Query(**asked))


@pytest.mark.parametrize("asked", [{"obsids": ("12a",)}, {"limit": -1}, {"columns": ("a", "a")}])
def test_impossible_questions_are_refused(asked):
    with pytest.raises(ConfigError):
        Query(**asked)


def test_text_columns_keep_their_dtype(archive):
    found = rows(archive, matches=("gaia",))
    assert found["gaia_name"].dtype == pandas_dtype(pa.string())
