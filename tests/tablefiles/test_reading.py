"""Tables of other programs: text stays text, nulls are nulls, no column is lost without a note."""

import gzip
import os
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time, TimeDelta
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.errors import InputError
from exod.tablefiles import unpacking
from exod.tablefiles.reading import ForeignTable
from exod.tablefiles.textcells import guarded, texts, typed, unguarded

INTEGERS = {"B": "u1", "I": "i2", "J": "i4", "K": "i8"}


def rows_of(path, **options) -> pa.Table:
    file = ForeignTable(path)
    return pa.concat_tables(file.batches([column.name for column in file.columns], **options))


def column_of(path, name: str) -> list:
    return rows_of(path)[name].to_pylist()


# ---------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["0001730201", "0900000101"], "string"),
        (["1", "01"], "string"),
        (["007", "1.5"], "string"),
        (["1730201", "1730202", ""], "int64"),
        (["5853498713190525696", "-1"], "int64"),
        (["18446744073709551615", "1"], "uint64"),
        (["18446744073709551616", "1"], "string"),
        (["18446744073709551615", "-1"], "string"),
        (["12345678901234567890", "1.5"], "string"),
        (["1e5", "2E7"], "string"),
        (["12345", "1e5"], "string"),
        (["1.0e5", "2E7"], "double"),
        (["1e-5", "3"], "double"),
        (["1D-5", "+3.5", "NaN", ""], "double"),
        (["+53.1", "-0.5", ".5", "05.25"], "double"),
        (["1.5", "inf", "-Infinity"], "double"),
        (["nan", "NA", "inf"], "string"),
        (["NA", "Na I"], "string"),
        (["nan", "1.5"], "double"),
        (["True", "False", ""], "bool"),
        (["True", "maybe"], "string"),
        (["T", "F"], "string"),
        (["0x1F", "1_000"], "string"),
        (["2020-01-01"], "string"),
        (["12:34:56"], "string"),
        (["\u0661\u0662"], "string"),
        (["", ""], "string"),
    ],
)
def test_a_column_is_numbers_only_if_that_loses_nothing(cells, kind):
    found = typed(pa.array(cells))
    assert str(found.type) == kind
    if kind == "string":
        assert found.to_pylist() == [cell or None for cell in cells]


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)))
def test_typed_cells_are_the_numbers_that_python_reads(cells):
    """The independent reader: int and float of Python, cell by cell."""
    column = pa.array(cells, pa.string())
    for cell, value in zip(texts(column).to_pylist(), typed(column).to_pylist(), strict=True):
        if isinstance(value, bool):
            assert str(value).lower() == cell.lower()
        elif isinstance(value, int):
            assert cell.lstrip("+") == str(value)
        elif isinstance(value, float):
            assert float(cell.replace("d", "e").replace("D", "e")) == value
        elif value is not None:
            assert value == cell


@given(st.lists(st.text(max_size=5) | st.from_regex("'?[=+@-][a1.'e=-]*", fullmatch=True)))
def test_guarded_cells_come_back(cells):
    safe = [guarded(cell) for cell in cells]
    assert unguarded(pa.array(safe, pa.string())).to_pylist() == cells
    assert not {cell[0] for cell in safe if cell} & set("=@\t\r")


@pytest.mark.parametrize("cell", ["-1", "+5.2e3", "-", "Vega", "", "1=1"])
def test_harmless_cells_stay(cell):
    assert guarded(cell) == cell


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "-a"])
def test_cells_that_are_computed_are_guarded(cell):
    assert guarded(cell) == f"'{cell}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_of_every_program(tmp_path, encoding, separator):
    lines = ["# by a program", "OBS_ID,ra,name", '"0001730201",10.5,\u00e9', "0000000002,11,", ""]
    text = "\r\n".join(lines).replace(",", separator)
    path = tmp_path / "mine.csv"
    path.write_bytes(text.encode(encoding))
    found = rows_of(path)
    assert found["OBS_ID"].to_pylist() == ["0001730201", "0000000002"]
    assert found["ra"].to_pylist() == [10.5, 11.0]
    assert found["name"].to_pylist() == ["\u00e9", None]
    assert bool(ForeignTable(path).notes) == (encoding == "latin-1")


def test_names_that_are_there_twice_or_not_at_all(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("ra\tra\t\n1\t2\t3\n", encoding="utf-8")
    assert rows_of(path).to_pylist() == [{"ra": 1, "ra_2": 2, "column3": 3}]
    assert ForeignTable(path).notes == (
        "The column ra is called ra_2.",
        "The column (without a name) is called column3.",
    )
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "mine.parquet")
    assert rows_of(tmp_path / "mine.parquet").to_pylist() == [{"a": 1, "a_2": 2}]


