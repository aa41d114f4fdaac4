"""The page that every address begins with, and the files that it loads.

Browsers load all scripts as one file: each of sixty would be a request of its own, and the last of
them is what a page waits for.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import re
from collections.abc import Callable
from functools import cache
from html import escape
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from exod.errors import ConfigError

STATIC: Final = Path(__file__).parent / "static"

BUNDLE: Final = "js/explorer.js"
"""All scripts but Aladin Lite's as one, below ``static/``; it is made of the others."""

_MAIN: Final = "js/main.js"

_FROM: Final = re.compile(
    r"""^(import|export)\s+(?:(\w+)|\{([^}]*)\})\s*from\s*["'](\.[^"']+)["'];?""", re.M
)
_LISTED: Final = re.compile(r"^export\s*\{([^}]*)\};?", re.M)
_MADE: Final = re.compile(
    r"^export\s+(?=(?:async\s+)?(?:function|const|let|var|class)\b[\s*]*([\w$]+))", re.M
)
_LATER: Final = re.compile(r"""\bimport\((?=["`]\.)""")

_TEXT: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css"}


def shell(
    base: str,
    mode: str,
    token: str = "",
    vetter: str = "",
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
    """
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    page = page.replace("{{script}}", f"static/{BUNDLE}?v={bundle_tag()[:12]}")
    about = "api/v1/meta" if mode == "server" else "data/meta.json"
    page = page.replace("{{meta}}", about)
    values = {"base": base, "mode": mode, "token": token, "vetter": vetter}
    for name, value in values.items():
        page = page.replace(f"{{{{{name}}}}}", escape(value))
    return page


@cache
def bundle() -> bytes:
    """The scripts as one, each of them as a function that runs when another one needs it.

    Raises
    ------
    ConfigError
        If the pages were installed without the scripts of others.
    """
    own = [path.relative_to(STATIC).as_posix() for path in sorted((STATIC / "js").rglob("*.js"))]
    makers: dict[str, str] = {}
    while own:
        name = own.pop()
        if name not in makers:
            makers[name], needed = _as_function(name)
            own += needed
    functions = "".join(
        f"{json.dumps(name)}: (give, need, load) => {{\n{makers[name]}\n}},\n" for name in makers
    )
    return _BUNDLED.replace("{{makers}}", functions).replace("{{main}}", _MAIN).encode()


@cache
def bundle_tag() -> str:
    """The SHA-256 of the scripts as one."""
    return hashlib.sha256(bundle()).hexdigest()


_BUNDLED: Final = """// All scripts of the pages; exod/web/pages.py puts them together.
const made = {};
const makers = {
{{makers}}};
function need(name) {
  if (!(name in made)) {
    const load = async (other) => need(new URL(other, `http://_/${name}`).pathname.slice(1));
    made[name] = {};
    const { defineProperties, getOwnPropertyDescriptors } = Object;
    const give = (names) => defineProperties(made[name], getOwnPropertyDescriptors(names));
    makers[name](give, need, load);
  }
  return made[name];
}
need("{{main}}");
"""


def _as_function(name: str) -> tuple[str, list[str]]:
    """The body of a function that does what a script does, and the scripts that it imports."""
    try:
        text = (STATIC / name).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"The pages were installed without their script {name}; install exod from its wheel."
        ) from error
    needed: list[str] = []
    given: dict[str, str] = {}

    def imported(found: re.Match[str]) -> str:
        what, default, names, path = found.groups()
        other = posixpath.normpath(f"{posixpath.dirname(name)}/{path}")
        needed.append(other)
        source = f"need({json.dumps(other)})"
        parts = [("default", default)] if default else _names(names)
        if what == "import":
            return (
                f"const {{ {', '.join(f'{theirs}: {own}' for theirs, own in parts)} }} = {source};"
            )
        given.update({own: f"{source}.{theirs}" for theirs, own in parts})
        return f"{source};"

    def listed(found: re.Match[str]) -> str:
        given.update({theirs: own for own, theirs in _names(found[1])})
        return ""

    def declared(found: re.Match[str]) -> str:
        given[found[1]] = found[1]
        return ""

    text = _FROM.sub(imported, text)
    text = _MADE.sub(declared, _LISTED.sub(listed, text))
    text = _LATER.sub("load(", text)
    # What is given is looked up when it is asked for: scripts may import one another.
    getters = ", ".join(f"get {theirs}() {{ return {own}; }}" for theirs, own in given.items())
    return f"give({{ {getters} }});\n{text}", needed


def _names(text: str) -> list[tuple[str, str]]:
    """Names in braces: what is imported or exported, and what it is called then.

    Examples
    --------
    >>> _names("meta, columns as read, ")
    [('meta', 'meta'), ('columns', 'read')]
    """
    parts = (part.split(" as ") for part in text.split(",") if part.strip())
    return [(part[0].strip(), part[-1].strip()) for part in parts]


class PageFiles(StaticFiles):
    """The scripts and styles of the pages, compressed once."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)
        self._compressed: dict[str, tuple[str, bytes]] = {}

    async def get_response(self, path: str, scope: Any) -> Response:
        """The file; 404 if there is none."""
        headers, kind = Headers(scope=scope), _TEXT.get(Path(path).suffix, "")
        zipped = "gzip" in headers.get("accept-encoding", "")
        if path == BUNDLE:
            return self._answer(headers, path, bundle_tag(), bundle, zipped=zipped)
        try:
            name, about = self.lookup_path(path) if kind else ("", None)
        except (OSError, ValueError):
            # No name of a file: it is answered as all others.
            name, about = "", None
        is_file = about is not None and S_ISREG(about.st_mode)
        if about is None or not is_file or not zipped:
            return await super().get_response(path, scope)
        tag = f"{about.st_mtime_ns:x}-{about.st_size:x}"
        return self._answer(headers, name, tag, Path(name).read_bytes, zipped=True)

    def _answer(
        self, headers: Headers, name: str, tag: str, read: Callable[[], bytes], *, zipped: bool
    ) -> Response:
        more = {"etag": f'"{tag}"', "vary": "accept-encoding", "cache-control": "no-cache"}
        if headers.get("if-none-match") == more["etag"]:
            return Response(status_code=304, headers=more)
        kind = _TEXT[Path(name).suffix]
        if not zipped:
            return Response(read(), headers=more, media_type=kind)
        if self._compressed.get(name, ("", b""))[0] != tag:
            self._compressed[name] = tag, gzip.compress(read(), 9, mtime=0)
        more["content-encoding"] = "gzip"
        return Response(self._compressed[name][1], headers=more, media_type=kind)
