"""Cross-match: unique sources -> their counterparts in catalogues, each a product.

Only sources that are new, have moved or have another epoch are matched; the others keep their
rows as long as the catalogue and its declaration are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.archive.derived import Derived, DerivedFile
from exod.archive.increments import Changes, NewVersion, deriving, write_part
from exod.archive.parquet import read_file, to_pandas
from exod.archive.products import XMATCH
from exod.counterparts.cache import cache_folder
from exod.counterparts.matching import Positions, julian_year
from exod.counterparts.opened import Opened, open_catalogue
from exod.counterparts.service import Services
from exod.counterparts.wanted import Wanted
from exod.errors import ArchiveError, ExodError
from exod.schemas.columns import Table

BLOCK: Final = 100_000
"""Sources of a part of the table: numbers of unique sources in order."""

_LAYOUT: Final = 1
_COLUMNS: Final = ("region_num", "srcid", "ra_deg", "dec_deg", "first_seen", "last_seen")


@dataclass(frozen=True)
class MatchSettings:
    """How catalogues are opened.

    Attributes
    ----------
    cache : Path
        Where imported tables and answers are kept.
    services : Services
        Where the services are.
    refresh : bool
        Whether to match everything anew and ask again what was answered before.
    say : callable
        Is told how far a service is, a sentence.
    """

    cache: Path = field(default_factory=cache_folder)
    services: Services = field(default_factory=Services)
    refresh: bool = False
    say: Callable[[str], None] = lambda _sentence: None


@dataclass(frozen=True)
class Crossmatched:
    """What became of a catalogue.

    Attributes
    ----------
    name : str
        Of the catalogue.
    summary : dict of str to int
        Numbers of sources: all, matched, unmatched, and how many were looked up this time.
    notes : tuple of str
        What the user should know of the catalogue: columns and rows that are left out. They are
        with the summary of the product, too.
    error : ExodError or None
        Why it was not matched; the earlier version of its product stays.
    """

    name: str
    summary: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: ExodError | None = None


def crossmatch(
    archive: Archive, catalogues: Sequence[Wanted], settings: MatchSettings | None = None
) -> Iterator[Crossmatched]:
    """Match the unique sources of an archive with catalogues, one after the other.

    Parameters
    ----------
    archive : Archive
        With the product unique.
    catalogues : sequence of Wanted
        What to match with.
    settings : MatchSettings, optional
        Where things are.

    Yields
    ------
    Crossmatched
        Of each catalogue; those that fail do not keep others from being matched and committed.

    Raises
    ------
    ArchiveError
        If the sources were not clustered yet.
    """
    unique = archive.derived("unique")
    sources = _sources(archive)
    for wanted in catalogues:
        try:
            yield _match_with(archive, wanted, sources, unique, settings or MatchSettings())
        except ExodError as error:
            yield Crossmatched(wanted.catalogue.name, error=error)


def _sources(archive: Archive) -> pd.DataFrame:
    """The sources in the order of their numbers, with the mean of first and last seen."""
    found = archive.derived_table("unique", "unique", columns=_COLUMNS).compute()
    mjd = found[["first_seen", "last_seen"]].mean(axis=1)
    found = found.drop(columns=["first_seen", "last_seen"]).assign(mjd=mjd)
    return found.sort_values("region_num", ignore_index=True)


def _match_with(
    archive: Archive,
    wanted: Wanted,
    sources: pd.DataFrame,
    unique: Derived | None,
    settings: MatchSettings,
) -> Crossmatched:
    opened = open_catalogue(
        wanted, settings.cache, settings.services, refresh=settings.refresh, say=settings.say
    )
    product, table = f"{XMATCH}{wanted.catalogue.name}", opened.catalogue.table()
    parameters = {
        "layout": _LAYOUT,
        "declaration": opened.catalogue.fingerprint,
        "content": opened.fingerprint,
        "radius_arcsec": opened.catalogue.radius_arcsec,
    }
    # Their parts follow the sources; which observations changed, these have said already.
    changes = Changes.since(archive.derived(product), (), parameters, force=settings.refresh)
    kept = {file.part: file for file in changes.kept(table.name)}
    with deriving(archive.store, product, [table]) as new:
        new.parameters = parameters
        new.attempts = dict(unique.attempts) if unique else {}
        counts = np.zeros(2, np.int64)
        for block, some in sources.groupby(sources["region_num"] // BLOCK):
            part = f"{block:06d}"
            counts += _block(archive, opened, table, new, kept.get(part), part, some)
        total, (matched, looked_up) = len(sources), (int(count) for count in counts)
        new.summary = {"sources": total, "matched": matched, "unmatched": total - matched}
        new.summary["looked_up"] = looked_up
        numbers = dict(new.summary)
        new.summary["notes"] = list(opened.notes)
    return Crossmatched(wanted.catalogue.name, numbers, opened.notes)


def _block(
    archive: Archive,
    opened: Opened,
    table: Table,
    new: NewVersion,
    old: DerivedFile | None,
    part: str,
    sources: pd.DataFrame,
) -> np.ndarray:
    """Write a part, or keep it if nothing changed; how many are matched, and were looked up."""
    sources = sources.reset_index(drop=True)
    separation = f"{opened.catalogue.prefix}sep_arcsec"
    earlier = table.frame()
    if old is not None:
        # The copy is in one piece, which a frame of many columns is not.
        earlier = to_pandas(read_file(archive.store, old.stored, table)).copy()
    same = _unchanged(earlier, sources, epochs=opened.catalogue.motion is not None)
    if old is not None and same.all() and len(earlier) == len(sources) and _named(earlier, sources):
        new.files.append(old)
        return np.array([earlier[separation].notna().sum(), 0])
    again = earlier.set_index("region_num").loc[sources.loc[same, "region_num"]].reset_index()
    here = sources[same].reset_index(drop=True)
    again = again.assign(srcid=here["srcid"], mjd=here["mjd"])
    rows = _matched(sources[~same].reset_index(drop=True), opened, table)
    every = pd.concat([frame for frame in (again, rows) if len(frame)] or [rows])
    new.files.append(write_part(archive.store, new.folder, table, every, part))
    return np.array([every[separation].notna().sum(), (~same).sum()])


def _unchanged(earlier: pd.DataFrame, sources: pd.DataFrame, *, epochs: bool) -> np.ndarray:
    """Which sources have a row that is still right."""
    names = ["ra_deg", "dec_deg", *(["mjd"] if epochs else [])]
    old = earlier.set_index("region_num")[names].reindex(sources["region_num"])
    there = sources["region_num"].isin(earlier["region_num"]).to_numpy()
    before, now = old.to_numpy(np.float64), sources[names].to_numpy(np.float64)
    same: np.ndarray = ((before == now) | (np.isnan(before) & np.isnan(now))).all(axis=1)
    return same & there


def _named(earlier: pd.DataFrame, sources: pd.DataFrame) -> bool:
    old = earlier.set_index("region_num").loc[sources["region_num"]]
    return list(old["srcid"]) == list(sources["srcid"])


def _matched(sources: pd.DataFrame, opened: Opened, table: Table) -> pd.DataFrame:
    """Rows of the table for sources, null where there is no counterpart."""
    finite = np.isfinite(sources[["ra_deg", "dec_deg"]].to_numpy(np.float64)).all(axis=1)
    some = sources[finite]
    found = pd.DataFrame()
    if len(some):
        ra, dec, mjd = (some[name].to_numpy(np.float64) for name in ("ra_deg", "dec_deg", "mjd"))
        found = opened.match(Positions(ra, dec, julian_year(mjd)))
        found = found.assign(source=some.index.to_numpy()[found["source"]]).set_index("source")
    rows: dict[str, Any] = {}
    prefix = opened.catalogue.prefix
    for column in table.columns:
        if column.name in sources:
            rows[column.name] = sources[column.name]
            continue
        kept = column.name in opened.catalogue.kept
        name = column.name if kept else column.name.removeprefix(prefix)
        values = found[name] if name in found else pd.Series(dtype=column.dtype)
        rows[column.name] = values.astype(column.dtype).reindex(sources.index)
    try:
        return table.frame(pd.DataFrame(rows, index=sources.index))
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveError(
            f"The counterparts in {opened.catalogue.name} do not fit their table ({error})."
        ) from error
