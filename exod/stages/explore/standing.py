"""How the product stands: what it is made of, and whether its files are as they were written."""

from __future__ import annotations

from typing import Final

from exod.archive import Archive
from exod.archive.derived import EXPLORER, DerivedFile, derived_products
from exod.archive.parquet import fault_of
from exod.archive.products import command_of, require_columns
from exod.archive.store import Store
from exod.errors import ArchiveError

NEEDED: Final = ("unique", "features", "flags")
"""The products that it is made of, besides cross-matches."""

OPTIONAL: Final = ("history",)
"""Those that it shows if they were made."""


def parts_of(archive: Archive) -> dict[str, str]:
    """The versions of the products that the explorer shows.

    Raises
    ------
    ArchiveError
        If one that it needs was not made yet.
    """
    there = derived_products(archive.store)
    wanted = [*NEEDED, *(name for name in there if name.startswith((*OPTIONAL, "xmatch-")))]
    found, missing = {}, []
    for name in wanted:
        pointer = archive.derived(name)
        if pointer is None:
            missing.append(name)
            continue
        require_columns(archive.store, pointer)
        found[name] = pointer.version
    if missing:
        commands = [f"`exod {command_of(name)} {archive.root}`" for name in missing]
        raise ArchiveError(
            f"The archive {archive.root} has no {', '.join(missing)} yet, which its pages show; "
            f"run {', then '.join(commands)}."
        )
    return found


def damaged_files(archive: Archive) -> list[str]:
    """Files of the product that are gone or not as they were written, with what is wrong.

    On a disk they are read whole; of others only the size is compared, not to fetch them all.
    """
    earlier, found = archive.derived(EXPLORER), []
    for file in earlier.files if earlier else ():
        if archive.store.is_local:
            fault = fault_of(archive.store, file.stored)
        else:
            fault = _wrong_size(archive.store, file)
        if fault:
            found.append(f"{file.path}: {fault}")
    return found


def _wrong_size(store: Store, file: DerivedFile) -> str:
    try:
        size = store.size(file.path)
    except (FileNotFoundError, ArchiveError):
        return "it is gone"
    return "" if size == file.bytes else f"it has {size} bytes instead of {file.bytes}"
