"""The page that every address begins with: one file, which the scripts fill."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent / "static"


def shell(base: str, mode: str, token: str = "", vetter: str = "") -> str:
    """The page.

    Parameters
    ----------
    base : str
        What all addresses of the site begin with, with a slash at its end.
    mode : {"server", "static"}
        Whether there is a server that answers questions.
    token : str
        What a page sends to change something; empty if it cannot.
    vetter : str
        Who is logged in; empty if there is no login.
    """
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    values = {"base": base, "mode": mode, "token": token, "vetter": vetter}
    for name, value in values.items():
        page = page.replace(f"{{{{{name}}}}}", escape(value))
    return page
