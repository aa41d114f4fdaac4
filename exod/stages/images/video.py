"""Video: the cube of one run, a frame after another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from exod.config import Config
from exod.plots.drawing import DEFAULT, Drawing
from exod.plots.fields.moving import MovingCube, check_movie, save_movie, usual_ending
from exod.pps import ObservationFiles, local_copies
from exod.stages.images.field import field_of_run, frames_in
from exod.stages.images.onerun import one_run

Follow = Callable[[int], AbstractContextManager[Callable[[], None]]]


def make_video(
    files: ObservationFiles,
    config: Config,
    to: Path | None,
    follow: Follow,
    *,
    subset: int = 0,
    span: tuple[float, float] | None = None,
    per_second: float = 10.0,
    drawing: Drawing = DEFAULT,
) -> Path:
    """Write the cube of a run as a video.

    Parameters
    ----------
    files : ObservationFiles
        The observation.
    config : Config
        Settings, with one time bin and one band.
    to : Path, optional
        The file, which ends in .mp4 or .gif; by default it is named after the run.
    follow : callable
        Takes the number of frames, and gives a context with what is called after each.
    subset : int
        Which group of overlapping exposures.
    span : (float, float), optional
        Time range, mission elapsed seconds.
    per_second : float
        Frames a second.
    drawing : Drawing
        Size and style.

    Returns
    -------
    Path
        The video.

    Raises
    ------
    ConfigError
        If the video cannot be of that kind here.
    ExodError
        If there is nothing to show, or it cannot be written.
    """
    if to is not None:
        check_movie(to)
    with local_copies(files) as here:
        one = one_run(here, config, subset)
    found, which = field_of_run(one, span), frames_in(one, span)
    path = to or Path(f"{found.runid}.{usual_ending()}")
    with drawing.applied():
        moving = MovingCube(found.run, one.run.cube, one.run.bad_time.frames, found.target)
    with follow(int(which.sum())) as advance:
        return save_movie(moving, one.run.cube, which, path, per_second, drawing, advance)
