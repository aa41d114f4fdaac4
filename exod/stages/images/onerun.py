"""One run of an observation, with the time bin and the band that are wanted."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from exod.config import PRESETS, Band, Config
from exod.errors import ConfigError, InputError
from exod.observation.observations import Observation
from exod.observation.subsets import MergedEvents
from exod.pps import ObservationFiles
from exod.search.subset import Run, search_subset
from exod.stages.detect.read import read_observation

USUAL_T_BIN = 50.0
USUAL_BAND: Band = (0.2, 12.0)
"""The run of a cube or an image if nobody says which, seconds and keV."""


@dataclass(frozen=True)
class OneRun:
    """A run with the events that it was made of.

    Attributes
    ----------
    observation : Observation
        The observation.
    events : MergedEvents
        Those of its subset.
    run : Run
        The run.
    config : Config
        Settings.
    """

    observation: Observation
    events: MergedEvents
    run: Run
    config: Config


def with_one_run(config: Config, given: Collection[str] = ()) -> Config:
    """The settings with the usual time bin and band in place of those of a preset.

    Those that are `given`, ``t_bin`` or ``bands``, stay whatever they are.

    Examples
    --------
    >>> with_one_run(Config.preset("deep")).cube.t_bin
    (50.0,)
    """
    presets = [Config.preset(name).cube for name in PRESETS]
    usual = {"t_bin": (USUAL_T_BIN,), "bands": (USUAL_BAND,)}
    changed = {
        name: value
        for name, value in usual.items()
        if name not in given
        and any(getattr(config.cube, name) == getattr(preset, name) for preset in presets)
    }
    return config.model_copy(update={"cube": config.cube.model_copy(update=changed)})


def with_nearest_run(config: Config, given: Collection[str] = ()) -> Config:
    """The settings with one of their time bins, the nearest to the usual one, and widest band.

    Those that are `given`, ``t_bin`` or ``bands``, stay whatever they are.

    Examples
    --------
    >>> with_nearest_run(Config.preset("deep")).cube.t_bin
    (40.0,)
    """
    cube = config.cube
    nearest = min(cube.t_bin, key=lambda t_bin: abs(math.log(t_bin / USUAL_T_BIN)))
    widest = max(cube.bands, key=lambda band: round(band[1] - band[0], 6))
    chosen = {"t_bin": (nearest,), "bands": (widest,)}
    changed = {name: value for name, value in chosen.items() if name not in given}
    return config.model_copy(update={"cube": cube.model_copy(update=changed)})


def only_run(config: Config) -> tuple[float, Band]:
    """The time bin and the band of settings that have one of each.

    Raises
    ------
    ConfigError
        If they have several.
    """
    for option, values in (("--t-bin", config.cube.t_bin), ("--band", config.cube.bands)):
        if len(values) > 1:
            raise ConfigError(
                f"A cube is of one run, and the settings have {len(values)} values of {option}; "
                f"give one."
            )
    return config.cube.t_bin[0], config.cube.bands[0]


def check_overlap(obsid: str, subsets: Sequence[MergedEvents], config: Config) -> None:
    """Refuse time bins that are longer than what the exposures of any subset have in common.

    Raises
    ------
    InputError
        If the shortest is.
    """
    shortest = min(config.cube.t_bin)
    seconds = max(events.t_hi - events.t_lo for events in subsets)
    if seconds < shortest:
        raise InputError(
            f"The exposures of {obsid} overlap for {max(seconds, 0):.0f} s, less than one time bin "
            f"of {shortest:g} s; choose a shorter one."
        )


def one_run(files: ObservationFiles[Path], config: Config, subset: int = 0) -> OneRun:
    """Read an observation and search it with the one time bin and band of the settings.

    Parameters
    ----------
    files : ObservationFiles
        The observation, on a disk here.
    config : Config
        Settings.
    subset : int
        Which group of overlapping exposures.

    Raises
    ------
    ConfigError
        If the settings have several runs.
    InputError
        If there is no such subset, or it is shorter than the time bin.
    """
    only_run(config)
    observation = read_observation(files, config)
    if not observation.subsets:
        raise InputError(f"Observation {files.obsid} cannot be searched: {observation.why_not}")
    if not 0 <= subset < len(observation.subsets):
        raise InputError(
            f"Observation {files.obsid} has no subset {subset}: there are "
            f"{len(observation.subsets)}, numbered from 0. {observation.why_not}".strip()
        )
    events = observation.subsets[subset]
    check_overlap(files.obsid, [events], config)
    (run,) = search_subset(
        files.obsid,
        events,
        observation.sources,
        config,
        n_subsets=len(observation.subsets),
    )
    return OneRun(observation, events, run, config)
