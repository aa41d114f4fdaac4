"""Photons in bins, images and blocks, as the pages make them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.stats import bayesian_blocks
from helpers.javascript import run_module

BLOCKS = "return given.map(({times, p0}) => own.bayesianBlocks(times, p0));"


def events(seed: int) -> np.ndarray:
    """A constant rate, and in some a burst, a dip or times that are equal."""
    random = np.random.default_rng(seed)
    times = random.uniform(0, 1000, random.integers(5, 250))
    if seed % 3 == 1:
        times = np.r_[times, random.normal(random.uniform(0, 1000), 8, 60)]
    if seed % 3 == 2:
        low = random.uniform(0, 700)
        times = times[(times < low) | (times > low + 300)]
    if seed % 2:
        times = np.round(times, 0)
    return np.sort(times)


def test_blocks_are_those_of_astropy():
    given = [{"times": events(seed).tolist(), "p0": [0.05, 0.3][seed % 2]} for seed in range(60)]
    found = run_module("rebin.js", BLOCKS, given)
    several = 0
    for item, own in zip(given, found, strict=True):
        times = np.array(item["times"])
        expected = bayesian_blocks(times, fitness="events", p0=item["p0"])
        np.testing.assert_allclose(own["edges"], expected, rtol=1e-12)
        assert sum(own["counts"]) == len(times)
        counted, _ = np.histogram(times, expected)
        assert own["counts"] == counted.tolist()
        several += len(expected) > 2
    assert 20 < several < 60


def test_blocks_of_nothing_and_of_many():
    random = np.random.default_rng(1)
    many = np.sort(np.r_[random.uniform(0, 1000, 9000), random.uniform(400, 420, 2000)])
    body = "return given.map((times) => own.bayesianBlocks(times, 0.05));"
    nothing, one, same, found = run_module("rebin.js", body, [[], [3], [2, 2], many.tolist()])
    for few in (nothing, one, same):
        assert few["edges"] == []
    assert found["together"] == 3
    assert sum(found["counts"]) == len(many)
    inner = np.array(found["edges"][1:-1])
    assert np.abs(inner - 400).min() < 2
    assert np.abs(inner - 420).min() < 2


@pytest.mark.parametrize("width", [0.1, 0.37, 7.3, 2000.0])
def test_bins_hold_the_photons_that_are_chosen(width: float):
    random = np.random.default_rng(int(width * 10))
    size = 3000
    photons = {
        "obsid": random.choice(["0000000001", "0000000101"], size).tolist(),
        "camera": random.choice(["EPN", "EMOS1"], size).tolist(),
        "time": np.sort(random.uniform(1e8, 1e8 + 900, size)).tolist(),
        "pi": random.integers(200, 12000, size).tolist(),
        "dx": random.integers(-1200, 1201, size).tolist(),
        "dy": random.integers(-1200, 1201, size).tolist(),
        "in_bti": (random.random(size) < 0.2).tolist(),
    }
    body = """
        const { photons, wanted, width } = given;
        const some = own.chosen(photons, wanted);
        const stop = photons.time.at(-1) - wanted.zero;
        const bins = own.rebinned(some.time, width, 0, stop);
        const first = own.firstFrom(some.time, 100);
        const last = own.firstFrom(some.time, 300);
        const image = own.imageOf(some, first, last, 30, 1200);
        const blocks = own.bayesianBlocks(some.time);
        return { some, counts: [...bins.counts], start: [...bins.start], first, last,
          image: [...image], inBlocks: [...own.countsOfBlocks(blocks, bins.start, width)], blocks };
    """
    for good in (False, True):
        wanted = {"obsid": "0000000001", "energy": [500, 2000], "radius": 400, "good": good}
        wanted["zero"] = photons["time"][0]
        found = run_module("rebin.js", body, {"photons": photons, "wanted": wanted, "width": width})
        column = {name: np.array(values) for name, values in photons.items()}
        own = (column["obsid"] == "0000000001") & (column["pi"] >= 500) & (column["pi"] < 2000)
        own &= np.hypot(column["dx"], column["dy"]) <= 400
        own &= ~(column["in_bti"] & good)
        time = column["time"][own] - column["time"][0]
        assert found["some"]["time"] == time.tolist()
        assert sum(found["counts"]) == own.sum() > 0
        number = np.minimum((time / width).astype(int), len(found["counts"]) - 1)
        np.testing.assert_array_equal(
            found["counts"], np.bincount(number, minlength=len(found["counts"]))
        )
        np.testing.assert_allclose(found["start"], np.arange(len(found["start"])) * width)
        inside = (time >= 100) & (time < 300)
        assert (found["first"], found["last"]) == tuple(np.searchsorted(time, [100, 300]))
        assert sum(found["image"]) == inside.sum()
        # East is to the left, north is up: X grows to the west.
        west, north = column["dx"][own][inside], column["dy"][own][inside]
        image, _, _ = np.histogram2d(-north, west, bins=30, range=[[-1200, 1200]] * 2)
        moved = np.abs(image - np.reshape(found["image"], (30, 30))).sum()
        assert moved <= 2 * (np.isin(north % 80, [0]).sum() + np.isin(west % 80, [0]).sum())
        edges, counts = (np.array(found["blocks"][name]) for name in ("edges", "counts"))
        ends = np.r_[found["start"], np.inf]
        expected = np.diff(np.interp(ends, edges, np.r_[0, np.cumsum(counts)]))
        np.testing.assert_allclose(found["inBlocks"], expected, rtol=1e-9, atol=1e-9)
        assert sum(found["inBlocks"]) == pytest.approx(own.sum())


def test_hardness_before_during_and_after_an_event():
    random = np.random.default_rng(3)
    time, pi = np.sort(random.uniform(0, 900, 300)), random.integers(200, 12000, 300)
    pi[time > 500] = 500
    given = {"time": time.tolist(), "pi": pi.tolist()}
    found = run_module("rebin.js", "return own.hardnessAround(given, [300, 500], 2000);", given)
    for name, rows in (
        ("before", time < 300),
        ("during", (time >= 300) & (time < 500)),
        ("after", time >= 500),
    ):
        soft, hard = int((rows & (pi < 2000)).sum()), int((rows & (pi >= 2000)).sum())
        assert (found[name]["soft"], found[name]["hard"]) == (soft, hard)
        assert found[name]["ratio"] == pytest.approx((hard - soft) / (hard + soft))
    variance = 4 * (soft**2 * hard + hard**2 * soft) / (soft + hard) ** 4
    assert found["after"]["error"] == pytest.approx(np.sqrt(variance)) == 0


@pytest.mark.parametrize("radius", [300, 5000])
def test_residuals_are_counts_less_the_image_of_all_as_bright_outside(radius: int):
    random = np.random.default_rng(radius)
    size, cells = 900, 30
    places = random.uniform(-1200, 1200, (2, size))
    photons = {"time": np.sort(random.uniform(0, 900, size)).tolist()}
    photons |= dict(zip(("dx", "dy"), places.tolist(), strict=True))
    body = "return [...own.residualOf(given.photons, 100, 250, 30, 1200, given.radius)];"
    found = run_module("rebin.js", body, {"photons": photons, "radius": radius})

    def image(rows: slice) -> np.ndarray:
        west, north = places[:, rows]
        return np.histogram2d(-north, west, bins=cells, range=[[-1200, 1200]] * 2)[0]

    outside = np.hypot(*places) > radius
    share = outside[100:250].sum() / outside.sum() if outside.any() else 150 / size
    expected = image(slice(100, 250)) - share * image(slice(None))
    np.testing.assert_allclose(np.reshape(found, (cells, cells)), expected, atol=1e-9)
    if not outside.any():
        assert sum(found) == pytest.approx(0, abs=1e-6)


def test_the_last_step_of_a_plot_has_its_width():
    body = "return own.closed(given.starts, 50, given.counts, null);"
    found = run_module("rebin.js", body, {"starts": [0, 50], "counts": [1, 7]})
    assert found == [[0, 50, 100], [1, 7, 7], None]
    nothing = run_module("rebin.js", body, {"starts": [], "counts": []})
    assert nothing == [[], [], None]
