"""How many events are expected of a source in real exposures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from exod.errors import ConfigError
from exod.instruments import CAMERAS
from exod.instruments.detector import read_out
from exod.observation.events import EventList
from exod.simulate.acisview import acis_events
from exod.simulate.camera.readout import acceptance, read_events
from exod.simulate.injection.targets import Target, light_within, seen_area
from exod.simulate.models import LARGEST_RATE, SourceModel
from exod.simulate.photons import source_photons

PROBES: Final = 20_000
"""Photons with which the expected counts of a source are found, to 1 per cent or better."""

_PROBE_SEED: Final = 20_000

_MOST_PROBES: Final = 32_767
"""Numbers that the origin of a photon can hold."""


def expected_counts(target: Target, source: SourceModel) -> float:
    """Good events that are expected of a source in an exposure after all losses but pile-up.

    Found with `PROBES` photons and always the same random numbers; 0 if the camera does not see
    the source or the light curve has no light in the exposure.
    """
    rate = source.rate.get(target.exposure.instrument, 0.0)
    arriving = rate * seen_area(target, source) * light_within(target, source)
    if arriving <= 0:
        return 0.0
    scale = PROBES / arriving
    if target.view is not None:
        scale = min(scale, LARGEST_RATE / rate)
        brighter = replace(source, rate={target.exposure.instrument: rate * scale})
        events = acis_events(target.view, brighter, np.random.default_rng(_PROBE_SEED))
        lit = events.take(
            target.availability.gives_events(events, np.random.default_rng(_PROBE_SEED))
        )
        return float(np.count_nonzero(target.exposure.is_good(lit)) / scale)
    found = _probes(target, source, scale, np.random.default_rng(_PROBE_SEED))
    return float(np.count_nonzero(target.exposure.is_good(found)) / scale)


def _probes(
    target: Target, source: SourceModel, scale: float, generator: np.random.Generator
) -> EventList:
    """Events of a source `scale` times as bright as it is, without pile-up."""
    exposure, model = target.exposure, target.model
    camera = CAMERAS[exposure.instrument]
    accepted = acceptance(camera) / scale
    photons = source_photons(source, model, target.plane, exposure.pa_pnt, accepted, generator, 0)
    photons = photons.take(np.arange(min(len(photons.time), _MOST_PROBES)))
    # Each photon passes the read-out in its own frame, and has its own time again after it.
    number = np.arange(len(photons.time))
    frame = read_out(camera, exposure.submode).frame_time.max()
    alone = replace(
        photons, time=model.start + (2 * number + 2) * frame, origin=number.astype(np.int16)
    )
    longer = replace(model, duration=(2 * len(number) + 4) * frame)
    read = read_events(alone, longer, exposure.pa_pnt, generator)
    events = replace(read.events, time=photons.time[read.origin])
    return events.take(target.availability.gives_events(events, generator))


def with_counts(source: SourceModel, targets: Sequence[Target], counts: float) -> SourceModel:
    """The source with its rates scaled to give a number of good events in all lists together.

    Parameters
    ----------
    source : SourceModel
        Its rates tell how the cameras share the counts.
    targets : sequence of Target
        The lists of one observation.
    counts : float
        Good events to expect after all losses but pile-up, above 0.

    Raises
    ------
    ConfigError
        If the counts are no positive number or none can be expected of the source.
    """
    if not (np.isfinite(counts) and counts > 0):
        raise ConfigError(f"Source {source.name}: counts is {counts:g}; it must be above 0.")
    total = check_seen(source, targets)
    rates = {camera: rate * counts / total for camera, rate in source.rate.items()}
    return replace(source, rate=rates)


def check_seen(source: SourceModel, targets: Sequence[Target]) -> float:
    """Good events that are expected of a source in all lists of an observation, above 0.

    Raises
    ------
    ConfigError
        If there are none; the text says why.
    """
    total = sum(expected_counts(target, source) for target in targets)
    if total > 0:
        return total
    obsid = targets[0].exposure.obsid
    place = f"Source {source.name} at RA {source.ra_deg:.4f}, Dec {source.dec_deg:.4f}"
    if not any(seen_area(target, source) for target in targets):
        raise ConfigError(
            f"{place} is outside the field of view of every camera of observation {obsid}."
        )
    if not any(light_within(target, source) for target in targets):
        start = min(target.availability.start for target in targets)
        stop = max(target.availability.stop for target in targets)
        raise ConfigError(
            f"Source {source.name} has no light in observation {obsid}, which lasts "
            f"{stop - start:.0f} s; its light curve must overlap with it."
        )
    if not any(source.rate.get(target.exposure.instrument, 0.0) > 0 for target in targets):
        raise ConfigError(
            f"Source {source.name} has no rate above 0 in a camera of observation {obsid}."
        )
    raise ConfigError(
        f"{place} gives no events in observation {obsid}: all of it falls on gaps, bad pixels, "
        f"pixels that are not read, or lost times."
    )
