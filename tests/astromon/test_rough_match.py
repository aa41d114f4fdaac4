"""Rows of catalogues around sources: own tables with motion, services, no network."""

import warnings

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import Table
from helpers.fake_cds import FakeCds

from exod.astromon.cross_match import rough_match
from exod.astromon.rough import CATALOGUES
from exod.counterparts.registry import known
from exod.counterparts.service import Services
from exod.errors import DownloadError, InputError


def sources(**more):
    return Table({"id": [4, 7], "ra": [0.0, 120.0], "dec": [0.0, -89.9], **more})


@pytest.fixture
def stars(tmp_path):
    """A fast star 10" south in 2016, two still ones near the pole and one that is too far."""
    path = tmp_path / "stars.csv"
    Table(
        {
            "Source": [4111834567891234567, 2, 3, 5],
            "RA_ICRS": [359.9999, 120.0, 120.3, 40.0],
            "DE_ICRS": [-10 / 3600, -89.9 + 1 / 3600, -89.9, 0.0],
            "pmRA": [0.0, 0.0, 0.0, 0.0],
            "pmDE": [1000.0, 0.0, 0.0, 0.0],
            "Gmag": [8.0, 12.5, np.nan, 1.0],
            "Plx": [1.0] * 4,
            "e_Plx": [1.0] * 4,
        }
    ).write(path)
    return path


def test_motion_to_the_epoch_and_columns(stars, tmp_path):
    found = rough_match(
        sources(obsid=[1, 1]), "2026:001:12:00:00", catalogs=[f"gaia_dr3={stars}"], cache=tmp_path
    )
    columns = ["catalog", "name", "ra", "dec", "mag", "x_id", "separation"]
    assert found.colnames == columns
    assert found["catalog"].dtype == "U24"
    assert found["name"].tolist() == ["4111834567891234567", "2", "3"]
    assert set(found["catalog"]) == {"gaia_dr3"}
    assert found["x_id"].tolist() == [4, 7, 7]
    np.testing.assert_allclose(found["separation"], [0.36, 1.0, 1.88], atol=0.02)
    np.testing.assert_allclose(found["dec"][0] * 3600, 0.0, atol=0.01)
    np.testing.assert_array_equal(found["mag"], [8.0, 12.5, np.nan])
    early = rough_match(sources(), "2016:001", catalogs=[f"gaia_dr3={stars}"], cache=tmp_path)
    assert early["x_id"].tolist() == [7, 7]
    near = rough_match(
        sources(), "2026:001", 0.5 * units.arcsec, [f"gaia_dr3={stars}"], cache=tmp_path
    )
    assert near["x_id"].tolist() == [4]


def test_no_sources_no_rows_no_position(stars, tmp_path):
    assert rough_match(sources()[:0], "2016:001") == []
    none = rough_match(sources(), "2016:001", 1e-6, [f"gaia_dr3={stars}"], cache=tmp_path)
    assert len(none) == 0
    assert none.colnames == rough_match(sources(), "2016:001", catalogs=()).colnames
    with pytest.raises(InputError, match="one observation"):
        rough_match(sources(obsid=[1, 2]), "2016:001")
    with pytest.raises(InputError, match="is no time"):
        rough_match(sources(), "soon")


@pytest.mark.parametrize("catalog", ["Tycho2", "ICRS", "2MASS", "SDSS", "Gaia3", "HIP2", "UCAC4"])
def test_without_network_it_says_what_needs_it(catalog, tmp_path):
    closed = FakeCds()
    closed.close()
    services = Services(**closed.addresses, attempts=1, timeout=5.0)
    with pytest.raises(DownloadError, match=f"{catalog} needs the network.*NAME=PATH"):
        rough_match(sources(), "2016:001", catalogs=[catalog], services=services, cache=tmp_path)


@pytest.fixture
def cds():
    fake = FakeCds()
    yield fake
    fake.close()


# Per catalogue: its table at the service, columns of position, name and magnitude, and a name.
AT_SERVICES = {
    "Tycho2": ("vizier:I/259/tyc2", "RAmdeg", "DEmdeg", "TYC3", "VTmag", "0-0-7"),
    "USNO-B1.0": ("vizier:I/284/out", "RAJ2000", "DEJ2000", "USNO-B1.0", "R1mag", "1234-0000007"),
    "2MASS": ("vizier:II/246/out", "RAJ2000", "DEJ2000", "2MASS", "Kmag", "00000000+0000007"),
    "SDSS": ("vizier:V/154/sdss16", "RA_ICRS", "DE_ICRS", "objID", "rmag", "1237648720693755918"),
    "ICRS": ("J/A+A/644/A159/table10", "_RAJ2000", "_DEJ2000", "ICRF", "", "ICRF J000000.0+000007"),
    "HIP": ("I/239/hip_main", "_RAJ2000", "_DEJ2000", "HIP", "Vmag", "87937"),
    "HIP2": ("I/311/hip2", "_RAJ2000", "_DEJ2000", "HIP", "Hpmag", "87937"),
    "UCAC4": ("I/322A/out", "_RAJ2000", "_DEJ2000", "UCAC4", "f.mag", "451-000001"),
    "Gaia2": ("I/345/gaia2", "_RAJ2000", "_DEJ2000", "Source", "Gmag", "4611686018427387905"),
    "Gaia3": ("vizier:I/355/gaiadr3", "RAdeg", "DEdeg", "Source", "Gmag", "4611686018427387905"),
}


