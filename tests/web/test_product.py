"""The product as readers get it: files and their description, whole or refused."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import duckdb
import pytest
from starlette.testclient import TestClient

from exod.archive import Archive, open_archive
from exod.archive.derived import EXPLORER
from exod.errors import ArchiveError
from exod.stages.explore.making import make_explorer
from exod.web.app import make_app
from exod.web.current import Current
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
    with product.connected(plain=True) as connection:
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
    with pytest.raises(ArchiveError, match="sources-all"), product.connected():
        pass
    with TestClient(make_app(copied), base_url="http://localhost") as client:
        answer = client.get("/api/v1/rows")
        assert answer.status_code == 503
        assert "sources-all.parquet" in answer.json()["detail"]


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
