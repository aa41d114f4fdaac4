"""Options that several commands share, and what they mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exod.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exod.config import Config

Archive_ = Annotated[str, typer.Argument(metavar="ROOT", help="The archive.")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage-options",
        metavar="JSON",
        envvar="EXOD_STORAGE_OPTIONS",
        help="Options of the archive's fsspec file system: endpoint, credentials.",
    ),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change one setting; repeatable."),
]
TBin = Annotated[str | None, typer.Option(metavar="S,...", help="Time bins in seconds [5,50,200].")]
Band = Annotated[
    str | None,
    typer.Option(metavar="LO-HI,...", help="Energy bands in keV [0.2-2,2-12,0.2-12]."),
]
Sigma = Annotated[float | None, typer.Option(help="Threshold in equivalent sigmas [3].")]


def storage_options(text: str | None) -> dict[str, Any] | None:
    """Storage options from JSON text, None if there is none."""
    if not text:
        return None
    try:
        options = json.loads(text)
        if not isinstance(options, dict):
            raise TypeError("it is not an object")
    except (TypeError, ValueError) as error:
        # Without the text itself: it may hold credentials.
        raise ConfigError(
            "The storage options must be a JSON object as in "
            f"""'{{"endpoint_url": "https://host"}}': {error}."""
        ) from None
    return options


def existing(paths: Iterable[str]) -> list[str]:
    """The paths, if all exist."""
    missing = [path for path in paths if not Path(path).exists()]
    if missing:
        raise ConfigError(
            f"There is no file or folder {', '.join(missing)}; an observation is given by the "
            f"folder of its PPS files."
        )
    return list(paths)


def read_config(
    path: Path | None,
    settings: list[str] | None,
    t_bin: str | None,
    band: str | None,
    sigma: float | None,
) -> Config:
    """Settings from a file, changed by options."""
    from exod.config import Config

    overrides = list(settings or [])
    if t_bin is not None:
        bins = _numbers("--t-bin", t_bin.split(","), "5,50,200")
        overrides.append(f"cube.t_bin={bins}")
    if band is not None:
        pairs = [_numbers("--band", pair.split("-"), "0.2-2,2-12") for pair in band.split(",")]
        overrides.append(f"cube.bands={pairs}")
    if sigma is not None:
        overrides.append(f"detect.sigma={sigma}")
    return Config.load(path, overrides)


def _numbers(option: str, parts: list[str], example: str) -> list[float]:
    try:
        return [float(part) for part in parts]
    except ValueError as error:
        raise ConfigError(f"{option} takes numbers as in {example} ({error}).") from error
