"""The explorer as files: a site for any store that hands out parts of files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from exod.archive.store import Store
from exod.errors import ConfigError
from exod.files.whole import check_place, whole_folder
from exod.web.counting import heads
from exod.web.pages import BUNDLE, READING, STATIC, bundle, shell
from exod.web.product import Product
from exod.web.publishing.blocks import KEYED, DetectionNames, Packed, RowKeys, SourceBlocks
from exod.web.security import policy
from exod.web.voting.facets import VotedProduct

MANIFEST: Final = "manifest.json"
"""What a site consists of: each file with its size and SHA-256."""

KIND: Final = "exod explorer site"

CHUNK: Final = 1 << 20

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
    report: Mapping[str, Any] | None = None,
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
    report : dict, optional
        The statistics of the whole archive, from `exod.stages.report.page.report_content`.
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
    blocks, names = SourceBlocks(product), DetectionNames(product)
    keys = {name: RowKeys(product, name) for name in KEYED}
    packed = {"blocks": Packed(blocks.texts()), "names": Packed(names.texts())}
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
        write(f"static/{READING}", iter([bundle(READING)]))
        for name in product.files:
            with product.opened(name) as source:
                write(f"data/{name}", _parts(source))
        for name, content in product.density.items():
            write(f"sky/{name}", iter([content]))
        for name, texts in packed.items():
            write(f"data/{name}", texts.parts())
            write(f"data/{name}.index", iter([texts.index]))
        for name, own in keys.items():
            write(f"data/{name}.keys", own.parts())
        widths = {name: own.width for name, own in keys.items()}
        told = {**blocks.about, "names": names.count, "widths": widths}
        told["report"] = report is not None
        write("data/meta.json", iter([_json({**product.meta, "blocks": told})]))
        if isinstance(product, VotedProduct):
            write("data/votes.json", iter([_json(product.votes)]))
        if report is not None:
            write("data/report.json", iter([_json(report)]))
        write("data/heads.json", iter([_json(heads(product))]))
        write("index.html", iter([page().encode()]))
        about = {"kind": KIND, "format": 1, "version": product.version, "files": files}
        (folder / MANIFEST).write_bytes(_json(about))
        # Another may have made something of that name meanwhile.
        check_target(target, product.store, replace=replace)
    return Published(product.version, len(files), sum(file["bytes"] for file in files.values()))


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
