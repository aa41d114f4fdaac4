"""How many true positions are in the circles of each kind of frame, as docs/astrometry.md tells.

Run ``python -m benchmarks.position_circles --data ../shared/data``, where ``obsmli`` holds source
lists of the pipeline. Fields have the sources and errors of these lists and are off by frames as
large as theirs; regions have other photons than the sources that a frame is fitted to.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.rectified import MORE_ARCSEC, Field, apart, fields
from exod.astrometry.attitude import radec_to_yagzag, yagzag_to_radec
from exod.astrometry.framefit import Prior
from exod.astrometry.rectification import Frame, HeaderFrame
from exod.instruments.epic import XMM
from exod.schemas.arrays import Floats
from exod.stages.derive.rectify.calibration import calibrations, with_circles
from exod.stages.derive.rectify.fitting import fitted
from exod.stages.derive.rectify.rows import Rectified, frame_row, offset_rows, position_rows
from exod.stages.derive.rectify.sourcelists import KnownSources

HALF_ARCSEC = 1020.0
SETTINGS = ((5.0, 0.5, MORE_ARCSEC), (20.0, 0.25, MORE_ARCSEC), (20.0, 0.5, 0.6))
"""References by chance in a square arcmin, share of sources that have one, missing error."""

Seen = tuple[Rectified, pd.DataFrame, tuple[Floats, Floats]]
"""An observation, its regions, and where they truly are."""


def seen(
    field: Field,
    frames: list[Frame],
    kind: str,
    setting: tuple[float, float, float],
    random: np.random.Generator,
) -> Seen:
    """An observation of a field with a frame of its header, or to be fitted."""
    density, share, more = setting
    centre, listed = field.centre, field.sources
    true = np.array(radec_to_yagzag(listed["ra_deg"], listed["dec_deg"], (*centre, 0.0)))
    frame, told = (frames[i] for i in random.integers(0, len(frames), 2))
    turned, size = random.uniform(0, 2 * np.pi), np.hypot(frame.east_arcsec, frame.north_arcsec)
    shift = size * np.array([[np.cos(turned)], [np.sin(turned)]])
    back = Frame(*centre, 0.0, 0.0, -frame.rotation_deg, np.zeros((3, 3)))
    error = np.hypot(listed["error_arcsec"].to_numpy(), more) / np.sqrt(2)

    def measured() -> pd.DataFrame:
        place = yagzag_to_radec(*(true - shift + random.normal(0, error, true.shape)), (*centre, 0))
        ra, dec = back.apply(*place)
        return listed.assign(ra_deg=ra, dec_deg=dec, det_ml=50.0)

    sources, regions = measured(), measured()
    chance = random.uniform(
        -HALF_ARCSEC, HALF_ARCSEC, (2, random.poisson(density * (HALF_ARCSEC / 30.0) ** 2))
    )
    has = random.random(len(listed)) < share
    ra, dec = yagzag_to_radec(*np.concatenate([true[:, has], chance], axis=1), (*centre, 0.0))
    references = pd.DataFrame({"ra_deg": ra, "dec_deg": dec})
    about = {"obsid": field.obsid, "ra_pnt": centre[0], "dec_pnt": centre[1], "pa_pnt": 0.0}
    about |= {"mjd": 57000.0, "revolution": 1}
    header = None
    if kind == "header":
        off = random.multivariate_normal(np.zeros(3), told.covariance)
        east, north = shift[:, 0] + off[:2]
        turn = frame.rotation_deg + off[2]
        header = Frame(*centre, east, north, turn, told.covariance)
    fit = fitted(about, sources, references, Prior()) if kind == "fit" else None
    said = HeaderFrame(header, "", 0, np.nan, "" if header else "too few matches")
    raw = np.hypot(regions["error_arcsec"], XMM.attitude_error_arcsec)
    regions = regions.assign(detid="", runid="", obsid=field.obsid, pos_err_arcsec=raw)
    one = Rectified(about, KnownSources(sources, said), fit, references, "stars")
    return one, regions, (listed["ra_deg"].to_numpy(), listed["dec_deg"].to_numpy())


def counted(several: list[Seen]) -> pd.DataFrame:
    """Regions, those inside their circle, and the median circle, by kind of frame and field."""
    offsets = pd.concat([offset_rows(one) for one, _, _ in several], ignore_index=True)
    found = calibrations(offsets, pd.DataFrame([frame_row(one) for one, _, _ in several]))
    rows = []
    for one, regions, true in several:
        made = with_circles(position_rows(one, regions), found)
        for kind, names in (
            (one.source, ("ra_corr_deg", "dec_corr_deg", "pos_err_corr_arcsec")),
            ("raw", ("ra_deg", "dec_deg", "pos_err_arcsec")),
        ):
            table = regions if kind == "raw" else made
            ra, dec, circle = (table[name].to_numpy() for name in names)
            held = int((apart((ra, dec), true) <= circle).sum())
            rows.append((kind, len(regions), held, float(np.median(circle))))
    return pd.DataFrame(rows, columns=["kind", "regions", "held", "circle"])


def share(rows: pd.DataFrame, random: np.random.Generator) -> tuple[float, float]:
    """Per cent inside, and its error, that of counting fields."""
    values = rows[["held", "regions"]].to_numpy(float)
    drawn = values[random.integers(0, len(values), (400, len(values)))].sum(axis=1)
    held, regions = values.sum(axis=0)
    return 100 * held / regions, float(100 * np.std(drawn[:, 0] / drawn[:, 1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--fields", type=int, default=53)
    given = parser.parse_args()
    every = fields(given.data / "obsmli")
    frames = [field.frame for field in every if field.frame]
    some = every[: given.fields]
    print('| references | with one | more (") | kind | fields | inside (%) | circle (") |')
    print("|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        random = np.random.default_rng(3)
        several = [
            seen(field, frames, kind, setting, random)
            for kind in ("header", "fit")
            for field in some
        ]
        for kind, rows in counted(several).groupby("kind"):
            held, error = share(rows, np.random.default_rng(0))
            text = " | ".join(f"{value:g}" for value in setting)
            circle = rows["circle"].mean()
            print(
                f"| {text} | {kind} | {len(rows)} | {held:.1f} ± {error:.1f} | {circle:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
