"""Event selection, one step after the other (method.md, Event selection)."""

import warnings

import numpy as np
import pytest
from helpers.strategies import make_events, make_exposure, random_events, seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import ExposureRejected
from exod.instruments import CAMERAS
from exod.instruments.epic_pn import BAD_COLUMNS
from exod.observation.events import NO_POSITION, EventList, select_events

GOOD_PN = {"rawx": 30, "rawy": 100, "ccdnr": 1}


def survivors(instrument="EMOS1", submode="PrimeFullWindow", use_flags=True, n=None, **columns):
    """Indices of the events that are kept."""
    n = len(next(v for v in columns.values() if np.ndim(v))) if n is None else n
    events = make_events(np.arange(n, dtype=float), **columns)
    exposure = make_exposure(instrument, submode=submode)
    selected = select_events(exposure, events, use_flags=use_flags)
    return selected.events.time.astype(int).tolist()


@pytest.mark.parametrize("instrument", CAMERAS)
def test_energies(instrument):
    assert survivors(instrument, pi=[199, 200, 201, 11_999, 12_000, 12_001]) == [1, 2, 3, 4]


@pytest.mark.parametrize(("instrument", "last"), [("EPN", 4), ("EMOS1", 12), ("EMOS2", 12)])
def test_patterns(instrument, last):
    assert survivors(instrument, pattern=np.arange(32)) == list(range(last + 1))


@pytest.mark.parametrize(("instrument", "mask"), [("EPN", 0xCFA0000), ("EMOS1", 0x766BA000)])
def test_flags(instrument, mask):
    bits = np.array([0, *(1 << k for k in range(31))])
    kept = survivors(instrument, flag=bits)
    assert kept == [i for i, bit in enumerate(bits.tolist()) if not bit & mask]
    assert survivors(instrument, flag=bits, use_flags=False) == list(range(32))


def test_flag_mask_of_the_header_counts():
    events = make_events(np.arange(3.0), flag=[0, 1, 0x10000])
    selected = select_events(make_exposure(flag_mask=1), events)
    assert selected.events.time.tolist() == [0, 2]


def test_negative_flags_are_bit_patterns():
    """FLAG is a signed word; its highest bit makes it negative."""
    assert survivors("EMOS1", flag=np.array([-(2**31), -1], "i4")) == [0]


def test_interval_is_that_of_good_events_before_spatial_cuts():
    """After the cuts of energy, pattern and flag only (method.md, Event selection, step 3)."""
    events = make_events(
        np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
        pi=[100, 1000, 1000, 1000, 1000, 1000, 1000],
        rawy=[100, 5, 100, 100, 100, 100, 100],
        x=[0, 0, 0, 0, 0, NO_POSITION, 0],
        pattern=[0, 0, 0, 0, 0, 0, 9],
    )
    selected = select_events(make_exposure("EPN"), events)
    assert (selected.time_min, selected.time_max) == (2.0, 6.0)
    assert selected.events.time.tolist() == [3, 4, 5]
    assert selected.n_rows == 7


def test_bad_rows_of_pn():
    ccdnr, rawx = np.divmod(np.arange(12 * 56), 56)
    ccdnr, rawx = ccdnr + 1, rawx + 5
    kept = survivors("EPN", ccdnr=ccdnr, rawx=rawx)
    lost = sorted(set(range(len(rawx))) - set(kept))
    assert [(ccdnr[i], rawx[i]) for i in lost] == [(4, 12), (5, 11), (10, 28)] == [*BAD_COLUMNS]


@pytest.mark.parametrize(
    ("submode", "first_row"),
    [("PrimeFullWindow", 24), ("PrimeFullWindowExtended", 24), ("PrimeLargeWindow", 1)],
)
def test_borders_of_pn(submode, first_row):
    rows, columns = np.arange(1, 201), np.arange(1, 65)
    kept = survivors("EPN", submode, ccdnr=1, rawy=rows)
    assert rows[kept].tolist() == list(range(first_row, 197))
    kept = survivors("EPN", submode, ccdnr=1, rawx=columns)
    assert columns[kept].tolist() == list(range(5, 61))


@pytest.mark.parametrize("instrument", ["EMOS1", "EMOS2"])
@pytest.mark.parametrize(
    "submode", ["PrimePartialRFS", *(f"PrimePartialW{i}" for i in range(2, 7))]
)
def test_central_ccd_of_mos_windows(instrument, submode):
    assert survivors(instrument, submode, ccdnr=np.arange(1, 8)) == [1, 2, 3, 4, 5, 6]
    assert survivors(instrument, ccdnr=np.arange(1, 8)) == [0, 1, 2, 3, 4, 5, 6]


