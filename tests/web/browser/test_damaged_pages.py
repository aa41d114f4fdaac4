"""Files of pages that are damaged or gone: a reader is told which, and what helps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.range_server import serving
from playwright.sync_api import expect

from exod.archive import Archive, open_archive
from exod.stages.explore.making import make_explorer
from exod.web.app import make_app
from exod.web.product import Product
from exod.web.publishing.site import publish
from exod.web.serving import running

VIEWS = ("/", "/?table=detections", "/source/0", "/obs/0700000001", "/compare", "/stats")

DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "gone": Path.unlink,
    "other bytes": lambda path: path.write_bytes(b"\xf7" * path.stat().st_size),
}


def _look(chromium, base: str, words: str) -> None:
    context = chromium.new_context()
    page = context.new_page()
    for view in VIEWS:
        page.goto("about:blank")
        page.goto(f"{base}{view[1:]}")
        expect(page.get_by_role("alert").first).to_contain_text(words, timeout=30_000)
    context.close()


@pytest.mark.parametrize("kind", ["cut", pytest.param("gone", marks=pytest.mark.drill)])
def test_a_server_names_the_file_and_shows_what_is_made_again(
    chromium, explored: Archive, tmp_path: Path, kind: str
) -> None:
    archive = open_archive(str(shutil.copytree(explored.root, tmp_path / "results")))
    with running(make_app(archive)) as base:
        for path in Path(archive.root, "explorer").rglob("*.parquet"):
            DAMAGE[kind](path)
        _look(chromium, base, "exod verify")
        make_explorer(archive)
        page = chromium.new_context().new_page()
        page.goto(base)
        expect(page.locator("h1")).to_have_text("24 of 24 sources")
        page.context.close()


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_site_of_files_names_the_file(
    chromium, product: Product, tmp_path: Path, kind: str
) -> None:
    publish(product, tmp_path / "site")
    for path in (tmp_path / "site" / "data").iterdir():
        if path.name != "meta.json":
            DAMAGE[kind](path)
    with serving(tmp_path / "site") as base:
        _look(chromium, f"{base}#/", "exod publish --replace")
