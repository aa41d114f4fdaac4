"""Rows in the place of earlier ones: the file has what one has that is written from nothing."""

from __future__ import annotations

import io
from functools import partial
from threading import Event

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.archive.derived import DerivedFile
from exod.stages.explore.lightcurves import changed_curves
from exod.stages.explore.merging import ChangedCurves, EarlierFile, Merging
from exod.stages.explore.writing import RowGroups, encoded

SCHEMA = pa.schema({"region_num": pa.int64(), "detid": pa.string(), "time": pa.float64()})

DETECTIONS = st.dictionaries(
    st.sampled_from([f"{letter}{number}" for letter in "ab" for number in range(6)]),
    st.tuples(st.integers(0, 9), st.integers(1, 5)),
)
"""The source of each detection, and how long its light curve is; `a` and `b` are observations."""


def curves(detections: dict[str, tuple[int, int]]) -> pa.Table:
    rows = sorted(
        (source, detid, float(frame))
        for detid, (source, frames) in detections.items()
        for frame in range(frames)
    )
    return pa.Table.from_pylist(
        [dict(zip(SCHEMA.names, row, strict=True)) for row in rows], schema=SCHEMA
    )


@given(DETECTIONS, DETECTIONS, st.integers(1, 7), st.integers(1, 9))
def test_rows_are_those_of_a_file_written_from_nothing(
    before: dict[str, tuple[int, int]],
    after: dict[str, tuple[int, int]],
    size: int,
    chunk: int,
) -> None:
    # The observation `a` has not changed.
    now = {detid: about for detid, about in after.items() if detid[0] == "b"}
    both = now | {detid: about for detid, about in before.items() if detid[0] == "a"}
    gone = [detid for detid in before if detid[0] == "b"]
    sources = {before[detid][0] for detid in gone} | {source for source, _ in now.values()}
    kept = ChangedCurves(("b",), pa.array(gone, pa.string()), np.array(sorted(sources), np.int64))
    new = curves(now)
    chunks = [new.slice(start, chunk) for start in range(0, len(new), chunk)]
    encode = partial(encoded, layout={})
    content = bytes(encode(curves(before), size))
    file = DerivedFile(
        path="", table="lightcurves", part="all", rows=len(curves(before)), bytes=len(content)
    )
    earlier, sink = EarlierFile(io.BytesIO(content), file), io.BytesIO()
    with RowGroups(sink, SCHEMA, size, encode, Event()) as groups:
        copied: list[int] = []
        Merging(iter(chunks), kept).write(
            earlier,
            groups.write,
            lambda group, data: (copied.append(group.rows), groups.copy(group, data)),
        )
        groups.finish()
    assert pq.read_table(io.BytesIO(sink.getvalue())).equals(curves(both))
    # What is of none of these sources was not decoded.
    pieces = (curves(before).slice(at, size) for at in range(0, len(curves(before)), size))
    ends = [piece["region_num"].to_pylist() for piece in pieces]
    clear = [p for p in ends if not any(p[0] <= source <= p[-1] for source in sources)]
    assert len(copied) <= len(clear)
    assert len(copied) >= len(clear) - len(sources)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("region_num", 7), ("srcid", "other"), ("obsid", "o2"), ("detid", "new")),
        *(("hr_event", 0.5), ("hr_event", np.nan), ("t_start", 1.0), ("t_bin", np.nan)),
    ],
)
def test_observations_of_which_a_row_is_another_are_read(column: str, value: object) -> None:
    before = pd.DataFrame(
        {
            "detid": [f"d{n}" for n in range(8)],
            "obsid": [f"o{n // 2}" for n in range(8)],
            "region_num": np.arange(8) // 3,
            "srcid": "name",
            **dict.fromkeys(("t_bin", "t_start", "t_stop"), 5.0),
            "hr_event": [0.0, np.nan] * 4,
        }
    )
    attempts = {f"o{n}": "1" for n in range(5)}
    same = changed_curves(before.sample(frac=1, random_state=1), before, attempts, attempts)
    assert same is not None
    assert (same.obsids, len(same.gone), len(same.sources)) == ((), 0, 0)
    row = 3 if column == "hr_event" and value == 0.5 else 2
    now = before.copy()
    now.loc[row, column] = value
    found = changed_curves(now, before, attempts, attempts)
    assert found is not None
    expected = ("o1", "o2") if column == "obsid" else ("o1",)
    assert found.obsids == expected
    assert {"d2", "d3"} <= set(found.gone.to_pylist())
    assert set(found.sources) >= {0, 1, now.loc[row, "region_num"]}
    again = changed_curves(before, before, {**attempts, "o4": "2"}, attempts)
    assert again is not None
    assert again.obsids == ("o4",)
    assert changed_curves(before, before, dict.fromkeys(attempts, "2"), attempts) is None
