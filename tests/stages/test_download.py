"""Downloads against a server that does what real ones do, and what they do on bad days."""

from __future__ import annotations

import errno
import gzip
import io
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from helpers.fake_archive import FakeArchive, Reply, ftz, guest_tar, single
from helpers.processes import EXOD, LONGEST, start_interruptible, wait_until
from rich.console import Console
from urllib3 import PoolManager, Timeout

from exod.cli.progress import follow_downloads
from exod.errors import ConfigError, DownloadError, InputError
from exod.pps import find_observations
from exod.pps.publicarchives import Esa, Heasarc, is_whole
from exod.pps.transfer import Transport
from exod.stages.inputs.download import RECORD, Download, download_many, wanted_obsids

OBSID = "0001730201"
OTHER = "0765080801"
PN = f"P{OBSID}PNS003PIEVLI0000.FTZ"
M1 = f"P{OBSID}M1S001MIEVLI0000.FTZ"
M2 = f"P{OBSID}M2S002MIEVLI0000.FTZ"
SOURCES = f"P{OBSID}EPX000OBSMLI0000.FTZ"
ALL = [PN, M1, M2, SOURCES]

HTML = Reply(b"<html><head><title>Down for maintenance</title></head></html>")
PROTECTED = b"Data protected by proprietary rights. Please check your credentials"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def archive() -> Iterator[FakeArchive]:
    archive = FakeArchive()
    yield archive
    archive.close()


def esa_has_all(archive: FakeArchive, obsid: str = OBSID) -> None:
    names = [name.replace(OBSID, obsid) for name in ALL]
    pn, m1, m2, sources = names
    archive.esa_has(obsid, "PIEVLI", single(pn))
    members = {f"{obsid}/pps/{name}": ftz(name) for name in (m1, m2)}
    archive.esa_has(obsid, "MIEVLI", guest_tar(members, kind="chunked"))
    archive.esa_has(obsid, "OBSMLI", single(sources))


def heasarc_has_all(archive: FakeArchive) -> None:
    archive.heasarc_has(OBSID, {name: ftz(name) for name in [*ALL, f"P{OBSID}EPX000ALLIMG.PNG"]})


def run(
    archive: FakeArchive,
    folder: Path,
    *obsids: str,
    waits: list[float] | None = None,
    **options: Any,
) -> list[Download]:
    verify = options.pop("verify", False)
    sleep = (waits if waits is not None else []).append
    transport = Transport(sleep=sleep, **{"attempts": 3, "timeout": LONGEST} | options)
    services = (Esa(archive.esa), Heasarc(archive.heasarc))
    stream = download_many(
        obsids or [OBSID], folder, services=services, transport=transport, verify=verify
    )
    return list(stream)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def assert_all_there(folder: Path, done: Download) -> None:
    assert done.status == "OK", done.note
    assert files_in(folder) == sorted([*ALL, RECORD])
    assert [path.name for path in done.files] == ALL
    assert all((folder / OBSID / name).read_bytes() == ftz(name) for name in ALL)


def test_esa_gives_single_files_and_tars(archive: FakeArchive, tmp_path: Path) -> None:
    esa_has_all(archive)
    arrived: list[int] = []
    done = run(archive, tmp_path, on_bytes=arrived.append)[0]
    assert_all_there(tmp_path, done)
    assert archive.requests == [f"{OBSID} {name}" for name in ("PIEVLI", "MIEVLI", "OBSMLI")]
    assert archive.queries[0] == {
        "obsno": [OBSID], "level": ["PPS"], "name": ["PIEVLI"], "extension": ["FTZ"],
    }  # fmt: skip
    assert done.n_fetched == 4
    assert done.n_bytes == sum(len(ftz(name)) for name in ALL)
    assert sum(arrived) > done.n_bytes  # With the headers of the tar file.
    assert len(arrived) > 4
    assert done.services == ("ESA",)
    assert done.note == ""
    assert all(agent and agent.startswith("exod/") for agent in archive.agents)


