"""Votes as facets of the pages: how many, the verdict, whether votes differ, and the own one.

The files of the product do not change with votes, so that these facets come beside them: for the
rows with votes the code of each facet, and what all other rows have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive import Archive
from exod.errors import ArchiveError, ConfigError
from exod.schemas.facets import BINS, MISSING, Facet
from exod.schemas.votes import LABELS
from exod.sources.vetting.verdicts import CONFLICT, OPEN, VoteTally
from exod.web.product import KEPT_INDEX, Product
from exod.web.selection import TABLES
from exod.web.voting.ballot import HIDDEN, Ballot

_VERDICTS: Final = (*LABELS, CONFLICT, OPEN, HIDDEN)

_LABELS: Final = {"verdict": _VERDICTS, "conflict": ("no", "yes"), "mine": (*LABELS, "none")}
_OTHERS: Final = {"n_votes": 0, "verdict": MISSING, "conflict": 0, "mine": len(LABELS)}
"""The code of rows without votes."""

FACETS_OF_VOTES: Final = (
    Facet("n_votes", "n_votes", "Votes", stop=float(BINS)),
    Facet("verdict", "verdict", "Verdict of vetters", "codes"),
    Facet("conflict", "conflict", "Votes differ", "codes"),
    Facet("mine", "mine", "My vote", "codes"),
)

Columns = Mapping[str, np.ndarray]
"""The numbers of rows, ``row``, and the code of each facet, of the rows with votes."""


class VoteFacets:
    """The codes of these facets for the rows of the product, as votes come.

    Parameters
    ----------
    ballot : Ballot
        The votes.
    with_own : bool
        Whether there is a facet of the own vote.
    """

    def __init__(self, ballot: Ballot, *, with_own: bool = True) -> None:
        self._ballot = ballot
        self.facets = FACETS_OF_VOTES if with_own else FACETS_OF_VOTES[:-1]
        self._places: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}

    @property
    def n_events(self) -> int:
        """How many votes there are, and votes taken back."""
        return self._ballot.n_events

    @property
    def described(self) -> list[dict[str, Any]]:
        """The facets in words that a browser reads."""
        found = []
        for facet in self.facets:
            about: dict[str, Any] = {"name": facet.name, "label": facet.label, "kind": facet.kind}
            about |= {"column": facet.column, "votes": True, "others": _OTHERS[facet.name]}
            if facet.kind == "codes":
                about["labels"] = list(_LABELS[facet.name])
            else:
                about |= {"edges": facet.edges.tolist(), "log": facet.log}
            found.append(about)
        return found

    def of_table(self, product: Product, table: str, vetter: str) -> Columns:
        """The rows of a table with votes, sorted, and their codes.

        Parameters
        ----------
        product : Product
            The pages.
        table : str
            sources or detections.
        vetter : str
            Whose vote is the own one; empty for nobody, to whom nothing is hidden.
        """
        with self._ballot.lock:
            numbers, codes = _codes(self._ballot.tally(), vetter)
            known, rows = self._of_product(product, table)
        first, last = (np.searchsorted(known, numbers, side) for side in ("left", "right"))
        length = last - first
        # Places of all rows of each source one after the other.
        start = (
            np.repeat(first - np.r_[0, np.cumsum(length)[:-1]], length) if len(length) else first
        )
        row = rows[start + np.arange(length.sum())]
        order = np.argsort(row)
        names = [facet.name for facet in self.facets]
        own = {name: np.repeat(codes[name], length)[order] for name in names}
        return {"row": row[order], **own}

    def _of_product(self, product: Product, table: str) -> tuple[np.ndarray, np.ndarray]:
        key = (product.version, table)
        if key not in self._places:
            with product.opened(f"{table}.parquet") as source:
                number = pq.read_table(source, columns=["region_num"])["region_num"].to_numpy()
            order = np.argsort(number, kind="stable")
            self._places = {k: v for k, v in self._places.items() if k[0] == product.version}
            self._places[key] = number[order], order
        return self._places[key]

    def answer(self, product: Product, vetter: str = "") -> dict[str, Any]:
        """The same of both tables, as JSON has it; a table that is damaged is left out."""
        found = {}
        for table in TABLES:
            with suppress(ArchiveError):
                rows = self.of_table(product, table, vetter)
                found[table] = {name: values.tolist() for name, values in rows.items()}
        return found


def _codes(tally: VoteTally, vetter: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Sources with votes, sorted, and their codes."""
    own = {v.source: v.label for v in tally.votes_of(vetter) if not v.is_stale} if vetter else {}
    numbers = sorted(tally.decided)
    found: dict[str, list[int]] = {name: [] for name in _OTHERS}
    for number in numbers:
        n_votes, verdict = tally.decided[number]
        if vetter and number not in own and verdict in LABELS:
            verdict = HIDDEN
        found["n_votes"].append(min(n_votes, BINS - 1))
        found["verdict"].append(_VERDICTS.index(verdict))
        found["conflict"].append(int(verdict == CONFLICT))
        found["mine"].append(LABELS.index(own[number]) if number in own else _OTHERS["mine"])
    return np.array(numbers, np.int64), {k: np.array(v, np.uint8) for k, v in found.items()}


