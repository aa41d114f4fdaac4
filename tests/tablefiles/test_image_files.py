"""FITS images and region files of DS9."""

import re

import numpy as np
import pytest
from astropy.io import fits

from exod.counts.frameimages import ImageLayer
from exod.errors import ExodError
from exod.tablefiles.images import SkyMark, region_text, write_images

LAYERS = [
    ImageLayer("COUNTS", np.arange(6, dtype=np.int32).reshape(2, 3), "ct", "Counts"),
    ImageLayer("MEAN", np.array([[0.5, np.nan, 1]], np.float32), "ct", "Mean, ± nothing"),
    ImageLayer("MASK", np.array([[True, False]]), "", "Mask"),
]


def test_images_are_read_as_they_were_written(tmp_path):
    coordinates = fits.Header([("CTYPE1", "RAWX"), ("CRPIX1", 1.0)])
    header = {"OBJECT": ("Bébé", "Target"), "TSTART": (1.5, "[s] Start")}
    path = write_images(tmp_path / "a" / "x.fits", LAYERS, coordinates, header)
    with fits.open(path, checksum=True) as found:
        found.verify("exception")
        assert [hdu.name for hdu in found] == ["COUNTS", "MEAN", "MASK"]
        for hdu, layer in zip(found, LAYERS, strict=True):
            np.testing.assert_array_equal(hdu.data, layer.values)
            assert hdu.header["OBJECT"] == "B?b?"
            assert (hdu.header["CTYPE1"], hdu.header["TSTART"]) == ("RAWX", 1.5)
            assert hdu.header.get("BUNIT", "") == layer.unit
        assert found[1].header["CONTENT"] == "Mean, ? nothing"
    first = path.read_bytes()
    assert write_images(path, LAYERS, coordinates, header).read_bytes() == first


def test_images_appear_whole_or_not_at_all(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ExodError, match="cannot be written"):
        write_images(tmp_path / "file" / "x.fits", LAYERS, fits.Header())
    bad = [*LAYERS, ImageLayer("BAD", np.array(["text"]), "", "")]
    with pytest.raises(KeyError, match="str"):
        write_images(tmp_path / "x.fits", bad, fits.Header())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_regions():
    corners = np.array([10.0, 10.1, 10.1]), np.array([-5.0, -5.0, -5.1])
    marks = [
        SkyMark(*corners, colour="#123456", text="3: {peak}\n", tag="region"),
        SkyMark(np.array([np.nan]), np.array([1.0]), 20.0),
        SkyMark(np.array([11.0]), np.array([2.0]), 20.0, dashed=True),
    ]
    *head, polygon, circle = region_text(marks, "of {an} archive").splitlines()
    assert head[0] == "# Region file format: DS9 version 4.1"
    assert head[1] == "# of an archive"
    assert head[-1] == "icrs"
    shape, words = re.fullmatch(r"polygon\((.*)\) # (.*)", polygon).groups()
    assert [float(number) for number in shape.split(",")] == [10, -5, 10.1, -5, 10.1, -5.1]
    assert words == "color=#123456 text={3: peak?} tag={region}"
    assert circle == 'circle(11.0000000,2.0000000,20.000") # color=#D55E00 dash=1'
