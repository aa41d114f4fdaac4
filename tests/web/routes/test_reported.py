"""The report of the whole archive: what the page of `exod report` says, once a version."""

from __future__ import annotations

import json
import re

import pytest
from starlette.testclient import TestClient

from exod.archive import Archive
from exod.errors import ArchiveError
from exod.stages.report import page
from exod.web.app import WebSettings, make_app


def test_it_says_what_the_page_of_the_command_says(
    client: TestClient, explored: Archive, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_archive: object) -> None:
        raise ArchiveError("A table is damaged.")

    with monkeypatch.context() as patch:
        patch.setattr(page, "gather", fail)
        answer = client.get("/api/v1/report")
        assert (answer.status_code, answer.json()["detail"]) == (503, "A table is damaged.")
    found = client.get("/api/v1/report").json()
    numbers = page.write_report(explored, tmp_path / "report.html")
    written = (tmp_path / "report.html").read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", written)
    assert [section["title"] for section in found["sections"]] == titles
    blocks = [block for section in found["sections"] for block in section["blocks"]]
    for form, tag in (("listing", "<table>"), ("picture", "<figure>"), ("text", "<p")):
        # The heading of the page has a line below it.
        expected = written.count(tag) - (form == "text")
        assert sum(block["form"] == form for block in blocks) == expected > 0, form
    rows = [row for block in blocks if block["form"] == "listing" for row in block["rows"]]
    assert ["Variable regions", f"{numbers.n_regions:,}", ""] in rows
    cells = [cell for row in rows for cell in row if isinstance(cell, str)]
    assert sum(written.count(f">{cell}</td>") == 0 for cell in cells if cell.isalnum()) == 0

    with monkeypatch.context() as patch:
        patch.setattr(page, "gather", fail)
        # It is kept.
        assert client.get("/api/v1/report").json() == found


def test_readers_elsewhere_are_told_no_folders(explored: Archive) -> None:
    guard = make_app(explored, WebSettings(public=True))
    with TestClient(guard, base_url="http://127.0.0.1:8765") as asking:
        found = asking.get("/api/v1/report").json()
    above = explored.root.rpartition("/")[0]
    assert above not in json.dumps(found)
    assert explored.root in json.dumps(page.report_content(explored))
