"""`exod explore`: what it refuses before anything is made or opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from exod.cli import app
from exod.web.voting.people import read_users


def test_votes_are_not_open_to_a_network(command, tmp_path):
    code, _, said = command("explore", tmp_path / "none", "--host", "0.0.0.0")
    assert code == 2
    assert "give --users FILE, with names and passwords, or --public" in " ".join(said.split())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--public", "--users", "people.txt"], "--public is for everybody"),
        (["--users", "people.txt", "--proxy-header", "X-Name"], "not from both"),
        (["--proxy", "10.0.0.1"], "--proxy is of a --proxy-header"),
        (["--proxy-header", "X-Name"], "needs the address of its proxy"),
        (["--users", "people.txt"], "The file of users people.txt"),
    ],
)
def test_who_may_come_in_must_be_clear(command, tmp_path, options, sentence):
    code, _, said = command("explore", tmp_path / "none", "--host", "0.0.0.0", *options)
    assert code == 2
    assert sentence in " ".join(said.split())


def test_people_are_added_and_removed(tmp_path):
    path = str(tmp_path / "people.txt")
    found = CliRunner().invoke(app, ["users", path, "ada"], input="a password\na password\n")
    assert (found.exit_code, list(read_users(Path(path)))) == (0, ["ada"])
    assert "a password" not in found.output + Path(path).read_text()
    found = CliRunner().invoke(app, ["users", path, "bo"], input="short\nshort\n")
    assert found.exit_code == 2
    assert CliRunner().invoke(app, ["users", path, "ada", "--remove"]).exit_code == 0
    assert CliRunner().invoke(app, ["users", path, "ada", "--remove"]).exit_code == 2


def test_no_archive_is_one_sentence(command, tmp_path):
    code, _, said = command("explore", tmp_path / "none")
    assert code == 1
    assert "is no archive" in said or "archive.json" in said
    assert not (tmp_path / "none").exists()
