"""Images of CCDs in their own pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exod.instruments import Instrument
from exod.observation.events import EventList


def ccd_images(events: EventList, camera: Instrument) -> dict[int, NDArray[np.int32]]:
    """Counts of each pixel of each CCD.

    Parameters
    ----------
    events : EventList
        Events of an exposure of the camera; those beyond its pixels are left out.
    camera : Instrument
        The camera.

    Returns
    -------
    dict of int to ndarray of int32, shape (n_rows, n_columns)
        By the number of the CCD, from 1; the pixel RAWX, RAWY, which count from 1, has the index
        [RAWY - 1, RAWX - 1].
    """
    shape = (camera.n_rows, camera.n_columns)
    row, column = events.rawy.astype(int) - 1, events.rawx.astype(int) - 1
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    images = {}
    for number in range(1, camera.n_ccds + 1):
        own = inside & (events.ccdnr == number)
        flat = row[own] * shape[1] + column[own]
        counts = np.bincount(flat, minlength=shape[0] * shape[1])
        images[number] = counts.reshape(shape).astype(np.int32)
    return images
