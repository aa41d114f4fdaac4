"""What a completeness campaign is made of: settings, and the points of its grid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import product
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from exod.config import Config, Method
from exod.errors import ConfigError, plural
from exod.simulate.models import require
from exod.simulate.weather import BACKGROUNDS, Background

METHODS: Final[Mapping[Method, str]] = MappingProxyType(
    {
        "search": "the search, as configured; its level is sigma, or the false alarm rate if set",
        "photons": "every photon is weighed (the preset ideal); its level is the false alarm rate",
        "exod1": "the variability image of EXOD I; its level is sigma, standard deviations of it",
        "exod1-ks": "the same, of which those remain whose light curve fails the test of EXOD I",
    }
)
"""Ways to search, `detect.method` of the settings."""

MAX_OFF_AXIS: Final = 11.0
"""Largest off-axis angle in arcmin; beyond it little is on the chips of all cameras."""


MAX_RATE: Final = 30.0
"""Largest rate of a source with eclipses, ct/s; a brighter one is most of the observation."""


@dataclass(frozen=True)
class Campaign:
    """Settings of a campaign: the grid, and how each point of it is simulated and searched.

    Attributes
    ----------
    amplitudes : tuple of float
        Expected good counts of a burst over all cameras, in the whole point spread function and
        without losses between chips. Of eclipses the rate of the source outside of them, in good
        counts a second, likewise.
    durations : tuple of float
        Lengths of the bursts in seconds; their rate is constant.
    off_axis : tuple of float
        Angles from the pointing direction in arcmin; bursts lie within 1 arcmin of each.
    backgrounds : tuple of str
        Of `exod.simulate.weather.BACKGROUNDS`: quiet or flaring.
    observations : int
        Simulated observations for each point of the grid.
    bursts : int
        Bursts in each observation; fewer where 90 arcsec between them leave no room.
    length : float
        Of an observation, in seconds.
    seed : int
        Seed of everything random.
    levels : tuple of float
        Thresholds to search with: sigma, or the false alarm rate if the settings have one. By
        default that of the settings.
    depths : tuple of float
        If given, the signals are eclipses of constant sources, which lose this share of their
        light, above 0 and at most 1; where bursts are spoken of, read eclipses.
    config : Config
        Settings of the search, its method among them.

    Raises
    ------
    ConfigError
        If a setting is impossible; the text names it.
    """

    amplitudes: tuple[float, ...] = (5, 8, 12, 20, 35, 60)
    durations: tuple[float, ...] = (2, 5, 10, 20, 50, 100, 200, 500, 1000)
    off_axis: tuple[float, ...] = (2, 6, 10)
    backgrounds: tuple[Background, ...] = ("quiet", "flaring")
    observations: int = 4
    bursts: int = 25
    length: float = 20_000.0
    seed: int = 1
    levels: tuple[float, ...] = ()
    depths: tuple[float, ...] = ()
    config: Config = field(default_factory=Config)

    def __post_init__(self) -> None:
        for name in ("amplitudes", "durations", "off_axis", "levels", "depths"):
            can_be_empty = name in ("levels", "depths")
            _check_numbers(name.replace("_", "-"), getattr(self, name), empty=can_be_empty)
        _check_backgrounds(self.backgrounds)
        _check_extents(self)
        if not self.levels:
            object.__setattr__(self, "levels", (getattr(self.config.detect, self.knob),))
        for level in self.levels:
            self.config_at(level)

    @property
    def method(self) -> Method:
        """How to search, one of `METHODS`."""
        return self.config.detect.method

    @property
    def knob(self) -> str:
        """The setting of the search that the levels are for."""
        return "sigma" if self.config.detect.false_alarm_rate is None else "false_alarm_rate"

    def config_at(self, level: float) -> Config:
        """Settings of the search with another threshold."""
        settings = self.config.model_dump()
        settings["detect"][self.knob] = level
        return Config.parse(settings)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What a result at a point of the grid depends on, apart from the point and the seed."""
        config = self.config.model_dump(mode="json")
        # The levels take its place.
        config["detect"].pop(self.knob)
        return {
            "bursts": self.bursts,
            "length": self.length,
            "levels": list(self.levels),
            "config": config,
        }

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that are equal for equal `settings`."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def points(self) -> list[Point]:
        """The grid; points of one field follow each other."""
        grid = product(
            range(1, self.observations + 1),
            self.backgrounds,
            self.off_axis,
            self.durations,
            self.amplitudes,
            self.depths or (0.0,),
        )
        return [
            Point(amplitude, duration, off_axis, background, number, self.seed, depth)
            for number, background, off_axis, duration, amplitude, depth in grid
        ]


