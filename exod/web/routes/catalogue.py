"""Questions about many rows: counts, plots, maps, masks and some of the rows."""

from __future__ import annotations

import io
import re
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import Path, Query, Request, Response
from pydantic import BaseModel

from exod.archive.derived import DerivedFile
from exod.errors import ConfigError, InputError
from exod.web import counting
from exod.web.product import Product
from exod.web.routes.common import Chosen, ProductNow, versioned_router
from exod.web.selection import TABLES
from exod.web.vo.phrasing import in_adql

router = versioned_router("catalogue")

PARQUET = "application/vnd.apache.parquet"

MOST_ROWS = 10_000
"""Rows of one answer; an export has them all."""


class FacetCounts(BaseModel):
    """Rows of each code of each facet, missing last, and of each flag."""

    rows: int
    facets: dict[str, list[int]]
    flags: list[int]


class PlaneCounts(BaseModel):
    """Rows by two facets, in order of y, then x."""

    x: str
    y: str
    counts: list[list[int]]


class SkyCounts(BaseModel):
    """How many rows each HEALPix pixel has: without their numbers it is half as long."""

    counts: list[int]


class SomeRows(BaseModel):
    """Some rows of a choice, and how many there are in all, if that is asked for."""

    total: int | None
    rows: list[dict[str, Any]]


class Beside(BaseModel):
    """The numbers of the sources before and after one."""

    before: int | None
    after: int | None


class BesideChosen(BaseModel):
    """The keys of the rows before and after one in a choice, and which of how many it is."""

    before: int | str | None
    after: int | str | None
    place: int | None
    total: int


class Statement(BaseModel):
    """A statement in ADQL, or why there is none."""

    adql: str = ""
    why: str = ""


@router.get("/meta", response_model=dict[str, Any])
def meta(product: ProductNow) -> Response:
    """Tables with their columns and facets, versions and files."""
    return Response(product.meta_text, media_type="application/json")


@router.get("/votes")
def votes(product: ProductNow) -> dict[str, dict[str, list[int]]]:
    """Of each table the rows with votes, and their codes of the facets of votes."""
    found: dict[str, dict[str, list[int]]] = getattr(product, "votes", {})
    return found


@router.get("/facets")
def facets(product: ProductNow, chosen: Chosen) -> FacetCounts:
    """How many rows have each code of each facet, the others being as chosen."""
    return FacetCounts(**counting.facet_counts(product, chosen))


@router.get("/hist2d")
def hist2d(product: ProductNow, chosen: Chosen, x: str = "hr", y: str = "sigma") -> PlaneCounts:
    """Counts by two facets, in order of y, then x."""
    names = {facet["name"] for facet in product.about(chosen.table)["facets"]}
    for name in (x, y):
        if name not in names:
            raise ConfigError(f"There is no facet {name[:50]!r}; there are {', '.join(names)}.")
    return PlaneCounts(x=x, y=y, counts=counting.histogram(product, chosen, x, y))


@router.get("/sky")
def sky(product: ProductNow, chosen: Chosen) -> SkyCounts:
    """Counts by HEALPix pixel of order 6, nested."""
    return SkyCounts(counts=counting.sky(product, chosen))


@router.get(
    "/mask",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The bits"}},
)
def mask(product: ProductNow, chosen: Chosen) -> Response:
    """Which rows are chosen, a bit a row in order of the files."""
    found = counting.mask(product, chosen)
    return Response(found, media_type="application/octet-stream")


@router.get("/rows", response_model=SomeRows)
def rows(
    product: ProductNow,
    chosen: Chosen,
    columns: str = "",
    limit: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 100,
    offset: Annotated[int, Query(ge=0, lt=1 << 63)] = 0,
    total: Annotated[bool, Query()] = True,  # noqa: FBT002
) -> Response:
    """Some rows, with null where a value is missing."""
    known = [column["name"] for column in product.about(chosen.table)["columns"]]
    wanted = columns.split(",") if columns else known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"There is no column {unknown[0][:50]!r} in table {chosen.table}.")
    found = counting.rows(product, chosen, wanted, limit, offset)
    answer = SomeRows(total=counting.count(product, chosen) if total else None, rows=found)
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/adql")
def adql(request: Request, product: ProductNow, chosen: Chosen) -> Statement:
    """What an address chooses as a statement for TAP, or why it cannot be said in ADQL."""
    try:
        about = product.about(chosen.table)
        return Statement(adql=in_adql(about, chosen.table, dict(request.query_params)))
    except ConfigError as error:
        return Statement(why=str(error))


@router.get("/besides/{number}")
def besides(number: Annotated[int, Path(ge=0, lt=1 << 63)], product: ProductNow) -> Beside:
    """The numbers of the sources before and after one; null if there is none."""
    return Beside(**counting.besides(product, number))


@router.get("/step/{key}")
def step(
    key: Annotated[str, Path(max_length=100)], product: ProductNow, chosen: Chosen
) -> BesideChosen:
    """What comes before and after a source, by its number, or a detection in a choice of rows."""
    own: str | int = key
    if chosen.table == TABLES[0]:
        if not re.fullmatch(r"\d{1,18}", key, re.ASCII):
            raise ConfigError(f"{key[:50]!r} is no number of a source.")
        own = int(key)
    return BesideChosen(**counting.besides_chosen(product, chosen, own))


@router.get(
    "/where/{name}",
    response_class=Response,
    responses={200: {"content": {PARQUET: {}}, "description": "The rows"}},
)
def rows_where(name: str, product: ProductNow, key: str, value: str, columns: str = "") -> Response:
    """The rows of a file with a value of a column, as a Parquet file."""
    _file(product, name)
    kinds = {column.name: column.type for column in product.table(_table(name)).columns}
    wanted = _columns(product, name, columns) if columns else [*kinds]
    if key not in kinds or not (pa.types.is_string(kinds[key]) or pa.types.is_integer(kinds[key])):
        raise ConfigError(f"{name} has no column {key[:50]!r} of text or whole numbers.")
    is_text = pa.types.is_string(kinds[key])
    if not is_text and not re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        raise ConfigError(f"{key}={value[:50]} is no whole number.")
    return _parquet(product.rows_where(name, key, value if is_text else int(value), wanted))


def _file(product: Product, name: str) -> DerivedFile:
    if name not in product.files:
        raise InputError(f"There is no file {name[:100]!r}.")
    return product.files[name]


def _table(name: str) -> str:
    return name.removesuffix(".parquet").replace(".index", "_index")


def _columns(product: Product, name: str, columns: str) -> list[str]:
    known = {column.name for column in product.table(_table(name)).columns}
    wanted = columns.split(",")
    for one in wanted:
        if one not in known:
            raise ConfigError(f"{name} has no column {one[:50]!r}.")
    return wanted


def _parquet(rows: pa.Table) -> Response:
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="snappy", write_statistics=False)
    return Response(sink.getvalue(), media_type=PARQUET)
