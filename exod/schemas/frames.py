"""The tables of `exod rectify`: frames of observations, offsets of sources, corrected positions."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pyarrow as pa

from exod.schemas import kinds
from exod.schemas.columns import Column, Table
from exod.schemas.search import DETID, OBSID, RUNID

_S, _B, _I32, _F64 = pa.string(), pa.bool_(), pa.int32(), pa.float64()

_KIND: Final = kinds.classification(
    "source", "Where the frame is from: header (of the source list), fit (own) or none"
)
_REFCAT: Final = Column(
    "refcat", _S, "", "Catalogue that was matched; empty if none", ucd="meta.ref"
)
_MJD: Final = kinds.day("mjd", "Start of the observation, MJD (TT); NaN if unknown")
_REVOLUTION: Final = Column(
    "revolution", _I32, "", "Revolution of the satellite; -1 if it has none", none=-1
)


def _offset(name: str, description: str) -> Column:
    return Column(name, _F64, "arcsec", description, ucd="pos.angDistance")


def _error(name: str, unit: str, description: str) -> Column:
    return Column(name, _F64, unit, description, ucd="stat.error")


def _correlation(name: str, description: str) -> Column:
    return Column(name, _F64, "", description, ucd="stat.correlation")


FRAMES = Table(
    "frames",
    "The frame of each observation: what brings its positions onto the sky",
    (
        OBSID,
        _KIND,
        kinds.pointing_right_ascension("ra_pnt", "Centre of the rotation; NaN without a frame"),
        kinds.pointing_declination("dec_pnt", "Centre of the rotation; NaN without a frame"),
        _offset("east_arcsec", "Shift to the east that is added to measured positions; 0 if none"),
        _offset("north_arcsec", "Shift to the north that is added to them; 0 if none"),
        Column("rotation_deg", _F64, "deg", "Angle that turns them from east to north; 0 if none"),
        _error("east_err_arcsec", "arcsec", "Standard error of the shift to the east; NaN if none"),
        _error("north_err_arcsec", "arcsec", "Standard error of that to the north; NaN if none"),
        _error("rotation_err_deg", "deg", "Standard error of the rotation; NaN if none"),
        _correlation("corr_east_north", "Correlation of both shifts; NaN if none"),
        _correlation("corr_east_rotation", "Correlation of east and rotation; NaN if none"),
        _correlation("corr_north_rotation", "Correlation of north and rotation; NaN if none"),
        Column("n_sources", _I32, "", "Point sources that could take part in a fit"),
        Column("n_matched", _F64, "", "Pairs of the frame: counted (header) or expected (fit)"),
        Column("matched_fraction", _F64, "", "Fraction of sources with a counterpart, by the fit"),
        kinds.likelihood("likelihood", "L of catcorr, from the header; NaN if it has none"),
        kinds.likelihood("log_odds", "Log odds of the own fit against chance; NaN without"),
        kinds.likelihood("log_evidence", "Log evidence of the own fit; NaN without"),
        Column("ok", _B, "", "Whether there is a frame"),
        Column("reason", _S, "", "Why the header, and if there is none the fit, gave no frame"),
        _REFCAT,
        _offset("y_arcsec", "X-ray minus catalogue along Y of the spacecraft; 0 without a frame"),
        _offset("z_arcsec", "X-ray minus catalogue along Z of the spacecraft; 0 without a frame"),
        _MJD,
        _REVOLUTION,
    ),
    ("obsid",),
)

OFFSETS = Table(
    "offsets",
    "Known point sources and the nearest counterpart of each after correction, within 5 arcsec",
    (
        OBSID,
        kinds.right_ascension("ra_deg", "Right ascension as measured"),
        kinds.declination("dec_deg", "Declination as measured"),
        kinds.position_error(
            "pos_err_arcsec", "Radius that holds it with 63 % probability, without the frame"
        ),
        kinds.likelihood("det_ml", "EP_DET_ML, maximum likelihood of the detection"),
        _KIND,
        _error("frame_err_arcsec", "arcsec", "Error of the frame there, radial; 0 without a frame"),
        _REFCAT,
        Column("ref_ra_deg", _F64, "deg", "Counterpart at the epoch", ucd="pos.eq.ra"),
        Column("ref_dec_deg", _F64, "deg", "Counterpart at the epoch", ucd="pos.eq.dec"),
        _offset("east_arcsec", "X-ray minus catalogue to the east, as measured"),
        _offset("north_arcsec", "X-ray minus catalogue to the north, as measured"),
        _offset("east_corr_arcsec", "X-ray minus catalogue to the east, corrected"),
        _offset("north_corr_arcsec", "X-ray minus catalogue to the north, corrected"),
        _offset("dy_arcsec", "X-ray minus catalogue along Y of the spacecraft, as measured"),
        _offset("dz_arcsec", "X-ray minus catalogue along Z of the spacecraft, as measured"),
        _offset("dy_corr_arcsec", "X-ray minus catalogue along Y, corrected"),
        _offset("dz_corr_arcsec", "X-ray minus catalogue along Z, corrected"),
        kinds.probability(
            "p_match", "Probability of a true pair by the own fit; NaN if that is not believed"
        ),
        Column("off_axis_arcmin", _F64, "arcmin", "Distance from the pointing; NaN if unknown"),
        kinds.instrument("instrument", "Camera of the position: EPIC, all cameras together"),
        _MJD,
        _REVOLUTION,
    ),
    ("obsid", "ra_deg", "dec_deg"),
)

POSITIONS = Table(
    "positions",
    "Corrected positions of regions, with errors that hold them; what was measured stays beside",
    (
        DETID,
        RUNID,
        OBSID,
        _KIND,
        kinds.right_ascension("ra_corr_deg", "Right ascension, corrected; as measured if no frame"),
        kinds.declination("dec_corr_deg", "Declination, corrected; as measured if no frame"),
        kinds.position_error(
            "pos_err_corr_arcsec",
            "Radius that holds the corrected position with 63 % probability; NaN if unknown",
        ),
        replace(
            kinds.position_error("pos_err_arcsec", "That of the search, which has no frame"),
            ucd="stat.error;pos.eq",
        ),
        _error("frame_err_arcsec", "arcsec", "Error of the frame there, radial; 0 without a frame"),
    ),
    ("runid", "detid"),
)
