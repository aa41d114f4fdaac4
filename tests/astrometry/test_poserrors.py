"""Errors of positions: recovered from simulated pairs, and true for real ones."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.spatial import KDTree

from exod.astrometry.poserrors import NO_TAIL, Calibration, _density, calibrate
from exod.errors import InputError
from exod.sky.sphere import angle, unit_vectors

RADIUS = 5.0


def simulated(seed: int, systematic: float, chance: float, tail: float = NO_TAIL):
    """Pairs within the radius: separations and errors of each axis."""
    rng = np.random.default_rng(seed)
    error = rng.uniform(0.2, 1.0, 6000)
    spread = np.hypot(error, systematic) * np.sqrt(tail / rng.chisquare(tail, error.size))
    separation = rng.rayleigh(spread)
    lonely = rng.random(error.size) < chance
    separation[lonely] = RADIUS * np.sqrt(rng.random(lonely.sum()))
    near = separation < RADIUS
    return separation[near], error[near]


@pytest.mark.parametrize(("systematic", "chance"), [(0.3, 0.0), (0.5, 0.2), (1.2, 0.1)])
def test_what_was_put_in_is_found(systematic, chance):
    found = calibrate(*simulated(1, systematic, chance), RADIUS, fit_tail=False, fit_scale=True)
    assert found.systematic_arcsec == pytest.approx(systematic, abs=0.06)
    assert found.chance_fraction == pytest.approx(chance, abs=0.02)
    assert found.scale == pytest.approx(1.0, abs=0.06)


def test_a_tail_is_found():
    found = calibrate(*simulated(2, 0.4, 0.1, tail=3.0), RADIUS)
    assert found.tail == pytest.approx(3.0, rel=0.3)
    assert found.systematic_arcsec == pytest.approx(0.4, abs=0.06)


@given(st.floats(0.05, 2), st.floats(1, 50), st.floats(0, 1), st.floats(0.1, 2))
def test_density_is_the_slope_of_the_cumulative(systematic, tail, chance, error):
    calibration = Calibration(systematic, 1.0, tail, chance, RADIUS, 0.0, 0)
    errors = np.array([error])
    whole, _ = quad(
        lambda r: float(_density(calibration, np.array([r]), errors)[0]), 0, 2.0, epsabs=1e-9
    )
    assert whole == pytest.approx(float(calibration.cumulative(2.0, errors)[0]), abs=1e-6)
    assert float(calibration.cumulative(RADIUS, errors)[0]) == pytest.approx(1.0)


@given(st.floats(0.05, 2), st.floats(1, 1e4), st.floats(0.1, 2), st.floats(0.01, 0.99))
def test_circles_hold_what_they_say(systematic, tail, error, fraction):
    calibration = Calibration(systematic, 1.0, tail, 0.0, 1e9, 0.0, 0)
    radius = calibration.radius_of(error, fraction)
    assert float(calibration.cumulative(radius, error)) == pytest.approx(fraction, rel=1e-6)


@pytest.fixture(scope="module")
def real_pairs(data_dir) -> tuple[np.ndarray, np.ndarray]:
    """Point sources of 4XMM and their nearest star of Gaia: separation, error of each axis."""
    xmm = pd.read_csv(data_dir / "catalogues" / "4xmm_slim_slice.csv")
    xmm = xmm[xmm["sc_extent"] == 0].reset_index(drop=True)
    gaia = pd.read_csv(data_dir / "catalogues" / "csc_gaia_edr3.csv", low_memory=False)
    tree = KDTree(unit_vectors(xmm["sc_ra"], xmm["sc_dec"]))
    chords, row = tree.query(unit_vectors(gaia["RA_ICRS_gaia"], gaia["DE_ICRS_gaia"]))
    pairs = pd.DataFrame({"row": row, "separation": angle(chords)})
    pairs = pairs[pairs["separation"] < RADIUS].sort_values("separation").drop_duplicates("row")
    error = xmm["sc_poserr"].to_numpy()[pairs["row"]] / np.sqrt(2)
    return pairs["separation"].to_numpy(), error


def test_real_errors_are_true_after_calibration(real_pairs):
    """4XMM and Gaia: with a tail separations follow the model, with Rayleigh's they do not."""
    separation, error = real_pairs
    assert len(separation) > 800
    found, rayleigh = (calibrate(*real_pairs, RADIUS, fit_tail=tail) for tail in (True, False))
    assert stats.kstest(found.cumulative(separation, error), "uniform").pvalue > 0.05
    assert stats.kstest(rayleigh.cumulative(separation, error), "uniform").pvalue < 0.01
    assert found.log_likelihood > rayleigh.log_likelihood + 50
    # Rayleigh's alone reproduces what was known of these pairs: 0.27 arcsec, radial.
    assert rayleigh.systematic_arcsec * np.sqrt(2) == pytest.approx(0.28, abs=0.02)
    assert rayleigh.chance_fraction == pytest.approx(0.115, abs=0.01)


def test_calibrated_circles_hold_63_percent(real_pairs):
    """Calibrated with one half of the pairs, counted with the other, chance pairs taken off."""
    separation, error = real_pairs
    order = np.random.default_rng(5).permutation(len(separation))
    half, other = np.array_split(order, 2)
    found = calibrate(separation[half], error[half], RADIUS)
    inside = separation[other] < found.radius_of(error[other])
    expected = found.cumulative(found.radius_of(error[other]), error[other])
    assert inside.mean() == pytest.approx(expected.mean(), abs=3 * np.sqrt(0.25 / len(other)))


def test_too_few_pairs_and_bad_pairs_are_refused():
    with pytest.raises(InputError, match="3 pairs"):
        calibrate([1.0, 2.0, 3.0], 0.5, RADIUS)
    for bad in (np.nan, -1.0, 6.0):
        with pytest.raises(InputError, match="1 of 20 pairs"):
            calibrate(np.append(np.ones(19), bad), 0.5, RADIUS)
