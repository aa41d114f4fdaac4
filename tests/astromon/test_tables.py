"""Tables of astromon in every form: equal to the real ones, merged by observation, never half."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from exod.astromon import db
from exod.astromon.tables import DTYPES
from exod.astromon.utils import MissingTableException
from exod.errors import InputError

FORMS = ("astromon.h5", "astromon.db3", "astromon")
ONE_FORM = [FORMS[0], *(pytest.param(form, marks=pytest.mark.drill) for form in FORMS[1:])]
REAL = ("obs", "xray_src", "cat_src", "xcorr", "regions")


@pytest.fixture(params=FORMS)
def file(request, tmp_path) -> Path:
    return tmp_path / request.param


def real(data_dir: Path, name: str) -> Table:
    return Table.read(data_dir / "astromon" / f"astromon_{name}.ecsv")


def sources(obsid: int, n: int) -> Table:
    rows = np.zeros(n, DTYPES["astromon_xray_src"])
    rows["obsid"], rows["id"] = obsid, np.arange(n)
    return Table(rows)


@pytest.mark.parametrize("name", REAL)
def test_real_tables_come_back(data_dir, file, name):
    table = real(data_dir, name)
    db.save(f"astromon_{name}", table, file)
    back = db.get_table(f"astromon_{name}", file)
    assert back.colnames == list(DTYPES[f"astromon_{name}"].names)
    assert [str(index.columns[0].name) for index in back.indices] == ["obsid"]
    for column in back.colnames:
        np.testing.assert_array_equal(np.asarray(back[column]), np.asarray(table[column]))


def test_saved_observations_are_replaced_and_others_stay(file):
    db.save("astromon_xray_src", sources(1, 3), file)
    db.save("astromon_xray_src", sources(2, 2), file)
    db.save("astromon_xray_src", sources(1, 1), file)
    assert sorted(db.get_table("astromon_xray_src", file)["obsid"]) == [1, 2, 2]
    db.save("astromon_xray_src", sources(3, 2), file, ignore_obsid=True)
    assert list(db.get_table("astromon_xray_src", file)["obsid"]) == [3, 3]


def test_what_is_saved_must_fit(file):
    with pytest.raises(TypeError, match="Table"):
        db.save("astromon_xray_src", [1], file)
    table = sources(1, 2)
    del table["snr"]
    with pytest.raises(InputError, match="snr"):
        db.save("astromon_xray_src", table, file)
    table = sources(1, 2)
    table["id"] = [0.5, 1.0]
    with pytest.raises(InputError, match="column id"):
        db.save("astromon_xray_src", table, file)
    assert not file.exists()


def test_extra_columns_are_dropped_text_is_cut_nan_stays(file):
    table = sources(1, 1)
    table["snr"] = np.nan
    table["more"] = 1
    table["caldb_version"] = ["4.9.60000000é"]
    db.save("astromon_xray_src", table, file)
    back = db.get_table("astromon_xray_src", file)
    assert "more" not in back.colnames
    assert back["caldb_version"][0] == "4.9.600000"
    assert np.isnan(back["snr"][0])


def test_missing_files_and_tables(file, monkeypatch):
    with pytest.raises(InputError, match="no file"):
        db.get_table("astromon_obs", file)
    db.save("astromon_xray_src", sources(1, 1), file)
    with pytest.raises(MissingTableException, match="astromon_obs not in file"):
        db.get_table("astromon_obs", file)
    for name in ("ASTROMON_FILE", "SKA"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="ASTROMON_FILE"):
        db.get_table("astromon_obs")
    monkeypatch.setenv("ASTROMON_FILE", str(file))
    assert len(db.get_table("astromon_xray_src")) == 1


@pytest.mark.parametrize("name", FORMS[:2])
def test_damaged_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"no table of any kind" * 100)
    with pytest.raises(InputError, match="restore it"):
        db.get_table("astromon_obs", tmp_path / name)


def test_lazy_partitions_hold_whole_observations(file):
    for obsid, n in ((5, 4), (2, 3), (9, 8), (7, 1)):
        db.save("astromon_xray_src", sources(obsid, n), file)
    frame = db.lazy("astromon_xray_src", file, rows=5)
    parts = [part.compute()["obsid"].unique().tolist() for part in frame.partitions]
    assert parts == [[2], [5, 7], [9]]
    assert len(frame) == 16


def test_tables_that_are_matched_are_divided_alike(file):
    """By the largest: what is read for a part is of its observations, in each table."""
    for name, rows in (("obs", 1), ("xray_src", 2), ("cat_src", 5)):
        made = np.zeros(6 * rows, DTYPES[f"astromon_{name}"])
        made["obsid"] = np.repeat([8, 3, 5, 1, 9, 4], rows)
        db.save(f"astromon_{name}", Table(made), file)
    frames = [db.lazy(f"astromon_{name}", file, rows=10) for name in ("obs", "xray_src", "cat_src")]
    assert [frame.divisions for frame in frames] == [(1, 4, 8, 9)] * 3
    parts = [[len(part) for part in frame.partitions] for frame in frames]
    assert parts == [[2] * 3, [4] * 3, [10] * 3]
    # A table that is alone is divided by its own rows.
    db.save("astromon_xcorr", Table(np.zeros(3, DTYPES["astromon_xcorr"])), file)
    assert db.lazy("astromon_xcorr", file, rows=10).npartitions == 1


def test_no_rows(file):
    db.save("astromon_xray_src", db.create_table("astromon_xray_src"), file)
    assert len(db.get_table("astromon_xray_src", file)) == 0
    assert len(db.lazy("astromon_xray_src", file)) == 0


def save_many(file: Path, obsids: range, go: Barrier) -> None:
    go.wait()
    for obsid in obsids:
        db.save("astromon_xray_src", sources(obsid, 2), file)


@pytest.mark.parametrize("file", ONE_FORM, indirect=True)
def test_several_writers_lose_nothing(file):
    context = multiprocessing.get_context("spawn")
    go = context.Barrier(2)
    writer = context.Process(target=save_many, args=(file, range(100, 105), go))
    writer.start()
    save_many(file, range(5), go)
    writer.join()
    assert writer.exitcode == 0
    assert len(db.get_table("astromon_xray_src", file)) == 20


def test_an_open_file_is_passed_through(tmp_path):
    file = tmp_path / "astromon.h5"
    with db.connect(file, mode="r+") as h5:
        db.save("astromon_xray_src", sources(1, 2), h5)
        db.save("astromon_xray_src", sources(1, 3), h5)
        assert len(db.get_table("astromon_xray_src", h5)) == 3
        assert h5.isopen
    assert not h5.isopen
    assert len(db.get_table("astromon_xray_src", file)) == 3
