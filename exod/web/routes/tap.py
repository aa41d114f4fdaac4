"""TAP 1.1: questions in ADQL that are answered at once, or by jobs."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse
from starlette.background import BackgroundTask

from exod.errors import ArchiveError, ConfigError, ExodError, InputError, without_places
from exod.tablefiles import votable
from exod.web.routes.common import ProductNow
from exod.web.vo import descriptions
from exod.web.vo.adql import SCHEMA
from exod.web.vo.answering import (
    MOST_ROWS,
    USUAL_ROWS,
    AskedQuery,
    Desk,
    answer,
    format_of,
)
from exod.web.vo.examples import examples_page
from exod.web.vo.jobs import (
    Job,
    Jobs,
    job_xml,
    jobs_xml,
    moment,
    parameters_xml,
    quote_of,
    results_xml,
    stamp,
)
from exod.web.vo.tapschema import foreign_keys, schema_tables, shown_tables

MOST_FORM_BYTES: Final = 100_000
"""Of what is posted: a statement and a few words."""

LONGEST_WAIT: Final = 20.0
"""How many seconds a reader may wait for the change of a job with WAIT."""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    if hasattr(app.state, "jobs"):
        app.state.jobs.close()


router = APIRouter(prefix="/vo/tap", include_in_schema=False, lifespan=_lifespan)


async def _given(request: Request) -> dict[str, str]:
    """The parameters of an address and a form, names in upper case."""
    pairs = list(request.query_params.multi_items())
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MOST_FORM_BYTES:
            return {_UPLOADED: "yes"}
    if kind == "multipart/form-data":
        return {_UPLOADED: "yes"}
    pairs += parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True)
    return {name.upper(): value for name, value in pairs}


_UPLOADED: Final = "UPLOAD"


def _asked(parameters: Mapping[str, str]) -> AskedQuery:
    """The question of some parameters.

    Raises
    ------
    ConfigError
        If it cannot be asked.
    """
    if parameters.get(_UPLOADED):
        raise ConfigError(
            f"Tables cannot be uploaded here, and a form has at most {MOST_FORM_BYTES} bytes; ask "
            f"without UPLOAD."
        )
    if parameters.get("REQUEST", "doQuery") != "doQuery":
        raise ConfigError(f"REQUEST={parameters['REQUEST'][:50]} is not known; ask doQuery.")
    language = parameters.get("LANG", "ADQL").upper()
    if language not in {"ADQL", "ADQL-2.0", "ADQL-2.1"}:
        raise ConfigError(f"Questions are in ADQL, not in {language[:50]!r}.")
    if not parameters.get("QUERY", "").strip():
        raise ConfigError("QUERY is missing: a SELECT in ADQL.")
    rows = parameters.get("MAXREC", "") or str(USUAL_ROWS)
    if not rows.isdecimal() or len(rows) > 12:
        raise ConfigError(f"MAXREC={rows[:50]} is no whole number.")
    wanted = parameters.get("RESPONSEFORMAT", "") or parameters.get("FORMAT", "")
    return AskedQuery(parameters["QUERY"], format_of(wanted), min(int(rows), MOST_ROWS))


Given = Annotated[dict[str, str], Depends(_given)]


def _desk(request: Request) -> Desk:
    state = request.app.state
    if not hasattr(state, "desk"):
        state.desk = Desk()
    desk: Desk = state.desk
    return desk


async def _jobs(request: Request) -> Jobs:
    # Not in a thread, so that there is one only.
    state = request.app.state
    if not hasattr(state, "jobs"):
        state.jobs = Jobs(_desk(request), _asked)
    jobs: Jobs = state.jobs
    return jobs


def _job(number: str, jobs: AllJobs) -> Job:
    return jobs.job(number)


AllJobs = Annotated[Jobs, Depends(_jobs)]
OneJob = Annotated[Job, Depends(_job)]


def failed(error: ExodError) -> Response:
    """An error as TAP tells it."""
    text = votable.message({"QUERY_STATUS": ("ERROR", without_places(str(error)))})
    # There are kinds of each, as of damaged files.
    kinds = {InputError: 404, ArchiveError: 503}
    status = next((code for kind, code in kinds.items() if isinstance(error, kind)), 400)
    return Response(text, status, media_type=votable.MEDIA_TYPE)


@router.api_route("/sync", methods=["GET", "POST"])
def sync(request: Request, product: ProductNow, given: Given) -> Response:
    """The answer to a question."""
    folder = tempfile.TemporaryDirectory(prefix="exod-tap-", ignore_cleanup_errors=True)
    try:
        asked = _asked(given)
        path = Path(folder.name, f"answer{asked.format.suffix}")
        with _desk(request).place():
            answer(product, asked, path)
    except BaseException as error:
        folder.cleanup()
        if isinstance(error, ExodError):
            return failed(error)
        raise
    removed = BackgroundTask(folder.cleanup)
    return FileResponse(path, media_type=asked.format.media_type, background=removed)


@router.get("/async")
def listed(request: Request, jobs: AllJobs, given: Given) -> Response:
    """The jobs; on a public server nobody learns of those of others."""
    known = [] if request.app.state.settings.public else jobs.listed()
    if given.get("PHASE"):
        known = [job for job in known if job.phase == given["PHASE"].upper()]
    if given.get("AFTER"):
        after = moment(given["AFTER"])
        known = [job for job in known if job.made > after]
    if given.get("LAST", "").isdecimal():
        known = known[::-1][: int(given["LAST"][:12])]
    return Response(jobs_xml(known, _address(request)), media_type="text/xml")


@router.post("/async")
def create(request: Request, product: ProductNow, jobs: AllJobs, given: Given) -> Response:
    """Make a job."""
    try:
        kept = {name: text for name, text in given.items() if name in _PARAMETERS}
        # The statement may be given later; in which language it is is looked at when it runs.
        _asked({**kept, "QUERY": kept.get("QUERY") or "-", "LANG": "ADQL"})
        job = jobs.create(kept)
    except ExodError as error:
        return failed(error)
    if given.get("PHASE", "").upper() == "RUN":
        jobs.run(job, product)
    return _back(request, job)


_PARAMETERS: Final = frozenset(
    ("REQUEST", "LANG", "QUERY", "MAXREC", "RESPONSEFORMAT", "FORMAT", "RUNID", "UPLOAD")
)


@router.get("/async/{number}")
def shown(request: Request, jobs: AllJobs, job: OneJob, given: Given) -> Response:
    """A job; with WAIT as soon as its phase changes."""
    wait = given.get("WAIT", "")
    if wait and given.get("PHASE", job.phase).upper() == job.phase:
        seconds = float(wait[:9]) if wait.isdecimal() else LONGEST_WAIT
        jobs.wait(job, min(seconds, LONGEST_WAIT))
    return Response(job_xml(job, _address(request, job)), media_type="text/xml")


@router.delete("/async/{number}")
@router.post("/async/{number}")
def ended(request: Request, jobs: AllJobs, job: OneJob, given: Given) -> Response:
    """Forget a job."""
    if request.method == "POST" and given.get("ACTION", "").upper() != "DELETE":
        raise ConfigError("A job takes ACTION=DELETE.")
    jobs.remove(job)
    return RedirectResponse(_address(request), 303)


@router.post("/async/{number}/{name}")
def changed(
    request: Request, product: ProductNow, jobs: AllJobs, job: OneJob, given: Given, name: str
) -> Response:
    """Let a job run or end, or change what it is, as long as it waits."""
    match name, given.get("PHASE", "").upper():
        case "phase", "RUN":
            jobs.run(job, product)
        case "phase", "ABORT":
            jobs.abort(job)
        case "executionduration" | "destruction", _:
            jobs.change(job, name.upper(), given.get(name.upper(), ""))
        case "parameters", _ if job.phase == "PENDING":
            kept = {word: text for word, text in given.items() if word in _PARAMETERS}
            _asked({"QUERY": "-", **job.parameters, **kept})
            job.parameters |= kept
        case _:
            raise ConfigError(f"A job that is {job.phase} does not take this {name[:50]}.")
    return _back(request, job)


@router.get("/async/{number}/{name}")
def told(request: Request, job: OneJob, name: str) -> Response:
    """One thing of a job."""
    if name == "error":
        error = job.error or "The job has no error."
        kind = "ERROR" if job.error else "OK"
        text = votable.message({"QUERY_STATUS": (kind, error)})
        return Response(text, media_type=votable.MEDIA_TYPE)
    if name == "results":
        return Response(results_xml(job, _address(request, job)), media_type="text/xml")
    if name == "parameters":
        return Response(parameters_xml(job), media_type="text/xml")
    words = {
        "phase": job.phase,
        "quote": quote_of(job),
        "executionduration": str(job.seconds),
        "destruction": stamp(job.destruction),
        "owner": "",
    }
    if name not in words:
        raise InputError(f"A job has no {name[:50]}.")
    return PlainTextResponse(words[name])


@router.get("/async/{number}/results/result")
def result(job: OneJob) -> Response:
    """The answer of a job."""
    if job.phase != "COMPLETED":
        raise InputError(f"The job has no result; it is {job.phase}.")
    return FileResponse(job.result, media_type=job.format.media_type)


@router.get("/capabilities")
def capabilities(request: Request) -> Response:
    """What the service can do."""
    return Response(descriptions.capabilities(str(request.base_url)), media_type="text/xml")


@router.get("/availability")
def availability() -> Response:
    """That it is there."""
    return Response(descriptions.availability(), media_type="text/xml")


@router.get("/examples")
def examples() -> Response:
    """Statements to begin with."""
    return Response(examples_page(), media_type="application/xhtml+xml")


@router.get("/tables")
def tables(product: ProductNow, detail: str = "max") -> Response:
    """The tables."""
    text = descriptions.tables(shown_tables(product), detailed=detail != "min")
    return Response(text, media_type="text/xml")


@router.get("/tables/{name}")
def table(product: ProductNow, name: str) -> Response:
    """One table."""
    shown = shown_tables(product)
    own = {f"TAP_SCHEMA.{key}": one for key, (one, _) in schema_tables({}).items()}
    known = {f"{SCHEMA}.{key}": one for key, one in shown.items()} | own
    if name not in known:
        raise InputError(f"There is no table {name[:100]!r}.")
    text = descriptions.one_table(name, known[name], foreign_keys(shown))
    return Response(text, media_type="text/xml")


def _address(request: Request, job: Job | None = None) -> str:
    jobs = f"{request.base_url}vo/tap/async"
    return f"{jobs}/{job.number}" if job else jobs


def _back(request: Request, job: Job) -> Response:
    return RedirectResponse(_address(request, job), 303)
