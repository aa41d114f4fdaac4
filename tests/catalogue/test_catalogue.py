"""The catalogue's columns, rows, checks and how it is divided on the sky."""

import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io.votable.ucd import check_ucd
from astropy_healpix import HEALPix
from helpers.catalogue_products import COUNTERPARTS, make_match, make_products
from helpers.survey_archives import make_survey
from hypothesis import given
from hypothesis import strategies as st

from exod.archive import Archive
from exod.archive.parquet import to_arrow, to_pandas
from exod.archive.snapshot import Snapshot
from exod.catalogue import columns as declared
from exod.catalogue.checks import ReleaseCheck, require, table_checks
from exod.catalogue.division import batches, margins, partitions
from exod.catalogue.nesting import nest
from exod.catalogue.readme import Facts, column_page, readme
from exod.catalogue.rows import count_detections, detection_rows, match_problem, source_rows
from exod.counterparts.registry import registry
from exod.errors import ArchiveError
from exod.schemas import FEATURES, FLAGS, REGIONS, UNIQUE
from exod.schemas.columns import Column
from exod.tablefiles.writing import write_parquet

METHOD_DETECTIONS = [
    *("detid", "srcid", "unique_reg_id", "ra_deg", "dec_deg", "pos_err_arcsec", "X", "Y"),
    *("area_bbox", "mean_pixel_intensity", "lc_n_max", "lc_n_min", "lc_n_sum", "lc_n_mean"),
    *("lc_n_std", "lc_n_skew", "lc_n_kurt", "lc_sigma_max_B_peak", "lc_sigma_max_B_eclipse"),
    *("lc_ratio_bti", "lc_bin_min_between_peaks", "lc_n_peaks", "lc_ks_pval"),
    *("filt_tbin_5_n_l_5", "filt_exclude_obsid", "filt_5sig", "filt_g_20_detections"),
    "filt_hot_pixel",
]
METHOD_SOURCES = ["region_num", "srcid", "ra_deg", "dec_deg", "n_detections"]
TABLES = [declared.detections(), declared.sources({"gaia": COUNTERPARTS})]


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """An archive, its products and the rows of its catalogue; not to be changed."""
    archive = make_survey(tmp_path_factory.mktemp("survey") / "archive", 4, 3)
    products = make_products(archive)
    match = make_match(archive, products["unique"])
    snapshot = Snapshot(archive)
    detections = frame_of(detection_rows(snapshot, TABLES[0]))
    sources = frame_of(source_rows(snapshot, TABLES[1], ["gaia"]))
    return archive, products, match, detections, sources


def frame_of(chunks) -> pd.DataFrame:
    return to_pandas(pa.concat_tables(chunks))


# -------------------------------------------------------------------- columns


def test_columns_are_those_of_the_method_in_its_order():
    assert TABLES[0].schema.names[: len(METHOD_DETECTIONS)] == METHOD_DETECTIONS
    assert TABLES[1].schema.names[: len(METHOD_SOURCES)] == METHOD_SOURCES


def test_no_column_of_the_archive_is_lost():
    there = set(TABLES[0].origins)
    for table in (REGIONS, FEATURES, FLAGS):
        names = {column.name for column in table.columns} - {"runid", "obsid", "detid"}
        assert {(table.name, name) for name in names} <= there
    origins = declared.sources().origins
    assert {name for table, name in origins if table == "unique"} == {
        column.name for column in UNIQUE.columns
    }
    for table in (FEATURES, FLAGS):
        names = {column.name for column in table.columns} - {"runid", "obsid", "detid"}
        assert {(table.name, f"best_{name}") for name in names} <= set(origins)
    assert TABLES[1].schema.names[-1] == "gaia_sep_arcsec"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_units_and_ucds_are_valid(table):
    for column in table.columns:
        assert check_ucd(column.ucd, check_controlled_vocabulary=True), column
        assert column.description, column
        if column.name != "gaia_flux":  # a unit that FITS does not know
            units.Unit(column.unit, format="fits")
    for main in ("meta.id", "pos.eq.ra", "pos.eq.dec"):
        marked = [c for c in table.columns if c.ucd.startswith(main) and "meta.main" in c.ucd]
        assert len(marked) == 1, main


