"""SQL through DuckDB: the tables that count, and nothing else."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.query_archives import add_products, make_queried
from helpers.survey_archives import make_survey, observation

from exod.archive import Archive, open_archive
from exod.archive.increments import deriving
from exod.archive.questions import connection
from exod.archive.questions.connection import connected, explained
from exod.archive.snapshot import Snapshot
from exod.errors import ArchiveError, ConfigError, ExodError
from exod.schemas import DERIVED
from exod.schemas.conditions import Query
from exod.stages.query.rows import select
from exod.stages.query.statements import connect, list_tables


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Archive:
    return make_queried(tmp_path_factory.mktemp("sql") / "archive", 4, 3)


def test_no_bar_of_progress_is_among_the_rows(archive) -> None:
    (shown,) = ask(archive, "SELECT current_setting('enable_progress_bar') AS shown")["shown"]
    assert not shown


def ask(archive: Archive, statement: str) -> pd.DataFrame:
    with connect(archive, statement) as answer:
        return pa.Table.from_batches(
            [batch for chunk in answer.chunks() for batch in chunk.to_batches()],
            schema=answer.table.schema,
        ).to_pandas()


@pytest.mark.parametrize(
    "name", ["sources", "members", "features", "flags", "regions", "runs", "lightcurves"]
)
def test_views_are_the_tables(archive, name):
    expected = pd.concat(select(archive, Query(table=name)).frames(), ignore_index=True)
    found = ask(archive, f"SELECT * FROM {name}")
    assert list(found.columns) == list(expected.columns)
    key = list(dict.fromkeys([expected.columns[0], *expected.columns[:5]]))
    found, expected = (f.sort_values(key).reset_index(drop=True) for f in (found, expected))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_joins_and_sums(archive):
    found = ask(
        archive,
        "SELECT obsid, sum(n) AS counts, count(*) FILTER (bti) AS bad FROM lightcurves "
        "JOIN (SELECT detid FROM flags WHERE NOT filt_hot_pixel) USING (detid) "
        "GROUP BY obsid ORDER BY obsid",
    )
    curves = archive.lightcurves.compute(scheduler="sync")
    flags = archive.flags.compute(scheduler="sync")
    good = curves[curves["detid"].isin(flags["detid"][~flags["filt_hot_pixel"]])]
    assert found["counts"].dtype == np.int64
    assert found["counts"].tolist() == good.groupby("obsid")["n"].sum().tolist()
    assert found["obsid"].tolist() == sorted(good["obsid"].unique())


def test_detections_and_counterparts(archive):
    expected = archive.detections.compute(scheduler="sync")
    found = ask(archive, "SELECT * FROM detections ORDER BY detid")
    assert list(found.columns) == list(expected.columns)
    assert found["detid"].tolist() == sorted(expected["detid"])
    named = ask(
        archive,
        "SELECT d.detid, m.gaia_source_id FROM detections d "
        "JOIN matches_gaia m ON m.region_num = d.region_num WHERE m.gaia_name IS NOT NULL",
    )
    sources = set(archive.matches("gaia").compute(scheduler="sync")["gaia_source_id"].dropna())
    assert set(named["gaia_source_id"]) == sources


def test_nan_is_null(archive):
    sources = archive.unique.compute(scheduler="sync")
    assert sources["first_seen"].isna().any()
    found = ask(archive, "SELECT count(*) AS n FROM sources WHERE first_seen > 1000")
    assert found["n"].tolist() == [sources["first_seen"].notna().sum()]
    assert (
        ask(archive, "SELECT count(first_seen) AS n FROM sources")["n"].tolist()
        == found["n"].tolist()
    )


def test_only_what_counts_is_seen(tmp_path):
    archive = make_survey(tmp_path / "archive", 2, 2)
    archive.compact(1)
    archive.commit("0700000101", "OK", observation("0700000101", (9.0, 9.0), [(9.0, 9.0)]))
    add_products(archive)
    found = ask(archive, "SELECT obsid, count(*) AS n FROM regions GROUP BY obsid ORDER BY obsid")
    assert found["n"].tolist() == [6, 3]
    pointer = archive.derived("flags")
    with deriving(archive.store, "flags", DERIVED["flags"]) as new:
        new.files += [
            file.model_copy(update={"without": ("0700000101",)}) for file in pointer.files
        ]
    assert ask(archive, "SELECT DISTINCT obsid FROM flags")["obsid"].tolist() == ["0700000001"]


def test_many_small_files_are_few_for_duckdb(tmp_path, monkeypatch):
    """Of an archive that was compacted in part all rows are found, in their order."""
    archive = make_queried(tmp_path / "archive", 5, 3)
    archive.compact()
    again = archive.entries()[1].obsid
    for obsid in (again, "0770000000", "0770000001", "0770000002"):
        archive.commit(obsid, "OK", observation(obsid, (10, 20), [(10, 20), (10.1, 20)]))
    asked = [Query(table=name) for name in ("regions", "runs", "lightcurves", "detections")]
    asked += [
        Query(table="regions", where="sigma_peak > 1", columns=("detid", "ra_deg")),
        Query(table="regions", sort="-sigma_peak", columns=("detid",), limit=7),
        Query(table="runs", where="n_regions > 0 and n_bti >= 0", columns=("runid",)),
    ]
    statements = ["SELECT * FROM regions", "SELECT count(*) AS n, sum(n) AS s FROM lightcurves"]

    def answers():
        rows = [select(archive, query).computed() for query in asked]
        sums = [ask(archive, text) for text in statements]
        return rows + [frame.sort_values([*frame.columns[:3]]) for frame in sums]

    expected = answers()
    scanned = []
    monkeypatch.setattr(connection, "GATHERED_FILES", 2)
    scan = connection._scan
    monkeypatch.setattr(connection, "_scan", lambda paths: scanned.append(paths) or scan(paths))
    for before, now in zip(expected, answers(), strict=True):
        pd.testing.assert_frame_equal(before, now)
    assert max(map(len, scanned)) == 2
    path = Path(archive.root, archive.entry("0770000001").path("regions"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    for read in (lambda: select(archive, asked[0]).computed(), lambda: ask(archive, statements[0])):
        with pytest.raises(ArchiveError, match=path.name):
            read()


def test_tables_without_files_are_empty(archive):
    assert ask(archive, "SELECT * FROM known_sources").empty
    assert ask(archive, "SELECT count(*) AS n FROM hot_pixels")["n"].tolist() == [0]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM '{file}'",
        "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM regions, read_csv('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_json('https://example.invalid/x.json')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_blob('{own}x')",
        "SELECT * FROM read_parquet('{root}/regions/*.parquet')",
        "SELECT * FROM '{root}/archive.json'",
        "SELECT * FROM sqlite_scan('{file}', 't')",
        "SELECT getenv('HOME')",
    ],
)
def test_other_files_cannot_be_read(archive, tmp_path, statement):
    file = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), file)
    with pytest.raises((ConfigError, ArchiveError)) as error:
        ask(archive, statement.format(file=file, folder=tmp_path, root=archive.root, own=file))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO '{own}' (USE_TMP_FILE false)",
        "COPY regions TO '{folder}/x.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{own}' (USE_TMP_FILE false)",
        "DELETE FROM regions",
        "DROP VIEW regions",
        "ATTACH '{folder}/x.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT 1; DROP VIEW regions",
        "SELECT * FROM regions; COPY (SELECT 1) TO '{own}' (USE_TMP_FILE false)",
        "PRAGMA version",
        "PRAGMA enable_external_access = true",
        "RESET lock_configuration",
        "LOAD httpfs",
        "CREATE VIEW regions AS FROM '{own}'",
        "EXPORT DATABASE '{folder}'",
        "INSERT INTO regions SELECT * FROM regions",
        "CREATE SECRET (TYPE s3)",
        "CALL pragma_version()",
        "CREATE TABLE t AS SELECT 1",
        ";",
    ],
)
def test_nothing_is_changed(archive, tmp_path, statement):
    own = Path(archive.store.path(archive.entries()[0].path("regions")))
    before = own.read_bytes()
    with pytest.raises(ConfigError, match="one SELECT"):
        ask(archive, statement.format(own=own, folder=tmp_path))
    assert own.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


def test_the_settings_are_locked(archive, tmp_path):
    """Also on the connection itself, whatever statement there were."""
    snapshot = Snapshot(archive)
    with connected(snapshot, {"regions": snapshot.files("regions")}, {}) as connection:
        for statement in (
            "SET enable_external_access = true",
            "SET lock_configuration = false",
            "SET allowed_paths = ['/etc/passwd']",
            "RESET allowed_paths",
            "INSTALL httpfs",
            "LOAD httpfs",
            f"ATTACH '{tmp_path}/never.db'",
            f"COPY regions TO '{tmp_path}/never.csv'",
        ):
            with pytest.raises(ExodError), explained():
                connection.execute(statement)
    assert not list(tmp_path.iterdir())


def test_names_of_python_mean_nothing(archive):
    private = pd.DataFrame({"a": [1]})
    assert len(private) == 1
    with pytest.raises(ConfigError, match="private"):
        ask(archive, "SELECT * FROM private")


@pytest.mark.parametrize(
    ("statement", "error", "said"),
    [
        ("SELEC 1", ConfigError, "syntax error"),
        ("SELECT nothing FROM regions", ConfigError, "nothing"),
        ("SELECT * FROM nothing", ConfigError, "the tables are .*sources"),
        ("SELECT 1 AS a, 2 AS a", ConfigError, "Two columns of the answer are called a"),
        ("SELECT CAST('x' AS INTEGER) AS a FROM regions", ConfigError, "cannot be answered"),
        ("SELECT 10::HUGEINT ** 30 AS a", None, ""),
        ("SELECT sum(a) AS a FROM (SELECT 9e18::BIGINT AS a FROM regions)", ConfigError, "CAST"),
        ("SELECT * FROM matches_simbad", ArchiveError, "exod crossmatch"),
    ],
)
def test_errors_are_sentences(archive, statement, error, said):
    if error is None:
        assert len(ask(archive, statement)) == 1
        return
    with pytest.raises(error, match=said) as caught:
        ask(archive, statement)
    assert "\n" not in str(caught.value)


def test_products_that_were_not_made_are_named(tmp_path):
    archive = make_survey(tmp_path / "archive", 2, 1)
    for name, command in (("sources", "cluster"), ("flags", "flags"), ("detections", "cluster")):
        with pytest.raises(ArchiveError, match=f"exod {command}"):
            ask(archive, f"SELECT count(*) FROM {name}")


def test_a_damaged_file_is_named(tmp_path):
    archive = make_survey(tmp_path / "archive", 1, 1)
    path = Path(archive.store.path(archive.entries()[0].path("regions")))
    path.write_bytes(b"nothing of this kind")
    with pytest.raises((ArchiveError, ConfigError), match="regions"):
        ask(archive, "SELECT * FROM regions")
    path.unlink()
    with pytest.raises(ArchiveError, match="regions"):
        ask(archive, "SELECT * FROM regions")


def test_types_become_those_of_files(archive):
    found = ask(
        archive,
        "SELECT date '2020-01-02' AS d, 1.5::DECIMAL(3, 1) AS x, NULL AS n, [1, 2] AS l, "
        "true AS b, timestamp '2020-01-02 03:04:05' AS t, 7::UTINYINT AS u",
    ).iloc[0]
    assert (found["d"], found["x"], found["b"], found["u"]) == ("2020-01-02", 1.5, True, 7)
    assert pd.isna(found["n"])
    assert list(found["l"]) == [1, 2]
    assert found["t"].startswith("2020-01-02 03:04:05")


def test_tables_are_listed(archive, command):
    tables = dict(list_tables(archive))
    assert {"sources", "detections", "matches_gaia", "known_sources", "regions"} <= set(tables)
    assert tables["detections"] == list(archive.detections.columns)
    code, said, _ = command("sql", archive.root)
    assert code == 0
    assert "matches_gaia" in said


def test_the_command_shows_and_writes(archive, command, tmp_path):
    statement = "SELECT kind, count(*) AS n FROM regions GROUP BY kind"
    code, said, _ = command("sql", archive.root, statement)
    assert code == 0
    assert said.split()[-2:] == ["1", "row."]
    assert [line.split() for line in said.splitlines()][2] == ["peak", "36"]
    path = tmp_path / "kinds.fits"
    assert command("sql", archive.root, statement, "--to", path)[0] == 0
    code, _, error = command("sql", archive.root, statement, "--to", path)
    assert code == 2
    assert "--overwrite" in error
    code, _, error = command("sql", archive.root, "DROP VIEW regions")
    assert (code, error.count("\n")) == (2, 1)


def test_patterns_in_paths_are_refused(tmp_path):
    archive = make_survey(tmp_path / "archive [1]", 1, 1)
    with pytest.raises(ArchiveError, match="for a pattern"):
        ask(archive, "SELECT * FROM regions")


def test_quotes_in_paths_are_harmless(tmp_path):
    archive = make_survey(tmp_path / "it's; here", 1, 1)
    assert len(ask(archive, "SELECT * FROM regions")) == 3


def test_archives_elsewhere_are_read_through_fsspec(tmp_path):
    local = make_queried(tmp_path / "archive", 2, 2)
    memory = fsspec.filesystem("memory")
    memory.put(local.root, "/queried", recursive=True)
    try:
        there = open_archive("memory://queried")
        expected = ask(local, "SELECT * FROM detections ORDER BY detid")
        found = ask(there, "SELECT * FROM detections ORDER BY detid")
        pd.testing.assert_frame_equal(found, expected)
        with pytest.raises((ConfigError, ArchiveError)):
            ask(there, "SELECT * FROM regions, read_text('memory://queried/exod.json')")
    finally:
        memory.rm("/queried", recursive=True)


ENDLESS = "SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000000) b"


def test_statements_that_take_too_long(archive):
    with (
        pytest.raises(
            ConfigError, match=r"takes longer than 0\.2 s; ask for less, or give it more"
        ),
        connect(archive, ENDLESS, timeout=0.2) as answer,
    ):
        list(answer.chunks())


def test_an_interruption_ends_the_statement(archive, monkeypatch):
    """Otherwise the end would be waited for."""

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("exod.archive.questions.sql.wait", interrupted)
    with pytest.raises(KeyboardInterrupt), connect(archive, ENDLESS) as answer:
        list(answer.chunks())
