"""FITS files, plain or gzip: whatever is wrong with one is a sentence that names it.

A file is read once, from its begin to its end, and every byte of it is accounted for before its
rows are believed: headers and data follow each other as the headers say, the columns of a table
fill its rows, what fills the last block is empty, and checksums are right where there are some.
"""

from __future__ import annotations

import gzip
import io
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io import fits

from exod.errors import ExodError, InputError
from exod.pps.fits.fitshdu import Hdu
from exod.pps.fits.fitsstream import LARGEST_FILE, Stream
from exod.pps.fits.keywords import Keywords
from exod.pps.remote import RemoteFile

_DAMAGE = (
    OSError,
    EOFError,
    zlib.error,
    struct.error,
    fits.VerifyError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    MemoryError,
    Warning,
)
"""What astropy and gzip raise on files with wrong bytes, found by changing bytes at random."""


class Header:
    """Keywords of the extension, falling back to the primary header."""

    def __init__(self, extension: Keywords, primary: Keywords) -> None:
        self._headers = (extension, primary)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a keyword; `default` if it is missing or has none."""
        for header in self._headers:
            value = header.get(key)
            # A card may have no value.
            if value is not None and not isinstance(value, fits.card.Undefined):
                return value
        return default

    def number(self, key: str, default: float = np.nan) -> float:
        """The value as a number; `default` if it is none, or not finite."""
        try:
            number = float(self.get(key, default))
        except (TypeError, ValueError, OverflowError):
            return default
        return number if np.isfinite(number) else default

    def text(self, key: str) -> str:
        """The value as text without blanks around it; empty if missing."""
        return str(self.get(key, "")).strip()


class FitsFile:
    """A FITS file that is read from begin to end.

    Attributes
    ----------
    primary : Keywords
        Keywords of the primary header.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._stream = Stream(file)
        self._hdu: Hdu | None = self._first()
        self.primary = self._hdu.keywords if self._hdu else Keywords(b"")
        self._number = 0
        self._names: list[str] = []

    @property
    def notes(self) -> list[str]:
        """What is unusual but harms nothing, one sentence each."""
        return self._stream.notes

    def extensions(self, *, check: bool = True) -> Iterator[Hdu]:
        """The extensions that follow; the data of one can be read until the next is asked for."""
        names = self._names
        while self._hdu is not None:
            self._hdu.skip(check=check)
            content = self._stream.header()
            self._number += 1
            self._hdu = Hdu(self._number, content, self._stream) if content else None
            if self._hdu is not None:
                names.append(self._hdu.name)
                if names.count("EVENTS") > 1 and names[-1] == "EVENTS":
                    self.notes.append("There is more than one extension EVENTS.")
                yield self._hdu

    def finish(self) -> None:
        """Read and check what follows."""
        for _ in self.extensions():
            pass

    def _first(self) -> Hdu:
        content = self._stream.header(is_first=True)
        if content is None:
            raise ValueError("it is empty")
        hdu = Hdu(0, content, self._stream)
        if hdu.keywords.get("GROUPS") is True:
            raise ValueError("it has random groups instead of tables")
        return hdu


@contextmanager
def reported(path: Path | RemoteFile) -> Iterator[None]:
    """Turn whatever a damaged file makes of the block into an InputError that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message=".*truncated.*")
            yield
    except ExodError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read; give yourself the right to.") from error
    except _DAMAGE as error:
        # The first sentence: the next ones are for programmers.
        cause = str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")
        cause = cause or type(error).__name__
        raise InputError(
            f"{path.name} cannot be read ({cause}); it is empty, truncated, damaged or not FITS: "
            f"fetch it again."
        ) from error


@contextmanager
def open_fits(path: Path | RemoteFile, *, whole: bool = True) -> Iterator[FitsFile]:
    """Open a FITS file; whatever is wrong with it becomes an InputError that names it.

    With `whole` it is read to its end, where a gzip file has its checksum, and checked.
    """
    with reported(path), _unpacked(path) as content:
        file = FitsFile(content)
        try:
            yield file
        except InputError:
            if whole:
                file.finish()  # What is missing may stand in the part that is lost.
            raise
        if whole:
            file.finish()


def read_header(path: Path | RemoteFile, extension: str) -> tuple[Header, Hdu] | None:
    """Keywords of an extension, read without what follows its header; None if it is not there.

    Raises
    ------
    InputError
        If the file is damaged before that.
    """
    with open_fits(path, whole=False) as file:
        for hdu in file.extensions(check=False):
            if hdu.name == extension:
                return Header(hdu.keywords, file.primary), hdu
    return None


def read_content(path: Path) -> bytes:
    """All bytes of a file, unpacked, after they were checked."""
    with open_fits(path):
        pass
    with reported(path), _unpacked(path) as content:
        return content.read(LARGEST_FILE)


def require_regular(path: Path) -> None:
    """Refuse what is no file on a disk: to open a pipe or a device could take for ever.

    Raises
    ------
    InputError
        If it is there but no file.
    OSError
        If it is not there.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = (
            (stat.S_ISDIR, "a folder"),
            (stat.S_ISFIFO, "a pipe"),
            (stat.S_ISSOCK, "a socket"),
        )
        kind = next((name for is_kind, name in kinds if is_kind(mode)), "a device")
        raise InputError(f"{path} is {kind}, not a file; give the file itself.")


@contextmanager
def _unpacked(path: Path | RemoteFile) -> Iterator[IO[bytes]]:
    if isinstance(path, Path):
        require_regular(path)
    with path.open("rb") as raw:
        # Not everything that is opened can go back to its begin.
        file: Any = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
        if file.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield file
