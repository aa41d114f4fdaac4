"""What a new version of a product computes and what it keeps, in every order of things."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.archive.derived import Derived, DerivedFile
from exod.archive.increments import Changes, batches, compute_all
from exod.archive.ledger.entry import LedgerEntry
from exod.errors import ArchiveError
from exod.scheduler.plan import Plan


@dataclass(frozen=True)
class Entry:
    """What of a ledger entry matters here."""

    obsid: str
    attempt: str = "0001"
    regions: int = 1

    def rows(self, table: str) -> int:
        assert table == "regions"
        return self.regions


def obsid_of(number: int) -> str:
    return f"{number:010d}"


def entries_of(attempts: dict[int, int]) -> list[LedgerEntry]:
    found = [Entry(obsid_of(n), f"{attempt:04d}") for n, attempt in sorted(attempts.items())]
    return cast("list[LedgerEntry]", found)


def version_of(attempts: dict[int, int], parts: list[list[int]], **parameters: Any) -> Derived:
    """A version whose parts are batches of observations."""
    files = [
        DerivedFile(
            path=f"flags/v/flags-{number}.parquet",
            table="flags",
            part=f"{obsid_of(part[0])}-{obsid_of(part[-1])}.{number}",
            rows=len(part),
            bytes=1,
        )
        for number, part in enumerate(parts)
    ]
    now = datetime.now(UTC)
    known = {obsid_of(n): f"{attempt:04d}" for n, attempt in attempts.items()}
    return Derived(
        product="flags", version="v", finished=now, exod="1", files=tuple(files), attempts=known,
        parameters=parameters, summary={},
    )  # fmt: skip


ledgers = st.dictionaries(st.integers(0, 12), st.integers(1, 2), max_size=10)


@given(ledgers, ledgers, st.integers(1, 4))
def test_every_observation_is_computed_or_kept_once(
    before: dict[int, int], now: dict[int, int], size: int
) -> None:
    ordered = sorted(before)
    parts = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    changes = Changes.since(version_of(before, parts, radius=1), entries_of(now), {"radius": 1})
    rows: list[int] = []
    for file in changes.kept("flags"):
        part = parts[int(file.part.rpartition(".")[2])]
        rows += [number for number in part if obsid_of(number) not in file.without]
    same = [number for number in ordered if now.get(number) == before[number]]
    assert sorted(rows) == same
    assert set(changes.attempts) == {obsid_of(number) for number in same}
    new = [number for number in sorted(now) if number not in same]
    assert [entry.obsid for entry in changes.todo] == [obsid_of(number) for number in new]
    assert changes.are_none == (before == now)


@given(ledgers, ledgers)
def test_made_anew_nothing_is_kept(before: dict[int, int], now: dict[int, int]) -> None:
    entries = entries_of(now)
    earlier = version_of(before, [[number] for number in sorted(before)], radius=1, order=8)
    for changes in (
        Changes.since(None, entries, {"radius": 1}),
        Changes.since(earlier, entries, {"radius": 2}),
        Changes.since(earlier, entries, {"radius": 1, "name": "new"}),
        Changes.since(earlier, entries, {"radius": 1}, force=True),
    ):
        assert changes.todo == entries
        assert (changes.kept("flags"), changes.attempts, changes.are_none) == ([], {}, False)


def test_what_was_left_out_stays_left_out() -> None:
    (file,) = version_of({1: 1, 2: 1, 3: 1}, [[1, 3]]).files
    once = file.without_changed([obsid_of(2), obsid_of(9)])
    assert once.without == (obsid_of(2),)
    assert once.without_changed([obsid_of(1)]).without == (obsid_of(1), obsid_of(2))
    # Parts that are no batches of observations are of the sky.
    pixel = file.model_copy(update={"part": "5-0000000001"})
    assert pixel.without_changed([obsid_of(2)]) == pixel


@given(
    st.lists(st.integers(0, 30), max_size=20),
    st.integers(1, 40),
    st.integers(1, 6),
)
def test_batches_are_as_large_as_allowed(sizes: list[int], most_rows: int, most: int) -> None:
    entries = cast(
        "list[LedgerEntry]", [Entry(obsid_of(n), regions=size) for n, size in enumerate(sizes)]
    )
    found = list(batches(entries, "regions", most_rows, most))
    assert [entry for batch in found for entry in batch] == entries
    rows = [sum(entry.rows("regions") for entry in batch) for batch in found]
    for number, batch in enumerate(found):
        assert 1 <= len(batch) <= most
        assert rows[number] <= most_rows or len(batch) == 1
        if number + 1 < len(found):
            following = found[number + 1][0].rows("regions")
            assert len(batch) == most or rows[number] + following > most_rows


@pytest.mark.parametrize("scheduler", ["sync", pytest.param("local", marks=pytest.mark.slow)])
def test_results_are_in_the_order_of_the_items(scheduler: str) -> None:
    items = [3, 1, 2]
    assert compute_all(float, items, Plan(scheduler, workers=2), str) == [3.0, 1.0, 2.0]
    assert compute_all(float, [], Plan(scheduler), str) == []


def test_without_one_task_there_is_no_version() -> None:
    with pytest.raises(ZeroDivisionError):
        compute_all(lambda item: 1 / item, [1, 0], Plan("sync"), str)
    plan = Plan("sync")

    def interrupt(item: int) -> int:
        plan.stop.ask()
        return item

    with pytest.raises(ArchiveError, match="interrupted with 1 of 2 tasks done; the earlier"):
        compute_all(interrupt, [1, 2], plan, str)
