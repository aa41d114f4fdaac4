"""The tables of long-term history: each source in each observation that covered it, and overall."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from exod.schemas import kinds
from exod.schemas.columns import Column, Table
from exod.schemas.search import OBSID

_B, _I32, _F64, _S = pa.bool_(), pa.int32(), pa.float64(), pa.string()
_RATE, _FLUX, _LUMINOSITY = "arith.rate;phot.count", "phot.flux;em.X-ray", "phys.luminosity"
_FLUX_UNIT = "erg cm-2 s-1"

_NUMBER = kinds.parent_source("region_num", "Number of the source")

HISTORY: Final = Table(
    "history",
    "Every observation that covered each source: rate and flux there, or an upper limit",
    (
        _NUMBER,
        OBSID,
        kinds.day("mjd", "Start of what was seen, MJD (TT)"),
        kinds.day("mjd_stop", "End of what was seen, MJD (TT)"),
        kinds.duration("seconds", "Live time of the exposure that saw the source longest"),
        Column("cameras", _I32, "", "Exposures that saw it"),
        kinds.least_energy("e_lo", "Lower end of the energy band"),
        kinds.greatest_energy("e_hi", "Upper end of the energy band"),
        Column("n", _F64, "ct", "Counts within 20 arcsec"),
        Column("mu", _F64, "ct", "Background that is expected there"),
        Column("response", _F64, "", "Counts there for each erg/cm2/s; NaN if not known"),
        Column("detected", _B, "", "Whether the interval excludes that there was no source"),
        Column("found", _B, "", "Whether the search found an event of the source"),
        Column("rate", _F64, "ct/s", "Mean rate, all cameras; may be negative", ucd=_RATE),
        Column("rate_lo", _F64, "ct/s", "Lower end at 90 %; 0 for an upper limit", ucd=_RATE),
        Column("rate_hi", _F64, "ct/s", "Upper end, or upper limit, at 90 %", ucd=_RATE),
        Column("flux", _F64, _FLUX_UNIT, "Mean flux; NaN without response", ucd=_FLUX),
        Column("flux_lo", _F64, _FLUX_UNIT, "Lower end at 90 %; 0 for a limit", ucd=_FLUX),
        Column("flux_hi", _F64, _FLUX_UNIT, "Upper end, or upper limit, at 90 %", ucd=_FLUX),
        kinds.flux("flux_peak", "Largest flux_peak of its events there; NaN if none"),
    ),
    ("region_num", "mjd", "obsid"),
)

LONGTERM: Final = Table(
    "longterm",
    "How each source varies from observation to observation, and how luminous it is",
    (
        _NUMBER,
        kinds.main_name("srcid", "Name of the source"),
        Column("n_seen", _I32, "", "Observations in history"),
        Column("n_measured", _I32, "", "Those with a flux or a limit of it, which are compared"),
        Column("n_lit", _I32, "", "Those of them in which its mean flux is above 0"),
        Column("obsid_max", _S, "", "Observation of the highest mean flux; empty if none"),
        Column("obsid_min", _S, "", "Observation of the lowest mean flux or limit; or empty"),
        Column("flux_max", _F64, _FLUX_UNIT, "Highest mean flux; NaN if never above 0", ucd=_FLUX),
        Column("flux_min", _F64, _FLUX_UNIT, "Lowest mean flux, or lowest limit", ucd=_FLUX),
        Column("flux_ratio", _F64, "", "flux_max / flux_min; NaN below two measurements"),
        Column("flux_ratio_lo", _F64, "", "Largest lower over smallest upper end, at 90 %"),
        kinds.probability("var_p_log", "log10 of the chance of this with a constant source"),
        kinds.significance("var_sigma", "The same as equivalent sigma, two-sided"),
        Column("var_alert", _B, "", "flux_ratio_lo is above 5, as STONKS alerts"),
        Column("distance_pc", _F64, "pc", "Distance of its counterpart; NaN", ucd="pos.distance"),
        Column("distance_from", _S, "", "Catalogue of the distance; empty if none"),
        Column("lum_peak", _F64, "erg/s", "Of flux_peak of its best event", ucd=_LUMINOSITY),
        Column("lum_max", _F64, "erg/s", "Of flux_max", ucd=_LUMINOSITY),
        Column("lum_note", _S, "", "Why there is no luminosity; empty if there is one"),
    ),
    ("region_num",),
)
