"""Counts of a selection: rows, facets, maps and plots, by DuckDB over the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from exod.schemas.conditions.compiling import quoted
from exod.schemas.facets import BINS, MISSING
from exod.stages.explore.index import ORDER
from exod.web.product import Product
from exod.web.selection import Selection

PIXELS: Final = 12 * 4**ORDER


def count(product: Product, chosen: Selection) -> int:
    """The number of rows of a selection."""
    text = f"SELECT count(*) FROM {chosen.source} WHERE {chosen.condition()}"  # noqa: S608
    with product.connected() as connection:
        return int(connection.execute(text).fetchall()[0][0])


def facet_counts(product: Product, chosen: Selection) -> dict[str, Any]:
    """How many rows have each code of each facet, all other facets being as chosen.

    Returns
    -------
    dict
        ``rows``, the number of rows that are chosen; ``facets``, for each a list of the rows a
        code, missing last; ``flags``, the rows with each flag set, whatever flags are chosen.
    """
    about = product.about(chosen.table)
    with product.connected() as connection:

        def counted(what: str, without: str) -> list[tuple[Any, ...]]:
            text = f"SELECT {what} FROM {chosen.source} WHERE {chosen.condition(without)}"  # noqa: S608
            return list(connection.execute(text).fetchall())

        facets = {}
        for facet in about["facets"]:
            name = facet["name"]
            size = BINS if facet["kind"] == "bins" else len(facet["labels"])
            counts = [0] * (size + 1)
            grouped = " GROUP BY 1"
            text = f"i.{quoted(name)}, count(*)"
            for code, rows in connection.execute(
                f"SELECT {text} FROM {chosen.source} WHERE {chosen.condition(name)}{grouped}"  # noqa: S608
            ).fetchall():
                counts[size if code == MISSING else code] += rows
            facets[name] = counts
        bits = ", ".join(
            f'count(*) FILTER ((i."flags" & {1 << bit}) <> 0)' for bit in range(len(about["flags"]))
        )
        flags = list(counted(bits, "flags")[0]) if bits else []
        rows = counted("count(*)", "")[0][0]
    return {"rows": rows, "facets": facets, "flags": flags}


def histogram(product: Product, chosen: Selection, x: str, y: str) -> list[list[int]]:
    """Rows by two facets: counts in order of y, then x, without those that are missing.

    Raises
    ------
    KeyError
        If there is no such facet.
    """
    sizes = dict(_sizes(product.about(chosen.table)))
    counts = np.zeros((sizes[y], sizes[x]), np.int64)
    names = [f"i.{quoted(name)}" for name in (y, x)]
    for row, column, rows in _grouped(product, chosen, names):
        if row != MISSING and column != MISSING:
            counts[row, column] = rows
    return counts.tolist()


def sky(product: Product, chosen: Selection) -> dict[str, list[int]]:
    """Rows by HEALPix pixel of order 6, nested: pixels that have any, and their counts."""
    found = sorted(_grouped(product, chosen, ['i."hp6"']))
    return {"pixels": [pixel for pixel, _ in found], "counts": [rows for _, rows in found]}


def mask(product: Product, chosen: Selection) -> bytes:
    """Which rows are chosen, eight a byte, the first in the highest bit; in order of the files."""
    rows = product.files[f"{chosen.table}.parquet"].rows
    text = f'SELECT i."#row" FROM {chosen.source} WHERE {chosen.condition()}'  # noqa: S608
    with product.connected() as connection:
        numbers = connection.execute(text).fetchnumpy()["#row"]
    found = np.zeros(rows, bool)
    found[np.asarray(numbers, np.int64)] = True
    return np.packbits(found).tobytes()


def rows(
    product: Product, chosen: Selection, columns: list[str], limit: int, offset: int = 0
) -> list[dict[str, Any]]:
    """Some rows of a selection in their order, with null where a value is missing."""
    shown = ", ".join(f"d.{quoted(name)}" for name in columns)
    index, table = quoted(f"{chosen.table}_index"), quoted(chosen.table)
    order = chosen.sort or 'd."#row"'
    text = (
        f'SELECT {shown} FROM {index} AS i JOIN {table} AS d ON i."#row" = d."#row" '  # noqa: S608
        f"WHERE {chosen.condition()} ORDER BY {order} LIMIT {limit} OFFSET {offset}"
    )
    with product.connected() as connection:
        found = connection.execute(text).fetchall()
    return [dict(zip(columns, row, strict=True)) for row in found]


def _sizes(about: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for facet in about["facets"]:
        yield facet["name"], BINS if facet["kind"] == "bins" else len(facet["labels"])


def _grouped(product: Product, chosen: Selection, names: list[str]) -> list[tuple[Any, ...]]:
    listed = ", ".join(names)
    text = (
        f"SELECT {listed}, count(*) FROM {chosen.source} "  # noqa: S608
        f"WHERE {chosen.condition()} GROUP BY {listed}"
    )
    with product.connected() as connection:
        return list(connection.execute(text).fetchall())
