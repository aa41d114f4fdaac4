"""The rows of a selection as a file for other programs."""

from __future__ import annotations

import tempfile
from pathlib import Path as File
from typing import Annotated, Any, Final

from fastapi import Path
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from exod.errors import ConfigError, InputError
from exod.tablefiles.writing import write_table
from exod.web.counting import count, exported, heads
from exod.web.routes.common import Chosen, ProductNow, one_of, versioned_router

router = versioned_router("catalogue")

KINDS: Final = {
    "csv": "text/csv",
    "ecsv": "text/csv",
    "vot": "application/x-votable+xml",
    "fits": "application/fits",
    "parquet": "application/vnd.apache.parquet",
}
"""The formats, and what each is called on the web."""

IN_MEMORY: Final = ("ecsv",)
MOST_IN_MEMORY: Final = 200_000
"""Rows of a file that is made in memory; others are written as rows come."""


@router.get("/heads")
def fits_heads(product: ProductNow) -> dict[str, dict[str, Any]]:
    """Of each table what FITS files of its rows say in their headers, as cards."""
    return heads(product)


@router.get(
    "/export.{kind}",
    response_class=FileResponse,
    responses={200: {"content": {kind: {} for kind in KINDS.values()}, "description": "The file"}},
)
def export(
    kind: Annotated[str, Path(**one_of(KINDS))],
    product: ProductNow,
    chosen: Chosen,
    columns: str = "",
) -> FileResponse:
    """All rows that an address chooses, in its order."""
    if kind not in KINDS:
        raise InputError(f"There is no format {kind[:20]!r}; there are {', '.join(KINDS)}.")
    table, chunks = exported(product, chosen, columns.split(",") if columns else [])
    if kind in IN_MEMORY and count(product, chosen) > MOST_IN_MEMORY:
        raise ConfigError(
            f"More than {MOST_IN_MEMORY:,} rows are not written as {kind}; choose fewer rows, or "
            f"fits, csv or parquet."
        )
    folder = tempfile.TemporaryDirectory(prefix="exod-export-")
    try:
        path = File(folder.name, f"{chosen.table}.{kind}")
        write_table(path, table, chunks)
    except BaseException:
        folder.cleanup()
        raise
    gone = BackgroundTask(folder.cleanup)
    return FileResponse(path, media_type=KINDS[kind], filename=path.name, background=gone)
