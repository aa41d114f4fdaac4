"""The archive in an object store: an S3 service over HTTP, and everything that goes wrong there."""

from __future__ import annotations

import json
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest
from helpers import faulty_proxy
from helpers.archives import OBSID, assert_same_rows, make_tables, plain, stored
from helpers.faulty_proxy import Fault, FaultyProxy
from helpers.object_store import (
    KEY,
    SECRET,
    files,
    names_expected,
    names_in,
    no_settings,
    options,
    running_store,
)
from helpers.processes import running, wait_until

from exod.archive import Archive, open_archive
from exod.archive.store import Store
from exod.config import Config
from exod.errors import ArchiveError
from exod.files.storage import StorageOptions, without_credentials
from exod.schemas import TABLES

pytest.importorskip("s3fs")

BUCKET = "exod-bucket"
NAMES = ("runs", "regions")
"""Tables of the tests that commit often."""

numbers = count()


@pytest.fixture(scope="module")
def service(settings: None) -> Iterator[str]:
    """URL of an S3 service with an empty bucket."""
    with running_store(BUCKET) as url:
        yield url


@pytest.fixture(scope="module", autouse=True)
def settings() -> Iterator[None]:
    with no_settings():
        yield


def new_root() -> str:
    return f"s3://{BUCKET}/{next(numbers)}/archive"


@pytest.fixture(scope="module")
def line(service: str) -> Iterator[FaultyProxy]:
    with faulty_proxy.running(service) as proxy:
        yield proxy


@pytest.fixture
def proxy(line: FaultyProxy) -> Iterator[FaultyProxy]:
    """The way to the service, without faults until a test plans some."""
    line.faults.clear()
    yield line
    line.plan = lambda method, path: None


@cache
def tables_of(seed: int) -> dict[str, pd.DataFrame]:
    return make_tables(seed=seed, names=NAMES)


def seed_of(archive: Archive, seeds: tuple[int, ...] = (1, 2)) -> int:
    """Which tables the archive shows; fails unless all are there and of one seed."""
    found = archive.observation(OBSID, *NAMES)
    seed = next(
        s for s in seeds if found["regions"]["ra_deg"].isin(tables_of(s)["regions"]["ra_deg"]).all()
    )
    for name, frame in tables_of(seed).items():
        assert_same_rows(stored(found[name], name), frame)
    return seed


def assert_one_sentence(text: str) -> None:
    assert text.endswith(".")
    assert not text.endswith("..")
    assert "\n" not in text
    assert SECRET not in text
    assert KEY not in text


# -------------------------------------------------------------------- what an archive does


