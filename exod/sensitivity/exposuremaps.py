"""Exposure maps: for how long each place of the sky was seen, and by how much of the telescope.

In go the camera, its position angle, how long each CCD was live and which pixels were lost; out
come seconds for each pixel of an image of the sky. Chips, their gaps, windows and lost pixels are
those of the focal plane; vignetting is that of the pipeline. Where the pointing moves over the
CCDs, `exod.sensitivity.ditheredtime` says what was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from exod.instruments import CAMERAS, INSTRUMENTS
from exod.instruments.detector import DETECTORS, read_out
from exod.instruments.vignetting import ENERGIES_KEV, VIGNETTING
from exod.observation.availability import pixel_codes
from exod.observation.commonsky import sky_plane
from exod.observation.events import EventList
from exod.schemas.arrays import Floats, Integers
from exod.sky.plane import TangentPlane

EXTENT: Final = 51_840
"""Sky pixels along the side of an image, as in event lists: 43.2 arcmin."""

SAMPLES: Final = 3
"""Places along the side of a pixel of the image at which it is asked whether they were seen."""


@dataclass(frozen=True)
class MapGrid:
    """Pixels of an image of the sky.

    Attributes
    ----------
    plane : TangentPlane
        Sky pixels (X, Y) about the pointing.
    width : float
        Sky pixels along the side of a pixel of the image.
    margin : int
        Pixels of the image beyond `EXTENT` on each side.
    """

    plane: TangentPlane
    width: float
    margin: int = 0

    @classmethod
    def of(
        cls, ra_pnt: float, dec_pnt: float, pixel_arcsec: float, side_arcsec: float = 0.0
    ) -> MapGrid:
        """About a pointing in degrees, with sides of that length if `EXTENT` is less."""
        plane = sky_plane(ra_pnt, dec_pnt)
        beyond = (side_arcsec - EXTENT * plane.pixel_arcsec) / 2
        margin = max(int(np.ceil(beyond / pixel_arcsec - 1e-6)), 0)
        return cls(plane, pixel_arcsec / plane.pixel_arcsec, margin)

    @property
    def n(self) -> int:
        """Pixels along a side."""
        return int(np.ceil(EXTENT / self.width)) + 2 * self.margin

    @property
    def projection(self) -> TangentPlane:
        """Projection of the pixels of the image."""
        return self.plane.in_cells(self.width, -self.margin, -self.margin)

    def places(self, samples: int) -> Floats:
        """X, or Y, of equally spaced places in each pixel, shape (n * samples,)."""
        places = (np.arange(self.n * samples) + 0.5) / samples * self.width
        return places - self.margin * self.width


View = Callable[[Floats, Floats], tuple[NDArray[np.uint8], Floats]]
"""From sky pixels (any one shape) of `exod.observation.commonsky.sky_plane` about the pointing to
the CCD, 0 where there is none, and the share of its live time for which places were seen."""


class Seen(Protocol):
    """What an exposure had of its time and of its CCDs."""

    @property
    def instrument(self) -> str:
        """The camera."""

    @property
    def live(self) -> Mapping[int, float]:
        """Live seconds by CCD; one that is not there was off."""

    @property
    def usable(self) -> Self:
        """The same without the pixels of which the selection takes no events."""

    def view(self) -> View:
        """Which CCD saw places, and for what share of its live time."""


@dataclass(frozen=True)
class SeenTime:
    """What an exposure had of its time, its pointing steady.

    Attributes
    ----------
    instrument, submode : str
        Camera (INSTRUME) and read-out mode.
    pa_pnt : float
        Position angle of the pointing in degrees.
    live : mapping of int to float
        Live seconds by CCDNR; a CCD that is not there was off.
    lost : ndarray of int64, shape (n_lost,)
        Lost pixels, as `exod.observation.availability.pixel_codes`, each once.
    share : ndarray of float64, shape (n_lost,)
        Share of the time for which each was lost.
    """

    instrument: str
    submode: str
    pa_pnt: float
    live: Mapping[int, float]
    lost: Integers
    share: Floats

    @property
    def usable(self) -> SeenTime:
        """The same without the pixels of which the selection takes no events."""
        unused = unused_pixels(self.instrument, self.submode)
        lost, share = np.append(self.lost, unused), np.append(self.share, np.ones(len(unused)))
        codes, number = np.unique(lost, return_inverse=True)
        shares = np.minimum(np.bincount(number, share, len(codes)), 1.0)
        return replace(self, lost=codes, share=shares)

    def view(self) -> View:
        """Which CCD saw places, and for what share of its live time.

        Raises
        ------
        ConfigError
            If the submode is not known.
        """
        pixels, detector = SeenPixels(self), DETECTORS[self.instrument]
        return lambda x, y: pixels.at(*detector.detector_from_sky(x, y, self.pa_pnt))


@dataclass(frozen=True)
class ExposureMap:
    """Seconds for which pixels of the sky were seen.

    Attributes
    ----------
    on : ndarray of float64, shape (n_y, n_x)
        Without vignetting.
    light : ndarray of float64, shape (n_y, n_x, 5), or None
        Vignetting at the energies `exod.instruments.vignetting.ENERGIES_KEV`; None where it is not
        known.
    """

    on: Floats
    light: Floats | None

    @property
    def bands(self) -> tuple[int, ...]:
        """The pipeline's bands whose vignetting is known."""
        return () if self.light is None else tuple(range(1, len(ENERGIES_KEV) + 1))

    def band(self, number: int) -> Floats:
        """Seconds on the axis that see as much light of one of the pipeline's bands 1 to 5."""
        return self.on if self.light is None else self.on * self.light[..., number - 1]


