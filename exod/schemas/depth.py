"""The tables of limits: what is known of each exposure everywhere, where that is, and answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pyarrow as pa

from exod.schemas import kinds
from exod.schemas.columns import Column, Table
from exod.schemas.search import OBSID

_I16, _I32, _I64 = pa.int16(), pa.int32(), pa.int64()
_F32, _F64 = pa.float32(), pa.float64()

_EXPID = kinds.exposure_name("expid", "Exposure identifier")

DEPTH: Final = Table(
    "depth",
    "What is known of every place of an exposure, packed; `exod limit` reads it",
    (
        OBSID,
        kinds.instrument("instrument", "Camera, INSTRUME of the header"),
        _EXPID,
        Column("head", pa.binary(), "", "Pointing, grid, level, live time and runs, packed"),
        Column("images", pa.binary(), "", "Area, CCD, counts and sources of 16 x 16 cells, packed"),
        Column("photons", pa.binary(), "", "Times and bands of the photons of these cells, packed"),
    ),
    ("obsid", "instrument", "expid"),
)

COVERED: Final = Table(
    "covered",
    "HEALPix pixels that observations covered, and how deep",
    (
        OBSID,
        Column("healpix", _I64, "", "HEALPix pixel of order 10, nested"),
        Column("children", _I32, "", "Bit i is set if pixel 16 healpix + i of order 12 was seen"),
        Column("row_group", _I32, "", "Row group of the observation in the file of depth"),
        kinds.duration("seconds", "Live time of the exposure that saw it longest"),
        Column("response", pa.list_(_F32), "", "Counts in a second for each erg/cm^2/s, by band"),
        Column("background", pa.list_(_F32), "ct/s", "Background of a place, by band"),
    ),
    ("healpix", "obsid"),
)


def _limit(name: str, what: str, unit: str, ucd: str) -> tuple[Column, ...]:
    return (
        Column(f"{name}_lo", _F64, unit, f"{what}, lower end; 0 for an upper limit", ucd=ucd),
        Column(f"{name}_hi", _F64, unit, f"{what}, upper end or upper limit", ucd=ucd),
    )


_FLUX = "phot.flux;em.X-ray"

SURVEY_DEPTH: Final = Table(
    "coverage",
    "How deep a survey is: HEALPix pixels with the limit of the deepest observation",
    (
        Column("PIXEL", _I64, "", "HEALPix pixel of order 10, nested"),
        kinds.right_ascension("ra_deg", "Right ascension of its centre"),
        kinds.declination("dec_deg", "Declination of its centre"),
        Column("n_observations", _I64, "", "Observations that saw some of it"),
        kinds.duration("seconds", "Their live time"),
        Column("area_deg2", _F64, "deg2", "Area of it that was seen", ucd="pos.angSize"),
        kinds.flux("flux", "Expected upper limit of the deepest observation; NaN if not known"),
    ),
    ("PIXEL",),
)

AREA_CURVE: Final = Table(
    "area",
    "Area that was seen with a flux limit or a lower one",
    (
        kinds.flux("flux", "Flux limit"),
        Column("area_deg2", _F64, "deg2", "Area", ucd="pos.angSize"),
    ),
    ("flux",),
)

LIMITS: Final = Table(
    "limits",
    "What observations had of places: counts, and an interval or an upper limit of a source",
    (
        Column("place", _I64, "", "Number of the place that was asked for, from 0"),
        kinds.right_ascension("ra_deg", "Right ascension of the place"),
        kinds.declination("dec_deg", "Declination of the place"),
        OBSID,
        kinds.least_energy("e_lo", "Lower end of the energy band (excluded)"),
        kinds.greatest_energy("e_hi", "Upper end of the energy band (excluded)"),
        Column("cameras", _I64, "", "Exposures that saw the place"),
        kinds.start("t_start", "First second that was asked for and seen"),
        kinds.end("t_stop", "Last second that was asked for and seen"),
        replace(kinds.start_day("t_start_mjd", "t_start as MJD (TT)"), dates=""),
        replace(kinds.end_day("t_stop_mjd", "t_stop as MJD (TT)"), dates=""),
        kinds.duration("seconds", "Live time of the exposure that saw the place longest"),
        kinds.duration("live", "Live time of all exposures"),
        Column("n", _F64, "ct", "Counts of the cells of the place; NaN without photons"),
        Column("mu", _F64, "ct", "Background that is expected there; NaN if not known"),
        Column("constant", _F64, "ct", "Counts of a known or bright source there, if constant"),
        Column("share", _F64, "", "Share of the light of a point source that the cells had"),
        kinds.probability("p_log", "log10 of the probability of n counts or more by chance"),
        Column("detected", pa.bool_(), "", "Whether the interval excludes that there is no source"),
        *_limit("counts", "Counts of a source in the whole PSF", "ct", "phot.count"),
        Column("rate", _F64, "ct/s", "Rate of a source, all cameras together; may be negative"),
        *_limit("rate", "Rate", "ct/s", "arith.rate;phot.count"),
        Column("flux", _F64, "erg cm-2 s-1", "Flux; NaN if there is no factor", ucd=_FLUX),
        *_limit("flux", "Flux", "erg cm-2 s-1", _FLUX),
        Column("n50", _F64, "ct", "Counts of a burst that is found with 50 %; NaN if not searched"),
        Column("n90", _F64, "ct", "Counts of a burst that is found with 90 %; NaN if not searched"),
        kinds.time_resolution("burst_bin", "Length of the frames in which it needs least"),
        kinds.duration("burst_seconds", "Length of that burst"),
        kinds.flux("flux50", "Mean flux of such a burst of n50 counts"),
        kinds.flux("flux90", "Mean flux of such a burst of n90 counts"),
    ),
    ("place", "obsid"),
)
"""Answers, which are not kept in an archive."""
