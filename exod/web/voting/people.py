"""Who may come in: people with passwords in a file, or those whom a proxy names.

A line of the file is a name and what a password became by scrypt (RFC 7914) with its own salt. A
password that was right is known by a keyed digest from then on, since scrypt takes long on
purpose; a file that has changed ends that.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from exod.errors import ConfigError, ExodError
from exod.files.text import read_text
from exod.files.whole import write_whole

LONGEST_NAME: Final = 40
SHORTEST_PASSWORD: Final = 8
LONGEST_PASSWORD: Final = 200

COST: Final = (1 << 14, 8, 1)
"""n, r and p of scrypt: 16 MB and some 50 ms."""

TRIES: Final = 10
PERIOD: Final = 60.0
"""Failed tries from an address within so many seconds, after which it has to wait."""

MOST_ADDRESSES: Final = 10_000
MOST_KNOWN: Final = 1_000

_NAME: Final = re.compile(r"\w[\w .@-]*")
_ENTRY: Final = re.compile(
    r"scrypt\$(\d{1,8})\$(\d{1,3})\$(\d{1,3})\$([0-9a-f]{32})\$([0-9a-f]{64})"
)

Headers = Iterable[tuple[bytes, bytes]]


def checked_name(name: str) -> str:
    """The name of a vetter.

    Raises
    ------
    ConfigError
        If it cannot be one.

    Examples
    --------
    >>> checked_name(" Ada L. ")
    'Ada L.'
    """
    name = name.strip()
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ConfigError(
            f"The name of a vetter has 1 to {LONGEST_NAME} letters and digits, with spaces and "
            f". @ - _ between them."
        )
    return name


@dataclass(frozen=True)
class NotLetIn:
    """Why somebody does not come in.

    Attributes
    ----------
    status : int
        401 without a name and password that are right, 403 past the proxy, 429 after too many.
    text : str
        A sentence.
    headers : tuple of (bytes, bytes)
        Further headers of the answer.
    """

    status: int
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


_ASKED: Final = NotLetIn(
    401,
    "This server needs a name and a password.",
    ((b"www-authenticate", b'Basic realm="exod", charset="UTF-8"'),),
)
_LATER: Final = NotLetIn(
    429, "Too many passwords were wrong; wait a minute.", ((b"retry-after", b"60"),)
)


# -------------------------------------------------------------------- the file


def write_user(path: Path, name: str, password: str | None) -> None:
    """Add a person to the file, or give another password; without a password, remove them.

    Raises
    ------
    ConfigError
        If the name or password cannot be one, there is nobody to be removed, or the file is none.
    ExodError
        If it cannot be written.
    """
    name = checked_name(name)
    entries = read_users(path) if path.exists() else {}
    if password is None:
        if entries.pop(name, None) is None:
            raise ConfigError(f"{path} has nobody of the name {name}.")
    else:
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise ConfigError(
                f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
            )
        salt = os.urandom(16)
        numbers = "$".join(map(str, COST))
        entries[name] = f"scrypt${numbers}${salt.hex()}${_digest(password, salt, *COST).hex()}"
    write_whole(path, "".join(f"{name}:{entry}\n" for name, entry in sorted(entries.items())))
    try:
        path.chmod(0o600)
    except OSError as error:
        raise ExodError(f"Others may read {path}, which cannot be changed: {error}.") from error


def read_users(path: Path) -> dict[str, str]:
    """The entries of the file by name.

    Raises
    ------
    ConfigError
        If it cannot be read, or a line is no entry; what it holds is not told.
    """
    found = {}
    for number, line in enumerate(read_text(path, "The file of users").splitlines(), start=1):
        name, _, entry = line.partition(":")
        known = _ENTRY.fullmatch(entry)
        is_costly = known is not None and _is_affordable(*map(int, known.groups()[:3]))
        if not is_costly or not _NAME.fullmatch(name) or name in found:
            raise ConfigError(
                f"{path}, line {number} is no entry, or one of a name that is there already; make "
                f"entries with `exod users {path} NAME`."
            )
        found[name] = entry
    return found


def _is_affordable(n: int, r: int, p: int) -> bool:
    """Whether scrypt takes these numbers, and not more than 64 MB."""
    return n > 1 and n & (n - 1) == 0 and r >= 1 and 1 <= p <= 16 and 128 * n * r <= 1 << 26


def _digest(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=1 << 27, dklen=32)


def _is_right(entry: str, password: str) -> bool:
    known = _ENTRY.fullmatch(entry)
    if known is None:
        return False
    n, r, p = map(int, known.groups()[:3])
    own = _digest(password, bytes.fromhex(known[4]), n, r, p)
    return hmac.compare_digest(own, bytes.fromhex(known[5]))


# -------------------------------------------------------------------- at the door


class Door:
    """Lets people in by name and password, as HTTP Basic has them.

    Parameters
    ----------
    path : Path
        The file, read again when it has changed.
    clock : callable
        Seconds that never go back.

    Raises
    ------
    ConfigError
        If the file cannot be read, or has nobody.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._key = os.urandom(32)
        self._stamp: tuple[int, ...] = ()
        self._entries: Mapping[str, str] = {}
        self._known: dict[bytes, str] = {}
        self._failed: dict[str, deque[float]] = {}
        self._single = asyncio.Lock()
        # Somebody who is not there takes as long as somebody who is.
        self._nobody = f"scrypt${'$'.join(map(str, COST))}${'0' * 32}${'0' * 64}"
        self._read()
        if not self._entries:
            raise ConfigError(f"{path} has nobody; add people with `exod users {path} NAME`.")

    def _read(self) -> None:
        try:
            status = self._path.stat()
        except OSError as error:
            raise ConfigError(f"The file of users {self._path} cannot be read: {error}.") from error
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp != self._stamp:
            self._known = {}
            self._entries = read_users(self._path)
            self._stamp = stamp

    async def let_in(self, client: str, headers: Headers) -> str | NotLetIn:
        """The name of who asks, or why they do not come in."""
        given = [value for key, value in headers if key.lower() == b"authorization"]
        if not given:
            return _ASKED
        try:
            self._read()
        except ConfigError:
            return NotLetIn(503, "The file of users of this server cannot be read.")
        digest = hmac.digest(self._key, b"\0".join(given), "sha256")
        return self._known.get(digest) or await self._checked_once(client, given, digest)

    async def _checked_once(self, client: str, given: list[bytes], digest: bytes) -> str | NotLetIn:
        # One at a time: so many tries at once take no more memory, and wait for each other.
        async with self._single:
            if digest in self._known:
                return self._known[digest]
            if self._has_to_wait(client):
                return _LATER
            name = await self._checked(given)
            if not name:
                self._has_failed(client)
                return _ASKED
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[digest] = name
            return name

    async def _checked(self, given: list[bytes]) -> str:
        """The name, if the password is right; empty otherwise."""
        name, password = _credentials(given)
        stamp, entry = self._stamp, self._entries.get(name, self._nobody)
        is_right = await asyncio.to_thread(_is_right, entry, password)
        return name if is_right and name in self._entries and stamp == self._stamp else ""

    def _has_to_wait(self, client: str) -> bool:
        tries = self._failed.get(_network(client), deque())
        while tries and tries[0] <= self._clock() - PERIOD:
            tries.popleft()
        return len(tries) >= TRIES

    def _has_failed(self, client: str) -> None:
        if len(self._failed) >= MOST_ADDRESSES:
            self._failed.pop(next(iter(self._failed)))
        self._failed.setdefault(_network(client), deque()).append(self._clock())


