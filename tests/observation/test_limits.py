"""Values that no camera gives are counted and dropped, or the list is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.strategies import make_events, make_exposure, make_selected, seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import InputError
from exod.instruments import CAMERAS
from exod.observation.events import NO_POSITION, EventList
from exod.observation.limits import MAX_SHARE, out_of_order, without_impossible
from exod.observation.subsets import of_one_clock
from exod.observation.times import TimeFrame

START, STOP = 1000.0, 2000.0
HIGHEST = {"EPN": (12, 64, 200), "EMOS1": (7, 605, 602), "EMOS2": (7, 605, 602)}
"""CCDs, RAWX and RAWY (TLMAX of these columns in event lists of the pipeline)."""
LOWEST = {"EPN": 1, "EMOS1": -4, "EMOS2": -4}

SPOILT = {
    "ccdnr": (0, 13, 200, 255),
    "rawx": (-30_000, -5, 606, 20_000),
    "rawy": (-1, 0, 603, 32_767),
    "pi": (-32_768, -1, 32_767),
    "pattern": (32, 255),
    "x": (-5, 51_841, 2**31 - 1),
    "y": (-(2**31), -99_999_998, 10**9),
    "time": (0.0, START - 100, STOP + 100, 1e300),
}


def random_list(generator: np.random.Generator, instrument: str, n: int) -> EventList:
    ccds, rawx, rawy = HIGHEST[instrument]
    return make_events(
        np.sort(generator.uniform(START, STOP, n)),
        ccdnr=generator.integers(1, ccds, n, endpoint=True),
        rawx=generator.integers(LOWEST[instrument], rawx, n, endpoint=True),
        rawy=generator.integers(1, rawy, n, endpoint=True),
        pi=generator.integers(0, 32_000, n),
        pattern=generator.integers(0, 31, n, endpoint=True),
        x=np.where(generator.random(n) < 0.1, NO_POSITION, generator.integers(1, 51_840, n)),
    )


@given(seed=seeds, instrument=st.sampled_from(sorted(CAMERAS)), n_spoilt=st.integers(0, 10))
def test_what_is_dropped_is_counted(seed: int, instrument: str, n_spoilt: int) -> None:
    generator = np.random.default_rng(seed)
    exposure = make_exposure(instrument, start=START, stop=STOP)
    events = random_list(generator, instrument, 1000)
    rows = generator.choice(1000, n_spoilt, replace=False)
    names = generator.choice(sorted(SPOILT), n_spoilt)
    for row, name in zip(rows, names, strict=True):
        getattr(events, name)[row] = generator.choice(SPOILT[name])
    left, notes = without_impossible(exposure, events)
    expected = events.take(~np.isin(np.arange(1000), rows))
    for column, values in vars(expected).items():
        assert np.array_equal(getattr(left, column), values), column
    assert len(notes) == bool(n_spoilt)
    for note in notes:
        assert f"{exposure.filename}: {n_spoilt} event" in note
        for name in set(names):
            assert f"{name.upper()} of {(names == name).sum()}" in note


@pytest.mark.parametrize("name", SPOILT)
def test_too_many_are_no_list_of_the_camera(name: str) -> None:
    events = random_list(np.random.default_rng(1), "EPN", 1000)
    n = int(MAX_SHARE * 1000) + 1
    getattr(events, name)[:n] = SPOILT[name][-1]
    with pytest.raises(InputError, match=f"{name.upper()} of {n}"):
        without_impossible(make_exposure("EPN", start=START, stop=STOP), events)


def test_unknown_times_exclude_nothing() -> None:
    events = make_events([-1e9, 0.0, np.nan, np.inf, 1e9])
    exposure = make_exposure()
    assert len(without_impossible(exposure, events)[0]) == 5
    barycentred = make_exposure(start=0.0, stop=1.0, clock=TimeFrame("TDB", "SOLARSYSTEM"))
    assert len(without_impossible(barycentred, make_events([-499.0, 500.0]))[0]) == 2
    other_zero = make_exposure(start=0.0, stop=1.0, clock=TimeFrame(zero_mjd=51544.0))
    assert len(without_impossible(other_zero, make_events([-1e8, 1e8]))[0]) == 2


def test_a_field_elsewhere_is_noted() -> None:
    exposure = make_exposure()
    plane = exposure.plane
    near = make_exposure(ra_pnt=plane.ra_ref, dec_pnt=plane.dec_ref)
    events = make_events(np.arange(100.0))
    assert without_impossible(near, events) == (events, [])
    far = make_exposure(ra_pnt=plane.ra_ref, dec_pnt=plane.dec_ref + 0.5)
    (note,) = without_impossible(far, events)[1]
    assert "30 arcmin from RA_PNT, DEC_PNT" in note


@given(seed=seeds)
def test_times_out_of_order_are_noted(seed: int) -> None:
    generator = np.random.default_rng(seed)
    exposure = make_exposure("EMOS1")
    ccdnr = np.repeat(np.arange(1, 8), 200)
    time = np.concatenate([np.sort(generator.uniform(START, STOP, 200)) for _ in range(7)])
    # Times within a frame are in any order.
    jittered = time + generator.uniform(0, 1.0, len(time))
    assert out_of_order(exposure, make_events(jittered, ccdnr=ccdnr)) == []
    row = generator.integers(1, 199) + 200 * generator.integers(7)
    spoilt = time.copy()
    spoilt[row] += generator.choice([-1, 1]) * (STOP - START)
    (note,) = out_of_order(exposure, make_events(spoilt, ccdnr=ccdnr))
    assert "1 event" in note
    shuffled = generator.permutation(time)
    assert out_of_order(exposure, make_events(shuffled, ccdnr=ccdnr)) == []


@pytest.mark.parametrize(
    ("ccdnr", "instrument", "expected"),
    [
        ([1, 7, 11, 17], "EMOS1", [1, 7, 1, 7]),
        ([0, 8, 10, 18, 21, 203], "EMOS2", [0, 8, 10, 18, 21, 203]),
        ([1, 11, 12, 13], "EPN", [1, 11, 12, 13]),
    ],
)
def test_redundant_nodes(ccdnr: list[int], instrument: str, expected: list[int]) -> None:
    assert CAMERAS[instrument].ccd_numbers(ccdnr).tolist() == expected


@pytest.mark.parametrize(
    "clock",
    [
        TimeFrame("TDB"),
        TimeFrame(reference="SOLARSYSTEM"),
        TimeFrame(zero_mjd=51544.0),
        TimeFrame(offset=5.0),
    ],
)
@pytest.mark.parametrize("n_others", [1, 2])
def test_other_clocks_are_left_out(clock: TimeFrame, n_others: int) -> None:
    """Those of the pipeline stay, however many there are of others."""
    usual = make_selected("EPN", "a", 0.0, 10.0)
    others = []
    for number in range(n_others):
        item = make_selected("EMOS1", f"b{number}", 0.0, 10.0)
        others.append(replace(item, exposure=replace(item.exposure, clock=clock)))
    assert of_one_clock(others) == (others, [])
    kept, left_out = of_one_clock([*others, usual])
    assert kept == [usual]
    assert [item for item, _ in left_out] == others
    assert all(clock.difference(TimeFrame()) in reason for _, reason in left_out)
