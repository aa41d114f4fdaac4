"""Programs of CIAO, the analysis system of Chandra: environment, calls and output."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final

from exod.errors import ExodError

DEFAULT_PREFIX: Final = "/soft/ciao"
LIMIT_H: Final = 12.0
"""Hours after which a program is taken to hang; wavdetect of a deep field takes some."""

_OUR_VARIABLES: Final = ("ASCDS_WORK_PATH", "PFILES")
_SOURCED: Final = 'source "$0" > /dev/null 2>&1 < /dev/null; env -0'


class CiaoError(ExodError, RuntimeError):
    """CIAO is not there, or one of its programs fails."""


def communicate(
    process: subprocess.Popen[Any],
    logger: logging.Logger | logging.LoggerAdapter[logging.Logger] | None = None,
    level: str | int = "WARNING",
    text: bool = False,  # noqa: FBT001, FBT002 - a call of the original
    logging_tag: str = "",
) -> None:
    """Log what a process writes, line by line as it comes, until it ends.

    Parameters
    ----------
    process : subprocess.Popen
        Its standard output must be a pipe.
    logger : logging.Logger, optional
        By default the root logger.
    level : str or int
        Level of the messages.
    text : bool
        Whether the output is text; otherwise it is bytes.
    logging_tag : str
        What each message begins with.
    """
    number = logging.getLevelNamesMapping()[level] if isinstance(level, str) else level
    to = logger or logging.getLogger()
    if process.stdout is not None:
        for piece in process.stdout:
            line = piece if text else piece.decode(errors="replace")
            to.log(number, "%s", f"{logging_tag} {line.rstrip()}")
    process.wait()


def lasting_folder(owner: object) -> Path:
    """A temporary folder that lasts as long as its owner."""
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    weakref.finalize(owner, folder.cleanup)
    return Path(folder.name)


class Ciao:
    """Runs programs of CIAO.

    Parameters
    ----------
    prefix : path, optional
        Where CIAO is; by default ``/soft/ciao``.
    workdir : path, optional
        Gets the parameter files of the programs; by default a temporary folder.
    logger : logging.Logger or str, optional
        Is told the calls and the output, by default the root logger.
    limit_h : float
        Hours after which a program that has not ended is stopped.

    Attributes
    ----------
    env : dict of str to str
        Environment of the programs.

    Raises
    ------
    CiaoError
        If there is no CIAO, or the folder cannot be used by it.
    """

    def __init__(
        self,
        prefix: str | Path | None = None,
        workdir: str | Path | None = None,
        logger: logging.Logger | str | None = None,
        *,
        limit_h: float = LIMIT_H,
    ) -> None:
        self.limit_h = limit_h
        named = logging.getLogger(logger) if isinstance(logger, str) else logger
        self.logger = named or logging.getLogger()
        place = Path(prefix or DEFAULT_PREFIX).expanduser()
        if not place.exists():
            raise CiaoError(f"CIAO is not at {place}, which does not exist; give its prefix.")
        self.env = dict(_environment(place.absolute()))
        self.workdir = lasting_folder(self) if workdir is None else Path(workdir)
        self.env.update(_context(self.workdir, self.env))

    def __call__(
        self,
        name: str,
        *args: Any,
        logging_tag: str = "",
        stdout: int | Any = subprocess.PIPE,
        stderr: int | Any = subprocess.STDOUT,
        **kwargs: Any,
    ) -> None:
        """Run a program with arguments, and parameters as ``name=value``.

        Raises
        ------
        CiaoError
            If it cannot be started, fails or does not end.
        """
        command = [name, *map(str, args), *(f"{key}={value}" for key, value in kwargs.items())]
        self.logger.info("%s", f"{logging_tag} {' '.join(command)}")
        last: list[str] = []
        process = self._started(command, stdout=stdout, stderr=stderr)
        with process, self._watched(process, name, logging_tag):
            communicate(
                process, _Remembering(self.logger, last), logging.INFO, logging_tag=logging_tag
            )
        _check(name, process.returncode, last[-1] if last else "", logging_tag)

    def output(self, name: str, *args: Any, logging_tag: str = "", cwd: Path | None = None) -> str:
        """What a program writes to its standard output, run in a folder if one is given.

        Raises
        ------
        CiaoError
            If it cannot be started or fails.
        """
        command = [name, *map(str, args)]
        self.logger.info("%s", f"{logging_tag} {' '.join(command)}")
        process = self._started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd)
        with process, self._watched(process, name, logging_tag):
            said, complained = process.communicate()
        lines = (complained or said).decode(errors="replace").strip().splitlines()
        _check(name, process.returncode, lines[-1] if lines else "", logging_tag)
        return str(said.decode(errors="replace").strip())

    def pget(self, command: str, param: str = "value", logging_tag: str = "") -> str:
        """A parameter of a program that has run."""
        return self.output("pget", command, param, logging_tag=logging_tag)

    @contextmanager
    def _watched(self, process: subprocess.Popen[bytes], name: str, tag: str) -> Iterator[None]:
        """Stop a program, with all that it has started, if it hangs or if nobody waits for it."""
        hangs = threading.Event()

        def stop() -> None:
            """Stop a program that has had its time."""
            hangs.set()
            _stop(process)

        clock = threading.Timer(self.limit_h * 3600.0, stop)
        clock.daemon = True
        clock.start()
        try:
            yield
        except BaseException:
            _stop(process)
            raise
        finally:
            clock.cancel()
        if hangs.is_set():
            raise CiaoError(
                f"{tag} {name} of CIAO had not ended after {self.limit_h:g} h and was stopped; "
                f"try it by hand, or give it more time.".strip()
            )

    def _started(self, command: list[str], **streams: Any) -> subprocess.Popen[bytes]:
        path = shutil.which(command[0], path=self.env.get("PATH", ""))
        if path is None:
            raise CiaoError(
                f"CIAO has no program {command[0]}; install it, or give another prefix."
            )
        try:
            return subprocess.Popen(  # noqa: S603 - without a shell
                [path, *command[1:]],
                env=self.env,
                stdin=subprocess.DEVNULL,
                # Programs start others; and an interrupt of exod lets an observation end first.
                process_group=0,
                **streams,
            )
        except OSError as error:
            raise CiaoError(
                f"{command[0]} of CIAO cannot be started ({error.strerror})."
            ) from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class _Remembering(logging.LoggerAdapter[logging.Logger]):
    """A logger that also keeps the last line that says something."""

    def __init__(self, logger: logging.Logger, last: list[str]) -> None:
        super().__init__(logger, {})
        self._last = last

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Pass a message on, and keep it if it says something."""
        said = str(args[0]).strip() if args else ""
        if said:
            self._last[:] = [said]
        super().log(level, msg, *args, **kwargs)


