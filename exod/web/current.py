"""The version of the product that counts now: a server shows a new one without a new start."""

from __future__ import annotations

from threading import Lock

from exod.archive import Archive
from exod.archive.derived import EXPLORER, POINTER
from exod.errors import ArchiveError
from exod.web.product import Product


class Current:
    """Hands out the product of an archive as it is now.

    Parameters
    ----------
    archive : Archive
        The archive.

    Raises
    ------
    ArchiveError
        If the product was not made yet.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._lock = Lock()
        self._stamp = self._stamp_now()
        self._product = Product(archive)

    @property
    def product(self) -> Product:
        """The current version; the last one if the pointer cannot be read just now."""
        stamp = self._stamp_now()
        # A pointer names all observations, and is long.
        if stamp and stamp == self._stamp:
            return self._product
        try:
            pointer = self.archive.derived(EXPLORER)
        except ArchiveError:
            return self._product
        with self._lock:
            if pointer is not None and pointer.version != self._product.version:
                self._product = Product(self.archive)
            self._stamp = stamp
            return self._product

    def _stamp_now(self) -> str:
        return self.archive.store.stamp(f"{EXPLORER}/{POINTER}")