def test_columns_of_known_catalogues_are_described():
    """Of all that exod can match with at once: no name twice, and valid UCDs."""
    tables = {name: catalogue.table() for name, catalogue in registry().items()}
    table = declared.sources(tables)
    assert {"simbad_main_id", "gaia_source_id", "DR14_IAUNAME", "SUSS6_RA"} <= set(
        table.schema.names
    )
    for column in table.columns:
        assert check_ucd(column.ucd, check_controlled_vocabulary=True), column
    ucds = {column.name: column.ucd for column in table.columns}
    assert ucds["DR14_IAUNAME"] == ucds["gaia_source_id"] == "meta.id.cross"
    assert ucds["DR14_SC_RA"] == "pos.eq.ra"
    assert ucds["gaia_pmdec"] == "pos.pm"
    assert ucds["simbad_p_chance"] == "stat.probability"
    assert ucds["gaia_parallax_error"] == "stat.error;pos.parallax.trig"


def test_a_new_column_appears_by_itself(monkeypatch):
    new = (Column("n_dips", pa.int32(), "", "Dips"), Column("rate", pa.float32(), "ct/s", "Rate"))
    monkeypatch.setattr(declared, "FEATURES", replace(FEATURES, columns=(*FEATURES.columns, *new)))
    schema = declared.detections().schema
    assert schema.field("lc_n_dips").metadata[b"description"] == b"Dips"
    assert schema.field("lc_rate").metadata[b"unit"] == b"ct/s"
    assert schema.field("lc_rate").metadata[b"ucd"] == b"arith.rate;phot.count"


def test_the_same_name_twice_is_told():
    upper = [replace(c, name=c.name.upper()) for c in COUNTERPARTS.columns if "gaia" in c.name]
    other = replace(COUNTERPARTS, columns=tuple(upper))
    with pytest.raises(ArchiveError, match=r"GAIA_RA, .*twice; give the catalogues"):
        declared.sources({"gaia": COUNTERPARTS, "other": other})


# -------------------------------------------------------------------- rows


def test_detections_are_those_of_the_archive(survey):
    archive, _, _, detections, _ = survey
    expected = archive.detections.compute().set_index("detid").loc[detections["detid"]]
    assert len(detections) == len(expected) == 4 * 3 * 3
    for column, (_, name) in zip(TABLES[0].columns, TABLES[0].origins, strict=True):
        if name != "detid":
            found = detections[column.name].to_numpy()
            np.testing.assert_array_equal(found, expected[name].to_numpy(), name)
    assert detections["unique_reg_id"].nunique() > 1
    order = detections.sort_values(["unique_reg_id", "detid"], ignore_index=True)
    pd.testing.assert_frame_equal(detections, order)


def test_sources_have_what_is_known_of_their_best_detection(survey):
    """So that clean ones with a dated event are selected in one table."""
    _, _, _, detections, sources = survey
    best = detections.set_index("detid").loc[sources["best_detid"]]
    names = [name for name in sources.columns if name.startswith(("best_", "filt_"))]
    names.remove("best_detid")
    assert {"best_t_start_mjd", "best_t_start_utc", "best_lc_n_max", "filt_5sig"} <= set(names)
    assert {name for name in detections.columns if name.startswith("filt_")} <= set(names)
    for name in names:
        expected = best[name.removeprefix("best_")].to_numpy()
        np.testing.assert_array_equal(sources[name].to_numpy(), expected, name)


def test_rows_fit_their_tables(survey):
    snapshot = Snapshot(survey[0])
    chunks = [detection_rows(snapshot, TABLES[0]), source_rows(snapshot, TABLES[1], ["gaia"])]
    for table, rows in zip(TABLES, chunks, strict=True):
        assert all(chunk.schema.equals(table.schema, check_metadata=True) for chunk in rows)


def test_sources_without_counterpart_have_nulls(survey):
    *_, match, _, sources = survey
    assert sources["gaia_source_id"].dtype == pd.Int64Dtype()
    has = match.set_index("region_num")["gaia_source_id"].reindex(sources["region_num"])
    assert sources["gaia_source_id"].isna().tolist() == has.isna().tolist()
    assert 0 < sources["gaia_source_id"].isna().sum() < len(sources)
    assert sources["gaia_name"].isna().sum() == has.isna().sum()


@pytest.fixture
def small(tmp_path) -> Archive:
    return make_survey(tmp_path / "archive", 2, 2)


