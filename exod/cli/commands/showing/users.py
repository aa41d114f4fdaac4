"""The command that says who may come to the explorer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import app, say


@app.command()
def users(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of users.")],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The name that votes are kept under.")
    ],
    remove: Annotated[bool, typer.Option("--remove", help="Let the person in no more.")] = False,
) -> None:
    """Add one who may come to `exod explore results --users FILE`, or change a password.

    The password is asked for; the file has what scrypt makes of it. A server that runs takes the
    change at once.

    Example: `exod users people.txt ada`
    """
    from exod.web.voting.people import checked_name, write_user

    name = checked_name(name)
    password = None
    if not remove:
        password = typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True)
    write_user(file, name, password)
    say(f"{name} {'is removed from' if remove else 'is in'} {file}")
