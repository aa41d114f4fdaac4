"""Questions that are answered later: jobs of the Universal Worker Service pattern (UWS 1.1)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import BoundedSemaphore, Condition, Thread
from typing import Final
from xml.sax.saxutils import escape

from exod.errors import ArchiveError, ConfigError, ExodError, InputError, without_places
from exod.tablefiles.votable import fit
from exod.web.product import Product
from exod.web.vo.answering import AskedQuery, Desk, Ending, Format, answer, format_of

MOST_JOBS: Final = 100
"""Jobs that are kept; the oldest that has ended makes room for another one."""

MOST_WAITING: Final = 8
"""Readers that wait for changes of jobs at a time."""

MOST_SECONDS: Final = 60
"""How long a job may be computed."""

KEPT: Final = timedelta(hours=1)
LONGEST_KEPT: Final = timedelta(days=1)
"""How long a job is kept after it was made, if nothing else is asked for, and at most."""

DONE: Final = frozenset(("COMPLETED", "ERROR", "ABORTED"))

_NAMES: Final = (
    'xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)

Ask = Callable[[Mapping[str, str]], AskedQuery]


@dataclass
class Job:
    """A question and what became of it.

    Attributes
    ----------
    number : str
        What it is called; nobody can guess it.
    parameters : dict of str to str
        What was asked, names in upper case.
    path : Path
        Where its answer is, without the ending of its format.
    made, destruction : datetime
        When it was made and when it will be forgotten.
    seconds : int
        How long it may be computed.
    phase : str
        One of the words of UWS.
    """

    number: str
    parameters: dict[str, str]
    path: Path
    made: datetime
    destruction: datetime
    seconds: int = MOST_SECONDS
    phase: str = "PENDING"
    began: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    ending: Ending = field(default_factory=Ending)

    @property
    def format(self) -> Format:
        """The format of its answer."""
        return format_of(self.parameters.get("RESPONSEFORMAT", self.parameters.get("FORMAT", "")))

    @property
    def result(self) -> Path:
        """The file of its answer."""
        return self.path.with_suffix(self.format.suffix)


class Jobs:
    """The jobs of a server, in memory, and their answers, in a folder that ends with it.

    Parameters
    ----------
    desk : Desk
        Where statements take turns.
    ask : callable
        Makes a question of parameters.
    """

    def __init__(self, desk: Desk, ask: Ask) -> None:
        self._desk, self._ask = desk, ask
        self._jobs: dict[str, Job] = {}
        self._changed = Condition()
        self._waiting = BoundedSemaphore(MOST_WAITING)
        self._kept = tempfile.TemporaryDirectory(prefix="exod-tap-", ignore_cleanup_errors=True)
        self._folder = Path(self._kept.name)

    def create(self, parameters: Mapping[str, str]) -> Job:
        """Keep a question; it is not answered before it is told to run.

        Raises
        ------
        ArchiveError
            If there are too many that have not ended.
        """
        now = _now()
        with self._changed:
            self._forget(now)
            if len(self._jobs) >= MOST_JOBS:
                over = next((job for job in self._jobs.values() if job.phase in DONE), None)
                if over is None:
                    raise ArchiveError("The server has too many jobs; come back later.")
                self._remove(over)
            number = os.urandom(16).hex()
            job = Job(number, dict(parameters), self._folder / number, now, now + KEPT)
            self._jobs[number] = job
        return job

    def job(self, number: str) -> Job:
        """A job.

        Raises
        ------
        InputError
            If there is none of that number, or it was forgotten.
        """
        with self._changed:
            self._forget(_now())
            if number not in self._jobs:
                raise InputError(f"There is no job {number[:50]!r}; it may have been forgotten.")
            return self._jobs[number]

    def listed(self) -> list[Job]:
        """All jobs, the oldest first."""
        with self._changed:
            self._forget(_now())
            return [*self._jobs.values()]

    def run(self, job: Job, product: Product) -> None:
        """Let a job that waits for it begin; of others nothing is changed."""
        with self._changed:
            if job.phase != "PENDING":
                return
            self._enter(job, "QUEUED")
        Thread(target=self._work, args=(job, product), daemon=True).start()

    def abort(self, job: Job) -> None:
        """End a job that has not ended."""
        with self._changed:
            if job.phase not in DONE:
                job.ended = _now()
                self._enter(job, "ABORTED")
        job.ending.end()

    def remove(self, job: Job) -> None:
        """Forget a job and its answer."""
        with self._changed:
            self._remove(job)

    def change(self, job: Job, name: str, text: str) -> None:
        """Set how long a job may take, or when it is forgotten; within what is allowed.

        Raises
        ------
        ConfigError
            If that is no number or time.
        """
        if name != "EXECUTIONDURATION":
            job.destruction = min(moment(text), job.made + LONGEST_KEPT)
            return
        try:
            wanted = int(text)
        except ValueError:
            raise ConfigError(f"{name}={text[:50]} is no number of seconds.") from None
        job.seconds = min(wanted, MOST_SECONDS) if wanted > 0 else MOST_SECONDS

    def wait(self, job: Job, seconds: float) -> None:
        """Wait until the phase of a job changes, but not longer than so many seconds.

        If too many wait already, nobody else does: each takes a thread of the server.
        """
        if not self._waiting.acquire(blocking=False):
            return
        try:
            with self._changed:
                before = job.phase
                if before not in DONE:
                    self._changed.wait_for(lambda: job.phase != before, seconds)
        finally:
            self._waiting.release()

    def close(self) -> None:
        """End all jobs and remove their answers."""
        for job in self.listed():
            self.abort(job)
        self._kept.cleanup()

    def _work(self, job: Job, product: Product) -> None:
        try:
            with self._desk.turn():
                with self._changed:
                    if job.phase != "QUEUED":
                        return
                    job.began = _now()
                    self._enter(job, "EXECUTING")
                asked = replace(self._ask(job.parameters), seconds=float(job.seconds))
                answer(product, asked, job.result, job.ending)
            phase, error = "COMPLETED", ""
        except ExodError as problem:
            phase, error = "ERROR", without_places(str(problem))
        except Exception as problem:  # noqa: BLE001 - nobody else would hear of it
            phase, error = "ERROR", f"The server failed: {type(problem).__name__}."
        with self._changed:
            if job.phase == "EXECUTING" or (job.phase == "QUEUED" and error):
                job.ended, job.error = _now(), error
                self._enter(job, phase)

    def _enter(self, job: Job, phase: str) -> None:
        job.phase = phase
        self._changed.notify_all()

    def _remove(self, job: Job) -> None:
        self._jobs.pop(job.number, None)
        job.ending.end()
        for file in self._folder.glob(f"{job.number}.*"):
            file.unlink(missing_ok=True)

    def _forget(self, now: datetime) -> None:
        for job in [job for job in self._jobs.values() if job.destruction <= now]:
            self._remove(job)


def job_xml(job: Job, address: str) -> str:
    """A job in the words of UWS.

    Parameters
    ----------
    job : Job
        The job.
    address : str
        Its address.
    """
    results = f"<uws:results>{results_inside(job, address)}</uws:results>"
    problem = (
        f'<uws:errorSummary type="fatal" hasDetail="true"><uws:message>{escape(fit(job.error))}'
        "</uws:message></uws:errorSummary>"
        if job.error
        else ""
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<uws:job {_NAMES} version="1.1">'
        f'<uws:jobId>{job.number}</uws:jobId><uws:ownerId xsi:nil="true"/>'
        f"<uws:phase>{job.phase}</uws:phase><uws:quote>{quote_of(job)}</uws:quote>"
        f"<uws:creationTime>{stamp(job.made)}</uws:creationTime>"
        f"{_time('startTime', job.began)}{_time('endTime', job.ended)}"
        f"<uws:executionDuration>{job.seconds}</uws:executionDuration>"
        f"<uws:destruction>{stamp(job.destruction)}</uws:destruction>"
        f"<uws:parameters>{_parameters(job)}</uws:parameters>{results}{problem}</uws:job>\n"
    )


def parameters_xml(job: Job) -> str:
    """What was asked, in the words of UWS."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f"{head}<uws:parameters {_NAMES}>{_parameters(job)}</uws:parameters>\n"


