"""Seals: what a file was when it was written, so that its readers notice if it is another now.

A disk or a transfer can change a bit, and a file can be swapped for another of its kind. A file of
Parquet does not show that: its own checksums leave out its statistics, which decide what is read.
So the digest of a file is kept where the file is named. A small file is read whole and compared; a
large one has a digest of each block besides, and of what is read the blocks are compared.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any, Final

from exod.errors import ArchiveError

BLOCK: Final = 1 << 18
"""Bytes of a block: of a column of a large file that is about what is read at once."""
SMALL_BLOCK: Final = 1 << 15
"""Bytes of a block of files of which one observation is read at a time, some 100 kB."""
DIGITS: Final = 16
"""Hexadecimal digits of a digest that are kept where there are many: 64 bits."""
WHOLE_BLOCKS: Final = 4
"""Up to so many blocks a file is read at once, which takes less than reading some of it."""
KEPT_BYTES: Final = 32 << 20
"""Blocks in memory, of one open file, if few are open."""


class DamagedError(ArchiveError):
    """A file is not what was written.

    Parameters
    ----------
    sentence : str
        What is wrong with which file, and what to do.
    fault : str
        What is wrong.
    """

    def __init__(self, sentence: str, fault: str = "") -> None:
        super().__init__(sentence)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Seal:
    """What a file was when it was written.

    Attributes
    ----------
    size : int
        In bytes.
    sha256 : str
        SHA-256 in hexadecimal digits, all or the first of them; empty if it is not known.
    blocks : str
        The first digits of that of each block, without anything between; empty if not known.
        Blocks are powers of two long, so that their number tells how long.

    Examples
    --------
    >>> seal = sealed(b"abc")
    >>> seal.fault(b"abc"), seal.fault(b"abd"), seal.fault(b"ab")
    ('', 'its content has another SHA-256', 'it has 2 bytes and had 3')
    """

    size: int
    sha256: str = ""
    blocks: str = ""

    @property
    def block(self) -> int:
        """Bytes of a block.

        Examples
        --------
        >>> digit = "0" * DIGITS
        >>> Seal(1000, blocks=2 * digit).block, Seal(1000, blocks=8 * digit).block
        (512, 128)
        """
        number = len(self.blocks) // DIGITS
        return 1 << (-(-self.size // max(number, 1)) - 1).bit_length()

    @property
    def is_read_whole(self) -> bool:
        """Whether the file is compared as a whole and not block by block."""
        return bool(self.sha256) and (not self.blocks or self.size <= WHOLE_BLOCKS * BLOCK)

    def fault(self, content: bytes) -> str:
        """What is wrong with the content of the file; empty if nothing is."""
        return self.fault_of_parts([content])

    def fault_of_parts(self, parts: Iterable[bytes]) -> str:
        """What is wrong with the content of the file, given in parts."""
        digest, size = hashlib.sha256(), 0
        for part in parts:
            digest.update(part)
            size += len(part)
        if size != self.size:
            return f"it has {size} bytes and had {self.size}"
        # An empty digest is not known: all strings begin with it.
        if not digest.hexdigest().startswith(self.sha256):
            return "its content has another SHA-256"
        return ""

    def fault_of_block(self, number: int, content: bytes) -> str:
        """What is wrong with a block."""
        digest = self.blocks[number * DIGITS : (number + 1) * DIGITS]
        if hashlib.sha256(content).hexdigest()[:DIGITS] != digest:
            return f"a part of it, from byte {number * self.block:,}, has another SHA-256"
        return ""


def sealed(content: bytes) -> Seal:
    """The seal of a small file, without blocks."""
    return Seal(len(content), hashlib.sha256(content).hexdigest())


class SealingFile(io.RawIOBase):
    """A file that is written from its beginning to its end, and sealed meanwhile.

    Parameters
    ----------
    file : file
        Open to write.
    block : int, optional
        Bytes of a block, a power of two; `BLOCK` without it.
    """

    def __init__(self, file: IO[bytes], block: int | None = None) -> None:
        self._file, self._length = file, block or BLOCK
        self._size = 0
        self._whole = hashlib.sha256()
        self._block = hashlib.sha256()
        self._blocks: list[str] = []

    def writable(self) -> bool:
        """Whether it can be written."""
        return True

    def tell(self) -> int:
        """How many bytes were written."""
        return self._size

    def write(self, data: Any) -> int:
        """Write at the end."""
        view = memoryview(data).cast("B")
        self._file.write(view)
        self._whole.update(view)
        start = 0
        while start < len(view):
            end = start + self._length - self._size % self._length
            part = view[start:end]
            self._block.update(part)
            self._size += len(part)
            start += len(part)
            if self._size % self._length == 0:
                self._end_block()
        return len(view)

    def _end_block(self) -> None:
        self._blocks.append(self._block.hexdigest()[:DIGITS])
        self._block = hashlib.sha256()

    def seal(self) -> Seal:
        """The seal of what was written, once all of it was."""
        if self._size % self._length:
            self._end_block()
        return Seal(self._size, self._whole.hexdigest(), "".join(self._blocks))


class SealedFile(io.RawIOBase):
    """A file that is read at any places, of which every block is compared with its seal.

    Parameters
    ----------
    fetch : callable
        Gives the bytes from one place to another.
    seal : Seal
        With the digests of its blocks.
    damaged : callable
        Makes the error for what is wrong.
    kept_bytes : int
        Of blocks that stay in memory.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], bytes],
        seal: Seal,
        damaged: Callable[[str], DamagedError],
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._fetch, self._seal, self._damaged = fetch, seal, damaged
        self._kept_bytes, self._block = kept_bytes, seal.block
        self._place = 0
        self._kept: dict[int, bytes] = {}

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read at any place."""
        return True

    def tell(self) -> int:
        """The place where it is read next."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._seal.size}
        self._place = start[whence] + offset
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """Read some bytes, or all that follow."""
        start = self._place
        end = self._seal.size if size is None or size < 0 else start + size
        end = min(end, self._seal.size)
        if end <= start:
            return b""
        block = self._block
        first, last = start // block, -(-end // block)
        self._load(first, last)
        parts = (
            self._kept[number][max(start - number * block, 0) : end - number * block]
            for number in range(first, last)
        )
        found = b"".join(parts)
        self._place = end
        self._forget()
        return found

    def readinto(self, target: Any) -> int:
        """Read as many bytes as the target takes."""
        found = self.read(len(target))
        target[: len(found)] = found
        return len(found)

    def _load(self, first: int, last: int) -> None:
        """Read and compare the blocks that are not there yet, at once."""
        missing = [number for number in range(first, last) if number not in self._kept]
        if not missing:
            return
        length = self._block
        start, end = missing[0] * length, min((missing[-1] + 1) * length, self._seal.size)
        content = self._fetch(start, end)
        if len(content) != end - start:
            raise self._damaged(f"it ends before byte {end:,} and had {self._seal.size:,} bytes")
        for number in range(missing[0], missing[-1] + 1):
            block = content[number * length - start : (number + 1) * length - start]
            if fault := self._seal.fault_of_block(number, block):
                raise self._damaged(fault)
            self._kept[number] = block

    def _forget(self) -> None:
        while len(self._kept) * self._block > self._kept_bytes:
            del self._kept[next(iter(self._kept))]


_SEALED_TEXT: Final = re.compile(rb'\{"sha256": "([0-9a-f]{64})",')


def seal_text(text: bytes) -> bytes:
    """JSON text of an object, with the SHA-256 of the rest as its first value.

    Examples
    --------
    >>> whole = seal_text(b'{"n": 1}')
    >>> whole[:14], open_text(whole)
    (b'{"sha256": "e5', b'{"n": 1}')
    """
    return b'{"sha256": "%s",%s' % (hashlib.sha256(text).hexdigest().encode(), text[1:])


def open_text(text: bytes) -> bytes:
    """What `seal_text` was given; texts of earlier versions have no digest and stay as they are.

    Raises
    ------
    ValueError
        If it is another text.
    """
    found = _SEALED_TEXT.match(text)
    if not found:
        return text
    rest = b"{" + text[found.end() :]
    if hashlib.sha256(rest).hexdigest().encode() != found[1]:
        raise ValueError("its content has another SHA-256")
    return rest
