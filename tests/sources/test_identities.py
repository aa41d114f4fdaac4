"""Numbers and names stay: over versions, merges and splits, and in any partitioning of the sky."""

import numpy as np
import pandas as pd
import pytest
from helpers.clustering_reference import Versions, around, in_order, partitions, region_rows
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.sky.healpix import is_among, order_for, sky_pixels
from exod.sky.sphere import unit_vectors
from exod.sources.identities import REACH, Earlier, Members, identify, shared_members

ORDER = order_for(REACH["published"] * 20.0 + 20.0, 8)
A, B, C = "0000000101", "0000000201", "0000000301"


def whole() -> Versions:
    return Versions(ORDER)


def regions(**offsets: tuple[float, float]) -> pd.DataFrame:
    """Regions by the name of the observation and a label, at offsets in arcsec: A0=(0, 0)."""
    obsids = {"A": A, "B": B, "C": C}
    detids = [f"{obsids[name[0]]}_0_50_0.2_12_{name[1:]}" for name in offsets]
    east, north = np.array([*offsets.values()], float).reshape(-1, 2).T
    return region_rows(around((45.0, 0.0), east, north), detids)


def changes(tables: dict[str, pd.DataFrame], generation: int) -> list[tuple[str, int, int]]:
    rows = tables["lineage"].query("generation == @generation")
    return sorted(zip(rows["change"], rows["region_num"], rows["other"], strict=True))


def held(tables: dict[str, pd.DataFrame]) -> dict[str, int]:
    """Source of each region: A0 and so on."""
    rows = tables["members"]
    letters = {A: "A", B: "B", C: "C"}
    return {
        letters[detid[:10]] + detid.rpartition("_")[2]: int(number)
        for detid, number in zip(rows["detid"], rows["region_num"], strict=True)
    }


def test_sources_keep_their_numbers_when_observations_are_added():
    versions = whole()
    first = versions.add(regions(A0=(0, 0), A1=(100, 0)))
    assert changes(first, 1) == [("new", 0, -1), ("new", 1, -1)]
    names = first["unique"].set_index("region_num")["srcid"]
    more = regions(A0=(0, 0), A1=(100, 0), B0=(12, 0), B1=(300, 0))
    second = versions.add(more)
    assert held(second)["A0"] == held(second)["B0"] == held(first)["A0"]
    assert held(second)["A1"] == held(first)["A1"]
    assert changes(second, 2) == [("new", 2, -1)]
    after = second["unique"].set_index("region_num")["srcid"]
    # The mean moved by 6 arcsec, the name did not.
    assert after.loc[names.index].equals(names)
    third = versions.add(more)
    assert changes(third, 3) == []
    assert in_order(third)["unique"].equals(in_order(second)["unique"])


def test_merged_sources_are_recorded_and_come_back():
    """The second processing of an observation brings two sources within the radius."""
    versions = whole()
    apart = regions(A0=(0, 0), A1=(21, 0))
    first = versions.add(apart)
    assert held(first) == {"A0": 0, "A1": 1}
    second = versions.add(regions(A0=(2, 0), A1=(15, 0)))
    assert held(second) == {"A0": 0, "A1": 0}
    assert changes(second, 2) == [("merged", 1, 0)]
    third = versions.add(apart)
    assert held(third) == {"A0": 0, "A1": 1}
    assert changes(third, 3) == [("returned", 1, -1), ("split", 1, 0)]
    names = [tables["unique"].sort_values("region_num")["srcid"] for tables in (first, third)]
    assert names[0].tolist() == names[1].tolist()


def test_another_observation_merges_sources():
    """One region in between, while crowds on both sides pull the means of the others away."""
    versions = whole()
    first = versions.add(regions(A0=(0, 0), A1=(21, 0)))
    assert held(first) == {"A0": 0, "A1": 1}
    crowds = {f"B{i}": (-15 if i % 2 else 36, 0) for i in range(1, 41)}
    second = versions.add(regions(A0=(0, 0), A1=(21, 0), B0=(10.5, 0), **crowds))
    sources = held(second)
    assert sources["A0"] == sources["A1"] == sources["B0"] == 0
    assert {sources["B1"], sources["B2"]} == {2, 3}
    assert changes(second, 2) == [("merged", 1, 0), ("new", 2, -1), ("new", 3, -1)]


def test_split_sources_are_recorded():
    versions = whole()
    first = versions.add(regions(A0=(0, 0), A1=(2, 0), A2=(19, 0)))
    assert set(held(first).values()) == {0}
    second = versions.add(regions(A0=(0, 0), A1=(2, 0), A2=(30, 0)))
    assert held(second) == {"A0": 0, "A1": 0, "A2": 1}
    assert changes(second, 2) == [("split", 1, 0)]


