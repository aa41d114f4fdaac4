"""The search of one subset: its runs, each from merged events to regions with light curves.

Every function of the science meets here and in the null hypothesis; nothing in here knows of files
or tables.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Final

import pandas as pd

from exod.config import Config
from exod.counts.grid import Grid
from exod.errors import ConfigError
from exod.observation.subsets import MergedEvents
from exod.search.ccdeffects import without_explained
from exod.search.nulls.conditionalnull import ConditionalNull
from exod.search.nulls.exod1null import Exod1Null
from exod.search.nulls.null import CountedRun, NullHypothesis, Subset
from exod.search.nulls.templatenull import TemplateNull
from exod.search.runs import Run, VariableRegion, describe_regions, run_id

__all__ = ["Run", "VariableRegion", "count_subset", "run_id", "search_subset"]


MOST_FRAMES: Final = 2_000_000
"""Frames of a run at most: an orbit of 146 ks in frames as short as those of EPIC pn.

A run takes 360 bytes a frame and more, of so many 0.7 GB.
"""


def search_subset(
    obsid: str,
    events: MergedEvents,
    sources: pd.DataFrame,
    config: Config,
    *,
    chunk_frames: int | None = None,
    n_subsets: int = 1,
) -> Iterator[Run]:
    """Search a subset with every time bin and band of the configuration.

    Parameters
    ----------
    obsid : str
        Observation identifier.
    events : MergedEvents
        Merged events of the subset.
    sources : DataFrame
        Known sources to mask: ra_deg, dec_deg, extent_arcsec, rate.
    config : Config
        Settings.
    chunk_frames : int, optional
        Frames of a chunk of the cube; the result does not depend on it.
    n_subsets : int
        Subsets of the observation, which share its false alarms.

    Yields
    ------
    Run
        One at a time, so that only one cube is in memory.
    """
    null = null_hypothesis(events, sources, config, n_subsets, chunk_frames)
    began = time.perf_counter()
    for found in null.runs():
        tested, searched, left_out = without_explained(*found, events, config.detect.rule)
        del found
        yield Run(
            **vars(tested),
            left_out=left_out,
            runid=run_id(obsid, events.number, tested.cube.frames.t_bin, tested.band),
            regions=tuple(describe_regions(tested, searched, null.subset)),
            seconds=time.perf_counter() - began,
        )
        del tested, searched
        began = time.perf_counter()


def count_subset(
    events: MergedEvents, sources: pd.DataFrame, config: Config
) -> Iterator[CountedRun]:
    """Count a subset with every time bin and band of the configuration, and search nothing.

    Parameters are those of `search_subset`, and so are counts and expectation.

    Yields
    ------
    CountedRun
        One at a time, so that only one cube is in memory.
    """
    yield from null_hypothesis(events, sources, config).counted()


def null_hypothesis(
    events: MergedEvents,
    sources: pd.DataFrame,
    config: Config,
    n_subsets: int = 1,
    chunk_frames: int | None = None,
) -> NullHypothesis:
    """What chance makes of a subset, by the settings."""
    _check_frames(events, config)
    size = config.cube.size_arcsec * events.cell_scale
    grid = Grid.of_size(size, events.sky_extent, events.plane.pixel_arcsec)
    flat = grid.flat_index(events.x, events.y)
    subset = Subset(events, sources, config, grid, flat, n_subsets, chunk_frames)
    if config.detect.method == "photons":
        # Its loops are compiled, and numba takes a second to import.
        from exod.search.nulls.photonsearch.photonnull import PhotonNull

        return PhotonNull(subset)
    if config.detect.method != "search":
        return Exod1Null(subset)
    return ConditionalNull(subset) if config.null == "conditional" else TemplateNull(subset)


def _check_frames(events: MergedEvents, config: Config) -> None:
    """Refuse frames that are so short that there would be too many.

    Raises
    ------
    ConfigError
        If a time bin makes more than `MOST_FRAMES`.
    """
    length, t_bin = events.t_hi - events.t_lo, min(config.cube.t_bin)
    shifts = config.cube.frame_shifts
    n_frames = length * shifts / t_bin
    if n_frames <= MOST_FRAMES:
        return
    # Rounded up to two digits, so that what is recommended is enough.
    least = length * shifts / MOST_FRAMES
    unit = 10.0 ** (math.floor(math.log10(least)) - 1)
    fastest = min((item.camera for item in events.exposures), key=lambda camera: camera.frame_time)
    raise ConfigError(
        f"Time bins of {t_bin:g} s make {n_frames:,.0f} frames of {length:,.0f} s of observation, "
        f"more than the {MOST_FRAMES:,} that are counted at most: choose "
        f"{math.ceil(least / unit) * unit:g} s or more ({fastest.name} takes a full frame every "
        f"{fastest.frame_time:g} s)."
    )
