"""Votes of several people -> the state of each, and the verdict on each source.

Events are never changed. What a vetter thinks of a source is the last event of the two; votes
follow their source where it was merged into another one, and are stale where it was split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from exod.schemas.votes import LABELS, VERDICTS, WITHDRAWN

OPEN, CONFLICT = "open", "conflict"

LEAST_EQUAL: Final = 2
"""Equal votes that a verdict needs; they must be more than half of all, too."""


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
    >>> from exod.schemas import LINEAGE
    >>> from exod.schemas.votes import VOTES
    >>> event = {"vetter": "ada", "time": 60000.0, "region_num": 7, "detid": "", "score": -1,
    ...          "unique_version": "", "classes": "", "note": "", "supersedes": "", "view": "",
    ...          "seconds": 1.0, "software": ""}
    >>> votes = VOTES.frame([{**event, "event": "a", "clock": 1, "label": "real"},
    ...                      {**event, "event": "b", "clock": 2, "label": "artefact"}])
    >>> vote_states(votes, LINEAGE.frame())[["region_num", "vetter", "label", "stale"]]
       region_num vetter     label  stale
    0           7    ada  artefact  False
    """
    rows = votes.drop_duplicates("event").sort_values(["clock", "event"], kind="stable")
    generation = _generations(rows["unique_version"], lineage)
    descent = _Descent.of(lineage)
    known: dict[tuple[int, int], tuple[int, bool]] = {}
    for pair in zip(rows["region_num"].to_list(), generation, strict=True):
        known.setdefault(pair, descent.follow(*pair))
    now = [known[pair] for pair in zip(rows["region_num"].to_list(), generation, strict=True)]
    rows = rows.assign(
        cast_on=rows["region_num"],
        region_num=np.array([number for number, _ in now], np.int64),
        stale=np.array([is_stale for _, is_stale in now], bool),
    )
    last = rows.drop_duplicates(["vetter", "region_num"], keep="last")
    last = last[last["label"] != WITHDRAWN]
    return last.sort_values(["region_num", "vetter"], ignore_index=True)


def _generations(versions: pd.Series, lineage: pd.DataFrame) -> list[int]:
    """The generation of the sources that each vote is about; names of later versions sort after.

    A version that changed no source has no rows in the lineage: it is of the generation before.
    """
    pairs = lineage.groupby("version")["generation"].max().sort_index()
    numbers = np.maximum.accumulate(pairs.to_numpy(np.int64)) if len(pairs) else np.empty(0, int)
    exact = {str(name): int(number) for name, number in pairs.items()}
    found = {}
    for name in versions.unique():
        before = int(np.searchsorted(pairs.index.to_numpy(object), name, side="right"))
        found[name] = exact.get(name, int(numbers[before - 1]) if before else 0)
    return [found[name] for name in versions]


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
    total = counts.sum(axis=1)
    best = counts.argmax(axis=1)
    most = counts.max(axis=1, initial=0)
    agreed = (most >= LEAST_EQUAL) & (2 * most > total)
    verdict = np.where(agreed, np.array(LABELS, object)[best], CONFLICT)
    verdict[total < LEAST_EQUAL] = OPEN
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
