"""When the CCDs were live, from the extensions of an event list."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from exod.errors import InputError, plural
from exod.observation.events import EventList, Exposure
from exod.observation.livetime import LiveCurve, LiveTimes, live_curve
from exod.pps.fits.extensions import frames_of, good_times_of
from exod.pps.fits.fitshdu import Hdu
from exod.schemas.arrays import Floats

_EXTENSION = re.compile(r"(STDGTI|EXPOSU)(\d\d)")
_COLUMNS: Final = {"STDGTI": {"START", "STOP"}, "EXPOSU": {"TIME"}}

MOST_OUTSIDE: Final = 0.01
"""Share of the events of a CCD that may lie outside its live time; if more do, it is not that."""

_FRAMES_OF_SLACK: Final = 1.0
"""Events are spread over their frame: so many frames they may lie beside the live time."""


class LiveTables:
    """Collects what an event list says of live times: ``STDGTInn`` and ``EXPOSUnn``, or ``GTI``."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[int, list[Floats]]] = {name: {} for name in _COLUMNS}
        self._impossible: list[str] = []

    def add(self, hdu: Hdu) -> None:
        """Read an extension, if it is one of them; what cannot be read is noted."""
        match, ccd = _EXTENSION.fullmatch(hdu.name), hdu.keywords.get("CCD_ID")
        if match:
            kind, number = match[1], int(match[2])
        elif hdu.name == "GTI" and isinstance(ccd, int):
            kind, number = "STDGTI", ccd + 1  # Those of Chandra count from 0.
        else:
            return
        if not _COLUMNS[kind] <= set(hdu.columns):
            self._impossible.append(f"{hdu.name} has no {' and '.join(sorted(_COLUMNS[kind]))}")
            return
        try:
            rows, n = (good_times_of if kind == "STDGTI" else frames_of)(hdu)
        except (ValueError, InputError) as error:
            self._impossible.append(f"{hdu.name} cannot be read ({str(error).rstrip('.')})")
            return
        self._rows[kind].setdefault(number, []).append(rows)
        if n:
            self._impossible.append(f"{hdu.name} has {plural(n, 'row')} that cannot be right")

    def live_times(self, exposure: Exposure, events: EventList) -> tuple[LiveTimes, list[str]]:
        """Live time of each CCD, and what is unusual, one sentence each.

        Parameters
        ----------
        exposure : Exposure
            Header of the event list.
        events : EventList
            All its rows. A CCD with many events outside its live time has no usable record.
        """
        name, camera = exposure.filename, exposure.camera
        notes = [f"{name}: {problem}." for problem in self._impossible]
        tables: dict[str, dict[int, Floats]] = {kind: {} for kind in _COLUMNS}
        for kind, by_number in self._rows.items():
            for number, parts in by_number.items():
                ccd = int(camera.ccd_numbers(number))
                earlier = [tables[kind][ccd]] if ccd in tables[kind] else []
                rows = np.concatenate([*earlier, *parts])
                tables[kind][ccd] = rows[np.argsort(rows[:, 0], kind="stable")]
        with_events = np.flatnonzero(np.bincount(events.ccdnr)).tolist()
        curves: dict[int, LiveCurve] = {}
        unknown: list[int] = []
        for ccd in sorted({*tables["STDGTI"], *tables["EXPOSU"]}):
            curve = live_curve(tables["STDGTI"].get(ccd), tables["EXPOSU"].get(ccd))
            time = events.time[events.ccdnr == ccd] if ccd in with_events else np.empty(0)
            time = time[np.isfinite(time)]
            if len(time):
                slack = _FRAMES_OF_SLACK * camera.frame_time
                if curve is None or 1 - curve.contains(time, slack).mean() > MOST_OUTSIDE:
                    unknown.append(ccd)
                    continue
            if curve is not None:
                curves[ccd] = curve
        if unknown:
            ccds = ", ".join(map(str, unknown))
            notes.append(
                f"{name}: the good times of CCD {ccds} do not hold its events; it counts as live "
                f"throughout."
                if len(unknown) == 1
                else f"{name}: the good times of the CCDs {ccds} do not hold their events; they "
                f"count as live throughout."
            )
        missing = sorted(set(with_events) - set(curves) - set(unknown))
        if curves and missing:
            ccds = ", ".join(map(str, missing))
            notes.append(f"{name} has no good times of CCD {ccds}, which counts as live.")
        return LiveTimes(curves), notes
