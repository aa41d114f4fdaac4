"""FITS files, plain or gzip: whatever is wrong with one is a sentence that names it."""

from __future__ import annotations

import gzip
import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from exod.errors import ExodError, InputError
from exod.pps.remote import RemoteFile

_PIECE = 1 << 20
_BLOCK = 2880
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

    def __init__(self, extension: fits.Header, primary: fits.Header) -> None:
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
        """The value as a number; `default` if it is none."""
        try:
            return float(self.get(key, default))
        except (TypeError, ValueError):
            return default

    def text(self, key: str) -> str:
        """The value as text without blanks around it; empty if missing."""
        return str(self.get(key, "")).strip()


@contextmanager
def _reported(path: Path | RemoteFile) -> Iterator[None]:
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
            f"{path.name} cannot be read ({cause}); it is empty, truncated or not FITS: "
            f"fetch it again."
        ) from error


@contextmanager
def open_fits(path: Path, *, whole: bool = True) -> Iterator[fits.HDUList]:
    """Open a FITS file; whatever is wrong with it becomes an InputError that names it.

    With `whole` its end is read too: only there a gzip file has its checksum.
    """
    with _reported(path), _unpacked(path) as file, fits.open(file, memmap=False) as hdus:
        try:
            yield hdus
        except InputError:
            _read_rest(file)  # What is missing may stand in the part that is lost.
            raise
        if whole:
            _read_rest(file)


def read_header(path: Path | RemoteFile, extension: str) -> Header | None:
    """Keywords of an extension, read without what follows its header; None if it is not there.

    Raises
    ------
    InputError
        If the file is damaged before that.
    """
    with _reported(path), _unpacked(path) as file:
        primary = header = fits.Header.fromfile(file)
        while header.get("EXTNAME", "").strip() != extension:
            file.seek(_padded_data_size(header), io.SEEK_CUR)
            try:
                header = fits.Header.fromfile(file)
            except EOFError:
                return None
        return Header(header, primary)


def _padded_data_size(header: fits.Header) -> int:
    """Bytes of the data that follow a header, in whole blocks (FITS standard 4.0, 4.4.1)."""
    axes = [header[f"NAXIS{i + 1}"] for i in range(header["NAXIS"])]
    values = header.get("GCOUNT", 1) * (header.get("PCOUNT", 0) + math.prod(axes) * bool(axes))
    return -(-abs(header["BITPIX"]) // 8 * values // _BLOCK) * _BLOCK


@contextmanager
def _unpacked(path: Path | RemoteFile) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        # Not everything that is opened can go back to its begin.
        file: Any = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
        if file.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield file


def _read_rest(file: IO[bytes]) -> None:
    while file.read(_PIECE):
        pass


def read_column(table: Any, name: str, dtype: str) -> NDArray[Any]:
    """A column of a FITS table as `dtype`; numbers beyond its range become its limits."""
    values = np.asarray(table[name])
    wanted = np.dtype(dtype)
    if wanted.kind in "iu" and not np.can_cast(values.dtype, wanted):
        limits = np.iinfo(wanted)
        if values.dtype.kind == "f":
            values = np.nan_to_num(values, nan=limits.min)
        values = np.clip(values, limits.min, limits.max)
    return values.astype(wanted)
