"""The spectrum of an event: events of a region before, during and after it, and those beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.archive import Archive
from exod.config import Band
from exod.errors import ConfigError, InputError
from exod.instruments.detector import DETECTORS
from exod.observation.availability import Availability, pixel_codes
from exod.observation.commonsky import sky_plane
from exod.observation.events import Exposure
from exod.observation.livetime import common_intervals, joined_intervals
from exod.observation.observations import Observation
from exod.observation.subsets import MergedEvents
from exod.pps import ObservationFiles, local_copies, read_event_list
from exod.pps.fits.extensions import read_availability
from exod.pps.ingested import SUFFIX, product_name
from exod.schemas.arrays import Floats
from exod.sensitivity.exposuremaps import SeenTime
from exod.sensitivity.extraction import Extraction, live_within, seen_area
from exod.sources.vetting.hardness import excess_hardness, soft_and_hard
from exod.stages.detect.read import read_observation
from exod.stages.places.choosing import region_of
from exod.stages.places.recorded import recorded_files

Background = Literal["beside", "around"]
BACKGROUNDS: Final[tuple[str, ...]] = get_args(Background)
"""The background of a spectrum: a ring at the time of the event, or its place at other times."""

WHEN: Final = ("before", "during", "after")

INNER_ARCSEC: Final = 60.0
"""Smallest inner radius of the ring; most of the light of a point source is within."""

OUTER_OVER_INNER: Final = 3.0
MARGIN_ARCSEC: Final = 20.0
"""Between the corners of the box and the ring."""

_SOFT_HARD: Final[tuple[Band, Band]] = ((0.2, 2.0), (2.0, 12.0))
"""Bands of the hardness, if the archive has none that do not overlap."""


@dataclass(frozen=True)
class TakenEvents:
    """Events of one camera from one place and time.

    Attributes
    ----------
    pi : ndarray of int16, shape (n,)
        Energies in eV, in order of time.
    extraction : Extraction
        The place.
    good_times : ndarray of float64, shape (n_times, 2)
        The time.
    area : float
        Sky pixels that were seen (BACKSCAL).
    seconds : float
        Live time (EXPOSURE).
    """

    pi: NDArray[np.int16]
    extraction: Extraction
    good_times: Floats
    area: float
    seconds: float

    def within(self, band: Band) -> int:
        """Events in a band in keV, as runs count them."""
        inside = (self.pi > 1000 * band[0]) & (self.pi < 1000 * band[1])
        return int(np.count_nonzero(inside))

    @property
    def scale(self) -> float:
        """Area times live time."""
        return self.area * self.seconds


@dataclass(frozen=True)
class CameraSpectra:
    """What one camera has of an event.

    Attributes
    ----------
    exposure : Exposure
        The exposure.
    source, ring : dict of str to TakenEvents
        Events of the box and of the ring, before, during and after the event.
    background : TakenEvents
        What the spectrum of the event is compared with.
    notes : tuple of str
        What could not be taken into account, a sentence each.
    """

    exposure: Exposure
    source: Mapping[str, TakenEvents]
    ring: Mapping[str, TakenEvents]
    background: TakenEvents
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EventSpectra:
    """The spectra of an event.

    Attributes
    ----------
    region : dict
        The row of its region.
    window : tuple of float
        Start and end of the event, mission elapsed seconds.
    bands : (Band, Band)
        Soft and hard band of its hardness.
    kind : str
        Of `BACKGROUNDS`.
    cameras : tuple of CameraSpectra
        Those that saw it.
    notes : tuple of str
        Which did not, and why.
    """

    region: Mapping[str, Any]
    window: tuple[float, float]
    bands: tuple[Band, Band]
    kind: str
    cameras: tuple[CameraSpectra, ...]
    notes: tuple[str, ...]

    def hardness(self) -> pd.DataFrame:
        """Counts, what of them is background, and hardness ratio before, during and after.

        Returns
        -------
        DataFrame
            A row for each of `WHEN`: n_soft, mu_soft, n_hard, mu_hard (of all cameras; mu from the
            ring, by area and live time), seconds (the longest of the cameras), hr, hr_lo, hr_hi:
            median and 68.3 % interval of the posterior. NaN where there is no time.
        """
        rows = []
        for when in WHEN:
            row: dict[str, float] = {
                "seconds": max(one.source[when].seconds for one in self.cameras)
            }
            for name, band in zip(("soft", "hard"), self.bands, strict=True):
                n = mu = 0.0
                for one in self.cameras:
                    source, ring = one.source[when], one.ring[when]
                    n += source.within(band)
                    ratio = source.scale / ring.scale if ring.scale else 0.0
                    mu += ring.within(band) * ratio
                some = row["seconds"] > 0
                row |= {f"n_{name}": n if some else np.nan, f"mu_{name}": mu if some else np.nan}
            rows.append(row)
        found = pd.DataFrame(rows, index=list(WHEN))
        counts = (found[name] for name in ("n_soft", "mu_soft", "n_hard", "mu_hard"))
        ratios = dict(zip(("hr", "hr_lo", "hr_hi"), excess_hardness(*counts), strict=True))
        return found.assign(**ratios)


def event_spectra(
    archive: Archive,
    detid: str,
    background: str = "beside",
    *,
    options: Mapping[str, Any] | None = None,
) -> EventSpectra:
    """The spectra of the event of a region, from the event lists that its search read.

    Events of the box of the region are taken, of 0.2 to 12 keV whatever the band of its run, in
    frames of its light curve in which something was expected.

    Parameters
    ----------
    archive : Archive
        The archive.
    detid : str
        The region.
    background : {"beside", "around"}
        A ring around the box at the time of the event, without known sources; or the box in the
        rest of the time, which takes off what else shines there.
    options : dict, optional
        Of the fsspec file system of URLs of event lists.

    Raises
    ------
    InputError
        If there is no such region, its event lists are gone, or no camera saw it.
    ConfigError
        If `background` is neither.
    """
    if background not in BACKGROUNDS:
        raise ConfigError(f"The background is {' or '.join(BACKGROUNDS)}, not {background!r}.")
    region = region_of(archive, detid)
    times, window = _times(archive, region)
    bands = soft_and_hard(archive.config.cube.bands) or _SOFT_HARD
    cameras, notes = [], []
    with local_copies(recorded_files(archive, str(region["obsid"]), options)) as here:
        observation = read_observation(here, archive.config)
        events = next(item for item in observation.subsets if item.number == int(region["subset"]))
        for exposure in events.exposures:
            if exposure.instrument not in DETECTORS:
                raise InputError(
                    f"{detid} has no spectrum: the channels and areas of {exposure.instrument} "
                    f"are not known here; exod events writes its photons."
                )
        size_arcsec = archive.config.cube.size_arcsec * events.cell_scale
        places = _places(events, observation, region, size_arcsec)
        for number, exposure in enumerate(events.exposures):
            seeing = _Seeing.of(here, exposure, observation)
            taken = {
                name: {
                    when: _taken(events, number, seeing, place, good)
                    for when, good in times.items()
                }
                for name, place in places.items()
            }
            if not taken["source"]["during"].scale:
                notes.append(f"{exposure.instrument} {exposure.expid} did not see it in that time.")
                continue
            beside = taken["ring"]["during"]
            if background == "around":
                beside = _joined(taken["source"]["before"], taken["source"]["after"])
            if not beside.scale:
                notes.append(
                    f"{exposure.instrument} {exposure.expid} has no background {background}."
                )
            own = taken["source"], taken["ring"], beside, seeing.notes
            cameras.append(CameraSpectra(exposure, *own))
    if not cameras:
        raise InputError(f"No camera saw {detid} in the time of its event.")
    return EventSpectra(region, window, bands, background, tuple(cameras), tuple(notes))


def _times(
    archive: Archive, region: Mapping[str, Any]
) -> tuple[dict[str, Floats], tuple[float, float]]:
    """Good times before, during and after the event, and its start and end."""
    curve = archive.lightcurve(str(region["detid"]))
    t_bin = float(region["t_bin"])
    begins = curve.loc[curve["mu"] > 0, "time"].to_numpy(float)
    frames = joined_intervals(np.column_stack([begins, begins + t_bin * (1 + 1e-9)]))
    start, stop = float(region["t_start"]), float(region["t_stop"])
    if not start < stop:
        cells = archive.observation(str(region["obsid"]), "cells")["cells"]
        own = (cells["runid"] == region["runid"]) & (cells["label"] == region["label"])
        found = cells.loc[own, "TIME_lo"].to_numpy(float)
        start, stop = float(found.min()), float(found.max()) + t_bin
    edges = (-np.inf, start), (start, stop), (stop, np.inf)
    times = {
        when: common_intervals(frames, np.array([ends]))
        for when, ends in zip(WHEN, edges, strict=True)
    }
    return times, (start, stop)


def _places(
    events: MergedEvents, observation: Observation, region: Mapping[str, Any], size_arcsec: float
) -> dict[str, Extraction]:
    """The box of the region in whole sky pixels, and the ring around it."""
    extent, pixel = events.sky_extent, events.plane.pixel_arcsec
    n = int(extent / (size_arcsec / pixel))
    names = ("x_lo", "x_hi", "y_lo", "y_hi")
    x_lo, x_hi, y_lo, y_hi = (float(-(-int(region[name]) * extent // n)) for name in names)
    x, y = (x_lo + x_hi) / 2, (y_lo + y_hi) / 2
    corner = np.hypot(x_hi - x_lo, y_hi - y_lo) / 2
    inner = max(INNER_ARCSEC / pixel, corner + MARGIN_ARCSEC / pixel)
    known = observation.sources
    x_known, y_known = events.plane.to_pixel(
        known["ra_deg"].to_numpy(float), known["dec_deg"].to_numpy(float)
    )
    holes = np.column_stack([x_known, y_known, known["mask_radius_arcsec"].to_numpy(float) / pixel])
    away = np.hypot(holes[:, 0] - x, holes[:, 1] - y)
    outer = OUTER_OVER_INNER * inner
    near = (away < outer + holes[:, 2]) & (away > inner - holes[:, 2])
    ring = Extraction(ring=(x, y, inner, outer), holes=holes[near])
    return {"source": Extraction(box=(x_lo, x_hi, y_lo, y_hi)), "ring": ring}


@dataclass(frozen=True)
class _Seeing:
    """What is known of when and where an exposure was live."""

    exposure: Exposure
    available: Availability
    hot: pd.DataFrame
    notes: tuple[str, ...]

    @classmethod
    def of(cls, files: ObservationFiles, exposure: Exposure, observation: Observation) -> _Seeing:
        path = next(path for path in files.event_lists if product_name(path) == exposure.filename)
        _, rows = read_event_list(path)
        is_fits = path.suffix != SUFFIX
        available = read_availability(path, rows) if is_fits else Availability.of_events(rows)
        notes = (
            ()
            if exposure.live.is_known
            else ("The file has no live times: exposure is time with events.",)
        )
        return cls(exposure, available, observation.hot_pixels[exposure.filename], notes)

    def area(self, place: Extraction, during: Floats) -> tuple[float, float]:
        """Area that was seen and live seconds."""
        exposure, length = self.exposure, float(np.diff(during, axis=1).sum())
        if not length:
            return 0.0, 0.0
        codes, share = self.available.bad_pixels, np.ones(len(self.available.bad_pixels))
        if len(self.hot):
            own = pixel_codes(self.hot["ccdnr"], self.hot["rawx"], self.hot["rawy"])
            times = self.hot[["time_lo", "time_hi"]].to_numpy(float)
            lost = [
                float(np.diff(common_intervals(during, row[None]), axis=1).sum()) for row in times
            ]
            codes, share = np.append(codes, own), np.append(share, np.array(lost) / length)
        pixels, number = np.unique(codes, return_inverse=True)
        shares = np.minimum(np.bincount(number, share, len(pixels)), 1.0)
        live = live_within(exposure.live.curves, self.available.good_times, during)
        seen = SeenTime(
            exposure.instrument, exposure.submode, exposure.pa_pnt, live, pixels, shares
        )
        pointing = sky_plane(exposure.ra_pnt, exposure.dec_pnt)
        return seen_area(seen, place, exposure.plane, pointing)


def _taken(
    events: MergedEvents, number: int, seeing: _Seeing, place: Extraction, good: Floats
) -> TakenEvents:
    """Events of an exposure at a place and in a time; both ends belong to it."""
    first = np.searchsorted(events.time, good[:, 0], "left")
    last = np.searchsorted(events.time, good[:, 1], "right")
    rows = np.concatenate(
        [np.arange(a, b) for a, b in zip(first, last, strict=True)] or [first[:0]]
    )
    rows = rows.astype(np.intp)
    own = rows[(events.source[rows] == number) & place.contains(events.x[rows], events.y[rows])]
    area, seconds = seeing.area(place, good)
    return TakenEvents(events.pi[own], place, good, area, seconds)


def _joined(one: TakenEvents, other: TakenEvents) -> TakenEvents:
    """Two times of one place as one."""
    seconds = one.seconds + other.seconds
    area = (one.scale + other.scale) / seconds if seconds else 0.0
    pi, times = np.append(one.pi, other.pi), np.concatenate([one.good_times, other.good_times])
    return TakenEvents(pi, one.extraction, times, area, seconds)
