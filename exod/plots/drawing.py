"""How pictures are drawn and saved: format, size and style, as the options of all commands say."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from exod.errors import ArchiveError, ConfigError
from exod.files.storage import one_line
from exod.files.whole import whole_file

FORMATS: Final = ("png", "pdf", "svg")
"""Formats of pictures, which are also the endings of their names."""

SMALLEST, LARGEST = 2.0, 60.0
"""Sides of a picture in inches; a larger one would be beyond what can be drawn."""

RESOLUTION: Final = 150
"""Dots per inch of saved pictures, unless the style says so itself."""

_ALWAYS: Final[Mapping[str, Any]] = MappingProxyType({"pdf.fonttype": 42, "svg.hashsalt": "exod"})
"""Letters that can be edited in PDF, and the same bytes for the same SVG."""

# The creation date, without which equal pictures are equal files.
_NO_DATE: Final[Mapping[str, Mapping[str, None]]] = MappingProxyType(
    {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
)
_NOT_IN_NAMES: Final = re.compile(r"[^\w.+-]")
_NOT_OF_PICTURES: Final = frozenset({"backend", "backend_fallback", "interactive", "toolbar"})


@dataclass(frozen=True)
class Drawing:
    """Format, size and style of pictures.

    Attributes
    ----------
    format : str
        One of `FORMATS`.
    size : tuple of float, optional
        Width and height in inches; by default what suits each picture.
    style : dict
        Parameters of matplotlib, as `read_style` gives them.

    Raises
    ------
    ConfigError
        If the format or the size cannot be.

    Examples
    --------
    >>> Drawing("svg", (8.0, 6.0)).format
    'svg'
    >>> Drawing("bmp")
    Traceback (most recent call last):
    exod.errors.ConfigError: There is no format 'bmp' of pictures; give png, pdf or svg.
    """

    format: str = "png"
    size: tuple[float, float] | None = None
    style: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(
                f"There is no format {self.format!r} of pictures; give png, pdf or svg."
            )
        if self.size is not None and not all(SMALLEST <= side <= LARGEST for side in self.size):
            width, height = self.size
            raise ConfigError(
                f"A picture of {width:g} by {height:g} inches cannot be drawn; each side has "
                f"{SMALLEST:g} to {LARGEST:g}."
            )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the style in force; figures are made, and saved, in this context."""
        parameters: Any = {**_ALWAYS, **self.style}
        with mpl.rc_context(parameters):
            yield

    def named(self, path: Path) -> Path:
        """The path with the ending of the format."""
        return path.with_suffix(f".{self.format}")


DEFAULT: Final = Drawing()
"""PNG in the size and style of each picture."""


def picture_size(text: str) -> tuple[float, float]:
    """Width and height of what a person wrote.

    Raises
    ------
    ConfigError
        If it is not two numbers.

    Examples
    --------
    >>> picture_size("8,6.5")
    (8.0, 6.5)
    """
    try:
        width, height = (float(part) for part in text.split(","))
    except ValueError:
        width = math.nan
    if not (math.isfinite(width) and math.isfinite(height)):
        raise ConfigError(
            f"The size of pictures is width and height in inches, as 8,6; not {text}."
        )
    return width, height


def read_style(path: str | Path) -> dict[str, Any]:
    """Parameters of a style file of matplotlib, those that concern pictures.

    Parameters
    ----------
    path : path
        The file, or the name of a style that matplotlib has, as ``ggplot``.

    Raises
    ------
    ConfigError
        If it cannot be read, or matplotlib does not understand a line of it.
    """
    from matplotlib import style

    found = style.library[str(path)] if str(path) in style.available else _parsed(Path(path))
    return {name: value for name, value in found.items() if name not in _NOT_OF_PICTURES}


class _Complaints(logging.Handler):
    """Keeps what matplotlib says of a style file; it tells of wrong lines in no other way."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def _parsed(path: Path) -> mpl.RcParams:
    complaints, log = _Complaints(), logging.getLogger("matplotlib")
    carried, log.propagate = log.propagate, False
    log.addHandler(complaints)
    try:
        found = mpl.rc_params_from_file(path, use_default_template=False)
    except (OSError, ValueError) as error:
        cause = one_line(error) if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ConfigError(
            f"The style file {path} cannot be read: {cause}; give a style file of matplotlib, or "
            f"the name of one of its styles."
        ) from error
    finally:
        log.removeHandler(complaints)
        log.propagate = carried
    if complaints.said:
        # What follows is a list of all that could be meant, or where to get another file.
        said = " ".join(complaints.said[0].replace(f" in file {path!r}", "").split())
        said = said.split("; supported")[0].split(" You probably")[0]
        raise ConfigError(
            f"The style file {path} has what matplotlib does not understand ({said}); mend that "
            f"line."
        )
    return found


def save_figure(figure: Figure, path: Path, drawing: Drawing = DEFAULT) -> Path:
    """Write a picture.

    Parameters
    ----------
    figure : Figure
        The picture, made while the style was in force (`Drawing.applied`).
    path : Path
        The file; its ending becomes that of the format.
    drawing : Drawing
        Format, size and style.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    ArchiveError
        If it cannot be written.
    ConfigError
        If it cannot be drawn in this size and style.
    """
    path = drawing.named(path)
    size = drawing.size or drawing.style.get("figure.figsize")
    if size is not None:
        figure.set_size_inches(*size)
    with (
        whole_file(path, error=ArchiveError) as temporary,
        drawing.applied(),
        warnings.catch_warnings(),
    ):
        # The layout says so when there is no room for it, and draws one thing on another.
        warnings.filterwarnings("error", "constrained_layout not applied")
        try:
            figure.savefig(
                temporary,
                format=drawing.format,
                dpi=drawing.style.get("savefig.dpi", RESOLUTION),
                metadata=_NO_DATE[drawing.format],
            )
        except (UserWarning, RuntimeError, ValueError) as error:
            width, height = figure.get_size_inches()
            raise ConfigError(
                f"{path.name} cannot be drawn in {width:g} by {height:g} inches and this style "
                f"({' '.join(str(error).split())[:120]}); change --size or --style."
            ) from error
    return path


def save_figures(
    figures: Iterable[tuple[str, Figure]], folder: Path, drawing: Drawing = DEFAULT
) -> list[Path]:
    """Write pictures, each made when it is its turn and in the style; see `save_figure`.

    Parameters
    ----------
    figures : iterable of (str, Figure)
        Name of each file, without an ending, and the picture. What no file should be called, as
        names of sources that came from elsewhere may be, becomes underscores.
    folder : Path
        Where they go.
    drawing : Drawing
        Format, size and style.
    """
    with drawing.applied():
        return [
            save_figure(
                figure, folder / f"{_NOT_IN_NAMES.sub('_', name)}.{drawing.format}", drawing
            )
            for name, figure in figures
        ]
