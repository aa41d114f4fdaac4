"""Fitted positions and their errors on simulated events of the PSF."""

import numpy as np
import pytest
from helpers.examples import portion
from helpers.strategies import seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from exod.instruments.epic import SKY_PIXEL_ARCSEC, XMM
from exod.search.positions import fit_position, position_error, psf_fraction

PSF, ATTITUDE_ERROR_ARCSEC = XMM.position_psf, XMM.attitude_error_arcsec
CAMERA = (XMM, SKY_PIXEL_ARCSEC)


def fraction_in(x, y, x_lo, x_hi, y_lo, y_hi) -> float:
    return psf_fraction(x, y, (x_lo, x_hi, y_lo, y_hi), PSF.core, SKY_PIXEL_ARCSEC)


WIDTH = 51840 / 129
SIDE = 3 * WIDTH
CENTRE = (SIDE / 2, SIDE / 2)


def simulate(generator, counts, background, place=None):
    """True place and events in a box of 3 by 3 cells about the cell that holds the source."""
    if place is None:
        place = CENTRE + (generator.random(2) - 0.5) * WIDTH
    photons = PSF.sample(generator, generator.poisson(counts)) / 0.05 + np.reshape(place, (2, 1))
    flat = generator.random((2, generator.poisson(background))) * SIDE
    events = np.concatenate([photons, flat], axis=1)
    inside = ((events >= 0) & (events <= SIDE)).all(axis=0)
    return place, np.rint(events[:, inside]).astype(np.int32)


def statistical(position):
    return np.sqrt(position.error_arcsec**2 - ATTITUDE_ERROR_ARCSEC**2)


@pytest.mark.parametrize(
    ("counts", "background"),
    [(10, 1), (20, 5), (50, 50), (100, 20), (300, 100), (1000, 10), (200, 400)],
)
def test_errors_cover_the_truth(counts, background):
    """63 per cent within one error, nearly all within three.

    The error rests on the counts in the box, so that the many counts outside it make it slightly
    too large.
    """
    generator = np.random.default_rng(counts)
    ratios = []
    for _ in range(300):
        place, (x, y) = simulate(generator, counts, background)
        position = fit_position(x, y, background, SIDE**2, CENTRE, *CAMERA)
        distance = 0.05 * np.hypot(position.x - place[0], position.y - place[1])
        ratios.append(distance / statistical(position))
    ratios = np.array(ratios)
    assert 0.57 < (ratios < 1).mean() < 0.82  # 300 trials scatter by 0.03
    assert (ratios < 3).mean() >= 0.985
    assert np.median(ratios) > 0.6


def test_no_bias():
    generator = np.random.default_rng(3)
    place = np.array([CENTRE[0] + 150.0, CENTRE[1] - 100.0])
    offsets = []
    for _ in range(300):
        _, (x, y) = simulate(generator, 100, 10, place)
        position = fit_position(x, y, 10.0, SIDE**2, CENTRE, *CAMERA)
        offsets.append([position.x - place[0], position.y - place[1]])
    error = np.std(offsets, axis=0) / np.sqrt(len(offsets))
    assert (np.abs(np.mean(offsets, axis=0)) < np.maximum(4 * error, 4)).all()


def test_counts_are_those_above_the_background():
    generator = np.random.default_rng(4)
    _, (x, y) = simulate(generator, 500, 100, np.array(CENTRE))
    position = fit_position(x, y, 100.0, SIDE**2, CENTRE, *CAMERA)
    expected = 500 * PSF.fraction(SIDE / 2 * 0.05)
    assert position.counts == pytest.approx(expected, rel=0.15)


def test_the_profile_beats_the_mean_on_a_background():
    generator = np.random.default_rng(5)
    place = np.array([CENTRE[0] + 180.0, CENTRE[1]])
    fitted, means = [], []
    for _ in range(60):
        _, (x, y) = simulate(generator, 60, 60, place)
        position = fit_position(x, y, 60.0, SIDE**2, CENTRE, *CAMERA)
        fitted.append(np.hypot(position.x - place[0], position.y - place[1]))
        means.append(np.hypot(x.mean() - place[0], y.mean() - place[1]))
    assert np.median(fitted) < 0.5 * np.median(means)


