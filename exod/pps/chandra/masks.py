"""Masks (msk1), bad pixels (bpix1) and fields of view (fov1) of ACIS beside an event list."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from exod.errors import InputError
from exod.instruments import ACIS
from exod.observation.events import EventList
from exod.pps.chandra.names import companions
from exod.pps.fits.fitsfile import Header, open_fits
from exod.schemas.arrays import Mask

MOST_OUTSIDE: Final = 0.01
"""Share of the events that may lie outside of a mask, or in bad pixels; if more do, it is not
theirs."""

_BLOCKS: Final = {"_msk1": "MASK", "_bpix1": "BADPIX", "_fov1": "FOV"}
"""Names of the extensions, by those of files."""


def check_masks(path: Path, obsid: str, events: EventList) -> None:
    """Compare an event list with the masks and bad pixels that lie beside it, if there are any.

    Level 2 has no events where nothing was read, nor in bad pixels, so that they change nothing;
    those that leave out events are of something else.

    Raises
    ------
    InputError
        If a file is damaged, of another observation, or leaves out many of the events.
    """
    for beside in companions(path):
        kind = next(kind for kind in _BLOCKS if kind in beside.name)
        outside = np.full(len(events), kind == "_msk1")
        with open_fits(beside) as file:
            for hdu in file.extensions():
                if not (hdu.name or "").startswith(_BLOCKS[kind]):
                    continue
                said = Header(hdu.keywords, file.primary).text("OBS_ID").lstrip("0")
                if said != obsid:
                    raise InputError(
                        f"{beside.name} is of observation {said or '(none)'}, not of {obsid}: "
                        f"remove it or fetch the right one."
                    )
                if kind == "_msk1" and "CCD_ID" in hdu.header:
                    outside &= ~_read(hdu, events)
                elif kind == "_bpix1" and "CCD_ID" in hdu.header and hdu.n_rows:
                    outside |= _is_bad(hdu, events)
        if outside.mean() > MOST_OUTSIDE:
            raise InputError(
                f"{beside.name} leaves out {int(outside.sum()):,} of the {len(events):,} events "
                f"of {path.name}: it is not theirs; remove it or fetch the right one."
            )


def _read(hdu: Any, events: EventList) -> Mask:
    """Events in the window of a CCD that was read, shape (n_events,)."""
    # The first row is what is in; the others take out what is outside of it.
    rows = hdu.vectors({"CHIPX": ">i2", "CHIPY": ">i2"})
    (x_lo, x_hi), (y_lo, y_hi) = rows["CHIPX"][0], rows["CHIPY"][0]
    inside = events.ccdnr == int(hdu.header["CCD_ID"]) + 1
    inside &= (events.rawx >= x_lo) & (events.rawx <= x_hi)
    return np.asarray(inside & (events.rawy >= y_lo) & (events.rawy <= y_hi))


def _is_bad(hdu: Any, events: EventList) -> Mask:
    """Events in bad pixels of a CCD while these are bad, shape (n_events,)."""
    wanted = {"CHIPX": ">i2", "CHIPY": ">i2", "TIME": ">f8"}
    rows = hdu.vectors({name: kind for name, kind in wanted.items() if name in hdu.columns})
    # Those that become bad later, than in the first frames, had good events before.
    start = events.time.min(initial=np.inf) + 4 * ACIS.frame_time
    known = rows["TIME"][:, 0] <= start if "TIME" in rows else np.ones(hdu.n_rows, bool)
    bad = np.zeros((ACIS.n_columns + 1, ACIS.n_rows + 1), bool)
    for x, y in zip(rows["CHIPX"][known].tolist(), rows["CHIPY"][known].tolist(), strict=True):
        bad[max(x[0], 0) : x[-1] + 1, max(y[0], 0) : y[-1] + 1] = True
    column, row = np.clip(events.rawx, 0, ACIS.n_columns), np.clip(events.rawy, 0, ACIS.n_rows)
    return np.asarray((events.ccdnr == int(hdu.header["CCD_ID"]) + 1) & bad[column, row])
