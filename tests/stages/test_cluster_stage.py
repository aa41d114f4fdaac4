"""The product unique of archives: exact, incremental, with coverage, whatever the archive holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.cluster_archives import FIELD, HERE, add, assert_same, crowded, spots, tables
from helpers.clustering_reference import reference_clusters, reference_friends
from helpers.survey_archives import observation

from exod.archive import Archive
from exod.archive.store import Store
from exod.config import Config
from exod.scheduler.plan import Plan
from exod.sky.healpix import Partition, sky_pixels, with_margin, with_neighbours
from exod.sky.sphere import unit_vectors
from exod.stages.derive.cluster import Clustering, cluster_archive


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive", Config())


@pytest.fixture(scope="module")
def clustered(tmp_path_factory) -> tuple[Archive, Clustering]:
    """A crowded archive, clustered at once, and what was said of it; not to be changed."""
    archive = Archive.create(tmp_path_factory.mktemp("crowded") / "archive", Config())
    crowded(archive)
    return archive, cluster_archive(archive.root, HERE)


def test_errors_decide_where_there_is_chandra(archive):
    """Without a choice: a radius for XMM alone, errors where there is Chandra; a choice stays."""
    pair = spots((0.0, 0.0), (15.0, 0.0))
    precise = {"errors_arcsec": (1.0,), "jitter_arcsec": 0.2}
    add(archive, 0, pair, FIELD, **precise)
    assert cluster_archive(archive.root, HERE).derived.parameters["rule"] == "published"
    assert len(archive.unique.compute()) == 1
    chandra = observation("28964", FIELD, [tuple(pair[0])], light_curves=False, **precise)
    archive.commit("28964", "OK", chandra)
    found = cluster_archive(archive.root, HERE).derived
    assert found.parameters["rule"] == "friends"
    unique = archive.unique.compute().sort_values("n_observations")
    assert unique["n_observations"].tolist() == [1, 2]
    found = cluster_archive(archive.root, HERE, rule="published").derived
    assert found.parameters["rule"] == "published"
    assert cluster_archive(archive.root, HERE).derived.parameters["rule"] == "published"
    assert len(archive.unique.compute()) == 1


def test_sources_equal_the_reference(clustered):
    archive, found = clustered
    assert found.is_new
    regions = archive.regions.compute().sort_values("detid", ignore_index=True)
    expected = reference_clusters(unit_vectors(regions["ra_deg"], regions["dec_deg"]), 20.0)
    members = archive.members.compute()
    groups = members.groupby("region_num")["detid"].apply(sorted)
    assert sorted(groups) == sorted(sorted(regions["detid"][rows]) for rows in expected)
    unique = archive.unique.compute().set_index("region_num")
    assert set(unique.index) == set(range(len(expected)))
    assert found.counts["n_sources"] == len(expected)
    assert found.counts["n_regions"] == len(regions)
    assert unique["srcid"].is_unique
    assert (members["separation_arcsec"] <= 40).all()
    _compare_columns(unique, regions.merge(members[["detid", "region_num"]], on="detid"))


def _compare_columns(unique: pd.DataFrame, regions: pd.DataFrame) -> None:
    for number, rows in regions.groupby("region_num"):
        source = unique.loc[number]
        mean = unit_vectors(rows["ra_deg"], rows["dec_deg"]).mean(axis=0)
        assert np.allclose(
            unit_vectors(source.ra_deg, source.dec_deg), mean / np.linalg.norm(mean), atol=1e-14
        )
        assert source.n_detections == len(rows)
        assert source.n_observations == rows["obsid"].nunique()
        dates = [55000.0 + int(obsid) // 100 + 66.184 / 86400 for obsid in rows["obsid"]]
        assert np.allclose(
            [source.first_seen, source.last_seen], [min(dates), max(dates)], rtol=0, atol=1e-8
        )
        assert source.max_B_peak_log == rows["max_B_peak_log"].max()
        assert source.fap_obs == rows["fap_obs"].min()
        assert source.best_detid in set(rows["detid"])
        share = rows["obsid"].value_counts() / len(rows)
        assert source.pos_err_arcsec == pytest.approx(3.0 * np.sqrt((share**2).sum()))


@pytest.mark.parametrize(
    ("rows", "at_least"), [pytest.param(10, 20, marks=pytest.mark.drill), (60, 9)]
)
def test_any_partitioning_gives_the_same(archive, clustered, rows, at_least):
    crowded(archive)
    found = cluster_archive(archive.root, HERE, rows_per_partition=rows)
    assert found.counts["n_partitions_computed"] >= at_least
    assert_same(tables(archive), tables(clustered[0]))


CORNERS = (FIELD, (0.0, 41.8103149), (90.0, 90.0), (200.0, -90.0), (0.0, 0.0))
"""Where partitions meet, the poles, and RA 0."""


def scattered(archive: Archive, numbers: Iterable[int] = range(10)) -> None:
    """Regions whose errors differ, and a chain along which partitions meet, in each field."""
    for number in numbers:
        centre, random = CORNERS[number % 5], np.random.default_rng(number)
        chain = [(18.0 * k - 150, 0.0) for k in range(17)]
        field = random.uniform(-150, 150, (8, 2)).tolist()
        where = spots(*chain, *field, *([(60.0, 90.0)] * 5), centre=centre)
        errors = (0.3, 2.0, 5.0, 9.0, np.nan, 1.0, 7.0)
        options = {"n_runs": 1, "jitter_arcsec": 7.0, "errors_arcsec": errors}
        add(archive, number, where, centre, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Archive:
    """By the errors of positions, in the partitions of the whole sky; not to be changed."""
    archive = Archive.create(tmp_path_factory.mktemp("friends") / "archive", Config())
    scattered(archive)
    cluster_archive(archive.root, HERE, rule="friends")
    return archive


def n_partitions(archive: Archive) -> int:
    return len(archive.derived("unique").parameters["partitions"])


@pytest.mark.drill
def test_friends_are_the_same_in_any_partitions(whole, archive):
    scattered(archive)
    cluster_archive(archive.root, HERE, rule="friends", rows_per_partition=40)
    assert n_partitions(archive) > n_partitions(whole) + 5
    assert_same(tables(archive), tables(whole))


@pytest.mark.drill
def test_friends_of_observations_that_are_added_are_those_of_all(whole, archive):
    """In other partitions each time; the names are those of all at once, too."""
    for numbers in (range(4), range(4, 9), (9,)):
        scattered(archive, numbers)
        cluster_archive(archive.root, HERE, rule="friends", rows_per_partition=50 + numbers[0])
    found, expected = (
        tables(each)["members"].set_index("detid")["srcid"] for each in (archive, whole)
    )
    pd.testing.assert_series_equal(found, expected)


def test_friends_of_an_archive_are_those_of_every_pair(whole):
    """The chains are cut, and what agrees within its errors is together."""
    regions = whole.regions.compute().sort_values("detid", ignore_index=True)
    points = unit_vectors(regions["ra_deg"], regions["dec_deg"])
    labels = reference_friends(points, regions["pos_err_arcsec"].to_numpy(float))
    expected = sorted(sorted(regions["detid"][labels == k]) for k in set(labels.tolist()))
    members = whole.members.compute()
    assert sorted(members.groupby("region_num")["detid"].apply(sorted)) == expected
    plain = reference_clusters(points, 20.0)
    assert expected != sorted(sorted(regions["detid"][rows]) for rows in plain)


@pytest.mark.drill
@pytest.mark.slow
def test_workers_find_the_same_friends(whole, archive, monkeypatch):
    """With them they do all that they do without."""
    monkeypatch.setattr("exod.stages.derive.cluster.update.SMALL", 0)
    scattered(archive)
    cluster_archive(archive.root, Plan("local", 2), rule="friends", rows_per_partition=20)
    assert_same(tables(archive), tables(whole))


def test_adding_observations_keeps_names_and_equals_all_at_once(archive, tmp_path):
    """A, then A + B, then B again: ids of A's sources stay."""
    a = spots((0, 0), (100, 0), (0, -200))
    b = spots((0, 8), (60, 60))
    add(archive, 1, a, FIELD, jitter_arcsec=1.0)
    cluster_archive(archive.root, HERE)
    first = archive.unique.compute().set_index("region_num")["srcid"]
    add(archive, 2, b, FIELD, jitter_arcsec=1.0)
    found = cluster_archive(archive.root, HERE)
    second = tables(archive)
    assert found.counts["n_new"] == 1
    names = second["unique"].set_index("region_num")["srcid"]
    assert names.loc[first.index].equals(first)
    obsid = add(archive, 2, b[::-1], FIELD, jitter_arcsec=1.0, seed=77)
    found = cluster_archive(archive.root, HERE)
    assert found.counts["n_observations_changed"] == 1
    third = tables(archive)
    assert third["unique"].set_index("region_num")["srcid"].equals(names)
    assert set(third["lineage"]["change"]) == {"new"}
    assert (third["members"]["obsid"] == obsid).sum() == 6
    # Positions, members and coverage are as if it had been done at once.
    once = Archive.create(tmp_path / "once", Config())
    add(once, 1, a, FIELD, jitter_arcsec=1.0)
    add(once, 2, b[::-1], FIELD, jitter_arcsec=1.0, seed=77)
    cluster_archive(once.root, HERE)
    columns = ["ra_deg", "dec_deg", "pos_err_arcsec", "n_detections", "n_covered", "best_detid"]
    both = [
        table["unique"].sort_values("ra_deg", ignore_index=True)[columns]
        for table in (third, tables(once))
    ]
    pd.testing.assert_frame_equal(*both, check_exact=True)
    assert_same({"f": tables(once)["footprints"]}, {"f": third["footprints"]})