def test_sources_go_and_return():
    versions = whole()
    versions.add(regions(A0=(0, 0), B0=(200, 0)))
    second = versions.add(regions(A0=(0, 0)))
    assert changes(second, 2) == [("gone", 1, -1)]
    assert second["unique"]["region_num"].tolist() == [0]
    third = versions.add(regions(A0=(0, 0), C7=(215, 0)))
    assert changes(third, 3) == [("returned", 1, -1)]
    assert held(third)["C7"] == 1
    fourth = versions.add(regions(A0=(0, 0), C7=(215, 0), C8=(500, 0)))
    assert changes(fourth, 4) == [("new", 2, -1)]


def test_what_comes_too_far_away_is_new():
    versions = whole()
    versions.add(regions(A0=(0, 0)))
    versions.add(regions())
    third = versions.add(regions(A0=(21, 0)))
    assert changes(third, 3) == [("new", 1, -1)]


def test_regions_that_got_other_labels_change_nothing():
    """An observation was processed again and its regions are numbered in another order."""
    versions = whole()
    first = versions.add(regions(A0=(0, 0), A1=(500, 0), A2=(900, 0)))
    second = versions.add(regions(A0=(900, 0), A1=(0.5, 0), A2=(500, 1)))
    assert changes(second, 2) == []
    numbers = held(first)
    assert held(second) == {"A0": numbers["A2"], "A1": numbers["A0"], "A2": numbers["A1"]}


def test_a_source_without_regions_does_not_take_that_of_a_neighbour():
    versions = whole()
    first = versions.add(regions(A0=(0, 0), B0=(21, 0)))
    older, younger = held(first)["A0"], held(first)["B0"]
    assert (older, younger) == (0, 1)
    second = versions.add(regions(B0=(19, 0)))
    assert held(second) == {"B0": 1}
    assert changes(second, 2) == [("merged", 0, 1)]


def test_equal_names_get_letters_and_stay():
    versions = Versions(ORDER, radius_arcsec=0.2)
    spots = {f"A{i}": (0.3 * i, 0.2) for i in range(3)}
    first = versions.add(regions(**spots))
    names = first["unique"].sort_values("region_num")["srcid"].tolist()
    assert names[1:] == [names[0] + "a", names[0] + "b"]
    # The first one goes; its name is not given again.
    second = versions.add(regions(A1=spots["A1"], A2=spots["A2"]))
    third = versions.add(regions(A1=spots["A1"], A2=spots["A2"], B0=(0.9, 0.2)))
    assert third["unique"].sort_values("region_num")["srcid"].tolist() == [
        *second["unique"].sort_values("region_num")["srcid"],
        names[0] + "c",
    ]


def test_identities_of_nothing():
    none = Earlier(np.empty(0, np.int64), np.empty((0, 3)), np.empty(0, bool))
    empty = (np.empty(0, np.intp),) * 3
    found = identify(none, unit_vectors([1.0], [1.0]), empty, 20.0)
    assert found.source.tolist() == found.split_from.tolist() == [-1]
    one = Earlier(np.array([7]), unit_vectors([1.0], [1.0]), np.ones(1, bool))
    found = identify(one, np.empty((0, 3)), empty, 20.0)
    assert found.cluster.tolist() == found.merged_into.tolist() == [-1]


def test_a_region_elsewhere_is_another_one():
    names = np.array(["a", "b", "c"], object)
    before = Members(names, unit_vectors([1.0, 2.0, 3.0], [0, 0, 0]), np.array([4, 5, 6]))
    moved = unit_vectors([2.0 + 19 / 3600, 9.0], [0, 0])
    now = Members(np.array(["b", "c"], object), moved, np.array([8, 9]))
    source, cluster, row = shared_members(before, now, 20.0)
    assert (source.tolist(), cluster.tolist(), row.tolist()) == ([5], [8], [0])


# ---------------------------------------------------------------- random histories


