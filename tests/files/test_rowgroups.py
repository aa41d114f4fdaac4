"""Groups of rows of several files in one: the file is that of a single writer, byte for byte."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import ArchiveError
from exod.files.rowgroups import JoinedFile, footer_bytes, footer_of


def written(rows: pa.Table, **layout: object) -> bytes:
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, rows.schema, **layout) as file:
        if len(rows):
            file.write_table(rows, row_group_size=7)
    return sink.getvalue()


def some(rows: int) -> pa.Table:
    numbers = np.arange(rows)
    return pa.table(
        {
            "n": numbers,
            "x": pa.array([None if n % 3 == 0 else n / 7 for n in numbers], pa.float64()),
            "name": [f"{n % 5}" for n in numbers],
            "is": pa.array([bool(n % 2) for n in numbers], pa.bool_()),
            "list": pa.array([[1.0] * (n % 3) for n in numbers], pa.list_(pa.float32())),
        }
    )


@given(
    st.lists(st.integers(1, 20), max_size=5),
    st.sampled_from(["zstd", "none"]),
    st.booleans() | st.just(["n"]),
    st.booleans(),
)
def test_a_joined_file_is_that_of_one_writer(
    groups: list[int], compression: str, statistics: bool | list[str], dictionary: bool
) -> None:
    layout = {
        "compression": compression,
        "write_statistics": statistics,
        "use_dictionary": dictionary,
    }
    ends = 7 * np.cumsum([0, *groups])
    rows = some(max(int(ends[-1]) - 3, 0))
    sink = io.BytesIO()
    joined = JoinedFile(sink, written(rows.slice(0, 0), **layout))
    for start, end in pairwise(ends.tolist()):
        part = written(rows.slice(start, end - start), **layout)
        assert joined.fits(footer_of(part))
        joined.add(part, footer_of(part[-footer_bytes(part) :]))
    joined.close()
    assert joined.rows == len(rows)
    assert sink.getvalue() == written(rows, **layout)


def test_some_groups_of_a_file_in_another_order() -> None:
    rows = some(30)
    content = written(rows)
    footer = footer_of(content)
    sink = io.BytesIO()
    joined = JoinedFile(sink, written(rows.slice(0, 0)))
    for few in (footer.groups[3:], footer.groups[1:3]):
        joined.copy(few, content[few[0].start : few[-1].start + few[-1].size])
    joined.close()
    wanted = pa.concat_tables([rows.slice(21), rows.slice(7, 14)])
    assert pq.read_table(io.BytesIO(sink.getvalue())).equals(wanted)


def test_files_of_other_columns_do_not_fit() -> None:
    joined = JoinedFile(io.BytesIO(), written(some(0)))
    assert not joined.fits(footer_of(written(some(3).drop_columns("x"))))


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1",
        b"no file of any kind",
        written(some(3))[-12:],
        written(some(3), write_page_index=True),
        b"PAR1" + bytes(40) + (40).to_bytes(4, "little") + b"PAR1",
    ],
)
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    with pytest.raises(ArchiveError):
        footer_of(content)
