"""The command that shows an archive in a browser."""

from __future__ import annotations

from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exod.cli.app import app, out
from exod.cli.options import (
    EXPLORER_PORT,
    Archive_,
    Scheduler,
    Storage,
    Workers,
    storage_options,
)
from exod.errors import ConfigError, plural

if TYPE_CHECKING:
    from socket import socket

    from exod.stages.explore.making import ExplorerMade
    from exod.web.voting.people import Door, ProxyDoor

_HERE = ("127.0.0.1", "localhost", "::1")


@app.command()
def explore(
    root: Archive_,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0 for a free one.")
    ] = EXPLORER_PORT,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name by which it may be asked; repeatable."),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Who may come in, as `exod users` writes it."),
    ] = None,
    proxy_header: Annotated[
        str, typer.Option(metavar="NAME", help="Header in which a proxy says who asks.")
    ] = "",
    proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Address or network of that proxy; repeatable."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Nothing can be changed: no votes, no SAMP.")
    ] = False,
    make_only: Annotated[
        bool, typer.Option("--make-only", help="Prepare the pages, and do not serve them.")
    ] = False,
    photons: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Event lists whose photons near the sources are kept, or `recorded`: those that "
            "were searched [as before].",
        ),
    ] = None,
    controls: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of sources with a known answer, as for exod verdicts: a queue of their own.",
        ),
    ] = None,
    scheduler: Scheduler = "local",
    workers: Workers = None,
    storage: Storage = None,
) -> None:
    """Look at the sources of an archive in a browser, and judge them.

    Example: `exod explore results --port 0`

    Example: `exod explore results --photons recorded`

    For a team, with names and passwords: `exod explore results --host 0.0.0.0 --allow-host
    exod.example.org --users people.txt`

    With the workers of a cluster on the page of runs: `exod explore results --scheduler
    tcp://host:8786`
    """
    from exod.archive import open_archive
    from exod.scheduler.plan import RETRIES, Plan
    from exod.stages.derive.verdicts import read_controls
    from exod.stages.explore.making import make_explorer

    if public and (users or proxy_header):
        raise ConfigError("--public is for everybody; give it, or --users or --proxy-header.")
    if users and proxy_header:
        raise ConfigError("Names come from --users or from --proxy-header, not from both.")
    if proxy and not proxy_header:
        raise ConfigError("--proxy is of a --proxy-header, which is not given.")
    if host not in _HERE and not (public or users or proxy_header):
        raise ConfigError(
            f"At {host} anybody in the network could vote; give --users FILE, with names and "
            f"passwords, or --public, with which nothing can be changed, or leave --host out and "
            f"come through an SSH tunnel."
        )
    door = _door(users, proxy_header, proxy or [])
    if not make_only:
        _check_web()
    archive = open_archive(root, storage_options(storage))
    answers = read_controls(controls, archive) if controls else {}
    # Whether the port is free is found out before anything is prepared.
    with nullcontext() if make_only else _bound(host, port) as listening:
        with out.status("Preparing the pages") as status:
            plan = Plan(scheduler, workers, retries=RETRIES, on_note=out.print)
            made = make_explorer(archive, photons=photons, plan=plan, on_step=status.update)
        _say(root, made)
        if listening is None:
            return
        from exod.web.app import WebSettings, make_app
        from exod.web.serving import serve

        # The page of runs shows a cluster that others search with too.
        cluster = scheduler if "://" in scheduler else ""
        settings = WebSettings((host, *(allow_host or ())), public, cluster, answers, door)
        serve(make_app(archive, settings), listening, _say_address)


def _bound(host: str, port: int) -> socket:
    from exod.web.serving import bound

    return bound(host, port)


def _say(root: str, made: ExplorerMade) -> None:
    for fault in made.damaged:
        out.print(f"{fault}; the pages were prepared anew.", soft_wrap=True)
    sources = plural(made.n_sources, "source")
    out.print(f"{root}: pages of {sources} and {plural(made.n_detections, 'detection')}.")
    if made.n_photons or made.left_out:
        out.print(f"{plural(made.n_photons, 'photon')} near them.")
    for obsid, why in sorted(made.left_out.items()):
        out.print(f"Without photons of {obsid}: {why}", soft_wrap=True)


def _say_address(address: str) -> None:
    out.print(f"Open {address} in a browser; Ctrl-C ends it.", soft_wrap=True)


def _door(users: Path | None, header: str, proxies: list[str]) -> Door | ProxyDoor | None:
    from exod.web.voting.people import Door, ProxyDoor

    if users:
        return Door(users)
    return ProxyDoor(header, proxies) if header else None


def _check_web() -> None:
    """Say what is missing before anything is prepared."""
    try:
        for name in ("app", "serving"):
            import_module(f"exod.web.{name}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The explorer needs {error.name}, which is not installed; run "
            f"`pip install 'exod[web]'`."
        ) from error
