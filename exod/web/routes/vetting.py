"""Votes on sources: what a vetter has to do, what others think, and voting itself."""

from __future__ import annotations

import tempfile
from pathlib import Path as File
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from exod.errors import InputError
from exod.web.routes.common import (
    FORBIDDEN,
    PROBLEMS,
    PlainText,
    ProductNow,
    asking_vetter,
    one_of,
)
from exod.web.voting.ballot import Ballot
from exod.web.voting.people import LONGEST_NAME, checked_name
from exod.web.voting.queues import Queue, queue

LONGEST_NOTE: Final = 2_000
LONGEST_QUEUE: Final = 10_000

_FORMATS: Final = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "fits": "application/fits",
}


def _ballot(request: Request) -> Ballot:
    """The votes; a server that is open to everybody has none."""
    if request.app.state.settings.public:
        raise HTTPException(403, "This server is public: there is no vetting.")
    ballot: Ballot = request.app.state.ballot
    return ballot


def _vetter(request: Request, vetter: Annotated[str, Query(max_length=LONGEST_NAME)] = "") -> str:
    return _named(request, vetter)


def _named(request: Request, given: str) -> str:
    """The vetter: who is logged in; without a login, whom the page names."""
    login: str = request.scope.get("exod_vetter", "")
    if login and given and given != login:
        raise HTTPException(403, f"You are logged in as {login}, and vote under no other name.")
    return login or checked_name(given)


BallotNow = Annotated[Ballot, Depends(_ballot)]
Vetter = Annotated[str, Depends(_vetter)]

router = APIRouter(prefix="/api/v1/vetting", tags=["vetting"], responses=PROBLEMS | FORBIDDEN)


class Vote(BaseModel):
    """A vote as a page sends it.

    Attributes
    ----------
    vetter : str
        Who votes; where there is a login, that counts.
    source : int
        The number of the source.
    label : str
        real, artefact, interesting or unsure; none withdraws.
    classes, note, view, supersedes : str
        As in `exod.schemas.votes.VOTES`.
    score : int
        How sure, 0 to 5; -1 if not told.
    seconds : float, optional
        How long it was looked at.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    vetter: str = Field("", max_length=LONGEST_NAME)
    source: int = Field(ge=0, lt=1 << 53)
    label: Literal["real", "artefact", "interesting", "unsure", "none"]
    classes: PlainText = Field("", max_length=200)
    score: int = Field(-1, ge=-1, le=5)
    note: PlainText = Field("", max_length=LONGEST_NOTE)
    view: PlainText = Field("", max_length=2_000)
    supersedes: str = Field("", pattern=r"^[0-9a-f-]{0,40}$")
    seconds: float | None = Field(None, ge=0, lt=1e7, allow_inf_nan=False)


class VerdictRow(BaseModel):
    """What vetters think of a source; the votes by label are hidden until one has voted."""

    region_num: int
    n_votes: int
    verdict: str
    votes: dict[str, int] | None


class VerdictAnswer(BaseModel):
    """Verdicts on sources, and how many there are in all."""

    total: int
    rows: list[VerdictRow]


@router.get("")
def verdicts(
    request: Request,
    source: Annotated[int | None, Query(ge=0, lt=1 << 63)] = None,
    limit: Annotated[int, Query(ge=0, le=LONGEST_QUEUE)] = 1_000,
    offset: Annotated[int, Query(ge=0, lt=1 << 63)] = 0,
) -> VerdictAnswer:
    """What vetters think of sources with votes, or of one source; no names, for every reader.

    Who is logged in, or named by ``vetter``, sees verdicts after the own vote only.
    """
    ballot: Ballot = request.app.state.ballot
    found = ballot.verdicts(asking_vetter(request), source)
    shown = [VerdictRow(**row) for row in found[offset : offset + limit]]
    return VerdictAnswer(total=len(found), rows=shown)


@router.get("/state")
def state(
    ballot: BallotNow, vetter: Vetter, source: Annotated[int | None, Query(ge=0)] = None
) -> dict[str, Any]:
    """What a vetter did so far; or the votes on a source, those of others after the own one."""
    return ballot.of_vetter(vetter) if source is None else ballot.of_source(vetter, source)


@router.get("/queue")
def asked(
    ballot: BallotNow,
    product: ProductNow,
    request: Request,
    vetter: Vetter,
    kind: Annotated[Queue, Query(alias="queue")] = "unvoted",
    limit: Annotated[int, Query(ge=0, le=LONGEST_QUEUE)] = 500,
) -> dict[str, Any]:
    """The sources that a vetter is asked about, of those that the address chooses."""
    found = queue(ballot, product, vetter, kind, dict(request.query_params))
    return {"queue": kind, "total": len(found), "sources": found[:limit]}


@router.get("/agreement")
def agreement(ballot: BallotNow) -> dict[str, Any]:
    """Fleiss' kappa, the number of verdicts, and each vetter against them."""
    return ballot.agreement()


@router.get(
    "/export.{ending}",
    response_class=Response,
    responses={
        200: {"content": {kind: {} for kind in _FORMATS.values()}, "description": "The file"}
    },
)
def export(ballot: BallotNow, ending: Annotated[str, Path(**one_of(_FORMATS))]) -> Response:
    """The verdicts as a file."""
    if ending not in _FORMATS:
        raise InputError(f"Verdicts are exported as {', '.join(_FORMATS)}, not {ending[:20]!r}.")
    with tempfile.TemporaryDirectory(prefix="exod-verdicts-") as folder:
        path = File(folder, f"verdicts.{ending}")
        ballot.export(path)
        content = path.read_bytes()
    name = {"content-disposition": f'attachment; filename="verdicts.{ending}"'}
    return Response(content, headers=name, media_type=_FORMATS[ending])


@router.post("")
def vote(ballot: BallotNow, product: ProductNow, request: Request, given: Vote) -> dict[str, Any]:
    """Vote; the answer comes when the vote is safe, with what others think."""
    vetter = _named(request, given.vetter)
    more = given.model_dump(include={"classes", "score", "note", "view", "supersedes"})
    if given.seconds is not None:
        more["seconds"] = given.seconds
    event = ballot.vote(product, vetter, given.source, given.label, **more)
    return {"event": event, **ballot.of_source(vetter, given.source, refresh=False)}