def exposure_map(seen: Seen, grid: MapGrid) -> ExposureMap:
    """The exposure map of an exposure.

    Raises
    ------
    ConfigError
        If the submode is not known.
    """
    on = np.zeros((grid.n, grid.n))
    fine, view = grid.places(SAMPLES), seen.view()
    seconds = np.zeros(INSTRUMENTS[seen.instrument].n_ccds + 1)
    for ccdnr, live in seen.live.items():
        seconds[ccdnr] = live
    # A row of pixels of the image at a time: all at once are 30 million numbers a column.
    for row in range(grid.n):
        y = fine[row * SAMPLES : (row + 1) * SAMPLES]
        chip, share = view(*np.meshgrid(fine, y))
        time = seconds[chip] * share
        on[row] = time.reshape(SAMPLES, grid.n, SAMPLES).mean(axis=(0, 2))
    return ExposureMap(on, _light(seen, grid) if isinstance(seen, SeenTime) else None)


class SeenPixels:
    """Which chip saw a place of the focal plane, and for what share of its live time.

    Parameters
    ----------
    seen : SeenTime
        The exposure; its live seconds are not needed.

    Raises
    ------
    ConfigError
        If the submode is not known.
    """

    def __init__(self, seen: SeenTime) -> None:
        self._detector = DETECTORS[seen.instrument]
        self._windows = read_out(self._detector.camera, seen.submode)
        order = np.argsort(seen.lost)
        self._lost, self._share = seen.lost[order], seen.share[order]

    def at(self, detx: Floats, dety: Floats) -> tuple[NDArray[np.uint8], Floats]:
        """CCDNR, 0 where there is none, and share of its live time, of places of any shape."""
        ccdnr, share = np.zeros(detx.shape, np.uint8), np.zeros(detx.shape)
        inside = self._detector.in_field(detx, dety)
        if inside.any():
            pixels = self._detector.raw_from_detector(detx[inside], dety[inside])
            kept = (pixels[0] > 0) & self._windows.reads(*pixels)
            share[inside] = kept * (1 - lost_share(pixel_codes(*pixels), self._lost, self._share))
            ccdnr[inside] = pixels[0] * kept
        return ccdnr, share


@lru_cache(maxsize=16)
def unused_pixels(instrument: str, submode: str) -> Integers:
    """Pixels of which the selection takes no events, as `exod.observation.availability` codes them.

    Examples
    --------
    >>> len(unused_pixels("EMOS1", "PrimeFullWindow")), len(unused_pixels("EPN", "PrimeFullWindow"))
    (0, 37863)
    """
    camera = CAMERAS[instrument]
    ends = (camera.n_ccds, camera.n_columns, camera.n_rows)
    ccdnr, rawx, rawy = (value.ravel() for value in np.indices(ends, np.int32) + 1)
    no = np.zeros(len(ccdnr), np.int32)
    pixels = EventList(
        no.astype(float),
        no,
        no,
        no.astype(np.int16),
        ccdnr.astype(np.uint8),
        rawx.astype(np.int16),
        rawy.astype(np.int16),
        no.astype(np.uint8),
        no,
    )
    left_out = ~camera.is_usable(pixels, submode)
    return np.asarray(pixel_codes(ccdnr[left_out], rawx[left_out], rawy[left_out]))


def lost_share(codes: Integers, lost: Integers, share: Floats) -> Floats:
    """Share of the time for which pixels were lost; `lost` ascends."""
    if not len(lost):
        return np.zeros(len(codes))
    place = np.minimum(np.searchsorted(lost, codes), len(lost) - 1)
    return np.where(lost[place] == codes, share[place], 0.0)


def _light(seen: SeenTime, grid: MapGrid) -> NDArray[np.float64]:
    """Vignetting in the middles of the pixels."""
    middle = grid.places(1)
    places = DETECTORS[seen.instrument].detector_from_sky(*np.meshgrid(middle, middle), seen.pa_pnt)
    return VIGNETTING[seen.instrument].at_nodes(*places)
