"""Matching on the sphere: the same as brute force and astropy, with a chance that is calibrated."""

from __future__ import annotations

import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from exod.counterparts.chance import cap_arcmin2, chance, local_density, nearest_of, outer_distances
from exod.counterparts.matching import (
    Positions,
    julian_year,
    match_rows,
    measured,
    merge,
    moved,
    pairs,
)

SKY_ARCMIN2 = 4 * np.pi * (180 * 60 / np.pi) ** 2


def around(ra: float, dec: float, size_arcsec: float, n: int, seed: int) -> Positions:
    """Random positions near a place, a pole too."""
    random = np.random.default_rng(seed)
    centre = SkyCoord(ra, dec, unit="deg")
    angle, far = random.uniform(0, 360, n) * u.deg, size_arcsec * np.sqrt(random.uniform(0, 1, n))
    there = centre.directional_offset_by(angle, far * u.arcsec)
    return Positions(there.ra.deg, there.dec.deg)


def sky(n: int, seed: int) -> Positions:
    random = np.random.default_rng(seed)
    return Positions(random.uniform(0, 360, n), np.degrees(np.arcsin(random.uniform(-1, 1, n))))


def coordinates(positions: Positions) -> SkyCoord:
    return SkyCoord(positions.ra_deg, positions.dec_deg, unit="deg")


places = st.sampled_from([(0.0, 0.0), (359.9999, 0.001), (123.4, 45.6), (10.0, 90.0), (0.0, -90.0)])


@given(places, st.integers(1, 40), st.integers(1, 60), st.integers(0, 1000))
def test_equals_astropy_row_for_row(place, n, m, seed):
    here, there = around(*place, 60, n, seed), around(*place, 60, m, seed + 1)
    found = match_rows(here, there, 200.0).set_index("source")
    index, separation, _ = coordinates(here).match_to_catalog_sky(coordinates(there))
    assert list(found.index) == list(range(n))
    np.testing.assert_allclose(found["sep_arcsec"], separation.arcsec, atol=1e-7)
    near = measured(here, there, np.arange(n), np.asarray(index)).sep_arcsec
    np.testing.assert_allclose(found["sep_arcsec"], near, atol=1e-9)
    assert (found["n_within"] == m).all()
    for radius in (5.0, 30.0):
        some = match_rows(here, there, radius)
        every = coordinates(here)[:, None].separation(coordinates(there)[None, :]).arcsec
        assert list(some["source"]) == list(np.flatnonzero((every <= radius).any(axis=1)))
        assert list(some["n_within"]) == list((every <= radius).sum(axis=1)[some["source"]])
        assert list(some["row"]) == list(every.argmin(axis=1)[some["source"]])


@given(places, st.integers(0, 1000), st.sampled_from([0.01, 5.0, 40.0]))
def test_many_rows_for_few_sources_lose_none(place, seed, radius):
    here, there = around(*place, 60, 4, seed), around(*place, 300, 300, seed + 1)
    near = here.ra_deg + 1e-7, here.dec_deg
    there = Positions(
        *(np.concatenate(pair) for pair in zip((there.ra_deg, there.dec_deg), near, strict=True))
    )
    grid = np.indices((4, 304)).reshape(2, -1)
    every = measured(here, there, *grid).within(radius)
    found = pairs(here, there, radius)
    np.testing.assert_array_equal(found.source, every.source)
    np.testing.assert_array_equal(found.row, every.row)
    assert len(found.row) >= 4


@given(places, st.integers(0, 1000), st.integers(1, 6))
def test_blocks_of_a_catalogue_make_no_difference(place, seed, n_blocks):
    here, there = around(*place, 120, 30, seed), around(*place, 120, 50, seed + 1)
    whole = match_rows(here, there, 20.0)
    owner = np.random.default_rng(seed).integers(0, n_blocks, 50)
    blocks, rings = [], []
    for number in range(n_blocks):
        rows = np.flatnonzero(owner == number)
        block = match_rows(here, there.take(rows), 20.0)
        blocks.append(block.assign(row=rows[block["row"]]))
        rings.append(outer_distances(here, there.take(rows), 20.0, 100.0, 8))
    pd.testing.assert_frame_equal(merge(blocks), whole)
    np.testing.assert_array_equal(nearest_of(*rings), outer_distances(here, there, 20.0, 100.0, 8))


