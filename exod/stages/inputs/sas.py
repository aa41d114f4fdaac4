"""Event lists prepared by SAS, the analysis system of XMM-Newton, as EXOD2 does where there is one.

For each exposure evselect applies the first two steps of the event selection (method.md, Event
selection) and makes the light curve of the particle background, and tabgtigen or espfilt say which
times are good. The search needs none of this: it is for comparison, and for what is made with SAS
afterwards.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, get_args

from exod.errors import ConfigError, ExposureRejected, InputError
from exod.files.whole import whole_folder
from exod.instruments import CAMERAS
from exod.instruments.epic import PI_MAX_EV, PI_MIN_EV, EpicCamera
from exod.observation.gti import BTI_RATE, HIGH_ENERGY_EV, MAX_HIGH_ENERGY_BIN
from exod.pps import ObservationFiles, find_observations, read_event_list
from exod.tablefiles.reading import ForeignTable

GoodTimes = Literal["tabgtigen", "espfilt", "none"]
"""Who says which times are good."""

PRODUCTS: Final = "sas"
"""Folder, within that of the observation, of what is no event list."""

_END: Final = 200
"""Characters of what a program said that are told, from the end."""


@dataclass(frozen=True)
class SasSettings:
    """How SAS is run.

    Attributes
    ----------
    good_times : {"tabgtigen", "espfilt", "none"}
        By the limit of the search on the rate above 10 keV, by espfilt's histogram, or not at all.
    timeout : float
        Longest time that a program may take, seconds.
    environment : mapping of str to str
        Where SAS_DIR and PATH are.
    say : callable
        Is told which program runs, a sentence.
    """

    good_times: GoodTimes = "tabgtigen"
    timeout: float = 3600.0
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    say: Callable[[str], None] = lambda _sentence: None

    @property
    def programs(self) -> tuple[str, ...]:
        """What has to be installed."""
        return ("evselect",) if self.good_times == "none" else ("evselect", self.good_times)


@dataclass(frozen=True)
class Prepared:
    """An observation that SAS prepared.

    Attributes
    ----------
    obsid : str
        The observation.
    folder : Path
        Where it is: event lists, source lists, and the folder `PRODUCTS` with the rest.
    event_lists : tuple of Path
        Filtered event lists, to be searched by ``exod detect``.
    notes : tuple of str
        What was left out, one sentence each.
    """

    obsid: str
    folder: Path
    event_lists: tuple[Path, ...]
    notes: tuple[str, ...]


def check_sas(settings: SasSettings) -> None:
    """Make sure that SAS is installed.

    Raises
    ------
    ConfigError
        If a setting is impossible.
    InputError
        If SAS_DIR is not set, or a program is missing.
    """
    if settings.good_times not in get_args(GoodTimes):
        known = ", ".join(get_args(GoodTimes))
        raise ConfigError(f"Good times come from {known}, not from {settings.good_times!r}.")
    where = settings.environment.get("SAS_DIR", "")
    path = settings.environment.get("PATH", "")
    missing = [name for name in settings.programs if shutil.which(name, path=path) is None]
    if where and not missing:
        return
    why = f"{' and '.join(missing)} cannot be found" if where else "SAS_DIR is not set"
    raise InputError(
        f"SAS is not ready here: {why}; install SAS and source its setsas.sh first, or search the "
        f"event lists as they are with exod detect, which needs no SAS."
    )


def prepare(
    folder: str | Path, to: str | Path, settings: SasSettings, *, replace: bool = False
) -> Iterator[Prepared]:
    """Prepare the observations of a folder.

    Parameters
    ----------
    folder : path
        Event lists and source lists of the pipeline.
    to : path
        Gets a folder an observation, which appears whole or not at all.
    settings : SasSettings
        How SAS is run.
    replace : bool
        Whether folders that are there may be replaced.

    Yields
    ------
    Prepared
        One an observation.

    Raises
    ------
    ConfigError
        If a folder is there already, or a setting is impossible.
    InputError
        If SAS is not installed, there is no event list, or a program fails, takes too long or
        writes what cannot be read.
    """
    check_sas(settings)
    observations, problems = find_observations([folder])
    if problems or not observations:
        raise problems[0] if problems else InputError(f"{folder} has no event list.")
    for files in observations:
        if not files.event_lists:
            raise InputError(f"{files.obsid} has no event list for SAS, only other products.")
        target = Path(to) / files.obsid
        if target.resolve() == files.event_lists[0].parent.resolve():
            raise ConfigError(f"{target} is where the event lists are; give another folder.")
        if target.exists() and not replace:
            raise ConfigError(f"{target} exists; give another folder, or --replace.")
        yield _prepare(files, target, settings)


def _prepare(files: ObservationFiles[Path], target: Path, settings: SasSettings) -> Prepared:
    names, notes = [], list[str]()
    with whole_folder(target, error=InputError) as part:
        for path in files.event_lists:
            try:
                exposure, _ = read_event_list(path)
            except ExposureRejected as error:
                notes.append(str(error))
                continue
            name = _stem(path)
            _prepare_exposure(path, name, CAMERAS[exposure.instrument], part, settings)
            names.append(f"{name}.fits")
        if not names:
            raise InputError(f"{files.obsid} has no event list for SAS. {' '.join(notes)}".strip())
        for path in files.source_lists:
            shutil.copyfile(path, part / path.name)
    return Prepared(files.obsid, target, tuple(target / name for name in names), tuple(notes))


def _prepare_exposure(
    path: Path, name: str, camera: EpicCamera, part: Path, settings: SasSettings
) -> None:
    """Run the programs in a folder of their own, and keep what they wrote if it is whole."""
    # Products do not begin as those of the pipeline, so that none is taken for an event list.
    events, rates, good = f"{name}.fits", f"rate_{name}.fits", f"gti_{name}.fits"
    with TemporaryDirectory(prefix="exod-sas-") as scratch:
        here = Path(scratch)
        raw = here / path.name
        # A copy: evselect can write into the list that it reads.
        shutil.copyfile(path, raw)
        run = SasProgram(here, path.name, settings)
        run(
            *("evselect", f"table={raw.name}", "withfilteredset=yes", f"filteredset={events}"),
            *("destruct=yes", "keepfilteroutput=yes", f"expression={selection(camera)}"),
        )
        _check_events(here / events)
        low, high = HIGH_ENERGY_EV
        run(
            *("evselect", f"table={events}", "withrateset=yes", f"rateset={rates}"),
            *(f"timebinsize={MAX_HIGH_ENERGY_BIN:g}", "maketimecolumn=yes", "makeratecolumn=yes"),
            f"expression=(PI>{low})&&(PI<{high})",
        )
        _check_table(here / rates, ("TIME", "RATE"), "evselect")
        products = part / PRODUCTS
        products.mkdir(exist_ok=True)
        if settings.good_times == "tabgtigen":
            limit = f"expression=RATE<={BTI_RATE:g}"
            run("tabgtigen", f"table={rates}", f"gtiset={good}", limit)
            _check_table(here / good, ("START", "STOP"), "tabgtigen")
            shutil.copyfile(here / good, products / good)
        elif settings.good_times == "espfilt":
            for found in _flare_filter(run, here):
                shutil.copyfile(found, products / f"gti_{name}_{found.name}")
        shutil.copyfile(here / events, part / events)
        shutil.copyfile(here / rates, products / rates)


def _flare_filter(run: SasProgram, here: Path) -> list[Path]:
    """Good times of espfilt, which names its files itself and needs the corners of the field.

    The event list that it filters is left: it would be another one of the same exposure.
    """
    before = set(here.iterdir())
    run("espfilt", f"eventfile={run.name}")
    new = sorted(set(here.iterdir()) - before)
    good = [p for p in new if "gti" in p.name.lower() and p.suffix.lower() in (".fits", ".fit")]
    if not good:
        raise InputError(f"espfilt wrote no good times of {run.name}.")
    for path in good:
        _check_table(path, ("START", "STOP"), "espfilt")
    return good


def selection(camera: EpicCamera) -> str:
    """Which events evselect keeps, in its language; the flags are those that the header names.

    Examples
    --------
    >>> from exod.instruments import EPN
    >>> selection(EPN)
    '#XMMEA_EP&&(PATTERN<=4)&&(PI in [200:12000])'
    """
    energies = f"PI in [{PI_MIN_EV}:{PI_MAX_EV}]"
    return f"#{camera.flag_keyword}&&(PATTERN<={camera.max_pattern})&&({energies})"


@dataclass(frozen=True)
class SasProgram:
    """Runs programs of SAS for one event list.

    Attributes
    ----------
    folder : Path
        Where they run.
    name : str
        The event list, for messages.
    settings : SasSettings
        How they are run.
    """

    folder: Path
    name: str
    settings: SasSettings

    def __call__(self, *command: str) -> None:
        """Run a program to its end; what it leaves running is stopped.

        Raises
        ------
        InputError
            If it cannot be started, fails or takes too long.
        """
        program, log = command[0], self.folder / f".{command[0]}.log"
        self.settings.say(f"{program} of {self.name}")
        environment = dict(self.settings.environment)
        path = shutil.which(program, path=environment.get("PATH", ""))
        try:
            with log.open("wb") as output:
                # In a group of its own, since programs of SAS start others.
                process = subprocess.Popen(  # noqa: S603 - without a shell
                    [path or program, *command[1:]],
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise InputError(f"{program} cannot be started ({error.strerror}).") from error
        self._wait(process, program)
        if process.returncode:
            raise InputError(
                f"{program} fails for {self.name} ({_ending(process.returncode, log)})."
            )

    def _wait(self, process: subprocess.Popen[bytes], program: str) -> None:
        try:
            process.wait(self.settings.timeout)
        except subprocess.TimeoutExpired:
            raise InputError(
                f"{program} took longer than {self.settings.timeout:g} s for {self.name} and was "
                f"stopped; give a larger --timeout."
            ) from None
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ending(code: int, log: Path) -> str:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    said = " ".join(log.read_bytes().decode(errors="replace").split())[-_END:].strip()
    return f"{how}: {said.rstrip('.')}" if said else how


def _check_events(path: Path) -> None:
    """Make sure that an event list that evselect wrote is one."""
    if not path.is_file():
        raise InputError(f"evselect wrote no {path.name}.")
    try:
        read_event_list(path)
    except (InputError, ExposureRejected) as error:
        raise InputError(f"What evselect wrote cannot be used: {error}") from error


def _check_table(path: Path, needed: Sequence[str], program: str) -> None:
    """Make sure that a table is whole and has its columns."""
    if not path.is_file():
        raise InputError(f"{program} wrote no {path.name}.")
    try:
        table = ForeignTable(path, [[name] for name in needed])
        names = [column.name for column in table.columns]
        if missing := [name for name in needed if name not in names]:
            raise InputError(f"{path.name} lacks the columns {', '.join(missing)}.")
        for _ in table.batches(needed):
            pass
    except InputError as error:
        raise InputError(f"What {program} wrote cannot be used: {error}") from error


def _stem(path: Path) -> str:
    """The name of a file without its endings, as the pipeline's products have it."""
    return path.name.split(".")[0]