@pytest.mark.parametrize("how", ["environment", "options"])
def test_an_archive_lives_in_a_bucket(
    service: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(service)
    if how == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL", service)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        given = {}
        # A file system keeps the settings that it was made with.
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    root = new_root()
    made = Archive.create(f"{root}/", Config(), given)
    assert Archive.create(root, Config(), given).root == made.root == root
    first = made.commit(OBSID, "OK", make_tables(seed=1))
    made.commit("0001730202", "SKIPPED", reason="Nothing to search.")

    archive = open_archive(root, storage_options=given)
    assert archive.config == Config()
    assert archive.entry(OBSID) == first
    tables = make_tables(seed=2)
    archive.commit(OBSID, "OK", tables)
    for name, frame in tables.items():
        expected = frame.sort_values(list(TABLES[name].sort_by), ignore_index=True)
        found = archive.table(name).compute(scheduler="sync")
        pd.testing.assert_frame_equal(plain(stored(found, name)), plain(expected))
    assert archive.status()["status"].tolist() == ["OK", "SKIPPED"]
    curve = tables["lightcurves"].iloc[[0]]
    found = archive.lightcurve(curve["detid"].item())
    assert_same_rows(stored(found, "lightcurves"), curve)
    region = tables["regions"].iloc[0]
    near = archive.cone(region.ra_deg, region.dec_deg, 1).compute(scheduler="sync")
    assert near["detid"].tolist() == [region.detid]
    assert archive.gc() == []
    assert archive.gc(older_than=0) == sorted(file.path for file in first.files.values())
    assert names_in(archive, service) == names_expected(archive)
    with pytest.raises(ArchiveError, match=r"settings: detect\.sigma: archive has 3, asked for 5"):
        Archive.create(root, Config.parse({"detect": {"sigma": 5}}), given)
    with pytest.raises(ArchiveError, match=r"no archive at .*: it has no archive\.json\."):
        Archive.open(new_root(), given)


def test_what_others_commit_is_seen_at_once(service: str) -> None:
    root = new_root()
    ours = Archive.create(root, Config(), options(service))
    theirs = Archive.open(root, options(service, default_block_size=2**20))
    ours.commit(OBSID, "EMPTY")
    assert ours.gc() == []
    assert len(ours.status()) == 1
    theirs.commit("0001730202", "EMPTY")
    assert ours.entry("0001730202") is not None
    assert len(ours.status()) == 2


def test_an_archive_travels_with_its_options(service: str) -> None:
    archive = Archive.create(new_root(), Config(), options(service))
    archive.commit(OBSID, "OK", tables_of(1))
    lazy = archive.regions
    copy = pickle.loads(pickle.dumps(archive))
    copy.commit(OBSID, "OK", tables_of(2))
    assert seed_of(archive) == 2
    copy = pickle.loads(pickle.dumps(lazy))
    assert len(copy.compute(scheduler="threads")) == 3


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_makes_its_own_connections(service: str) -> None:
    archive = Archive.create(new_root(), Config(), options(service))
    archive.commit(OBSID, "OK", tables_of(1))
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            archive.commit(OBSID, "OK", tables_of(2))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert seed_of(archive) == 2


# -------------------------------------------------------------------- faults on the way


@pytest.mark.drill
def test_a_commit_is_whole_or_an_error_whatever_the_line_does(
    proxy: FaultyProxy, service: str
) -> None:
    root = new_root()
    # With s3fs's own tries on top there would hardly be an error to see.
    retries = {"retries": {"total_max_attempts": 2}, "read_timeout": 0.2}
    direct = Archive.create(root, Config(), options(service))
    direct.commit(OBSID, "OK", tables_of(1))
    unsteady = Archive.open(root, options(proxy.url, config_kwargs=retries))
    seen: set[int] = set()
    stop = threading.Event()

    def keep_reading() -> None:
        reader = Archive.open(root, options(service, default_block_size=2**20))
        while not stop.is_set():
            seen.add(seed_of(reader))

    reading = threading.Thread(target=keep_reading)
    reading.start()
    shown, errors = 1, []
    try:
        proxy.plan = faulty_proxy.seeded(1, share=0.4)
        attempt = 0
        # How faults meet tries depends on the moment.
        while attempt < 8 or (attempt < 50 and len(errors) in {0, attempt}):
            attempt += 1
            try:
                unsteady.commit(OBSID, "OK", tables_of(2 - attempt % 2))
                shown = 2 - attempt % 2
            except ArchiveError as error:
                errors.append(str(error))
            assert seed_of(direct) == shown
            # Who reads all the time sees each of them, however slow it is.
            wait_until(lambda shown=shown: shown in seen or not reading.is_alive())  # type: ignore[misc]
    finally:
        stop.set()
        reading.join()
    assert 0 < len(errors) < attempt
    for error in errors:
        assert error.startswith(f"Observation {OBSID} cannot be committed to {root}: ")
        assert_one_sentence(error)
    assert set(faulty_proxy.FAULTS) <= set(proxy.faults)
    assert seen == {1, 2}
    direct.gc(older_than=0)
    assert names_in(direct, service) == names_expected(direct)
    assert seed_of(direct) == shown


@pytest.mark.parametrize("fault", faulty_proxy.FAULTS)
def test_a_fault_that_passes_is_not_noticed(proxy: FaultyProxy, service: str, fault: Fault) -> None:
    """Each request fails once: creating, committing and reading go on."""
    met: set[str] = set()

    def plan(method: str, path: str) -> Fault | None:
        first = f"{method} {path}" not in met
        met.add(f"{method} {path}")
        return fault if first else None

    proxy.plan = plan
    given = options(proxy.url, config_kwargs={"read_timeout": 0.2} if fault == "slow" else {})
    archive = Archive.create(new_root(), Config(), given)
    archive.commit(OBSID, "OK", tables_of(2))
    assert seed_of(archive) == 2
    assert proxy.faults[fault] > 10
    archive.gc(older_than=0)
    assert names_in(archive, service) == names_expected(archive)


def failing(method: str, folder: str, fault: Fault) -> Callable[[str, str], Fault | None]:
    return lambda m, path: fault if m == method and path.startswith(f"{folder}/") else None


def test_a_lost_answer_to_the_last_step_is_no_failure(proxy: FaultyProxy) -> None:
    archive = Archive.create(new_root(), Config(), options(proxy.url))
    archive.commit(OBSID, "OK", tables_of(1))
    proxy.plan = failing("PUT", "ledger", "lost")
    entry = archive.commit(OBSID, "OK", tables_of(2))
    assert proxy.faults["lost"] > 1
    assert archive.entry(OBSID) == entry
    assert seed_of(archive) == 2


@pytest.mark.parametrize(
    ("folder", "fault"),
    [
        ("runs", "500"),
        ("regions", "503"),
        ("regions", "drop"),
        ("ledger", "500"),
        ("ledger", "drop"),
    ],
)
def test_a_put_that_never_works_leaves_the_old_state(
    proxy: FaultyProxy, service: str, folder: str, fault: Fault
) -> None:
    few = {"retries": {"total_max_attempts": 1}}
    archive = Archive.create(new_root(), Config(), options(proxy.url, config_kwargs=few))
    archive.commit(OBSID, "OK", tables_of(1))
    before = names_in(archive, service)
    proxy.plan = failing("PUT", folder, fault)
    with pytest.raises(ArchiveError, match=f"Observation {OBSID} cannot be committed") as caught:
        archive.commit(OBSID, "OK", tables_of(2))
    assert_one_sentence(str(caught.value))
    assert "try again" in str(caught.value)
    proxy.plan = lambda method, path: None
    assert seed_of(archive) == 1
    # The last step may have happened all the same, so what it refers to stays until gc.
    left = len(NAMES) if folder == "ledger" else 0
    assert len(names_in(archive, service) - before) == left
    assert len(archive.gc(older_than=0)) == left
    assert names_in(archive, service) == before


@pytest.mark.parametrize("fault", ["500", "cut"])
def test_a_read_that_never_works_is_one_sentence(proxy: FaultyProxy, fault: Fault) -> None:
    few = {"retries": {"total_max_attempts": 1}}
    archive = Archive.create(new_root(), Config(), options(proxy.url, config_kwargs=few))
    archive.commit(OBSID, "OK", tables_of(1))
    proxy.plan = failing("GET", "regions", fault)
    with pytest.raises(ArchiveError, match=r"regions/0001730201-.*parquet cannot be read: ") as bad:
        archive.regions.compute(scheduler="sync")
    assert_one_sentence(str(bad.value))
    assert "exod verify" not in str(bad.value)
    proxy.plan = lambda method, path: None
    archive.commit(OBSID, "OK", tables_of(2))
    proxy.plan = failing("GET", "ledger", fault)
    with pytest.raises(ArchiveError, match=r"The ledger of s3:.* cannot be read: ") as bad:
        archive.status()
    assert_one_sentence(str(bad.value))


# -------------------------------------------------------------------- crashes


class PowerCut(BaseException):
    """The process is gone: nothing is caught and nothing tidied up."""


def test_a_crash_between_any_two_puts_leaves_the_old_state(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive.create(new_root(), Config(), options(service))
    archive.commit(OBSID, "OK", tables_of(1))
    before = names_in(archive, service)
    upload, left = Store._upload, []
    for step in range(len(NAMES) + 1):
        steps = iter(range(100))

        def cut(*args: Any, steps: Iterator[int] = steps, step: int = step) -> None:
            if next(steps) == step:
                raise PowerCut
            upload(*args)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "_upload", cut)
            patch.setattr(Store, "remove", lambda self, names: None)
            with pytest.raises(PowerCut):
                archive.commit(OBSID, "OK", tables_of(2))
        assert seed_of(archive) == 1
        left.append(len(names_in(archive, service) - before))
    assert left == [0, 1, 3]
    assert archive.gc() == []
    assert len(archive.gc(older_than=0)) == left[-1]
    assert names_in(archive, service) == before
    assert seed_of(archive) == 1


COMMIT_FOREVER = f"""
from exod.archive import Archive
from helpers.archives import OBSID, make_tables
from helpers.object_store import options
archive = Archive.open(sys.argv[1], options(sys.argv[2]))
tables = {{seed: make_tables(seed=seed, names={NAMES!r}) for seed in (1, 2)}}
print("ready", flush=True)
while True:
    for seed in (1, 2):
        archive.commit(OBSID, "OK", tables[seed])
"""


@pytest.mark.drill
def test_killed_at_any_moment_nothing_is_lost(service: str) -> None:
    archive = Archive.create(new_root(), Config(), options(service))
    first = archive.commit(OBSID, "OK", tables_of(1))
    with running(COMMIT_FOREVER, archive.root, service) as process:
        assert wait_until(lambda: archive.entry(OBSID) != first, process)
    assert seed_of(archive) in (1, 2)
    assert names_in(archive, service) > names_expected(archive)
    archive.gc(older_than=0)
    assert names_in(archive, service) == names_expected(archive)
    assert seed_of(archive) in (1, 2)


# -------------------------------------------------------------------- wrong settings


def deny(url: str, *actions: str, path: str) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": list(actions), "Resource": path}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    files(url).call_s3("put_bucket_policy", Bucket=BUCKET, Policy=policy)


@pytest.fixture
def policies(service: str) -> Iterator[None]:
    yield
    files(service).call_s3("delete_bucket_policy", Bucket=BUCKET)


WRONG = {
    "no credentials": (
        {"key": None, "secret": None},
        "Unable to locate credentials; set AWS_ACCESS_KEY_ID and .* or give key and secret as",
    ),
    "half the credentials": (
        {"key": None, "secret": None, "client_kwargs": {"aws_access_key_id": "a"}},
        "Partial credentials found .* missing: aws_secret_access_key; set AWS_ACCESS_KEY_ID and",
    ),
    "nobody there": (
        {"endpoint_url": "http://127.0.0.1:9"},
        'not connect to the endpoint URL: "http://127.0.0.1:9/.*"; check AWS_ENDPOINT_URL or the',
    ),
    "no URL": ({"endpoint_url": "here"}, "Invalid endpoint: here; check the URL, the AWS settings"),
    "no such profile": ({"profile": "none"}, r"profile \(none\) could not be found; check the URL"),
    "no such option": ({"colour": "red"}, "unexpected keyword argument 'colour'; check the URL"),
    "an option of a wrong kind": ({"client_kwargs": "a"}, "'str' object .*; check the URL, the"),
    "an impossible option": ({"max_concurrency": 0}, "max_concurrency must be >= 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_are_one_sentence(
    service: str, command: Callable[..., tuple[int, str, str]], case: str
) -> None:
    change, message = WRONG[case]
    given = {k: v for k, v in (options(service) | change).items() if v is not None}
    root = new_root()
    for use in (Archive.open, partial(Archive.create, config=Config())):
        with pytest.raises(ArchiveError, match=message) as caught:
            use(root, storage_options=given)
        assert root in str(caught.value)
        assert_one_sentence(str(caught.value))
    code, out, said = command("status", root, "--storage-options", json.dumps(given))
    assert (code, out) == (1, "")
    assert said == f"exod: {said[6:].strip()}\n"
    assert_one_sentence(said.strip())
    assert files(service).find(root) == []


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("s3://no-such-bucket/a", "the bucket does not exist; make it, or correct the URL or the"),
        ("s3://No Bucket/a", 'Invalid bucket name "No Bucket": .*; check the URL'),
        ("s3://", "s3:// names no place; an archive has a URL like s3://bucket/name"),
    ],
)
def test_wrong_buckets_are_one_sentence(service: str, root: str, message: str) -> None:
    for use in (Archive.open, partial(Archive.create, config=Config())):
        with pytest.raises(ArchiveError, match=message) as caught:
            use(root, storage_options=options(service))
        assert_one_sentence(str(caught.value))


