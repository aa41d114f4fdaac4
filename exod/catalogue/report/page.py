"""Sections of text, tables and pictures as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Number
from typing import Any, ClassVar, Final, Self

import jinja2
from markupsafe import Markup, escape

DOTS_PER_PIXEL: Final = 1.4
"""Dots of a picture for a pixel of the page; more than one looks sharp on fine screens."""


@dataclass(frozen=True)
class Link:
    """Text that leads to an address."""

    text: str
    url: str


@dataclass(frozen=True)
class Mark:
    """A word that is shown as good or bad."""

    text: str
    good: bool


Cell = str | float | Link | Mark | tuple[Link, ...] | None
"""What a table may hold; numbers are aligned to the right."""


@dataclass(frozen=True)
class Text:
    """A paragraph; a missing input is shown as a note."""

    form: ClassVar[str] = "text"
    text: str
    missing: bool = False


@dataclass(frozen=True)
class Listing:
    """A table with a caption."""

    form: ClassVar[str] = "listing"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(cls, caption: str, rows: Iterable[Mapping[str, Cell]]) -> Self:
        """Rows with cells under their headings, those of the longest; there is one at least."""
        cells = list(rows)
        head = tuple(sorted(cells, key=len)[-1])
        return cls(caption, head, tuple(tuple(row.get(name) for name in head) for row in cells))

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, so that its heading is to the right as they are."""
        cells = [row[column] for row in self.rows]
        return all(cell is None or isinstance(cell, Number) for cell in cells) and bool(cells)


@dataclass(frozen=True)
class Picture:
    """A PNG with what it shows in words, for those who do not see it, and a caption."""

    form: ClassVar[str] = "picture"
    png: bytes
    alternative: str
    caption: str = ""

    @property
    def data(self) -> str:
        """The picture as a data URL."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    @property
    def width(self) -> int:
        """Width on the page in CSS pixels, so that text is of the same size in all pictures."""
        # Bytes 16 to 20 of a PNG are its width (ISO/IEC 15948, 11.2.2).
        return round(int.from_bytes(self.png[16:20], "big") / DOTS_PER_PIXEL)


@dataclass(frozen=True)
class Gallery:
    """Small pictures side by side."""

    form: ClassVar[str] = "gallery"
    pictures: tuple[Picture, ...]


Blocks = list[Text | Listing | Picture | Gallery]
"""What a section consists of, in order."""


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading."""

    title: str
    blocks: Blocks

    @property
    def anchor(self) -> str:
        """What links to it.

        Examples
        --------
        >>> Section("Good and bad time", []).anchor
        'good-and-bad-time'
        """
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def shown(value: Any) -> str:
    """A cell as text: whole numbers with separators, others with four digits, nothing as a dash.

    Examples
    --------
    >>> shown(12345), shown(0.00012345), shown(None), shown("a")
    ('12,345', '0.0001234', '–', 'a')
    >>> shown(123456.7), shown(float("nan")), shown(-2.5), shown(1e-30)
    ('123,457', '–', '−2.5', '1e−30')
    """
    if value is None:
        return "–"
    if not isinstance(value, Number):
        return str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}".replace("-", "−")
    number = float(value)  # type: ignore[arg-type]
    if math.isnan(number):
        return "–"
    text = f"{number:,.0f}" if 1e3 <= abs(number) < 1e15 else f"{number:.4g}"
    return text.replace("-", "−")


def with_code(text: str) -> Markup:
    """Escaped text in which what is between backticks is set as code.

    Examples
    --------
    >>> str(with_code("run `exod gc <root>`"))
    'run <code>exod gc &lt;root&gt;</code>'
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def described(
    sections: Iterable[Section], worded: Callable[[str], str] = str
) -> list[dict[str, Any]]:
    """Sections as what JSON can hold, for pages that are drawn elsewhere.

    Parameters
    ----------
    sections : iterable of Section
        In order.
    worded : callable
        Is given every text, and returns what is to be read.

    Returns
    -------
    list of dict
        Of each section its title, anchor and blocks with their form. Numbers of tables are texts
        as `shown` makes them; pictures are PNG in base64 with their width in CSS pixels.

    Examples
    --------
    >>> table = Listing("Of numbers", ("What", "How many"), (("sources", 1234),))
    >>> described([Section("Summary", [table])])[0]["blocks"][0]["rows"]
    [['sources', '1,234']]
    """

    def cell(item: Cell) -> Any:
        if isinstance(item, Link):
            return {"text": worded(item.text), "url": item.url}
        if isinstance(item, Mark):
            return {"text": worded(item.text), "good": item.good}
        if isinstance(item, tuple):
            return [cell(link) for link in item]
        return worded(item) if isinstance(item, str) else shown(item)

    def told(block: Text | Listing | Picture | Gallery) -> dict[str, Any]:
        about: dict[str, Any] = {"form": block.form}
        if isinstance(block, Text):
            return about | {"text": worded(block.text), "missing": block.missing}
        if isinstance(block, Gallery):
            return about | {"pictures": [told(picture) for picture in block.pictures]}
        about["caption"] = worded(block.caption)
        if isinstance(block, Picture):
            png = base64.b64encode(block.png).decode()
            return about | {"png": png, "width": block.width, "alternative": block.alternative}
        return about | {
            "head": [worded(name) for name in block.head],
            "numeric": [block.numeric(column) for column in range(len(block.head))],
            "rows": [[cell(item) for item in row] for row in block.rows],
        }

    return [
        {"title": one.title, "anchor": one.anchor, "blocks": [told(block) for block in one.blocks]}
        for one in sections
    ]


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The page.

    Parameters
    ----------
    title, subtitle : str
        Heading, and a line under it.
    sections : sequence of Section
        In order; each is in the table of contents.

    Returns
    -------
    str
        HTML with style and pictures inside. Every text is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("exod.catalogue.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "with_code": with_code}
    template = environment.get_template("page.html.jinja")
    return template.render(title=title, subtitle=subtitle, sections=sections)
