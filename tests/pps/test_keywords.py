"""Keywords of FITS headers against those of astropy."""

from __future__ import annotations

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from exod.pps.fits.keywords import Keywords

VALUES = st.one_of(
    st.integers(-(10**15), 10**15),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.booleans(),
    st.text("abc 'XY&/=", max_size=150),
    st.just(fits.card.Undefined()),
)
KEYS = st.sampled_from(("NAXIS", "TTYPE1", "A_B-C", "HIERARCH long key", "COMMENT", "TFORM12"))


def text_of(cards: list[tuple[str, object]]) -> bytes:
    """A header as a file has it."""
    header = fits.Header()
    for key, value in cards:
        header.append(fits.Card(key, value, "what / it is"), end=True)
    return header.tostring().encode("ascii")


def assert_alike(content: bytes) -> None:
    known, found = fits.Header.fromstring(content), Keywords(content)
    for key in ("NAXIS", "TTYPE1", "A_B-C", "LONG KEY", "TFORM12", "NONE"):
        try:
            wanted = known.get(key, "no")
        except (ValueError, LookupError, fits.VerifyError) as error:
            with pytest.raises(type(error)):
                found.get(key, "no")
            continue
        got = found.get(key, "no")
        assert (type(got), str(got)) == (type(wanted), str(wanted))
        assert (key in found) == (key in known)
        assert found.is_repeated(key) == (key in known and known.count(key) > 1)


@pytest.mark.filterwarnings("ignore")
@given(cards=st.lists(st.tuples(KEYS, VALUES), max_size=8))
def test_values_are_those_of_astropy(cards: list[tuple[str, object]]) -> None:
    try:
        content = text_of(cards)
    except ValueError:  # Astropy writes no such card.
        return
    assert_alike(content)


@pytest.mark.filterwarnings("ignore")
@given(
    cards=st.lists(st.tuples(KEYS, st.integers(0, 99) | st.text("aT'", max_size=5)), max_size=4),
    changes=st.lists(st.tuples(st.integers(0, 400), st.sampled_from(b" ='/TF1.-+&aD")), max_size=3),
)
def test_so_are_those_of_changed_headers(
    cards: list[tuple[str, object]], changes: list[tuple[int, int]]
) -> None:
    try:
        content = bytearray(text_of(cards))
    except ValueError:
        return
    for place, byte in changes:
        content[place] = byte
    assert_alike(bytes(content))


def test_most_headers_are_not_parsed() -> None:
    found = Keywords(text_of([("NAXIS", 3), ("TTYPE1", "TIME"), ("A_B-C", True)]))
    assert [found.get(key) for key in ("NAXIS", "TTYPE1", "A_B-C")] == [3, "TIME", True]
    assert "header" not in vars(found)
    assert found.header["NAXIS"] == 3
