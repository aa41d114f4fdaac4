"""Rows of the tables frames, offsets and positions of an observation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from exod.astrometry.attitude import radec_to_yagzag
from exod.astrometry.framefit import FrameFit
from exod.astrometry.rectification import Frame
from exod.counterparts.matching import Positions, match_rows, measured
from exod.schemas.arrays import Floats
from exod.sky.sphere import is_position
from exod.stages.derive.rectify.calibration import RADIUS_ARCSEC
from exod.stages.derive.rectify.sourcelists import KnownSources

HEADER: Final = "header"
FIT: Final = "fit"
NONE: Final = "none"

SHIFTS: Final = ("east_arcsec", "north_arcsec", "rotation_deg")
_ERRORS: Final = ("east_err_arcsec", "north_err_arcsec", "rotation_err_deg")


@dataclass(frozen=True, eq=False)
class Rectified:
    """An observation and its frame.

    Attributes
    ----------
    about : dict
        Its row of the table observations, and mjd.
    known : KnownSources
        Its known sources and what their list says.
    fit : FrameFit or None
        The own fit; None if there were no references.
    references : DataFrame
        ra_deg, dec_deg of references at the epoch.
    catalogue : str
        What they are of; empty if none was given.
    """

    about: Mapping[str, Any]
    known: KnownSources
    fit: FrameFit | None
    references: pd.DataFrame
    catalogue: str

    @property
    def source(self) -> str:
        """Where its frame is from: the header, else an own fit that is believed, or none."""
        if self.known.header.frame:
            return HEADER
        return FIT if self.fit and self.fit.ok else NONE

    @property
    def frame(self) -> Frame | None:
        """The frame; None if there is none."""
        found = {HEADER: self.known.header.frame, FIT: self.fit.frame if self.fit else None}
        return found.get(self.source)

    @property
    def reason(self) -> str:
        """Why it has no better frame; empty if it has that of the header."""
        if self.source == HEADER:
            return ""
        reason = f"header: {self.known.header.reason}"
        if self.source == NONE:
            why = self.fit.reason if self.fit else "no catalogue was given"
            reason += f"; fit: {why}"
        return reason

    @property
    def refcat(self) -> str:
        """The catalogue of its frame."""
        return {HEADER: self.known.header.catalogue, FIT: self.catalogue}.get(self.source, "")

    def corrected(self, ra_deg: Any, dec_deg: Any) -> tuple[Floats, Floats, Floats]:
        """Positions on the sky, and the error of the frame there; as measured without one."""
        ra, dec = np.array(ra_deg, float), np.array(dec_deg, float)
        error = np.zeros(len(ra))
        some = np.asarray(is_position(ra, dec))
        if self.frame and some.any():
            error[some] = self.frame.error_arcsec(ra[some], dec[some])
            ra[some], dec[some] = self.frame.apply(ra[some], dec[some])
        return ra, dec, error

    def along_body(self, east: Any, north: Any) -> tuple[Floats, Floats]:
        """Offsets along Y and Z of the spacecraft; NaN if its roll angle is not known."""
        roll = np.radians(float(self.about["pa_pnt"]))
        cos, sin = np.cos(roll), np.sin(roll)
        return np.asarray(cos * east + sin * north), np.asarray(cos * north - sin * east)


def frame_row(one: Rectified) -> dict[str, Any]:
    """Its row of the table frames."""
    frame, fit, header = one.frame, one.fit, one.known.header
    errors, correlations = np.full(3, np.nan), np.full((3, 3), np.nan)
    shift = np.zeros(3)
    if frame:
        errors = np.sqrt(np.diag(frame.covariance))
        product = np.outer(errors, errors)
        correlations = np.divide(frame.covariance, product, out=np.zeros((3, 3)), where=product > 0)
        shift = np.array([frame.east_arcsec, frame.north_arcsec, frame.rotation_deg])
    y, z = one.along_body(-shift[0], -shift[1]) if frame else (0.0, 0.0)
    matched = {HEADER: float(header.n_matched), FIT: fit.n_matched if fit else 0.0}
    return {
        "obsid": one.about["obsid"],
        "source": one.source,
        "ra_pnt": frame.ra_deg if frame else np.nan,
        "dec_pnt": frame.dec_deg if frame else np.nan,
        **dict(zip(SHIFTS, shift, strict=True)),
        **dict(zip(_ERRORS, errors, strict=True)),
        "corr_east_north": correlations[0, 1],
        "corr_east_rotation": correlations[0, 2],
        "corr_north_rotation": correlations[1, 2],
        "n_sources": len(one.known.sources),
        "n_matched": matched.get(one.source, 0.0),
        "matched_fraction": fit.matched_fraction if fit else np.nan,
        "likelihood": header.likelihood,
        "log_odds": fit.log_odds if fit and fit.frame else np.nan,
        "log_evidence": fit.log_evidence if fit and fit.frame else np.nan,
        "ok": frame is not None,
        "reason": one.reason,
        "refcat": one.refcat,
        "y_arcsec": float(y),
        "z_arcsec": float(z),
        "mjd": one.about["mjd"],
        "revolution": one.about["revolution"],
    }


def offset_rows(one: Rectified) -> pd.DataFrame:
    """Its rows of the table offsets: the nearest reference of each source after correction."""
    sources = one.known.sources
    ra, dec = (sources[name].to_numpy(float) for name in ("ra_deg", "dec_deg"))
    corrected_ra, corrected_dec, frame_error = one.corrected(ra, dec)
    there = Positions(*(one.references[name].to_numpy(float) for name in ("ra_deg", "dec_deg")))
    met = match_rows(Positions(corrected_ra, corrected_dec), there, RADIUS_ARCSEC)
    source, row = (met[name].to_numpy(np.int64) for name in ("source", "row"))
    before = measured(Positions(ra, dec), there, source, row)
    east, north = -before.dra_arcsec, -before.ddec_arcsec
    east_after, north_after = (-met[name].to_numpy(float) for name in ("dra_arcsec", "ddec_arcsec"))
    body, body_after = one.along_body(east, north), one.along_body(east_after, north_after)
    y, z = radec_to_yagzag(
        ra[source], dec[source], (one.about["ra_pnt"], one.about["dec_pnt"], 0.0)
    )
    return pd.DataFrame(
        {
            "obsid": one.about["obsid"],
            "ra_deg": ra[source],
            "dec_deg": dec[source],
            "pos_err_arcsec": sources["error_arcsec"].to_numpy(float)[source],
            "det_ml": sources["det_ml"].to_numpy(float)[source],
            "source": one.source,
            "frame_err_arcsec": frame_error[source],
            "refcat": one.catalogue,
            "ref_ra_deg": there.ra_deg[row],
            "ref_dec_deg": there.dec_deg[row],
            **{"east_arcsec": east, "north_arcsec": north},
            **{"east_corr_arcsec": east_after, "north_corr_arcsec": north_after},
            **{"dy_arcsec": body[0], "dz_arcsec": body[1]},
            **{"dy_corr_arcsec": body_after[0], "dz_corr_arcsec": body_after[1]},
            "p_match": _memberships(one.fit, source, row),
            "off_axis_arcmin": np.hypot(y, z) / 60.0,
            "instrument": "EPIC",
            "mjd": one.about["mjd"],
            "revolution": one.about["revolution"],
        }
    )


def _memberships(fit: FrameFit | None, source: Any, row: Any) -> Floats:
    """Probability of each pair to be true; 0 for one that the fit did not look at."""
    if fit is None or not fit.ok:
        return np.full(len(source), np.nan)
    known = dict(zip(zip(fit.source, fit.reference, strict=True), fit.p_match, strict=True))
    return np.array([known.get(pair, 0.0) for pair in zip(source, row, strict=True)], float)


def position_rows(one: Rectified, regions: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table positions of its regions, whose circles are to be calibrated."""
    ra, dec, error = one.corrected(regions["ra_deg"], regions["dec_deg"])
    return regions[["detid", "runid", "obsid", "pos_err_arcsec"]].assign(
        source=one.source,
        ra_corr_deg=ra,
        dec_corr_deg=dec,
        pos_err_corr_arcsec=np.nan,
        frame_err_arcsec=error,
    )
