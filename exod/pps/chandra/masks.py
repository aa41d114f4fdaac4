"""Masks (msk1) of ACIS: where the CCDs of an observation were read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from exod.errors import InputError
from exod.observation.events import EventList
from exod.pps.chandra.names import companions
from exod.pps.fits.fitsfile import Header, open_fits
from exod.schemas.arrays import Mask

MOST_OUTSIDE: Final = 0.01
"""Share of the events that may lie outside of a mask; if more do, it is not theirs."""


def check_masks(path: Path, obsid: str, events: EventList) -> None:
    """Compare an event list with the mask that lies beside it, if there is one.

    Level 2 has no events where nothing was read, so that a mask changes nothing; one that leaves
    out events is of something else.

    Raises
    ------
    InputError
        If the mask is damaged, of another observation, or leaves out many of the events.
    """
    for mask in companions(path):
        if "_msk" not in mask.name:
            continue
        inside = np.zeros(len(events), bool)
        with open_fits(mask) as file:
            for hdu in file.extensions():
                if hdu.name != "MASK" or "CCD_ID" not in hdu.header:
                    continue
                said = Header(hdu.keywords, file.primary).text("OBS_ID").lstrip("0")
                if said != obsid:
                    raise InputError(
                        f"{mask.name} is the mask of observation {said or '(none)'}, not of "
                        f"{obsid}: remove it or fetch the right one."
                    )
                inside |= _read(hdu, events)
        if 1 - inside.mean() > MOST_OUTSIDE:
            raise InputError(
                f"{mask.name} leaves out {int((~inside).sum()):,} of the {len(events):,} events "
                f"of {path.name}: it is not their mask; remove it or fetch the right one."
            )


def _read(hdu: Any, events: EventList) -> Mask:
    """Events in the window of a CCD that was read, shape (n_events,)."""
    # The first row is what is in; the others take out what is outside of it.
    rows = hdu.vectors({"CHIPX": ">i2", "CHIPY": ">i2"})
    (x_lo, x_hi), (y_lo, y_hi) = rows["CHIPX"][0], rows["CHIPY"][0]
    inside = events.ccdnr == int(hdu.header["CCD_ID"]) + 1
    inside &= (events.rawx >= x_lo) & (events.rawx <= x_hi)
    return np.asarray(inside & (events.rawy >= y_lo) & (events.rawy <= y_hi))
