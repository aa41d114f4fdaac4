"""The HATS catalogues: valid, opened by LSDB as they are, complete at every border."""

import pickle
from functools import cache, partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from helpers.catalogue_products import make_match, make_products
from helpers.survey_archives import make_survey, observation

from exod.archive import Archive
from exod.catalogue import hats as writer
from exod.catalogue import skyrows
from exod.catalogue.checks import hats_checks
from exod.catalogue.columns import LIGHT_CURVE, detections
from exod.catalogue.hats import (
    INDEX,
    Collection,
    Nested,
    cut,
    plan_partitions,
    spatial_index,
    using_lsdb,
    write_partition,
)
from exod.catalogue.nesting import nest
from exod.config import Config
from exod.errors import ArchiveError, ConfigError
from exod.scheduler.plan import Plan
from exod.stages.catalogue.hats import light_curves
from exod.stages.catalogue.release import write_catalogue

# LSDB uses what pandas will change, and its progress bars.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SMALL = pa.schema([("name", pa.string()), ("x", pa.int64())])
CENTRES = ((0.0, 0.3), (123.0, 89.95))
"""Fields at RA 0 and at the pole."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Archive:
    """Two fields of many sources, close together and around borders of pixels."""
    archive = Archive.create(tmp_path_factory.mktemp("hats") / "archive", Config())
    random = np.random.default_rng(3)
    for number, (ra, dec) in enumerate(CENTRES):
        centre = SkyCoord(ra, dec, unit="deg")
        sky = centre.directional_offset_by(
            random.uniform(0, 2 * np.pi, 60) * 57.3 * _DEG, 0.1 * np.sqrt(random.random(60)) * _DEG
        )
        places = list(zip(sky.ra.deg, sky.dec.deg, strict=True))
        obsid = f"{700000001 + number:010d}"
        archive.commit(obsid, "OK", observation(obsid, (ra, dec), places, n_runs=1, seed=number))
    products = make_products(archive)
    make_match(archive, products["unique"])
    return archive


@pytest.fixture(scope="module")
def releases(archive, tmp_path_factory):
    """Releases with few partitions and with many, of the same archive; not to be changed."""
    folder = tmp_path_factory.mktemp("releases")
    with pytest.MonkeyPatch.context() as patch:
        write_catalogue(archive.root, folder / "few", Plan("sync"))
        patch.setattr(writer, "PARTITION_FRAMES", 300)
        patch.setattr(writer, "BATCH_FRAMES", 70)
        write_catalogue(archive.root, folder / "many", Plan("sync"))
    return folder


_DEG = 1 * SkyCoord(0, 0, unit="deg").ra.unit


@cache
def read(path) -> pd.DataFrame:
    """All rows of a catalogue; not to be changed."""
    with using_lsdb() as lsdb:
        return lsdb.open_catalog(path).compute(progress_bar=False)


@pytest.mark.drill
def test_partitions_make_no_difference(releases):
    few, many = (read(releases / name / "hats/detections") for name in ("few", "many"))
    assert len(few) == len(many) == 120
    few, many = (frame.sort_values("detid") for frame in (few, many))
    pd.testing.assert_frame_equal(pd.DataFrame(few), pd.DataFrame(many))
    with using_lsdb() as lsdb:
        numbers = [
            len(lsdb.open_catalog(releases / name / "hats").get_healpix_pixels())
            for name in ("few", "many")
        ]
    assert numbers[0] <= 8
    assert numbers[1] > 10


@pytest.mark.parametrize("release", ["few", "many"])
def test_light_curves_are_those_of_the_archive(archive, releases, release):
    detections = read(releases / release / "hats/detections")
    for _, row in detections.iloc[::20].iterrows():
        expected = archive.lightcurve(row["detid"])
        curve = row["lightcurve"]
        assert list(curve.columns) == "time n mu live bti bccd B_peak_log B_eclipse_log".split()  # noqa: SIM905
        for name in curve.columns:
            np.testing.assert_array_equal(curve[name], expected[name])


def test_sources_have_their_detections_and_best_light_curve(archive, releases):
    sources = read(releases / "many/hats")
    members = archive.members.compute()
    assert sorted(sources["region_num"]) == sorted(archive.unique.compute()["region_num"])
    assert "gaia_source_id" in sources
    for _, row in sources.iloc[::10].iterrows():
        own = members.loc[members["region_num"] == row["region_num"], "detid"]
        assert sorted(row["detections"]["detid"]) == sorted(own)
        expected = archive.lightcurve(row["best_detid"])
        np.testing.assert_array_equal(row["lightcurve"]["n"], expected["n"])


def test_types_and_nulls_are_those_of_the_tables(releases):
    sources = read(releases / "few/hats").sort_values("region_num")
    table = pq.read_table(releases / "few/sources.parquet").sort_by("region_num")
    for field in table.schema:
        found = pa.array(sources[field.name])
        assert found.type == field.type
        # NaN is not null, and not equal to itself.
        pd.testing.assert_series_equal(
            found.to_pandas(types_mapper=pd.ArrowDtype),
            table[field.name].combine_chunks().to_pandas(types_mapper=pd.ArrowDtype),
        )


@pytest.mark.drill
def test_matches_across_borders_are_found(releases):
    """Each detection finds its nearest source as astropy does, whichever partition that is in."""
    with using_lsdb() as lsdb:
        detections = lsdb.open_catalog(
            releases / "many/hats/detections", columns=["detid", "ra_deg", "dec_deg"]
        )
        sources = lsdb.open_catalog(
            releases / "many/hats", columns=["region_num", "ra_deg", "dec_deg"]
        )
        found = detections.crossmatch(
            sources, radius_arcsec=59, n_neighbors=50, suffixes=("", "_s")
        ).compute(progress_bar=False)
    tables = [pq.read_table(releases / f"many/{n}.parquet") for n in ("detections", "sources")]
    left, right = (SkyCoord(t["ra_deg"], t["dec_deg"], unit="deg") for t in tables)
    i, j, apart, _ = right.search_around_sky(left, 59 * _DEG / 3600)
    assert len(np.unique(apart)) > 100
    ids, numbers = tables[0]["detid"].to_pandas(), tables[1]["region_num"].to_pandas()
    expected = set(zip(ids.iloc[i], numbers.iloc[j], strict=True))
    assert set(zip(found["detid"], found["region_num_s"], strict=True)) == expected


@pytest.mark.drill
@pytest.mark.filterwarnings("ignore:Right catalog does not have a margin:RuntimeWarning")
def test_margins_are_needed(releases):
    """The pairs above do lie across borders: without the margin some are lost."""
    with using_lsdb() as lsdb:
        whole = lsdb.open_catalog(releases / "many/hats/sources", columns=["ra_deg", "dec_deg"])
        assert whole.margin is None
        pairs = whole.crossmatch(
            whole, radius_arcsec=59, n_neighbors=50, suffixes=("", "_s"), require_right_margin=False
        ).compute(progress_bar=False)
    table = pq.read_table(releases / "many/sources.parquet")
    sky = SkyCoord(table["ra_deg"], table["dec_deg"], unit="deg")
    assert len(pairs) < len(sky.search_around_sky(sky, 59 * _DEG / 3600)[0])


def test_metadata_tell_units_and_meanings(releases):
    path = releases / "few/hats/detections/detections/dataset/_common_metadata"
    text = pq.read_schema(path).metadata[b"IVOA.VOTable-Parquet.content"].decode()
    for part in ('name="lightcurve.mu"', 'ucd="pos.eq.ra;meta.main"', 'unit="arcsec"'):
        assert part in text
    assert "Expected counts in the bounding box" in text


def test_row_groups_are_small(releases):
    """What is in memory at a time is a row group, not a partition."""
    files = list((releases / "many/hats/detections/detections").glob("dataset/Norder*/*/*"))
    assert len(files) > 10
    for path in files:
        groups = pq.ParquetFile(path).metadata
        assert all(groups.row_group(i).num_rows <= 2 for i in range(groups.num_row_groups))


def test_checks_find_what_is_wrong(releases, tmp_path):
    rows = pq.read_table(releases / "few/detections.parquet")
    assert set(rows["lc_length"].to_pylist()) == {30}
    folder = releases / "few/hats/detections"

    def failing(rows, told) -> list[str]:
        paths = tmp_path / "rows.parquet", tmp_path / "told.parquet"
        for table, path in zip((rows, told), paths, strict=True):
            pq.write_table(table, path)
        checks = hats_checks(folder, "detections", "detid", *paths)
        return [check.what for check in checks if check.problem]

    assert failing(rows, rows) == []
    assert len(failing(rows.slice(1), rows)) == 2
    assert len(failing(pa.concat_tables([rows.slice(1), rows.slice(1, 1)]), rows)) == 1
    place = rows.schema.get_field_index("lc_length")
    lengths = pa.array([30] * 5 + [31] + [30] * (len(rows) - 6), pa.int32())
    (what,) = failing(rows, rows.set_column(place, "lc_length", lengths))
    assert "lc_length frames" in what


@pytest.mark.parametrize("n", [0, 1, 10, 57])
def test_rows_are_sorted_and_taken_from_files(tmp_path, monkeypatch, n):
    monkeypatch.setattr(skyrows, "GROUP_ROWS", 10)
    random = np.random.default_rng(n)
    rows = pa.table({"name": [f"{i:03d}" for i in random.permutation(n)], "x": np.arange(n)})
    pq.write_table(rows.cast(SMALL), tmp_path / "rows.parquet", row_group_size=7)

    def place(batch):
        return batch["x"].to_numpy() % 5

    paths = tmp_path / "rows.parquet", tmp_path / "sorted.parquet"
    found = skyrows.sort_rows(*paths, "place", place, "name")
    expected = rows.append_column("place", pa.array(np.arange(n) % 5, pa.int64()))
    expected = expected.sort_by([("place", "ascending"), ("name", "ascending")])
    assert found.place.tolist() == expected["place"].to_pylist()
    for wanted in (np.arange(n), np.arange(n)[3:50:4], np.empty(0, int)):
        taken = found.take(wanted)
        assert taken["name"].to_pylist() == expected["name"].take(pa.array(wanted)).to_pylist()
        assert taken["x"].to_pylist() == expected["x"].take(pa.array(wanted)).to_pylist()


def test_detections_without_light_curve_have_empty_ones(tmp_path):
    archive = make_survey(tmp_path / "archive", 1, 2, light_curves=False)
    rows = pa.table({"detid": archive.regions.compute()["detid"]})
    keys = rows["detid"].combine_chunks()
    curves = nest(light_curves(keys.to_pylist(), archive), "detid", keys, LIGHT_CURVE, "time")
    assert curves.to_pylist() == [{column.name: [] for column in LIGHT_CURVE}] * 6


def test_light_curves_are_read_as_wanted(archive):
    assert len(light_curves([], archive)) == 0
    assert len(light_curves(["0799999999_0_5_1_2_0"], archive)) == 0
    wanted = archive.members["detid"].compute().iloc[[3, 70]].tolist()
    found = light_curves(wanted, archive).to_pandas()
    assert found.groupby("detid").size().to_dict() == dict.fromkeys(wanted, 30)


def test_partitions_can_be_written_by_other_processes(archive, releases, tmp_path):
    """What a task is and does survives being sent elsewhere."""
    path = releases / "few/detections.parquet"
    rows = skyrows.sort_rows(path, tmp_path / "sky", INDEX, spatial_index, "detid")
    table = detections()
    curve = Nested("lightcurve", LIGHT_CURVE)
    collection = Collection(tmp_path, table, (curve,))
    frames = np.full(len(rows.place), 30)
    part = plan_partitions(collection, rows.place, frames)[0]
    item = cut(tmp_path, part, rows.take, "detid", frames)
    read = partial(light_curves, archive=archive)
    task = partial(write_partition, nested=curve, schema=collection.schema, read=read)
    name, order, pixel, n_rows = pickle.loads(pickle.dumps(task))(pickle.loads(pickle.dumps(item)))
    assert (name, n_rows) == ("detections", len(part[1].rows))
    (path,) = tmp_path.glob(f"detections/dataset/Norder={order}/Dir=0/Npix={pixel}.parquet")
    assert pq.read_metadata(path).num_rows == n_rows


def test_missing_libraries_are_told(archive, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lsdb", None)
    with pytest.raises(ConfigError, match=r"install exod\[catalogue\]`, or leave .* --no-hats"):
        write_catalogue(archive.root, tmp_path / "release")
    assert list(tmp_path.iterdir()) == []


def test_errors_of_tasks_are_told(archive, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ArchiveError("The disk is full.")

    monkeypatch.setattr("exod.stages.catalogue.hats.light_curves", broken)
    with pytest.raises(ArchiveError, match="The disk is full"):
        write_catalogue(archive.root, tmp_path / "release", Plan("sync"))
    assert list(tmp_path.iterdir()) == []
