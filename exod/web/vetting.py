"""Votes as the pages see them: the state of a vetter, queues, and who may see what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive import Archive
from exod.archive.votes import VoteLog
from exod.errors import InputError
from exod.schemas.votes import LABELS
from exod.stages.derive.verdicts import Judged, judge
from exod.web.counting import rows
from exod.web.product import Product
from exod.web.selection import selection

Queue = Literal["unvoted", "conflicts", "least"]

_FIRST: Final = "best_lc_sigma_max_B_peak"
"""Without another order the most significant sources come first."""

_SHOWN: Final = ("vetter", "label", "classes", "score", "note", "event", "time", "stale")


class Ballot:
    """The votes on an archive, for all requests of a server.

    Parameters
    ----------
    archive : Archive
        The archive.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._log = VoteLog(archive.store)
        self._lock = Lock()
        self._judged: tuple[tuple[int, str], Judged] | None = None
        self._detections: tuple[str, np.ndarray, pa.ChunkedArray] | None = None

    def judged(self) -> Judged:
        """What vetters think now; put together again only if a vote or the sources are new."""
        with self._lock:
            self._log.refresh()
            pointer = self._archive.derived("unique")
            key = (self._log.size, pointer.version if pointer else "")
            if self._judged is None or self._judged[0] != key:
                self._judged = key, judge(self._archive, self._log)
            return self._judged[1]

    def vote(self, product: Product, vetter: str, number: int, label: str, **more: Any) -> str:
        """Add an event.

        Raises
        ------
        InputError
            If the pages have no such source.
        ArchiveError
            If it cannot be written; it does not count then.
        """
        detid = self._best_detection(product, number)
        seen = {"detid": detid, "unique_version": product.meta["products"]["unique"]}
        return self._log.add(vetter, region_num=number, label=label, **seen, **more)

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

    def of_source(self, vetter: str, number: int) -> dict[str, Any]:
        """The votes on a source: those of others only to a vetter who has voted."""
        judged = self.judged()
        here = judged.states[judged.states["region_num"] == number]
        is_own = (here["vetter"] == vetter).to_numpy(bool)
        own = next(map(_shown, here[is_own].to_dict("records")), None)
        found: dict[str, Any] = {"source": number, "own": own, "others": None, "verdict": None}
        if own and not own["stale"]:
            verdict = judged.verdicts[judged.verdicts["region_num"] == number]
            found["others"] = [_shown(row) for row in here[~is_own].to_dict("records")]
            found["verdict"] = str(verdict["verdict"].iloc[0])
        return found

    def of_vetter(self, vetter: str) -> dict[str, Any]:
        """How often a vetter voted, by label; stale votes are counted apart."""
        states = self.judged().states
        own = states[states["vetter"] == vetter]
        valid = own.loc[~own["stale"].astype(bool), "label"].to_list()
        counts = {label: valid.count(label) for label in LABELS}
        return {"vetter": vetter, "votes": counts, "stale": len(own) - len(valid)}

    def queue(
        self, product: Product, vetter: str, kind: Queue, state: Mapping[str, str]
    ) -> list[int]:
        """Numbers of the sources that a vetter is asked about, in order.

        Parameters
        ----------
        product : Product
            The pages.
        vetter : str
            Who asks.
        kind : {"unvoted", "conflicts", "least"}
            Sources without a vote of the vetter; those that vetters disagree on; or those without
            a vote of the vetter, fewest votes first.
        state : dict of str to str
            What the address chooses of the sources.

        Raises
        ------
        ConfigError
            If the address cannot be.
        """
        about = product.about("sources")
        if not state.get("sort") and any(c["name"] == _FIRST for c in about["columns"]):
            state = {**state, "sort": f"-{_FIRST}"}
        chosen = selection(about, "sources", state)
        limit = product.files["sources.parquet"].rows
        found = rows(product, chosen, ["region_num"], limit)
        numbers = np.array([row["region_num"] for row in found], np.int64)
        judged = self.judged()
        if kind == "conflicts":
            return list(numbers[np.isin(numbers, _conflicts(judged))].tolist())
        states = judged.states
        own = states[(states["vetter"] == vetter) & ~states["stale"].astype(bool)]
        numbers = numbers[~np.isin(numbers, own["region_num"].to_numpy(np.int64))]
        if kind == "least":
            votes = judged.verdicts.set_index("region_num")["n_votes"].reindex(numbers).fillna(0)
            numbers = numbers[np.argsort(votes.to_numpy(), kind="stable")]
        return list(numbers.tolist())

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


def _conflicts(judged: Judged) -> np.ndarray:
    found = judged.verdicts
    return np.asarray(found.loc[found["conflict"].astype(bool), "region_num"], np.int64)


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A vote as JSON has it."""
    return {name: getattr(row[name], "item", lambda name=name: row[name])() for name in _SHOWN}
