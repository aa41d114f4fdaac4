"""Rows within rows: a struct of lists, as nested-pandas stores tables in a column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exod.schemas.columns import Column


def nested_type(columns: Sequence[Column]) -> pa.StructType:
    """The Arrow type of a column with tables of these columns."""
    return pa.struct([pa.field(column.name, pa.list_(column.type)) for column in columns])


def nest(
    rows: pa.Table, key: str, keys: pa.Array, columns: Sequence[Column], order: str
) -> pa.StructArray:
    """Gather rows under the key that they belong to.

    Parameters
    ----------
    rows : pyarrow.Table
        With the column `key`, the column `order` and `columns`.
    key : str
        Column that says where a row belongs.
    keys : pyarrow.Array, shape (n,)
        Different values of the key.
    columns : sequence of Column
        What is kept of the rows.
    order : str
        Column by which the rows of a key are sorted.

    Returns
    -------
    pyarrow.StructArray, shape (n,)
        The rows of each key; empty lists if it has none. Rows of other keys are left out.

    Examples
    --------
    >>> rows = pa.table({"id": ["b", "a", "b"], "t": [2.0, 1.0, 0.0]})
    >>> t = Column("t", pa.float64(), "s", "")
    >>> nest(rows, "id", pa.array(["a", "b", "c"]), [t], "t").to_pylist()
    [{'t': [1.0]}, {'t': [0.0, 2.0]}, {'t': []}]
    """
    place = pc.index_in(rows[key], value_set=keys)
    rows = rows.append_column("__place", place).filter(pc.is_valid(place))
    rows = rows.sort_by([("__place", "ascending"), (order, "ascending")])
    counts = np.bincount(rows["__place"].to_numpy().astype(np.int64), minlength=len(keys))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    type_ = nested_type(columns)
    lists = []
    for column in columns:
        flat = rows[column.name].combine_chunks()
        lists.append(pa.ListArray.from_arrays(offsets, flat.cast(column.type)))
    return pa.StructArray.from_arrays(lists, fields=[type_.field(i) for i in range(len(lists))])
