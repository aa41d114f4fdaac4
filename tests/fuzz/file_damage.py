"""Damage to files: packing, and what else can lie under the name of a list."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from fuzz.bases import Base, packed
from fuzz.byte_damage import delete, flip_bits, insert, noise, overwrite, truncate

Generator = np.random.Generator


@dataclass(frozen=True)
class Special:
    """What is no file: a "pipe", a "folder", or a "link" with its target."""

    kind: str
    target: str = ""


Files = dict[str, bytes | Special]


def damaged_gzip(generator: Generator, files: Files, target: str, base: Base) -> None:
    """A packed file with wrong bytes: in its header, its stream, its checksum or behind."""
    content = files[target]
    assert isinstance(content, bytes)
    content = packed(content, int(generator.choice([0, 1, 9])))
    kind = int(generator.integers(8))
    if kind == 0:
        content = content[: int(generator.integers(len(content)))]
    elif kind == 1:
        content += noise(generator, int(generator.integers(1, 300)))
    elif kind == 2:
        changed = bytearray(content)
        changed[-1 - int(generator.integers(8))] ^= 1 << int(generator.integers(8))
        content = bytes(changed)
    elif kind == 3:
        changed = bytearray(content)
        changed[int(generator.integers(10))] = int(generator.integers(256))
        content = bytes(changed)
    elif kind == 4:
        content = packed(content)
    elif kind == 5:
        content += packed(noise(generator, 2880))
    else:
        damages = (flip_bits, overwrite, insert, delete, truncate)
        content = damages[int(generator.integers(len(damages)))](generator, content)
    files[target] = content


@cache
def _zeros() -> bytes:
    return gzip.compress(bytes(1 << 24), 1, mtime=0)


def many_zeros(generator: Generator, files: Files, target: str, base: Base) -> None:
    """Many megabytes of zeros behind the content, packed to little."""
    content = files[target]
    assert isinstance(content, bytes)
    files[target] = packed(content) + _zeros()


def other_content(generator: Generator, files: Files, target: str, base: Base) -> None:
    """Another file under the name: a page of the web, text, nothing, another list."""
    others = [content for name, content in base.files.items() if name != target]
    choices = (b"", b"\0" * 2880, b"<html>404 Not found</html>", noise(generator, 5000), *others)
    files[target] = choices[int(generator.integers(len(choices)))]


def no_file(generator: Generator, files: Files, target: str, base: Base) -> None:
    """A pipe, a folder or a link under the name."""
    other = next(name for name in files if name != target)
    choices = (
        Special("pipe"),
        Special("folder"),
        Special("link", "nowhere"),
        Special("link", target),
        Special("link", other),
        Special("link", "/dev/zero"),
        Special("link", "."),
    )
    files[target] = choices[int(generator.integers(len(choices)))]


def second_file(generator: Generator, files: Files, target: str, base: Base) -> None:
    """Another file beside it, with the same content or one that was damaged."""
    content = files[target]
    assert isinstance(content, bytes)
    names = (target.replace("S0", "U0"), f"a_{target}", f"{target[:-4]}.fits", "image.fits")
    if generator.random() < 0.5:
        content = flip_bits(generator, content)
    files[names[int(generator.integers(len(names)))]] = content


DAMAGES: dict[str, tuple[int, Callable[[Generator, Files, str, Base], None]]] = {
    "damaged gzip": (8, damaged_gzip),
    "zeros without end": (1, many_zeros),
    "other content": (2, other_content),
    "no file": (2, no_file),
    "second file": (2, second_file),
}
