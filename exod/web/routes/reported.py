"""The statistics of the whole archive, as `exod report` has them."""

from __future__ import annotations

import json
from asyncio import Lock
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from exod.web.routes.common import ProductNow, versioned_router

router = versioned_router("catalogue")


class ReportAnswer(BaseModel):
    """The sections of a report, each with its blocks: texts, tables and pictures."""

    title: str
    made: str
    sections: list[dict[str, Any]]


class ReportKept:
    """The report of the last version of the product that was asked for; others wait meanwhile."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._version, self._content = "", b""

    async def content(self, request: Request, version: str) -> bytes:
        """The report as JSON, counted and drawn once a version."""
        # What draws it is large, and most servers are never asked for it.
        from exod.stages.report.page import report_content

        state = request.app.state
        async with self._lock:
            if self._version != version:
                found = await run_in_threadpool(
                    report_content, state.current.archive, elsewhere=state.settings.public
                )
                self._version, self._content = version, json.dumps(found, allow_nan=False).encode()
            return self._content


@router.get("/report", response_model=ReportAnswer)
async def report(request: Request, product: ProductNow) -> Response:
    """What the archive holds, all of it at once: sections of texts, tables and pictures."""
    content = await request.app.state.report.content(request, product.version)
    return Response(content, media_type="application/json")
