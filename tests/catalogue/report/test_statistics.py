"""Numbers of the report against plain pandas and numpy, whatever the parts they are counted in."""

from itertools import pairwise

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.catalogue.report.consistency import (
    check_tables,
    failed,
)
from exod.catalogue.report.counterparts import (
    absolute_magnitudes,
    chance_separations,
    flux_pairs,
    separations,
)
from exod.catalogue.report.inputs import REGIONS, SIGNIFICANT_BINS, catalogue_columns, prefix_of
from exod.catalogue.report.statistics import (
    LOG_B_EDGES,
    added,
    expected_false,
    flag_counts,
    good_and_bad,
    histogram,
    most_significant,
    pixel_centres,
    region_counts,
    run_counts,
    searched_time,
    sky_pixels,
    source_counts,
)


def make_regions(n: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "t_bin": random.choice([5.0, 50.0], n),
            "e_lo": random.choice([0.2, 2.0], n),
            "e_hi": 12.0,
            "kind": random.choice(["peak", "eclipse"], n),
            "sigma_peak": random.choice([0.0, 2.99, 3.0, 4.5, 5.0, 10.0, np.nan], n),
            "sigma_eclipse": random.choice([0.0, 3.0, 4.0, 6.0, np.nan], n),
            "max_B_peak_log": random.choice([0.0, 0.5, 13.7, 39.9, 40.0, 200.0, np.nan], n),
            "max_B_eclipse_log": random.uniform(-5, 20, n),
            "duration": random.lognormal(3, 3, n),
            "excess": random.normal(0, 100, n),
        }
    )
    return frame[list(REGIONS)]


def split(frame: pd.DataFrame, n: int) -> list[pd.DataFrame]:
    bounds = np.linspace(0, len(frame), n + 1).astype(int)
    return [frame.iloc[lo:hi] for lo, hi in pairwise(bounds)]


@settings(max_examples=portion(25))
@given(st.integers(0, 80), st.integers(0, 99), st.integers(1, 6))
def test_counts_do_not_depend_on_the_parts(n, seed, n_parts):
    regions = make_regions(n, seed)
    whole = region_counts(regions)
    parts = [region_counts(part) for part in split(regions, n_parts)]
    for name, expected in whole.items():
        found = added(part[name] for part in parts)
        assert (found.to_numpy() == expected.to_numpy()).all()
        assert found.index.tolist() == expected.index.tolist()
        assert (found.dtypes == "int64").all()


@settings(max_examples=portion(25))
@given(st.integers(1, 80), st.integers(0, 99))
def test_regions_of_each_run_by_significance(n, seed):
    regions = make_regions(n, seed)
    counts = run_counts(regions)
    assert counts["regions"].sum() == n
    for key, own in regions.groupby(["t_bin", "e_lo", "e_hi"]):
        row = counts.loc[key]
        assert row["peaks"] == len(own.query("kind == 'peak'"))
        assert row["eclipses"] == len(own.query("kind == 'eclipse'"))
        for sigma in (3, 4, 5):
            assert row[f"peak_{sigma}"] == len(own.query(f"sigma_peak >= {sigma}"))
            assert row[f"eclipse_{sigma}"] == len(own.query(f"sigma_eclipse >= {sigma}"))
            either = f"sigma_peak >= {sigma} or sigma_eclipse >= {sigma}"
            assert row[f"any_{sigma}"] == len(own.query(either))


@given(
    st.lists(st.floats(-5, 60) | st.just(np.nan) | st.sampled_from([0.0, 40.0, np.inf])),
)
def test_histograms_are_those_of_numpy(values):
    array = np.array(values, float)
    counts = histogram(array, LOG_B_EDGES)
    known = array[~np.isnan(array)]
    if not len(known):
        assert counts.to_numpy().sum() == 0
        return
    row = counts.loc["all"].to_numpy()
    # numpy's last bin includes its upper edge.
    inside = np.histogram(known[known < LOG_B_EDGES[-1]], LOG_B_EDGES)[0]
    assert (row[1:-1] == inside).all()
    assert row[0] == (known < 0).sum()
    assert row[-1] == (known >= LOG_B_EDGES[-1]).sum()


