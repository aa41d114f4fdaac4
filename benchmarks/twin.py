"""A simulated twin of observation 0001730201, measured in the same way as the real one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.twin_picture import Measured
from exod.instruments.detector import DETECTORS
from exod.instruments.pointspread import POINT_SPREADS
from exod.observation.events import EventList, Exposure
from exod.pps import read_event_list, read_source_list
from exod.simulate import ExposureModel, ObservationModel, SourceModel, simulate
from exod.simulate.camera.readout import OUT_OF_FIELD
from exod.simulate.camera.spectra import lognormal_quantile
from exod.simulate.models import source_area
from exod.simulate.weather import flaring

FILES = {"EMOS1": "P0001730201M1S002MIEVLI.FTZ", "EMOS2": "P0001730201M2S003MIEVLI.FTZ"}
START, DURATION = 100_529_506.0, 16_690.0
"""Start and length of both MOS exposures, seconds."""

PLACE = (-58.4, -93.6)
"""Image of HD 159176 from the pointing along X and Y, arcsec: centroid within 12 arcsec."""

MEDIAN_KEV = 0.94
"""Median energy of its photons."""

BIN = 100.0
# fmt: off
SPECTRUM = np.array([
    0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.4, 1.5, 1.6, 1.85, 2.1, 2.5,
    3, 3.5, 4, 5, 6, 7, 8, 9, 10, 11, 12,
])
# fmt: on
RADII = np.array([0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100.0])
CELLS = np.arange(0, 81)


@dataclass(frozen=True)
class Events:
    """Good events of a camera in the field of view: place in arcsec, energy, time."""

    table: pd.DataFrame
    corners: pd.DataFrame
    """The same, outside the field of view."""


def good_events(exposure: Exposure, events: EventList) -> Events:
    """Events of 0.2-12 keV with accepted PATTERN and FLAG, inside and outside the field."""
    mask = exposure.flag_mask & ~OUT_OF_FIELD
    good = (events.pattern <= 12) & ((events.flag & mask) == 0)
    good &= (events.pi >= 200) & (events.pi < 12_000)
    table = pd.DataFrame(
        {
            "x": (events.x - 25_921) * 0.05,
            "y": (events.y - 25_921) * 0.05,
            "kev": events.pi / 1000,
            "time": events.time - START,
        }
    )
    outside = (events.flag & OUT_OF_FIELD) != 0
    return Events(table[good & ~outside], table[good & outside])


def real_events(folder: Path) -> Iterator[tuple[Exposure, Events]]:
    for name in FILES.values():
        exposure, events = read_event_list(folder / name)
        yield exposure, good_events(exposure, events)


def apart_from_sources(table: pd.DataFrame, sources: pd.DataFrame) -> pd.DataFrame:
    """Events 3 arcmin from HD 159176 and 40 arcsec from every other source."""
    far = np.hypot(table["x"] - PLACE[0], table["y"] - PLACE[1]) > 180
    for x, y in sources[["x", "y"]].to_numpy():
        far &= np.hypot(table["x"] - x, table["y"] - y) > 40
    return table[far]


def measure(events: list[Events], sources: pd.DataFrame) -> Measured:
    """What the picture compares, of both cameras together (rates: their mean)."""
    table = pd.concat([item.table for item in events])
    corners = pd.concat([item.corners for item in events])
    field = apart_from_sources(table, sources)
    edges = np.arange(0, DURATION - BIN, BIN)
    rate, hard = (
        np.histogram(part["time"], edges)[0] / BIN / len(events)
        for part in (field, field[field["kev"] > 10])
    )
    quiet = rate < 1.3 * np.percentile(rate, 20)
    flaring_bins = rate > 2.0 * np.percentile(rate, 20)
    spectra = {"outside the field": _spectrum(corners, DURATION * len(events))}
    index = np.clip((field["time"] / BIN).astype(int), 0, len(rate) - 1).to_numpy()
    spectra["quiet"] = _spectrum(field[quiet[index]], quiet.sum() * BIN * len(events))
    loud = _spectrum(field[flaring_bins[index]], flaring_bins.sum() * BIN * len(events))
    spectra["flares"] = loud[0], loud[1] - spectra["quiet"][1]
    near = np.hypot(table["x"] - PLACE[0], table["y"] - PLACE[1])[table["kev"].between(0.5, 2)]
    area = np.pi * np.diff(RADII**2)
    ring = near.between(150, 210).sum() / (np.pi * (210**2 - 150**2))
    grid = np.arange(-800, 801, 20.0)
    counts, _, _ = np.histogram2d(field["x"], field["y"], [grid, grid])
    inside = np.hypot(*np.meshgrid(grid[:-1] + 10, grid[:-1] + 10, indexing="ij")) < 720
    return Measured(
        spectra=spectra,
        profile=(RADII, np.histogram(near, RADII)[0] / area),
        background=float(ring),
        cells=(CELLS.astype(float), np.histogram(counts[inside], CELLS)[0] / inside.sum()),
        rates=(rate,),
        hard_rates=(hard,),
    )


def _spectrum(table: pd.DataFrame, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    counts = np.histogram(table["kev"], SPECTRUM)[0]
    return SPECTRUM, counts / np.diff(SPECTRUM) / max(seconds, 1.0)


def twin_model(
    exposures: list[Exposure], counts: dict[str, float], weather: int
) -> ObservationModel:
    """The settings of the twin: pointing, filter, HD 159176, and one flaring background.

    Parameters
    ----------
    exposures : list of Exposure
        The real ones.
    counts : dict of str to float
        Photons of HD 159176 of 0.5-2 keV within 12 arcsec, by camera.
    weather : int
        Seed of the flares.
    """
    first = exposures[0]
    pointing = ObservationModel(
        first.obsid,
        first.ra_pnt,
        first.dec_pnt,
        first.pa_pnt,
        tuple(
            ExposureModel(e.instrument, e.expid, START, DURATION, filter="Thick") for e in exposures
        ),
        flares=flaring(np.random.default_rng(weather), START, DURATION),
        revolution=first.revolution,
    )
    place = (25_921 + PLACE[0] / 0.05, 25_921 + PLACE[1] / 0.05)
    ra, dec = (float(value) for value in pointing.plane.to_sky(*place))
    energy = lognormal_quantile(MEDIAN_KEV, (np.arange(256) + 0.5) / 256)
    unit = SourceModel("HD 159176", ra, dec, {}, energy_kev=MEDIAN_KEV)
    rates = {}
    for camera, n in counts.items():
        within = POINT_SPREADS[camera].encircled(12.0, energy, 1.8).mean()
        within *= np.mean((energy > 0.5) & (energy < 2))
        area = source_area(unit, DETECTORS[camera], pointing.plane, pointing.pa_pnt)
        rates[camera] = float(n / within / area / DURATION)
    source = SourceModel("HD 159176", ra, dec, rates, energy_kev=MEDIAN_KEV)
    return ObservationModel(
        pointing.obsid,
        pointing.ra_pnt,
        pointing.dec_pnt,
        pointing.pa_pnt,
        pointing.exposures,
        sources=(source,),
        flares=pointing.flares,
        revolution=pointing.revolution,
    )


def compare(folder: Path, weathers: int = 8) -> tuple[Measured, Measured]:
    """The real observation and, of several weathers, the twin with the nearest mean rate.

    The rates of the second are those of all weathers.
    """
    pairs = list(real_events(folder))
    exposures = [exposure for exposure, _ in pairs]
    plane = exposures[0].plane
    known = read_source_list(folder / "P0001730201EPX000OBSMLI0000.FTZ")[0]
    x, y = plane.to_pixel(known["ra_deg"].to_numpy(), known["dec_deg"].to_numpy())
    sources = pd.DataFrame({"x": (x - 25_921) * 0.05, "y": (y - 25_921) * 0.05})
    real = measure([events for _, events in pairs], sources)
    counts = {}
    for exposure, events in pairs:
        away = np.hypot(events.table["x"] - PLACE[0], events.table["y"] - PLACE[1])
        soft = events.table["kev"].between(0.5, 2)
        counts[exposure.instrument] = float((soft & (away < 12)).sum())
    twins = []
    for weather in range(weathers):
        result = simulate(twin_model(exposures, counts, weather), seed=weather)
        lists = [good_events(item.exposure, item.events) for item in result.event_lists]
        twins.append(measure(lists, sources))
    nearest = min(twins, key=lambda twin: abs(twin.rates[0].mean() - real.rates[0].mean()))
    simulated = Measured(
        spectra=nearest.spectra,
        profile=nearest.profile,
        background=nearest.background,
        cells=nearest.cells,
        rates=tuple(twin.rates[0] for twin in twins),
        hard_rates=tuple(twin.hard_rates[0] for twin in twins),
    )
    return real, simulated
