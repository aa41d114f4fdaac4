"""Videos: their frames are those of the cube."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.faults import GOOD
from helpers.strategies import grid_of
from PIL import Image, ImageSequence

from exod.counts.cube import CountCube
from exod.errors import ConfigError, ExodError
from exod.observation.gti import Frames
from exod.plots.drawing import Drawing
from exod.plots.fields.moving import MovingCube, check_movie, frames_of, save_movie

RUN = {"obsid": "0900000101", "subset": 0, "e_lo": 0.2, "e_hi": 12.0, "t_bin": 50.0}
Command = Callable[..., tuple[int, str, str]]


def cube_of(n: int = 6) -> CountCube:
    """A cube of a few cells, the fifth frame without data."""
    generator, frames, grid = np.random.default_rng(1), Frames(1e8, 50.0, n), grid_of(129)
    frame = np.sort(generator.integers(0, n, 300)).astype(np.int32)
    y, x = generator.integers(60, 66, 300), generator.integers(40, 48, 300)
    flat = (y * grid.n + x).astype(np.int32)
    return CountCube.from_events(frames, grid, frame, flat, np.arange(n) == 4, chunk_frames=4)


def seen_counts(moving: MovingCube, picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The counts whose colour is nearest to that in the middle of each cell of a picture."""
    extent = moving.picture.get_extent()
    columns, rows = (np.arange(lo + 0.5, hi) for lo, hi in (extent[:2], extent[2:]))
    x, y = np.meshgrid(columns, rows)
    points = np.column_stack([x.ravel(), y.ravel()])
    places = moving.picture.axes.transData.transform(points)
    column, row = places[:, 0].astype(int), picture.shape[0] - 1 - places[:, 1].astype(int)
    counts = np.arange(int(moving.picture.norm.vmax) + 1)
    colours = 255 * moving.picture.cmap(moving.picture.norm(counts))[:, :3]
    seen = picture[row, column, :3].astype(float)
    nearest = np.abs(seen[:, None] - colours).sum(-1).argmin(-1)
    return counts[nearest].reshape(x.shape)


def made(cube: CountCube, which: np.ndarray[Any, Any], path: Path) -> MovingCube:
    moving = MovingCube(RUN, cube, np.zeros(cube.frames.n, bool), "a $ target")
    steps: list[int] = []
    save_movie(moving, cube, which, path, 10.0, Drawing(size=(5.0, 6.0)), lambda: steps.append(1))
    assert len(steps) == which.sum()
    return moving


def test_frames_are_those_of_the_dense_cube() -> None:
    cube = cube_of()
    which = np.array([True, False, True, True, True, True])
    numbers, images = zip(*frames_of(cube, which), strict=True)
    assert list(numbers) == [0, 2, 3, 4, 5]
    np.testing.assert_array_equal(images, cube.dense_block(0, 6)[which])


@pytest.mark.parametrize("brightest", [0, 30, 3000, 100_000])
def test_the_field_is_seen_beside_a_bright_source(brightest: int) -> None:
    """A typical cell is well above the dark end, whatever the brightest cell has."""
    frames, grid = Frames(1e8, 50.0, 2), grid_of(129)
    flat = np.repeat(np.arange(50, 90) * grid.n + np.arange(50, 90), 5)
    flat = np.concatenate([flat, np.full(brightest, flat[0])]).astype(np.int32)
    first, none = np.zeros(len(flat), np.int32), np.zeros(2, bool)
    cube = CountCube.from_events(frames, grid, first, flat, none)
    norm = MovingCube(RUN, cube, none).picture.norm
    assert float(norm(0)) == 0
    assert float(norm(5)) > 0.07
    assert float(norm(5 + brightest)) == pytest.approx(1)


def test_gif(tmp_path: Path) -> None:
    cube, path = cube_of(), tmp_path / "a" / "cube.gif"
    which = np.arange(6) > 0
    moving = made(cube, which, path)
    with Image.open(path) as found:
        pictures = [np.asarray(p.convert("RGB")) for p in ImageSequence.Iterator(found)]
    assert [picture.shape for picture in pictures] == [(480, 400, 3)] * 5
    for picture, counts in zip(pictures, cube.dense_block(0, 6)[which], strict=True):
        np.testing.assert_array_equal(seen_counts(moving, picture), counts)


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A program of the name ffmpeg, on PATH before all others."""
    program = folder / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_mp4_gets_every_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "open(sys.argv[-1], 'wb').write(sys.stdin.buffer.read())"
    stand_in(tmp_path, monkeypatch, body)
    cube, which, path = cube_of(), np.ones(6, bool), tmp_path / "cube.mp4"
    check_movie(path)
    moving = made(cube, which, path)
    raw = np.frombuffer(path.read_bytes(), np.uint8).reshape(6, 480, 400, 4)
    for picture, counts in zip(raw, cube.dense_block(0, 6), strict=True):
        np.testing.assert_array_equal(seen_counts(moving, picture), counts)


def test_ffmpeg_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "sys.stdin.buffer.read(); sys.stderr.write('no such codec'); sys.exit(1)"
    stand_in(tmp_path, monkeypatch, body)
    with pytest.raises(ExodError, match="ffmpeg cannot make the video: no such codec"):
        made(cube_of(), np.ones(6, bool), tmp_path / "cube.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_ctrl_c_that_ends_ffmpeg_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "sys.stdin.buffer.read(); sys.exit(255)")

    def interrupt() -> None:
        raise KeyboardInterrupt

    cube, which = cube_of(), np.ones(6, bool)
    moving = MovingCube(RUN, cube, ~which)
    with pytest.raises(KeyboardInterrupt):
        save_movie(moving, cube, which, tmp_path / "cube.mp4", 10.0, advance=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"ffmpeg, which makes MP4, is not installed"):
        check_movie(Path("cube.mp4"))
    with pytest.raises(ConfigError, match=r"ends in \.mp4 or \.gif"):
        check_movie(Path("cube.avi"))
    monkeypatch.setattr("exod.plots.fields.moving.MOST_GIF_FRAMES", 5)
    with pytest.raises(ConfigError, match="A GIF of 6 frames"):
        made(cube_of(), np.ones(6, bool), tmp_path / "cube.gif")
    assert list(tmp_path.iterdir()) == []


def test_by_command(small: Path, tmp_path: Path, command: Command) -> None:
    to = tmp_path / "cube.gif"
    arguments = ["video", small / GOOD, "--to", to, "--t-bin", "500", "--size", "4,5"]
    code, said, _ = command(*arguments)
    assert (code, said.strip()) == (0, str(to))
    with Image.open(to) as found:
        assert found.n_frames > 1
    code, _, said = command("video", small / GOOD, "--to", tmp_path / "x.png")
    assert (code, said.count("\n")) == (2, 1)
    code, _, said = command("video", small / GOOD, "--to", to, "--between", "0,1")
    assert code == 1
    assert "has no frames between" in said
