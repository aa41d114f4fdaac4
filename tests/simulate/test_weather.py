"""Simulated soft-proton flares and observations of several exposures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import ConfigError
from exod.pps import find_observations
from exod.simulate import SoftProtonFlare, default_observation, simulate
from exod.simulate.photons import ORIGIN_FLARE
from exod.simulate.weather import flaring, outlines, with_structure
from exod.stages.inputs.simulate import write_observation

OBSID = "0900000101"

REAL_RATES = {25: 0.0, 50: 1.0, 75: 4.1, 95: 8.2, 100: 13.8}
"""Percentiles of the rate above quiet in 0001730201: MOS1, MOS2, 100 s bins, without sources."""


def rate_of(flares, time):
    return sum(flare.amplitude * flare.rate(time) for flare in flares)


def test_flaring_rates_are_those_of_a_real_observation():
    time = np.arange(0, 16_700, 20.0)
    rows = []
    for seed in range(100):
        rate = rate_of(flaring(np.random.default_rng(seed), 0.0, 16_700.0), time)
        bins = rate.reshape(-1, 5).mean(axis=1)
        rows.append(np.percentile(bins, list(REAL_RATES)))
    mean = np.mean(rows, axis=0)
    for found, real in zip(mean, REAL_RATES.values(), strict=True):
        assert found == pytest.approx(real, rel=0.3, abs=0.4)


@given(st.integers(0, 10**6), st.floats(0, 1e9), st.floats(100, 1e4), st.floats(1, 100))
def test_structure_stays_inside_its_outline(seed, start, length, peak):
    pulses = with_structure(np.random.default_rng(seed), SoftProtonFlare(start, length, peak))
    assert min(pulse.start for pulse in pulses) >= start
    assert max(pulse.interval[1] for pulse in pulses) <= (start + length) * (1 + 1e-12)
    time = np.linspace(start, start + length, 400)
    rate = rate_of(pulses, time)
    assert 0.4 * peak < rate.max() < 2.2 * peak
    assert rate[:200].sum() > rate[200:].sum(), "flares rise fast and decay slowly"


def test_one_flare_in_each_part():
    flares = outlines(np.random.default_rng(2), 100.0, 9000.0, 3)
    for i, flare in enumerate(flares):
        assert 100 + 3000 * i <= flare.start
        assert flare.interval[1] <= 100 + 3000 * (i + 1)


def test_sources_do_not_depend_on_the_weather():
    quiet = default_observation(OBSID, 3, n_flares=0)
    stormy = default_observation(OBSID, 3, n_flares=0, background="flaring")
    assert quiet.sources == stormy.sources
    assert not quiet.flares
    counts = [
        np.count_nonzero(simulate(model, 1).event_lists[1].origin == ORIGIN_FLARE)
        for model in (quiet, stormy)
    ]
    assert counts[0] == 0
    assert counts[1] > 10_000


def test_exposures_follow_each_other(tmp_path):
    model = default_observation(OBSID, 4, duration=9000.0, n_exposures=2, n_flares=0)
    assert len(model.exposures) == 6
    for first, second in zip(model.exposures[::2], model.exposures[1::2], strict=True):
        assert first.instrument == second.instrument
        assert second.expid == "U002"
        assert second.start > first.stop + 400
        always = [pixel for pixel in first.hot_pixels if not pixel.episodes]
        assert always == [pixel for pixel in second.hot_pixels if not pixel.episodes]
    for source in model.sources:
        if source.light_curve.kind != "constant":
            start, stop = source.light_curve.interval
            assert all(
                any(e.start <= start and stop <= e.stop for e in model.exposures[i : i + 2])
                for i in (0, 2, 4)
            ), "a signal lies within an exposure of every camera"
    write_observation(simulate(model, 1), tmp_path)
    (files,), problems = find_observations([tmp_path])
    assert len(files.event_lists) == 6
    assert not problems


def test_impossible_weather_and_exposures_are_named(command, tmp_path):
    with pytest.raises(ConfigError, match="Unknown background 'stormy'; use quiet or flaring"):
        default_observation(OBSID, 1, background="stormy")
    with pytest.raises(ConfigError, match="n_exposures is 0"):
        default_observation(OBSID, 1, n_exposures=0)
    with pytest.raises(ConfigError, match="duration is 1000 for each exposure"):
        default_observation(OBSID, 1, duration=4000.0, n_exposures=4)
    code, _, said = command("simulate", tmp_path / "x", "--background", "stormy")
    assert code == 2
    assert "use quiet or flaring" in " ".join(said.split())
    assert not (tmp_path / "x").exists()


def test_command_writes_two_exposures(command, tmp_path):
    code, said, _ = command(
        *("simulate", tmp_path, "--duration", 5000, "--cameras", "EMOS1"),
        *("--exposures", 2, "--background", "flaring"),
    )
    assert code == 0
    assert "5 files" in said
    assert len(list(tmp_path.glob("*/P*M1U002MIEVLI0000.FTZ"))) == 1
