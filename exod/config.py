"""Settings: frozen, typed, unknown keys refused, with a fingerprint.

The same names work in a TOML file, in ``--set table.key=value`` and in Python.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from exod.errors import ConfigError
from exod.files.text import read_text

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Band = tuple[float, float]
Method = Literal["search", "photons", "exod1", "exod1-ks"]

HOT_PIXEL_WORDS: Final = frozenset({"find", "off", "4xmm-dr14"})
"""What ``selection.hot_pixels`` may be instead of the path of a table."""

EXOD1_SIGMA: Final = 4.0
"""Threshold of EXOD I, standard deviations of the variability image above its mean."""

LARGEST_SIGMA: Final = 10.0
"""Threshold in equivalent Gaussian sigmas up to which Bayes factors are tabulated."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Selection(_Settings):
    """Which events are used (method.md, Event selection).

    Attributes
    ----------
    flags : {"header", "none"}
        Quality flags from the selection expression in the header, or no flag cut.
    hot_pixels : str
        ``"find"`` them in the data, ``"off"``, ``"4xmm-dr14"`` for the table of that catalogue,
        in small or capital letters, or the path of a table with the columns INSTRUME, CCDNR, RAWX,
        RAWY (or RAWY1 and RAWY2, first and last), REV1, REV2, each of whose rows must be pixels of
        a camera.
    """

    flags: Literal["header", "none"] = "header"
    hot_pixels: str = "find"

    @field_validator("hot_pixels")
    @classmethod
    def _known_word(cls, value: str) -> str:
        # So that the same choice has the same fingerprint.
        return value.lower() if value.lower() in HOT_PIXEL_WORDS else value


class Cube(_Settings):
    """How the events are binned (method.md, Count cube).

    Attributes
    ----------
    size_arcsec : float
        Wanted size of a cell in arcsec; 5 to 300.
    t_bin : tuple of float
        Lengths of the frames in seconds, a run each.
    bands : tuple of (float, float)
        Energy bands in keV, a run each, within 0.2 and 12.
    gti_only : bool
        Leave out the bad time intervals instead of searching them.
    live_time : {"fraction", "frames"}
        What is expected where a CCD is off: ``fraction`` scales it with the live time of each CCD
        (method.md, Live time); ``frames`` is the published way, which leaves out whole frames. It
        is that of exposures without a record of their good times, too.
    mask_bad_ccd : bool
        Leave out frames in which a CCD or a camera was off, where whole frames are left out.
    window : int
        Cells along the side of the square windows that are searched, 1 to 4. Above 1 the windows
        start at every cell and overlap.
    frame_shifts : int
        Frames start at every 1/frame_shifts of their length, 1 to 4. If this or `window` is above
        1, windows slide and the null hypothesis is the conditional one (method.md, Sliding
        windows).
    psf_weights : bool
        The middle cell of a window counts double in the search for peaks; needs `window` = 3.
    """

    size_arcsec: Annotated[float, Field(ge=5, le=300)] = 20.0
    t_bin: Annotated[tuple[Positive, ...], Field(min_length=1)] = (5.0, 50.0, 200.0)
    bands: Annotated[tuple[Band, ...], Field(min_length=1)] = ((0.2, 2.0), (2.0, 12.0), (0.2, 12.0))
    gti_only: bool = False
    live_time: Literal["fraction", "frames"] = "fraction"
    mask_bad_ccd: bool = True
    window: Annotated[int, Field(ge=1, le=4)] = 1
    frame_shifts: Annotated[int, Field(ge=1, le=4)] = 1
    psf_weights: bool = False

    @property
    def slides(self) -> bool:
        """Whether windows or frames overlap."""
        return self.window > 1 or self.frame_shifts > 1

    @model_validator(mode="after")
    def _weighted(self) -> Self:
        if self.psf_weights and self.window != 3:
            raise ValueError("psf_weights needs window = 3")
        return self

    @field_validator("t_bin", "bands")
    @classmethod
    def _distinct(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) != len(values):
            raise ValueError("the same value is given twice")
        return values

    @field_validator("bands")
    @classmethod
    def _in_range(cls, bands: tuple[Band, ...]) -> tuple[Band, ...]:
        for low, high in bands:
            if not 0.2 <= low < high <= 12.0:
                raise ValueError(f"band {low:g}-{high:g} keV must ascend within 0.2 and 12 keV")
        return bands


