"""Regions in every form of file: numbers, identifiers, times; writers and kills lose nothing."""

import multiprocessing
import os
import signal
import sys

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import Table
from helpers.astromon_tables import rows, save_real

from exod.astromon import db
from exod.astromon.utils import MissingTableException
from exod.errors import InputError

FORMS = ("astromon.h5", "astromon.db3", "astromon")
ONE_FORM = [FORMS[0], *(pytest.param(form, marks=pytest.mark.drill) for form in FORMS[1:])]


@pytest.fixture(params=FORMS)
def file(request, tmp_path):
    path = tmp_path / request.param
    db.save("astromon_regions", db.create_table("astromon_regions"), path)
    return path


def circle(ra=10.0, **more):
    return {"ra": ra, "dec": -5.0, "radius": 3.0, **more}


def numbers(file):
    return db.get_regions(dbfile=file)["region_id"].tolist()


def test_numbers_are_never_used_again(file):
    added = db.add_regions([circle(), circle(obsid=7, user="me", comments="é" * 150)], file)
    assert added["region_id"].tolist() == [1, 2]
    assert added["obsid"].tolist() == [0, 7]
    assert added["comments"][1] == "é" * 100
    assert len({*added["region_id_str"]}) == 2
    assert all(len(name) == 10 for name in added["region_id_str"])
    db.remove_regions([2, 99], file)
    db.remove_regions(1, file)
    assert numbers(file) == []
    assert db.add_regions(Table([circle()]), file)["region_id"].tolist() == [3]
    assert len(db.add_regions([], file)) == 0
    assert db.get_table("astromon_meta", file)["last_region_id"].tolist() == [3]


def test_numbers_go_on_where_no_counter_is(file, data_dir):
    save_real(data_dir, file)
    assert db.add_regions([circle()], file)["region_id"].tolist() == [14]
    db.remove_regions([14], file)
    assert db.add_regions([circle()], file)["region_id"].tolist() == [15]


def test_equal_regions_of_several_files_are_told_apart(tmp_path):
    names = set()
    for number in range(5):
        path = tmp_path / str(number)
        db.save("astromon_regions", db.create_table("astromon_regions"), path)
        names |= set(db.add_regions([circle(), circle()], path)["region_id_str"])
    assert len(names) == 10


def test_only_what_differs_is_updated(file):
    db.add_regions([circle(1.0), circle(2.0)], file)
    before = db.get_regions(dbfile=file)
    changed = before.copy()
    changed["last_modified"] = "1999:001:00:00:00.000"
    changed["comments"][1] = "bright star"
    db.update_regions(changed[::-1], file)
    after = db.get_regions(dbfile=file)
    assert after["last_modified"][0] == before["last_modified"][0]
    assert after["last_modified"][1] > before["last_modified"][1]
    assert after["comments"].tolist() == ["", "bright star"]
    assert after["region_id"].tolist() == [1, 2]
    name = after["region_id_str"][0]
    db.update_regions([{"region_id_str": name, "radius": 9.0}], file)
    assert db.get_regions(dbfile=file)["radius"].tolist() == [9.0, 3.0]
    with pytest.raises(InputError, match="no region unknown"):
        db.update_regions([{"region_id_str": "unknown", "radius": 9.0}], file)
    with pytest.raises(InputError, match="no circle"):
        db.update_regions([{"region_id_str": name, "radius": -9.0}], file)
    assert db.get_regions(dbfile=file)["radius"].tolist() == [9.0, 3.0]


