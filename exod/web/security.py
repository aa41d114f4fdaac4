"""Who may ask the explorer what: hosts, origins, the token of a start, and what pages may load."""

from __future__ import annotations

import hmac
import json
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final

from exod.web.voting.people import Door, Headers, NotLetIn, ProxyDoor

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_OTHER_SITES: Final = frozenset((b"cross-site", b"same-site"))
_OF_ANOTHER_PAGE: Final = "The request comes from another page than those of this server."

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})

PROOF_HEADER: Final = "x-exod-token"
"""The header in which a page sends the token that it was given, to change something."""

MOST_BYTES: Final = 1 << 20
"""Of the body of a request; a vote has some thousand."""

CDS: Final = "https://*.unistra.fr https://*.u-strasbg.fr"
"""Where Aladin Lite takes its images from, if a reader has agreed to that."""

POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "connect-src 'self' data:{outside}",
        "img-src 'self' data: blob:{outside}",
        "worker-src 'self'{worker}",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    )
)


class Guard:
    """Answers requests to other hosts and from other origins itself, and adds headers to answers.

    Parameters
    ----------
    application : callable
        The ASGI application that it guards.
    hosts : iterable of str
        Names without port by which the server may be asked; those of the loopback always.
    token : str
        What a request that changes something must bring; a new one by default.
    door : Door or ProxyDoor, optional
        Who comes in; by default everybody. The name is ``exod_vetter`` of the scope then.

    Attributes
    ----------
    ending : threading.Event
        Set when the server is to end, so that answers without an end do.
    """

    def __init__(
        self,
        application: Application,
        hosts: Iterable[str] = (),
        token: str = "",
        door: Door | ProxyDoor | None = None,
    ) -> None:
        self._application, self._door = application, door
        self._hosts = LOOPBACK | set(hosts)
        self.token = token or os.urandom(24).hex()
        self.ending = threading.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {key.decode("latin1").lower(): value for key, value in scope["headers"]}
        answer = partial(_answer, send, as_json=scope["path"].startswith("/api/"))
        refused = _too_long(headers) or self._refused(scope, headers)
        if refused:
            status, text = refused
            await answer(status, text)
            return
        name = ""
        if self._door is not None:
            found = await self._door.let_in((scope.get("client") or ("",))[0], scope["headers"])
            if isinstance(found, NotLetIn):
                await answer(found.status, found.text, found.headers)
                return
            name = found
        scope = {**scope, "exod_vetter": name}
        agreed = b"exod-outside=yes" in headers.get("cookie", b"")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_protecting(agreed=agreed)]
            await send(message)

        await self._application(scope, _limited(receive), with_headers)

    def _refused(self, scope: Message, headers: MutableMapping[str, bytes]) -> Any:
        host = headers.get("host", b"").decode("latin1")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name not in self._hosts:
            return 421, f"This server is not {name[:100]!r}; start it with --allow-host NAME."
        is_reading = scope["method"] in {"GET", "HEAD", "OPTIONS"}
        origin = headers.get("origin", b"").decode("latin1")
        is_elsewhere = origin.partition("//")[2] != host
        if scope["path"].startswith("/vo/"):
            # Clients of the Virtual Observatory are no browsers, have no token and change nothing
            # of an archive. A browser says which page asks: others may link here, and no more.
            site = headers.get("sec-fetch-site", b"none")
            is_link = is_reading and headers.get("sec-fetch-mode", b"navigate") == b"navigate"
            is_foreign = (origin and is_elsewhere) or (site in _OTHER_SITES and not is_link)
            return (403, _OF_ANOTHER_PAGE) if is_foreign else None
        if is_reading:
            return None
        if is_elsewhere:
            return 403, _OF_ANOTHER_PAGE
        given = headers.get(PROOF_HEADER, b"").decode("latin1")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return 403, "The server was started anew since this page was opened; reload the page."
        return None


def _too_long(headers: Mapping[str, bytes]) -> tuple[int, str] | None:
    length = headers.get("content-length", b"0")
    if length.isdigit() and len(length) <= len(str(MOST_BYTES)) and int(length) <= MOST_BYTES:
        return None
    return 413, f"No more than {MOST_BYTES:,} bytes can be sent."


def _limited(receive: Receive) -> Receive:
    """What is received, up to `MOST_BYTES`: then it is as if the other side had gone."""
    size = 0

    async def received() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        return message if size <= MOST_BYTES else {"type": "http.disconnect"}

    return received


def policy(*, agreed: bool) -> str:
    """What pages may load; from CDS, too, if a reader has agreed to that."""
    # Aladin Lite starts its worker from a blob.
    more = (f" {CDS}", " blob:") if agreed else ("", "")
    return POLICY.format(outside=more[0], worker=more[1])


def _protecting(*, agreed: bool) -> Iterable[tuple[bytes, bytes]]:
    yield b"content-security-policy", policy(agreed=agreed).encode()
    yield b"x-content-type-options", b"nosniff"
    yield b"referrer-policy", b"no-referrer"
    yield b"cross-origin-opener-policy", b"same-origin"


async def _answer(send: Send, status: int, text: str, more: Headers = (), *, as_json: bool) -> None:
    body = json.dumps({"detail": text}).encode() if as_json else f"{text}\n".encode()
    kind = b"application/json" if as_json else b"text/plain; charset=utf-8"
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
