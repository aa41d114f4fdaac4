"""FITS tables: what was put in comes out, with units and checksums."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.io.fits.scripts import fitscheck
from astropy.table import Table as AstropyTable
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.catalogue.checks import parquet_problem
from exod.schemas import DERIVED, TABLES
from exod.schemas.columns import Column, Table
from exod.tablefiles import fits as tablefits
from exod.tablefiles.fits import fits_problem
from exod.tablefiles.fitsheads import fits_unit
from exod.tablefiles.writing import write_parquet, write_table

LONG = "A meaning that is longer than a card of the header can hold, " * 3 + "in which it ends"
COLUMNS = (
    Column("name", pa.string(), "", "Name"),
    Column("text", pa.string(), "", "Text", nullable=True),
    Column("ok", pa.bool_(), "", "True or false"),
    Column("maybe", pa.bool_(), "", "True, false or null", nullable=True),
    Column("short", pa.int16(), "ct", "Short"),
    Column("id", pa.int64(), "", "Identifier", nullable=True),
    Column("n", pa.int32(), "ct", "Number", nullable=True),
    Column("small", pa.int8(), "", "Small", nullable=True),
    Column("flux", pa.float32(), "erg / (cm2 s)", LONG, nullable=True),
    Column("ra_deg", pa.float64(), "deg", "Right ascension"),
    Column("rate", pa.float64(), "electron/s", "Rate"),
)
TABLE = Table("detections", "Détections", tuple(COLUMNS), ())
ROWS = [
    ["EXOD J0", "Étoile ★", True, True, 7, 2**62 + 1, -5, 3, 1.5, 359.9, 1.0],
    ["", None, False, None, -7, None, None, None, None, np.nan, np.nan],
    ["b", "", True, False, 0, -(2**62) - 1, 0, -3, np.nan, 0.0, -np.inf],
]
HEADER = {"ORIGIN": ("exod", "Who"), "NOBS": (3, "Observations")}


def arrow(rows) -> pa.Table:
    values = zip(*rows, strict=True) if rows else [[] for _ in COLUMNS]
    arrays = [pa.array(v, c.type) for v, c in zip(values, COLUMNS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=TABLE.schema)


def write_fits(path, table, rows, header) -> None:
    """Through a Parquet file, as tables of any size are."""
    parquet = path.with_suffix(".parquet")
    write_parquet(parquet, table, [rows])
    tablefits.write_fits(path, table, parquet, header)


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "detections.fits"
    write_fits(path, TABLE, arrow(ROWS), HEADER)
    return path


def test_what_was_put_in_comes_out(written):
    found = AstropyTable.read(written)
    assert found["name"].filled("").tolist() == ["EXOD J0", "", "b"]
    assert found["text"].filled("").tolist() == ["Etoile ?", "", ""]
    assert found["ok"].dtype == bool
    assert found["ok"].tolist() == [True, False, True]
    assert found["maybe"].tolist() == [1, None, 0]
    assert found["short"].tolist() == [7, -7, 0]
    assert found["id"].tolist() == [2**62 + 1, None, -(2**62) - 1]
    assert found["n"].tolist() == [-5, None, 0]
    assert found["small"].tolist() == [3, None, -3]
    np.testing.assert_array_equal(found["flux"].filled(np.nan), np.float32([1.5, np.nan, np.nan]))
    np.testing.assert_array_equal(found["ra_deg"].filled(np.nan), [359.9, np.nan, 0.0])
    assert {name: found[name].dtype.itemsize for name in ("flux", "short")} == {
        "flux": 4,
        "short": 2,
    }


def test_header_tells_units_meanings_and_provenance(written):
    with fits.open(written) as file:
        header = file[1].header
        assert file[1].name == "DETECTIONS"
        assert file[0].header["TITLE"] == "Detections"
        for part in file:
            assert (part.header["ORIGIN"], part.header["NOBS"]) == ("exod", 3)
    assert header["TCOMM9"] == LONG
    assert header["TUCD1"] == "meta.note"
    assert header["TUNIT9"] == "erg / (cm2 s)"
    assert header["TUNIT10"] == "deg"
    assert "TUNIT11" not in header
    assert header["TCOMM11"] == "Rate (electron/s)"
    assert header["TNULL6"] == -(2**63)
    assert "TNULL5" not in header


def test_files_are_verified(written):
    assert fits_problem(written, TABLE, 3) == ""
    assert fitscheck.main([str(written)]) == 0
    assert fits_problem(written, TABLE, 4) == "has 3 rows, not 4"
    fewer = Table("detections", "", TABLE.columns[1:], ())
    assert "other columns" in fits_problem(written, fewer, 3)
    units = [Column(c.name, c.type, "s" if c.name == "n" else c.unit, "") for c in COLUMNS]
    other = Table("detections", "", tuple(units), ())
    assert fits_problem(written, other, 3) == "has the unit ct of n, not s"


@pytest.mark.parametrize("place", [b"Identifier", b"EXOD J0"], ids=["header", "table"])
def test_damage_is_found(written, place):
    content = bytearray(written.read_bytes())
    content[content.index(place)] ^= 1
    written.write_bytes(content)
    assert "is damaged (checksum of DETECTIONS)" in fits_problem(written, TABLE, 3)
    written.write_bytes(content[:2000])
    assert "cannot be read again" in fits_problem(written, TABLE, 3)


def test_no_rows_are_a_valid_table(tmp_path):
    path = tmp_path / "detections.fits"
    write_fits(path, TABLE, arrow([]), HEADER)
    assert fits_problem(path, TABLE, 0) == ""
    assert AstropyTable.read(path).colnames == TABLE.schema.names


@settings(max_examples=portion(25))
@given(
    st.lists(
        st.tuples(
            st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=9),
            st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
            st.none() | st.floats(width=32),
            st.none() | st.booleans(),
        ),
        min_size=1,
        max_size=9,
    )
)
def test_any_rows_come_out(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("fits") / "detections.fits"
    text, number, flux, maybe = zip(*rows, strict=True)
    frame = pd.DataFrame({"name": text})
    whole = arrow([ROWS[0]] * len(frame))
    for name, values in {"name": text, "id": number, "flux": flux, "maybe": maybe}.items():
        field = whole.schema.field(name)
        place = whole.schema.get_field_index(name)
        whole = whole.set_column(place, field, pa.array(values, field.type))
    write_fits(path, TABLE, whole, {})
    assert fits_problem(path, TABLE, len(rows)) == ""
    assert fitscheck.main([str(path)]) == 0
    found = AstropyTable.read(path)
    assert np.ma.filled(found["name"], "").tolist() == list(text)
    assert found["id"].tolist() == list(number)
    assert found["maybe"].tolist() == [None if m is None else int(m) for m in maybe]
    expected = np.array([np.nan if f is None else f for f in flux], np.float32)
    np.testing.assert_array_equal(np.ma.filled(found["flux"], np.nan), expected)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("", None),
        ("deg", "deg"),
        ("ct/s", "ct/s"),
        ("erg/cm2/s", "erg s-1 cm-2"),
        ("parsnip", None),
    ],
)
def test_units_are_those_of_fits(unit, expected):
    assert fits_unit(unit) == expected


def test_parquet_is_verified(tmp_path):
    path = tmp_path / "detections.parquet"
    write_parquet(path, TABLE, [arrow(ROWS)])
    assert parquet_problem(path, TABLE, 3) == ""
    assert parquet_problem(path, TABLE, 2) == "has 3 rows, not 2"
    fewer = Table("detections", TABLE.description, TABLE.columns[1:], ())
    assert "other columns" in parquet_problem(path, fewer, 3)
    path.write_bytes(b"PAR1")
    assert "cannot be read again" in parquet_problem(path, TABLE, 3)


TIMED = [table.shown for table in (*TABLES.values(), *chain(*DERIVED.values()))]


@pytest.mark.parametrize("table", TIMED, ids=lambda table: table.name)
def test_headers_say_how_times_count(tmp_path, table):
    """Of every table that has some: mission elapsed times, or days only."""
    plain = replace(table, columns=tuple(c for c in table.columns if not pa.types.is_list(c.type)))
    write_table(tmp_path / "x.fits", plain, [plain.schema.empty_table()])
    header = fits.getheader(tmp_path / "x.fits", 1)
    mission = {"time", "t_lo", "t_start", "TIME_lo", "START", "time_lo", "time_min"}
    days = {"first_seen", "mjd"}
    names = set(plain.schema.names)
    keywords = [header.get(name) for name in ("MJDREF", "TIMESYS", "TIMEUNIT")]
    if names & mission:
        assert keywords == [50814.0, "TT", "s"]
    elif names & days:
        assert keywords == [0.0, "TT", "d"]
    else:
        assert keywords == [None] * 3
