"""Who comes in: names and passwords, tries that fail, and names that a proxy tells."""

from __future__ import annotations

import asyncio
import base64
import logging
import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from exod.archive import Archive, open_archive
from exod.errors import ConfigError
from exod.web import serving
from exod.web.app import WebSettings, make_app
from exod.web.voting import people
from exod.web.voting.people import (
    TRIES,
    Door,
    NotLetIn,
    ProxyDoor,
    read_users,
    write_user,
)

HOST = "127.0.0.1:8765"
SECRET = "ich: bin's ☺"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that cost nothing."""
    monkeypatch.setattr(people, "COST", (2, 8, 1))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.txt"
    write_user(path, "Ada L.", SECRET)
    write_user(path, "bo", "something else")
    return path


class Counted:
    """A door at a time of its own, and how often a password was computed."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.checked = 0.0, 0
        self.door = Door(file, lambda: self.now)
        plain = people._digest

        def digest(*about):
            self.checked += 1
            return plain(*about)

        monkeypatch.setattr(people, "_digest", digest)

    def ask(self, *headers: bytes, client: str = "198.51.100.7") -> str | int:
        return as_told(asyncio.run(self.let_in(*headers, client=client)))

    def let_in(self, *headers: bytes, client: str = "198.51.100.7"):
        return self.door.let_in(client, [(b"Authorization", value) for value in headers])


@pytest.fixture
def counted(file: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(file, monkeypatch)


def as_told(found: str | NotLetIn) -> str | int:
    return found if isinstance(found, str) else found.status


def basic(name: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{name}:{password}".encode())


def test_entries(file):
    first = read_users(file)
    assert list(first) == ["Ada L.", "bo"]
    assert SECRET not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    write_user(file, "Ada L.", SECRET)
    # The same password has another salt.
    assert read_users(file)["Ada L."] != first["Ada L."]
    write_user(file, "bo", None)
    assert list(read_users(file)) == ["Ada L."]


@pytest.mark.parametrize(
    ("name", "password", "sentence"),
    [
        ("a:b", "long enough", "name of a vetter"),
        ("a\nb", "long enough", "name of a vetter"),
        ("ada", "short", "8 to 200 characters"),
        ("ada", "x" * 201, "8 to 200 characters"),
        ("cy", None, "nobody of the name cy"),
    ],
)
def test_entries_that_cannot_be(file, name, password, sentence):
    before = file.read_bytes()
    with pytest.raises(ConfigError, match=sentence):
        write_user(file, name, password)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        "cy:plain text",
        "cy",
        "",
        f"<b>:scrypt$2$8$1${'0' * 32}${'0' * 64}",
        f"cy:scrypt$3$8$1${'0' * 32}${'0' * 64}",
        f"cy:scrypt$16777216$8$1${'0' * 32}${'0' * 64}",
        f"cy:scrypt$2$0$1${'0' * 32}${'0' * 64}",
        f"bo:scrypt$2$8$1${'0' * 32}${'0' * 64}",
    ],
)
def test_lines_that_are_no_entries(file, line):
    """The sentence tells the line, and not what it holds."""
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(ConfigError, match="line 3 is no entry") as found:
        Door(file)
    assert "plain text" not in str(found.value)


def test_a_door_needs_people(tmp_path):
    with pytest.raises(ConfigError, match="The file of users"):
        Door(tmp_path / "none.txt")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ConfigError, match="has nobody; add people"):
        Door(tmp_path / "empty.txt")


def test_who_is_right_comes_in(counted):
    assert counted.ask(basic("Ada L.", SECRET)) == "Ada L."
    assert counted.ask(basic("Ada L.", SECRET).replace(b"Basic", b"basic")) == "Ada L."
    assert counted.checked == 2
    assert [counted.ask(basic("Ada L.", SECRET)) for _ in range(5)] == ["Ada L."] * 5
    assert counted.checked == 2


def test_many_requests_at_once_are_checked_once(counted):
    async def many():
        asked = (counted.let_in(basic("bo", "something else")) for _ in range(30))
        return await asyncio.gather(*asked)

    assert asyncio.run(many()) == ["bo"] * 30
    assert counted.checked == 1


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (b"",),
        (b"Basic",),
        (b"Basic !!!",),
        (b"Basic \xff\xfe",),
        (b"Basic " + base64.b64encode(b"\xff\xfe:x"),),
        (b"Basic " + base64.b64encode(b"bo"),),
        (b"Bearer " + base64.b64encode(b"bo:something else"),),
        (b"Basic " + b"A" * 100_000,),
        (basic("bo", ""),),
        (basic("bo", "something else "),),
        (basic("bo", SECRET),),
        (basic("", ""),),
        (basic("BO", "something else"),),
        (basic("cy", "something else"),),
        (basic("bo", "something else"), basic("bo", "something else")),
    ],
)
def test_who_is_wrong_does_not(counted, headers, caplog):
    with caplog.at_level(logging.DEBUG):
        assert counted.ask(*headers) == 401
    # Whoever it is, it takes as long; and nothing of it is written down.
    assert counted.checked == len(headers[:1])
    assert not [row for row in caplog.records if row.name != "asyncio"]


