"""Rows that say what an observation consists of: exposures used and left out, sources, pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from exod.observation.events import Exposure, SelectedEvents
from exod.observation.observations import Observation
from exod.sky.plane import TangentPlane


def observation_rows(
    observation: Observation, n_regions: int, notes: Iterable[str] = ()
) -> dict[str, pd.DataFrame]:
    """Rows for the tables observations, exposures, sources and hot_pixels.

    Parameters
    ----------
    observation : Observation
        What was read.
    n_regions : int
        Regions that were found in it.
    notes : iterable of str
        Sentences on its search, beside those on its files.

    Returns
    -------
    dict of str to DataFrame
        By the name of the table; hot_pixels is empty if there are none.
    """
    hot = [
        rows.assign(obsid=observation.obsid, filename=name)
        for name, rows in observation.hot_pixels.items()
    ]
    return {
        "observations": pd.DataFrame([_observation_row(observation, n_regions, notes)]),
        "exposures": pd.DataFrame([*_searched_rows(observation), *_rejected_rows(observation)]),
        "known_sources": observation.sources.assign(obsid=observation.obsid),
        "hot_pixels": pd.concat(hot, ignore_index=True) if hot else pd.DataFrame(),
    }


def _observation_row(
    observation: Observation, n_regions: int, notes: Iterable[str]
) -> dict[str, Any]:
    known = [item.exposure for item in observation.selected]
    known += [item.exposure for item in observation.rejected if item.exposure]
    first = min(known, key=lambda exposure: exposure.date_obs) if known else None
    # All that is searched has one plane; what is left out may have another.
    plane = observation.selected[0].exposure.plane if observation.selected else None
    plane = plane or (first.plane if first else None)
    return {
        "obsid": observation.obsid,
        "target": first.target if first else "",
        "date_obs": first.date_obs if first else "",
        "revolution": first.revolution if first else -1,
        **{
            name: getattr(first, name) if first else np.nan
            for name in ("ra_pnt", "dec_pnt", "pa_pnt")
        },
        **{item.name: getattr(plane, item.name, np.nan) for item in fields(TangentPlane)},
        "n_exposures": len(observation.selected),
        "n_subsets": len(observation.subsets),
        "n_events": sum(len(subset.time) for subset in observation.subsets),
        "n_regions": n_regions,
        "source_list": observation.source_list,
        "notes": " ".join([*observation.notes, *notes]),
    }


def _searched_rows(observation: Observation) -> Iterator[dict[str, Any]]:
    for item in observation.selected:
        name = item.exposure.filename
        numbers = [
            subset.number
            for subset in observation.subsets
            if any(exposure.filename == name for exposure in subset.exposures)
        ]
        notes = [*item.notes]
        if numbers[1:]:
            notes.append(f"It is searched in the subsets {', '.join(map(str, numbers))}.")
        yield _exposure_row(observation, item.exposure, item, numbers[0], " ".join(notes))


def _rejected_rows(observation: Observation) -> Iterator[dict[str, Any]]:
    for item in observation.rejected:
        row = _exposure_row(observation, item.exposure, item.selected, -1, item.reason)
        yield {**row, "filename": item.filename}


def _exposure_row(
    observation: Observation,
    exposure: Exposure | None,
    item: SelectedEvents | None,
    subset: int,
    reason: str,
) -> dict[str, Any]:
    name = exposure.filename if exposure else ""
    return {
        "obsid": observation.obsid,
        "filename": name,
        **{
            key: getattr(exposure, key) if exposure else ""
            for key in ("instrument", "expid", "submode", "filter", "time_system")
        },
        "subset": subset,
        "used": subset >= 0,
        "reason": reason,
        "time_min": item.time_min if item else np.nan,
        "time_max": item.time_max if item else np.nan,
        "n_rows": item.n_rows if item else 0,
        "n_selected": observation.n_selected.get(name, 0),
        "n_hot_pixels": len(observation.hot_pixels.get(name, ())),
    }
