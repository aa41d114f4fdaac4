"""A picture of a page, by a browser that is on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from exod.archive import Archive
from exod.web.app import make_app
from exod.web.serving import running

BROWSERS: Final = (
    *("chromium", "chromium-browser", "chromium-headless-shell"),
    *("google-chrome", "google-chrome-stable", "chrome"),
)
"""What the browsers that can do it are called."""

SIZE: Final = (1280, 900)

LIMIT_S: Final = 120.0
"""Seconds after which a browser is given up."""

_OPTIONS: Final = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # The page is drawn when all that it waits for has come, and not after some seconds.
    "--virtual-time-budget=20000",
)


def screenshot(archive: Archive, view: str, path: Path, size: tuple[int, int] = SIZE) -> str:
    """Save a picture of a page of an archive's explorer.

    Parameters
    ----------
    archive : Archive
        The archive, whose pages were prepared.
    view : str
        Address of the page, without that of the server.
    path : Path
        The picture, PNG; a file that is there is replaced.
    size : (int, int)
        Width and height in pixels.

    Returns
    -------
    str
        Why there is none; empty if there is one.

    Raises
    ------
    ArchiveError
        If the pages were not prepared.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return "there is no Chromium or Chrome on this machine"
    with (
        tempfile.TemporaryDirectory(prefix="exod-browser-") as folder,
        running(make_app(archive)) as address,
    ):
        made = Path(folder, "page.png")
        # As root, browsers do not start in their sandbox; the page is our own.
        without = ["--no-sandbox"] if os.geteuid() == 0 else []
        told = [f"--user-data-dir={folder}/profile", f"--window-size={size[0]},{size[1]}"]
        command = [browser, *_OPTIONS, *without, *told, f"--screenshot={made}", address + view]
        try:
            subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{browser} did not make one ({type(error).__name__})"
        if not made.exists():
            return f"{browser} did not make one"
        shutil.copyfile(made, path)
    return ""
