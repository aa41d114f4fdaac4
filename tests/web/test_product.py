"""The product as readers get it: files and their description, whole or refused."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from starlette.testclient import TestClient

from exod.archive import Archive, open_archive
from exod.archive.derived import EXPLORER
from exod.errors import ArchiveError
from exod.stages.explore.making import make_explorer
from exod.web.app import make_app
from exod.web.counting import besides
from exod.web.current import Current
from exod.web.pages import BUNDLE, READING, STATIC, bundle
from exod.web.product import Product


@pytest.fixture
def copied(explored: Archive, tmp_path: Path) -> Archive:
    """A copy that may be damaged."""
    return open_archive(str(shutil.copytree(explored.root, tmp_path / "copy")))


def stored(product: Product, name: str) -> Path:
    return Path(product.store.path(product.files[name].path))


def test_what_is_told_of_files_is_true(product: Product) -> None:
    meta = product.meta
    assert meta["files"].keys() == product.files.keys()
    for name, about in meta["files"].items():
        with product.opened(name) as source:
            content = source.read()
        assert len(content) == about["bytes"]
        assert about["sha256"] in ("", hashlib.sha256(content).hexdigest())
    assert meta["tables"]["sources"]["rows"] == meta["files"]["sources.parquet"]["rows"] > 0


def test_statements_reach_nothing_but_the_files_of_the_product(
    product: Product, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    with product.connected(["sources", "detections"], plain=True) as connection:
        assert connection.execute("SELECT count(*) FROM sources").fetchall()[0][0] > 0
        for statement in (
            *(f"SELECT * FROM '{secret}'", f"COPY sources TO '{tmp_path}/out.csv'"),
            *("SET enable_external_access = true", "INSTALL httpfs"),
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement).fetchall()
    assert not (tmp_path / "out.csv").exists()


def test_a_damaged_file_is_a_sentence_and_never_rows(copied: Archive) -> None:
    product = Product(copied)
    path = stored(product, "sources.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="sources-all"), product.connected(["sources"]):
        pass
    with TestClient(make_app(copied), base_url="http://localhost") as client:
        answer = client.get("/api/v1/rows")
        assert answer.status_code == 503
        assert "sources-all.parquet" in answer.json()["detail"]
        for asked in ({}, {"range": "bytes=0-9"}):
            answer = client.get("/data/sources.parquet", headers=asked)
            assert (answer.status_code, "exod verify" in answer.text) == (503, True)
        _check_protocols(client)
        path.unlink()
        answer = client.get("/data/sources.parquet")
        assert (answer.status_code, "cannot be read" in answer.text) == (503, True)
        assert "exod verify" in answer.json()["detail"]
    # Nothing of it is known from before.
    with TestClient(make_app(copied), base_url="http://localhost") as client:
        _check_protocols(client)


def _check_protocols(client: TestClient) -> None:
    """Both protocols say that a file is damaged, and not that there is no such table."""
    cone = client.get("/vo/scs?RA=10&DEC=-30&SR=180")
    assert (cone.status_code, "exod verify" in cone.text) == (200, True)
    statement = "SELECT COUNT(*) AS n FROM exod.sources"
    tap = client.get("/vo/tap/sync", params={"LANG": "ADQL", "QUERY": statement})
    assert (tap.status_code, "exod verify" in tap.text) == (503, True)
    for answer in (cone, tap):
        assert 'name="QUERY_STATUS" value="ERROR"' in answer.text


def test_only_what_needs_a_damaged_file_fails(copied: Archive) -> None:
    product = Product(copied)
    first = product.meta["tables"]["sources"]
    number = _numbers(product)[0]["region_num"]
    assert first["rows"]
    for name in ("detections.parquet", "lightcurves.parquet", "coverage.parquet"):
        stored(product, name).write_bytes(b"PAR1 and no more")
    fine = ("rows", "facets", "sky", "hist2d", "votes", "lineage", f"similar/{number}", "step/1")
    fine += (f"cutouts/{number}.png", "export.csv", "where/cells.parquet?key=detid&value=x")
    broken = (
        "rows?table=detections",
        f"sources/{number}",
        "where/coverage.parquet?key=obsid&value=1",
    )
    tap = "/vo/tap/sync?LANG=ADQL&FORMAT=csv&QUERY=SELECT+count(*)+AS+n+FROM+"
    with TestClient(make_app(copied), base_url="http://localhost") as client:
        for name in fine:
            assert client.get(f"/api/v1/{name}").status_code == 200, name
        for name in broken:
            answer = client.get(f"/api/v1/{name}")
            assert (answer.status_code, "exod verify" in answer.text) == (503, True), name
        assert client.get(f"{tap}exod.sources").text.split() == ["n", str(first["rows"])]
        assert client.get("/vo/scs?RA=10&DEC=-30&SR=1").status_code == 200
    again = make_explorer(copied)
    assert again.made
    assert sorted(fault.split("-all")[0].rsplit("/")[-1] for fault in again.damaged) == (
        ["coverage", "detections", "lightcurves"]
    )
    assert not make_explorer(copied).damaged


def test_without_the_product_the_sentence_names_the_command(copied: Archive) -> None:
    shutil.rmtree(Path(copied.root, EXPLORER))
    with pytest.raises(ArchiveError, match="run `exod explore"):
        Product(copied)


def test_a_new_version_is_shown_without_a_new_start(copied: Archive) -> None:
    current = Current(copied)
    before = current.product
    assert current.product is before
    made = make_explorer(copied, force=True)
    assert current.product.version == made.version != before.version
    Path(copied.root, EXPLORER, "current.json").write_text("{")
    assert current.product.version == made.version


@pytest.mark.parametrize("name", ["sources", "detections", "coverage", "lightcurves"])
def test_rows_of_a_source_are_those_that_pandas_finds(product: Product, name: str) -> None:
    with product.opened(f"{name}.parquet") as source:
        every = pd.read_parquet(source)
    columns = list(every)[:4]
    for number in [*every["region_num"].unique()[:3].tolist(), 10**9, 2**62]:
        found = product.rows_where(f"{name}.parquet", "region_num", number, columns)
        wanted = every.loc[every["region_num"] == number, columns].reset_index(drop=True)
        pd.testing.assert_frame_equal(found.to_pandas(), wanted, check_dtype=False)
    numbers = [len(every) - 1, 0, len(every) // 2, 0]
    found = product.rows_at(f"{name}.parquet", numbers, columns).to_pandas()
    wanted = every[columns].iloc[numbers].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


def test_neighbours_of_a_source_are_the_next_numbers(product: Product) -> None:
    numbers = sorted(row["region_num"] for row in _numbers(product))
    for before, number, after in zip([None, *numbers], numbers, [*numbers[1:], None], strict=False):
        assert besides(product, number) == {"before": before, "after": after}
    assert besides(product, 2**62) == {"before": numbers[-1], "after": None}


def _numbers(product: Product) -> list[dict[str, int]]:
    with product.opened("sources.parquet") as source:
        return pd.read_parquet(source, columns=["region_num"]).to_dict("records")


def test_what_is_asked_of_a_file_is_checked(client: TestClient) -> None:
    for path, status in (
        ("sources.parquet?key=region_num&value=1", 200),
        ("sources.parquet?key=srcid&value=nobody&columns=srcid", 200),
        ("lightcurves.parquet?key=region_num&value=-999999999999999999", 200),
        ("observations.parquet?key=obsid&value=0700000001", 200),
        ("sources.parquet?key=region_num&value=one", 400),
        ("sources.parquet?key=ra_deg&value=1", 400),
        ("sources.parquet?key=region_num&value=1&columns=nothing", 400),
        ("secrets.parquet?key=region_num&value=1", 404),
    ):
        assert client.get(f"/api/v1/where/{path}").status_code == status, path


def test_pages_are_small_and_compressed(client: TestClient) -> None:
    total = 0
    for path in sorted(STATIC.rglob("*")):
        name = path.relative_to(STATIC).as_posix()
        if not path.is_file() or name.startswith("vendor/aladin-lite/"):
            continue
        answer = client.get(f"/static/{name}", headers={"accept-encoding": "gzip"})
        assert answer.content == path.read_bytes()
        is_text = path.suffix in {".js", ".mjs", ".css"}
        assert (answer.headers.get("content-encoding") == "gzip") == is_text
        total += len(gzip.compress(path.read_bytes(), 9))
        tag = answer.headers["etag"]
        again = client.get(f"/static/{name}", headers={"if-none-match": tag})
        assert again.status_code in (200, 304)
    assert total < 250_000


def test_a_page_has_its_icon_with_it(client: TestClient) -> None:
    # Else browsers would ask for it at each step.
    assert re.findall(r'<link rel="icon" href="(\w+):', client.get("/").text) == ["data"]


def test_a_page_loads_all_scripts_as_one(client: TestClient) -> None:
    page = client.get("/source/1").text
    (path,) = re.findall(r'<script type="module" src="/([^"]+)"></script>', page)
    (reading,) = re.findall(r'<link rel="modulepreload" href="/([^"]+)">', page)
    answer, both, size = client.get(f"/{path}"), "", 0
    # The one asks for the other by the address that was fetched before.
    assert f'import("./{reading.rpartition("/")[2]}")' in answer.text
    for one, name in ((path, BUNDLE), (reading, READING)):
        got = client.get(f"/{one}")
        plain = client.get(f"/{one}", headers={"accept-encoding": ""})
        assert got.content == bundle(name) == plain.content
        again = client.get(f"/{one}", headers={"if-none-match": got.headers["etag"]})
        assert again.status_code == 304
        both += got.text
        size += len(gzip.compress(got.content, 9))
    assert size < 250_000
    # Whose work they are stays among them.
    assert "Copyright" in both
    made = set(re.findall(r'^"([^"]+)": \(give, need, load\)', both, re.M))
    ours = {path.relative_to(STATIC).as_posix() for path in (STATIC / "js").rglob("*.js")}
    assert ours < made == {*ours, *re.findall(r'\bneed\("((?:js|vendor)/[^"]+)"\)', both)}
    # What runs as one has no import or export of its own left; all others are told by their paths.
    assert not re.search(r"^(import|export)\b", answer.text, re.M)
    assert re.findall(r"^(?:import|export)\b.*", both, re.M) == ["export const makers = {"]
    assert all((STATIC / name).is_file() for name in made)
