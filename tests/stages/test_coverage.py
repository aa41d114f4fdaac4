"""What was searched is said, and what was not searched is not called empty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.faults import FAST, GOOD, copy, event_lists, set_rows

from exod.archive import open_archive

Command = Callable[..., tuple[int, str, str]]


def taking_turns(rows: Any, zero: float, number: int) -> Any:
    """The rows in 10 of every 40 s; the second camera is on 20 s after the first."""
    phase = (rows["TIME"] - zero) % 40
    return rows[(phase >= 20 * number) & (phase < 20 * number + 10)]


def start_of(path: Path) -> float:
    found = []
    set_rows(path, lambda rows: found.append(rows["TIME"].min()))
    return float(found[0])


def searched(folder: Path, root: Path, command: Command, *options: object) -> Any:
    code, out, err = command("detect", folder, "--archive", root, *FAST, *options)
    assert (code, err) == (0, "")
    archive = open_archive(root)
    entry = archive.entry(GOOD)
    assert entry is not None
    return archive, entry, out


def test_frames_that_are_all_masked_are_no_search(
    small: Path, tmp_path: Path, command: Command
) -> None:
    """In each frame one of the cameras is off: none is whole, and half are live in part."""
    bad = copy(small / GOOD, tmp_path)
    zero = start_of(event_lists(bad)[0])
    for number, path in enumerate(event_lists(bad)):
        set_rows(path, lambda rows, number=number: taking_turns(rows, zero, number))
    _, entry, _ = searched(bad, tmp_path / "live", command, "--t-bin", "5")
    assert entry.status == "EMPTY"
    assert 0.4 < entry.time_share < 0.9
    options = ("--t-bin", "5", "--set", "cube.live_time=frames")
    archive, entry, out = searched(bad, tmp_path / "archive", command, *options)
    assert entry.status == "SKIPPED"
    assert entry.reason == (
        "All frames are masked: in each a camera was off, or it is bad time and left out."
    )
    assert (entry.time_share, entry.area_share) == (0, 0)
    assert len(archive.runs.compute()) == 1
    assert "Of the exposure time 0 % was searched." in out


def test_a_short_exposure_cuts_nothing_off(small: Path, tmp_path: Path, command: Command) -> None:
    _, whole, _ = searched(small / GOOD, tmp_path / "whole", command)
    assert whole.time_share == pytest.approx(1, abs=0.02)
    assert whole.area_share == 1
    bad = copy(small / GOOD, tmp_path)
    first, second = event_lists(bad)
    set_rows(second, lambda rows: rows[rows["TIME"] < start_of(first) + 300])
    archive, entry, out = searched(bad, tmp_path / "archive", command)
    assert entry.status in {"OK", "EMPTY"}
    exposures = archive.exposures.compute().set_index("filename")
    assert list(exposures["used"]) == [True, False]
    assert (
        "more is searched of the other cameras without it" in exposures.loc[second.name, "reason"]
    )
    assert entry.time_share == pytest.approx(2500 / 2800, abs=0.02)
    share = f"Of the exposure time {100 * entry.time_share:.0f} % was searched"
    assert share in entry.reason
    assert share in out
    runs = archive.runs.compute()
    assert (runs["n_exposures"] == 1).all()
    assert (runs["n_frames"] == 12).all()


def test_exposures_in_a_chain_are_all_searched(
    small: Path, tmp_path: Path, command: Command
) -> None:
    """They overlap a little; one goes on where the other ends."""
    bad = copy(small / GOOD, tmp_path)
    first, second = event_lists(bad)
    zero = start_of(first)
    set_rows(first, lambda rows: rows[rows["TIME"] < zero + 1300])
    set_rows(second, lambda rows: rows[rows["TIME"] > zero + 1200])
    archive, entry, _ = searched(bad, tmp_path / "archive", command)
    assert entry.status in {"OK", "EMPTY"}
    exposures = archive.exposures.compute()
    assert exposures["used"].all()
    assert sorted(exposures["subset"]) == [0, 1]
    assert archive.observations.compute()["n_subsets"].item() == 2
    assert entry.time_share > 0.9
    runs = archive.runs.compute().sort_values("t_lo")
    assert list(runs["runid"]) == [f"{GOOD}_0_200_0.2_12.0", f"{GOOD}_1_200_0.2_12.0"]
    assert runs["t_hi"].iloc[0] <= runs["t_lo"].iloc[1]


def test_a_list_without_hard_events(small: Path, tmp_path: Path, command: Command) -> None:
    """It shows no flares, and is no reason to ask for more of them in the other."""
    bad = copy(small / GOOD, tmp_path)
    paths = event_lists(bad)
    set_rows(paths[0], lambda rows: rows[rows["PI"] < 10_000])
    archive, entry, _ = searched(bad, tmp_path / "one", command)
    sentence = f"{paths[0].name} has no events between 10 and 12 keV, so that it shows no bad time."
    assert sentence in entry.reason
    assert archive.runs.compute()["notes"].item() == ""
    set_rows(paths[1], lambda rows: rows[rows["PI"] < 10_000])
    archive, entry, _ = searched(bad, tmp_path / "both", command)
    run = archive.runs.compute().iloc[0]
    assert run["notes"] == ("Bad time cannot be found: there are no events between 10 and 12 keV.")
    assert run["n_bti"] == 0
