"""Pipeline products as files: recognised, read, and refused with a reason."""

import shutil
import warnings
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from helpers.eventfiles import (
    FORMATS,
    HEADER,
    M1,
    OBSID,
    PN,
    PROJECTION,
    SOURCES,
    event_hdus,
    source_hdu,
    values_of,
    without,
    write,
)
from helpers.strategies import PLANE

from exod.errors import ExposureRejected, InputError
from exod.pps import (
    find_observations,
    read_event_list,
    read_source_list,
)

# --- event lists -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        M1,
        M1.replace("FTZ", "fits"),
        M1.replace("FTZ", "fits.gz"),
        M1.replace("FTZ", "FIT"),
        "mos1.ds",
        "filtered.evt",
        "a.evt.gz",
    ],
)
def test_event_list(tmp_path, name):
    exposure, events = read_event_list(write(tmp_path, name))
    expected = values_of(5)
    for column, values in vars(events).items():
        assert values.tolist() == expected[column.upper()].tolist(), column
        assert values.dtype.isnative
    assert events.time.dtype == np.float64
    assert events.x.dtype == np.int32
    assert events.ccdnr.dtype == np.uint8
    assert (exposure.obsid, exposure.expid, exposure.instrument) == (OBSID, "S001", "EMOS1")
    assert (exposure.submode, exposure.datamode) == ("PrimeFullWindow", "IMAGING")
    assert (exposure.filter, exposure.revolution, exposure.target) == ("Medium", 2500, "HD 159176")
    assert (exposure.date_obs, exposure.elapsed) == ("2013-02-28T01:02:03", 1234.5)
    assert (exposure.ra_pnt, exposure.dec_pnt, exposure.pa_pnt) == (83.2, -5.4, 93.66)
    assert astuple(exposure.plane) == pytest.approx(astuple(PLANE), rel=1e-13)
    assert (exposure.flag_mask, exposure.time_system) == (0x766BA000, "TT")
    assert exposure.filename == name


def test_a_list_without_rows(tmp_path):
    _, events = read_event_list(write(tmp_path, n=0))
    assert len(events) == 0


def test_keywords_of_the_primary_header_are_the_fallback(tmp_path):
    primary = {**HEADER, "SUBMODE": "wrong"}
    path = write(tmp_path, header={"SUBMODE": "PrimeFullWindow"}, primary=primary)
    exposure, _ = read_event_list(path)
    assert exposure.instrument == "EMOS1"
    assert exposure.submode == "PrimeFullWindow"
    assert exposure.revolution == 2500


def test_missing_optional_keywords(tmp_path):
    header = without(
        "REVOLUT",
        "TELAPSE",
        "RA_PNT",
        "DEC_PNT",
        "PA_PNT",
        "TIMESYS",
        "OBJECT",
        "XMMEA_EM",
        "EXPIDSTR",
        "FILTER",
        "DATE-OBS",
        "DATAMODE",
    )
    exposure, _ = read_event_list(write(tmp_path, header=header))
    assert exposure.revolution == -1
    assert np.isnan([exposure.elapsed, exposure.ra_pnt, exposure.pa_pnt]).all()
    assert (exposure.target, exposure.expid, exposure.datamode) == ("", "", "")
    assert exposure.flag_mask == 0x766BA000


def test_keywords_without_a_value_are_missing(tmp_path):
    keys = ("DATAMODE", "OBS_ID", "REVOLUT", "OBJECT", "RA_PNT", "EXPIDSTR", "XMMEA_EM")
    header = {**HEADER, **dict.fromkeys(keys, fits.card.UNDEFINED)}
    exposure, _ = read_event_list(write(tmp_path, header=header))
    assert (exposure.datamode, exposure.obsid, exposure.revolution) == ("", OBSID, -1)
    assert (exposure.target, exposure.expid) == ("", "")
    assert np.isnan(exposure.ra_pnt)


@pytest.mark.parametrize(
    ("instrument", "expression", "mask"),
    [
        ("EMOS1", "(FLAG & 0x766ba000) == 0", 0x766BA000),
        ("EMOS2", "(FLAG & 0x1) == 0", 1),
        ("EMOS2", "( FLAG&0xABC )==0", 0xABC),
        ("EPN", "(FLAG & 0x3) == 0", 3),
        ("EPN", "something else", 0xCFA0000),
    ],
)
def test_flag_expression(tmp_path, instrument, expression, mask):
    key = "XMMEA_EP" if instrument == "EPN" else "XMMEA_EM"
    header = {**without("XMMEA_EM"), "INSTRUME": instrument, key: expression}
    assert read_event_list(write(tmp_path, header=header))[0].flag_mask == mask


