"""A header of a FITS file with its data: their size, the columns of a table, and checksums."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from exod.pps.fits.fitsstream import ALL_ONES, BLOCK, LARGEST_FILE, PIECE, Stream, folded, word_sum
from exod.pps.fits.fitstable import Conversion, FitsColumn, read_columns
from exod.pps.fits.keywords import Keywords

_MOST_COLUMNS: Final = 999
_OF_COLUMN: Final = re.compile(r"T(?:TYPE|FORM|UNIT|LMIN|LMAX|NULL|CTYP|CNAM?|CRVL|CRPX)(\d{1,3})")
_KINDS: Final = ("IMAGE", "TABLE", "BINTABLE", "A3DTABLE", "IUEIMAGE", "FOREIGN", "DUMP")
"""XTENSION that are registered (FITS standard 4.0, appendix F)."""


class Hdu:
    """A header with its data, as far as it has been read.

    Attributes
    ----------
    name : str
        EXTNAME in capitals, or a number if it has none, for messages.
    keywords : Keywords
        Its keywords.
    size : int
        Bytes of the data, without what fills the last block.
    columns : dict of str to FitsColumn
        Of a binary table, by name in capitals; otherwise empty.
    n_rows, row_size : int
        Rows of a binary table, and their bytes.
    """

    def __init__(self, number: int, content: bytes, stream: Stream) -> None:
        self.keywords = Keywords(content.decode("latin-1").encode("ascii", "replace"))
        kind = str(self.keywords.get("XTENSION", "")).strip().upper()
        self.name = str(self.keywords.get("EXTNAME", "")).strip().upper() or f"extension {number}"
        if not number:
            self.name = "the primary header"
        elif kind not in _KINDS:
            raise ValueError(f"{self.name} is of the unknown kind {kind!r}")
        self.size = self._data_size()
        self.columns: dict[str, FitsColumn] = {}
        self._repeated: set[str] = set()
        self.n_rows = self.row_size = 0
        self._filling = b" " if kind == "TABLE" else b"\0"
        self._stream = stream
        self._left = self.size
        self._sum = word_sum(content)
        self._data_sum = 0
        self._summed = 0
        self._is_summed = "DATASUM" in self.keywords or "CHECKSUM" in self.keywords
        if kind in {"BINTABLE", "A3DTABLE"}:
            self._read_layout()

    @property
    def header(self) -> fits.Header:
        """All its keywords, which take longer to read than most tables."""
        return self.keywords.header

    def whole(self, key: str, default: int | None = None) -> int:
        """A keyword of the structure, a whole number from 0 (or for BITPIX, of any sign)."""
        value = self.keywords.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{self.name} has no whole number as {key}")
        if self.keywords.is_repeated(key):
            raise ValueError(f"{self.name} has {key} more than once")
        if value < 0 and key != "BITPIX":
            raise ValueError(f"{self.name} has {key} = {value}")
        return value

    def _data_size(self) -> int:
        """Bytes of the data (FITS standard 4.0, 4.4.1)."""
        bits = self.whole("BITPIX")
        if bits not in {8, 16, 32, 64, -32, -64}:
            raise ValueError(f"{self.name} has BITPIX = {bits}")
        n_axes = self.whole("NAXIS")
        if n_axes > _MOST_COLUMNS:
            raise ValueError(f"{self.name} has NAXIS = {n_axes}")
        axes = [self.whole(f"NAXIS{i + 1}") for i in range(n_axes)]
        n_values = 1 if axes else 0
        for length in axes:
            n_values = min(n_values * length, LARGEST_FILE + 1)
        n_values += self.whole("PCOUNT", 0)
        size = abs(bits) // 8 * self.whole("GCOUNT", 1) * n_values
        if size > LARGEST_FILE:
            raise ValueError(f"{self.name} would have {size:.3g} bytes, more than any camera gives")
        return size

    def _read_layout(self) -> None:
        """Columns of a binary table, which fill its rows (FITS standard 4.0, 7.3)."""
        if self.whole("BITPIX") != 8 or self.whole("NAXIS") != 2 or self.whole("GCOUNT", 1) != 1:
            raise ValueError(f"{self.name} has no sizes of a table")
        self.row_size, self.n_rows = self.whole("NAXIS1"), self.whole("NAXIS2")
        n_columns = self.whole("TFIELDS")
        if n_columns > _MOST_COLUMNS:
            raise ValueError(f"{self.name} has {n_columns} columns")
        width = 0
        for number in range(1, n_columns + 1):
            column = FitsColumn.of(self.keywords, number, width, self.name)
            width += column.width
            if self.columns.setdefault(column.name, column) is not column:
                self._repeated.add(column.name)
        if width != self.row_size:
            raise ValueError(
                f"{self.name} has rows of {self.row_size} bytes, but its columns take {width}"
            )

    def read(self, wanted: Mapping[str, Conversion]) -> dict[str, NDArray[Any]]:
        """Columns of a binary table, once.

        Parameters
        ----------
        wanted : dict of str to Conversion
            By name in capitals; all of them must be there.

        Returns
        -------
        dict of str to ndarray, shape (n_rows,)

        Raises
        ------
        InputError
            If a column cannot be read exactly.
        """
        missing, twice = (
            sorted(set(wanted) - set(self.columns)),
            sorted(self._repeated & set(wanted)),
        )
        if missing or twice:
            problem = "has no column" if missing else "has more than one column"
            raise ValueError(f"{self.name} {problem} {(missing or twice)[0]}")
        columns = {name: self.columns[name] for name in wanted}
        step = max(PIECE // max(self.row_size, 1), 1)
        sizes = (min(step, self.n_rows - first) for first in range(0, self.n_rows, step))
        pieces = ((n, self._take(n * self.row_size)) for n in sizes)
        return read_columns(columns, wanted, pieces, self.row_size)

    def vectors(self, wanted: Mapping[str, str]) -> dict[str, NDArray[Any]]:
        """Columns with several numbers in a row, of a small table, once.

        Parameters
        ----------
        wanted : mapping of str to str
            The type of the numbers, big-endian, by name in capitals.

        Returns
        -------
        dict of str to ndarray, shape (n_rows, n_numbers)
        """
        if missing := sorted(set(wanted) - set(self.columns)):
            raise ValueError(f"{self.name} has no column {missing[0]}")
        rows = np.frombuffer(self._take(self._left), np.uint8)[: self.n_rows * self.row_size]
        rows = rows.reshape(self.n_rows, self.row_size)
        found = {}
        for name, dtype in wanted.items():
            column = self.columns[name]
            cells = rows[:, column.offset : column.offset + column.width]
            found[name] = np.ascontiguousarray(cells).view(dtype)
        return found

    def skip(self, *, check: bool = True) -> None:
        """Go to the end of the data; with `check`, they are read and compared with checksums."""
        rest = -self.size % BLOCK
        if not check:
            self._stream.skip(self._left + rest)
            self._left = 0
            return
        while self._left:
            self._take(min(self._left, PIECE))
        filling = self._stream.take(rest)
        if filling.strip(self._filling):
            raise ValueError(
                f"{self.name} is followed by data that its header does not count: rows are missing"
            )
        self._add(filling)
        self._check_sums()

    def _take(self, n: int) -> bytes:
        """The next bytes of the data."""
        content = self._stream.take(n)
        self._left -= n
        self._add(content)
        return content

    def _add(self, content: bytes) -> None:
        if self._is_summed:
            # A piece may begin inside a word.
            self._data_sum += word_sum(bytes(self._summed % 4) + content)
            self._summed += len(content)

    def _check_sums(self) -> None:
        """Compare with CHECKSUM and DATASUM (FITS standard 4.0, appendix J)."""
        found, expected = folded(self._data_sum), str(self.keywords.get("DATASUM", "")).strip()
        if expected and (not expected.isdigit() or int(expected) % ALL_ONES != found % ALL_ONES):
            self._stream.is_rewritten |= self._lost_columns()
            if not self._stream.is_rewritten:
                raise ValueError(f"the data of {self.name} do not have their checksum DATASUM")
            self._stream.notes.append(
                f"Columns were taken out after the checksums were made, so that {self.name} was "
                f"not compared with its own."
            )
            return
        checksum = str(self.keywords.get("CHECKSUM", "")).strip()
        is_right = folded(self._sum + self._data_sum) % ALL_ONES == 0
        if checksum.strip("0") and not is_right:
            if not expected:
                raise ValueError(f"{self.name} does not have its checksum CHECKSUM")
            self._stream.notes.append(
                f"The header of {self.name} is not the one that its CHECKSUM was made for."
            )

    def _lost_columns(self) -> bool:
        """Whether there are keywords of columns behind the last one: somebody removed some."""
        numbers = [int(match[1]) for key in self.header if (match := _OF_COLUMN.fullmatch(key))]
        return bool(self.columns) and max(numbers, default=0) > len(self.columns)
