"""Artefacts of edges and merging: all the field changes, and the source no more than that."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exod.errors import InputError
from exod.sources.vetting.artefacts import (
    ArtefactRule,
    amplitude,
    is_artefact,
    is_artefact_of_rates,
    rebin,
)

EVENT = 20


def cube(seed, *, factor=1.0, source=1.0, at=EVENT, level=2.0, extra=0.0, n_frames=41):
    """Poisson counts of 15 x 15 cells; in one frame all of them, or the source, change."""
    random = np.random.default_rng(seed)
    mean = np.full((n_frames, 15, 15), level)
    mean[:, 6:9, 6:9] += extra
    mean[at] *= factor
    mean[at, 6:9, 6:9] *= source
    return random.poisson(mean)


def verdict(counts, kind, frame=EVENT, **options):
    source = counts[:, 6:9, 6:9].sum(axis=(1, 2))
    return is_artefact(source, counts.sum(axis=(1, 2)) - source, frame, kind, **options)


def share(kind, n=40, **options):
    """How often simulated events are rejected."""
    return float(np.mean([verdict(cube(seed, **options), kind) for seed in range(n)]))


@pytest.mark.parametrize(("kind", "factor"), [("peak", 3.0), ("eclipse", 0.3)])
def test_changes_of_the_whole_field_are_rejected(kind, factor):
    """A source as bright as the field around it, so that its own noise is small beside 0.25."""
    assert share(kind, factor=factor, level=30.0) > 0.9


@pytest.mark.parametrize(("kind", "source"), [("peak", 5.0), ("eclipse", 0.1)])
def test_changes_of_the_source_alone_are_kept(kind, source):
    assert share(kind, source=source) == 0


def test_a_source_that_does_more_than_the_field_is_kept():
    assert share("peak", factor=2.0, source=4.0, level=30.0) == 0
    assert share("eclipse", factor=0.7, source=0.1, level=30.0) == 0


def test_noise_of_the_field_rejects_nothing():
    """A bright source that brightens by a fifth: less than the tolerance, in a quiet field."""
    assert share("peak", n=100, source=1.2, extra=300.0) <= 0.02


@pytest.mark.parametrize("frame", [0, 1, 40])
def test_events_at_the_ends(frame):
    """Half a frame at an end: fewer frames to compare with, and the same verdict."""
    counts = cube(1, factor=0.4, at=frame, level=30.0)
    assert verdict(counts, "eclipse", frame)
    assert not verdict(counts, "peak", frame)


def reference(source, rest, frame, kind):
    """The words of the rule, frame by frame (method.md, Artefacts)."""
    near = [f for f in range(frame - 5, frame + 6) if 0 <= f < len(source) and f != frame]
    sign = 1 if kind == "peak" else -1
    if not near:
        return False
    mean_source, mean_rest = (sum(n[f] for f in near) / len(near) for n in (source, rest))
    if mean_rest == 0:
        significant, of_rest = sign * rest[frame] > 0, np.inf
    else:
        error = (mean_rest + mean_rest / len(near)) ** 0.5
        significant = sign * (rest[frame] - mean_rest) >= 3 * error
        of_rest = (rest[frame] - mean_rest) / mean_rest
    if mean_source == 0:
        return False
    of_source = (source[frame] - mean_source) / mean_source
    return bool(significant and sign * (of_source - of_rest) < 0.25)


curves = st.integers(1, 15).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 20), min_size=n, max_size=n),
        st.lists(st.integers(0, 500), min_size=n, max_size=n),
        st.integers(0, n - 1),
    )
)


@given(curves, st.sampled_from(["peak", "eclipse"]))
@example(([1, 0], [0, 18], 0), "eclipse")
def test_the_rule_is_that_of_method_9(curve, kind):
    source, rest, frame = curve
    assert is_artefact(source, rest, frame, kind) == reference(source, rest, frame, kind)


def test_frames_without_data_are_no_reference():
    n = np.array([np.nan, 10.0, 20.0, np.nan, 10.0])
    assert amplitude(n, 2).relative == 1.0
    assert np.isnan(amplitude(n, 0).relative)
    assert np.isnan(amplitude([3.0], 0).relative)
    assert np.isnan(amplitude([0, 0, 0], 1).relative)
    assert amplitude([0, 1, 0], 1).relative == np.inf
    assert not is_artefact([np.nan] * 3, [1, 9, 1], 1, "peak")


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="no frame 3"):
        amplitude([1, 2, 3], 3)
    with pytest.raises(InputError, match="differ in length"):
        is_artefact([1, 2], [1], 0, "peak")
    with pytest.raises(InputError, match="not 'dip'"):
        is_artefact([1], [1], 0, "dip")
    with pytest.raises(InputError, match="at least one reference frame"):
        ArtefactRule(reference_frames=0)


# -------------------------------------------------------------------- rates


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(0, 9)), max_size=6),
    st.integers(-3, 10),
    st.integers(1, 9),
)
def test_rebinned_counts_are_those_of_each_second(bins, first, width):
    """Bins of whole seconds, with gaps: the counts of each second, added."""
    seconds = np.full(60, np.nan)
    start, widths, counts, now = [], [], [], 0
    for gap, length, n in bins:
        now += gap
        start.append(float(now))
        widths.append(float(length))
        counts.append(n)
        seconds[now + 10 : now + length + 10] = n / length
        now += length
    new = np.arange(first, 20, width, dtype=float)
    found = rebin(np.array(start), np.array(widths), counts, new, float(width))
    for begin, value in zip(new, found, strict=True):
        own = seconds[int(begin) + 10 : int(begin) + width + 10]
        expected = np.nan if np.isnan(own).all() else np.nansum(own)
        assert value == pytest.approx(expected, nan_ok=True)


def light_curve(t_bin, n, event):
    strength = np.where(np.arange(len(n)) == event, 9.0, 0.0)
    time = 1e6 + np.arange(len(n)) * t_bin
    return pd.DataFrame(
        {"time": time, "n": n, "mu": 1.0, "B_peak_log": strength, "B_eclipse_log": strength}
    )


def exposure_rates(n, width=100.0):
    return pd.DataFrame({"time": 1e6 + np.arange(len(n)) * width, "width": width, "n": n})


@pytest.mark.parametrize("t_bin", [5.0, 50.0, 200.0])
def test_the_field_is_read_from_the_rates_of_all_exposures(t_bin):
    n_bins = 40
    dip = np.full(n_bins, 500)
    dip[20:22] = 100
    frames = int(n_bins * 100 / t_bin)
    time = np.arange(frames) * t_bin
    inside = (time >= 2000) & (time < 2200)
    event = int(np.argmax(inside))
    curve = light_curve(t_bin, np.where(inside, 2, 10), event)
    both = pd.concat([exposure_rates(dip), exposure_rates(dip)])
    assert is_artefact_of_rates(curve, t_bin, "eclipse", both)
    assert not is_artefact_of_rates(curve, t_bin, "peak", both)
    steady = exposure_rates(np.full(n_bins, 500))
    assert not is_artefact_of_rates(curve, t_bin, "eclipse", steady)
    assert not is_artefact_of_rates(curve, t_bin, "eclipse", steady.iloc[:0])


def test_a_short_last_bin_of_the_rates_changes_nothing():
    """Short frames are compared in the bins of the rates, whatever is left at the end."""
    dip = np.full(40, 500)
    dip[20] = 100
    n = np.full(800, 2)
    n[410] = 0
    curve = light_curve(5.0, n, 410)
    end = pd.DataFrame({"time": [1e6 + 4000.0], "width": 2.5, "n": 12})
    for rates in (exposure_rates(dip), pd.concat([exposure_rates(dip), end])):
        assert is_artefact_of_rates(curve, 5.0, "eclipse", rates)


def test_light_curves_without_expectation_are_no_artefacts():
    curve = light_curve(50.0, np.full(10, 3), 4).assign(mu=0.0, B_peak_log=np.nan)
    assert not is_artefact_of_rates(curve, 50.0, "peak", exposure_rates([5, 5, 5, 5, 5]))
    early = light_curve(5.0, np.full(10, 3), 4).assign(time=np.arange(10) * 5.0)
    assert not is_artefact_of_rates(early, 5.0, "peak", exposure_rates([5, 5]))
