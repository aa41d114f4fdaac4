"""Alignments of CalDB, and which of them matches were made with."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time

from exod.astromon.utils import calalign_from_files, get_calalign_offsets
from exod.errors import InputError


def rotation(yaw_arcsec: float, up_arcsec: float) -> np.ndarray:
    """Rz(yaw) Ry(-up), as small rotations of a spacecraft are written."""
    yaw, up = np.radians([yaw_arcsec / 3600, up_arcsec / 3600])
    about_z = [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
    about_y = [[np.cos(up), 0, -np.sin(up)], [0, 1, 0], [np.sin(up), 0, np.cos(up)]]
    return np.array(about_z) @ np.array(about_y)


def write(folder, date, version, start, stop, offsets):
    rows = fits.BinTableHDU.from_columns(
        [
            fits.Column("INSTR_ID", "8A", array=list(offsets)),
            fits.Column(
                "ACA_MISALIGN", "9D", dim="(3,3)", array=[rotation(*o) for o in offsets.values()]
            ),
            fits.Column("FTS_MISALIGN", "9D", dim="(3,3)", array=[np.eye(3)] * len(offsets)),
        ]
    )
    rows.header["CVSD0001"] = start
    if stop:
        rows.header["CVED0001"] = stop
    rows.writeto(folder / f"pcadD{date}align{version}.fits")


@pytest.fixture
def folder(tmp_path):
    early, late = ("2000-01-01T00:00:00", "2012-01-01T00:00:00"), ("2012-01-01T00:00:00", "")
    write(tmp_path, "2000-01-01", "N0008", *early, {"ACIS-S": (1.0, 2.0), "ACIS-I": (3.0, 4.0)})
    write(tmp_path, "2012-01-01", "N0008", *late, {"ACIS-S": (5.0, 6.0)})
    write(tmp_path, "2012-01-01", "N0010", *late, {"ACIS-S": (-7.0, 8.0)})
    return tmp_path


def matches(*rows):
    table = Table(rows=rows, names=("obsid", "x_id", "detector", "date", "caldb_version"))
    table["time"] = Time(list(table["date"]))
    return table


def test_what_the_files_say(folder):
    table = calalign_from_files(folder)
    assert list(table["detector"]) == ["ACIS-S", "ACIS-I", "ACIS-S", "ACIS-S"]
    assert list(table["caldb_version"]) == ["4.4.4", "4.4.4", "4.4.4", "4.10.0"]
    np.testing.assert_allclose(table["dy"], [1, 3, 5, -7], atol=1e-9)
    np.testing.assert_allclose(table["dz"], [2, 4, 6, 8], atol=1e-9)
    assert table["aca_misalign"].shape == (4, 3, 3)
    assert table["stop"][0] == Time("2012-01-01")
    assert table["stop"][3].isot.startswith("2050-01-01")


def test_the_newest_that_is_valid_and_not_newer_than_the_processing(folder):
    found = get_calalign_offsets(
        matches(
            (2, 1, "ACIS-S", "2013-01-01", "4.9.4"),
            (1, 5, "ACIS-S", "2005-01-01", "4.11.0"),
            (3, 1, "ACIS-S", "2023-01-01", "4.10.0"),
            (4, 1, "ACIS-I", "2005-01-01", "4.4.4"),
        ),
        calalign_dir=folder,
    )
    assert list(found["obsid"]) == [2, 1, 3, 4]
    np.testing.assert_allclose(found["calalign_dy"], [5, 1, -7, 3], atol=1e-9)
    np.testing.assert_allclose(found["ref_calalign_dz"], [8, 2, 8, 4], atol=1e-9)
    assert list(found["calalign_version"]) == ["4.4.4", "4.4.4", "4.10.0", "4.4.4"]
    assert list(found["ref_calalign_version"]) == ["4.10.0", "4.4.4", "4.10.0", "4.4.4"]
    assert list(found["after_caldb"]) == [False, False, True, False]
    older = get_calalign_offsets(
        matches((2, 1, "ACIS-S", "2013-01-01", "4.10.0")), "4.6.2", calalign_dir=folder
    )
    assert older["calalign_version"][0] == "4.10.0"
    assert older["ref_calalign_version"][0] == "4.4.4"


def test_a_version_newer_than_this_program_is_the_reference(folder):
    write(folder, "2012-01-01", "N0011", "2012-01-01", "", {"ACIS-S": (0.5, 0.25)})
    found = get_calalign_offsets(
        matches((2, 1, "ACIS-S", "2023-01-01", "4.12.0")), calalign_dir=folder
    )
    np.testing.assert_allclose(found["calalign_dy"], [-7], atol=1e-9)
    np.testing.assert_allclose(found["ref_calalign_dy"], [0.5], atol=1e-9)


def test_no_matches(folder):
    empty = matches((2, 1, "ACIS-S", "2013-01-01", "4.10.0"))[:0]
    assert len(get_calalign_offsets(empty, calalign_dir=folder)) == 0


def test_what_cannot_be_told(folder, tmp_path):
    with pytest.raises(InputError, match=r"no alignment for ACIS-S of obsid 2 with CalDB 4\.1;"):
        get_calalign_offsets(matches((2, 1, "ACIS-S", "2013-01-01", "4.1")), calalign_dir=folder)
    with pytest.raises(InputError, match="no column detector"):
        get_calalign_offsets(
            Table({"obsid": [1], "x_id": [1], "time": [1], "caldb_version": ["1"]})
        )
    (folder / "pcadD2001-01-01alignN0009.fits").write_bytes(b"SIMPLE  = nothing")
    with pytest.raises(InputError, match="cannot be read as an alignment file"):
        calalign_from_files(folder)
    (folder / "pcadD2001-01-01alignN0009.fits").rename(folder / "other.fits")
    with pytest.raises(InputError, match="is not named as an alignment file"):
        calalign_from_files(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="There are no alignment files in"):
        calalign_from_files(tmp_path / "none")
