"""Nothing lost, nothing double: whatever happens to a search, its archive is that of a quiet one.

Each seed searches simulated observations, of which three have truncated files at first. Drivers
and workers are killed at random moments, drivers are interrupted, and the same command is run again
until all is done. With one seed in four the disk is too small at first, and with one in four the
archive is in an object store that fails now and then.

`make test` runs one seed, with 10 observations; the two others of these are drills, one for each
of the other places. As many as EXOD_DRILL_SEEDS says are run otherwise, with 60 observations.
`make drill` runs 20.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from helpers import drill, faulty_proxy
from helpers.drill import OBSIDS, Drill, Place, contents, outcomes, plan_of
from helpers.object_store import KEY, SECRET, no_settings, running_store

SEEDS = range(drill.SEEDS) if drill.SEEDS else (32, 133, 94)
"""The three without a number have a place each, and all blows among them."""

EVERY_DAY = 32
"""The seed that `make test` runs."""

BUCKET = "drill-bucket"
FAULTY = 0.03
"""Share of the requests to the object store that go wrong."""


@dataclass(frozen=True)
class Quiet:
    """The observations, and what an undisturbed search finds in them."""

    data: Path
    contents: dict[tuple[str, str], str]
    outcomes: dict[str, Any]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Quiet:
    folder = tmp_path_factory.mktemp("quiet")
    data, place = folder / "data", Place(str(folder / "archive"))
    drill.simulate_all(data)
    search(place, [data], "sync")
    found = Quiet(data, contents(place.open()), outcomes(place.entries()))
    # Otherwise there is little to lose.
    assert {status for status, *_ in found.outcomes.values()} == {"OK", "EMPTY"}
    # Only the search of EXOD I has images of variability.
    assert {table for table, _ in found.contents} == set(drill.TABLES) - {"variability"}
    varying = {obsid for table, obsid in found.contents if table == "lightcurves"}
    assert len(varying) >= len(OBSIDS) / 2
    return found


def search(place: Place, paths: list[Path], *how: str) -> None:
    arguments = ["detect", *map(str, paths), "--archive", place.root, *drill.SETTINGS]
    assert drill.end_here(*arguments, "--scheduler", *how) == (0, [])


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where the archive of a seed is."""
    plan = plan_of(request.getfixturevalue("seed"))
    if plan.where == "disk":
        yield Place(str(tmp_path / "archive"))
    elif plan.where == "bucket":
        yield from bucket(request, plan.seed)
    else:
        with ExitStack() as stack:
            try:
                disk = drill.small_disk(tmp_path / "disk", plan.disk_mb)
                found = stack.enter_context(disk)
            except OSError as error:
                pytest.skip(f"a small disk needs unshare and mount of an ordinary user: {error}")
            yield found


def bucket(request: pytest.FixtureRequest, seed: int) -> Iterator[Place]:
    """An archive in an object store, which searches reach by a line that fails."""
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    root = f"s3://{BUCKET}/{seed}"
    service = request.getfixturevalue("service")
    with faulty_proxy.running(service) as proxy:
        proxy.plan = faulty_proxy.seeded(seed, FAULTY)
        options = {"endpoint_url": service, "use_listings_cache": False}
        environment = {"AWS_ENDPOINT_URL": proxy.url}
        yield Place(root, options, environment, proxy=proxy, look_every=0.25)


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """URL of an S3 service with an empty bucket, and no AWS settings but those for it."""
    with no_settings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        with running_store(BUCKET) as url:
            yield url


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed",
    [
        seed if SEEDS[0] == EVERY_DAY == seed else pytest.param(seed, marks=pytest.mark.drill)
        for seed in SEEDS
    ],
)
def test_nothing_is_lost_and_nothing_double(
    seed: int, quiet: Quiet, place: Place, tmp_path: Path
) -> None:
    plan = plan_of(seed)
    with Drill(plan, place, quiet.data, tmp_path) as run:
        if place.grow is not None:
            run.fill_disk()
            assert run.hits["no space"] > 0
        for scheduler, blows in plan.searches:
            run.disturb(scheduler, blows)
        assert run.hits["kill driver"] + run.hits["kill all"] + run.hits["interrupt"] > 0

        entries = {entry.obsid: entry for entry in run.settle()}
        for obsid in plan.truncated:
            entry = entries[obsid]
            assert_one_sentence(entry.reason)
            # One whose last try was on the full disk tells of that.
            full = place.grow is not None and "No space left on device" in entry.reason
            assert full or f"P{obsid}" in entry.reason
            assert "Traceback" in entry.traceback
            assert not any(file.path for file in entry.files.values())

        run.restore()
        done = run.settle()
        assert run.settle() == done
        if place.proxy is not None:
            assert sum(place.proxy.faults[fault] for fault in faulty_proxy.FAULTS) > 0
            place.proxy.plan = lambda method, path: None
        assert run.end("gc", place.root, "--older-than", "0") == (0, [])
        assert place.names() == drill.names_referred_to(done)
        assert outcomes(place.entries()) == quiet.outcomes
        assert contents(place.open()) == quiet.contents


def assert_one_sentence(text: str) -> None:
    assert text.endswith(".")
    assert ". " not in text
    assert "\n" not in text


@pytest.mark.parametrize("seeds", [SEEDS, range(20)], ids=["those here", "those of a drill"])
def test_seeds_cover_everything(seeds: Iterable[int]) -> None:
    plans = [plan_of(seed) for seed in seeds]
    assert plans == [plan_of(seed) for seed in seeds]
    searches = [search for plan in plans for search in plan.searches]
    blows = [blow for _, blows in searches for blow in blows]
    assert {plan.where for plan in plans} == {"disk", "small disk", "bucket"}
    assert {scheduler for scheduler, _ in searches} == {"sync", "local"}
    assert {blow.action for blow in blows} == {
        "kill driver",
        "kill all",
        "kill worker",
        "interrupt",
    }
    ends = [blow for blow in blows if blow.action in {"kill driver", "kill all"}]
    assert {blow.share > 0 for blow in ends} == {True, False}
    truncated = [obsid for plan in plans for obsid in plan.truncated]
    assert len(set(truncated)) > min(len(truncated), len(OBSIDS)) / 2


@pytest.mark.drill
@pytest.mark.slow
def test_order_and_processes_do_not_matter(quiet: Quiet, tmp_path: Path) -> None:
    random = Random("order")
    chosen = random.sample(OBSIDS, 8)
    found = []
    for number, how in enumerate([["sync"], ["local", "--workers", "2"]]):
        place = Place(str(tmp_path / str(number)))
        random.shuffle(chosen)
        search(place, [quiet.data / obsid for obsid in chosen], *how)
        assert contents(place.open()) == {
            key: content for key, content in quiet.contents.items() if key[1] in chosen
        }
        found.append(file_hashes(place))
    assert len(found[0]) > 5 * len(chosen)
    assert all(hashes == found[0] for hashes in found)


def file_hashes(place: Place) -> dict[tuple[str, str], str]:
    """Hash of the file of each observation in each table; runs say how long they took."""
    return {
        (entry.obsid, table): hashlib.sha256(Path(place.root, file.path).read_bytes()).hexdigest()
        for entry in place.entries()
        for table, file in entry.files.items()
        if file.path and table != "runs"
    }
