"""Matches: the real tables' counts, any tables row by row, frames part by part, filters, masks."""

import dask
import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time
from helpers.astromon_tables import limits, random_tables, row_by_row, rows, save_real
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.astromon import cross_match, db
from exod.astromon.moments import as_time
from exod.astromon.utils import MissingTableException
from exod.errors import ConfigError, InputError

PARTS = ("astromon_obs", "astromon_xray_src", "astromon_cat_src")


@pytest.fixture(scope="module")
def real(data_dir, tmp_path_factory):
    return save_real(data_dir, tmp_path_factory.mktemp("real") / "astromon.h5")


def tables(file):
    return tuple(db.get_table(name, file) for name in PARTS)


@pytest.mark.parametrize("name", [None, *cross_match.CROSS_MATCHES])
def test_standard_selections_of_the_real_tables(real, name):
    found = cross_match.compute_cross_matches(name, dbfile=real, exclude_regions=True)
    stored = db.get_table("astromon_xcorr", real)
    assert set(found["select_name"]) == {"astromon_21" if name in (None, "default") else name}
    for column in ("obsid", "c_id", "x_id", "dy", "dz", "dr"):
        np.testing.assert_array_equal(found[column], stored[column])
        assert found[column].dtype == stored[column].dtype
    assert [str(index.columns[0].name) for index in found.indices] == ["obsid"]


@pytest.mark.parametrize(
    ("catalogs", "n"),
    [
        (["USNO-B1.0"], 64),
        ("2MASS", 75),
        (["Tycho2", "USNO-B1.0", "2MASS"], 79),
        (["2MASS", "Tycho2", "USNO-B1.0"], 79),
        (["USNO-B1.0", "2MASS", "Tycho2"], 79),
    ],
)
def test_other_catalogues_of_the_real_tables(real, catalogs, n):
    assert len(cross_match.compute_cross_matches(dbfile=real, catalogs=catalogs)) == n


def test_columns_and_order(real):
    found = cross_match.compute_cross_matches(dbfile=real, catalogs=["2MASS"])
    observation = list(db.DTYPES["astromon_obs"].names)
    source = [
        *("x_id", "x_ra", "x_dec", "net_counts", "x_y_angle", "x_z_angle", "r_angle", "snr"),
        *("near_neighbor_dist", "pileup", "acis_streak", "caldb_version"),
    ]
    counterpart = [
        *("c_id", "catalog", "name", "c_ra", "c_dec", "separation", "mag", "c_y_angle"),
        "c_z_angle",
    ]
    more = ["dz", "dy", "dr", "cat_order", "select_name", "time", "c_loc", "x_loc", "category"]
    assert found.colnames == [*observation, *source, *counterpart, *more]
    assert found["dr"].dtype == np.float32
    assert set(found["select_name"]) == {"simple"}
    # DATE-OBS is terrestrial time, as tstart tells.
    np.testing.assert_allclose(found["time"].cxcsec, found["tstart"], atol=33)
    np.testing.assert_allclose(
        (found["time"].utc - Time(list(found["date_obs"]))).sec, -67.184, atol=1.001
    )
    key = list(zip(found["obsid"], found["x_id"], strict=True))
    assert key == sorted(key)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), limits)
@settings(max_examples=portion(40))
def test_pairs_are_those_of_every_row_by_itself(seed, n, arguments):
    made = random_tables(np.random.default_rng(seed), n)
    found = cross_match.simple_cross_match(*made, **arguments)
    assert row_by_row(made, **arguments) == [
        tuple(row) for row in found["obsid", "x_id", "c_id"].as_array().tolist()
    ]
    again = cross_match.compute_cross_matches("simple", *made, **arguments)
    np.testing.assert_array_equal(found["c_id"], again["c_id"])


def test_limits_exclude_their_values_and_gratings_have_their_own():
    observations = rows("astromon_obs", obsid=[1, 2], grating=["NONE", "HETG"])
    observations["date_obs"] = "2013-01-01T00:00:00"
    sources = rows("astromon_xray_src", obsid=[1, 2], id=[1, 1], snr=9, near_neighbor_dist=9)
    counterparts = rows("astromon_cat_src", obsid=[1, 2], x_id=[1, 1], catalog="ICRS")

    def obsids(**arguments):
        return list(
            cross_match.simple_cross_match(observations, sources, counterparts, **arguments)[
                "obsid"
            ]
        )

    sources["r_angle"] = 24.0
    assert obsids() == [1]
    assert obsids(r_angle=24.0, r_angle_grating=24.5) == [2]
    assert obsids(snr=9, r_angle_grating=25) == []
    assert obsids(near_neighbor_dist=9, r_angle_grating=25) == []
    assert obsids(dr=0) == []
    assert obsids(start="2013-01-01T00:00:00") == []
    assert obsids(start="2012:365:23:58:00") == [1]
    assert obsids(stop="2013-01-01T00:00:00") == [1]
    assert obsids(stop="2012:365:23:58:00") == []


