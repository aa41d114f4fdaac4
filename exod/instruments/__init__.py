"""Instruments: what the search needs to know of a camera. Constants and the PSF; no files.

In goes the name of an instrument as event lists have it; out comes an `Instrument`: which events
are X-rays and where the detector is used, the read-out modes that can be searched, its geometry
and frame time, CCDs that drop out together, its PSF, and how pictures draw it. The size of the sky
pixels and of the field comes from the headers of event lists, not from here. Nobody else names a
camera, but for those who read its files and simulate it.

A new instrument is a module here and an entry in `INSTRUMENTS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from exod.errors import InputError
from exod.instruments.acis import ACIS
from exod.instruments.epic import EpicCamera
from exod.instruments.epic_mos import EMOS1, EMOS2
from exod.instruments.epic_pn import EPN
from exod.instruments.instrument import Instrument, Observatory, Zone

__all__ = [
    "ACIS",
    "CAMERAS",
    "EMOS1",
    "EMOS2",
    "EPN",
    "INSTRUMENTS",
    "MISSIONS",
    "Instrument",
    "Observatory",
    "Zone",
    "instrument_of",
    "mission_of",
    "observatories_of",
    "searched_band",
]

CAMERAS: Final[Mapping[str, EpicCamera]] = MappingProxyType(
    {camera.name: camera for camera in (EPN, EMOS1, EMOS2)}
)
"""The EPIC cameras by INSTRUME."""

INSTRUMENTS: Final[Mapping[str, Instrument]] = MappingProxyType({**CAMERAS, ACIS.name: ACIS})
"""All instruments by name."""


MISSIONS: Final[Mapping[str, Observatory]] = MappingProxyType(
    {"xmm": EPN.observatory, "chandra": ACIS.observatory}
)
"""The observatories by what users call them."""


def mission_of(obsid: str) -> str:
    """The observatory of an observation by the form of its identifier; empty if it has none.

    Examples
    --------
    >>> mission_of("0001730201"), mission_of("28964"), mission_of("x")
    ('xmm', 'chandra', '')
    """
    forms = ((name, observatory.obsid) for name, observatory in MISSIONS.items())
    return next((name for name, form in forms if re.fullmatch(form, obsid)), "")


def searched_band(obsid: str, band: tuple[float, float]) -> tuple[float, float]:
    """The part of a band that is searched in an observation, keV.

    Examples
    --------
    >>> searched_band("0001730201", (0.2, 12.0)), searched_band("28964", (0.2, 12.0))
    ((0.2, 12.0), (0.5, 7.0))
    """
    return MISSIONS[mission_of(obsid)].searched(band)


def observatories_of(obsids: Iterable[str]) -> tuple[Observatory, ...]:
    """The observatories of observations, each once, in the order of `MISSIONS`.

    Examples
    --------
    >>> [one.title for one in observatories_of(["28964", "0001730201", "29128"])]
    ['XMM-Newton', 'Chandra']
    """
    found = {mission_of(obsid) for obsid in obsids}
    return tuple(observatory for name, observatory in MISSIONS.items() if name in found)


def instrument_of(name: str) -> Instrument:
    """The instrument of a name.

    Raises
    ------
    InputError
        If there is none of that name.

    Examples
    --------
    >>> instrument_of("EMOS1").n_ccds
    7
    """
    if name not in INSTRUMENTS:
        raise InputError(
            f"{name or '(none)'} is no instrument that can be searched; "
            f"those are {', '.join(INSTRUMENTS)}."
        )
    return INSTRUMENTS[name]