def test_merges_are_recorded(archive):
    add(archive, 1, spots((0, 0), (21, 0)), FIELD, jitter_arcsec=0.0, n_runs=1)
    cluster_archive(archive.root, HERE)
    add(archive, 1, spots((2, 0), (15, 0)), FIELD, jitter_arcsec=0.0, n_runs=1)
    found = cluster_archive(archive.root, HERE)
    assert (found.counts["n_merged"], found.counts["n_sources"]) == (1, 1)
    merged = archive.lineage.compute().query("change == 'merged'").iloc[0]
    assert (merged["region_num"], merged["other"]) == (1, 0)
    assert merged["version"] == found.derived.version
    assert archive.lineage.compute()["generation"].tolist() == [1, 1, 2]


def test_nothing_is_done_when_nothing_changed(archive):
    crowded(archive, 2)
    first = cluster_archive(archive.root, HERE)
    again = cluster_archive(archive.root, HERE)
    assert not again.is_new
    assert again.derived == first.derived


class Reads:
    """Counts the files that are read, by their folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        for method in ("open", "read"):
            monkeypatch.setattr(Store, method, self._counting(getattr(Store, method)))

    def _counting(self, function):
        def read(store, name, *about):
            self.names.append(name)
            return function(store, name, *about)

        return read

    def of(self, folder: str) -> list[str]:
        return [name for name in self.names if name.startswith(f"{folder}/")]


def test_one_more_observation_reads_itself_and_the_partitions_it_touches(archive, monkeypatch):
    random = np.random.default_rng(3)
    for number in range(30):
        centre = (random.uniform(0, 360), np.degrees(np.arcsin(random.uniform(-1, 1))))
        add(archive, number, spots(*random.uniform(-150, 150, (3, 2)), centre=centre), centre)
    before = cluster_archive(archive.root, HERE, rows_per_partition=20)
    partitions = [Partition.parse(name) for name in before.derived.parameters["partitions"]]
    assert len(partitions) > 20
    here = (123.0, 20.0)
    obsid = add(archive, 99, spots((0, 0), centre=here), here)
    reads = Reads(monkeypatch)
    # Divided no further, so that the partitions are those of before.
    after = cluster_archive(archive.root, HERE, rows_per_partition=1000)
    own = [*reads.of("regions"), *reads.of("images"), *reads.of("runs"), *reads.of("observations")]
    assert len(own) == 4
    assert all(obsid in name for name in own)
    order = before.derived.parameters["order"]
    field = spots(*[(e, n) for e in (-600, 0, 600) for n in (-600, 0, 600)], centre=here)
    near = with_neighbours(sky_pixels(*field.T, order), order)
    touched = {
        p for p in partitions if np.any((near >= p.span(order)[0]) & (near < p.span(order)[1]))
    }
    old = {file.path: file.part for file in before.derived.files}
    read = {old[name] for name in reads.names if name in old} - {"all"}
    assert read <= {p.name for p in partitions if _beside(p, touched)}
    assert after.counts["n_partitions_computed"] <= len(touched)
    assert after.counts["n_partitions_kept"] >= 15
    kept = {file.path for file in after.derived.files} & set(old)
    for part in set(old.values()) - {p.name for p in touched} - {"all"}:
        assert {path for path, name in old.items() if name == part} <= kept
    assert len(archive.unique) == after.counts["n_sources"]


def _beside(partition: Partition, touched: set[Partition]) -> bool:
    order = 8
    span = partition.span(order)
    return any(
        np.any((c >= span[0]) & (c < span[1])) for c in (with_margin(p, order) for p in touched)
    )


def test_partitions_are_divided_as_the_archive_grows(archive):
    crowded(archive, 3)
    few = cluster_archive(archive.root, HERE, rows_per_partition=50)
    names = archive.unique.compute().set_index("region_num")["srcid"]
    crowded(archive, 6)
    many = cluster_archive(archive.root, HERE, rows_per_partition=50)
    partitions = [len(found.derived.parameters["partitions"]) for found in (few, many)]
    assert partitions[1] > partitions[0]
    after = archive.unique.compute().set_index("region_num")["srcid"]
    assert after.loc[names.index.intersection(after.index)].equals(
        names.loc[names.index.intersection(after.index)]
    )
    assert sorted(archive.members.compute()["detid"]) == sorted(archive.regions.compute()["detid"])
    assert set(tables(archive)["footprints"]["obsid"]) == set(archive.status()["obsid"])


def test_another_radius_makes_anew_and_keeps_names(archive):
    crowded(archive, 3)
    cluster_archive(archive.root, HERE)
    before = archive.unique.compute().set_index("region_num")["srcid"]
    found = cluster_archive(archive.root, HERE, radius_arcsec=120.0)
    assert found.derived.parameters["radius_arcsec"] == 120.0
    assert found.derived.parameters["order"] < 8
    after = archive.unique.compute().set_index("region_num")["srcid"]
    common = after.index.intersection(before.index)
    assert len(after) < len(before)
    assert after.loc[common].equals(before.loc[common])
    assert found.counts["n_merged"] == len(before) - len(common)
    assert found.counts["n_new"] + found.counts["n_split"] == len(after) - len(common)
    back = cluster_archive(archive.root, HERE)
    again = archive.unique.compute().set_index("region_num")["srcid"]
    assert back.counts["n_regions"] == found.counts["n_regions"]
    common = again.index.intersection(before.index)
    assert len(common) >= 0.5 * len(before)
    assert again.loc[common].equals(before.loc[common])


# ---------------------------------------------------------------- the command


def test_command(archive, command):
    add(archive, 1, spots((0, 0), (100, 0)), FIELD)
    code, said, _ = command("cluster", archive.root, "--scheduler", "sync")
    assert code == 0
    assert "2 sources of 6 regions" in said
    assert "2 new, 0 merged, 0 split, 0 gone, 0 returned" in said
    assert "kept" in said
    code, said, _ = command("cluster", archive.root)
    assert code == 0
    assert "Nothing has changed: 2 sources of 6 regions" in said
    code, said, _ = command("cluster", archive.root, "--radius", "200")
    assert "1 source of 6 regions" in said
    assert "1 merged" in said
    assert Counter(archive.lineage.compute()["change"]) == {"new": 2, "merged": 1}


def test_command_errors(archive, command, tmp_path):
    code, _, error = command("cluster", archive.root, "--radius", "-3")
    assert code == 2
    assert "arcsec" in error
    code, _, error = command("cluster", tmp_path / "none")
    assert code == 1
    assert "no archive" in error
