"""Exposure maps: for how long each place of the sky was seen, and by how much of the telescope.

In go the camera, its position angle, how long each CCD was live and which pixels were lost; out
come seconds for each pixel of an image of the sky. Chips, their gaps, windows and lost pixels are
those of the focal plane; vignetting is that of the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.instruments.detector import DETECTORS, Detector, read_out
from exod.instruments.vignetting import VIGNETTING
from exod.observation.availability import pixel_codes
from exod.observation.commonsky import sky_plane
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
    """

    plane: TangentPlane
    width: float

    @classmethod
    def of(cls, ra_pnt: float, dec_pnt: float, pixel_arcsec: float) -> MapGrid:
        """About a pointing in degrees."""
        plane = sky_plane(ra_pnt, dec_pnt)
        return cls(plane, pixel_arcsec / plane.pixel_arcsec)

    @property
    def n(self) -> int:
        """Pixels along a side."""
        return int(np.ceil(EXTENT / self.width))

    @property
    def projection(self) -> TangentPlane:
        """Projection of the pixels of the image."""
        return self.plane.in_cells(self.width)

    def places(self, samples: int) -> Floats:
        """X, or Y, of equally spaced places in each pixel, shape (n * samples,)."""
        return (np.arange(self.n * samples) + 0.5) / samples * self.width


@dataclass(frozen=True)
class SeenTime:
    """What an exposure had of its time.

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


@dataclass(frozen=True)
class ExposureMap:
    """Seconds for which pixels of the sky were seen.

    Attributes
    ----------
    on : ndarray of float64, shape (n_y, n_x)
        Without vignetting.
    light : ndarray of float64, shape (n_y, n_x, 5)
        Vignetting at the energies `exod.instruments.vignetting.ENERGIES_KEV`.
    """

    on: Floats
    light: Floats

    def band(self, number: int) -> Floats:
        """Seconds on the axis that see as much light of one of the pipeline's bands 1 to 5."""
        return self.on * self.light[..., number - 1]


def exposure_map(seen: SeenTime, grid: MapGrid) -> ExposureMap:
    """The exposure map of an exposure.

    Raises
    ------
    ConfigError
        If the submode is not known.
    """
    detector = DETECTORS[seen.instrument]
    on = np.zeros((grid.n, grid.n))
    fine = grid.places(SAMPLES)
    pixels = SeenPixels(seen)
    seconds = np.zeros(detector.camera.n_ccds + 1)
    for ccdnr, live in seen.live.items():
        seconds[ccdnr] = live
    # A row of pixels of the image at a time: all at once are 30 million numbers a column.
    for row in range(grid.n):
        y = fine[row * SAMPLES : (row + 1) * SAMPLES]
        chip, share = pixels.at(*detector.detector_from_sky(*np.meshgrid(fine, y), seen.pa_pnt))
        time = seconds[chip] * share
        on[row] = time.reshape(SAMPLES, grid.n, SAMPLES).mean(axis=(0, 2))
    return ExposureMap(on, _light(detector, seen, grid))


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


def lost_share(codes: Integers, lost: Integers, share: Floats) -> Floats:
    """Share of the time for which pixels were lost; `lost` ascends."""
    if not len(lost):
        return np.zeros(len(codes))
    place = np.minimum(np.searchsorted(lost, codes), len(lost) - 1)
    return np.where(lost[place] == codes, share[place], 0.0)


def _light(detector: Detector, seen: SeenTime, grid: MapGrid) -> NDArray[np.float64]:
    """Vignetting in the middles of the pixels."""
    middle = grid.places(1)
    places = detector.detector_from_sky(*np.meshgrid(middle, middle), seen.pa_pnt)
    return VIGNETTING[seen.instrument].at_nodes(*places)
