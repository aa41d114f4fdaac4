"""Read the files of an observation: event lists selected, hot pixels removed, sources known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from exod.config import Config
from exod.counts.template import MIN_DET_ML, mask_radius
from exod.errors import ExposureRejected, InputError
from exod.observation.events import EventList, Exposure, SelectedEvents, select_events
from exod.observation.hotpixels import find_hot_pixels, hot_pixel_mask, listed_hot_pixels
from exod.observation.subsets import MergedEvents, merge_subset, split_subsets
from exod.pps import ObservationFiles, read_event_list, read_hot_pixel_table, read_source_list
from exod.pps.ingested import product_name
from exod.sky.plane import TangentPlane

_NO_SOURCES = pd.DataFrame(
    {
        name: pd.Series(dtype=float)
        for name in ("ra_deg", "dec_deg", "det_ml", "extent_arcsec", "rate", "mask_radius_arcsec")
    }
)


LONGEST_EXPOSURE = 2.0 * 86400.0
"""No exposure lasts longer than a revolution, 48 h (XMM-Newton Users' Handbook), in seconds."""


@dataclass(frozen=True)
class Rejected:
    """An event list that is not searched, with the reason; exposure is None if unreadable."""

    filename: str
    reason: str
    exposure: Exposure | None = None
    selected: SelectedEvents | None = None


@dataclass(frozen=True)
class Observation:
    """What the search needs of an observation.

    Attributes
    ----------
    obsid : str
        Observation identifier.
    subsets : tuple of MergedEvents
        Groups of overlapping exposures.
    selected : tuple of SelectedEvents
        The exposures in them; their events are dropped to save memory.
    n_selected : dict of str to int
        Events of each exposure after the selection, by file name.
    hot_pixels : dict of str to DataFrame
        Rejected pixels by file name, as of `exod.observation.hotpixels.find_hot_pixels`.
    rejected : tuple of Rejected
        Event lists left out.
    sources : DataFrame
        Known sources: ra_deg, dec_deg, det_ml, extent_arcsec, rate, mask_radius_arcsec.
    source_list : str
        File name of the source list; empty if there is none.
    notes : tuple of str
        What was unusual.
    """

    obsid: str
    subsets: tuple[MergedEvents, ...]
    selected: tuple[SelectedEvents, ...]
    n_selected: dict[str, int]
    hot_pixels: dict[str, pd.DataFrame]
    rejected: tuple[Rejected, ...]
    sources: pd.DataFrame
    source_list: str
    notes: tuple[str, ...] = ()

    def rows(self, n_regions: int) -> dict[str, pd.DataFrame]:
        """Rows for the tables observations, exposures, sources and hot_pixels."""
        hot = [
            rows.assign(obsid=self.obsid, filename=name) for name, rows in self.hot_pixels.items()
        ]
        return {
            "observations": pd.DataFrame([self._observation_row(n_regions)]),
            "exposures": pd.DataFrame([*self._searched_rows(), *self._rejected_rows()]),
            "sources": self.sources.assign(obsid=self.obsid),
            "hot_pixels": pd.concat(hot, ignore_index=True) if hot else pd.DataFrame(),
        }

    def _observation_row(self, n_regions: int) -> dict[str, Any]:
        known = [item.exposure for item in self.selected]
        known += [item.exposure for item in self.rejected if item.exposure]
        first = min(known, key=lambda exposure: exposure.date_obs) if known else None
        plane = first.plane if first else None
        return {
            "obsid": self.obsid,
            "target": first.target if first else "",
            "date_obs": first.date_obs if first else "",
            "revolution": first.revolution if first else -1,
            **{
                name: getattr(first, name) if first else np.nan
                for name in ("ra_pnt", "dec_pnt", "pa_pnt")
            },
            **{item.name: getattr(plane, item.name, np.nan) for item in fields(TangentPlane)},
            "n_exposures": len(self.selected),
            "n_subsets": len(self.subsets),
            "n_events": sum(len(subset.time) for subset in self.subsets),
            "n_regions": n_regions,
            "source_list": self.source_list,
            "notes": " ".join(self.notes),
        }

    def _searched_rows(self) -> Iterator[dict[str, Any]]:
        for subset in self.subsets:
            names = {exposure.filename for exposure in subset.exposures}
            for item in self.selected:
                if item.exposure.filename in names:
                    reason = " ".join(item.notes)
                    yield self._exposure_row(item.exposure, item, subset.number, reason)

    def _rejected_rows(self) -> Iterator[dict[str, Any]]:
        for item in self.rejected:
            row = self._exposure_row(item.exposure, item.selected, -1, item.reason)
            yield {**row, "filename": item.filename}

    def _exposure_row(
        self, exposure: Exposure | None, item: SelectedEvents | None, subset: int, reason: str
    ) -> dict[str, Any]:
        name = exposure.filename if exposure else ""
        return {
            "obsid": self.obsid,
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
            "n_selected": self.n_selected.get(name, 0),
            "n_hot_pixels": len(self.hot_pixels.get(name, ())),
        }


def read_observation(files: ObservationFiles, config: Config) -> Observation:
    """Read an observation.

    Parameters
    ----------
    files : ObservationFiles
        Its files.
    config : Config
        Settings.

    Returns
    -------
    Observation
        Without subsets if no exposure can be searched; `rejected` says why.

    Raises
    ------
    InputError
        If an event list is damaged: without it the result would be incomplete.
    """
    sources, source_list, notes = _read_sources(files, config)
    kept: list[SelectedEvents] = []
    rejected: list[Rejected] = []
    hot_pixels: dict[str, pd.DataFrame] = {}
    seen: dict[tuple[str, str], Path] = {}
    for path in files.event_lists:
        exposure = None
        try:
            exposure, events = read_event_list(path)
            _check_identity(exposure, path, files.obsid, seen)
            _check_times(exposure, events)
            selected = select_events(exposure, events, use_flags=config.selection.flags == "header")
            _check_length(selected)
            del events
            selected, hot_pixels[product_name(path)] = remove_hot_pixels(selected, config)
            seen[_exposure_key(exposure)] = path
        except ExposureRejected as error:
            rejected.append(Rejected(product_name(path), str(error), exposure))
            continue
        kept.append(selected)
        notes += selected.notes
    groups, shorter = split_subsets(kept)
    rejected += [Rejected(s.exposure.filename, reason, s.exposure, s) for s, reason in shorter]
    n_selected = {item.exposure.filename: len(item.events) for item in kept}
    searched = tuple(replace(item, events=_NO_EVENTS) for group in groups for item in group)
    subsets = tuple(merge_subset(number, group) for number, group in enumerate(groups))
    return Observation(
        files.obsid,
        subsets,
        searched,
        n_selected,
        hot_pixels,
        tuple(rejected),
        sources,
        source_list,
        tuple(notes),
    )


_NO_EVENTS = EventList.empty()


def _exposure_key(exposure: Exposure) -> tuple[str, str]:
    return exposure.instrument, exposure.expid or exposure.filename


def _check_identity(
    exposure: Exposure, path: Path, obsid: str, seen: dict[tuple[str, str], Path]
) -> None:
    """Refuse a list of another observation, or of an exposure that was read already."""
    if exposure.obsid != obsid:
        raise ExposureRejected(
            f"{exposure.filename} is of observation {exposure.obsid}, not of {obsid}."
        )
    first = seen.get(_exposure_key(exposure))
    if first is not None:
        where = f"{first.name} in {first.parent}" if first.name == path.name else first.name
        raise ExposureRejected(
            f"{exposure.filename} is the same exposure as {where} "
            f"({exposure.instrument} {exposure.expid})."
        )


def _check_times(exposure: Exposure, events: EventList) -> None:
    """Refuse a list without times."""
    if not len(events):
        raise ExposureRejected(f"{exposure.filename} has no events.")
    if not np.isfinite(events.time).any():
        raise ExposureRejected(f"{exposure.filename} has no event with a time.")


def _check_length(selected: SelectedEvents) -> None:
    """Refuse times that no exposure can have, before they become billions of frames."""
    length = selected.time_max - selected.time_min
    if length > LONGEST_EXPOSURE:
        raise InputError(
            f"{selected.exposure.filename} has times {length:.3g} s apart, more than a revolution "
            f"of the satellite lasts: TIME is damaged; fetch it again."
        )


def remove_hot_pixels(
    selected: SelectedEvents, config: Config
) -> tuple[SelectedEvents, pd.DataFrame]:
    """The exposure without its hot pixels, and what was removed.

    Raises
    ------
    ExposureRejected
        If nothing else is left.
    """
    exposure, events = selected.exposure, selected.events
    setting = config.selection.hot_pixels
    if setting == "off":
        return selected, pd.DataFrame()
    if setting == "find":
        hot = find_hot_pixels(events, exposure.camera)
    else:
        table = read_hot_pixel_table(Path(setting))
        hot = listed_hot_pixels(table, events, exposure.camera, exposure.revolution)
    removed = hot_pixel_mask(events, hot)
    if removed.all():
        raise ExposureRejected(f"{exposure.filename} has events in hot pixels only.")
    if removed.any():
        selected = replace(selected, events=events.take(~removed))
    return selected, hot


def _read_sources(
    files: ObservationFiles, config: Config
) -> tuple[pd.DataFrame, str, tuple[str, ...]]:
    """Known sources, the name of their list, and notes; without a usable list there are none."""
    fallback = "only bright cells mask the background model"
    if not files.source_lists:
        return _NO_SOURCES, "", (f"There is no OBSMLI source list; {fallback}.",)
    name, *unused = map(product_name, files.source_lists)
    notes = tuple(f"{name} was used, not {other}." for other in unused)
    try:
        sources = read_source_list(files.source_lists[0])
    except InputError as error:
        return _NO_SOURCES, "", (*notes, f"{error} Meanwhile {fallback}.")
    sources = sources[sources["det_ml"] > MIN_DET_ML].reset_index(drop=True)
    radius = mask_radius(sources, config.cube.size_arcsec)
    return sources.assign(mask_radius_arcsec=radius), name, notes