@given(seeds, st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_moving_everything_moves_the_position(seed, dx, dy):
    _, (x, y) = simulate(np.random.default_rng(seed), 30, 3)
    here = fit_position(x, y, 3.0, SIDE**2, CENTRE, *CAMERA)
    there = fit_position(x + dx, y + dy, 3.0, SIDE**2, (CENTRE[0] + dx, CENTRE[1] + dy), *CAMERA)
    assert there.x - dx == pytest.approx(here.x, abs=0.1)
    assert there.y - dy == pytest.approx(here.y, abs=0.1)
    assert there.error_arcsec == pytest.approx(here.error_arcsec)


# --- errors ----------------------------------------------------------------------------------


@given(st.floats(1, 1e5), st.floats(0, 10), st.floats(1.01, 5))
def test_errors_shrink_with_counts_and_grow_with_background(counts, background, factor):
    error = position_error(counts, background, PSF)
    assert position_error(counts * factor, background, PSF) < error
    assert position_error(counts, background * factor, PSF) >= error
    assert np.isfinite(error)


def test_error_without_background_scales_as_the_root_of_the_counts():
    assert position_error(100, 0.0, PSF) / position_error(10_000, 0.0, PSF) == pytest.approx(10)
    # The Fisher information of a King profile of slope 3/2: 2 slope^2 (slope - 1) /
    # ((slope + 1) core^2) / slope for each count and axis, from the integral of f'^2 / (2 f).
    slope, core = PSF.slope, PSF.core
    information = 2 * slope * (slope - 1) / ((slope + 1) * core**2)
    assert position_error(1, 0.0, PSF) == pytest.approx(1 / np.sqrt(information), rel=0.01)


# --- light in a box --------------------------------------------------------------------------

corners = st.floats(-1500, 1500)


@settings(max_examples=portion(20))
@given(corners, corners, st.floats(20, 1500), st.floats(20, 1500))
def test_light_in_a_box_is_the_integral_of_the_profile(x_lo, y_lo, width, height):
    def density(y, x):
        return PSF.density(np.hypot(x, y) * 0.05) * 0.05**2

    box = (x_lo, x_lo + width, y_lo, y_lo + height)
    # Split at the source, where the profile is steep.
    parts = [sorted({lo, hi, float(np.clip(0.0, lo, hi))}) for lo, hi in (box[:2], box[2:])]
    expected = sum(
        integrate.dblquad(density, x0, x1, y0, y1, epsabs=1e-6)[0]
        for x0, x1 in zip(parts[0][:-1], parts[0][1:], strict=True)
        for y0, y1 in zip(parts[1][:-1], parts[1][1:], strict=True)
    )
    assert fraction_in(0.0, 0.0, *box) == pytest.approx(expected, abs=1e-5)
    moved = tuple(edge + shift for edge, shift in zip(box, (700, 700, -90, -90), strict=True))
    assert fraction_in(700.0, -90.0, *moved) == pytest.approx(expected, abs=1e-5)


def test_light_in_a_box_is_that_of_simulated_photons():
    x, y = PSF.sample(np.random.default_rng(9), 100_000) / 0.05
    inside = (x > -300) & (x < 100) & (y > -50) & (y < 500)
    assert fraction_in(0, 0, -300, 100, -50, 500) == pytest.approx(inside.mean(), abs=0.006)


@given(corners, corners, st.floats(-1000, 1000), st.floats(1, 500), st.floats(1, 500))
def test_light_in_boxes_adds_up(x, y, edge, left, right):
    whole = fraction_in(x, y, edge - left, edge + right, -400, 400)
    halves = fraction_in(x, y, edge - left, edge, -400, 400)
    halves += fraction_in(x, y, edge, edge + right, -400, 400)
    assert whole == pytest.approx(halves, abs=1e-12)
    assert 0 < whole < 1
    assert fraction_in(x, y, -1e9, 1e9, -1e9, 1e9) == pytest.approx(1, abs=1e-5)


# --- degenerate input ------------------------------------------------------------------------


def test_no_events():
    none = np.empty(0, np.int32)
    assert fit_position(none, none, 0.0, SIDE**2, CENTRE, *CAMERA) is None
    assert fit_position(none, none, 5.0, SIDE**2, CENTRE, *CAMERA) is None


@pytest.mark.parametrize("background", [0.0, 0.5, 1.0, 30.0])
def test_one_event(background):
    x, y = np.array([500], np.int32), np.array([700], np.int32)
    position = fit_position(x, y, background, SIDE**2, CENTRE, *CAMERA)
    assert (position.x, position.y) == (500, 700)
    assert position.counts == 1
    assert np.isfinite(position.error_arcsec)
    assert position.error_arcsec > ATTITUDE_ERROR_ARCSEC


@pytest.mark.parametrize("n", [2, 1000])
@pytest.mark.parametrize("background", [0.0, 10.0, 1e4])
def test_all_events_at_the_same_place(n, background):
    x, y = np.full(n, 500, np.int32), np.full(n, 700, np.int32)
    position = fit_position(x, y, background, SIDE**2, (100.0, 100.0), *CAMERA)
    assert (position.x, position.y) == pytest.approx((500, 700))
    assert np.isfinite(position.error_arcsec)


def test_events_in_a_row():
    x = np.arange(100, 1100, 10, dtype=np.int32)
    y = np.full(len(x), 600, np.int32)
    position = fit_position(x, y, 0.0, SIDE**2, CENTRE, *CAMERA)
    assert position.y == pytest.approx(600)
    assert 100 <= position.x <= 1090


def test_background_alone_still_ends():
    generator = np.random.default_rng(6)
    for n in (3, 30, 300):
        x, y = (generator.random((2, n)) * SIDE).astype(np.int32)
        position = fit_position(x, y, 2.0 * n, SIDE**2, CENTRE, *CAMERA)
        assert position is None or np.isfinite(position.error_arcsec)