def test_what_is_fetched_is_what_detect_finds(archive: FakeArchive, tmp_path: Path) -> None:
    esa_has_all(archive)
    run(archive, tmp_path)
    observations, problems = find_observations([tmp_path])
    assert not problems
    assert [o.obsid for o in observations] == [OBSID]
    assert sorted(path.name for path in observations[0].paths) == sorted(ALL)


def test_overload_is_waited_for(archive: FakeArchive, tmp_path: Path) -> None:
    esa_has_all(archive)
    busy, limited = Reply(status=503), Reply(status=429, headers={"Retry-After": "17"})
    archive.esa_has(OBSID, "PIEVLI", busy, busy, limited, single(PN))
    waits: list[float] = []
    assert_all_there(tmp_path, run(archive, tmp_path, waits=waits, attempts=4)[0])
    assert len(waits) == 3
    assert 1 <= waits[0] <= 2 <= waits[1] <= 3
    assert waits[2] == 17
    assert not any("PPS" in request for request in archive.requests)


@pytest.mark.parametrize("header", ["nonsense", "1e9", "86400"])
def test_odd_wishes_to_wait_are_limited(archive: FakeArchive, tmp_path: Path, header: str) -> None:
    esa_has_all(archive)
    busy = Reply(status=503, headers={"Retry-After": header})
    archive.esa_has(OBSID, "PIEVLI", busy, single(PN))
    waits: list[float] = []
    assert_all_there(tmp_path, run(archive, tmp_path, waits=waits)[0])
    assert waits[0] <= 60


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(single(PN, length=2_000_000), id="Content-Length too large"),
        pytest.param(single(PN, kind="cut"), id="chunks broken off"),
    ],
)
def test_truncated_answers_are_tried_again(
    archive: FakeArchive, tmp_path: Path, broken: Reply
) -> None:
    esa_has_all(archive)
    archive.esa_has(OBSID, "PIEVLI", broken, single(PN))
    waits: list[float] = []
    assert_all_there(tmp_path, run(archive, tmp_path, waits=waits)[0])
    assert len(waits) == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> str:
    """Of what has this name silence ends soon; all else may take as long as it does."""
    request, name = PoolManager.request, "MIEVLI"

    def ask(self: PoolManager, method: str, url: str, *, timeout: Timeout, **how: Any) -> Any:
        assert timeout.read_timeout == LONGEST
        patience = Timeout(read=0.3) if name in url else timeout
        return request(self, method, url, timeout=patience, **how)

    monkeypatch.setattr(PoolManager, "request", ask)
    return name


@pytest.mark.parametrize("kind", ["stall", "mute"])
def test_silence_ends_in_the_second_source(
    archive: FakeArchive, tmp_path: Path, impatient: str, kind: str
) -> None:
    esa_has_all(archive)
    heasarc_has_all(archive)
    archive.esa_has(OBSID, impatient, Reply(ftz(M1), kind=kind))
    waits: list[float] = []
    done = run(archive, tmp_path, waits=waits, attempts=2)[0]
    assert_all_there(tmp_path, done)
    assert len(waits) == 1
    assert done.services == ("ESA", "HEASARC")
    assert f"{OBSID}/PPS/{PN}" not in archive.requests  # It was there.


