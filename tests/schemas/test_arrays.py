"""What somebody gives as numbers: with units, masked, as dates, as text."""

import datetime

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.table import MaskedColumn
from astropy.time import Time

from exod.errors import ConfigError, InputError
from exod.observation.identifiers import obsids_of
from exod.schemas.arrays import number_of, numbers_of


@pytest.mark.parametrize(
    ("value", "unit", "wanted"),
    [
        (2.5, "deg", 2.5),
        (np.float32(0.5), "", 0.5),
        (180 * u.deg, "deg", 180.0),
        (np.pi * u.rad, "deg", 180.0),
        (12 * u.hourangle, "deg", 180.0),
        ([1, 2] * u.arcmin, "arcsec", [60.0, 120.0]),
        (1 * u.ks, "s", 1000.0),
        (90 * u.percent, "", 0.9),
        (np.ma.array([1.0, 2.0], mask=[False, True]), "deg", [1.0, np.nan]),
        (np.ma.array([1, 2]), "deg", [1.0, 2.0]),
        (MaskedColumn([1.0, 2.0], mask=[True, False]), "deg", [np.nan, 2.0]),
        (pd.Series([3, 4], index=[7, 9]), "s", [3.0, 4.0]),
        (["1.5", "2"], "s", [1.5, 2.0]),
        ([], "s", []),
        (np.inf, "s", np.inf),
    ],
)
def test_units_are_converted_and_masked_values_are_none(value, unit, wanted):
    np.testing.assert_allclose(numbers_of(value, "It", unit), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "value",
    [
        3 * u.s,
        [1, 2] * u.m,
        "north",
        [None, "x"],
        True,
        [True, False],
        1j,
        np.datetime64("2018-08-09"),
        np.timedelta64(5, "s"),
        pd.Timestamp("2018-08-09"),
        pd.Series(pd.to_datetime(["2018-08-09"])),
        datetime.datetime(2018, 8, 9),
        Time("2018-08-09"),
        [[1.0], [1.0, 2.0]],
        object(),
    ],
)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ConfigError, match=r"^It is a number or a list of numbers, not "):
        numbers_of(value, "It", "deg")
    with pytest.raises(ConfigError, match=r"^It is a number, not "):
        number_of(value, "It", "deg")


@pytest.mark.parametrize("given", [900000101, [900000101], [None], "x", ["0900000101", ""], 1.5])
def test_observations_are_named_by_text(given):
    with pytest.raises(InputError, match="is not an observation identifier"):
        obsids_of(given)


def test_observations_are_one_or_several():
    assert obsids_of("0900000101") == obsids_of({"0900000101"}) == ("0900000101",)
    assert obsids_of(()) == ()
