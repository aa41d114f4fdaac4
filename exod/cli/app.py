"""The application: consoles, errors as sentences, the entry point."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from exod import __version__
from exod.errors import (
    INTERRUPTED,
    INTERRUPTION,
    ConfigError,
    ExodError,
    without_credentials,
)

PIPE_CLOSED = 128 + signal.SIGPIPE
"""Exit code if whoever reads the output has enough of it, as of programs that die of that."""

LONGEST_SHOWN = 60
"""Characters of a name that is too long for any file."""

NEEDS_A_NAME = frozenset({"--archive", "--config", "--data", "--from", "--plots", "--to"})
"""Options whose value is the name of something, which an empty text is not."""


class PlainConsole(Console):
    """A console on which no text of a file moves the cursor, colours what follows or is unseen.

    It ends the command, quietly, when nobody reads its output any more.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Text with control characters, and those that turn its direction, as their codes."""
        return super().render_str(_UNSEEN.sub(_code_of, text), **options)

    def on_broken_pipe(self) -> None:
        """As of `rich.console.Console`, with the exit code that other programs have."""
        discard_output()
        raise SystemExit(PIPE_CLOSED)


# C0 but for tab and line feed, delete, C1, and marks of direction (Unicode 15, section 23.2).
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _code_of(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


out = PlainConsole(highlight=False)
err = PlainConsole(stderr=True, highlight=False)


class _Commands(TyperGroup):
    """Errors a user can cause are one sentence, without a traceback unless --debug is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # --debug may stand anywhere.
        ctx.meta["exod.debug"] = "--debug" in args
        return super().parse_args(ctx, [argument for argument in args if argument != "--debug"])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        refuse_empty_names(args)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ExodError as error:
            if ctx.meta["exod.debug"]:
                raise
            complain(f"exod: {error}")
            code = 2 if isinstance(error, ConfigError) else 1
        except KeyboardInterrupt:
            # Whoever asks twice is told once.
            with suppress(KeyboardInterrupt):
                complain(INTERRUPTION)
            code = INTERRUPTED
        raise typer.Exit(code)


def refuse_empty_names(arguments: Sequence[str]) -> None:
    """Refuse empty names of files and folders, which would mean the current folder.

    Raises
    ------
    ConfigError
        If an argument, or the value of an option in `NEEDS_A_NAME`, is empty.
    """
    for before, argument in pairwise(["exod", *arguments]):
        option, given, value = argument.partition("=")
        if given and option in NEEDS_A_NAME and not value.strip():
            raise ConfigError(f"{option} is empty; give a name.")
        if argument.strip():
            continue
        if before in NEEDS_A_NAME:
            raise ConfigError(f"{before} is empty; give a name.")
        if not before.startswith("-") or "=" in before:
            raise ConfigError("An argument is empty; give a name.")


def discard_output() -> None:
    """Let what is still to be written to standard output go nowhere, also when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):
        os.dup2(nowhere, sys.stdout.fileno())


def complain(sentence: str) -> None:
    """Say what is wrong on standard error."""
    text = without_credentials(sentence)
    err.print(text, style="red", markup=False, soft_wrap=True)


def say(sentence: str, style: str | None = None) -> None:
    """Say something on standard output, in one line however narrow the terminal is."""
    out.print(without_credentials(sentence), style=style, markup=False, soft_wrap=True)


def say_paths(paths: Iterable[Path]) -> None:
    """Say what was written, a file a line."""
    for path in paths:
        say(str(path))


def end_if_failed(failures: Sequence[str]) -> None:
    """Say what failed, and end with exit code 1 if anything did."""
    for failure in failures:
        complain(f"exod: {failure}")
    if failures:
        raise typer.Exit(1)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Search observations of XMM-Newton and Chandra for fast X-ray transients.",
)
STYLE = {"OK": "green", "EMPTY": "cyan", "SKIPPED": "yellow", "FAILED": "red"}


def main() -> None:
    """Run the command line."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # It was closed by the caller, and what is opened next must not be taken for it.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        # Names of files may hold what the terminal cannot show.
        getattr(sys, name).reconfigure(errors="backslashreplace")
    try:
        app(prog_name="exod")
    except ExodError:
        raise
    except OSError as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(_end_of(error))
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        complain(
            f"exod: unexpected {type(error).__name__}: {error}; please report it with what the "
            f"same command says with --debug."
        )
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(__version__)
        raise typer.Exit


def _end_of(error: OSError) -> int:
    """Say what the system refuses where nobody expects it: exit code."""
    if error.errno == errno.EPIPE:
        discard_output()
        return PIPE_CLOSED
    name = error.filename
    if error.errno == errno.ENAMETOOLONG and name:
        shown = name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}..."
        complain(f"exod: {shown} cannot be used: its name is too long; give another one.")
        return 2
    if name is None and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF}:
        discard_output()
        complain(f"exod: the output cannot be written: {error.strerror}.")
        return 1
    complain(
        f"exod: unexpected {type(error).__name__}: {error}; please report it with what the same "
        f"command says with --debug."
    )
    return 1


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    # `_Commands` takes --debug out wherever it stands, and --version has its callback.
    del debug, version


def new_table(title: str, *columns: str, numbers: Iterable[str] = ()) -> Table:
    """An empty table, columns of numbers last; with rules on a terminal only."""
    frame = box.HEAVY_HEAD if out.is_terminal else None
    table = Table(*columns, title=title, title_justify="left", box=frame)
    for name in numbers:
        table.add_column(name, justify="right")
    return table
