"""Verdicts: the votes on an archive and what became of its sources -> what vetters agree on."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from exod.archive import Archive
from exod.archive.parquet import to_arrow
from exod.archive.parts import Part, derived_pieces, read_part
from exod.archive.votes import VoteLog
from exod.errors import ArchiveError, ConfigError
from exod.files.text import read_text
from exod.schemas import DERIVED, LINEAGE, MEMBERS, UNIQUE, Table
from exod.schemas.votes import VERDICTS, VETTED
from exod.sources.vetting.agreement import ANSWERS, BELIEVED, kappa_of_verdicts
from exod.sources.vetting.verdicts import VoteTally, verdicts
from exod.tablefiles.writing import write_table

if TYPE_CHECKING:
    import pandas as pd

VET_LABELS: Final = ("vet_real", "vet_artefact")

_NAMED: Final = ("srcid", "ra_deg", "dec_deg")

EXPORTED: Final = Table(
    VERDICTS.name,
    VERDICTS.description,
    (
        VERDICTS.columns[0],
        *(column for column in UNIQUE.columns if column.name in _NAMED),
        *VERDICTS.columns[1:],
    ),
    VERDICTS.sort_by,
)
"""Verdicts with names and places of the sources; a source that is gone has none."""


@dataclass(frozen=True)
class Judged:
    """What vetters think of the sources of an archive.

    Attributes
    ----------
    version : str
        The version of the product ``unique`` whose sources these are.
    n_events : int
        Votes, and votes taken back.
    states : DataFrame
        As `exod.sources.vetting.verdicts.vote_states` returns it.
    verdicts : DataFrame
        As `exod.sources.vetting.verdicts.verdicts` returns it.
    """

    version: str
    n_events: int
    states: pd.DataFrame
    verdicts: pd.DataFrame

    @classmethod
    def of(cls, version: str, tally: VoteTally) -> Judged:
        """What a tally has, of the sources of a version."""
        states = tally.states()
        return cls(version, tally.n_events, states, verdicts(states))

    @property
    def kappa(self) -> float:
        """Fleiss' kappa of the votes that count; NaN if no source has two."""
        return kappa_of_verdicts(self.verdicts)


def judge(archive: Archive, log: VoteLog | None = None) -> Judged:
    """Put the votes on an archive together.

    Parameters
    ----------
    archive : Archive
        The archive, with sources.
    log : VoteLog, optional
        Its votes, where they were read before.

    Raises
    ------
    ArchiveError
        If there are no sources, or something cannot be read.
    """
    version, lineage = lineage_of(archive)
    tally, log = VoteTally(lineage), log or VoteLog(archive.store)
    log.refresh()
    tally.add(log.since(0))
    return Judged.of(version, tally)


def lineage_of(archive: Archive) -> tuple[str, pd.DataFrame]:
    """The version of the sources that counts now, and what became of those before.

    Raises
    ------
    ArchiveError
        If there are no sources, or something cannot be read.
    """
    return _of_sources(archive, LINEAGE)


def _of_sources(archive: Archive, table: Table) -> tuple[str, pd.DataFrame]:
    """The version of the sources, and a table of it."""
    derived = archive.derived("unique")
    if derived is None or table not in DERIVED["unique"]:
        raise ArchiveError(
            f"Votes are on sources, and {archive.root} has none yet; run `exod cluster "
            f"{archive.root}`."
        )
    part = Part(tuple(derived_pieces(derived.of(table.name))))
    return derived.version, read_part(part, store=archive.store, table=table, rows=[])


def export_verdicts(
    archive: Archive, judged: Judged, path: Path, *, overwrite: bool = False
) -> int:
    """Write the verdicts to a file in the format of its ending; returns their number.

    Raises
    ------
    ConfigError
        If the file must not be written.
    ExodError
        If it cannot be written.
    """
    _, sources = _of_sources(archive, UNIQUE)
    sources = sources.set_index("region_num")[list(_NAMED)]
    rows = judged.verdicts.join(sources, on="region_num")
    rows["srcid"] = rows["srcid"].fillna("")
    header = {"KAPPA": (judged.kappa, "Fleiss' kappa")} if np.isfinite(judged.kappa) else {}
    chunk = to_arrow(EXPORTED, rows, EXPORTED.name)
    return write_table(path, EXPORTED, [chunk], overwrite=overwrite, header=header)


