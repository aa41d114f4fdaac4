"""Frames of the pipeline, and own fits, on real source lists with references of known truth."""

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from exod.astrometry.attitude import radec_to_yagzag, yagzag_to_radec
from exod.astrometry.framefit import FrameFit, fit_frame
from exod.astrometry.frameprior import Prior
from exod.astrometry.rectification import Frame, header_frame
from exod.errors import ConfigError


@dataclass(frozen=True)
class Field:
    """A real source list: its header, positions, errors of each axis and the pipeline's answer."""

    header: dict
    ra: np.ndarray
    dec: np.ndarray
    error: np.ndarray
    corrected: SkyCoord
    systematic: np.ndarray

    @property
    def frame(self) -> Frame | None:
        return header_frame(self.header).frame


@pytest.fixture(scope="module")
def fields(data_dir) -> list[Field]:
    found = []
    for path in sorted((data_dir / "obsmli").glob("*.fits")):
        with warnings.catch_warnings():
            # The units of the pipeline are not all those of the FITS standard.
            warnings.simplefilter("ignore")
            with fits.open(path) as file:
                rows = file["SRCLIST"].data
                columns = (np.array(rows[name], float) for name in ("RA", "DEC", "RADEC_ERR"))
                ra, dec, radial = columns
                corrected = SkyCoord(rows["RA_CORR"], rows["DEC_CORR"], unit="deg")
                systematic = np.array(rows["SYSERRCC"], float)
                header = {**file[0].header, **file["SRCLIST"].header}
        found.append(Field(header, ra, dec, radial / np.sqrt(2), corrected, systematic))
    return found


def test_frames_of_the_pipeline(fields):
    """Corrected positions to 24 mas, and their systematic errors to 0.06 %."""
    assert len(fields) == 53
    framed = [field for field in fields if field.frame]
    assert len(framed) == 45
    for field in framed:
        mine = SkyCoord(*field.frame.apply(field.ra, field.dec), unit="deg")
        assert mine.separation(field.corrected).arcsec.max() < 0.024
        error = field.frame.error_arcsec(field.ra, field.dec)
        np.testing.assert_allclose(error, field.systematic, rtol=6e-4)


def test_no_frame_has_a_reason(fields):
    reasons = [header_frame(field.header).reason for field in fields if not field.frame]
    assert sorted(set(reasons)) == ["excessive perror", "poor fit", "too few matches"]


@pytest.mark.parametrize(
    "change",
    [{"RAOFFSET": float("nan")}, {"ROT_CORR": None}, {"DEOFFERR": -1.0}, {"RA_PNT": "a"}],
)
def test_damaged_keywords_are_no_frame(fields, change):
    found = header_frame({**fields[0].header, **change})
    assert found.frame is None
    assert "keywords" in found.reason


@given(
    st.floats(0, 360),
    st.floats(-90, 90),
    st.floats(-5, 5),
    st.floats(-5, 5),
    st.floats(-0.5, 0.5),
)
def test_a_frame_keeps_distances(ra, dec, east, north, rotation):
    """A frame is a rotation of the sphere to first order: it stretches nothing."""
    frame = Frame(ra, dec, east, north, rotation, np.zeros((3, 3)))
    y, z = np.array([0.0, 600.0, -500.0, 30.0]), np.array([0.0, -400.0, 200.0, 900.0])
    places = SkyCoord(*yagzag_to_radec(y, z, (ra, dec, 0.0)), unit="deg")
    moved = SkyCoord(*frame.apply(places.ra.deg, places.dec.deg), unit="deg")
    for i in range(4):
        before, after = places[i].separation(places).arcsec, moved[i].separation(moved).arcsec
        np.testing.assert_allclose(after, before, atol=2e-3)


