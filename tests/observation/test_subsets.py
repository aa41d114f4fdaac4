"""Exposures that overlap, against a graph search."""

from itertools import pairwise, product

import numpy as np
import pytest
from helpers.strategies import make_events, make_selected, seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.instruments import EPN
from exod.observation.stretches import ENOUGH, WORTHWHILE, working_groups
from exod.observation.subsets import merge_subset, split_subsets

INSTRUMENTS = ["EPN", "EMOS1", "EMOS2"]
exposure_lists = st.lists(
    st.tuples(st.sampled_from(INSTRUMENTS), st.integers(0, 30), st.integers(0, 10)), max_size=9
)


def selections(intervals):
    return [
        make_selected(camera, f"P{i:03d}S{i:03d}", float(start), float(start + length))
        for i, (camera, start, length) in enumerate(intervals)
    ]


def names(group):
    return [item.exposure.filename for item in getattr(group, "exposures", group)]


def slow_components(items) -> list[set[str]]:
    """Connected components of the graph of overlapping closed intervals."""
    components = [{item.exposure.filename} for item in items]
    for a in items:
        for b in items:
            if a.time_min <= b.time_max and b.time_min <= a.time_max:
                joined = [c for c in components if {*names([a, b])} & c]
                components = [c for c in components if c not in joined]
                components.append(set().union(*joined))
    return components


@given(exposure_lists, seeds)
def test_subsets_divide_connected_components(intervals, seed):
    items = selections(intervals)
    order = np.random.default_rng(seed).permutation(len(items))
    subsets, left_out = split_subsets([items[i] for i in order])
    by_name = {item.exposure.filename: item for item in items}
    kept = {name for group in subsets for name in names(group)}
    lost = {item.exposure.filename for item, _ in left_out}
    assert kept | lost == set(by_name)
    assert not kept & lost
    components = slow_components(items)
    for component in components:
        own = [group for group in subsets if component & set(names(group))]
        assert own
        assert all(set(names(group)) <= component for group in own)
        usual = longest_of_each(by_name, component)
        common = min(i.time_max for i in usual) - max(i.time_min for i in usual)
        if np.isinf(own[0].start):
            assert len(own) == 1
            assert set(names(own[0])) == set(names(usual))
        else:
            assert max(common, 0) * len(usual) < ENOUGH * slow_camera_time(by_name, component)
    for group in subsets:
        assert names(group) == sorted(names(group))
        cameras = [item.exposure.instrument for item in group.exposures]
        assert len(set(cameras)) == len(cameras)


def longest_of_each(by_name, component):
    longest = {}
    for name in sorted(component):
        item = by_name[name]
        best = longest.get(item.exposure.instrument)
        if best is None or item.time_max - item.time_min > best.time_max - best.time_min:
            longest[item.exposure.instrument] = item
    return list(longest.values())


def slow_camera_time(by_name, component) -> int:
    """Seconds in which each camera is on, counted one by one (all times are whole)."""
    on = set()
    for name in component:
        item = by_name[name]
        seconds = range(int(item.time_min), int(item.time_max))
        on |= {(item.exposure.instrument, second) for second in seconds}
    return len(on)


def best_value(items, cost: float) -> float:
    """Largest camera time of any division at starts and stops, each stretch at a cost."""
    edges = sorted({edge for item in items for edge in (item.time_min, item.time_max)})
    best = 0.0
    pairs = list(pairwise(edges))
    # Each elementary interval goes on with the one before, begins anew, or is left out.
    for choice in product("+|-", repeat=len(pairs)):
        stretches, ok = [], True
        for (start, stop), what in zip(pairs, choice, strict=True):
            if what == "|":
                stretches.append([start, stop])
            elif what == "+":
                ok &= bool(stretches) and stretches[-1][1] == start
                if ok:
                    stretches[-1][1] = stop
        if ok:
            cameras = [
                {i.exposure.instrument for i in items if i.time_min <= a and b <= i.time_max}
                for a, b in stretches
            ]
            value = sum(
                (b - a) * len(c) - cost for (a, b), c in zip(stretches, cameras, strict=True)
            )
            best = max(best, value)
    return best


