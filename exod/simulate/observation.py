"""Simulate the exposures of an observation, event by event.

The chain for each exposure: photons of the sources (`exod.simulate.photons`) and of the background
(`exod.simulate.background`) at their chip pixels -> out-of-time events -> windows and frames of the
submode -> pile-up -> randomisation inside pixel and frame -> sky pixels -> PATTERN and FLAG
(`exod.simulate.camera.readout`). docs/simulator.md says where the numbers come from and what is
left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from exod.errors import ConfigError
from exod.instruments import CAMERAS
from exod.instruments.epic import SKY_EXTENT
from exod.observation.events import Exposure
from exod.observation.livetime import LiveTimes, live_curve
from exod.observation.times import utc_date
from exod.schemas.arrays import Mask
from exod.simulate.background import background_photons
from exod.simulate.camera.readout import ReadEvents, acceptance, read_events
from exod.simulate.models import ExposureModel, ObservationModel
from exod.simulate.photons import ORIGIN_HOT_PIXEL, Photons, source_photons
from exod.simulate.truth import hot_pixel_table, source_list, truth_table


@dataclass(frozen=True)
class SimulatedExposure(ReadEvents):
    """Events of an exposure in the order of a pipeline file: chip after chip, frame after frame.

    Attributes
    ----------
    exposure : Exposure
        What the header says.
    start, stop : float
        Interval of the exposure in mission elapsed seconds.
    """

    exposure: Exposure
    start: float
    stop: float

    @property
    def good(self) -> Mask:
        """Events within 0.2-12 keV with accepted PATTERN and FLAG, shape (n_events,)."""
        return self.exposure.is_good(self.events)


@dataclass(frozen=True)
class SimulatedObservation:
    """The outcome of `simulate`.

    Attributes
    ----------
    model : ObservationModel
        The settings.
    seed : int
        The seed.
    event_lists : tuple of SimulatedExposure
        In the order of the settings.
    source_list : pandas.DataFrame
        As an OBSMLI file has it, see `exod.simulate.truth.source_list`.
    truth : pandas.DataFrame
        One row a source, see `exod.simulate.truth.truth_table`.
    hot_pixels : pandas.DataFrame
        One row a bad pixel and episode, see `exod.simulate.truth.hot_pixel_table`.
    """

    model: ObservationModel
    seed: int
    event_lists: tuple[SimulatedExposure, ...]
    source_list: pd.DataFrame
    truth: pd.DataFrame
    hot_pixels: pd.DataFrame

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        """Headers of the exposures."""
        return tuple(simulated.exposure for simulated in self.event_lists)


def simulate(model: ObservationModel, seed: int) -> SimulatedObservation:
    """Simulate an observation; the same settings and seed give identical events.

    Parameters
    ----------
    model : ObservationModel
        The settings, for instance from `default_observation`.
    seed : int
        Seed of the random numbers, at least 0. Each exposure has its own stream, so that adding
        an exposure does not change the others.

    Raises
    ------
    ConfigError
        If the seed is negative.

    Examples
    --------
    >>> from exod.simulate import default_observation
    >>> model = default_observation("0900000101", seed=1, duration=2000.0, cameras=["EMOS1"])
    >>> observation = simulate(model, seed=1)
    >>> len(observation.event_lists[0].events) > 4000
    True
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must not be negative.")
    entropy = [int(model.obsid), seed]
    event_lists = tuple(
        _simulate_exposure(model, exposure, entropy) for exposure in model.exposures
    )
    counts = np.zeros((len(event_lists), len(model.sources)), np.int64)
    hot_times = []
    for i, simulated in enumerate(event_lists):
        origin = simulated.origin
        mine = origin[simulated.good & (origin >= 0)]
        counts[i] = np.bincount(mine, minlength=len(model.sources))
        numbers = range(len(model.exposures[i].hot_pixels))
        time = simulated.events.time
        hot_times.append([time[origin == ORIGIN_HOT_PIXEL - k] for k in numbers])
    return SimulatedObservation(
        model=model,
        seed=seed,
        event_lists=event_lists,
        source_list=source_list(model, np.random.default_rng([*entropy, 0])),
        truth=truth_table(model, counts),
        hot_pixels=hot_pixel_table(model.exposures, hot_times),
    )


def _simulate_exposure(
    model: ObservationModel, settings: ExposureModel, entropy: list[int]
) -> SimulatedExposure:
    stream = [*entropy, *f"{settings.instrument}{settings.expid}".encode()]
    generator = np.random.default_rng(stream)
    exposure = _header(model, settings)
    accepted = acceptance(CAMERAS[settings.instrument])
    parts = [
        source_photons(source, settings, model.plane, model.pa_pnt, accepted, generator, i)
        for i, source in enumerate(model.sources)
    ]
    parts += background_photons(model, settings, accepted, generator)
    photons = Photons.concatenate(parts)
    read = read_events(photons, settings, model.pa_pnt, generator)
    start, stop = settings.start, settings.stop
    return SimulatedExposure(**vars(read), exposure=exposure, start=start, stop=stop)


def _header(model: ObservationModel, settings: ExposureModel) -> Exposure:
    camera = CAMERAS[settings.instrument]
    kind = "PIEVLI" if camera.is_pn else "MIEVLI"
    return Exposure(
        obsid=model.obsid,
        expid=settings.expid,
        instrument=settings.instrument,
        submode=settings.submode,
        datamode="IMAGING",
        filter=settings.filter,
        revolution=model.revolution,
        target=model.target,
        date_obs=utc_date(settings.start),
        elapsed=settings.duration,
        ra_pnt=model.ra_pnt,
        dec_pnt=model.dec_pnt,
        pa_pnt=model.pa_pnt,
        flag_mask=camera.flag_mask,
        plane=model.plane,
        sky_extent=SKY_EXTENT,
        time_system="TT",
        filename=f"P{model.obsid}{camera.short}{settings.expid}{kind}0000.FTZ",
        start=settings.start,
        stop=settings.stop,
        live=_live_times(settings),
    )


def _live_times(settings: ExposureModel) -> LiveTimes:
    """When its CCDs were live, as is recorded."""
    curves = {
        ccdnr: live_curve(intervals, None)
        for ccdnr, intervals in settings.availability.good_times.items()
    }
    return LiveTimes({ccdnr: curve for ccdnr, curve in curves.items() if curve is not None})
