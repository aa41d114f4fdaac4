"""What several routes need: the product, the state of an address, entity tags, errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel

from exod.errors import InputError
from exod.web.product import Product
from exod.web.selection import TABLES, RowChoice, selection
from exod.web.voting.facets import FACETS_OF_VOTES, VotedProduct, checked_own
from exod.web.voting.people import checked_name

LONGEST_WORD: Final = 4_000
"""Characters of one value of an address."""


async def current_product(request: Request) -> Product:
    """The product as it is now, with facets of votes where they are asked for."""
    # It is asked for more than once of a request, and each time its pointer would be read.
    if _ASKED not in request.scope:
        request.scope[_ASKED] = await run_in_threadpool(_product_now, request)
    product: Product = request.scope[_ASKED]
    return product


def _product_now(request: Request) -> Product:
    product: Product = request.app.state.current.product
    asked = {*request.query_params.keys(), *request.query_params.values()}
    if request.url.path.endswith(_WITH_VOTES) or asked & _VOTES:
        state = {**request.query_params, "vetter": asking_vetter(request)}
        product = VotedProduct(product, request.app.state.vote_facets, checked_own(state))
    return product


_ASKED: Final = "exod_product"
_WITH_VOTES: Final = ("/meta", "/facets", "/votes")
_VOTES: Final = frozenset(facet.name for facet in FACETS_OF_VOTES)


def asking_vetter(request: Request) -> str:
    """Who asks: by the login, or else as the address says; empty if nobody is named.

    Raises
    ------
    ConfigError
        If the address names somebody who cannot be.
    """
    if request.app.state.settings.public:
        return ""
    login: str = request.scope.get("exod_vetter", "")
    given = request.query_params.get("vetter", "")
    return login or (checked_name(given) if given else "")


ProductNow = Annotated[Product, Depends(current_product)]


class Problem(BaseModel):
    """Why a question has no answer.

    Attributes
    ----------
    detail : str
        A sentence.
    """

    detail: str


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Problem, "description": "What is asked cannot be"},
    404: {"model": Problem, "description": "There is no such thing"},
    422: {"model": Problem, "description": "A value is missing, or of another kind"},
    503: {"model": Problem, "description": "The archive cannot be read, or others ask too much"},
}
"""What may come in place of an answer."""

FORBIDDEN: Final[dict[int | str, dict[str, Any]]] = {
    403: {"model": Problem, "description": "Not from this page, or not on this server"}
}
"""The same of what changes something."""


def one_of(values: Iterable[str]) -> dict[str, Any]:
    """What a value may be, for the description of the API: others get a sentence of ours."""
    return {"json_schema_extra": {"enum": [*values]}}


def _said(words: str, example: str) -> Any:
    return Query(max_length=LONGEST_WORD, description=words, examples=[example])


async def chosen_rows(
    request: Request,
    product: ProductNow,
    table: Annotated[str, Query(**one_of(TABLES))] = TABLES[0],
    where: Annotated[
        str, _said("A condition on columns", "sigma_peak > 5 and abs(dec_deg) < 30")
    ] = "",
    cone: Annotated[str, _said("RA,DEC,ARCSEC", "83.8,-5.4,60")] = "",
    obsid: Annotated[str, _said("Observations", "0001730201,0002970201")] = "",
    name: Annotated[str, _said("Name of a source, or how it begins", "J0535")] = "",
    flag: Annotated[str, _said("Bits of flags that are set", "0.2")] = "",
    noflag: Annotated[str, _said("Bits of flags that are not set", "5")] = "",
    sort: Annotated[str, _said("A column, with - for largest first", "-ra_deg")] = "",
) -> RowChoice:
    """What the address chooses; facets have the names that ``meta`` tells, as ``sigma=14-63``."""
    # It takes less than to hand it to another thread and to wait for that.
    own = {"table": table, "where": where, "cone": cone, "obsid": obsid, "name": name}
    own |= {"flag": flag, "noflag": noflag, "sort": sort}
    return chosen_of(product, {**request.query_params, **own})


def chosen_of(product: Product, state: Mapping[str, str]) -> RowChoice:
    """What the state of an address chooses, with ``table`` in it.

    Raises
    ------
    InputError
        If there is no such table.
    """
    table = state.get("table", TABLES[0])
    if table not in TABLES:
        raise InputError(f"There is no table {table[:50]!r}; there are {' and '.join(TABLES)}.")
    return selection(product.about(table), table, state)


Chosen = Annotated[RowChoice, Depends(chosen_rows)]


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not text") from None
    return value


PlainText = Annotated[str, AfterValidator(_text)]
"""Text that can be written down: JSON may have half characters."""


def same_version(given: str, tag: str) -> bool:
    """Whether a header If-None-Match names an entity tag.

    Examples
    --------
    >>> same_version('"a", W/"b"', '"b"'), same_version("*", '"b"'), same_version("b", '"b"')
    (True, True, False)
    """
    return given.strip() == "*" or tag in re.findall(r'"[^"]*"', given)


class VersionedRoute(APIRoute):
    """A route whose answers change with the version of the product, and with nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, which tells the version and does nothing if the reader has it."""
        answered = super().get_route_handler()

        async def handler(request: Request) -> Response:
            product = await current_product(request)
            tag = f'"{product.tag}"'
            headers = {"etag": tag, "cache-control": "no-cache"}
            if same_version(request.headers.get("if-none-match", ""), tag):
                return Response(status_code=304, headers=headers)
            response = await answered(request)
            response.headers.update(headers)
            return response

        return handler


def versioned_router(tag: str) -> APIRouter:
    """A router of the API for what is in the product."""
    return APIRouter(prefix="/api/v1", tags=[tag], route_class=VersionedRoute, responses=PROBLEMS)