def test_text_that_is_wanted_as_text_is_what_the_file_has(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("name,n\n1.50,1\n2e7,2\n", encoding="utf-8")
    assert rows_of(path, as_text=["name"])["name"].to_pylist() == ["1.50", "2e7"]
    assert rows_of(path)["name"].to_pylist() == [1.5, 2e7]


# ---------------------------------------------------------------- FITS


def scaled_file(path, code: str, stored: list[int], null: int, scale: float, zero: int) -> None:
    """A table with one column of stored numbers as they are, written byte by byte."""
    hdu = fits.BinTableHDU.from_columns([fits.Column("n", code, array=np.zeros(len(stored)))])
    hdu.header["TNULL1"], hdu.header["TSCAL1"], hdu.header["TZERO1"] = null, scale, zero
    rows = np.array(stored, f">{INTEGERS[code]}").tobytes()
    head = fits.PrimaryHDU().header.tostring() + hdu.header.tostring()
    path.write_bytes(head.encode() + rows + b"\0" * (-len(rows) % 2880))


@settings(max_examples=portion(60))
@given(st.data())
def test_nulls_are_of_stored_numbers(tmp_path_factory, data):
    """Every width, scaled or unsigned or not, against sums of whole numbers without limits."""
    path = tmp_path_factory.mktemp("scaled") / "mine.fits"
    code = data.draw(st.sampled_from(sorted(INTEGERS)))
    limits = np.iinfo(INTEGERS[code])
    number = st.integers(int(limits.min), int(limits.max))
    null = data.draw(number)
    stored = data.draw(st.lists(st.sampled_from([null, int(limits.min)]) | number, min_size=1))
    unsigned = {"B": -128, "I": 2**15, "J": 2**31, "K": 2**63}[code]
    zero = data.draw(st.sampled_from([0, unsigned, 100] if code != "K" else [0, unsigned]))
    scale = data.draw(st.sampled_from([1, 0.25]))
    scaled_file(path, code, stored, null, scale, zero)
    found = column_of(path, "n")
    for value, there in zip(stored, found, strict=True):
        if value == null:
            assert there is None
        elif scale == 1:
            assert there == value + zero
            assert isinstance(there, int)
        else:
            assert there == pytest.approx(value * scale + zero)


def test_every_type_of_fits(tmp_path):
    path = tmp_path / "mine.fits"
    columns = [
        fits.Column("yes", "L", array=[True, False, True]),
        fits.Column("bit", "X", array=np.array([[1], [0], [1]], bool)),
        fits.Column("bits", "10X", array=np.eye(3, 10, dtype=bool)),
        fits.Column("text", "5A", array=["a  ", "", " b"]),
        fits.Column("real", "E", array=[1.5, np.nan, np.inf]),
        fits.Column("z", "C", array=[1 + 2j, 0, 0]),
        fits.Column("pair", "2D", array=np.zeros((3, 2))),
        fits.Column("list", "PJ()", array=np.array([[1], [1, 2], []], object)),
        fits.Column("nothing", "0D"),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(path)
    with fits.open(path) as hdus:
        first = hdus[1].fileinfo()["datLoc"]
    content = bytearray(path.read_bytes())
    content[first] = 0
    path.write_bytes(content)
    file = ForeignTable(path)
    found = {name: column_of(path, name) for name in [column.name for column in file.columns]}
    assert found["yes"] == [None, False, True]
    assert found["bit"] == [True, False, True]
    assert found["bits"] == ["1000000000", "0100000000", "0010000000"]
    assert found["text"] == ["a", None, "b"]
    assert found["real"] == [1.5, None, np.inf]
    assert (found["z.real"], found["z.imag"]) == ([1.0, 0.0, 0.0], [2.0, 0.0, 0.0])
    for name in ("bits", "z", "pair", "list", "nothing"):
        assert sum(f"The column {name} is" in note for note in file.notes) == 1
    assert not {"pair", "list", "nothing"} & found.keys()


def test_ascii_tables_of_fits(tmp_path):
    path = tmp_path / "mine.fits"
    columns = [
        fits.Column("RA", "F10.5", array=[1.5, 2.5, -1.0], unit="deg"),
        fits.Column("n", "I5", array=[1, -99, 3], null="-99"),
        fits.Column("e", "D25.17", array=[1e300, 0.1, -2.5]),
        fits.Column("s", "F8.2", array=[100.0, 300.0, 200.0], bscale=2, bzero=100),
        fits.Column("id", "A10", array=["0001730201", "", "1e5"]),
    ]
    fits.TableHDU.from_columns(columns).writeto(path)
    found = {name: column_of(path, name) for name in ("RA", "n", "e", "s", "id")}
    assert found == {
        **{"RA": [1.5, 2.5, -1.0], "n": [1, None, 3], "e": [1e300, 0.1, -2.5]},
        **{"s": [100.0, 300.0, 200.0], "id": ["0001730201", None, "1e5"]},
    }
    assert ForeignTable(path).columns[0].unit == "deg"
    path.write_bytes(path.read_bytes()[:5800])
    with pytest.raises(InputError, match="cannot be read"):
        rows_of(path)


@settings(max_examples=portion(25))
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
            st.none() | st.integers(0, 255),
            st.none() | st.floats(width=32, allow_nan=False),
            st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=4),
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["fits", "ecsv", "vot"]),
)
def test_what_astropy_writes_is_read(tmp_path_factory, rows, ending):
    path = tmp_path_factory.mktemp("written") / f"mine.{ending}"
    columns = []
    for place, (name, kind) in enumerate({"i": "i8", "b": "u1", "f": "f4", "t": "U4"}.items()):
        values = [row[place] for row in rows]
        fill = "" if kind == "U4" else -(2**63) if kind == "i8" else 0
        gone = [value is None for value in values]
        filled = [fill if value is None else value for value in values]
        columns.append(MaskedColumn(filled, name, dtype=kind, mask=gone))
    # A byte has no number that is free for its null, so that it is masked in none.
    columns[1] = MaskedColumn(columns[1].filled(0), "b") if ending == "fits" else columns[1]
    form = {"fits": "fits", "ecsv": "ascii.ecsv", "vot": "votable"}[ending]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Table(columns).write(path, format=form)
    for found, row in zip(rows_of(path).to_pylist(), rows, strict=True):
        assert found["i"] == row[0]
        assert found["b"] == (row[1] or 0 if ending == "fits" else row[1])
        assert found["f"] == row[2]
        assert (found["t"] or "") == (row[3] or "")


