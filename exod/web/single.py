"""What the product knows of one source, detection or observation: rows by their key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import cv2
import duckdb
import numpy as np
import pyarrow as pa

from exod.errors import InputError
from exod.schemas.conditions.compiling import quoted
from exod.schemas.explorer import N_SIMILAR, OWNER
from exod.web.counting import ROW, besides, in_json
from exod.web.product import Product

Row = dict[str, Any]

MOST_PHOTONS: Final = 1_000_000
"""Of one answer; those of a bright source come in several."""

CELL_PIXELS: Final = 8
"""Width of a cell in the picture of a finder."""

_OF_SOURCE: Final = ("sources", "detections", "coverage", "lineage")
_ROWS_OF_SOURCE: Final = tuple(
    f"{name}.parquet" for name in ("sources", "detections", "coverage", "longterm")
)
_BESIDE_SOURCE: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "runs.parquet": ("obsid", ("obsid", "t_lo", "t_lo_mjd")),
    "outlines.parquet": ("obsid", ()),
    "cutouts.parquet": ("detid", ()),
}
"""Files that a page of a source reads besides: the column to look into, and those that it shows."""

_HOT: Final = "hot_regions.parquet"
_HOT_COLUMNS: Final = (
    *("t_bin", "x_lo", "x_hi", "y_lo", "y_hi"),
    *("n_regions", "n_observations", "origin"),
)
_OF_OBSERVATION: Final = ("observations", "exposures", "runs", "detections")


def source(product: Product, number: int) -> dict[str, Any]:
    """A source with its detections, the observations that covered it, and what became of it.

    Raises
    ------
    InputError
        If there is none of that number.
    """
    with product.connected(_OF_SOURCE) as connection:
        asking = _Asking(product, connection)
        found = asking.first("sources", "region_num", number, f"There is no source {number}.")
        own = {name: asking.rows(name, "region_num", number) for name in _OF_SOURCE[1:]}
    return {"source": found, **own}


def page_of_source(product: Product, number: int) -> dict[str, Any]:
    """What the page of a source shows but for its light curves and photons, which may be many.

    Parameters
    ----------
    product : Product
        The product.
    number : int
        The source; of one that is not there, there are no rows.

    Returns
    -------
    dict
        ``rows``, those of each file that belong to the source; ``others``, of each of further
        files rows whose column ``key`` has one of some ``values``, or all rows where that is empty;
        ``before`` and ``after``, the numbers of the sources beside it.
    """

    def rows_of(name: str, key: str, value: str | int, columns: Sequence[str] = ()) -> list[Row]:
        listed = columns or product.table(name.removesuffix(".parquet")).schema.names
        return _in_rows(product.rows_where(name, key, value, listed))

    rows = {f: rows_of(f, OWNER, number) for f in _ROWS_OF_SOURCE if f in product.files}
    best = [row["best_detid"] for row in rows["sources.parquet"]]
    known = rows["detections.parquet"]
    # Of no other observation the field is shown.
    shown = [row["obsid"] for row in known if row["detid"] in best]
    shown = shown or [row["obsid"] for row in known[:1]]
    values = {
        "runs.parquet": [*dict.fromkeys(row["obsid"] for row in known)],
        "outlines.parquet": shown,
        "cutouts.parquet": best,
    }
    others = {}
    for name, (key, columns) in _BESIDE_SOURCE.items():
        if name in product.files:
            found = [rows_of(name, key, value, columns) for value in values[name]]
            others[name] = {"key": key, "values": values[name], "rows": [*chain(*found)]}
    if _HOT in product.files:
        found = product.rows_at(_HOT, range(product.files[_HOT].rows), _HOT_COLUMNS)
        others[_HOT] = {"key": "", "values": [], "rows": _in_rows(found)}
    return {"rows": rows, "others": others, **besides(product, number)}


def _in_rows(rows: pa.Table) -> list[Row]:
    return [dict(zip(row, in_json(row.values()), strict=True)) for row in rows.to_pylist()]


def detection(product: Product, detid: str) -> dict[str, Any]:
    """All columns of a detection.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    with product.connected(["detections"]) as connection:
        return _Asking(product, connection).detection(detid)