def _credentials(given: list[bytes]) -> tuple[str, str]:
    """Name and password of a header; empty if there is more than one, or it is none."""
    scheme, _, text = given[0].partition(b" ")
    if len(given) > 1 or scheme.lower() != b"basic" or len(text) > 4 * LONGEST_PASSWORD:
        return "", ""
    try:
        name, _, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (name, password) if len(password) <= LONGEST_PASSWORD else ("", "")


def _network(client: str) -> str:
    """What counts as one address: of IPv6, what a subscriber has."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    return str(ip_network(f"{address}/64", strict=False)) if address.version == 6 else str(address)


class ProxyDoor:
    """Lets in whom a proxy names in a header.

    Parameters
    ----------
    header : str
        The header.
    proxies : iterable of str
        Addresses or networks of proxies; what others say is not looked at.

    Raises
    ------
    ConfigError
        If the header or an address cannot be one.
    """

    def __init__(self, header: str, proxies: Iterable[str]) -> None:
        self._header = header.lower().encode("ascii", "replace")
        if not re.fullmatch(r"[A-Za-z0-9-]{1,60}", header) or header.lower() in _TAKEN:
            raise ConfigError(f"{header[:60]!r} is no header for a name, as X-Remote-User is.")
        try:
            self._proxies = [ip_network(proxy) for proxy in proxies]
        except ValueError as error:
            raise ConfigError(f"A proxy is an address or a network: {error}.") from error
        if not self._proxies:
            raise ConfigError(
                "A header with names needs the address of its proxy: --proxy ADDRESS."
            )

    async def let_in(self, client: str, headers: Headers) -> str | NotLetIn:
        """The name of who asks, or why they do not come in."""
        given = [value for key, value in headers if key.lower() == self._header]
        try:
            address = ip_address(client.partition("%")[0])
            mapped = getattr(address, "ipv4_mapped", None)
            is_proxy = any((mapped or address) in network for network in self._proxies)
            name = checked_name(given[0].decode()) if is_proxy and len(given) == 1 else ""
        except (ValueError, ConfigError):
            name = ""
        return name or NotLetIn(403, "People come in through the proxy of this server only.")


_TAKEN: Final = frozenset(
    ("host", "origin", "cookie", "authorization", "x-exod-token", "content-type", "content-length")
)
