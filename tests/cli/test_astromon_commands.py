"""Commands on tables of astromon: what they say, write and refuse."""

import pytest
from astropy.table import Table
from helpers.astromon_tables import save_real

from exod.astromon import db


@pytest.fixture
def file(data_dir, tmp_path):
    return save_real(data_dir, tmp_path / "astromon")


def test_matches_are_shown_stored_and_written(command, file, tmp_path):
    to = tmp_path / "found.ecsv"
    words = ["astromon", "cross-match", "--db", file, "--to", to]
    code, said, err = command(*words, "--catalogs", "2MASS,Tycho2", "--save")
    assert (code, "75 matches" in said + err) == (0, True)
    assert len(Table.read(to)) == 75
    assert len(db.get_cross_matches("simple", file)) == 75
    assert len(db.get_cross_matches("astromon_21", file)) == 8
    assert command(*words, "--save")[0] == 0
    assert len(db.get_cross_matches("astromon_21", file)) == 8


def test_regions_are_added_listed_removed_and_brought_together(command, data_dir, file, tmp_path):
    other = save_real(data_dir, tmp_path / "other.db3")
    words = ("astromon", "regions")
    for arguments, sentence in (
        (("add", "10.5,-3", "--db", file), "Region 14 is added"),
        (("list", "--db", file), "5 regions"),
        (("sync", file, other), "has 5 regions"),
        (("remove", 14, 9, 77, "--db", file), "2 regions removed"),
        (("sync", file, other, "--remove"), "has 3 regions"),
        (("list", "--obsid", 13276, "--db", file), "0 regions"),
    ):
        code, said, err = command(*words, *arguments)
        assert (code, sentence in " ".join((said + err).split())) == (0, True), said + err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("cross-match", "nobody"), "Unknown cross-match 'nobody'"),
        (("cross-match", "--to", "found.txt"), "ends in .ecsv, .fits or .csv"),
        (("regions", "list", "--obsid", "5"), "no observation 5"),
        (("regions", "add", "10,95"), "95"),
    ],
)
def test_wrong_input_is_a_sentence(command, file, words, sentence):
    code, _, err = command("astromon", *words, "--db", file)
    assert (code in (1, 2), sentence in " ".join(err.split())) == (True, True), err


def test_no_file(command, tmp_path, monkeypatch):
    for name in ("ASTROMON_FILE", "SKA"):
        monkeypatch.delenv(name, raising=False)
    code, _, err = command("astromon", "regions", "list")
    assert (code, "ASTROMON_FILE" in err) == (1, True)
    code, _, err = command("astromon", "cross-match", "--db", tmp_path / "none.h5")
    assert (code, "There is no file" in err) == (1, True)
