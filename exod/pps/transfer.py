"""Files over HTTP: streamed to a temporary file, and tried again after faults that pass.

The client is urllib3: it streams, enforces Content-Length and shares connections between threads,
and is part of every installation with object stores; requests and httpx would only wrap it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from pathlib import Path
from typing import IO, Final, TypeVar
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    HTTPError,
    IncompleteRead,
    InvalidHeader,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import (
    TimeoutError as HTTPTimeoutError,
)
from urllib3.util import Retry, Timeout, parse_url

from exod import __version__
from exod.errors import DownloadError
from exod.files.retry import PASSING_STATUS, PassingError, persistently
from exod.pps.fits.fitsstream import LARGEST_FILE

Result = TypeVar("Result")

_PIECE: Final = 1 << 18
_LONGEST_TEXT: Final = 1 << 24
FIRST_WAIT: Final = 1.0
"""Seconds before the second try; see `exod.files.retry.persistently`."""
_CONNECT_SECONDS: Final = 30.0
_LONGEST_FAREWELL: Final = 10.0
"""Seconds to wait for threads whose answers are ended, which takes them a moment."""
_REDIRECTS_ONLY: Final = Retry(
    total=None, connect=0, read=0, status=0, other=0, redirect=5, respect_retry_after_header=False
)


class TransferError(DownloadError):
    """The service does not give what was asked for."""


class NotThereError(TransferError):
    """The service has nothing of that name."""


class ProtectedError(TransferError):
    """The service has it, but not for everybody."""


class PassingTransferError(TransferError, PassingError):
    """The service does not give it now."""


class Transport:
    """An HTTP client that several threads may share.

    Passing faults (connection errors, timeouts, cut-off answers, HTTP 408, 425, 429 and 5xx) are
    tried again as `exod.files.retry` says.

    Parameters
    ----------
    attempts : int
        Tries of each request.
    timeout : float
        Longest silence in seconds.
    connections : int
        Threads that use it.
    sleep : callable, optional
        Called with the seconds between tries. By default it waits, until `close`.
    on_bytes : callable, optional
        Called with the number of bytes of each piece that arrives, from any thread.
    """

    def __init__(
        self,
        *,
        attempts: int = 5,
        timeout: float = 120.0,
        connections: int = 4,
        sleep: Callable[[float], None] | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        self.connections = connections
        self._attempts = attempts
        self._seconds = timeout
        self._stop = threading.Event()
        self._sleep = sleep or self._pause
        self._on_bytes = on_bytes or (lambda _: None)
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._open: set[urllib3.BaseHTTPResponse] = set()
        self._lock = threading.Lock()

    def fetch(self, url: str, target: Path) -> str:
        """Write what a URL answers to `target`, which is removed if this fails.

        Parameters
        ----------
        url : str
            What to ask for.
        target : Path
            A temporary name: nobody may take it for the result.

        Returns
        -------
        str
            Name of the file that the headers give; empty without one. Not to be used as a path
            before it is checked.

        Raises
        ------
        NotThereError, ProtectedError, TransferError
            If the service does not give it, after all tries.
        OSError
            If `target` cannot be written.
        """

        def once() -> str:
            # Whoever closes this waits for the answers, and thereby for their files to be gone.
            with self._answer(url) as response, _gone_unless_whole(target) as file:
                for piece in response.stream(_PIECE, decode_content=False):
                    self._check()
                    file.write(piece)
                    if file.tell() > LARGEST_FILE:
                        raise TransferError(f"answered with more than {LARGEST_FILE:,} bytes")
                    self._on_bytes(len(piece))
                message = Message()
                for name in {"Content-Disposition", "Content-Type"} & set(response.headers):
                    message[name] = response.headers[name]
                return message.get_filename("") or ""

        return self._persistently(once)

    def text(self, url: str) -> str:
        """What a URL answers, as text.

        Raises
        ------
        NotThereError, ProtectedError, TransferError
            If the service does not give it, after all tries.
        """

        def once() -> str:
            with self._answer(url) as response:
                body = bytearray()
                for piece in response.stream(_PIECE, decode_content=True):
                    self._check()
                    body += piece
                    if len(body) > _LONGEST_TEXT:
                        raise TransferError("answered far too much")
                return body.decode("utf-8", "replace")

        return self._persistently(once)

    def close(self) -> None:
        """End what is under way in any thread; later calls fail."""
        self._stop.set()
        with self._lock:
            for response in self._open:
                with suppress(OSError, RuntimeError, ValueError):
                    response.shutdown()
        patience = time.monotonic() + _LONGEST_FAREWELL
        while self._open and time.monotonic() < patience:
            time.sleep(0.005)
        for pool in self._pools.values():
            pool.clear()

    def _check(self) -> None:
        if self._stop.is_set():
            raise DownloadError("interrupted")

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _persistently(self, once: Callable[[], Result]) -> Result:
        return persistently(once, self._attempts, FIRST_WAIT, self._sleep)

    @contextmanager
    def _answer(self, url: str) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer with a good status; its faults and those of reading it, as TransferError."""
        self._check()
        response = None
        try:
            response = self._pool(url).request(
                "GET",
                url,
                headers={"User-Agent": f"exod/{__version__}", "Accept-Encoding": "identity"},
                preload_content=False,
                retries=_REDIRECTS_ONLY,
                timeout=Timeout(connect=min(_CONNECT_SECONDS, self._seconds), read=self._seconds),
            )
            with self._lock:
                self._check()
                self._open.add(response)
            _check_status(response)
            yield response
            response.release_conn()
        except HTTPError as error:
            raise self._explained(error) from error
        finally:
            if response is not None:
                response.close()
                with self._lock:
                    self._open.discard(response)

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = parse_url(url)
        if parts.scheme not in {"http", "https"} or not parts.host:
            raise TransferError(f"cannot be at {url!r}, which is no web address")
        proxy = "" if proxy_bypass(parts.host) else getproxies().get(parts.scheme, "")
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = (
                    urllib3.ProxyManager(proxy, maxsize=self.connections)
                    if proxy
                    else urllib3.PoolManager(maxsize=self.connections)
                )
            return self._pools[proxy]

    def _explained(self, error: HTTPError) -> TransferError:
        cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        if isinstance(cause, SSLError):
            return TransferError(f"has no certificate that is trusted here ({cause})")
        if isinstance(cause, NameResolutionError):
            return PassingTransferError("cannot be found; is this computer online?")
        if isinstance(cause, NewConnectionError):
            return PassingTransferError("cannot be connected to")
        if isinstance(cause, HTTPTimeoutError):
            return PassingTransferError(f"was silent for {self._seconds:g} s")
        if isinstance(cause, IncompleteRead | ProtocolError):
            return PassingTransferError("broke off the connection")
        return TransferError(f"cannot be used ({type(cause).__name__}: {cause})")


@contextmanager
def _gone_unless_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which an error removes."""
    try:
        with path.open("wb") as file:
            yield file
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def _check_status(response: urllib3.BaseHTTPResponse) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    said = f"(HTTP {status})"
    if status in {404, 410}:
        raise NotThereError(f"has nothing of that name {said}")
    if status in {401, 403}:
        raise ProtectedError(f"gives it to its owners only {said}")
    if status in PASSING_STATUS:
        asked = 0.0
        with suppress(InvalidHeader):
            asked = _REDIRECTS_ONLY.get_retry_after(response) or 0.0
        raise PassingTransferError(f"is overloaded or out of order {said}", asked)
    raise TransferError(f"refuses the request {said}")
