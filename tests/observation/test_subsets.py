"""Exposures that overlap, against a graph search."""

import numpy as np
import pytest
from helpers.strategies import make_events, make_selected, seeds
from hypothesis import given
from hypothesis import strategies as st

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
    return [item.exposure.filename for item in group]


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
def test_subsets_are_connected_components(intervals, seed):
    items = selections(intervals)
    order = np.random.default_rng(seed).permutation(len(items))
    subsets, left_out = split_subsets([items[i] for i in order])
    by_name = {item.exposure.filename: item for item in items}
    kept = {name for group in subsets for name in names(group)}
    lost = {item.exposure.filename for item, _ in left_out}
    assert kept | lost == set(by_name)
    assert not kept & lost
    components = slow_components(items)
    assert len(subsets) == len(components)
    for group in subsets:
        (component,) = (c for c in components if c & set(names(group)))
        assert names(group) == sorted(names(group))
        longest = {}
        for name in sorted(component):
            item = by_name[name]
            best = longest.get(item.exposure.instrument)
            if best is None or item.time_max - item.time_min > best.time_max - best.time_min:
                longest[item.exposure.instrument] = item
        assert set(names(group)) == set(names(longest.values()))
    assert [names(g)[0] for g in subsets] == sorted(names(g)[0] for g in subsets)


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
    assert [names(group) for group in subsets] == [["P000S000", "P001S001"], ["P002S002"]]


def test_a_chain_is_one_subset():
    subsets, _ = split_subsets(selections([("EMOS1", 0, 10), ("EPN", 8, 10), ("EMOS2", 16, 9)]))
    assert len(subsets) == 1


def test_longest_of_each_camera_is_kept_with_a_reason():
    items = selections([("EMOS1", 0, 3), ("EMOS1", 4, 6), ("EPN", 0, 10)])
    subsets, left_out = split_subsets(items)
    assert [names(group) for group in subsets] == [["P001S001", "P002S002"]]
    ((item, reason),) = left_out
    assert item.exposure.filename == "P000S000"
    assert reason == "P001S001 is a longer exposure of the same camera."


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