def test_nothing_left_is_a_table_with_the_right_columns(real):
    full = cross_match.compute_cross_matches(dbfile=real)
    for arguments in ({"snr": 1e9}, {"catalogs": []}, {"start": "2050:001"}, {"dr": 0}):
        found = cross_match.compute_cross_matches(dbfile=real, **arguments)
        assert len(found) == 0
        assert found.colnames == full.colnames
        assert found["obsid"].dtype == full["obsid"].dtype
    empty = [db.create_table(name) for name in PARTS]
    assert cross_match.compute_cross_matches("default", *empty).colnames == full.colnames
    stored = db.get_cross_matches("nobody", real)
    assert len(stored) == 0
    assert stored.colnames == db.get_cross_matches(dbfile=real).colnames


def test_masked_and_further_columns_are_taken(real):
    observations, sources, counterparts = tables(real)
    counterparts["more"] = np.arange(len(counterparts))
    masked = Table(sources, masked=True)
    masked["snr"].mask = masked["obsid"] == 13748
    found = cross_match.compute_cross_matches("default", observations, masked, counterparts)
    assert len(found) == 7
    assert 13748 not in found["obsid"]
    assert "more" in found.colnames
    assert "more" in counterparts.colnames


def test_stored_matches(real):
    found = db.get_cross_matches(dbfile=real)
    assert len(found) == 8
    computed = cross_match.compute_cross_matches(dbfile=real)
    assert set(computed.colnames) - set(found.colnames) == {"cat_order"}
    for name in set(found.colnames) - {"time", "c_loc", "x_loc"}:
        np.testing.assert_array_equal(found[name], computed[name])
    bright = db.get_cross_matches(dbfile=real, snr=30, exclude_regions=True)
    assert list(bright["obsid"]) == list(found["obsid"][found["snr"] >= 30])


def test_tables_are_read_through_the_module(real, monkeypatch):
    made = dict(zip(PARTS, tables(real), strict=True))
    monkeypatch.setattr(db, "get_table", lambda name, _file=None: made[name])
    assert len(cross_match.compute_cross_matches()) == 8


def test_filters_include_their_values(real):
    matches = cross_match.compute_cross_matches(dbfile=real, catalogs=["2MASS"])
    row = matches[10]

    def kept(**arguments):
        return cross_match.filter_matches(matches, **arguments)

    assert kept().all()
    np.testing.assert_array_equal(kept(snr=row["snr"]), matches["snr"] >= row["snr"])
    for name in ("dr", "near_neighbor_dist"):
        np.testing.assert_array_equal(kept(**{name: row[name]}), matches[name] <= row[name])
        assert kept(**{name: row[name]})[10]
    grating = matches["grating"] != "NONE"
    near = matches["r_angle"] <= 50
    np.testing.assert_array_equal(kept(r_angle=50), grating | near)
    np.testing.assert_array_equal(kept(r_angle_grating=50), ~grating | near)
    seconds = float(row["tstart"])
    np.testing.assert_array_equal(kept(start=seconds), matches["tstart"] >= row["tstart"])
    np.testing.assert_array_equal(kept(stop=seconds), matches["tstart"] <= row["tstart"])
    np.testing.assert_array_equal(kept(obsid=[13276]), matches["obsid"] == 13276)
    np.testing.assert_array_equal(kept(detector="ACIS-S"), matches["detector"] == "ACIS-S")
    category = [str(row["category"])]
    np.testing.assert_array_equal(
        kept(exclude_categories=category), matches["category"] != category[0]
    )
    assert not kept(sim_z=-1).any()
    assert kept(sim_z=0.01).all()
    matches["detector"] = "other"
    assert kept(sim_z=0).all()
    with pytest.raises(InputError, match="lacks column nothing"):
        kept(nothing=1)


def test_bad_targets():
    targets = ["RW Aur", "TAU BOO b", "70 Oph", "16 CYG", "M87", "Orion", "HD 97950", "HD4915"]
    fine = ["NGC 1624", "XM87", "HD 4914", ""]
    mask = cross_match.get_bad_target_mask(Table({"target": targets + fine}))
    np.testing.assert_array_equal(mask, [True] * 8 + [False] * 4)