class CIAOContext(AbstractContextManager["CIAOContext"]):
    """Parameter files of CIAO in a folder, from its making until the end of the block.

    Sets PFILES and ASCDS_WORK_PATH of this process; afterwards they are what they were, or gone.

    Parameters
    ----------
    directory : path
        Gets the parameter files.
    logger : logging.Logger, optional
        By default the root logger.

    Raises
    ------
    CiaoError
        If CIAO is not set up in the environment, or cannot use the folder.
    """

    def __init__(self, directory: str | Path, logger: logging.Logger | None = None) -> None:
        self.directory = directory
        self.logger = logger or logging.getLogger()
        self.env = {name: os.environ.get(name) for name in _OUR_VARIABLES}
        self.logger.debug("entering ciao context %s", directory)
        os.environ.update(_context(Path(directory), os.environ))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.logger.debug("leaving ciao context %s", self.directory)
        for name, value in self.env.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


ciao_context = CIAOContext


class chdir(AbstractContextManager["chdir"]):  # noqa: N801 - the name of the original
    """A folder as the current one, from the making of this until the end of the block.

    Parameters
    ----------
    directory : path
        The folder.
    """

    def __init__(self, directory: str | Path) -> None:
        self.cwd = Path.cwd()
        self.directory = directory
        os.chdir(directory)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.chdir(self.cwd)


def _context(directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that have the programs keep their parameters in a folder, which is made."""
    place = directory.absolute()
    if ":" in str(place):
        raise CiaoError(f"CIAO cannot work in {place}, which has a colon; give another folder.")
    install = environment.get("ASCDS_INSTALL")
    if not install:
        raise CiaoError("CIAO is not set up: ASCDS_INSTALL is missing; source its bin/ciao.sh.")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CiaoError(f"{place} cannot be made ({error.strerror}).") from error
    places = f"{place};{install}/param:{install}/contrib/param"
    return {"ASCDS_WORK_PATH": str(place), "PFILES": places}


@cache
def _environment(prefix: Path) -> Mapping[str, str]:
    """The environment after ``source prefix/bin/ciao.sh``."""
    script = prefix / "bin" / "ciao.sh"
    if not script.is_file():
        raise CiaoError(f"CIAO is not at {prefix}: there is no bin/ciao.sh; give its prefix.")
    try:
        done = subprocess.run(  # noqa: S603 - the script is an argument
            ["/bin/bash", "-c", _SOURCED, str(script)], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise CiaoError(f"{script} cannot be sourced ({error}).") from error
    pairs = (entry.decode(errors="surrogateescape") for entry in done.stdout.split(b"\0") if entry)
    found = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if not found.get("ASCDS_INSTALL"):
        raise CiaoError(f"{script} does not set ASCDS_INSTALL; give the prefix of a whole CIAO.")
    return MappingProxyType(found)


def _check(name: str, code: int, said: str, tag: str) -> None:
    if code:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        said = said.removeprefix(tag).strip().rstrip(".")
        reason = f"{how}: {said}" if said else how
        raise CiaoError(f"{tag} {name} of CIAO failed ({reason}).".strip())
