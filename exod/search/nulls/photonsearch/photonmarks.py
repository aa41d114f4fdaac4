"""What each photon says of a burst: its background by place, camera, energy and time.

All of it is estimated from the observation itself (docs/ideal.md). Given where a photon fell, in
which camera and with which energy, chance decides when: times are independent, as the level of the
background is, within each class of time. So nothing that is said here makes false alarms that
shuffled times would not make, too; what is wrong costs counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from exod.observation.events import Exposure
from exod.observation.subsets import MergedEvents
from exod.schemas.arrays import Floats
from exod.search.nulls.photonsearch.photonbackground import Profile
from exod.search.nulls.photonsearch.photonimages import PhotonsByPlace
from exod.search.nulls.photonsearch.photonlevels import Levels
from exod.sensitivity.profiles import MeanProfile

MEDIANS_KEV: Final = (0.7, 1.3, 3.0)
SPECTRUM_WIDTH: Final = 0.65
"""Spectra of bursts: log-normal, with these medians and this width (natural logarithm)."""

ENERGY_STEPS: Final = 60
"""Steps of the spectra, equally wide in the logarithm."""

ANGLE_STEP_ARCMIN: Final = 1.0
"""Step of the off-axis angle in the table of profiles."""

ENERGY_KEV: Final = 1.5
"""Energy at which profiles are taken."""


@dataclass(frozen=True)
class Marks:
    """The photons of a subset as the scan takes them, arrays of shape (n,) in order of time.

    Attributes
    ----------
    event : ndarray of int32
        Which events of the subset.
    time : ndarray of float64
        Live time, seconds from 0.
    x, y : ndarray of float64
        Place, arcsec from the corner of the field.
    camera : ndarray of int16
        Exposure.
    v : ndarray of float32, shape (n, n_spectra)
        Density of a burst of one count in camera and energy over the background of the whole class
        of time there, arcsec^2: times the profile it is the share of the burst.
    piece : ndarray of int16
        Class of time, of each group of CCDs: the number of the group times that of the classes, and
        the class.
    kind : ndarray of int16
        Which level they have as far as they are background, as of `TimedPhotons`.
    steady : ndarray of float32
        Share of constant sources in what is expected there: their level is constant.
    """

    event: NDArray[np.int32]
    time: Floats
    x: Floats
    y: Floats
    camera: NDArray[np.int16]
    v: NDArray[np.float32]
    piece: NDArray[np.int16]
    kind: NDArray[np.int16]
    steady: NDArray[np.float32]


@dataclass(frozen=True)
class PhotonField:
    """What is known of a subset apart from the times of its photons.

    Attributes
    ----------
    marks : Marks
        The photons.
    levels : Levels
        When they come.
    profiles : ndarray of float64, shape (n_cameras, n_angles, n_radii)
        Point spread functions by off-axis angle, for a square arcsec.
    shares : ndarray of float64, shape (n_cameras,)
        Shares of the cameras in the photons of a source.
    axis : (float, float)
        The optical axis, arcsec from the corner of the field.
    expected : ndarray of float64, shape (y, x)
        Background counts that are weighed together for a place, in pixels of `PIXEL_ARCSEC`.
    brightness : ndarray of float64, shape (y, x)
        With sources over without them, as `expected`; at least 1.
    area : float
        Square arcsec over which they are.
    enclosed : float
        Share of a burst within reach of its place.
    shape : (int, int)
        Rows and columns of tiles.
    corner : (float, float)
        The corner of the field along x and y, arcsec from the first sky pixel.
    """

    marks: Marks
    levels: Levels
    profiles: Floats
    shares: Floats
    axis: tuple[float, float]
    expected: Floats
    brightness: Floats
    area: float
    enclosed: float
    shape: tuple[int, int]
    corner: tuple[float, float]

    @cached_property
    def places(self) -> PhotonsByPlace:
        """Where its photons are."""
        return PhotonsByPlace.of(self.marks.x, self.marks.y)


def spectrum_shares(edges_kev: Floats) -> Floats:
    """Share of each template between energies, shape (n_spectra, n_steps).

    Examples
    --------
    >>> spectrum_shares(np.array([0.2, 12.0])).round(2).tolist()
    [[1.0], [1.0], [1.0]]
    """
    scaled = np.log(edges_kev / np.array(MEDIANS_KEV)[:, None]) / SPECTRUM_WIDTH
    parts = np.diff(ndtr(scaled), axis=1)
    return np.asarray(parts / parts.sum(axis=1, keepdims=True))


def camera_shares(exposures: Sequence[Exposure]) -> Floats:
    """Share of the photons of a source that each exposure has, shape (n_exposures,)."""
    weight = []
    for exposure in exposures:
        known = dict(exposure.camera.observatory.photon_shares)
        weight.append(known.get(exposure.camera.psf, 1.0))
    return np.array(weight) / np.sum(weight)


def profile_table(exposures: Sequence[Exposure], reach: float, nodes: float) -> Floats:
    """Profiles by off-axis angle and radius, shape (n_cameras, n_angles, n_radii)."""
    radius = np.arange(int(reach * nodes) + 3) / nodes
    angles = np.arange(0.0, 17.0, ANGLE_STEP_ARCMIN)
    return np.array(
        [[profile_at(exposure, float(angle))(radius) for angle in angles] for exposure in exposures]
    )


def profile_at(exposure: Exposure, angle: float) -> Profile:
    """The point spread function of an exposure at an off-axis angle in arcmin."""
    step = ANGLE_STEP_ARCMIN * round(angle / ANGLE_STEP_ARCMIN)
    return MeanProfile(((exposure.camera.psf, 1.0),), ENERGY_KEV, step).density


def optical_axis(events: MergedEvents) -> tuple[float, float]:
    """The pointing in sky pixels, or the middle of the projection where no header has it."""
    for exposure in events.exposures:
        if np.isfinite([exposure.ra_pnt, exposure.dec_pnt]).all():
            x, y = events.plane.to_pixel(exposure.ra_pnt, exposure.dec_pnt)
            return float(x), float(y)
    return events.plane.x_ref, events.plane.y_ref
