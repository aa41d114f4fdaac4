"""Limits at any place and time, from the product depth of an archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from exod.archive.questions.depthindex import DepthIndex, depth_index
from exod.config import Band, Config
from exod.errors import ConfigError
from exod.instruments import searched_band
from exod.observation.identifiers import obsids_of
from exod.observation.times import mjd_of
from exod.schemas.arrays import Floats, Indices, number_of, numbers_of
from exod.schemas.depth import LIMITS
from exod.sensitivity.depth.burstneeds import BurstNeeds, burst_needs
from exod.sensitivity.depth.depthmaps import ExposureDepth
from exod.sensitivity.depth.placelimits import (
    RADIUS_ARCSEC,
    PlaceSums,
    combined,
    limit_columns,
    sums_of_rows,
)
from exod.sensitivity.depth.placerows import PlaceRows, ProjectedPlaces
from exod.sky.sphere import is_position

if TYPE_CHECKING:
    import pandas as pd

    from exod.archive.reading import ArchiveReader

LARGEST_RADIUS: Final = 300.0
"""Arcsec that a place may have at most."""


_NAMES: Final = tuple(column.name for column in LIMITS.columns)

_TOGETHER: Final = 32
"""Observations whose exposures are asked at once, so that few places in each take less time."""


@dataclass(frozen=True)
class _AskedPairs:
    """Pairs of places and observations that may have covered them, all of shape (n_pairs,).

    Attributes
    ----------
    ra, dec, start, stop : ndarray of float64
        The place and the time.
    row : ndarray of intp
        Row of the index.
    band : int
        Number of the band.
    radius_arcsec : float
        Of a place.
    is_whole : bool
        Whether it is about all of the time.
    """

    ra: Floats
    dec: Floats
    start: Floats
    stop: Floats
    row: Indices
    band: int
    radius_arcsec: float
    is_whole: bool

    def answered(
        self, index: DepthIndex, groups: Sequence[Indices], config: Config
    ) -> tuple[PlaceSums, BurstNeeds]:
        """Sums and bursts of some observations, each with its pairs; `place` is the pair."""
        depths: list[ExposureDepth] = []
        asked: list[Indices] = []
        places = ProjectedPlaces(self.ra, self.dec)
        for own in groups:
            found = index.exposures(
                int(self.row[own[0]]),
                places,
                own,
                self.radius_arcsec,
                band=self.band,
                photons=not self.is_whole,
            )
            depths += found
            asked += [own] * len(found)
        rows = PlaceRows.of(depths, 0, places, self.start, self.stop, asked)
        sums = combined([sums_of_rows(depths, 0, rows, self.radius_arcsec)])
        # A burst is as short as is best, unless the time has both ends.
        start, stop = self.start[sums.place], self.stop[sums.place]
        has_ends = np.isfinite(start) & np.isfinite(stop)
        lengths = np.subtract(stop, start, out=np.full(len(start), np.nan), where=has_ends)
        needs = [BurstNeeds(*np.empty((4, 0)))]
        for own in groups:
            some = slice(*np.searchsorted(sums.place, (own[0], own[-1] + 1)).tolist())
            if some.start < some.stop:
                runs, band = index.runs(int(self.row[own[0]]), config), index.bands[self.band]
                needs.append(burst_needs(runs, band, sums.take(some), lengths[some]))
        return sums, BurstNeeds.concatenate(needs)


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
    obsids: str | Sequence[str] = (),
) -> pd.DataFrame:
    """As `exod.archive.Archive.limits`."""
    ra = np.atleast_1d(numbers_of(ra_deg, "A right ascension", "deg"))
    dec = np.atleast_1d(numbers_of(dec_deg, "A declination", "deg"))
    begin = numbers_of(-np.inf if start is None else start, "A start", "s")
    end = numbers_of(np.inf if stop is None else stop, "A stop", "s")
    level = number_of(level, "The level")
    radius_arcsec = number_of(radius_arcsec, "The radius of a place", "arcsec")
    _check(ra, dec, begin, end, level, radius_arcsec)
    low, high = np.broadcast_to(begin, ra.shape), np.broadcast_to(end, ra.shape)
    obsids = obsids_of(obsids)
    index = depth_index(archive)
    number = band_number(index, band)
    place, row = index.covering(ra, dec)
    asked = _AskedPairs(
        ra[place],
        dec[place],
        low[place],
        high[place],
        row,
        number,
        radius_arcsec,
        start is None and stop is None,
    )
    groups = index.groups(row)
    if obsids:
        groups = [own for own in groups if index.obsid(row[own[0]]) in obsids]
    answers = [
        asked.answered(index, groups[first : first + _TOGETHER], archive.config)
        for first in range(0, len(groups), _TOGETHER)
    ]
    answers = [answer for answer in answers if len(answer[0].place)]
    if not answers:
        return _nothing().copy()
    pairs = np.concatenate([sums.place for sums, _ in answers])
    obsid = np.array([index.obsid(row[pair]) for pair in pairs.tolist()], object)
    order = np.lexsort((obsid.astype(str), place[pairs]))
    sums = PlaceSums.concatenate([sums for sums, _ in answers]).take(order)
    needs = BurstNeeds.concatenate([needs for _, needs in answers]).take(order)
    columns = _columns_of(sums.renumbered(place), needs, obsid[order], (ra, dec), level)
    own = {one: searched_band(one, index.bands[number]) for one in set(obsid.tolist())}
    e_lo, e_hi = np.array([own[one] for one in obsid[order].tolist()]).T
    return _frame_of(columns | {"e_lo": e_lo, "e_hi": e_hi})


@lru_cache(maxsize=1)
def _nothing() -> pd.DataFrame:
    """The table without rows: most places were never seen, and columns take long to make."""
    return LIMITS.frame()


def _columns_of(
    sums: PlaceSums,
    needs: BurstNeeds,
    obsid: NDArray[Any],
    places: tuple[Floats, Floats],
    level: float,
) -> dict[str, Any]:
    """Columns of the table limits, without the band."""
    limit = limit_columns(sums, level)
    # Of all light of a source, whether it falls on the cells of the place or beside.
    response = sums.response / sums.longest / limit["share"]
    return {
        "place": sums.place.astype(np.int64),
        "ra_deg": places[0][sums.place],
        "dec_deg": places[1][sums.place],
        "obsid": obsid,
        "cameras": sums.cameras.astype(np.int64),
        "t_start": sums.start,
        "t_stop": sums.stop,
        "t_start_mjd": mjd_of(sums.start),
        "t_stop_mjd": mjd_of(sums.stop),
        "seconds": sums.longest,
        **{name: getattr(sums, name) for name in ("live", "n", "mu", "constant")},
        **limit,
        **{name: getattr(needs, name) for name in ("n50", "n90", "burst_bin")},
        "burst_seconds": needs.seconds,
        "flux50": needs.n50 / response / needs.seconds,
        "flux90": needs.n90 / response / needs.seconds,
    }


def _frame_of(columns: dict[str, NDArray[Any]]) -> pd.DataFrame:
    """The table limits; column by column it takes longer to make than the sums."""
    import pandas as pd
    from pandas.api.internals import create_dataframe_from_blocks

    kinds: dict[np.dtype[Any], list[int]] = {}
    for number, name in enumerate(_NAMES):
        kinds.setdefault(columns[name].dtype, []).append(number)
    blocks = [
        (
            _texts(columns[_NAMES[numbers[0]]])
            if kind.kind == "O"
            else np.array([columns[_NAMES[number]] for number in numbers]),
            np.array(numbers),
        )
        for kind, numbers in kinds.items()
    ]
    n = len(columns["place"])
    return create_dataframe_from_blocks(blocks, pd.RangeIndex(n), _index_of_names())


@lru_cache(maxsize=1)
def _index_of_names() -> pd.Index:
    import pandas as pd

    return pd.Index(_NAMES)


def _texts(values: NDArray[Any]) -> pd.arrays.ArrowStringArray:
    """A column of text, without a look for missing values, which takes longer than to make it."""
    import pandas as pd

    text = pa.chunked_array([pa.array(values, pa.large_string())])
    return pd.arrays.ArrowStringArray(text, dtype=_text())  # type: ignore[call-arg]


@lru_cache(maxsize=1)
def _text() -> pd.StringDtype:
    """The type of text, which takes longer to find by its name than a column to make."""
    import pandas as pd

    return pd.StringDtype(na_value=np.nan)


def band_number(index: DepthIndex, band: Band | None) -> int:
    """Number of a band; without one, of the widest."""
    if band is None:
        widths = [high - low for low, high in index.bands]
        return int(np.argmax(widths))
    edges = numbers_of(band, "A band", "keV")
    if edges.shape != (2,):
        raise ConfigError(f"A band is a pair of energies in keV, not {edges.size}.")
    if tuple(edges.tolist()) in index.bands:
        return index.bands.index(tuple(edges.tolist()))
    known = ", ".join(f"{low:g}-{high:g}" for low, high in index.bands)
    asked = "-".join(f"{edge:g}" for edge in edges)
    raise ConfigError(f"There are no limits of {asked} keV; the archive has {known} keV.")


def _check(
    ra: Floats,
    dec: Floats,
    start: Floats,
    stop: Floats,
    level: float,
    radius_arcsec: float,
) -> None:
    """Refuse questions that have no answer.

    Raises
    ------
    ConfigError
        With what is wrong.
    """
    if ra.ndim != 1 or dec.ndim != 1:
        raise ConfigError(
            f"Places are lists of numbers, not arrays of {max(ra.ndim, dec.ndim)} dimensions."
        )
    if ra.shape != dec.shape:
        raise ConfigError(
            f"Places have as many right ascensions as declinations, not {ra.size} and {dec.size}."
        )
    bad = ~is_position(ra, dec)
    if bad.any():
        raise ConfigError(
            f"A right ascension is a number and a declination -90 to 90 deg, which the position "
            f"{ra[bad][0]:g},{dec[bad][0]:g} has not."
        )
    for what, given in (("start", start), ("stop", stop)):
        if given.ndim and given.shape != ra.shape:
            raise ConfigError(f"There are {ra.size} places and {given.size} times ({what}).")
        if np.isnan(given).any():
            raise ConfigError(f"A {what} is a number of seconds, not NaN.")
    if ((start >= stop) & (np.isfinite(start) | np.isfinite(stop))).any():
        raise ConfigError("A time range must start before it stops.")
    if not 0 < level < 1:
        raise ConfigError(f"The level is a probability between 0 and 1, not {level:g}.")
    if not 0 <= radius_arcsec <= LARGEST_RADIUS:
        raise ConfigError(
            f"The radius of a place is 0 to {LARGEST_RADIUS:g} arcsec, not {radius_arcsec:g}."
        )
