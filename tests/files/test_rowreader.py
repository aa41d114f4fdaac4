"""Rows of a Parquet file by their numbers: read anew, from pieces, or from whole columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.files import rowreader
from exod.files.rowreader import RowReader

ROWS, GROUP = 100, 16


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "some.parquet"
    values = [None if row % 7 == 0 else row / 3 for row in range(ROWS)]
    words = [None if row % 5 == 0 else f"row {row}" for row in range(ROWS)]
    lists = [[row] * (row % 3) for row in range(ROWS)]
    table = pa.table({"value": values, "word": words, "list": lists, "own": range(ROWS)})
    pq.write_table(table, path, row_group_size=GROUP)
    return path


WANTED = st.lists(
    st.tuples(
        st.lists(st.integers(0, ROWS - 1), max_size=12),
        st.lists(st.sampled_from(["value", "word", "list", "own"]), min_size=1, max_size=5),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("kept", [0, 1_500, 1 << 20])
@settings(max_examples=40, deadline=None)
@given(asked=WANTED)
def test_any_questions_after_each_other_are_answered_as_by_the_whole_table(
    path: Path, kept: int, asked: list[tuple[list[int], list[str]]]
) -> None:
    whole = pq.read_table(path)
    with pytest.MonkeyPatch.context() as patch, pq.ParquetFile(path) as file:
        patch.setattr(rowreader, "KEPT_BYTES", kept)
        reader = RowReader(file)
        for numbers, columns in asked:
            found = reader.at(np.array(numbers, np.int64), columns)
            wanted = whole.select([*dict.fromkeys(columns)]).take(pa.array(numbers, pa.int64()))
            assert found.to_pylist() == wanted.to_pylist()
            assert found.schema == wanted.schema
            owner = numbers[0] if numbers else 3
            beside = reader.where("own", owner, columns)
            assert beside.to_pylist() == wanted.slice(0, 1).to_pylist() or not numbers


def test_columns_of_which_all_was_read_are_not_read_again(path: Path) -> None:
    with pq.ParquetFile(path) as file:
        reader = RowReader(file)
        reader.at(np.arange(ROWS), ["word", "own"])
    # The file is closed: what is not in memory would be an error.
    assert reader.at(np.array([99, 0, 99]), ["own", "word"]).to_pydict() == {
        "own": [99, 0, 99],
        "word": ["row 99", None, "row 99"],
    }
    assert reader.where("own", 17, ["word"]).to_pydict() == {"word": ["row 17"]}
