"""Format, size and style of pictures."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from PIL import Image
from typer.testing import CliRunner

from exod.cli import app
from exod.errors import ConfigError
from exod.plots.drawing import FORMATS, Drawing, picture_size, read_style, save_figure, save_figures

STARTS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def simple_figure() -> Figure:
    figure = Figure(layout="constrained")
    figure.subplots().plot([1, 2, 3])
    return figure


def pixels(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.mark.parametrize("form", FORMATS)
def test_formats(tmp_path: Path, form: str) -> None:
    names = [f"run_0.2_12.0_{number}" for number in range(2)]
    paths = save_figures(((name, simple_figure()) for name in names), tmp_path, Drawing(form))
    assert [path.name for path in paths] == [f"{name}.{form}" for name in names]
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(STARTS[form])
    assert first == second, "equal pictures are equal files"


def test_size_and_resolution(tmp_path: Path) -> None:
    path = save_figure(simple_figure(), tmp_path / "a.png", Drawing(size=(4.0, 3.0)))
    assert pixels(path) == (600, 450)
    style = {"savefig.dpi": 100.0, "figure.figsize": [5.0, 2.0]}
    path = save_figure(simple_figure(), tmp_path / "a.png", Drawing(style=style))
    assert pixels(path) == (500, 200)
    path = save_figure(simple_figure(), tmp_path / "a.png", Drawing(size=(4, 3), style=style))
    assert pixels(path) == (400, 300)


def test_style_is_in_force_while_pictures_are_made(tmp_path: Path) -> None:
    file = tmp_path / "mine.mplstyle"
    file.write_text("axes.facecolor: 112233\nbackend: agg\n")
    style = read_style(file)
    assert list(style) == ["axes.facecolor"]
    made = ((name, simple_figure()) for name in ["a"])
    (path,) = save_figures(made, tmp_path, Drawing(style=style))
    with Image.open(path) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(100_000)}
    assert (0x11, 0x22, 0x33) in colours
    assert mpl.rcParams["axes.facecolor"] == "white"
    assert read_style("ggplot")["axes.grid"] is True


@pytest.mark.parametrize("text", ["8", "8,6,4", "8x6", "a,b", "", "nan,3", "inf,3"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="width and height in inches"):
        picture_size(text)


@pytest.mark.parametrize("size", [(0.0, 3.0), (3.0, -1.0), (1e6, 3.0), (3.0, 1.0)])
def test_sizes_that_cannot_be(size: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="cannot be drawn"):
        Drawing(size=size)


def test_picture_without_room(tmp_path: Path) -> None:
    figure = simple_figure()
    figure.suptitle("\n".join("abcdefgh"))
    with pytest.raises(ConfigError, match=r"a\.pdf cannot be drawn in 2 by 2 inches"):
        save_figure(figure, tmp_path / "a.png", Drawing("pdf", (2.0, 2.0)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no.such.key: 3\n", "no.such.key"),
        (b"lines.linewidth: thick\n", "thick"),
        (b"what is this\n", "what is this"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (None, "No such file"),
    ],
)
def test_styles_that_are_none(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "mine.mplstyle"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        read_style(file)
    assert str(caught.value).count("\n") == 0
    with pytest.raises(ConfigError, match="Is a directory"):
        read_style(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "bmp"], "no format 'bmp'"),
        (["--size", "big"], "width and height"),
        (["--style", "nothing-here"], "nothing-here"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ["plot", "archive", "0001730201"],
        ["recovery", "archive"],
        ["demo"],
        ["completeness", "out"],
        ["detect", ".", "--archive", "archive", "--plots", "plots"],
    ],
)
def test_every_command_that_draws_has_the_options(
    command: list[str],
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*command, *options])
    assert done.exit_code == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []
