"""How far the search of the archive is: now, and whenever that changes."""

from __future__ import annotations

import json
from asyncio import sleep
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from exod.archive import Archive
from exod.archive.ledger.progress import ProgressWatch, SurveyProgress, archive_progress
from exod.errors import ExodError, without_places
from exod.scheduler.dashboard import ClusterView
from exod.web.routes.common import PROBLEMS

router = APIRouter(prefix="/api/v1", tags=["runs"], responses=PROBLEMS)

LOOK_SECONDS: Final = 1.0
"""How often the ledger is looked at while somebody watches."""

CLUSTER_LOOKS: Final = 5
"""Looks after which the cluster is asked again, whether the ledger has changed or not."""


SILENT_LOOKS: Final = 15
"""Looks without news after which a line without content is sent."""


class RunsView:
    """What the page of runs shows.

    Parameters
    ----------
    archive : Archive
        The archive.
    cluster : ClusterView, optional
        A Dask scheduler that is shown too.
    public : bool
        Whether readers are elsewhere: they are told no folders and no addresses of this machine.
    """

    def __init__(
        self, archive: Archive, cluster: ClusterView | None, *, public: bool = False
    ) -> None:
        self.archive, self._public = archive, public
        self.cluster = None if public else cluster
        self._watch = ProgressWatch(archive)
        self._looks = 0
        self._about_cluster: dict[str, Any] | None = None

    def figures(self) -> dict[str, Any]:
        """The progress, and ``cluster``: its figures, or why they are not known; None without."""
        return {**self._shown(archive_progress(self.archive)), "cluster": self._ask_cluster()}

    def news(self) -> dict[str, Any]:
        """What of this is not as it was at the last look."""
        found: dict[str, Any] = {}
        if (progress := self._watch.look()) is not None:
            found = self._shown(progress)
        if self._looks % CLUSTER_LOOKS == 0:
            about = self._ask_cluster()
            if about != self._about_cluster or self._looks == 0:
                self._about_cluster = found["cluster"] = about
        self._looks += 1
        return found

    def problem(self, error: ExodError) -> str:
        """An error in words that readers may see."""
        return without_places(str(error), self.archive.root) if self._public else str(error)

    def _shown(self, progress: SurveyProgress) -> dict[str, Any]:
        return (progress.elsewhere(self.archive.root) if self._public else progress).figures()

    def _ask_cluster(self) -> dict[str, Any] | None:
        if self.cluster is None:
            return None
        try:
            return self.cluster.figures()
        except ExodError as error:
            return {"problem": str(error)}


def runs_view(request: Request) -> RunsView:
    """The view of the archive that is served."""
    state = request.app.state
    return RunsView(state.current.archive, state.cluster, public=state.settings.public)


RunsNow = Annotated[RunsView, Depends(runs_view)]


@router.get("/runs")
def runs(view: RunsNow) -> dict[str, Any]:
    """Counts by status, failures by reason, rate, time left, what took most time and memory."""
    return view.figures()


@router.get(
    "/runs/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The messages"}},
)
async def events(view: RunsNow, request: Request) -> StreamingResponse:
    """The same as server-sent events: all of it now, and what is new when the ledger changes."""
    messages = told(view, request.app.state.ending.is_set)
    headers = {"cache-control": "no-store"}
    return StreamingResponse(messages, headers=headers, media_type="text/event-stream")


async def told(
    view: RunsView, is_ending: Callable[[], bool], wait: Callable[[float], Awaitable[Any]] = sleep
) -> AsyncIterator[str]:
    """The messages, until the server ends or the reader leaves.

    Parameters
    ----------
    view : RunsView
        What is shown.
    is_ending : callable
        Whether to end.
    wait : callable
        Sleeps for some seconds.
    """
    silent = 0
    while not is_ending():
        try:
            news = await run_in_threadpool(view.news)
        except ExodError as error:
            news = {"problem": view.problem(error)}
        if news:
            yield f"data: {json.dumps(news)}\n\n"
        silent = 0 if news else silent + 1
        if silent == SILENT_LOOKS:
            # Proxies cut lines on which nothing is said.
            yield ": nothing new\n\n"
            silent = 0
        await wait(LOOK_SECONDS)
