"""All rows of a catalogue around positions, at their epochs: not only the nearest of each."""

from __future__ import annotations

import numpy as np
import pandas as pd

from exod.archive.parquet import to_pandas
from exod.counterparts.matching import MatchedPairs, Positions, measured, moved, pairs
from exod.counterparts.partitions import Partitions, farthest_moved, read_ahead, touched_parts
from exod.counterparts.registry import Catalogue
from exod.counterparts.service import SOURCE, Asker, ServiceQuestion
from exod.counterparts.standard import nothing, positions
from exod.errors import ConfigError

_STEP_ARCSEC = 10.0
"""Services are asked for whole steps, so that answers that were kept do for a little less, too."""


def near_partitions(sources: Positions, reach_arcsec: float, parts: Partitions) -> pd.DataFrame:
    """All rows of a divided catalogue within reach of positions.

    Parameters
    ----------
    sources : Positions
        Finite positions.
    reach_arcsec : float
        How far, at the epoch of each.
    parts : Partitions
        The catalogue.

    Returns
    -------
    DataFrame
        Columns source (index of the position), ra_deg, dec_deg, sep_arcsec (at its epoch) and
        those that the catalogue keeps: a row for each pair, by source.
    """
    found = [_none(sources, parts.catalogue)]
    # Stars that move far may have left the part that they are in.
    touched = touched_parts(sources, parts.pixels, reach_arcsec + farthest_moved(sources, parts))
    for _, near, rows in read_ahead(parts, touched):
        there, here = positions(rows, parts.catalogue), sources.take(near)
        some = _pairs(here, there, pairs(here, there, reach_arcsec), rows[parts.catalogue.kept])
        found.append(some.assign(source=near[some["source"]]))
    return pd.concat(found, ignore_index=True).sort_values("source", kind="stable")


def near_service(
    sources: Positions,
    reach_arcsec: float,
    catalogue: Catalogue,
    asker: Asker,
    farthest: float,
) -> pd.DataFrame:
    """All rows of a catalogue that a service has; see `near_partitions`.

    Raises
    ------
    ConfigError
        If the service does not allow the radius.
    DownloadError
        If the service fails.
    """
    asked = float(np.ceil(reach_arcsec / _STEP_ARCSEC) * _STEP_ARCSEC)
    if asked > farthest:
        raise ConfigError(
            f"{asker.name} takes radii of at most {farthest:g} arcsec, and {asked:g} are needed; "
            f"give a table or HATS copy of {catalogue.name}."
        )
    found = [_none(sources, catalogue)]
    for start in range(0, len(sources), asker.services.batch):
        some = sources.take(np.arange(start, min(start + asker.services.batch, len(sources))))
        answer = asker.answer(ServiceQuestion(catalogue, some.ra_deg, some.dec_deg, asked))
        rows = to_pandas(answer)
        there, source = positions(rows, catalogue), rows[SOURCE].to_numpy(np.int64)
        order = np.argsort(source, kind="stable")
        met = measured(some, there, source[order], order).within(reach_arcsec)
        found.append(
            _pairs(some, there, met, rows[catalogue.kept]).assign(source=start + met.source)
        )
    return pd.concat(found, ignore_index=True)


def _none(sources: Positions, catalogue: Catalogue) -> pd.DataFrame:
    rows = to_pandas(nothing(catalogue))
    nobody = MatchedPairs(*(np.empty(0, np.int64),) * 2, *(np.empty(0),) * 3)
    return _pairs(sources, positions(rows, catalogue), nobody, rows[catalogue.kept])


def _pairs(
    sources: Positions, rows: Positions, met: MatchedPairs, content: pd.DataFrame
) -> pd.DataFrame:
    year = np.nan if sources.year is None else sources.year[met.source]
    ra, dec = moved(rows.take(met.row), year)
    found = {"source": met.source, "ra_deg": ra, "dec_deg": dec, "sep_arcsec": met.sep_arcsec}
    return pd.concat([pd.DataFrame(found), content.iloc[met.row].reset_index(drop=True)], axis=1)
