"""What several routes need: the product, the state of an address, entity tags."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from exod.errors import InputError
from exod.web.product import Product
from exod.web.selection import TABLES, RowChoice, selection


def current_product(request: Request) -> Product:
    """The product as it is now."""
    product: Product = request.app.state.current.product
    return product


ProductNow = Annotated[Product, Depends(current_product)]


def chosen_rows(request: Request, product: ProductNow, table: str = "sources") -> RowChoice:
    """What the address chooses.

    Raises
    ------
    InputError
        If there is no such table.
    """
    if table not in TABLES:
        raise InputError(f"There is no table {table[:50]!r}; there are {' and '.join(TABLES)}.")
    return selection(product.about(table), table, dict(request.query_params))


Chosen = Annotated[RowChoice, Depends(chosen_rows)]
