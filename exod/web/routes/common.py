"""What several routes need: the product, the state of an address, text that can be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from pydantic import AfterValidator

from exod.errors import InputError
from exod.web.product import Product
from exod.web.selection import TABLES, RowChoice, selection


def current_product(request: Request) -> Product:
    """The product as it is now."""
    product: Product = request.app.state.current.product
    return product


ProductNow = Annotated[Product, Depends(current_product)]


def chosen_rows(request: Request, product: ProductNow, table: str = "sources") -> RowChoice:
    """What the address chooses."""
    return chosen_of(product, {**request.query_params, "table": table})


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
