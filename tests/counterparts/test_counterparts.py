"""Catalogues in files, HATS and services: the same matches from each, and clear sentences."""

from __future__ import annotations

import builtins
import gzip
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.io.fits import BinTableHDU, HDUList, PrimaryHDU
from astropy.table import MaskedColumn, QTable, Table
from helpers.examples import portion
from helpers.fake_cds import HTML, FakeCds, Fault, gaia, simbad
from helpers.processes import LONGEST
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.counterparts.cache import cache_folder
from exod.counterparts.matching import Positions
from exod.counterparts.opened import open_catalogue
from exod.counterparts.partitions import match_partitions
from exod.counterparts.registry import Catalogue, declared_as, known
from exod.counterparts.service import Services
from exod.counterparts.tables import import_table
from exod.counterparts.wanted import Own, Wanted, wanted_catalogues
from exod.errors import ConfigError, DownloadError, ExodError, InputError

BIG = 2**62 + 1


def clumps(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random positions, many of them near the poles, RA 0 and corners of HEALPix pixels."""
    random = np.random.default_rng(seed)
    centres = np.array([[0, 0], [360, 41.81], [45, 0], [90, 90], [10, -90], [180, -41.81], [0, 30]])
    chosen = centres[random.integers(0, len(centres), n)]
    dec = np.clip(chosen[:, 1] + random.normal(0, 0.01, n), -90, 90)
    ra = chosen[:, 0] + random.normal(0, 0.01, n) / np.maximum(np.cos(np.radians(dec)), 1e-4)
    return ra % 360, dec


def sources(n: int, seed: int, year: float = np.nan) -> Positions:
    return Positions(*clumps(n, seed), np.full(n, year))


def rows_of(n: int, seed: int) -> Table:
    ra, dec = clumps(n, seed)
    random = np.random.default_rng(seed)
    return Table(
        {
            "RA": ra,
            "DEC": dec,
            "source": MaskedColumn(BIG + np.arange(n), mask=np.arange(n) % 5 == 0),
            "flux": MaskedColumn(random.normal(size=n).astype("f4"), mask=np.arange(n) % 7 == 0),
            "label": np.array([f"A {i}" for i in range(n)]),
            "good": np.arange(n) % 2 == 0,
            "pm_a": random.normal(0, 100, n),
            "pm_d": random.normal(0, 100, n),
        }
    )


def mine(**changes: object) -> Catalogue:
    columns = [
        {"name": "source", "type": "int64", "description": "Number"},
        {"name": "flux", "type": "float32", "description": "Flux"},
        {"name": "label", "type": "string", "description": "Name"},
        {"name": "good", "type": "bool", "description": "Whether"},
    ]
    content = {"title": "Mine", "method": "table", "prefix": "mine_", "ra": ["RA"], "dec": ["DEC"]}
    return declared_as("mine", content | {"columns": columns} | changes, "mine")


@pytest.fixture
def written(tmp_path):
    def write(suffix: str, table: Table) -> Path:
        path = tmp_path / f"table{suffix}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if suffix == ".parquet":
                table.to_pandas().to_parquet(path)
            elif suffix == ".csv":
                table.write(path, format="ascii.csv")
            elif suffix == ".fits.gz":
                table.write(tmp_path / "table.fits")
                path.write_bytes(gzip.compress((tmp_path / "table.fits").read_bytes()))
            else:
                name = {".fits": "fits", ".ecsv": "ascii.ecsv", ".vot": "votable"}[suffix]
                table.write(path, format=name)
        return path

    return write


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz", ".csv", ".ecsv", ".vot", ".parquet"])
def test_every_format_gives_the_same(written, tmp_path, suffix):
    table = rows_of(300, 1)
    path = written(suffix, table)
    opened = import_table(path, mine(), tmp_path / "cache")
    rows = opened.read(opened.pixels[0]).sort_values("_row", ignore_index=True)
    assert len(rows) == 300
    np.testing.assert_array_equal(rows["_ra"], table["RA"])
    assert rows["mine_source"].dtype == pd.Int64Dtype()
    assert rows["mine_source"].isna().tolist() == (np.arange(300) % 5 == 0).tolist()
    assert int(rows["mine_source"][299]) == BIG + 299
    assert rows["mine_flux"].isna().sum() == 43
    np.testing.assert_allclose(rows["mine_flux"][1], table["flux"][1])
    assert rows["mine_label"][7] == "A 7"
    assert rows["mine_good"].tolist() == (np.arange(300) % 2 == 0).tolist()


@settings(max_examples=portion(12))
@given(st.integers(0, 10_000), st.sampled_from([20, 100]), st.sampled_from([20.0, 400.0]))
def test_partitions_make_no_difference(seed, limit, radius):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.fits"
        rows_of(400, seed).write(path)
        motion = {"ra": ["pm_a"], "dec": ["pm_d"]}
        declared = mine(
            radius_arcsec=radius, density_radius_arcsec=4000.0, motion=motion, epoch=2016.0
        )
        whole = import_table(path, declared, Path(folder))
        parts = import_table(path, declared, Path(folder), limit)
        assert len(whole.pixels) == 1
        assert len(parts.pixels) > 3
        assert sum(len(parts.read(pixel)) for pixel in parts.pixels) == 400
        here = sources(100, seed + 1, 2003.0)
        first, second = match_partitions(here, whole), match_partitions(here, parts)
        assert len(first) > 10
        pd.testing.assert_frame_equal(first, second)


def test_a_table_is_imported_once(written, tmp_path, monkeypatch):
    path = written(".fits", rows_of(50, 2))
    first = import_table(path, mine(), tmp_path / "cache")
    monkeypatch.setattr("exod.counterparts.tables._import", None)
    moved = tmp_path / "elsewhere.fits"
    shutil.copy(path, moved)
    assert import_table(moved, mine(), tmp_path / "cache").fingerprint == first.fingerprint
    monkeypatch.undo()
    changed = rows_of(50, 3)
    changed.write(path, overwrite=True)
    assert import_table(path, mine(), tmp_path / "cache").fingerprint != first.fingerprint
    assert not [p for p in (tmp_path / "cache" / "tables").iterdir() if p.name.startswith(".")]


def test_all_columns_are_kept_if_none_is_declared(written, tmp_path):
    table = rows_of(20, 2)
    table["a b"] = np.arange(20, dtype=np.uint8)
    table["box"] = np.zeros((20, 2))
    table["n_within"] = 0
    table["flux"].unit = "erg / (s cm2)"
    opened = import_table(written(".fits", table), mine(columns=[]), tmp_path / "cache")
    names = {column.name: column.type for column in opened.catalogue.columns}
    assert names["a_b"] == "int16"
    assert names["source"] == "int64"
    assert names["flux"] == "float32"
    assert "box" not in names
    assert "n_within" not in names
    assert names["n_within_2"] == "int64"
    assert any("box" in note for note in opened.notes)
    schema = opened.catalogue.table().schema
    assert schema.field("mine_flux").metadata[b"unit"].decode()


def test_columns_that_cannot_be_called_so_are_called_otherwise(written, tmp_path):
    table = rows_of(10, 2)
    for number, name in enumerate(("B-V", "B_V", "b v", "p_chance", "Sep_Arcsec")):
        table[name] = number
    opened = import_table(written(".fits", table), mine(columns=[]), tmp_path / "cache")
    rows = opened.read(opened.pixels[0])
    names = ("mine_B_V", "mine_B_V_2", "mine_b_v_3", "mine_p_chance_2", "mine_Sep_Arcsec_2")
    assert [rows[name][0] for name in names] == [0, 1, 2, 3, 4]
    told = " ".join(opened.notes)
    assert all(name in told for name in names[1:])
    lower = [name.lower() for name in opened.catalogue.table().schema.names]
    assert len(set(lower)) == len(lower)


def test_identifiers_keep_every_digit(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        f"RA,DEC,OBS_ID,id,big,name\n1,2,0001730201,{BIG},{2**64 - 1},1.50\n", encoding="utf-8"
    )
    opened = import_table(path, mine(columns=[]), tmp_path / "cache")
    row = opened.read(opened.pixels[0]).iloc[0]
    assert (row["mine_OBS_ID"], row["mine_id"]) == ("0001730201", BIG)
    assert row["mine_big"] == 2**64 - 1
    # What is declared as text is the text of the file.
    declared = [{"name": "name", "type": "string", "description": "Name"}]
    opened = import_table(path, mine(columns=declared), tmp_path / "cache")
    assert opened.read(opened.pixels[0])["mine_name"].tolist() == ["1.50"]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        *(("deg", 1.0), ("Degrees", 1.0), ("DEG", 1.0), ("hourangle", 15.0), ("h", 15.0)),
        *(("hours", 15.0), ("arcsec", 1 / 3600), ("mas", 1 / 3.6e6), ("rad", np.degrees(1.0))),
    ],
)
def test_right_ascension_in_any_angle(written, tmp_path, unit, factor):
    table = rows_of(10, 2)
    degrees = np.array(table["RA"])
    table["RA"] = degrees / factor
    table["RA"].unit = unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = written(".ecsv", table)
    opened = import_table(path, mine(), tmp_path / "cache")
    rows = opened.read(opened.pixels[0]).sort_values("_row")
    np.testing.assert_allclose(rows["_ra"], degrees)


@pytest.mark.parametrize("unit", ["J2000", "pix", "mag", "s", '"h:m:s"', "nonsense"])
def test_units_that_are_no_angle_are_not_degrees(written, tmp_path, unit):
    table = rows_of(10, 2)
    table["DEC"].unit = unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = written(".ecsv", table)
    with pytest.raises(InputError, match=f"the column DEC has the unit .*{unit}.*, which cannot"):
        import_table(path, mine(), tmp_path / "cache")


def test_units_of_columns_to_keep(written, tmp_path):
    table = rows_of(10, 2)
    errors = np.array(table["flux"].filled(0.0))
    columns = [
        {"name": "err", "type": "float64", "unit": "arcsec", "description": "Error"},
        {"name": "odd", "type": "float64", "unit": "mag", "description": "Brightness"},
    ]
    table["err"], table["odd"] = errors / 3600.0, errors
    table["err"].unit, table["odd"].unit = "deg", "ct"
    opened = import_table(written(".fits", table), mine(columns=columns), tmp_path / "cache")
    rows = opened.read(opened.pixels[0]).sort_values("_row")
    np.testing.assert_allclose(rows["mine_err"], errors)
    np.testing.assert_array_equal(rows["mine_odd"], errors)
    assert opened.notes == (
        "The column odd has the unit 'count', not 'mag'; its values are kept as they are.",
    )


def test_positions_on_the_sky_of_astropy(tmp_path):
    ra, dec = clumps(5, 3)
    QTable({"coord": SkyCoord(ra, dec, unit="deg"), "box": np.zeros((5, 2))}).write(
        tmp_path / "stars.ecsv"
    )
    (wanted,) = wanted_catalogues([str(tmp_path / "stars.ecsv")], Own())
    found = open_catalogue(wanted, tmp_path / "cache", Services())
    assert found.match(Positions(ra, dec))["sep_arcsec"].max() < 1e-5
    assert ["coord.ra" in note or "box" in note for note in found.notes] == [True, True]


def test_positions_that_their_ucds_tell(tmp_path):
    ra, dec = clumps(5, 3)
    table = Table({"lon": ra, "lon2": ra + 1, "lat": dec})
    for name, ucd in (
        ("lon", "pos.eq.ra;meta.main"),
        ("lon2", "pos.eq.ra"),
        ("lat", "POS.EQ.DEC;meta.main"),
    ):
        table[name].meta["ucd"] = ucd
    table.write(tmp_path / "stars.vot", format="votable")
    (wanted,) = wanted_catalogues([str(tmp_path / "stars.vot")], Own())
    found = open_catalogue(wanted, tmp_path / "cache", Services())
    assert len(found.match(Positions(ra, dec))) == 5


def test_a_table_of_a_file_of_several(tmp_path):
    path = tmp_path / "stars.fits"
    ra, dec = clumps(5, 3)
    hdus = [BinTableHDU(Table({"RA": ra + n, "DEC": dec}), name=f"T{n}") for n in range(2)]
    HDUList([PrimaryHDU(), *hdus]).writeto(path)
    for text, n in ((str(path), 0), (f"{path}#T1", 1), (f"two={path}#2", 1)):
        (wanted,) = wanted_catalogues([text], Own())
        opened = open_catalogue(wanted, tmp_path / "cache", Services())
        assert len(opened.match(Positions((ra + n) % 360, dec))) == 5
        assert bool(opened.notes) == ("#" not in text)


def test_rows_without_a_position_are_left_out(written, tmp_path):
    table = rows_of(10, 2)
    table["RA"][0] = np.nan
    table["DEC"][1] = 91.0
    opened = import_table(written(".fits", table), mine(), tmp_path / "cache")
    assert sorted(opened.read(opened.pixels[0])["_row"]) == list(range(2, 10))
    assert opened.notes == ("2 of 10 rows are left out, since they have no position.",)


def test_positions_in_other_units_are_converted(written, tmp_path):
    table = rows_of(10, 2)
    degrees = np.array(table["RA"])
    table["RA"] = np.radians(degrees)
    table["RA"].unit = "rad"
    opened = import_table(written(".fits", table), mine(), tmp_path / "cache")
    rows = opened.read(opened.pixels[0]).sort_values("_row")
    np.testing.assert_allclose(rows["_ra"], degrees)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.fits", None, "There is no file"),
        ("t.dat", b"1 2", "of no known format"),
        ("t.fits", b"SIMPLE", "cannot be read as fits"),
        ("t.parquet", b"PAR1", "cannot be read as parquet"),
        ("t.vot", HTML, "cannot be read as votable"),
        ("t.csv", b"", "cannot be read as csv"),
        ("t.csv", b"RA,DEC\n1,2\n", "lacks the columns source, flux, label, good of mine"),
        ("t.csv", b"RA,DEC,source,flux,label,good\n", "has no rows"),
        ("t.csv", b"RA,DEC,source,flux,label,good\n,,1,1,a,T\n", "no row with a position"),
        ("t.csv", b"RA,DEC,source,flux,label,good\n1,2,1.5,1,a,T\n", "source cannot be int64"),
        ("t.csv", b"RA,DEC,source,flux,label,good\n1h2m,2,1,1,a,T\n", "RA cannot be double"),
    ],
)
def test_bad_tables_are_told_in_one_sentence(tmp_path, name, content, sentence):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as error:
        import_table(path, mine(), tmp_path / "cache")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache").glob("tables/*"))


def test_a_cache_that_cannot_be_written_is_told(written, tmp_path):
    path = written(".fits", rows_of(5, 2))
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match="--cache"):
        import_table(path, mine(), tmp_path / "cache")


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("EXOD_CACHE", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "exod"
    monkeypatch.setenv("EXOD_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert cache_folder("here") == Path("here")


# ---------------------------------------------------------------- HATS


@pytest.mark.parametrize("margin", [None, 60.0])
def test_hats_gives_what_a_table_gives(written, tmp_path, margin):
    lsdb = pytest.importorskip("lsdb", reason="the extra catalogue is not installed")
    table = rows_of(2000, 4)
    frame = table.to_pandas()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = lsdb.from_dataframe(
            frame,
            ra_column="RA",
            dec_column="DEC",
            partition_rows=500,
            margin_threshold=margin,
        )
        made.to_hats(tmp_path / "hats", catalog_name="mine")
    (wanted,) = wanted_catalogues([f"mine={tmp_path / 'hats'}"], Own(radius=30.0))
    assert wanted.catalogue.method == "hats"
    found = open_catalogue(wanted, tmp_path / "cache", Services())
    here = sources(200, 5)
    there = found.match(here)
    declared = mine(radius_arcsec=30.0)
    opened = import_table(written(".fits", table), declared, tmp_path / "cache")
    expected = match_partitions(here, opened)
    assert len(expected) > 100
    names = ["source", "sep_arcsec", "n_within", "density_arcmin2", "p_chance", "mine_label"]
    pd.testing.assert_frame_equal(there[names], expected[names])
    assert {column.name for column in found.catalogue.columns} >= {"source", "good", "flux"}


def test_bad_hats_are_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="is no HATS catalogue"):
        wanted_catalogues([str(tmp_path / "empty")], Own())
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "hats.properties").write_text("obs_collection=x\n")
    (wanted,) = wanted_catalogues([str(bad)], Own())
    with pytest.raises(InputError, match="cannot be read as a HATS catalogue"):
        open_catalogue(wanted, tmp_path, Services())


# ---------------------------------------------------------------- what --with takes


def test_names_paths_and_declarations(tmp_path):
    table = tmp_path / "my-table.csv"
    table.write_text("lon,lat\n1,2\n")
    toml = tmp_path / "own.toml"
    toml.write_text(
        'title = "Own"\nmethod = "table"\nwhere = "my-table.csv"\nprefix = "own_"\n'
        'ra = ["lon"]\ndec = ["lat"]\n'
    )
    own = Own(ra="lon", dec="lat")
    found = wanted_catalogues(["simbad", f"4xmm_dr14={table}", str(table), str(toml)], own)
    assert [one.catalogue.name for one in found] == ["simbad", "4xmm_dr14", "my_table", "own"]
    assert [one.where for one in found] == ["", str(table), str(table), str(table)]
    assert found[2].catalogue.ra == ("lon",)
    assert found[2].catalogue.prefix == "my_table_"
    wide = wanted_catalogues(["simbad"], Own(radius=500.0))[0].catalogue
    assert (wide.radius_arcsec, wide.density_radius_arcsec) == (500.0, 1500.0)


@pytest.mark.parametrize(
    ("texts", "own", "sentence"),
    [
        (["nothing"], Own(), "There is no catalogue 'nothing'; known are 2mass"),
        (["4xmm_dr14"], Own(), "4xmm_dr14 needs a file, given as 4xmm_dr14=PATH"),
        (["a=x.csv", "a=y.csv"], Own(), "Two catalogues are called a"),
        (["a=x.csv"], Own(pm_ra="p"), "both --pm-ra and --pm-dec"),
        (["a=x.csv"], Own(pm_ra="p", pm_dec="q"), "need an epoch"),
        (["a=x.csv"], Own(epoch=1e6), "epoch"),
    ],
)
def test_impossible_wishes_are_told(texts, own, sentence):
    with pytest.raises(ConfigError, match=sentence):
        wanted_catalogues(texts, own)


# ---------------------------------------------------------------- services


@pytest.fixture
def cds():
    service = FakeCds()
    yield service
    service.close()


def opened(cds: FakeCds, name: str, cache: Path, **settings: object):
    given = {"attempts": 3, "wait": 0.0, "timeout": LONGEST, "batch": 40}
    services = Services(**(cds.addresses | given | settings))
    return open_catalogue(Wanted(known(name)), cache, services)


def fill(cds: FakeCds, n: int = 900) -> None:
    ra, dec = clumps(n, 8)
    cds.tables["vizier:I/355/gaiadr3"] = gaia(ra, dec), "RAdeg", "DEdeg"
    cds.tables["basic"] = simbad(ra, dec), "ra", "dec"
    frb = Table({"Name": [f"FRB {i}" for i in range(n)], "RAdeg": ra, "DEdeg": dec})
    cds.tables["J/ApJS/257/59/table2"] = frb, "RAdeg", "DEdeg"


@pytest.mark.parametrize("name", ["gaia_dr3", "simbad"])
def test_services_give_what_a_table_gives(cds, tmp_path, name):
    fill(cds)
    catalogue = opened(cds, name, tmp_path)
    here = sources(100, 9, 2010.0)
    found = catalogue.match(here)
    assert [count for _, count, _ in cds.asked] == [40, 40, 20]
    reach = cds.asked[0][2]
    table, ra, dec = cds.tables["vizier:I/355/gaiadr3" if name == "gaia_dr3" else "basic"]
    path = tmp_path / "same.fits"
    numbered = Table({"RA": table[ra], "DEC": table[dec], "i": np.arange(len(table))})
    numbered.write(path)
    one = {"name": "i", "type": "int64", "description": "Number"}
    declared = mine(columns=[one], density_radius_arcsec=reach)
    expected = match_partitions(here, import_table(path, declared, tmp_path))
    assert 30 < len(expected) <= 100
    names = ["source", "sep_arcsec", "dra_arcsec", "n_within", "density_arcmin2", "p_chance"]
    pd.testing.assert_frame_equal(found[names], expected[names], rtol=1e-6)
    if name == "gaia_dr3":
        assert list(found["gaia_source_id"]) == [BIG + i for i in expected["mine_i"]]
        assert found["gaia_source_id"].dtype == pd.Int64Dtype()
        assert found["gaia_bp_mag"].isna().tolist() == [i % 2 == 1 for i in expected["mine_i"]]
    else:
        assert list(found["simbad_main_id"]) == [f"Object {i}" for i in expected["mine_i"]]


def test_vizier_around_positions_and_whole(cds, tmp_path):
    fill(cds)
    whole = opened(cds, "chime_frb", tmp_path).match(sources(60, 9))
    assert cds.asked == [("J/ApJS/257/59/table2", 1, 0.0)]
    content = known("chime_frb").model_dump(mode="json", exclude={"name"})
    content |= {"whole": False, "density_radius_arcsec": 1000.0}
    cones = Wanted(declared_as("chime_frb", content, "test"))
    services = Services(**cds.addresses, batch=50, wait=0.0)
    some = open_catalogue(cones, tmp_path, services).match(sources(60, 9))
    assert [count for _, count, _ in cds.asked[1:]] == [50, 10]
    names = ["source", "sep_arcsec", "n_within", "chime_Name"]
    pd.testing.assert_frame_equal(whole[names], some[names], rtol=1e-5)
    assert len(whole) > 50


def test_a_service_without_a_declared_column_is_told_and_a_copy_has_nulls(cds, written, tmp_path):
    table = gaia(*clumps(5, 3))
    table.remove_columns(["VarFlag", "PQSO"])
    cds.tables["vizier:I/355/gaiadr3"] = table, "RAdeg", "DEdeg"
    with pytest.raises(
        DownloadError, match="lacks the columns VarFlag or phot_variable_flag, PQSO"
    ):
        opened(cds, "gaia_dr3", tmp_path).match(sources(5, 3))
    copy = wanted_catalogues([f"gaia_dr3={written('.fits', table)}"], Own())[0]
    found = open_catalogue(copy, tmp_path / "other", Services()).match(Positions(*clumps(5, 3)))
    assert found["gaia_variable"].isna().all()
    assert (found["gaia_distance"] == 650.0).all()


def test_of_the_tables_of_a_catalogue_the_one_with_the_columns_is_taken(cds, tmp_path):
    ra, dec = clumps(6, 3)
    first = Table({"EXOD_SRCID": ["a"] * 6, "ra_deg": ra, "dec_deg": dec, "n_detections": [2] * 6})
    second = Table({"EXOD_DETID": ["b"] * 6, "EXOD_SRCID": ["a"] * 6, "ra_deg": ra, "dec_deg": dec})
    cds.tables["J/A+A/697/A50"] = (first, second), "ra_deg", "dec_deg"
    for name, column in (
        ("exod2_sources", "exod2_n_detections"),
        ("exod2_detections", "exod2det_detid"),
    ):
        found = opened(cds, name, tmp_path).match(Positions(ra, dec))
        assert found[column].notna().all()
        assert found["sep_arcsec"].max() < 1e-3


def test_all_types_of_simbad_are_asked_for(cds, tmp_path):
    cds.tables["basic"] = simbad(*clumps(5, 3)), "ra", "dec"
    found = opened(cds, "simbad", tmp_path).match(Positions(*clumps(5, 3)))
    assert (found["simbad_otypes"] == "*|X").all()
    assert found["simbad_nbref"].notna().all()


def test_stars_are_found_where_they_were(cds, tmp_path):
    """A star that moved 30 arcsec from the observation of 2001 to the epoch of Gaia."""
    year, motion = 2001.0, np.array([[1000.0], [-1733.0]])
    cds.tables["vizier:I/355/gaiadr3"] = gaia([50.0], [10.0], motion), "RAdeg", "DEdeg"
    where = 50.0 - 15.0 / 3600 / np.cos(np.radians(10.0)), 10.0 + 15 * 1.733 / 3600
    here = Positions(np.array([where[0]] * 2), np.array([where[1]] * 2), np.array([year, 2016.0]))
    found = opened(cds, "gaia_dr3", tmp_path).match(here)
    assert list(found["source"]) == [0]
    assert found["sep_arcsec"][0] < 0.01
    assert cds.asked[0][2] >= 20 + 16 * 2.5


def test_faults_that_pass_are_tried_again(cds, tmp_path):
    fill(cds)
    expected = opened(cds, "gaia_dr3", tmp_path / "a").match(sources(20, 9))
    for name in ("gaia_dr3", "simbad", "chime_frb"):
        cds.faults = [Fault(503, HTML), Fault(200, HTML)]
        found = opened(cds, name, tmp_path / "b").match(sources(20, 9))
        assert len(found)
        if name == "gaia_dr3":
            pd.testing.assert_frame_equal(found, expected)
    cds.faults = [Fault(kind="cut"), Fault(429, b"slow down")]
    assert len(opened(cds, "gaia_dr3", tmp_path / "c").match(sources(20, 9))) == len(expected)


def drop(name: str):
    return lambda table: table[[column for column in table.colnames if column != name]]


def far(table: Table) -> Table:
    table = table.copy()
    table["DEdeg" if "DEdeg" in table.colnames else "dec"][0] += 0.2
    return table


def stranger(table: Table) -> Table:
    table = table.copy()
    table["exod_row"][0] = 10_000
    return table


@pytest.mark.parametrize(
    ("name", "fault", "sentence"),
    [
        ("gaia_dr3", Fault(503, HTML), r"CDS X-Match does not answer now \(HTTP 503\)"),
        ("simbad", Fault(503, HTML), "SIMBAD does not answer now"),
        ("chime_frb", Fault(503, HTML), r"VizieR does not answer now \(HTTP 503\)"),
        ("gaia_dr3", Fault(200, HTML), "CDS X-Match answered what is not a table"),
        ("simbad", Fault(200, HTML), "SIMBAD answered what is not a table"),
        ("chime_frb", Fault(200, HTML), "VizieR answered what is not a table"),
        ("gaia_dr3", Fault(change=drop("pmRA")), "lacks the columns pmRA or pmra"),
        ("gaia_dr3", Fault(change=drop("exod_row")), "lacks the column exod_row"),
        ("simbad", Fault(change=drop("main_id")), "lacks the columns main_id"),
        ("gaia_dr3", Fault(change=far), "arcsec away, though"),
        ("simbad", Fault(change=far), "arcsec away, though"),
        ("gaia_dr3", Fault(change=stranger), "positions that were not asked for"),
        ("simbad", Fault(change=stranger), "positions that were not asked for"),
        ("gaia_dr3", Fault(404, HTML), "refuses the question"),
        ("gaia_dr3", Fault(kind="mute"), "cannot be reached"),
        ("simbad", Fault(kind="mute"), "cannot be reached"),
    ],
)
def test_what_a_service_does_wrong_is_one_sentence(cds, tmp_path, name, fault, sentence):
    fill(cds)
    cds.faults = [fault] * 3
    timeout = 0.5 if fault.kind == "mute" else LONGEST
    with pytest.raises(DownloadError, match=sentence) as error:
        opened(cds, name, tmp_path, timeout=timeout, attempts=2).match(sources(20, 9))
    assert "\n" not in str(error.value)
    assert "<" not in str(error.value).replace("<html", "")
    assert not list(tmp_path.glob("answers/*"))


def test_an_unknown_table_and_no_network_are_told(cds, tmp_path):
    fill(cds)
    with pytest.raises(DownloadError, match="CDS X-Match refuses the question"):
        opened(cds, "tycho2", tmp_path).match(sources(5, 9))
    nowhere = dict.fromkeys(cds.addresses, "http://127.0.0.1:1/")
    for name in ("gaia_dr3", "simbad", "chime_frb"):
        with pytest.raises(DownloadError, match="cannot be reached"):
            opened(cds, name, tmp_path, **nowhere).match(sources(5, 9))


def test_answers_are_kept_and_asked_anew_on_request(cds, tmp_path):
    fill(cds)
    first = opened(cds, "gaia_dr3", tmp_path).match(sources(50, 9))
    assert cds.sources_asked == 50
    again = opened(cds, "gaia_dr3", tmp_path).match(sources(50, 9))
    assert cds.sources_asked == 50
    pd.testing.assert_frame_equal(first, again)
    for path in (tmp_path / "answers").iterdir():
        path.write_bytes(b"damaged")
    pd.testing.assert_frame_equal(first, opened(cds, "gaia_dr3", tmp_path).match(sources(50, 9)))
    assert cds.sources_asked == 100
    services = Services(**cds.addresses)
    fresh = open_catalogue(Wanted(known("gaia_dr3")), tmp_path, services, refresh=True)
    fresh.match(sources(50, 9))
    assert cds.sources_asked == 150


def test_batches_that_were_answered_are_not_asked_again(cds, tmp_path):
    fill(cds)
    cds.faults = [Fault(), Fault(404, HTML)]
    with pytest.raises(DownloadError):
        opened(cds, "gaia_dr3", tmp_path).match(sources(80, 9))
    asked = len(cds.asked)
    opened(cds, "gaia_dr3", tmp_path).match(sources(80, 9))
    assert len(cds.asked) == asked + 1


def test_a_service_tells_how_far_it_is(cds, tmp_path):
    fill(cds)
    said = []
    services = Services(**cds.addresses, batch=40, wait=0.0)
    wanted = Wanted(known("simbad"))
    open_catalogue(wanted, tmp_path, services, say=said.append).match(sources(70, 9))
    assert said == ["simbad: 40 of 70 positions", "simbad: 70 of 70 positions"]


def test_empty_answers_and_no_sources(cds, tmp_path):
    fill(cds)
    far_away = Positions(np.full(3, 200.0), np.full(3, 10.0), np.full(3, np.nan))
    for name in ("gaia_dr3", "simbad"):
        assert opened(cds, name, tmp_path).match(far_away).empty
        none = opened(cds, name, tmp_path).match(far_away.take(np.empty(0, int)))
        assert "p_chance" in none.columns
    cds.tables["J/ApJS/257/59/table2"] = Table({"Name": ["x"]})[:0], "a", "b"
    with pytest.raises(DownloadError, match="has no rows"):
        opened(cds, "chime_frb", tmp_path)


def test_radii_beyond_a_service_are_told(cds, tmp_path):
    (wanted,) = wanted_catalogues(["gaia_dr3"], Own(radius=200.0))
    services = Services(**cds.addresses)
    with pytest.raises(ConfigError, match="at most 180 arcsec"):
        open_catalogue(wanted, tmp_path, services).match(sources(5, 9))


def test_settings_of_services_are_checked():
    assert Services.of(None).batch == 2000
    assert Services.of('{"batch": 7}').batch == 7
    for text in ("{", '{"batch": 0}', '{"url": "x"}', "[]"):
        with pytest.raises(ConfigError, match="--services takes a JSON object"):
            Services.of(text)


@pytest.mark.parametrize(
    ("library", "name"), [("astroquery", "gaia_dr3"), ("astroquery", "simbad"), ("lsdb", "hats")]
)
def test_without_the_extra_a_sentence_says_what_to_install(
    tmp_path, monkeypatch, library, name, cds
):
    real = builtins.__import__

    def without(module, *arguments, **options):
        if module.split(".")[0] == library:
            raise ModuleNotFoundError(f"No module named {module!r}")
        return real(module, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    (wanted,) = wanted_catalogues(["a=http://127.0.0.1:1/x" if name == "hats" else name], Own())
    with pytest.raises(ExodError, match=r"install\s+exod\[catalogue\]"):
        open_catalogue(wanted, tmp_path, Services()).match(sources(5, 9))


def test_kept_answers_are_small_tables(cds, tmp_path):
    fill(cds)
    opened(cds, "gaia_dr3", tmp_path).match(sources(20, 9))
    (path,) = (tmp_path / "answers").iterdir()
    assert path.name.startswith("gaia_dr3-")
    assert "gaia_source_id" in pq.read_schema(path).names
