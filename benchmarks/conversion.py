"""Make catalogs/epic_ecf.csv, the counts that a flux gives, and check it on real source lists.

``python -m benchmarks.conversion [FOLDER]`` needs the package ecfxa (A. Ruiz, Clear BSD licence:
``pip install ecfxa``), which exod itself does not. For the spectrum that the pipeline takes (a
power law of photon index 1.7 behind 3e20 hydrogen atoms per cm^2) the numbers are those of the
pipeline: median RATE / FLUX of two thirds of the source lists (OBSMLI), by camera, filter and band.
The thick filter, which no list has, and other spectra come from ecfxa, relative to that.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from ecfxa.xmm import XMMEPIC

from benchmarks import source_lists

HERE = Path(__file__).parent
CODES = {"EPN": "PN", "EMOS1": "M1", "EMOS2": "M2"}
FILTERS = ("Thin", "Medium", "Thick")
EDGES_KEV = (0.2, 0.5, 1.0, 2.0, 4.5, 12.0)
SHAPES = [(g, n) for g in (1.4, 1.7, 2.0, 2.2) for n in (19.0, 20.0, 20.4771, 21.0, 21.5, 22.0)]
REFERENCE = SHAPES.index((1.7, 20.4771))
_CROSS_SECTION = """
0.1   34.6  267.9 -476.1
0.284 78.1  18.8  4.3
0.4   71.4  66.8  -51.4
0.532 95.5  145.8 -61.1
0.707 308.9 -380.6 294.0
0.867 120.6 169.3 -47.7
1.303 141.3 146.8 -31.5
1.84  202.7 104.7 -17.0
2.471 342.7 18.7  0.0
3.21  352.2 18.7  0.0
4.038 433.9 -2.4  0.75
7.111 629.0 30.9  0.0
8.331 701.2 25.2  0.0
"""
"""Photoelectric absorption (Morrison & McCammon 1983, ApJ 270, 119, table 2): lower energy (keV)
and the coefficients c of (c0 + c1 E + c2 E^2) / E^3, in 1e-24 cm^2 a hydrogen atom."""


def energy_shares(gamma: float, log_nh: float) -> np.ndarray:
    """Shares of the flux of 0.2-12 keV in the pipeline's bands 1 to 5."""
    energy = np.geomspace(EDGES_KEV[0], EDGES_KEV[-1], 20_001)
    rows = np.array(_CROSS_SECTION.split(), float).reshape(-1, 4)
    c0, c1, c2 = rows[np.searchsorted(rows[:, 0], energy, "right") - 1, 1:].T
    absorbed = np.exp(-(10 ** (log_nh - 24)) * (c0 + c1 * energy + c2 * energy**2) / energy**3)
    # Energy in a step of the logarithm of the energy.
    power = energy ** (2 - gamma) * absorbed
    total = np.concatenate([[0.0], np.cumsum((power[1:] + power[:-1]) / 2)])
    at_edges = np.interp(np.log(EDGES_KEV), np.log(energy), total)
    return np.diff(at_edges) / at_edges[-1]


def pipeline(paths: list[Path]) -> dict[tuple[str, str], np.ndarray]:
    """Counts cm^2 / erg of the pipeline by camera and filter, shape (5,)."""
    ratios: dict[tuple[str, str], list[np.ndarray]] = {}
    for path in paths:
        with fits.open(path) as file:
            for camera, code in CODES.items():
                name = str(file[0].header.get(f"FILT_{code}")).rstrip("12")
                with np.errstate(all="ignore"):
                    found = [
                        np.asarray(file[1].data[f"{code}_{b}"], float)
                        / np.asarray(file[1].data[f"{code}_{b}_FLUX"], float)
                        for b in range(1, 6)
                    ]
                ratios.setdefault((camera, name), []).append(np.array(found))
    medians = {}
    for key, rows in ratios.items():
        joined = np.concatenate(rows, axis=1)
        if key[1] in FILTERS:
            medians[key] = np.nanmedian(np.where(joined > 0, joined, np.nan), axis=1)
    return medians


def given(camera: str, name: str) -> np.ndarray:
    """Counts cm^2 / erg of ecfxa, shape (n_shapes, 5)."""
    bands = [XMMEPIC(camera, name, str(band)) for band in range(1, 6)]
    return np.array([[float(b(10**n, g).value) for b in bands] for g, n in SHAPES])


def table(measured: dict[tuple[str, str], np.ndarray]) -> pd.DataFrame:
    """The rows of catalogs/epic_ecf.csv."""
    rows = []
    for camera in CODES:
        scales = [
            measured[camera, name] / given(camera, name)[REFERENCE]
            for name in FILTERS
            if (camera, name) in measured
        ]
        for name in FILTERS:
            factors = given(camera, name)
            reference = measured.get((camera, name), factors[REFERENCE] * np.mean(scales, axis=0))
            factors = factors / factors[REFERENCE] * reference
            for (gamma, log_nh), row in zip(SHAPES, factors, strict=True):
                shares = energy_shares(gamma, log_nh)
                numbers = [f"{v / 1e11:.5g}" for v in row] + [f"{v:.5g}" for v in shares]
                rows.append([camera, name, gamma, log_nh, *numbers])
    columns = ["camera", "filter", "gamma", "log_nh"]
    columns += [f"{what}_{band}" for what in ("ecf", "share") for band in range(1, 6)]
    return pd.DataFrame(rows, columns=columns)


def main() -> None:
    """Make and check."""
    paths = source_lists(sys.argv[1:])
    rows = table(pipeline([path for number, path in enumerate(paths) if number % 3]))
    rows.to_csv(HERE.parent / "catalogs" / "epic_ecf.csv", index=False)
    print(rows[(rows["gamma"] == 1.7) & (rows["log_nh"] == SHAPES[REFERENCE][1])].to_string())


if __name__ == "__main__":
    main()
