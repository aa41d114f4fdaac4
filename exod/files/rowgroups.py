"""Groups of rows of Parquet files, put together to one file without reading their rows.

A footer tells where each column of each group begins. To move a group to another place is to copy
its bytes, and its entry in the footer with other numbers: all else there stays as it is, so that
the file is the one that a single writer would have written. Footers are Thrift in its compact
protocol; the numbers of fields are those of ``parquet.thrift`` of Apache Parquet.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from exod.errors import ArchiveError

MAGIC: Final = b"PAR1"
_END_BYTES: Final = 8
"""Of the length of the footer, and of `MAGIC`, after it."""

_LIST, _SET, _STRUCT, _BINARY, _DOUBLE, _BYTE = 9, 10, 12, 8, 7, 3
_MORE: Final = 128
"""A byte of at least this is not the last one of a number."""

_WANTED = Mapping[int, Any]
_OF_GROUP: Final[_WANTED] = {
    # Columns: their own page indexes, and in their metadata where pages of each kind begin.
    1: {3: dict.fromkeys((9, 10, 11, 14), "place"), 4: "index", 6: "index"},
    3: "rows",
    5: "place",
    6: "size",
    7: "ordinal",
}
_OF_FILE: Final[_WANTED] = {3: "rows", 4: "groups"}


class Sink(Protocol):
    """What is written to from its beginning."""

    def write(self, data: Any, /) -> Any:
        """Write at the end."""


class RowGroup(NamedTuple):
    """A group of rows, wherever it is.

    Attributes
    ----------
    rows, size : int
        Its rows, and the bytes that they take in a file.
    start : int
        Where they begin in the file that they are in.
    entry : bytes
        What the footer of that file says.
    places : array of int
        Of each number in the entry that depends on where the group is: where it begins and ends,
        and the number.
    ordinal : (int, int)
        Where the number of the group in its file begins and ends in the entry; both 0 if it is not
        told there.
    """

    rows: int
    size: int
    start: int
    entry: bytes
    places: array[int]
    ordinal: tuple[int, int]

    def moved(self, start: int, ordinal: int) -> bytes:
        """The entry in the footer of a file in which the group begins at another place."""
        found: list[bytes] = []
        last, by = 0, start - self.start
        for place in range(0, len(self.places), 3):
            begin, end, number = self.places[place : place + 3]
            found += (self.entry[last:begin], _signed(number + by))
            last = end
        begin, end = self.ordinal
        if end:
            found += (self.entry[last:begin], _signed(ordinal))
            last = end
        return b"".join((*found, self.entry[last:]))


class Footer(NamedTuple):
    """The footer of a file.

    Attributes
    ----------
    head, tail : bytes
        What stands before the number of rows and after the groups; files in which both are the same
        have the same columns and were written by the same library.
    groups : sequence of RowGroup
        The groups.
    """

    head: bytes
    groups: Sequence[RowGroup]
    tail: bytes

    def fits(self, other: Footer) -> bool:
        """Whether groups of the other file may be in this one."""
        return (self.head, self.tail) == (other.head, other.tail)


def footer_of(content: bytes | memoryview) -> Footer:
    """The footer of a file, of which the last bytes or all are given.

    Raises
    ------
    ArchiveError
        If it is no Parquet file as this package writes them, or the footer begins before the bytes.
    """
    size = footer_bytes(content)
    if size > len(content):
        raise ArchiveError("The footer of a Parquet file is longer than what was read of it.")
    text = bytes(content[-size:-_END_BYTES])
    try:
        found: dict[str, tuple[int, int]] = {}
        for what, begin, end in _noted(text, 0, _STRUCT, _OF_FILE)[0]:
            found[what] = begin, end
        (first, _), (begin, end) = found["rows"], found["groups"]
        number, kind, place = _listed(text, begin)
        groups = []
        for _ in range(number):
            groups.append(_group(text, place, kind))
            place += len(groups[-1].entry)
    except (IndexError, KeyError) as error:
        raise ArchiveError("The footer of a Parquet file cannot be understood.") from error
    return Footer(text[:first], groups, text[end:])


def footer_bytes(content: bytes | memoryview) -> int:
    """How many of the last bytes of a file are its footer, told by the very last ones.

    Raises
    ------
    ArchiveError
        If it is no Parquet file.
    """
    if bytes(content[-len(MAGIC) :]) != MAGIC:
        raise ArchiveError("A file does not end as Parquet files do.")
    return int.from_bytes(content[-_END_BYTES : -len(MAGIC)], "little") + _END_BYTES


class JoinedFile:
    """Writes a Parquet file that has groups of rows of others.

    Parameters
    ----------
    sink : file
        What it is written to.
    empty : bytes
        A file without rows, which has the columns; others must fit it.
    """

    def __init__(self, sink: Sink, empty: bytes | memoryview) -> None:
        self._sink, self._footer = sink, footer_of(empty)
        self._entries: list[bytes] = []
        self._sink.write(MAGIC)
        self._size = len(MAGIC)
        self.rows = 0

    def fits(self, other: Footer) -> bool:
        """Whether groups of the other file may be in this one."""
        return self._footer.fits(other)

    def add(self, content: bytes | memoryview, footer: Footer) -> None:
        """Add all groups of a file that is in memory."""
        if footer.groups:
            start, last = footer.groups[0].start, footer.groups[-1]
            self.copy(footer.groups, content[start : last.start + last.size])

    def copy(self, groups: Sequence[RowGroup], content: bytes | memoryview) -> None:
        """Add groups that follow each other in their file, whose bytes are given."""
        for group in groups:
            place = self._size + group.start - groups[0].start
            self._entries.append(group.moved(place, len(self._entries)))
            self.rows += group.rows
        self._sink.write(content)
        self._size += len(content)

    def close(self) -> None:
        """Write the footer."""
        number = len(self._entries)
        few = number < 15
        size = bytes([number << 4 | _STRUCT]) if few else bytes([0xF0 | _STRUCT]) + _number(number)
        # Between the number of rows and the groups is the head of the field of these.
        rows = _signed(self.rows) + bytes([1 << 4 | _LIST])
        footer = b"".join((self._footer.head, rows, size, *self._entries, self._footer.tail))
        self._sink.write(footer + len(footer).to_bytes(4, "little") + MAGIC)


def _group(text: bytes, begin: int, kind: int) -> RowGroup:
    noted, end = _noted(text, begin, kind, _OF_GROUP)
    entry = text[begin:end]
    places, ordinal, numbers = array("q"), (0, 0), dict[str, int]()
    start = None
    for what, first, last in noted:
        value = _unsigned(text, first)[0]
        value = (value >> 1) ^ -(value & 1)
        if what == "index":
            raise ArchiveError("Groups of rows with page indexes cannot be moved.")
        if what == "place":
            places.extend((first - begin, last - begin, value))
            # That of the group itself comes after those of its columns.
            start = value
        elif what == "ordinal":
            ordinal = first - begin, last - begin
        else:
            numbers[what] = value
    if start is None:
        raise ArchiveError("The footer of a Parquet file does not tell where its rows are.")
    return RowGroup(numbers["rows"], numbers["size"], start, entry, places, ordinal)


def _noted(
    text: bytes, begin: int, kind: int, wanted: _WANTED
) -> tuple[list[tuple[str, int, int]], int]:
    """Values with a name among the wanted ones, where each begins and ends; where it all ends."""
    found: list[tuple[str, int, int]] = []
    return found, _note(text, begin, kind, wanted, found)


def _note(
    text: bytes, at: int, kind: int, wanted: _WANTED, found: list[tuple[str, int, int]]
) -> int:
    if kind == _LIST:
        number, kind, at = _listed(text, at)
        for _ in range(number):
            at = _note(text, at, kind, wanted, found)
        return at
    field = 0
    while head := text[at]:
        at += 1
        kind = head & 15
        if head >> 4:
            field += head >> 4
        else:
            value, at = _unsigned(text, at)
            field = (value >> 1) ^ -(value & 1)
        below = wanted.get(field)
        if isinstance(below, dict):
            at = _note(text, at, kind, below, found)
            continue
        begin, at = at, _after(text, at, kind)
        if below is not None:
            found.append((below, begin, at))
    return at + 1


def _after(text: bytes, at: int, kind: int) -> int:
    """Where a value ends."""
    # Most values are numbers.
    if _BYTE < kind < _DOUBLE:
        while text[at] >= _MORE:
            at += 1
        return at + 1
    if kind == _BINARY:
        size, at = _unsigned(text, at)
        return at + size
    if kind in (_LIST, _SET):
        number, kind, at = _listed(text, at)
        for _ in range(number):
            # A truth in a list is a byte.
            at = at + 1 if kind < _BYTE else _after(text, at, kind)
        return at
    if kind == _STRUCT:
        while head := text[at]:
            at += 1
            if not head >> 4:
                at = _unsigned(text, at)[1]
            at = _after(text, at, head & 15)
        return at + 1
    return at + {_BYTE: 1, _DOUBLE: 8}.get(kind, 0)


def _listed(text: bytes, at: int) -> tuple[int, int, int]:
    """How many elements a list has, of which kind, and where they begin."""
    head = text[at]
    if head >> 4 < 15:
        return head >> 4, head & 15, at + 1
    number, at = _unsigned(text, at + 1)
    return number, head & 15, at


def _unsigned(text: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while (byte := text[at]) >= _MORE:
        value |= (byte & 127) << shift
        shift += 7
        at += 1
    return value | byte << shift, at + 1


def _number(value: int) -> bytes:
    found = bytearray()
    while value >= _MORE:
        found.append(value & 127 | _MORE)
        value >>= 7
    found.append(value)
    return bytes(found)


def _signed(value: int) -> bytes:
    return _number(value << 1 if value >= 0 else (-value << 1) - 1)
