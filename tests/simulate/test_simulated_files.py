"""The files of the simulator: names, headers, columns and extensions like the pipeline's."""

import gzip
import warnings
from dataclasses import fields, replace

import numpy as np
import pytest
from astropy.io import fits

from exod.errors import ExodError
from exod.instruments import CAMERAS
from exod.pps import read_event_list, read_source_list
from exod.simulate import ExposureModel, ObservationModel, default_observation, simulate
from exod.stages.inputs.simulate import write_observation

OBSID = "0900000101"


@pytest.fixture(scope="module")
def typical():
    """The default observation, shorter, with a drop-out."""
    return simulate(default_observation(OBSID, 3, duration=8000.0, n_dropouts=1), seed=3)


def test_same_seed_same_files(typical, tmp_path):
    again = simulate(typical.model, seed=3)
    for one, two in zip(
        write_observation(typical, tmp_path / "a"),
        write_observation(again, tmp_path / "b"),
        strict=True,
    ):
        assert one.name == two.name
        assert one.read_bytes() == two.read_bytes()


@pytest.fixture(scope="module")
def written(typical, tmp_path_factory):
    return write_observation(typical, tmp_path_factory.mktemp("pps"))


def test_names_of_files(written):
    assert [path.name for path in written] == [
        f"P{OBSID}PNS003PIEVLI0000.FTZ",
        f"P{OBSID}M1S001MIEVLI0000.FTZ",
        f"P{OBSID}M2S002MIEVLI0000.FTZ",
        f"P{OBSID}EPX000OBSMLI0000.FTZ",
        f"{OBSID}_truth.csv",
        f"{OBSID}_hot_pixels.csv",
    ]
    folder = written[0].parent
    assert folder.name == OBSID
    assert sorted(folder.iterdir()) == sorted(written), "no temporary file is left"


def test_headers_are_sound(written, typical):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path, simulated in zip(written, typical.event_lists, strict=False):
            with fits.open(path) as hdus:
                hdus.verify("exception")
                for header in (hdus[0].header, hdus["EVENTS"].header):
                    assert header["TELESCOP"] == "XMM"
                    assert header["OBS_ID"] == OBSID
                    assert header["REFXCRPX"] == header["REFYCRPX"] == 25921
                    assert header["REFXCDLT"] == pytest.approx(-1.38888888888889e-05)
                    assert header["REFXLMAX"] == 51840
                    assert header["REFXLMIN"] == 1
                    assert header["TSTOP"] - header["TSTART"] == pytest.approx(header["TELAPSE"])
                    assert header["TIMESYS"] == "TT"
                    assert header["MJDREF"] == 50814
                    assert header["PA_PNT"] == typical.model.pa_pnt
                header = hdus["EVENTS"].header
                assert header["TNULL6"] == header["TNULL7"] == -99999999
                assert header["TCTYP6"] == "RA---TAN"
                assert header["TCRPX7"] == 25921
                assert header["TCRVL7"] == header["REFYCRVL"] == typical.model.dec_pnt
                assert int(header["REVOLUT"]) == simulated.exposure.revolution


def test_columns_are_those_of_a_real_list(written, data_dir):
    real = data_dir / "xmm" / "0001730201" / "P0001730201M1S002MIEVLI.FTZ"
    if not real.exists():
        pytest.skip(f"{real.name} is not among the test data")
    with fits.open(written[1]) as ours, fits.open(real) as theirs:
        for a, b in zip(ours["EVENTS"].columns, theirs["EVENTS"].columns, strict=True):
            assert (a.name, a.format, a.unit, a.null) == (b.name, b.format, b.unit, b.null)


def test_good_times_leave_out_drop_outs(written, typical):
    for path, settings_ in zip(written, typical.model.exposures, strict=False):
        with fits.open(path) as hdus:
            events = hdus["EVENTS"].data
            for ccdnr in range(1, CAMERAS[settings_.instrument].n_ccds + 1):
                rows = hdus[f"STDGTI{ccdnr:02d}"].data
                off = [d for d in settings_.dropouts if ccdnr in d.ccds]
                expected = settings_.duration - sum(d.stop - d.start for d in off)
                assert (rows["STOP"] - rows["START"]).sum() == pytest.approx(expected)
                assert hdus[f"STDGTI{ccdnr:02d}"].header["ONTIME"] == pytest.approx(expected)
                time = events["TIME"][events["CCDNR"] == ccdnr]
                inside = (time[:, None] >= rows["START"]) & (time[:, None] <= rows["STOP"])
                assert inside.any(axis=1).all()
    assert typical.model.exposures[0].dropouts, "the test needs a drop-out"


def test_extensions_are_named_and_typed_as_in_a_real_list(written, data_dir):
    real = data_dir / "xmm" / "0001730201" / "P0001730201M1S002MIEVLI.FTZ"
    if not real.exists():
        pytest.skip(f"{real.name} is not among the test data")
    with fits.open(written[1]) as ours, fits.open(real) as theirs:
        for ccdnr in range(1, 8):
            for name in (f"BADPIX{ccdnr:02d}", f"STDGTI{ccdnr:02d}"):
                for a, b in zip(ours[name].columns, theirs[name].columns, strict=True):
                    assert (a.name, a.format, a.unit) == (b.name, b.format, b.unit)


def test_bad_pixels_of_pn_are_its_first_rows(written):
    with fits.open(written[0]) as hdus:
        rows = hdus["BADPIX03"].data
        assert rows["RAWX"].tolist() == list(range(1, 65))
        assert (rows["RAWY"] + rows["YEXTENT"] - 1 == 12).all()
        assert hdus["EVENTS"].data["RAWY"].min() > 12


def test_reading_gives_back_what_was_simulated(written, typical):
    for path, simulated in zip(written, typical.event_lists, strict=False):
        exposure, events = read_event_list(path)
        plane = exposure.plane
        assert replace(exposure, plane=simulated.exposure.plane) == simulated.exposure
        corner = simulated.exposure.plane.to_sky(100.0, 5e4)
        assert np.allclose(plane.to_sky(100.0, 5e4), corner, rtol=0, atol=1e-9)
        for column in fields(events):
            ours = getattr(simulated.events, column.name)
            assert np.array_equal(getattr(events, column.name), ours), column.name
    sources = read_source_list(written[3])[0]
    assert len(sources) == len(typical.source_list)


def test_empty_observation_can_be_written(tmp_path):
    model = ObservationModel(
        OBSID, 83.2, -5.4, 30.0, (ExposureModel("EMOS1", "S001", 6e8, 100),), background_scale=0.0
    )
    result = simulate(model, seed=0)
    assert len(result.event_lists[0].events) == 0
    assert result.source_list.empty
    paths = write_observation(result, tmp_path)
    with fits.open(paths[0]) as hdus:
        assert len(hdus["EVENTS"].data) == 0
    assert gzip.decompress(paths[1].read_bytes())


def test_unwritable_folder_is_a_clear_error(tmp_path, typical):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExodError, match="cannot be written"):
        write_observation(typical, tmp_path / "file")
