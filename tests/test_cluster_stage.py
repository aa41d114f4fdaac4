"""The product unique of archives: exact, incremental, with coverage, whatever the archive holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clustering_reference import around, reference_clusters
from survey_archives import CELL, CELLS, CENTRE, make_survey, observation, plane

from exod.archive import Archive, open_archive
from exod.archive.store import Store
from exod.clustering import unit_vectors
from exod.config import Config
from exod.errors import ArchiveError, ConfigError
from exod.interrupts import Stop
from exod.plan import Plan
from exod.schemas.derived import DERIVED
from exod.skypixels import Partition, sky_pixels, with_margin, with_neighbours
from exod.stages.cluster import cluster_archive

HERE = Plan("sync")
FIELD = (45.0, 0.0)
"""A corner of four base pixels: every field there is in several partitions."""


def add(
    archive: Archive,
    number: int,
    positions: np.ndarray,
    pointing: tuple[float, float],
    **more: object,
) -> str:
    obsid = f"{number * 100 + 1:010d}"
    options = {"light_curves": False, "seed": number, "mjd": 55000.0 + number, **more}
    rows = [tuple(row) for row in positions]
    tables = observation(obsid, pointing, rows, **options)
    archive.commit(obsid, "OK" if rows else "EMPTY", tables)
    return obsid


def spots(*offsets: tuple[float, float], centre: tuple[float, float] = FIELD) -> np.ndarray:
    east, north = np.array(offsets, float).reshape(-1, 2).T
    return around(centre, east, north)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive", Config())


def crowded(archive: Archive, n: int = 6) -> None:
    """Observations of places where partitions meet, with sources near each other."""
    random = np.random.default_rng(5)
    for number in range(n):
        centre = [FIELD, (0.0, 41.8103149), (90.0, 89.99)][number % 3]
        positions = spots(*random.uniform(-150, 150, (12, 2)), centre=centre)
        add(archive, number, positions, centre, jitter_arcsec=6.0)


def tables(archive: Archive) -> dict[str, pd.DataFrame]:
    return {
        "unique": archive.unique.compute().sort_values("region_num", ignore_index=True),
        "members": archive.members.compute().sort_values("detid", ignore_index=True),
        "lineage": archive.lineage.compute()
        .sort_values(["generation", "region_num", "change"], ignore_index=True)
        .drop(columns="version"),
        "footprints": archive.derived_table("unique", "footprints")
        .compute()
        .drop_duplicates(["obsid", "subset"])
        .sort_values(["obsid", "subset"], ignore_index=True),
    }


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True)


def test_sources_equal_the_reference(archive):
    crowded(archive)
    found = cluster_archive(archive.root, HERE)
    assert found.is_new
    regions = archive.regions.compute().sort_values("detid", ignore_index=True)
    expected = reference_clusters(unit_vectors(regions["ra_deg"], regions["dec_deg"]), 20.0)
    members = archive.members.compute()
    groups = members.groupby("unique_reg_id")["detid"].apply(sorted)
    assert sorted(groups) == sorted(sorted(regions["detid"][rows]) for rows in expected)
    unique = archive.unique.compute().set_index("region_num")
    assert set(unique.index) == set(range(len(expected)))
    assert found.counts["n_sources"] == len(expected)
    assert found.counts["n_regions"] == len(regions)
    assert unique["srcid"].is_unique
    assert (members["separation_arcsec"] <= 40).all()
    _compare_columns(unique, regions.merge(members[["detid", "unique_reg_id"]], on="detid"))


def _compare_columns(unique: pd.DataFrame, regions: pd.DataFrame) -> None:
    for number, rows in regions.groupby("unique_reg_id"):
        source = unique.loc[number]
        mean = unit_vectors(rows["ra_deg"], rows["dec_deg"]).mean(axis=0)
        assert np.allclose(
            unit_vectors(source.ra_deg, source.dec_deg), mean / np.linalg.norm(mean), atol=1e-14
        )
        assert source.n_detections == len(rows)
        assert source.n_observations == rows["obsid"].nunique()
        dates = [55000.0 + int(obsid) // 100 for obsid in rows["obsid"]]
        assert (source.first_seen, source.last_seen) == (min(dates), max(dates))
        assert source.max_B_peak_log == rows["max_B_peak_log"].max()
        assert source.fap_obs == rows["fap_obs"].min()
        assert source.best_detid in set(rows["detid"])
        share = rows["obsid"].value_counts() / len(rows)
        assert source.pos_err_arcsec == pytest.approx(3.0 * np.sqrt((share**2).sum()))


@pytest.mark.parametrize(("rows", "at_least"), [(10, 20), (60, 9)])
def test_any_partitioning_gives_the_same(archive, tmp_path, rows, at_least):
    other = Archive.create(tmp_path / "other", Config())
    for one in (archive, other):
        crowded(one)
    cluster_archive(archive.root, HERE)
    found = cluster_archive(other.root, HERE, rows_per_partition=rows)
    assert found.counts["n_partitions_computed"] >= at_least
    assert_same(tables(other), tables(archive))


def test_workers_give_the_same(archive, tmp_path, monkeypatch):
    monkeypatch.setattr("exod.stages.cluster.SMALL", 0)
    other = Archive.create(tmp_path / "other", Config())
    for one in (archive, other):
        crowded(one)
    cluster_archive(archive.root, HERE)
    cluster_archive(other.root, Plan("local", 2))
    assert_same(tables(other), tables(archive))


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
        def read(store, name):
            self.names.append(name)
            return function(store, name)

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


# ---------------------------------------------------------------- coverage


def test_coverage_is_that_of_the_images(archive):
    """Sources near the edges of fields that overlap, one of them without detections."""
    edge = CELLS * CELL / 2 * 0.05
    a = spots((0, 0), (edge - 50, 0), (-edge + 50, 30))
    add(archive, 1, a, FIELD)
    east = tuple(spots((300.0, 0.0))[0])
    add(archive, 2, np.empty((0, 2)), east)
    add(archive, 3, np.empty((0, 2)), tuple(spots((0.0, 3000.0))[0]))
    cluster_archive(archive.root, HERE)
    unique = archive.unique.compute()
    images = archive.observations.compute().set_index("obsid")
    for source in unique.itertuples():
        covered = 0
        for about in images.itertuples():
            x, y = plane(about.ra_pnt, about.dec_pnt).to_pixel(source.ra_deg, source.dec_deg)
            low = CENTRE // CELL - CELLS // 2
            covered += all(low <= v // CELL < low + CELLS for v in (x, y))
        assert source.n_covered == covered
        assert source.n_undetected == covered - 1
        assert source.n_observations == 1
    assert sorted(unique["n_undetected"]) == [0, 1, 1]


def test_cells_without_expectation_are_not_covered(archive):
    obsid = "0000000101"
    positions = [tuple(row) for row in spots((0, 0), (200, 0))]
    found = observation(obsid, FIELD, positions, light_curves=False, jitter_arcsec=0.0)
    archive.commit(obsid, "OK", found)
    other = observation("0000000201", FIELD, [], light_curves=False)
    x, y = plane(*FIELD).to_pixel(*positions[0])
    low = int(CENTRE // CELL) - CELLS // 2
    cell = (int(y // CELL) - low) * CELLS + int(x // CELL) - low
    for row, mu in enumerate(other["images"]["mu"]):
        # One run of three has no expectation there at all, the others none in that cell.
        dark = np.array(mu) * (row > 0)
        dark[cell] = 0.0
        other["images"].at[row, "mu"] = dark
    archive.commit("0000000201", "EMPTY", other)
    cluster_archive(archive.root, HERE)
    unique = archive.unique.compute().sort_values("ra_deg")
    assert unique["n_undetected"].tolist() == [0, 1]


def test_an_observation_without_detections_counts_when_it_is_added(archive):
    add(archive, 1, spots((0, 0)), FIELD)
    cluster_archive(archive.root, HERE)
    assert archive.unique.compute()["n_covered"].tolist() == [1]
    add(archive, 2, np.empty((0, 2)), FIELD)
    found = cluster_archive(archive.root, HERE)
    assert found.counts["n_new"] == 0
    source = archive.unique.compute().iloc[0]
    assert (source["n_covered"], source["n_undetected"], source["n_observations"]) == (2, 1, 1)
    far = tuple(spots((0, 9000))[0])
    add(archive, 2, np.empty((0, 2)), far)
    cluster_archive(archive.root, HERE)
    assert archive.unique.compute()["n_covered"].tolist() == [1]


# ---------------------------------------------------------------- odd archives


def test_archives_without_regions_have_an_empty_product(archive, tmp_path):
    empty = cluster_archive(archive.root, HERE)
    assert empty.counts["n_sources"] == 0
    assert len(archive.unique) == len(archive.members) == len(archive.lineage) == 0
    nothing = make_survey(tmp_path / "nothing", 3, 0)
    found = cluster_archive(nothing.root, HERE)
    assert found.counts["n_sources"] == found.counts["n_regions"] == 0
    for table in DERIVED["unique"]:
        columns = nothing.derived_table("unique", table.name).columns
        assert list(columns) == table.schema.names
    assert len(nothing.derived_table("unique", "footprints")) >= 3
    assert not cluster_archive(nothing.root, HERE).is_new


def test_regions_without_a_position_are_left_out_and_counted(archive):
    found = observation("0000000101", FIELD, [tuple(spots((0, 0))[0])] * 2, light_curves=False)
    found["regions"].loc[[0, 3], "ra_deg"] = [np.nan, np.inf]
    found["regions"].loc[4, "dec_deg"] = np.nan
    archive.commit("0000000101", "OK", found)
    counts = cluster_archive(archive.root, HERE).counts
    assert (counts["n_without_position"], counts["n_regions"]) == (3, 3)
    assert archive.unique.compute()["n_detections"].tolist() == [3]


def test_missing_dates_errors_and_planes(archive):
    found = observation("0000000101", FIELD, [tuple(spots((0, 0))[0])], light_curves=False)
    found["observations"].loc[0, ["date_obs", "x_ref"]] = ["sometime", np.nan]
    for name in ("pos_err_arcsec", "fap_obs", "max_B_peak_log", "max_B_eclipse_log"):
        found["regions"][name] = np.nan
    archive.commit("0000000101", "OK", found)
    cluster_archive(archive.root, HERE)
    source = archive.unique.compute().iloc[0]
    names = ["first_seen", "last_seen", "pos_err_arcsec", "fap_obs", "max_B_peak_log"]
    assert source[names].isna().all()
    assert (source["n_covered"], source["n_undetected"]) == (1, 0)
    assert source["best_detid"].endswith("_0")


def test_failed_and_skipped_observations_do_no_harm(archive):
    add(archive, 1, spots((0, 0)), FIELD)
    archive.commit("0000000901", "SKIPPED", {}, reason="no imaging mode")
    found = cluster_archive(archive.root, HERE)
    assert found.counts["n_sources"] == 1
    archive.commit("0000000901", "SKIPPED", {}, reason="no imaging mode")
    again = cluster_archive(archive.root, HERE)
    assert again.is_new
    assert again.counts["n_partitions_computed"] == 0
    assert len(archive.unique) == 1


def test_positions_beyond_360_degrees_are_brought_back(archive):
    found = observation("0000000101", (0.0, 0.0), [(0.001, 0.0)], light_curves=False)
    found["regions"]["ra_deg"] = [-0.001, 0.001, 360.001]
    found["regions"]["dec_deg"] = 0.0
    archive.commit("0000000101", "OK", found)
    cluster_archive(archive.root, HERE)
    assert archive.unique.compute()["n_detections"].tolist() == [3]
    assert archive.members.compute()["ra_deg"].between(0, 360, inclusive="left").all()


def test_bad_requests(archive, tmp_path):
    for radius in (0.0, -1.0, np.nan, 1e4):
        with pytest.raises(ConfigError, match="arcsec"):
            cluster_archive(archive.root, HERE, radius_arcsec=radius)
    with pytest.raises(ConfigError, match="decimals"):
        cluster_archive(archive.root, HERE, ra_decimals=9)
    with pytest.raises(ArchiveError, match="no archive"):
        cluster_archive(str(tmp_path / "nowhere"), HERE)


def test_an_error_or_interruption_leaves_the_earlier_version(archive, monkeypatch):
    crowded(archive, 2)
    before = cluster_archive(archive.root, HERE).derived
    add(archive, 50, spots((0, 0)), FIELD)
    stop = Stop()
    stop.ask()
    with pytest.raises(ArchiveError, match="interrupted"):
        cluster_archive(archive.root, Plan("sync", stop=stop))
    assert archive.derived("unique") == before
    path = open_archive(archive.root).entry("0000005001").path("regions")
    Path(archive.store.path(path)).write_bytes(b"damaged")
    with pytest.raises(ArchiveError, match="cannot be read"):
        cluster_archive(archive.root, HERE)
    assert archive.derived("unique") == before
    assert {name.split("/")[1] for name in archive.store.names("unique")} == {
        before.version,
        "current.json",
    }


def test_no_temporary_files_are_left(archive):
    crowded(archive, 3)
    found = cluster_archive(archive.root, HERE).derived
    names = archive.store.names(f"unique/{found.version}")
    assert set(names) == {file.path for file in found.files}
    assert archive.gc(older_than=0) == []


def test_dates_of_observations_are_utc(archive):
    add(archive, 1, spots((0, 0)), FIELD, mjd=51544.5)
    cluster_archive(archive.root, HERE)
    assert archive.observations.compute()["date_obs"].tolist() == ["2000-01-01 12:00:00"]
    assert archive.unique.compute()["first_seen"].tolist() == [51544.5]


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
