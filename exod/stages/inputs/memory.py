"""Simulated observations as the search takes them, without files in between."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from exod.config import Config
from exod.counts.template import MIN_DET_ML, mask_radius
from exod.errors import ExposureRejected
from exod.observation.events import SelectedEvents, select_events
from exod.observation.subsets import MergedEvents, merge_subset, split_subsets
from exod.simulate.observation import SimulatedExposure, SimulatedObservation
from exod.simulate.truth import listed_sources
from exod.stages.detect.read import remove_hot_pixels


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
    kept = []
    for item in simulated.event_lists:
        try:
            kept.append(_selected(item, config))
        except ExposureRejected:
            continue
    groups, _ = split_subsets(kept)
    subsets = tuple(merge_subset(number, group) for number, group in enumerate(groups))
    return ObservationInMemory(simulated.model.obsid, subsets, known_sources(simulated, config))


def _selected(item: SimulatedExposure, config: Config) -> SelectedEvents:
    use_flags = config.selection.flags == "header"
    selected = select_events(item.exposure, item.events, use_flags=use_flags)
    selected, _ = remove_hot_pixels(selected, config)
    return replace(selected, notes=())


def known_sources(simulated: SimulatedObservation, config: Config) -> pd.DataFrame:
    """The rows of its source list that mask the background, as reading the file gives them."""
    sources = listed_sources(simulated.source_list)
    sources = sources[sources["det_ml"] > MIN_DET_ML].reset_index(drop=True)
    return sources.assign(mask_radius_arcsec=mask_radius(sources, config.cube.size_arcsec))
