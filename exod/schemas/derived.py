"""The tables that are derived from the results of many observations.

A product is a folder of the archive: ``unique`` (with the tables unique, members, lineage,
footprints), ``features``, ``flags`` (with hot_regions), and one ``xmatch-<catalogue>`` a catalogue,
whose columns its declaration in ``catalogs/`` adds to `MATCH`.
"""

from __future__ import annotations

from types import MappingProxyType

import pyarrow as pa

from exod.columns import Column, Table

_S, _B = pa.string(), pa.bool_()
_I16, _I32, _I64 = pa.int16(), pa.int32(), pa.int64()
_F32, _F64 = pa.float32(), pa.float64()

_DETID = Column("detid", _S, "", "Region: {runid}_{label}")
_RUNID = Column("runid", _S, "", "Run: {obsid}_{subset}_{t_bin}_{e_lo}_{e_hi}")
_OBSID = Column("obsid", _S, "", "Observation identifier, ten digits")
_REGION_NUM = Column("region_num", _I64, "", "Number of the unique source; never used again")
_SRCID = Column("srcid", _S, "", "Name of the unique source: EXOD JHHMMSS.s+DDMMSS")

UNIQUE = Table(
    "unique",
    "Unique sources: regions of all runs and observations at one place",
    (
        _REGION_NUM,
        _SRCID,
        Column("ra_deg", _F64, "deg", "Right ascension of the mean position, ICRS"),
        Column("dec_deg", _F64, "deg", "Declination of the mean position, ICRS"),
        Column(
            "pos_err_arcsec", _F64, "arcsec", "Radius that holds the position with 63 % probability"
        ),
        Column("n_detections", _I32, "", "Regions of the source, all runs and observations"),
        Column("n_observations", _I32, "", "Observations with a region of the source"),
        Column("n_covered", _I32, "", "Observations that covered the position"),
        Column("n_undetected", _I32, "", "Observations that covered it and have no region of it"),
        Column("first_seen", _F64, "d", "MJD (UTC) at which the first of these began; NaN if none"),
        Column("last_seen", _F64, "d", "MJD (UTC) at which the last of these began; NaN if none"),
        Column("best_detid", _S, "", "Its most significant region"),
        Column("max_B_peak_log", _F64, "", "Largest log10 B_peak of its regions; NaN if none"),
        Column(
            "max_B_eclipse_log", _F64, "", "Largest log10 B_eclipse of its regions; NaN if none"
        ),
        Column("sigma_peak", _F64, "", "Largest equivalent sigma of a peak, 0 to 10"),
        Column("sigma_eclipse", _F64, "", "Largest equivalent sigma of an eclipse, 0 to 10"),
        Column("fap_obs", _F64, "", "Smallest false-alarm probability of its regions"),
    ),
    ("region_num",),
)

MEMBERS = Table(
    "members",
    "Which regions make up which unique source",
    (
        _DETID,
        _OBSID,
        Column("unique_reg_id", _I64, "", "Its unique source, region_num of the table unique"),
        _SRCID,
        Column("ra_deg", _F64, "deg", "Right ascension of the region"),
        Column("dec_deg", _F64, "deg", "Declination of the region"),
        Column("separation_arcsec", _F64, "arcsec", "Distance of the region from the source"),
    ),
    ("unique_reg_id", "detid"),
)

LINEAGE = Table(
    "lineage",
    "What became of unique sources: new, merged, split, gone, returned",
    (
        _REGION_NUM,
        _SRCID,
        Column("change", _S, "", "new, merged, split, gone or returned"),
        Column("other", _I64, "", "Merged into, or split from, this source; -1 otherwise"),
        Column("version", _S, "", "Version of the product unique that made the change"),
        Column("ra_deg", _F64, "deg", "Right ascension of the source at the change"),
        Column("dec_deg", _F64, "deg", "Declination of the source at the change"),
    ),
    ("version", "region_num"),
)

FEATURES = Table(
    "features",
    "Features of the light curve of each region",
    (
        _DETID,
        _RUNID,
        _OBSID,
        Column("length", _I32, "", "Frames of the light curve"),
    ),
    ("runid", "detid"),
)

FLAGS = Table(
    "flags",
    "Quality flags of each region",
    (
        _DETID,
        _RUNID,
        _OBSID,
        Column("filt_tbin_5_n_l_5", _B, "", "Frames of 5 s and never 5 counts in one"),
        Column("filt_g_20_detections", _B, "", "More than 20 regions in its run"),
        Column("filt_5sig", _B, "", "Significant at 5 sigma"),
        Column("filt_exclude_obsid", _B, "", "In an observation of the list of excluded ones"),
        Column("filt_hot_pixel", _B, "", "In a hot region of the detector"),
    ),
    ("runid", "detid"),
)

MATCH = (
    _REGION_NUM,
    _SRCID,
    Column("ra_deg", _F64, "deg", "Right ascension of the source when it was matched"),
    Column("dec_deg", _F64, "deg", "Declination of the source when it was matched"),
)
"""The first columns of every cross-match; the others begin with the prefix of the catalogue."""

DERIVED = MappingProxyType(
    {
        "unique": (UNIQUE, MEMBERS, LINEAGE),
        "features": (FEATURES,),
        "flags": (FLAGS,),
    }
)
"""The products with fixed columns, by name, with their tables."""
