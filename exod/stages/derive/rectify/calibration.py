"""Errors of corrected positions that hold what they say, by observatory and kind of frame."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.astrometry.poserrors import NO_TAIL, QUOTED_FRACTION, Calibration, calibrate
from exod.instruments import MISSIONS, Observatory, mission_of
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

Calibrations = Mapping[str, Mapping[str, Described]]
"""Calibrations by mission and kind of frame: header, fit, none."""

LEAST_ERROR_ARCSEC: Final = 0.35
"""Radial, added in quadrature to errors of sources in a fit, as catcorr does."""


def _documented(observatory: Observatory) -> dict[str, Described]:
    """What is documented of each kind of frame; kinds of which nothing is are missing."""
    framed, unframed = observatory.framed_error_arcsec, observatory.unframed_error_arcsec
    known = {"header": framed, "fit": framed}
    known["none"] = observatory.attitude_error_arcsec if unframed is None else unframed
    return {
        kind: {"systematic_arcsec": radial / np.sqrt(2), "tail": NO_TAIL, "n_pairs": 0}
        for kind, radial in known.items()
        if radial is not None
    }


DOCUMENTED: Final[Calibrations] = MappingProxyType(
    {mission: _documented(observatory) for mission, observatory in MISSIONS.items()}
)
"""By mission and kind of frame: what `exod.instruments` says of its positions."""

FEWEST_FRAMES: Final = 20
"""Frames of headers from which on they tell how far positions without a frame are off."""

_LEVER: Final = np.radians(8.5 * 60.0)
"""Root mean square distance of a place in a field of 12 arcmin from its centre, in arcsec, times
the radians of a degree."""


def calibrations(
    offsets: pd.DataFrame, frames: pd.DataFrame
) -> dict[str, dict[str, dict[str, float]]]:
    """What pairs say of the errors of each kind of frame, of each mission by its own.

    Parameters
    ----------
    offsets : DataFrame
        obsid, source, pos_err_arcsec, frame_err_arcsec, east_corr_arcsec, north_corr_arcsec of the
        table offsets.
    frames : DataFrame
        obsid, source, east_arcsec, north_arcsec, rotation_deg of the table frames.

    Returns
    -------
    dict
        By mission, one a kind: from pairs, and without a frame from the spread of the frames of
        headers; `DOCUMENTED` where there are too few, or most pairs are there by chance. Values are
        rounded, so that a few more do not change every error.
    """
    of_offsets, of_frames = missions_of(offsets["obsid"]), missions_of(frames["obsid"])
    return {
        mission: _calibrations(
            documented, offsets[of_offsets == mission], frames[of_frames == mission]
        )
        for mission, documented in DOCUMENTED.items()
    }


def _calibrations(
    documented: Mapping[str, Described], offsets: pd.DataFrame, frames: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Those of one mission, of its rows alone."""
    found = {}
    spread = _spread(frames)
    for kind, known in documented.items():
        some = offsets[offsets["source"] == kind]
        found[kind] = dict(known)
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


def missions_of(obsids: pd.Series) -> pd.Series:
    """The mission of each row."""
    known = {obsid: mission_of(obsid) for obsid in obsids.unique()}
    return obsids.map(known)


def _spread(frames: pd.DataFrame) -> float:
    """Standard deviation along each axis of positions without a frame; NaN if not known."""
    known = frames[frames["source"] == "header"]
    if len(known) < FEWEST_FRAMES:
        return float("nan")
    shift = np.hypot(known["east_arcsec"], known["north_arcsec"])
    apart = np.hypot(shift, known["rotation_deg"] * _LEVER)
    return round(float(np.quantile(apart, QUOTED_FRACTION)) / np.sqrt(2) / 0.05) * 0.05


def are_alike(one: Calibrations, other: Calibrations) -> bool:
    """Whether two calibrations give the same errors."""

    def errors(every: Calibrations) -> list[tuple[object, ...]]:
        return [
            (mission, kind, known["systematic_arcsec"], known["tail"], known["n_pairs"] > 0)
            for mission, kinds in sorted(every.items())
            for kind, known in sorted(kinds.items())
        ]

    return errors(one) == errors(other)


def with_circles(positions: pd.DataFrame, found: Calibrations) -> pd.DataFrame:
    """Rows of the table positions with `pos_err_corr_arcsec` by a calibration.

    NaN for kinds of frame of which a mission has none.
    """
    circles = np.full(len(positions), np.nan)
    mission = missions_of(positions["obsid"])
    for name, kinds in found.items():
        attitude = MISSIONS[name].attitude_error_arcsec
        for kind, one in kinds.items():
            own = ((mission == name) & (positions["source"] == kind)).to_numpy()
            some = positions[own]
            circles[own] = circle(some["pos_err_arcsec"], some["frame_err_arcsec"], one, attitude)
    return positions.assign(pos_err_corr_arcsec=circles)


def circle(
    pos_err_arcsec: ArrayLike,
    frame_err_arcsec: ArrayLike,
    one: Described,
    attitude_arcsec: float,
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
    attitude_arcsec : float
        Systematic error of positions of the search.

    Examples
    --------
    >>> xmm = DOCUMENTED["xmm"]
    >>> float(circle(1.29, 0.4, xmm["header"], 1.29).round(3))
    0.488
    >>> float(circle(2.0, 0.0, xmm["none"], 1.29).round(3))
    2.073
    """
    squared = np.asarray(pos_err_arcsec, float) ** 2 - attitude_arcsec**2
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
