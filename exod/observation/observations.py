"""An observation as the search takes it: its subsets, what was left out, the sources known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from exod.errors import ExposureRejected, InputError
from exod.observation.events import EventList, Exposure, SelectedEvents
from exod.observation.subsets import MergedEvents

LONGEST_EXPOSURE: Final = 2.0 * 86400.0
"""No exposure lasts longer than a revolution, 48 h (XMM-Newton Users' Handbook), in seconds."""


@dataclass(frozen=True)
class Rejected:
    """An event list that is not searched, with the reason; exposure is None if unreadable."""

    filename: str
    reason: str
    exposure: Exposure | None = None
    selected: SelectedEvents | None = None


@dataclass(frozen=True)
class Observation:
    """What the search needs of an observation.

    Attributes
    ----------
    obsid : str
        Observation identifier.
    subsets : tuple of MergedEvents
        Groups of overlapping exposures.
    selected : tuple of SelectedEvents
        The exposures in them; their events are dropped to save memory.
    n_selected : dict of str to int
        Events of each exposure after the selection, by file name.
    hot_pixels : dict of str to DataFrame
        Rejected pixels by file name, as of `exod.observation.hotpixels.find_hot_pixels`.
    rejected : tuple of Rejected
        Event lists left out.
    sources : DataFrame
        Known sources: ra_deg, dec_deg, det_ml, extent_arcsec, rate, mask_radius_arcsec.
    source_list : str
        File name of the source list; empty if there is none.
    notes : tuple of str
        What was unusual.
    """

    obsid: str
    subsets: tuple[MergedEvents, ...]
    selected: tuple[SelectedEvents, ...]
    n_selected: dict[str, int]
    hot_pixels: dict[str, pd.DataFrame]
    rejected: tuple[Rejected, ...]
    sources: pd.DataFrame
    source_list: str
    notes: tuple[str, ...] = ()

    @property
    def why_not(self) -> str:
        """Why event lists were left out, or that there are none."""
        reasons = " ".join(item.reason for item in self.rejected)
        return reasons if reasons or self.subsets else "There is no event list."


def check_times(exposure: Exposure, events: EventList) -> None:
    """Refuse a list without times.

    Raises
    ------
    ExposureRejected
        If no event has a time.
    """
    if not len(events):
        raise ExposureRejected(f"{exposure.filename} has no events.")
    if not np.isfinite(events.time).any():
        raise ExposureRejected(f"{exposure.filename} has no event with a time.")


def check_length(selected: SelectedEvents) -> None:
    """Refuse times that no exposure can have, before they become billions of frames.

    Raises
    ------
    InputError
        If they are further apart than `LONGEST_EXPOSURE`.
    """
    length = selected.time_max - selected.time_min
    if length > LONGEST_EXPOSURE:
        raise InputError(
            f"{selected.exposure.filename} has times {length:.3g} s apart, more than a revolution "
            f"of the satellite lasts: TIME is damaged; fetch it again."
        )
