"""Light curves of regions against sums over the dense cube."""

import numpy as np
import pytest
from helpers.strategies import lively_cubes, seeds
from hypothesis import given

from exod.counts.bayes import log10_b_eclipse, log10_b_peak
from exod.counts.cube import EventsByCell
from exod.counts.grid import Box
from exod.search.lightcurves import light_curve


def random_box(generator, shape):
    low = [int(generator.integers(0, n)) for n in shape]
    high = [int(generator.integers(a + 1, n + 1)) for a, n in zip(low, shape, strict=True)]
    return Box(low[0], high[0], low[1], high[1])


@given(lively_cubes(), seeds)
def test_sums_over_the_box(pair, seed):
    cube, expectation = pair
    if not cube.box.size:
        return
    generator = np.random.default_rng(seed)
    box = random_box(generator, cube.box.shape)
    wanted = generator.random(cube.box.shape) < 0.3
    wanted[box.slices] = True
    curve = light_curve(cube, expectation, cube.masked, EventsByCell(cube, wanted), box)
    n = cube.to_dask().compute(scheduler="synchronous")[:, *box.slices].sum(axis=(1, 2), dtype=int)
    mu = expectation.dense_block(0, cube.frames.n)[:, *box.slices].sum(axis=(1, 2), dtype=float)
    assert curve.n.tolist() == n.tolist()
    assert curve.mu == pytest.approx(mu, rel=1e-5, abs=1e-12)
    assert np.array_equal(curve.time, cube.frames.t_lo + cube.frames.t_bin * np.arange(len(n)))
    assert np.array_equal(curve.bti, expectation.is_bad)
    assert np.array_equal(curve.bccd, cube.masked)
    assert np.isnan(curve.B_peak_log[mu == 0]).all()
    assert np.isnan(curve.B_eclipse_log[mu == 0]).all()
    some = mu > 0
    for values, function in (
        (curve.B_peak_log, log10_b_peak),
        (curve.B_eclipse_log, log10_b_eclipse),
    ):
        assert values[some] == pytest.approx(function(n, mu)[some], rel=1e-4, abs=1e-4)


@given(lively_cubes())
def test_types(pair):
    cube, expectation = pair
    if not cube.box.size:
        return
    box = Box(0, 1, 0, 1)
    curve = light_curve(
        cube, expectation, cube.masked, EventsByCell(cube, np.ones(cube.box.shape, bool)), box
    )
    types = {name: values.dtype.str[1:] for name, values in vars(curve).items()}
    assert types == {
        "time": "f8",
        "n": "i4",
        "mu": "f4",
        "live": "f4",
        "bti": "b1",
        "bccd": "b1",
        "B_peak_log": "f8",
        "B_eclipse_log": "f8",
    }
    assert {values.shape for values in vars(curve).values()} == {(cube.frames.n,)}
