"""Features of many light curves at once equal those of a plain loop with pandas and scipy."""

import numpy as np
import pandas as pd
import pytest
from helpers.examples import portion
from helpers.features import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.counts.bayes import log10_b_eclipse, log10_b_peak, threshold
from exod.errors import InputError
from exod.schemas import FEATURES
from exod.sources.vetting.episodes import Segments, episodes, local_maxima, spacing
from exod.sources.vetting.features import Curves, features, ks_test

T_BINS = (5.0, 50.0, 200.0, 12.0, 1500.0)


def make_curve(seed: int, length: int, kind: str) -> pd.DataFrame:
    """A light curve: steady, varying, constant, empty of counts, all bad time, or all NaN."""
    random = np.random.default_rng(seed)
    mu = random.choice([0.01, 0.5, 20.0]) * np.exp(random.normal(0, 0.5, length))
    n = random.poisson(mu)
    bti, bccd = random.random((2, length)) < 0.3
    if kind == "bursts" and length:
        for _ in range(random.integers(1, 5)):
            n[random.integers(length) :][: random.integers(1, 4)] += random.integers(5, 60)
        n[random.random(length) < 0.2] = 0
    elif kind == "constant":
        n, mu = np.full(length, 2), np.full(length, 0.3)
    elif kind == "dark":
        n = np.zeros(length, int)
    elif kind == "bad":
        bti = np.ones(length, bool)
    elif kind == "unknown":
        mu = np.zeros(length)
    elif kind == "bright":
        n = n + 5_000_000 * (random.random(length) < 0.3)
    mu = np.where(bccd & (kind != "constant"), 0.0, mu).astype(np.float32)
    b_peak, b_eclipse = log10_b_peak(n, mu), log10_b_eclipse(n, mu)
    if kind == "plateaus":
        b_peak = random.choice([np.nan, 0.0, 6.4, 7.0, 9.0], length)
        b_eclipse = random.choice([np.nan, -1.0, 5.5, 8.0], length)
    return pd.DataFrame(
        {"n": n.astype(np.int32), "mu": mu, "bti": bti, "bccd": bccd}
        | {"B_peak_log": b_peak, "B_eclipse_log": b_eclipse}
    )


def joined(parts: list[pd.DataFrame], t_bins: list[float]) -> Curves:
    offsets = np.cumsum([0, *map(len, parts)])
    frame = pd.concat([make_curve(0, 0, "steady"), *parts])
    names = ("n", "mu", "bti", "bccd", "B_peak_log", "B_eclipse_log")
    return Curves(offsets, np.array(t_bins), *(frame[name].to_numpy() for name in names))


def assert_equal_reference(parts: list[pd.DataFrame], t_bins: list[float]) -> None:
    found = pd.DataFrame(features(joined(parts, t_bins)))
    expected = [reference(part, t_bin) for part, t_bin in zip(parts, t_bins, strict=True)]
    assert len(found) == len(parts)
    for row, wanted in enumerate(expected):
        assert list(wanted) == list(found)
        for name, value in wanted.items():
            np.testing.assert_allclose(
                float(found[name][row]), float(value), rtol=2e-9, atol=1e-11, err_msg=name
            )


KINDS = ("steady", "bursts", "constant", "dark", "bad", "unknown", "plateaus", "bright")
CURVES = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.one_of(st.integers(0, 4), st.integers(0, 150)),
        st.sampled_from(KINDS),
        st.sampled_from(T_BINS),
    ),
    min_size=0,
    max_size=6,
)


@given(CURVES)
@settings(max_examples=portion(60), deadline=None)
def test_features_equal_a_plain_loop(cases):
    parts = [make_curve(seed, length, kind) for seed, length, kind, _ in cases]
    assert_equal_reference(parts, [t_bin for *_, t_bin in cases])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_short_light_curves(kind, length):
    assert_equal_reference([make_curve(length, length, kind)] * 2, [5.0, 200.0])


def test_long_light_curves_take_the_asymptotic_p():
    parts = [make_curve(seed, length, "bursts") for seed, length in ((1, 9_999), (2, 12_000))]
    assert_equal_reference(parts, [5.0, 5.0])


