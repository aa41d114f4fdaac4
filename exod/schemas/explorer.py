"""Tables that only the explorer's pages read: what covered a source, its photons, its likes."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from exod.schemas import kinds
from exod.schemas.columns import Column, Table
from exod.schemas.search import OBSID

N_SIMILAR: Final = 32
"""Numbers by which light curves are compared."""

_NUMBER = kinds.parent_source("region_num", "Number of the source")

COVERAGE = Table(
    "coverage",
    "Observations that covered each source, with what was found or could have been found",
    (
        _NUMBER,
        OBSID,
        kinds.day("mjd", "Start of the observation, MJD (TT); missing if unknown"),
        Column("detected", pa.bool_(), "", "Whether it has a region of the source"),
        kinds.time_resolution("t_bin", "Frames of its strongest region, or of the limit"),
        kinds.least_energy("e_lo", "Lower end of the energy band of these"),
        kinds.greatest_energy("e_hi", "Upper end of the energy band of these"),
        Column("rate", pa.float64(), "ct/s", "peak_rate of its strongest region; or missing"),
        Column(
            "n90",
            pa.float64(),
            "ct/s",
            "Without a region: rate in a frame at which 90 % of bursts are found; or missing",
        ),
    ),
    ("region_num", "mjd", "obsid"),
)

SIGNIFICANCES = Table(
    "significances",
    "How significant each source was when pages were prepared, where that has changed since",
    (
        _NUMBER,
        Column("generation", pa.int64(), "", "generation of the last change of sources then; or 0"),
        Column("sigma_peak", pa.float64(), "", "sigma_peak of the source; or missing"),
        Column("sigma_eclipse", pa.float64(), "", "sigma_eclipse of the source; or missing"),
    ),
    ("region_num", "generation"),
)

NEAR_PHOTONS = Table(
    "photons",
    "Photons within an arcmin of each source, in all observations that covered it",
    (
        _NUMBER,
        OBSID,
        kinds.instrument("camera", "Camera, INSTRUME of the header"),
        kinds.start("time", "Arrival, mission elapsed time"),
        Column("pi", pa.int16(), "eV", "Energy", ucd="em.energy"),
        Column("dx", pa.int16(), "0.05 arcsec", "Distance to the west of the source"),
        Column("dy", pa.int16(), "0.05 arcsec", "Distance to the north of the source"),
        Column("in_bti", pa.bool_(), "", "Whether it came in a bad time interval"),
    ),
    ("region_num", "time", "camera", "pi", "dx", "dy"),
)

NEIGHBOURS = Table(
    "neighbours",
    "Light curves by numbers: the closer the numbers, the more alike they are",
    (
        _NUMBER,
        kinds.main_name("srcid", "Name of the source"),
        kinds.main_name("detid", "Region"),
        *(
            Column(f"f{number:02d}", pa.float32(), "", f"Number {number} of its light curve")
            for number in range(N_SIMILAR)
        ),
    ),
    ("region_num", "detid"),
)
