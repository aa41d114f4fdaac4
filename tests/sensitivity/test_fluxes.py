"""Fluxes: those of the pipeline from its rates, other spectra, and why there is none."""

import re

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from exod.errors import ConfigError
from exod.sensitivity.fluxes import (
    EDGES_KEV,
    Conversions,
    allowed_by_hardness,
    shape_error,
)
from exod.stages.derive.fluxes import conversions

CODES = {"EPN": "PN", "EMOS1": "M1", "EMOS2": "M2"}
ON_AXIS = np.ones(5)


def test_rates_of_the_pipeline_give_its_fluxes(data_dir):
    """Lists that the table was not made from, both filters, each camera and all together."""
    paths = sorted((data_dir / "obsmli").glob("*OBSMLI*"))[::3][:12]
    if not paths:
        pytest.skip("there are no source lists among the test data")
    off = {(camera, band): [] for camera in (*CODES, "EP") for band in range(1, 6)}
    table = conversions()
    for path in paths:
        with fits.open(path) as file, np.errstate(all="ignore"):
            rows = file[1].data
            for band in range(1, 6):
                flux, weight = np.zeros((2, len(rows)))
                for camera, code in CODES.items():
                    name = str(file[0].header[f"FILT_{code}"])
                    energies = EDGES_KEV[band - 1 : band + 1]
                    if table.why_not(camera, name, energies):
                        continue
                    factor = table.counts(camera, name, energies, ON_AXIS)[table.reference]
                    rate = np.asarray(rows[f"{code}_{band}"], float)
                    given = np.asarray(rows[f"{code}_{band}_FLUX"], float)
                    off[camera, band].append(np.abs(rate / factor / given - 1)[given > 0])
                    own = (np.asarray(rows[f"{code}_{band}_ERR"], float) / factor) ** -2
                    good = np.isfinite(rate) & np.isfinite(own)
                    flux += np.where(good, own * rate / factor, 0)
                    weight += np.where(good, own, 0)
                given = np.asarray(rows[f"EP_{band}_FLUX"], float)
                off["EP", band].append(np.abs(flux / weight / given - 1)[given > 0])
    for (camera, band), parts in off.items():
        found = np.concatenate(parts)
        found = found[np.isfinite(found)]
        assert len(found) > 100
        middle, most = np.percentile(found, [50, 95])
        assert middle < 0.005, (camera, band, middle)
        assert most < (0.05 if camera == "EP" else 0.02), (camera, band, most)


def test_a_broad_band_has_the_counts_of_its_parts():
    """A source of flux 1 in 0.2-12 keV gives as many counts as its parts give."""
    table = conversions()
    light = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    whole = table.counts("EMOS2", "Thick", (0.2, 12.0), light)
    parts = sum(
        table.shares[:, band] * table.counts("EMOS2", "Thick", EDGES_KEV[band : band + 2], light)
        for band in range(5)
    )
    assert whole == pytest.approx(parts / table.shares.sum(axis=1))
    assert table.shares.sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_thick_filters_and_columns_take_soft_light():
    table = conversions()
    soft, hard = (0.2, 0.5), (4.5, 12.0)
    thin, medium, thick = (
        table.counts("EPN", name, soft, ON_AXIS)[table.reference]
        for name in ("Thin1", "Medium", "Thick")
    )
    assert thin > medium > thick
    same = [table.counts("EPN", name, hard, ON_AXIS) for name in ("Thin2", "Thick")]
    assert same[0] == pytest.approx(same[1], rel=0.02)


@pytest.mark.parametrize(
    ("camera", "name", "band", "why"),
    [
        ("EPN", "", (0.2, 12.0), "does not say which filter"),
        ("EMOS1", "Closed", (0.2, 12.0), "filter of EMOS1 was Closed"),
        ("EMOS1", "CalClosed", (0.2, 12.0), "filter of EMOS1 was CalClosed"),
        ("EPN", "Open", (0.2, 12.0), "No factor for the filter Open of EPN"),
        ("ACIS", "", (0.2, 12.0), "No factor for the camera ACIS"),
        ("ACIS", "", (0.5, 7.0), "No factor for the camera ACIS"),
        ("", "", (0.2, 12.0), r"camera \(none\)"),
        ("EPN", "Thin1", (0.3, 10.0), r"No factor for 0\.3-10 keV"),
        ("EPN", "Thin1", (0.5, 4.5), "^$"),
        ("EPN", "THIN 2", (0.5, 4.5), "^$"),
    ],
)
def test_why_there_is_no_flux(camera, name, band, why):
    assert re.search(why, conversions().why_not(camera, name, band))


def test_a_wrong_table_is_refused():
    bands = [f"{what}_{band}" for what in ("ecf", "share") for band in range(1, 6)]
    row = dict.fromkeys(bands, 0.2) | {"gamma": 1.7, "log_nh": np.log10(3e20)}
    rows = pd.DataFrame([row | {"camera": c, "filter": "Thin"} for c in CODES])
    assert Conversions.of(rows).reference == 0
    with pytest.raises(ConfigError, match="not positive"):
        Conversions.of(rows.assign(ecf_3=0.0))
    with pytest.raises(ConfigError, match="lacks photon index"):
        Conversions.of(rows.assign(gamma=2.0))
    with pytest.raises(ConfigError, match="other spectra"):
        Conversions.of(rows.assign(gamma=[1.7, 1.7, 2.0]))


def test_the_colour_narrows_the_error_of_the_spectrum():
    """Of a spectrum that the table has, with its hardness known."""
    table = conversions()
    whole, soft, hard = (
        table.counts("EPN", "Thin1", band, ON_AXIS)[None]
        for band in ((0.2, 12.0), (0.2, 2.0), (2.0, 12.0))
    )
    # Counts in the two bands for a flux of 1 in both together.
    share = table.shares[:, :3].sum(axis=1)
    soft, hard = soft * share, hard * (1 - share)
    ratio = (hard - soft) / (hard + soft)
    true = int(np.flatnonzero(np.isclose(table.shapes, [2.0, 21.0]).all(axis=1))[0])
    near = ratio[:, true]
    allowed = allowed_by_hardness(soft, hard, near - 0.05, near + 0.05)
    unknown = allowed_by_hardness(soft, hard, near * np.nan, near)
    assert unknown.all()
    assert allowed[0, true]
    error, free = (shape_error(whole, table.reference, which)[0] for which in (allowed, unknown))
    assert abs(whole[0, table.reference] / whole[0, true] - 1) <= error < free / 2
    beyond = allowed_by_hardness(soft, hard, near * 0 + 0.999, near * 0 + 1)
    assert beyond.sum() == 1
    assert beyond[0, np.argmax(ratio)]
