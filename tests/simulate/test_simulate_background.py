"""Simulated background: spectra, fluorescence lines, vignetting of each component."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.instruments import CAMERAS
from exod.instruments.detector import DETECTORS
from exod.instruments.vignetting import VIGNETTING, node_weights
from exod.sensitivity.exposuremaps import MapGrid, SeenTime, exposure_map
from exod.simulate import ExposureModel, ObservationModel, SoftProtonFlare, simulate
from exod.simulate.background import SKY_RATE, mean_vignetting
from exod.simulate.camera.spectra import LINES, SKY, Spectrum, blurred, lognormal_quantile, pi_of
from exod.simulate.photons import ORIGIN_FLARE, ORIGIN_PARTICLE, ORIGIN_SKY

START = 6.0e8


@pytest.fixture(scope="module")
def lists():
    """pn and MOS1 with one long flare; 30 ks."""
    exposures = tuple(
        ExposureModel(camera, "S001", START, 30_000.0, filter="Thick")
        for camera in ("EPN", "EMOS1")
    )
    flare = SoftProtonFlare(START, 30_000.0, 5.0)
    model = ObservationModel("0900000101", 83.2, -5.4, 30.0, exposures, flares=(flare,))
    return simulate(model, seed=7).event_lists


def energies(simulated, origin):
    return simulated.events.pi[simulated.origin == origin] / 1000


def angles(simulated, origin):
    mine = simulated.origin == origin
    detector = DETECTORS[simulated.exposure.instrument]
    return detector.off_axis_arcmin(simulated.detx[mine], simulated.dety[mine])


nodes = st.lists(st.tuples(st.floats(0.1, 2), st.floats(0.01, 10)), min_size=2, max_size=6).map(
    lambda rows: (np.cumsum([e for e, _ in rows]), [d for _, d in rows])
)


@given(nodes, st.floats(0.001, 0.999))
def test_quantile_inverts_the_integral(spectrum_nodes, share):
    energy, density = spectrum_nodes
    spectrum = Spectrum(tuple(energy.tolist()), tuple(density))
    found = float(spectrum.quantile(np.array([share]))[0])
    below, whole = (spectrum.integral(energy[0], e) for e in (found, energy[-1]))
    assert below == pytest.approx(share * whole, rel=1e-3, abs=1e-9)


@given(st.floats(0.3, 8), st.floats(0.01, 0.99))
def test_source_spectra_stay_in_the_band(median, share):
    energy = lognormal_quantile(median, np.array([0.0, share, 1.0]))
    assert 0.2 <= energy[0] <= energy[1] <= energy[2] <= 12


def test_resolution_at_a_line():
    generator = np.random.default_rng(3)
    for camera, width in (("EPN", 0.157), ("EMOS1", 0.139), ("EMOS2", 0.139)):
        spread = blurred(np.full(20_000, 5.9), camera, generator).std() * 2.355
        assert spread == pytest.approx(width, rel=0.03)
    assert pi_of(np.array([-1.0, 0.5, 1e9])).tolist() == [1, 500, 32_000]


@pytest.mark.parametrize("index", [0, 1])
def test_lines_stand_out_of_the_particles(lists, index):
    simulated = lists[index]
    energy = energies(simulated, ORIGIN_PARTICLE)
    for line in LINES[simulated.exposure.instrument]:
        if line.share < 0.05:
            continue  # too weak, or beside a stronger one
        near = np.count_nonzero(np.abs(energy - line.energy_kev) < 0.1) / 0.2
        beside = np.abs(np.abs(energy - line.energy_kev) - 0.35) < 0.1
        assert near > 1.2 * np.count_nonzero(beside) / 0.4


def test_copper_has_a_hole_and_aluminium_has_none(lists):
    energy, angle = energies(lists[0], ORIGIN_PARTICLE), angles(lists[0], ORIGIN_PARTICLE)
    for low, high, inner in ((7.9, 8.2, 0.6), (1.4, 1.6, 1.0)):
        line = (energy > low) & (energy < high)
        shares = [line[angle < 5.5].mean(), line[angle > 7].mean()]
        if inner < 1:
            assert shares[0] < inner * shares[1]
        else:
            assert shares[0] == pytest.approx(shares[1], rel=0.15)


@pytest.mark.parametrize("index", [0, 1])
def test_protons_are_flatter_than_light_and_harder(lists, index):
    shares, hard = [], []
    for origin in (ORIGIN_SKY, ORIGIN_FLARE):
        angle = angles(lists[index], origin)
        shares.append((angle > 9).mean())
        hard.append((energies(lists[index], origin) > 5).mean())
    assert shares[1] > 1.15 * shares[0]
    assert hard[1] > 3 * hard[0]


@pytest.mark.parametrize("index", [0, 1])
def test_filter_and_rate_of_the_sky(lists, index):
    simulated = lists[index]
    sky = simulated.good & (simulated.origin == ORIGIN_SKY)
    expected = 0.6 * SKY_RATE[simulated.exposure.instrument]
    assert sky.sum() / 30_000 == pytest.approx(expected, rel=0.05)


def test_mean_vignetting_lies_between_that_of_the_energies():
    light = VIGNETTING["EPN"]
    place = light.axis[0] + np.linspace(1, 15, 8) * 1200, np.full(8, light.axis[1])
    mean = mean_vignetting(light, SKY["EPN"], *place)
    assert (mean < light.at(*place, 0.5)).all()
    assert (mean > light.at(*place, 10.0)).all()


@pytest.mark.parametrize("index", [0, 1])
def test_light_of_an_even_sky_over_its_exposure_is_constant(lists, index):
    simulated = lists[index]
    camera = simulated.exposure.instrument
    live = dict.fromkeys(range(1, CAMERAS[camera].n_ccds + 1), 30_000.0)
    none = np.empty(0, np.int64)
    grid = MapGrid.of(83.2, -5.4, 20.0)
    found = exposure_map(SeenTime(camera, "PrimeFullWindow", 30.0, live, none, none * 1.0), grid)
    weights = node_weights(SKY[camera].quantile((np.arange(64) + 0.5) / 64)).mean(axis=0)
    exposure = found.on * (found.light @ weights)
    sky = simulated.good & (simulated.origin == ORIGIN_SKY)
    edges = grid.width * np.arange(grid.n + 1)
    events = simulated.events
    counts = np.histogram2d(events.y[sky], events.x[sky], (edges, edges))[0]
    # Blocks of 5 arcmin.
    first = np.arange(0, grid.n, 15)
    blocks = [
        np.add.reduceat(np.add.reduceat(image, first, 0), first, 1) for image in (counts, exposure)
    ]
    n, expected = blocks[0], blocks[1] * counts.sum() / exposure.sum()
    used = expected > 100
    assert used.sum() > 15
    n, expected = n[used], expected[used]
    assert np.abs(n / expected - 1).mean() < 0.05
    pull = (n - expected) / np.sqrt(expected)
    # Photons during the read-out of pn lie elsewhere in their columns.
    assert (pull**2).mean() < (1.6 if camera == "EMOS1" else 3)