def references(
    field: Field, density: float, matched: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Counterparts of a fraction of the sources where they truly are, and others by chance.

    Density is in references per square arcmin.
    """
    frame = field.frame
    centre = (frame.ra_deg, frame.dec_deg, 0.0)
    y, z = radec_to_yagzag(*frame.apply(field.ra, field.dec), centre)
    has = rng.random(len(y)) < matched
    half = 16.0 * 60.0
    n_chance = rng.poisson(density * (2 * half / 60.0) ** 2)
    places = [
        np.concatenate(
            [angle[has] + rng.normal(0, field.error[has]), rng.uniform(-half, half, n_chance)]
        )
        for angle in (y, z)
    ]
    return yagzag_to_radec(*places, centre)


def fitted(field: Field, density: float, matched: float, seed: int) -> FrameFit:
    rng = np.random.default_rng([seed, int(density), int(100 * matched)])
    centre = field.frame.ra_deg, field.frame.dec_deg
    places = references(field, density, matched, rng)
    return fit_frame(field.ra, field.dec, field.error, *places, 0.05, centre=centre)


@pytest.mark.parametrize(("density", "right"), [(5, 45), (20, 43)])
def test_own_fit_finds_the_frame(fields, density, right):
    """Half of the sources have a counterpart; the docs have more densities and seeds."""
    framed = [field for field in fields if field.frame]
    fits_ = [fitted(field, density, 0.5, seed) for seed, field in enumerate(framed)]
    off, pulls = [], []
    for field, fit in zip(framed, fits_, strict=True):
        names = ("east_arcsec", "north_arcsec", "rotation_deg")
        difference = [getattr(fit.frame, name) - getattr(field.frame, name) for name in names]
        off.append(np.hypot(*difference[:2]))
        if fit.ok:
            pulls.append(difference / np.sqrt(np.diag(fit.frame.covariance)))
    assert (np.array(off) < 1.0).sum() >= right
    assert len(pulls) >= right - 2
    np.testing.assert_allclose(np.std(pulls), 1.0, atol=0.15)


def test_chance_is_no_frame(fields):
    framed = [field for field in fields if field.frame]
    fits_ = [fitted(field, 20, 0.0, 100 + seed) for seed, field in enumerate(framed)]
    assert not any(fit.ok for fit in fits_)
    assert all(fit.reason for fit in fits_)


def test_memberships_are_probabilities(fields):
    fit = fitted(fields[0], 20, 0.5, 3)
    assert ((fit.p_match >= 0) & (fit.p_match <= 1)).all()
    assert (np.bincount(fit.source, fit.p_match) <= 1 + 1e-9).all()
    assert fit.n_matched == pytest.approx(fit.p_match.sum())
    assert fit.frame.error_arcsec(fit.frame.ra_deg, fit.frame.dec_deg) > 0


@pytest.mark.parametrize(
    ("sources", "reason"),
    [(0, "no sources"), (3, "no source has a reference")],
)
def test_nothing_to_fit(sources, reason):
    line = np.arange(sources) * 0.01
    fit = fit_frame(10 + line, line, 0.5, [], [], 0.1, centre=(10.0, 0.0))
    assert (fit.frame, fit.ok, fit.n_sources) == (None, False, sources)
    assert reason in fit.reason


def test_rows_that_are_not_finite_take_no_part():
    rng = np.random.default_rng(4)
    ra, dec = rng.uniform(-0.2, 0.2, (2, 40))
    alone = fit_frame(ra + 5e-4, dec, 0.5, ra, dec, 0.1, centre=(0.0, 0.0))
    nan = np.append(ra + 5e-4, [np.nan, 0.1]), np.append(dec, [0.0, np.nan])
    with_nan = fit_frame(
        *nan, 0.5, np.append(ra, np.nan), np.append(dec, 0), 0.1, centre=(0.0, 0.0)
    )
    assert with_nan.n_sources == alone.n_sources == 40
    assert with_nan.frame.east_arcsec == alone.frame.east_arcsec
    assert alone.frame.east_arcsec == pytest.approx(-1.8, abs=0.3)


@pytest.mark.parametrize("name", ["shift_arcsec", "rotation_deg", "reach_arcsec"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_priors_are_positive(name, value):
    with pytest.raises(ConfigError, match=name):
        Prior(**{name: value})