def test_mos_has_no_borders():
    assert survivors(rawx=[1, 600], rawy=1) == [0, 1]


def test_events_without_a_position():
    null = NO_POSITION
    assert survivors(x=[0, null, 51840, null], y=[0, 5, null, null]) == [0]


# --- submodes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instrument", "submode"),
    [
        ("EPN", "PrimeSmallWindow"),
        ("EPN", "FastTiming"),
        ("EPN", "FastBurst"),
        ("EPN", "ModifiedTiming"),
        ("EPN", "Large Offset"),
        ("EPN", "PrimePartialW3"),
        ("EMOS1", "FastUncompressed"),
        ("EMOS2", "FastCompressed"),
        ("EMOS1", "PrimePartialW1"),
        ("EMOS1", "PrimeLargeWindow"),
        ("EMOS1", ""),
    ],
)
def test_unsupported_submodes(instrument, submode):
    exposure = make_exposure(instrument, submode=submode)
    with pytest.raises(ExposureRejected, match="which is not supported") as caught:
        select_events(exposure, make_events(np.arange(3.0)))
    assert exposure.filename in str(caught.value)
    assert (submode or "(none)") in str(caught.value)


# --- nothing left ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"pi": 100}, "no events left of 3 after the energy, pattern and flag cuts"),
        ({"flag": 0x400000}, "no events left of 3 after the energy, pattern and flag cuts"),
        ({"pattern": 30}, "no events left of 3 after the energy, pattern and flag cuts"),
        ({"x": NO_POSITION}, "no events left of 3 after the selection"),
        ({"time": np.full(3, np.nan)}, "no events left of 3"),
    ],
)
def test_nothing_left(columns, reason):
    events = make_events(**({"time": np.arange(3.0)} | columns))
    with pytest.raises(ExposureRejected, match=reason):
        select_events(make_exposure(), events)


def test_central_ccd_only():
    exposure = make_exposure(submode="PrimePartialW2")
    with pytest.raises(ExposureRejected, match="only where its detector is not used"):
        select_events(exposure, make_events(np.arange(3.0), ccdnr=1))


def test_borders_only():
    with pytest.raises(ExposureRejected, match="only where its detector is not used"):
        select_events(make_exposure("EPN"), make_events(np.arange(3.0), rawy=199))


def test_no_events_at_all():
    with pytest.raises(ExposureRejected, match="no events left of 0"):
        select_events(make_exposure(), EventList.empty())


# --- times -----------------------------------------------------------------------------------


def test_times_that_are_not_numbers_are_dropped_and_noted():
    events = make_events(np.array([3.0, np.nan, 1.0, np.inf, 2.0, -np.inf]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        selected = select_events(make_exposure(), events)
    assert selected.events.time.tolist() == [1, 2, 3]
    assert selected.n_rows == 6
    (note,) = selected.notes
    assert "3 events without a time" in note


@given(seeds, st.integers(1, 60), st.sampled_from(list(CAMERAS)))
def test_order_of_rows_does_not_matter(seed, n, instrument):
    generator = np.random.default_rng(seed)
    events, exposure = random_events(generator, n), make_exposure(instrument)
    shuffled = events.take(generator.permutation(n))
    try:
        expected = select_events(exposure, events)
    except ExposureRejected as error:
        with pytest.raises(ExposureRejected, match=str(error).replace("(", r"\(")[-40:]):
            select_events(exposure, shuffled)
        return
    found = select_events(exposure, shuffled)
    assert (found.time_min, found.time_max) == (expected.time_min, expected.time_max)
    assert (np.diff(found.events.time) >= 0).all()
    for name, values in vars(expected.events).items():
        assert np.array_equal(getattr(found.events, name), values), name


def test_events_of_equal_time_keep_their_order():
    events = make_events(np.array([2.0, 1.0, 2.0, 1.0]), rawx=[1, 2, 3, 4])
    assert select_events(make_exposure(), events).events.rawx.tolist() == [2, 4, 1, 3]


@given(seeds, st.integers(0, 40))
def test_selection_keeps_rows_whole(seed, n):
    """Every selected event is one of the input, with all its columns."""
    generator = np.random.default_rng(seed)
    events = random_events(generator, n)
    rows = {*zip(*vars(events).values(), strict=True)}
    try:
        selected = select_events(make_exposure(), events)
    except ExposureRejected:
        return
    assert {*zip(*vars(selected.events).values(), strict=True)} <= rows
    types = {name: values.dtype for name, values in vars(events).items()}
    assert {name: v.dtype for name, v in vars(selected.events).items()} == types
