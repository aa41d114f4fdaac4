"""Rows sorted in groups and merged in pieces are those that are sorted at once."""

from __future__ import annotations

import tempfile

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.archive.questions import sorting
from exod.archive.questions.sorting import rows_by_place

PLACES = st.lists(st.lists(st.integers(-3, 6), max_size=9), max_size=9)


@given(PLACES, st.integers(1, 12), st.integers(1, 9), st.integers(1, 3))
def test_pieces_are_the_rows_in_order(
    chunks: list[list[int]], size: int, group_rows: int, copied: int
) -> None:
    places = np.array([place for chunk in chunks for place in chunk], np.int64)
    names = [f"{number * 7 % 5}" for number in range(len(places))]
    x = [None if number % 3 else number / 2 for number in range(len(places))]
    rows = pa.table({"place": places, "name": names, "x": pa.array(x, pa.float64())})
    starts = np.cumsum([0, *map(len, chunks)]).tolist()
    parts = [rows.slice(start, len(chunk)) for start, chunk in zip(starts, chunks, strict=False)]
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryFile() as scratch:
        patched.setattr(sorting, "GROUP_ROWS", group_rows)
        patched.setattr(sorting, "_COPIED_GROUPS", copied)
        found = [
            *rows_by_place(
                parts,
                lambda batch: batch["place"].to_numpy(),
                ["name"],
                lambda n: size if n == len(places) else 0,
                scratch,
            )
        ]
    order = sorted(range(len(places)), key=lambda row: (places[row], names[row], row))
    whole = [row for piece, _ in found for row in piece.to_pylist()]
    assert whole == rows.take(pa.array(order, pa.int64())).to_pylist()
    assert [int(place) for _, own in found for place in own] == [row["place"] for row in whole]
    assert all(len(piece) == size for piece, _ in found[:-1])
    assert all(0 < len(piece) == len(own) <= size for piece, own in found)
