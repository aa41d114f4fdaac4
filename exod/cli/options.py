"""Options that several commands share, and what they mean."""

from __future__ import annotations

import glob
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exod.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exod.config import Config
    from exod.plots.drawing import Drawing

EXPLORER_PORT: Final = 8765
"""Where `exod explore` listens, if nothing else is said."""

Archive_ = Annotated[str, typer.Argument(metavar="ROOT", help="The archive.")]
Rectified = Annotated[
    bool | None,
    typer.Option(
        "--rectified/--raw",
        help="Sources of corrected positions (exod rectify), or as measured [as chosen before, "
        "else corrected if there are any].",
    ),
]
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
Preset = Annotated[
    str | None, typer.Option(help="Settings to start from: published, deep or ideal [published].")
]
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
Method = Annotated[
    str | None,
    typer.Option(
        help="search, or as in EXOD I exod1, or exod1-ks with its last test, too [search]."
    ),
]

Scheduler = Annotated[str, typer.Option(help="sync, local or tcp://host:port.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes of local.")]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory of a process of local or sync, as 2GiB; what needs more is refused "
        "[all, shared by the processes].",
    ),
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input-options",
        metavar="JSON",
        envvar="EXOD_INPUT_OPTIONS",
        help="Options of the fsspec file system of the event lists.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        envvar="EXOD_CACHE", help="Folder of imported tables and answers [~/.cache/exod]."
    ),
]
ServiceAddresses = Annotated[
    str | None,
    typer.Option(
        "--services",
        metavar="JSON",
        envvar="EXOD_SERVICES",
        help="Addresses of services, attempts, wait, timeout and batch.",
    ),
]
Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH-or-OBSID...",
        help="Folders of PPS files, event lists, patterns, URLs (s3://, https://), or obsids.",
    ),
]
Listed = Annotated[
    Path | None,
    typer.Option("--from", help="File with one obsid a line, or a table with such a column."),
]
Data = Annotated[
    str | None,
    typer.Option(
        metavar="PATH-or-URL",
        help="Where the folders of observations are that are given by obsid [here].",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")]

PictureFormat = Annotated[
    str, typer.Option("--format", metavar="png|pdf|svg", help="Format of the pictures.")
]
PictureSize = Annotated[
    str | None,
    typer.Option(
        "--size", metavar="W,H", help="Width and height of a picture in inches [what suits it]."
    ),
]
PictureStyle = Annotated[
    str | None,
    typer.Option("--style", metavar="FILE", help="Style file of matplotlib, or the name of one."),
]

Between = Annotated[
    str | None,
    typer.Option(
        metavar="START,STOP",
        help="Only this time: mission elapsed seconds, or UTC as 2001-03-09T14:00:00.",
    ),
]


def drawing_of(form: str, size: str | None = None, style: str | None = None) -> Drawing:
    """How pictures are drawn, from the options of a command."""
    from exod.plots.drawing import Drawing, picture_size, read_style

    return Drawing(
        form,
        picture_size(size) if size is not None else None,
        read_style(style) if style is not None else {},
    )


def time_range(text: str | None) -> tuple[float, float] | None:
    """Start and stop in mission elapsed seconds, from such or from dates; None without a text."""
    from exod.observation.times import mission_seconds
    from exod.stages.places.asking import checked_between

    if text is None:
        return None
    ends = [end.strip() for end in text.split(",")]
    if len(ends) != 2:
        raise ConfigError(f"--between takes START,STOP, not {text!r}.")
    start, stop = (mission_seconds(end) for end in ends)
    checked_between((start, stop))
    return start, stop


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


def memory_bytes(size: str | None) -> float | None:
    """Bytes of a size as 2GiB."""
    from dask.utils import parse_bytes

    if size is None:
        return None
    try:
        found = float(parse_bytes(size))
    except ValueError as error:
        raise ConfigError(f"--memory takes a size as 2GiB or 500MB, not {size!r}.") from error
    if found <= 0:
        raise ConfigError(f"--memory takes a positive size, not {size!r}.")
    return found


def input_paths(arguments: Iterable[str], listed: Path | None, data: str | None) -> list[str]:
    """Where the observations are that are given by path, by obsid or in a list."""
    from exod.schemas.kinds import OBSID_FORM
    from exod.stages.inputs.download import wanted_obsids

    root = (data or ".").rstrip("/")
    given = [f"{root}/{name}" if re.fullmatch(OBSID_FORM, name) else name for name in arguments]
    paths = existing(given)
    if listed is not None:
        paths += [f"{root}/{obsid}" for obsid in wanted_obsids([], listed, OBSID_FORM)]
    if not paths:
        raise ConfigError("No observation is given; give folders, obsids, or --from FILE.")
    return paths


def existing(paths: Iterable[str]) -> list[str]:
    """The paths, if all exist; URLs and patterns are looked at later."""
    paths = list(paths)
    here = [path for path in paths if "://" not in path and not glob.has_magic(path)]
    missing = [path for path in here if not Path(path).exists()]
    if missing:
        raise ConfigError(
            f"There is no file or folder {', '.join(missing)}; an observation is given by the "
            f"folder of its PPS files."
        )
    return paths


def read_config(
    path: Path | None,
    settings: list[str] | None,
    t_bin: str | None,
    band: str | None,
    sigma: float | None,
    preset: str | None = None,
    method: str | None = None,
) -> Config:
    """Settings of a preset, changed by a file, changed by options."""
    from exod.config import Config

    overrides = list(settings or [])
    if t_bin is not None:
        bins = numbers("--t-bin", t_bin.split(","), "5,50,200")
        overrides.append(f"cube.t_bin={bins}")
    if band is not None:
        pairs = [numbers("--band", pair.split("-"), "0.2-2,2-12") for pair in band.split(",")]
        overrides.append(f"cube.bands={pairs}")
    if sigma is not None:
        # The threshold is one of the two; the last word is the user's.
        overrides = ["detect.false_alarm_rate=none", *overrides, f"detect.sigma={sigma}"]
    if method is not None:
        overrides.append(f"detect.method={method}")
    found = Config.load(path, overrides, preset or "published")
    if found.selection.hot_pixels not in {"find", "off"}:
        from exod.tablefiles.pixeltable import hot_pixel_table, read_hot_pixel_table

        # A table that cannot be used is told at once, and not by every observation.
        if pixels := hot_pixel_table(found.selection.hot_pixels):
            read_hot_pixel_table(pixels)
    return found


def numbers(option: str, parts: Iterable[str], example: str) -> list[float]:
    """Numbers from the parts of what an option was given."""
    try:
        return [float(part) for part in parts]
    except ValueError as error:
        raise ConfigError(f"{option} takes numbers as in {example} ({error}).") from error
