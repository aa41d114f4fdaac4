"""Open files in place of paths, in every form and mode; who waits for whom; what cannot be done."""

import multiprocessing
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.table import MaskedColumn, QTable, Table
from helpers.astromon_tables import rows, save_real

from exod.astromon import cross_match, db
from exod.astromon.forms import hdf5
from exod.errors import InputError

FORMS = ("astromon.h5", "astromon.db3", "astromon")


@pytest.fixture(params=FORMS)
def file(request, tmp_path, data_dir):
    return save_real(data_dir, tmp_path / request.param)


def circle(**more):
    return {"ra": 10.0, "dec": -5.0, "radius": 3.0, **more}


def test_everything_reads_an_open_file(file):
    with db.connect(str(file)) as opened:
        with db.connect(opened, "r+") as same:
            assert same is opened
        assert len(db.get_table("astromon_obs", opened)) == 10
        assert len(db.get_cross_matches(dbfile=opened, exclude_regions=True)) == 8
        found = cross_match.compute_cross_matches(dbfile=opened, exclude_regions=True)
        assert len(found) == 8
        assert cross_match.filter_matches(found, exclude_regions=True, dbfile=opened).all()
        assert len(db.get_regions(dbfile=opened)) == 4
        with pytest.raises(InputError, match="open for reading only"):
            db.save("astromon_regions", db.create_table("astromon_regions"), opened)
        with pytest.raises(InputError, match="open for reading only"):
            db.add_regions([circle()], opened)
    assert len(db.get_regions(dbfile=file)) == 4


def test_everything_changes_an_open_file(file):
    with db.connect(file, "r+") as opened:
        db.save("astromon_xcorr", db.create_table("astromon_xcorr"), opened, ignore_obsid=True)
        number = db.add_regions([circle()], opened)["region_id"]
        db.remove_regions([*number, 9], opened)
        found = cross_match.compute_cross_matches(dbfile=opened)
        db.save_cross_matches(found[:3], "mine", opened)
        assert len(db.get_cross_matches("mine", opened)) == 3
        # Waiting for oneself would never end.
        with pytest.raises(InputError, match="in this process already"):
            db.save("astromon_xcorr", db.create_table("astromon_xcorr"), file)
    assert len(db.get_regions(dbfile=file)) == 3
    assert len(db.get_cross_matches(dbfile=file)) == 0
    with db.connect(file, "w") as opened, pytest.raises(InputError, match="not in file"):
        db.get_table("astromon_obs", opened)


def test_wrong_modes_and_closed_files(file, tmp_path):
    with pytest.raises(InputError, match="'x'"), db.connect(file, "x"):
        pass
    for mode in ("r+", "a", "w"):
        with db.connect(tmp_path / f"new{mode}{file.suffix}", mode) as opened:
            db.save("astromon_obs", db.create_table("astromon_obs"), opened)
            assert len(db.get_table("astromon_obs", opened)) == 0
    with pytest.raises(InputError, match="no file"), db.connect(tmp_path / "none.h5"):
        pass
    found = cross_match.compute_cross_matches(dbfile=file)
    with pytest.raises(InputError, match="too long"):
        db.save_cross_matches(found, "a name of many letters", file)
    if file.suffix == ".h5":
        with pytest.raises(InputError, match="is closed"):
            db.get_table("astromon_obs", opened)
    for wrong in (5, object()):
        with pytest.raises(InputError, match="must be a path or an open file"):
            db.get_table("astromon_obs", wrong)


def hold(file, held, release):
    with db.connect(file, "r+"):
        held.set()
        release.wait()


def test_a_file_that_another_process_writes_is_not_damaged(tmp_path, data_dir, monkeypatch):
    file = save_real(data_dir, tmp_path / "astromon.h5")
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    writer = context.Process(target=hold, args=(file, held, release))
    writer.start()
    held.wait()
    waits = []
    monkeypatch.setattr(hdf5.time, "sleep", waits.append)
    with pytest.raises(InputError, match="being written by another process"):
        db.get_table("astromon_obs", file)
    assert waits == [hdf5.RETRY_S] * (hdf5.RETRIES - 1)

    def released(_seconds):
        release.set()
        writer.join()

    monkeypatch.setattr(hdf5.time, "sleep", released)
    assert len(db.get_table("astromon_obs", file)) == 10
    assert writer.exitcode == 0