def test_offsets_are_row_minus_source():
    here = Positions(np.array([0.0, 359.9999]), np.array([60.0, -30.0]))
    there = Positions(np.array([0.001, 0.0001]), np.array([60.001, -30.0]))
    found = match_rows(here, there, 20.0)
    np.testing.assert_allclose(found["dra_arcsec"], [1.8, 0.72 * np.cos(np.radians(30))])
    np.testing.assert_allclose(found["ddec_arcsec"], [3.6, 0.0], atol=1e-6)


def test_nothing_and_copies():
    none = Positions(np.empty(0), np.empty(0))
    one = Positions(np.zeros(1), np.zeros(1))
    for here, there in ((none, one), (one, none), (none, none)):
        found = match_rows(here, there, 20.0)
        assert found.empty
        assert list(found.columns)[:2] == ["source", "row"]
    copies = Positions(np.full(5, 0.001), np.zeros(5))
    found = match_rows(one, copies, 20.0)
    assert found[["row", "n_within"]].to_numpy().tolist() == [[0, 5]]
    assert match_rows(one, one, 20.0)["sep_arcsec"].tolist() == [0.0]
    assert outer_distances(one, none, 20.0, 100.0, 3).tolist() == [[np.inf] * 3]


def test_the_circle_includes_its_edge():
    here = Positions(np.zeros(1), np.zeros(1))
    there = Positions(np.zeros(1), np.full(1, 20.0 / 3600))
    distance = measured(here, there, np.zeros(1, int), np.zeros(1, int)).sep_arcsec[0]
    assert len(match_rows(here, there, distance)) == 1
    assert len(match_rows(here, there, distance * (1 - 1e-12))) == 0


# ---------------------------------------------------------------- proper motion


@given(places, st.integers(0, 1000))
def test_motion_equals_astropy(place, seed):
    random = np.random.default_rng(seed)
    stars = around(*place, 3600, 20, seed)
    motion = random.normal(0, 3, (2, 20))
    rows = Positions(stars.ra_deg, stars.dec_deg, np.full(20, 2016.0), *motion)
    ra, dec = moved(rows, 2001.5)
    expected = SkyCoord(
        stars.ra_deg * u.deg,
        stars.dec_deg * u.deg,
        distance=1e6 * u.kpc,
        pm_ra_cosdec=motion[0] * u.arcsec / u.yr,
        pm_dec=motion[1] * u.arcsec / u.yr,
        obstime=Time(2016.0, format="jyear"),
    )
    with warnings.catch_warnings():
        # Of stars so far away that motions are faster than light: only directions matter.
        warnings.simplefilter("ignore")
        there = expected.apply_space_motion(Time(2001.5, format="jyear"))
    apart = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(there.ra, there.dec))
    assert apart.arcsec.max() < 0.02


def random_stars(place, n, seed, scale):
    random = np.random.default_rng(seed)
    where = around(*place, 200, n, seed)
    motion = random.normal(0, 1, (2, n)) * scale * 10 ** random.uniform(-3, 1, n)
    motion[:, ::7] = np.nan
    return Positions(where.ra_deg, where.dec_deg, random.choice([1991.25, 2016.0], n), *motion)


@given(places, st.integers(0, 1000), st.sampled_from([0.01, 1.0]))
def test_no_moving_star_is_lost(place, seed, scale):
    rows = random_stars(place, 80, seed, scale)
    here = around(*place, 200, 40, seed + 1)
    random = np.random.default_rng(seed)
    year = random.uniform(2000, 2025, 40)
    year[::5] = np.nan
    here = Positions(here.ra_deg, here.dec_deg, year)
    found = pairs(here, rows, 20.0)
    grid = np.indices((40, 80)).reshape(2, -1)
    every = measured(here, rows, *grid).within(20.0)
    np.testing.assert_array_equal(found.source, every.source)
    np.testing.assert_array_equal(found.row, every.row)
    np.testing.assert_allclose(found.sep_arcsec, every.sep_arcsec)


