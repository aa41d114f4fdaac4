"""What is to be drawn: an archive or event lists, their observations, one time bin and band."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from exod.archive import Archive
from exod.config import Config, Cube
from exod.errors import ExodError, InputError
from exod.observation.identifiers import validate_obsid
from exod.pps import ObservationFiles, find_observations
from exod.stages.images.onerun import USUAL_T_BIN
from exod.stages.places.recorded import recorded_files


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

    Raises
    ------
    InputError
        If there is no such observation.
    """
    if not isinstance(source, Archive):
        found, missing = find_observations(source, options)
        wanted = [files for files in found if not obsids or files.obsid in obsids]
        for obsid in sorted(set(obsids) - {files.obsid for files in found}):
            raise InputError(f"There is no observation {obsid} among the files.")
        return wanted, list(missing)
    for obsid in sorted(set(obsids)):
        if source.entry(validate_obsid(obsid)) is None:
            raise InputError(
                f"{source.root} has no observation {obsid}; exod status {source.root} shows what "
                f"it has."
            )
    kept: list[ObservationFiles] = []
    problems: list[ExodError] = []
    for obsid in sorted(set(obsids)):
        try:
            kept.append(recorded_files(source, obsid, options))
        except ExodError as error:
            problems.append(error)
    return kept, problems
