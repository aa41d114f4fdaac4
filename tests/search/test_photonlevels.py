"""When photons come if only some CCDs were live, against sums over fine steps."""

from dataclasses import replace

import numpy as np
import pytest

from exod.counts.shares import LevelCurve
from exod.search.nulls.photonsearch.photonlevels import (
    GroupLive,
    Levels,
    TimedPhotons,
    levels_of,
)
from exod.search.nulls.photonsearch.photonmarks import Marks, PhotonField
from exod.search.nulls.photonsearch.photonplaces import around_of
from exod.search.nulls.photonsearch.photonratio import shares_inside
from exod.search.nulls.photonsearch.photonscan import shuffled

# Two classes in three pieces; the second group is off from 40 to 60 and half live from 70 on.
CURVE = LevelCurve(np.array([0.0, 30.0, 50.0, 100.0]), np.array([0, 1, 0]), np.array([2, 6.0, 1]))
LIVE = GroupLive(
    np.array([0.0, 40.0, 60.0, 70.0, 100.0]), np.array([[1, 1.2, 1, 1.1], [1, 0, 1, 0.5]])
)
DENSITY = np.array([[0.02, 0.05, 0.008], [0.02, 0.05, 0.008], [1 / 80, 1 / 20, 1 / 80]])
LEVELS = Levels(CURVE, DENSITY, LIVE)
FINE = np.arange(0.005, 100, 0.01)


def relative(group):
    return LIVE.relative[group, np.searchsorted(LIVE.edges, FINE) - 1]


@pytest.mark.parametrize("group", [0, 1])
@pytest.mark.parametrize("number", [0, 1])
def test_what_a_group_sees_is_the_integral_over_its_class(group, number):
    piece = np.searchsorted(CURVE.live, FINE) - 1
    weight = relative(group) * (CURVE.kind[piece] == number) * 0.01
    row = group * CURVE.n_classes + number
    assert LEVELS.table()[2 + row, 100] == pytest.approx(weight.sum(), abs=0.02)
    assert LEVELS.table()[2 + row, 45] == pytest.approx(weight[FINE < 45].sum(), abs=0.02)
    for kind in range(len(DENSITY)):
        expected = (weight * DENSITY[kind, piece]).sum()
        assert LEVELS.seen()[kind, row] == pytest.approx(expected, abs=1e-3)
        at = np.array([20.0]), np.array([kind]), np.array([row])
        (inverse,) = LEVELS.inverse(*at, np.array([0.0]))
        assert inverse == pytest.approx(expected / DENSITY[kind, 0], abs=0.1)
        (steady,) = LEVELS.inverse(*at, np.array([1.0]))
        (mixed,) = LEVELS.inverse(*at, np.array([0.3]))
        assert 1 / mixed == pytest.approx(0.7 / inverse + 0.3 / steady)


@pytest.mark.parametrize("decay", [0.0, 15.0, 200.0])
def test_each_class_has_what_of_a_burst_falls_in_it(decay):
    table, (begin, length) = LEVELS.table(), (5.0, 60.0)
    n = len(table) - 2
    around = around_of(16, n)
    around.pieces[:], around.n_pieces[0] = np.arange(n), n
    portion = shares_inside(table, begin, length, decay, around)
    inside = (begin < FINE) & (begin + length > FINE)
    rate = np.where(inside, np.exp(-(FINE - begin) / decay) if decay else 1.0, 0.0)
    rate /= rate.sum()
    piece = np.searchsorted(CURVE.live, FINE) - 1
    for row in range(n):
        group, number = divmod(row, CURVE.n_classes)
        expected = (rate * relative(group) * (CURVE.kind[piece] == number)).sum()
        assert around.inside[row] == pytest.approx(expected, abs=0.02)
    assert portion == pytest.approx((LEVELS.overall[piece] * inside).sum() * 0.01, abs=0.01)


def test_a_camera_that_sees_less_of_flares_has_a_level_of_its_own():
    # The second camera sees none of the flare from 200 to 300. From 400 on it is off, so that the
    # field is half as live, for 50 seconds of live time in which the first is on for 100.
    random = np.random.default_rng(2)
    groups = GroupLive(np.array([0.0, 400.0, 450.0]), np.array([[1.0, 2.0], [1.0, 0.0]]))
    quiet = [random.uniform(0, 400, 16_000), random.uniform(400, 450, 2000)]
    time = np.concatenate([*quiet, random.uniform(200, 300, 6000)])
    camera = np.concatenate([np.arange(16_000) % 2, np.zeros(8000, int)])
    order = np.argsort(time)
    time, camera = time[order], camera[order]
    hard = np.zeros(len(time), int)
    photons = TimedPhotons(time, hard, kind=2 * camera, group=camera, n_kinds=4)
    levels = levels_of(photons, 450.0, 100_000, groups)  # so many cells make one class
    spans = [np.linspace(*span, 500) for span in ((5, 195), (205, 295), (305, 395))]
    first, second = ([levels.at(at, np.full(500, kind)).mean() for at in spans] for kind in (0, 2))
    assert first[1] / first[0] == pytest.approx(4.0, rel=0.1)
    assert second[1] / second[0] == pytest.approx(1.0, abs=0.1)
    assert first[2] / first[0] == pytest.approx(1.0, abs=0.1)


def test_shuffled_photons_of_sources_come_when_their_ccd_is_live():
    n = 4000
    nothing, group = np.zeros(n), np.arange(n) % 2
    marks = Marks(
        event=np.arange(n),
        time=np.linspace(0.0, 30.0, n),
        x=nothing,
        y=nothing,
        camera=np.zeros(n, int),
        v=np.zeros((n, 3)),
        piece=group * CURVE.n_classes,
        kind=np.zeros(n, int),
        steady=np.ones(n),
    )
    field = PhotonField(
        marks=marks,
        levels=LEVELS,
        profiles=np.zeros((1, 1, 1)),
        shares=np.ones(1),
        axis=(0.0, 0.0),
        expected=np.ones((1, 1)),
        brightness=np.ones((1, 1)),
        area=1.0,
        enclosed=1.0,
        shape=(1, 1),
        corner=(0.0, 0.0),
    )
    found = shuffled(field, np.random.default_rng(1)).marks
    second = found.time[found.piece == CURVE.n_classes]
    assert len(second) == n // 2
    # Class 0 is before 30 and after 50; the second group is dead in it until 60.
    assert not ((second > 30) & (second < 60)).any()
    seconds = {(0, 30): 30.0, (60, 70): 10.0, (70, 100): 15.0}
    for (low, high), live in seconds.items():
        share = np.mean((second >= low) & (second <= high))
        assert share == pytest.approx(live / 55, abs=0.04)
    one = replace(field, levels=replace(LEVELS, live=GroupLive(LIVE.edges, LIVE.relative[:1])))
    alone = replace(one, marks=replace(marks, piece=np.zeros(n, int)))
    assert np.ptp(shuffled(alone, np.random.default_rng(1)).marks.time) > 95
