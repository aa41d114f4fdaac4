"""Live curves of CCDs, from good times and frames."""

import numpy as np
import pytest
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.observation.gti import Frames
from exod.observation.livetime import LiveCurve, live_curve

TICKS = st.integers(0, 400).map(lambda tick: tick / 4)
INTERVALS = st.lists(st.tuples(TICKS, TICKS).map(sorted), max_size=8)
FRAMES = Frames(3.0, 7.0, 13)


def brute_force(good, off, frames):
    """Fractions by looking at every eighth of a second."""
    middle = np.arange(0, 800) / 8 + 1 / 16
    inside = np.zeros(len(middle), bool)
    for start, stop in good:
        inside |= (middle > start) & (middle < stop)
    for start, stop in off:
        inside &= ~((middle > start) & (middle < stop))
    frame = np.floor((middle - frames.t_lo) / frames.t_bin)
    return np.array([inside[frame == i].mean() for i in range(frames.n)])


@settings(max_examples=portion(60))
@given(INTERVALS, INTERVALS)
def test_fractions_are_those_of_a_ruler(good, off):
    rows = np.array(good, float).reshape(-1, 2)
    off_rows = np.array(off, float).reshape(-1, 2)
    curve = live_curve(rows, None)
    if curve is None:
        assert not (rows[:, 1] > rows[:, 0]).any()
        return
    # Gaps below a second are shared out within ten seconds, which no edge of a frame shows.
    expected = brute_force(good, off, FRAMES)
    found = curve.without(off_rows).fractions(FRAMES)
    gaps = np.diff(np.sort(rows.ravel()))
    if ((gaps == 0) | (gaps >= 1)).all():
        np.testing.assert_allclose(found, expected, atol=1e-9)
    assert ((found >= 0) & (found <= 1 / 0.9)).all()


def frames_of_camera(share, length=2.6):
    start = length * np.arange(len(share))
    return np.column_stack([start, start + length, share])


def test_scatter_of_the_frames_is_no_live_fraction_of_its_own():
    share = 0.99 - 0.02 * np.random.default_rng(1).random(4000)
    curve = live_curve(np.array([[0.0, 5000.0], [5060.0, 10400.0]]), frames_of_camera(share))
    assert len(curve.pieces) == 2
    assert curve.usual == pytest.approx(0.98, abs=1e-3)
    assert curve.seconds == pytest.approx(10340 * 0.98, rel=1e-3)
    fractions = curve.fractions(Frames(0.0, 50.0, 208))
    assert set(np.flatnonzero(fractions < 1)) == {100, 101}
    assert fractions[100:102] == pytest.approx([0.0, 0.8])


def test_frames_that_keep_half_of_the_light_are_live_by_half():
    share = np.ones(4000)
    share[2000:2100] = 0.5
    curve = live_curve(None, frames_of_camera(share))
    assert curve.fractions(Frames(5300.0, 50.0, 2)) == pytest.approx([0.5, 0.5])
    assert curve.fractions(Frames(0.0, 50.0, 100)) == pytest.approx(1.0)


def test_short_gaps_lower_the_share_and_long_ones_have_edges():
    rows = frames_of_camera(np.ones(1000), 0.5)
    rows = np.delete(rows, np.r_[402, 404, 406, 600:606], axis=0)
    curve = live_curve(None, rows)
    assert curve.fractions(Frames(200.0, 10.0, 1)) == pytest.approx([0.85])
    assert curve.fractions(Frames(300.0, 3.0, 1)) == pytest.approx([0.0])


def test_frames_on_top_of_each_other_are_those_of_no_camera():
    rows = frames_of_camera(np.ones(50))
    rows[:, 1] += 2.6
    assert live_curve(None, rows) is None
    assert live_curve(np.empty((0, 2)), None) is None
    assert live_curve(None, frames_of_camera(np.zeros(50))) is None


def test_the_slack_reaches_to_both_sides():
    curve = LiveCurve(np.array([[0.0, 10.0, 1.0], [20.0, 30.0, 1.0]]))
    times = np.array([-1.0, 5.0, 11.0, 15.0, 19.0, 32.0])
    assert curve.contains(times).tolist() == [False, True, False, False, False, False]
    assert curve.contains(times, 1.0).tolist() == [True, True, True, False, True, False]
