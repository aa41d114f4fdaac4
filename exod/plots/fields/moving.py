"""The cube of a run in motion: a picture of each frame, as MP4 or as GIF."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from matplotlib.animation import FFMpegWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import AsinhNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from exod.counts.cube import CountCube
from exod.errors import ConfigError, ExodError
from exod.files.whole import write_whole
from exod.plots.drawing import DEFAULT, Drawing
from exod.plots.style import SMALL, VERMILLION, Row, as_it_is, run_text, shade_frames, utc
from exod.schemas.arrays import Mask

BRIGHT: Final = 30.0
"""Counts of the brightest cell, in those of a typical one, from which colours are logarithmic."""

DOTS_PER_INCH: Final = 80
MOST_GIF_FRAMES: Final = 3000
"""Frames of a GIF, which are all in memory until it is written."""

NO_FFMPEG: Final = (
    "ffmpeg, which makes MP4, is not installed here (it is not on PATH); install it, or name a "
    "video that ends in .gif"
)


def usual_ending() -> str:
    """mp4 where ffmpeg is installed, gif elsewhere."""
    return "mp4" if FFMpegWriter.isAvailable() else "gif"


def check_movie(path: Path) -> None:
    """Refuse what cannot be written.

    Raises
    ------
    ConfigError
        If the ending is none of a video, or ffmpeg is missing.
    """
    if path.suffix not in {".mp4", ".gif"}:
        raise ConfigError(f"The name of a video ends in .mp4 or .gif, which {path} does not.")
    if path.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise ConfigError(f"{path} cannot be made: {NO_FFMPEG}.")


class MovingCube:
    """A figure that shows one frame of a cube after another.

    Parameters
    ----------
    run : mapping or Series
        Row of the table runs.
    cube : CountCube
        Counts.
    is_bad : ndarray of bool, shape (n_frames,)
        Frames in bad time.
    target : str
        Name of the target.

    Attributes
    ----------
    figure : Figure
        Axes: the image above, the light curve of the whole field below.
    """

    def __init__(self, run: Row, cube: CountCube, is_bad: Mask, target: str = "") -> None:
        self._cube, self._run = cube, run
        self.figure = Figure(figsize=(7.0, 8.0), layout="constrained")
        FigureCanvasAgg(self.figure)
        upper, lower = self.figure.subplots(2, 1, height_ratios=(5, 1))
        box, frames = cube.box, cube.frames
        counts = cube.chunk(0, frames.n).n
        self.picture = upper.imshow(
            np.zeros(box.shape),
            norm=_norm(counts[counts > 0]),
            cmap="inferno",
            origin="lower",
            interpolation="nearest",
            extent=(box.x_lo - 0.5, box.x_hi - 0.5, box.y_lo - 0.5, box.y_hi - 0.5),
        )
        self.figure.colorbar(self.picture, ax=upper, label="Counts (ct)", pad=0.02)
        upper.set(xlabel="x (cell, west to the right)", ylabel="y (cell, north up)")
        name = " · ".join(
            filter(None, [as_it_is(target), f"{run['obsid']}, subset {run['subset']}"])
        )
        self.figure.suptitle(f"{name}\n{run_text(run)}", fontsize=12)
        self._title = upper.set_title(" \n ", fontsize=SMALL + 2)
        edges = (frames.t_bin * np.arange(frames.n + 1)) / 1000
        lower.stairs(cube.light_curve(), edges, color="black", lw=0.8, baseline=None, zorder=3)
        shade_frames(lower, edges, is_bad, cube.masked)
        lower.set(xlabel=f"Time since {utc(frames.t_lo)} UTC (ks)", ylabel="Counts (ct)")
        lower.margins(x=0)
        self._cursor = lower.axvline(0, color=VERMILLION, lw=1.5, zorder=4)

    def resized(self, size: tuple[float, float] | None) -> None:
        """Take another size in inches, with even numbers of dots, and place everything."""
        inches = np.asarray(size if size is not None else self.figure.get_size_inches())
        self.figure.set_size_inches(*(2 * np.round(inches * DOTS_PER_INCH / 2) / DOTS_PER_INCH))
        self.figure.set_dpi(DOTS_PER_INCH)
        self.figure.canvas.draw()
        # To place everything again in each frame would take most of the time, and make it jump.
        self.figure.set_layout_engine("none")

    def show(self, frame: int, counts: np.ndarray[Any, Any]) -> None:
        """Show a frame.

        Parameters
        ----------
        frame : int
            Its number.
        counts : ndarray, shape (y, x)
            Its counts.
        """
        frames = self._cube.frames
        start = float(frames.starts[frame])
        masked = ", masked" if self._cube.masked[frame] else ""
        self.picture.set_data(counts)
        self._title.set_text(
            f"Frame {frame + 1} of {frames.n}{masked}\n{utc(start)} UTC: {int(counts.sum())} counts"
        )
        middle = (start - frames.t_lo + frames.t_bin / 2) / 1000
        self._cursor.set_xdata([middle, middle])

    def pixels(self) -> np.ndarray[Any, Any]:
        """What is shown, shape (rows, columns, 4), uint8."""
        canvas = self.figure.canvas
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())  # type: ignore[attr-defined]


def frames_of(cube: CountCube, which: Mask) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    """Number and counts, shape (y, x), of the frames to show, a chunk in memory at a time."""
    for first, last in cube.chunk_bounds:
        if which[first:last].any():
            block = cube.dense_block(first, last)
            for frame in first + np.flatnonzero(which[first:last]):
                yield int(frame), block[frame - first]


def save_movie(
    moving: MovingCube,
    cube: CountCube,
    which: Mask,
    path: Path,
    per_second: float,
    drawing: Drawing = DEFAULT,
    advance: Callable[[], None] = lambda: None,
) -> Path:
    """Write a video, which appears whole or not at all.

    Parameters
    ----------
    moving : MovingCube
        The figure, made in the style.
    cube : CountCube
        Counts.
    which : ndarray of bool, shape (n_frames,)
        Frames to show.
    path : Path
        The file; it ends in .mp4 or .gif.
    per_second : float
        Frames a second.
    drawing : Drawing
        Size and style.
    advance : callable
        Called after each frame.

    Raises
    ------
    ConfigError
        If a GIF would have too many frames.
    ExodError
        If it cannot be written.
    """
    n = int(which.sum())
    if path.suffix == ".gif" and n > MOST_GIF_FRAMES:
        raise ConfigError(
            f"A GIF of {n:,} frames would not fit into memory, {MOST_GIF_FRAMES:,} do; give a "
            f"time range with --between, a longer --t-bin, or a video that ends in .mp4."
        )
    write = _write_mp4 if path.suffix == ".mp4" else _write_gif
    with drawing.applied(), TemporaryDirectory(prefix="exod-video-") as folder:
        moving.resized(drawing.size)
        # The writers know formats by the ending, which names of unfinished files do not have.
        made = Path(folder, f"video{path.suffix}")
        write(moving, _shown(moving, cube, which, advance), made, per_second)
        write_whole(path, made.read_bytes())
    return path


def _shown(
    moving: MovingCube, cube: CountCube, which: Mask, advance: Callable[[], None]
) -> Iterator[None]:
    """Show one frame after another."""
    for frame, counts in frames_of(cube, which):
        moving.show(frame, counts)
        yield
        advance()


def _write_mp4(moving: MovingCube, shown: Iterator[None], path: Path, per_second: float) -> None:
    writer = FFMpegWriter(fps=per_second)  # type: ignore[arg-type]
    try:
        with writer.saving(moving.figure, str(path), DOTS_PER_INCH):
            for _ in shown:
                writer.grab_frame()
    except (OSError, subprocess.CalledProcessError) as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            # Ctrl-C reaches both, and that ffmpeg has ended is no news.
            raise error.__context__ from None
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        why = said[-1] if said else "no reason given"
        raise ExodError(
            f"ffmpeg cannot make the video: {why}; name one that ends in .gif."
        ) from error


def _write_gif(moving: MovingCube, shown: Iterator[None], path: Path, per_second: float) -> None:
    pictures = (
        Image.fromarray(moving.pixels()[..., :3].copy()).quantize(256, Image.Quantize.FASTOCTREE)
        for _ in shown
    )
    first = next(pictures)
    duration = max(round(1000 / per_second), 20)
    first.save(path, save_all=True, append_images=pictures, duration=duration, loop=0)


def _norm(counts: NDArray[np.integer]) -> Normalize:
    """How colours follow counts: the field is to be seen beside its brightest source."""
    if not len(counts):
        return PowerNorm(0.5, 0, 1)
    typical, high = float(np.median(counts)), float(counts.max())
    return AsinhNorm(typical, 0, high) if high > BRIGHT * typical else PowerNorm(0.5, 0, high)