def corrupt(body: bytes) -> bytes:
    """With a wrong checksum."""
    return body[:-8] + bytes(4) + body[-4:]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(single(PN, length=1000), id="Content-Length too small"),
        pytest.param(single(PN, corrupt(ftz(PN))), id="checksum"),
        pytest.param(single(PN, ftz(PN)[:5000]), id="truncated at the source"),
        pytest.param(single(PN, gzip.compress(b"no FITS")), id="no FITS"),
        pytest.param(single(PN, b"\x1f\x8b"), id="two bytes"),
        pytest.param(single("P0000000000PNS003PIEVLI0000.FTZ"), id="other observation"),
        pytest.param(single("../../etc/passwd"), id="name is a path"),
        pytest.param(Reply(ftz(PN)), id="no name"),
        pytest.param(HTML, id="HTML"),
        pytest.param(Reply(PROTECTED), id="protected, as text"),
        pytest.param(Reply(PROTECTED, status=401), id="protected"),
        pytest.param(Reply(status=400), id="refused"),
        pytest.param(guest_tar({f"../{PN}": ftz(PN)}), id="tar leaves its folder"),
        pytest.param(guest_tar({f"a/{PN}": corrupt(ftz(PN))}), id="tar with a damaged file"),
        pytest.param(
            guest_tar({f"a/{PN.replace('S003', 'S004')}": ftz(PN), f"a/{PN}": ftz(PN)[:-9]}),
            id="tar with a good and a damaged file",
        ),
        pytest.param(
            single("x.tar", guest_tar({f"a/{PN}": ftz(PN)}).body[:20_000]), id="truncated tar"
        ),
    ],
)
def test_wrong_answers_lead_to_the_second_source_at_once(
    archive: FakeArchive, tmp_path: Path, wrong: Reply
) -> None:
    esa_has_all(archive)
    heasarc_has_all(archive)
    archive.esa_has(OBSID, "PIEVLI", wrong)
    waits: list[float] = []
    folder = tmp_path / "inside" / "data"
    done = run(archive, folder, waits=waits)[0]
    assert_all_there(folder, done)
    assert files_in(tmp_path) == files_in(folder)
    assert waits == []
    assert done.services == ("HEASARC",)


def test_only_expected_members_leave_a_tar(archive: FakeArchive, tmp_path: Path) -> None:
    esa_has_all(archive)
    odd = [
        f"{OBSID}/pps/INDEX.HTM",
        f"{OBSID}/pps/{PN}",
        f"{OBSID}/pps/{M1.replace(OBSID, OTHER)}",
        f"{OBSID}/pps/{M1}.exe",
        "MANIFEST.1",
    ]
    good = {f"{OBSID}/pps/{name}": ftz(name) for name in (M1, M2)}
    link = f"{OBSID}/pps/{M1.replace('S001', 'S009')}"
    members = dict.fromkeys(odd, b"odd") | good
    archive.esa_has(OBSID, "MIEVLI", guest_tar(members, link))
    assert_all_there(tmp_path, run(archive, tmp_path)[0])


@pytest.mark.parametrize(
    ("nothing", "note"),
    [
        (Reply(), "It has no EPIC source list."),
        (Reply(status=404), "It has no EPIC source list."),
        (single(SOURCES.replace("EPX", "OMX")), "It has no EPIC source list."),
    ],
    ids=["empty", "404", "of the optical monitor"],
)
def test_no_source_list_is_no_failure(
    archive: FakeArchive, tmp_path: Path, nothing: Reply, note: str
) -> None:
    esa_has_all(archive)
    archive.esa_has(OBSID, "OBSMLI", nothing)
    done = run(archive, tmp_path)[0]
    assert (done.status, done.note) == ("OK", note)
    assert [path.name for path in done.files] == [PN, M1, M2]
    n_requests = len(archive.requests)
    assert run(archive, tmp_path)[0].note == note
    assert len(archive.requests) == n_requests  # Known by now.


def encrypted(archive: FakeArchive) -> None:
    archive.heasarc_has(OBSID, {f"{name}.gpg": b"\x8c\r\x04" for name in ALL})


def encrypted_under_the_plain_name(archive: FakeArchive) -> None:
    archive.heasarc_has(OBSID, dict.fromkeys(ALL, b"\x8c\r\x04 secret"))


def other_products(archive: FakeArchive) -> None:
    archive.heasarc_has(OBSID, {f"P{OBSID}R1S004EVENLI0000.FTZ": b""})


