"""What covered a source, and the numbers of light curves, in the product of the pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.cluster_archives import FIELD, HERE, spots
from helpers.query_archives import make_queried
from helpers.survey_archives import observation

from exod.archive import Archive
from exod.archive.snapshot import Snapshot
from exod.config import Config
from exod.schemas.explorer import COVERAGE, NEIGHBOURS
from exod.stages.derive.cluster import cluster_archive
from exod.stages.explore.coverage import coverage_rows
from exod.stages.explore.lightcurves import light_curve_rows
from exod.stages.explore.making import make_explorer
from exod.stages.explore.similar import SimilarCurves


@pytest.fixture
def history(tmp_path: Path) -> Archive:
    """Two sources seen once; a later observation of the same field, and one of another."""
    archive = Archive.create(tmp_path / "archive", Config())
    both = [tuple(row) for row in spots((0, 0), (120, 0))]
    for number, positions in enumerate((both, both[:1], [], [])):
        pointing = FIELD if number < 3 else tuple(spots((5000.0, 0.0))[0])
        obsid = f"{number * 100 + 1:010d}"
        tables = observation(obsid, pointing, positions, seed=number, light_curves=False)
        t_lo = 8.64e6 * number
        tables["runs"] = tables["runs"].assign(
            n90=[20.0, 40.0, 10.0 + 5 * number], t_lo=t_lo, t_hi=t_lo + 1500
        )
        # In the widest band, which comes last, regions are strongest.
        strength = tables["regions"]["e_hi"] - tables["regions"]["e_lo"]
        tables["regions"] = tables["regions"].assign(
            sigma_peak=strength / 2, peak_rate=strength + number
        )
        archive.commit(obsid, "OK" if positions else "EMPTY", tables)
    cluster_archive(archive.root, HERE)
    return archive


def test_what_covered_a_source_found_it_or_could_have(history):
    found = coverage_rows(Snapshot(history))
    assert list(found) == COVERAGE.schema.names
    unique = history.unique.compute(scheduler="sync")
    assert len(unique) == 2
    first, second = unique.sort_values("n_observations", ascending=False)["region_num"]
    own = found[found["region_num"] == first].reset_index(drop=True)
    assert own["obsid"].tolist() == ["0000000001", "0000000101", "0000000201"]
    assert own["detected"].tolist() == [True, True, False]
    np.testing.assert_allclose(own["mjd"].diff().dropna(), 100)
    np.testing.assert_allclose(own["rate"], [11.8, 12.8, np.nan])
    np.testing.assert_allclose(own["n90"], [np.nan, np.nan, 20 / 50])
    other = found[found["region_num"] == second].reset_index(drop=True)
    assert other["detected"].tolist() == [True, False, False]
    np.testing.assert_allclose(other["n90"], [np.nan, 15 / 50, 20 / 50])
    assert (found[["t_bin", "e_lo", "e_hi"]] == [50.0, 0.2, 12.0]).all(axis=None)
    covered = found.groupby("region_num").size()
    counted = unique.set_index("region_num")["n_covered"]
    pd.testing.assert_series_equal(covered, counted, check_names=False, check_dtype=False)


def test_no_sources_no_coverage(tmp_path):
    archive = Archive.create(tmp_path / "archive", Config())
    tables = observation("0000000001", FIELD, [], light_curves=False)
    archive.commit("0000000001", "EMPTY", tables)
    cluster_archive(archive.root, HERE)
    assert coverage_rows(Snapshot(archive)).empty


def test_numbers_of_light_curves_do_not_depend_on_how_rows_come(tmp_path):
    snapshot = Snapshot(make_queried(tmp_path / "archive", 3, 3))
    _, chunks = light_curve_rows(snapshot)
    rows = pa.concat_tables(chunks)
    found = []
    for size in (len(rows), 7, 100):
        similar = SimilarCurves(snapshot)
        parts = (rows.slice(start, size) for start in range(0, len(rows), size))
        assert pa.concat_tables(similar.watched(parts)).equals(rows)
        found.append(pa.concat_tables(similar.rows()))
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])
    order = list(dict.fromkeys(zip(*(rows[k].to_pylist() for k in ("region_num", "detid")))))  # noqa: B905
    assert list(zip(*(found[0][k].to_pylist() for k in ("region_num", "detid")))) == order  # noqa: B905


def test_the_pages_have_both(tmp_path):
    archive = make_queried(tmp_path / "archive", 3, 3)
    made = make_explorer(archive)
    assert (made.n_photons, made.left_out) == (0, {})
    pointer = archive.derived("explorer")
    files = {file.table: file for file in pointer.files}
    assert "photons" not in files
    assert pointer.summary["photons"] == {}
    rows = pq.read_table(Path(archive.root) / files["neighbours"].path)
    assert rows.schema.equals(NEIGHBOURS.schema)
    assert len(rows) == made.n_detections
    assert files["coverage"].rows == len(coverage_rows(Snapshot(archive)))
    assert not make_explorer(archive).made
