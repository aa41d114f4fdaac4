"""Limits at any place and time, from the product depth of an archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.archive.questions.depthindex import DepthIndex, depth_index
from exod.config import Band
from exod.errors import ConfigError
from exod.observation.times import mjd_of
from exod.schemas.arrays import Floats, Indices
from exod.schemas.depth import LIMITS
from exod.sensitivity.depth.burstneeds import BurstNeeds, burst_needs
from exod.sensitivity.depth.depthmaps import ExposureDepth
from exod.sensitivity.depth.placelimits import (
    RADIUS_ARCSEC,
    PlaceSums,
    combined,
    limit_columns,
    place_sums,
)
from exod.sky.sphere import is_position

if TYPE_CHECKING:
    import pandas as pd

    from exod.archive.reading import ArchiveReader

LARGEST_RADIUS: Final = 300.0
"""Arcsec that a place may have at most."""


@dataclass(frozen=True)
class _ObservationSums:
    """What an observation has of places, and the bursts that it would have found there."""

    obsid: str
    sums: PlaceSums
    needs: BurstNeeds


@dataclass(frozen=True)
class _AskedPlaces:
    """Places and times, all of shape (n,)."""

    ra: Floats
    dec: Floats
    start: Floats
    stop: Floats
    radius_arcsec: float

    def of(self, depths: Sequence[ExposureDepth], band: int, which: Indices) -> PlaceSums:
        """Sums over exposures of some of the places, in their time."""
        ra, dec, start, stop = (
            values[which] for values in (self.ra, self.dec, self.start, self.stop)
        )
        return combined([place_sums(depths, band, ra, dec, start, stop, self.radius_arcsec)])


def limits(
    archive: ArchiveReader,
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    *,
    start: ArrayLike | None = None,
    stop: ArrayLike | None = None,
    band: Band | None = None,
    level: float = 0.9,
    radius_arcsec: float = RADIUS_ARCSEC,
    obsids: Sequence[str] = (),
) -> pd.DataFrame:
    """As `exod.archive.Archive.limits`."""
    import pandas as pd

    ra, dec = (np.atleast_1d(np.asarray(value, float)) for value in (ra_deg, dec_deg))
    _check(ra, dec, start, stop, level, radius_arcsec)
    low = np.broadcast_to(np.asarray(-np.inf if start is None else start, float), ra.shape)
    high = np.broadcast_to(np.asarray(np.inf if stop is None else stop, float), ra.shape)
    is_whole = start is None and stop is None
    asked = _AskedPlaces(ra, dec, low, high, radius_arcsec)
    index = depth_index(archive)
    number = band_number(index, band)
    place, row = index.covering(ra, dec)
    answers = []
    for own in index.groups(row):
        obsid = index.obsid(row[own[0]])
        if obsids and obsid not in obsids:
            continue
        which, first = place[own], int(row[own[0]])
        exposures = index.exposures(
            first, ra[which], dec[which], radius_arcsec, photons=not is_whole
        )
        sums = asked.of(exposures, number, which)
        if not len(sums.place):
            continue
        # A burst is as short as is best, unless the time has both ends.
        lengths = (high - low)[which][sums.place]
        needs = burst_needs(
            index.runs(first, archive.config),
            index.bands[number],
            sums,
            np.where(np.isfinite(lengths), lengths, np.nan),
        )
        answers.append(_ObservationSums(obsid, sums.renumbered(which), needs))
    if not answers:
        return _nothing().copy()
    columns = _columns_of(answers, ra, dec, index.bands[number], level)
    found = {column.name: columns[column.name] for column in LIMITS.columns}
    return pd.DataFrame(found, copy=False)


@lru_cache(maxsize=1)
def _nothing() -> pd.DataFrame:
    """The table without rows: most places were never seen, and columns take long to make."""
    return LIMITS.frame()


def _columns_of(
    answers: Sequence[_ObservationSums], ra: Floats, dec: Floats, band: Band, level: float
) -> dict[str, Any]:
    """Columns of the table limits."""
    sums = PlaceSums.concatenate([answer.sums for answer in answers])
    obsids = np.concatenate([[answer.obsid] * len(answer.sums.place) for answer in answers])
    needs = {
        item.name: np.concatenate([getattr(answer.needs, item.name) for answer in answers])
        for item in fields(BurstNeeds)
    }
    order = np.lexsort((obsids, sums.place))
    sums, obsids = sums.take(order), obsids[order].astype(object)
    limit = limit_columns(sums, level)
    return {
        "place": sums.place.astype(np.int64),
        "ra_deg": ra[sums.place],
        "dec_deg": dec[sums.place],
        "obsid": obsids,
        "e_lo": np.full(len(obsids), band[0]),
        "e_hi": np.full(len(obsids), band[1]),
        "cameras": sums.cameras.astype(np.int64),
        "t_start": sums.start,
        "t_stop": sums.stop,
        "t_start_mjd": mjd_of(sums.start),
        "t_stop_mjd": mjd_of(sums.stop),
        "seconds": sums.longest,
        **{name: getattr(sums, name) for name in ("live", "n", "mu", "constant")},
        **limit,
        **_burst_columns({name: values[order] for name, values in needs.items()}, sums, limit),
    }


def _burst_columns(
    needs: dict[str, Floats], sums: PlaceSums, limit: dict[str, NDArray[Any]]
) -> dict[str, Floats]:
    """Bursts as counts and as their mean flux."""
    # Of all light of a source, whether it falls on the cells of the place or beside.
    response = sums.response / sums.longest / limit["share"]
    seconds = needs["seconds"]
    return {
        **{name: needs[name] for name in ("n50", "n90", "burst_bin")},
        "burst_seconds": seconds,
        "flux50": needs["n50"] / response / seconds,
        "flux90": needs["n90"] / response / seconds,
    }


def band_number(index: DepthIndex, band: Band | None) -> int:
    """Number of a band; without one, of the widest."""
    if band is None:
        widths = [high - low for low, high in index.bands]
        return int(np.argmax(widths))
    if tuple(band) in index.bands:
        return index.bands.index(tuple(band))
    known = ", ".join(f"{low:g}-{high:g}" for low, high in index.bands)
    raise ConfigError(
        f"There are no limits of {band[0]:g}-{band[1]:g} keV; the archive has {known} keV."
    )


def _check(
    ra: Floats,
    dec: Floats,
    start: ArrayLike | None,
    stop: ArrayLike | None,
    level: float,
    radius_arcsec: float,
) -> None:
    """Refuse questions that have no answer.

    Raises
    ------
    ConfigError
        With what is wrong.
    """
    if ra.shape != dec.shape or ra.ndim != 1:
        raise ConfigError(
            f"Places have as many right ascensions as declinations, not {ra.size} and {dec.size}."
        )
    bad = ~is_position(ra, dec)
    if bad.any():
        raise ConfigError(
            f"A right ascension is a number and a declination -90 to 90 deg, which the position "
            f"{ra[bad][0]:g},{dec[bad][0]:g} has not."
        )
    for what, value in (("start", start), ("stop", stop)):
        given = np.asarray(0.0 if value is None else value, float)
        if given.ndim and given.shape != ra.shape:
            raise ConfigError(f"There are {ra.size} places and {given.size} times ({what}).")
        if np.isnan(given).any():
            raise ConfigError(f"A {what} is a number of seconds, not NaN.")
    if start is not None and stop is not None and (np.asarray(start) >= np.asarray(stop)).any():
        raise ConfigError("A time range must start before it stops.")
    if not 0 < level < 1:
        raise ConfigError(f"The level is a probability between 0 and 1, not {level:g}.")
    if not 0 <= radius_arcsec <= LARGEST_RADIUS:
        raise ConfigError(
            f"The radius of a place is 0 to {LARGEST_RADIUS:g} arcsec, not {radius_arcsec:g}."
        )
