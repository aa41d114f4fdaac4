"""Simulated fields with bursts: where bursts are put, and what of their light is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from exod.completeness.burstphotons import Site
from exod.completeness.campaign import Point
from exod.config import Config
from exod.errors import ConfigError, ExposureRejected
from exod.observation.events import select_events
from exod.schemas.arrays import Floats, Mask
from exod.simulate import (
    BoxBurst,
    Eclipse,
    ObservationModel,
    SimulatedObservation,
    SourceModel,
    default_observation,
    simulate,
)
from exod.simulate.models import TYPICAL_RATES

Place = tuple[float, float]

SEPARATION_ARCSEC: Final = 90.0
"""Least distance between bursts, and of bursts from constant sources."""

CHIP_MARGIN_ARCSEC: Final = 20.0
"""Least distance of bursts from the rims of chips."""

RING_ARCMIN: Final = 1.0
"""Bursts lie within this of their off-axis angle."""

_TRIES: Final = 2000

_SITE_COUNTS: Final = 4000.0
"""Counts that tell how the light of a place is spread; 1.5 per cent of it is one cell's noise."""


def quiet_field(point: Point, length: float) -> ObservationModel:
    """The simulated observation of a point without bursts."""
    return default_observation(
        point.obsid,
        point.seed,
        duration=length,
        n_bursts=0,
        n_eclipses=0,
        n_flares=0,
        background=point.background,
    )


def common_time(model: ObservationModel) -> Place:
    """When all exposures are on: start and stop, seconds."""
    start = max(exposure.start for exposure in model.exposures)
    return start, min(exposure.stop for exposure in model.exposures)


def burst_places(
    model: ObservationModel, off_axis: float, n: int, generator: np.random.Generator
) -> list[Place]:
    """Random places at an off-axis angle, in sky pixels.

    On chips of all cameras, and far from each other and from the sources of the model; fewer than
    `n` if there is no room for more.

    Raises
    ------
    ConfigError
        If there is room for none.
    """
    taken = [model.plane.to_pixel(source.ra_deg, source.dec_deg) for source in model.sources]
    others = [(float(x), float(y)) for x, y in taken]
    places: list[Place] = []
    pixel = model.plane.pixel_arcsec
    low, high = max(off_axis - RING_ARCMIN, 0.0), off_axis + RING_ARCMIN
    turn = np.linspace(0, 2 * np.pi, 17)
    around = CHIP_MARGIN_ARCSEC / pixel * np.stack([np.cos(turn), np.sin(turn)])
    for _ in range(_TRIES):
        if len(places) == n:
            break
        radius = 60 / pixel * np.sqrt(generator.uniform(low**2, high**2))
        angle = generator.uniform(0, 2 * np.pi)
        x = float(model.plane.x_ref + radius * np.cos(angle))
        y = float(model.plane.y_ref + radius * np.sin(angle))
        near = SEPARATION_ARCSEC / pixel
        if any(np.hypot(x - u, y - v) < near for u, v in others + places):
            continue
        if model.on_chips(x + around[0], y + around[1]):
            places.append((x, y))
    if not places:
        raise ConfigError(
            f"There is no room for bursts at {off_axis:g} arcmin on chips of all cameras."
        )
    return places


def burst_starts(
    model: ObservationModel, duration: float, n: int, generator: np.random.Generator
) -> Floats:
    """Random times at which all exposures are on until the burst ends, shape (n,)."""
    low, high = common_time(model)
    return generator.uniform(low, high - duration, n)