def test_without_an_epoch_nothing_moves():
    rows = Positions(*(np.array([value]) for value in (0.0, 0.0, 2016.0, 5.0, 5.0)))
    here = Positions(np.zeros(1), np.zeros(1), np.array([np.nan]))
    assert match_rows(here, rows, 20.0)["sep_arcsec"].tolist() == [0.0]
    assert match_rows(Positions(np.zeros(1), np.zeros(1)), rows, 20.0)["row"].tolist() == [0]
    later = Positions(np.zeros(1), np.zeros(1), np.array([2000.0]))
    assert match_rows(later, rows, 20.0).empty
    assert julian_year(Time("2000-01-01T12:00:00").mjd) == 2000.0


# ---------------------------------------------------------------- density and chance


@given(places, st.integers(0, 500), st.integers(1, 40), st.sampled_from([0.0, 15.0]))
def test_outer_distances_equal_sorted_separations(place, seed, m, radius):
    here, there = around(*place, 60, 5, seed), around(*place, 60, m, seed + 1)
    every = coordinates(here)[:, None].separation(coordinates(there)[None, :]).arcsec
    expected = np.full((5, 6), np.inf)
    for number, line in enumerate(every):
        beyond = np.sort(line[(line > radius) & (line <= 50)])[:6]
        expected[number, : len(beyond)] = beyond
    found = outer_distances(here, there, radius, 50.0, 6)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_many_rows_within_the_radius_do_not_hide_those_beyond():
    here = Positions(np.zeros(1), np.zeros(1))
    inside, outside = np.full(500, 1.0), np.linspace(30, 60, 40)
    there = Positions(np.zeros(540), np.concatenate([inside, outside]) / 3600)
    found = outer_distances(here, there, 20.0, 100.0, 32)
    np.testing.assert_allclose(found[0], outside[:32])


def probabilities(here: Positions, there: Positions, radius: float, reach: float) -> pd.DataFrame:
    found = match_rows(here, there, radius)
    chosen = here.take(found["source"].to_numpy())
    outer = outer_distances(chosen, there, radius, reach)
    density = local_density(outer, radius, reach)
    return found.assign(density=density, p=chance(found["sep_arcsec"], density))


def test_areas():
    assert cap_arcmin2(60.0) == pytest.approx(np.pi, rel=1e-6)
    assert cap_arcmin2(180 * 3600) == pytest.approx(SKY_ARCMIN2)
    assert cap_arcmin2(1e9) == pytest.approx(SKY_ARCMIN2)


def test_chance_is_uniform_for_random_positions():
    """On a random sky, p < alpha for a share alpha of all positions, for any alpha within reach."""
    catalogue, here = sky(300_000, 1), sky(40_000, 2)
    density = 300_000 / SKY_ARCMIN2
    radius = 60 * np.sqrt(3 / np.pi / density)  # Three rows are expected within it.
    found = probabilities(here, catalogue, radius, 10 * radius)
    for alpha in (0.01, 0.05, 0.2, 0.5, 0.9):
        # The error of the density makes it differ: K = 32 neighbours give 3 % more at small alpha.
        limit = -np.log1p(-alpha)
        expected = 1 - (1 + limit / 31) ** -32
        assert expected == pytest.approx(alpha, rel=0.035)
        count = (found["p"] < alpha).sum()
        assert stats.binomtest(int(count), 40_000, expected).pvalue > 1e-3
    assert found["density"].mean() == pytest.approx(density, rel=0.01)
    assert found["density"].std() / density == pytest.approx(1 / np.sqrt(30), rel=0.1)


def test_chance_is_uniform_where_the_density_changes():
    """A sky a hundred times denser at its equator: as many small p there as at the poles."""
    random = np.random.default_rng(3)
    dec = np.degrees(random.laplace(0, 0.2, 300_000))
    dec = dec[np.abs(dec) < 85]
    catalogue = Positions(random.uniform(0, 360, dec.size), dec)
    here = sky(60_000, 4)
    found = probabilities(here, catalogue, 240.0, 36_000.0)
    latitude = np.abs(here.dec_deg)
    for low, high in ((0, 10), (10, 20), (20, 35)):
        chosen = np.flatnonzero((latitude >= low) & (latitude < high))
        inside = found[found["source"].isin(chosen)]
        share = (inside["p"] < 0.05).sum() / chosen.size
        reached = np.median(inside["density"]) * cap_arcmin2(240.0)
        assert reached > -np.log(0.95)
        assert share == pytest.approx(0.05, abs=4 * np.sqrt(0.05 / chosen.size) + 0.004)


