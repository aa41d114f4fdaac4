"""Known sources of an observation with the errors of their positions, and the frame of their list.

The tables of a search have neither, so the list is read again where the search read it. Without
it there is no frame of the pipeline, and the likelihood of a detection tells its error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from exod.archive.ledger.entry import FullEntry
from exod.astrometry.rectification import HeaderFrame, header_frame
from exod.counts.template import MIN_DET_ML
from exod.errors import ConfigError, ExodError
from exod.files.storage import StorageOptions
from exod.pps import RemoteFile, read_listed_sources
from exod.pps.ingested import product_name
from exod.schemas.arrays import Floats
from exod.stages.inputs.filestamps import are_unchanged

_ERROR_AT_ONE: Final = 3.84
_ERROR_POWER: Final = -0.303
"""RADEC_ERR in arcsec of 3,544 point sources of 53 lists against EP_DET_ML, good to 23 %."""


@dataclass(frozen=True, eq=False)
class KnownSources:
    """Point sources of an observation.

    Attributes
    ----------
    sources : DataFrame
        ra_deg, dec_deg as measured, det_ml, error_arcsec: the root of the summed squares of the
        errors along the axes, without that of the frame.
    header : HeaderFrame
        The frame of the list, or why there is none.
    """

    sources: pd.DataFrame
    header: HeaderFrame


@dataclass(frozen=True)
class ListPlaces:
    """Where source lists are.

    Attributes
    ----------
    moved : dict of str to str
        Paths of lists by their names, where they are not where the search read them.
    options : StorageOptions
        Of the file systems of URLs.
    """

    moved: Mapping[str, str] = field(default_factory=dict)
    options: StorageOptions = field(default_factory=StorageOptions)

    @classmethod
    def of(cls, folder: Path | None, options: Mapping[str, Any] | None = None) -> ListPlaces:
        """Where the search read them, or in a folder and its subfolders.

        Raises
        ------
        ConfigError
            If there is no such folder, or it has no source list.
        """
        found: dict[str, str] = {}
        if folder is not None:
            if not folder.is_dir():
                raise ConfigError(f"{folder} is no folder; give one with source lists to --lists.")
            files = (path for path in sorted(folder.rglob("*OBSMLI*")) if path.is_file())
            found = {product_name(path): str(path) for path in files}
            if not found:
                raise ConfigError(f"{folder} has no source lists (OBSMLI).")
        return cls(found, StorageOptions(options or {}))


def known_sources(
    entry: FullEntry, name: str, known: pd.DataFrame, places: ListPlaces
) -> KnownSources:
    """The known point sources of an observation.

    Parameters
    ----------
    entry : FullEntry
        Its entry of the ledger.
    name : str
        The list that the search used; empty if there was none.
    known : DataFrame
        Its rows of the table known_sources.
    places : ListPlaces
        Where lists are.
    """
    try:
        listed = read_listed_sources(_place(entry, name, places), entry.obsid)
    except ExodError as error:
        reason = str(error).rstrip(".")
        estimated = known.assign(error_arcsec=likely_error(known["det_ml"]))
        return KnownSources(_points(estimated), HeaderFrame(None, "", 0, float("nan"), reason))
    sources = listed.sources
    given, likely = sources["error_arcsec"], likely_error(sources["det_ml"])
    known = sources.assign(error_arcsec=np.where(given.isna(), likely, given))
    return KnownSources(_points(known), header_frame(listed.keywords))


def likely_error(det_ml: pd.Series) -> Floats:
    """Error of positions in arcsec that sources of a likelihood usually have.

    Examples
    --------
    >>> likely_error(pd.Series([10.0, 1000.0])).round(2)
    array([1.91, 0.47])
    """
    return np.asarray(_ERROR_AT_ONE * np.maximum(det_ml.to_numpy(float), 1.0) ** _ERROR_POWER)


def _points(sources: pd.DataFrame) -> pd.DataFrame:
    point = (sources["extent_arcsec"] == 0) & (sources["det_ml"] > MIN_DET_ML)
    names = ["ra_deg", "dec_deg", "det_ml", "error_arcsec"]
    return sources.loc[point, names].reset_index(drop=True)


def _place(entry: FullEntry, name: str, places: ListPlaces) -> Path | RemoteFile:
    """Where the list is that the search used."""
    if not name:
        raise ConfigError("the observation has no source list")
    recorded = [file for file in entry.inputs if product_name(Path(file.name)) == name]
    where = places.moved.get(name) or next((file.path for file in recorded if file.path), "")
    if not where:
        raise ConfigError(f"the ledger does not say where {name} is")
    path = RemoteFile(where, places.options) if "://" in where else Path(where)
    if isinstance(path, Path) and not path.is_file():
        raise ConfigError(f"{name} is not where the search read it; say with --lists where it is")
    same_name = [file for file in recorded if file.name == path.name]
    if same_name and not are_unchanged([path], same_name[:1]):
        raise ConfigError(f"{name} has changed since the search read it")
    return path