def test_sources_are_counted_by_pixel_and_observations():
    random = np.random.default_rng(1)
    ra = np.append(random.uniform(0, 360, 500), [0.0, 359.9999, 12.0, 12.0])
    dec = np.append(np.degrees(np.arcsin(random.uniform(-1, 1, 500))), [0.0, 0.0, 90.0, -90.0])
    unique = pd.DataFrame(
        {"ra_deg": ra, "dec_deg": dec, "n_observations": random.integers(1, 9, 504)}
    )
    counts = source_counts(unique)
    healpix = HEALPix(64, order="nested", frame="icrs")
    expected = pd.Series(healpix.skycoord_to_healpix(SkyCoord(ra, dec, unit="deg"))).value_counts()
    assert counts["sky"]["n"].to_dict() == expected.to_dict()
    seen = unique["n_observations"].clip(upper=5).value_counts()
    assert counts["observations"]["n"].to_dict() == seen.to_dict()
    assert sky_pixels(np.array([np.nan, 1.0]), np.array([0.0, np.nan])).size == 0


def test_centres_of_pixels_are_near_their_sources():
    ra, dec = np.array([266.4168, 0.0, 123.0]), np.array([-29.0078, 89.9, -89.9])
    pixels = sky_pixels(ra, dec)
    for frame in ("icrs", "galactic"):
        lon, lat = pixel_centres(pixels, frame)
        there = SkyCoord(lon * u.deg, lat * u.deg, frame=frame).icrs
        assert (there.separation(SkyCoord(ra, dec, unit="deg")).deg < 0.8).all()
    # The centre of the Galaxy.
    lon, lat = pixel_centres(pixels[:1], "galactic")
    assert min(lon[0], 360 - lon[0]) < 0.8
    assert abs(lat[0]) < 0.8


@settings(max_examples=portion(40))
@given(st.integers(0, 60), st.integers(0, 99), st.integers(1, 4))
def test_flags_and_their_overlaps(n, seed, n_parts):
    random = np.random.default_rng(seed)
    flags = pd.DataFrame(random.random((n, 3)) < 0.4, columns=["filt_c", "filt_a", "filt_b"])
    counts = added(flag_counts(part) for part in split(flags, n_parts))
    for one in flags:
        for other in flags:
            assert counts.loc[one, other] == (flags[one] & flags[other]).sum()
    assert set(counts.loc["(none)"]) == {int((~flags.any(axis=1)).sum())}
    assert set(counts.loc["(all)"]) == {n}


@settings(max_examples=portion(25))
@given(st.integers(0, 60), st.integers(0, 99))
def test_good_and_bad_time(n, seed):
    random = np.random.default_rng(seed)
    features = pd.DataFrame({name: random.integers(0, 3, n) for name in SIGNIFICANT_BINS.values()})
    t_bin = random.choice(["5", "50", "200", "0.5"], n)
    features["runid"] = [f"0001730201_0_{t}_0.2_12" for t in t_bin]
    found = good_and_bad(features, SIGNIFICANT_BINS)
    assert found["bins"].to_numpy().sum() == features.drop(columns="runid").to_numpy().sum()
    for (width, sigma, kind), row in found["regions"].iterrows():
        own = features[t_bin == f"{width:g}"]
        good = own[f"n_{sigma}_sig_{kind}_bins_gti"]
        bad = own[f"n_{sigma}_sig_{kind}_bins_bti"]
        assert row["gti"] == len(own[(good > 0) & (bad == 0)])
        assert row["bti"] == len(own[(good == 0) & (bad > 0)])
        assert row["both"] == len(own[(good > 0) & (bad > 0)])
        assert found["bins"].loc[(width, sigma, kind)].tolist() == [good.sum(), bad.sum()]
    assert len(found["regions"]) == 4 * len(set(t_bin))


def make_runs() -> pd.DataFrame:
    rows = [
        # obsid, subset, t_bin, t_lo, t_hi, n_frames, n_gti, false_peaks, false_eclipses
        ("1", 0, 5.0, 0.0, 1000.0, 200, 100, 1.5, 0.0),
        ("1", 0, 50.0, 0.0, 950.0, 19, 19, 0.5, 0.25),
        ("1", 1, 5.0, 5000.0, 5100.0, 20, 20, np.nan, 0.5),
        ("2", 0, 5.0, 0.0, 40.0, 0, 0, 0.0, 0.0),
    ]
    names = ["obsid", "subset", "t_bin", "t_lo", "t_hi", "n_frames", "n_gti"]
    names += ["false_peaks", "false_eclipses"]
    return pd.DataFrame(rows, columns=names).assign(e_lo=0.2, e_hi=12.0)


def test_time_is_that_of_the_longest_run_of_each_subset():
    total, good = searched_time(make_runs())
    assert total == 1100
    # Half of the frames of one run and all of another are good: three quarters.
    assert good == pytest.approx(1000 * 0.75 + 100)
    assert searched_time(make_runs().iloc[:0]) == (0.0, 0.0)
    assert searched_time(make_runs().iloc[3:]) == (0.0, 0.0)


