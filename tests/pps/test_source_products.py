"""Real spectra, areas and light curves of sources against what we make of camera and telescope."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from exod.instruments import CAMERAS
from exod.instruments.detector import DETECTORS
from exod.instruments.pointspread import POINT_SPREADS
from exod.instruments.vignetting import VIGNETTING
from exod.observation.commonsky import sky_plane
from exod.pps.spectrumfiles import read_product
from exod.sky.plane import TangentPlane

CODES = {"EPN": "PN", "EMOS1": "M1", "EMOS2": "M2"}


@dataclass(frozen=True)
class Witness:
    """What the pipeline says of a source in a camera."""

    camera: str
    spectrum: fits.Header
    net: float
    net_error: float
    area: pd.DataFrame
    curve: pd.DataFrame
    listed: dict[str, float]
    place: tuple[float, float]
    pointing: TangentPlane

    @property
    def angle(self) -> float:
        return float(VIGNETTING[self.camera].angle_arcmin(*self.place))

    @property
    def is_whole(self) -> bool:
        """Whether its circle has no gaps or bad columns."""
        return self.spectrum["BACKSCAL"] > 0.99 * np.pi * self.spectrum["EXTRRAD"] ** 2

    def within(self, energy_kev: float) -> float:
        """Share of the photons in its circle."""
        axis = VIGNETTING[self.camera].axis
        azimuth = float(np.arctan2(self.place[1] - axis[1], self.place[0] - axis[0]))
        energies, generator = np.full(50_000, energy_kev), np.random.default_rng(1)
        off = POINT_SPREADS[self.camera].sample(generator, energies, self.angle, azimuth)
        return float(np.mean(np.hypot(*off) <= 0.05 * self.spectrum["EXTRRAD"]))


@pytest.fixture(scope="module")
def witnesses(data_dir: Path) -> list[Witness]:
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in sorted((data_dir / "pps_products").glob("*SRSPEC*")):
            name = path.name
            rows, header = read_product(path, "SPECTRUM")
            beside, about = read_product(path.with_name(header["BACKFILE"]), "SPECTRUM")
            area, _ = read_product(path.with_name(header["ANCRFILE"]), "SPECRESP")
            curve, _ = read_product(path.with_name(name.replace("SRSPEC0", "SRCTSR8")), "RATE")
            (source_list,) = (data_dir / "obsmli").glob(f"{name[:11]}*")
            with fits.open(source_list) as file:
                sources = file[1].data
                source = sources[sources["SRC_NUM"] == header["SRCNUM"]][0]
                code = CODES[header["INSTRUME"]]
                columns = {
                    "rate": f"{code}_TOT",
                    "error": f"{code}_TOT_ERR",
                    "vig": f"{code}_3_VIG",
                }
                listed = {key: float(source[column]) for key, column in columns.items()}
            primary = fits.getheader(path, 0)
            plane = sky_plane(primary["RA_PNT"], primary["DEC_PNT"])
            x, y = plane.to_pixel(header["SRC_RA"], header["SRC_DEC"])
            place = DETECTORS[header["INSTRUME"]].detector_from_sky(x, y, primary["PA_PNT"])
            scale = header["BACKSCAL"] * header["EXPOSURE"]
            scale /= about["BACKSCAL"] * about["EXPOSURE"]
            n, below = int(rows["COUNTS"].sum()), int(beside["COUNTS"].sum())
            net, error = n - scale * below, np.sqrt(n + scale**2 * below)
            given = (header["INSTRUME"], header, net, error, area, curve, listed)
            found.append(Witness(*given, (float(place[0]), float(place[1])), plane))
    assert len(found) == 13
    return found


def test_places_are_on_the_ccd_that_the_pipeline_names(witnesses: list[Witness]) -> None:
    for one in witnesses:
        ccd, _, rawy = DETECTORS[one.camera].raw_from_detector(*one.place)
        assert ccd[0] == one.spectrum["CCDNR"]
        # Of pn they are for stretches of 20 rows, of MOS for the worn patch or the rest.
        place = one.pointing.to_pixel(one.spectrum["SRC_RA"], one.spectrum["SRC_DEC"])
        arcmin = 0.05 / 60 * np.hypot(place[0] - one.pointing.x_ref, place[1] - one.pointing.y_ref)
        named = CAMERAS[one.camera].response_file(
            "PrimeFullWindow", 60000.0, int(rawy[0]), float(arcmin)
        )
        assert one.spectrum["RESPFILE"] == named


def test_light_curves_have_the_exposure_and_the_counts_of_spectra(
    witnesses: list[Witness],
) -> None:
    """FRACEXP times the bin is live time, and RATE counts for each second of that."""
    ratios = []
    for one in witnesses:
        curve = one.curve[one.curve["FRACEXP"] > 0]
        live = curve["FRACEXP"] * np.median(np.diff(one.curve["TIME"]))
        assert live.sum() == pytest.approx(one.spectrum["EXPOSURE"], rel=1e-3)
        if one.is_whole:
            ratios.append((curve["RATE"] * live).sum() / one.net)
    # A CCD that was off while others were on makes 3 per cent in one of them.
    assert np.median(np.abs(np.array(ratios) - 1)) < 0.002
    assert ratios == pytest.approx([1.0] * 10, rel=0.04)


def test_counts_of_spectra_are_rates_with_vignetting_and_psf(witnesses: list[Witness]) -> None:
    pulls = []
    for one in witnesses:
        assert VIGNETTING[one.camera].at(*one.place) == pytest.approx(one.listed["vig"], rel=0.005)
        if one.is_whole:
            light = one.spectrum["EXPOSURE"] * one.listed["vig"] * one.within(1.5)
            error = np.hypot(one.net_error, one.listed["error"] * light)
            pulls.append((one.net - one.listed["rate"] * light) / error)
    assert len(pulls) == 10
    assert np.max(np.abs(pulls)) < 3
    assert np.sqrt(np.mean(np.square(pulls))) < 1.7


def test_areas_are_vignetting_times_psf(witnesses: list[Witness]) -> None:
    """At 1.5 keV, relative to each other: of one filter and year, all else is the same."""
    off = []
    for camera in CODES:
        own = [one for one in witnesses if one.camera == camera and one.is_whole]
        ratios = []
        for one in own:
            energy = (one.area["ENERG_LO"] + one.area["ENERG_HI"]) / 2
            area = float(np.interp(1.5, energy, one.area["SPECRESP"]))
            ratios.append(area / one.within(1.5) / float(VIGNETTING[camera].at(*one.place)))
        off += list(ratios / np.median(ratios) - 1)
    assert np.median(np.abs(off)) < 0.025
    assert np.max(np.abs(off)) < 0.06