def observation(product: Product, obsid: str) -> dict[str, Any]:
    """An observation with its exposures, runs and detections.

    Raises
    ------
    InputError
        If the archive has nothing of it.
    """
    with product.connected(_OF_OBSERVATION) as connection:
        asking = _Asking(product, connection)
        found = {name: asking.rows(name, "obsid", obsid) for name in _OF_OBSERVATION}
    if not found["observations"] and not found["exposures"]:
        raise InputError(
            f"These pages have nothing of observation {obsid}; if it was searched since they were "
            f"prepared, run `exod explore {product.store.root}`."
        )
    one = found.pop("observations")
    return {"observation": one[0] if one else None, **found}


def light_curve(product: Product, detid: str) -> dict[str, Any]:
    """The light curve of a detection, a list a column.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    with product.connected(["detections", "lightcurves"]) as connection:
        asking = _Asking(product, connection)
        about = asking.detection(detid)
        # The file is in order of sources: others than this one are not read.
        columns = asking.columns(
            "lightcurves", "region_num = ? AND detid = ?", [about["region_num"], detid]
        )
    keys = ("detid", "region_num")
    return {name: about[name] for name in (*keys, "obsid", "t_bin", "e_lo", "e_hi")} | {
        "columns": {name: values for name, values in columns.items() if name not in keys}
    }


def photons(
    product: Product, number: int, obsid: str = "", limit: int = MOST_PHOTONS, offset: int = 0
) -> dict[str, Any]:
    """The photons around a source in order of time, a list a column.

    Parameters
    ----------
    product : Product
        The product.
    number : int
        The source.
    obsid : str
        Of one observation only.
    limit, offset : int
        How many at most, after how many.

    Raises
    ------
    InputError
        If there is no such source, or photons were not kept.
    """
    with product.connected(["sources", "photons"]) as connection:
        asking = _Asking(product, connection)
        asking.first("sources", "region_num", number, f"There is no source {number}.")
        if "photons.parquet" not in product.files:
            raise InputError(
                "Photons near the sources were not kept; run `exod explore ROOT --photons "
                "recorded`."
            )
        where = "region_num = ?" + (" AND obsid = ?" if obsid else "")
        given = [number, obsid] if obsid else [number]
        (total,) = asking.found(f"SELECT count(*) FROM photons WHERE {where}", given)[0]  # noqa: S608
        columns = asking.columns("photons", where, given, f" LIMIT {limit} OFFSET {offset}")
    columns.pop("region_num")
    about = {column.name: column.unit for column in product.table("photons").columns}
    units = {name: about[name] for name in columns}
    return {"region_num": number, "total": total, "units": units, "columns": columns}


def similar(product: Product, number: int, detid: str = "", limit: int = 12) -> dict[str, Any]:
    """The light curves that are most like one of a source, the best of each other source.

    Parameters
    ----------
    product : Product
        The product.
    number : int
        The source.
    detid : str
        Which of its light curves; that of its best detection if empty.
    limit : int
        How many at most.

    Returns
    -------
    dict
        ``detid``, the light curve, and ``similar``, rows with the Euclidean distance between the
        numbers of both.

    Raises
    ------
    InputError
        If there is no such source, or no such light curve of it.
    """
    names = [f"f{place:02d}" for place in range(N_SIMILAR)]
    with product.connected(["sources", "neighbours"]) as connection:
        asking = _Asking(product, connection)
        about = asking.first("sources", "region_num", number, f"There is no source {number}.")
        wanted = detid or str(about["best_detid"])
        listed = ", ".join(names)
        own = asking.found(
            f"SELECT {listed} FROM neighbours WHERE region_num = ? AND detid = ?",  # noqa: S608
            [number, wanted],
        )
        if not own:
            raise InputError(f"Source {number} has no light curve of {wanted[:100]!r}.")
        apart = " + ".join(
            f"({name}::DOUBLE - {value!r}) * ({name}::DOUBLE - {value!r})"
            for name, value in zip(names, own[0], strict=True)
        )
        words = (
            *("WITH best AS (SELECT min({'apart':", apart, ", 'row':", ROW, "}) AS b"),
            "FROM neighbours WHERE region_num <> ? GROUP BY region_num)",
            "SELECT region_num, srcid, detid, sqrt(b.apart) AS distance FROM neighbours JOIN best",
            *("ON", ROW, "= b.row ORDER BY b LIMIT", str(limit)),
        )
        found = asking.dictionaries(" ".join(words), [number])
    return {"region_num": number, "detid": wanted, "similar": found}


def lineage(
    product: Product, number: int | None = None, limit: int = 10_000, offset: int = 0
) -> dict[str, Any]:
    """What became of sources in all versions, in order of these: new, merged, split, gone ..."""
    where, given = ("region_num = ?", [number]) if number is not None else ("true", [])
    with product.connected(["lineage"]) as connection:
        asking = _Asking(product, connection)
        (total,) = asking.found(f"SELECT count(*) FROM lineage WHERE {where}", given)[0]  # noqa: S608
        order = f"ORDER BY generation, {ROW} LIMIT {limit} OFFSET {offset}"
        rows = asking.selected("lineage", where, given, order)
    return {"total": total, "rows": rows}


def finder(product: Product, number: int) -> bytes:
    """The picture around a source as PNG: counts in logarithmic steps, north up and east left.

    Raises
    ------
    InputError
        If there is none.
    """
    with product.connected(["sources", "cutouts"]) as connection:
        asking = _Asking(product, connection)
        why = f"There is no picture of source {number}."
        best = asking.first("sources", "region_num", number, why)["best_detid"]
        found = asking.first("cutouts", "detid", best, why)
    return picture(np.array(found["n"], np.int32))


def picture(counts: np.ndarray) -> bytes:
    """Counts of square cells as PNG.

    Parameters
    ----------
    counts : int array, shape (n * n,)
        In order of y, then x; below 0 outside the image, where the picture can be seen through.
    """
    side = math.isqrt(counts.size)
    cells = counts.reshape(side, side)[::-1]
    largest = max(int(cells.max(initial=0)), 1)
    grey = np.round(255 * np.log1p(np.maximum(cells, 0)) / np.log1p(largest)).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_CIVIDIS), cv2.COLOR_BGR2BGRA)
    colours[..., 3] = np.where(cells < 0, 0, 255)
    size = (side * CELL_PIXELS, side * CELL_PIXELS)
    large = cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)
    return bytes(cv2.imencode(".png", large)[1])


class _Asking:
    """Asks for rows of the product's tables, with values as JSON can have them."""

    def __init__(self, product: Product, connection: duckdb.DuckDBPyConnection) -> None:
        self._product, self._connection = product, connection

    def detection(self, detid: str) -> dict[str, Any]:
        why = f"There is no detection {detid[:100]!r}."
        return self.first("detections", "detid", detid, why)

    def first(self, table: str, key: str, value: object, why: str) -> dict[str, Any]:
        found = self.rows(table, key, value)
        if not found:
            raise InputError(why)
        return found[0]

    def rows(self, table: str, key: str, value: object) -> list[dict[str, Any]]:
        return self.selected(table, f"{quoted(key)} = ?", [value], f"ORDER BY {ROW}")

    def selected(
        self, table: str, where: str, given: Sequence[object], tail: str
    ) -> list[dict[str, Any]]:
        words = ("SELECT", self._listed(table), "FROM", table, "WHERE", where, tail)
        return self.dictionaries(" ".join(words), given)

    def columns(
        self, table: str, where: str, given: Sequence[object], limit: str = ""
    ) -> dict[str, list[Any]]:
        words = ("SELECT", self._listed(table), "FROM", table, "WHERE", where, "ORDER BY", ROW)
        rows = self._connection.sql(" ".join(words) + limit, params=[*given]).to_arrow_table()
        return {name: in_json(rows[name].to_pylist()) for name in rows.column_names}

    def dictionaries(self, words: str, given: Sequence[object]) -> list[dict[str, Any]]:
        found = self._connection.execute(words, [*given])
        names = [about[0] for about in found.description]
        return [dict(zip(names, in_json(row), strict=True)) for row in found.fetchall()]

    def found(self, words: str, given: Sequence[object]) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(words, [*given]).fetchall())

    def _listed(self, table: str) -> str:
        return ", ".join(map(quoted, self._product.table(table).schema.names))
