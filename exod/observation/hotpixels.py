"""Hot and flickering detector pixels, found in the data (method.md, Hot pixels).

The telescope spreads every photon source over several pixels, so a pixel that stands out of its
neighbours by more than the core of the PSF allows is no celestial source, whatever its light
curve. With n counts in a pixel and m in its neighbours, both from a source (or background) whose
PSF makes the pixel at most k times as bright as the mean of its a neighbours, n given n + m is at
most binomial with probability k / (k + a). That test is exact for few counts and needs no model of
the source; it is made over the whole exposure and in windows from 5 to 500 s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from exod.instruments import Instrument
from exod.observation.availability import pixel_codes
from exod.observation.events import EventList

REACH: Final = 2
"""Neighbours are the pixels of the square that reaches this far on each side."""

PSF_MARGIN: Final = 1.6
"""How much sharper than the King profile the PSF may be. The brightest pixel of HD 159176 in
0001730201 (MOS1) is 1.33 times as sharp."""

FALSE_PIXELS: Final = 0.01
"""Pixels expected to be rejected wrongly in an exposure, each time scale."""

WINDOWS: Final = (5.0, 50.0, 500.0)
"""Lengths of the episodes that are looked for, seconds."""

MIN_COUNTS: Final = 3
"""Fewest counts of a flickering pixel in an episode."""

LOG10_P_MIN: Final = -300.0
"""Chance probabilities below ten to this are given as this."""

_COLUMNS = ["ccdnr", "rawx", "rawy", "time_lo", "time_hi", "n", "n_neighbours", "log10_p"]


def find_hot_pixels(events: EventList, camera: Instrument) -> pd.DataFrame:
    """Find pixels and episodes that are narrower than the PSF.

    Parameters
    ----------
    events : EventList
        Selected events of one exposure in order of time.
    camera : Instrument
        The camera.

    Returns
    -------
    DataFrame
        One row a pixel and episode, with the columns ccdnr, rawx, rawy, time_lo, time_hi [s,
        closed], n, n_neighbours [ct] and log10_p (chance probability before trials).
    """
    detector = _PixelPlane.of(events, camera)
    always = detector.always_hot()
    clean = detector.without(always["pixel"].to_numpy())
    episodes = [clean.flickering(window) for window in WINDOWS]
    found = _merge_episodes(pd.concat([always, *episodes], ignore_index=True))
    ccdnr, rawy, rawx = np.unravel_index(found.pop("pixel").to_numpy(int), detector.shape)
    found = found.assign(ccdnr=ccdnr, rawx=rawx - REACH, rawy=rawy - REACH)
    return found[_COLUMNS].sort_values(_COLUMNS[:4], ignore_index=True)


def listed_hot_pixels(
    table: pd.DataFrame, events: EventList, camera: Instrument, revolution: int
) -> pd.DataFrame:
    """Rows as of `find_hot_pixels` for the pixels that a user's table lists.

    Parameters
    ----------
    table : DataFrame
        Columns INSTRUME, CCDNR, RAWX, RAWY, REV1, REV2.
    events : EventList
        Selected events of the exposure.
    camera : Instrument
        The camera.
    revolution : int
        Revolution of the exposure.
    """
    valid = (table["INSTRUME"] == camera.name) & (table["REV1"] < revolution)
    rows = table[valid & (revolution < table["REV2"])].drop_duplicates(["CCDNR", "RAWX", "RAWY"])
    ccdnr, rawx, rawy = (rows[name].to_numpy(int) for name in ("CCDNR", "RAWX", "RAWY"))
    pixels, counts = np.unique(
        pixel_codes(events.ccdnr, events.rawx, events.rawy), return_counts=True
    )
    counted = pd.Series(counts, pixels).reindex(pixel_codes(ccdnr, rawx, rawy), fill_value=0)
    return pd.DataFrame(
        {
            "ccdnr": ccdnr,
            "rawx": rawx,
            "rawy": rawy,
            "time_lo": events.time.min(),
            "time_hi": events.time.max(),
            "n": counted.to_numpy(),
            "n_neighbours": -1,
            "log10_p": np.nan,
        }
    )


def hot_pixel_mask(events: EventList, hot: pd.DataFrame) -> NDArray[np.bool_]:
    """Which events, shape (n_events,), lie in a hot pixel during one of its episodes."""
    mask = np.zeros(len(events), bool)
    if hot.empty:
        return mask
    pixel = pixel_codes(events.ccdnr, events.rawx, events.rawy)
    hot_pixel = pixel_codes(*(hot[name].to_numpy() for name in ("ccdnr", "rawx", "rawy")))
    suspects = np.flatnonzero(np.isin(pixel, hot_pixel))
    suspects = suspects[np.argsort(pixel[suspects], kind="stable")]
    pixel, time = pixel[suspects], events.time[suspects]
    first, last = (np.searchsorted(pixel, hot_pixel, side) for side in ("left", "right"))
    low, high = hot["time_lo"].to_numpy(), hot["time_hi"].to_numpy()
    # A table may list thousands of pixels, of which few have events.
    for i in np.flatnonzero(first < last):
        mine = slice(first[i], last[i])
        inside = (time[mine] >= low[i]) & (time[mine] <= high[i])
        mask[suspects[mine][inside]] = True
    return mask


def peak_ratio(camera: Instrument) -> float:
    """How many times as bright as the mean of its neighbours a pixel of a point source may be."""
    offset = np.arange(-REACH, REACH + 1) * camera.pixel_arcsec
    radius = np.hypot(*np.meshgrid(offset, offset))
    density = camera.core.density(radius)
    neighbours = (density.sum() - density[REACH, REACH]) / (density.size - 1)
    return float(PSF_MARGIN * density[REACH, REACH] / neighbours)


@dataclass(frozen=True)
class _PixelPlane:
    """Events of an exposure sorted by pixel and time.

    Pixels are flat indices into (ccd, rawy, rawx) with a border of `REACH` empty pixels around
    each CCD, so that neighbours never lie on another one.
    """

    shape: tuple[int, int, int]
    pixel: NDArray[np.int64]
    time: NDArray[np.float64]
    ratio: float
    span: tuple[float, float]
    area: NDArray[np.float32]

    @classmethod
    def of(cls, events: EventList, camera: Instrument) -> _PixelPlane:
        shape = (
            1 + max(camera.n_ccds, int(events.ccdnr.max(initial=0))),
            1 + 2 * REACH + max(camera.n_rows, int(events.rawy.max(initial=0))),
            1 + 2 * REACH + max(camera.n_columns, int(events.rawx.max(initial=0))),
        )
        pixel = np.ravel_multi_index(
            (
                events.ccdnr.astype(np.int64),
                np.maximum(events.rawy.astype(np.int64), 0) + REACH,
                np.maximum(events.rawx.astype(np.int64), 0) + REACH,
            ),
            shape,
        )
        order = _order(pixel, int(np.prod(shape)))
        chip = np.zeros(shape[1:], np.float32)
        chip[REACH + 1 : REACH + 1 + camera.n_rows, REACH + 1 : REACH + 1 + camera.n_columns] = 1
        span = (float(events.time.min()), float(events.time.max())) if len(events) else (0.0, 0.0)
        return cls(
            shape, pixel[order], events.time[order], peak_ratio(camera), span, _box_sum(chip) - 1
        )

    def without(self, pixels: NDArray[np.int64]) -> _PixelPlane:
        keep = ~np.isin(self.pixel, pixels)
        return replace(self, pixel=self.pixel[keep], time=self.time[keep])

    def share(self, pixel: NDArray[np.int64]) -> NDArray[np.float64]:
        """Largest binomial probability of pixels, given how many neighbours are on the chip."""
        area = self.area.ravel()[pixel % self.area.size]
        return np.asarray(self.ratio / (self.ratio + np.maximum(area, 1)))

    def always_hot(self) -> pd.DataFrame:
        """Pixels that are hot over the whole exposure."""
        used, n = np.unique_counts(self.pixel)
        total = np.zeros(len(used), np.int64)
        chip = np.zeros(self.shape[1:], np.float32)
        # One chip at a time: those of some cameras have a million pixels.
        edges = np.searchsorted(used, np.arange(self.shape[0] + 1) * chip.size)
        for number, own in enumerate(map(slice, edges[:-1], edges[1:])):
            if own.start == own.stop:
                continue
            inside = used[own] - number * chip.size
            chip[:] = 0
            chip.ravel()[inside] = n[own]
            total[own] = _box_sum(chip).ravel()[inside].astype(np.int64)
        share = self.share(used)
        level = np.log10(FALSE_PIXELS / _trials(total, share))
        # The others have no more counts than their neighbours allow.
        bright = n > total * share
        used, n, total, share = used[bright], n[bright], total[bright], share[bright]
        log_p = _log10_p(n, total, share)
        hot = log_p < level
        low, high = self.span
        return _rows(used[hot], low, high, n[hot], (total - n)[hot], log_p[hot])

    def flickering(self, window: float) -> pd.DataFrame:
        """Pixels that are hot for up to `window` seconds."""
        # Windows start at an event; one that holds MIN_COUNTS events of the same pixel is tested.
        step = MIN_COUNTS - 1
        near = (self.pixel[step:] == self.pixel[:-step]) & (
            self.time[step:] - self.time[:-step] <= window
        )
        start = np.flatnonzero(near)
        start = start[self._stands_out(start, window)]
        pixel, low = self.pixel[start], self.time[start]
        n = self._count(pixel, low, window)
        m = np.zeros_like(n)
        for dy in range(-REACH, REACH + 1):
            for dx in range(-REACH, REACH + 1):
                if dx or dy:
                    m += self._count(pixel + dy * self.shape[2] + dx, low, window)
        log_p = _log10_p(n, n + m, self.share(pixel))
        hot = log_p < np.log10(FALSE_PIXELS / self._window_trials(window))
        last = self.time[np.minimum(start + n - 1, len(self.time) - 1)]
        return _rows(pixel[hot], low[hot], last[hot], n[hot], m[hot], log_p[hot])

    def _window_trials(self, window: float) -> int:
        """Windows that could be significant, a window starting at each event.

        Their total counts are taken in fixed squares of pixels instead of centred ones, which
        are as many on average and need one look-up an event.
        """
        key, n_pixels = self._squares, (2 * REACH + 1) ** 2
        total = np.searchsorted(key, key + window, "right") - np.arange(len(key))
        return _trials(total, np.full(len(total), self.ratio / (self.ratio + n_pixels - 1)))

    @cached_property
    def _squares(self) -> NDArray[np.float64]:
        """Events by square of pixels, then time, ascending."""
        side = 2 * REACH + 1
        ccd, row, column = np.unravel_index(self.pixel, self.shape)
        square = (ccd * self.shape[1] + row // side) * self.shape[2] + column // side
        return np.sort(self._key(square, self.time))

    @cached_property
    def _keys(self) -> NDArray[np.float64]:
        """Events by pixel, then time, ascending."""
        return self._key(self.pixel, self.time)

    def _stands_out(self, start: NDArray[np.intp], window: float) -> NDArray[np.bool_]:
        """Drop windows that the pixel's own mean rate explains: bright, steady sources."""
        pixel = self.pixel[start]
        first, last = (np.searchsorted(self.pixel, pixel, side) for side in ("left", "right"))
        mean = (last - first) * min(window / max(self.span[1] - self.span[0], window), 1.0)
        n = self._count(pixel, self.time[start], window)
        return np.asarray(stats.poisson.sf(n - 1, mean) < FALSE_PIXELS)

    def _count(
        self, pixel: NDArray[np.int64], low: NDArray[np.float64], window: float
    ) -> NDArray[np.int64]:
        """Events of pixels in the closed windows that start at `low`."""
        first = np.searchsorted(self._keys, self._key(pixel, low), "left")
        last = np.searchsorted(self._keys, self._key(pixel, low + window), "right")
        return np.asarray(last - first)

    def _key(self, pixel: NDArray[np.int64], time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Numbers that order events by pixel, then time, to better than a millisecond."""
        length = self.span[1] - self.span[0] + 2 * max(WINDOWS)
        return pixel * length + (time - self.span[0])


def _order(pixel: NDArray[np.int64], n: int) -> NDArray[np.intp]:
    """Order of pixels, all below `n`; equal ones stay in theirs.

    Numbers of 16 bits are sorted in linear time, so that two rounds take a quarter of one of 64.
    """
    order = np.arange(len(pixel))
    for shift in range(0, max(n - 1, 1).bit_length(), 16):
        order = order[np.argsort((pixel >> shift).astype(np.uint16)[order], kind="stable")]
    return order


def _box_sum(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over the square of pixels that reaches `REACH` on each side; whole below 2^24."""
    side = (2 * REACH + 1, 2 * REACH + 1)
    total = cv2.boxFilter(image, -1, side, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(np.rint(total))


def _log10_p(
    n: NDArray[np.integer], total: NDArray[np.integer], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """log10 of the chance that at least n of `total` counts fall into one pixel."""
    log_p = stats.binom.logsf(n - 1, total, share) / np.log(10)
    return np.asarray(np.maximum(log_p, LOG10_P_MIN))


def _trials(total: NDArray[np.integer], share: NDArray[np.float64]) -> int:
    """Number of tests that could have been significant at all (Tarone 1990, Biometrics 46, 515).

    The smallest chance probability that a pixel can reach is share^total; those that cannot reach
    the level do not count as trials.
    """
    best = np.sort(total * np.log10(share))
    trials = np.arange(1, len(best) + 1)
    able = np.searchsorted(best, np.log10(FALSE_PIXELS / trials), "right")
    enough = np.flatnonzero(able <= trials)
    return int(trials[enough[0]]) if len(enough) else 1


def _rows(
    pixel: NDArray[np.int64],
    low: NDArray[np.float64] | float,
    high: NDArray[np.float64] | float,
    n: NDArray[np.integer],
    m: NDArray[np.integer],
    log_p: NDArray[np.float64],
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "pixel": pixel,
            "time_lo": np.broadcast_to(low, pixel.shape),
            "time_hi": np.broadcast_to(high, pixel.shape),
            "n": n.astype(np.int64),
            "n_neighbours": m.astype(np.int64),
            "log10_p": log_p,
        }
    )


def _merge_episodes(found: pd.DataFrame) -> pd.DataFrame:
    """Join overlapping episodes of a pixel; the counts are those of the strongest."""
    rows: list[dict[str, float]] = []
    ordered = found.sort_values(["pixel", "time_lo", "time_hi"], ignore_index=True)
    for row in ordered.to_dict("records"):
        previous = rows[-1] if rows else None
        if previous and previous["pixel"] == row["pixel"] and row["time_lo"] <= previous["time_hi"]:
            previous["time_hi"] = max(previous["time_hi"], row["time_hi"])
            if row["log10_p"] < previous["log10_p"]:
                previous.update({k: row[k] for k in ("n", "n_neighbours", "log10_p")})
        else:
            rows.append({str(k): v for k, v in row.items()})
    return pd.DataFrame(rows, columns=found.columns)
