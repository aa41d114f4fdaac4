"""`exod explore`: what it refuses before anything is made or opened."""

from __future__ import annotations


def test_votes_are_not_open_to_a_network(command, tmp_path):
    code, _, said = command("explore", tmp_path / "none", "--host", "0.0.0.0")
    assert code == 2
    assert "give --public, with which nothing can be changed" in " ".join(said.split())


def test_no_archive_is_one_sentence(command, tmp_path):
    code, _, said = command("explore", tmp_path / "none")
    assert code == 1
    assert "is no archive" in said or "archive.json" in said
    assert not (tmp_path / "none").exists()
