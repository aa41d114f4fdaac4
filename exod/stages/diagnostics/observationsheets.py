"""Sheets of an observation: its event lists -> template steps, masks, CCDs, energies."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from exod.config import Config, Detect
from exod.counts.template import Expectation, template_steps
from exod.errors import InputError, plural
from exod.observation.gti import Frames, ccd_counts, high_energy_counts
from exod.observation.subsets import MergedEvents
from exod.plots.diagnostics import Sheet, Sheets
from exod.plots.diagnostics.backgrounds import template_sheet
from exod.plots.diagnostics.energies import events_sheet
from exod.plots.diagnostics.frames import ccd_sheet, frames_sheet
from exod.plots.style import as_it_is, run_text
from exod.pps import ObservationFiles, local_copies
from exod.schemas.arrays import Integers
from exod.search.subset import Run, search_subset
from exod.stages.detect.read import read_observation

BANDS_EV: Final = ((200, 2000), (2000, 12_000))
"""Soft and hard events, eV; the limit belongs to the hard ones."""


def with_template(config: Config) -> Config:
    """The settings with the background template, which sliding windows and EXOD I have not.

    Examples
    --------
    >>> with_template(Config.preset("deep")).null
    'template'
    """
    cube = config.cube.model_copy(update={"window": 1, "frame_shifts": 1, "psf_weights": False})
    return config.model_copy(update={"cube": cube, "detect": Detect(null="template")})


def observation_sheets(files: ObservationFiles, config: Config) -> Sheets:
    """Draw an observation, with the time bin and the band of the settings, which have one of each.

    Parameters
    ----------
    files : ObservationFiles
        The observation.
    config : Config
        Settings.

    Yields
    ------
    name : str
        Of a file, without an ending.
    figure : Figure
        The sheet.

    Raises
    ------
    InputError
        If no exposure can be searched, or an event list is damaged.
    """
    with local_copies(files) as here:
        observation = read_observation(here, config)
    if not observation.subsets:
        raise InputError(f"No exposure of {files.obsid} can be searched: {observation.why_not}")
    settings = with_template(config)
    for events in observation.subsets:
        (run,) = search_subset(files.obsid, events, observation.sources, settings)
        yield from _sheets(files.obsid, events, run)


def _sheets(obsid: str, events: MergedEvents, run: Run) -> Sheets:
    row = {"t_bin": run.t_bin, "e_lo": run.band[0], "e_hi": run.band[1]}
    target = as_it_is(events.exposures[0].target)
    name = f"{target} · {obsid}, subset {events.number}".lstrip(" ·")
    title = f"{name} · {run_text(row)}"
    all_energies = f"{name} · {run.t_bin:g} s frames"
    frames = run.cube.frames
    yield f"{run.runid}_template", _template(f"{title}\nBackground template", run)
    yield (
        f"{run.runid}_frames",
        frames_sheet(
            f"{title}\nFrames, {_searched(run)}",
            frames,
            _all_counts(events, run),
            run.bad_time.frames,
            run.camera_off,
            high_energy_counts(events.time, events.pi, frames, events.t_hi),
            events.n_monitors,
        ),
    )
    counts = _by_ccd(events, frames)
    ccds = ccd_sheet(f"{all_energies}\nCCDs", events, frames, counts, run.camera_off)
    yield f"{run.runid}_ccds", ccds
    energies = _energies(f"{all_energies}\nSoft against hard counts", events, run)
    yield f"{run.runid}_energies", energies


def _all_counts(events: MergedEvents, run: Run) -> Integers:
    """Counts of each frame in the band, those of masked frames too, which the cube leaves out."""
    frames, (low, high) = run.cube.frames, (1000 * energy for energy in run.band)
    index = frames.index(events.time[(events.pi > low) & (events.pi < high)])
    return np.bincount(index[(index >= 0) & (index < frames.n)], minlength=frames.n)


def _searched(run: Run) -> str:
    searched = int((run.cube.exposure > 0).sum())
    return f"{searched:,} of {plural(run.cube.frames.n, 'frame')} searched"


def _template(title: str, run: Run) -> Sheet:
    cube, expectation = run.cube, run.expectation
    if not isinstance(expectation, Expectation):
        raise TypeError("There are template steps of the template null hypothesis only.")
    halves = [which & ~cube.masked for which in (~run.bad_time.frames, run.bad_time.frames)]
    good, bad = (cube.image(which) for which in halves)
    mask = expectation.source_mask
    return template_sheet(
        title,
        cube.box,
        (good, bad),
        (int(halves[0].sum()), int(halves[1].sum())),
        (template_steps(good, mask), template_steps(bad, mask)),
        mask,
        expectation.source,
    )


def _by_ccd(events: MergedEvents, frames: Frames) -> list[Integers]:
    """Counts by frame and CCD of each exposure, all energies."""
    index = frames.index(events.time)
    inside = (index >= 0) & (index < frames.n)
    found = []
    for number in range(len(events.exposures)):
        own = inside & (events.source == number)
        ccds = events.ccdnr[own]
        most = max((max(group) for group in _groups(events, number)), default=0)
        n_ccds = 1 + max(int(ccds.max(initial=0)), most)
        found.append(ccd_counts(index[own], ccds, frames.n, n_ccds))
    return found


def _groups(events: MergedEvents, number: int) -> tuple[tuple[int, ...], ...]:
    return events.exposures[number].camera.dropout_groups


def _energies(title: str, events: MergedEvents, run: Run) -> Sheet:
    cube, frames = run.cube, run.cube.frames
    index = frames.index(events.time)
    inside = (index >= 0) & (index < frames.n)
    cell = cube.grid.flat_index(events.x, events.y)
    parts: list[tuple[Any, Any]] = []
    for low, high in BANDS_EV:
        own = inside & (events.pi >= low) & (events.pi < high)
        of_frames = np.bincount(index[own], minlength=frames.n)
        placed = cell[own & (cell >= 0)]
        parts.append((of_frames, np.bincount(placed, minlength=cube.grid.n**2)))
    (soft, soft_cells), (hard, hard_cells) = parts
    return events_sheet(
        title,
        (soft, hard),
        run.bad_time.frames,
        run.camera_off,
        (soft_cells, hard_cells),
    )
