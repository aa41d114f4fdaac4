"""Rows of catalogues around sources: own tables with motion, services, no network."""

import numpy as np
import pytest
from astropy import units
from astropy.table import Table
from helpers.fake_cds import FakeCds

from exod.astromon.cross_match import rough_match
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
