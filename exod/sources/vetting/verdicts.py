"""Votes of several people -> the state of each, and the verdict on each source.

Events are never changed. What a vetter thinks of a source is the last event of the two; votes
follow their source where it was merged into another one, and are stale where it was split.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.schemas import LINEAGE
from exod.schemas.arrays import Integers
from exod.schemas.votes import LABELS, VERDICTS, VOTES, WITHDRAWN

OPEN, CONFLICT = "open", "conflict"

LEAST_EQUAL: Final = 2
"""Equal votes that a verdict needs; they must be more than half of all, too."""


_NAMES: Final = VOTES.schema.names
_EVENT, _VETTER, _CLOCK, _LABEL, _REGION, _VERSION = (
    _NAMES.index(name)
    for name in ("event", "vetter", "clock", "label", "region_num", "unique_version")
)


class CastVote(NamedTuple):
    """A vote, and what its source is now.

    Attributes
    ----------
    event : tuple
        The values of the columns of `exod.schemas.votes.VOTES`.
    source : int
        The number of the source as it is now.
    is_stale : bool
        Whether the source was split since.
    """

    event: tuple[Any, ...]
    source: int
    is_stale: bool

    @property
    def vetter(self) -> str:
        """Who voted."""
        return str(self.event[_VETTER])

    @property
    def label(self) -> str:
        """What was said."""
        return str(self.event[_LABEL])

    @property
    def order(self) -> tuple[int, str]:
        """What is larger for a later event of the vetter."""
        return self.event[_CLOCK], self.event[_EVENT]

    @property
    def row(self) -> dict[str, Any]:
        """The values by column."""
        return dict(zip(_NAMES, self.event, strict=True))


@dataclass(frozen=True)
class _Descent:
    """What became of sources: merged into which, and split, by generation and source."""

    generations: tuple[int, ...]
    merged: Mapping[tuple[int, int], int]
    split: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, lineage: pd.DataFrame) -> _Descent:
        changes = lineage[lineage["change"].isin(["merged", "split"])]
        rows = [*zip(changes["generation"], changes["region_num"], changes["other"], strict=True)]
        is_split = (changes["change"] == "split").to_list()
        merged = {
            (int(g), int(n)): int(o) for (g, n, o), s in zip(rows, is_split, strict=True) if not s
        }
        split = {(int(g), int(o)) for (g, _, o), s in zip(rows, is_split, strict=True) if s}
        return cls(tuple(sorted({int(g) for g, _, _ in rows})), merged, frozenset(split))

    def follow(self, number: int, generation: int) -> tuple[int, bool]:
        """The source that one of a generation is now, and whether it was split on the way."""
        is_stale = False
        for later in self.generations:
            if later <= generation:
                continue
            is_stale |= (later, number) in self.split
            number = self.merged.get((later, number), number)
            is_stale |= (later, number) in self.split
        return number, is_stale


class VoteTally:
    """What each vetter thinks of each source, kept as events come.

    The order of events, in how many parts they come, and events that come twice make no difference
    to the state.

    Parameters
    ----------
    lineage : DataFrame
        What became of the sources, with the columns of `exod.schemas.LINEAGE`.

    Attributes
    ----------
    of_sources, of_vetters : dict
        The last event of each vetter and source, withdrawals too: by number of the source as it is
        now, then vetter; and by vetter, then number.
    decided : dict of int to (int, str)
        Votes that count and the verdict, of each source on which there is a vote.
    n_events : int
        Events that were added.
    """

    def __init__(self, lineage: pd.DataFrame) -> None:
        self._generation = _Generations(lineage)
        self._descent = _Descent.of(lineage)
        self._now: dict[tuple[int, str], tuple[int, bool]] = {}
        self.of_sources: dict[int, dict[str, CastVote]] = {}
        self.of_vetters: dict[str, dict[int, CastVote]] = {}
        self.decided: dict[int, tuple[int, str]] = {}
        self.n_events = 0

    @classmethod
    def of_nothing(cls) -> VoteTally:
        """A tally of sources that never changed."""
        return cls(LINEAGE.frame())

    def add(self, events: Iterable[tuple[Any, ...]]) -> None:
        """Add events, each with the values of the columns of `exod.schemas.votes.VOTES`."""
        touched = set()
        for event in events:
            vote = self._followed(event)
            own = self.of_sources.setdefault(vote.source, {})
            earlier = own.get(vote.vetter)
            if earlier is None or vote.order > earlier.order:
                own[vote.vetter] = vote
                self.of_vetters.setdefault(vote.vetter, {})[vote.source] = vote
                touched.add(vote.source)
            self.n_events += 1
        self._decide(sorted(touched))

    def _followed(self, event: tuple[Any, ...]) -> CastVote:
        number, version = event[_REGION], event[_VERSION]
        if (number, version) not in self._now:
            generation = self._generation.of(version)
            self._now[number, version] = self._descent.follow(number, generation)
        return CastVote(event, *self._now[number, version])

    def _decide(self, numbers: list[int]) -> None:
        counts = np.zeros((len(numbers), len(LABELS)), np.int64)
        for place, number in enumerate(numbers):
            for vote in self.votes_on(number):
                if not vote.is_stale:
                    counts[place, LABELS.index(vote.label)] += 1
        total, verdict = _decided(counts)
        for number, *told in zip(numbers, total.tolist(), verdict.tolist(), strict=True):
            if self.votes_on(number):
                self.decided[number] = (told[0], told[1])
            else:
                self.decided.pop(number, None)

    def votes_on(self, number: int) -> list[CastVote]:
        """The votes on a source that were not withdrawn, by vetter."""
        own = self.of_sources.get(number, {})
        return [vote for _, vote in sorted(own.items()) if vote.label != WITHDRAWN]

    def votes_of(self, vetter: str) -> list[CastVote]:
        """The votes of a vetter that were not withdrawn."""
        own = self.of_vetters.get(vetter, {}).values()
        return [vote for vote in own if vote.label != WITHDRAWN]

    def states(self) -> pd.DataFrame:
        """What `vote_states` returns of all events that were added."""
        votes = [vote for number in sorted(self.decided) for vote in self.votes_on(number)]
        rows = VOTES.frame([vote.row for vote in votes])
        return rows.assign(
            cast_on=rows["region_num"],
            region_num=np.array([vote.source for vote in votes], np.int64),
            stale=np.array([vote.is_stale for vote in votes], bool),
        )


def vote_states(votes: pd.DataFrame, lineage: pd.DataFrame) -> pd.DataFrame:
    """What each vetter thinks of each source now.

    Parameters
    ----------
    votes : DataFrame
        Events, with the columns of `exod.schemas.votes.VOTES`, in any order; an event that is
        there twice counts once.
    lineage : DataFrame
        What became of the sources, with the columns of `exod.schemas.LINEAGE`.

    Returns
    -------
    DataFrame
        A row for each vetter and source whose last event is no withdrawal, sorted by source and
        vetter, with the columns of the votes, where ``region_num`` is the source as it is now,
        ``cast_on`` (int64) that of the vote, and ``stale`` (bool): the source was split since.

    Notes
    -----
    The last event of a vetter is that with the largest clock, and of two with the same clock (a
    vetter at two servers at once) that whose identifier sorts last.

    Examples
    --------
    >>> event = {"vetter": "ada", "time": 60000.0, "region_num": 7, "detid": "", "score": -1,
    ...          "unique_version": "", "classes": "", "note": "", "supersedes": "", "view": "",
    ...          "seconds": 1.0, "software": ""}
    >>> votes = VOTES.frame([{**event, "event": "a", "clock": 1, "label": "real"},
    ...                      {**event, "event": "b", "clock": 2, "label": "artefact"}])
    >>> vote_states(votes, LINEAGE.frame())[["region_num", "vetter", "label", "stale"]]
       region_num vetter     label  stale
    0           7    ada  artefact  False
    """
    tally = VoteTally(lineage)
    tally.add(votes[VOTES.schema.names].itertuples(index=False, name=None))
    return tally.states()


class _Generations:
    """The generation of the sources that votes are about; names of later versions sort after.

    A version that changed no source has no rows in the lineage: it is of the generation before.
    """

    def __init__(self, lineage: pd.DataFrame) -> None:
        pairs = lineage.groupby("version")["generation"].max().sort_index()
        self._exact = {str(name): int(number) for name, number in pairs.items()}
        self._names = list(self._exact)
        self._numbers = np.maximum.accumulate(pairs.to_numpy(np.int64)) if len(pairs) else ()

    def of(self, version: str) -> int:
        """The generation of a version."""
        before = bisect_right(self._names, version)
        return self._exact.get(version, int(self._numbers[before - 1]) if before else 0)


def verdicts(states: pd.DataFrame) -> pd.DataFrame:
    """The verdict on each source that somebody voted on.

    Parameters
    ----------
    states : DataFrame
        What `vote_states` returns.

    Returns
    -------
    DataFrame
        With the columns of `exod.schemas.votes.VERDICTS`. The verdict is a label that has at least
        two votes and more than half of all; ``open`` with fewer than two votes, otherwise
        ``conflict``. Stale votes are counted apart, and do not count.
    """
    numbers = np.unique(states["region_num"].to_numpy(np.int64))
    place = np.searchsorted(numbers, states["region_num"].to_numpy(np.int64))
    stale = states["stale"].to_numpy(bool)
    counts = np.zeros((len(numbers), len(LABELS)), np.int64)
    label = states["label"].map(LABELS.index).to_numpy(np.int64)
    np.add.at(counts, (place[~stale], label[~stale]), 1)
    total, verdict = _decided(counts)
    names: list[list[str]] = [[] for _ in numbers]
    for number, vetter in zip(place.tolist(), states["vetter"].to_list(), strict=True):
        names[number].append(vetter)
    return VERDICTS.frame(
        pd.DataFrame(
            {
                "region_num": numbers,
                "n_votes": total,
                **{f"n_{name}": counts[:, number] for number, name in enumerate(LABELS)},
                "n_stale": np.bincount(place[stale], minlength=len(numbers)),
                "verdict": verdict,
                "conflict": verdict == CONFLICT,
                "vetters": [",".join(sorted(own)) for own in names],
            }
        )
    )


def _decided(counts: Integers) -> tuple[Integers, NDArray[np.object_]]:
    """Votes that count and the verdict of each source, from counts of axes (source, label)."""
    total, most = counts.sum(axis=1), counts.max(axis=1, initial=0)
    agreed = (most >= LEAST_EQUAL) & (2 * most > total)
    verdict = np.where(agreed, np.array(LABELS, object)[counts.argmax(axis=1)], CONFLICT)
    verdict[total < LEAST_EQUAL] = OPEN
    return total, verdict
