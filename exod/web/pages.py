"""The page that every address begins with, and the files that it loads."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

STATIC: Final = Path(__file__).parent / "static"

_IMPORTED: Final = re.compile(r"""^(?:import|export)\b[^'"\n]*?\bfrom\s+["'](\.[^"']+)["']""", re.M)
_TEXT: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css"}


def shell(
    base: str,
    mode: str,
    token: str = "",
    vetter: str = "",
    *,
    modules: tuple[str, ...] = ("main",),
) -> str:
    """The page.

    Parameters
    ----------
    base : str
        What all addresses of the site begin with, with a slash at its end.
    mode : {"server", "static"}
        Whether there is a server that answers questions.
    token : str
        What a page sends to change something; empty if it cannot.
    vetter : str
        Who is logged in; empty if there is no login.
    modules : tuple of str
        Scripts of ours, as ``pages/source``, that a browser may load at once, with all that they
        import, before it knows that it needs them.
    """
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    early = dict.fromkeys(path for name in modules for path in imported(f"js/{name}.js"))
    links = "\n".join(
        f'<link rel="modulepreload" href="{{{{base}}}}static/{path}">' for path in early
    )
    page = page.replace("{{early}}", links)
    about = "api/v1/meta" if mode == "server" else "data/meta.json"
    page = page.replace("{{meta}}", about)
    values = {"base": base, "mode": mode, "token": token, "vetter": vetter}
    for name, value in values.items():
        page = page.replace(f"{{{{{name}}}}}", escape(value))
    return page


@cache
def imported(path: str) -> tuple[str, ...]:
    """A script and all that it imports, below `STATIC`, each once.

    Examples
    --------
    >>> imported("js/format.js")
    ('js/format.js',)
    """

    def walk(path: Path, seen: dict[Path, None]) -> Iterator[str]:
        seen[path] = None
        yield path.relative_to(STATIC).as_posix()
        for name in _IMPORTED.findall(path.read_text(encoding="utf-8")):
            other = (path.parent / name).resolve()
            if other not in seen and other.is_file():
                yield from walk(other, seen)

    return tuple(walk((STATIC / path).resolve(), {}))


class PageFiles(StaticFiles):
    """The scripts and styles of the pages, compressed once."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)
        self._compressed: dict[str, tuple[str, bytes]] = {}

    async def get_response(self, path: str, scope: Any) -> Response:
        """The file; 404 if there is none."""
        headers, kind = Headers(scope=scope), _TEXT.get(Path(path).suffix, "")
        try:
            name, about = self.lookup_path(path) if kind else ("", None)
        except (OSError, ValueError):
            # No name of a file: it is answered as all others.
            name, about = "", None
        is_file = about is not None and S_ISREG(about.st_mode)
        if about is None or not is_file or "gzip" not in headers.get("accept-encoding", ""):
            return await super().get_response(path, scope)
        tag = f'"{about.st_mtime_ns:x}-{about.st_size:x}"'
        more = {"etag": tag, "vary": "accept-encoding", "cache-control": "no-cache"}
        if headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=more)
        if self._compressed.get(name, ("", b""))[0] != tag:
            self._compressed[name] = tag, gzip.compress(Path(name).read_bytes(), 9, mtime=0)
        more["content-encoding"] = "gzip"
        return Response(self._compressed[name][1], headers=more, media_type=kind)