def page(archive: FakeArchive) -> None:
    archive.replies[f"{OBSID}/PPS/"] = [HTML]


@pytest.mark.parametrize(
    ("esa", "heasarc", "reason"),
    [
        (Reply(status=404), None, "ESA has no event lists in imaging mode; "
         "HEASARC has no such observation."),
        (Reply(), other_products, "ESA has no event lists in imaging mode; "
         "HEASARC has no event lists in imaging mode."),
        (Reply(PROTECTED), encrypted, "ESA says that the data are not public yet, or do not exist; "
         "HEASARC has the data encrypted: they are not public yet."),
        (Reply(status=401), encrypted_under_the_plain_name, "ESA gives it to its owners only "
         "(HTTP 401); HEASARC has the data encrypted: they are not public yet."),
        (HTML, page, "ESA answers with something that is no data: 'Down for maintenance'; "
         "HEASARC answers with something that is no index of the observation."),
        (Reply(status=500), None, "ESA is overloaded or out of order (HTTP 500); "
         "HEASARC has no such observation."),
    ],
    ids=["unknown", "no event lists", "proprietary", "proprietary, old", "HTML", "out of order"],
)  # fmt: skip
def test_failures_say_why(
    archive: FakeArchive,
    tmp_path: Path,
    esa: Reply,
    heasarc: Callable[[FakeArchive], None] | None,
    reason: str,
) -> None:
    for product in ("PIEVLI", "MIEVLI", "OBSMLI"):
        archive.esa_has(OBSID, product, esa)
    if heasarc:
        heasarc(archive)
    done = run(archive, tmp_path)[0]
    assert (done.status, done.note) == ("FAILED", reason)
    assert list(tmp_path.iterdir()) == []
    if esa.status == 404:
        assert len(archive.requests) == 4  # Each was asked for once.


def test_refused_connection_leads_to_the_second_source(
    archive: FakeArchive, tmp_path: Path
) -> None:
    heasarc_has_all(archive)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        archive.esa = f"http://127.0.0.1:{closed.getsockname()[1]}/aio"
        waits: list[float] = []
        done = run(archive, tmp_path, waits=waits)[0]
    assert_all_there(tmp_path, done)
    assert len(waits) == 2


def test_redirections_are_followed(archive: FakeArchive, tmp_path: Path) -> None:
    esa_has_all(archive)
    elsewhere = {"Location": f"{archive.esa}?obsno={OBSID}&name=MOVED"}
    archive.esa_has(OBSID, "PIEVLI", Reply(status=302, headers=elsewhere))
    archive.esa_has(OBSID, "MOVED", single(PN))
    assert_all_there(tmp_path, run(archive, tmp_path)[0])
    archive.esa_has(OTHER, "PIEVLI", Reply(status=302, headers=elsewhere))
    archive.esa_has(OBSID, "MOVED", Reply(status=302, headers=elsewhere))
    assert "too many redirects" in run(archive, tmp_path, OTHER)[0].note


@pytest.mark.parametrize("url", ["", "nonsense", "gopher://127.0.0.1/", "http://[::1"])
def test_impossible_addresses_are_failures(archive: FakeArchive, tmp_path: Path, url: str) -> None:
    archive.esa = archive.heasarc = url
    done = run(archive, tmp_path)[0]
    assert done.note.startswith("ESA cannot be")