def test_a_source_that_was_not_matched_has_nulls(small):
    products = make_products(small)
    make_match(small, products["unique"].iloc[1:])
    (rows,) = source_rows(Snapshot(small), TABLES[1], ["gaia"])
    sources = to_pandas(rows)
    assert sources["gaia_source_id"].isna()[0]
    assert sources["gaia_sep_arcsec"].isna()[0]
    assert rows["gaia_variable"].null_count > 0


@pytest.mark.parametrize("name", ["features", "flags"])
def test_detections_without_features_or_flags_are_told(small, name):
    make_products(small)
    assert count_detections(Snapshot(small)) == len(small.regions)
    make_products(small, **{name: lambda frame: frame.iloc[2:]})
    with pytest.raises(ArchiveError, match=rf"2 detections have no {name}; run `exod {name}`"):
        count_detections(Snapshot(small))


def test_bad_matches_are_told():
    assert match_problem(np.array([3, 3]), np.array([3])) == "has the source 3 twice"
    assert "the source 9999, which does not exist" in match_problem(np.array([9999]), np.array([3]))
    assert match_problem(np.empty(0, int), np.empty(0, int)) == ""


# -------------------------------------------------------------------- checks


def failing(detections, sources, numbers=()) -> list[str]:
    with TemporaryDirectory() as folder:
        for table, frame in zip(TABLES, (detections, sources), strict=True):
            rows = to_arrow(table, frame, table.name)
            write_parquet(Path(folder, f"{table.name}.parquet"), table, [rows])
        checks = list(table_checks(Path(folder), {"gaia": np.array(numbers, int)}))
    return [check.what for check in checks if check.problem]


def test_checks_hold_for_good_rows(survey):
    *_, match, detections, sources = survey
    assert failing(detections, sources, match["region_num"]) == []
    assert failing(detections.iloc[:0], sources.iloc[:0]) == []


def test_each_check_finds_its_fault(survey):
    *_, detections, sources = survey
    first = detections["unique_reg_id"].iloc[0]
    own = detections["unique_reg_id"] == first
    once = failing(pd.concat([detections, detections.iloc[:1]]), sources)
    assert once == ["Every detid is there once", "n_detections of every source adds up"]
    gone = failing(detections, sources[sources["region_num"] != first])
    assert gone == ["Every detection has a source of the table of sources"]
    renamed = detections.assign(srcid=detections["srcid"].mask(own, "EXOD J0"))
    assert failing(renamed, sources) == ["Every detection has the name of its source"]
    same = sources.assign(srcid="EXOD J0")
    assert "Every srcid is there once" in failing(detections.assign(srcid="EXOD J0"), same)
    numbered = failing(detections, pd.concat([sources, sources.iloc[:1]]))
    assert numbered == ["Every region_num is there once", "Every srcid is there once"]
    more = sources.assign(n_detections=sources["n_detections"] + 1)
    assert failing(detections, more) == ["n_detections of every source adds up"]
    best = sources.assign(best_detid=detections["detid"].iloc[0])
    assert failing(detections, best) == ["best_detid of every source is one of its detections"]
    for column, value in (("ra_deg", 360.0), ("ra_deg", np.nan), ("dec_deg", 90.1)):
        moved = detections.assign(**{column: value})
        assert failing(moved, sources) == ["Every detection has a position on the sky"]
        moved = sources.assign(**{column: value})
        assert failing(detections, moved) == ["Every source has a position on the sky"]
    (match,) = failing(detections, sources, [first, first])
    assert "cross-match with gaia" in match
    assert failing(detections, sources, [12345]) == [match]


def test_a_failed_check_is_told_in_a_sentence():
    with pytest.raises(ArchiveError, match=r"fails 1 of its checks .* \(Sun is up: it rains\)"):
        require([ReleaseCheck("Sun is up", "it rains"), ReleaseCheck("Moon is up", "")])


# -------------------------------------------------------------------- the sky

NESTED = {order: HEALPix(2**order, order="nested") for order in range(30)}


def spatial_index(ra_deg, dec_deg) -> np.ndarray:
    return NESTED[29].lonlat_to_healpix(ra_deg * units.deg, dec_deg * units.deg)


