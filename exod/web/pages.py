"""The page that every address begins with, and the files that it loads.

Browsers load all scripts as one file: each of sixty would be a request of its own, and the last of
them is what a page waits for. What reads Parquet files is another one, which a page does without
that only asks a server.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Container, Iterable, Mapping
from functools import cache, partial
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
READING: Final = "js/reading.js"
"""All scripts but Aladin Lite's as two, below ``static/``; they are made of the others."""

_AHEAD: Final = '<link rel="preload" as="fetch" crossorigin href="{{{{base}}}}{}">'

_MAIN: Final = "js/main.js"
_READER: Final = "js/parquet.js"
"""The scripts that all others are reached from, and those that are in `READING`."""

_COMMENT: Final = re.compile(r"^[ \t]*(?://.*|/\*(?:[^*]|\*(?!/))*\*/[ \t]*)\n", re.M)
_NOTICE: Final = re.compile("copyright|licen[cs]e", re.I)

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
    *,
    reads: bool = True,
    ahead: Iterable[str] = (),
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
    reads : bool
        Whether it will read files, so that the scripts for that are fetched at once.
    ahead : iterable of str
        Further addresses that the page asks for at once.
    """
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    page = page.replace("{{script}}", f"static/{BUNDLE}?v={_short(BUNDLE)}")
    reading = (
        f'<link rel="modulepreload" href="{{{{base}}}}static/{READING}?v={_short(READING)}">\n'
    )
    page = page.replace("{{reading}}\n", reading if reads else "")
    about = "api/v1/meta" if mode == "server" else "data/meta.json"
    loads = (_AHEAD.format(escape(address)) for address in (about, *ahead))
    page = page.replace("{{ahead}}", "\n".join(loads))
    values = {"base": base, "mode": mode, "token": token, "vetter": vetter}
    for name, value in values.items():
        page = page.replace(f"{{{{{name}}}}}", escape(value))
    return page


@cache
def bundle(name: str = BUNDLE) -> bytes:
    """Scripts as one, each of them as a function that runs when another one needs it.

    Parameters
    ----------
    name : {BUNDLE, READING}
        Which of them.

    Raises
    ------
    ConfigError
        If the pages were installed without the scripts of others.
    """
    reading = _reached([_READER], ())
    if name == READING:
        return f"export const makers = {{\n{_functions(reading)}}};\n".encode()
    own = [path.relative_to(STATIC).as_posix() for path in sorted((STATIC / "js").rglob("*.js"))]
    text = _BUNDLED.replace("{{makers}}", _functions(_reached(own, reading)))
    later = f"{posixpath.basename(READING)}?v={_short(READING)}"
    return text.replace("{{main}}", _MAIN).replace("{{reading}}", later).encode()


@cache
def bundle_tag(name: str = BUNDLE) -> str:
    """The SHA-256 of scripts as one."""
    return hashlib.sha256(bundle(name)).hexdigest()


def _short(name: str) -> str:
    return bundle_tag(name)[:12]


def _reached(own: list[str], others: Container[str]) -> dict[str, str]:
    """Functions that do what scripts do, and those that these import, by their names."""
    makers: dict[str, str] = {}
    todo = list(own)
    while todo:
        name = todo.pop()
        if name not in makers and name not in others:
            makers[name], needed = _as_function(name)
            todo += needed
    return makers


def _functions(makers: Mapping[str, str]) -> str:
    return "".join(
        f"{json.dumps(name)}: (give, need, load) => {{\n{makers[name]}\n}},\n" for name in makers
    )


_BUNDLED: Final = """// All scripts of the pages; exod/web/pages.py puts them together.
const made = {};
const makers = {
{{makers}}};
function need(name) {
  if (!(name in made)) {
    const load = async (other) => {
      const path = new URL(other, `http://_/${name}`).pathname.slice(1);
      if (!(path in makers)) Object.assign(makers, (await import("./{{reading}}")).makers);
      return need(path);
    };
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
    # Who reads them has the files.
    text = _COMMENT.sub(lambda found: found[0] if _NOTICE.search(found[0]) else "", text)
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
    text = _without_indents(_LATER.sub("load(", text))
    # What is given is looked up when it is asked for: scripts may import one another.
    getters = ", ".join(f"get {theirs}() {{ return {own}; }}" for theirs, own in given.items())
    return f"give({{ {getters} }});\n{text}", needed


def _without_indents(text: str) -> str:
    r"""A script without the space before its lines, unless a text of it may go over lines.

    Examples
    --------
    >>> _without_indents("if (a)\n  b = `c`;")
    'if (a)\nb = `c`;'
    >>> _without_indents("a = `b\n  c`;")
    'a = `b\n  c`;'
    """
    lines = text.split("\n")
    goes_on = any(line.count("`") % 2 or line.endswith("\\") for line in lines)
    return text if goes_on else "\n".join(line.lstrip(" \t") for line in lines)


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
        if path in (BUNDLE, READING):
            read = partial(bundle, path)
            return self._answer(headers, path, bundle_tag(path), read, zipped=zipped)
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