class VotedProduct(Product):
    """A product whose tables have the facets of votes, too.

    Parameters
    ----------
    product : Product
        The product.
    facets : VoteFacets
        The facets.
    vetter : str
        Whose vote is the own one; empty for nobody.
    """

    def __init__(self, product: Product, facets: VoteFacets, vetter: str = "") -> None:
        # All that a version of the product knows of its files is known already.
        self.__dict__.update(vars(product))
        self._plain, self._facets, self._vetter = product, facets, vetter

    @property
    def meta(self) -> dict[str, Any]:
        """As of the product, with the facets of votes."""
        about = self._plain.meta
        tables = {name: self._with_votes(own) for name, own in about["tables"].items()}
        return {**about, "tables": tables, "votes": True}

    def about(self, name: str) -> dict[str, Any]:
        """As of the product, with the facets of votes."""
        return self._with_votes(self._plain.about(name))

    def _with_votes(self, about: dict[str, Any]) -> dict[str, Any]:
        return {**about, "facets": [*about["facets"], *self._facets.described]}

    @property
    def tag(self) -> str:
        """As of the product; another one after each vote."""
        n_events = self._facets.n_events
        own = f"-{n_events}-{self._vetter.encode().hex()}"
        return f"{self._plain.tag}{own if n_events else ''}"

    @property
    def votes(self) -> dict[str, Any]:
        """The rows with votes of both tables, as JSON has it."""
        return self._facets.answer(self._plain, self._vetter)

    @property
    def density(self) -> Mapping[str, bytes]:
        """As of the product, which has them in memory."""
        return self._plain.density

    @contextmanager
    def counting(self, table: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """As of the product; the index has the facets of votes."""
        with self._plain.counting(table) as connection:
            self._add(connection, table, KEPT_INDEX.format(table))
            yield connection

    @contextmanager
    def connected(
        self, tables: Iterable[str], *, plain: bool = False
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """As of the product; the indexes have the facets of votes."""
        tables = [*tables]
        with self._plain.connected(tables, plain=plain) as connection:
            for table in () if plain else TABLES:
                if f"{table}_index" in tables:
                    connection.execute(f"ALTER VIEW {table}_index RENAME TO {table}_unvoted")
                    self._add(connection, table, f"{table}_unvoted")
            yield connection

    def _add(self, connection: duckdb.DuckDBPyConnection, table: str, index: str) -> None:
        """A view of this connection alone, in place of an index."""
        columns = self._facets.of_table(self._plain, table, self._vetter)
        rows = pa.table({("#row" if n == "row" else n): pa.array(v) for n, v in columns.items()})
        others = {facet.name: _OTHERS[facet.name] for facet in self._facets.facets}
        joined: tuple[str, ...] = ()
        if len(rows):
            connection.register(f"{table}_votes", rows)
            own = [f'coalesce(v."{name}", {code})' for name, code in others.items()]
            joined = ("LEFT JOIN", f"{table}_votes", 'AS v ON i."#row" = v."#row"')
        else:
            own = [f"{code}::UTINYINT" for code in others.values()]
        shown = ", ".join(f'{what} AS "{name}"' for what, name in zip(own, others, strict=True))
        words = (
            *("CREATE TEMP VIEW", f"{table}_index", "AS SELECT i.*,", shown),
            *("FROM", index, "AS i", *joined),
        )
        connection.execute(" ".join(words))


def voted_product(archive: Archive, state: Mapping[str, str] | None = None) -> Product:
    """The product of an archive with facets of its votes, if it has any.

    Parameters
    ----------
    archive : Archive
        The archive.
    state : dict of str to str, optional
        The state of an address, whose ``vetter`` has the own votes; votes are read only if it
        chooses by them. By default they are read.

    Raises
    ------
    ArchiveError
        If the product was not made yet, or a vote cannot be read.
    ConfigError
        If own votes are chosen without a vetter.
    """
    product, ballot = Product(archive), Ballot(archive, served=False)
    vetter = checked_own(state or {})
    names = {facet.name for facet in FACETS_OF_VOTES}
    if (state is not None and not names & {*state}) or (state is None and not ballot.n_events):
        return product
    return VotedProduct(product, VoteFacets(ballot, with_own=bool(vetter)), vetter)


def checked_own(state: Mapping[str, str]) -> str:
    """The vetter of an address.

    Raises
    ------
    ConfigError
        If own votes are chosen without one.
    """
    vetter = state.get("vetter", "")
    if state.get("mine") and not vetter:
        raise ConfigError(
            f"mine={state['mine'][:40]} needs to know whose votes are meant; add "
            f"vetter=NAME to the address."
        )
    return vetter