def _parameters(job: Job) -> str:
    return "".join(
        f'<uws:parameter id="{escape(name, _QUOTE)}">{escape(fit(value))}</uws:parameter>'
        for name, value in job.parameters.items()
    )


def jobs_xml(jobs: list[Job], address: str) -> str:
    """A list of jobs in the words of UWS."""
    inside = "".join(
        f'<uws:jobref id="{job.number}" xlink:href="{escape(address, _QUOTE)}/{job.number}">'
        f"<uws:phase>{job.phase}</uws:phase>"
        f"<uws:creationTime>{stamp(job.made)}</uws:creationTime></uws:jobref>"
        for job in jobs
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f'{head}<uws:jobs {_NAMES} version="1.1">{inside}</uws:jobs>\n'


def results_xml(job: Job, address: str) -> str:
    """The results of a job in the words of UWS."""
    inside = results_inside(job, address)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<uws:results {_NAMES}>{inside}</uws:results>\n'


def results_inside(job: Job, address: str) -> str:
    """The element of its answer, if it has one."""
    if job.phase != "COMPLETED":
        return ""
    place = f'xlink:href="{escape(address, _QUOTE)}/results/result"'
    return f'<uws:result id="result" {place} mime-type="{job.format.media_type}"/>'


def quote_of(job: Job) -> str:
    """When it will have ended at the latest, if it began now."""
    return stamp((job.began or _now()) + timedelta(seconds=job.seconds))


def moment(text: str) -> datetime:
    """A time that a reader gives; in UTC if it does not say.

    Raises
    ------
    ConfigError
        If it is none.
    """
    try:
        when = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(f"{text[:50]!r} is no time, as 2026-11-28T01:02:03Z is one.") from None


def stamp(when: datetime) -> str:
    """A time in UTC, as UWS writes it."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


_QUOTE: Final = {'"': "&quot;"}


def _time(name: str, when: datetime | None) -> str:
    return f"<uws:{name}>{stamp(when)}</uws:{name}>" if when else f'<uws:{name} xsi:nil="true"/>'


def _now() -> datetime:
    return datetime.now(UTC)