def test_suffixes_in_any_case_and_home(tmp_path, monkeypatch):
    for name in ("A.H5", "A.DB3", "A.SQLite"):
        db.save("astromon_obs", db.create_table("astromon_obs"), tmp_path / name)
        assert (tmp_path / name).is_file()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ASTROMON_FILE", "~/A.H5")
    assert len(db.get_table("astromon_obs")) == 0


def test_missing_text_and_units(file):
    table = rows("astromon_cat_src", obsid=[1, 1], id=[0, 1])
    table["name"] = MaskedColumn(["a", "b"], mask=[False, True])
    table["catalog"] = np.array([None, "ICRS"], object)
    db.save("astromon_cat_src", table, file)
    back = db.get_table("astromon_cat_src", file)[-2:]
    assert back["name"].tolist() == ["a", ""]
    assert back["catalog"].tolist() == ["", "ICRS"]
    turned = QTable(rows("astromon_obs", obsid=[1]))
    turned["ra"] = [np.pi] * units.rad
    turned["sim_z"] = MaskedColumn([1.5], unit="cm")
    db.save("astromon_obs", turned, file)
    row = db.get_table("astromon_obs", file)[-1]
    np.testing.assert_allclose((row["ra"], row["sim_z"]), (180.0, 15.0), rtol=1e-6)
    turned["ra"] = [1.0] * units.s
    with pytest.raises(InputError, match="column ra"):
        db.save("astromon_obs", turned, file)


def test_tables_that_are_not_declared(file):
    db.save("mine", Table({"obsid": [1, 2], "text": ["a", "b"], "value": [1, 2]}), file)
    db.save("mine", Table({"obsid": [2], "text": ["longer é"], "value": [0.5]}), file)
    back = db.get_table("mine", file)
    assert back["text"].tolist() == ["a", "longer é"]
    assert back["value"].tolist() == [1.0, 0.5]
    masked = MaskedColumn([1], mask=[True])
    for wrong in ({"value": [[1.0, 2.0]]}, {"value": np.array([1j])}, {"value": masked}):
        with pytest.raises(InputError, match="column value"):
            db.save("other", Table({"obsid": [1], **wrong}), file)
    with pytest.raises(InputError, match="not those of the table"):
        db.save("mine", Table({"obsid": [1]}), file)


def test_empty_tables_have_the_declared_types():
    for name, dtype in db.DTYPES.items():
        assert db.create_table(name).dtype == dtype
    with pytest.raises(InputError, match="'other' is no table"):
        db.create_table("other")


def test_regions_in_any_form(file):
    given = (
        circle(),
        [circle()],
        {name: [value] for name, value in circle().items()},
        pd.DataFrame([circle()]),
        Table([circle()]),
        QTable({"ra": [10] * units.deg, "dec": [-5] * units.deg, "radius": [0.05] * units.arcmin}),
        Table([circle()])[0],
        np.array([(10.0, -5.0, 3.0)], [("ra", "f8"), ("dec", "f8"), ("radius", "f8")]),
    )
    for number, regions in enumerate(given, 14):
        row = db.add_regions(regions, file)[0]
        assert row["region_id"] == number
        np.testing.assert_allclose((row["ra"], row["dec"], row["radius"]), (10, -5, 3), rtol=1e-6)
    for wrong in (None, 5, "text"):
        with pytest.raises(InputError, match=r"[Rr]egions"):
            db.add_regions(wrong, file)
        with pytest.raises(InputError, match=r"[Rr]egions"):
            db.update_regions(wrong, file)
    with pytest.raises(InputError, match="by their numbers"):
        db.remove_regions("first", file)
    assert db.get_regions("13276", file).colnames == db.get_regions(13276, file).colnames


def test_replaced_functions_are_used_everywhere(tmp_path, data_dir, monkeypatch):
    file = save_real(data_dir, tmp_path / "astromon.db3")
    matches = cross_match.compute_cross_matches(dbfile=file)
    first = matches[0]
    stored = {name: db.get_table(f"astromon_{name}", file) for name in ("obs", "regions", "xcorr")}
    stored["regions"].add_row({"ra": first["x_ra"], "dec": first["x_dec"], "radius": 1.0})
    asked = []

    def get_table(table_name, dbfile=None):
        asked.append(dbfile)
        return stored[table_name.removeprefix("astromon_")]

    monkeypatch.setattr(db, "get_table", get_table)
    expected = [True] + [False] * 7
    assert cross_match.get_excluded_regions_mask(matches).tolist() == expected
    kept = cross_match.filter_matches(matches, exclude_regions=True, dbfile="there")
    assert (~kept).tolist() == expected
    assert db.is_in_excluded_region(matches["x_loc"]).tolist() == expected
    assert len(db.get_regions(first["obsid"], radius=1e4)) == 5
    assert asked == [None, "there", None, None, None]


