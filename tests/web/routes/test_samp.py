"""SAMP with a hub of pyvo: programs are told, and whatever is no hub is a sentence."""

from __future__ import annotations

import io
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from astropy.io import votable
from pyvo import samp as pyvo_samp
from starlette.testclient import TestClient

from exod.archive import Archive
from exod.web.app import WebSettings, make_app
from exod.web.vo import samp

HOST = "127.0.0.1:8765"


@pytest.fixture
def hub_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a hub says how it is reached; there is none yet."""
    path = tmp_path / "a hub"
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{path.as_uri()}")
    return path


@pytest.fixture
def taken(hub_file: Path) -> Iterator[queue.Queue]:
    """What a program gets that takes tables and places, of a hub that knows one more program."""
    got: queue.Queue = queue.Queue()
    hub = pyvo_samp.SAMPHubServer(web_profile=False, addr="127.0.0.1")
    with pyvo_samp.conf.set_temp("use_internet", False):
        # pyvo reads its variable without undoing %20.
        hub.start()
        Path(f"{hub_file.parent}/a%20hub").rename(hub_file)
        programs = [
            pyvo_samp.SAMPIntegratedClient(name=name, addr="127.0.0.1")
            for name in ("taker", "deaf")
        ]
        for program in programs:
            program.connect(hub=hub)
    for kind in (samp.POINT, samp.TABLE):
        programs[0].bind_receive_notification(
            kind, lambda _key, _sender, kind, params, _more: got.put((kind, params))
        )
    yield got
    assert len(programs[1].get_registered_clients()) == 2  # The hub itself and the other program.
    for program in programs:
        program.disconnect()
    hub.stop()


@pytest.fixture
def send(explored: Archive) -> Callable[..., tuple[int, dict]]:
    """Send something as a page does."""

    def sent(content: object, public: bool = False, reader: str = "127.0.0.1", **headers: str):
        guard = make_app(explored, WebSettings(("exod.example",), public))
        headers = {
            "origin": f"http://{HOST}",
            "x-exod-token": guard.token,
            "content-type": "application/json",
            **headers,
        }
        asking = TestClient(guard, base_url=f"http://{HOST}", client=(reader, 50000))
        answer = asking.post("/api/v1/samp", content=json.dumps(content), headers=headers)
        return answer.status_code, answer.json() if "json" in answer.headers["content-type"] else {}

    return sent


def test_programs_are_told_places_and_tables(
    send, taken: queue.Queue, client: TestClient, frames: dict[str, pd.DataFrame]
) -> None:
    assert send({"place": [10.5, -3]}) == (200, {"told": ["taker"]})
    kind, params = taken.get(timeout=60)
    assert (kind, params) == (samp.POINT, {"ra": "10.5", "dec": "-3.0"})
    state = {"table": "detections", "where": "ra_deg > 100 and kind == 'peak'"}
    assert send({"state": state}) == (200, {"told": ["taker"]})
    kind, params = taken.get(timeout=60)
    assert (kind, params["name"]) == (samp.TABLE, "exod detections")
    assert params["url"].startswith(f"http://{HOST}/")
    rows = votable.parse(io.BytesIO(client.get(params["url"]).content)).get_first_table().array
    expected = frames["detections"].query("ra_deg > 100 and kind == 'peak'")
    assert list(rows["detid"]) == list(expected["detid"])


def test_without_a_hub_there_is_a_sentence(send, hub_file: Path, monkeypatch) -> None:
    for given in (None, "std-lockurl:http://127.0.0.1/lock", "web-profile:", "file:///x"):
        if given:
            monkeypatch.setenv("SAMP_HUB", given)
        code, answer = send({"place": [1, 2]})
        assert (code, "start TOPCAT or Aladin there first." in answer["detail"]) == (400, True)


ELSEWHERE = [
    *("", "x", "http://192.0.2.1:1/", "http://127.0.0.1@192.0.2.1:1/", "https://127.0.0.1:1/"),
    *(r"http://127.0.0.1\@192.0.2.1:1/", "file:///etc/passwd", "http://127.0.0.1.evil.example/"),
    *("http://[::2]:1/", "http://2130706433.example/", "http://127.0.0.1:99999/", "http://:1/"),
]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_a_hub_elsewhere_is_not_asked(send, hub_file: Path, monkeypatch, address: str) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("it was asked"))
    hub_file.write_text(f"# SAMP\nsamp.secret=a=b\nsamp.hub.xmlrpc.url={address}\n")
    code, answer = send({"place": [1, 2]})
    assert (code, "No SAMP hub" in answer["detail"]) == (400, True)


def _said(value: str) -> bytes:
    body = (
        f"<methodResponse><params><param><value>{value}</value></param></params></methodResponse>"
    )
    return b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n" + body.encode()


ODD = {
    "silence": None,
    "nothing": b"",
    "no http": b"hello\r\n\r\n",
    "no xml": b"HTTP/1.0 200 OK\r\n\r\n<x>",
    "half a value": b"HTTP/1.0 200 OK\r\n\r\n<value>",
    "no answer": b"HTTP/1.0 200 OK\r\n\r\n<methodResponse></methodResponse>",
    "denied": b"HTTP/1.0 401 No\r\n\r\n",
    "elsewhere": b"HTTP/1.0 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n",
    "a number": _said("<int>5</int>"),
    "no number": _said("<int>five</int>"),
    "no key": _said("<struct></struct>"),
    "a value without its type": _said("<struct><member></member></struct>"),
    "endless": _said("<string>" + "x" * 2_000_000),
}


@pytest.mark.parametrize("words", ODD.values(), ids=ODD.keys())
def test_what_is_no_hub_is_a_sentence(send, hub_file: Path, monkeypatch, words) -> None:
    monkeypatch.setattr(samp, "SECONDS", 0.2 if words is None else 60.0)
    ended = threading.Event()

    def answer(listening: socket.socket) -> None:
        while not ended.is_set():
            asking, _ = listening.accept()
            with asking:
                if words is None:
                    ended.wait(60)
                elif not ended.is_set():
                    asking.recv(65536)
                    asking.sendall(words)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        hub_file.write_text(f"samp.secret=a\nsamp.hub.xmlrpc.url=http\\://127.0.0.1\\:{port}/\n")
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        code, said = send({"place": [1, 2]})
        ended.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()
    assert (code, "No SAMP hub answers" in said["detail"]) == (400, True)
    assert len(said["detail"]) < 400


def test_without_a_program_there_is_a_sentence(send, hub_file: Path, monkeypatch) -> None:
    monkeypatch.setattr(samp, "_lock_file", lambda: {"samp.hub.xmlrpc.url": "http://127.0.0.1:1/"})
    said = iter([{"samp.private-key": "k"}, "", {}, ""])
    monkeypatch.setattr(samp.ServerProxy, "_ServerProxy__request", lambda *_: next(said))
    code, answer = send({"place": [1, 2]})
    assert (code, "No program" in answer["detail"]) == (400, True)
    assert not list(said)


@pytest.mark.parametrize(
    "how",
    [
        {"public": True},
        *({"reader": "192.0.2.1"}, {"origin": "http://evil.example"}, {"origin": "null"}),
        *({"x-exod-token": "x"}, {"x-exod-token": ""}),
        {"host": "exod.example", "origin": "http://exod.example"},
    ],
)
def test_only_readers_at_the_machine_can_send(send, hub_file: Path, how: dict) -> None:
    assert send({"place": [1, 2]}, **how)[0] == 403


@pytest.mark.parametrize(
    ("content", "status"),
    [
        *(({"place": [400, 2]}, 422), ({"place": [1]}, 422), ({"place": "x"}, 422), ([], 422)),
        *(({"where": "x"}, 422), ({"state": {"where": "\ud800"}}, 422), ({"state": {"a": 1}}, 422)),
        *(({"state": {"where": "1; DROP"}}, 400), ({"state": {"table": "no"}}, 404)),
        ({"state": {"where": "ra_deg > 1" + " " * 9000}}, 400),
    ],
)
def test_what_cannot_be_is_not_sent(send, hub_file: Path, content: object, status: int) -> None:
    assert send(content)[0] == status