def rows_at_service(catalog, ra, dec, motion):
    """Rows as the service has them: all columns that the registry wants, mostly zeros."""
    _, ra_name, dec_name, called, mag, name = AT_SERVICES[catalog]
    about = CATALOGUES[catalog]
    columns = known(about.known).columns if about.known else ()
    kinds = {column.names[0]: column.type for column in columns}
    table = Table(
        {
            column: np.full(
                len(ra), "0" if kind == "string" else 0, "U20" if kind == "string" else kind
            )
            for column, kind in kinds.items()
        }
    )
    table[ra_name], table[dec_name] = ra * units.deg, dec * units.deg
    table["pmRA"], table["pmDE"] = (part * units.mas / units.yr for part in motion)
    table[called] = [int(name) if name.isdigit() else name] * len(ra)
    if catalog == "Tycho2":
        table[called] = 7
    if mag:
        table[mag] = np.linspace(8.0, 9.0, len(ra)) * units.mag
    return table


@pytest.mark.parametrize("catalog", AT_SERVICES)
def test_every_catalogue_of_the_services_by_all_pairs(catalog, cds, tmp_path):
    random = np.random.default_rng(3)
    centres = SkyCoord([0.0, 30.0, 120.0], [0.0, 89.999, -45.0], unit="deg")
    at = random.integers(0, 3, 60)
    now = centres[at].directional_offset_by(
        random.uniform(0, 360, 60) * units.deg, random.uniform(0, 5, 60) * units.arcsec
    )
    moves = catalog not in ("ICRS", "2MASS", "SDSS")
    speed = random.uniform(-900, 900, (2, 60)) if moves else np.zeros((2, 60))
    epoch = 2016.0 if catalog == "Gaia3" else 2000.0
    # Positions of the service are those of its epoch: the way back in a straight line.
    years = epoch - 2020.0
    then = SkyCoord(
        now.ra,
        now.dec,
        pm_ra_cosdec=speed[0] * units.mas / units.yr,
        pm_dec=speed[1] * units.mas / units.yr,
        distance=100 * units.pc,
        obstime="J2020.0",
    ).apply_space_motion(dt=years * units.yr)
    place, ra_name, dec_name, *_, name = AT_SERVICES[catalog]
    # Near the pole its components are others there.
    motion = [part.to_value("mas/yr") for part in (then.pm_ra_cosdec, then.pm_dec)]
    table = rows_at_service(catalog, then.ra.deg, then.dec.deg, motion)
    cds.tables[place] = (table, ra_name, dec_name)
    services = Services(**cds.addresses, attempts=1, timeout=60.0, batch=2)
    given = Table({"id": [4, 7, 9], "ra": centres.ra.deg, "dec": centres.dec.deg})
    found = rough_match(
        given, "2020:001:12:00:00", 3.0, [catalog], services=services, cache=tmp_path
    )
    apart = now[:, None].separation(centres[None, :]).arcsec
    row, source = np.nonzero(apart < 3)
    assert len(found) == len(row) > 20
    np.testing.assert_array_equal(np.sort(found["x_id"]), np.sort(np.array([4, 7, 9])[source]))
    np.testing.assert_allclose(np.sort(found["separation"]), np.sort(apart[row, source]), atol=0.01)
    assert set(found["catalog"]) == {catalog}
    assert set(found["name"]) == {name}
    assert np.isnan(found["mag"]).all() if catalog == "ICRS" else (found["mag"] >= 8).all()
    # What was answered is not asked again.
    asked = len(cds.asked)
    rough_match(given, "2020:001:12:00:00", 3.0, [catalog], services=services, cache=tmp_path)
    assert len(cds.asked) == asked > 0


def test_answers_that_lack_a_column(cds, tmp_path):
    place, ra_name, dec_name, *_ = AT_SERVICES["HIP2"]
    table = rows_at_service("HIP2", np.array([0.0]), np.array([0.0]), np.zeros((2, 1)))
    del table["HIP"]
    cds.tables[place] = (table, ra_name, dec_name)
    services = Services(**cds.addresses, attempts=1, timeout=60.0)
    with pytest.raises((DownloadError, InputError), match="HIP"):
        rough_match(sources(), "2016:001", catalogs=["HIP2"], services=services, cache=tmp_path)


@pytest.mark.drill
def test_a_hats_catalogue(tmp_path):
    lsdb = pytest.importorskip("lsdb", reason="the extra catalogue is not installed")
    frame = Table(
        {
            "ra": [359.9999, 120.0, 120.3, 40.0],
            "dec": [-10 / 3600, -89.9 + 1 / 3600, -89.9, 0.0],
            "id": ["fast", "near", "also", "far"],
            "g_mag": [8.0, 12.5, np.nan, 1.0],
            "pmra": [0.0] * 4,
            "pmdec": [1000.0, 0.0, 0.0, 0.0],
        }
    ).to_pandas()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = lsdb.from_dataframe(frame, ra_column="ra", dec_column="dec", partition_rows=2)
        made.to_hats(tmp_path / "hats", catalog_name="mine")
    where = f"mine={tmp_path / 'hats'}"
    found = rough_match(sources(), "2026:001", catalogs=[where], cache=tmp_path)
    assert found["name"].tolist() == ["near", "also"]
    assert found["x_id"].tolist() == [7, 7]
    np.testing.assert_allclose(found["separation"], [1.0, 1.88], atol=0.01)
    np.testing.assert_array_equal(found["mag"], [12.5, np.nan])
    assert set(found["catalog"]) == {"mine"}
    wide = rough_match(sources(), "2026:001", 11.0, [where], cache=tmp_path)
    assert wide["name"].tolist() == ["fast", "near", "also"]
    (tmp_path / "hats" / "hats.properties").write_text("obs_collection=x\n")
    with pytest.raises(InputError, match="hats"):
        rough_match(sources(), "2026:001", catalogs=[where], cache=tmp_path)
