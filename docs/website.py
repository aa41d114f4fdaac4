"""What the site adds to the pages of this folder: the front page, figures, and the API.

A hook of mkdocs. README and CONTRIBUTING stand beside this folder, the figures in ``benchmarks/``;
their links are those of the repository. The pages of the API have what docstrings say.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
FIGURES = sorted((ROOT / "benchmarks").glob("*.md"))
PACKAGES = sorted(path.parent for path in (ROOT / "exod").glob("*/__init__.py"))

_LINK = re.compile(r"(?<=\]\()\.\./([^)#\s]+)")
"""A link from a page of this folder to a file beside it."""
_CITED = re.compile(r"\(method\.md, ([^)]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation with what is not written by hand."""
    figures = [f"benchmarks/{path.name}" for path in FIGURES]
    packages = [{path.name: f"api/{path.name}.md"} for path in PACKAGES]
    made: list[Any] = [{"Figures": figures}, {"API": [{"exod": "api/exod.md"}, *packages]}]
    config.nav = [*(config.nav or []), *made]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere or are made here, and the files that pages link to."""
    pages = {
        "index.md": _text(ROOT / "README.md").replace("](docs/", "]("),
        "contributing.md": _text(ROOT / "CONTRIBUTING.md").replace("](docs/", "]("),
        "api/exod.md": "::: exod\n\n::: exod.config\n\n::: exod.errors\n",
    }
    pages["index.md"] = pages["index.md"].replace("(CONTRIBUTING.md", "(contributing.md")
    for path in FIGURES:
        pages[f"benchmarks/{path.name}"] = _text(path)
    for path in PACKAGES:
        pages[f"api/{path.name}.md"] = _api(path)
    linked = {
        name for page in files.documentation_pages() for name in _LINK.findall(page.content_string)
    }
    pages |= {name: _text(ROOT / name) for name in {*linked, "LICENSE"} - pages.keys()}
    for name, text in sorted(pages.items()):
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to what stands beside this folder, where the site has it."""
    if page.file.src_uri.startswith("benchmarks/"):
        return markdown.replace("](../docs/", "](../")
    return _LINK.sub(r"\1", markdown)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Make links of what docstrings cite of the method."""
    up = "../" * page.file.src_uri.count("/")

    def link(part: str) -> str:
        anchor = part.partition(", step")[0].lower().replace(",", "").replace(" ", "-")
        return f'<a href="{up}method.html#{anchor}">{part}</a>'

    def links(found: re.Match[str]) -> str:
        return f"({'; '.join(link(part) for part in ' '.join(found[1].split()).split('; '))})"

    return _CITED.sub(links, html)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _api(folder: Path) -> str:
    """A page with the docstrings of a package and of all its modules."""
    modules = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        modules.append(".".join(part for part in parts if part != "__init__"))
    first, *others = (f"::: {module}" for module in modules)
    return "\n\n".join((f"{first}\n    options:\n      heading_level: 1", *others))
