"""Observations of a batch -> their frames, from headers or fitted to references near them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.archive.ledger.entry import FullEntry
from exod.astrometry.framefit import FrameFit, fit_frame
from exod.astrometry.frameprior import Prior
from exod.counterparts.matching import Positions, julian_year
from exod.counterparts.opened import Opened, open_catalogue
from exod.counterparts.service import Services
from exod.counterparts.wanted import Wanted
from exod.errors import ArchiveError
from exod.sky.sphere import is_position, positions, unit_vectors
from exod.stages.derive.cluster.gather import mjd
from exod.stages.derive.rectify.calibration import LEAST_ERROR_ARCSEC
from exod.stages.derive.rectify.rows import Rectified
from exod.stages.derive.rectify.sourcelists import KnownSources, ListPlaces, known_sources

ARCHIVE: Final = "archive"
WITHOUT: Final = "none"
"""Where the prior of fits is from."""

_LARGEST_ERROR_ARCSEC: Final = 4.0
"""Sources that are known less well take no part in a fit."""

_REFERENCE_ERROR_ARCSEC: Final = 0.1
"""Of each axis of a reference at the epoch of an observation."""

_RING_ARCSEC: Final = 75.0
"""How far beyond the reach of a fit references are needed, for their number around a source."""

_FEWEST_FRAMES: Final = 20
"""Frames of headers from which on they tell what others may be."""

_OF_STUDENT: Final = 0.765
"""Median of the absolute value of Student's distribution of three degrees of freedom."""


@dataclass(frozen=True)
class Fitting:
    """What observations are fitted to.

    Attributes
    ----------
    wanted : Wanted or None
        The catalogue; None: only frames of headers.
    prior : Prior
        Of the frames.
    places : ListPlaces
        Where source lists are.
    cache : Path
        Where imported tables and answers are.
    services : Services
        Where services are.
    """

    wanted: Wanted | None
    prior: Prior
    places: ListPlaces
    cache: Path
    services: Services

    @cached_property
    def opened(self) -> Opened | None:
        """The catalogue, opened in the process that asks."""
        if self.wanted is None:
            return None
        return open_catalogue(self.wanted, self.cache, self.services)

    def __getstate__(self) -> dict[str, Any]:
        # What is open does not travel to other processes.
        return {name: value for name, value in vars(self).items() if name != "opened"}

    @property
    def reach_arcsec(self) -> float:
        """How far from a source references are needed."""
        errors = 4.0 * (_LARGEST_ERROR_ARCSEC + _REFERENCE_ERROR_ARCSEC) / np.sqrt(2.0)
        return float(self.prior.reach_arcsec + errors + _RING_ARCSEC)


def rectified(
    archive: Archive, obsids: Sequence[str], fitting: Fitting
) -> tuple[list[tuple[str, Rectified]], dict[str, str]]:
    """Attempts and frames of observations, and why others cannot be read."""
    found: list[tuple[str, dict[str, Any], KnownSources]] = []
    failures: dict[str, str] = {}
    for obsid in obsids:
        try:
            found.append(_read(archive, obsid, fitting.places))
        except ArchiveError as error:
            failures[obsid] = str(error)
    name = fitting.wanted.catalogue.name if fitting.wanted else ""
    references = _references([(about, known) for _, about, known in found], fitting)
    made = []
    for (attempt, about, known), near in zip(found, references, strict=True):
        fit = None
        if fitting.wanted:
            fit = fitted(about, known.sources, near, fitting.prior)
        made.append((attempt, Rectified(about, known, fit, near, name)))
    return made, failures


