"""Questions about many rows: counts, plots, maps, masks and some of the rows."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel

from exod.errors import ConfigError
from exod.web import counting
from exod.web.routes.common import Chosen, ProductNow, versioned_router
from exod.web.vo.phrasing import in_adql

router = versioned_router("catalogue")

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
    """HEALPix pixels that have rows, and how many."""

    pixels: list[int]
    counts: list[int]


class SomeRows(BaseModel):
    """Some rows of a choice, and how many there are in all."""

    total: int
    rows: list[dict[str, Any]]


class Statement(BaseModel):
    """A statement in ADQL, or why there is none."""

    adql: str = ""
    why: str = ""


@router.get("/meta")
def meta(product: ProductNow) -> dict[str, Any]:
    """Tables with their columns and facets, versions and files."""
    return product.meta


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
    return SkyCounts(**counting.sky(product, chosen))


@router.get(
    "/mask",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The bits"}},
)
def mask(product: ProductNow, chosen: Chosen) -> Response:
    """Which rows are chosen, a bit a row in order of the files."""
    found = counting.mask(product, chosen)
    return Response(found, media_type="application/octet-stream")


@router.get("/rows")
def rows(
    product: ProductNow,
    chosen: Chosen,
    columns: str = "",
    limit: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 100,
    offset: Annotated[int, Query(ge=0, lt=1 << 63)] = 0,
) -> SomeRows:
    """Some rows, with null where a value is missing."""
    known = [column["name"] for column in product.about(chosen.table)["columns"]]
    wanted = columns.split(",") if columns else known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"There is no column {unknown[0][:50]!r} in table {chosen.table}.")
    found = counting.rows(product, chosen, wanted, limit, offset)
    return SomeRows(total=counting.count(product, chosen), rows=found)


@router.get("/adql")
def adql(request: Request, product: ProductNow, chosen: Chosen) -> Statement:
    """What an address chooses as a statement for TAP, or why it cannot be said in ADQL."""
    try:
        about = product.about(chosen.table)
        return Statement(adql=in_adql(about, chosen.table, dict(request.query_params)))
    except ConfigError as error:
        return Statement(why=str(error))