def test_nothing_and_one_frame_are_as_documented():
    found = pd.DataFrame(
        features(joined([make_curve(0, 0, "steady"), make_curve(0, 1, "constant")], [5.0, 5.0]))
    )
    empty, one = found.iloc[0], found.iloc[1]
    assert empty["n_max_index"] == -1
    assert empty["n_sum"] == empty["n_peaks"] == empty["length"] == 0
    nan = [
        "ratio_bti",
        "n_max",
        "n_mean",
        "n_std",
        "mu_min",
        "ks_stat",
        "ks_pval",
        "max_B_peak_log",
    ]
    assert empty[[*nan, "sigma_eclipse"]].isna().all()
    assert one["n_max"] == one["n_mean"] == 2
    assert one[["n_std", "n_skew", "n_kurt"]].isna().all()
    assert one["n_max_first_bin"]
    assert one["n_max_last_bin"]
    assert not one["n_max_isolated"]


def test_bad_time_is_counted_apart():
    curve = make_curve(3, 200, "plateaus").assign(bti=True)
    found = {name: value[0] for name, value in features(joined([curve], [50.0])).items()}
    assert found["ratio_bti"] == 1
    assert found["n_3_sig_peak_bins"] == found["n_3_sig_peak_bins_bti"] > 0
    assert found["n_3_sig_peak_bins_gti"] == 0


def test_moments_take_frames_that_are_live_in_part_as_whole_ones():
    """As published; the rate is that of live time, and Bayes factors expect less in such frames."""
    live = np.repeat([1.0, 0.5, 0.0], 20)
    n, mu, good = np.rint(8 * live).astype(int), 8 * live, np.zeros(len(live), bool)
    b = log10_b_peak(n, mu), log10_b_eclipse(n, mu)
    curves = Curves(np.array([0, len(n)]), np.array([50.0]), n, mu, good, good, *b)
    found = {name: value[0] for name, value in features(curves).items()}
    assert found["n_mean"] == found["mu_mean"] == 4
    assert found["n_sum"] / live.sum() == 8
    assert found["n_local_peaks"] == found["n_local_eclipses"] == found["n_peaks"] == 0


def test_limits_belong_to_the_significant_but_not_to_episodes():
    curve = make_curve(0, 3, "dark").assign(bti=False)
    peak = curve.assign(B_peak_log=[threshold(3, "peak"), 6.4, threshold(5, "peak")])
    found = features(joined([peak], [5.0]))
    assert (found["n_3_sig_peak_bins"], found["n_5_sig_peak_bins_gti"]) == (3, 1)
    at_limit = curve.assign(B_peak_log=[0.0, 6.4, 0.0], B_eclipse_log=[5.5, 0.0, 0.0])
    found = features(joined([at_limit], [5.0]))
    assert found["n_peaks"] == found["n_local_peaks"] == found["n_local_eclipses"] == 0


def test_every_feature_is_a_declared_column():
    names = [column.name for column in FEATURES.columns]
    first, last = names.index("length"), names.index("n_5_sig_eclipse_bins_gti")
    assert list(features(joined([], []))) == names[first : last + 1]


def test_published_spacings_and_the_rule_between():
    assert spacing([5, 50, 200]).tolist() == [1000, 100, 5]
    assert spacing([1, 6, 199.9, 4000]).tolist() == [5000, 833, 25, 5]


def test_episodes_and_maxima_do_not_leak_into_the_next_light_curve():
    segments = Segments(np.array([0, 2, 4]))
    assert episodes(segments, np.array([False, True, True, False]), np.array([9, 9])).tolist() == [
        1,
        1,
    ]
    values = np.array([1.0, 9.0, 9.0, 8.0])
    assert local_maxima(segments, values, 5.0).tolist() == [1, 1]
    assert local_maxima(Segments(np.array([0, 4])), values, 5.0).tolist() == [1]


def test_expectations_that_are_no_numbers_have_no_test():
    mu = np.array([1.0, np.nan, 2.0, 1.0, np.inf])
    statistic, p = ks_test(Segments(np.array([0, 2, 3, 5])), np.arange(5), mu)
    assert np.isnan(statistic).tolist() == np.isnan(p).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("offsets", "t_bin"),
    [([0, 4], [5.0]), ([1, 3], [5.0]), ([0, 2, 1, 3], [5.0] * 3), ([0, 3], [])],
)
def test_arrays_that_do_not_fit_are_told(offsets, t_bin):
    curve = make_curve(0, 3, "steady")
    with pytest.raises(InputError, match="light curves"):
        Curves(np.array(offsets), np.array(t_bin), *(curve[name].to_numpy() for name in curve))