def vetted_regions(archive: Archive) -> pd.DataFrame:
    """Rows of the table `exod.schemas.votes.VETTED`, sorted.

    Raises
    ------
    ArchiveError
        If there are no sources, or something cannot be read.
    """
    found = judge(archive).verdicts
    is_real = found["verdict"].isin(BELIEVED)
    label = found.loc[is_real | (found["verdict"] == "artefact"), ["region_num"]]
    label = label.assign(vet_real=is_real[label.index], vet_artefact=~is_real[label.index])
    _, members = _of_sources(archive, MEMBERS)
    rows = members[["detid", "obsid", "region_num"]].merge(label, on="region_num")
    # The name of a region is that of its run, and its label.
    rows["runid"] = rows["detid"].str.rpartition("_")[0]
    return VETTED.frame(rows.drop(columns="region_num")).sort_values("detid", ignore_index=True)


def digest_of(vetted: pd.DataFrame | None) -> str:
    """What is equal for equal rows of that table; empty if it was not asked for."""
    if vetted is None:
        return ""
    return hashlib.sha256(vetted.to_csv(index=False).encode()).hexdigest()[:16]


def read_controls(path: Path, archive: Archive) -> dict[int, str]:
    """Sources of which the answer is known.

    Parameters
    ----------
    path : Path
        CSV with the columns region_num and answer, real or artefact; or with ra_deg and dec_deg,
        as `exod inject` writes it: then the nearest source within `CONTROL_ARCSEC` of a place is
        meant, and the answer is real unless a column answer says something else.
    archive : Archive
        The archive, whose sources are meant.

    Raises
    ------
    ConfigError
        If it cannot be read, or an answer is neither real nor artefact.
    ArchiveError
        If there are no sources.
    """
    rows = csv.DictReader(StringIO(read_text(path, "The table of controls")))
    names = set(rows.fieldnames or ())
    by_number, by_place = {"region_num", "answer"} <= names, {"ra_deg", "dec_deg"} <= names
    if not by_number and not by_place:
        raise ConfigError(
            f"The controls {path} need the columns region_num and answer, or ra_deg and dec_deg."
        )
    found, places, answers = {}, [], []
    for row in rows:
        number, answer = str(row.get("region_num")).strip(), str(row.get("answer", "real")).strip()
        place = _place(row) if not by_number else None
        if answer not in ANSWERS or not (number.isdecimal() if by_number else place):
            given = ", ".join(map(str, row.values()))
            raise ConfigError(
                f"{path}, line {rows.line_num}: a control is the number of a source, or a place in "
                f"degrees, and {' or '.join(ANSWERS)}, not {given[:80]!r}."
            )
        if place:
            places.append(place)
            answers.append(answer)
        else:
            found[int(number)] = answer
    if places:
        numbers = _sources_at(archive, np.array(places))
        found |= {n: a for n, a in zip(numbers, answers, strict=True) if n is not None}
    return found


CONTROL_ARCSEC: Final = 20.0
"""How far a source may be from what was put in: a cell of the search."""


def _place(row: dict[str, str]) -> tuple[float, float] | None:
    try:
        ra, dec = float(row["ra_deg"]), float(row["dec_deg"])
    except (TypeError, ValueError):
        return None
    return (ra, dec) if 0 <= ra <= 360 and -90 <= dec <= 90 else None


def _sources_at(archive: Archive, places: np.ndarray) -> list[int | None]:
    """The source at each place, shape (n, 2); None where there is none."""
    from astropy.coordinates import SkyCoord

    _, sources = _of_sources(archive, UNIQUE)
    if sources.empty:
        return [None] * len(places)
    there = SkyCoord(sources["ra_deg"].to_numpy(), sources["dec_deg"].to_numpy(), unit="deg")
    nearest, away, _ = SkyCoord(*places.T, unit="deg").match_to_catalog_sky(there)
    numbers = sources["region_num"].to_numpy()[nearest].tolist()
    is_near = (away.arcsec <= CONTROL_ARCSEC).tolist()
    return [number if near else None for number, near in zip(numbers, is_near, strict=True)]
