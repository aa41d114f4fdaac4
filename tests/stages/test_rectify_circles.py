"""Circles of corrected positions hold 63 % of true positions, for each kind of frame."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from exod.astrometry.attitude import yagzag_to_radec
from exod.astrometry.framefit import Prior
from exod.astrometry.rectification import Frame, HeaderFrame
from exod.instruments import MISSIONS, mission_of
from exod.instruments.epic import XMM
from exod.sky.sphere import angle, unit_vectors
from exod.stages.derive.rectify.calibration import (
    DOCUMENTED,
    are_alike,
    calibrations,
    with_circles,
)
from exod.stages.derive.rectify.fitting import fitted
from exod.stages.derive.rectify.rows import Rectified, frame_row, offset_rows, position_rows
from exod.stages.derive.rectify.sourcelists import KnownSources

CENTRE = (150.0, 20.0)
HALF_ARCSEC = 700.0
OF_HEADER = np.diag([0.3, 0.3, 0.02]) ** 2


@dataclass(frozen=True)
class Seen:
    """An observation, its regions, and where they truly are, as unit vectors."""

    one: Rectified
    regions: pd.DataFrame
    true: np.ndarray


def seen(seed: int, kind: str, systematic: float, density: float) -> Seen:
    """An observation that is off by an arcsec along each axis.

    `systematic` (radial) is in the positions and not in the errors of their list; `density` is of
    references by chance, in a square arcmin. Regions are of other photons than the known sources.
    """
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, 1.0, 2)
    true = rng.uniform(-HALF_ARCSEC, HALF_ARCSEC, (2, 120))
    error = rng.uniform(0.4, 2.0, true.shape[1])
    off = rng.normal(0, np.hypot(error, systematic) / np.sqrt(2), true.shape)
    measured = _on_sky(true + off - shift[:, None]).assign(error_arcsec=error, det_ml=50.0)
    has = rng.random(60) < 0.5
    chance = rng.uniform(-800.0, 800.0, (2, rng.poisson(density * (1600 / 60) ** 2)))
    references = _on_sky(np.concatenate([true[:, :60][:, has], chance], axis=1))
    sources, regions = measured[:60], measured[60:]
    about = {"obsid": f"{seed:010d}", "ra_pnt": CENTRE[0], "dec_pnt": CENTRE[1], "pa_pnt": 0.0}
    about |= {"mjd": 57000.0, "revolution": 1}
    frame = None
    if kind == "header":
        found = rng.multivariate_normal([*shift, 0.0], OF_HEADER)
        frame = Frame(*CENTRE, *found, OF_HEADER)
    header = HeaderFrame(frame, "", 0, np.nan, "" if frame else "too few matches")
    fit = fitted(about, sources, references, Prior()) if kind == "fit" else None
    one = Rectified(about, KnownSources(sources, header), fit, references, "stars")
    raw = np.hypot(regions["error_arcsec"], XMM.attitude_error_arcsec)
    regions = regions.assign(detid="a", runid="b", obsid=about["obsid"], pos_err_arcsec=raw)
    return Seen(one, regions, unit_vectors(*_on_sky(true[:, 60:]).to_numpy().T))


def _on_sky(angles: np.ndarray) -> pd.DataFrame:
    ra, dec = yagzag_to_radec(*angles, (*CENTRE, 0.0))
    return pd.DataFrame({"ra_deg": ra, "dec_deg": dec})


def inside(several: list[Seen]) -> dict[str, tuple[float, float]]:
    """Share of true places in the circles of each kind of frame, and its counting error.

    Regions of an observation are off together, so that observations are counted.
    """
    offsets = pd.concat([offset_rows(some.one) for some in several], ignore_index=True)
    frames = pd.DataFrame([frame_row(some.one) for some in several])
    found = calibrations(offsets, frames)
    shares: dict[str, list[float]] = {}
    for some in several:
        rows = with_circles(position_rows(some.one, some.regions), found)
        here = unit_vectors(rows["ra_corr_deg"], rows["dec_corr_deg"])
        apart = angle(np.linalg.norm(here - some.true, axis=1))
        held = (apart <= rows["pos_err_corr_arcsec"]).mean()
        shares.setdefault(some.one.source, []).append(float(held))
    return {
        kind: (float(np.mean(held)), float(np.std(held) / np.sqrt(len(held))))
        for kind, held in shares.items()
    }


@pytest.mark.parametrize(
    ("kind", "systematic", "density", "n"),
    [
        ("header", 0.28, 0.0, 60),
        pytest.param("header", 0.8, 5.0, 60, marks=pytest.mark.drill),
        pytest.param("header", 0.0, 40.0, 60, marks=pytest.mark.drill),
        pytest.param("fit", 0.0, 5.0, 30, marks=pytest.mark.drill),
        ("fit", 0.8, 5.0, 30),
    ],
)
def test_circles_hold_63_percent(kind, systematic, density, n):
    found = inside([seen(500 + seed, kind, systematic, density) for seed in range(n)])
    share, error = found[kind]
    assert error < 0.03
    assert share == pytest.approx(0.63, abs=3 * error)


def test_circles_without_a_frame_hold_63_percent():
    """The frames of headers of the archive tell how far positions without one are off."""
    several = [seen(seed, "header", 0.28, 0.0) for seed in range(60)]
    several += [seen(1000 + seed, "none", 0.28, 0.0) for seed in range(100)]
    found = inside(several)
    for kind in ("header", "none"):
        share, error = found[kind]
        assert error < 0.03
        assert share == pytest.approx(0.63, abs=3 * error)


def test_the_spread_of_frames_is_documented_where_there_are_few():
    one = seen(1, "header", 0.28, 0.0).one
    frames = pd.DataFrame([frame_row(one)])
    assert calibrations(offset_rows(one), frames) == DOCUMENTED
    many = pd.concat([frames] * 20, ignore_index=True)
    many["rotation_deg"] = 0.0
    many[["east_arcsec", "north_arcsec"]] = [3.0, 4.0]
    found = calibrations(offset_rows(one), many)
    assert found["xmm"]["none"]["systematic_arcsec"] == pytest.approx(5.0 / np.sqrt(2), abs=0.03)
    assert found["xmm"]["header"] == DOCUMENTED["xmm"]["header"]
    assert found["chandra"] == DOCUMENTED["chandra"]


def positions_of(kinds: list[tuple[str, str]], frame_error: float = 0.1) -> pd.DataFrame:
    """Rows of the table positions of observations and kinds of frame, with 0.5 arcsec each."""
    attitude = [MISSIONS[mission_of(obsid)].attitude_error_arcsec for obsid, _ in kinds]
    rows = pd.DataFrame(kinds, columns=["obsid", "source"])
    framed = (rows["source"] != "none") * frame_error
    return rows.assign(pos_err_arcsec=np.hypot(attitude, 0.5), frame_err_arcsec=framed)


@pytest.mark.parametrize("mission", MISSIONS)
def test_positions_without_a_frame_have_the_error_of_their_telescope(mission):
    """In a mixed archive, with what is documented of each."""
    rows = positions_of([("0001730201", "none"), ("28964", "none"), ("0001730201", "header")])
    found = with_circles(rows, DOCUMENTED)["pos_err_corr_arcsec"]
    own = rows["obsid"].map(mission_of) == mission
    expected = np.hypot({"xmm": 1.40, "chandra": 0.73}[mission], 0.5)
    assert found[own & (rows["source"] == "none")].to_numpy() == pytest.approx([expected])
    assert found[2] == pytest.approx(np.sqrt(0.5**2 + 0.1**2 + 0.28**2))


def test_kinds_of_frame_that_nothing_is_known_of_have_no_circles():
    rows = positions_of([("28964", "none"), ("28964", "header"), ("28964", "fit")])
    found = with_circles(rows, DOCUMENTED)["pos_err_corr_arcsec"].to_numpy()
    assert np.isfinite(found).tolist() == [True, False, False]


def test_frames_and_pairs_of_one_telescope_say_nothing_of_another():
    """XMM-Newton's are calibrated from its own, and Chandra's circles stay what they were."""
    several = [seen(seed, "header", 0.28, 0.0) for seed in range(60)]
    offsets = pd.concat([offset_rows(some.one) for some in several], ignore_index=True)
    frames = pd.DataFrame([frame_row(some.one) for some in several])
    alone = calibrations(offsets, frames)
    assert alone["xmm"]["header"]["n_pairs"] > 0
    assert alone["xmm"]["none"] != DOCUMENTED["xmm"]["none"]
    assert alone["chandra"] == DOCUMENTED["chandra"]
    # Observations of another telescope that are off by a minute of arc.
    other = frames.assign(obsid="28964", source="header", east_arcsec=60.0)
    far = offsets.assign(obsid="28964", east_corr_arcsec=3.0)
    mixed = calibrations(pd.concat([offsets, far]), pd.concat([frames, other]))
    assert mixed["xmm"] == alone["xmm"]
    assert are_alike(mixed, alone) is False
    rows = positions_of([("0001730201", "none"), ("0001730201", "header"), ("28964", "none")])
    before, after = (with_circles(rows, found)["pos_err_corr_arcsec"] for found in (alone, mixed))
    assert after[:2].tolist() == before[:2].tolist()
    assert after[2] > before[2] + 10.0