@given(exposure_lists.map(lambda found: found[:4]))
def test_stretches_have_the_most_camera_time(intervals):
    """Against all divisions there are."""
    items = selections(intervals)
    subsets, _ = split_subsets(items)
    for component in slow_components(items):
        members = [item for item in items if item.exposure.filename in component]
        own = [group for group in subsets if component & set(names(group))]
        if np.isinf(own[0].start):
            continue
        for earlier, later in pairwise(own):
            assert earlier.stop <= later.start
        for group in own:
            for item in group.exposures:
                assert item.time_min <= group.start < group.stop <= item.time_max
        cost = WORTHWHILE * max(item.time_max - item.time_min for item in members)
        value = sum((g.stop - g.start) * len(g.exposures) - cost for g in own)
        assert value == pytest.approx(best_value(members, cost))


@given(exposure_lists, seeds)
def test_order_does_not_matter(intervals, seed):
    items = selections(intervals)
    order = np.random.default_rng(seed).permutation(len(items))
    expected, expected_out = split_subsets(items)
    found, left_out = split_subsets([items[i] for i in order])
    assert [names(group) for group in found] == [names(group) for group in expected]
    assert sorted((i.exposure.filename, r) for i, r in left_out) == sorted(
        (i.exposure.filename, r) for i, r in expected_out
    )


def test_intervals_are_closed():
    touching = selections([("EPN", 0, 10), ("EMOS1", 10, 5), ("EMOS2", 16, 3)])
    subsets, _ = split_subsets(touching)
    assert [names(group) for group in subsets] == [["P000S000"], ["P001S001"], ["P002S002"]]


def test_a_chain_is_searched_in_stretches():
    chain = selections([("EMOS1", 0, 10), ("EPN", 8, 10), ("EMOS2", 16, 9)])
    subsets, left_out = split_subsets(chain)
    assert not left_out
    searched = sum((group.stop - group.start) * len(group.exposures) for group in subsets)
    assert searched >= 0.85 * 29


def test_a_camera_that_starts_later_cuts_nothing_off():
    """As pn does in almost every observation."""
    subsets, _ = split_subsets(selections([("EPN", 3, 27), ("EMOS1", 0, 30), ("EMOS2", 0, 30)]))
    assert [(names(group), group.start) for group in subsets] == [
        (["P000S000", "P001S001", "P002S002"], -np.inf)
    ]


def test_a_short_exposure_is_left_out_with_a_reason():
    items = selections([("EPN", 0, 30), ("EMOS1", 0, 30), ("EMOS2", 0, 3)])
    ((subset,), ((item, reason),)) = split_subsets(items)
    assert (names(subset), subset.start, subset.stop) == (["P000S000", "P001S001"], 0, 30)
    assert item.exposure.filename == "P002S002"
    assert reason == ("P002S002 lasts 3 s, and more is searched of the other cameras without it.")


def test_a_shorter_exposure_of_a_camera_is_searched_with_the_others():
    items = selections([("EMOS1", 0, 9), ("EMOS1", 10, 12), ("EPN", 0, 22)])
    subsets, left_out = split_subsets(items)
    assert not left_out
    assert [(names(group), group.start, group.stop) for group in subsets] == [
        (["P000S000", "P002S002"], 0, 9),
        (["P001S001", "P002S002"], 10, 22),
    ]


def test_two_exposures_of_a_camera_at_one_time():
    items = selections([("EMOS1", 0, 10), ("EMOS1", 1, 8), ("EPN", 0, 10)])
    ((subset,), ((item, reason),)) = split_subsets(items)
    assert names(subset) == ["P000S000", "P002S002"]
    assert item.exposure.filename == "P001S001"
    assert reason == "P000S000 is a longer exposure of the same camera."


