"""Light-curve models: cumulative curves, their inverses, and photon times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from exod.errors import ConfigError
from exod.simulate.lightmodels import (
    BoxBurst,
    Constant,
    Eclipse,
    FastRiseBurst,
    GaussianBurst,
    SoftProtonFlare,
)

start = st.floats(100, 900)
length = st.floats(1, 300)
models = st.one_of(
    st.builds(Constant),
    st.builds(BoxBurst, start, length),
    st.builds(GaussianBurst, start, length),
    st.builds(FastRiseBurst, start, length, length),
    st.builds(Eclipse, start, length, st.floats(0.01, 1)),
    st.builds(SoftProtonFlare, start, length, st.just(30.0)),
)
EXAMPLES = [
    Constant(),
    BoxBurst(300, 20),
    GaussianBurst(400, 30),
    FastRiseBurst(200, 5, 60),
    Eclipse(300, 200, 0.7),
    SoftProtonFlare(100, 500, 30),
]


@given(models, st.floats(0, 1000))
def test_inverse_undoes_cumulative(model, time):
    if model.rate(time) > 1e-3:
        assert model.inverse(model.cumulative(time)) == pytest.approx(time, abs=1e-4)


@given(models, st.lists(st.floats(0, 1300), min_size=2, max_size=20))
def test_cumulative_never_falls(model, times):
    assert np.all(np.diff(model.cumulative(np.sort(times))) >= -1e-9)


@given(models)
def test_cumulative_is_the_integral_of_the_rate(model):
    edges = [edge for edge in (*model.interval, getattr(model, "centre", np.inf)) if edge < 1500]
    edges += [model.start + model.rise] if isinstance(model, FastRiseBurst) else []
    edges += [model.start] if hasattr(model, "start") else []
    points = sorted({edge for edge in edges if edge > 0}) or None
    number, _ = quad(lambda time: float(model.rate(time)), 0, 1500, points=points, limit=200)
    assert model.integral(0, 1500) == pytest.approx(number, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: type(model).__name__)
def test_photon_times_follow_the_curve(model):
    times = model.sample(np.random.default_rng(3), 50.0, 0.0, 1000.0)
    expected = 50 * model.integral(0, 1000)
    assert abs(len(times) - expected) < 5 * np.sqrt(expected)
    low, high = model.cumulative([0.0, 1000.0])
    result = stats.kstest(times, lambda t: (model.cumulative(t) - low) / (high - low))
    assert result.pvalue > 1e-4


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: type(model).__name__)
def test_numbers_of_photons_are_poisson(model):
    generator = np.random.default_rng(5)
    rate = 20 / model.integral(0, 1000)
    numbers = np.array([len(model.sample(generator, rate, 0, 1000)) for _ in range(2000)])
    assert numbers.mean() == pytest.approx(20, abs=5 * np.sqrt(20 / 2000))
    assert numbers.var() == pytest.approx(20, rel=0.2)


def test_nothing_outside_a_burst():
    times = BoxBurst(300, 20).sample(np.random.default_rng(1), 100.0, 0.0, 310.0)
    assert 800 < len(times) < 1200
    assert times.min() >= 300
    assert times.max() <= 310
    assert len(BoxBurst(300, 20).sample(np.random.default_rng(1), 100.0, 400.0, 500.0)) == 0


def test_bad_settings_are_named():
    with pytest.raises(ConfigError, match=r"BoxBurst: duration"):
        BoxBurst(0, -1)
    with pytest.raises(ConfigError, match=r"GaussianBurst: width"):
        GaussianBurst(0, np.nan)
    with pytest.raises(ConfigError, match=r"Eclipse: depth"):
        Eclipse(0, 10, 1.5)
    with pytest.raises(ConfigError, match=r"FastRiseBurst: decay"):
        FastRiseBurst(0, 1, 0)
    with pytest.raises(ConfigError, match=r"SoftProtonFlare: amplitude"):
        SoftProtonFlare(0, 1, -5)
