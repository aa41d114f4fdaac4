"""TAP by pyvo: at once and by jobs, errors, formats, limits; and what other pages cannot ask."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
import pyvo
from astropy.io import votable
from astropy.table import Table
from helpers.query_archives import make_queried
from helpers.web_server import served
from starlette.testclient import TestClient

from exod.errors import ConfigError
from exod.stages.explore.making import make_explorer
from exod.web.app import WebSettings, make_app
from exod.web.product import Product
from exod.web.vo import answering, jobs
from exod.web.vo.answering import AskedQuery, Desk, answer
from exod.web.vo.examples import EXAMPLES

# pyvo leaves its connections open until they are collected.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HOST = "127.0.0.1:8765"
_TABLES = ", ".join(f"detections AS d{n}" for n in range(14))
ENDLESS = f"SELECT sum(SIN(d0.ra_deg + d13.dec_deg)) AS s FROM {_TABLES}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    archive = make_queried(tmp_path_factory.mktemp("tap") / "results", 4, 4)
    make_explorer(archive)
    return archive


@pytest.fixture(scope="module")
def product(archive):
    return Product(archive)


@pytest.fixture(scope="module")
def base(archive):
    with served(archive) as address:
        yield address


@pytest.fixture
def tap(base):
    return pyvo.dal.TAPService(f"{base}vo/tap")


@pytest.fixture
def client(archive):
    with TestClient(make_app(archive), base_url=f"http://{HOST}") as client:
        yield client


@pytest.fixture(scope="module")
def sources(product):
    with product.connected(["sources"]) as connection:
        return connection.execute(
            "SELECT region_num, ra_deg, dec_deg, srcid FROM sources ORDER BY region_num"
        ).df()


def test_the_service_says_what_it_has(tap, client):
    assert "<vosi:available>true<" in client.get("/vo/tap/availability").text
    assert (tap.maxrec, tap.hardlimit) == (answering.USUAL_ROWS, answering.MOST_ROWS)
    columns = {column.name: column for column in tap.tables["exod.sources"].columns}
    assert columns["ra_deg"].ucd == "pos.eq.ra;meta.main"
    assert columns["ra_deg"].unit == "deg"
    own = tap.search("SELECT table_name, column_name FROM TAP_SCHEMA.columns", maxrec=5000)
    listed = {(str(row["table_name"]), str(row["column_name"])) for row in own}
    told = {(name, column.name) for name, one in tap.tables.items() for column in one.columns}
    assert listed == told


def test_every_column_that_is_told_can_be_asked_as_it_is_written(tap, product):
    listed: dict[str, list[str]] = {}
    for row in tap.search("SELECT table_name, column_name FROM TAP_SCHEMA.columns", maxrec=5000):
        listed.setdefault(str(row["table_name"]), []).append(str(row["column_name"]))
    # Words of SQL are among them, and lists are not.
    assert '"time"' in listed["exod.lightcurves"]
    assert '"size"' in listed["TAP_SCHEMA.columns"]
    assert any(pa.types.is_list(one.type) for one in product.table("cutouts").columns)
    for table, names in listed.items():
        every = tap.search(f"SELECT TOP 1 * FROM {table}").fieldnames
        named = tap.search(f"SELECT TOP 1 {', '.join(names)} FROM {table}").fieldnames
        assert every == named == tuple(name.strip('"') for name in names), table


def test_foreign_keys_are_told_by_tables_and_by_the_schema(tap, client):
    joined = "SELECT k.from_table, c.from_column, k.target_table, c.target_column"
    joined += " FROM TAP_SCHEMA.keys AS k JOIN TAP_SCHEMA.key_columns AS c ON c.key_id = k.key_id"
    listed = {tuple(map(str, row.values())) for row in tap.search(joined)}
    page = ElementTree.fromstring(client.get("/vo/tap/tables").content)
    told = {
        tuple(one.findtext(name) for one, name in zip(parts, places, strict=True))
        for table in page.iter("table")
        for key in table.iter("foreignKey")
        for parts in [(table, key, key, key)]
        for places in [("name", "fkColumn/fromColumn", "targetTable", "fkColumn/targetColumn")]
    }
    assert told == listed
    assert ("exod.detections", "region_num", "exod.sources", "region_num") in told
    assert ("TAP_SCHEMA.columns", "table_name", "TAP_SCHEMA.tables", "table_name") in told
    for table, column, other, there in listed:
        words = f"SELECT count(*) AS n FROM {table} WHERE {column} NOT IN "
        lost = tap.search(f"{words}(SELECT {there} FROM {other})")
        assert lost[0]["n"] == 0, table


def test_examples_are_found_and_can_be_asked(tap, client):
    found = tap.examples
    assert [query["QUERY"] for query in found] == [one.statement for one in EXAMPLES]
    assert all(len(query.execute().to_table().colnames) for query in found)
    page = ElementTree.fromstring(client.get("/vo/tap/examples").content)
    told = {one.get("id") for one in page.iter() if one.get("typeof") == "example"}
    assert told == {one.key for one in EXAMPLES}
    record = client.get("/vo/tap/capabilities").text
    assert 'standardID="ivo://ivoa.net/std/DALI#examples"' in record


def test_rows_are_those_of_the_archive(tap, sources):
    found = tap.run_sync(
        "SELECT region_num, ra_deg, srcid FROM exod.sources ORDER BY region_num DESC"
    )
    rows = found.to_table()
    np.testing.assert_array_equal(rows["region_num"], sources["region_num"][::-1])
    np.testing.assert_array_equal(rows["ra_deg"], sources["ra_deg"][::-1])
    assert list(rows["srcid"]) == list(sources["srcid"][::-1])
    assert rows["ra_deg"].unit == "deg"
    assert found.query_status == "OK"


def test_missing_values_and_signs_come_through(tap, product):
    names = "first_seen, gaia_name, gaia_source_id, gaia_variable"
    words = f"SELECT {names}, '<&>\"' AS mark FROM sources ORDER BY region_num"
    rows = tap.run_sync(words).to_table()
    with product.connected(["sources", "detections"], plain=True) as connection:
        there = connection.execute(f"SELECT {names} FROM sources ORDER BY region_num").fetchall()
    assert set(rows["mark"]) == {'<&>"'}
    assert {row[0] is None for row in there} == {row[2] is None for row in there} == {True, False}
    for row, expected in zip(rows, there, strict=True):
        assert [plain(row[name]) for name in names.split(", ")] == list(expected)


def plain(cell):
    """A cell as DuckDB would give it."""
    is_nothing = np.ma.is_masked(cell) or cell == "" or (isinstance(cell, float) and np.isnan(cell))
    return None if is_nothing else cell


def test_columns_of_one_name_get_two(tap):
    rows = tap.run_sync("SELECT TOP 1 a.*, b.* FROM sources AS a, sources AS b").to_table()
    assert len(set(rows.colnames)) == len(rows.colnames)


def test_what_is_computed_has_no_unit(tap):
    rows = tap.run_sync(
        "SELECT TOP 1 ra_deg, dec_deg * 2 AS ra, 1 AS dec_deg FROM sources"
    ).to_table()
    assert [rows[name].unit for name in rows.colnames] == ["deg", None, None]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_an_answer_that_is_cut_says_so(tap, how):
    run = getattr(tap, f"run_{how}")
    found = run("SELECT srcid FROM sources", maxrec=2)
    assert (len(found), found.query_status) == (2, "OVERFLOW")
    assert len(run("SELECT TOP 2 srcid FROM sources", maxrec=2)) == 2


def test_jobs_answer_the_same(tap, sources):
    job = tap.submit_job("SELECT count(*) AS n FROM sources")
    assert job.phase == "PENDING"
    job.run().wait(timeout=60)
    assert job.phase == "COMPLETED"
    assert job.fetch_result()["n"].tolist() == [len(sources)]
    assert job.query == "SELECT count(*) AS n FROM sources"
    assert job.job_id in [one.jobid for one in tap.get_job_list()]
    job.delete()
    assert job.job_id not in [one.jobid for one in tap.get_job_list()]


def test_a_job_tells_its_error(tap):
    job = tap.submit_job("SELECT nothing FROM sources").run()
    job.wait(phases=["ERROR", "COMPLETED"], timeout=60)
    with pytest.raises(pyvo.dal.DALQueryError, match="nothing"):
        job.raise_if_error()


def test_a_job_can_be_ended(tap):
    job = tap.submit_job(ENDLESS)
    job.execution_duration = 30
    assert job.execution_duration.value == 30
    job.run()
    while job.phase == "QUEUED":
        pass
    assert job.phase == "EXECUTING"
    job.abort()
    assert job.phase == "ABORTED"
    job.delete()


def test_uploads_are_refused_with_a_sentence(tap):
    given = {"uploads": {"mine": Table({"a": [1]})}}
    with pytest.raises(pyvo.dal.DALQueryError, match="cannot be uploaded"):
        tap.run_sync("SELECT * FROM TAP_UPLOAD.mine", **given)
    with pytest.raises(pyvo.dal.DALServiceError, match="400"):
        tap.submit_job("SELECT * FROM TAP_UPLOAD.mine", **given)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "ADQL has no READ_CSV"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("SELECT no FROM sources", "no"),
        ("", "QUERY is missing"),
    ],
)
def test_a_wrong_statement_gets_a_sentence(client, text, sentence):
    answer = client.post("/vo/tap/sync", data={"QUERY": text, "LANG": "ADQL"})
    assert answer.status_code == 400
    info = votable.parse(io.BytesIO(answer.content)).resources[0].infos[0]
    assert (info.name, info.value[:5]) == ("QUERY_STATUS", "ERROR")
    assert sentence in answer.text


@pytest.mark.parametrize(
    "given",
    [
        {"MAXREC": "-1"},
        {"MAXREC": "1" * 5000},
        {"RESPONSEFORMAT": "pdf"},
        {"REQUEST": "drop"},
        {"UPLOAD": "a,http://example.org/"},
        {"QUERY": "x" * 200_000},
    ],
)
def test_wrong_parameters_get_a_sentence(client, given):
    for address in ("sync", "async"):
        answer = client.post(f"/vo/tap/{address}", data={"QUERY": "SELECT 1", **given})
        assert answer.status_code == 400
        assert 'name="QUERY_STATUS" value="ERROR"' in answer.text


def test_another_language_is_refused_and_fails_a_job(client):
    given = {"QUERY": "SELECT TOP 1 ra_deg FROM sources", "LANG": "PQL"}
    answer = client.post("/vo/tap/sync", data=given)
    assert (answer.status_code, "not in 'PQL'" in answer.text) == (400, True)
    # As clients expect of jobs: they are made, and end with an error.
    job = client.post("/vo/tap/async", data=given, follow_redirects=False).headers["location"]
    client.post(f"{job}/phase", data={"PHASE": "RUN"})
    told = client.get(f"{job}?WAIT=20&PHASE=EXECUTING").text
    while "<uws:phase>ERROR<" not in told:
        assert "<uws:phase>COMPLETED<" not in told
        told = client.get(f"{job}?WAIT=20").text
    assert "not in 'PQL'" in client.get(f"{job}/error").text


def test_an_endless_statement_ends(product, tmp_path):
    asked = AskedQuery(ENDLESS, seconds=0.3)
    with pytest.raises(ConfigError, match=r"longer than 0\.3 s; ask for less, with TOP"):
        answer(product, asked, tmp_path / "answer.vot")


def test_a_statement_that_doubles_itself_is_refused(product, tmp_path):
    doubled = "SELECT srcid || srcid AS t FROM sources"
    for _ in range(40):
        doubled = f"SELECT t || t AS t FROM ({doubled}) AS a"
    with pytest.raises(ConfigError, match="too large"):
        answer(product, AskedQuery(doubled, seconds=5), tmp_path / "answer.vot")


@pytest.mark.parametrize("name", ["votable", "text/csv", "tsv", "fits"])
def test_formats_hold_the_same(client, sources, name, tmp_path):
    text = "SELECT region_num, srcid FROM sources ORDER BY region_num"
    answer = client.get("/vo/tap/sync", params={"query": text, "responseformat": name})
    assert answer.status_code == 200
    kind = {"votable": "votable", "text/csv": "ascii.csv", "tsv": "ascii.tab", "fits": "fits"}[name]
    path = tmp_path / "answer"
    path.write_bytes(answer.content)
    rows = Table.read(path, format=kind)
    assert list(rows["region_num"]) == list(sources["region_num"])
    assert [str(text) for text in rows["srcid"]] == list(sources["srcid"])


def test_answers_leave_no_files(client, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for text in ("SELECT * FROM sources", "SELECT nothing FROM sources"):
        client.get("/vo/tap/sync", params={"QUERY": text})
    assert list(tmp_path.iterdir()) == []


def test_files_of_jobs_end_with_the_server(archive, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with TestClient(make_app(archive), base_url=f"http://{HOST}") as client:
        created = client.post("/vo/tap/async", data={"QUERY": "SELECT 1 AS n", "PHASE": "RUN"})
        deadline = time.monotonic() + 60
        while client.get(f"{created.url.path}/phase").text != "COMPLETED":
            assert time.monotonic() < deadline
            client.get(created.url.path, params={"WAIT": "5"})
        assert client.get(f"{created.url.path}/results/result").status_code == 200
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_the_number_of_jobs_is_bounded(client, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_JOBS", 2)
    made = [client.post("/vo/tap/async", data={"QUERY": "SELECT 1"}) for _ in range(3)]
    assert [answer.status_code for answer in made] == [200, 200, 503]
    client.post(f"{made[0].url.path}/phase", data={"PHASE": "ABORT"})
    assert client.post("/vo/tap/async", data={"QUERY": "SELECT 1"}).status_code == 200
    assert client.get(made[0].url.path).status_code == 404


def test_jobs_are_forgotten(client):
    made = client.post("/vo/tap/async", data={"QUERY": "SELECT 1"})
    path = made.url.path
    client.post(f"{path}/destruction", data={"DESTRUCTION": "2999-01-01T00:00:00Z"})
    assert not client.get(f"{path}/destruction").text.startswith("2999")
    client.post(f"{path}/destruction", data={"DESTRUCTION": "2020-01-01T00:00:00Z"})
    assert client.get(path).status_code == 404
    for text in ("soon", ""):
        made = client.post("/vo/tap/async", data={"QUERY": "SELECT 1"})
        answer = client.post(f"{made.url.path}/destruction", data={"DESTRUCTION": text})
        assert answer.status_code == 400


ODD_TIMES = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01", "1" * 5000)


@pytest.mark.parametrize("text", ODD_TIMES)
def test_odd_times_are_times_or_a_sentence(client, text):
    path = client.post("/vo/tap/async", data={"QUERY": "SELECT 1"}).url.path
    answer = client.post(f"{path}/destruction", data={"DESTRUCTION": text})
    assert answer.status_code in {200, 400, 404}
    assert client.get(path).status_code in {200, 404}
    assert client.get("/vo/tap/async", params={"AFTER": text}).status_code in {200, 400}


def test_jobs_are_listed_by_phase_time_and_number(client):
    paths = [client.post("/vo/tap/async", data={"QUERY": "SELECT 1"}).url.path for _ in range(3)]
    client.post(f"{paths[0]}/phase", data={"PHASE": "ABORT"})
    for given, expected in (
        ({"PHASE": "aborted"}, paths[:1]),
        ({"LAST": "2"}, paths[:0:-1]),
        ({"AFTER": "2000-01-01T00:00:00Z", "PHASE": "PENDING"}, paths[1:]),
        ({"AFTER": "2999-01-01T00:00:00Z"}, []),
    ):
        found = ElementTree.fromstring(client.get("/vo/tap/async", params=given).content)
        assert [one.get("id") for one in found] == [path.rpartition("/")[2] for path in expected]


def test_a_job_is_xml_whatever_it_asks(client):
    text = "SELECT '\x01\ufffe<&>' FROM \x02nothing"
    path = client.post(
        "/vo/tap/async", data={"QUERY": text, "PHASE": "RUN", "RUNID": "\x03"}
    ).url.path
    while client.get(f"{path}/phase").text not in {"ERROR", "COMPLETED"}:
        client.get(path, params={"WAIT": "1"})
    for address in (path, f"{path}/parameters", f"{path}/results", f"{path}/error"):
        ElementTree.fromstring(client.get(address).content)
    found = ElementTree.fromstring(client.get(f"{path}/parameters").content)
    assert found.tag.endswith("}parameters")
    assert {one.get("id"): one.text for one in found}["RUNID"] == "?"


def test_few_readers_wait_for_jobs(client, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 0)
    path = client.post("/vo/tap/async", data={"QUERY": "SELECT 1"}).url.path
    monkeypatch.setattr(jobs.Condition, "wait_for", lambda *_: pytest.fail("it waits"))
    assert client.get(path, params={"WAIT": "-1"}).status_code == 200


def test_what_a_job_does_not_take_is_a_sentence(client):
    path = client.post("/vo/tap/async", data={"QUERY": "SELECT 1 AS n"}).url.path
    assert client.get(f"{path}/results/result").status_code == 404
    for name, given in (("phase", {"PHASE": "WALK"}), ("owner", {"OWNER": "me"}), ("x", {})):
        assert client.post(f"{path}/{name}", data=given).status_code == 400
    for text, seconds in (("-5", "60"), ("0", "60"), ("7", "7"), ("9" * 30, "60")):
        client.post(f"{path}/executionduration", data={"EXECUTIONDURATION": text})
        assert client.get(f"{path}/executionduration").text == seconds
    wrong = client.post(f"{path}/executionduration", data={"EXECUTIONDURATION": "1" * 5000})
    assert wrong.status_code == 400
    client.post(f"{path}/parameters", data={"QUERY": "SELECT 2 AS n", "FORMAT": "csv"})
    client.post(f"{path}/phase", data={"PHASE": "RUN"})
    client.post(f"{path}/phase", data={"PHASE": "RUN"})
    while client.get(f"{path}/phase").text != "COMPLETED":
        client.get(path, params={"WAIT": "1"})
    assert client.get(f"{path}/results/result").text == "n\n2\n"
    assert client.post(f"{path}/parameters", data={"QUERY": "SELECT 3"}).status_code == 400
    client.post(f"{path}/phase", data={"PHASE": "ABORT"})
    assert client.get(f"{path}/phase").text == "COMPLETED"
    assert client.post(path, data={"ACTION": "KEEP"}).status_code == 400
    client.post(path, data={"ACTION": "DELETE"})
    assert client.get(path).status_code == 404


def test_a_public_server_does_not_list_jobs(archive):
    guard = make_app(archive, WebSettings(public=True))
    with TestClient(guard, base_url=f"http://{HOST}") as client:
        made = client.post("/vo/tap/async", data={"QUERY": "SELECT 1"})
        assert made.status_code == 200
        assert "jobref" not in client.get("/vo/tap/async").text


def test_few_statements_run_at_once():
    desk = Desk(running=1, waiting=0)
    with desk.place(), pytest.raises(Exception, match="ask again later"), desk.place():
        pass
    with desk.place():
        pass


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_other_pages_cannot_ask(client, headers):
    made = client.post("/vo/tap/async", data={"QUERY": "SELECT 1"})
    asked = {"data": {"QUERY": "SELECT 1"}, "headers": headers}
    assert client.post("/vo/tap/sync", **asked).status_code == 403
    assert client.post("/vo/tap/async", **asked).status_code == 403
    assert client.delete(made.url.path, headers=headers).status_code == 403
    assert client.get("/vo/tap/sync?QUERY=SELECT+1", headers=headers).status_code == 403
    assert client.get(made.url.path).status_code == 200


def test_other_pages_can_link(client):
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/vo/tap/availability", headers=headers).status_code == 200
    assert client.post("/vo/tap/sync", data={"QUERY": "x"}, headers=headers).status_code == 403


def test_nothing_of_it_changes_the_archive(archive, client):
    def there():
        root = Path(archive.root)
        return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    before = there()
    for text in ("SELECT * FROM sources", "DROP VIEW sources", "COPY sources TO 'x'"):
        for address in ("sync", "async"):
            client.post(f"/vo/tap/{address}", data={"QUERY": text, "PHASE": "RUN"})
    assert there() == before


def test_rows_by_chunks_are_those_of_one(product, tmp_path, monkeypatch):
    text = "SELECT detid, ra_deg FROM detections ORDER BY detid"
    n = answer(product, AskedQuery(text), tmp_path / "whole.vot")
    monkeypatch.setattr("exod.stages.query.statements.BATCH_ROWS", 3)
    for limit in (0, 1, 3, 4, n):
        asked = replace(AskedQuery(text), rows=limit)
        assert answer(product, asked, tmp_path / "some.vot") == limit
        rows = Table.read(tmp_path / "some.vot")
        whole = Table.read(tmp_path / "whole.vot")
        assert list(rows["detid"]) == list(whole["detid"][:limit])
        assert ("OVERFLOW" in (tmp_path / "some.vot").read_text()) == (limit < n)
