"""How far the search was when the pages were prepared, for those that have no server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from exod.archive import Archive
from exod.archive.ledger.progress import archive_progress
from exod.schemas.columns import Column, Table

PROGRESS: Final = Table(
    "progress",
    "How far the search was when the pages were prepared",
    (Column("figures", pa.string(), "", "What `exod status --watch` counts, as JSON"),),
    (),
)


def progress_rows(archive: Archive) -> Iterator[pa.Table]:
    """One row with the figures of `exod.archive.ledger.progress.SurveyProgress`, for anybody."""
    figures = json.dumps(archive_progress(archive).elsewhere(archive.root).figures())
    yield pa.table({"figures": [figures]}, schema=PROGRESS.schema)
