"""Geometry of the EPIC cameras: chip pixels, detector coordinates, sky pixels.

Three frames of coordinates, all as in real event lists:

* RAWX, RAWY, CCDNR: pixel of a chip, from 1; pixel centres are whole numbers.
* DETX, DETY: the focal plane of one camera in units of 0.05 arcsec.
* X, Y: sky pixels of 0.05 arcsec, with the pointing at (25921, 25921).

The numbers were measured on real event lists. MOS chips: fit of DETX, DETY to the pixels of each
chip in observation 0001730201; the remaining scatter is that of the pipeline's randomisation
inside a pixel. pn: the pixel is 150 micrometres at a focal length of 7.49 m; pitch and rows
follow from the legal limits of DETX and DETY in pn headers (observation 0916810801) and agree with
the events of CCDs 2 and 5 there and in 0932190801 to 7 units (0.35 arcsec). The numbering of the
lower row of pn chips follows from the bad columns of CCDs 7 and 11, which are seen in the image
of 0001730201.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exod.errors import ConfigError
from exod.instruments import EMOS1, EMOS2, EPN
from exod.instruments.epic import SKY_PIXEL_ARCSEC, EpicCamera
from exod.schemas.arrays import Floats, Integers, Mask

POINTING_PIXEL: Final = 25921.0
"""X and Y of the pointing direction (REFXCRPX, REFYCRPX)."""

_PN_PIXEL = 82.57
_MOS_PIXEL = 22.02


@dataclass(frozen=True)
class Chip:
    """Where a chip lies in the focal plane.

    ``DETX = x0 + pixel * (axes[0] * RAWX + axes[1] * RAWY)``, and DETY likewise with `y0` and
    ``axes[2:]``; each axis is -1, 0 or 1.

    Attributes
    ----------
    ccdnr : int
        CCD number, from 1.
    x0, y0 : float
        DETX and DETY of the pixel (0, 0), in 0.05 arcsec.
    axes : tuple of int
        Directions of RAWX and RAWY.
    """

    ccdnr: int
    x0: float
    y0: float
    axes: tuple[int, int, int, int]


@dataclass(frozen=True)
class Detector:
    """The focal plane of a camera.

    Attributes
    ----------
    camera : EpicCamera
        Its constants.
    chips : tuple of Chip
        In order of CCDNR; where chips overlap (the rims of outer MOS chips), the first counts.
    pixel : float
        Size of a chip pixel in DETX units of 0.05 arcsec.
    rotation_deg : float
        Angle to add to PA_PNT, see `sky_from_detector`.
    axis : tuple of float
        DETX and DETY of the pointing direction.
    field : tuple of float
        Centre (DETX, DETY) and radius of the field of view; outside, no X-rays arrive.
    """

    camera: EpicCamera
    chips: tuple[Chip, ...]
    pixel: float
    rotation_deg: float
    axis: tuple[float, float]
    field: tuple[float, float, float]

    @cached_property
    def _chip_table(self) -> Floats:
        """Rows x0, y0 and the four axes by CCDNR, shape (n_ccds + 1, 6); row 0 is unused."""
        rows = [[0.0] * 6] + [[chip.x0, chip.y0, *chip.axes] for chip in self.chips]
        return np.array(rows)

    def detector_from_raw(
        self, ccdnr: ArrayLike, rawx: ArrayLike, rawy: ArrayLike
    ) -> tuple[Floats, Floats]:
        """DETX and DETY of chip pixels (fractions allowed; arrays of one shape).

        Examples
        --------
        >>> x, y = DETECTORS["EPN"].detector_from_raw(5, 1, 2)
        >>> float(x), float(y)
        (8488.0, 15325.0)
        """
        x0, y0, xx, xy, yx, yy = np.moveaxis(self._chip_table[np.asarray(ccdnr)], -1, 0)
        rawx, rawy = np.asarray(rawx), np.asarray(rawy)
        return x0 + self.pixel * (xx * rawx + xy * rawy), y0 + self.pixel * (yx * rawx + yy * rawy)

    def raw_from_detector(
        self, detx: ArrayLike, dety: ArrayLike
    ) -> tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.int16]]:
        """Chip pixels at positions of the focal plane.

        Parameters
        ----------
        detx, dety : array_like of float, shape (n,)
            Positions in 0.05 arcsec.

        Returns
        -------
        ccdnr : ndarray of uint8, shape (n,)
            CCD number; 0 where there is no chip (a gap, or outside).
        rawx, rawy : ndarray of int16, shape (n,)
            Pixel; 0 where there is no chip.
        """
        detx, dety = np.atleast_1d(detx).astype(float), np.atleast_1d(dety).astype(float)
        ccdnr = np.zeros(detx.shape, np.uint8)
        rawx, rawy = np.zeros(detx.shape, np.int16), np.zeros(detx.shape, np.int16)
        for chip in self.chips:
            u, v = (detx - chip.x0) / self.pixel, (dety - chip.y0) / self.pixel
            xx, xy, yx, yy = chip.axes
            px, py = np.rint(xx * u + yx * v), np.rint(xy * u + yy * v)
            inside = (
                (px >= 1) & (px <= self.camera.n_columns) & (py >= 1) & (py <= self.camera.n_rows)
            )
            inside &= ccdnr == 0
            ccdnr[inside] = chip.ccdnr
            rawx[inside], rawy[inside] = px[inside], py[inside]
        return ccdnr, rawx, rawy

    def sky_from_detector(
        self, detx: ArrayLike, dety: ArrayLike, pa_pnt: float
    ) -> tuple[Floats, Floats]:
        """Sky pixels (X, Y) of positions in the focal plane.

        With ``a = pa_pnt + rotation_deg`` and (u, v) counted from `axis`:
        ``X = 25921 + u cos a + v sin a`` and ``Y = 25921 + u sin a - v cos a``. The handedness
        changes because the focal plane is seen from behind the sky.

        Parameters
        ----------
        detx, dety : array_like of float
            Positions in 0.05 arcsec, any shape.
        pa_pnt : float
            Position angle of the pointing (PA_PNT) in degrees.
        """
        angle = np.deg2rad(pa_pnt + self.rotation_deg)
        u, v = np.asarray(detx) - self.axis[0], np.asarray(dety) - self.axis[1]
        x = POINTING_PIXEL + u * np.cos(angle) + v * np.sin(angle)
        y = POINTING_PIXEL + u * np.sin(angle) - v * np.cos(angle)
        return x, y

    def detector_from_sky(self, x: ArrayLike, y: ArrayLike, pa_pnt: float) -> tuple[Floats, Floats]:
        """DETX and DETY of sky pixels: the inverse of `sky_from_detector`."""
        return focal_plane_of(x, y, pa_pnt + self.rotation_deg, self.axis)

    def in_field(self, detx: ArrayLike, dety: ArrayLike) -> Mask:
        """Whether positions in the focal plane see the sky (any shape)."""
        x, y, radius = self.field
        return np.asarray(np.hypot(np.asarray(detx) - x, np.asarray(dety) - y) <= radius)

    def off_axis_arcmin(self, detx: ArrayLike, dety: ArrayLike) -> Floats:
        """Angle from the pointing direction in arcmin (any shape)."""
        distance = np.hypot(np.asarray(detx) - self.axis[0], np.asarray(dety) - self.axis[1])
        return np.asarray(distance * SKY_PIXEL_ARCSEC / 60)

    @cached_property
    def field_pixels(self) -> float:
        """Number of chip pixels inside the field of view."""
        return self.weigh_pixels(lambda detx, _dety: np.ones_like(detx))

    def weigh_pixels(self, weight: Callable[[Floats, Floats], Floats]) -> float:
        """Sum of a function of DETX and DETY over the pixels inside the field of view.

        Every fourth pixel of each axis is taken.
        """
        step = 4
        last = (self.camera.n_columns, self.camera.n_rows)
        x, y = np.meshgrid(*(np.arange(1, number + 1, step) for number in last))
        total = 0.0
        for chip in self.chips:
            place = self.detector_from_raw(chip.ccdnr, x, y)
            total += float(np.sum(weight(*place) * self.in_field(*place)))
        return total * step**2


def focal_plane_of(
    x: ArrayLike, y: ArrayLike, angle_deg: ArrayLike, axis: tuple[float | Floats, float | Floats]
) -> tuple[Floats, Floats]:
    """DETX and DETY of sky pixels, for which each may have a camera of its own.

    Parameters
    ----------
    x, y : array_like of float
        Sky pixels about the pointing, any shape.
    angle_deg : array_like of float
        PA_PNT and `Detector.rotation_deg`.
    axis : tuple of float or ndarray
        `Detector.axis`.
    """
    angle = np.deg2rad(angle_deg)
    dx, dy = np.asarray(x) - POINTING_PIXEL, np.asarray(y) - POINTING_PIXEL
    cosine, sine = np.cos(angle), np.sin(angle)
    return axis[0] + (dx * cosine + dy * sine), axis[1] + (dx * sine - dy * cosine)


@dataclass(frozen=True)
class ReadOut:
    """How a submode reads the chips.

    Attributes
    ----------
    frame_time : ndarray of float64, shape (n_ccds + 1,)
        Integration time in seconds by CCDNR; entry 0 is unused.
    windows : ndarray of int64, shape (n_ccds + 1, 4)
        First and last RAWX, first and last RAWY that are read, by CCDNR; row 0 is empty.
    out_of_time : float
        Share of the photons that arrive while the image is shifted to the read-out (UHB section
        3.3.10); 0 for MOS, whose frame store makes it 0.35 per cent.
    """

    frame_time: Floats
    windows: Integers
    out_of_time: float = 0.0

    def reads(
        self, ccdnr: NDArray[np.uint8], rawx: NDArray[np.int16], rawy: NDArray[np.int16]
    ) -> Mask:
        """Whether the submode reads the pixels (shape (n,))."""
        x_lo, x_hi, y_lo, y_hi = self.windows[ccdnr].T
        return np.asarray((rawx >= x_lo) & (rawx <= x_hi) & (rawy >= y_lo) & (rawy <= y_hi))


def read_out(camera: EpicCamera, submode: str) -> ReadOut:
    """Frame times and windows of a submode (UHB section 3.3.2, table 3).

    MOS partial windows shorten and shrink the central chip only; they are taken as centred.

    Raises
    ------
    ConfigError
        If the simulator does not know the submode.
    """
    times = np.full(camera.n_ccds + 1, camera.frame_time)
    whole = [1, camera.n_columns, camera.first_row, camera.n_rows]
    windows = np.tile(whole, (camera.n_ccds + 1, 1))
    windows[0] = [1, 0, 1, 0]
    out_of_time = 0.063 if camera.is_pn else 0.0
    match camera.is_pn, submode:
        case _, "PrimeFullWindow":
            pass
        case True, "PrimeFullWindowExtended":
            times[:], out_of_time = 0.1992, 0.023
        case True, "PrimeLargeWindow":
            times[:], out_of_time = 0.0477, 0.0016
            windows[1:, 2] = 101
        case False, "PrimePartialW2":
            times[1], windows[1] = 0.3, [251, 350, 251, 350]
        case False, "PrimePartialW3":
            times[1], windows[1] = 0.9, [151, 450, 151, 450]
        case _:
            raise ConfigError(
                f"The simulator does not know the submode {submode!r} of {camera.name}; "
                "use PrimeFullWindow."
            )
    return ReadOut(times, windows, out_of_time)


def _pn_chips() -> tuple[Chip, ...]:
    """Two rows of six; CCDs 1-6 are read out at the top, 7-12 at the bottom (UHB figure 22)."""
    left, right, bottom, top, pitch = -18283.0, 13880.0, -17527.0, 15325.0, 5392.0
    chips = []
    for i, ccdnr in enumerate((3, 2, 1, 4, 5, 6)):
        x0, y0 = right - (5 - i) * pitch + _PN_PIXEL, top + 2 * _PN_PIXEL
        chips.append(Chip(ccdnr, x0, y0, (-1, 0, 0, -1)))
    for i, ccdnr in enumerate((12, 11, 10, 7, 8, 9)):
        x0, y0 = left + i * pitch - _PN_PIXEL, bottom - 2 * _PN_PIXEL
        chips.append(Chip(ccdnr, x0, y0, (1, 0, 0, 1)))
    return tuple(sorted(chips, key=lambda chip: chip.ccdnr))


def _mos_chips(*origins: tuple[float, float]) -> tuple[Chip, ...]:
    """The central chip upright, 2-4 turned left, 5-7 turned right."""
    axes = [(1, 0, 0, 1)] + [(0, -1, 1, 0)] * 3 + [(0, 1, -1, 0)] * 3
    return tuple(Chip(i + 1, *origin, axes[i]) for i, origin in enumerate(origins))


DETECTORS: Final = MappingProxyType(
    {
        "EPN": Detector(
            camera=EPN,
            chips=_pn_chips(),
            pixel=_PN_PIXEL,
            rotation_deg=90.21,
            axis=(-1083.5, 1490.0),
            field=(-2200.0, -1110.0, 17980.0),
        ),
        "EMOS1": Detector(
            camera=EMOS1,
            chips=_mos_chips(
                (-6616.9, -6616.9),
                (13125.0, -20174.0),
                (19883.2, -6922.3),
                (13188.5, 6409.1),
                (-13028.8, 19721.0),
                (-19797.0, 6518.1),
                (-13143.1, -6844.9),
            ),
            pixel=_MOS_PIXEL,
            rotation_deg=180.0,
            axis=(-1415.6, -1360.9),
            field=(100.0, -255.0, 17190.0),
        ),
        "EMOS2": Detector(
            camera=EMOS2,
            chips=_mos_chips(
                (-6616.9, -6616.9),
                (13255.0, -20029.1),
                (19989.4, -6851.6),
                (13227.8, 6522.1),
                (-13200.6, 19788.6),
                (-19858.1, 6550.8),
                (-13319.1, -6813.5),
            ),
            pixel=_MOS_PIXEL,
            rotation_deg=-90.29,
            axis=(1184.1, -1637.7),
            field=(-58.0, -348.0, 17120.0),
        ),
    }
)
"""The focal planes by INSTRUME; the field of pn is the circle of the XMM-ESAS cookbook."""
