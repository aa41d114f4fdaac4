"""Coverage of sources by observations, and archives that hold odd things or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.cluster_archives import FIELD, HERE, add, crowded, spots
from helpers.survey_archives import CELL, CELLS, CENTRE, make_survey, observation, plane

from exod.archive import Archive, open_archive
from exod.config import Config
from exod.errors import ArchiveError, ConfigError
from exod.scheduler.interrupts import Stop
from exod.scheduler.plan import Plan
from exod.schemas.derived import BESIDE, DERIVED
from exod.stages.derive.cluster import cluster_archive


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive", Config())


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
        later = [one.name for shown in BESIDE.get(table.name, ()) for one in shown.columns.values()]
        assert list(columns) == [*table.schema.names, *later]
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
    with pytest.raises(ArchiveError, match="is not what was written"):
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


def test_sources_are_seen_when_their_events_are(archive):
    for number, starts in enumerate(([9e4, np.nan, 8e4], [np.nan] * 3)):
        found = observation(f"{number:010d}", FIELD, [tuple(spots((0, 0))[0])], mjd=51544.5)
        found["regions"]["t_start"] = starts
        archive.commit(f"{number:010d}", "OK", found)
    cluster_archive(archive.root, HERE)
    source = archive.unique.compute().iloc[0]
    assert source["first_seen"] == 50814 + 8e4 / 86400
    # That of an event that was not measured is the start of its observation, noon in UTC.
    assert (source["last_seen"] - 51544.5) * 86400 == pytest.approx(64.184, abs=1e-5)


def test_sources_with_dates_of_observations_are_made_again(archive):
    add(archive, 1, spots((0, 0)), FIELD)
    cluster_archive(archive.root, HERE)
    name = Path(archive.root, "unique", "current.json")
    pointer = json.loads(name.read_text())
    del pointer["parameters"]["dates"], pointer["sha256"]
    name.write_text(json.dumps(pointer))
    before = archive.unique.compute()
    assert cluster_archive(archive.root, HERE).is_new
    pd.testing.assert_frame_equal(archive.unique.compute(), before)
