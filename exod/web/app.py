"""The application: routes over one archive, guarded; errors are sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.middleware.gzip import GZipMiddleware

from exod import __version__
from exod.archive import Archive
from exod.errors import ArchiveError, ConfigError, ExodError, InputError, without_places
from exod.scheduler.dashboard import ClusterView
from exod.web.current import Current
from exod.web.pages import PageFiles
from exod.web.routes.reported import ReportKept
from exod.web.security import Application, Guard, Message, Receive, Send
from exod.web.voting.ballot import Ballot
from exod.web.voting.facets import VoteFacets
from exod.web.voting.people import Door, ProxyDoor

ROUTES: Final = (
    *("catalogue", "single", "searched", "files", "exports", "reported", "runs", "vetting"),
    *("samp", "vo", "tap", "pages"),
)
"""The modules of `exod.web.routes`; pages come last, since they answer for every other address."""


@dataclass(frozen=True)
class WebSettings:
    """How the explorer is served.

    Attributes
    ----------
    hosts : tuple of str
        Names by which it may be asked, besides those of the loopback.
    public : bool
        Whether nothing can be changed: no votes, no SAMP.
    scheduler : str
        Address of a Dask scheduler whose workers are shown; empty for none.
    controls : dict of int to str
        Sources whose answer, real or artefact, is known: a queue of their own.
    door : Door or ProxyDoor, optional
        Who comes in, under which name; by default everybody.
    """

    hosts: tuple[str, ...] = ()
    public: bool = False
    scheduler: str = ""
    controls: Mapping[int, str] = field(default_factory=dict)
    door: Door | ProxyDoor | None = None


def make_app(archive: Archive, settings: WebSettings | None = None) -> Guard:
    """Put the explorer of an archive together.

    Parameters
    ----------
    archive : Archive
        The archive; it is only read, but for votes.
    settings : WebSettings, optional
        How it is served.

    Raises
    ------
    ArchiveError
        If the product ``explorer`` was not made yet.
    """
    settings = settings or WebSettings()
    app = FastAPI(
        title="exod explorer",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    guard = Guard(_Compressing(app), settings.hosts, door=settings.door)
    app.state.current, app.state.settings = Current(archive), settings
    app.state.token, app.state.ballot = guard.token, Ballot(archive, settings.controls)
    app.state.vote_facets = VoteFacets(app.state.ballot, with_own=not settings.public)
    app.state.ending, app.state.report = guard.ending, ReportKept()
    app.state.cluster = ClusterView(settings.scheduler) if settings.scheduler else None
    for kind, status in _STATUS.items():
        app.add_exception_handler(kind, _sentence(status))
    app.add_exception_handler(RequestValidationError, _what_is_wrong)
    app.mount("/static", PageFiles(), name="static")
    for name in ROUTES:
        app.include_router(import_module(f"exod.web.routes.{name}").router)
    return guard


class _Compressing:
    """Compresses the answers to questions about many rows; files are handed out as they are."""

    PATHS: Final = tuple(
        f"/api/v1/{name}" for name in ("meta", "facets", "hist2d", "sky", "rows", "report")
    )

    def __init__(self, application: Application) -> None:
        self._plain = application
        self._compressed = GZipMiddleware(application, minimum_size=1000, compresslevel=6)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a request."""
        wanted = scope["type"] == "http" and scope["path"] in self.PATHS
        await (self._compressed if wanted else self._plain)(scope, receive, send)


_STATUS: Final[dict[type[ExodError], int]] = {ConfigError: 400, InputError: 404, ArchiveError: 503}


def _sentence(status: int) -> Callable[[Request, Exception], JSONResponse]:
    def answer(request: Request, error: Exception) -> JSONResponse:
        state = request.app.state
        text = str(error)
        if state.settings.public:
            text = without_places(text, state.current.archive.root)
        return JSONResponse({"detail": text}, status)

    return answer


def _what_is_wrong(request: Request, error: Exception) -> JSONResponse:
    """A sentence on the first value that cannot be; the value itself may be no text at all."""
    del request
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    place = ".".join(map(str, first.get("loc", ()))).encode("ascii", "backslashreplace").decode()
    return JSONResponse({"detail": f"{place[:200]} is wrong: {first.get('msg')}."}, 422)