def test_expression_of_the_other_camera_is_not_used(tmp_path):
    header = {**HEADER, "INSTRUME": "EPN"}
    assert read_event_list(write(tmp_path, header=header))[0].flag_mask == 0xCFA0000


# --- projection ------------------------------------------------------------------------------


def test_projection_of_the_columns(tmp_path):
    plane = read_event_list(write(tmp_path, projection="T"))[0].plane
    assert astuple(plane) == pytest.approx(astuple(PLANE), rel=1e-13)


def test_projection_of_the_primary_header(tmp_path):
    primary = {
        f"REF{axis}{part}": number
        for part, pair in PROJECTION.items()
        for axis, number in zip("XY", pair, strict=True)
    }
    path = write(tmp_path, projection="none", primary=primary)
    plane = read_event_list(path)[0].plane
    assert astuple(plane) == pytest.approx(astuple(PLANE), rel=1e-13)


def test_no_projection(tmp_path):
    with pytest.raises(InputError, match=f"{M1} has no sky projection"):
        read_event_list(write(tmp_path, projection="none"))


@pytest.mark.parametrize(
    ("keys", "extent"),
    [
        ({}, 51840),
        ({"REFXLMAX": -13696, "REFYLMAX": -13696}, 51840),
        ({"TLMAX5": 51840, "REFXLMAX": -13696}, 51840),
        ({"REFXLMAX": 8192, "REFYLMAX": 8000}, 8192),
        ({"TLMAX5": 8000.5, "TLMAX6": 8192.5}, 8192),
        ({"REFXLMAX": "many", "REFYLMAX": "more"}, 51840),
    ],
)
def test_size_of_the_field(tmp_path, keys, extent):
    """REFXLMAX of real MOS lists is 51840 in 16 bits."""
    assert list(FORMATS).index("X") == 4
    assert read_event_list(write(tmp_path, header=HEADER | keys))[0].sky_extent == extent


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"REFXLMAX": 10**6}, "a field of 13.9 degrees, which is no telescope's"),
        ({"REFYCDLT": 0.0}, "must be squares"),
        ({"REFYCDLT": 2e-5}, "must be squares"),
    ],
)
def test_impossible_sky_pixels(tmp_path, keys, reason):
    hdus = event_hdus()
    hdus["EVENTS"].header.update(keys)
    path = tmp_path / "mos1.evt"
    hdus.writeto(path)
    with pytest.raises(InputError, match=reason):
        read_event_list(path)


# --- not searched ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"TELESCOP": "CHANDRA"}, "of the telescope CHANDRA, not XMM"),
        ({"INSTRUME": "RGS1"}, "of the instrument RGS1, not EPN, EMOS1, EMOS2"),
        ({"INSTRUME": "OM"}, "of the instrument OM"),
        ({"DATAMODE": "TIMING"}, "taken in TIMING mode, which has no images"),
        ({"DATAMODE": "BURST"}, "taken in BURST mode"),
    ],
)
def test_rejected(tmp_path, changes, reason):
    with pytest.raises(ExposureRejected, match=reason) as caught:
        read_event_list(write(tmp_path, header={**HEADER, **changes}))
    assert M1 in str(caught.value)


@pytest.mark.parametrize("key", ["TELESCOP", "INSTRUME"])
def test_rejected_for_want_of(tmp_path, key):
    with pytest.raises(ExposureRejected, match=r"\(none\)"):
        read_event_list(write(tmp_path, header=without(key)))


def test_timing_list_by_name(tmp_path):
    name = f"P{OBSID}PNS003TIEVLI0000.FTZ"
    with pytest.raises(ExposureRejected, match="TIMING mode"):
        read_event_list(write(tmp_path, name, header=without("DATAMODE") | {"INSTRUME": "EPN"}))


# --- damaged ---------------------------------------------------------------------------------


