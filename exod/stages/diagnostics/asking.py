"""What is to be drawn: an archive or event lists, their observations, one time bin and band."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exod.archive import Archive
from exod.archive.ledger.entry import MARKER
from exod.archive.store import Store
from exod.config import Config, Cube
from exod.errors import ExodError, InputError
from exod.observation.identifiers import validate_obsid
from exod.pps import ObservationFiles, find_observations
from exod.stages.cube import USUAL_T_BIN


def opened(path: str | Path, options: Mapping[str, Any] | None = None) -> Archive | None:
    """The archive at a path or URL; None if what is there is none."""
    try:
        is_archive = Store.at(path, options).exists(MARKER)
    except (OSError, ImportError):
        is_archive = False
    return Archive.open(path, options) if is_archive else None


def one_run(config: Config, given: Cube, t_bin: str | None, band: str | None) -> Config:
    """The settings with one time bin and one band.

    Those that are `given` if `t_bin` or `band` were said; of the others the time bin nearest to
    50 s, by its ratio, and the widest band.

    Examples
    --------
    >>> deep = Config.preset("deep")
    >>> one_run(deep, deep.cube, None, None).cube.t_bin
    (40.0,)
    """
    own = config.cube
    bins = given.t_bin[:1] if t_bin is not None else (min(own.t_bin, key=_ratio),)
    bands = given.bands[:1] if band is not None else (max(own.bands, key=lambda b: b[1] - b[0]),)
    return config.model_copy(
        update={"cube": own.model_copy(update={"t_bin": bins, "bands": bands})}
    )


def _ratio(t_bin: float) -> float:
    return abs(math.log(t_bin / USUAL_T_BIN))


def found_files(
    source: Archive | Sequence[str],
    obsids: Sequence[str],
    options: Mapping[str, Any] | None = None,
) -> tuple[list[ObservationFiles], list[ExodError]]:
    """Files of observations.

    Parameters
    ----------
    source : Archive or sequence of str
        An archive, whose files are where its search read them, or folders and files.
    obsids : sequence of str
        Which observations; of an archive none, and of files all, if there are none.
    options : dict, optional
        Of the fsspec file systems of URLs.

    Returns
    -------
    observations : list of ObservationFiles
        In order of obsid.
    problems : list of ExodError
        One for each observation or file that cannot be drawn.
    """
    problems: list[ExodError] = []
    if isinstance(source, Archive):
        paths: list[str] = []
        for obsid in obsids:
            entry = source.entry(validate_obsid(obsid))
            if entry is None:
                problems.append(InputError(f"{source.root} has no observation {obsid}."))
                continue
            paths += [file.path for file in entry.inputs if file.path]
    else:
        paths = list(source)
    found, missing = find_observations(paths, options)
    wanted = [files for files in found if not obsids or files.obsid in obsids]
    if not isinstance(source, Archive):
        gone = sorted(set(obsids) - {files.obsid for files in found})
        problems += [InputError(f"There is no observation {obsid} there.") for obsid in gone]
    return wanted, [*problems, *missing]
