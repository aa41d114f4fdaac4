"""Arguments of commands that show one run: of an archive, or of event files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exod.cli.options import existing, numbers, read_config, storage_options
from exod.errors import ConfigError, InputError, plural

if TYPE_CHECKING:
    from exod.archive import Archive
    from exod.config import Config
    from exod.pps import ObservationFiles

Places = Annotated[
    list[str],
    typer.Argument(
        metavar="ROOT [OBSID]... | PATH...",
        help="An archive and observations of it, or the folder of one observation, or its files.",
    ),
]
Subset = Annotated[int, typer.Option(min=0, help="Group of overlapping exposures.")]
OneTimeBin = Annotated[str | None, typer.Option(metavar="S", help="One time bin in seconds [50].")]
OneBand = Annotated[
    str | None, typer.Option(metavar="LO-HI", help="One energy band in keV [0.2-12].")
]
Pixel = Annotated[
    float | None, typer.Option(metavar="ARCSEC", help="Width of a cell, 5 to 300 [20].")
]


@dataclass(frozen=True)
class RunOptions:
    """Options that choose one run and its settings."""

    preset: str | None
    config: Path | None
    changes: list[str] | None
    t_bin: str | None
    band: str | None
    pixel: float | None = None

    def of_files(self) -> Config:
        """Settings of a search of event files, with one run unless the user wants several."""
        from exod.stages.images.onerun import with_one_run

        changes = list(self.changes or [])
        changes += [] if self.pixel is None else [f"cube.size_arcsec={self.pixel}"]
        found = read_config(self.config, changes, self.t_bin, self.band, None, self.preset)
        return with_one_run(found, self._given)

    def of_archive(self, archive: Archive) -> Config:
        """The settings of an archive, with one run."""
        from exod.config import Config
        from exod.stages.images.onerun import with_nearest_run

        own = {"--preset": self.preset, "--config": self.config, "--set": self.changes}
        for option in (option for option, value in own.items() if value):
            raise ConfigError(f"{option} is for event files; an archive has its own settings.")
        data = archive.config.model_dump()
        if self.t_bin is not None:
            data["cube"]["t_bin"] = numbers("--t-bin", self.t_bin.split(","), "50")
        if self.band is not None:
            pairs = self.band.split(",")
            bands = [numbers("--band", pair.split("-"), "0.2-12") for pair in pairs]
            data["cube"]["bands"] = bands
        if self.pixel is not None:
            data["cube"]["size_arcsec"] = self.pixel
        return with_nearest_run(Config.parse(data), self._given)

    @property
    def _given(self) -> list[str]:
        pairs = (("t_bin", self.t_bin), ("bands", self.band))
        return [name for name, value in pairs if value is not None]


def archive_of(places: list[str], storage: str | None) -> tuple[Archive | None, list[str]]:
    """The archive that is given first, and the observations of it; none if files are given."""
    from exod.stages.places.asking import opened

    root, *obsids = places
    archive = opened(root, storage_options(storage))
    if archive is None:
        return None, []
    if not obsids:
        obsids = [entry.obsid for entry in archive.entries()]
        if len(obsids) != 1:
            raise ConfigError(
                f"{root} has {plural(len(obsids), 'observation')}; name those that are wanted, as "
                f"exod status shows them."
            )
    for obsid in obsids:
        if archive.entry(obsid) is None:
            raise InputError(
                f"{root} has no observation {obsid}; exod status {root} shows what it has."
            )
    return archive, obsids


def one_observation(
    command: str, paths: Iterable[str], source: str | None = None
) -> ObservationFiles:
    """The files of the one observation at the paths."""
    from exod.pps import find_observations

    observations, problems = find_observations(existing(paths), storage_options(source))
    if problems:
        raise problems[0]
    if len(observations) != 1:
        raise ConfigError(f"exod {command} takes one observation, not {len(observations)}.")
    return observations[0]