class Detect(_Settings):
    """What counts as significant (method.md, Significance).

    Attributes
    ----------
    method : {"search", "photons", "exod1", "exod1-ks"}
        Compare counts with what is expected; or weigh every photon (docs/ideal.md), which needs a
        `false_alarm_rate` and one band; or the older method of EXOD I, the variability image
        (method.md, EXOD I), of which ``exod1-ks`` keeps the regions that fail its last test. It
        searches good time, in cells that do not overlap.
    sigma : float
        Threshold in equivalent Gaussian sigmas, 1 to 10, by default 3. Of EXOD I standard
        deviations of the variability image, 1 to 100, by default 4.
    rule : {"exod2", "exact"}
        The published threshold rule, or the exact one. The conditional null hypothesis compares
        exact probabilities: with it the rule is ``exact``, and ``exod2`` is refused.
    null : {"auto", "template", "conditional"}
        What is chance: counts around a template of the background (method.md, Expectation), or the
        counts of each window spread over time as the background is (method.md, Sliding windows).
        ``auto`` is ``template`` for cells that do not overlap and ``conditional`` for sliding
        windows, for which there is no template.
    false_alarm_rate : float
        Regions that chance alone may make in an observation, all runs together, 1e-6 to 1000. If
        given, it sets the thresholds of the runs instead of `sigma`, an equal share for each;
        ``"none"`` leaves it to `sigma`.
    """

    method: Method = "search"
    sigma: Annotated[float, Field(ge=1, le=100)] = 3.0
    rule: Literal["exod2", "exact"] = "exod2"
    null: Literal["auto", "template", "conditional"] = "auto"
    false_alarm_rate: Annotated[float, Field(ge=1e-6, le=1000)] | None = None

    @field_validator("sigma")
    @classmethod
    def _tabulated(cls, value: float, info: ValidationInfo) -> float:
        if value > LARGEST_SIGMA and info.data.get("method", "search") == "search":
            raise ValueError(f"input should be less than or equal to {LARGEST_SIGMA:g}")
        return value

    @field_validator("false_alarm_rate", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        # TOML has no word for nothing.
        return None if value == "none" else value


PRESETS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = MappingProxyType(
    {
        "published": {},
        "deep": {
            "cube": {
                "size_arcsec": 15.0,
                "window": 2,
                "frame_shifts": 2,
                "t_bin": [1.0, 2.5, 6.0, 15.0, 40.0, 100.0, 250.0, 600.0, 1500.0, 4000.0],
            },
            "detect": {"rule": "exact", "false_alarm_rate": 0.1},
        },
        "ideal": {
            "cube": {
                "size_arcsec": 15.0,
                "window": 2,
                "t_bin": [5.0, 30.0, 150.0, 700.0, 3000.0],
                "bands": [[0.2, 12.0]],
            },
            "detect": {"method": "photons", "rule": "exact", "false_alarm_rate": 0.1},
        },
    }
)
"""Settings that go together: ``published`` (the defaults), ``deep`` (windows that slide) and
``ideal`` (every photon weighed: the faintest bursts)."""


class Config(_Settings):
    """All settings of a search.

    Examples
    --------
    >>> config = Config.load(overrides=["cube.t_bin=[10]", "detect.sigma=5"])
    >>> config.cube.t_bin, config.detect.sigma
    ((10.0,), 5.0)
    """

    selection: Selection = Selection()
    cube: Cube = Cube()
    detect: Detect = Detect()

    @property
    def null(self) -> Literal["template", "conditional"]:
        """The null hypothesis of the search, with ``auto`` decided."""
        if self.detect.null == "auto":
            photons = self.detect.method == "photons"
            return "conditional" if self.cube.slides or photons else "template"
        return self.detect.null

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse what the search cannot do, so that no setting is without effect."""
        if self.detect.method == "photons":
            self._check_photons()
        elif self.detect.method != "search":
            self._fit_to_exod1()
            return self
        if self.null == "template" and self.cube.slides:
            raise ValueError(
                "detect.null = template has no windows that overlap; use conditional or auto, or "
                "set cube.window and cube.frame_shifts to 1"
            )
        if self.null == "conditional" and self.detect.rule == "exod2":
            if "rule" in self.detect.model_fields_set:
                raise ValueError(
                    "detect.rule = exod2 is a rule for Bayes factors, and the conditional null "
                    "hypothesis, that of sliding windows too, compares probabilities; leave the "
                    "rule out, or use detect.null = template with cells that do not overlap"
                )
            object.__setattr__(self, "detect", self.detect.model_copy(update={"rule": "exact"}))
        return self

    def _check_photons(self) -> None:
        """Refuse settings without effect in a search that weighs every photon."""
        cube, detect = self.cube, self.detect
        wrong = {
            "cube.window other than 2": cube.window != 2,
            "cube.psf_weights": cube.psf_weights,
            "cube.frame_shifts": cube.frame_shifts != 1,
            "detect.null": detect.null == "template",
            "detect.sigma": detect.sigma != Detect().sigma,
        }
        if named := [name for name, is_set in wrong.items() if is_set]:
            raise ValueError(
                f"detect.method = photons has no {', '.join(named)}: it looks at places and times "
                f"instead of cells and frames, and detect.false_alarm_rate is its threshold"
            )
        if detect.false_alarm_rate is None:
            raise ValueError("detect.method = photons needs detect.false_alarm_rate")
        if len(cube.bands) != 1:
            raise ValueError(
                "detect.method = photons needs one band, whose energies it weighs; set cube.bands "
                "to one, as [[0.2, 12]], or use the preset ideal"
            )

    def _fit_to_exod1(self) -> None:
        """Check and complete the settings of a search by variability."""
        method, cube, detect = self.detect.method, self.cube, self.detect
        without = {
            "cube.window": cube.window != 1,
            "cube.frame_shifts": cube.frame_shifts != 1,
            "cube.psf_weights": cube.psf_weights,
            "cube.live_time": "live_time" in cube.model_fields_set and cube.live_time == "fraction",
            "detect.null": detect.null != "auto",
            "detect.rule": detect.rule != "exod2",
            "detect.false_alarm_rate": detect.false_alarm_rate is not None,
        }
        if wrong := [name for name, is_set in without.items() if is_set]:
            raise ValueError(
                f"detect.method = {method} has no {', '.join(wrong)}: it compares the variability "
                f"of cells that do not overlap with detect.sigma; leave out what is named, and the "
                f"preset if that sets it"
            )
        if "gti_only" in cube.model_fields_set and not cube.gti_only:
            raise ValueError(
                f"detect.method = {method} searches good time only; leave cube.gti_only out"
            )
        object.__setattr__(
            self, "cube", cube.model_copy(update={"gti_only": True, "live_time": "frames"})
        )
        if "sigma" not in detect.model_fields_set:
            object.__setattr__(self, "detect", detect.model_copy(update={"sigma": EXOD1_SIGMA}))

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        overrides: Iterable[str] = (),
        preset: str = "published",
    ) -> Self:
        """Settings of a preset, changed by a TOML file, changed by ``table.key=value`` strings.

        Values are read as TOML; what is not TOML is taken as a string. A line ``preset = "deep"``
        at the top of the file is as good as `preset`.

        Raises
        ------
        ConfigError
            If the file cannot be read, or a key is unknown or its value impossible.
        """
        data: dict[str, Any] = {}
        if path is not None:
            try:
                data = tomllib.loads(read_text(path, "The settings file"))
            except tomllib.TOMLDecodeError as error:
                raise ConfigError(f"The settings file {path} cannot be read: {error}.") from error
        for override in overrides:
            _apply(data, override)
        return cls.parse(_on_preset(data, preset))

    @classmethod
    def preset(cls, name: str) -> Self:
        """Settings that go together, by the name in `PRESETS`.

        Raises
        ------
        ConfigError
            If there is no such preset.

        Examples
        --------
        >>> Config.preset("deep").cube.frame_shifts
        2
        """
        return cls.load(preset=name)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Settings from nested mappings.

        Raises
        ------
        ConfigError
            If a key is unknown or its value impossible; the text names each.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            found = error.errors()
            # A list whose values are all refused has nothing left, which is no second problem.
            refused = {e["loc"][:-1] for e in found}
            told = [e for e in found if e["type"] != "too_short" or e["loc"] not in refused]
            problems = "; ".join(map(_problem, told))
            raise ConfigError(f"The settings are not valid: {problems}.") from error

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that are equal for equal settings."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _on_preset(data: dict[str, Any], preset: str) -> dict[str, Any]:
    """Nested settings with what the preset says where they say nothing."""
    name = str(data.pop("preset", preset))
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}; use one of {', '.join(PRESETS)}.")
    merged: dict[str, Any] = {table: dict(values) for table, values in PRESETS[name].items()}
    for table, values in data.items():
        together = isinstance(values, dict) and isinstance(merged.get(table), dict)
        merged[table] = {**merged[table], **values} if together else values
    return merged


def _apply(data: dict[str, Any], override: str) -> None:
    name, separator, text = override.partition("=")
    table, dot, key = name.strip().partition(".")
    if not (separator and dot and key):
        raise ConfigError(
            f"--set {override!r} must look like table.key=value, as cube.t_bin=[5,50]."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    section = data.setdefault(table, {})
    if not isinstance(section, dict):
        raise ConfigError(f"--set {override!r}: {table} is not a table of settings.")
    section[key] = value


def _problem(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if not name:
        return str(message)
    if error["type"] == "extra_forbidden":
        message = "unknown setting"
    return f"{name}: {message[0].lower()}{message[1:]}"
