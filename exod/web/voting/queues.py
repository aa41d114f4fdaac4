"""The sources that a vetter is asked about, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
import pyarrow.parquet as pq

from exod.errors import ConfigError
from exod.schemas.explorer import NEIGHBOURS
from exod.web.counting import rows
from exod.web.product import Product
from exod.web.selection import selection
from exod.web.voting.ballot import Ballot, conflicts

Queue = Literal["unvoted", "conflicts", "least", "known", "similar"]

_FIRST: Final = ("sigma_peak", "best_lc_sigma_max_B_peak")
"""Without another order the most significant sources come first, as in the catalogue."""


def queue(
    ballot: Ballot, product: Product, vetter: str, kind: Queue, state: Mapping[str, str]
) -> list[int]:
    """Numbers of the sources that a vetter is asked about, in order.

    Parameters
    ----------
    ballot : Ballot
        The votes.
    product : Product
        The pages.
    vetter : str
        Who asks.
    kind : {"unvoted", "conflicts", "least", "known", "similar"}
        Sources without a vote of the vetter; those that vetters disagree on; those without a vote
        of the vetter, fewest votes first; those of them whose answer is known, in an order that
        is the vetter's own; or those of them whose light curves are most like those of the source
        that ``like`` of the state names.
    state : dict of str to str
        What the address chooses of the sources.

    Raises
    ------
    ConfigError
        If the address cannot be.
    """
    numbers = _chosen(product, state)
    with ballot.lock:
        tally = ballot.tally()
        if kind == "conflicts":
            return list(numbers[np.isin(numbers, conflicts(tally))].tolist())
        own = [vote.source for vote in tally.votes_of(vetter) if not vote.is_stale]
        n_votes = {number: count for number, (count, _) in tally.decided.items()}
    numbers = numbers[~np.isin(numbers, own)]
    if kind == "least":
        votes = np.array([n_votes.get(number, 0) for number in numbers.tolist()], np.int64)
        numbers = numbers[np.argsort(votes, kind="stable")]
    elif kind == "known":
        known = numbers[np.isin(numbers, [*ballot.controls])].tolist()
        # The order must not tell which ones are real, and be the same when the page is reloaded.
        return sorted(
            known, key=lambda number: hashlib.sha256(f"{vetter} {number}".encode()).digest()
        )
    elif kind == "similar":
        numbers = _nearest(product, numbers, state.get("like", ""))
    return list(numbers.tolist())


def _chosen(product: Product, state: Mapping[str, str]) -> np.ndarray:
    about = product.about("sources")
    columns = {column["name"] for column in about["columns"]}
    first = next((name for name in _FIRST if name in columns), "")
    if not state.get("sort") and first:
        state = {**state, "sort": f"-{first}"}
    chosen = selection(about, "sources", state)
    limit = product.files["sources.parquet"].rows
    found = rows(product, chosen, ["region_num"], limit)
    return np.array([row["region_num"] for row in found], np.int64)


def _nearest(product: Product, numbers: np.ndarray, like: str) -> np.ndarray:
    """Sources in order of the distance of their light curve that is nearest to one of another.

    Raises
    ------
    ConfigError
        If there is no such source, or it has no light curves.
    """
    with product.opened(f"{NEIGHBOURS.name}.parquet") as source:
        table = pq.read_table(source)
    region = table["region_num"].to_numpy()
    names = [name for name in table.schema.names if name not in _KEYS]
    place = np.stack([table[name].to_numpy() for name in names], axis=1)
    given = int(like) if like.isdecimal() and len(like) < 16 else -1
    own = place[region == given]
    if not len(own):
        raise ConfigError(
            f"like={like[:40]} is no source with light curves; give the number of one, as like=12."
        )
    distance = np.full(len(place), np.inf, np.float32)
    for curve in own:
        distance = np.minimum(distance, ((place - curve) ** 2).sum(axis=1))
    order = np.argsort(distance, kind="stable")
    ranked, first = np.unique(region[order], return_index=True)
    by_distance = ranked[np.argsort(first)]
    return by_distance[np.isin(by_distance, numbers) & (by_distance != given)]


_KEYS: Final = ("region_num", "srcid", "detid")
