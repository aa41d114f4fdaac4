"""Tables that only the explorer's pages read: what covered a source, its photons, its likes."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from exod.schemas import kinds
from exod.schemas.columns import Column, Table
from exod.schemas.search import OBSID

N_SIMILAR: Final = 32
"""Numbers by which light curves are compared."""

_FLUX: Final = "phot.flux;em.X-ray"

OWNER: Final = "region_num"
"""The column that tells the source of a row."""

_NUMBER = kinds.parent_source(OWNER, "Number of the source")

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
        *(
            Column(name, pa.float64(), "erg cm-2 s-1", f"{what}; or missing", ucd=_FLUX)
            for name, what in (
                ("flux", "Mean flux of the observation, table history"),
                ("flux_lo", "Its lower end at 90 %, 0 for an upper limit"),
                ("flux_hi", "Its upper end or upper limit"),
            )
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

_CELLS = pa.list_(pa.int32())
_LINES = pa.list_(pa.int16())
_SUBSET = Column("subset", pa.int16(), "", "Number of the group of overlapping exposures, from 0")
_SIZE = Column("size_arcsec", pa.float64(), "arcsec", "Width of a cell")

CUTOUTS = Table(
    "cutouts",
    "Counts around each detection in its run, and more of them around the best of each source",
    (
        _NUMBER,
        kinds.main_name("detid", "Region"),
        OBSID,
        _SUBSET,
        _SIZE,
        Column("y", pa.int32(), "", "Row of the cell in the middle in the full grid"),
        Column("x", pa.int32(), "", "Column of the cell in the middle in the full grid"),
        Column("n", _CELLS, "ct", "Counts in order of y, then x; -1 outside the image of the run"),
    ),
    ("detid",),
)

FIELDS = Table(
    "fields",
    "Image of each subset of an observation, of the run with most regions",
    (
        OBSID,
        kinds.main_name("runid", "Run"),
        _SIZE,
        *(
            Column(f"{axis}_{end}", pa.int16(), "", f"{words} of the image in the full grid")
            for axis, what in (("y", "row"), ("x", "column"))
            for end, words in (("lo", f"First {what}"), ("hi", f"One past the last {what}"))
        ),
        Column("n", _CELLS, "ct", "Counts in order of y, then x"),
    ),
    ("obsid", "runid"),
)

OUTLINES = Table(
    "outlines",
    "Where the field of each subset of an observation ends: lines between cells",
    (
        OBSID,
        _SUBSET,
        _SIZE,
        Column("x_pnt", pa.float64(), "", "Column of the pointing in the full grid, in cells"),
        Column("y_pnt", pa.float64(), "", "Row of the pointing in the full grid, in cells"),
        kinds.pointing_angle("pa_pnt", "Position angle of the pointing"),
        Column("x_from", _LINES, "", "Column at which each line begins"),
        Column("y_from", _LINES, "", "Row at which each line begins"),
        Column("x_to", _LINES, "", "Column at which each line ends"),
        Column("y_to", _LINES, "", "Row at which each line ends"),
    ),
    ("obsid", "subset"),
)

SEARCHES = Table(
    "searches",
    "How the search of each observation ended when the pages were prepared",
    (
        OBSID,
        Column("status", pa.string(), "", "OK, EMPTY, SKIPPED or FAILED"),
        Column("reason", pa.string(), "", "Why, where it is not OK"),
        Column("attempt", pa.string(), "", "Name of the attempt"),
        Column("seconds", pa.float64(), "s", "How long it took"),
        Column("peak_memory_mb", pa.float64(), "MB", "Most memory that it took"),
        Column("finished", pa.string(), "", "When it ended, UTC"),
    ),
    ("obsid",),
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
