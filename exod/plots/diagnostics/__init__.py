"""Diagnostic sheets: how a search came to what it found, of an observation and of an archive.

Rows, images and curves go in; a sheet is a figure, and a stage gives it the name of its file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from matplotlib.figure import Figure

Sheet: TypeAlias = Figure

Sheets: TypeAlias = Iterator[tuple[str, Sheet]]
"""Name of the file, without an ending, and the sheet; each made when it is its turn."""
