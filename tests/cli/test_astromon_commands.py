"""Commands on tables of astromon: what they say, write and refuse."""

import re

import pytest
import typer
from astropy.table import Table
from helpers.astromon_tables import save_real

from exod.astromon import db
from exod.cli import app


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
        (("remove", 14, 9, 77, "--db", file), "2 regions removed. The file has no region 77."),
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
        (("cross-match", "--catalogs", "Tycho2,"), "an empty name in 'Tycho2,'"),
        (("cross-match", "--snr", "nan"), "Invalid value for '--snr'"),
        (("cross-match", "--dr", "-1"), "Invalid value for '--dr'"),
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


def test_regions_of_a_file_that_has_none_yet(command, file, tmp_path):
    mine = tmp_path / "mine.db3"
    db.save("astromon_obs", db.get_table("astromon_obs", file), mine)
    code, said, err = command("astromon", "regions", "add", "10.5,-3", "--db", mine)
    assert (code, "Region 1 is added" in said + err) == (0, True), err
    code, said, err = command("astromon", "regions", "sync", mine, tmp_path / "new")
    assert (code, "has 1 region." in said + err) == (0, True), err
    # Neither a file that is not there nor one without regions makes another.
    code, _, err = command("astromon", "regions", "add", "1,2", "--db", tmp_path / "typo.db3")
    assert (code, "no file" in err) == (1, True)
    code, _, err = command("astromon", "regions", "sync", tmp_path / "typo", tmp_path / "other")
    assert (code, "no file" in err) == (1, True)
    assert {path.name for path in tmp_path.iterdir()} & {"typo.db3", "typo", "other"} == set()


def test_catalogues_that_the_file_has_not_are_told(command, file):
    words = ("astromon", "cross-match", "--db", file, "--catalogs")
    code, said, err = command(*words, "2mass,Tycho2")
    assert code == 0
    assert "no counterparts of '2mass', but of 2MASS, Tycho2, USNO-B1.0" in said + err
    code, said, err = command(*words, "2MASS,Tycho2")
    assert "no counterparts" not in said + err


def helps(command):
    yield command.help or ""
    yield from (getattr(parameter, "help", "") or "" for parameter in command.params)
    for other in getattr(command, "commands", {}).values():
        yield from helps(other)


def test_no_text_of_help_loses_its_asterisks():
    texts = [re.sub("`[^`]*`", "", text) for text in helps(typer.main.get_command(app))]
    assert len(texts) > 200
    assert [text for text in texts if re.search(r"\*[^*]+\*", text)] == []