def test_own_selections(file, monkeypatch):
    monkeypatch.setitem(
        cross_match.CROSS_MATCHES_ARGS, "mine", {"method": "simple", "catalogs": ["2MASS"]}
    )
    found = cross_match.compute_cross_matches("mine", dbfile=file)
    assert len(found) == 75
    assert set(found["select_name"]) == {"mine"}
    monkeypatch.setitem(cross_match.CROSS_MATCHES_ARGS["astromon_22"], "snr", 1e9)
    assert len(cross_match.compute_cross_matches("astromon_22", dbfile=file)) == 0
    assert len(cross_match.compute_cross_matches("astromon_21", dbfile=file)) == 8


@pytest.mark.parametrize("several", [list, tuple, set, np.array])
def test_one_of_several_values(data_dir, tmp_path, several):
    file = save_real(data_dir, tmp_path / "astromon")
    matches = cross_match.compute_cross_matches(dbfile=file)
    chosen = matches["obsid"][:2].tolist()
    kept = cross_match.filter_matches(matches, obsid=several(chosen))
    assert kept.tolist() == [True, True] + [False] * 6
    category = str(matches["category"][0])
    for given in (category, several([category])):
        kept = cross_match.filter_matches(matches, exclude_categories=given)
        assert kept.tolist() == (matches["category"] != category).tolist()


def other_values(file, name, column, values):
    """Put other values into a column of a stored table, with the tools of its form."""
    if file.suffix == ".db3":
        with closing(sqlite3.connect(file)) as base, base:
            sets = enumerate(values, 1)
            base.executemany(
                f"UPDATE {name} SET {column} = ? WHERE rowid = ?", [(v, row) for row, v in sets]
            )
    elif file.suffix == ".h5":
        with db.connect(file, "r+") as opened:
            rows = opened.get_node("/", name)[:]
            texts = [value.encode() if isinstance(value, str) else value for value in values]
            array = np.array([b"" if value is None else value for value in texts])
            kinds = [(c, array.dtype if c == column else rows.dtype[c]) for c in rows.dtype.names]
            changed = np.zeros(len(rows), kinds)
            for other in rows.dtype.names:
                changed[other] = array if other == column else rows[other]
            opened.remove_node("/", name)
            opened.create_table("/", name, changed)
    else:
        path = file / f"{name}.parquet"
        table = pq.read_table(path)
        place = table.column_names.index(column)
        pq.write_table(table.set_column(place, column, pa.array(values)), path)


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [("obs", "ra", "text"), ("xray_src", "id", 0.5), ("xcorr", "c_id", "5 or 6")],
)
def test_values_of_another_kind_in_a_file(file, name, column, value):
    table = f"astromon_{name}"
    other_values(file, table, column, [value] * len(db.get_table(table, file)))
    with pytest.raises(InputError, match=f"{table} in the file has values in column {column}"):
        db.get_table(table, file)


def test_nothing_in_a_file(file):
    n = len(db.get_table("astromon_cat_src", file))
    other_values(file, "astromon_cat_src", "name", [None] + ["a"] * (n - 1))
    assert db.get_table("astromon_cat_src", file)["name"][:2].tolist() == ["", "a"]
    if file.suffix != ".h5":
        other_values(file, "astromon_cat_src", "mag", [None] + [1.0] * (n - 1))
        assert np.isnan(db.get_table("astromon_cat_src", file)["mag"][0])
        other_values(file, "astromon_cat_src", "x_id", [None] + [1] * (n - 1))
        with pytest.raises(InputError, match="column x_id"):
            db.get_table("astromon_cat_src", file)


@pytest.mark.parametrize("name", ["../outside", "a/b", "", "a b", "1"])
def test_names_of_tables_are_names(file, name):
    before = sorted(file.parent.rglob("*"))
    with pytest.raises(InputError, match="no name of a table"):
        db.save(name, Table({"obsid": [1]}), file)
    assert sorted(file.parent.rglob("*")) == before