@st.composite
def histories(draw: st.DrawFn, least: int = 1) -> list[pd.DataFrame]:
    """Regions of a few versions: observations come, go and are processed again.

    All are around a place where partitions of any order meet.
    """
    centre = draw(st.sampled_from([(45.0, 0.0), (0.0, 41.8103149), (90.0, 90.0)]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    spread = draw(st.sampled_from([80.0, 25.0, 500.0]))
    sources = random.uniform(-spread, spread, (draw(st.integers(least, 25)), 2))
    present: dict[str, pd.DataFrame] = {}
    versions = []
    for _ in range(draw(st.integers(2, 4))):
        for obsid in draw(st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=2)):
            seen = sources[random.random(len(sources)) < 0.7]
            if draw(st.booleans()) or obsid not in present:
                seen = seen + random.normal(0, draw(st.sampled_from([0.0, 3.0, 9.0])), seen.shape)
                detids = [f"{obsid}_0_50_0.2_12_{i}" for i in random.permutation(len(seen))]
                present[obsid] = region_rows(around(centre, *seen.T), detids)
            else:
                del present[obsid]
        rows = [region_rows(np.empty((0, 2)), []), *present.values()]
        versions.append(pd.concat(rows).sort_values("detid", ignore_index=True))
    return versions


@settings(max_examples=portion(20))
@given(histories())
def test_histories_keep_the_rules(history):
    versions, known, alive = whole(), {}, set()
    for rows in history:
        tables = versions.add(rows)
        unique, members = tables["unique"], tables["members"]
        assert sorted(members["detid"]) == sorted(rows["detid"])
        assert unique["srcid"].is_unique
        assert unique["region_num"].is_unique
        names = dict(zip(unique["region_num"], unique["srcid"], strict=True))
        # A number has one name for ever, and a name one number.
        assert all(known.get(n, name) == name for n, name in names.items())
        done = tables["lineage"].query("generation == @versions.generation")
        fresh = done[done["change"].isin(["new", "split"]) & ~done["region_num"].isin(known)]
        assert set(names) - set(known) == set(fresh["region_num"])
        assert len({**known, **names}) == len(set({**known, **names}.values()))
        ended = set(done.loc[done["change"].isin(["merged", "gone"]), "region_num"])
        returned = set(done.loc[done["change"] == "returned", "region_num"])
        assert ended == alive - set(names)
        assert returned == (set(names) & set(known)) - alive
        into = done[done["change"] == "merged"]["other"]
        assert set(into) <= set(names)
        counts = members["region_num"].value_counts()
        assert dict(zip(unique["region_num"], unique["n_detections"], strict=True)) == dict(counts)
        known |= names
        alive = set(names)
    assert versions.next == len(known)


@pytest.mark.drill
@settings(max_examples=portion(6))
@given(histories(least=15), st.data())
def test_any_partitioning_gives_the_same(history, data):
    one, other = whole(), Versions(ORDER, data.draw(partitions(ORDER)))
    for rows in history:
        expected, found = in_order(one.add(rows)), in_order(other.add(rows))
        for name, table in expected.items():
            pd.testing.assert_frame_equal(found[name], table, check_exact=True)


@settings(max_examples=portion(6))
@given(histories())
def test_what_is_beyond_the_reach_does_not_matter(history):
    """Each source has the same number and regions if all beyond the reach had never been there."""
    versions = whole()
    for rows in history[:-1]:
        versions.add(rows)
    before = versions.tables
    after = versions.add(history[-1])
    for source in after["unique"].head(4).itertuples():
        alone = whole()
        alone.generation, alone.next = versions.generation - 1, versions.next
        alone.tables = {name: near(table, source) for name, table in before.items()}
        found = alone.add(near(history[-1], source))
        members = after["members"].query("region_num == @source.region_num")["detid"]
        same = found["members"][found["members"]["detid"].isin(members)]
        assert same["region_num"].nunique() == 1
        number = same["region_num"].iloc[0]
        of = found["members"].query("region_num == @number")["detid"]
        assert sorted(of) == sorted(members)
        is_new = source.region_num not in set(before["lineage"]["region_num"])
        assert number >= versions.next if is_new else number == source.region_num
        assert set(same["srcid"]) == {source.srcid}


def near(rows: pd.DataFrame, source: object) -> pd.DataFrame:
    from exod.sky.sphere import separations_arcsec

    if not len(rows):
        return rows
    here = unit_vectors([source.ra_deg], [source.dec_deg])
    away = separations_arcsec(unit_vectors(rows["ra_deg"], rows["dec_deg"]), here)
    return rows[away <= REACH["published"] * 20.0 + 20.0].reset_index(drop=True)


@pytest.mark.parametrize("centre", [(45.0, 0.0), (90.0, 90.0)])
def test_histories_reach_more_than_one_partition(centre):
    """Else the tests above would test little."""
    offsets = np.array([[-20.0, 20, 0, 0], [0, 0, -20, 20]])
    pixels = sky_pixels(*around(centre, *offsets).T, ORDER)
    assert len(set(pixels)) > 1
    assert is_among(pixels, np.unique(pixels)).all()
