"""A public server, and the files of a site, say nothing of the machine that they come from."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.survey_archives import fill
from starlette.testclient import TestClient

from exod.archive import Archive, open_archive
from exod.archive.ledger.running import search_recorded
from exod.scheduler.tally import Tally
from exod.schemas import EXPOSURES
from exod.stages.explore.making import make_explorer
from exod.web.app import WebSettings, make_app
from exod.web.product import Product
from exod.web.routes.pages import PAGES

HOST = "http://127.0.0.1:8765"
SECRET = "secret"
"""In the names of all folders, and of the host of a dashboard."""

ELSEWHERE = ("/mnt/secret/P1.FTZ", "s3://secret-bucket/a/P2.FTZ")


@pytest.fixture(scope="module")
def kept(explored: Archive, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The same archive in a folder that is nobody's business, with reasons that name folders."""
    root = tmp_path_factory.mktemp(f"{SECRET} house") / "results"
    shutil.copytree(explored.root, root)
    archive = open_archive(root)
    for number, place in enumerate((*ELSEWHERE, f"{root}/ledger/a.json", root)):
        reason = f"{place} cannot be read{'!' * number}"
        archive.commit(f"{799999990 + number:010d}", "FAILED", reason=reason)
    exposure = {"obsid": "0799999999", "filename": "P1", "reason": f"{ELSEWHERE[0]} is empty."}
    archive.commit("0799999999", "EMPTY", {"exposures": fill(EXPOSURES, [exposure])})
    make_explorer(archive)
    return archive


@pytest.fixture(scope="module")
def public(kept: Archive) -> Iterator[TestClient]:
    settings = WebSettings(public=True, scheduler="tcp://secret.example.org:8786")
    # Its pages and API end what they have begun: nothing goes on for ever but the events of runs.
    with TestClient(make_app(kept, settings), base_url=HOST) as client:
        yield client


def test_no_answer_names_a_folder(kept: Archive, public: TestClient) -> None:
    with search_recorded(kept.store, Tally("detect", 9)) as record:
        record.dashboard = "http://secret.example.org:8787/status"
        record.write()
        figures = public.get("/api/v1/runs").json()
    assert SECRET not in json.dumps(figures)
    assert figures["cluster"] is None
    said = {group["reason"].rstrip("!"): group["command"] for group in figures["failures"]}
    assert {"P1.FTZ cannot be read", "results cannot be read"} <= said.keys()
    assert all(command.startswith("exod retry ARCHIVE 07") for command in said.values())
    source = public.get("/api/v1/rows?limit=1").json()["rows"][0]["region_num"]
    asked = [path for path in public.get("/openapi.json").json()["paths"] if "events" not in path]
    asked += [*PAGES, "/nothing", "/vo/scs?RA=10&DEC=-30&SR=1&VERB=3", "/vo/scs", "/vo/tap/tables"]
    asked += ["/vo/tap/capabilities", "/vo/resource.xml", "/vo/tap/sync?LANG=ADQL&QUERY=SELECT+1"]
    for path in asked:
        answer = public.get(re.sub(r"\{.*?\}", str(source), path))
        assert SECRET not in answer.text, path
        assert str(kept.root) not in answer.text, path


def test_no_file_of_the_product_names_a_folder(kept: Archive, public: TestClient) -> None:
    product = Product(kept)
    assert SECRET not in json.dumps(product.meta)
    for name in product.files:
        table = pq.read_table(io.BytesIO(public.get(f"/data/{name}").content))
        assert SECRET not in str(table.schema.metadata), name
        texts = table.select([f.name for f in table.schema if pa.types.is_string(f.type)])
        assert SECRET not in json.dumps(texts.to_pylist()), name
    with product.opened("exposures.parquet") as source:
        assert pq.read_table(source)["reason"].to_pylist() == ["P1.FTZ is empty."]


def test_errors_name_no_folder_but_those_of_a_server_of_ones_own_do(kept: Archive) -> None:
    pointer = Path(kept.root, "ledger", "0799999999.json")
    content = pointer.read_text()
    said = {}
    for public in (True, False):
        with TestClient(make_app(kept, WebSettings(public=public)), base_url=HOST) as client:
            pointer.write_text("{")
            try:
                answer = client.get("/api/v1/runs")
            finally:
                pointer.write_text(content)
        assert answer.status_code == 503
        said[public] = answer.json()["detail"]
    assert (SECRET in said[True], SECRET in said[False]) == (False, True)
