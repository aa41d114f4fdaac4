"""A local server that behaves like ESA's archive and HEASARC, and misbehaves like them."""

from __future__ import annotations

import gzip
import io
import tarfile
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from helpers.processes import LONGEST


@dataclass(frozen=True)
class Reply:
    """One answer.

    `length` is the Content-Length if it is not that of the body, `kind` how the body is sent:
    "plain", "chunked", "cut" (chunked, broken off), "stall" (half of it, then silence) or "mute"
    (not even headers).
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    kind: str = "plain"


class FakeArchive:
    """Both services: answers by product type (ESA) or path (HEASARC), the last one for ever."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = defaultdict(lambda: [Reply(status=404)])
        self.requests: list[str] = []
        self.queries: list[dict[str, list[str]]] = []
        self.agents: set[str | None] = set()
        self.release = threading.Event()
        self.sent_half = threading.Event()
        self.on_request: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                archive.agents.add(self.headers["User-Agent"])
                archive.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.thread.start()
        root = f"http://127.0.0.1:{self.server.server_port}"
        self.esa = f"{root}/aio"
        self.heasarc = f"{root}/rev0"

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = parse_qs(parts.query)
        if parts.path == "/aio":
            key = f"{query['obsno'][0]} {query['name'][0]}"
        else:
            key = parts.path.removeprefix("/rev0/")
        with self._lock:
            self.requests.append(key)
            self.queries.append(query)
            waiting = self.replies[key]
            reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        self.on_request()
        try:
            send(handler, reply, self)
        except OSError:
            handler.close_connection = True  # The client has gone.

    def esa_has(self, obsid: str, product: str, *replies: Reply) -> None:
        self.replies[f"{obsid} {product}"] = list(replies)

    def heasarc_has(self, obsid: str, files: dict[str, bytes]) -> None:
        folder = f"{obsid}/PPS/"
        self.replies[folder] = [Reply(index(obsid, list(files)))]
        for name, body in files.items():
            self.replies[folder + name] = [Reply(body)]


def send(handler: BaseHTTPRequestHandler, reply: Reply, archive: FakeArchive) -> None:
    if reply.kind == "mute":
        archive.release.wait(LONGEST)
        handler.close_connection = True
        return
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    chunked = reply.kind in {"chunked", "cut"}
    if chunked:
        handler.send_header("Transfer-Encoding", "chunked")
    else:
        length = len(reply.body) if reply.length is None else reply.length
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    if chunked:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(reply.body), reply.body))
        if reply.kind == "chunked":
            handler.wfile.write(b"0\r\n\r\n")
    elif reply.kind == "stall":
        handler.wfile.write(reply.body[: len(reply.body) // 2])
        handler.wfile.flush()
        archive.sent_half.set()
        archive.release.wait(LONGEST)
    else:
        handler.wfile.write(reply.body)
    if reply.kind in {"cut", "stall"} or reply.length is not None:
        handler.close_connection = True


def ftz(name: str, size: int = 400_000) -> bytes:
    """A gzip file with what begins like FITS; other bytes for each name."""
    seed = np.frombuffer(name.encode(), dtype=np.uint8)
    noise = np.random.default_rng(seed).bytes(size)
    return gzip.compress(b"SIMPLE  =                    T" + noise, compresslevel=1, mtime=0)


def single(name: str, body: bytes | None = None, **options: Any) -> Reply:
    """What the archive answers if one file matches."""
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Type": "application/fits",
    }
    return Reply(ftz(name) if body is None else body, headers=headers, **options)


def guest_tar(members: dict[str, bytes], *links: str, **options: Any) -> Reply:
    """What the archive answers if several files match; `links` become symbolic links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type = tarfile.SYMTYPE
            info.linkname = "elsewhere"
            tar.addfile(info)
    headers = {
        "Content-Disposition": 'attachment; filename="GUEST1234567890.tar"',
        "Content-Type": "application/x-tar",
    }
    return Reply(buffer.getvalue(), headers=headers, **options)


def index(obsid: str, names: list[str]) -> bytes:
    """An index page as Apache writes them, which shortens long names in the text."""
    rows = "".join(
        f'<tr><td><a href="{name}">{name[:20]}..&gt;</a></td><td>1.0M</td></tr>\n' for name in names
    )
    title = f"Index of /FTP/xmm/data/rev0/{obsid}/PPS"
    page = f"<html><head><title>{title}</title></head><body><table>{rows}</table></body></html>"
    return page.encode()