@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.integers(0, 8))
@settings(max_examples=portion(30))
def test_excluded_regions_by_all_pairs(seed, n, m):
    random = np.random.default_rng(seed)
    # Around right ascension 0, and at a pole.
    dec = random.choice([0.0, 89.999, -90.0])
    ra, region_ra = ((random.uniform(-0.01, 0.01, k) % 360) for k in (n, m))
    if dec:
        ra, region_ra = ra * 36000, region_ra * 36000
    x_loc = SkyCoord(ra, np.clip(dec + random.uniform(-0.01, 0.01, n), -90, 90), unit="deg")
    matches = (
        Table({"x_loc": x_loc, "obsid": random.integers(1, 4, n)})
        if n
        else Table({"x_ra": np.zeros(0), "x_dec": np.zeros(0), "obsid": np.zeros(0, int)})
    )
    regions = rows("astromon_regions", region_id=np.arange(m))
    regions["ra"], regions["dec"] = (
        region_ra,
        np.clip(dec + random.uniform(-0.01, 0.01, m), -90, 90),
    )
    regions["radius"], regions["obsid"] = random.uniform(0, 40, m), random.integers(-1, 4, m)
    before = regions.copy()
    mask = cross_match.get_excluded_regions_mask(matches, regions)
    wanted = np.zeros(n, bool)
    for row in regions:
        centre = SkyCoord(row["ra"], row["dec"], unit="deg")
        for i in range(n):
            near = x_loc[i].separation(centre) < row["radius"] * units.arcsec
            wanted[i] |= near and (row["obsid"] <= 0 or row["obsid"] == matches["obsid"][i])
    np.testing.assert_array_equal(mask, wanted)
    assert regions.colnames == before.colnames


def test_regions_of_the_file_that_is_asked(real, tmp_path, data_dir, monkeypatch):
    monkeypatch.delenv("ASTROMON_FILE", raising=False)
    file = save_real(data_dir, tmp_path / "astromon")
    first = cross_match.compute_cross_matches(dbfile=file)[0]
    region = {"ra": first["x_ra"], "dec": first["x_dec"], "radius": 1.0}
    db.add_regions([region | {"obsid": 1}], file)
    assert len(cross_match.compute_cross_matches(dbfile=file, exclude_regions=True)) == 8
    db.add_regions([region], file)
    assert len(cross_match.compute_cross_matches(dbfile=file, exclude_regions=True)) == 7
    assert len(db.get_cross_matches(dbfile=file, exclude_regions=True)) == 7
    assert len(db.get_cross_matches(dbfile=real, exclude_regions=True)) == 8


@pytest.mark.drill
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from(["known", "not known"]))
@settings(max_examples=portion(6))
def test_frames_part_by_part(tmp_path_factory, seed, size, divisions):
    file = tmp_path_factory.mktemp("lazy") / "astromon"
    made = random_tables(np.random.default_rng(seed), 6)
    for name, table in zip(PARTS, made, strict=True):
        db.save(name, table, file)
    wanted = cross_match.compute_cross_matches("simple", *made, dr=10)
    with dask.config.set(scheduler=_computes):
        frames = [db.lazy(name, file, rows=size) for name in PARTS]
        if divisions == "not known":
            frames = [frame.clear_divisions() for frame in frames]
        lazy = cross_match.compute_cross_matches("simple", *frames, dr=10)
    with dask.config.set(scheduler="synchronous"):
        found = lazy.compute()
        assert (found.dtypes == lazy.dtypes).all()
        for part in lazy.partitions:
            assert (part.compute().dtypes == lazy.dtypes).all()
    found = found.sort_values(["obsid", "x_id"])
    assert list(found.columns) == [
        name for name in wanted.colnames if name not in ("c_loc", "x_loc")
    ]
    for name in found.columns.drop("time"):
        np.testing.assert_array_equal(found[name].to_numpy(), np.asarray(wanted[name]))
    np.testing.assert_array_equal(found["time"], wanted["time"].datetime64.astype("M8[ns]"))
    pandas = cross_match.compute_cross_matches(
        "simple", *(table.to_pandas() for table in made), dr=10
    )
    np.testing.assert_array_equal(pandas["c_id"], found["c_id"])


def _computes(*_arguments, **_options):
    raise AssertionError("something was computed")


def test_frames_of_one_kind_with_tables_of_another(real):
    lazy = cross_match.compute_cross_matches(
        astromon_xray_src=db.lazy("astromon_xray_src", real, rows=50), dbfile=real
    )
    assert len(lazy.compute(scheduler="synchronous")) == 8
    observations, sources, counterparts = tables(real)
    found = cross_match.compute_cross_matches(None, observations.to_pandas(), sources, counterparts)
    assert len(found) == 8


