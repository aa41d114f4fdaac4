"""Compare exposure maps with the exposures of sources in the pipeline's source lists.

``python -m benchmarks.exposures [FOLDER]`` takes the lists (OBSMLI) of a folder, works out what a
map has at each source, and writes how the columns PN_1_EXP to M2_5_EXP compare to
results_exposures.md. Event lists are not needed: live times are those of the headers, the same for
all CCDs, chips are read in full, and bad pixels are not known.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks import source_lists
from benchmarks.vignetting import BANDS, CODES
from exod.instruments import INSTRUMENTS
from exod.instruments.detector import DETECTORS
from exod.instruments.epic import SKY_PIXEL_ARCSEC
from exod.instruments.vignetting import VIGNETTING
from exod.observation.commonsky import sky_plane
from exod.sensitivity.exposuremaps import SeenTime

HERE = Path(__file__).parent
PIXEL_ARCSEC = 4.0
SAMPLES = 3
FULL = {"EPN": "PrimeFullWindow", "EMOS1": "PrimeFullWindow", "EMOS2": "PrimeFullWindow"}
FEWEST = 5
"""Sources of a list and camera, for their median to say something."""


def ratios(path: Path) -> dict[str, np.ndarray]:
    """Of each camera, exposures of a list over those of a map at its sources, shape (n, 5)."""
    with fits.open(path) as file, np.errstate(invalid="ignore"):
        header, rows = file[0].header, file[1].data
        plane = sky_plane(header["RA_PNT"], header["DEC_PNT"])
        x, y = plane.to_pixel(np.array(rows["RA"], float), np.array(rows["DEC"], float))
        found = {}
        for camera, code in CODES.items():
            live, angle = header.get(f"EXPOS_{code}"), header["PA_PNT"]
            listed = np.stack([rows[f"{code}_{b}_EXP"] for b in range(1, 6)], 1).astype(float)
            if not live or not np.isfinite(listed).any():
                continue
            time = dict.fromkeys(range(1, INSTRUMENTS[camera].n_ccds + 1), float(live))
            none = np.empty(0, np.int64)
            view = SeenTime(camera, FULL[camera], angle, time, none, np.empty(0)).view()
            step = ((np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5) * PIXEL_ARCSEC / SKY_PIXEL_ARCSEC
            down, across = (value.ravel() for value in np.meshgrid(step, step, indexing="ij"))
            share = view(x[:, None] + across, y[:, None] + down)[1]
            place = DETECTORS[camera].detector_from_sky(x, y, angle)
            light = VIGNETTING[camera].at_nodes(*place) * live
            # Near gaps and rims the exposure depends on where within a pixel a source is.
            good = (share > 0).all(axis=1) & (listed > 0).all(axis=1)
            good &= np.array(rows[f"{code}_MASKFRAC"], float) > 0.98
            found[camera] = listed[good] / (light[good] * share[good].mean(axis=1, keepdims=True))
    return found


def table(lists: list[dict[str, np.ndarray]]) -> list[str]:
    """Rows of a Markdown table, one for each camera and band."""
    lines = []
    for camera in CODES:
        parts = [one[camera] for one in lists if len(one.get(camera, ())) >= FEWEST]
        every = np.concatenate(parts)
        # What is common to a list are its live times and its modes.
        levels = np.array([np.median(part, axis=0) for part in parts])
        within = np.concatenate([p / level for p, level in zip(parts, levels, strict=True)])
        for band, energies in enumerate(BANDS):
            low, middle, high = np.percentile(every[:, band], [16, 50, 84])
            least, most = levels[:, band].min(), levels[:, band].max()
            off = 100 * np.abs(within[:, band] - 1)
            lines.append(
                f"| {camera} | {energies} | {len(parts)} | {len(every)} | {middle:.3f} "
                f"| {low:.3f}-{high:.3f} | {least:.2f}-{most:.2f} "
                f"| {np.percentile(off, 50):.1f} | {np.percentile(off, 95):.1f} |"
            )
    return lines


def main() -> None:
    """Compare, write."""
    lists = [ratios(path) for path in source_lists(sys.argv[1:])]
    text = "\n".join(
        [
            "# Exposure maps against the pipeline's source lists",
            "",
            f"Columns *_EXP of {len(lists)} source lists over what an exposure map has there "
            "(`python -m benchmarks.exposures`):",
            "live time of the header for all CCDs, chips read in full, no bad pixels, since the "
            "event lists are not at hand.",
            f"Sources away from gaps and rims, lists with {FEWEST} of them or more. *Within a "
            "list*: deviation from the median of the list,",
            "which has the modes and live times.",
            "",
            "| camera | band (keV) | lists | sources | median | 68 % | medians of lists "
            "| within a list: median (%) | 95 % (%) |",
            "|---|---|---|---|---|---|---|---|---|",
            *table(lists),
        ]
    )
    (HERE / "results_exposures.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
