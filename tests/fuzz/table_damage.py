"""Damage to tables: values of columns, rows, and whole extensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fuzz import layout
from fuzz.byte_damage import noise
from fuzz.card_damage import card, keyword_of, with_cards
from fuzz.layout import BLOCK, Hdu

Generator = np.random.Generator


def _table(generator: Generator, content: bytes) -> Hdu | None:
    """The first table with rows, or sometimes another."""
    tables = [h for h in layout.before_fault(content) if h.is_table and h.values["NAXIS2"]]
    if not tables:
        return None
    return tables[0] if generator.random() < 0.85 else tables[int(generator.integers(len(tables)))]


def _which(generator: Generator, n_rows: int) -> np.ndarray[Any, Any]:
    """Rows: one, a few, a share of all, or all."""
    shares = (1 / n_rows, 3 / n_rows, 0.005, 0.05, 0.5, 1.0)
    n = int(n_rows * shares[int(generator.integers(len(shares)))])
    n = min(max(n, 1), n_rows)
    return np.sort(generator.choice(n_rows, n, replace=False))


def new_values(generator: Generator, content: bytes) -> bytes:
    hdu = _table(generator, content)
    if hdu is None:
        return content
    known = [c for c in layout.columns(hdu) if c.code in layout.DTYPES and c.repeat == 1]
    column = known[int(generator.integers(len(known)))]
    changed = np.frombuffer(content, np.uint8).copy()
    values = layout.stored(changed, hdu, column)
    which = _which(generator, len(values))
    values[which] = _other(generator, values, which)
    return changed.tobytes()


def _other(
    generator: Generator, values: np.ndarray[Any, Any], which: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Other values for some rows of a column."""
    is_float = values.dtype.kind == "f"
    old = values[which]
    kind = int(generator.integers(7))
    if kind == 0:
        return generator.permutation(values)[: len(which)]
    if kind == 1:
        return old[::-1]
    if kind == 2:
        return old.byteswap()
    if kind == 3:
        step = generator.choice([-1e4, -100, -1, 1, 100, 1e4])
        return (old.astype(float) + step).astype(values.dtype)
    if kind == 4:
        raw = noise(generator, len(which) * values.dtype.itemsize)
        return np.frombuffer(raw, values.dtype)
    if is_float:
        extremes = np.array([np.nan, np.inf, -np.inf, 0, -1, 1e300, -1e30, 1e-300])
    else:
        limits = np.iinfo(values.dtype)
        extremes = np.array([0, limits.min, limits.max, 1, limits.max - 1, 200 % limits.max])
    with np.errstate(over="ignore"):
        return np.full(len(which), generator.choice(extremes)).astype(values.dtype)


def _rows(content: bytes, hdu: Hdu) -> np.ndarray[Any, Any]:
    n, width = hdu.values["NAXIS2"], hdu.values["NAXIS1"]
    return np.frombuffer(content, np.uint8, n * width, hdu.data).reshape(n, width)


def _with_rows(
    content: bytes, hdu: Hdu, rows: np.ndarray[Any, Any], *, is_counted: bool, is_filled: bool
) -> bytes:
    lines = layout.cards(content, hdu)
    if is_counted:
        number = card("NAXIS2", str(len(rows)), is_text=False)
        lines = [number if keyword_of(line) == "NAXIS2" else line for line in lines]
    rest = bytes(-rows.size % BLOCK) if is_filled else content[hdu.data + hdu.size : hdu.stop]
    head = content[: hdu.start] + layout.header(lines)
    return head + rows.tobytes() + rest + content[hdu.stop :]


def other_rows(generator: Generator, content: bytes) -> bytes:
    """Rows dropped, repeated or in another order; counted or not, the block filled or not."""
    hdu = _table(generator, content)
    if hdu is None:
        return content
    rows = _rows(content, hdu)
    n = len(rows)
    which = _which(generator, n)
    orders = (
        np.delete(np.arange(n), which),
        np.sort(np.concatenate([np.arange(n), which])),
        generator.permutation(n),
        np.concatenate([np.arange(n), which]),
        np.arange(n)[::-1],
        np.arange(n - len(which)),
    )
    order = orders[int(generator.integers(len(orders)))]
    is_counted, is_filled = bool(generator.random() < 0.4), bool(generator.random() < 0.7)
    return _with_rows(content, hdu, rows[order], is_counted=is_counted, is_filled=is_filled)


