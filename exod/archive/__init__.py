"""The archive: tables of many observations under one root, committed whole or not at all."""

from exod.archive.archive import Archive, open_archive
from exod.archive.ledger.entry import FullEntry, LedgerEntry, Status, input_files

__all__ = ["Archive", "FullEntry", "LedgerEntry", "Status", "input_files", "open_archive"]
