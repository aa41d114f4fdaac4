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
from exod.archive.increments import deriving, write_part
from exod.archive.snapshot import Snapshot
from exod.catalogue.columns import sources
from exod.catalogue.rows import source_rows
from exod.config import Config
from exod.plots.places.longterms import history_figure
from exod.schemas import DERIVED
from exod.schemas.columns import Column, Table
from exod.schemas.conditions import Query
from exod.schemas.explorer import COVERAGE, NEIGHBOURS
from exod.stages.derive.cluster import cluster_archive
from exod.stages.derive.features import make_features
from exod.stages.derive.flags import make_flags
from exod.stages.derive.update import history_up_to_date
from exod.stages.explore.coverage import coverage_rows
from exod.stages.explore.lightcurves import light_curve_rows
from exod.stages.explore.making import make_explorer
from exod.stages.explore.similar import SimilarCurves
from exod.stages.places.history import make_history
from exod.stages.query.rows import select

STARS = Table(
    "xmatch",
    "Stars with a parallax",
    (
        Column("region_num", pa.int64(), "", "Number of the source"),
        Column("plx", pa.float64(), "mas", "Parallax", ucd="pos.parallax.trig"),
        Column("e_plx", pa.float64(), "mas", "Its error", ucd="stat.error;pos.parallax.trig"),
    ),
    ("region_num",),
)


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


def test_history_of_sources_in_all_observations(history, monkeypatch):
    """Limits become rows and amplitudes; a counterpart with a parallax a luminosity."""
    store, asked = history.store, []
    for product in ("depth", "xmatch-stars"):
        with deriving(store, product, DERIVED.get(product, ())) as new:
            if product != "depth":
                rows = pd.DataFrame({"region_num": [0], "plx": [10.0], "e_plx": [0.1]})
                new.files.append(write_part(store, new.folder, STARS, rows, "all"))
    make_features(history.root, HERE)

    def limits(_archive, ra, dec, *, level):
        asked.append((ra, dec, level))
        place, number = (values.ravel() for values in np.mgrid[0 : len(ra), 0:3])
        n = np.where((place == 0) & (number == 2), 200.0, 10.0)
        low, high = np.maximum(n - 30, 0.0), n + 10
        start = 8.64e6 * number
        columns = {
            **{"place": place, "ra_deg": ra[place], "dec_deg": dec[place], "e_lo": 0.2},
            **{"obsid": [f"{i * 100 + 1:010d}" for i in number], "e_hi": 12.0, "cameras": 2},
            **{"t_start": start, "t_stop": start + 1500, "t_start_mjd": 50814 + start / 86400},
            **{"t_stop_mjd": 50814 + (start + 1500) / 86400, "seconds": 1500.0, "live": 3000.0},
            **{"n": n, "mu": 4.0, "constant": 0.0, "share": 0.5, "p_log": -1.0},
            **{"detected": low > 0, "counts_lo": 2 * low, "counts_hi": 2 * high},
            **{f"rate{end}": v / 750 for end, v in (("", n - 4), ("_lo", low), ("_hi", high))},
            **{f"flux{end}": v / 1e15 for end, v in (("", n - 4), ("_lo", low), ("_hi", high))},
        }
        return pd.DataFrame(columns)

    monkeypatch.setattr(Archive, "limits", limits)
    lacking = history.unique[["n_seen", "flux_max", "lum_note"]].compute(scheduler="sync")
    assert lacking.isna().all(axis=None)
    assert len(lacking) == 2
    made = make_history(history)
    assert made.made
    assert not make_history(history).made
    (ra, dec, level), *more = asked
    assert (more, level) == ([], 0.9)
    unique = history.unique.compute(scheduler="sync").sort_values("region_num")
    places = zip(unique["ra_deg"], unique["dec_deg"], strict=True)
    assert sorted(zip(ra, dec, strict=True)) == sorted(places)
    rows = history.derived_table("history", "history").compute(scheduler="sync")
    assert rows["region_num"].tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(rows["response"], 1e15)
    members = history.members.compute(scheduler="sync")
    pairs = set(zip(members["region_num"], members["obsid"], strict=True))
    expected = [pair in pairs for pair in zip(rows["region_num"], rows["obsid"], strict=True)]
    assert rows["found"].tolist() == expected
    overall = history.derived_table("history", "longterm").compute(scheduler="sync")
    first, second = (row for _, row in overall.iterrows())
    assert (first["n_seen"], first["n_measured"], first["n_lit"]) == (3, 3, 1)
    assert (first["obsid_max"], first["flux_max"]) == ("0000000201", 1.96e-13)
    assert first["flux_ratio"] == pytest.approx(196 / 20)
    assert first["flux_ratio_lo"] == pytest.approx(170 / 20)
    assert first["var_alert"]
    assert first["var_sigma"] > 5
    assert not second["var_alert"]
    assert np.isnan(second["flux_ratio"])
    assert second["var_sigma"] < 1
    assert (second["obsid_max"], second["distance_from"]) == ("", "")
    assert first["distance_pc"] == 100
    assert first["distance_from"] == "stars"
    assert first["lum_max"] == pytest.approx(4 * np.pi * (100 * 3.0857e18) ** 2 * 1.96e-13, 1e-4)
    assert second["lum_note"] == "No counterpart has a sure distance."
    # The table of unique sources, the catalogue and the pages have it with each source.
    features = history.features.compute(scheduler="sync").set_index("detid")
    best = features.loc[unique["best_detid"], ["flux_peak", "flux_note"]]
    assert unique["best_flux_note"].tolist() == best["flux_note"].tolist()
    np.testing.assert_array_equal(unique["best_flux_peak"], best["flux_peak"])
    for name in ("n_seen", "flux_ratio_lo", "var_sigma", "lum_note", "var_alert"):
        assert unique[name].tolist() == overall[name].tolist()
    alerted = history.unique[history.unique["flux_ratio_lo"] > 5].compute(scheduler="sync")
    assert alerted["region_num"].tolist() == [0]
    query = Query(table="unique", columns=("srcid", "var_sigma", "best_flux_peak"), sort="-lum_max")
    answer = select(history, query).computed()
    assert answer["var_sigma"].tolist() == overall.sort_values("lum_max")["var_sigma"].tolist()
    few = history.derived_table("unique", "unique", columns=["var_sigma"])
    assert sorted(few.compute(scheduler="sync")["var_sigma"]) == sorted(overall["var_sigma"])
    make_flags(history.root, None, HERE)
    declared = sources(long_term=True)
    listed = pa.concat_tables(source_rows(Snapshot(history), declared, []))
    for name in ("n_seen", "flux_ratio_lo", "var_sigma", "lum_note", "var_alert"):
        assert listed[name].to_pylist() == overall[name].tolist()
    assert not {"n_seen", "var_sigma"} & set(sources().schema.names)
    # The pages have it instead of what could have been found.
    found = coverage_rows(Snapshot(history))
    np.testing.assert_allclose(found["flux_hi"], rows["flux_hi"])
    np.testing.assert_allclose(found["flux_lo"], rows["flux_lo"])
    figure = history_figure(first, rows[rows["region_num"] == 0])
    assert "9.8, more than 8.5" in figure.get_suptitle()
    # Both are kept up where they exist.
    assert history_up_to_date(history, HERE) == ["depth", "history"]
    assert history_up_to_date(history, HERE) == []


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
