"""The documentation agrees with the code: generated pages, commands, links, settings."""

from __future__ import annotations

import pkgutil
import re
import runpy
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.pages import FENCE, GROUP, ROOT, blocks, text_of

from exod.config import Config
from exod.stages.derive.flaginputs import read_boxes

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
USER_GUIDE = ROOT / "docs" / "user_guide.md"
METHOD = ROOT / "docs" / "method.md"

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def command_lines() -> Iterator[tuple[str, str]]:
    """Every `exod ...` of the pages: lines of shell blocks, and inline code with arguments."""
    for page in PAGES:
        for body in blocks(page, "bash", "console"):
            for line in body.splitlines():
                command = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
                if command.startswith("exod "):
                    yield page.name, command
        prose = FENCE.sub("", text_of(page))
        yield from ((page.name, code) for code in re.findall(r"`(exod [^`\n]+)`", prose))


def anchors(page: Path) -> set[str]:
    """Names that GitHub gives to the headings of a page."""
    headings = _HEADING.findall(FENCE.sub("", text_of(page)))
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def test_generated_pages_are_up_to_date() -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    stale = [page.name for page, text in generate["pages"]().items() if text_of(page) != text]
    assert not stale, "run `make docs`"


def test_every_command_is_in_the_user_guide() -> None:
    guide = text_of(USER_GUIDE)
    in_use = " ".join(command for name, command in command_lines() if name == USER_GUIDE.name)
    for name in GROUP.commands:  # type: ignore[attr-defined]
        assert f"| `exod {name}` |" in guide
        assert f"exod {name}" in in_use


@pytest.mark.parametrize(("page", "command"), sorted(set(command_lines())))
def test_commands_parse(page: str, command: str) -> None:
    arguments = shlex.split(command, comments=True)[1:]
    if arguments and arguments[0] not in GROUP.commands:  # type: ignore[attr-defined]
        assert set(arguments) <= {"--help", "--version", "--debug"}
        return
    if len(arguments) == 1:
        return  # The command is only named.
    context = GROUP.make_context("exod", arguments)
    name, chosen, rest = GROUP.resolve_command(context, arguments)  # type: ignore[attr-defined]
    chosen.make_context(name, rest, parent=context)
    Config.load(overrides=[value for flag, value in pairwise(rest) if flag == "--set"])


@each_page
def test_settings_examples_are_valid(page: Path, tmp_path: Path) -> None:
    for body in blocks(page, "toml"):
        if body.startswith("[[box]]"):
            boxes = tmp_path / "boxes.toml"
            boxes.write_text(body, encoding="utf-8")
            assert len(read_boxes(boxes)) == 1
            continue
        path = tmp_path / "settings.toml"
        path.write_text(body, encoding="utf-8")
        Config.load(path)


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(FENCE.sub("", text_of(page))):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@each_page
def test_paths_of_the_project_exist(page: Path) -> None:
    folders = "exod|tests|docs|benchmarks|catalogs|deploy|notebooks"
    for name in re.findall(rf"`((?:{folders})/[\w./-]*)`", text_of(page)):
        assert (ROOT / name).exists(), name


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = re.findall(r"`make (\w+)`", text_of(page))
    shell = "".join(blocks(page, "bash", "console"))
    assert {*named, *re.findall(r"^make (\w+)", shell, re.MULTILINE)} <= targets


def test_sections_of_the_method_that_are_cited_exist() -> None:
    """What code and tests cite as (method.md: heading, step 3; heading), with a comma, is there."""
    method = text_of(METHOD)
    headings = set(_HEADING.findall(method))
    for folder in ("exod", "tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            text = text_of(path)
            assert not re.search(r"METHOD \d", text) or path == Path(__file__), path.name
            for cited in re.findall(r"\(method\.md, ([^)]+)\)", text):
                for part in re.sub(r"[\s#]+", " ", cited).split("; "):
                    heading, _, steps = part.partition(", step")
                    place = f"{path.name}: {part}"
                    assert heading in headings, place
                    body = re.search(rf"^#+ {heading}$.*?(?=^#|\Z)", method, re.M | re.S)
                    assert body, place
                    for step in re.findall(r"\d+", steps):
                        assert re.search(rf"^{step}\. ", body[0], re.M), place


def test_names_and_pages_that_are_cited_exist() -> None:
    """`exod.module.name` and docs/page.md, in pages and docstrings alike."""
    for path in [*PAGES, *(ROOT / "exod").rglob("*.py")]:
        text = text_of(path)
        for name in re.findall(r"`(exod(?:\.\w+)+)`", text):
            assert is_known(name), f"{path.name}: {name}"
        for page in re.findall(r"\bdocs/\w+\.(?:md|py)", text):
            assert (ROOT / page).exists(), f"{path.name}: {page}"


@cache
def is_known(name: str) -> bool:
    """Whether there is such a module, or such a name in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        home, _, field = name.rpartition(".")
        return field in getattr(pkgutil.resolve_name(home), "__annotations__", {})
    return True


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    listed = re.findall(r"(\w+\.md)$", text_of(ROOT / "mkdocs.yml"), re.MULTILINE)
    pages = [page.name for page in ROOT.glob("docs/*.md")]
    assert sorted(listed) == sorted([*pages, "index.md", "contributing.md"])


@each_page
def test_images_are_small(page: Path) -> None:
    for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text_of(page)):
        assert (page.parent / link).stat().st_size < 300_000, link
