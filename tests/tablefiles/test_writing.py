"""Tables that exod writes: every null comes back as null, every value as itself, in each format."""

import json
import math
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from astropy.table import Table as AstropyTable
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.schemas.columns import Column, Table
from exod.tablefiles.reading import ForeignTable
from exod.tablefiles.textcells import unguarded
from exod.tablefiles.writing import write_table

WHOLE = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FORMATS = ("csv", "ecsv", "fits", "parquet", "vot", "jsonl")


def extremes(name: str) -> st.SearchStrategy:
    low, high = (int(getattr(np.iinfo(name), end)) for end in ("min", "max"))
    edges = st.sampled_from([low, low + 1, high, high - 1, max(0, low)])
    return st.none() | edges | st.integers(low, high)


ODD = (
    "",
    "=1+1",
    "'=x",
    "+b",
    "-5",
    "007",
    "nan",
    "NA",
    "1e5",
    "True",
    "1.50",
    'a"b',
    "a,b",
    "<&>",
)
# Letters that every format has; a text is given back without the spaces around it.
LETTERS = st.characters(min_codepoint=33, max_codepoint=126)
VALUES = {
    **{name: extremes(name) for name in WHOLE},
    "float32": st.none() | st.floats(width=32, allow_nan=False, allow_subnormal=False),
    "float64": st.none() | st.floats(allow_nan=False, allow_subnormal=False),
    "bool": st.none() | st.booleans(),
    "string": st.none() | st.sampled_from(ODD) | st.text(LETTERS, max_size=6),
}
KINDS = {name: pa.type_for_alias(name) for name in VALUES}
TABLE = Table(
    "everything",
    "Every type",
    tuple(Column(name, kind, "", f"Of {name}", nullable=True) for name, kind in KINDS.items()),
    (),
)
ROWS = st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=6)


def write(path, rows) -> None:
    write_table(path, TABLE, [pa.Table.from_pylist(rows, schema=TABLE.schema)])


def as_others_read(path) -> list[dict]:
    """Rows of a file as astropy, pandas or json give them, None where a value is missing."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".csv":
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        frame["string"] = unguarded(pa.array(frame["string"].tolist())).to_pylist()
        return frame.to_dict("records")
    form = {".vot": "votable", ".fits": "fits", ".ecsv": "ascii.ecsv"}[path.suffix]
    table = AstropyTable.read(path, format=form)
    columns = []
    for name in table.colnames:
        both = zip(
            np.ma.getdata(table[name]).tolist(), np.ma.getmaskarray(table[name]), strict=True
        )
        columns.append([None if missing else value for value, missing in both])
    return [dict(zip(table.colnames, row, strict=True)) for row in zip(*columns, strict=True)]


def same(found, value, kind: str) -> bool:
    """Whether a value came back; missing text is empty and a missing number may be NaN."""
    found = found.decode() if isinstance(found, bytes) else found
    if kind == "string":
        return (found or "") == (value or "")
    if value is None or found in (None, ""):
        return found in (value, "") or (isinstance(found, float) and math.isnan(found))
    if isinstance(found, str):
        made = {"bool": lambda text: text == "True"} | dict.fromkeys(WHOLE, int)
        found = made.get(kind, float)(found)
    return np.float32(found) == np.float32(value) if kind == "float32" else found == value


@pytest.mark.parametrize("ending", FORMATS)
@settings(max_examples=portion(15))
@given(rows=ROWS)
def test_everything_comes_back(tmp_path_factory, ending, rows):
    path = tmp_path_factory.mktemp("written") / f"everything.{ending}"
    write(path, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        readings = [as_others_read(path)]
    # The reader of exod, which has a type for each column by itself.
    found = ForeignTable(path).batches(list(VALUES), as_text=["string"])
    readings.append(pa.concat_tables(found).to_pylist())
    for reading in readings:
        assert len(reading) == len(rows)
        for row, there in zip(rows, reading, strict=True):
            for name, value in row.items():
                has_no_infinity = ending == "jsonl" and value in (math.inf, -math.inf)
                assert same(there[name], None if has_no_infinity else value, name), (name, value)


@pytest.mark.parametrize("name", WHOLE)
def test_fits_has_a_null_that_no_row_has(tmp_path, name):
    """With both ends of the type, and all numbers near the lower one, taken."""
    limits = np.iinfo(name)
    low = int(limits.min)
    values = [None, *range(low, low + 5), min(int(limits.max), 2**63 - 1)]
    path = tmp_path / "n.fits"
    write(path, [{name: value} for value in values])
    assert AstropyTable.read(path)[name].tolist() == values


def test_unsigned_numbers_without_nulls_are_unsigned_in_fits(tmp_path):
    path = tmp_path / "n.fits"
    values = [2**64 - 1, 0, 2**63]
    write(path, [{"uint64": value} for value in values])
    with fits.open(path) as hdus:
        assert hdus[1].data["uint64"].tolist() == values
        assert hdus[1].header["TZERO8"] == 2**63


def test_truth_values_of_fits_are_truth_values_again(tmp_path):
    path = tmp_path / "n.fits"
    write(path, [{"bool": value} for value in (True, None, False)])
    (rows,) = ForeignTable(path).batches(["bool"])
    assert rows["bool"].to_pylist() == [True, None, False]


def test_letters_that_fits_has_not(tmp_path):
    path = tmp_path / "n.fits"
    table = Table(
        "caf\u00e9",
        "\u00c9t\u00e9",
        (Column("\u00e9t\u00e9", pa.int8(), "\u00b5Jy", "\u2605"),),
        (),
    )
    write_table(
        path, table, [pa.table({"\u00e9t\u00e9": pa.array([1], pa.int8())}).cast(table.schema)]
    )
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert (hdus[1].name, hdus[1].columns.names) == ("CAFE", ["ete"])
        assert hdus[1].columns.units == ["uJy"]


def test_a_text_of_a_votable_of_any_length(tmp_path):
    path = tmp_path / "n.vot"
    texts = ["a" * n for n in range(300)] + ["a\rb", "a\r\nb", "a\nb", "\x01", "\u2605]]>"]
    write(path, [{"string": text} for text in texts])
    assert list(AstropyTable.read(path)["string"]) == [*texts[:-2], "?", texts[-1]]


def test_a_votable_has_what_is_known_of_its_columns(tmp_path):
    path = tmp_path / "n.vot"
    columns = (
        Column("ra_deg", pa.float64(), "deg", "<Right> & ascension", ucd="pos.eq.ra"),
        Column("n", pa.uint64(), "ct", "", nullable=True),
    )
    table = Table("found", 'A "table"', columns, ())
    for large, kind in ((3, "long"), (2**64 - 1, "unicodeChar")):
        rows = pa.table({"ra_deg": [1.5, 2.5], "n": pa.array([None, large], pa.uint64())})
        rows = rows.cast(table.schema)
        write_table(path, table, [rows[:1], rows[1:]], overwrite=True)
        file = votable.parse(path, verify="exception")
        found = file.get_first_table()
        assert (found.name, found.description) == ("found", 'A "table"')
        assert [field.unit for field in found.fields] == ["deg", "ct"]
        assert (found.fields[0].ucd, found.fields[0].ref) == ("pos.eq.ra", "ICRS")
        assert found.fields[0].description == "<Right> & ascension"
        assert (found.fields[1].datatype, str(found.array["n"][1])) == (kind, str(large))
        assert found.array["n"].mask[0] or found.array["n"][0] == ""
