"""Queries on the command line: what is shown, and files that other programs read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import astropy.io.votable
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table as AstropyTable
from astropy.utils.exceptions import AstropyUserWarning
from helpers.query_archives import make_queried

from exod.archive import Archive, open_archive
from exod.archive.parquet import to_pandas
from exod.errors import ExodError
from exod.schemas.conditions import Query
from exod.stages.query.rows import select
from exod.tablefiles import writing as tablefiles
from exod.tablefiles.reading import ForeignTable
from exod.tablefiles.writing import write_table

FORMATS = ("csv", "ecsv", "fits", "parquet", "vot", "xml", "jsonl")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Archive:
    return make_queried(tmp_path_factory.mktemp("queried") / "archive", 4, 4)


@pytest.fixture(scope="module")
def expected(archive) -> pd.DataFrame:
    return pd.concat(select(archive, Query(matches=("gaia",))).frames(), ignore_index=True)


@pytest.mark.parametrize("compacted", [pytest.param(False, marks=pytest.mark.drill), True])
def test_a_query_loads_what_it_needs(archive, tmp_path: Path, *, compacted: bool) -> None:
    root = archive.root
    if compacted:
        root = shutil.copytree(root, tmp_path / "archive")
        open_archive(root).compact()
    code = "import sys; from exod.cli import app; app(standalone_mode=False); print(*sys.modules)"
    for name, *question in (
        ["query", "--cone", "10,20,3600"],
        ["query", "--table", "regions", "--where", "sigma_peak > 1"],
        ["query", "--table", "regions", "--obsid", archive.entries()[0].obsid],
        ["filter", "--filter", "t_bin=5", "--filter", "clean=yes", "--subsets", "min_sigma=4"],
    ):
        command = [sys.executable, "-c", code, name, root, *question]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        loaded = set(run.stdout.splitlines()[-1].split())
        assert "duckdb" in loaded
        # They take longer than all the rest together.
        assert not loaded & {"astropy", "dask", "pandas", "pyarrow.dataset", "scipy", "zarr"}


def read(path: Path) -> pd.DataFrame:
    """A file as other programs read it, with missing values as None or NaN."""
    match path.suffix:
        case ".csv":
            return pd.read_csv(path)
        case ".jsonl":
            return pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
        case ".parquet":
            return to_pandas(pq.read_table(path))
        case ".vot" | ".xml":
            return AstropyTable.read(path, format="votable").to_pandas()
        case ".fits":
            with warnings.catch_warnings():
                # astropy warns that it takes null for false.
                warnings.simplefilter("ignore", AstropyUserWarning)
                table = AstropyTable.read(path)
            table.convert_bytestring_to_unicode()
            return table.to_pandas()
        case _:
            return AstropyTable.read(path, format="ascii.ecsv").to_pandas()


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_gives_every_value_back(command, archive, expected, tmp_path, ending):
    path = tmp_path / f"found.{ending}"
    code, said, error = command("query", archive.root, "--with", "gaia", "--to", path)
    assert (code, error) == (0, "")
    assert f"{len(expected)} rows of sources in {path}" in said
    found = read(path)
    assert list(found.columns) == list(expected.columns)
    for name in expected.columns:
        values = expected[name]
        null = values.isna().to_numpy()
        if values.dtype == "str" or pd.api.types.is_string_dtype(values.dtype):
            wanted = values.fillna("").tolist()
            if ending == "fits":
                wanted = [text.replace("Ä", "A") for text in wanted]
            assert found[name].fillna("").tolist() == wanted
        elif name == "gaia_source_id" and ending in ("csv", "jsonl"):
            # Readers that make floating-point numbers of them are not the writer's fault.
            assert f"{values.dropna().iloc[0]}" in path.read_text()
        elif name == "gaia_variable" and ending == "fits":
            assert found[name][~null].tolist() == values[~null].tolist()
        else:
            assert found[name].isna().tolist() == null.tolist(), name
            there = found[name][~null].astype(values.dtype)
            assert there.tolist() == values[~null].tolist(), name
    assert list(tmp_path.iterdir()) == [path]


def test_fits_has_units_meanings_and_nulls(command, archive, expected, tmp_path):
    path = tmp_path / "found.fits"
    assert command("query", archive.root, "--with", "gaia", "--to", path)[0] == 0
    with fits.open(path) as hdus:
        hdus.verify("exception")
        header, rows = hdus[1].header, hdus[1].data
        columns = hdus[1].columns
        number = columns.names.index("ra_deg") + 1
        assert header[f"TUNIT{number}"] == "deg"
        assert header[f"TCOMM{number}"] == "Right ascension of the mean position, ICRS"
        assert header[f"TUCD{number}"] == "pos.eq.ra;meta.main"
        assert header["NAXIS2"] == len(rows) == len(expected)
        assert columns["gaia_source_id"].format == "K"
        null = columns["gaia_source_id"].null
        missing = expected["gaia_source_id"].isna()
        assert (rows["gaia_source_id"] == null).tolist() == missing.tolist()
        assert path.stat().st_size % 2880 == 0


def test_votable_is_valid_and_has_ucds(command, archive, tmp_path):
    path = tmp_path / "found.vot"
    assert command("query", archive.root, "--to", path)[0] == 0
    table = astropy.io.votable.parse(path, verify="exception").get_first_table()
    field = next(field for field in table.fields if field.name == "dec_deg")
    assert (str(field.unit), field.ucd) == ("deg", "pos.eq.dec;meta.main")
    assert field.description == "Declination of the mean position, ICRS"


def test_ecsv_and_parquet_have_units(command, archive, tmp_path):
    for ending in ("ecsv", "parquet"):
        assert command("query", archive.root, "--to", tmp_path / f"found.{ending}")[0] == 0
    column = AstropyTable.read(tmp_path / "found.ecsv", format="ascii.ecsv")["pos_err_arcsec"]
    assert (str(column.unit), column.description[:6]) == ("arcsec", "Radius")
    field = pq.read_schema(tmp_path / "found.parquet").field("pos_err_arcsec")
    assert field.metadata[b"unit"] == b"arcsec"


@pytest.mark.parametrize("ending", FORMATS)
def test_answers_without_rows_are_files_too(command, archive, tmp_path, ending):
    path = tmp_path / f"none.{ending}"
    code, said, _ = command("query", archive.root, "--where", "n_detections < 0", "--to", path)
    assert code == 0
    assert "0 rows" in said
    assert len(read(path)) == 0
    if ending != "jsonl":
        assert "srcid" in read(path).columns


@pytest.mark.parametrize("ending", ["fits", "ecsv", "vot", "csv"])
def test_rows_come_in_many_pieces(archive, tmp_path, ending):
    found = select(archive, Query(table="regions"))
    pieces = (chunk[row : row + 11] for chunk in found.chunks() for row in range(0, 48, 11))
    path = tmp_path / f"regions.{ending}"
    assert write_table(path, found.table, pieces) == 48
    detids = archive.regions["detid"].compute(scheduler="sync")
    assert sorted(read(path)["detid"]) == sorted(detids)


def test_existing_files_are_kept_unless_told(command, archive, tmp_path):
    path = tmp_path / "found.csv"
    path.write_text("mine")
    code, _, error = command("query", archive.root, "--to", path)
    assert code == 2
    assert "exists; give another name, or --overwrite" in error
    assert path.read_text() == "mine"
    assert command("query", archive.root, "--to", path, "--overwrite")[0] == 0
    assert path.read_text().startswith("region_num,")


def test_a_file_that_appears_meanwhile_is_kept(archive, tmp_path):
    path = tmp_path / "found.csv"
    found = select(archive, Query())

    def slow():
        yield from found.chunks()
        path.write_text("mine")

    with pytest.raises(ExodError, match="exists"):
        write_table(path, found.table, slow())
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", FORMATS)
def test_errors_leave_no_file(archive, tmp_path, ending):
    found = select(archive, Query())

    def broken():
        yield from found.chunks()
        raise ExodError("half way")

    with pytest.raises(ExodError, match="half way"):
        write_table(tmp_path / f"found.{ending}", found.table, broken())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(archive, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tablefiles, "_WRITERS", {".csv": full})
    found = select(archive, Query())
    with pytest.raises(ExodError, match=r"found\.csv cannot be written: No space left"):
        write_table(tmp_path / "found.csv", found.table, found.chunks())


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--to", "{}/found.txt"], "ends in no known format; use .csv", 2),
        (["--to", "{}"], "ends in no known format", 2),
        (["--table", "images", "--to", "{}/i.csv"], "fit Parquet and JSON lines only", 2),
        (["--where", "n_detections >"], "cannot be understood at character", 2),
        (["--where", "n_detection > 1"], "did you mean n_detections", 2),
        (["--cone", "HD 159176,60"], "names of objects are not looked up", 2),
        (["--obsid", "123456"], "ten digits, or the number", 2),
        (["--flag", "hot"], "There is no flag 'hot'", 2),
        (["--with", "simbad"], "exod crossmatch", 1),
        (["--table", "nothing"], "There is no table 'nothing'", 2),
    ],
)
def test_bad_questions_are_one_sentence(command, archive, tmp_path, arguments, said, code):
    given = [argument.format(tmp_path) for argument in arguments]
    found, _, error = command("query", archive.root, *given)
    assert found == code
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["query", "filter"])
def test_folders_of_results_are_made(command, archive, tmp_path, name):
    code, _, error = command(name, archive.root, "--to", tmp_path / "new" / "deep" / "found.csv")
    assert (code, error) == (0, "")
    assert (tmp_path / "new" / "deep" / "found.csv").is_file()


def test_an_archive_that_is_not_there(command, tmp_path):
    code, _, error = command("query", tmp_path / "nothing")
    assert code == 1
    assert error.startswith("exod: ")


def test_rows_are_shown(command, archive):
    code, said, _ = command("query", archive.root, "--table", "regions", "--sort", "-ra_deg")
    assert code == 0
    assert "48 rows, of which these are the first 20; " in said
    assert len([line for line in said.splitlines() if "_0_50_" in line]) == 20
    code, said, _ = command(
        "query", archive.root, "--columns", "srcid, n_detections", "--limit", 2, "--with", "gaia"
    )
    assert [line.split() for line in said.splitlines()][1] == ["srcid", "n_detections"]
    assert said.endswith("2 rows.\n")


def test_what_the_question_adds_is_shown(command, archive):
    place = archive.unique.compute(scheduler="sync").iloc[0]
    cone = f"{place['ra_deg']},{place['dec_deg']},3"
    code, said, _ = command("query", archive.root, "--cone", cone, "--with", "gaia")
    assert code == 0
    assert "cone_arcsec (arcsec)" in said
    assert "gaia_source_id" in said
    assert "1 row; " in said


def test_markup_in_names_is_text(command, tmp_path):
    from helpers.survey_archives import fill

    from exod.archive import Archive
    from exod.config import Config
    from exod.schemas import OBSERVATIONS

    archive = Archive.create(tmp_path / "archive", Config())
    obsid = "0700000001"
    rows = fill(OBSERVATIONS, [{"obsid": obsid, "target": "[red]A[/red]"}])
    archive.commit(obsid, "EMPTY", {"observations": rows})
    _, said, _ = command("query", archive.root, "--table", "observations")
    assert "[red]A[/red]" in said
    command("query", archive.root, "--table", "observations", "--to", tmp_path / "o.vot")
    assert AstropyTable.read(tmp_path / "o.vot", format="votable")["target"][0] == "[red]A[/red]"


@pytest.mark.parametrize("ending", FORMATS)
def test_awkward_text_and_numbers_survive(tmp_path, ending):
    import pyarrow as pa

    from exod.schemas.columns import Column, Table

    table = Table(
        "odd",
        'A "table" with <marks> & more',
        (
            Column("text", pa.string(), "", 'He said "a, b" & <c>', nullable=True),
            Column("value", pa.float64(), "ct/s", ""),
            Column("single", pa.float32(), "keV", "", nullable=True),
            Column("whole", pa.int64(), "", "", nullable=True),
            Column("sure", pa.bool_(), "", ""),
        ),
        (),
    )
    rows = pa.table(
        {
            "text": ["a,b", 'say "x" & <y>', "two\nlines", "ä"],
            "value": [0.1, np.nan, 1e-300, -np.inf if ending not in ("jsonl",) else 1.0],
            "single": pa.array([np.float32(0.1), None, np.float32(2), np.float32(3)], pa.float32()),
            "whole": pa.array([2**62 + 1, None, -1, 0], pa.int64()),
            "sure": [True, False, True, False],
        },
        schema=table.schema,
    )
    path = tmp_path / f"odd.{ending}"
    assert write_table(path, table, [rows[:1], rows[1:], rows[:0]]) == 4
    found = read(path)
    texts = rows["text"].to_pylist()
    if ending == "fits":
        # Not even a line break is allowed there.
        texts = ["a,b", 'say "x" & <y>', "two?lines", "a"]
    assert found["text"].tolist() == texts
    np.testing.assert_array_equal(found["value"].astype(float), rows["value"].to_numpy())
    np.testing.assert_array_equal(
        found["single"].astype(float).astype(np.float32), rows["single"].to_numpy()
    )
    assert found["whole"].isna().tolist() == [False, True, False, False]
    assert found["sure"].astype(bool).tolist() == [True, False, True, False]


def test_text_of_a_file_does_nothing_to_the_terminal(command, archive):
    """Escape sequences, markup of the console and marks of direction are shown as they are."""
    statement = "SELECT chr(27) || '[31m[bold]red' || chr(8238) || chr(155) AS word"
    code, said, _ = command("sql", archive.root, statement)
    assert code == 0
    assert "\\x1b[31m[bold]red\\u202e\\x9b" in said
    assert not set(said) & {"\x1b", "\u202e", "\x9b"}
    code, _, error = command("sql", archive.root, "SELECT \x1b[31m")
    assert code == 2
    assert "\x1b" not in error


def test_csv_computes_nothing_in_a_spreadsheet(command, archive, tmp_path):
    path = tmp_path / "found.csv"
    statement = "SELECT '=cmd|'' /C calc''!A0' AS \"=1+1\", '-5' AS a, -5 AS b, '@SUM' AS c"
    assert command("sql", archive.root, statement, "--to", path)[0] == 0
    assert path.read_text() == "'=1+1,a,b,c\n'=cmd|' /C calc'!A0,-5,-5,'@SUM\n"
    file = ForeignTable(path)
    (rows,) = file.batches([column.name for column in file.columns])
    assert rows.to_pylist() == [{"=1+1": "=cmd|' /C calc'!A0", "a": -5, "b": -5, "c": "@SUM"}]


def test_numbers_beyond_64_bits_with_a_sign(command, archive, tmp_path):
    for ending in ("fits", "vot", "csv", "parquet"):
        path = tmp_path / f"found.{ending}"
        statement = "SELECT 18446744073709551615::UBIGINT AS n"
        assert command("sql", archive.root, statement, "--to", path)[0] == 0
        (rows,) = ForeignTable(path).batches(["n"])
        assert int(rows["n"][0].as_py()) == 2**64 - 1
