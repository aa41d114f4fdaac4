"""Fits of frames against sums over all pairs and all frames of a grid."""

from dataclasses import dataclass

import numpy as np
import pytest
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.astrometry.attitude import yagzag_to_radec
from exod.astrometry.framefit import FrameFit, fit_frame
from exod.astrometry.framepairs import NearPairs, near_pairs
from exod.astrometry.frameprior import Prior

CENTRE = (150.0, 60.0)
PRIOR = Prior(shift_arcsec=1.5, rotation_deg=0.05, reach_arcsec=4.0)


@dataclass(frozen=True)
class Plane:
    """Sources and references on a plane, in arcsec: places of shape (n, 2), errors of an axis."""

    places: np.ndarray
    errors: np.ndarray
    others: np.ndarray
    other_error: float = 0.1

    @property
    def pairs(self) -> NearPairs:
        other_errors = np.full(len(self.others), self.other_error)
        rows = np.arange(len(self.places)), np.arange(len(self.others))
        return near_pairs(
            (self.places, self.errors, rows[0]),
            (self.others, other_errors, rows[1]),
            PRIOR.reach_arcsec,
        )

    def fit(self) -> FrameFit:
        sky = yagzag_to_radec(*self.places.T, (*CENTRE, 0.0))
        references = yagzag_to_radec(*self.others.T, (*CENTRE, 0.0))
        return fit_frame(
            *sky, self.errors, *references, self.other_error, centre=CENTRE, prior=PRIOR
        )


def plane(seed: int, n: int, density: float, matched: float, scale: float = 1.0) -> Plane:
    """Sources of which some have a counterpart 1" to the east, 0.5" to the south; others chance.

    Density is in references per square arcmin; errors are 0.4 to 1" times a scale.
    """
    rng = np.random.default_rng(seed)
    places = rng.uniform(-500, 500, (n, 2))
    errors = scale * rng.uniform(0.4, 1.0, n)
    has = rng.random(n) < matched
    true = places[has] + [1.0, -0.5] + rng.normal(0, 1, (has.sum(), 2)) * errors[has, None]
    chance = rng.uniform(-600, 600, (rng.poisson(density * 20.0**2), 2))
    return Plane(places, errors, np.concatenate([true, chance]), 0.1 * scale)


def on_a_grid(given: Plane, fit: FrameFit, step: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean, covariance and log evidence of the posterior near a frame, from sums over a grid."""
    pairs, frame = given.pairs, fit.frame
    assert frame is not None
    line = np.arange(-10, 11) * step
    turns = frame.rotation_deg + np.arange(-9, 10) * step / 10
    fractions = np.arange(0.05, 1, 0.1)
    axes = frame.east_arcsec + line, frame.north_arcsec + line, turns
    east, north, turn = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    ratio = np.zeros((len(given.places), len(east)))
    for pair, source in enumerate(pairs.source):
        lever = np.radians(given.places[source])
        offset = given.others[pairs.reference[pair]] - given.places[source]
        variance = given.errors[source] ** 2 + given.other_error**2
        square = (offset[0] - east + turn * lever[1]) ** 2
        square += (offset[1] - north - turn * lever[0]) ** 2
        normal = np.exp(-square / (2 * variance)) / (2 * np.pi * variance)
        ratio[source] += normal / pairs.density[pair]
    density = np.zeros(len(east))
    for f in fractions:
        prior = 140 * (f * (1 - f)) ** 3 * 0.1
        density += prior * np.prod(1 - f + f * ratio, axis=0)
    shift = np.exp(-(east**2 + north**2) / (2 * PRIOR.shift_arcsec**2))
    shift /= 2 * np.pi * PRIOR.shift_arcsec**2
    shift /= 1 - np.exp(-(PRIOR.reach_arcsec**2) / (2 * PRIOR.shift_arcsec**2))
    student = (1 + (turn / PRIOR.rotation_deg) ** 2 / 3) ** -2
    density *= shift * student * 2 / (np.pi * np.sqrt(3) * PRIOR.rotation_deg)
    evidence = np.log(density.sum() * step**3 / 10)
    frames = np.stack([east, north, turn])
    weights = density / density.sum()
    mean = frames @ weights
    residuals = frames - mean[:, None]
    return mean, (residuals * weights) @ residuals.T, evidence


@pytest.mark.parametrize(
    ("n", "density", "matched", "scale", "step"),
    [(25, 5, 0.5, 1.0, 0.12), (30, 60, 0.7, 1.0, 0.12), (40, 20, 0.5, 0.1, 0.012)],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_posterior_is_integrated(seed, n, density, matched, scale, step):
    """Few sources, crowded fields, and positions that are known ten times better."""
    given = plane(seed, n, density, matched, scale)
    fit = given.fit()
    mean, covariance, evidence = on_a_grid(given, fit, step)
    errors = np.sqrt(np.diag(covariance))
    frame = np.array([fit.frame.east_arcsec, fit.frame.north_arcsec, fit.frame.rotation_deg])
    np.testing.assert_allclose(frame, mean, atol=0.1 * errors.max(), rtol=0)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.frame.covariance)), errors, rtol=0.06)
    assert fit.log_evidence == pytest.approx(evidence, abs=0.1)


@settings(max_examples=portion(25), deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 30),
    st.sampled_from([0.01, 1.0, 30.0]),
    st.sampled_from([0.0, 0.5]),
)
def test_pairs_are_all_within_reach(seed, n, density, matched):
    given_ = plane(seed, n, density, matched)
    pairs = given_.pairs
    offsets = given_.others[None] - given_.places[:, None]
    apart = np.hypot(*np.moveaxis(offsets, -1, 0))
    sigma = np.hypot(given_.errors, given_.other_error)
    source, reference = np.nonzero(apart <= PRIOR.reach_arcsec + 4 * sigma[:, None])
    assert pairs.source.tolist() == source.tolist()
    assert pairs.reference.tolist() == reference.tolist()
    np.testing.assert_array_equal(pairs.east, offsets[source, reference, 0])
    np.testing.assert_array_equal(np.repeat(source[pairs.firsts], pairs.lengths), source)
    inner = PRIOR.reach_arcsec + 4 * (given_.errors.max(initial=0.0) + given_.other_error)
    area = np.pi * ((inner + 60) ** 2 - inner**2)
    counts = ((apart > inner) & (apart <= inner + 60)).sum(axis=1)
    mean = (counts.sum() + 1) / (area * max(n, 1))
    np.testing.assert_allclose(pairs.density, ((counts + 4) / (area + 4 / mean))[source])
