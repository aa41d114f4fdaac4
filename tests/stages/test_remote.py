"""Event lists read where they are: in a bucket laid out as HEASARC's, or on a web server."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest
from helpers import faulty_proxy
from helpers.faults import FAST, GOOD, OTHER, copy, digests, event_lists
from helpers.faulty_proxy import Fault, FaultyProxy
from helpers.object_store import (
    SECRET,
    files,
    names_expected,
    names_in,
    no_settings,
    options,
    running_store,
)

import exod
from exod.archive import open_archive
from exod.config import Config
from exod.errors import DownloadError, InputError
from exod.pps import RemoteFile, find_observations, list_extent, local_copies, remote
from exod.scheduler.plan import Plan
from exod.stages.detect.predict import predict
from exod.stages.inputs.ingest import ingest_many

pytest.importorskip("s3fs", reason="s3fs, for object stores, is missing")

BUCKET = "nasa-heasarc"
LAYOUT = f"{BUCKET}/xmm/data/rev0"
CONFIG = Config.load(overrides=["cube.t_bin=[200]", "cube.bands=[[0.2,12]]"])
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def settings() -> Iterator[None]:
    with no_settings():
        yield


@pytest.fixture(scope="module")
def service(settings: None, small: Path) -> Iterator[str]:
    """An S3 service with two observations among other files, as HEASARC has them."""
    with running_store(BUCKET) as url:
        store = files(url)
        for obsid in (GOOD, OTHER):
            for path in (small / obsid).glob("P*"):
                store.put_file(str(path), f"{LAYOUT}/{obsid}/PPS/{path.name}")
            for name in ("ODF/1234_SCX.FIT", f"PPS/P{obsid}OMX000OBSMLI0000.FTZ", "PPS/INDEX.HTM"):
                store.pipe_file(f"{LAYOUT}/{obsid}/{name}", b"something else")
        # What is not a folder of products is not looked at.
        shadow = event_lists(small / GOOD)[0]
        store.put_file(str(shadow), f"{LAYOUT}/{GOOD}/ODF/{shadow.name}")
        for name in store.find(LAYOUT):
            store.chmod(name, "public-read")
        yield url


@pytest.fixture
def proxy(service: str) -> Iterator[FaultyProxy]:
    with faulty_proxy.running(service) as line:
        yield line


@pytest.fixture
def web(small: Path, tmp_path: Path) -> Iterator[str]:
    """A web server with indexes, and the same files."""
    for obsid in (GOOD, OTHER):
        shutil.copytree(small / obsid, tmp_path / "www" / obsid / "PPS")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    handler = partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def expected(small: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Content of the archive of a search of the files on the disk."""
    from exod.stages.detect.survey import detect_many

    root = tmp_path_factory.mktemp("expected")
    list(detect_many(find_observations([small])[0], CONFIG, str(root), Plan("sync")))
    return digests(root)


@pytest.mark.parametrize(
    "path", ["", "/", f"/{GOOD}", f"/{GOOD}/PPS", "/0900*", f"/{GOOD}/PPS/*IEVLI*"]
)
def test_a_bucket_is_found_by_its_layout(service: str, small: Path, path: str) -> None:
    found, problems = find_observations([f"s3://{LAYOUT}{path}"], {"endpoint_url": service})
    assert not problems
    one = GOOD in path
    assert [files.obsid for files in found] == ([GOOD] if one else [GOOD, OTHER])
    names = sorted(path.name for path in event_lists(small / GOOD))
    assert [path.name for path in found[0].event_lists] == names
    assert len(found[0].source_lists) == ("IEVLI" not in path)
    for file in found[0].event_lists:
        assert str(file) == f"s3://{LAYOUT}/{GOOD}/PPS/{file.name}"
        assert isinstance(file, RemoteFile)
        assert file.size == (small / GOOD / file.name).stat().st_size
        assert file.stamp


def test_a_search_of_a_bucket_is_that_of_its_files(
    service: str,
    tmp_path: Path,
    expected: dict[str, str],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without credentials, by a list of obsids, resumed, from the command line."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", service)
    listed = tmp_path / "obsids.txt"
    listed.write_text(f"{GOOD}  # the first\n{OTHER}\n")
    root = tmp_path / "archive"
    call = ["detect", "--from", listed, "--data", f"s3://{LAYOUT}/", "--archive", root, *FAST]
    code, out, said = command(*call)
    assert said == ""
    assert code == 0
    assert digests(root) == expected
    entry = open_archive(root).entry(GOOD)
    assert entry is not None
    assert {file.path for file in entry.inputs} == {
        f"s3://{LAYOUT}/{GOOD}/PPS/{file.name}" for file in entry.inputs
    }
    assert all(file.checksum and file.stamp for file in entry.inputs)
    code, out, _ = command(*call)
    assert (code, out.count("done before")) == (0, 3)


