"""The bytes of a FITS file in order: headers in blocks, data of a known size, nothing between."""

from __future__ import annotations

import io
from typing import IO, Final

import numpy as np

from exod.errors import plural

LARGEST_FILE: Final = 1 << 32
"""Bytes that the content of a file may have. The telemetry of a revolution, 64 kbit/s for two days
(XMM-Newton Users' Handbook), holds fewer events than that."""

PIECE: Final = 1 << 20
BLOCK: Final = 2880
ALL_ONES: Final = 0xFFFFFFFF
_CARD: Final = 80
_IN_KEYWORDS: Final = np.isin(np.arange(256), list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_- "))
_MOST_HEADER_BLOCKS: Final = 1000


class Stream:
    """Bytes in order, counted."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._read = 0
        self.notes: list[str] = []
        self.is_rewritten = False

    def take(self, n: int) -> bytes:
        """The next bytes; fewer are an error."""
        content = self._file.read(n)
        if len(content) < n:
            raise ValueError("it is truncated: its headers promise more")
        self._count(n)
        return content

    def skip(self, n: int) -> None:
        """Leave out bytes; whether they are there, only what follows tells."""
        self._file.seek(n, io.SEEK_CUR)
        self._count(n)

    def _count(self, n: int) -> None:
        self._read += n
        if self._read > LARGEST_FILE:
            raise ValueError(f"it holds more than {LARGEST_FILE:,} bytes")

    def header(self, *, is_first: bool = False) -> bytes | None:
        """The blocks of a header; None at the end of the file."""
        start = b"SIMPLE  =" if is_first else b"XTENSION="
        blocks = [self._file.read(BLOCK)]
        if not blocks[0] or not (is_first or blocks[0].strip(b"\0 ")):
            self._check_end(len(blocks[0]))
            return None
        if not blocks[0].startswith(start):
            raise ValueError(
                "it does not begin as FITS"
                if is_first
                else f"after {self._read:,} bytes there is no header, where its headers say one is"
            )
        while True:
            if len(blocks[-1]) < BLOCK:
                raise ValueError("it is truncated inside a header")
            self._count(BLOCK)
            end = _end_card(blocks[-1])
            if end is not None:
                break
            if len(blocks) == _MOST_HEADER_BLOCKS:
                raise ValueError("it has a header without an end")
            blocks.append(self._file.read(BLOCK))
        content = b"".join(blocks)
        text = np.frombuffer(content[: len(content) - BLOCK + end], np.uint8)
        if ((text < 0x20) & (text != 0x09)).any():
            raise ValueError(f"the header after {self._read - len(content):,} bytes is not text")
        cards = text.reshape(-1, _CARD)
        filling = blocks[-1][end + _CARD :]
        if (text > 0x7E).any() or not _IN_KEYWORDS[cards[:, :8]].all() or filling.strip(b" "):
            self.notes.append(
                f"The header after {self._read - len(content):,} bytes has characters that FITS "
                f"does not know."
            )
        if filling.strip(b"\0 "):
            raise ValueError("a header goes on behind its end")
        return content

    def _check_end(self, n_empty: int) -> None:
        """Only empty bytes may follow the last data; some were read already."""
        while piece := self._file.read(PIECE):
            self._count(len(piece))
            if piece.strip(b"\0 "):
                raise ValueError("data that no header describes follow its last extension")
            n_empty += len(piece)
        if n_empty:
            self.notes.append(f"{plural(n_empty, 'empty byte')} follow the last extension.")


def _end_card(block: bytes) -> int | None:
    """Place of the card END in a block of a header."""
    place = block.find(b"END     ")
    while place >= 0:
        if place % _CARD == 0 and not block[place + 3 : place + _CARD].strip(b" "):
            return place
        place = block.find(b"END     ", place + 1)
    return None


def word_sum(content: bytes) -> int:
    """Sum of the big-endian words of 32 bits; missing bytes at the end are zeros."""
    whole = len(content) // 4 * 4
    total = int(np.frombuffer(content, ">u4", whole // 4).sum(dtype=np.uint64))
    rest = content[whole:]
    return total + int.from_bytes(rest + bytes(-len(rest) % 4), "big")


def folded(total: int) -> int:
    """A sum in ones' complement of 32 bits."""
    while total > ALL_ONES:
        total = (total & ALL_ONES) + (total >> 32)
    return total
