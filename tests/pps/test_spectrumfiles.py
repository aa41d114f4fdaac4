"""Spectra, areas and light curves as the pipeline writes them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from exod.errors import InputError
from exod.pps.spectrumfiles import SpectrumFile, read_product, write_spectrum


def test_keywords_are_those_of_the_pipeline(data_dir: Path, tmp_path: Path) -> None:
    """What both files say, they say alike; what ours lacks is of how the pipeline was run."""
    counts, good = np.arange(2400) % 3, np.array([[0.0, 100.0], [120.0, 150.0]])
    header = {"EXPOSURE": (120.0, ""), "BACKSCAL": (1000.0, ""), "FILTER": ("Medium", "")}
    header |= {"SPECDELT": (5, ""), "SPECVAL": (2.0, ""), "RESPFILE": ("NONE", "")}
    header |= {"ANCRFILE": ("NONE", ""), "BACKFILE": ("NONE", "")}
    shapes = [("BOX", 100.0, 200.0, 10.0, 20.0), ("!CIRCLE", 90.0, 190.0, 3.0, 0.0)]
    ours = SpectrumFile(counts, None, None, header, shapes, good)
    shared = {"TELESCOP": ("XMM", ""), "INSTRUME": ("EMOS1", "")}
    path = write_spectrum(tmp_path / "ours.pha", ours, shared, overwrite=False)
    with fits.open(path, checksum=True) as file:
        file.verify("exception")
        assert [hdu.name for hdu in file] == ["PRIMARY", "SPECTRUM", "REGION", "STDGTI"]
        assert file["REGION"].data["SHAPE"].tolist() == ["BOX", "!CIRCLE"]
        assert file["STDGTI"].data["STOP"].tolist() == [100.0, 150.0]
        with pytest.raises(FileExistsError):
            write_spectrum(path, ours, shared, overwrite=False)
    rows, header = read_product(path, "SPECTRUM")
    assert rows["COUNTS"].tolist() == counts.tolist()
    real = data_dir / "pps_products" / "P0886121201M1S001BGSPEC0004.FTZ"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, model = read_product(real, "SPECTRUM")
    assert theirs.columns.tolist() == rows.columns.tolist()
    assert (theirs.dtypes == rows.dtypes).all()
    values = {"EXPOSURE", "BACKSCAL", "NAXIS2", "XTENSION", "TIMEDEL"}
    both = [key for key in model if key in header and key not in values]
    assert {key: model[key] for key in both} == {key: header[key] for key in both}
    missing = {key for key in model if key not in header and "DS" not in key}
    of_the_source = {"SRCNUM", "SRC_RA", "SRC_DEC", "SRC_CRA", "SRC_CDEC", "EXTRRAD"}
    of_the_source |= {f"{camera}_FLAG" for camera in ("EP", "PN", "M1", "M2")}
    assert missing <= of_the_source | {"SLCTEXPR", "MTYPE1", "MFORM1", ""}


def test_what_is_no_spectrum_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "not.fits"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"has no readable table RATE .*; fetch it again"):
        read_product(path, "RATE")
