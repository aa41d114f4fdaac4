"""Good times and frames of event lists, as they are and as they should not be."""

import numpy as np
import pytest
from astropy.io import fits
from helpers.eventfiles import M1, event_hdus, values_of

from exod.observation.gti import Frames
from exod.pps import read_event_list
from exod.pps.ingested import read_events, write_events

N = 7 * 60
START = 6e8
GOOD = [(START - 1, START + 30.0), (START + 40.0, START + 71.0)]
"""Events come every seventh of a second, in all CCDs in turn, but for ten seconds."""


def good_times(rows, number=1, columns=("START", "STOP"), kind="STDGTI"):
    values = np.array(rows, float).reshape(-1, len(columns))
    table = [fits.Column(name, "D", array=own) for name, own in zip(columns, values.T, strict=True)]
    return fits.BinTableHDU.from_columns(table, name=f"{kind}{number:02d}")


def read(tmp_path, *tables):
    values = values_of(N)
    values["TIME"] = np.where(values["TIME"] < START + 30, values["TIME"], values["TIME"] + 10)
    hdus = event_hdus(N, values=values)
    hdus.extend(tables)
    path = tmp_path / M1
    hdus.writeto(path)
    return read_event_list(path)


def test_the_fraction_of_each_ccd(tmp_path):
    exposure, events = read(tmp_path, *(good_times(GOOD, ccd) for ccd in (1, 2, 7)))
    frames = Frames(START, 8.0, 6)
    found = {ccd: curve.fractions(frames) for ccd, curve in exposure.live.curves.items()}
    assert sorted(found) == [1, 2, 7]
    assert found[7] == pytest.approx([1, 1, 1, 0.75, 0.0, 1])
    assert exposure.notes[-1].endswith("has no good times of CCD 3, 4, 5, 6, which counts as live.")
    path = tmp_path / "ingested.parquet"
    write_events(path, exposure, events, {})
    assert read_events(path)[0].live == exposure.live


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        (GOOD[::-1], ""),
        ([*GOOD, GOOD[0], (START + 5, START + 20)], ""),
        ([*GOOD, (np.nan, START), (START + 50, START + 45)], "2 rows that cannot be right"),
        ([(START + 50, START + 60)], "do not hold its events; it counts as live throughout"),
        ([], "do not hold its events"),
        ([(0.0, 1.0)], "do not hold its events"),
    ],
)
def test_unsorted_overlapping_impossible_and_absurd_ones(tmp_path, rows, note):
    exposure, _ = read(tmp_path, good_times(rows, 3))
    said = " ".join(exposure.notes)
    assert note in said
    frames = Frames(START, 8.0, 6)
    found = {ccd: curve.fractions(frames) for ccd, curve in exposure.live.curves.items()}
    if "do not hold" in note:
        assert not exposure.live.is_known
    else:
        assert found[3] == pytest.approx([1, 1, 1, 0.75, 0.0, 1])


def test_tables_without_columns_are_told(tmp_path):
    exposure, _ = read(tmp_path, good_times([(1.0, 2.0)], 1, ("BEGIN", "STOP")))
    assert not exposure.live.is_known
    assert exposure.notes[-1] == f"{M1}: STDGTI01 has no START and STOP."


def test_frames_alone_and_the_redundant_node(tmp_path):
    time = np.concatenate([np.arange(START, START + 30, 2.6), np.arange(START + 41, START + 71, 2)])
    rows = np.column_stack([time + 1.0, np.full(len(time), 2.6), np.full(len(time), 0.9)])
    table = good_times(rows, 12, ("TIME", "TIMEDEL", "FRACEXP"), "EXPOSU")
    exposure, _ = read(tmp_path, table)
    curve = exposure.live.curves[2]
    assert curve.usual == pytest.approx(0.9)
    assert curve.fractions(Frames(START + 32, 6.0, 1)) == pytest.approx([0.0])
