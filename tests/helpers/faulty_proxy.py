"""An HTTP server on the loopback that passes requests on to another, or fails as a plan says."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Literal
from urllib.parse import urlsplit

from helpers.processes import LONGEST

Fault = Literal["500", "503", "slow", "drop", "lost", "cut"]
"""Error status; a late answer; no answer, the request undone or done; half an answer."""

FAULTS: tuple[Fault, ...] = ("500", "503", "slow", "drop", "lost", "cut")

Plan = Callable[[str, str], Fault | None]
"""The fault of a request, from its method and the folder and name it is about."""

_ERRORS = {"500": "InternalError", "503": "SlowDown"}


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on to the address `target` unless `plan` has a fault for them."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.plan: Plan = lambda method, path: None
        self.faults: Counter[str] = Counter()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            found = self.plan(method, "/".join(urlsplit(path).path.split("/")[-2:]))
            self.faults[found or "none"] += 1
        return found

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client may give up at any time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    server: FaultyProxy

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault(self.command, self.path)
        if fault in _ERRORS:
            code = _ERRORS[fault]
            text = f"<Error><Code>{code}</Code><Message>Not now.</Message></Error>".encode()
            self.answer(int(fault), {"Content-Type": "application/xml"}, text, len(text))
            return
        if fault == "slow":
            time.sleep(0.3)
        if fault != "drop":
            status, headers, content = self.ask(body)
        if fault in {"drop", "lost"}:
            self.close_connection = True
            return
        size = int(headers.pop("Content-Length", len(content)))
        if fault == "cut":
            content = content[: len(content) // 2]
            self.close_connection = True
        self.answer(status, headers, content, size)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        line = http.client.HTTPConnection(self.server.target, timeout=LONGEST)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
            line.request(self.command, self.path, body, headers)
            response = line.getresponse()
            content = response.read()
            unwanted = {"connection", "server", "date", "transfer-encoding"}
            kept = {k: v for k, v in response.getheaders() if k.lower() not in unwanted}
            return response.status, {k.title(): v for k, v in kept.items()}, content
        finally:
            line.close()

    def answer(self, status: int, headers: dict[str, str], content: bytes, size: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def seeded(seed: int, share: float) -> Plan:
    """Let a share of the requests fail, by any fault.

    The fault of the nth request of a method in a folder is always the same, whatever the order
    in which threads ask.
    """
    count: Counter[tuple[str, str]] = Counter()

    def plan(method: str, path: str) -> Fault | None:
        kind = (method, path.partition("/")[0])
        count[kind] += 1
        random = Random(f"{seed} {kind} {count[kind]}")
        return random.choice(FAULTS) if random.random() < share else None

    return plan


@contextmanager
def running(target: str) -> Iterator[FaultyProxy]:
    """A proxy in a thread of its own."""
    with FaultyProxy(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
