"""Numbers of light curves, by which pages find those that look alike; made in passing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exod.archive.questions.detections import detections
from exod.archive.snapshot import Snapshot
from exod.schemas.explorer import NEIGHBOURS
from exod.sources.vetting.features import Curves
from exod.sources.vetting.similar import CurveEvents, similarity_numbers
from exod.stages.explore.coverage import read_columns

NEIGHBOUR_ROWS: Final = 122_880
"""Rows of a row group: all are read together."""

_EVENT = ("detid", "region_num", "srcid", "t_bin", "t_start", "t_stop", "hr_event")


class SimilarCurves:
    """The numbers of all light curves of an archive, made while their rows pass.

    Parameters
    ----------
    snapshot : Snapshot
        The archive, with sources and features.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        rows = detections(snapshot, ("members", "features"))
        self._events = read_columns(rows, *_EVENT).set_index("detid")
        self._parts: list[pa.Table] = [NEIGHBOURS.schema.empty_table()]

    def watched(self, chunks: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The same rows of light curves, which are in order of source, region and time."""
        rest: pa.Table | None = None
        for chunk in chunks:
            yield chunk
            rows = chunk if rest is None else pa.concat_tables([rest, chunk])
            rest = self._without_last(rows)
        if rest is not None and len(rest):
            self._add(rest)

    def rows(self, earlier: Sequence[pa.Table] = ()) -> Iterator[pa.Table]:
        """Rows of `exod.schemas.explorer.NEIGHBOURS` of the light curves that have passed.

        Parameters
        ----------
        earlier : sequence of pyarrow.Table
            Such rows of others.
        """
        whole = pa.concat_tables([*earlier, *self._parts])
        if earlier:
            whole = whole.sort_by([(name, "ascending") for name in NEIGHBOURS.sort_by])
        yield whole

    def _without_last(self, rows: pa.Table) -> pa.Table:
        """Take all light curves but the last, which may go on; its rows."""
        if not len(rows):
            return rows
        runs = pc.run_end_encode(rows["detid"].combine_chunks(), run_end_type=pa.int64())
        ends = runs.run_ends.to_numpy()
        whole = int(ends[-2]) if len(ends) > 1 else 0
        if whole:
            self._add(rows.slice(0, whole))
        return rows.slice(whole)

    def _add(self, rows: pa.Table) -> None:
        runs = pc.run_end_encode(rows["detid"].combine_chunks(), run_end_type=pa.int64())
        detids, ends = runs.values.to_pylist(), runs.run_ends.to_numpy()
        offsets = np.r_[0, ends]
        events = self._events.reindex(detids)
        known = events["region_num"].notna().to_numpy()
        column = {name: rows[name].to_numpy(zero_copy_only=False) for name in rows.schema.names}
        curves = Curves(
            offsets,
            events["t_bin"].to_numpy(float),
            column["n"],
            column["mu"],
            *(column[name].astype(bool) for name in ("bti", "bccd")),
            *(column[name].astype(float) for name in ("B_peak_log", "B_eclipse_log")),
        )
        zero = column["time"][offsets[:-1]]
        start, stop = (events[name].to_numpy(float) - zero for name in ("t_start", "t_stop"))
        own = CurveEvents(start, stop, events["hr_event"].to_numpy(float))
        numbers = similarity_numbers(curves, own)[known]
        columns = [
            pa.array(events["region_num"].to_numpy()[known].astype(np.int64)),
            pa.array(events["srcid"].to_numpy(object)[known], pa.string()),
            pa.array(np.array(detids, object)[known], pa.string()),
            *map(pa.array, numbers.T),
        ]
        self._parts.append(pa.Table.from_arrays(columns, schema=NEIGHBOURS.schema))