def damaged(path, keep):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("suffix", ["FTZ", "fits"])
def test_truncated(tmp_path, keep, suffix):
    path = write(tmp_path, M1.replace("FTZ", suffix), n=20_000)
    with pytest.raises(InputError, match="fetch it again") as caught:
        read_event_list(damaged(path, keep))
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x1f\x8b", b"\x1f\x8bgarbage", b"SIMPLE  =", b"\0" * 5000]
)
def test_not_fits(tmp_path, content):
    path = tmp_path / M1
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{M1} cannot be read"):
        read_event_list(path)


def test_wrong_bytes_in_a_gzip_file_are_noticed(tmp_path):
    path = write(tmp_path, n=20_000)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # its checksum
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        read_event_list(path)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_event_list(tmp_path / M1)


def test_no_events_extension(tmp_path):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 3)))]).writeto(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"a\.fits has no table EVENTS"):
        read_event_list(tmp_path / "a.fits")


def test_missing_columns_are_named(tmp_path):
    with pytest.raises(InputError, match="lacks the EVENTS columns PATTERN, PI"):
        read_event_list(write(tmp_path, drop=("PI", "PATTERN")))


@pytest.mark.parametrize("obsid", ["12345", "../../../etc", "09000001011"])
def test_malformed_obsid(tmp_path, obsid):
    with pytest.raises(InputError, match="not ten digits"):
        read_event_list(write(tmp_path, header={**HEADER, "OBS_ID": obsid}))


def test_obsid_by_name(tmp_path):
    assert read_event_list(write(tmp_path, header=without("OBS_ID")))[0].obsid == OBSID


def test_wide_columns_are_clipped_not_wrapped(tmp_path):
    """PI of 70000 eV must not become 4464 eV."""
    formats = {**FORMATS, "PI": "J", "PATTERN": "I", "CCDNR": "I"}
    values = values_of(3) | {"PI": [70_000, 500, -70_000], "PATTERN": [300, 4, 0]}
    _, events = read_event_list(write(tmp_path, formats=formats, values=values))
    assert events.pi.tolist() == [32_767, 500, -32_768]
    assert events.pattern.tolist() == [255, 4, 0]


# --- finding ---------------------------------------------------------------------------------


def names(paths):
    return [path.name for path in paths]


def test_observations_of_a_folder(tmp_path):
    other = "0900000201"
    folder = tmp_path / "pps" / "deep"
    folder.mkdir(parents=True)
    for name in (PN, M1, SOURCES):
        (folder / name).touch()
    (tmp_path / M1.replace(OBSID, other)).touch()
    for name in (
        f"P{OBSID}M1S001IMAGE_1000.FTZ",
        f"P{OBSID}OBX000CALIND0000.FTZ",
        "notes.txt",
        ".x.FTZ",
    ):
        (folder / name).touch()
    observations, problems = find_observations([tmp_path])
    assert problems == []
    assert [o.obsid for o in observations] == [OBSID, other]
    assert names(observations[0].event_lists) == [M1, PN]
    assert names(observations[0].source_lists) == [SOURCES]
    assert len(observations[0].paths) == 3


def test_order_and_repetition_of_paths_do_not_matter(tmp_path):
    for name in (PN, M1, SOURCES):
        (tmp_path / name).touch()
    expected, _ = find_observations([tmp_path])
    given = [tmp_path / SOURCES, tmp_path, str(tmp_path / PN), tmp_path / ".." / tmp_path.name / M1]
    (found,), problems = find_observations(given)
    assert problems == []
    assert names(found.paths) == names(expected[0].paths)


def test_timing_lists_are_event_lists(tmp_path):
    """They are recorded as left out, with the reason, when they are read."""
    name = f"P{OBSID}PNS003TIEVLI0000.FTZ"
    (tmp_path / name).touch()
    (observation,), _ = find_observations([tmp_path])
    assert names(observation.event_lists) == [name]


def test_other_names_are_known_by_their_header(tmp_path):
    write(tmp_path, "mine.evt")
    fits.HDUList([fits.PrimaryHDU(), source_hdu({"OBS_ID": OBSID})]).writeto(
        tmp_path / "sources.fits"
    )
    fits.PrimaryHDU(np.ones((2, 2))).writeto(tmp_path / "image.fits")
    (observation,), problems = find_observations([tmp_path])
    assert problems == []
    assert observation.obsid == OBSID
    assert names(observation.event_lists) == ["mine.evt"]
    assert names(observation.source_lists) == ["sources.fits"]