def test_who_is_wrong_too_often_has_to_wait(counted):
    assert counted.ask(basic("Ada L.", SECRET)) == "Ada L."
    answers = [counted.ask(basic("bo", f"wrong {number}")) for number in range(TRIES + 3)]
    assert answers == [401] * TRIES + [429] * 3
    checked = counted.checked
    assert counted.ask(basic("bo", "something else")) == 429
    assert counted.checked == checked
    # Others are not held up, nor is who came in before.
    assert counted.ask(basic("Ada L.", SECRET)) == "Ada L."
    assert counted.ask(basic("bo", "something else"), client="198.51.100.8") == "bo"
    counted.now += people.PERIOD
    assert counted.ask(basic("bo", "wrong")) == 401


def test_the_addresses_of_a_subscriber_are_one(counted):
    asked = [counted.ask(basic("bo", "no"), client=f"2001:db8::{n:x}") for n in range(TRIES + 1)]
    assert asked == [401] * TRIES + [429]
    assert counted.ask(basic("bo", "no"), client="2001:db8:0:1::1") == 401


def test_a_changed_file_counts_at_once(counted, file):
    assert counted.ask(basic("bo", "something else")) == "bo"
    write_user(file, "bo", "another password")
    assert counted.ask(basic("bo", "something else")) == 401
    assert counted.ask(basic("bo", "another password")) == "bo"
    write_user(file, "bo", None)
    assert counted.ask(basic("bo", "another password")) == 401
    file.write_text("damaged")
    assert counted.ask(basic("Ada L.", SECRET)) == 503
    file.unlink()
    assert counted.ask(basic("Ada L.", SECRET)) == 503


@pytest.mark.parametrize(
    ("client", "names", "told"),
    [
        ("10.1.2.3", [b"Ada"], "Ada"),
        ("::ffff:10.1.2.3", [b"Ada"], "Ada"),
        ("192.0.2.1", [b"Ada"], "Ada"),
        ("192.0.2.2", [b"Ada"], 403),
        ("127.0.0.1", [b"Ada"], 403),
        ("", [b"Ada"], 403),
        ("10.1.2.3", [], 403),
        ("10.1.2.3", [b""], 403),
        ("10.1.2.3", [b"Ada", b"Bo"], 403),
        ("10.1.2.3", [b"<script>"], 403),
        ("10.1.2.3", [b"\xff"], 403),
    ],
)
def test_names_of_a_proxy(client, names, told):
    door = ProxyDoor("X-Remote-User", ["10.0.0.0/8", "192.0.2.1"])
    headers = [(b"x-remote-user", name) for name in names]
    assert as_told(asyncio.run(door.let_in(client, headers))) == told


@pytest.mark.parametrize(
    ("header", "proxies"),
    [("X-Name", []), ("X-Name", ["my.proxy"]), ("X-Name", ["10.0.0.1/8"]), ("", ["10.0.0.1"]),
     ("Host", ["10.0.0.1"]), ("X Name", ["10.0.0.1"]), ("X_Name", ["10.0.0.1"])],
)  # fmt: skip
def test_proxies_that_cannot_be(header, proxies):
    with pytest.raises(ConfigError):
        ProxyDoor(header, proxies)


def test_the_server_believes_no_other_header(explored: Archive):
    """`X-Forwarded-For` could make anybody the proxy."""
    config = serving._config(make_app(explored))
    assert config.proxy_headers is False
    assert config.access_log is False


def test_votes_have_the_name_of_the_login(explored: Archive, file: Path):
    shutil.copytree(explored.root, file.parent / "own", ignore=lambda *_: ["vetting"])
    explored = open_archive(file.parent / "own")
    guard = make_app(explored, WebSettings(door=Door(file)))
    own = {"origin": f"http://{HOST}", "x-exod-token": guard.token}
    ada = own | {"authorization": basic("Ada L.", SECRET).decode()}
    number = int(explored.unique.compute()["region_num"].min())
    content = {"source": number, "label": "real"}
    with TestClient(guard, base_url=f"http://{HOST}") as client:
        for path in ("/", "/api/v1/meta", "/data/sources.parquet", "/vo/scs", "/static/js/main.js"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
        assert client.post("/api/v1/vetting", json=content, headers=own).status_code == 401
        assert 'name="exod-vetter" content="Ada L."' in client.get("/", headers=ada).text
        told = client.post("/api/v1/vetting", json=content, headers=ada)
        assert told.json()["own"]["vetter"] == "Ada L."
        other = client.post("/api/v1/vetting", json=content | {"vetter": "bo"}, headers=ada)
        assert (other.status_code, "logged in as Ada L." in other.json()["detail"]) == (403, True)
        state = "/api/v1/vetting/state"
        assert client.get(state, headers=ada).json()["votes"]["real"] == 1
        assert client.get(f"{state}?vetter=bo", headers=ada).status_code == 403
        # The votes of the login are the own ones, whatever the address says.
        mine = client.get("/api/v1/rows?mine=0&columns=region_num&vetter=bo", headers=ada)
        assert [row["region_num"] for row in mine.json()["rows"]] == [number]
        # A login is no leave to ask from elsewhere.
        evil = ada | {"origin": "http://evil.example"}
        assert client.post("/api/v1/vetting", json=content, headers=evil).status_code == 403


def test_more_than_a_vote_is_not_read(explored: Archive):
    guard = make_app(explored)
    headers = {"origin": f"http://{HOST}", "x-exod-token": guard.token}
    with TestClient(guard, base_url=f"http://{HOST}") as client:
        long = b"x" * (1 << 20) + b"x"
        answer = client.post("/api/v1/vetting", content=long, headers=headers)
        assert answer.status_code == 413
        parts = (long[:1000] for _ in range(2000))
        answer = client.post("/api/v1/vetting", content=parts, headers=headers)
        assert answer.status_code in (400, 413)
