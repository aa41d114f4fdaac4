"""Simulated observations of ACIS-I: CCDs, dither, sources and background."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.errors import ConfigError
from exod.instruments import ACIS
from exod.instruments.acis import PSF, SKY_PIXEL_ARCSEC
from exod.observation.aspect import Aspect, ChipMap
from exod.observation.events import EventList, Exposure
from exod.observation.times import PIPELINE_TIME, spread_over_frames, utc_date
from exod.simulate.acisview import AcisView, acis_events, read_photons
from exod.simulate.lights.lightmodels import BoxBurst
from exod.simulate.models import SourceModel, require
from exod.simulate.photons import ORIGIN_PARTICLE
from exod.sky.plane import TangentPlane

BACKGROUND_RATE: Final = 0.15
"""Events of 0.5 to 7 keV of a CCD per second, as on S2 in observation 28964."""

FRAME_SECONDS: Final = 3.14104
"""TIMEDEL of observation 29128."""

DITHER: Final = ((16.0, 1998.0), (16.0, 1414.0))
"""Arcsec from the middle and period in seconds along both axes, as in 28964 and 29128."""

GAP_ARCSEC: Final = 11.0
"""Between the CCDs of ACIS-I (Chandra Proposers' Observatory Guide, chapter 6)."""

AIM_ARCSEC: Final = 45.0
"""Distance of the axis from the middle of the gaps along both axes, as on I3."""

_MIDDLE: Final = 4096.5
_STEP: Final = 25.0
_MOST_TRIES: Final = 200


@dataclass(frozen=True)
class AcisModel:
    """Settings of a simulated observation with the four CCDs of ACIS-I.

    Attributes
    ----------
    obsid : str
        Number, up to 99999.
    ra_pnt, dec_pnt, roll : float
        Pointing and roll angle, degrees.
    start, duration : float
        Seconds.
    sources : tuple of SourceModel
        Their rates are those in ACIS.
    background_rate : float
        As `BACKGROUND_RATE`.
    """

    obsid: str
    ra_pnt: float
    dec_pnt: float
    roll: float
    start: float
    duration: float
    sources: tuple[SourceModel, ...] = ()
    background_rate: float = BACKGROUND_RATE

    def __post_init__(self) -> None:
        if not re.fullmatch(ACIS.observatory.obsid, self.obsid):
            raise ConfigError(
                f"{self.obsid!r} is not the number, up to 99999, of an observation of Chandra."
            )
        require("duration", self.duration, 100, 1e6)
        require("background_rate", self.background_rate, 0, 1000)

    @cached_property
    def view(self) -> AcisView:
        """Its CCDs and motion."""
        delta = SKY_PIXEL_ARCSEC / 3600
        plane = TangentPlane(_MIDDLE, _MIDDLE, self.ra_pnt, self.dec_pnt, -delta, delta)
        time = np.arange(self.start, self.start + self.duration + _STEP, _STEP)
        along = [
            size / SKY_PIXEL_ARCSEC * np.sin(2 * np.pi * (time - self.start) / period)
            for size, period in DITHER
        ]
        turn = np.radians(self.roll)
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        motion = (rotation.T @ np.stack(along)).T
        gap, aim = GAP_ARCSEC / SKY_PIXEL_ARCSEC, AIM_ARCSEC / SKY_PIXEL_ARCSEC
        size = np.array([ACIS.n_columns, ACIS.n_rows], float)
        chips = {}
        for number in range(4):
            # Pixel of the axis on each CCD; the edges of pixels are at half numbers.
            beyond = np.array([number % 2, number // 2]) > 0
            axis = aim + 0.5 + np.where(beyond, -gap / 2, size + gap / 2)
            matrix = np.column_stack([rotation, axis - rotation @ [_MIDDLE, _MIDDLE]])
            chips[number + 1] = ChipMap(matrix, np.ones(2), size)
        return AcisView(
            Aspect(time, motion, MappingProxyType(chips)),
            plane,
            (_MIDDLE, _MIDDLE),
            self.start,
            self.start + self.duration,
            FRAME_SECONDS,
        )


@dataclass(frozen=True)
class SimulatedAcis:
    """The outcome of `simulate_acis`.

    Attributes
    ----------
    exposure : Exposure
        What the header says.
    events : EventList
        In order of time; times are those of the middle of frames.
    origin : ndarray of int16, shape (n_events,)
        Index of the source, or `ORIGIN_PARTICLE`.
    truth : pandas.DataFrame
        One row a source: ``name``, ``kind`` of its light curve, ``ra_deg``, ``dec_deg``,
        ``t_start`` and ``t_stop`` of the event in seconds, ``expected_ACIS`` without losses
        between CCDs, and ``counts_ACIS``, the events in the list.
    """

    exposure: Exposure
    events: EventList
    origin: NDArray[np.int16]
    truth: pd.DataFrame

    @property
    def as_read(self) -> EventList:
        """The events as the reader of the file gives them."""
        time = spread_over_frames(self.events.time, FRAME_SECONDS)
        return replace(self.events, time=time)


def simulate_acis(model: AcisModel, seed: int) -> SimulatedAcis:
    """Simulate an observation; the same settings and seed give identical events.

    Parameters
    ----------
    model : AcisModel
        The settings, for instance from `default_acis`.
    seed : int
        At least 0.

    Raises
    ------
    ConfigError
        If the seed is negative.

    Examples
    --------
    >>> simulated = simulate_acis(default_acis("900", 1, duration=2000.0), 1)
    >>> len(simulated.events) > 1000
    True
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must not be negative.")
    view, generator = model.view, np.random.default_rng([int(model.obsid), seed])
    lists = [_background(model, view, generator)]
    lists += [acis_events(view, source, generator) for source in model.sources]
    origins = [ORIGIN_PARTICLE, *range(len(model.sources))]
    origin = np.concatenate(
        [np.full(len(own), number, np.int16) for number, own in zip(origins, lists, strict=True)]
    )
    joined = EventList(
        *(np.concatenate([getattr(own, f.name) for own in lists]) for f in fields(EventList))
    )
    order = np.argsort(joined.time, kind="stable")
    counts = np.bincount(origin[origin >= 0], minlength=len(model.sources))
    return SimulatedAcis(
        _header(model, view), joined.take(order), origin[order], _truth(model, counts)
    )


def _background(model: AcisModel, view: AcisView, generator: np.random.Generator) -> EventList:
    """Even over the CCDs and in energy."""
    low, high = ACIS.observatory.energies_kev
    expected = model.background_rate * model.duration * len(view.aspect.chips)
    n = int(generator.poisson(expected))
    time = view.start + model.duration * generator.random(n)
    chip = generator.integers(1, len(view.aspect.chips) + 1, n)
    place = 0.5 + ACIS.n_columns * generator.random((2, n))
    x, y = view.aspect.places(chip, place[0], place[1], time)
    return read_photons(view, x, y, time, generator.uniform(low, high, n))


def _header(model: AcisModel, view: AcisView) -> Exposure:
    return Exposure(
        obsid=model.obsid,
        expid="000",
        instrument=ACIS.name,
        submode="TIMED",
        datamode="FAINT",
        filter="",
        revolution=-1,
        target="Simulated field",
        date_obs=utc_date(model.start),
        elapsed=model.duration,
        ra_pnt=model.ra_pnt,
        dec_pnt=model.dec_pnt,
        pa_pnt=model.roll,
        flag_mask=ACIS.flag_mask,
        plane=view.plane,
        sky_extent=ACIS.sky_extent,
        time_system="TT",
        filename=f"acisf{int(model.obsid):05d}N001_evt2.fits.gz",
        clock=PIPELINE_TIME,
        start=view.start,
        stop=view.stop,
        frame_time=view.frame_time,
    )


def _truth(model: AcisModel, counts: NDArray[np.int64]) -> pd.DataFrame:
    stop, rows = model.start + model.duration, []
    for source, own in zip(model.sources, counts.tolist(), strict=True):
        first, last = np.clip(source.light_curve.interval, model.start, stop).tolist()
        light = source.light_curve.integral(model.start, stop)
        rows.append(
            {
                "name": source.name,
                "kind": source.light_curve.kind,
                "ra_deg": source.ra_deg,
                "dec_deg": source.dec_deg,
                "t_start": first,
                "t_stop": last,
                "expected_ACIS": source.rate[ACIS.name] * light,
                "counts_ACIS": own,
            }
        )
    columns = ["name", "kind", "ra_deg", "dec_deg", "t_start", "t_stop"]
    return pd.DataFrame(rows, columns=[*columns, "expected_ACIS", "counts_ACIS"])


_BURST_COUNTS: Final = (15.0, 60.0)
_BURST_SECONDS: Final = (20.0, 1000.0)
_RADIUS_ARCMIN: Final = 8.0


def default_acis(
    obsid: str,
    seed: int,
    duration: float = 20_000.0,
    n_sources: int = 12,
    n_bursts: int = 3,
    background_rate: float = BACKGROUND_RATE,
) -> AcisModel:
    """A realistic observation; the same arguments give the same observation.

    Parameters
    ----------
    obsid : str
        Number, up to 99999.
    seed : int
        Of the random choices, at least 0.
    duration : float
        Seconds.
    n_sources : int
        Constant point sources, with fluxes as in a log N - log S of slope -1.5.
    n_bursts : int
        Bursts of 15-60 expected events within 20-1000 s, of constant rate.
    background_rate : float
        As of `AcisModel`.

    Raises
    ------
    ConfigError
        If a setting is impossible; the text names it.
    """
    for name, number in (("n_sources", n_sources), ("n_bursts", n_bursts)):
        require(name, number, 0, 500)
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must not be negative.")
    require("duration", duration, 2000, 1e6)
    # Checked before it becomes a number.
    AcisModel(obsid, 0.0, 0.0, 0.0, 1.0, duration)
    generator = np.random.default_rng([int(obsid), seed])
    ra, dec = float(generator.uniform(0, 360)), float(generator.uniform(-70, 70))
    start = float(np.round(generator.uniform(1e8, 8e8), 3))
    model = AcisModel(
        obsid,
        round(ra, 6),
        round(dec, 6),
        round(float(generator.uniform(0, 360)), 3),
        start,
        duration,
        background_rate=background_rate,
    )
    sources = []
    for number, place in enumerate(acis_places(model, n_sources + n_bursts, generator)):
        ra, dec = (float(value) for value in model.view.plane.to_sky(*place))
        if number < n_sources:
            rate = min(0.0005 * generator.uniform() ** (-1 / 1.5), 0.05)
            sources.append(SourceModel(f"constant-{number + 1}", ra, dec, {ACIS.name: rate}))
            continue
        length = float(np.exp(generator.uniform(*np.log(_BURST_SECONDS))))
        length = min(length, 0.1 * duration)
        begin = start + float(generator.uniform(0, duration - length))
        sources.append(
            SourceModel.burst(
                f"burst-{number + 1 - n_sources}",
                ra,
                dec,
                {ACIS.name: float(generator.uniform(*_BURST_COUNTS))},
                BoxBurst(begin, length),
            )
        )
    return replace(model, sources=tuple(sources))


def acis_places(
    model: AcisModel,
    n: int,
    generator: np.random.Generator,
    ring_arcmin: tuple[float, float] = (0.0, _RADIUS_ARCMIN),
    apart_arcsec: float = 30.0,
) -> list[tuple[float, float]]:
    """Random places in sky pixels that are always on CCDs, so far from each other at least.

    Raises
    ------
    ConfigError
        If there is no room for so many.
    """
    view, places = model.view, list[tuple[float, float]]()
    pixel = view.plane.pixel_arcsec
    for _ in range(_MOST_TRIES * (n + 1)):
        if len(places) == n:
            return places
        low, high = ring_arcmin
        radius = 60 / pixel * np.sqrt(generator.uniform(low**2, high**2))
        angle = 2 * np.pi * generator.random()
        x = float(view.axis[0] + radius * np.cos(angle))
        y = float(view.axis[1] + radius * np.sin(angle))
        if any(np.hypot(x - u, y - v) * pixel < apart_arcsec for u, v in places):
            continue
        radii = np.array([0.0, 2 * PSF.half_light(view.off_axis(x, y)) / pixel])
        if view.aspect.seen(x, y, radii, view.aspect.time).min() == 1:
            places.append((x, y))
    raise ConfigError(f"The CCDs have no room for {n} sources {apart_arcsec:g} arcsec apart.")
