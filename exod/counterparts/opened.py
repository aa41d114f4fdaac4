"""Catalogues ready to be matched with, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from exod.archive.parquet import to_pandas
from exod.counterparts import cds
from exod.counterparts.hats import open_hats
from exod.counterparts.matching import Positions
from exod.counterparts.nearby import near_partitions, near_service
from exod.counterparts.partitions import Partitions, match_partitions
from exod.counterparts.registry import Catalogue
from exod.counterparts.service import Ask, Asker, ServiceQuestion, Services, match_service
from exod.counterparts.standard import ROW
from exod.counterparts.tables import EVERYTHING, import_table
from exod.counterparts.wanted import Wanted

_SERVICES: Final[dict[str, tuple[str, Ask, float]]] = {
    "cds-xmatch": ("CDS X-Match", cds.ask_xmatch, cds.XMATCH_LIMIT),
    "vizier": ("VizieR", cds.ask_vizier, np.inf),
    "simbad": ("SIMBAD", cds.ask_simbad, np.inf),
}


@dataclass(frozen=True)
class Opened:
    """A catalogue ready to be matched with.

    Attributes
    ----------
    catalogue : Catalogue
        Its declaration, with the columns that it has.
    fingerprint : str
        Of its content, as far as it can be known: matches with another are made anew.
    match : callable
        The matches of positions, as `exod.counterparts.partitions.match_partitions`.
    near : callable
        All rows near positions, as `exod.counterparts.nearby.near_partitions`.
    notes : tuple of str
        As of `exod.counterparts.partitions.Partitions`.
    """

    catalogue: Catalogue
    fingerprint: str
    match: Callable[[Positions], pd.DataFrame]
    near: Callable[[Positions, float], pd.DataFrame]
    notes: tuple[str, ...] = ()


def open_catalogue(
    wanted: Wanted,
    cache: Path,
    services: Services,
    *,
    refresh: bool = False,
    say: Callable[[str], None] = lambda _sentence: None,
) -> Opened:
    """Open a catalogue: import its table, or get ready to ask its service.

    Raises
    ------
    InputError
        If a table or HATS catalogue cannot be read.
    DownloadError
        If a table cannot be fetched.
    """
    catalogue = wanted.catalogue
    if catalogue.method in {"table", "hats"} or catalogue.whole:
        parts = _parts(wanted, cache, services, refresh=refresh, say=say)
        match = partial(match_partitions, parts=parts)
        near = partial(near_partitions, parts=parts)
        return Opened(parts.catalogue, parts.fingerprint, match, near, parts.notes)
    name, ask, farthest = _SERVICES[catalogue.method]
    asker = Asker(name, ask, services, cache, refresh, say)
    match = partial(match_service, catalogue=catalogue, asker=asker, farthest=farthest)
    near = partial(near_service, catalogue=catalogue, asker=asker, farthest=farthest)
    return Opened(catalogue, catalogue.fingerprint, match, near)


def read_whole(
    wanted: Wanted,
    cache: Path,
    services: Services,
    *,
    refresh: bool = False,
    say: Callable[[str], None] = lambda _sentence: None,
) -> pd.DataFrame:
    """All rows of a catalogue that is a table, HATS or whole in VizieR.

    Returns
    -------
    DataFrame
        The columns of `exod.counterparts.standard.standard`.

    Raises
    ------
    InputError
        If a table or HATS catalogue cannot be read.
    DownloadError
        If a table cannot be fetched.
    """
    parts = _parts(wanted, cache, services, refresh=refresh, say=say)
    return pd.concat([parts.read(pixel) for pixel in parts.pixels], ignore_index=True)


def _parts(
    wanted: Wanted, cache: Path, services: Services, *, refresh: bool, say: Callable[[str], None]
) -> Partitions:
    """A catalogue of which every row can be read."""
    catalogue = wanted.catalogue
    if catalogue.method == "table":
        return import_table(wanted.where, catalogue, cache)
    if catalogue.method == "hats":
        return open_hats(wanted.where, catalogue)
    name, ask, _ = _SERVICES[catalogue.method]
    return _fetch(catalogue, Asker(name, ask, services, cache, refresh, say))


def _fetch(catalogue: Catalogue, asker: Asker) -> Partitions:
    """A table of VizieR that is fetched whole, as a single part of the sky."""
    nowhere = np.empty(0)
    rows = asker.answer(ServiceQuestion(catalogue, nowhere, nowhere, 0.0))
    rows = rows.set_column(rows.column_names.index(ROW), ROW, pa.array(np.arange(len(rows))))
    found = to_pandas(rows)
    return Partitions(catalogue, catalogue.fingerprint, [EVERYTHING], lambda _pixel: found)
