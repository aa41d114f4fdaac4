"""Pages of the documentation, and what is in their fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer

from exod.cli import app

ROOT: Final = Path(__file__).resolve().parents[2]
GROUP = typer.main.get_command(app)
FENCE: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, body in FENCE.findall(text_of(page)):
        if language in languages:
            yield body
