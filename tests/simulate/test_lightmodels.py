"""Light-curve models: cumulative curves, their inverses, and photon times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from exod.errors import ConfigError
from exod.simulate.lights.eruptions import Periodic, PowerLawDecay, QuasiPeriodicEruptions
from exod.simulate.lights.lightmodels import (
    BoxBurst,
    Constant,
    Eclipse,
    FastRiseBurst,
    GaussianBurst,
    SoftProtonFlare,
)
from exod.simulate.lights.lighttext import LIGHT_CURVES, parse_light_curve
from exod.simulate.lights.tabulated import Dip, Tabulated, tabulated_from_csv

start = st.floats(100, 900)
length = st.floats(1, 300)
share = st.floats(0.01, 1)
tables = st.lists(
    st.tuples(st.floats(1, 200), st.sampled_from([0.0, 0.3, 1.0, 7.0])), min_size=2, max_size=8
).filter(lambda rows: any(rate for _, rate in rows))


@st.composite
def tabulated(draw):
    steps, rates = np.array(draw(tables)).T
    return Tabulated(draw(start) + np.cumsum(steps), rates, draw(st.sampled_from(["zero", "held"])))


@st.composite
def eruptions(draw):
    width, jitter = draw(st.floats(1, 30)), draw(st.floats(0, 0.6))
    recurrence = draw(st.floats(4.1, 50)) * width / (1 - jitter)
    seed = draw(st.integers(0, 9))
    return QuasiPeriodicEruptions(draw(start), recurrence, width, 20.0, jitter, seed)


models = st.one_of(
    st.builds(Constant),
    st.builds(BoxBurst, start, length),
    st.builds(GaussianBurst, start, length),
    st.builds(FastRiseBurst, start, length, length),
    st.builds(Eclipse, start, length, st.floats(0.01, 1)),
    st.builds(SoftProtonFlare, start, length, st.just(30.0)),
    st.builds(PowerLawDecay, start, length, st.floats(0.1, 5) | st.just(1.0)),
    st.builds(PowerLawDecay, start, length, st.floats(0.1, 5), st.floats(901, 1200)),
    st.builds(Periodic, length, start, share, share),
    st.builds(Periodic, length, start, share, share, st.floats(0.01, 0.99)),
    st.builds(lambda t, d, i, f: Dip(t, d, i * d / 2, f), start, length, share, share),
    tabulated(),
    eruptions(),
)
EXAMPLES = [
    Constant(),
    BoxBurst(300, 20),
    GaussianBurst(400, 30),
    FastRiseBurst(200, 5, 60),
    Eclipse(300, 200, 0.7),
    SoftProtonFlare(100, 500, 30),
    PowerLawDecay(200, 40, 1.0),
    PowerLawDecay(200, 40, 1.7, 800),
    Periodic(73.0, 10.0, 0.3, 0.6),
    Periodic(73.0, 10.0, 0.3, 1.0, 0.1),
    Dip(300, 200, 60, 0.7),
    Tabulated([100, 150, 400, 401, 700], [0, 3, 0, 1, 0.5]),
    Tabulated([100, 150, 400], [0.5, 3, 2], "held"),
    QuasiPeriodicEruptions(100, 150, 12, 25, 0.3, 4),
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
    edges = [*np.arange(0, 1501), *model.interval, *pulses(model, 1500)]
    edges += [model.start] if hasattr(model, "start") else []
    edges += [model.start + model.rise] if isinstance(model, FastRiseBurst) else []
    edges += list(model.times) if isinstance(model, Tabulated) else []
    if isinstance(model, Dip):
        edges += [model.start + model.ingress, model.start + model.duration - model.ingress]
    edges = np.unique(np.clip(edges, 0, 1500))
    # Gauss's quadrature of each piece: no model has an edge within it.
    places, weights = np.polynomial.legendre.leggauss(16)
    half = np.diff(edges) / 2
    times = (edges[:-1] + half)[:, None] + half[:, None] * places
    number = np.sum(half * (model.rate(times) @ weights))
    assert model.integral(0, 1500) == pytest.approx(number, rel=1e-8, abs=1e-8)


def pulses(model, stop):
    """Edges of rectangular pulses."""
    if not isinstance(model, Periodic) or model.duty_cycle is None:
        return
    middles = model.start - model.period * (model.phase + np.arange(-stop, stop))
    for edge in (-0.5, 0.5):
        yield from middles + edge * model.duty_cycle * model.period


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


def test_new_bad_settings_are_named():
    with pytest.raises(ConfigError, match=r"PowerLawDecay: index"):
        PowerLawDecay(0, 1, 0)
    with pytest.raises(ConfigError, match=r"PowerLawDecay: stop is 5; it must be after start, 10"):
        PowerLawDecay(10, 1, 1, 5)
    with pytest.raises(ConfigError, match=r"Periodic: pulsed_fraction"):
        Periodic(10, pulsed_fraction=1.1)
    with pytest.raises(ConfigError, match=r"Periodic: phase"):
        Periodic(10, phase=-0.1)
    with pytest.raises(ConfigError, match=r"Periodic: duty_cycle"):
        Periodic(10, duty_cycle=1)
    with pytest.raises(ConfigError, match=r"QuasiPeriodicEruptions: width is 100; .* at most 50"):
        QuasiPeriodicEruptions(0, 400, 100, 5, 0.5)
    with pytest.raises(ConfigError, match=r"QuasiPeriodicEruptions: jitter"):
        QuasiPeriodicEruptions(0, 400, 100, 5, 1)
    with pytest.raises(ConfigError, match=r"QuasiPeriodicEruptions: seed"):
        QuasiPeriodicEruptions(0, 400, 100, 5, seed=-1)
    with pytest.raises(ConfigError, match=r"Dip: ingress is 6; .* half of the duration, 5"):
        Dip(0, 10, 6)
    with pytest.raises(ConfigError, match=r"Dip: depth"):
        Dip(0, 10, 2, 1.5)


@pytest.mark.parametrize(
    ("times", "rates", "outside", "message"),
    [
        ([1, 2], [1], "zero", "2 times and 1 rates"),
        ([1], [1], "zero", "at least two"),
        ([1, 1], [1, 1], "zero", "ascend"),
        ([1, np.nan], [1, 1], "zero", "ascend"),
        ([1, 2], [1, -1], "zero", "rates must"),
        ([1, 2], [1, np.nan], "zero", "rates must"),
        ([1, 2], [0, 0], "zero", "all rates are 0"),
        ([1, 2], [1, 1], "wide", "outside is 'wide'"),
    ],
)
def test_bad_tables_are_named(times, rates, outside, message):
    with pytest.raises(ConfigError, match=message):
        Tabulated(times, rates, outside)


def test_edges_of_a_table():
    curve = Tabulated([10, 20, 30, 40], [0, 0, 2, 0])
    assert curve.interval == (20, 40)
    assert curve.kind == "burst"
    assert curve.rate([9, 30, 41]) == pytest.approx([0, 2, 0])
    assert curve.integral(-1e9, 1e9) == 20
    held = Tabulated([10, 20], [1, 3], "held")
    assert held.rate([0, 15, 99]) == pytest.approx([1, 2, 3])
    assert held.integral(0, 30) == pytest.approx(10 + 20 + 30)
    assert held.inverse(held.cumulative([-50.0, 12.0, 500.0])) == pytest.approx([-50, 12, 500])


def test_mission_times_keep_their_precision():
    late = 8e8
    for model in (
        Tabulated(late + np.array([10.0, 11.0, 12.0]), [0, 1, 0]),
        QuasiPeriodicEruptions(late, 500, 20, 10, 0.2),
        Periodic(0.5, late, duty_cycle=0.2),
        Periodic(0.5, late),
        PowerLawDecay(late, 1.0, 2.0),
        Dip(late, 30, 5, 0.9),
    ):
        times = late + np.array([10.25, 11.3, 11.95])
        inside = model.rate(times) > 1e-3
        assert model.inverse(model.cumulative(times))[inside] == pytest.approx(
            times[inside], abs=1e-5, rel=0
        )


def test_power_law_near_an_index_of_one():
    times = np.array([100.0, 101.0, 1000.0, 1e6])
    exact = PowerLawDecay(100, 10, 1.0).cumulative(times)
    assert exact == pytest.approx([0, *10 * np.log1p((times[1:] - 100) / 10)])
    for index in (1 - 1e-9, 1 + 1e-9):
        near = PowerLawDecay(100, 10, index)
        assert near.cumulative(times) == pytest.approx(exact, rel=1e-6)
        assert near.inverse(exact) == pytest.approx(times, rel=1e-5)
    assert PowerLawDecay(0, 1, 2).interval == pytest.approx((0, 19))
    assert PowerLawDecay(0, 1, 1).interval == (0, np.inf)


def test_eruptions_repeat_with_their_seed():
    first = QuasiPeriodicEruptions(100, 9000, 300, 20, 0.3, seed=5)
    again = QuasiPeriodicEruptions(100, 9000, 300, 20, 0.3, seed=5)
    other = QuasiPeriodicEruptions(100, 9000, 300, 20, 0.3, seed=6)
    assert np.array_equal(first.peaks, again.peaks)
    assert not np.array_equal(first.peaks[1:5], other.peaks[1:5])
    assert first == again
    distances = np.diff(first.peaks)
    assert distances.min() >= 6300
    assert distances.max() <= 11700
    assert first.peaks[-1] > 100 + 1.9 * 86400 - 11700
    assert first.rate(first.peaks) == pytest.approx(21)


def test_pulses_have_mean_one():
    for pulsed_fraction in (0.3, 1.0):
        for duty_cycle in (None, 0.1, 0.7):
            model = Periodic(10, 3, 0.2, pulsed_fraction, duty_cycle)
            assert model.integral(0, 1000) == pytest.approx(1000)
            rates = model.rate(np.linspace(0, 10, 10_000))
            contrast = (rates.max() - rates.min()) / (rates.max() + rates.min())
            assert contrast == pytest.approx(pulsed_fraction, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("constant", Constant()),
        ("box:start=1000,duration=50", BoxBurst(6000, 50)),
        (" gauss : centre = 1e3 , width = 50 ", GaussianBurst(6000, 50)),
        ("fred:start=-10,rise=1,decay=5", FastRiseBurst(4990, 1, 5)),
        ("powerlaw:start=0,scale=10,index=1", PowerLawDecay(5000, 10, 1)),
        ("powerlaw:start=0,scale=10,index=1,stop=90", PowerLawDecay(5000, 10, 1, 5090)),
        ("eclipse:start=5,duration=9", Eclipse(5005, 9)),
        ("eclipse:start=5,duration=9,depth=0.5,ingress=2", Dip(5005, 9, 2, 0.5)),
        ("periodic:period=7", Periodic(7, 5000)),
        ("periodic:period=7,start=3,duty_cycle=0.2", Periodic(7, 5003, duty_cycle=0.2)),
        (
            "qpe:start=9,recurrence=900,width=9,amplitude=4,seed=3,jitter=0.1",
            QuasiPeriodicEruptions(5009, 900, 9, 4, 0.1, 3),
        ),
        ({"model": "box", "start": 1000, "duration": 50.0}, BoxBurst(6000, 50)),
    ],
    ids=str,
)
def test_light_curves_from_text(text, model):
    assert parse_light_curve(text, 5000.0) == model


def test_a_seed_from_text_is_a_whole_number():
    made = parse_light_curve("qpe:start=9,recurrence=900,width=9,amplitude=4,seed=3")
    assert repr(made).endswith("seed=3)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no light curve ''; there are constant, box"),
        ("sawtooth:period=3", "no light curve 'sawtooth'"),
        ("box:start=1", "box lacks duration; it takes start, duration"),
        ("box:start=1,duration=2,width=3", "box has no parameter width; it takes start, duration"),
        ("constant:rate=3", "constant has no parameter rate; it takes none"),
        ("box:start=1,duration=long", "duration is long; it must be a number"),
        ("box:start=nan,duration=1", "start is nan"),
        ("box:start=1,duration=-5", "BoxBurst: duration is -5"),
        ("box:start=1,start=2,duration=5", "'start' is given twice"),
        ("box:start,duration=5", "'start' has no value"),
        ("qpe:start=1,recurrence=900,width=9,amplitude=4,seed=1.5", "seed is 1.5"),
        ("table:outside=zero", "table lacks file"),
        ("table:file=x.csv", "none can be read"),
        ("table:file=x.csv,outside=open", "outside is open; it must be zero or held"),
        ("table:file=x.csv,times=utc", "times is utc; it must be relative or absolute"),
        ({"model": "box", "start": True, "duration": 5}, "start is True"),
        ({"start": 1, "duration": 5}, "no light curve ''"),
    ],
    ids=str,
)
def test_wrong_text_is_named(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_light_curve(text)


def test_table_from_text():
    content = "# measured\n\nrate, time\n0,0\n2,10\n# pause\n0,20\n"
    for times, first in (("relative", 5000.0), ("absolute", 0.0)):
        curve = parse_light_curve(
            f"table:file=dir/flare.csv,times={times},outside=held",
            5000.0,
            {"dir/flare.csv": content}.get,
        )
        assert curve.times.tolist() == [first, first + 10, first + 20]
        assert curve.rates.tolist() == [0, 2, 0]
        assert curve.outside == "held"
    assert set(LIGHT_CURVES) > {"box", "table"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"^f\.csv is empty"),
        ("# only\n", r"^f\.csv is empty"),
        ("time,counts\n1,2\n", r"^f\.csv, line 1: the column rate is missing.*time, counts is"),
        ("1,2\n3,4\n", r"line 1: the column time and rate is missing"),
        ("time,rate\n1,2\n", r"^f\.csv has 1 rows"),
        ("time,rate\n1,2\n2,-3\n", r"^f\.csv, line 3: the rate is -3; it must not be negative"),
        ("time,rate\n1,2\n\n2,nan\n", r"^f\.csv, line 4: the rate is nan; it must be a number"),
        ("time,rate\n1,2\n2\n", r"^f\.csv, line 3: the rate is missing"),
        ("time,rate\n1,2\ntwo,3\n", r"^f\.csv, line 3: the time is two"),
        ("time,rate\n1,2\n1,3\n", r"^f\.csv, line 3: the time is 1; it must be after .* 1\."),
        ("time,rate\n1,0\n2,0\n", r"^f\.csv has no rate above 0"),
    ],
)
def test_bad_files_are_named_with_their_line(content, message):
    with pytest.raises(ConfigError, match=message):
        tabulated_from_csv(content, "f.csv")
