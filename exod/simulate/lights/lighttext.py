"""Light curves as text, as they stand in command lines and files of settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from types import MappingProxyType
from typing import Any, Final, cast

from exod.errors import ConfigError
from exod.simulate.lights.eruptions import Periodic, PowerLawDecay, QuasiPeriodicEruptions
from exod.simulate.lights.lightmodels import (
    BoxBurst,
    Constant,
    Eclipse,
    FastRiseBurst,
    GaussianBurst,
    LightModel,
)
from exod.simulate.lights.tabulated import Dip, Outside, tabulated_from_csv
from exod.simulate.textvalues import finite_number, key_values


def _eclipse(start: float, duration: float, depth: float = 1.0, ingress: float = 0.0) -> LightModel:
    """Sharp edges unless there is an ingress."""
    if ingress == 0:
        return Eclipse(start, duration, depth)
    return Dip(start, duration, ingress, depth)


_MODELS: Final[Mapping[str, Callable[..., LightModel]]] = MappingProxyType(
    {
        "constant": Constant,
        "box": BoxBurst,
        "gauss": GaussianBurst,
        "fred": FastRiseBurst,
        "powerlaw": PowerLawDecay,
        "eclipse": _eclipse,
        "periodic": Periodic,
        "qpe": QuasiPeriodicEruptions,
    }
)
_TIMES: Final = frozenset({"start", "centre", "stop"})
"""Parameters that count from the reference."""

_TABLE, _TABLE_PARAMETERS = "table", ("file", "times", "outside")

LIGHT_CURVES: Final = (*_MODELS, _TABLE)
"""Names of the models in text."""


def parse_light_curve(
    light: str | Mapping[str, Any],
    reference: float = 0.0,
    read_text: Callable[[str], str] | None = None,
) -> LightModel:
    """A light curve from its text.

    Parameters
    ----------
    light : str or mapping
        ``name:parameter=value,...`` with the name of a model (`LIGHT_CURVES`) and its parameters,
        or a mapping of the parameters and ``model``. Times are seconds from the reference:

        * ``constant``
        * ``box:start=,duration=`` (`BoxBurst`)
        * ``gauss:centre=,width=`` (`GaussianBurst`)
        * ``fred:start=,rise=,decay=`` (`FastRiseBurst`)
        * ``powerlaw:start=,scale=,index=[,stop=]`` (`PowerLawDecay`)
        * ``eclipse:start=,duration=[,depth=][,ingress=]`` (`Eclipse`, `Dip`)
        * ``periodic:period=[,start=][,phase=][,pulsed_fraction=][,duty_cycle=]`` (`Periodic`)
        * ``qpe:start=,recurrence=,width=,amplitude=[,jitter=][,seed=]``
          (`QuasiPeriodicEruptions`)
        * ``table:file=[,times=absolute][,outside=held]`` (`Tabulated`); absolute times are
          mission elapsed seconds
    reference : float
        Mission elapsed time from which the times count, usually the start of the exposure.
    read_text : callable, optional
        Gives the content of the file of a ``table``; without it there can be none.

    Raises
    ------
    ConfigError
        If the model or a parameter is unknown, one is missing or a value is impossible.

    Examples
    --------
    >>> parse_light_curve("box:start=1000,duration=50", reference=5000.0)
    BoxBurst(start=6000.0, duration=50.0)
    """
    name, given = _split(light)
    if name == _TABLE:
        return _table(given, reference, read_text)
    if name not in _MODELS:
        raise ConfigError(f"There is no light curve {name!r}; there are {', '.join(LIGHT_CURVES)}.")
    parameters = signature(_MODELS[name]).parameters
    required = [key for key, item in parameters.items() if item.default is item.empty]
    _check_names(name, given, required, list(parameters))
    what = f"The light curve {name}"
    values = {key: finite_number(value, f"{what}: {key}") for key, value in given.items()}
    if "start" in parameters:
        values.setdefault("start", 0.0)
    for key in _TIMES & set(values):
        values[key] += reference
    return _MODELS[name](**values)


def _split(light: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name of the model and its parameters as given."""
    if isinstance(light, Mapping):
        given = dict(light)
        return str(given.pop("model", "")), given
    name, _, rest = light.strip().partition(":")
    return name.strip(), key_values(rest, f"The light curve {light}")


def _check_names(
    name: str, given: Mapping[str, Any], required: Sequence[str], allowed: Sequence[str]
) -> None:
    takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
    unknown = [key for key in given if key not in allowed]
    if unknown:
        raise ConfigError(f"The light curve {name} has no parameter {', '.join(unknown)}; {takes}.")
    missing = [key for key in required if key not in given]
    if missing:
        raise ConfigError(f"The light curve {name} lacks {', '.join(missing)}; {takes}.")


def _table(
    given: Mapping[str, Any], reference: float, read_text: Callable[[str], str] | None
) -> LightModel:
    _check_names(_TABLE, given, ("file",), _TABLE_PARAMETERS)
    choices = {"times": ("relative", "absolute"), "outside": ("zero", "held")}
    for key, allowed in choices.items():
        if given.get(key, allowed[0]) not in allowed:
            raise ConfigError(
                f"The light curve table: {key} is {given[key]}; it must be {' or '.join(allowed)}."
            )
    if read_text is None:
        raise ConfigError("The light curve table needs a file, and none can be read here.")
    file = str(given["file"])
    outside = cast("Outside", given.get("outside", "zero"))
    curve = tabulated_from_csv(read_text(file), re.split(r"[/\\]", file)[-1], outside)
    return curve if given.get("times") == "absolute" else curve.shifted(reference)
