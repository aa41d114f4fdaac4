"""Who may ask what: hosts, origins, tokens, paths; and what pages may load."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from exod.archive import Archive
from exod.web.app import WebSettings, make_app
from exod.web.security import CDS, LOOPBACK, PROOF_HEADER, Guard

OWN = "http://127.0.0.1:8765"


async def _done(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def guarded() -> TestClient:
    """A guard before something that would do whatever it is asked."""
    return TestClient(Guard(_done, ("exod.example",), "secret"), base_url=OWN)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8765", "", "10.0.0.1"),
        *("127.0.0.1@evil.example", "exod.example.evil", "[::2]:8765", "LOCALHOST:x"),
    ],
)
def test_other_hosts_are_refused(guarded: TestClient, host: str) -> None:
    assert guarded.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", [*sorted(LOOPBACK), "localhost:8765", "[::1]:1", "exod.example"])
def test_own_hosts_are_answered(guarded: TestClient, host: str) -> None:
    assert guarded.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "token", "status"),
    [
        (OWN, "secret", 200),
        *((OWN, "other", 403), (OWN, "", 403), (OWN, "secretsecret", 403), (OWN, "sécret", 403)),
        *(("", "secret", 403), ("null", "secret", 403), ("http://127.0.0.1", "secret", 403)),
        *(("http://evil.example", "secret", 403), (f"{OWN}.evil.example", "secret", 403)),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_own_pages_change_something(
    guarded: TestClient, method: str, origin: str, token: str, status: int
) -> None:
    headers = {b"origin": origin.encode(), PROOF_HEADER.encode(): token.encode("latin1")}
    assert guarded.request(method, "/api/v1/anything", headers=headers).status_code == status


def test_tokens_are_new_at_each_start() -> None:
    assert len({Guard(_done).token for _ in range(3)}) == 3


def test_pages_may_load_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/static/js/main.js", "/api/v1/meta", "/data/sources.parquet", "/nothing"):
        headers = client.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'"
        assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
        assert policy["connect-src"] == "'self' data:"
        assert policy["object-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    agreed = client.get("/", headers={"cookie": "exod-outside=yes"}).headers
    assert CDS in agreed["content-security-policy"]


@pytest.mark.parametrize("folder", ["static", "data", "static/vendor", "api/v1/data"])
@pytest.mark.parametrize(
    "path",
    [
        *("../../pyproject.toml", "..%2f..%2fapp.py", "%2e%2e/%2e%2e/app.py", "....//app.py"),
        *("/etc/passwd", "%2fetc%2fpasswd", "..%5capp.py", "index.html%00.js", "config.json"),
    ],
)
def test_no_path_leads_elsewhere(client: TestClient, folder: str, path: str) -> None:
    answer = client.get(f"/{folder}/{path}")
    assert answer.status_code in {400, 404}
    assert "root:" not in answer.text
    assert "make_app" not in answer.text


def test_pages_of_a_public_server_hold_no_token(explored: Archive) -> None:
    guard = make_app(explored, WebSettings(public=True))
    with TestClient(guard, base_url=OWN) as client:
        assert guard.token not in client.get("/").text
    guard = make_app(explored)
    with TestClient(guard, base_url=OWN) as client:
        assert guard.token in client.get("/").text
        assert guard.token not in client.get("/nothing", headers={"accept": "text/html"}).text
