"""For how long places of the sky were seen by CCDs over which the pointing moved.

A place crosses pixels of a CCD while the pointing moves. How long it was on pixels that were read
is the same for all places that are at the same pixel without the motion: the shape of the CCD,
smeared with the time that the motion spent at each offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from exod.observation.aspect import Aspect, ChipMap
from exod.observation.commonsky import sky_plane
from exod.observation.livetime import LiveCurve
from exod.schemas.arrays import Floats
from exod.sensitivity.exposuremaps import View
from exod.sky.plane import TangentPlane

STEP_SECONDS: Final = 10.0
"""Time in which the pointing is taken to stand still; it moves by 0.5 arcsec."""

_NEARLY: Final = 1e-4
"""Shares of the time that differ from 0 or 1 by less do so by rounding."""


@dataclass(frozen=True, eq=False)
class DitheredTime:
    """What an exposure with a moving pointing had of its time, as `SeenTime` of a steady one.

    Attributes
    ----------
    instrument : str
        Camera.
    aspect : Aspect
        The motion, and the CCDs.
    plane : TangentPlane
        Projection of the sky pixels of the aspect.
    pointing : (float, float)
        Right ascension and declination in degrees.
    curves : mapping of int to LiveCurve
        When each CCD was live; one that is not there was off.
    """

    instrument: str
    aspect: Aspect
    plane: TangentPlane
    pointing: tuple[float, float]
    curves: Mapping[int, LiveCurve]

    @property
    def live(self) -> dict[int, float]:
        """Live seconds by CCD."""
        return {ccd: curve.seconds for ccd, curve in self.curves.items()}

    @property
    def usable(self) -> DitheredTime:
        """The same: all pixels that are read are used."""
        return self

    def view(self) -> View:
        """Which CCD saw places most, and for what share of its live time any did."""
        pointing = sky_plane(*self.pointing)

        def saw(x: Floats, y: Floats) -> tuple[NDArray[np.uint8], Floats]:
            places = self.plane.to_pixel(*pointing.to_sky(x, y))
            return self._at(*(np.asarray(value, float) for value in places))

        return saw

    def _at(self, x: Floats, y: Floats) -> tuple[NDArray[np.uint8], Floats]:
        ccdnr = np.zeros(x.shape, np.uint8)
        most, seconds = np.zeros(x.shape), np.zeros(x.shape)
        for number, (image, first) in self._images.items():
            matrix = self.aspect.chips[number].matrix
            column, row = (np.rint(a * x + b * y + c - first) for a, b, c in matrix)
            inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
            own = np.zeros(x.shape)
            own[inside] = image[row[inside].astype(np.intp), column[inside].astype(np.intp)]
            own *= self.curves[number].seconds
            ccdnr = np.where(own > most, np.uint8(number), ccdnr)
            most = np.maximum(most, own)
            seconds += own
        live = np.zeros(256)
        live[list(self.curves)] = [curve.seconds for curve in self.curves.values()]
        return ccdnr, np.divide(seconds, live[ccdnr], out=seconds * 0, where=ccdnr > 0)

    @cached_property
    def _images(self) -> dict[int, tuple[NDArray[np.float32], int]]:
        """Of each CCD the share of the time by row and column, and the first of these."""
        return {
            number: self._smeared(chip, self.curves[number])
            for number, chip in self.aspect.chips.items()
            if number in self.curves and self.curves[number].seconds > 0
        }

    def _smeared(self, chip: ChipMap, curve: LiveCurve) -> tuple[NDArray[np.float32], int]:
        start, stop = curve.pieces[0, 0], curve.pieces[-1, 1]
        edges = np.append(np.arange(start, stop, STEP_SECONDS), stop)
        live = np.diff(curve.at(edges))
        motion = np.stack(self.aspect.motion_at((edges[1:] + edges[:-1]) / 2))
        column, row = np.rint(chip.matrix[:, :2] @ motion).astype(np.int64)
        reach = int(np.abs([column, row]).max(initial=0))
        side = 2 * reach + 1
        spent = np.bincount((row + reach) * side + column + reach, live, side**2)
        read = np.zeros([int(size) + 1 for size in chip.high[::-1]])
        (first_column, first_row), bad = chip.low.astype(int), np.flatnonzero(chip.bad)
        read[first_row:, first_column:] = 1
        read[:, bad[bad < read.shape[1]]] = 0
        # A place at a column is at this one plus the motion.
        share = fftconvolve(read, spent.reshape(side, side)[::-1, ::-1]) / max(live.sum(), 1e-300)
        share = np.where(np.abs(share - np.rint(share)) < _NEARLY, np.rint(share), share)
        return share.astype(np.float32), -reach