def test_wrong_input(real, tmp_path, monkeypatch):
    observations, sources, counterparts = tables(real)
    with pytest.raises(ConfigError, match="Unknown cross-match 'nobody'"):
        cross_match.compute_cross_matches("nobody", dbfile=real)
    del sources["snr"]
    with pytest.raises(InputError, match="astromon_xray_src lacks column snr"):
        cross_match.compute_cross_matches(None, observations, sources, counterparts)
    file = tmp_path / "astromon.db3"
    db.save("astromon_obs", observations, file)
    with pytest.raises(MissingTableException, match="astromon_xray_src not in file"):
        cross_match.compute_cross_matches(dbfile=file)
    for name in ("ASTROMON_FILE", "SKA"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="ASTROMON_FILE"):
        cross_match.compute_cross_matches()
    observations["date_obs"] = "yesterday"
    with pytest.raises(InputError, match="'yesterday', which is no time"):
        cross_match.compute_cross_matches(
            None, observations, db.get_table("astromon_xray_src", real), counterparts
        )


def test_shared_counterparts_are_told(caplog):
    observations = rows("astromon_obs", obsid=[1], grating=["NONE"])
    sources = rows("astromon_xray_src", obsid=[1, 1], id=[1, 2], snr=9, near_neighbor_dist=9)
    counterparts = rows("astromon_cat_src", obsid=[1, 1], x_id=[1, 2], id=[7, 7], catalog="ICRS")
    assert len(cross_match.simple_cross_match(observations, sources, counterparts)) == 2
    assert "2 matches share their counterpart" in caplog.text


def test_times_in_any_form():
    wanted = Time("2013-04-10T12:00:00", scale="utc")
    for value in (
        *("2013:100:12:00:00", "2013-04-10T12:00:00", "2013-04-10 12:00:00"),
        *(wanted, wanted.cxcsec, str(wanted.cxcsec), wanted.datetime, wanted.datetime64),
    ):
        assert abs((as_time(value) - wanted).sec) < 1e-3
    with pytest.raises(InputError, match="is no time"):
        as_time("soon")


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
@settings(max_examples=portion(25))
def test_errors_chance_and_weights_row_by_row(seed, n):
    random = np.random.default_rng(seed)
    made = random_tables(random, n)
    made[1]["net_counts"] = random.choice([0.0, 4.0, 100.0, np.nan], len(made[1]))
    made[2]["separation"] = random.uniform(0, 3.5, len(made[2]))
    matches = cross_match.compute_cross_matches("simple", *made, catalogs=["2MASS", "ICRS"], dr=10)
    found = cross_match.with_errors(
        matches, astromon_xray_src=made[1], astromon_cat_src=made[2], frame_arcsec=0.5
    )
    assert found.colnames == [*matches.colnames, "x_err", "p_chance", "weight"]
    for row in found:
        outer = [
            one
            for one in made[2]
            if one["obsid"] == row["obsid"]
            and one["catalog"] == row["catalog"]
            and 1.5 <= one["separation"] <= 3
        ]
        circles = sum(1 for one in made[1] if one["obsid"] == row["obsid"])
        density = (len(outer) + 0.5) / (circles * np.pi * (9 - 2.25))
        chance = 1 - np.exp(-density * np.pi * float(row["dr"]) ** 2)
        np.testing.assert_allclose(row["p_chance"], chance, rtol=1e-6)
        spread = (1 + 10 * (row["r_angle"] / 600) ** 2) / 2.145966
        if row["net_counts"] > 0:
            error = spread / np.sqrt(row["net_counts"])
            np.testing.assert_allclose(row["x_err"], error, rtol=1e-4)
            weight = (1 - chance) / (error**2 + 0.25)
            np.testing.assert_allclose(row["weight"], weight, rtol=1e-4)
        else:
            assert np.isnan(row["x_err"])
            assert row["weight"] == 0


def test_errors_of_the_real_matches(real):
    found = cross_match.with_errors(db.get_cross_matches(dbfile=real), real)
    assert (found["p_chance"] < 0.01).all()
    assert ((found["x_err"] > 0) & (found["x_err"] < 0.3)).all()
    many = cross_match.compute_cross_matches(dbfile=real, catalogs=["2MASS"])
    crowded = cross_match.with_errors(many, real)
    # In fields that are full of stars, far counterparts are chance more often than near ones.
    far = crowded["dr"] > 2
    assert np.median(crowded["p_chance"][far]) > 10 * np.median(crowded["p_chance"][~far])
