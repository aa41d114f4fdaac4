"""What the dashboard of a Dask scheduler is told of a run: all its tasks, not those in flight.

The scheduler knows a few tasks a worker, so that its own pages show "1 / 5" of a survey of many
thousands. The numbers of each run are kept in its metadata, where any client finds them, also if
exod is not installed there; where it is, the dashboard has a page of its own for them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, Final

from exod.files.whole import unique_mark
from exod.scheduler.cluster import remote_client
from exod.scheduler.tally import Tally, hourly, in_words, seconds_left

if TYPE_CHECKING:
    from bokeh.document import Document
    from distributed import Client, Scheduler

TOLD: Final = "exod-progress"
"""The key of the metadata of the scheduler."""

PAGE: Final = "exod"
"""Name of the page of the dashboard."""

_KEPT: Final = 20
"""Runs that are shown."""

_LAST_SECONDS: Final = 2
"""How long the end of a run may take to be told."""

_COLOURS: Final = {
    "before": "#999999",
    "succeeded": "#009e73",
    "failed": "#d55e00",
    "left": "#dddddd",
}

TITLES: Final = {
    "run": "Run",
    "state": "State",
    "total": "Tasks",
    **{name: name.capitalize() for name in _COLOURS},
    "per_hour": "An hour",
    "time_left": "Time left",
}
"""What the table of the page shows, with the heads of its columns."""


class Teller:
    """Tells a scheduler how far a run is, in order and without waiting for it.

    Parameters
    ----------
    client : Client
        Of the scheduler.
    tally : Tally
        Of the run.
    """

    def __init__(self, client: Client, tally: Tally) -> None:
        # Commands that run nothing on a cluster start faster without it.
        import asyncio

        self._client, self._tally, self._key = client, tally, unique_mark()
        self._waiting: deque[dict[str, Any]] = deque(maxlen=1)
        self._turn = asyncio.Lock()
        # Without exod or Bokeh there, the numbers are told all the same.
        with suppress(Exception):
            client.run_on_scheduler(add_page)
        self.tell()

    def tell(self) -> None:
        """Tell the numbers as they are now."""
        self._waiting.append(self._tally.figures())
        self._client.loop.add_callback(self._send)

    def end(self) -> None:
        """Tell that nothing follows; a scheduler that is lost is not waited for."""
        self._tally.ended = True
        self._waiting.append(self._tally.figures())
        with suppress(Exception):
            self._client.sync(self._send, callback_timeout=_LAST_SECONDS)

    async def _send(self) -> None:
        async with self._turn:
            # The last numbers make earlier ones that still wait needless.
            while self._waiting:
                with suppress(Exception):
                    await self._client.scheduler.set_metadata(
                        keys=[TOLD, self._key], value=self._waiting.popleft()
                    )


def shown_runs(told: dict[str, dict[str, Any]], now: float) -> list[dict[str, Any]]:
    """The last runs, newest first, with their rate and the time that is left.

    Parameters
    ----------
    told : dict of dict
        Numbers of `Tally.figures` by the mark of the run.
    now : float
        Unix time.

    Returns
    -------
    list of dict
        The same numbers, with ``per_hour`` and ``seconds_left``, None if they cannot be told.
    """
    found = []
    for figures in sorted(told.values(), key=lambda one: one["began"], reverse=True)[:_KEPT]:
        until = figures["news"] if figures["ended"] else now
        rate = hourly(figures["succeeded"] + figures["failed"], until - figures["began"])
        left = 0 if figures["ended"] else figures["left"]
        found.append({**figures, "per_hour": rate, "seconds_left": seconds_left(left, rate)})
    return found


def add_page(dask_scheduler: Scheduler) -> None:
    """Add the page to the dashboard of a scheduler, in its process; once is enough.

    Parameters
    ----------
    dask_scheduler : Scheduler
        The scheduler, under the name by which `Client.run_on_scheduler` hands it over.
    """
    from distributed.dashboard.core import BokehApplication
    from distributed.dashboard.scheduler import template_variables
    from tornado.ioloop import IOLoop

    variables = template_variables(dask_scheduler)
    if PAGE in variables["pages"]:
        return
    # The pages that are there share this list, which is what they link to.
    variables["pages"].append(PAGE)
    application = BokehApplication(
        {f"/{PAGE}": progress_page}, dask_scheduler, prefix="", template_variables=variables
    )
    dask_scheduler.http_application.add_application(application)
    application.initialize(IOLoop.current())
    application.start()


def progress_page(scheduler: Scheduler, variables: dict[str, Any], document: Document) -> None:
    """Fill a page of the dashboard: a bar a run, and a table of the same numbers."""
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource, FactorRange
    from bokeh.models.widgets import Div
    from bokeh.plotting import figure
    from distributed.dashboard.components.scheduler import env

    rows: dict[str, Any] = {**page_rows(scheduler)}
    source = ColumnDataSource(rows, name=TOLD)
    plot: Any = figure(
        title="Tasks: done before, succeeded, failed, left",
        y_range=FactorRange(factors=rows["run"]),
        height=240,
        sizing_mode="stretch_width",
        toolbar_location=None,
    )
    names = list(_COLOURS)
    plot.hbar_stack(
        names,
        y="run",
        height=0.7,
        color=list(_COLOURS.values()),
        hatch_pattern=[" ", " ", "/", " "],
        source=source,
        legend_label=[TITLES[name] for name in names],
    )
    plot.add_layout(plot.legend[0], "above")
    plot.legend[0].orientation = "horizontal"
    plot.x_range.start = 0
    plot.xaxis[0].formatter.use_scientific = False
    table = Div(text=table_text(rows), sizing_mode="stretch_width")
    document.add_root(column(plot, table, sizing_mode="stretch_both"))
    document.title = "exod: progress"
    document.template = env.get_template("simple.html")
    document.template_variables.update(variables)
    document.add_periodic_callback(partial(_update, scheduler, source, plot, table), 1000)


def _update(scheduler: Scheduler, source: Any, plot: Any, table: Any) -> None:
    rows = page_rows(scheduler)
    if list(plot.y_range.factors) != rows["run"]:
        plot.y_range.factors = rows["run"]
    if rows != source.data:
        source.data = rows
        table.text = table_text(rows)


def table_text(rows: Mapping[str, Sequence[Any]]) -> str:
    """The numbers of the page as a table of HTML.

    A table of Bokeh stays as it is in the browser as long as the number of its rows does.

    Examples
    --------
    >>> rows = {name: ["<1"] for name in TITLES}
    >>> table_text(rows).count("<td>&lt;1</td>") == len(TITLES)
    True
    """
    titles = "".join(f'<th scope="col">{title}</th>' for title in TITLES.values())
    body = ""
    for row in zip(*(rows[name] for name in TITLES), strict=True):
        body += f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in row)}</tr>"
    style = "th, td { padding: 2px 16px 2px 0; text-align: left; }"
    head = f"<style>{style}</style><table><thead><tr>{titles}</tr></thead>"
    return f"{head}<tbody>{body}</tbody></table>"


def page_rows(scheduler: Scheduler) -> dict[str, list[Any]]:
    """The columns of the table of the page, a row a run."""
    runs = shown_runs(scheduler.task_metadata.get(TOLD, {}), time.time())
    rows: dict[str, list[Any]] = {
        name: [run[name] for run in runs]
        for name in ("stage", "total", "before", "succeeded", "failed", "left")
    }
    rows["run"] = [
        f"{run['stage']} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(run['began']))}"
        + (f" ({number})" if number else "")
        for run, number in zip(runs, _repeats(runs), strict=True)
    ]
    rows["state"] = [_state(run) for run in runs]
    rows["per_hour"] = [f"{run['per_hour']:,.0f}" if run["per_hour"] else "" for run in runs]
    rows["time_left"] = [in_words(run["seconds_left"]) for run in runs]
    return rows


def _state(run: dict[str, Any]) -> str:
    if not run["ended"]:
        return "running"
    return "stopped" if run["left"] else "done"


def _repeats(runs: list[dict[str, Any]]) -> list[int]:
    """How many runs before began in the same second with the same stage: a bar needs a name."""
    seen: dict[tuple[str, int], int] = {}
    found = []
    for run in runs:
        key = run["stage"], int(run["began"])
        found.append(seen.get(key, 0))
        seen[key] = found[-1] + 1
    return found


class ClusterView:
    """What a scheduler elsewhere says of its workers and tasks, and of the runs it was told of.

    Parameters
    ----------
    address : str
        Of the scheduler, ``tcp://host:port``.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def figures(self) -> dict[str, Any]:
        """The numbers as they are now.

        Returns
        -------
        dict
            ``dashboard`` (address), ``workers`` (list of name, threads, memory and memory_limit
            in bytes, tasks that wait or run there), ``tasks`` that the scheduler has, and
            ``runs`` as `shown_runs` gives them.

        Raises
        ------
        ExodError
            If it cannot be reached.
        """
        with remote_client(self._address) as client:
            about = client.scheduler_info(n_workers=-1)
            told = client.get_metadata([TOLD], default={})
            processing = client.processing()
            link = client.dashboard_link
        workers = [
            {
                "name": str(worker.get("name", address)),
                "threads": int(worker["nthreads"]),
                "memory": int(worker.get("metrics", {}).get("memory", 0)),
                "memory_limit": int(worker.get("memory_limit") or 0),
                "tasks": len(processing.get(address, ())),
            }
            for address, worker in about.get("workers", {}).items()
        ]
        return {
            "dashboard": link,
            "workers": sorted(workers, key=lambda worker: worker["name"]),
            "tasks": sum(worker["tasks"] for worker in workers),
            "runs": shown_runs(told, time.time()),
        }