class TestResume:
    """What is there and whole is not fetched again."""

    @pytest.fixture(autouse=True)
    def _first(self, archive: FakeArchive, tmp_path: Path) -> None:
        esa_has_all(archive)
        assert_all_there(tmp_path, run(archive, tmp_path)[0])
        archive.requests.clear()

    def test_nothing_to_do(self, archive: FakeArchive, tmp_path: Path) -> None:
        for verify in (False, True):
            done = run(archive, tmp_path, verify=verify)[0]
            assert_all_there(tmp_path, done)
            assert (done.n_fetched, done.services) == (0, ("ESA",))
        assert archive.requests == []

    def test_a_missing_file(self, archive: FakeArchive, tmp_path: Path) -> None:
        (tmp_path / OBSID / M2).unlink()
        assert run(archive, tmp_path)[0].n_fetched == 2
        assert archive.requests == [f"{OBSID} MIEVLI"]

    def test_a_truncated_file(self, archive: FakeArchive, tmp_path: Path) -> None:
        (tmp_path / OBSID / PN).write_bytes(ftz(PN)[:1000])
        assert_all_there(tmp_path, run(archive, tmp_path)[0])
        assert archive.requests == [f"{OBSID} PIEVLI"]

    def test_damage_that_the_size_hides(self, archive: FakeArchive, tmp_path: Path) -> None:
        (tmp_path / OBSID / PN).write_bytes(corrupt(ftz(PN)))
        run(archive, tmp_path)
        assert archive.requests == []
        assert_all_there(tmp_path, run(archive, tmp_path, verify=True)[0])
        assert archive.requests == [f"{OBSID} PIEVLI"]

    @pytest.mark.parametrize(
        "text",
        [
            "", "[]", "{}", '{"products": 3}', '{"products": {"PIEVLI": []}}',
            '{"products": {"PIEVLI": {"service": "ESA", "files": {"../x": 1}}}}',
        ],
    )  # fmt: skip
    def test_a_record_that_is_none(self, archive: FakeArchive, tmp_path: Path, text: str) -> None:
        (tmp_path / OBSID / RECORD).write_text(text, encoding="utf-8")
        assert_all_there(tmp_path, run(archive, tmp_path)[0])
        assert len(archive.requests) == 3

    def test_remains_of_a_killed_process_go(self, archive: FakeArchive, tmp_path: Path) -> None:
        (tmp_path / OBSID / f".{PN}.0a1b2c3d.tmp").write_bytes(b"half")
        assert_all_there(tmp_path, run(archive, tmp_path)[0])

    def test_the_record_says_where_from(self, tmp_path: Path) -> None:
        record = json.loads((tmp_path / OBSID / RECORD).read_text(encoding="utf-8"))
        assert record["obsid"] == OBSID
        assert record["products"]["PIEVLI"] == {"service": "ESA", "files": {PN: len(ftz(PN))}}


def test_heasarc_does_not_give_twice(archive: FakeArchive, tmp_path: Path) -> None:
    """Killed between files, before the record: whole files are recognised, others replaced."""
    heasarc_has_all(archive)
    folder = tmp_path / OBSID
    folder.mkdir()
    (folder / M1).write_bytes(ftz(M1))
    (folder / M2).write_bytes(ftz(M2)[:100])
    assert_all_there(tmp_path, run(archive, tmp_path)[0])
    assert f"{OBSID}/PPS/{M1}" not in archive.requests
    assert f"{OBSID}/PPS/{M2}" in archive.requests


def test_as_many_at_a_time_as_allowed(archive: FakeArchive, tmp_path: Path) -> None:
    obsids = [f"00000000{number:02}" for number in range(6)]
    for obsid in obsids:
        esa_has_all(archive, obsid)
    both, busy, most = threading.Barrier(2), 0, 0
    lock = threading.Lock()

    def on_request() -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        both.wait(LONGEST)  # Passes only if there are two at a time.
        with lock:
            busy -= 1

    archive.on_request = on_request
    downloads = run(archive, tmp_path, *obsids, connections=2)
    assert sorted(done.obsid for done in downloads) == obsids
    assert all(done.status == "OK" for done in downloads)
    assert most == 2


