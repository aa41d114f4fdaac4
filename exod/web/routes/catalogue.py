"""Questions about many rows: counts, plots, maps, masks and some of the rows."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from exod.errors import ConfigError
from exod.web import counting
from exod.web.routes.common import Chosen, ProductNow

router = APIRouter(prefix="/api/v1", tags=["catalogue"])

MOST_ROWS = 10_000
"""Rows of one answer; an export has them all."""


@router.get("/meta")
def meta(product: ProductNow) -> dict[str, Any]:
    """Tables with their columns and facets, versions and files."""
    return product.meta


@router.get("/facets")
def facets(product: ProductNow, chosen: Chosen) -> dict[str, Any]:
    """How many rows have each code of each facet, the others being as chosen."""
    return counting.facet_counts(product, chosen)


@router.get("/hist2d")
def hist2d(product: ProductNow, chosen: Chosen, x: str = "hr", y: str = "sigma") -> dict[str, Any]:
    """Counts by two facets, in order of y, then x."""
    names = {facet["name"] for facet in product.about(chosen.table)["facets"]}
    for name in (x, y):
        if name not in names:
            raise ConfigError(f"There is no facet {name[:50]!r}; there are {', '.join(names)}.")
    return {"x": x, "y": y, "counts": counting.histogram(product, chosen, x, y)}


@router.get("/sky")
def sky(product: ProductNow, chosen: Chosen) -> dict[str, list[int]]:
    """Counts by HEALPix pixel of order 6, nested."""
    return counting.sky(product, chosen)


@router.get("/mask")
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
    offset: Annotated[int, Query(ge=0)] = 0,
) -> dict[str, Any]:
    """Some rows, with null where a value is missing."""
    known = [column["name"] for column in product.about(chosen.table)["columns"]]
    wanted = columns.split(",") if columns else known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"There is no column {unknown[0][:50]!r} in table {chosen.table}.")
    found = counting.rows(product, chosen, wanted, limit, offset)
    return {"total": counting.count(product, chosen), "rows": found}