def fewer_counted(generator: Generator, content: bytes) -> bytes:
    """A number of rows that is not that of the data."""
    hdu = _table(generator, content)
    if hdu is None:
        return content
    n = hdu.values["NAXIS2"]
    numbers = (n - 1, n + 1, n // 2, 2 * n, 0, n - 100, n + 100, 1)
    number = max(numbers[int(generator.integers(len(numbers)))], 0)
    line = card("NAXIS2", str(number), is_text=False)
    lines = [line if keyword_of(c) == "NAXIS2" else c for c in layout.cards(content, hdu)]
    return with_cards(content, hdu, lines)


def _pieces(content: bytes) -> tuple[list[bytes], bytes]:
    """The extensions with the primary header as the first, and what follows them."""
    hdus = layout.before_fault(content)
    end = hdus[-1].stop if hdus else 0
    return [content[hdu.start : hdu.stop] for hdu in hdus], content[end:]


def dropped_extension(generator: Generator, content: bytes) -> bytes:
    pieces, rest = _pieces(content)
    if len(pieces) > 1:
        del pieces[int(generator.integers(1, len(pieces)))]
    return b"".join(pieces) + rest


def moved_extension(generator: Generator, content: bytes) -> bytes:
    pieces, rest = _pieces(content)
    if len(pieces) > 1:
        piece = pieces.pop(int(generator.integers(len(pieces))))
        pieces.insert(int(generator.integers(len(pieces) + 1)), piece)
    return b"".join(pieces) + rest


def repeated_extension(generator: Generator, content: bytes) -> bytes:
    """An extension again, as it was or with other values."""
    pieces, rest = _pieces(content)
    if len(pieces) > 1:
        i = int(generator.integers(1, len(pieces)))
        again = pieces[i]
        if generator.random() < 0.5:
            again = new_values(generator, pieces[0] + again)[len(pieces[0]) :]
        pieces.insert(int(generator.integers(1, len(pieces) + 1)), again)
    return b"".join(pieces) + rest


def renamed_extension(generator: Generator, content: bytes) -> bytes:
    hdus = [hdu for hdu in layout.before_fault(content) if hdu.name]
    if not hdus:
        return content
    hdu = hdus[int(generator.integers(len(hdus)))]
    names = [*(other.name for other in hdus), "EVENTZ", "stdgti01", "EXPOSU99", ""]
    line = card("EXTNAME", str(generator.choice(names)), is_text=True)
    lines = [line if keyword_of(c) == "EXTNAME" else c for c in layout.cards(content, hdu)]
    return with_cards(content, hdu, lines)


def image_instead(generator: Generator, content: bytes) -> bytes:
    """An extension replaced by an image of its name."""
    hdus = [hdu for hdu in layout.before_fault(content) if hdu.is_table]
    if not hdus:
        return content
    hdu = hdus[int(generator.integers(len(hdus)))]
    values = {"XTENSION": "IMAGE", "BITPIX": "16", "NAXIS": "2", "NAXIS1": "3", "NAXIS2": "3"}
    values |= {"PCOUNT": "0", "GCOUNT": "1", "EXTNAME": hdu.name}
    texts = {"XTENSION", "EXTNAME"}
    lines = [card(key, value, is_text=key in texts) for key, value in values.items()]
    image = layout.header(lines) + bytes(18).ljust(BLOCK, b"\0")
    return content[: hdu.start] + image + content[hdu.stop :]


DAMAGES: dict[str, tuple[int, Callable[[Generator, bytes], bytes]]] = {
    "new values of a column": (14, new_values),
    "other rows": (6, other_rows),
    "other number of rows": (5, fewer_counted),
    "dropped extension": (2, dropped_extension),
    "moved extension": (2, moved_extension),
    "repeated extension": (3, repeated_extension),
    "renamed extension": (3, renamed_extension),
    "image for a table": (1, image_instead),
}