def test_time_of_the_parts_of_a_field_counts_once():
    whole = make_runs()
    parts = pd.concat([whole.assign(subset=whole["subset"] + 10 * ring) for ring in range(4)])
    assert searched_time(parts) == pytest.approx(searched_time(whole))


def test_false_alarms_are_summed_where_they_are_known():
    found = expected_false(make_runs())
    quick = found.loc[(5.0, 0.2, 12.0)]
    assert quick[["runs", "unknown"]].tolist() == [3, 1]
    assert quick[["false_peaks", "false_eclipses"]].tolist() == [1.5, 0.5]
    assert found.loc[(50.0, 0.2, 12.0), "false_eclipses"] == 0.25
    assert expected_false(make_runs().iloc[:0]).empty


def test_the_strongest_sources_are_first():
    frame = pd.DataFrame(
        {
            "region_num": [1, 2, 3, 4, 5],
            "sigma_peak": [10.0, 3.0, 10.0, np.nan, 10.0],
            "sigma_eclipse": [0.0, 10.0, 1.0, 4.0, 2.0],
            "max_B_peak_log": [60.0, 5.0, 90.0, np.nan, 60.0],
            "max_B_eclipse_log": [0.0, 45.0, 1.0, 8.0, np.nan],
        }
    )
    assert most_significant(frame, 9)["region_num"].tolist() == [3, 1, 5, 2, 4]
    parts = pd.concat([most_significant(frame.iloc[:3], 2), most_significant(frame.iloc[3:], 2)])
    assert most_significant(parts, 2).equals(most_significant(frame, 2))
    assert list(most_significant(frame, 2).columns) == list(frame.columns)


def test_chance_separations_are_those_of_random_objects():
    random = np.random.default_rng(3)
    density = 4.0
    field = random.uniform(-40, 40, (int(density * 6400), 2))
    places = random.uniform(-30, 30, (4000, 2))
    from scipy.spatial import cKDTree

    nearest = cKDTree(field).query(places)[0] * 60
    edges = np.linspace(0, 20, 11)
    expected = chance_separations(np.full(4000, density), edges)
    found = np.histogram(nearest, edges)[0]
    assert (np.abs(found - expected) < 5 * np.sqrt(expected) + 5).all()
    assert expected.sum() > 2500


def test_counterparts_are_described():
    distance = np.array([1.0, 20.0, np.nan, 3.0])
    found = separations(distance, [1.0, np.nan, 2.0, 0.0], [0.1, 0.5, np.nan, 0.7], 20.0)
    assert (found.sources, found.matched, found.likely_chance, found.known_density) == (4, 3, 2, 3)
    assert found.median_arcsec == 3.0
    area = np.pi * (20 / 60) ** 2
    assert found.expected_chance == pytest.approx(2 - np.exp(-area) - np.exp(-2 * area))
    assert found.histogram.total == 3
    assert found.radius_arcsec == 20
    nothing = separations([np.nan], [np.nan], [np.nan])
    assert (nothing.matched, nothing.radius_arcsec) == (0, 1.0)
    assert np.isnan(nothing.median_arcsec)
    assert np.isnan(nothing.expected_chance)
    assert separations([], [], []).sources == 0


def test_absolute_magnitudes_follow_the_distance_modulus():
    from astropy.coordinates import Distance

    parallax = np.array([1.0, 7.5, 0.02, -1.0, np.nan, 3.0])
    magnitude = np.array([15.0, 9.0, 18.0, 3.0, 4.0, np.nan])
    stars = absolute_magnitudes(magnitude, np.ones(6), parallax)
    modulus = Distance(parallax=parallax[:3] * u.mas).distmod.value
    np.testing.assert_allclose(stars["magnitude"], magnitude[:3] - modulus)
    good = absolute_magnitudes(magnitude, np.ones(6), parallax, np.full(6, 0.2))
    assert good["magnitude"].tolist() == stars["magnitude"].iloc[:2].tolist()


def test_fluxes_are_joined_with_the_best_regions():
    matches = pd.DataFrame(
        {"region_num": [3, 1, 2, 4], "f": pd.array([2e-14, 1e-14, None, 0.0], "Float64")}
    )
    unique = pd.DataFrame({"region_num": [1, 2, 3, 4], "best_detid": ["a", "b", "c", "d"]})
    regions = pd.DataFrame({"detid": ["a", "b", "c"], "peak_rate": [1.0, 2.0, 3.0]})
    regions = regions.assign(kind="peak", t_bin=5.0, event_n=4.0, excess=3.0)
    pairs = flux_pairs(matches, unique, regions, "f")
    assert pairs["region_num"].tolist() == [1, 3]
    assert pairs["flux"].tolist() == [1e-14, 2e-14]
    assert pairs["peak_rate"].tolist() == [1.0, 3.0]


