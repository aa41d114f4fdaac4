"""Cone search, and the record of the archive for registries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from exod.errors import ConfigError, ExodError, without_places
from exod.tablefiles.votable import MEDIA_TYPE
from exod.web.product import Product
from exod.web.routes.common import ProductNow
from exod.web.vo.conesearch import ConeQuery, found_around, problem
from exod.web.vo.descriptions import Publisher, resource
from exod.web.vo.tapschema import shown_tables

router = APIRouter(prefix="/vo", include_in_schema=False)


@router.get("/scs")
def cone_search(request: Request, product: ProductNow) -> Response:
    """The sources in a circle; errors are VOTables, with status 200 as the standard says."""
    parameters = {name.upper(): value for name, value in request.query_params.items()}
    try:
        text = _begun(product, ConeQuery.read(parameters))
    except ExodError as error:
        return Response(problem(without_places(str(error))), media_type=MEDIA_TYPE)
    return StreamingResponse(text, media_type=MEDIA_TYPE)


def _begun(product: Product, asked: ConeQuery) -> Iterator[str]:
    """The answer from its first rows on, so that an error comes before anything is sent."""
    with ExitStack() as opened:
        text = opened.enter_context(found_around(product, asked))
        first = [next(text), next(text)]
        kept = opened.pop_all()

    def rest() -> Iterator[str]:
        with kept:
            yield from first
            yield from text

    return rest()


@router.get("/resource.xml")
def registry_record(
    request: Request,
    product: ProductNow,
    authority: Annotated[str, Query(max_length=100)] = "unregistered",
    name: Annotated[str, Query(max_length=200)] = "unnamed",
    email: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """The record; what the archive does not know of its publisher is in the address."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{2,}", authority):
        raise ConfigError(f"{authority!r} is no naming authority, as example.org is one.")
    shown = "".join(c for c in name + "\0" + email if c.isprintable() or c == "\0").split("\0")
    text = resource(
        product, shown_tables(product), str(request.base_url), Publisher(authority, *shown[:2])
    )
    return Response(text, media_type="text/xml")