@given(
    seed=st.integers(0, 99),
    n=st.integers(0, 200),
    limit=st.integers(1, 60),
    highest=st.integers(0, 7),
    width=st.sampled_from([1e-6, 0.1, 360.0]),
)
def test_partitions_hold_each_row_once(seed, n, limit, highest, width):
    random = np.random.default_rng(seed)
    ra = random.uniform(0, width, n) % 360
    dec = np.degrees(np.arcsin(random.uniform(-1, 1, n))) * min(width, 1)
    weight = random.integers(1, 5, n)
    order = np.argsort(spatial_index(ra, dec))
    ra, dec, weight = ra[order], dec[order], weight[order]
    found = list(partitions(spatial_index(ra, dec), weight, limit, highest))
    np.testing.assert_array_equal(np.concatenate([[], *(p.rows for p in found)]), np.arange(n))
    assert sum(4.0**-part.pixel.order for part in found) == 12
    for part in found:
        assert weight[part.rows].sum() <= limit or part.pixel.order == highest
        pixel = NESTED[part.pixel.order].lonlat_to_healpix(
            ra[part.rows] * units.deg, dec[part.rows] * units.deg
        )
        assert set(pixel) <= {part.pixel.pixel}


@pytest.mark.parametrize("centre", [(0.0, 0.0), (45.0, 0.01), (0.0, 89.99), (123.0, -90.0)])
def test_margins_lose_no_pair(centre):
    """Of two rows within 60 arcsec in different pixels each is in the margin of the other's."""
    random = np.random.default_rng(5)
    around = SkyCoord(*centre, unit="deg").directional_offset_by(
        random.uniform(0, 360, 400) * units.deg, random.uniform(0, 0.05, 400) * units.deg
    )
    index = np.sort(spatial_index(around.ra.deg, around.dec.deg))
    lon, lat = NESTED[29].healpix_to_lonlat(index)
    sky = SkyCoord(lon, lat)
    pixels = list(partitions(index, np.ones(len(index)), 10, 9))
    home = np.empty(len(index), int)
    for number, part in enumerate(pixels):
        home[part.rows] = number
    keys = [part.pixel for part in pixels]
    found = {part.pixel: set(part.rows) for part in margins(index, keys, 11)}
    a, b, _, _ = sky.search_around_sky(sky, 60 * units.arcsec)
    apart = home[a] != home[b]
    assert apart.sum() > 20
    assert all(i in found[keys[home[j]]] for i, j in zip(a[apart], b[apart], strict=True))
    for key, rows in found.items():
        assert rows
        assert not rows & set(pixels[keys.index(key)].rows)


@given(st.lists(st.integers(0, 9)), st.integers(0, 20))
def test_batches_hold_each_row_once(weight, limit):
    found = list(batches(np.array(weight), limit))
    rows = [row for part in found for row in range(part.start, part.stop)]
    assert rows == list(range(len(weight)))
    assert all(sum(weight[p]) <= limit or p.stop - p.start == 1 for p in found)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99))), st.permutations(range(6)))
def test_nested_rows_are_those_of_pandas(rows, keys):
    flat = pd.DataFrame(rows, columns=["key", "t"], dtype="int64").assign(name="é")
    kept = [Column("t", pa.int64(), "", ""), Column("name", pa.string(), "", "")]
    keys = keys[:4]
    found = nest(pa.Table.from_pandas(flat), "key", pa.array(keys, pa.int64()), kept, "t")
    for key, value in zip(keys, found.to_pylist(), strict=True):
        expected = sorted(flat.loc[flat["key"] == key, "t"])
        assert value == {"t": expected, "name": ["é"] * len(expected)}


def test_names_of_users_do_no_harm_in_pages():
    """What comes from headers of tables and from paths is shown, in its cell and its line."""
    hostile = "a | b <img src=x onerror=alert(1)> [c](javascript:d) `e` **f**\n# g \x1b[31m"
    column = Column("odd", pa.int64(), "erg|s", hostile)
    table = declared.CatalogueTable("sources", hostile, (column,), (), ())
    page = column_page([table])
    (line,) = [line for line in page.splitlines() if line.startswith("| odd |")]
    assert len(re.findall(r"(?<!\\)\|", line)) == 6
    facts = Facts("now", "1", f"`; {hostile}", "f", {}, {}, 1, "XMM-Newton", "EPIC", 0, "no")
    text = readme(facts, [ReleaseCheck(hostile, "")])
    for shown in (page, text):
        assert "\n# g" not in shown
        assert "\x1b" not in shown
    assert "\\<img" in page
    assert "* a \\| b \\<img src=x onerror=alert(1)\\> \\[c\\](javascript:d)" in text
    assert "from `` `; a | b" in text