def test_chance_in_clusters_is_that_of_the_cluster():
    """Random positions inside dense fields: p is uniform, though the sky around is empty."""
    fields = sky(40, 6)
    rows = [
        around(ra, dec, 900, 400, n)
        for n, (ra, dec) in enumerate(zip(fields.ra_deg, fields.dec_deg, strict=True))
    ]
    here = [
        around(ra, dec, 500, 200, 100 + n)
        for n, (ra, dec) in enumerate(zip(fields.ra_deg, fields.dec_deg, strict=True))
    ]
    join = [
        Positions(*(np.concatenate([getattr(p, a) for p in some]) for a in ("ra_deg", "dec_deg")))
        for some in (rows, here)
    ]
    found = probabilities(join[1], join[0], 60.0, 900.0)
    share = (found["p"] < 0.2).sum() / len(join[1])
    assert share == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / len(join[1])) + 0.01)


def test_a_counterpart_does_not_add_to_the_density():
    catalogue, here = sky(100_000, 7), sky(2_000, 8)
    both = Positions(
        np.concatenate([catalogue.ra_deg, here.ra_deg]),
        np.concatenate([catalogue.dec_deg, here.dec_deg + 1e-5]),
    )
    found = probabilities(here, both, 20.0, 36_000.0)
    assert len(found) == 2_000
    assert found["density"].mean() == pytest.approx(102_000 / SKY_ARCMIN2, rel=0.03)
    assert (found["p"] < 1e-5).all()


def test_few_neighbours_make_the_chance_larger_not_smaller():
    empty = np.full((1, 32), np.inf)
    assert local_density(empty, 20.0, 180.0)[0] == pytest.approx(
        1 / (cap_arcmin2(180.0) - cap_arcmin2(20.0))
    )
    few = empty.copy()
    few[0, :3] = [30, 60, 90]
    assert local_density(few, 20.0, 180.0)[0] == pytest.approx(
        4 / (cap_arcmin2(180.0) - cap_arcmin2(20.0))
    )
    copies = np.full((1, 32), 20.0)
    assert chance(10.0, local_density(copies, 20.0, 180.0)) == 1.0


# ---------------------------------------------------------------- real positions


@pytest.fixture(scope="module")
def observed(real_sources: dict[Path, pd.DataFrame]) -> Positions:
    found = [rows[["ra_deg", "dec_deg"]].to_numpy(float) for rows in real_sources.values()]
    return Positions(*np.concatenate(found).T)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "ra", "dec"),
    [
        pytest.param("4xmm_slim_slice.csv", "sc_ra", "sc_dec", marks=pytest.mark.drill),
        ("csc_gaia_edr3.csv", "RA_ICRS_gaia", "DE_ICRS_gaia"),
    ],
)
def test_real_positions_equal_astropy(data_dir, observed, name, ra, dec):
    rows = pd.read_csv(data_dir / "catalogues" / name, usecols=[ra, dec]).dropna()
    there = Positions(rows[ra].to_numpy(float), rows[dec].to_numpy(float))
    index, separation, _ = coordinates(observed).match_to_catalog_sky(coordinates(there))
    for radius in (20.0, 36_000.0):
        found = match_rows(observed, there, radius)
        near = np.flatnonzero(separation.arcsec <= radius)
        assert list(found["source"]) == list(near)
        np.testing.assert_allclose(found["sep_arcsec"], separation.arcsec[near], atol=1e-6)
        other = found["row"].to_numpy() != index[near]
        # Rows at one place are equally near: astropy may take another of them.
        same = measured(observed, there, near, np.asarray(index)[near]).sep_arcsec
        assert (same[other] == found["sep_arcsec"][other]).all()
    assert len(found) > 1000
