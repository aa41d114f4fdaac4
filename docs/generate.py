"""Write the parts of the documentation that follow from the code; `make docs` runs it.

``docs/data_model.md`` as a whole comes from `exod.schemas`. Elsewhere the text between
``<!-- generated: NAME -->`` and ``<!-- end -->`` is replaced: the settings from `exod.config`, the
commands from `exod.cli`. The pictures of the architecture and of the method are drawn by
``docs/pictures.py``.
"""

from __future__ import annotations

import inspect
import json
import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import typer

from exod.cli import app
from exod.config import Config
from exod.schemas import DERIVED, FORMAT_VERSION, MATCH, TABLES, Table
from exod.schemas.votes import VERDICTS, VETTED, VOTES

ROOT = Path(__file__).resolve().parent.parent
DATA_MODEL = ROOT / "docs" / "data_model.md"
PAGES_WITH_BLOCKS = (ROOT / "docs" / "user_guide.md",)
PICTURES = ("angles", "architecture", "method")

_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ATTRIBUTE = re.compile(r"^(\w+) : (.+)$")

_KINDS = {
    "str": "text",
    "float": "number",
    "bool": "true, false",
    "tuple of float": "list of numbers",
    "tuple of (float, float)": "list of pairs",
}
"""What the types in docstrings are called in a settings file."""


def pages() -> dict[Path, str]:
    """Every page with generated text, as it should be."""
    draw = runpy.run_path(str(ROOT / "docs" / "pictures.py"))
    return (
        {DATA_MODEL: data_model()}
        | {page: fill_blocks(page.read_text(encoding="utf-8")) for page in PAGES_WITH_BLOCKS}
        | {ROOT / "docs" / "images" / f"{name}.svg": draw[name]() for name in PICTURES}
    )


def fill_blocks(text: str) -> str:
    """Replace the text of every generated block of a page."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n{found[3]}", text)


def table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def data_model() -> str:
    """The page of the archive's tables."""
    derived = {item.name: item for tables in DERIVED.values() for item in tables}
    vetting = {item.name: item for item in (VOTES, VERDICTS, VETTED)}
    contents, more, voted = (
        table(
            ("Table", "What it holds"),
            ((f"[{name}](#{name})", item.description) for name, item in some.items()),
        )
        for some in (TABLES, derived, vetting)
    )
    sections = "\n".join(_table_section(item, "Rows of an observation") for item in TABLES.values())
    more_tables = (*derived.values(), *vetting.values())
    others = "\n".join(_table_section(item, "Rows of a file") for item in more_tables)
    return f"""# Data model

<!-- Written by docs/generate.py from exod/schemas; change it there, then run `make docs`. -->

An archive holds these tables, format version {FORMAT_VERSION}. Each observation adds one Parquet
file to a table that has rows for it. Units and meanings are also in the metadata of the Parquet
columns. [Reading results](user_guide.md#reading-results) shows how to get at them.

* Times are mission elapsed time in seconds since MJD 50814 TT, as in the event lists.
* Sky pixels are the X and Y of the event lists, 0.05 arcsec wide.
* Rows (y) and columns (x) count cells of the full grid from 0, and ranges are half-open.
* Numbers that do not exist are NaN, missing text is empty. No column holds nulls, but for those
  of counterparts.

{contents}
These are derived from all observations, by `exod cluster`, `exod features` and `exod flags`:

{more}
Counterparts, made by `exod crossmatch`, are one table a catalogue, `xmatch`, with the columns
{", ".join(f"`{column.name}`" for column in MATCH)} and those of the catalogue, see
[crossmatch.md](crossmatch.md).

These are of [vetting](explorer.md#vetting): events, what `exod verdicts` writes beside names and
places of sources, and a table of the product `flags` that `exod flags results --verdicts` adds:

{voted}
{sections}
{others}"""


def _table_section(item: Table, rows_of: str) -> str:
    rows = (
        (f"`{column.name}`", _type(column.type), column.unit or "–", column.description)
        for column in item.columns
    )
    order = ", ".join(f"`{name}`" for name in item.sort_by)
    text = f"{item.description}. {rows_of} are in order of {order}."
    columns = table(("Column", "Type", "Unit", "Meaning"), rows)
    return f"## {item.name}\n\n{text}\n\n{columns}"


def _type(arrow: pa.DataType) -> str:
    if pa.types.is_list(arrow):
        return f"list of {_type(arrow.value_type)}"
    return {"double": "float64", "float": "float32"}.get(str(arrow), str(arrow))


def settings() -> str:
    """The table of settings."""
    return table(("Setting", "Default", "Values", "Meaning"), _settings())


def _settings() -> Iterator[tuple[str, ...]]:
    defaults = Config().model_dump(mode="json")
    for section, field in Config.model_fields.items():
        for name, values, meaning in _attributes(inspect.getdoc(field.annotation) or ""):
            default = json.dumps(defaults[section][name])
            kind = _KINDS.get(values, values).replace('"', "`")
            yield f"`{section}.{name}`", f"`{default}`", kind, meaning


def _attributes(docstring: str) -> Iterator[tuple[str, str, str]]:
    """Name, type and description of the attributes of a numpydoc docstring."""
    body = docstring.partition("Attributes\n----------\n")[2].partition("\n\n")[0]
    entries: list[tuple[str, str, list[str]]] = []
    for line in body.splitlines():
        found = _ATTRIBUTE.match(line)
        if found:
            entries.append((found[1], found[2], []))
        else:
            entries[-1][2].append(line.strip())
    for name, values, lines in entries:
        yield name, values.strip("{}"), " ".join(lines).replace("``", "`")


def commands() -> str:
    """The table of commands."""
    return table(("Command", "What it does"), _commands())


def _commands() -> Iterator[tuple[str, ...]]:
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        yield f"`exod {name}`", (command.help or "").partition("\n\n")[0].replace("\n", " ")


BLOCKS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
}
"""What can stand in a generated block, by its name."""


if __name__ == "__main__":
    for page, content in pages().items():
        page.write_text(content, encoding="utf-8")