def test_columns_of_catalogues_are_found_whatever_they_are_called():
    columns = ["region_num", "X_sep_arcsec", "X_parallax", "X_Plx", "X_GMAG", "other_otype"]
    assert prefix_of(columns) == "X_"
    assert catalogue_columns(columns, "X_") == {"parallax": "X_parallax", "magnitude": "X_GMAG"}
    assert prefix_of(["region_num"]) is None


# ---------------------------------------------------------------- consistency


def make_tables() -> dict[str, pd.DataFrame]:
    regions = pd.DataFrame({"detid": ["r1_0", "r1_1", "r2_0"], "runid": ["r1", "r1", "r2"]})
    return {
        "regions": regions.assign(obsid=["1", "1", "2"]),
        "runs": pd.DataFrame({"runid": ["r1", "r2", "r3"], "n_regions": [2, 1, 0]}),
        "unique": pd.DataFrame(
            {"region_num": [0, 1], "srcid": ["A", "B"], "n_detections": [2, 1]}
        ).assign(best_detid=["r1_0", "r1_1"]),
        "members": pd.DataFrame(
            {"detid": ["r1_0", "r1_1", "r2_0"], "region_num": [0, 1, 0]}
        ).assign(srcid=["A", "B", "A"]),
    }


def wrong(tables: dict[str, pd.DataFrame], entries: dict[str, int] | None = None) -> set[str]:
    """Names of the checks that do not pass."""
    pairs = list((entries or {"1": 2, "2": 1}).items())
    ledger = pd.DataFrame(pairs, columns=["obsid", "n_regions"])
    checks = check_tables({"entries": ledger, **tables})
    assert failed(checks) == len([check for check in checks if not check.passed])
    return {check.name for check in checks if not check.passed}


def test_consistent_tables_pass():
    assert wrong(make_tables()) == set()


@pytest.mark.parametrize(
    ("table", "column", "row", "value", "expected"),
    [
        ("regions", "detid", 1, "r1_0", {"Every region has an identifier of its own"}),
        ("regions", "runid", 2, "r9", {"Every region belongs to a run"}),
        ("runs", "runid", 2, "r1", {"Every run is there once"}),
        ("runs", "n_regions", 2, 4, {"Every run counts the regions that are in the table"}),
        ("unique", "region_num", 1, 0, {"Every source has a number of its own"}),
        ("unique", "srcid", 1, "A", {"Every source has a name of its own"}),
        ("unique", "n_detections", 1, 7, {"Every source counts its members"}),
        (
            "unique",
            "best_detid",
            1,
            "r2_0",
            {"The best region of every source is one of its members"},
        ),
        ("members", "region_num", 1, 5, {"Every member belongs to a source"}),
        ("members", "detid", 1, "r1_0", {"Every region is a member of one source only"}),
        ("members", "detid", 1, "r7_0", {"Every member of a source is a region"}),
        ("members", "srcid", 0, "C", {"Members and sources have the same names"}),
    ],
)
def test_each_fault_is_found(table, column, row, value, expected):
    tables = make_tables()
    tables[table].loc[row, column] = value
    assert expected <= wrong(tables)


def test_the_ledger_is_compared():
    name = "The ledger counts the regions that are in the table"
    assert wrong(make_tables(), {"1": 2}) == {name}
    assert wrong(make_tables(), {"1": 2, "2": 1, "3": 0}) == set()
    assert wrong(make_tables(), {"1": 2, "2": 1, "3": 1}) == {name}


def test_rows_of_features_and_matches_are_compared():
    def of(product: str, column: str, values: list) -> list:
        rows = pd.DataFrame({column: values})
        entries = pd.DataFrame({"obsid": ["1", "2"], "n_regions": [2, 1]})
        return check_tables({"entries": entries, **make_tables(), product: rows})[-3:]

    assert failed(of("flags", "detid", ["r2_0", "r1_1", "r1_0"])) == 0
    missing = of("flags", "detid", ["r2_0", "r2_0", "z"])
    assert [check.passed for check in missing] == [False, False, False]
    assert missing[0].detail == "3 regions; 2 regions are not"
    assert failed(of("xmatch-gaia", "region_num", [0, 1])) == 0
    twice = of("xmatch-gaia", "region_num", [1, 1])
    assert [(check.name, check.passed) for check in twice] == [
        ("Every source was matched with gaia", False),
        ("Every row of gaia is of a source", True),
        ("Every row of gaia is there once", False),
    ]
