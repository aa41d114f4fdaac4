"""Names: truncated, not rounded, and each once."""

from decimal import ROUND_DOWN, Decimal

import numpy as np
import pytest
from astropy.coordinates import Angle
from hypothesis import given
from hypothesis import strategies as st

from exod.sources.naming import iau_names, suffix, unique_names


def plainly(ra: str, dec: str, ra_decimals: int, dec_decimals: int) -> str:
    """The name from decimal text, digit by digit."""

    def split(seconds: Decimal, decimals: int) -> str:
        whole = seconds.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_DOWN)
        minutes, second = divmod(whole, 60)
        hour, minute = divmod(int(minutes), 60)
        width = 2 + (decimals + 1 if decimals else 0)
        return f"{hour:02d}{minute:02d}{second:0{width}f}"

    sign = "-" if Decimal(dec) < 0 else "+"
    right = split(Decimal(ra) * 240, ra_decimals)
    return f"EXOD J{right}{sign}{split(abs(Decimal(dec)) * 3600, dec_decimals)}"


@given(
    st.decimals("0", "359.999999", places=6),
    st.decimals("-90", "90", places=6),
    st.integers(0, 4),
    st.integers(0, 4),
)
def test_digits_are_cut_off(ra, dec, ra_decimals, dec_decimals):
    names = iau_names([float(ra)], [float(dec)], ra_decimals=ra_decimals, dec_decimals=dec_decimals)
    assert names == [plainly(str(ra), str(dec), ra_decimals, dec_decimals)]


@given(st.floats(0, 359.99), st.floats(-89.99, 89.99))
def test_names_are_the_positions_of_astropy(ra, dec):
    (name,) = iau_names([ra], [dec], ra_decimals=4, dec_decimals=4)
    text = name.removeprefix("EXOD J")
    sign = max(text.find("+"), text.find("-"))
    parts = [f"{t[:2]} {t[2:4]} {t[4:]}" for t in (text[:sign], text[sign + 1 :])]
    assert abs(Angle(parts[0], unit="hourangle").degree - ra) <= 15 * 1.001e-4 / 3600
    assert abs(Angle(text[sign] + parts[1], unit="deg").degree - dec) <= 1.001e-4 / 3600


def test_examples_and_edges():
    ra = [0.05125, 359.99999999, 360.0, -0.1, 10.0, 10.0, 10.0]
    dec = [0.0, 90.0, -90.0, -0.0, -1e-9, 59.9999, -59.99999]
    assert iau_names(ra, dec) == [
        "EXOD J000012.3+000000",
        "EXOD J235959.9+900000",
        "EXOD J000000.0-900000",
        "EXOD J235936.0+000000",
        "EXOD J004000.0-000000",
        "EXOD J004000.0+595959",
        "EXOD J004000.0-595959",
    ]
    assert iau_names([], []) == []
    assert iau_names([10.0], [1.0], acronym="4XMM", ra_decimals=0) == ["4XMM J004000+010000"]


@pytest.mark.parametrize(
    ("ra", "dec", "decimals"), [(np.nan, 0.0, 1), (0.0, 90.1, 1), (0.0, 0.0, 5), (0.0, 0.0, -1)]
)
def test_bad_input(ra, dec, decimals):
    with pytest.raises(ValueError, match="name"):
        iau_names([ra], [dec], ra_decimals=decimals)


@given(st.lists(st.sampled_from("ABC"), max_size=80), st.sets(st.sampled_from(["A", "Aa", "Bc"])))
def test_names_are_unique(wanted, given_):
    names = unique_names(wanted, [-1] * len(wanted), dict.fromkeys(given_, 5))
    assert len({*names, *given_}) == len(names) + len(given_)
    assert all(name.startswith(want) for name, want in zip(names, wanted, strict=True))
    for want in set(wanted) - given_:
        assert want in names


def test_letters_go_on_after_z():
    names = [suffix(number) for number in range(800)]
    assert len(set(names)) == 800
    assert names[1:3] == ["a", "b"]
    assert names[26:29] == ["z", "aa", "ab"]
    assert names[702:704] == ["zz", "aaa"]