def test_obsid_of_the_folder(tmp_path):
    folder = tmp_path / OBSID
    folder.mkdir()
    write(folder, "mine.evt", header=without("OBS_ID"))
    ((observation),), problems = find_observations([tmp_path])
    assert (observation.obsid, problems) == (OBSID, [])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere", "does not exist"),
        ("empty", "holds no event lists"),
        ("image.fits", "neither an event list nor a source list"),
        ("anonymous.evt", "does not say its observation"),
        ("broken.evt", "cannot be read"),
    ],
)
def test_problems(tmp_path, name, reason):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.evt").write_bytes(b"nonsense")
    fits.PrimaryHDU(np.ones((2, 2))).writeto(tmp_path / "image.fits")
    write(tmp_path, "anonymous.evt", header=without("OBS_ID"))
    observations, (problem,) = find_observations([tmp_path / name])
    assert observations == []
    assert reason in str(problem)
    assert name in str(problem)


def test_one_problem_does_not_hide_the_rest(tmp_path):
    write(tmp_path)
    (tmp_path / "broken.evt").write_bytes(b"nonsense")
    places = [tmp_path / "nowhere", tmp_path, tmp_path / "broken.evt"]
    observations, problems = find_observations(places)
    assert len(problems) == 2
    assert [o.obsid for o in observations] == [OBSID]


# --- source lists ----------------------------------------------------------------------------


def read_sources(folder, **changes):
    path = folder / SOURCES.replace("FTZ", "fits")
    fits.HDUList([fits.PrimaryHDU(), source_hdu(**changes)]).writeto(path, overwrite=True)
    return read_source_list(path)[0]


def test_source_list(tmp_path):
    expected = pd.DataFrame(
        {
            "ra_deg": [10.0, 10.1, 10.2],
            "dec_deg": [-5.0, -5.1, -5.2],
            "det_ml": [100.0, 9.0, 7.0],
            "extent_arcsec": [0.0, 10.0, 0.0],
            "rate": [2.0, 0.5, np.nan],
        }
    )
    pd.testing.assert_frame_equal(read_sources(tmp_path), expected)


@pytest.mark.parametrize(
    ("unit", "factor"), [("arcsec", 1), ("ARCSEC", 1), ("image pixels", 4), (None, 4)]
)
def test_unit_of_the_extent(tmp_path, unit, factor):
    assert read_sources(tmp_path, unit=unit)["extent_arcsec"].tolist() == [0, 2.5 * factor, 0]


@pytest.mark.parametrize("value", [np.inf, 3e38, -1.0])
@pytest.mark.parametrize("name", ["EP_EXTENT", "EP_TOT", "EP_DET_ML", "RA", "DEC"])
def test_sources_that_cannot_be(tmp_path, name, value):
    """They are left out with a note, and no arithmetic warns."""
    values = {name: [value, 1.0, 1.0, 1.0]}
    path = tmp_path / SOURCES.replace("FTZ", "fits")
    table = source_hdu(**({"extent": values[name]} if name == "EP_EXTENT" else values))
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    sources, notes = read_source_list(path)
    is_possible = value == -1.0 and name in {"RA", "DEC"}
    n_left_out = (not is_possible) + (name != "RA")  # The last row has no RA.
    assert len(sources) == 4 - n_left_out
    assert len(notes) == bool(n_left_out)


def test_optional_columns(tmp_path):
    sources = read_sources(tmp_path, drop=("EP_TOT", "EP_EXTENT"))
    assert sources["rate"].isna().all()
    assert (sources["extent_arcsec"] == 0).all()


@pytest.mark.parametrize("column", ["RA", "DEC", "EP_DET_ML"])
def test_needed_columns(tmp_path, column):
    with pytest.raises(InputError, match="no table with the columns RA, DEC and EP_DET_ML"):
        read_sources(tmp_path, drop=(column,))


def test_positions_that_are_none(tmp_path):
    sources = read_sources(tmp_path, DEC=[-5.0, 95.0, np.inf, 0.0])
    assert sources["dec_deg"].tolist() == [-5.0]


