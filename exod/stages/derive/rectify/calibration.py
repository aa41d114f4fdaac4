"""Errors of corrected positions that hold what they say, for each kind of frame."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.astrometry.poserrors import NO_TAIL, QUOTED_FRACTION, Calibration, calibrate
from exod.astrometry.rectification import UNRECTIFIED_ARCSEC
from exod.instruments import MISSIONS, mission_of
from exod.schemas.arrays import Floats

RADIUS_ARCSEC: Final = 5.0
"""Farthest counterpart of a corrected position."""

FEWEST_PAIRS: Final = 200
"""Of a kind of frame from which its errors are calibrated."""

MOSTLY_CHANCE: Final = 0.8
"""Share of sources without a true pair from which on pairs say nothing of errors."""

Described = Mapping[str, float]
"""A calibration: systematic_arcsec (each axis), tail, n_pairs; 0 pairs are what is documented, or
the spread of frames."""

LEAST_ERROR_ARCSEC: Final = 0.35
"""Radial, added in quadrature to errors of sources in a fit, as catcorr does."""

DOCUMENTED: Final[Mapping[str, Described]] = MappingProxyType(
    {
        kind: {"systematic_arcsec": radial / np.sqrt(2), "tail": NO_TAIL, "n_pairs": 0}
        for kind, radial in (("header", 0.28), ("fit", 0.28), ("none", 1.40))
    }
)
"""Radial 0.28 arcsec beside the error of a frame, from 4XMM and Gaia (docs/astrometry.md): both
together are half an arcsec for most. Without a frame, the radius that holds 63 % of the sources of
45 lists, as measured, around where their frames put them; catcorr takes 1.29 arcsec."""

FEWEST_FRAMES: Final = 20
"""Frames of headers from which on they tell how far positions without a frame are off."""

_LEVER: Final = np.radians(8.5 * 60.0)
"""Root mean square distance of a place in a field of 12 arcmin from its centre, in arcsec, times
the radians of a degree."""


def calibrations(offsets: pd.DataFrame, frames: pd.DataFrame) -> dict[str, dict[str, float]]:
    """What pairs say of the errors of each kind of frame.

    Parameters
    ----------
    offsets : DataFrame
        source, pos_err_arcsec, frame_err_arcsec, east_corr_arcsec, north_corr_arcsec of the table
        offsets.
    frames : DataFrame
        source, east_arcsec, north_arcsec, rotation_deg of the table frames.

    Returns
    -------
    dict
        One a kind: from pairs, and without a frame from the spread of the frames of headers;
        `DOCUMENTED` where there are too few, or most pairs are there by chance. Values are rounded,
        so that a few more do not change every error.
    """
    found = {}
    spread = _spread(frames)
    for kind, documented in DOCUMENTED.items():
        some = offsets[offsets["source"] == kind]
        found[kind] = dict(documented)
        if kind == "none" and np.isfinite(spread):
            found[kind]["systematic_arcsec"] = spread
        if kind == "none" or len(some) < FEWEST_PAIRS:
            # Without a frame all pairs of an observation are off together, and most by chance.
            continue
        apart = some[["east_corr_arcsec", "north_corr_arcsec"]].to_numpy(float)
        separation = np.hypot(*apart.T)
        error = _axis(some["pos_err_arcsec"], some["frame_err_arcsec"], fitted=kind == "fit")
        usable = (separation <= RADIUS_ARCSEC) & np.isfinite(error)
        one = calibrate(
            separation[usable],
            error[usable],
            RADIUS_ARCSEC,
            # Pairs that a fit has chosen would make one.
            fit_tail=kind != "fit",
            nearest=True,
        )
        if one.chance_fraction < MOSTLY_CHANCE:
            found[kind] = {
                "systematic_arcsec": round(one.systematic_arcsec / 0.02) * 0.02,
                "tail": float(f"{one.tail:.1g}"),
                "n_pairs": float(one.n_pairs),
            }
    return found


def _spread(frames: pd.DataFrame) -> float:
    """Standard deviation along each axis of positions without a frame; NaN if not known."""
    known = frames[frames["source"] == "header"]
    if len(known) < FEWEST_FRAMES:
        return float("nan")
    shift = np.hypot(known["east_arcsec"], known["north_arcsec"])
    apart = np.hypot(shift, known["rotation_deg"] * _LEVER)
    return round(float(np.quantile(apart, QUOTED_FRACTION)) / np.sqrt(2) / 0.05) * 0.05


def are_alike(one: Mapping[str, Described], other: Mapping[str, Described]) -> bool:
    """Whether two calibrations give the same errors."""
    names = ("systematic_arcsec", "tail")
    return all(one[kind][name] == other[kind][name] for kind in DOCUMENTED for name in names) and [
        one[kind]["n_pairs"] > 0 for kind in DOCUMENTED
    ] == [other[kind]["n_pairs"] > 0 for kind in DOCUMENTED]


def with_circles(positions: pd.DataFrame, found: Mapping[str, Described]) -> pd.DataFrame:
    """Rows of the table positions with `pos_err_corr_arcsec` by a calibration."""
    circles = np.full(len(positions), np.nan)
    attitude = _attitudes(positions["obsid"])
    for kind, one in found.items():
        own = (positions["source"] == kind).to_numpy()
        some = positions[own]
        circles[own] = circle(some["pos_err_arcsec"], some["frame_err_arcsec"], one, attitude[own])
    # What is documented, or measured with frames, of one telescope says nothing of another.
    other = (positions["source"] == "none").to_numpy() & (attitude != UNRECTIFIED_ARCSEC)
    circles[other] = positions["pos_err_arcsec"].to_numpy(float)[other]
    return positions.assign(pos_err_corr_arcsec=circles)


def _attitudes(obsids: pd.Series) -> Floats:
    """The error of the attitude in positions of the search, by observation, shape (n,)."""
    known = {
        obsid: MISSIONS[mission].attitude_error_arcsec
        for obsid in obsids.unique()
        if (mission := mission_of(obsid))
    }
    return obsids.map(known).fillna(UNRECTIFIED_ARCSEC).to_numpy(float)


def circle(
    pos_err_arcsec: ArrayLike,
    frame_err_arcsec: ArrayLike,
    one: Described,
    attitude_arcsec: ArrayLike = UNRECTIFIED_ARCSEC,
) -> Floats:
    """Radius that holds a corrected position with 63 % probability.

    Parameters
    ----------
    pos_err_arcsec : array_like
        That of the search, which has `attitude_arcsec` for the frame in it.
    frame_err_arcsec : array_like
        Radial error of the frame; 0 without one.
    one : dict
        The calibration.
    attitude_arcsec : array_like
        Systematic error of positions without a frame.

    Examples
    --------
    >>> float(circle(1.29, 0.4, DOCUMENTED["header"]).round(3))
    0.488
    >>> float(circle(2.0, 0.0, DOCUMENTED["none"]).round(3))
    2.073
    """
    squared = np.asarray(pos_err_arcsec, float) ** 2 - np.square(attitude_arcsec)
    error = _axis(np.sqrt(np.maximum(squared, 0.0)), frame_err_arcsec)
    if not one["n_pairs"]:
        return np.asarray(np.sqrt(2) * np.hypot(error, one["systematic_arcsec"]))
    made = Calibration(one["systematic_arcsec"], 1.0, one["tail"], 0.0, RADIUS_ARCSEC, 0.0, 0)
    return made.radius_of(error)


def _axis(radial: Any, frame: Any, *, fitted: bool = False) -> Floats:
    """Standard deviation of each axis; of pairs that the frame was fitted to, which are nearer."""
    own, of_frame = (np.asarray(values, float) ** 2 for values in (radial, frame))
    if fitted:
        # The error of the frame is in part that of the source itself, by its share in the fit.
        own *= np.maximum(1.0 - 2.0 * of_frame / (own + LEAST_ERROR_ARCSEC**2), 0.0)
    return np.asarray(np.sqrt((own + of_frame) / 2))