def test_failures_do_not_stop_the_others(archive: FakeArchive, tmp_path: Path) -> None:
    esa_has_all(archive)
    downloads = run(archive, tmp_path, OTHER, OBSID, OTHER)
    assert {done.obsid: done.status for done in downloads} == {OTHER: "FAILED", OBSID: "OK"}
    assert len(downloads) == 2  # The same is not fetched twice.


def test_stopping_early_leaves_nothing_half(archive: FakeArchive, tmp_path: Path) -> None:
    esa_has_all(archive)
    name = PN.replace(OBSID, OTHER)
    archive.esa_has(OTHER, "PIEVLI", single(name, ftz(name, 2_000_000), kind="stall"))
    transport = Transport(connections=2, timeout=LONGEST)
    stream = download_many(
        [OBSID, OTHER], tmp_path, services=[Esa(archive.esa)], transport=transport
    )
    assert next(stream).obsid == OBSID
    assert archive.sent_half.wait(LONGEST)
    stream.close()  # type: ignore[attr-defined]
    assert files_in(tmp_path) == sorted([*ALL, RECORD])
    with pytest.raises(DownloadError, match="interrupted"):
        transport.text(archive.esa)


def test_what_breaks_off_is_gone_before_its_answer_is_over(
    archive: FakeArchive, tmp_path: Path
) -> None:
    archive.esa_has(OBSID, "PIEVLI", single(PN, kind="cut"))
    transport = Transport(attempts=1, timeout=LONGEST)
    with pytest.raises(DownloadError, match="broke off"):
        transport.fetch(f"{archive.esa}?obsno={OBSID}&name=PIEVLI", tmp_path / "part")
    assert files_in(tmp_path) == []


class FullDisk:
    """A service whose files do not fit."""

    name = "ESA"

    def fetch(self, *_: object) -> Iterator[tuple[str, list[str]]]:
        yield from ()
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_ends_the_run(tmp_path: Path) -> None:
    stream = download_many(
        [OBSID, OTHER], tmp_path, services=[FullDisk()], transport=Transport(connections=1)
    )
    done = next(stream)
    assert done.note == f"There is no space left for {tmp_path / OBSID}."
    with pytest.raises(DownloadError, match="full with 0 of 2 observations tried; make space"):
        next(stream)


