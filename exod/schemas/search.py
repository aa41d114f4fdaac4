"""The tables that the search of an observation writes."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pyarrow as pa

from exod.schemas import kinds
from exod.schemas.columns import Column, Table

_S, _B = pa.string(), pa.bool_()
_I16, _I32, _I64 = pa.int16(), pa.int32(), pa.int64()
_F32, _F64 = pa.float32(), pa.float64()

OBSID = kinds.of_observation("obsid", "Observation identifier")
RUNID = kinds.of_observation("runid", "Run: {obsid}_{subset}_{t_bin}_{e_lo}_{e_hi}")
DETID = kinds.main_name("detid", "Region: {runid}_{label}")
REGION_KEY = (DETID, RUNID, OBSID)
_SUBSET = Column("subset", _I16, "", "Number of the group of overlapping exposures, from 0")
RUN_KEY = (
    RUNID,
    OBSID,
    _SUBSET,
    kinds.time_resolution("t_bin", "Length of a frame"),
    kinds.least_energy("e_lo", "Lower end of the energy band (excluded)"),
    kinds.greatest_energy("e_hi", "Upper end of the energy band (excluded)"),
)
_BBOX = (
    Column("y_lo", _I16, "", "First row of the bounding box in the full grid"),
    Column("y_hi", _I16, "", "One past the last row of the bounding box"),
    Column("x_lo", _I16, "", "First column of the bounding box in the full grid"),
    Column("x_hi", _I16, "", "One past the last column of the bounding box"),
)
_LABEL = Column("label", _I32, "", "Number of the region in its run, from 0")

_EVENT = (
    kinds.classification(
        "kind", "What the event is: peak or eclipse; peak if it has cells of both"
    ),
    kinds.start("t_start", "Start of the event, mission elapsed time; NaN if not measured"),
    kinds.start_error("t_start_err", "Standard error of t_start; NaN if not measured"),
    kinds.end("t_stop", "End of the event, mission elapsed time; NaN if not measured"),
    kinds.end_error("t_stop_err", "Standard error of t_stop; NaN if not measured"),
    kinds.duration("duration", "Length of the event; NaN if not measured"),
    kinds.duration_error("duration_err", "Standard error of duration; NaN if not measured"),
    Column("event_n", _F64, "ct", "Counts in the box during the event; NaN if not measured"),
    Column("event_mu", _F64, "ct", "Expected counts during the event; NaN if not measured"),
    Column("excess", _F64, "ct", "Counts of the event in the whole PSF; negative in an eclipse"),
    kinds.least_counts("excess_lo", "Lower end of its 68.3 % credible interval"),
    kinds.greatest_counts("excess_hi", "Upper end of its 68.3 % credible interval"),
    Column("peak_rate", _F64, "ct/s", "Rate above the expectation in the brightest block"),
    kinds.rate_error("peak_rate_err", "Standard error of peak_rate"),
)

_EVENT_DATES = (
    replace(kinds.start_day("t_start_mjd", "t_start as MJD (TT); or NaN"), dates="t_start"),
    replace(kinds.start_date("t_start_utc", "t_start in UTC; empty if NaN"), dates="t_start"),
    replace(kinds.end_day("t_stop_mjd", "t_stop as MJD (TT); or NaN"), dates="t_stop"),
    replace(kinds.end_date("t_stop_utc", "t_stop in UTC; empty if NaN"), dates="t_stop"),
)


def _days(start: str, end: str = "", where: str = "") -> tuple[Column, ...]:
    """The days of columns of seconds: of a start, and of an end if there is one."""
    days = [replace(kinds.start_day(f"{start}_mjd", f"{start} as MJD (TT){where}"), dates=start)]
    if end:
        days.append(replace(kinds.end_day(f"{end}_mjd", f"{end} as MJD (TT){where}"), dates=end))
    return tuple(days)


OBSERVATIONS = Table(
    "observations",
    "One row for each observation that was searched",
    (
        OBSID,
        Column("target", _S, "", "Name of the target", ucd="meta.id;src"),
        Column("date_obs", _S, "", "Start of the earliest exposure, UTC", ucd="time.start;obs"),
        Column("revolution", _I32, "", "Revolution of the satellite; -1 if it has none", none=-1),
        kinds.pointing_right_ascension("ra_pnt", "Right ascension of the pointing; NaN if unknown"),
        kinds.pointing_declination("dec_pnt", "Declination of the pointing; NaN if unknown"),
        kinds.pointing_angle("pa_pnt", "Position angle of the pointing; NaN if unknown"),
        kinds.reference_pixel(
            "x_ref", "Reference pixel of the projection, sky pixels; NaN if none"
        ),
        kinds.reference_pixel(
            "y_ref", "Reference pixel of the projection, sky pixels; NaN if none"
        ),
        kinds.reference_value("ra_ref", "Right ascension of the reference pixel; NaN if none"),
        kinds.reference_value("dec_ref", "Declination of the reference pixel; NaN if none"),
        kinds.pixel_scale("x_delta", "Size of a sky pixel along X; NaN if none"),
        kinds.pixel_scale("y_delta", "Size of a sky pixel along Y; NaN if none"),
        Column("n_exposures", _I16, "", "Exposures that were searched"),
        Column("n_subsets", _I16, "", "Groups of overlapping exposures"),
        Column("n_events", _I64, "", "Events that were searched, all exposures"),
        Column("n_regions", _I32, "", "Variable regions found, all runs"),
        Column("source_list", _S, "", "File name of the OBSMLI list; empty if there was none"),
        Column("notes", _S, "", "What was unusual, sentences; empty if nothing"),
    ),
    ("obsid",),
)

EXPOSURES = Table(
    "exposures",
    "One row for each event list of an observation, used or left out",
    (
        OBSID,
        kinds.file_name("filename", "File name of the event list"),
        kinds.instrument("instrument", "Camera, INSTRUME of the header; empty if unreadable"),
        kinds.exposure_name("expid", "Exposure identifier"),
        Column("submode", _S, "", "Read-out mode"),
        Column("filter", _S, "", "Blocking filter", ucd="meta.id;instr.filter"),
        Column(
            *("subset", _I16, "", "First group of exposures that it is in; -1 if left out"),
            none=-1,
        ),
        Column("used", _B, "", "Whether the exposure was searched"),
        Column("reason", _S, "", "Why it was left out, or notes on its selection; else empty"),
        kinds.exposure_start(
            "time_min", "First event after energy, pattern and flag cuts; NaN if none"
        ),
        kinds.exposure_end(
            "time_max", "Last event after energy, pattern and flag cuts; NaN if none"
        ),
        Column("time_system", _S, "", "TIMESYS of the event list"),
        Column("n_rows", _I64, "", "Rows of the event list"),
        Column("n_selected", _I64, "", "Rows after the whole selection"),
        Column("n_hot_pixels", _I32, "", "Pixels or pixel episodes removed as hot or flickering"),
    ),
    ("obsid", "filename"),
    computed=_days("time_min", "time_max", "; NaN if none"),
)

KNOWN_SOURCES = Table(
    "known_sources",
    "Known sources of the observation that mask the background model",
    (
        OBSID,
        kinds.right_ascension("ra_deg", "Right ascension"),
        kinds.declination("dec_deg", "Declination"),
        kinds.likelihood("det_ml", "EP_DET_ML, maximum likelihood of the detection"),
        kinds.angular_size("extent_arcsec", "Extent; 0 for a point source"),
        Column(
            "rate", _F64, "ct/s", "EP_TOT, total count rate of the EPIC cameras; NaN if unknown"
        ),
        kinds.angular_size("mask_radius_arcsec", "Radius of the disc in the source mask"),
    ),
    ("obsid", "ra_deg", "dec_deg"),
)

HOT_PIXELS = Table(
    "hot_pixels",
    "Detector pixels, and episodes of pixels, removed as hot or flickering",
    (
        OBSID,
        kinds.file_name("filename", "File name of the event list"),
        Column("ccdnr", _I16, "", "CCD number"),
        Column("rawx", _I16, "", "Pixel column"),
        Column("rawy", _I16, "", "Pixel row"),
        kinds.start("time_lo", "Start of the episode; start of the exposure if always hot"),
        kinds.end("time_hi", "End of the episode; end of the exposure if always hot"),
        Column("n", _I32, "ct", "Counts of the pixel in the episode"),
        replace(
            kinds.counts("n_neighbours", "Counts of its neighbours then; -1 if from a table"),
            none=-1,
        ),
        kinds.probability(
            "log10_p", "log10 of the chance probability before trials; NaN if from a table"
        ),
    ),
    ("obsid", "filename", "ccdnr", "rawx", "rawy", "time_lo"),
    computed=_days("time_lo", "time_hi"),
)

BTI = Table(
    "bti",
    "Bad time intervals: flaring particle background",
    (
        RUNID,
        OBSID,
        kinds.start("START", "Start of the interval, mission elapsed time"),
        kinds.end("STOP", "End of the interval, mission elapsed time"),
    ),
    ("runid", "START", "STOP"),
    computed=_days("START", "STOP"),
)

RUNS = Table(
    "runs",
    "One row for each run: one subset, time bin and energy band of an observation",
    (
        *RUN_KEY,
        kinds.significance(
            "sigma",
            "Threshold, equivalent Gaussian sigmas; of EXOD I standard deviations of the image",
        ),
        Column(
            "rule",
            _S,
            "",
            "Threshold rule: exod2 or exact, exact where probabilities decide; else the method",
        ),
        kinds.probability(
            "p_log",
            "log10 of the largest probability that is significant; of photons that are weighed, of "
            "the inverse likelihood ratio; NaN where Bayes factors decide",
        ),
        Column("window", _I16, "", "Cells along the side of a searched window"),
        Column("frame_shifts", _I16, "", "Frames start at every 1/frame_shifts of their length"),
        Column("false_peaks", _F64, "", "Peak regions that chance should make, or NaN"),
        Column("false_eclipses", _F64, "", "Eclipse regions that chance should make, or NaN"),
        Column("n50", _F64, "ct", "Median over the cells of the image n50; NaN if there is none"),
        Column("n90", _F64, "ct", "Median over the cells of the image n90; NaN if there is none"),
        kinds.angular_resolution("size_arcsec", "True size of a cell"),
        kinds.observation_start("t_lo", "Start of the first frame, mission elapsed time"),
        kinds.observation_end("t_hi", "End of the searched interval, mission elapsed time"),
        Column("n_exposures", _I16, "", "Exposures in the merged event list"),
        Column("n_frames", _I32, "", "Frames; 0 if the subset is shorter than one bin"),
        *_BBOX,
        Column("n_events", _I64, "ct", "Events of the band in the merged list"),
        Column("n_sum", _F64, "ct", "Counts in the cube"),
        Column("mu_sum", _F64, "ct", "Expected counts in the cube"),
        Column("n_mask_pixels", _I32, "", "Cells of the source mask"),
        Column("n_bti", _I32, "", "Frames in bad time intervals"),
        Column("n_gti", _I32, "", "Frames in good time intervals"),
        Column("n_bccd", _I32, "", "Frames in which a CCD or camera was off"),
        Column("n_peak_cells", _I32, "", "Significant cells with too many counts"),
        Column("n_eclipse_cells", _I32, "", "Significant cells with too few counts"),
        Column("n_regions", _I32, "", "Variable regions"),
        kinds.duration("seconds", "Time taken by this run"),
        Column("peak_memory_mb", _F64, "Mbyte", "Peak resident memory of the process so far"),
        Column("notes", _S, "", "What was unusual in this run; empty if nothing"),
    ),
    ("runid",),
    computed=_days("t_lo", "t_hi"),
)

CELLS = Table(
    "cells",
    "Significant cells: counts incompatible with the expectation",
    (
        RUNID,
        OBSID,
        kinds.classification("kind", "peak (too many counts) or eclipse (too few)"),
        Column("frame", _I32, "", "Frame, from 0"),
        Column("y", _I16, "", "Row in the full, uncropped grid"),
        Column("x", _I16, "", "Column in the full, uncropped grid"),
        kinds.start("TIME_lo", "Start of the frame, mission elapsed time"),
        kinds.sky_y("Y_lo", "Lower edge of the cell, sky pixels"),
        kinds.sky_x("X_lo", "Lower edge of the cell, sky pixels"),
        Column("n", _I32, "ct", "Counts"),
        Column("mu", _F64, "ct", "Expected counts"),
        kinds.likelihood("B_log", "log10 of the Bayes factor for its kind"),
        kinds.probability(
            "p_log", "log10 of the probability of its counts; NaN where Bayes factors decide"
        ),
        _LABEL,
    ),
    ("runid", "frame", "y", "x"),
    computed=_days("TIME_lo"),
)

REGIONS = Table(
    "regions",
    "Variable regions: 8-connected significant cells of one run",
    (
        DETID,
        *RUN_KEY,
        _LABEL,
        kinds.right_ascension("ra_deg", "Right ascension of the variable source"),
        kinds.declination("dec_deg", "Declination of the variable source"),
        kinds.position_error(
            "pos_err_arcsec", "Radius that holds the position with 63 % probability"
        ),
        kinds.sky_x("X", "Position, sky pixels"),
        kinds.sky_y("Y", "Position, sky pixels"),
        Column("pos_method", _S, "", "psf (fit to the events) or centroid (of the cells)"),
        *_BBOX,
        kinds.grid_y("y_centroid", "Mean row of the region's cells, full grid"),
        kinds.grid_x("x_centroid", "Mean column of the region's cells, full grid"),
        kinds.grid_y("y_weighted", "Mean row weighted with the counts image, full grid"),
        kinds.grid_x("x_weighted", "Mean column weighted with the counts image, full grid"),
        kinds.mean_counts("intensity_mean", "Mean of the counts image over the region's cells"),
        Column(
            "equivalent_diameter", _F64, "", "Diameter of a disc of the region's area, in cells"
        ),
        Column("area_bbox", _I32, "", "Cells in the bounding box"),
        Column("n_peak_cells", _I32, "", "Significant peak cells (frames counted separately)"),
        Column(
            "n_eclipse_cells", _I32, "", "Significant eclipse cells (frames counted separately)"
        ),
        kinds.likelihood("max_B_peak_log", "Largest log10 B_peak of its light curve; NaN if none"),
        kinds.likelihood(
            "max_B_eclipse_log", "Largest log10 B_eclipse of its light curve; NaN if none"
        ),
        kinds.significance("sigma_peak", "Equivalent sigma of max_B_peak_log, 0 to 10"),
        kinds.significance("sigma_eclipse", "Equivalent sigma of max_B_eclipse_log, 0 to 10"),
        kinds.likelihood(
            "strength",
            "Of its strongest cell: log10 of the Bayes factor that the rule compares, -p_log, the "
            "variability, or log10 of the likelihood ratio of photons that are weighed",
        ),
        kinds.false_alarm("fap_run", "Probability that chance makes one as strong in its run"),
        kinds.false_alarm("fap_obs", "Probability that chance makes one as strong in any run"),
        *_EVENT,
    ),
    ("runid", "label"),
    computed=_EVENT_DATES,
)

LIGHTCURVES = Table(
    "lightcurves",
    "Light curve of each region, one row a frame, summed over its bounding box",
    (
        replace(DETID, ucd="meta.id.parent"),
        RUNID,
        OBSID,
        _LABEL,
        kinds.start("time", "Start of the frame, mission elapsed time"),
        Column("n", _I32, "ct", "Counts in the bounding box"),
        Column("mu", _F32, "ct", "Expected counts in the bounding box"),
        Column("live", _F32, "", "Live fraction of its cells, to divide rates by; 0 without data"),
        Column("bti", _B, "", "Frame is in a bad time interval"),
        Column("bccd", _B, "", "A CCD or camera was off; the frame is masked unless set otherwise"),
        kinds.likelihood("B_peak_log", "log10 B_peak of n and mu; NaN where mu is 0"),
        kinds.likelihood("B_eclipse_log", "log10 B_eclipse of n and mu; NaN where mu is 0"),
    ),
    ("runid", "label", "time"),
    computed=_days("time"),
)

IMAGES = Table(
    "images",
    "Images of each run, for pictures and checks; flattened in order of y, then x, of its box",
    (
        RUNID,
        OBSID,
        Column("n", pa.list_(_I32), "ct", "Counts summed over the frames"),
        Column("mu", pa.list_(_F32), "ct", "Expected counts summed over the frames"),
        Column("source_mask", pa.list_(_B), "", "Cells of known sources and bright cells"),
        Column("n50", pa.list_(_F32), "ct", "Counts that half of short bursts need; NaN if unseen"),
        Column("n90", pa.list_(_F32), "ct", "Counts that 90 % of short bursts need; NaN if unseen"),
    ),
    ("runid",),
)

VARIABILITY = Table(
    "variability",
    "Variability image of each run of EXOD I; flattened in order of y, then x, of its box",
    (
        RUNID,
        OBSID,
        Column(
            "variability",
            pa.list_(_F32),
            "",
            "(Largest - mean counts) * standard deviation of the counts of the frames of each cell",
        ),
    ),
    ("runid",),
)

RATES = Table(
    "rates",
    "Light curve of each exposure that was searched, for an overview of the observation",
    (
        OBSID,
        _SUBSET,
        kinds.instrument("instrument", "Camera, INSTRUME of the header"),
        kinds.exposure_name("expid", "Exposure identifier"),
        kinds.start("time", "Start of the bin, mission elapsed time"),
        kinds.time_resolution("width", "Live time of the bin of 100 s, to divide by"),
        Column("n", _I32, "ct", "Selected events of all energies"),
        Column("n_hard", _I32, "ct", "Selected events between 10 and 12 keV"),
    ),
    ("obsid", "subset", "instrument", "expid", "time"),
    computed=_days("time"),
)

TABLES = MappingProxyType(
    {
        table.name: table
        for table in (
            OBSERVATIONS,
            EXPOSURES,
            KNOWN_SOURCES,
            HOT_PIXELS,
            BTI,
            RUNS,
            CELLS,
            REGIONS,
            LIGHTCURVES,
            IMAGES,
            VARIABILITY,
            RATES,
        )
    }
)
"""The tables that `exod detect` writes, by name."""
