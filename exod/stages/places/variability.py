"""Slow variability and dips of the sources of an observation: event lists in, a table out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from exod.config import Config
from exod.errors import ConfigError
from exod.observation.observations import Observation
from exod.pps import ObservationFiles, local_copies
from exod.search.nulls.photonsearch.photonnull import PhotonNull, burst_spans
from exod.search.nulls.photonsearch.sources.photoncurves import all_sources
from exod.search.nulls.photonsearch.sources.photondips import find_dips
from exod.search.nulls.photonsearch.sources.photonvariability import SCALES, slow_variability
from exod.search.subset import null_hypothesis
from exod.stages.detect.read import read_observation


def variability_of(files: ObservationFiles) -> pd.DataFrame:
    """How the sources of an observation vary, the known ones and those that are seen.

    Parameters
    ----------
    files : ObservationFiles
        The observation.

    Returns
    -------
    DataFrame
        A row for each source of at least 30 photons, the least probable to be constant first:
        subset, ra_deg, dec_deg, n (photons within 15 arcsec), background (share of it), p (of so
        large a variance on any scale if it is constant), blocks, excess_1000 and so on (excess
        variance of bins of so many seconds; NaN if three do not fit, or have too few counts),
        structure_1000 and so on, dip (lambda of its best dip; NaN if a burst explains its photons
        better), dip_start and dip_stop (mission elapsed seconds).

    Raises
    ------
    ConfigError
        If no exposure can be searched.
    """
    with local_copies(files) as here:
        observation = read_observation(here, Config.preset("ideal"))
    if not observation.subsets:
        why = "; ".join(item.reason for item in observation.rejected)
        raise ConfigError(f"No exposure of observation {files.obsid} can be searched: {why}")
    return pd.DataFrame(_rows(observation)).sort_values("p", ignore_index=True, kind="stable")


def _rows(observation: Observation) -> Iterator[dict[str, float]]:
    config = Config.preset("ideal")
    for events in observation.subsets:
        null = null_hypothesis(events, observation.sources, config)
        assert isinstance(null, PhotonNull)  # noqa: S101 - the preset says so
        for counts in null.counting.bands():
            field, plane = null.field(counts), events.plane
            total = field.levels.total
            for source in all_sources(field, null.known_places(field)):
                at = np.array([source.x, source.y]) + field.corner
                ra, dec = plane.to_sky(*(at / plane.pixel_arcsec))
                slow, dips = slow_variability(source, total), find_dips([source], total)
                row = {
                    "subset": events.number,
                    "ra_deg": float(ra),
                    "dec_deg": float(dec),
                    "n": len(source.time),
                    "background": source.background,
                    "p": slow.least_probability,
                    "blocks": slow.blocks,
                }
                for name, values in (
                    ("excess", slow.excess_variance),
                    ("structure", slow.structure),
                ):
                    known = dict(zip(slow.scale.tolist(), values.tolist(), strict=True))
                    row |= {f"{name}_{scale:.0f}": known.get(scale, np.nan) for scale in SCALES}
                span = burst_spans(dips, counts.expectation.live_time)
                start, stop = span[0].tolist() if len(dips) else (np.nan, np.nan)
                lambda_ = float(dips.value[0]) if len(dips) else np.nan
                yield row | {"dip": lambda_, "dip_start": start, "dip_stop": stop}
