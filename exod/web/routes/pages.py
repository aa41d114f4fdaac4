"""The page that all other addresses begin with."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from exod.web.pages import shell
from exod.web.selection import TABLES

router = APIRouter(include_in_schema=False)

MODULES = {"": "catalogue", "obs": "observation", **{name: name for name in ("source", "vet")}}
"""The script of a page, by the first part of its address; of others it is loaded when it runs."""

COUNTED_BY_BROWSERS = 2_000_000
"""Rows up to which a browser counts itself, and so reads files at once."""

PAGES = (
    *("/", "/source/{number}", "/name/{name}", "/detection/{detid}", "/obs/{obsid}", "/vet"),
    *("/compare", "/runs", "/stats", "/columns", "/api", "/about"),
)


def page(request: Request) -> Response:
    """The shell, which the scripts fill."""
    token = "" if request.app.state.settings.public else request.app.state.token
    name = MODULES.get(request.url.path.split("/")[1])
    product = request.app.state.current.product
    rows = max(product.files[f"{table}.parquet"].rows for table in TABLES)
    reads = name != "catalogue" or rows <= COUNTED_BY_BROWSERS
    modules = ("main", *([f"pages/{name}"] if name else []), *(["parquet"] if reads else []))
    vetter = request.scope.get("exod_vetter", "")
    return HTMLResponse(shell("/", "server", token, vetter, modules=modules))


for _path in PAGES:
    router.add_api_route(_path, page, methods=["GET"])


@router.get("/{path:path}")
def other(path: str, request: Request) -> Response:
    """Every other address: a sentence, for a reader as a page."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(shell("/", "server"), 404)
    return JSONResponse({"detail": f"There is nothing at /{path[:200]}."}, 404)
