"""FITS as the standard has it, read strictly and without exod or astropy (FITS standard 4.0)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

BLOCK, CARD = 2880, 80
UNREADABLE = object()
"""The value of a keyword that has none that FITS knows, or two."""
DTYPES = {"L": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
WIDTHS = {"L": 1, "X": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8}
WIDTHS |= {"C": 8, "M": 16, "P": 8, "Q": 16}

_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
_TEXT = re.compile(r"\s*'((?:[^']|'')*)'\s*(?:/.*)?")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[ED][+-]?\d+)?)\s*(?:/.*)?")
_FORMAT = re.compile(r"(\d*)([LXBIJKAEDCMPQ])(.*)")


class FaultError(Exception):
    """What a strict reader finds wrong."""


@dataclass(frozen=True)
class Hdu:
    """Where a header and its data are in a file, and the values of its keywords.

    Attributes
    ----------
    start, data, size, stop : int
        First byte of the header, of the data, bytes of the data, end with padding.
    values : dict of str to Any
        Keywords that have one value.
    """

    start: int
    data: int
    size: int
    stop: int
    values: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.values.get("EXTNAME", "")).strip().upper()

    @property
    def is_table(self) -> bool:
        return self.values.get("XTENSION", "") == "BINTABLE"


@dataclass(frozen=True)
class Column:
    """A column of a binary table: place in a row, and how its numbers are stored."""

    number: int
    name: str
    code: str
    repeat: int
    offset: int


def header_end(content: bytes, start: int) -> int | None:
    """First byte behind the card END of the header at `start`; None without one."""
    for place in range(start, len(content) - CARD + 1, CARD):
        if content[place : place + CARD] == b"END".ljust(CARD):
            return place + CARD
    return None


def cards(content: bytes, hdu: Hdu) -> list[bytes]:
    """The cards of a header, without END."""
    end = header_end(content, hdu.start)
    assert end is not None
    return [content[i : i + CARD] for i in range(hdu.start, end - CARD, CARD)]


def header(lines: list[bytes]) -> bytes:
    """Cards with END, filled to whole blocks."""
    content = b"".join(line.ljust(CARD)[:CARD] for line in [*lines, b"END"])
    return content + b" " * (-len(content) % BLOCK)


def value_of(card: bytes) -> Any:
    """The value of a card.

    Raises
    ------
    FaultError
        If it is not one that the standard knows.
    """
    text = card[10:].decode("ascii")
    if match := _TEXT.fullmatch(text):
        return match[1].replace("''", "'").rstrip()
    plain = text.partition("/")[0].strip()
    if plain in {"T", "F"}:
        return plain == "T"
    if match := _NUMBER.fullmatch(text):
        is_whole = re.fullmatch(r"[+-]?\d+", match[1])
        return int(match[1]) if is_whole else float(match[1].replace("D", "E"))
    if not plain:
        return None
    raise FaultError(f"the card {card[:8].decode()} has no value that FITS knows")


def hdus(content: bytes) -> Iterator[Hdu]:
    """Every header with its data.

    Raises
    ------
    FaultError
        Where the file is not as the standard wants it.
    """
    place = 0
    while place < len(content) or not place:
        hdu = _hdu(content, place)
        yield hdu
        place = hdu.stop


def before_fault(content: bytes) -> list[Hdu]:
    """The headers up to the first fault."""
    kept = []
    try:
        for hdu in hdus(content):
            kept.append(hdu)  # noqa: PERF402 - those before the fault are wanted
    except FaultError:
        pass
    return kept


def _hdu(content: bytes, start: int) -> Hdu:
    end = header_end(content, start)
    if end is None:
        raise FaultError(f"no header at byte {start}")
    data = start + -(-(end - start) // BLOCK) * BLOCK
    if content[end:data].strip(b" ") or data > len(content):
        raise FaultError(f"the header at byte {start} is not filled with blanks")
    values = _values(content[start : end - CARD])
    kind = "XTENSION" if start else "SIMPLE"
    if next(iter(values), "") != kind or (not start and values[kind] is not True):
        raise FaultError(f"the header at byte {start} does not begin with {kind}")
    size = _size(values)
    stop = data + size + -size % BLOCK
    if stop > len(content):
        raise FaultError("the file ends too early")
    filling = b" " if values.get("XTENSION") == "TABLE" else b"\0"
    if content[data + size : stop].strip(filling):
        raise FaultError("the last block of data is not filled as it must be")
    hdu = Hdu(start, data, size, stop, values)
    if hdu.is_table:
        columns(hdu)
    _check_sums(content, hdu)
    return hdu


def _values(lines: bytes) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for place in range(0, len(lines), CARD):
        card = lines[place : place + CARD]
        if min(card) < 0x20 or max(card) > 0x7E:
            raise FaultError("a card is not text")
        if card[8:10] != b"= ":
            continue
        keyword = card[:8].decode().rstrip()
        if not _KEYWORD.fullmatch(keyword):
            raise FaultError(f"the keyword {keyword!r}")
        try:
            value = value_of(card)
        except FaultError:
            value = UNREADABLE  # It matters only where it is needed.
        if values.setdefault(keyword, value) != value:
            values[keyword] = UNREADABLE
    return values


def _whole(values: dict[str, Any], key: str, default: int | None = None) -> int:
    value = values.get(key, default)
    if type(value) is not int or (value < 0 and key != "BITPIX"):
        raise FaultError(f"{key} = {value!r}")
    return value


def _size(values: dict[str, Any]) -> int:
    bits, n_axes = _whole(values, "BITPIX"), _whole(values, "NAXIS")
    if bits not in {8, 16, 32, 64, -32, -64} or n_axes > 999:
        raise FaultError(f"BITPIX = {bits}, NAXIS = {n_axes}")
    n = 1 if n_axes else 0
    for axis in range(1, n_axes + 1):
        n *= _whole(values, f"NAXIS{axis}")
    return abs(bits) // 8 * _whole(values, "GCOUNT", 1) * (_whole(values, "PCOUNT", 0) + n)


def columns(hdu: Hdu) -> list[Column]:
    """The columns of a table, whose widths sum to that of a row."""
    offset, result = 0, []
    for number in range(1, _whole(hdu.values, "TFIELDS") + 1):
        match = _FORMAT.fullmatch(str(hdu.values.get(f"TFORM{number}", "")))
        if match is None:
            raise FaultError(f"TFORM{number}")
        repeat, code = int(match[1] or 1), match[2]
        name = str(hdu.values.get(f"TTYPE{number}", "")).strip().upper()
        result.append(Column(number, name, code, repeat, offset))
        offset += -(-repeat // 8) if code == "X" else repeat * WIDTHS[code]
    if offset != _whole(hdu.values, "NAXIS1") or _whole(hdu.values, "NAXIS") != 2:
        raise FaultError("the columns do not fill the rows")
    return result


def stored(content: bytes, hdu: Hdu, column: Column) -> np.ndarray[Any, Any]:
    """The numbers of a column as they are stored, a view that cannot be written to."""
    width = hdu.values["NAXIS1"]
    layout = np.dtype(
        {
            "names": ["value"],
            "formats": [DTYPES[column.code]],
            "offsets": [column.offset],
            "itemsize": width,
        }
    )
    return np.frombuffer(content, layout, hdu.values["NAXIS2"], hdu.data)["value"]


def _check_sums(content: bytes, hdu: Hdu) -> None:
    """CHECKSUM and DATASUM (FITS standard 4.0, 4.4.2.7)."""
    if (given := str(hdu.values.get("DATASUM", ""))) and (
        not given.isdigit() or int(given) != word_sum(content[hdu.data : hdu.stop])
    ):
        raise FaultError("DATASUM is wrong")
    if hdu.values.get("CHECKSUM") and word_sum(content[hdu.start : hdu.stop]) != 0xFFFFFFFF:
        raise FaultError("CHECKSUM is wrong")


def word_sum(content: bytes) -> int:
    """Sum of the words of 32 bits in ones' complement."""
    total = int(np.frombuffer(content, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total
