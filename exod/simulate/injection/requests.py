"""Sources to inject as text: of a command line, a TOML file or a CSV file."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from exod.errors import ConfigError
from exod.instruments import ACIS, INSTRUMENTS
from exod.instruments.detector import POINTING_PIXEL
from exod.simulate.injection.strength import check_seen, with_counts
from exod.simulate.injection.targets import Target
from exod.simulate.lights.lighttext import parse_light_curve
from exod.simulate.models import TYPICAL_RATES, SourceModel
from exod.simulate.textvalues import finite_number, key_values

KEYS: Final = (
    "name",
    "ra",
    "dec",
    "off_axis",
    "azimuth",
    "counts",
    "rate",
    *(f"rate_{camera}" for camera in INSTRUMENTS),
    "energy",
    "extent",
    "light",
)
"""What a source in text may say."""

RELATIVE_RATES: Final = MappingProxyType({**TYPICAL_RATES, ACIS.name: 1.0})
"""Rates of a source by INSTRUME; those of different observatories are not compared."""

_PIXELS_PER_ARCMIN = 1200.0
_LIGHT = re.compile(r"(?:^|,)\s*light\s*=\s*")


@dataclass(frozen=True)
class SourceRequest:
    """A source as a user asks for it; its place and strength may depend on the observation.

    Attributes
    ----------
    name : str
        Unique among the sources.
    position : tuple of float
        Right ascension and declination (J2000), or with `is_relative` the off-axis angle (arcmin)
        and the azimuth, from north through east; all else in degrees.
    is_relative : bool
        Whether the position counts from the pointing.
    counts : float or None
        Good events to expect in all cameras together.
    rates : mapping of str to float
        Without counts: good events per second on axis by INSTRUME.
    light : str or mapping
        As of `exod.simulate.parse_light_curve`; its times count from the start of the observation.
    energy_kev, extent_arcsec : float
        As of `SourceModel`.
    """

    name: str
    position: tuple[float, float]
    is_relative: bool = False
    counts: float | None = None
    rates: Mapping[str, float] = field(default_factory=lambda: RELATIVE_RATES)
    light: str | Mapping[str, Any] = "constant"
    energy_kev: float = 1.2
    extent_arcsec: float = 0.0

    def source(
        self, targets: Sequence[Target], read_text: Callable[[str], str] | None = None
    ) -> SourceModel:
        """The source for the event lists of an observation.

        Parameters
        ----------
        targets : sequence of Target
            The lists.
        read_text : callable, optional
            Gives the content of the file of a tabulated light curve.

        Raises
        ------
        ConfigError
            If a value is impossible or no camera sees anything of the source.
        """
        ra, dec = self.position
        if self.is_relative:
            angle = np.deg2rad(self.position[1])
            radius = self.position[0] * _PIXELS_PER_ARCMIN
            # Right ascension grows to the left.
            x = POINTING_PIXEL - radius * np.sin(angle)
            y = POINTING_PIXEL + radius * np.cos(angle)
            ra, dec = (float(value) for value in targets[0].plane.to_sky(x, y))
        reference = min(target.availability.start for target in targets)
        source = SourceModel(
            name=self.name,
            ra_deg=ra,
            dec_deg=dec,
            rate=self.rates,
            light_curve=parse_light_curve(self.light, reference, read_text),
            extent_arcsec=self.extent_arcsec,
            energy_kev=self.energy_kev,
        )
        if self.counts is not None:
            return with_counts(source, targets, self.counts)
        check_seen(source, targets)
        return source


def parse_source(text: str, number: int = 1) -> SourceRequest:
    """A source from text as ``ra=263.67,dec=-32.58,counts=50,light=box:start=1000,duration=50``.

    Parameters
    ----------
    text : str
        ``key=value`` separated by commas. The place is ``ra`` and ``dec`` in degrees, or
        ``off_axis`` (arcmin) and ``azimuth`` (degrees from north through east). The strength is
        ``counts``, the good events to expect in all cameras together, or ``rate``, those per second
        of pn on axis (of MOS, a typical share), or ``rate_EPN``, ``rate_EMOS1``, ``rate_EMOS2``.
        Optional are ``name``, ``energy`` (median, keV), ``extent`` (arcsec) and, as the last one,
        ``light`` (`exod.simulate.parse_light_curve`).
    number : int
        Its number among the sources, for those without a name.

    Raises
    ------
    ConfigError
        If a key is unknown or missing, or a value is impossible.

    Examples
    --------
    >>> parse_source("off_axis=3,azimuth=90,counts=50").position
    (3.0, 90.0)
    """
    given: dict[str, Any] = {}
    light = _LIGHT.search(text)
    if light:
        text, given["light"] = text[: light.start()], text[light.end() :].strip()
    given = key_values(text, f"Source {number}") | given
    return source_request(given, f"Source {number}", f"source-{number}")


def source_request(given: Mapping[str, Any], where: str, name: str) -> SourceRequest:
    """A source from its keys (`KEYS`) and values, which may be text.

    Parameters
    ----------
    given : mapping
        Values by key.
    where : str
        What errors call the source.
    name : str
        Its name if it has none.

    Raises
    ------
    ConfigError
        As of `parse_source`.
    """
    unknown = [key for key in given if key not in KEYS]
    if unknown:
        raise ConfigError(
            f"{where} has no setting {', '.join(unknown)}; there are {', '.join(KEYS)}."
        )
    values = {
        key: finite_number(value, f"{where}: {key}")
        for key, value in given.items()
        if key not in {"name", "light"} and not isinstance(value, Mapping)
    }
    is_relative = {"off_axis", "azimuth"} <= set(values)
    if is_relative == ({"ra", "dec"} <= set(values)):
        raise ConfigError(f"{where} needs a place: ra and dec, or off_axis and azimuth.")
    position = ("off_axis", "azimuth") if is_relative else ("ra", "dec")
    rates = _rates(given, values, where)
    if (rates is None) == ("counts" not in values):
        raise ConfigError(f"{where} needs a strength: either counts or rate.")
    if is_relative and not values["off_axis"] >= 0:
        raise ConfigError(f"{where}: off_axis is {values['off_axis']:g}; it must not be negative.")
    return SourceRequest(
        name=str(given.get("name") or name),
        position=(values[position[0]], values[position[1]]),
        is_relative=is_relative,
        counts=values.get("counts"),
        rates=RELATIVE_RATES if rates is None else rates,
        light=given.get("light") or "constant",
        energy_kev=values.get("energy", 1.2),
        extent_arcsec=values.get("extent", 0.0),
    )


def _rates(
    given: Mapping[str, Any], values: Mapping[str, float], where: str
) -> Mapping[str, float] | None:
    """Rates by INSTRUME; None if there are none."""
    by_camera = {key[5:]: value for key, value in values.items() if key.startswith("rate_")}
    table = given.get("rate")
    if isinstance(table, Mapping):
        by_camera |= {
            key: finite_number(value, f"{where}: rate.{key}") for key, value in table.items()
        }
    elif "rate" in values:
        by_camera = {c: share * values["rate"] for c, share in RELATIVE_RATES.items()} | by_camera
    return MappingProxyType(by_camera) if by_camera else None


def requests_from_toml(text: str, name: str) -> list[SourceRequest]:
    """Sources of a TOML file: tables ``[[source]]`` with the keys of `parse_source`.

    `light` and `rate` may be tables too: ``light = {model = "box", start = 1000, duration = 50}``
    and ``rate = {EPN = 0.1, EMOS1 = 0.03}``.

    Raises
    ------
    ConfigError
        If it is no TOML or a source is wrong; the text names the file and the source.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not TOML: {error}.") from error
    sources = tables.pop("source", [])
    if tables or not isinstance(sources, list) or not all(isinstance(s, dict) for s in sources):
        raise ConfigError(f"{name} must hold tables [[source]] and nothing else.")
    return [
        source_request(given, f"{name}, source {number}", f"source-{number}")
        for number, given in enumerate(sources, start=1)
    ]


def requests_from_csv(text: str, name: str) -> list[SourceRequest]:
    """Sources of a CSV file: a line with the keys of `parse_source`, then one line a source.

    Empty cells are not given; `light` has commas and needs quotes.

    Raises
    ------
    ConfigError
        If a source is wrong; the text names the file and the line.
    """
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    requests = []
    for number, row in enumerate(reader, start=1):
        where = f"{name}, line {reader.line_num}"
        if None in row or None in row.values():
            raise ConfigError(
                f"{where} has not as many cells as the first line; a light curve needs quotes."
            )
        given = {str(key).strip(): value.strip() for key, value in row.items() if value.strip()}
        requests.append(source_request(given, where, f"source-{number}"))
    return requests


def unique(requests: Iterable[SourceRequest]) -> list[SourceRequest]:
    """The requests, if there are any and each has its own name.

    Raises
    ------
    ConfigError
        If there are none or a name comes twice.
    """
    requests = list(requests)
    if not requests:
        raise ConfigError("No source is given; give --source or --sources.")
    names = [request.name for request in requests]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"More than one source is called {', '.join(twice)}; names are unique.")
    return requests
