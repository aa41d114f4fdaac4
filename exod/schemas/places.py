"""The tables that tell of a place, and are not kept in an archive: light curves and photons."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from exod.schemas import kinds
from exod.schemas.columns import Column, Table
from exod.schemas.search import LIGHTCURVES, OBSID, RUN_KEY

_OF_FRAMES = ("time", "time_mjd", "n", "mu", "live", "bti", "bccd", "B_peak_log", "B_eclipse_log")

PLACE_CURVES = Table(
    "place",
    "Light curves of a place, one row a frame, summed over the cells that belong to it",
    (
        *RUN_KEY,
        Column("taken", pa.string(), "", "Cells that were summed: cell, radius, or a region"),
        Column("n_cells", pa.int32(), "", "How many they are"),
        # They are made at once, so that their dates are in them.
        *(
            replace(column, dates="")
            for column in LIGHTCURVES.shown.columns
            if column.name in _OF_FRAMES
        ),
    ),
    ("runid", "time"),
)

PHOTONS = Table(
    "events",
    "Photons that were counted in the cells of a region",
    (
        kinds.start("TIME", "Arrival, mission elapsed time"),
        kinds.start_day("TIME_mjd", "Arrival, MJD (TT)"),
        Column("X", pa.int32(), "pixel", "Sky pixel", ucd="pos.cartesian.x"),
        Column("Y", pa.int32(), "pixel", "Sky pixel", ucd="pos.cartesian.y"),
        Column("PI", pa.int16(), "eV", "Energy", ucd="em.energy"),
        Column("CCDNR", pa.int16(), "", "Chip", ucd="meta.id;instr.det"),
        Column(
            "RAWX",
            pa.int16(),
            "",
            "Pixel column of the chip, from 1",
            ucd="pos.cartesian.x;instr.det",
        ),
        Column(
            "RAWY", pa.int16(), "", "Pixel row of the chip, from 1", ucd="pos.cartesian.y;instr.det"
        ),
        Column(
            "PATTERN", pa.int16(), "", "Pattern of the charge, 0 for one pixel", ucd="meta.code"
        ),
        Column("FLAG", pa.int32(), "", "Bits of quality, 0 for a good event", ucd="meta.code.qual"),
        kinds.instrument("instrument", "Camera, INSTRUME of the header"),
        kinds.exposure_name("expid", "Exposure identifier"),
        kinds.right_ascension("ra_deg", "Right ascension"),
        kinds.declination("dec_deg", "Declination"),
        Column("frame", pa.int32(), "", "Frame of the run, from 0"),
        Column("cell_y", pa.int16(), "", "Row in the full, uncropped grid"),
        Column("cell_x", pa.int16(), "", "Column in the full, uncropped grid"),
        OBSID,
    ),
    ("TIME",),
)
