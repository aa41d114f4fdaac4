"""Messages to other programs of the same desktop by SAMP 1.3, as TOPCAT, Aladin and DS9 take them.

The standard profile is five calls of XML-RPC, which Python has. (The client of pyvo asks a site in
the internet whether there is one, waits for a hub without end, and a client that only sends is
never taken off its list.)
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from xml.parsers.expat import ExpatError
from xmlrpc.client import Error, Fault, ResponseError, ServerProxy, Transport

from exod.errors import ConfigError
from exod.files.storage import one_line

TABLE: Final = "table.load.votable"
POINT: Final = "coord.pointAt.sky"

SECONDS: Final = 10.0
"""How long a hub may be silent."""

MOST_BYTES: Final = 1_000_000
"""Of a lock file, and of an answer of a hub."""

_ABOUT: Final = {
    "samp.name": "exod",
    "samp.description.text": "Explorer of fast X-ray transients",
}
_NOT_A_HUB: Final = (
    *(Error, OSError, HTTPException, ExpatError),
    # What a program that is no hub says makes these while it is read.
    *(ValueError, TypeError, LookupError, AttributeError, RecursionError),
)


def tell(kind: str, what: Mapping[str, str]) -> list[str]:
    """Tell all programs of the desktop that take such a message.

    Parameters
    ----------
    kind : str
        The kind of the message, `TABLE` or `POINT`.
    what : Mapping of str to str
        Its content.

    Returns
    -------
    list of str
        The names of the programs that were told.

    Raises
    ------
    ConfigError
        If there is no hub on this machine, or no program that takes it.
    """
    told = []
    try:
        with _registered() as (hub, key):
            for taker in hub.getSubscribedClients(key, kind):
                with suppress(Fault):  # It has left meanwhile.
                    hub.notify(key, taker, {"samp.mtype": kind, "samp.params": dict(what)})
                    about = hub.getMetadata(key, taker)
                    told.append(str(about.get("samp.name", taker))[:100])
    except _NOT_A_HUB as error:
        raise ConfigError(
            f"No SAMP hub answers on the machine of the server ({one_line(error)[:200]}); start "
            f"TOPCAT or Aladin there first."
        ) from error
    if not told:
        raise ConfigError(
            "No program that is connected to the SAMP hub takes this; start TOPCAT or Aladin."
        )
    return sorted(told)


@contextmanager
def _registered() -> Iterator[tuple[Any, str]]:
    """The calls of the hub and the key of a client, which is taken off its list in the end."""
    lock = _lock_file()
    address = hub_address(lock.get("samp.hub.xmlrpc.url", ""))
    with ServerProxy(address, transport=_Patient()) as proxy:
        hub: Any = proxy.samp.hub
        key = str(hub.register(lock.get("samp.secret", ""))["samp.private-key"])
        try:
            hub.declareMetadata(key, _ABOUT)
            yield hub, key
        finally:
            hub.unregister(key)


def _lock_file() -> dict[str, str]:
    """What the file says that a hub leaves for its clients.

    Raises
    ------
    OSError
        If there is none.
    """
    given = os.environ.get("SAMP_HUB", "")
    path = Path.home() / ".samp"
    if given:
        parts = urlsplit(given.removeprefix("std-lockurl:"))
        if not given.startswith("std-lockurl:") or parts.scheme != "file" or parts.netloc:
            raise OSError("SAMP_HUB names no file of this machine")
        path = Path(unquote(parts.path))
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(MOST_BYTES)
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in lines}


def hub_address(text: str) -> str:
    r"""The address of a hub on this machine.

    Parameters
    ----------
    text : str
        As a lock file has it, in which some hubs write ``\:`` for ``:``.

    Raises
    ------
    OSError
        If it is elsewhere, or nowhere.

    Examples
    --------
    >>> hub_address(r"http\://127.0.0.1\:21012/xmlrpc")
    'http://127.0.0.1:21012/xmlrpc'
    """
    parts = urlsplit(text.replace("\\", ""))
    host = parts.hostname or ""
    if parts.scheme != "http" or not (_is_loopback(host) or host == socket.gethostname().lower()):
        raise OSError(f"the hub is said to be at {text[:100]!r}, which is not this machine")
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{parts.port or 80}{parts.path or '/'}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Patient(Transport):
    """Waits for answers, but not without end, and reads no more than a hub has to say."""

    def make_connection(self, host: Any) -> HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = SECONDS
        return connection

    def parse_response(self, response: HTTPResponse) -> Any:
        content = response.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ResponseError("its answer is too long")
        parser, target = self.getparser()
        parser.feed(content)
        parser.close()
        return target.close()
