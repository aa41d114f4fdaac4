"""Kinds of columns: what has type, unit and UCD in common, so that a name and a meaning are left.

A kind is called with the name and the meaning of a column. The UCDs are words of the controlled
vocabulary UCD1+ of the IVOA; a test looks each up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow as pa

from exod.schemas.columns import Column

OBSID_FORM: Final = "(?:[0-9]{10}|[1-9][0-9]{0,4})"
"""Regular expression of observation identifiers: ten digits of XMM-Newton, or the number, up to
99999, of Chandra. `exod.instruments.Observatory.obsid` has the form of each."""

OBSID_WORDS: Final = "it must be ten digits, or the number, up to 99999, of a Chandra observation"
"""What errors say of it."""

_S, _I32, _I64, _F64 = pa.string(), pa.int32(), pa.int64(), pa.float64()


def kind(type_: pa.DataType, unit: str, ucd: str) -> Callable[[str, str], Column]:
    """A kind of columns.

    Examples
    --------
    >>> start("t_start", "Start of the event").ucd
    'time.start'
    """
    return lambda name, description: Column(name, type_, unit, description, ucd=ucd)


of_observation = kind(_S, "", "meta.id;obs")
main_name = kind(_S, "", "meta.id;src;meta.main")
file_name = kind(_S, "", "meta.id;meta.file")
instrument = kind(_S, "", "meta.id;instr")
exposure_name = kind(_S, "", "meta.id;obs.exposure")
classification = kind(_S, "", "meta.code.class")
right_ascension = kind(_F64, "deg", "pos.eq.ra;meta.main")
declination = kind(_F64, "deg", "pos.eq.dec;meta.main")
position_error = kind(_F64, "arcsec", "stat.error;pos.eq;meta.main")
pointing_right_ascension = kind(_F64, "deg", "pos.eq.ra;obs.field")
pointing_declination = kind(_F64, "deg", "pos.eq.dec;obs.field")
pointing_angle = kind(_F64, "deg", "pos.posAng;obs.field")
reference_pixel = kind(_F64, "pixel", "pos.wcs.crpix")
reference_value = kind(_F64, "deg", "pos.wcs.crval")
pixel_scale = kind(_F64, "deg", "pos.wcs.scale")
angular_size = kind(_F64, "arcsec", "phys.angSize")
angular_resolution = kind(_F64, "arcsec", "pos.angResolution")
sky_x = kind(_F64, "pixel", "pos.cartesian.x")
sky_y = kind(_F64, "pixel", "pos.cartesian.y")
grid_x = kind(_F64, "", "pos.cartesian.x")
grid_y = kind(_F64, "", "pos.cartesian.y")
detector_x = kind(_F64, "pixel", "pos.cartesian.x;instr.det")
detector_y = kind(_F64, "pixel", "pos.cartesian.y;instr.det")
start = kind(_F64, "s", "time.start")
end = kind(_F64, "s", "time.end")
start_error = kind(_F64, "s", "stat.error;time.start")
end_error = kind(_F64, "s", "stat.error;time.end")
exposure_start = kind(_F64, "s", "time.start;obs.exposure")
exposure_end = kind(_F64, "s", "time.end;obs.exposure")
observation_start = kind(_F64, "s", "time.start;obs")
observation_end = kind(_F64, "s", "time.end;obs")
start_day = kind(_F64, "d", "time.start")
end_day = kind(_F64, "d", "time.end")
start_date = kind(_S, "", "time.start")
end_date = kind(_S, "", "time.end")
first_day = kind(_F64, "d", "time.start;obs")
last_day = kind(_F64, "d", "time.end;obs")
time_resolution = kind(_F64, "s", "time.resolution")
duration = kind(_F64, "s", "time.duration")
duration_error = kind(_F64, "s", "stat.error;time.duration")
least_energy = kind(_F64, "keV", "em.energy;stat.min")
greatest_energy = kind(_F64, "keV", "em.energy;stat.max")
least_counts = kind(_F64, "ct", "phot.count;stat.min")
greatest_counts = kind(_F64, "ct", "phot.count;stat.max")
mean_counts = kind(_F64, "ct", "phot.count;stat.mean")
sum_of_counts = kind(_F64, "ct", "phot.count;arith.sum")
deviation_of_counts = kind(_F64, "ct", "stat.stdev")
rate_error = kind(_F64, "ct/s", "stat.error;phot.count")
colour = kind(_F64, "", "phot.color")
least_colour = kind(_F64, "", "phot.color;stat.min")
greatest_colour = kind(_F64, "", "phot.color;stat.max")
flux = kind(_F64, "erg cm-2 s-1", "phot.flux;em.X-ray")
flux_error = kind(_F64, "erg cm-2 s-1", "stat.error;phot.flux")
fluence = kind(_F64, "erg cm-2", "phot.fluence;em.X-ray")
least_fluence = kind(_F64, "erg cm-2", "phot.fluence;stat.min")
greatest_fluence = kind(_F64, "erg cm-2", "phot.fluence;stat.max")
counts = kind(_I32, "ct", "")
day = kind(_F64, "d", "")
associated_source = kind(_I64, "", "meta.id.assoc")
parent_source = kind(_I64, "", "meta.id.parent")
version = kind(_S, "", "meta.version")
likelihood = kind(_F64, "", "stat.likelihood")
significance = kind(_F64, "", "stat.snr")
probability = kind(_F64, "", "stat.probability")
false_alarm = kind(_F64, "", "stat.falsePositive")
skewness = kind(_F64, "", "stat.skewness")
kurtosis = kind(_F64, "", "stat.kurtosis")