def test_files_are_brought_together(file, tmp_path):
    other = tmp_path / "other.h5"
    db.save("astromon_regions", db.create_table("astromon_regions"), other)
    db.add_regions([circle(1.0), circle(2.0, obsid=5)], other)
    db.sync_regions(other, file)
    assert db.get_regions(dbfile=file)["ra"].tolist() == [1.0, 2.0]
    db.add_regions([circle(3.0)], file)
    db.add_regions([circle(4.0)], other)
    newer = db.get_regions(dbfile=other)[:1]
    newer["comments"] = "newer"
    db.update_regions(newer, other)
    mine = db.get_regions(dbfile=file)[1:2]
    mine["comments"] = "mine"
    db.update_regions(mine, file)
    db.sync_regions(other, file)
    both = db.get_regions(dbfile=file)
    assert both["ra"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert both["region_id"].tolist() == [1, 2, 3, 4]
    assert both["comments"].tolist() == ["newer", "mine", "", ""]
    db.sync_regions(other, file)
    assert len(db.get_regions(dbfile=file)) == 4
    db.remove_regions([2], other)
    # The last region of observation 5 goes too.
    db.sync_regions(other, file, remove=True)
    assert db.get_regions(dbfile=file)["ra"].tolist() == [1.0, 4.0]
    assert db.add_regions([circle()], file)["region_id"].tolist() == [5]


def test_regions_of_an_observation(file):
    db.save(
        "astromon_obs", rows("astromon_obs", obsid=[8, 9], ra=[359.99, 50.0], dec=[0.0, 0.0]), file
    )
    near, far, own = {"ra": 0.05, "dec": 0.0}, {"ra": 0.1, "dec": 0.0}, {"ra": 200.0, "dec": 50.0}
    db.add_regions([near | {"radius": 1.0}, far | {"radius": 1.0}], file)
    db.add_regions([own | {"radius": 1.0, "obsid": 8}], file)
    assert db.get_regions(8, file)["region_id"].tolist() == [1, 3]
    assert db.get_regions(8, file, radius=10)["region_id"].tolist() == [1, 2, 3]
    assert db.get_regions(8, file, radius=1 * units.arcsec)["region_id"].tolist() == [3]
    assert len(db.get_regions(9, file)) == 0
    with pytest.raises(InputError, match="no observation 10"):
        db.get_regions(10, file)


def test_positions_in_regions(file):
    db.add_regions([circle(0.0), circle(0.0, obsid=7)], file)
    inside, outside = SkyCoord(359.9995, -5.0, unit="deg"), SkyCoord(0.001, -5.0, unit="deg")
    assert db.is_in_excluded_region(inside, dbfile=file) is True
    assert db.is_in_excluded_region(outside, dbfile=file) is False
    several = SkyCoord([359.9995, 0.001], [-5.0, -5.0], unit="deg")
    table = db.get_regions(dbfile=file)
    of_seven = table[table["obsid"] == 7]
    assert db.is_in_excluded_region(several, regions=of_seven).tolist() == [True, False]
    assert not db.is_in_excluded_region(several, [1, 7], of_seven).any()
    assert db.is_in_excluded_region(several, [7, 7], of_seven).tolist() == [True, False]
    assert of_seven.colnames == table.colnames
    with pytest.raises(ValueError, match="same shape"):
        db.is_in_excluded_region(several, [1])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([{"ra": 1.0, "dec": 2.0}], "column radius is missing"),
        ([circle() | {"dec": 91.0}], "no circle on the sky"),
        ([circle() | {"radius": np.nan}], "no circle on the sky"),
        ([circle() | {"obsid": 0.5}], "column obsid"),
    ],
)
def test_what_is_no_region_changes_nothing(file, given, sentence):
    with pytest.raises(InputError, match=sentence):
        db.add_regions(given, file)
    assert numbers(file) == []


def test_files_without_regions(tmp_path):
    path = tmp_path / "astromon"
    db.save("astromon_obs", db.create_table("astromon_obs"), path)
    for work in (
        lambda: db.add_regions([circle()], path),
        lambda: db.remove_regions([1], path),
        lambda: db.update_regions([circle() | {"region_id_str": "x"}], path),
        lambda: db.sync_regions(path, path),
        lambda: db.get_regions(dbfile=path),
    ):
        with pytest.raises(MissingTableException, match="astromon_regions not in file"):
            work()


def test_an_open_file(tmp_path):
    path = tmp_path / "astromon.h5"
    with db.connect(path, "r+") as h5:
        db.save("astromon_regions", db.create_table("astromon_regions"), h5)
        db.add_regions([circle()], h5)
        assert db.get_regions(dbfile=h5)["region_id"].tolist() == [1]
    assert numbers(path) == [1]


def add_some(file, go, n):
    go.wait()
    for _ in range(n):
        db.add_regions([circle()], file)


@pytest.mark.parametrize("file", ONE_FORM, indirect=True)
def test_several_writers_lose_nothing(file):
    context = multiprocessing.get_context("spawn")
    go = context.Barrier(2)
    writer = context.Process(target=add_some, args=(file, go, 4))
    writer.start()
    add_some(file, go, 4)
    writer.join()
    assert writer.exitcode == 0
    assert numbers(file) == list(range(1, 9))
    assert len(set(db.get_regions(dbfile=file)["region_id_str"])) == 8


def be_killed(file, line):
    """Add a region in a process that is killed at a line of the code of the forms."""
    process = os.fork()
    if process:
        return os.WIFSIGNALED(os.waitpid(process, 0)[1])
    left = iter(range(line))

    def trace(frame, _event, _argument):
        if "forms" not in frame.f_code.co_filename and "whole" not in frame.f_code.co_filename:
            return None
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    db.add_regions([circle()], file)
    os._exit(0)


def kill_many(file):
    before, line, killed = numbers(file), 1, True
    while killed:
        killed = be_killed(file, line)
        after = numbers(file)
        assert after[: len(before)] == before
        assert len(after) <= len(before) + 1
        assert after == sorted(set(after))
        before, line = after, line + 25


@pytest.mark.parametrize(
    "file",
    [form if form == "astromon" else pytest.param(form, marks=pytest.mark.drill) for form in FORMS],
    indirect=True,
)
def test_killed_writers_lose_nothing(file):
    """At lines all through the writing; whoever comes next finds no lock and whole tables."""
    db.add_regions([circle(1.0), circle(2.0)], file)
    killer = multiprocessing.get_context("spawn").Process(target=kill_many, args=(file,))
    killer.start()
    killer.join()
    assert killer.exitcode == 0
    there = numbers(file)
    assert len(there) >= 3
    assert db.add_regions([circle()], file)["region_id"][0] > max(there)
