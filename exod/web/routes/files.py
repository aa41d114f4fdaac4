"""The files of the product, whole or in ranges, as any store hands them out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from exod.errors import InputError
from exod.web.product import Product
from exod.web.routes.common import ProductNow, same_version

router = APIRouter(tags=["files"])

CHUNK = 1 << 18

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@router.api_route("/data/{name}", methods=["GET", "HEAD"], include_in_schema=False)
def file(name: str, request: Request, product: ProductNow) -> Response:
    """A file of the product, or the range of it that is asked for."""
    if name not in product.files:
        raise InputError(f"There is no file {name[:100]!r}.")
    size = product.files[name].bytes
    headers = {
        "accept-ranges": "bytes",
        "etag": f'"{product.files[name].sha256}"',
        "cache-control": "no-cache",
    }
    if same_version(request.headers.get("if-none-match", ""), headers["etag"]):
        return Response(status_code=304, headers=headers)
    status, start, stop = 200, 0, size
    asked = request.headers.get("range", "")
    if asked and request.headers.get("if-range") in {None, headers["etag"]}:
        found = byte_range(asked, size)
        if found is None:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        status, (start, stop) = 206, found
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["content-length"] = str(stop - start)
    kind = "application/vnd.apache.parquet"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    parts = _content(product, name, start, stop)
    # What is damaged is found before the answer begins, so that the reader gets a sentence.
    parts = chain([next(parts)], parts)
    return StreamingResponse(parts, status, headers, kind)


@router.api_route("/sky/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
def sky(path: str, product: ProductNow) -> Response:
    """A file of the HiPS of the density of sources."""
    if path not in product.density:
        raise InputError(f"There is no tile {path[:100]!r}.")
    kind = "image/png" if path.endswith(".png") else "text/plain; charset=utf-8"
    return Response(product.density[path], media_type=kind)


def byte_range(text: str, size: int) -> tuple[int, int] | None:
    """The first byte, and one past the last one, of a header Range; None if there are none.

    Examples
    --------
    >>> byte_range("bytes=2-3", 10), byte_range("bytes=-4", 10), byte_range("bytes=9-", 10)
    ((2, 4), (6, 10), (9, 10))
    >>> byte_range("bytes=10-12", 10) is None
    True
    """
    found = _RANGE.fullmatch(text.strip())
    if not found or not any(found.groups()):
        return None
    if not found[1]:
        start, stop = max(size - int(found[2]), 0), size
    else:
        start, stop = int(found[1]), min(int(found[2] or size) + 1, size)
    return (start, stop) if start < stop else None


def _content(product: Product, name: str, start: int, stop: int) -> Iterator[bytes]:
    with product.opened(name) as source:
        source.seek(start)
        while start < stop:
            part = source.read(min(CHUNK, stop - start))
            if not part:
                return
            start += len(part)
            yield bytes(part)