@pytest.mark.drill
@pytest.mark.slow
def test_workers_read_a_bucket_and_write_to_one(
    service: str, expected: dict[str, str], command: Command
) -> None:
    given, root = json.dumps(options(service)), f"s3://{BUCKET}/searched"
    call = ["detect", f"s3://{LAYOUT}", "--input-options", given, *FAST[:4]]
    call += ["--archive", root, "--storage-options", given, "--workers", "2"]
    code, _, said = command(*call)
    assert (code, said) == (0, "")
    assert digests(root, options=options(service)) == expected
    archive, store = open_archive(root, options(service)), files(service)
    assert names_in(archive, service) == names_expected(archive)
    entries = [store.cat_file(name) for name in store.find(f"{BUCKET}/searched/ledger")]
    assert len(entries) == 2
    assert SECRET.encode() not in b"".join(entries)


def test_a_cube_of_what_is_elsewhere(web: str, tmp_path: Path, command: Command) -> None:
    call = ["cube", f"{web}/{GOOD}", "--to", tmp_path / "cube.zarr", "--t-bin", 200]
    assert command(*call)[0] == 0
    assert (tmp_path / "cube.zarr" / "zarr.json").exists()


def test_in_memory(service: str, small: Path) -> None:
    there = exod.detect(f"s3://{LAYOUT}/{GOOD}", CONFIG, {"endpoint_url": service})
    here = exod.detect(small / GOOD, CONFIG)
    assert list(there.regions["detid"]) == list(here.regions["detid"])


def test_changed_files_are_searched_again(service: str, small: Path, tmp_path: Path) -> None:
    from exod.stages.detect.survey import detect_many

    store = files(service)
    for path in (small / GOOD).glob("P*"):
        store.put_file(str(path), f"{BUCKET}/changing/{path.name}")
    name = f"{BUCKET}/changing/{event_lists(small / GOOD)[0].name}"

    def searched() -> bool:
        found, _ = find_observations([f"s3://{BUCKET}/changing"], options(service))
        (outcome,) = detect_many(found, CONFIG, str(tmp_path), Plan("sync"))
        return outcome.searched

    assert searched()
    assert not searched()
    content = store.cat_file(name)
    store.pipe_file(name, content[:-1] + bytes([content[-1] ^ 1]))
    assert searched()