# ---------------------------------------------------------------- other kinds of columns


def test_mixins_of_ecsv(tmp_path):
    path = tmp_path / "mine.ecsv"
    place = SkyCoord([10.0, 20.0] * units.deg, [-5.0, 6.0] * units.deg, frame="icrs")
    table = QTable(
        {
            "coord": place,
            "far": place.galactic,
            "flux": [1.0, 2.0] * units.mJy,
            "when": Time(["2020-01-01T00:00:00", "2021-01-01T00:00:00"], scale="tdb"),
            "took": TimeDelta([86400.0, 172800.0], format="sec"),
            "pair": np.zeros((2, 2)),
            "z": [1 + 2j, 0],
        }
    )
    table.write(path)
    file, found = ForeignTable(path), rows_of(path)
    assert found["coord.ra"].to_pylist() == [10.0, 20.0]
    np.testing.assert_allclose(found["far.dec"].to_pylist(), [-5.0, 6.0])
    unit = {column.name: column.unit for column in file.columns}
    assert (unit["coord.ra"], unit["flux"], unit["took"]) == ("deg", "mJy", "s")
    assert found["when"].to_pylist() == ["2020-01-01T00:00:00.000", "2021-01-01T00:00:00.000"]
    assert found["took"].to_pylist() == [86400.0, 172800.0]
    assert found["z.imag"].to_pylist() == [2.0, 0.0]
    for name in ("coord", "far", "when", "pair", "z"):
        assert sum(f"The column {name} is" in note for note in file.notes) == 1


def test_types_of_parquet(tmp_path):
    path = tmp_path / "mine.parquet"
    n = 2
    columns = {
        "view": pa.array(["a", None]).cast(pa.string_view()),
        "large": pa.array(["a", None], pa.large_string()),
        "code": pa.array(["a", None]).dictionary_encode(),
        "bytes": pa.array([b"a", None]),
        "when": pa.array([0, None], pa.timestamp("us", tz="UTC")),
        "day": pa.array([0, None], pa.date32()),
        "price": pa.array([None, None], pa.decimal128(10, 2)),
        "half": pa.array(np.array([0.5, 1.5], np.float16)),
        "id": pa.array([2**64 - 1, None], pa.uint64()),
        "none": pa.nulls(n),
        "box": pa.array([{"x": 1, "in": {"y": 2}}, None]),
        "list": pa.array([[1], None]),
    }
    pq.write_table(pa.table(columns), path)
    file, found = ForeignTable(path), rows_of(path).to_pylist()
    assert found[0]["when"].startswith("1970-01-01 00:00:00")
    expected = {
        **{"view": "a", "large": "a", "code": "a", "bytes": "a", "day": "1970-01-01"},
        **{"half": 0.5, "id": 2**64 - 1, "box.x": 1, "box.in.y": 2, "price": None, "none": None},
    }
    assert {name: found[0][name] for name in expected} == expected
    assert {value for name, value in found[1].items() if name != "half"} == {None}
    assert file.notes == (
        "The column list is left out, since it holds values of the type list<element: int64>.",
    )