def _check_extents(campaign: Campaign) -> None:
    length = campaign.length
    for depth in campaign.depths:
        require("depths", depth, 0, 1)
    if campaign.depths and campaign.method != "search":
        raise ConfigError(f"The method {campaign.method} finds no eclipses; leave --depths out.")
    if campaign.depths and max(campaign.amplitudes) > MAX_RATE:
        raise ConfigError(
            f"amplitudes has {max(campaign.amplitudes):g}; with depths that is the rate of a "
            f"source in counts a second, at most {MAX_RATE:g}."
        )
    require("length", length, 2000, 1e6)
    if max(campaign.durations) > 0.2 * length:
        raise ConfigError(
            f"durations has {max(campaign.durations):g} s; a burst may last a fifth of the "
            f"observation of {length:g} s at most."
        )
    if max(campaign.off_axis) > MAX_OFF_AXIS:
        raise ConfigError(
            f"off-axis has {max(campaign.off_axis):g} arcmin, outside the field that all cameras "
            f"see; {MAX_OFF_AXIS:g} is the largest."
        )
    for name in ("observations", "bursts"):
        require(name, getattr(campaign, name), 1, 500)
    if campaign.seed < 0:
        raise ConfigError(f"seed is {campaign.seed}; it must not be negative.")


def _check_numbers(name: str, values: Sequence[float], *, empty: bool) -> None:
    if not values and not empty:
        raise ConfigError(f"{name} is empty; give at least one number.")
    for value in values:
        if not (np.isfinite(value) and value > 0):
            raise ConfigError(f"{name} has {value:g}; every value must be a positive number.")
    if len(set(values)) != len(values):
        raise ConfigError(f"{name} has the same value twice.")


def _check_backgrounds(names: Sequence[str]) -> None:
    if not names:
        raise ConfigError(f"backgrounds is empty; use {', '.join(BACKGROUNDS)}.")
    for name in names:
        if name not in BACKGROUNDS:
            raise ConfigError(f"There is no background {name!r}; use {', '.join(BACKGROUNDS)}.")
    if len(set(names)) != len(names):
        raise ConfigError("backgrounds has the same name twice.")


@dataclass(frozen=True)
class Point:
    """One observation at one point of the grid.

    Attributes
    ----------
    amplitude, duration, off_axis : float
        Counts, seconds, arcmin.
    background : {"quiet", "flaring"}
        As of `exod.simulate.default_observation`.
    number : int
        Number of the observation, from 1.
    seed : int
        Seed of the campaign.
    depth : float
        Of eclipses; 0 for bursts.
    """

    amplitude: float
    duration: float
    off_axis: float
    background: Background
    number: int
    seed: int
    depth: float = 0.0

    @property
    def name(self) -> str:
        """Part of the name of its file.

        Examples
        --------
        >>> Point(8.0, 2.0, 6.0, "quiet", 1, 7).name
        'quiet-o6-t2-a8-n1-s7'
        """
        depth = f"-d{self.depth:g}" if self.depth else ""
        return (
            f"{self.background}-o{self.off_axis:g}-t{self.duration:g}-a{self.amplitude:g}{depth}"
            f"-n{self.number}-s{self.seed}"
        )

    @property
    def text(self) -> str:
        """What a person reads while it is being done."""
        if self.depth:
            return (
                f"{self.depth:.0%} of {self.amplitude:g} ct/s for {self.duration:g} s at "
                f"{self.off_axis:g}', {self.background}, {self.number}"
            )
        return (
            f"{plural(round(self.amplitude), 'count')} in {self.duration:g} s at "
            f"{self.off_axis:g}', {self.background}, {self.number}"
        )

    @property
    def obsid(self) -> str:
        """Of the simulated field, which all points of a number and a background share."""
        return f"0999{self.number:04d}{1 + BACKGROUNDS.index(self.background):02d}"

    def generator(self) -> np.random.Generator:
        """Random numbers of this point; they do not depend on the rest of the grid."""
        digest = hashlib.sha256(self.name.encode()).digest()
        return np.random.default_rng(np.frombuffer(digest, np.uint32))

    def columns(self) -> dict[str, Any]:
        """The point as columns of a table."""
        return asdict(self)
