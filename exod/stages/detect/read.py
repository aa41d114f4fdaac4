"""Read the files of an observation: event lists selected, hot pixels removed, sources known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from exod.config import Config
from exod.counts.template import MIN_DET_ML, mask_radius
from exod.errors import ExposureRejected, InputError
from exod.observation.events import Exposure, SelectedEvents, select_events
from exod.observation.gti import flare_note
from exod.observation.hotpixels import find_hot_pixels, hot_pixel_mask, listed_hot_pixels
from exod.observation.limits import without_impossible
from exod.observation.observations import Observation, Rejected, check_length, check_times
from exod.observation.stretches import working_groups
from exod.observation.subsets import merge_exposures
from exod.pps import ObservationFiles, read_event_list, read_source_list
from exod.pps.ingested import product_name
from exod.tablefiles.pixeltable import hot_pixel_table, read_hot_pixel_table

_NO_SOURCES = pd.DataFrame(
    {
        name: pd.Series(dtype=float)
        for name in ("ra_deg", "dec_deg", "det_ml", "extent_arcsec", "rate", "mask_radius_arcsec")
    }
)


def read_observation(
    files: ObservationFiles, config: Config, details: Sequence[str] = ()
) -> Observation:
    """Read an observation.

    Parameters
    ----------
    files : ObservationFiles
        Its files.
    config : Config
        Settings.
    details : sequence of str
        Columns of event lists to keep that a search does not need.

    Returns
    -------
    Observation
        Without subsets if no exposure can be searched; `rejected` says why.

    Raises
    ------
    InputError
        If an event list is damaged: without it the result would be incomplete.
    """
    sources, source_list, notes = read_sources(files, config)
    notes = (*files.notes, *notes)
    kept: list[SelectedEvents] = []
    rejected: list[Rejected] = []
    hot_pixels: dict[str, pd.DataFrame] = {}
    seen: dict[tuple[str, str], Path] = {}
    for path in files.event_lists:
        exposure = None
        try:
            exposure, events = read_event_list(path)
            _check_identity(exposure, path, files.obsid, seen)
            _check_method(exposure, config)
            check_times(exposure, events)
            events, dropped = without_impossible(exposure, events)
            selected = select_events(exposure, events, use_flags=config.selection.flags == "header")
            check_length(selected)
            selected = with_notes(selected)
            del events
            selected, hot_pixels[product_name(path)] = remove_hot_pixels(selected, config)
            seen[_exposure_key(exposure)] = path
        except ExposureRejected as error:
            rejected.append(Rejected(product_name(path), str(error), exposure))
            continue
        kept.append(selected)
        notes += (*exposure.notes, *dropped)
    n_selected = {item.exposure.filename: len(item.events) for item in kept}
    merged = merge_exposures(kept, details)
    rejected += [Rejected(s.exposure.filename, why, s.exposure, s) for s, why in merged.left_out]
    for item in merged.all_exposures:
        notes += item.notes
    return Observation(
        files.obsid,
        merged.subsets,
        merged.selected,
        n_selected,
        hot_pixels,
        tuple(rejected),
        sources,
        source_list,
        tuple(notes),
    )


def with_notes(selected: SelectedEvents) -> SelectedEvents:
    """The exposure with notes on what its events lack."""
    events, exposure = selected.events, selected.exposure
    notes = [flare_note(exposure.filename, events.pi)]
    for group in exposure.camera.dropout_groups:
        if group not in working_groups(events.ccdnr, exposure.camera.dropout_groups):
            ccds = ", ".join(map(str, group))
            notes.append(f"{exposure.filename} has no events of the CCDs {ccds}.")
    return replace(selected, notes=(*selected.notes, *(note for note in notes if note)))


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


def _check_method(exposure: Exposure, config: Config) -> None:
    """Refuse what the search of photons has no room for: it works in steps of several arcsec."""
    observatory = exposure.camera.observatory
    if config.detect.method == "photons" and observatory.zones:
        raise ExposureRejected(
            f"{exposure.filename} is of {observatory.name}, whose images are sharper than what "
            f"detect.method photons (preset ideal) works with: search it with the preset deep."
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
    if path := hot_pixel_table(setting):
        table = read_hot_pixel_table(path)
        hot = listed_hot_pixels(table, events, exposure.camera, exposure.revolution)
    else:
        hot = find_hot_pixels(events, exposure.camera)
    removed = hot_pixel_mask(events, hot)
    if removed.all():
        raise ExposureRejected(f"{exposure.filename} has events in hot pixels only.")
    if removed.any():
        selected = replace(selected, events=events.take(~removed))
    return selected, hot


def read_sources(
    files: ObservationFiles, config: Config
) -> tuple[pd.DataFrame, str, tuple[str, ...]]:
    """Known sources, the name of their list, and notes; without a usable list there are none."""
    fallback = "only bright cells mask the background model"
    if not files.source_lists:
        return _NO_SOURCES, "", (f"There is no source list; {fallback}.",)
    notes: list[str] = []
    found: tuple[pd.DataFrame, str] | None = None
    for path in files.source_lists:
        name = product_name(path)
        if found is not None and len(found[0]):
            other = f"the other of this name, {path}" if name == found[1] else name
            notes.append(f"{found[1]} was used, not {other}.")
            continue
        try:
            sources, remarks = read_source_list(path, files.obsid)
        except InputError as error:
            notes.append(str(error))
            continue
        notes += remarks
        if not len(sources):
            notes.append(f"{name} has no source with a position.")
        if found is None or len(sources):
            found = sources, name
    if found is None:
        return _NO_SOURCES, "", (*notes, f"Meanwhile {fallback}.")
    return masking_sources(found[0], config), found[1], tuple(notes)


def masking_sources(sources: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The sources of a list that mask the background, with the radius of their mask."""
    sources = sources[sources["det_ml"] > MIN_DET_ML].reset_index(drop=True)
    return sources.assign(mask_radius_arcsec=mask_radius(sources, config.cube.size_arcsec))
