"""Votes as the pages see them: the state of a vetter, and who may see what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import RLock
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive import Archive
from exod.archive.votes import VoteLog
from exod.errors import ArchiveError, ConfigError, InputError
from exod.schemas.votes import LABELS
from exod.sources.vetting.agreement import confusion
from exod.sources.vetting.verdicts import CONFLICT, OPEN, CastVote, VoteTally
from exod.stages.derive.verdicts import Judged, export_verdicts, lineage_of
from exod.web.product import Product

_SHOWN: Final = ("vetter", "label", "classes", "score", "note", "event", "time")

HIDDEN: Final = "hidden until you vote"
"""The verdict on a source, to a vetter who has not voted on it."""

COPIED_AT_ONCE: Final = 1_000
"""When more events than this were read from files of their own, they are copied to one file."""


class Ballot:
    """The votes on an archive, for all requests of a server.

    Parameters
    ----------
    archive : Archive
        The archive.
    controls : dict of int to str
        Sources whose answer is known, real or artefact.
    served : bool
        Whether it is of a server, which goes on without votes that cannot be read, names them, and
        copies many votes to one file.
    """

    def __init__(
        self,
        archive: Archive,
        controls: Mapping[int, str] | None = None,
        *,
        served: bool = True,
    ) -> None:
        self._archive, self._served = archive, served
        self.controls = dict(controls or {})
        self._log = VoteLog(archive.store, tolerant=served)
        self._lock = RLock()
        self._version, self._tally = "", VoteTally.of_nothing()
        self._judged: tuple[tuple[int, str], Judged] | None = None
        self._detections: tuple[str, np.ndarray, pa.ChunkedArray] | None = None

    def tally(self, *, refresh: bool = True) -> VoteTally:
        """What vetters think now; to be read while `lock` is held.

        Only events that are new are read and counted; all of them, if sources were made anew.
        Without `refresh` no new ones are looked for: just before a vote they were.
        """
        with self._lock:
            if refresh:
                self._log.refresh()
            pointer = self._archive.derived("unique")
            version = pointer.version if pointer else ""
            if version != self._version or not version:
                version, lineage = lineage_of(self._archive)
                self._version, self._tally = version, VoteTally(lineage)
            self._tally.add(self._log.since(self._tally.n_events))
            if self._served and self._log.n_single > COPIED_AT_ONCE:
                self._log.n_single = 0
                # It is for the next start; where there is no room for it, votes count all the same.
                with suppress(ArchiveError):
                    self._log.compact()
            return self._tally

    @property
    def n_events(self) -> int:
        """How many votes there are, and votes taken back."""
        return self.tally().n_events

    @property
    def lock(self) -> AbstractContextManager[bool]:
        """Held while the tally is read."""
        return self._lock

    def judged(self) -> Judged:
        """The same as tables; put together again only if a vote or the sources are new."""
        with self._lock:
            tally = self.tally()
            key = (tally.n_events, self._version)
            if self._judged is None or self._judged[0] != key:
                self._judged = key, Judged.of(self._version, tally)
            return self._judged[1]

    def vote(self, product: Product, vetter: str, number: int, label: str, **more: Any) -> str:
        """Add an event.

        Raises
        ------
        ConfigError
            If its answer is known, and was told to the vetter: such a vote stays as it is.
        InputError
            If the pages have no such source.
        ArchiveError
            If it cannot be written; it does not count then.
        """
        detid = self._best_detection(product, number)
        seen = {"detid": detid, "unique_version": product.meta["products"]["unique"]}
        if number not in self.controls:
            return self._log.add(vetter, region_num=number, label=label, **seen, **more)
        with self._lock:
            own = self.tally().votes_on(number)
            if any(vote.vetter == vetter and not vote.is_stale for vote in own):
                raise ConfigError(
                    f"The answer for source {number} was shown after your vote, which stays as it "
                    f"is; go on to another source."
                )
            return self._log.add(vetter, region_num=number, label=label, **seen, **more)

    def verdicts(self, vetter: str = "", number: int | None = None) -> list[dict[str, Any]]:
        """What vetters think of the sources that have votes, without names, by number.

        Parameters
        ----------
        vetter : str
            Who asks: verdicts on sources without an own vote are `HIDDEN`; empty for a reader.
        number : int, optional
            Of this source only.
        """
        with self._lock:
            tally = self.tally()
            own = {vote.source for vote in tally.votes_of(vetter) if not vote.is_stale}
            numbers = sorted(tally.decided) if number is None else [number]
            found = []
            for one in numbers:
                n_votes, verdict = tally.decided.get(one, (0, OPEN))
                hidden = bool(vetter) and one not in own
                labels = [vote.label for vote in tally.votes_on(one) if not vote.is_stale]
                counts = {label: labels.count(label) for label in LABELS}
                shown = HIDDEN if hidden and verdict in LABELS else verdict
                row = {"region_num": one, "n_votes": n_votes, "verdict": shown}
                found.append({**row, "votes": None if hidden else counts})
        return found

    def _best_detection(self, product: Product, number: int) -> str:
        with self._lock:
            if self._detections is None or self._detections[0] != product.version:
                with product.opened("sources.parquet") as source:
                    found = pq.read_table(source, columns=["region_num", "best_detid"])
                found = found.sort_by("region_num").combine_chunks()
                self._detections = (
                    product.version,
                    found["region_num"].to_numpy(),
                    found["best_detid"],
                )
            _, numbers, detids = self._detections
        place = int(np.searchsorted(numbers, number))
        if place == len(numbers) or numbers[place] != number:
            raise InputError(
                f"The pages have no source {number}; if sources were made anew, reload the page."
            )
        return str(detids[place].as_py() or "")

    def of_source(self, vetter: str, number: int, *, refresh: bool = True) -> dict[str, Any]:
        """The votes on a source: those of others, and a known answer, after the own one."""
        with self._lock:
            tally = self.tally(refresh=refresh)
            votes = tally.votes_on(number)
            decided = tally.decided.get(number)
        own = next((vote for vote in votes if vote.vetter == vetter), None)
        found: dict[str, Any] = {"source": number, "own": own and _shown(own)}
        found |= dict.fromkeys(("others", "verdict", "answer"))
        if own and not own.is_stale and decided:
            found["others"] = [_shown(vote) for vote in votes if vote.vetter != vetter]
            found["verdict"], found["answer"] = decided[1], self.controls.get(number)
        return found

    def of_vetter(self, vetter: str) -> dict[str, Any]:
        """How often a vetter voted, by label; stale votes are counted apart.

        With it come files of votes that cannot be read, and how far the vetter is right about the
        sources whose answer is known.
        """
        with self._lock:
            own = self.tally().votes_of(vetter)
            damaged = sorted(Path(name).name for name in self._log.damaged)
        valid = [vote.label for vote in own if not vote.is_stale]
        counts = {label: valid.count(label) for label in LABELS}
        return {
            "vetter": vetter,
            "votes": counts,
            "stale": len(own) - len(valid),
            "damaged": damaged,
            "known": self._right(own),
        }

    def _right(self, votes: list[CastVote]) -> dict[str, Any] | None:
        """How far a vetter is right about the sources with a known answer that have its vote."""
        import pandas as pd

        known = [vote for vote in votes if vote.source in self.controls]
        if not self.controls:
            return None
        rows = [(v.vetter, v.source, v.label, v.is_stale) for v in known]
        states = pd.DataFrame(rows, columns=["vetter", "region_num", "label", "stale"])
        found = confusion(states, self.controls).to_dict("records")
        row = found[0] if found else {}
        shares = {name: row.get(name, math.nan) for name in ("completeness", "false_alarms")}
        n_votes = sum(not vote.is_stale for vote in known)
        return {
            "sources": len(self.controls),
            "votes": n_votes,
            **{name: None if math.isnan(share) else share for name, share in shares.items()},
        }

    def agreement(self) -> dict[str, Any]:
        """How far vetters agree: kappa, verdicts, and each vetter against the verdicts."""
        judged = self.judged()
        valid = judged.states[~judged.states["stale"].astype(bool)]
        verdict = judged.verdicts.set_index("region_num")["verdict"]
        told = valid.assign(verdict=verdict.reindex(valid["region_num"]).to_numpy(object))
        decided = told[told["verdict"].isin(LABELS)]
        vetters = []
        for name, own in told.groupby("vetter"):
            of_verdicts = decided[decided["vetter"] == name]
            vetters.append(
                {
                    "vetter": str(name),
                    "votes": {label: int((own["label"] == label).sum()) for label in LABELS},
                    "decided": len(of_verdicts),
                    "as_decided": int((of_verdicts["label"] == of_verdicts["verdict"]).sum()),
                }
            )
        return {
            "events": judged.n_events,
            "kappa": None if math.isnan(judged.kappa) else judged.kappa,
            "verdicts": {str(k): int(n) for k, n in verdict.value_counts().items()},
            "vetters": vetters,
        }

    def export(self, path: Path) -> None:
        """Write the verdicts to a file in the format of its ending."""
        export_verdicts(self._archive, self.judged(), path)


def conflicts(tally: VoteTally) -> list[int]:
    """The sources that vetters disagree on."""
    return [number for number, (_, verdict) in tally.decided.items() if verdict == CONFLICT]


def _shown(vote: CastVote) -> dict[str, Any]:
    """A vote as JSON has it."""
    return {name: vote.row[name] for name in _SHOWN} | {"stale": vote.is_stale}
