"""Counts of a selection: rows, facets, maps and plots, by DuckDB over the index."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive import Archive, open_archive
from exod.archive.parquet import to_pandas
from exod.schemas.columns import Table
from exod.schemas.conditions import unknown
from exod.schemas.conditions.compiling import quoted
from exod.schemas.explorer import OWNER
from exod.schemas.facets import BINS, MISSING
from exod.stages.explore.index import ORDER
from exod.web.product import Product, indexed
from exod.web.selection import RowChoice, selection, state_of
from exod.web.voting.facets import voted_product

ROW: Final = '"#row"'
"""The number of a row in its file, the same in a table and its index."""

EXPORTED_ROWS: Final = 20_000
"""Rows that are handed on at a time."""


def count(product: Product, chosen: RowChoice) -> int:
    """The number of rows of a selection."""
    with product.counting(chosen.table) as connection:
        return int(_found(connection, chosen, "count(*)")[0][0])


def facet_counts(product: Product, chosen: RowChoice) -> dict[str, Any]:
    """How many rows have each code of each facet, all other facets being as chosen.

    Returns
    -------
    dict
        ``rows``, the number of rows that are chosen; ``facets``, for each a list of the rows a
        code, missing last; ``flags``, the rows with each flag set, whatever flags are chosen.
    """
    about = product.about(chosen.table)
    facets = {}
    with product.counting(chosen.table) as connection:
        for name, size in _sizes(about):
            counts = [0] * (size + 1)
            for code, found in _grouped(connection, chosen, [f"i.{quoted(name)}"], name):
                counts[size if code == MISSING else code] += found
            facets[name] = counts
        flags = [0] * len(about["flags"])
        for mask, number in _grouped(connection, chosen, ['i."flags"'], "flags"):
            for bit in range(len(flags)):
                flags[bit] += number if mask >> bit & 1 else 0
        found = _found(connection, chosen, "count(*)")[0][0]
    return {"rows": found, "facets": facets, "flags": flags}


def histogram(product: Product, chosen: RowChoice, x: str, y: str) -> list[list[int]]:
    """Rows by two facets: counts in order of y, then x, without those that are missing.

    Raises
    ------
    KeyError
        If there is no such facet.
    """
    sizes = dict(_sizes(product.about(chosen.table)))
    counts = np.zeros((sizes[y], sizes[x]), np.int64)
    with product.counting(chosen.table) as connection:
        found = _grouped(connection, chosen, [f"i.{quoted(name)}" for name in (y, x)])
    for row, column, number in found:
        if MISSING not in {row, column}:
            counts[row, column] = number
    return list(counts.tolist())


def sky(product: Product, chosen: RowChoice) -> list[int]:
    """How many rows each HEALPix pixel of order 6 has, nested."""
    counts = np.zeros(12 << 2 * ORDER, np.int64)
    with product.counting(chosen.table) as connection:
        for pixel, number in _grouped(connection, chosen, ['i."hp6"']):
            counts[pixel] = number
    return list(counts.tolist())


def mask(product: Product, chosen: RowChoice) -> bytes:
    """Which rows are chosen, eight a byte, the first in the highest bit; in order of the files."""
    found = np.zeros(product.files[f"{chosen.table}.parquet"].rows, bool)
    with product.counting(chosen.table) as connection:
        for (number,) in _found(connection, chosen, f"i.{ROW}"):
            found[number] = True
    return np.packbits(found).tobytes()


def rows(
    product: Product, chosen: RowChoice, columns: list[str], limit: int, offset: int = 0
) -> list[dict[str, Any]]:
    """Some rows of a selection in their order, with null where a value is missing."""
    numbers = row_numbers(product, chosen, limit, offset)
    found = product.rows_at(f"{chosen.table}.parquet", numbers, columns).to_pylist()
    return [dict(zip(row, in_json(row.values()), strict=True)) for row in found]


def row_numbers(product: Product, chosen: RowChoice, limit: int, offset: int = 0) -> list[int]:
    """The numbers of some rows of a selection in their order."""
    source = chosen.source if chosen.quick_sort else chosen.joined
    words = (
        *("SELECT", f"i.{ROW}", "FROM", source, "WHERE", chosen.condition()),
        *("ORDER BY", chosen.quick_sort or chosen.sort, f"LIMIT {limit} OFFSET {offset}"),
    )
    with product.counting(chosen.table) as connection:
        return [number for (number,) in connection.execute(" ".join(words)).fetchall()]


def besides(product: Product, number: int) -> dict[str, int | None]:
    """The numbers of the sources before and after one; None if there is none."""
    words = (
        f"SELECT max({OWNER}) FILTER ({OWNER} < {number:d}),",
        f"min({OWNER}) FILTER ({OWNER} > {number:d}) FROM sources_index",
    )
    with product.counting("sources") as connection:
        before, after = connection.execute(" ".join(words)).fetchall()[0]
    return {"before": before, "after": after}


def besides_chosen(product: Product, chosen: RowChoice, key: str | int) -> dict[str, Any]:
    """What comes before and after a row in the order of a selection.

    Parameters
    ----------
    product : Product
        The product.
    chosen : RowChoice
        The selection.
    key : str or int
        The row: the number of a source, or the name of a detection.

    Returns
    -------
    dict
        ``before`` and ``after``, keys or None; ``place``, from 1, and ``total``. Of a row that
        is not chosen all but the total are None.
    """
    name = f"d.{quoted(product.about(chosen.table)['key'])}"
    order = chosen.sort or f"i.{ROW}"
    shown = [f"{name} AS own", f"lag({name}) OVER w AS before", f"lead({name}) OVER w AS after"]
    shown += ["row_number() OVER w AS place", "count(*) OVER () AS total"]
    inner = ("SELECT", ", ".join(shown), "FROM", chosen.joined, "WHERE", chosen.condition())
    window = ("WINDOW w AS (ORDER BY", order, ")")
    words = ("SELECT * FROM (", *inner, *window, ") WHERE own = ?")
    with product.counting(chosen.table) as connection:
        found = connection.execute(" ".join(words), [key]).fetchall()
    if not found:
        none = dict.fromkeys(("before", "after", "place"))
        return {**none, "total": count(product, chosen)}
    return dict(zip(("before", "after", "place", "total"), found[0][1:], strict=True))


def in_json(values: Iterable[Any]) -> list[Any]:
    """The same values, with None for numbers that JSON does not have.

    Examples
    --------
    >>> in_json([1, float("inf"), float("nan"), "a", None])
    [1, None, None, 'a', None]
    """
    return [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]


def exported(
    product: Product, chosen: RowChoice, columns: Sequence[str] = (), limit: int | None = None
) -> tuple[Table, Iterator[pa.Table]]:
    """The rows of a selection in their order, as tables are written: columns, and some at a time.

    Raises
    ------
    ConfigError
        If there is no such column.
    """
    whole = product.table(chosen.table)
    known = {column.name: column for column in whole.columns}
    for name in columns:
        if name not in known:
            raise unknown(name, known, f"Table {chosen.table}")
    own = tuple(known[name] for name in columns or known)
    table = Table(chosen.table, whole.description, own, ())
    shown = ", ".join(f"d.{quoted(column.name)}" for column in own)
    words = (
        *("SELECT", shown, "FROM", chosen.joined, "WHERE", chosen.condition()),
        *("ORDER BY", chosen.sort or f"d.{ROW}", "" if limit is None else f"LIMIT {limit}"),
    )

    def chunks() -> Iterator[pa.Table]:
        with product.connected(indexed(chosen.table)) as connection:
            reader = connection.sql(" ".join(words)).to_arrow_reader(EXPORTED_ROWS)
            for batch in reader:
                yield pa.Table.from_batches([batch]).cast(table.schema)

    return table, chunks()


def heads(product: Product) -> dict[str, dict[str, Any]]:
    """Of each table of the catalogue what FITS files of its rows tell, see `table_cards`."""
    # astropy is loaded by who asks.
    from exod.tablefiles.fitsheads import table_cards

    return {name: table_cards(product.table(name)) for name in product.meta["tables"]}


def viewed(
    archive: Archive, address: str, columns: Sequence[str] = (), limit: int | None = None
) -> tuple[Table, Iterator[pa.Table]]:
    """The rows that the address of a view chooses, from the product that pages show.

    Parameters
    ----------
    archive : Archive
        The archive.
    address : str
        Of the catalogue, at a server or a site of files.
    columns : sequence of str
        Those that are wanted; all if empty.
    limit : int, optional
        Rows at most.

    Raises
    ------
    ConfigError
        If the address is of another page, or something of it cannot be.
    ArchiveError
        If the pages were not prepared.
    """
    table, state = state_of(address)
    product = voted_product(archive, state)
    return exported(product, selection(product.about(table), table, state), columns, limit)


def rows_at(root: Archive | str, address: str) -> pd.DataFrame:
    """The rows that a page of `exod explore` shows, as a frame.

    Parameters
    ----------
    root : Archive or str
        The archive.
    address : str
        The address of the page: of the catalogue, with what is chosen.

    Raises
    ------
    ConfigError
        If the address is of another page, or something of it cannot be.
    ArchiveError
        If the pages were not prepared.
    """
    table, chunks = viewed(open_archive(root), address)
    return to_pandas(pa.concat_tables([table.schema.empty_table(), *chunks]))


def _sizes(about: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for facet in about["facets"]:
        yield facet["name"], BINS if facet["kind"] == "bins" else len(facet["labels"])


def _found(
    connection: duckdb.DuckDBPyConnection,
    chosen: RowChoice,
    what: str,
    without: str = "",
    tail: str = "",
) -> list[tuple[Any, ...]]:
    words = ("SELECT", what, "FROM", chosen.source, "WHERE", chosen.condition(without), tail)
    return list(connection.execute(" ".join(words)).fetchall())


def _grouped(
    connection: duckdb.DuckDBPyConnection, chosen: RowChoice, names: list[str], without: str = ""
) -> list[tuple[Any, ...]]:
    listed = ", ".join(names)
    return _found(connection, chosen, f"{listed}, count(*)", without, f"GROUP BY {listed}")