def test_json_lines(tmp_path):
    path = tmp_path / "mine.jsonl"
    lines = ['{"id": "007", "n": 18446744073709551615, "x": 1, "o": {"a": 1}, "l": [1]}']
    lines += ["", '{"id": "1e5", "n": 1, "x": 0.5, "odd": 1}', '{"odd": "a", "t": true}']
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    assert rows_of(path).to_pylist() == [
        {"id": "007", "n": 2**64 - 1, "x": 1.0, "o.a": 1, "odd": None, "t": None},
        {"id": "1e5", "n": 1, "x": 0.5, "o.a": None, "odd": "1", "t": None},
        {"id": None, "n": None, "x": None, "o.a": None, "odd": "a", "t": True},
    ]
    assert ["The column l is left out" in note for note in ForeignTable(path).notes] == [True]
    path.write_text("[1]\n", encoding="utf-8")
    with pytest.raises(InputError, match="a line is no object"):
        ForeignTable(path)


# ---------------------------------------------------------------- files


def test_a_table_of_several_is_chosen(tmp_path):
    path = tmp_path / "mine.fits"
    names = [fits.BinTableHDU(Table({"RA": [1.0], "DEC": [2.0]}), name="Sources")]
    other = fits.BinTableHDU(Table({"a": [5]}), name="INFO")
    fits.HDUList([fits.PrimaryHDU(), other, *names]).writeto(path)
    assert column_of(f"{path}#sources", "RA") == [1.0]
    assert column_of(f"{path}#1", "a") == [5]
    chosen = ForeignTable(path, [["ra"], ["dec", "de"]])
    assert [column.name for column in chosen.columns] == ["RA", "DEC"]
    assert "1 INFO, 2 SOURCES" in chosen.notes[0]
    with pytest.raises(InputError, match="has no table stars; there are 1 INFO, 2 SOURCES"):
        ForeignTable(f"{path}#stars")


@pytest.mark.parametrize("ending", ["fits", "csv", "vot", "ecsv", "parquet"])
def test_compressed_tables(tmp_path, ending, monkeypatch):
    plain, path = tmp_path / f"plain.{ending}", tmp_path / f"mine.{ending}.gz"
    table = Table({"a": np.zeros(5000)})
    if ending == "parquet":
        table.to_pandas().to_parquet(plain)
    else:
        form = {"vot": "votable", "csv": "ascii.csv", "ecsv": "ascii.ecsv"}.get(ending, ending)
        table.write(plain, format=form)
    path.write_bytes(gzip.compress(plain.read_bytes()))
    assert column_of(path, "a") == [0.0] * 5000
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot be read"):
        ForeignTable(path)
    path.write_bytes(gzip.compress(b" " * 100_000))
    monkeypatch.setattr(unpacking, "LEAST_BYTES", 1000)
    with pytest.raises(InputError, match="unpacks to more than"):
        ForeignTable(path)


@pytest.mark.parametrize("ending", ["fits", "csv", "vot", "ecsv", "parquet"])
@pytest.mark.parametrize("n", [0, 1])
def test_tables_of_no_and_one_row(tmp_path, ending, n):
    path = tmp_path / f"mine.{ending}"
    table = Table({"ra": np.zeros(n), "name": np.full(n, "a")})
    if ending == "parquet":
        table.to_pandas().to_parquet(path)
    else:
        form = {"vot": "votable", "csv": "ascii.csv", "ecsv": "ascii.ecsv"}.get(ending, ending)
        table.write(path, format=form)
    file = ForeignTable(path)
    assert [column.name for column in file.columns] == ["ra", "name"]
    assert sum(map(len, file.batches(["ra", "name"]))) == n


def test_damaged_fits_is_told(tmp_path):
    path = tmp_path / "mine.fits"
    Table({"a": np.arange(1000.0)}).write(path)
    content = path.read_bytes()
    for old, new, cause in (
        (b"NAXIS1  =                    8", b"NAXIS1  =                    9", "9"),
        (b"NAXIS2  =                 1000", b"NAXIS2  =                99999", "missing"),
        (b"TFORM1  = 'D       '", b"TFORM1  = 'Y       '", "format"),
    ):
        path.write_bytes(content.replace(old, new))
        with pytest.raises(InputError, match=cause):
            rows_of(path)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("pipe.csv", "none.csv"):
        with pytest.raises(InputError, match="There is no file"):
            ForeignTable(tmp_path / name)