@pytest.mark.parametrize("where", [slice(0, 800), slice(1200, 2000)])
def test_a_camera_that_was_off_for_long(where):
    """The other one is searched alone meanwhile, as if there were two exposures."""
    time = np.linspace(0, 3000, 2000)
    gappy = make_selected("EMOS1", "P1S001", 0.0, 3000.0, make_events(time[where]))
    whole = make_selected("EMOS2", "P2S002", 0.0, 3000.0, make_events(time))
    subsets, left_out = split_subsets([gappy, whole])
    assert not left_out
    both, alone = sorted(subsets, key=lambda group: -len(group.exposures))
    assert (names(both), names(alone)) == (["P1S001", "P2S002"], ["P2S002"])
    on = time[where]
    assert both.start == pytest.approx(on[0], abs=2)
    assert both.stop == pytest.approx(on[-1], abs=2)
    assert alone.stop - alone.start == pytest.approx(3000 - (on[-1] - on[0]), abs=4)


def test_a_quadrant_that_drops_out_for_long():
    """Its frames would be masked; with the other quadrants alone they are searched."""
    time = np.linspace(0, 3000, 24_001)
    ccdnr = np.tile(np.arange(1, 13), 2001)[:24_001]
    on = (ccdnr > 3) | (time < 1000)
    events = make_events(time[on], ccdnr=ccdnr[on])
    ((first, second), left_out) = split_subsets(
        [make_selected("EPN", "P1S001", 0.0, 3000.0, events)]
    )
    assert not left_out
    assert (first.start, second.stop) == (0, 3000)
    assert first.stop == second.start == pytest.approx(1000, abs=2)


@pytest.mark.parametrize("silent", [0, 3])
def test_groups_of_ccds_that_never_worked(silent):
    """Stray events do not make a quadrant one that works."""
    groups = EPN.dropout_groups
    ccdnr = np.repeat(np.arange(1, 13), 2000)
    ccdnr = np.concatenate([ccdnr[ccdnr < 10], np.full(silent, 11)])
    assert working_groups(ccdnr, groups) == groups[:3]
    assert working_groups(np.arange(1, 13), groups) == groups
    assert working_groups(np.empty(0, int), groups) == ()


def test_nothing():
    assert split_subsets([]) == ([], [])


# --- merging ---------------------------------------------------------------------------------


@given(
    st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=8), min_size=1, max_size=3), seeds
)
def test_merged_events(times, seed):
    generator = np.random.default_rng(seed)
    items, rows = [], []
    for i, own in enumerate(times):
        time = np.sort(np.array(own, float))
        events = make_events(time, x=generator.integers(0, 51840, len(time)), ccdnr=i + 1)
        items.append(make_selected(INSTRUMENTS[i], f"P{i}S00{i}", time[0], time[-1], events))
        rows += [(t, i, x) for t, x in zip(time, events.x, strict=True)]
    rows.sort(key=lambda row: row[:2])
    merged = merge_subset(2, [items[i] for i in generator.permutation(len(items))])
    assert merged.number == 2
    assert [e.filename for e in merged.exposures] == names(items)
    assert [*zip(merged.time, merged.source, merged.x, strict=True)] == rows
    assert np.array_equal(merged.ccdnr, merged.source + 1)
    assert merged.t_lo == max(min(own) for own in times)
    assert merged.t_hi == min(max(own) for own in times)
    assert merged.plane == items[0].exposure.plane


@pytest.mark.parametrize("name", ["time", "x", "y", "pi", "ccdnr"])
def test_merging_keeps_types(name):
    item = make_selected("EMOS1", "PS001", 0.0, 1.0)
    merged = merge_subset(0, [item])
    assert getattr(merged, name).dtype == getattr(item.events, name).dtype
