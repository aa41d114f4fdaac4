"""Places in exposures: sky pixels, times that are asked for, and the effective area there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from exod.instruments.detector import DETECTORS, focal_plane_of
from exod.instruments.vignetting import ENERGIES_KEV, VIGNETTING, Vignetting
from exod.observation.commonsky import sky_plane
from exod.schemas.arrays import EqualColumns, Floats, Indices, Mask
from exod.sensitivity.depth.depthmaps import ExposureDepth
from exod.sky.plane import TangentPlane


@dataclass(frozen=True)
class PlaceRows(EqualColumns):
    """Places in exposures, a row each, exposure by exposure.

    Attributes
    ----------
    exposure, place : ndarray of intp
        Their numbers.
    x, y : ndarray of float64
        Sky pixels.
    begin, end : ndarray of float64
        First and last second that is asked for and was observed.
    is_whole : ndarray of bool
        Whether that is all of the exposure.
    angle : ndarray of float64
        Off-axis angle in arcmin.
    response : ndarray of float64
        Counts of a second, with all of the light, for each erg/cm^2/s; NaN without a factor.
    """

    exposure: Indices
    place: Indices
    x: Floats
    y: Floats
    begin: Floats
    end: Floats
    is_whole: Mask
    angle: Floats
    response: Floats

    @classmethod
    def of(
        cls,
        depths: Sequence[ExposureDepth],
        band: int,
        places: ProjectedPlaces,
        start: Floats,
        stop: Floats,
        asked: Sequence[Indices],
    ) -> PlaceRows:
        """Those of the places that are in the boxes of exposures then, from start to stop, (n,).

        Each exposure is asked about some of the places.
        """
        exposure = np.repeat(np.arange(len(depths)), [len(own) for own in asked])
        place = np.concatenate(asked)
        pairs = list(zip(depths, asked, strict=True))
        x, y = _joined(places.on(depth.plane, own) for depth, own in pairs)
        first, last = np.array([depth.seconds for depth in depths])[exposure].T
        begin, end = np.maximum(start[place], first), np.minimum(stop[place], last)
        near = np.flatnonzero(_is_near(depths, exposure, x, y) & (begin < end))
        u, v = _joined(places.on(_pointing_plane(*own.pointing[:2]), some) for own, some in pairs)
        exposure = exposure[near]
        angle, light = _off_axis(depths, exposure, u[near], v[near])
        factor = np.array([depth.factor[band] for depth in depths])
        return cls(
            exposure,
            place[near],
            x[near],
            y[near],
            begin[near],
            end[near],
            ((begin == first) & (end == last))[near],
            angle,
            np.einsum("ij,ij->i", light, factor[exposure]),
        )


def _joined(parts: Iterable[tuple[Floats, Floats]]) -> Floats:
    """Coordinates of places, exposure by exposure, shape (2, n)."""
    return np.concatenate(list(parts), axis=1)


class ProjectedPlaces:
    """Places in the projections of exposures: those of an observation have most in common.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray of float64, shape (n,)
        The places.
    """

    def __init__(self, ra_deg: Floats, dec_deg: Floats) -> None:
        self._ra, self._dec = ra_deg, dec_deg
        self._known: dict[tuple[TangentPlane, int], tuple[Floats, Floats]] = {}

    def on(self, plane: TangentPlane, own: Indices) -> tuple[Floats, Floats]:
        """Sky pixels of some places; `own` lives as long as this: its identity tells it."""
        key = plane, id(own)
        if key not in self._known:
            self._known[key] = plane.to_pixel(self._ra[own], self._dec[own])
        return self._known[key]


def _off_axis(
    depths: Sequence[ExposureDepth], exposure: Indices, x: Floats, y: Floats
) -> tuple[Floats, Floats]:
    """Angles from the axis in arcmin, and the vignetting there, shape (n, 5); NaN if not known.

    Of sky pixels about the pointings of exposures.
    """
    angle, light = np.empty(len(x)), np.full((len(x), len(ENERGIES_KEV)), np.nan)
    is_known = np.array([depth.instrument in VIGNETTING for depth in depths])[exposure]
    own = np.flatnonzero(is_known)
    if len(own):
        cameras = _CAMERAS[[_NUMBERS.get(depth.instrument, 0) for depth in depths]]
        turned = np.array([depth.pointing[2] for depth in depths])[exposure[own]]
        axis, rotation, telescope = np.split(cameras[exposure[own]].T, (2, 3))
        place = focal_plane_of(x[own], y[own], turned + rotation[0], (axis[0], axis[1]))
        vignetting = Vignetting.of_numbers(telescope)
        angle[own] = vignetting.angle_arcmin(*place)
        light[own] = vignetting.at_nodes(*place)
    for one in np.unique(exposure[~is_known]).tolist():
        own, plane = np.flatnonzero(exposure == one), _pointing_plane(*depths[one].pointing[:2])
        offset = np.hypot(x[own] - plane.x_ref, y[own] - plane.y_ref)
        angle[own] = offset * plane.pixel_arcsec / 60
    return angle, light


_NUMBERS: Final = {camera: number for number, camera in enumerate(VIGNETTING)}
_CAMERAS: Final = np.array(
    [
        [*DETECTORS[camera].axis, DETECTORS[camera].rotation_deg, *vignetting.numbers]
        for camera, vignetting in VIGNETTING.items()
    ]
)
"""Axis and rotation of the focal plane of each camera, and the numbers of its vignetting."""


@lru_cache(maxsize=1024)
def _pointing_plane(ra_deg: float, dec_deg: float) -> TangentPlane:
    """Projection about a pointing; those used last are ready."""
    return sky_plane(ra_deg, dec_deg)


def _is_near(depths: Sequence[ExposureDepth], exposure: Indices, x: Floats, y: Floats) -> Mask:
    """Places in the boxes of their exposures; NaN is not."""
    edges = [
        [own.grid.width * edge for edge in (own.box.x_lo, own.box.x_hi, own.box.y_lo, own.box.y_hi)]
        for own in depths
    ]
    x_lo, x_hi, y_lo, y_hi = np.array(edges)[exposure].T
    return np.asarray((x >= x_lo) & (x < x_hi) & (y >= y_lo) & (y < y_hi))
