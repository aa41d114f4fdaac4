"""Measure what the simulator is built on, and compare it with a real observation.

``python -m benchmarks.simulator psf`` fits the PSF to the tables of encircled energy,
``python -m benchmarks.simulator compare OUT.png`` draws the simulator beside 0001730201.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.optimize import least_squares

from benchmarks import data_folder
from benchmarks.twin import compare
from benchmarks.twin_picture import Measured, simulator_comparison
from exod.instruments.detector import DETECTORS
from exod.instruments.king import KingProfile
from exod.instruments.pointspread import (
    ENERGIES_KEV,
    GAUSSIAN_SHARE,
    GAUSSIAN_SIGMA_ARCSEC,
    NORMALISATION_ARCSEC,
    OFF_AXIS_ARCMIN,
)
from exod.plots.drawing import save_figure

FRACTIONS = np.array([0.6, 0.7, 0.8])
"""Encircled energies that the tables give."""

CENTRAL_ARCMIN = 3.0
"""Positions nearer to the axis count as on axis."""


def encircled_energy(folder: Path, camera: str, energy_kev: float) -> dict[str, np.ndarray]:
    """The table of encircled energy of a camera at an energy, positions off the chips left out.

    Each row has three ellipses (60, 70, 80 per cent) as semi-major axis (arcsec), ellipticity
    (1 - ratio of the axes) and angle (degrees). The angle follows the azimuth of the position, so
    it counts from DETY if the long axis is tangential, as images of the telescopes show it.

    Returns
    -------
    dict
        ``angle``, off-axis angle in arcmin, shape (n,); ``radius``, that of the circle of equal
        area in arcsec, and ``ratio`` of the axes, shape (n, 3).
    """
    rows = fits.getdata(folder / f"psf_{camera}_{energy_kev * 1000:.0f}.fits", 1)
    rows = rows[rows["EEF60"][:, 0] > 0]
    ellipses = np.stack([rows[f"EEF{level}"] for level in (60, 70, 80)], axis=1).astype(float)
    ratio = 1 - ellipses[..., 1]
    return {
        "angle": DETECTORS[camera].off_axis_arcmin(rows["DETX"], rows["DETY"]),
        "radius": ellipses[..., 0] * np.sqrt(ratio),
        "ratio": ratio,
    }


def fit_king(camera: str, radius: np.ndarray) -> tuple[float, float, float]:
    """Core, slope and largest misfit in encircled energy of the radii that hold `FRACTIONS`."""
    share, sigma = GAUSSIAN_SHARE[camera], GAUSSIAN_SIGMA_ARCSEC[camera]
    narrow = 1 - np.exp(-0.5 * (radius / sigma) ** 2)

    def misfit(parameters: np.ndarray) -> np.ndarray:
        king = KingProfile(*parameters)
        wide = king.fraction(radius) / king.fraction(NORMALISATION_ARCSEC)
        return (1 - share) * wide + share * narrow - FRACTIONS

    found = least_squares(misfit, [6.0, 1.5], bounds=([1.0, 1.05], [20.0, 4.0]))
    return float(found.x[0]), float(found.x[1]), float(np.abs(found.fun).max())


def fit_camera(folder: Path, camera: str) -> dict[str, np.ndarray]:
    """The constants of `exod.instruments.pointspread` for a camera.

    Returns
    -------
    dict
        By energy: ``core`` (arcsec), ``slope``, ``misfit``, ``stretch`` (off-axis angle at which
        the ratio of the axes is 1/e, arcmin); by off-axis angle: ``size``, relative to the axis.
    """
    columns: dict[str, list[float]] = {name: [] for name in ("core", "slope", "misfit", "stretch")}
    sizes = []
    for energy in ENERGIES_KEV:
        table = encircled_energy(folder, camera, energy)
        angle = table["angle"]
        central = np.median(table["radius"][angle < CENTRAL_ARCMIN], axis=0)
        for name, value in zip(columns, fit_king(camera, central), strict=False):
            columns[name].append(value)
        squeezed, square = -np.log(table["ratio"]), angle[:, None] ** 2
        columns["stretch"].append(float(np.sqrt((square**2).sum() * 3 / (square * squeezed).sum())))
        rings = [np.abs(angle - ring) <= 1 for ring in OFF_AXIS_ARCMIN]
        sizes.append([np.median(table["radius"][ring] / central) for ring in rings])
    return {name: np.array(values) for name, values in columns.items()} | {
        "size": np.mean(sizes, axis=0)
    }


def print_psf(folder: Path) -> None:
    for camera in DETECTORS:
        found = fit_camera(folder / "psf", camera)
        print(f"\n{camera}\nkeV    core  slope  misfit  stretch")
        for row in zip(
            ENERGIES_KEV,
            *(found[name] for name in ("core", "slope", "misfit", "stretch")),
            strict=True,
        ):
            print("{:<5g}{:6.2f} {:6.3f} {:7.4f} {:8.2f}".format(*row))
        print("size", *(f"{size:.3f}" for size in found["size"]))


def print_comparison(real: Measured, simulated: Measured) -> None:
    """The figures of docs/simulator.md."""
    for name, (edges, rate) in real.spectra.items():
        for low, high in ((0.2, 2), (2, 10), (10, 12)):
            chosen = (edges[:-1] >= low) & (edges[1:] <= high)
            both = (rate, simulated.spectra[name][1])
            sums = [float((r * np.diff(edges))[chosen].sum()) for r in both]
            print(f"{name}, {low}-{high} keV: real {sums[0]:.3f}, simulated {sums[1]:.3f} counts/s")
    radii, area = real.profile[0], np.pi * np.diff(real.profile[0] ** 2)
    within = [((m.profile[1] - m.background) * area).cumsum() for m in (real, simulated)]
    for radius in (3.0, 5.0, 10.0, 15.0, 30.0, 60.0):
        shares = [w[np.searchsorted(radii, radius) - 1] for w in within]
        print(f"within {radius:g} arcsec: real {shares[0]:.0f}, simulated {shares[1]:.0f}")
    shares = (5, 25, 50, 75, 95, 100)
    print("rate percentiles", shares)
    print("  real     ", np.percentile(real.rates[0], shares).round(2))
    print("  simulated", np.mean([np.percentile(r, shares) for r in simulated.rates], 0).round(2))
    print("  real, 10-12 keV     ", np.percentile(real.hard_rates[0], shares).round(2))
    hard = [np.percentile(r, shares) for r in simulated.hard_rates]
    print("  simulated, 10-12 keV", np.mean(hard, axis=0).round(2))
    for name, measured in (("real", real), ("simulated", simulated)):
        count, share = measured.cells[0][:-1], measured.cells[1] / measured.cells[1].sum()
        mean = (count * share).sum()
        print(f"cells, {name}: mean {mean:.2f}, variance {((count - mean) ** 2 * share).sum():.2f}")


def main() -> None:
    """Run one of the commands."""
    warnings.simplefilter("ignore")
    match sys.argv[1:]:
        case ["psf"]:
            print_psf(data_folder())
        case ["compare", path]:
            real, simulated = compare(data_folder() / "xmm" / "0001730201")
            title = "0001730201 (MOS1 + MOS2) and its simulated twin"
            print(save_figure(simulator_comparison(real, simulated, title), Path(path)))
            print_comparison(real, simulated)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