@pytest.mark.usefixtures("policies")
def test_what_is_forbidden_is_one_sentence(
    service: str, small: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    archive = Archive.create(new_root(), Config(), options(service))
    archive.commit(OBSID, "OK", tables_of(1))
    before = names_in(archive, service)
    arn = f"arn:aws:s3:::{archive.root.removeprefix('s3://')}"
    reason = r"access is denied \(Forbidden\); check the credentials and their right to list, read,"

    deny(service, "s3:PutObject", path=f"{arn}/ledger/*")
    with pytest.raises(ArchiveError, match=f"cannot be committed to {archive.root}: {reason}") as e:
        archive.commit(OBSID, "OK", tables_of(2))
    assert_one_sentence(str(e.value))
    archive.gc(older_than=0)
    assert names_in(archive, service) == before
    assert seed_of(archive) == 1

    deny(service, "s3:GetObject", path=f"{arn}/regions/*")
    with pytest.raises(ArchiveError, match=f"parquet cannot be read: {reason}"):
        archive.regions.compute(scheduler="sync")
    deny(service, "s3:DeleteObject", path=f"{arn}/*")
    assert archive.gc(older_than=0) == []

    deny(service, "s3:GetObject", "s3:PutObject", path=f"{arn}/*")
    given = json.dumps(options(service))
    for call in (["status", archive.root], ["gc", archive.root], ["plot", archive.root, OBSID]):
        code, _, said = command(*call, "--storage-options", given)
        assert code == 1
        assert "access is denied" in said
        assert_one_sentence(said.strip())
    other = new_root()
    deny(service, "s3:PutObject", path=f"arn:aws:s3:::{other.removeprefix('s3://')}/*")
    code, _, said = command("detect", small, "--archive", other, "--storage-options", given)
    assert code == 1
    assert said.startswith(f"exod: The archive {other} cannot be made: access is denied")
    assert files(service).find(other) == []


def test_credentials_are_never_shown(
    service: str, command: Callable[..., tuple[int, str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    given = options(service)
    archive = Archive.create(new_root(), Config(), given)
    archive.commit(OBSID, "OK", tables_of(1))
    shown = [repr(archive), repr(archive._store), str(partial(print, StorageOptions(given)))]
    root = archive.root.removeprefix("s3://")
    stored = [name + str(files(service).cat_file(name)) for name in files(service).find(root)]
    for text in [*shown, *stored, caplog.text]:
        assert SECRET not in text
        assert KEY not in text
    for url in (f"s3://{KEY}:{SECRET}@bucket/a", f"memory://{SECRET}@host/a"):
        code, _, said = command("status", url)
        assert code == 1
        assert "with a name or a password in its URL" in said
        assert_one_sentence(said.strip())
    endpoint = json.dumps({**given, "endpoint_url": f"http://{KEY}:{SECRET}@127.0.0.1:9"})
    assert_one_sentence(command("status", archive.root, "--storage-options", endpoint)[2].strip())
    assert without_credentials("a//b@c") == "a//b@c"


@pytest.mark.parametrize("text", [f'{{"secret": "{SECRET}"', f'"{SECRET}"', f'["{SECRET}"]', "{'"])
def test_options_that_are_no_json_are_wrong_usage(
    command: Callable[..., tuple[int, str, str]], text: str
) -> None:
    code, _, said = command("status", "s3://bucket/a", "--storage-options", text)
    assert code == 2
    assert said.startswith("exod: The storage options must be a JSON object as in '{")
    assert_one_sentence(said.strip())


# -------------------------------------------------------------------- searching


@pytest.mark.drill
def test_the_commands_take_storage_options(
    service: str,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., tuple[int, str, str]],
) -> None:
    root, given = new_root(), json.dumps(options(service))
    settings = ["--t-bin", "200", "--band", "0.2-12", "--sigma", "4"]
    folder = next(small.iterdir())
    searching = ["detect", folder, "--archive", root, *settings, "--plots", tmp_path / "a"]
    code, out, said = command(*searching, "--storage-options", given)
    assert (code, said) == (0, "")
    assert "Pictures: " in out
    monkeypatch.setenv("EXOD_STORAGE_OPTIONS", given)
    code, out, _ = command("detect", folder, "--archive", root, *settings)
    assert "1 of them done before" in out
    obsid = open_archive(root, options(service)).status()["obsid"].item()
    monkeypatch.delenv("EXOD_STORAGE_OPTIONS")
    for args, expected in (
        (["status", root, "--all"], obsid),
        (["gc", root, "--older-than", "0"], "0 files removed"),
        (["plot", root, obsid, "--to", tmp_path / "b"], obsid),
    ):
        code, out, said = command(*args, "--storage-options", given)
        assert (code, said) == (0, "")
        assert expected in out
    assert {path.name for path in (tmp_path / "b").iterdir()} == {
        path.name for path in (tmp_path / "a").iterdir()
    }
