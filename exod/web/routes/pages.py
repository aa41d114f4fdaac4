"""The page that all other addresses begin with."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from exod.web.pages import shell
from exod.web.selection import TABLES

router = APIRouter(include_in_schema=False)

COUNTED_BY_BROWSERS = 2_000_000
"""Rows of a table up to which browsers count, as ``engine.js`` has it."""

PAGES = (
    *("/", "/source/{number}", "/name/{name}", "/detection/{detid}", "/obs/{obsid}", "/vet"),
    *("/compare", "/runs", "/stats", "/columns", "/api", "/about"),
)

OF_SOURCE = ("api/v1/pages/source/{}", "api/v1/where/lightcurves.parquet?key=region_num&value={}")
"""What the page of a source asks for first, as its scripts say it."""


def page(request: Request) -> Response:
    """The shell, which the scripts fill."""
    token = "" if request.app.state.settings.public else request.app.state.token
    vetter = request.scope.get("exod_vetter", "")
    number = request.path_params.get("number", "")
    # What is asked for with the scripts is there when they have begun.
    is_source = re.fullmatch("[0-9]{1,18}", number)
    ahead = [form.format(number) for form in OF_SOURCE] if is_source else []
    return HTMLResponse(shell("/", "server", token, vetter, reads=_reads(request), ahead=ahead))


def _reads(request: Request) -> bool:
    """Whether a page will read files: that of the catalogue does not where the server counts."""
    if request.url.path != "/":
        return True
    table = request.query_params.get("table", TABLES[0])
    file = request.app.state.current.product.files.get(f"{table}.parquet")
    return file is None or file.rows <= COUNTED_BY_BROWSERS


for _path in PAGES:
    router.add_api_route(_path, page, methods=["GET"])


@router.get("/{path:path}")
def other(path: str, request: Request) -> Response:
    """Every other address: a sentence, for a reader as a page."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(shell("/", "server"), 404)
    return JSONResponse({"detail": f"There is nothing at /{path[:200]}."}, 404)
