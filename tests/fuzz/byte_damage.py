"""Damage to bytes, wherever they are: what disks, cables and careless programs do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fuzz import layout
from fuzz.layout import BLOCK

Generator = np.random.Generator


def span(generator: Generator, content: bytes) -> tuple[int, int]:
    """First byte and end of a part of the file: a header, data, padding, or all."""
    hdus = layout.before_fault(content)
    tables = [hdu for hdu in hdus if hdu.is_table]
    if not tables or generator.random() < 0.15:
        return 0, len(content)
    hdu = tables[0] if generator.random() < 0.8 else hdus[int(generator.integers(len(hdus)))]
    part = generator.choice(["header", "data", "padding", "end"], p=[0.35, 0.45, 0.1, 0.1])
    ends = {
        "header": (hdu.start, hdu.data),
        "data": (hdu.data, hdu.data + hdu.size),
        "padding": (hdu.data + hdu.size, hdu.stop),
        "end": (max(hdu.stop - 300, hdu.start), min(hdu.stop + 300, len(content))),
    }[str(part)]
    return ends if ends[1] > ends[0] else (hdu.start, hdu.stop)


def place_in(generator: Generator, content: bytes) -> int:
    low, high = span(generator, content)
    return int(generator.integers(low, max(high, low + 1)))


def noise(generator: Generator, n: int) -> bytes:
    """Bytes: any, one repeated, zeros, blanks or text."""
    kind = int(generator.integers(4))
    if kind == 0:
        return bytes(generator.integers(0, 256, n, np.uint8))
    if kind == 1:
        return bytes([int(generator.integers(256))]) * n
    return bytes(n) if kind == 2 else bytes(generator.integers(32, 127, n, np.uint8))


def length(generator: Generator) -> int:
    """How many bytes: from one to some thousands, short ones more often."""
    return int(2 ** generator.uniform(0, 13))


def flip_bits(generator: Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(int(generator.integers(1, 4))):
        if changed:
            changed[place_in(generator, content)] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def overwrite(generator: Generator, content: bytes) -> bytes:
    place = place_in(generator, content)
    new = noise(generator, min(length(generator), len(content) - place))
    return content[:place] + new + content[place + len(new) :]


def insert(generator: Generator, content: bytes) -> bytes:
    place = place_in(generator, content)
    return content[:place] + noise(generator, length(generator)) + content[place:]


def delete(generator: Generator, content: bytes) -> bytes:
    place = place_in(generator, content)
    return content[:place] + content[place + length(generator) :]


def shift(generator: Generator, content: bytes) -> bytes:
    """Insert some bytes and delete as many elsewhere, so that the size stays."""
    first, second = sorted((place_in(generator, content), place_in(generator, content)))
    n = min(length(generator), max(second - first, 1))
    if generator.random() < 0.5:
        return content[:first] + content[first + n : second] + bytes(n) + content[second:]
    middle = content[first : max(second - n, first)]
    return (
        content[:first]
        + noise(generator, second - first - len(middle))
        + middle
        + (content[second:])
    )


def truncate(generator: Generator, content: bytes) -> bytes:
    place = place_in(generator, content)
    if generator.random() < 0.3:
        place = place // BLOCK * BLOCK
    return content[:place]


def append(generator: Generator, content: bytes) -> bytes:
    n = BLOCK if generator.random() < 0.5 else length(generator)
    if generator.random() < 0.3:
        return content + content[-n:]
    return content + noise(generator, n)


def _blocks(content: bytes) -> list[bytes]:
    return [content[i : i + BLOCK] for i in range(0, len(content), BLOCK)]


def move_block(generator: Generator, content: bytes) -> bytes:
    blocks = _blocks(content)
    if len(blocks) > 1:
        block = blocks.pop(int(generator.integers(len(blocks))))
        blocks.insert(int(generator.integers(len(blocks) + 1)), block)
    return b"".join(blocks)


def repeat_block(generator: Generator, content: bytes) -> bytes:
    blocks = _blocks(content)
    if blocks:
        i = int(generator.integers(len(blocks)))
        if generator.random() < 0.5:
            blocks.insert(i, blocks[i])
        else:
            blocks[int(generator.integers(len(blocks)))] = blocks[i]
    return b"".join(blocks)


def drop_block(generator: Generator, content: bytes) -> bytes:
    blocks = _blocks(content)
    if blocks:
        first = int(generator.integers(len(blocks)))
        del blocks[first : first + int(generator.integers(1, 4))]
    return b"".join(blocks)


DAMAGES: dict[str, tuple[int, Callable[[Generator, bytes], bytes]]] = {
    "flipped bits": (10, flip_bits),
    "overwritten bytes": (8, overwrite),
    "inserted bytes": (8, insert),
    "deleted bytes": (8, delete),
    "shifted bytes": (6, shift),
    "truncation": (5, truncate),
    "appended bytes": (3, append),
    "moved block": (3, move_block),
    "repeated block": (3, repeat_block),
    "dropped blocks": (4, drop_block),
}
