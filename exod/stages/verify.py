"""Verify: every file that an archive names is read and compared with what it was."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from exod.archive import Archive
from exod.archive.compaction import POINTER as COMPACTED
from exod.archive.compaction import Compacted
from exod.archive.derived import derived_products, read_derived
from exod.archive.ledger.entry import LEDGER, FullEntry, StoredFile, read_entry
from exod.archive.ledger.pointers import load_pointer
from exod.archive.parquet import COMPACT, fault_of
from exod.archive.products import XMATCH, command_of
from exod.errors import ArchiveError
from exod.files.ahead import done_ahead
from exod.files.seals import Seal
from exod.schemas.columns import Column, Table
from exod.schemas.kinds import OBSID_FORM

if TYPE_CHECKING:
    import pandas as pd

EVENTS: Final = "events"
THREADS: Final = 8
AHEAD: Final = 64
"""Files that wait: those of a whole mission are not in memory at once."""

DAMAGED: Final = Table(
    "damaged",
    "Files of an archive that are not what was written",
    tuple(
        Column(name, pa.string(), "", meaning)
        for name, meaning in (
            ("path", "Relative to the archive"),
            ("obsid", "Observation; empty for files of many"),
            ("fault", "What is wrong"),
            ("remedy", "What makes it anew"),
        )
    ),
    (),
)


@dataclass(frozen=True)
class Examined:
    """A file of an archive, as it was found.

    Attributes
    ----------
    path : str
        Relative to the archive.
    obsid : str
        Its observation; empty for files of many.
    remedy : str
        What makes it anew.
    fault : str
        What is wrong; empty if nothing is.
    size : int
        In bytes.
    is_sealed : bool
        Whether it was compared with a digest. Of files of earlier versions none is known: they are
        read, and size, rows and observation are compared.
    """

    path: str
    obsid: str
    remedy: str
    fault: str = ""
    size: int = 0
    is_sealed: bool = False


def damaged_rows(found: list[Examined]) -> pd.DataFrame:
    """The rows of `DAMAGED`."""
    import pandas as pd

    rows = [{name: asdict(one)[name] for name in DAMAGED.schema.names} for one in found]
    return DAMAGED.frame(pd.DataFrame(rows, columns=DAMAGED.schema.names))


def count_files(archive: Archive) -> int:
    """About how many files `verify` reads, for a bar of progress."""
    status = archive.status()
    return int(4 * len(status) + len(archive.store.names(COMPACT)))


def verify(archive: Archive, threads: int = THREADS) -> Iterator[Examined]:
    """Read every file that an archive names, and compare it with what it was.

    Parameters
    ----------
    archive : Archive
        The archive.
    threads : int
        Files that are read at once.

    Yields
    ------
    Examined
        One a file: of tables, entries of the ledger, pointers and ingested event lists.
    """
    examined = partial(_examined, archive)
    named = _named(archive)
    yield from chain.from_iterable(done_ahead(examined, named, threads=threads, waiting=AHEAD))


_Named = tuple[Examined, StoredFile | None]


def _examined(archive: Archive, named: _Named) -> list[Examined]:
    """The state of a file; without one, `about` says it already."""
    about, file = named
    if file is None:
        return [about]
    fault = fault_of(archive.store, file)
    if fault and about.obsid and not about.path.startswith(EVENTS):
        entry = _entry(archive, about.obsid)
        if isinstance(entry, FullEntry) and file.path not in {f.path for f in entry.files.values()}:
            # It was searched again meanwhile.
            return []
    is_sealed = bool(file.seal.sha256)
    return [replace(about, fault=fault, size=max(file.seal.size, 0), is_sealed=is_sealed)]


def _named(archive: Archive) -> Iterator[_Named]:
    """Every file that counts; those that name others have been read."""
    yield from _of_ledger(archive)
    yield from _of_compaction(archive)
    for product in derived_products(archive.store):
        yield from _of_product(archive, product)
    yield from _of_events(archive)


def _of_ledger(archive: Archive) -> Iterator[_Named]:
    for name in archive.store.names(LEDGER):
        found = re.fullmatch(rf"{LEDGER}/({OBSID_FORM})\.json", name)
        if not found:
            continue
        obsid = found[1]
        entry = _entry(archive, obsid)
        if entry is None:
            continue
        if isinstance(entry, str):
            remedy = f"delete {archive.store.path(name)} and search observation {obsid} again"
            yield Examined(name, obsid, remedy, entry), None
            continue
        yield Examined(name, obsid, "", is_sealed=True), None
        remedy = _search_again(archive, entry)
        for table in entry.files:
            if file := entry.file(table):
                yield Examined(file.path, obsid, remedy), file


def _entry(archive: Archive, obsid: str) -> FullEntry | str | None:
    """The entry, or what is wrong with it."""
    try:
        return read_entry(archive.store, obsid)
    except ArchiveError as error:
        return str(error)


def _search_again(archive: Archive, entry: FullEntry) -> str:
    folders = {file.path.rpartition("/")[0] for file in entry.inputs if "/" in file.path}
    where = " ".join(map(shlex.quote, sorted(folders))) or entry.obsid
    return f"exod detect {where} --archive {shlex.quote(archive.root)} --force"


def _of_compaction(archive: Archive) -> Iterator[_Named]:
    remedy = f"exod compact {shlex.quote(archive.root)} --force"
    try:
        pointer = load_pointer(archive.store, COMPACTED, Compacted, f"run `{remedy}`")
    except ArchiveError as error:
        yield Examined(COMPACTED, "", remedy, str(error)), None
        return
    if pointer:
        yield Examined(COMPACTED, "", "", is_sealed=True), None
        for files in pointer.tables.values():
            for file in files:
                yield Examined(file.path, "", remedy), file.stored


def _of_product(archive: Archive, product: str) -> Iterator[_Named]:
    root, name = shlex.quote(archive.root), f"{product}/current.json"
    if product.startswith(XMATCH):
        remedy = f"exod crossmatch {root} --with {product.removeprefix(XMATCH)} --refresh"
    else:
        remedy = f"delete {archive.store.path(name)}, then exod {command_of(product)} {root}"
    try:
        found = read_derived(archive.store, product)
    except ArchiveError as error:
        yield Examined(name, "", remedy, str(error)), None
        return
    if found:
        yield Examined(name, "", "", is_sealed=True), None
        for file in found.files:
            yield Examined(file.path, "", remedy), file.stored


def _of_events(archive: Archive) -> Iterator[_Named]:
    """Ingested event lists, of which nothing is known but their own checksums."""
    for folder in archive.store.names(EVENTS):
        obsid = folder.rpartition("/")[2]
        for path in archive.store.names(folder):
            if path.endswith(".parquet"):
                remedy = f"delete {archive.store.path(path)} and ingest observation {obsid} again"
                yield Examined(path, obsid, remedy), StoredFile(path, -1, Seal(-1))