def with_bursts(
    model: ObservationModel,
    places: Sequence[Place],
    starts: Floats,
    duration: float,
    counts: float,
) -> ObservationModel:
    """The field with a burst of constant rate at each place, after the other sources.

    Parameters
    ----------
    model : ObservationModel
        The field.
    places : sequence of (float, float)
        Sky pixels.
    starts : ndarray of float64, shape (n_places,)
        Mission elapsed times.
    duration : float
        Seconds.
    counts : float
        Expected good counts of each over all cameras, as in the truth table: with vignetting, but
        without losses between chips.
    """
    bursts = []
    for number, ((x, y), start) in enumerate(zip(places, starts, strict=True)):
        ra, dec = model.plane.to_sky(x, y)
        curve = BoxBurst(float(start), duration)
        burst = SourceModel.burst(
            f"trial-{number + 1}", float(ra), float(dec), TYPICAL_RATES, curve
        )
        seen = sum(
            burst.rate[exposure.instrument]
            * model.area(burst, exposure)
            * curve.integral(exposure.start, exposure.stop)
            for exposure in model.exposures
        )
        rate = {camera: r * counts / seen for camera, r in burst.rate.items()}
        bursts.append(replace(burst, rate=rate))
    return replace(model, sources=(*model.sources, *bursts))


def with_eclipses(
    model: ObservationModel,
    places: Sequence[Place],
    starts: Floats,
    point: Point,
) -> ObservationModel:
    """The field with a constant source at each place that is eclipsed once, after the others.

    Parameters are those of `with_bursts`; the rate is over all cameras, as its counts are.
    """
    sources = []
    for number, ((x, y), start) in enumerate(zip(places, starts, strict=True)):
        ra, dec = model.plane.to_sky(x, y)
        curve = Eclipse(float(start), point.duration, point.depth)
        source = SourceModel(f"trial-{number + 1}", float(ra), float(dec), TYPICAL_RATES, curve)
        seen = sum(source.rate[e.instrument] * model.area(source, e) for e in model.exposures)
        rate = {camera: r * point.amplitude / seen for camera, r in source.rate.items()}
        sources.append(replace(source, rate=rate))
    return replace(model, sources=(*model.sources, *sources))


def selected_photons(
    simulated: SimulatedObservation, which: Mask, config: Config
) -> tuple[Floats, Floats, Floats]:
    """Photons of some sources that pass the selection of the search.

    Parameters
    ----------
    simulated : SimulatedObservation
        The observation.
    which : ndarray of bool, shape (n_sources,)
        Sources.
    config : Config
        Settings.

    Returns
    -------
    x, y, energy_kev : ndarray of float64, shape (n_photons,)
        Sky pixels and energies.
    """
    parts, use_flags = [np.empty((3, 0))], config.selection.flags == "header"
    for item in simulated.event_lists:
        mine = item.origin >= 0
        mine[mine] = which[item.origin[mine]]
        try:
            selected = select_events(item.exposure, item.events.take(mine), use_flags=use_flags)
        except ExposureRejected:
            continue
        events = selected.events
        parts.append(np.stack([events.x, events.y, events.pi / 1000.0]))
    x, y, energy = np.concatenate(parts, axis=1)
    return x, y, energy


def measured_sites(
    model: ObservationModel, places: Sequence[Place], config: Config, seed: int
) -> list[Site]:
    """How the light of bursts at these places is spread, lost and selected, from a simulation.

    Nothing but a steady source at each place is simulated, so that what comes out is the response
    of cameras and selection to a burst there.

    Parameters
    ----------
    model : ObservationModel
        The field.
    places : sequence of (float, float)
        Sky pixels.
    config : Config
        Settings.
    seed : int
        Of the simulation.
    """
    start, stop = common_time(model)
    exposures = tuple(replace(e, hot_pixels=(), dropouts=()) for e in model.exposures)
    empty = replace(model, sources=(), flares=(), background_scale=0.0, exposures=exposures)
    starts = np.full(len(places), start)
    lit = with_bursts(empty, places, starts, stop - start, _SITE_COUNTS)
    simulated = simulate(lit, seed)
    sites = []
    for number, (x, y) in enumerate(places):
        which = np.arange(len(places)) == number
        px, py, energy = selected_photons(simulated, which, config)
        sites.append(Site(x, y, px, py, energy, len(px) / _SITE_COUNTS))
    return sites
