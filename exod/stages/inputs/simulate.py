"""Write simulated observations as files like those of the XMM-Newton pipeline (PPS) or Chandra."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO, Any

import pandas as pd
from astropy.io import fits

from exod.errors import ConfigError
from exod.files.whole import whole_folder
from exod.observation.identifiers import validate_obsid
from exod.pps.chandra.acisproducts import acis_event_list_hdus
from exod.pps.products import event_list_hdus, source_list_hdus
from exod.simulate import SimulatedExposure, SimulatedObservation, simulate
from exod.simulate.acisobservation import SimulatedAcis, default_acis, simulate_acis
from exod.simulate.models import ExposureModel
from exod.simulate.scenario import default_observation
from exod.tablefiles.csvtext import csv_text


def refuse_existing(folder: str | Path, obsids: Iterable[str]) -> None:
    """Refuse to write over observations: they may be real ones.

    Raises
    ------
    ConfigError
        If the folder of one is there, with files in it.
    """
    for obsid in obsids:
        target = Path(folder) / validate_obsid(obsid)
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise ConfigError(
                f"{target} is there already; give another folder or obsid, or --overwrite."
            )


def simulate_files(folder: str | Path, obsid: str, seed: int, **options: Any) -> list[Path]:
    """Simulate a realistic observation and write its files, in place of those that are there.

    Parameters
    ----------
    folder : path
        Gets a folder named after the observation.
    obsid : str
        Ten digits.
    seed : int
        Seed of everything random; equal arguments give equal files.
    **options
        As of `exod.simulate.scenario.default_observation`.

    Returns
    -------
    list of Path
        The files, event lists first.

    Raises
    ------
    ExodError
        If a setting is impossible or a file cannot be written.
    """
    return write_observation(simulate(default_observation(obsid, seed, **options), seed), folder)


def simulate_acis_files(folder: str | Path, obsid: str, seed: int, **options: Any) -> list[Path]:
    """The same of Chandra: an event list of ACIS and the truth.

    Parameters
    ----------
    folder, seed
        As of `simulate_files`.
    obsid : str
        Number, up to 99999.
    **options
        As of `exod.simulate.acisobservation.default_acis`.

    Raises
    ------
    ExodError
        If a setting is impossible or a file cannot be written.
    """
    return write_acis(simulate_acis(default_acis(obsid, seed, **options), seed), folder)


def write_acis(simulated: SimulatedAcis, folder: str | Path) -> list[Path]:
    """Write the event list and the truth of an observation of ACIS, as `write_observation`."""
    obsid, name = simulated.exposure.obsid, simulated.exposure.filename
    target = Path(folder) / obsid
    with whole_folder(target) as temporary:
        with (temporary / name).open("wb") as file:
            _write_fits(acis_event_list_hdus(simulated.exposure, simulated.events), 1, file)
        with (temporary / f"{obsid}_truth.csv").open("wb") as file:
            _write_csv(simulated.truth, file)
    return [target / name, target / f"{obsid}_truth.csv"]


def write_observation(
    observation: SimulatedObservation, folder: str | Path, *, compression: int = 1
) -> list[Path]:
    """Write the event lists, the source list and the truth of an observation.

    The folder appears whole, in place of one that is there, or not at all; equal observations give
    equal bytes.

    Parameters
    ----------
    observation : SimulatedObservation
        What `exod.simulate.simulate` returned.
    folder : path
        Gets a folder named after the observation with ``P*IEVLI0000.FTZ`` for each exposure,
        ``P*EPX000OBSMLI0000.FTZ``, ``<obsid>_truth.csv`` and ``<obsid>_hot_pixels.csv``.
    compression : int
        gzip level, 1 (fast) to 9 (small).

    Returns
    -------
    list of Path
        The files, event lists first.

    Raises
    ------
    ExodError
        If a file cannot be written.
    """
    obsid = observation.model.obsid
    target = Path(folder) / obsid
    lists = zip(observation.event_lists, observation.model.exposures, strict=True)
    content: dict[str, Callable[[IO[bytes]], None]] = {
        simulated.exposure.filename: partial(_write_event_list, simulated, settings, compression)
        for simulated, settings in lists
    }
    sources = source_list_hdus(observation.exposures[0], observation.source_list)
    content[f"P{obsid}EPX000OBSMLI0000.FTZ"] = partial(_write_fits, sources, compression)
    content[f"{obsid}_truth.csv"] = partial(_write_csv, observation.truth)
    content[f"{obsid}_hot_pixels.csv"] = partial(_write_csv, observation.hot_pixels)
    # What an earlier simulation had, as more cameras, must not be among it.
    with whole_folder(target) as temporary:
        for name, fill in content.items():
            with (temporary / name).open("wb") as file:
                fill(file)
    return [target / name for name in content]


def _write_event_list(
    simulated: SimulatedExposure, settings: ExposureModel, compression: int, file: IO[bytes]
) -> None:
    detector = (simulated.detx, simulated.dety)
    hdus = event_list_hdus(simulated.exposure, simulated.events, detector, settings.availability)
    _write_fits(hdus, compression, file)


def _write_fits(hdus: fits.HDUList, compression: int, file: IO[bytes]) -> None:
    # No name and no time in the gzip header, so that equal content gives equal bytes.
    with gzip.GzipFile("", "wb", compression, file, mtime=0) as compressed:
        hdus.writeto(compressed)


def _write_csv(table: pd.DataFrame, file: IO[bytes]) -> None:
    file.write(csv_text(table).encode())