def test_a_folder_that_cannot_be_made(archive: FakeArchive, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in run(archive, tmp_path / "file")[0].note
    assert archive.requests == []


@pytest.mark.parametrize("bad", ["../../etc", "1730201", "000173020x", "0001730201/", ""])
def test_obsids_are_checked_before_anything_is_asked(
    archive: FakeArchive, tmp_path: Path, bad: str
) -> None:
    with pytest.raises(InputError, match="ten digits"):
        run(archive, tmp_path, OBSID, bad)
    assert archive.requests == []
    with pytest.raises(ConfigError, match="ten digits"):
        wanted_obsids([OBSID, bad])


def test_the_archives_of_xmm_are_not_asked_for_chandra(
    archive: FakeArchive, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="of XMM-Newton; it must be ten digits"):
        run(archive, tmp_path, OBSID, "28964")
    assert archive.requests == []


def test_lists_of_obsids(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"# two\n\n  {OBSID}  # HD 159176\n{OTHER}\n{OBSID}\n", encoding="utf-8")
    assert wanted_obsids([OTHER], path) == [OTHER, OBSID]
    path.write_text(f"{OBSID}\n12\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"list\.txt, line 2: '12' is not"):
        wanted_obsids([], path)
    with pytest.raises(ConfigError, match="cannot be read"):
        wanted_obsids([], tmp_path / "missing.txt")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="No observation"):
        wanted_obsids([], path)
    path.write_text(f"\ufeff{OBSID}\r\n", encoding="utf-16")
    assert wanted_obsids([], path) == [OBSID]
    with pytest.raises(ConfigError, match="No observation"):
        wanted_obsids([])


def test_whole_files(tmp_path: Path) -> None:
    path = tmp_path / PN
    for body, whole in (
        (ftz(PN), True), (ftz(PN)[:-1], False), (b"", False), (gzip.compress(b""), False),
        (b"SIMPLE  =", False), (b"SIMPLE  =".ljust(2880), True),
        (ftz(PN) + b"more", False), (corrupt(ftz(PN)), False),
    ):  # fmt: skip
        path.write_bytes(body)
        assert is_whole(path) == whole


def test_proxies_of_the_system_are_used(
    archive: FakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    esa_has_all(archive)
    port = archive.server.server_port
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "")
    archive.esa = "http://archive.invalid/aio"
    assert_all_there(tmp_path, run(archive, tmp_path)[0])


def test_bar_on_a_terminal(archive: FakeArchive, tmp_path: Path) -> None:
    esa_has_all(archive)
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with follow_downloads(1, console) as progress:
        for done in run(archive, tmp_path, on_bytes=progress.count):
            progress.report(done)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Downloading" in shown
    assert "1.6 MB" in shown
    assert "1/1" in shown


class TestCommand:
    """The command line."""

    @pytest.fixture
    def download(self, archive: FakeArchive, command: Callable[..., Any]) -> Callable[..., Any]:
        urls = ("--esa-url", archive.esa, "--heasarc-url", archive.heasarc)
        return lambda *arguments: command("download", *arguments, *urls)

    def test_success(
        self, archive: FakeArchive, tmp_path: Path, download: Callable[..., Any]
    ) -> None:
        esa_has_all(archive)
        code, out, err = download(OBSID, "--to", tmp_path)
        assert (code, err) == (0, "")
        assert f"[1/1] {OBSID} OK: 4 files, 1.6 MB fetched, from ESA, " in out
        assert f"1 observation in {tmp_path}; 0 failed." in out
        assert "4 files, there before" in download(OBSID, "--to", tmp_path)[1]

    def test_failure(
        self, archive: FakeArchive, tmp_path: Path, download: Callable[..., Any]
    ) -> None:
        esa_has_all(archive)
        path = tmp_path / "list.txt"
        path.write_text(f"{OTHER}\n", encoding="utf-8")
        code, out, err = download(OBSID, "--from", path, "--to", tmp_path)
        assert code == 1
        assert f"{OTHER} FAILED: 0 files. ESA has no event lists" in out
        assert f"exod: {OTHER} failed: ESA has no event lists in imaging mode; HEASARC" in err
        assert OBSID not in err

    @pytest.mark.parametrize(
        "arguments", [(), ("12",), ("--from", "missing.txt"), (OBSID, "--connections", "100")]
    )
    def test_wrong_usage(
        self,
        archive: FakeArchive,
        tmp_path: Path,
        download: Callable[..., Any],
        arguments: tuple[str, ...],
    ) -> None:
        assert download(*arguments, "--to", tmp_path)[0] == 2
        assert archive.requests == []

    @pytest.mark.parametrize("kind", ["stall", "mute"])
    def test_interruption(self, archive: FakeArchive, tmp_path: Path, kind: str) -> None:
        esa_has_all(archive)
        archive.esa_has(OBSID, "MIEVLI", single(M1, ftz(M1, 2_000_000), kind=kind))
        asked = threading.Event()
        archive.on_request = lambda: len(archive.requests) == 2 and asked.set()
        arguments = ["download", OBSID, "--to", tmp_path, "--esa-url", archive.esa]
        with start_interruptible(
            [EXOD, *arguments], stdout=PIPE, stderr=PIPE, text=True
        ) as process:
            assert asked.wait(LONGEST)
            if kind == "stall":
                assert archive.sent_half.wait(LONGEST)
                assert wait_until(lambda: list(tmp_path.rglob(".*.tmp")), process)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=LONGEST)
        assert process.returncode == 130
        assert err.startswith("exod: interrupted; what is done is kept")
        assert files_in(tmp_path) == sorted([PN, RECORD])
