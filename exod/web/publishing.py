"""The explorer as files: a site for any store that hands out parts of files."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive.store import Store
from exod.errors import ConfigError
from exod.files.whole import check_place, whole_folder
from exod.schemas.conditions.compiling import quoted
from exod.web.pages import BUNDLE, STATIC, bundle, shell
from exod.web.product import OWNER, Product
from exod.web.security import policy
from exod.web.voting.facets import VotedProduct

MANIFEST: Final = "manifest.json"
"""What a site consists of: each file with its size and SHA-256."""

KIND: Final = "exod explorer site"

CHUNK: Final = 1 << 20

BLOCK_SOURCES: Final = 32
"""Sources of a block: so many numbers have their rows together in one range of a file."""

_IN_BLOCKS: Final = ("sources", "detections", "coverage", "longterm")
"""Tables with few rows a source: they are in the blocks."""

_POINTED_AT: Final = ("lightcurves", "photons")
"""Tables in order of the sources: blocks tell the places of their groups of rows."""

_PLACE: Final = (
    *("data_page_offset", "dictionary_page_offset"),
    *("total_compressed_size", "num_values"),
)

_AT_ONCE: Final = 256
"""Blocks that are put together at a time."""

_HEAD: Final = '<meta charset="utf-8">\n'

Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Published:
    """A site that was written.

    Attributes
    ----------
    version : str
        The version of the product that it shows.
    n_files, n_bytes : int
        Its files without the manifest, and their size.
    """

    version: str
    n_files: int
    n_bytes: int


def publish(
    product: Product,
    target: Path,
    *,
    replace: bool = False,
    on_file: Told = lambda _name, _done, _total: None,
) -> Published:
    """Write the pages of an archive as files that need no server of exod.

    The folder appears whole or not at all, and what was there before stays until then.

    Parameters
    ----------
    product : Product
        What the pages show; each of its files is compared with its checksum.
    target : Path
        The folder.
    replace : bool
        Whether it may take the place of a site that is there.
    on_file : callable
        Is told the file that is being written, and bytes that are done and in all.

    Raises
    ------
    ConfigError
        If the folder must not be replaced, or the pages were installed without their scripts.
    ArchiveError
        If a file of the product is damaged, or the folder is in the archive.
    ExodError
        If it cannot be written.
    """
    check_target(target, product.store, replace=replace)
    sources = {f"static/{name}": path for name, path in _pages()}
    total = sum(path.stat().st_size for path in sources.values())
    total += sum(file.bytes for file in product.files.values())
    blocks = _SourceBlocks(product)
    files: dict[str, dict[str, Any]] = {}
    done = 0
    with whole_folder(target, overwrite=True) as folder:

        def write(name: str, parts: Iterator[bytes]) -> None:
            nonlocal done
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            seen, size = hashlib.sha256(), 0
            with path.open("wb") as sink:
                for part in parts:
                    # How large blocks will be is not known before.
                    on_file(name, min(done, total), total)
                    sink.write(part)
                    seen.update(part)
                    size, done = size + len(part), done + len(part)
            files[name] = {"bytes": size, "sha256": seen.hexdigest()}

        for name, path in sources.items():
            write(name, _parts(path.open("rb")))
        write(f"static/{BUNDLE}", iter([bundle()]))
        for name in product.files:
            with product.opened(name) as source:
                write(f"data/{name}", _parts(source))
        for name, content in product.density.items():
            write(f"sky/{name}", iter([content]))
        write("data/blocks", blocks.parts())
        write("data/blocks.index", iter([np.array(blocks.ends, "<u8").tobytes()]))
        write("data/meta.json", iter([_json({**product.meta, "blocks": blocks.about})]))
        if isinstance(product, VotedProduct):
            write("data/votes.json", iter([_json(product.votes)]))
        write("index.html", iter([page().encode()]))
        about = {"kind": KIND, "format": 1, "version": product.version, "files": files}
        (folder / MANIFEST).write_bytes(_json(about))
        # Another may have made something of that name meanwhile.
        check_target(target, product.store, replace=replace)
    return Published(product.version, len(files), sum(file["bytes"] for file in files.values()))


class _SourceBlocks:
    """What pages of sources read: rows of `BLOCK_SOURCES` numbers together, as compressed JSON.

    Attributes
    ----------
    about : dict
        What readers have to know.
    ends : list of int
        Where each block begins, and the last one ends; complete when all parts were taken.
    """

    def __init__(self, product: Product) -> None:
        self._product = product
        self._tables = [name for name in _IN_BLOCKS if f"{name}.parquet" in product.files]
        with product.connected(["sources"]) as connection:
            rows = connection.execute(" ".join(("SELECT", OWNER, "FROM sources"))).fetchnumpy()
        self._numbers = np.sort(rows[OWNER]).astype(np.int64)
        self._count = int(self._numbers[-1]) // BLOCK_SOURCES + 1 if len(self._numbers) else 0
        self.ends = [0]
        self._groups: dict[int, dict[str, list[Any]]] = {}
        pointed = [name for name in _POINTED_AT if f"{name}.parquet" in product.files]
        self.about = {
            "sources": BLOCK_SOURCES,
            "count": self._count,
            "owner": OWNER,
            "tables": [f"{name}.parquet" for name in self._tables],
            "files": {f"{name}.parquet": self._pointed(f"{name}.parquet") for name in pointed},
        }

    def _pointed(self, name: str) -> dict[str, str]:
        """The schema of a file, whose groups of rows are kept for their blocks."""
        with self._product.opened(name) as source, pq.ParquetFile(source) as file:
            whole, schema = file.metadata, file.schema_arrow
        place, codec = schema.names.index(OWNER), "ZSTD"
        for number in range(whole.num_row_groups):
            group = whole.row_group(number)
            chunks = [group.column(column) for column in range(group.num_columns)]
            codec = chunks[0].compression
            low, high = chunks[place].statistics.min, chunks[place].statistics.max
            places = [
                [
                    c.data_page_offset,
                    c.dictionary_page_offset,
                    c.total_compressed_size,
                    c.num_values,
                ]
                for c in chunks
            ]
            for block in range(low // BLOCK_SOURCES, high // BLOCK_SOURCES + 1):
                own = self._groups.setdefault(block, {}).setdefault(name, [])
                own.append([group.num_rows, low, high, places])
        sink = pa.BufferOutputStream()
        pq.write_table(schema.empty_table(), sink)
        content = base64.b64encode(sink.getvalue().to_pybytes()).decode()
        return {"schema": content, "codec": codec}

    def parts(self) -> Iterator[bytes]:
        """The blocks in their order."""
        with self._product.connected(self._tables) as connection:
            for first in range(0, self._count, _AT_ONCE):
                rows: dict[int, dict[str, str]] = {}
                for name in self._tables:
                    for block, text in connection.execute(self._statement(name, first)).fetchall():
                        rows.setdefault(block, {})[f"{name}.parquet"] = text
                for block in range(first, min(first + _AT_ONCE, self._count)):
                    content = zlib.compress(self._block(block, rows.get(block, {})).encode())
                    self.ends.append(self.ends[-1] + len(content))
                    yield content

    def _statement(self, name: str, first: int) -> str:
        # What JSON does not have is null, as in answers of the server.
        finite = "{0} := CASE WHEN isfinite({0}) THEN {0}::DOUBLE END"
        shown = ", ".join(
            (finite if pa.types.is_floating(column.type) else "{0} := {0}").format(
                quoted(column.name)
            )
            for column in self._product.table(name).columns
        )
        low, high = first * BLOCK_SOURCES, (first + _AT_ONCE) * BLOCK_SOURCES
        words = (
            f"SELECT {OWNER} // {BLOCK_SOURCES},",
            f'to_json(list(struct_pack({shown}) ORDER BY {OWNER}, "#row")) FROM {quoted(name)}',
            f"WHERE {OWNER} >= {low} AND {OWNER} < {high} GROUP BY 1",
        )
        return " ".join(words)

    def _block(self, block: int, rows: dict[str, str]) -> str:
        low = np.searchsorted(self._numbers, block * BLOCK_SOURCES)
        high = np.searchsorted(self._numbers, (block + 1) * BLOCK_SOURCES)
        besides = {
            "before": int(self._numbers[low - 1]) if low else None,
            "after": int(self._numbers[high]) if high < len(self._numbers) else None,
            "groups": self._groups.get(block, {}),
        }
        own = ", ".join(f"{json.dumps(name)}: {text}" for name, text in rows.items())
        return f'{json.dumps(besides)[:-1]}, "rows": {{{own}}}}}'


def check_target(target: Path, store: Store, *, replace: bool) -> None:
    """Refuse a folder that must not be replaced.

    Raises
    ------
    ConfigError
        If it is something else than a site or an empty folder, or a site that is to stay.
    ArchiveError
        If it is in the archive.
    ExodError
        If it cannot be written there.
    """
    store.check_outside(target)
    check_place(target)
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not _is_site(target):
        raise ConfigError(
            f"{target} is there and is no published site, so it is not replaced; give another name."
        )
    if not replace:
        raise ConfigError(f"{target} is a published site; give another name, or --replace.")


def page() -> str:
    """The page of a site; it says itself what it may load, as the server does in a header."""
    # Only a header can say who may frame a page; Aladin Lite asks nobody before a click.
    rules = policy(agreed=True).split("; ")
    content = "; ".join(rule for rule in rules if not rule.startswith("frame-ancestors"))
    rule = f'<meta http-equiv="Content-Security-Policy" content="{content}">\n'
    return shell("", "static").replace(_HEAD, _HEAD + rule)


def _is_site(folder: Path) -> bool:
    try:
        about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("kind") == KIND


def _pages() -> Iterator[tuple[str, Path]]:
    if not (STATIC / "vendor" / "checksums.json").is_file():
        raise ConfigError(
            "The pages were installed without the scripts of others; install exod from its wheel."
        )
    for path in sorted(STATIC.rglob("*")):
        if path.is_file() and path != STATIC / "index.html":
            yield path.relative_to(STATIC).as_posix(), path


def _parts(source: IO[bytes]) -> Iterator[bytes]:
    with source:
        while part := source.read(CHUNK):
            yield bytes(part)


def _json(content: Any) -> bytes:
    return f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode()
