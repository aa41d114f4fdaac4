"""Simulated observations as the search takes them, without files in between."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pandas as pd

from exod.config import Config
from exod.errors import ExposureRejected
from exod.observation.events import select_events
from exod.observation.subsets import MergedEvents, merge_exposures
from exod.simulate.injection.inject import InjectedList
from exod.simulate.observation import SimulatedExposure, SimulatedObservation
from exod.simulate.truth import listed_sources
from exod.stages.detect.read import masking_sources, remove_hot_pixels


@dataclass(frozen=True)
class ObservationInMemory:
    """What `exod.search.subset.search_subset` needs of an observation.

    Attributes
    ----------
    obsid : str
        Observation identifier.
    subsets : tuple of MergedEvents
        Groups of overlapping exposures, merged.
    sources : DataFrame
        Known sources: ra_deg, dec_deg, det_ml, extent_arcsec, rate, mask_radius_arcsec.
    """

    obsid: str
    subsets: tuple[MergedEvents, ...]
    sources: pd.DataFrame


def in_memory(simulated: SimulatedObservation, config: Config) -> ObservationInMemory:
    """The events and sources of a simulation, selected and merged as those of files are.

    Exposures without a selected event are left out.
    """
    return lists_in_memory(simulated.event_lists, known_sources(simulated, config), config)


def lists_in_memory(
    lists: Sequence[SimulatedExposure | InjectedList], sources: pd.DataFrame, config: Config
) -> ObservationInMemory:
    """Event lists of one observation as the search takes them, without files in between.

    Parameters
    ----------
    lists : sequence of SimulatedExposure or InjectedList
        Of `exod.simulate.simulate`, or of `exod.simulate.injection.inject.inject_in_memory`.
    sources : DataFrame
        Known sources that mask the background: ``sources`` of `in_memory` or of
        `exod.stages.detect.read.read_observation`.
    config : Config
        Settings.

    Returns
    -------
    ObservationInMemory
        Exposures without a selected event are left out.
    """
    kept = []
    for item in lists:
        with suppress(ExposureRejected):
            use_flags = config.selection.flags == "header"
            selected = select_events(item.exposure, item.events, use_flags=use_flags)
            kept.append(remove_hot_pixels(selected, config)[0])
    return ObservationInMemory(lists[0].exposure.obsid, merge_exposures(kept).subsets, sources)


def known_sources(simulated: SimulatedObservation, config: Config) -> pd.DataFrame:
    """The rows of its source list that mask the background, as reading the file gives them."""
    return masking_sources(listed_sources(simulated.source_list), config)
