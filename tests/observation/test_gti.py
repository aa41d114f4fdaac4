"""Bad time intervals and frames without data, against straightforward loops."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.strategies import seeds
from hypothesis import example, given
from hypothesis import strategies as st

from exod.instruments import EMOS1, EPN
from exod.observation.gti import (
    BadTime,
    Frames,
    bad_time,
    camera_off,
    ccd_counts,
    high_energy_counts,
)

T_LO = 1e8


def bad_time_of(rate, *, t_bin=50.0, dt=None, n_exposures=1, t_hi=None) -> BadTime:
    """Bad time of a high-energy light curve given as counts of each bin of `dt` seconds."""
    dt = min(t_bin, 100.0) if dt is None else dt
    counts = np.asarray(rate, int)
    time = np.repeat(T_LO + dt * (np.arange(len(counts)) + 0.5), counts)
    t_hi = T_LO + dt * len(counts) if t_hi is None else t_hi
    frames = Frames.covering(T_LO, t_hi, t_bin)
    return bad_time(time, np.full(len(time), 11_000), frames, t_hi, n_exposures)


def slow_intervals(above: list[bool], edges: np.ndarray) -> list[tuple[float, float]]:
    """The rule word by word (method.md, Bad time), of a curve with edges at both ends."""
    if all(above):
        return [(edges[0], edges[-1])]
    if not any(above):
        return []
    intervals = []
    start = edges[0] if above[0] else None
    for i in range(len(above) - 1):
        if not above[i] and above[i + 1]:
            start = edges[i]
        if above[i] and not above[i + 1]:
            intervals.append((start, edges[i]))
            start = None
    if above[-1]:
        intervals.append((start, edges[-1]))
    return intervals


def slow_frames(intervals, n_frames: int, t_bin: float) -> list[bool]:
    edges = T_LO + t_bin * np.arange(n_frames + 1)
    bad = [False] * n_frames
    for start, stop in intervals:
        first, last = np.searchsorted(edges, [start, stop])
        for index in range(n_frames):
            if first <= index < last - 1:
                bad[index] = True
    return bad


HIGH, LOW = 26, 25  # counts in 50 s just above and at 0.5 ct/s


@pytest.mark.parametrize(
    ("bins", "intervals", "frames"),
    [
        ("", [], ""),
        ("-", [], "-"),
        ("#", [(0, 1)], "-"),
        ("----", [], "----"),
        ("####", [(0, 4)], "###-"),
        ("##--", [(0, 1)], "----"),
        ("###-", [(0, 2)], "#---"),
        ("--##", [(1, 4)], "-##-"),
        ("---#", [(2, 4)], "--#-"),
        ("-##-", [(0, 2)], "#---"),
        ("-#--", [(0, 1)], "----"),
        ("-###--", [(0, 3)], "##----"),
        ("#-#-#", [(0, 0), (1, 2), (3, 5)], "---#-"),
        ("##-##", [(0, 1), (2, 5)], "--##-"),
        ("#--#--", [(0, 0), (2, 3)], "------"),
    ],
)
def test_edge_cases(bins, intervals, frames):
    """`#` is a bin above the threshold; the last bad frame of an interval stays good."""
    bad = bad_time_of([HIGH if b == "#" else LOW for b in bins])
    assert ((bad.intervals - T_LO) / 50).tolist() == [list(i) for i in intervals]
    assert "".join("#" if b else "-" for b in bad.frames) == frames


@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.sampled_from([1.0, 5.0, 50.0, 100.0, 150.0, 200.0, 1000.0]),
    st.floats(0, 0.99),
)
@example([True] * 21, 200.0, 0.0)
@example([True] * 88 + [False] * 10, 290.0, 0.0)  # 87 * (100 / 290) is a bit above 30
@example([False, True, True, True, True], 150.0, 0.0)
def test_intervals_and_frames_against_loops(above, t_bin, rest):
    dt = min(t_bin, 100.0)
    counts = [round(dt * 0.5) + 2 if b else 0 for b in above]
    t_hi = T_LO + dt * (len(above) + rest)
    bad = bad_time_of(counts, t_bin=t_bin, t_hi=t_hi)
    edges = T_LO + dt * np.arange(len(above) + 1)
    intervals = slow_intervals(above, edges)
    assert bad.intervals == pytest.approx(np.reshape(intervals, (-1, 2)))
    assert bad.frames.tolist() == slow_frames(intervals, len(bad.frames), t_bin)


def test_frames_with_real_times_are_not_shaken_by_rounding():
    """Mission times of 1e8 s with fractions: bin edges that coincide must be seen as equal."""
    t_lo = 100529505.65984958
    for t_bin in (5.0, 50.0, 200.0, 7.3):
        dt = min(t_bin, 100.0)
        time = np.repeat(t_lo + dt * (np.arange(3000 // int(dt)) + 0.5), 60)
        frames = Frames.covering(t_lo, t_lo + 3000.0, t_bin)
        bad = bad_time(time, np.full(len(time), 11_000), frames, t_lo + 3000.0, 1)
        assert bad.frames[:-2].all()
        assert not bad.frames[-1]


@pytest.mark.parametrize("n_exposures", [1, 2, 3])
def test_threshold_grows_with_the_exposures(n_exposures):
    at, above = 25 * n_exposures, 25 * n_exposures + 1
    assert len(bad_time_of([at] * 5, n_exposures=n_exposures).intervals) == 0
    assert bad_time_of([above] * 5, n_exposures=n_exposures).frames[:4].all()


def test_only_10_to_12_kev_counts():
    """The band is open: events at exactly 10 or 12 keV do not count."""
    frames = Frames.covering(T_LO, T_LO + 500, 50.0)
    time = np.repeat(frames.starts + 1, 100)
    for pi, flares in ((10_000, False), (10_001, True), (11_999, True), (12_000, False)):
        bad = bad_time(time, np.full(len(time), pi), frames, T_LO + 500, 1)
        assert bad.frames.any() == flares


def test_events_outside_the_interval_do_not_count():
    frames = Frames.covering(T_LO, T_LO + 100, 50.0)
    time = np.r_[np.full(500, T_LO - 1), np.full(500, T_LO + 101)]
    bad = bad_time(time, np.full(1000, 11_000), frames, T_LO + 100, 1)
    assert len(bad.intervals) == 0


def test_high_energy_bins_are_100_s_at_most():
    """A flare of 100 s in frames of 1000 s is an interval but makes no frame bad."""
    counts = [0] * 20
    counts[5] = 60
    bad = bad_time_of(counts, t_bin=1000.0)
    assert (bad.intervals - T_LO).tolist() == [[400, 500]]
    assert not bad.frames.any()


def test_shorter_than_a_bin():
    bad = bad_time_of([], t_hi=T_LO + 30.0)
    assert bad.intervals.shape == (0, 2)
    assert bad.frames.shape == (0,)


# --- frames ----------------------------------------------------------------------------------


@given(st.floats(0, 1e9), st.floats(0.01, 1e4), st.floats(-10, 1e5))
def test_frames_are_whole_and_inside(t_lo, t_bin, span):
    frames = Frames.covering(t_lo, t_lo + span, t_bin)
    assert frames.n >= 0
    assert frames.n * t_bin <= max(span, 0) + 1e-6 * (1 + t_bin)
    assert (frames.n + 1) * t_bin > span - 1e-6 * (1 + t_bin)
    assert len(frames.starts) == frames.n


def test_index_of_a_time():
    frames = Frames(10.0, 5.0, 4)
    times = np.array([9.999, 10.0, 14.999, 15.0, 29.999, 30.0])
    assert frames.index(times).tolist() == [-1, 0, 0, 1, 3, 4]


# --- frames without data ---------------------------------------------------------------------


def slow_camera_off(frame, ccdnr, n_frames, bad_frames, *, is_pn) -> list[bool]:
    """The rule, frame by frame (method.md, Count cube)."""
    off = []
    for i in range(n_frames):
        ccds = [ccdnr[k] for k in range(len(frame)) if frame[k] == i]
        is_off = len(ccds) == 0
        if is_pn:
            counts = [[ccds.count(c) for c in quadrant] for quadrant in EPN.dropout_groups]
            q = [sum(three) for three in counts]
            m = [sorted(three)[1] for three in counts]
            if max(q) > 10:
                if sum(value > 0 for value in q) < 4:
                    is_off = True
                elif bad_frames[i] and max(m) + min(m) > 0:
                    is_off = is_off or (max(m) - min(m)) / (max(m) + min(m)) > 0.5
        off.append(is_off)
    if is_pn:
        return [off[i] or (i > 0 and off[i - 1]) for i in range(n_frames)]
    return off


@given(seeds, st.integers(1, 15), st.booleans(), st.sampled_from([0.0, 2.0, 15.0, 60.0]))
def test_camera_off_against_a_loop(seed, n_frames, is_pn, level):
    generator = np.random.default_rng(seed)
    counts = generator.poisson(level * generator.choice([0, 0.2, 1, 3], (n_frames, 12)) / 3)
    for _ in range(3):
        dead = EPN.dropout_groups[generator.integers(4)]
        counts[generator.integers(n_frames), np.array(dead) - 1] = 0
    frame, ccd = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0).T
    outside = generator.integers(-3, 0, 5)
    frame, ccd = np.r_[frame, outside, outside + n_frames + 5], np.r_[ccd, [0] * 10]
    order = generator.permutation(len(frame))
    frame, ccdnr = frame[order].astype("i4"), (ccd[order] + 1).astype("u1")
    bad_frames = generator.random(n_frames) < 0.5
    off = camera_off(frame, ccdnr, n_frames, bad_frames, EPN.dropout_groups if is_pn else ())
    assert off.tolist() == slow_camera_off(frame, ccdnr, n_frames, bad_frames, is_pn=is_pn)


def pn_counts(by_frame: list[dict[int, int]]):
    """Events of pn given as counts of each CCD in each frame."""
    pairs = [
        (i, ccd) for i, ccds in enumerate(by_frame) for ccd, n in ccds.items() for _ in range(n)
    ]
    frame, ccdnr = np.array(pairs, int).reshape(-1, 2).T
    return frame.astype("i4"), ccdnr.astype("u1"), len(by_frame)


ALL = dict.fromkeys(range(1, 13), 4)
THREE = {ccd: n for ccd, n in ALL.items() if ccd > 3}
FAINT = {4: 1, 7: 1, 10: 1}
UNEVEN = ALL | {1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize(
    ("frames", "bad_time_frames", "off"),
    [
        ([ALL, ALL, ALL], "...", "..."),
        ([ALL, THREE, ALL, ALL], "....", ".##."),
        ([ALL, ALL, THREE], "...", "..#"),
        ([ALL, FAINT, ALL], "...", "..."),
        ([ALL, {}, ALL, ALL], "....", ".##."),
        ([ALL, UNEVEN, ALL], "...", "..."),
        ([ALL, UNEVEN, ALL], ".#.", ".##"),
        ([ALL | {1: 0, 2: 0, 3: 9}, ALL], "##", "##"),
        ([ALL, {4: 10, 7: 10}, ALL], "...", "..."),
        ([ALL, {4: 11, 7: 10}, ALL], "...", ".##"),
    ],
)
def test_quadrants(frames, bad_time_frames, off):
    """A bad last frame does not wrap onto the first."""
    frame, ccdnr, n = pn_counts(frames)
    bad = np.array([b == "#" for b in bad_time_frames])
    result = camera_off(frame, ccdnr, n, bad, EPN.dropout_groups)
    assert "".join("#" if b else "." for b in result) == off


def test_mos_has_no_quadrants():
    frame, ccdnr, n = pn_counts([ALL, {2: 50}, {}, ALL])
    result = camera_off(frame, ccdnr, n, np.ones(4, bool), EMOS1.dropout_groups)
    assert result.tolist() == [False, False, True, False]


@pytest.mark.parametrize("camera", [EPN, EMOS1])
def test_no_events_at_all(camera):
    none = np.empty(0, "i4")
    groups, ccdnr = camera.dropout_groups, none.astype("u1")
    assert camera_off(none, ccdnr, 3, np.zeros(3, bool), groups).all()
    assert camera_off(none, ccdnr, 0, np.zeros(0, bool), groups).shape == (0,)


@given(seeds, st.sampled_from([5.0, 50.0, 200.0]))
def test_high_energy_counts_are_those_of_a_histogram(seed, t_bin):
    random = np.random.default_rng(seed)
    t_hi = T_LO + random.uniform(0, 900)
    time = T_LO + random.uniform(-50, 1000, 300)
    pi = random.choice([9999, 10_000, 10_001, 11_999, 12_000], 300)
    bins, counts = high_energy_counts(time, pi, Frames.covering(T_LO, t_hi, t_bin), t_hi)
    assert bins.t_bin == min(t_bin, 100.0)
    edges = T_LO + bins.t_bin * np.arange(bins.n + 1)
    hard = time[(pi > 10_000) & (pi < 12_000)]
    assert counts.tolist() == [
        ((hard >= low) & (hard < high)).sum() for low, high in pairwise(edges)
    ]


@given(seeds)
def test_counts_of_ccds(seed):
    random = np.random.default_rng(seed)
    frame, ccd = random.integers(0, 6, 50), random.integers(0, 4, 50)
    expected = [[((frame == t) & (ccd == c)).sum() for c in range(4)] for t in range(6)]
    assert ccd_counts(frame, ccd.astype(np.uint8), 6, 4).tolist() == expected
