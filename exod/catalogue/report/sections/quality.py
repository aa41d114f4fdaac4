"""The sections of the report about what may be wrong: flags, consistency, versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from exod.catalogue.report.consistency import failed
from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.page import Blocks, Cell, Listing, Mark, Text
from exod.catalogue.report.words import Pictures, drawn, missing, share
from exod.errors import plural
from exod.schemas import FLAGS


def flags(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Counts of the flags and of their overlaps."""
    if numbers.flags is None:
        return [missing("Regions have no flags", "flags", numbers)]
    names = list(numbers.flags.columns)
    total = _number(numbers.flags, "(all)", names[0]) if names else 0
    if not total:
        return [Text("There are no flags, or no regions with flags.", missing=True)]
    meaning = {column.name: column.description for column in FLAGS.columns}
    alone = [_number(numbers.flags, name, name) for name in names]
    rows: list[tuple[Cell, ...]] = [
        (name, number, share(number, total), meaning.get(name, ""))
        for name, number in zip(names, alone, strict=True)
    ]
    free = _number(numbers.flags, "(none)", names[0])
    rows.append(("none of them", free, share(free, total), ""))
    text = (
        "A flag says what a region is, and not always that it is bad; filt_5sig is one to wish "
        "for. `exod filter` selects by them."
    )
    alternative = "Matrix of the shares of regions of each flag that have each other flag."
    head = ("Flag", "Regions", "Share", "Meaning")
    listing = Listing(f"Regions by flag, of {total:,}", head, tuple(rows))
    return [Text(text), listing, *drawn(pictures, "flags", alternative)]


def _number(counts: pd.DataFrame, row: str, column: str) -> int:
    return int(counts[column].loc[row])


def consistency(numbers: Numbers) -> Blocks:
    """Whether the tables agree."""
    rows = tuple(
        (Mark("pass", good=True) if check.passed else Mark("FAIL", good=False), *said)
        for check in numbers.checks
        for said in [(check.name, check.detail)]
    )
    wrong = failed(numbers.checks)
    text = (
        f"All {len(rows)} checks passed."
        if not wrong
        else f"{wrong} of {len(rows)} checks did not pass."
    )
    if (numbers.products["behind"] > 0).any():
        text += (
            " Some tables are older than the results of the search (see below); make them again "
            "before you look for an error."
        )
    listing = Listing("Checks of the tables", ("Result", "Check", "Numbers"), rows)
    return [Text(text), listing]


def provenance(numbers: Numbers) -> Blocks:
    """Dates, versions and settings."""
    about = numbers.about
    made = [
        (row["product"], row["rows"], f"{row['finished']:%Y-%m-%d %H:%M} UTC", _behind(row))
        for row in numbers.products.to_dict("records")
    ]
    head = ("Product", "Rows", "Made", "State")
    blocks: Blocks = [
        Text(f"The settings of the search have the fingerprint {about.fingerprint}."),
        Listing("Tables derived from the search", head, tuple(made))
        if made
        else Text("Nothing was derived from the results of the search yet.", missing=True),
        Listing("Software", ("Package", "Version"), tuple(about.versions.items())),
        Listing("Settings of the search", ("Setting", "Value"), tuple(_settings(about.settings))),
    ]
    return blocks


def _behind(product: Mapping[Any, Any]) -> str:
    if not product["behind"]:
        return "current"
    if str(product["product"]).startswith("xmatch-"):
        return "older than the sources"
    return f"{plural(int(product['behind']), 'observation')} behind"


def _settings(settings: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)