def prior_of(shifts: np.ndarray) -> Prior:
    """What frames of headers, rows of east, north (arcsec) and rotation (deg), say of others.

    Examples
    --------
    >>> prior_of(np.zeros((3, 3))) == Prior()
    True
    """
    if len(shifts) < _FEWEST_FRAMES:
        return Prior()
    # The square of a shift of two axes has its median at 2 ln 2 variances.
    middle = float(np.median(np.hypot(shifts[:, 0], shifts[:, 1]))) / np.sqrt(2.0 * np.log(2.0))
    turn = float(np.median(np.abs(shifts[:, 2]))) / _OF_STUDENT
    # A scale that is too small would keep frames out that differ from the others.
    shift = round(float(np.clip(middle, 1.0, 5.0)), 1)
    return Prior(shift, round(float(np.clip(turn, 0.02, 0.5)), 2), max(6.0, 3.0 * shift))


def _read(
    archive: Archive, obsid: str, places: ListPlaces
) -> tuple[str, dict[str, Any], KnownSources]:
    """Attempt, row of the table observations with mjd, and known sources."""
    entry = archive.entry(obsid)
    if not isinstance(entry, FullEntry):
        raise ArchiveError(f"The archive {archive.root} has no observation {obsid} any more.")
    tables = archive.observation(obsid, "observations", "known_sources")
    rows = tables["observations"].to_dict("records")
    nothing = {"ra_pnt": np.nan, "dec_pnt": np.nan, "pa_pnt": np.nan, "revolution": -1}
    about: dict[str, Any] = {**nothing, "obsid": obsid, "date_obs": "", "source_list": ""}
    about |= {str(name): value for name, value in (rows[0] if rows else {}).items()}
    about["mjd"] = mjd(about["date_obs"])
    known = known_sources(entry, about["source_list"], tables["known_sources"], places)
    return entry.attempt, about, known


def _references(
    observed: Sequence[tuple[dict[str, Any], KnownSources]], fitting: Fitting
) -> list[pd.DataFrame]:
    """References near the sources of each observation, at its epoch, each once."""
    columns = ["ra_deg", "dec_deg"]
    nothing = pd.DataFrame({name: np.empty(0) for name in columns})
    opened, n_observed = fitting.opened, len(observed)
    counts = [len(known.sources) for _, known in observed]
    if opened is None or not sum(counts):
        return [nothing] * n_observed
    owner = np.repeat(np.arange(n_observed), counts)
    every = pd.concat([known.sources[columns] for _, known in observed], ignore_index=True)
    ra, dec = (every[name].to_numpy(float) for name in columns)
    year = julian_year(np.repeat([about["mjd"] for about, _ in observed], counts))
    near = opened.near(Positions(ra, dec, year), fitting.reach_arcsec)
    near = near.assign(owner=owner[near["source"]]).drop_duplicates(["owner", *columns])
    return [
        near.loc[near["owner"] == number, columns].reset_index(drop=True)
        for number in range(n_observed)
    ]


def fitted(
    about: dict[str, Any], sources: pd.DataFrame, references: pd.DataFrame, prior: Prior
) -> FrameFit:
    """The own fit of an observation.

    Parameters
    ----------
    about : dict
        ra_pnt, dec_pnt of its row of the table observations.
    sources : DataFrame
        ra_deg, dec_deg, error_arcsec of its known sources.
    references : DataFrame
        ra_deg, dec_deg at the epoch.
    prior : Prior
        What is known of frames.
    """
    radial = sources["error_arcsec"].to_numpy(float)
    error = np.hypot(radial, LEAST_ERROR_ARCSEC) / np.sqrt(2.0)
    ra, dec = (sources[name].to_numpy(float) for name in ("ra_deg", "dec_deg"))
    centre = float(about["ra_pnt"]), float(about["dec_pnt"])
    if not is_position(*centre) and len(sources):
        middle = positions(unit_vectors(ra, dec).mean(axis=0))
        centre = float(middle[0]), float(middle[1])
    return fit_frame(
        ra,
        dec,
        np.where(radial <= _LARGEST_ERROR_ARCSEC, error, np.nan),
        references["ra_deg"],
        references["dec_deg"],
        _REFERENCE_ERROR_ARCSEC,
        centre=centre,
        prior=prior,
    )