@pytest.mark.parametrize("fault", ["500", "503", "drop", "cut"])
def test_a_fault_that_passes_is_not_noticed(
    proxy: FaultyProxy, small: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAIT", 0.0)
    (found,), _ = find_observations([f"s3://{LAYOUT}/{GOOD}"], {"endpoint_url": proxy.url})
    seen: set[str] = set()

    def once(method: str, path: str) -> Fault | None:
        first = path not in seen
        seen.add(path)
        return fault if first and method == "GET" and "IEVLI" in path else None

    proxy.plan = once
    with local_copies(found) as local:
        for path in local.paths:
            assert path.read_bytes() == (small / GOOD / path.name).read_bytes()
        folders = {path.parent.parent.parent for path in local.paths}
    assert proxy.faults[fault] == len(found.event_lists)
    assert not any(folder.exists() for folder in folders)


def test_a_service_that_fails_is_one_sentence(
    proxy: FaultyProxy,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others go on, and later the rest is done."""
    monkeypatch.setattr(remote, "WAIT", 0.0)
    given = ["--input-options", json.dumps({"endpoint_url": proxy.url})]
    proxy.plan = lambda method, path: "503" if method == "GET" and f"P{GOOD}" in path else None
    code, out, said = command("detect", f"s3://{LAYOUT}", "--archive", tmp_path, *FAST, *given)
    assert code == 1
    assert f"{OTHER} OK" in out
    (line,) = said.splitlines()
    assert line.startswith(f"exod: {GOOD} failed: s3://{LAYOUT}/{GOOD}/PPS/P{GOOD}")
    assert "cannot be read: " in line
    assert line.endswith(".")
    entry = open_archive(tmp_path).entry(GOOD)
    assert entry is not None
    assert (entry.status, entry.tries) == ("FAILED", 3)
    proxy.plan = lambda method, path: None
    assert command("retry", tmp_path, "--scheduler", "sync", *given)[::2] == (0, "")
    assert list(open_archive(tmp_path).status()["status"]) == ["OK", "OK"]


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "nothing there": (f"s3://{LAYOUT}/0000000001", {}, "there is no such file or folder"),
    "no event lists": (f"s3://{LAYOUT}/{GOOD}/ODF/12*", {}, "holds no event lists"),
    "no bucket": ("s3://no-such-bucket/a", {}, "the bucket does not exist"),
    "no service": (f"s3://{LAYOUT}", {"endpoint_url": "http://127.0.0.1:9"}, "AWS_ENDPOINT_URL or"),
    "no URL": (f"s3://{LAYOUT}", {"endpoint_url": "here"}, "Invalid endpoint: here"),
    "option": (f"s3://{LAYOUT}", {"colour": "red"}, "unexpected keyword argument 'colour'"),
    "scheme": ("gopher://host/a", {}, "Protocol not known: gopher"),
    "password": ("https://me:secret@127.0.0.1:9/a", {}, "with a name or a password in its URL"),
    "no web server": ("http://127.0.0.1:9/a/", {}, "check the URL and the network"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_places_are_one_sentence(service: str, command: Command, case: str) -> None:
    url, given, message = WRONG[case]
    if url.startswith("s3"):
        given = {"endpoint_url": service} | given
    (problem,) = find_observations([url], given)[1]
    assert message in str(problem)
    assert str(problem).endswith(".")
    assert "\n" not in str(problem)
    assert "secret" not in str(problem)
    code, _, said = command(
        "detect", url, "--archive", "/nowhere", "--input-options", json.dumps(given)
    )
    assert (code, said) == (1, f"exod: {problem}\n")


def test_what_is_forbidden_is_one_sentence(
    service: str, monkeypatch: pytest.MonkeyPatch, command: Command, tmp_path: Path
) -> None:
    system = fsspec.get_filesystem_class("s3")

    async def forbidden(self: Any, *_: Any, **__: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(system, "_lsdir", forbidden)
    given = json.dumps({"endpoint_url": service})
    code, _, said = command(
        "detect", f"s3://{LAYOUT}/", "--archive", tmp_path, "--input-options", given
    )
    assert code == 1
    assert said.startswith(f"exod: s3://{LAYOUT}/ cannot be listed: access is denied")
    assert said.count("\n") == 1


def test_a_bucket_of_ones_own_is_read_without_credentials_if_there_are_none(service: str) -> None:
    files(service).mkdir("open-bucket")
    name = f"open-bucket/P{GOOD}M1S001MIEVLI0000.FTZ"
    files(service).pipe_file(name, b"events")
    files(service).chmod(name, "public-read")
    (found,), problems = find_observations(["s3://open-bucket"], {"endpoint_url": service})
    assert not problems
    (file,) = found.event_lists
    assert isinstance(file, RemoteFile)
    with file.open() as opened:
        assert opened.read() == b"events"


def test_predicted_from_the_headers_alone(service: str, proxy: FaultyProxy, small: Path) -> None:
    (found,), _ = find_observations([f"s3://{LAYOUT}/{GOOD}"], {"endpoint_url": proxy.url})
    (here,), _ = find_observations([small / GOOD])
    assert predict(found, CONFIG) == predict(here, CONFIG)
    for there, path in zip(found.event_lists, here.event_lists, strict=True):
        assert list_extent(there) == list_extent(path)


@pytest.mark.parametrize("folder", ["", "/", f"/{GOOD}", f"/{GOOD}/PPS/"])
def test_web_servers(web: str, small: Path, tmp_path: Path, folder: str) -> None:
    found, problems = find_observations([web + folder])
    assert not problems
    assert [f.obsid for f in found] == ([GOOD] if folder.strip("/") else [GOOD, OTHER])
    (here,), _ = find_observations([small / GOOD])
    assert predict(found[0], CONFIG) == predict(here, CONFIG)
    with local_copies(found[0]) as local:
        assert [path.read_bytes() for path in local.paths] == [
            path.read_bytes() for path in here.paths
        ]


def test_a_folder_that_is_closed_leaves_the_others(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: Command
) -> None:
    system = fsspec.get_filesystem_class("s3")
    whole = system._lsdir

    async def half(self: Any, path: str, *given: Any, **more: Any) -> Any:
        if GOOD in path:
            raise PermissionError("Access Denied")
        return await whole(self, path, *given, **more)

    monkeypatch.setattr(system, "_lsdir", half)
    given = json.dumps({"endpoint_url": service})
    call = ["detect", f"s3://{LAYOUT}", "--archive", tmp_path, "--input-options", given, *FAST]
    code, out, said = command(*call)
    assert code == 1
    assert f"[1/1] {OTHER} OK" in out
    (line,) = said.splitlines()
    assert line.startswith(f"exod: s3://{LAYOUT}/{GOOD} cannot be listed: access is denied")


def test_a_file_on_a_web_server(web: str, small: Path) -> None:
    name = event_lists(small / GOOD)[0].name
    (found,), problems = find_observations([f"{web}/{GOOD}/PPS/{name}"])
    assert not problems
    (file,) = found.event_lists
    assert file.name == name
    missing = RemoteFile(f"{web}/{GOOD}/PPS/P{GOOD}M9S001MIEVLI0000.FTZ")
    with pytest.raises(DownloadError, match=r"M9S.*cannot be read: there is no such file"):
        missing.described()


def test_a_file_that_comes_short(web: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(remote, "WAIT", 0.0)
    (found, _), _ = find_observations([web])
    file = found.event_lists[0].described()
    too_long = RemoteFile(file.url, size=file.size + 1)
    with pytest.raises(DownloadError, match=rf"{file.size} of {file.size + 1} bytes came"):
        too_long.copy_to(tmp_path / "copy")


def test_no_room_for_copies(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (found, _), _ = find_observations([web])
    monkeypatch.setattr("tempfile.tempdir", "/no/such/folder")
    missing = pytest.raises(DownloadError, match="There is no folder for temporary files")
    with missing, local_copies(found):
        pass


def test_ingested_into_a_bucket_from_a_bucket(
    service: str, tmp_path: Path, small: Path, expected: dict[str, str]
) -> None:
    """Event lists go from one store to another as Parquet, once, and are searched there."""
    from exod.stages.detect.survey import detect_many

    given = {"endpoint_url": service}
    found, _ = find_observations([f"s3://{LAYOUT}"], given)
    root = f"s3://{BUCKET}/ingested"
    for n_written, n_kept in ((3, 0), (0, 3)):
        done = list(ingest_many(found, root, Plan("sync"), options(service)))
        assert not [problem for item in done for problem in item.problems]
        assert [(item.written, item.kept) for item in done] == [(n_written, n_kept)] * 2
    again, problems = find_observations([f"{root}/events"], options(service))
    assert not problems
    assert predict(again[0], CONFIG).n_rows == predict(found[0], CONFIG).n_rows
    list(detect_many(again, CONFIG, str(tmp_path), Plan("sync")))
    assert digests(tmp_path) == expected


def test_patterns_that_no_shell_expanded(small: Path, tmp_path: Path, command: Command) -> None:
    call = ["detect", f"{small}/09000*", "--archive", tmp_path, *FAST]
    assert command(*call)[0] == 0
    assert list(open_archive(tmp_path).status()["obsid"]) == [GOOD, OTHER]


def test_lists_of_obsids(small: Path, tmp_path: Path, command: Command) -> None:
    listed = tmp_path / "list"
    listed.write_text(f"{GOOD}\n0900000999\n")
    root = tmp_path / "archive"
    call = ["detect", "--from", listed, "--data", small, "--archive", root, *FAST]
    code, _, said = command(*call)
    assert (code, said) == (1, f"exod: {small}/0900000999 does not exist.\n")
    assert list(open_archive(root).status()["obsid"]) == [GOOD]
    listed.write_text("123456\n")
    code, _, said = command(*call)
    assert code == 2
    assert said.startswith(f"exod: {listed}, line 1: ")
    code, _, said = command("detect", OTHER, "--data", small, "--archive", root, *FAST)
    assert code == 0
    assert list(open_archive(root).status()["obsid"]) == [GOOD, OTHER]


def test_copies_to_spoil_stay_apart(small: Path, tmp_path: Path) -> None:
    """Files on the disk are used where they are."""
    (found,), _ = find_observations([copy(small / GOOD, tmp_path)])
    with local_copies(found) as local:
        assert local is found
    assert all(path.exists() for path in found.paths)


def test_a_listing_that_breaks_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_listed", lambda *_: 1 / 0)
    with pytest.raises(InputError, match="division by zero"):
        remote.list_remote("s3://bucket/a")
