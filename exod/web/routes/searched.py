"""What the search keeps of an observation, which published sites do not have."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from exod.errors import without_places
from exod.web import searched
from exod.web.routes.common import PROBLEMS

# An observation may be searched again while the pages stay as they are, so answers bear no version.
router = APIRouter(prefix="/api/v1", tags=["source"], responses=PROBLEMS)

Obsid = Annotated[str, Path(pattern="^[0-9]{10}$")]


@router.get("/obs/{obsid}/search")
def outcome(request: Request, obsid: Obsid) -> dict[str, Any]:
    """How its search ended, rates of its exposures, bad time, hot pixels, and names of its runs."""
    state = request.app.state
    found = searched.outcome(state.current.archive, obsid)
    if state.settings.public:
        ledger = found["ledger"]
        ledger["reason"] = without_places(ledger["reason"], state.current.archive.root)
    return found


@router.get("/obs/{obsid}/images/{runid}")
def image(
    request: Request, obsid: Obsid, runid: Annotated[str, Path(max_length=100)]
) -> dict[str, Any]:
    """The counts of a run in the cells of the sky, in order of y, then x, and boxes of regions."""
    return searched.image(request.app.state.current.archive, obsid, runid)
