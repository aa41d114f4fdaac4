"""Measure the vignetting on the pipeline's source lists, and check the table that exod has.

``python -m benchmarks.vignetting [FOLDER]`` fits the numbers of `exod.instruments.vignetting` to
the columns PN_1_VIG to M2_5_VIG of two thirds of the lists (OBSMLI), prints them, and writes how
well the table in use gives those of the third that was held back to results_vignetting.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.optimize import least_squares

from benchmarks import source_lists
from exod.instruments.detector import DETECTORS
from exod.instruments.epic import SKY_PIXEL_ARCSEC
from exod.instruments.vignetting import ENERGIES_KEV, OFF_AXIS_ARCMIN, VIGNETTING
from exod.observation.commonsky import sky_plane

HERE = Path(__file__).parent
CODES = {"EPN": "PN", "EMOS1": "M1", "EMOS2": "M2"}
ARCMIN = 60 / SKY_PIXEL_ARCSEC
BANDS = ("0.2-0.5", "0.5-1", "1-2", "2-4.5", "4.5-12")
Columns = dict[str, np.ndarray]


def listed(path: Path) -> dict[str, Columns]:
    """Of each camera: detector coordinates, off-axis angle (arcmin) and vignetting (n, 5)."""
    with fits.open(path) as file, np.errstate(invalid="ignore"):
        header, rows = file[0].header, file[1].data
        plane = sky_plane(header["RA_PNT"], header["DEC_PNT"])
        x, y = plane.to_pixel(np.array(rows["RA"], float), np.array(rows["DEC"], float))
        found = {}
        for camera, code in CODES.items():
            detx, dety = DETECTORS[camera].detector_from_sky(x, y, header["PA_PNT"])
            angle = np.array(rows[f"{code}_OFFAX"], float)
            seen = np.stack([rows[f"{code}_{b}_VIG"] for b in range(1, 6)], 1).astype(float)
            good = np.isfinite(angle) & np.isfinite(seen).all(axis=1) & (seen > 0).all(axis=1)
            columns = {"detx": detx, "dety": dety, "angle": angle, "seen": seen}
            found[camera] = {name: values[good] for name, values in columns.items()}
    return found


def together(lists: list[dict[str, Columns]], camera: str) -> Columns:
    """The columns of a camera in all lists."""
    return {name: np.concatenate([one[camera][name] for one in lists]) for name in lists[0][camera]}


def optical_axis(columns: Columns) -> np.ndarray:
    """DETX and DETY from which the off-axis angles count."""
    scale = 1 / ARCMIN

    def misfit(axis: np.ndarray) -> np.ndarray:
        distance = np.hypot(columns["detx"] - axis[0], columns["dety"] - axis[1])
        return distance * scale - columns["angle"]

    return least_squares(misfit, [0.0, 0.0], loss="soft_l1", f_scale=0.02, x_scale=1000).x


def mirror(angle: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Values at `OFF_AXIS_ARCMIN`, 1 on the axis, whose linear interpolation fits best."""
    hats = np.stack(
        [np.interp(angle, OFF_AXIS_ARCMIN, row) for row in np.eye(len(OFF_AXIS_ARCMIN))], axis=1
    )
    found = np.linalg.lstsq(hats[:, 1:] / seen[:, None], (seen - hats[:, 0]) / seen, rcond=None)[0]
    return np.concatenate([[1.0], found])


def fit(lists: list[dict[str, Columns]]) -> None:
    """Print the optical axes, the mirrors' table and the slopes of the gratings."""
    axes = {camera: optical_axis(together(lists, camera)) for camera in CODES}
    pn = together(lists, "EPN")
    table = np.array([mirror(pn["angle"], pn["seen"][:, band]) for band in range(5)])
    for angle, row in zip(OFF_AXIS_ARCMIN, table.T, strict=True):
        print(f"{angle:2.0f}  " + " ".join(f"{value:.4f}" for value in row))
    for camera, axis in axes.items():
        print(camera, "axis", np.round(axis, 1))
        if camera == "EPN":
            continue
        columns = together(lists, camera)
        along = VIGNETTING[camera].along_gratings(columns["detx"], columns["dety"])
        for band in range(5):
            relative = columns["seen"][:, band] / np.interp(
                columns["angle"], OFF_AXIS_ARCMIN, table[band]
            )
            print(
                camera, BANDS[band], "slope", np.round((1 - relative) @ along / (along @ along), 5)
            )


def check(lists: list[dict[str, Columns]]) -> list[str]:
    """Rows of a table: deviations of what exod has from the lists, up to 13 arcmin, per cent."""
    lines = []
    for camera in CODES:
        columns = together(lists, camera)
        near = columns["angle"] <= 13
        given = VIGNETTING[camera].at_nodes(columns["detx"], columns["dety"])
        off = 100 * np.abs(given / columns["seen"] - 1)[near]
        for band, energies in enumerate(BANDS):
            middle, most = np.percentile(off[:, band], [50, 95])
            lines.append(
                f"| {camera} | {energies} | {len(off)} | {middle:.2f} | {most:.2f} "
                f"| {off[:, band].max():.2f} |"
            )
    return lines


def main() -> None:
    """Fit, check, write."""
    lists = [listed(path) for path in source_lists(sys.argv[1:])]
    fit([one for number, one in enumerate(lists) if number % 3])
    rows = check(lists[::3])
    text = "\n".join(
        [
            "# Vignetting against the pipeline's",
            "",
            "Deviation of `exod.instruments.vignetting` from the *_VIG columns of source lists "
            f"that the fit did not use ({len(lists[::3])} of {len(lists)}), sources within 13'.",
            f"Nodes of energy: {', '.join(map(str, ENERGIES_KEV))} keV.",
            "",
            "| camera | band (keV) | sources | median (%) | 95 % (%) | largest (%) |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )
    (HERE / "results_vignetting.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