@pytest.mark.parametrize(
    ("changes", "left", "note"),
    [
        ({}, 4, None),
        ({"RA": [10.0, -1e4, 10.1, np.nan]}, 2, "2 sources without a possible position"),
        ({"extent": [0.0, 3e38, 1.0, 0.0], "unit": "deg"}, 2, "2 sources without a possible"),
        ({"EP_DET_ML": [10.0, -3.0, 7.0, 8.0]}, 3, "1 source without a possible position"),
        ({"extent": [0.0, -1.0, 1e30, np.nan]}, 2, "2 sources without a possible position"),
        ({"EP_TOT": [np.nan, 1.0, np.inf, -1.0]}, 2, "2 sources without a possible position"),
    ],
)
def test_impossible_sources_are_said(tmp_path, changes, left, note):
    path = tmp_path / SOURCES.replace("FTZ", "fits")
    hdu = source_hdu(**{"RA": [10.0, 10.1, 10.2, 10.3], **changes})
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    sources, notes = read_source_list(path)
    assert len(sources) == left
    assert len(notes) == (note is not None)
    assert (note or "") in " ".join(notes)
    assert np.isfinite(sources.drop(columns="rate")).all().all()
    assert not np.isinf(sources["rate"]).any()


def test_damaged_source_list(tmp_path):
    path = tmp_path / SOURCES
    path.write_bytes(b"")
    with pytest.raises(InputError, match=f"{SOURCES} cannot be read"):
        read_source_list(path)


# --- real files ------------------------------------------------------------------------------


@pytest.mark.realdata
def test_real_source_lists(data_dir, real_sources):
    """53 lists of the pipeline: EP_EXTENT is in image pixels of 4 arcsec."""
    paths = sorted((data_dir / "obsmli").iterdir())
    assert len(paths) == 53
    extended = 0
    for number, path in enumerate(paths):
        sources = real_sources[path]
        extended += (sources["extent_arcsec"] > 0).sum()
        assert len(sources) > 0
        assert sources["ra_deg"].between(0, 360).all()
        if number % 6:
            continue  # reading all columns again is slow
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = fits.getdata(path, "SRCLIST")
        assert len(sources) == len(raw)
        extent = np.nan_to_num(np.asarray(raw["EP_EXTENT"], float))
        assert sources["extent_arcsec"].to_numpy() == pytest.approx(4 * extent)
        assert sources["ra_deg"].to_numpy() == pytest.approx(np.asarray(raw["RA"], float))
        rate = np.asarray(raw["EP_TOT"], float)
        assert sources["rate"].to_numpy() == pytest.approx(rate, nan_ok=True)
    assert extended > 10


@pytest.mark.realdata
def test_real_source_lists_are_known_by_their_names(data_dir):
    observations, problems = find_observations([data_dir / "obsmli"])
    assert problems == []
    assert sum(len(o.source_lists) for o in observations) == 53


@pytest.mark.realdata
def test_real_pn_lists(data_dir):
    paths = sorted((data_dir / "pn_regions").glob("*.evt"))
    assert len(paths) == 2
    for path in paths:
        exposure, events = read_event_list(path)
        assert exposure.obsid == path.name[:10]
        assert (exposure.instrument, exposure.submode) == ("EPN", "PrimeFullWindow")
        assert (exposure.flag_mask, exposure.time_system) == (0xCFA0000, "TDB")
        assert exposure.revolution > 4000
        assert np.hypot(exposure.plane.x_ref - 25921, exposure.plane.y_ref - 25921) < 1e-6
        assert len(events) > 800
        assert events.rawx.min() >= 1
        assert events.rawx.max() <= 64
    observations, problems = find_observations(paths)
    assert [o.obsid for o in observations] == [path.name[:10] for path in paths]
    assert problems == []


@pytest.mark.realdata
def test_real_observation(data_dir, tmp_path):
    (files,), _ = find_observations([data_dir / "xmm" / "0001730201"])
    assert len(files.event_lists) == 2
    assert len(files.source_lists) == 1
    for path, instrument in zip(files.event_lists, ("EMOS1", "EMOS2"), strict=True):
        exposure, events = read_event_list(path)
        assert exposure.instrument == instrument
        assert exposure.revolution == 229
        assert len(events) > 130_000
    copy = tmp_path / "0001730201" / "anything.ds"
    copy.parent.mkdir()
    shutil.copy(files.event_lists[0], copy)
    (observation,), _ = find_observations([copy])
    assert observation.obsid == "0001730201"
