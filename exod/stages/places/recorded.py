"""The event lists of an observation of an archive, where its search read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exod.archive import Archive
from exod.errors import InputError
from exod.pps import ObservationFiles, find_observations
from exod.stages.detect.observation import input_paths
from exod.stages.inputs.filestamps import are_unchanged, recorded_paths


def recorded_files(
    archive: Archive, obsid: str, options: Mapping[str, Any] | None = None
) -> ObservationFiles:
    """The files of an observation where the ledger says that they are.

    Parameters
    ----------
    archive : Archive
        With its ledger.
    obsid : str
        The observation.
    options : dict, optional
        Of the fsspec file systems of URLs.

    Raises
    ------
    InputError
        If files are gone or have changed, or the archive does not have the observation.
    """
    entry = archive.entry(obsid)
    if entry is None:
        raise InputError(f"{archive.root} has no observation {obsid}.")
    remedy = f"give the event lists of {obsid} themselves, in place of the archive"
    paths = recorded_paths(entry, archive.config)
    if not paths:
        raise InputError(f"The ledger does not say where the files of {obsid} are; {remedy}.")
    observations, problems = find_observations(paths, options)
    if problems or len(observations) != 1:
        why = str(problems[0]).rstrip(".") if problems else "they are of other observations"
        raise InputError(
            f"The files of {obsid} are not where its search read them ({why}); {remedy}."
        )
    if not are_unchanged(input_paths(observations[0], archive.config), entry.inputs):
        raise InputError(
            f"The files of {obsid} are not those that were searched: they have changed since; "
            f"search them again with exod detect, or {remedy}."
        )
    return observations[0]
