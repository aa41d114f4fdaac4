"""Places on the detector: sky positions turned back by the position angle of the pointing.

Method: method.md, Hot regions.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats

POINTING_PIXEL: Final = 25719.0
"""X and Y of the published pointing, for observations whose own reference pixel is unknown."""

UNIT_ARCSEC: Final = 0.05
"""Unit of positions on the detector: a sky pixel of XMM-Newton, whatever those of an observation
are."""


def detector_position(
    x: ArrayLike,
    y: ArrayLike,
    pa_deg: ArrayLike,
    x_ref: ArrayLike,
    y_ref: ArrayLike,
    pixel_arcsec: float = UNIT_ARCSEC,
) -> tuple[Floats, Floats]:
    """Turn sky pixels back into a frame that is at rest in the detector.

    Parameters
    ----------
    x, y : array_like
        Sky pixels.
    pa_deg : array_like
        Position angle of the pointing, degrees.
    x_ref, y_ref : array_like
        Sky pixel of the pointing; `POINTING_PIXEL` where it is NaN.
    pixel_arcsec : float
        Size of a sky pixel; NaN is taken for `UNIT_ARCSEC`.

    Returns
    -------
    x_det, y_det : ndarray of float64
        Distance from the pointing in units of `UNIT_ARCSEC`, in the shape of the inputs together;
        NaN where the position or the angle is.

    Examples
    --------
    >>> x, y = detector_position(25821.0, 25921.0, 90.0, 25921.0, 25921.0)
    >>> bool(abs(x) < 1e-9), round(float(y), 6)
    (True, 100.0)
    """
    angle = -np.deg2rad(np.asarray(pa_deg, np.float64))
    reference = (np.asarray(value, np.float64) for value in (x_ref, y_ref))
    x_0, y_0 = (np.where(np.isfinite(value), value, POINTING_PIXEL) for value in reference)
    scale = pixel_arcsec / UNIT_ARCSEC if np.isfinite(pixel_arcsec) else 1.0
    dx, dy = (np.asarray(x, np.float64) - x_0) * scale, (np.asarray(y, np.float64) - y_0) * scale
    x_det, y_det = dx * np.cos(angle) - dy * np.sin(angle), dx * np.sin(angle) + dy * np.cos(angle)
    return np.asarray(x_det), np.asarray(y_det)


def about_pivot(
    x_det: ArrayLike,
    y_det: ArrayLike,
    pa_deg: ArrayLike,
    x_ref: ArrayLike,
    y_ref: ArrayLike,
    pivot: tuple[float, float],
    pixel_arcsec: float = UNIT_ARCSEC,
) -> tuple[Floats, Floats]:
    """Positions on the detector as if the sky had been turned about another sky pixel.

    Parameters
    ----------
    x_det, y_det : array_like
        What `detector_position` gives.
    pa_deg, x_ref, y_ref, pixel_arcsec
        As it was given.
    pivot : (float, float)
        The sky pixel, as (25719, 25719) of the published boxes.

    Returns
    -------
    x, y : ndarray of float64
        Distance from the pivot in units of `UNIT_ARCSEC`.

    Examples
    --------
    >>> there = detector_position(20000.0, 21000.0, 30.0, 25921.0, 25921.0)
    >>> x, y = about_pivot(*there, 30.0, 25921.0, 25921.0, (25719.0, 25719.0))
    >>> dx, dy, a = 20000.0 - 25719, 21000.0 - 25719, np.deg2rad(30.0)
    >>> bool(np.isclose(x, dx * np.cos(-a) - dy * np.sin(-a)))
    True
    """
    x_0, y_0 = detector_position(*pivot, pa_deg, x_ref, y_ref, pixel_arcsec)
    return np.asarray(x_det, np.float64) - x_0, np.asarray(y_det, np.float64) - y_0
