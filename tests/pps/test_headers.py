"""Headers of event lists are judged in one place, and nothing is left out in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers.eventfiles import HEADER, M1, event_hdus, without
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.errors import ExodError, ExposureRejected, InputError
from exod.instruments import CAMERAS
from exod.observation.events import Exposure
from exod.observation.times import TimeFrame
from exod.pps import read_event_list
from exod.pps.fits.fitsfile import Header, open_fits
from exod.pps.fits.headers import read_exposure


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("headers") / M1.replace("FTZ", "FIT")
    event_hdus(header=HEADER | {"OBS_MODE": "POINTING"}).writeto(path)
    return path


def judged(path: Path, **keys: object) -> Exposure:
    """The exposure of the file with other keywords; None removes one."""
    with open_fits(path) as file:
        hdu = next(hdu for hdu in file.extensions() if hdu.name == "EVENTS")
        for key, value in keys.items():
            if value is None:
                hdu.header.remove(key, ignore_missing=True)
            else:
                hdu.header[key.replace("_OBS", "-OBS")] = value
        return read_exposure(path, Header(hdu.header, fits.Header()), hdu)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"FILTER": "Closed"}, "filter wheel closed"),
        ({"FILTER": "CLOSED"}, "filter wheel closed"),
        ({"FILTER": "CalClosed"}, "calibration source"),
        ({"FILTER": "CalThin1"}, "calibration source"),
        ({"FILTER": "Cal_Medium"}, "calibration source"),
        ({"FILTER": "UNDEFINED"}, "FILTER UNDEFINED"),
        ({"FILTER": "Unknown"}, "FILTER Unknown"),
        ({"OBS_MODE": "SLEW"}, "during a slew"),
        ({"OBS_MODE": "slew"}, "during a slew"),
        ({"OBS_MODE": None, "OBS_ID": "9090900002"}, "during a slew"),
        ({"DATAMODE": "TIMING"}, "no images"),
        ({"INSTRUME": "RGS1"}, "RGS1"),
        ({"TELESCOP": "CHANDRA"}, "CHANDRA"),
        ({"TIMEUNIT": "d"}, "in d, not in seconds"),
        ({"TUNIT1": "ms"}, "in ms, not in seconds"),
        ({"REFXCTYP": "RA---SIN"}, "RA---SIN"),
        ({"REFYCTYP": "GLAT-TAN"}, "GLAT-TAN"),
        ({"RADECSYS": "FK4", "EQUINOX": 1950.0}, "FK4 of 1950"),
        ({"EQUINOX": 1950.0}, "1950"),
    ],
)
def test_left_out_with_the_reason(keys: dict[str, object], reason: str, sound: Path) -> None:
    path = sound
    if "TUNIT1" in keys:
        path = sound.with_name("unit.fits")
        hdus = event_hdus()
        hdus["EVENTS"].columns["TIME"].unit = str(keys["TUNIT1"])
        hdus.writeto(path)
        keys = {}
    with pytest.raises(ExposureRejected, match=reason) as caught:
        judged(path, **keys)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "note"),
    [
        ({}, ""),
        ({"FILTER": "Thin 1"}, ""),
        ({"FILTER": "MEDIUM"}, ""),
        ({"FILTER": "Thin7"}, "FILTER Thin7"),
        ({"OBS_MODE": "RASTER"}, "OBS_MODE RASTER"),
        ({"XMMEA_EM": "(FLAG & 0x766ba000) == 0"}, ""),
        ({"XMMEA_EM": "(PATTERN<=12)"}, "XMMEA_EM"),
        ({"XMMEA_EM": "(FLAG & 0xfffffffff) == 0"}, "XMMEA_EM"),
        ({"MJDREF": 51544.0}, "MJDREF 51544.0 instead of 50814.0"),
        ({"MJDREFI": 50814, "MJDREFF": 0.0}, ""),
        ({"MJDREFI": 50814, "MJDREFF": 0.5}, "MJDREF 50814.5"),
        ({"TIMEZERO": 5.0}, "TIMEZERO 5.0"),
        ({"TIMESYS": "UTC"}, "TIMESYS UTC"),
        ({"TIMESYS": "TDB", "TIMEREF": "SOLARSYSTEM"}, ""),
    ],
)
def test_searched_with_a_note(keys: dict[str, object], note: str, sound: Path) -> None:
    exposure = judged(sound, **keys)
    assert len(exposure.notes) == bool(note)
    assert all(note in text and sound.name in text for text in exposure.notes)


def test_what_the_header_does_not_say(sound: Path) -> None:
    exposure = judged(sound, **dict.fromkeys(set(HEADER) - {"TELESCOP", "INSTRUME"}))
    assert exposure.clock == TimeFrame()
    assert exposure.notes == ()
    assert np.isnan([exposure.start, exposure.stop, exposure.ra_pnt]).all()


@pytest.mark.parametrize(
    "keys",
    [
        {"REFXCDLT": 0.0},
        {"REFYCDLT": 1e300},
        {"REFXCDLT": 1e300, "REFYCDLT": 1e300},
        {"REFYCRVL": 91.0},
        {"REFXCRVL": 1e300},
        {"REFXCRPX": 1e300},
        {"REFXLMAX": 10**9},
        {"OBS_ID": "../../etc"},
    ],
)
def test_impossible_projections(keys: dict[str, object], sound: Path) -> None:
    with pytest.raises(InputError, match=sound.name):
        judged(sound, **keys)


@pytest.mark.parametrize("revolution", [1e300, -5, "many", "0229", 229])
def test_revolutions(revolution: object, sound: Path) -> None:
    expected = 229 if str(revolution) in {"0229", "229"} else -1
    assert judged(sound, REVOLUT=revolution).revolution == expected


ANYTHING = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
JUDGED = {
    "FILTER": st.sampled_from(["Thin1", "Thin2", "Medium", "Thick", "Open", "Closed", "CalOpen"]),
    "OBS_MODE": st.sampled_from(["POINTING", "SLEW", "Slew"]),
    "DATAMODE": st.sampled_from(["IMAGING", "imaging", "TIMING", "BURST"]),
    "INSTRUME": st.sampled_from(["EMOS1", "EMOS2", "EPN", "epn", "RGS2", "OM"]),
    "TELESCOP": st.sampled_from(["XMM", "XMM-Newton", "SWIFT"]),
    "TIMESYS": st.sampled_from(["TT", "TDB", "UTC"]),
    "TIMEREF": st.sampled_from(["LOCAL", "SOLARSYSTEM"]),
    "MJDREF": st.sampled_from([50814.0, 51544.0]),
    "TIMEZERO": st.sampled_from([0.0, 1.0]),
    "TIMEUNIT": st.sampled_from(["s", "d"]),
    "OBS_ID": st.sampled_from(["0900000101", "9000000101", "12"]),
    "REVOLUT": st.integers(0, 5000),
    "REFXCDLT": st.sampled_from([-1.38888888888889e-05, 1.0]),
    "REFYCRVL": st.floats(-89, 89),
    "REFXLMAX": st.sampled_from([51840, -13696, 8192]),
    "TSTART": st.floats(0, 1e9),
    "XMMEA_EM": st.sampled_from(["(FLAG & 0x1) == 0", "true"]),
}


def is_sky(header: dict[str, object]) -> bool:
    """Whether a list with these keywords may be searched: the rule again, in other words."""

    def text(key: str) -> str:
        return str("" if header.get(key) is None else header[key]).strip().lower()

    closed = text("FILTER") in {"closed", "undefined", "unknown"}
    return (
        text("TELESCOP") in {"xmm", "xmm-newton"}
        and text("INSTRUME").upper() in CAMERAS
        and text("DATAMODE") in {"imaging", ""}
        and not text("OBS_MODE").startswith("slew")
        and not (text("OBS_MODE") == "" and text("OBS_ID").startswith("9"))
        and not (closed or text("FILTER").startswith("cal"))
        and text("TIMEUNIT") in {"s", "sec", "second", "seconds", ""}
    )


@settings(max_examples=portion(200))
@given(data=st.data())
def test_any_header_is_judged(data: st.DataObject, sound: Path) -> None:
    """A header gives an exposure, or a sentence; what is no image of the sky gives a sentence."""
    keys = data.draw(st.lists(st.sampled_from(sorted(JUDGED)), max_size=4, unique=True))
    values = {key: data.draw(st.one_of(JUDGED[key], JUDGED[key], ANYTHING)) for key in keys}
    try:
        exposure = judged(sound, **values)
    except ExodError as error:
        assert sound.name in str(error)  # noqa: PT017 - many are refused, but not all
        return
    header = HEADER | {"OBS_MODE": "POINTING"} | values
    assert is_sky(header)
    clock = exposure.clock
    is_usual = clock in {TimeFrame(), TimeFrame("TDB"), TimeFrame("TDB", "SOLARSYSTEM")}
    assert is_usual or any("counts its times differently" in note for note in exposure.notes)
    assert -1 <= exposure.revolution < 10**5
    assert np.isfinite(exposure.plane.pixel_arcsec)


def test_keywords_of_the_primary_header_are_judged_too(tmp_path: Path) -> None:
    path = tmp_path / M1.replace("FTZ", "FIT")
    event_hdus(header=without("FILTER"), primary={"FILTER": "Closed"}).writeto(path)
    with pytest.raises(ExposureRejected, match="Closed"):
        read_event_list(path)
