"""The simulated twin of a real observation looks like it, and the picture of both."""

import numpy as np
import pytest

from benchmarks.twin import FILES, RADII, compare
from benchmarks.twin_picture import Measured, simulator_comparison
from exod.plots.drawing import save_figure


@pytest.fixture(scope="module")
def both(data_dir):
    folder = data_dir / "xmm" / "0001730201"
    if not all((folder / name).exists() for name in FILES.values()):
        pytest.skip("the event lists of 0001730201 are not among the test data")
    return compare(folder, weathers=3)


def total(curve, low, high):
    edges, rate = curve
    chosen = (edges[:-1] >= low) & (edges[1:] <= high)
    return float((rate * np.diff(edges))[chosen].sum())


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize(
    ("component", "tolerance"), [("quiet", 0.12), ("outside the field", 0.12), ("flares", 0.25)]
)
def test_background_spectra_agree(both, component, tolerance):
    real, simulated = both
    for low, high in ((0.2, 2), (2, 10), (10, 12)):
        found = total(simulated.spectra[component], low, high)
        assert found == pytest.approx(total(real.spectra[component], low, high), rel=tolerance)


@pytest.mark.realdata
@pytest.mark.slow
def test_core_of_the_psf_agrees(both):
    shares = []
    for measured in both:
        area = np.pi * np.diff(RADII**2)
        within = ((measured.profile[1] - measured.background) * area).cumsum()
        at = {radius: within[np.searchsorted(RADII, radius) - 1] for radius in (3, 5, 10)}
        shares.append([at[3] / at[10], at[5] / at[10]])
    assert shares[1] == pytest.approx(shares[0], abs=0.03)


def flat(value):
    edges = np.array([0.2, 1.0, 12.0])
    spectra = dict.fromkeys(("quiet", "outside the field", "flares"), (edges, np.full(2, value)))
    curve = (np.array([0.0, 1.0, 2.0]), np.array([value, value / 2]))
    rates = (np.array([value, 2 * value]),)
    return Measured(spectra, curve, value / 10, curve, rates, rates)


def test_picture_has_four_labelled_panels(tmp_path):
    figure = simulator_comparison(flat(1.0), flat(1.2), "a title")
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        assert axes.get_legend() is not None
    assert save_figure(figure, tmp_path / "x.png").stat().st_size > 10_000
