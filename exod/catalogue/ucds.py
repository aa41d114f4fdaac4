"""UCDs: what a column is, in the words of the Virtual Observatory.

References
----------
Preite Martinez et al., The UCD1+ controlled vocabulary, IVOA Recommendation.
"""

from __future__ import annotations

import re

import pyarrow as pa

from exod.schemas.columns import Column

_KNOWN = (
    (r"detid", "meta.id;src"),
    (r"best_detid", "meta.id.assoc"),
    (r"srcid", "meta.id;src"),
    (r"unique_reg_id", "meta.id.parent"),
    (r"region_num", "meta.record"),
    (r"runid|obsid", "meta.id;obs"),
    (r"ra_deg", "pos.eq.ra;meta.main"),
    (r"dec_deg", "pos.eq.dec;meta.main"),
    (r"pos_err_arcsec", "stat.error;pos.eq;meta.main"),
    (r"X", "pos.cartesian.x;instr.det"),
    (r"Y", "pos.cartesian.y;instr.det"),
    (r"t_bin", "time.resolution"),
    (r"e_lo", "em.energy;stat.min"),
    (r"e_hi", "em.energy;stat.max"),
    (r"t_start", "time.start"),
    (r"t_stop", "time.end"),
    (r"first_seen", "time.start;obs"),
    (r"last_seen", "time.end;obs"),
    (r"duration", "time.duration"),
    (r"mean_pixel_intensity", "phot.count;stat.mean"),
    (r"excess_lo", "phot.count;stat.min"),
    (r"excess_hi", "phot.count;stat.max"),
    (r"fap_.*", "stat.falsePositive"),
    (r"sigma_.*|lc_sigma_.*", "stat.snr"),
    (r"(lc_)?(max_)?B_.*|.*_max_B_.*", "stat.likelihood"),
    (r"strength", "stat.likelihood"),
    (r"lc_.*ks_p.*", "stat.probability"),
    (r".*_skew", "stat.skewness"),
    (r".*_kurt", "stat.kurtosis"),
    (r".*_std", "stat.stdev"),
    (r"lc_ratio_.*", "arith.factor"),
    (r"lc_(n|mu)_(max|min|mean)", r"phot.count;stat.\2"),
    (r"lc_(n|mu)_sum", "phot.count;arith.sum"),
    (r"hr_err|hr_.*_err|hardness.*_err", "stat.error;phot.color"),
    (r"hr|hr_.*|hardness.*", "phot.color"),
    (r"filt_.*", "meta.code.qual"),
    (r"(?i).+_(e_ra|ra_error|e_dec?|dec_error|(sc_)?poserr)", "stat.error;pos.eq"),
    (r"(?i).+_(.*parallax)_error", "stat.error;pos.parallax.trig"),
    (r".+_dra_arcsec", "pos.eq.ra;arith.diff"),
    (r".+_ddec_arcsec", "pos.eq.dec;arith.diff"),
    (r".+_sep(aration)?(_arcsec)?", "pos.angDistance"),
    (r".+_density_arcmin2", "src.density"),
    (r".+_p_chance", "stat.probability"),
    (r"(?i).+_(id|(source|src|obj|main)_?id|name|iauname|rpname|designation)", "meta.id.cross"),
    (r"(?i).+_ra(_deg)?", "pos.eq.ra"),
    (r"(?i).+_dec(_deg)?", "pos.eq.dec"),
    (r"(?i).+_pm(ra|dec?)?", "pos.pm"),
    (r"(?i).+_(otype|type|class|prediction)", "src.class"),
    (r"(?i).+_(redshift|z|zsp|zph|zhelio)", "src.redshift"),
    (r"(?i).+_var_flag", "meta.code;src.var"),
    (r"(?i).+_parallax", "pos.parallax.trig"),
)
"""Names, as regular expressions that match the whole, with their UCD; the first that matches."""

_BY_UNIT = {
    "ct": "phot.count",
    "ct/s": "arith.rate;phot.count",
    "s": "time.interval",
    "d": "time.epoch",
    "yr": "time.epoch",
    "keV": "em.energy",
    "deg": "pos.angDistance",
    "arcmin": "pos.angDistance",
    "arcsec": "pos.angDistance",
    "mas": "pos.angDistance",
    "mas/yr": "pos.pm",
    "mas yr-1": "pos.pm",
    "mag": "phot.mag",
    "erg cm-2 s-1": "phot.flux",
    "erg/cm2/s": "phot.flux",
    "Mpc": "pos.distance",
    "kpc": "pos.distance",
    "pc": "pos.distance",
}


def ucd(column: Column) -> str:
    """Tell what a column is; what its name does not tell its unit does, or its type.

    Examples
    --------
    >>> import pyarrow as pa
    >>> ucd(Column("t_start_err", pa.float64(), "s", ""))
    'stat.error;time.start'
    >>> ucd(Column("gaia_mag_g", pa.float32(), "mag", ""))
    'phot.mag'
    """
    for pattern, meaning in _KNOWN:
        if found := re.fullmatch(pattern, column.name):
            return found.expand(meaning)
    if column.name.endswith("_err"):
        about = ucd(Column(column.name.removesuffix("_err"), column.type, column.unit, ""))
        # A rate cannot come second in a UCD.
        about = about.removeprefix("arith.rate;").removesuffix(";meta.main")
        return f"stat.error;{about}"
    return _BY_UNIT.get(column.unit) or _of_type(column.type)


def _of_type(type_: pa.DataType) -> str:
    if pa.types.is_boolean(type_):
        return "meta.code"
    if pa.types.is_integer(type_):
        return "meta.number"
    return "stat.value" if pa.types.is_floating(type_) else "meta.note"
