"""The tables that the search of an observation writes."""

from __future__ import annotations

from types import MappingProxyType

import pyarrow as pa

from exod.schemas.columns import Column, Table

_S, _B = pa.string(), pa.bool_()
_I16, _I32, _I64 = pa.int16(), pa.int32(), pa.int64()
_F32, _F64 = pa.float32(), pa.float64()

OBSID = Column("obsid", _S, "", "Observation identifier, ten digits")
RUNID = Column("runid", _S, "", "Run: {obsid}_{subset}_{t_bin}_{e_lo}_{e_hi}")
DETID = Column("detid", _S, "", "Region: {runid}_{label}")
_SUBSET = Column("subset", _I16, "", "Number of the group of overlapping exposures, from 0")
_RUN_KEY = (
    RUNID,
    OBSID,
    _SUBSET,
    Column("t_bin", _F64, "s", "Length of a frame"),
    Column("e_lo", _F64, "keV", "Lower end of the energy band (excluded)"),
    Column("e_hi", _F64, "keV", "Upper end of the energy band (excluded)"),
)
_BBOX = (
    Column("y_lo", _I16, "", "First row of the bounding box in the full grid"),
    Column("y_hi", _I16, "", "One past the last row of the bounding box"),
    Column("x_lo", _I16, "", "First column of the bounding box in the full grid"),
    Column("x_hi", _I16, "", "One past the last column of the bounding box"),
)
_LABEL = Column("label", _I32, "", "Number of the region in its run, from 0")

_EVENT = (
    Column("kind", _S, "", "What the event is: peak or eclipse; peak if it has cells of both"),
    Column("t_start", _F64, "s", "Start of the event, mission elapsed time; NaN if not measured"),
    Column("t_start_err", _F64, "s", "Standard error of t_start; NaN if not measured"),
    Column("t_stop", _F64, "s", "End of the event, mission elapsed time; NaN if not measured"),
    Column("t_stop_err", _F64, "s", "Standard error of t_stop; NaN if not measured"),
    Column("duration", _F64, "s", "Length of the event; NaN if not measured"),
    Column("duration_err", _F64, "s", "Standard error of duration; NaN if not measured"),
    Column("event_n", _F64, "ct", "Counts in the box during the event; NaN if not measured"),
    Column("event_mu", _F64, "ct", "Expected counts during the event; NaN if not measured"),
    Column("excess", _F64, "ct", "Counts of the event in the whole PSF; negative in an eclipse"),
    Column("excess_lo", _F64, "ct", "Lower end of its 68.3 % credible interval"),
    Column("excess_hi", _F64, "ct", "Upper end of its 68.3 % credible interval"),
    Column("peak_rate", _F64, "ct/s", "Rate above the expectation in the brightest block"),
    Column("peak_rate_err", _F64, "ct/s", "Standard error of peak_rate"),
)

OBSERVATIONS = Table(
    "observations",
    "One row for each observation that was searched",
    (
        OBSID,
        Column("target", _S, "", "Name of the target"),
        Column("date_obs", _S, "", "Start of the earliest exposure, UTC"),
        Column("revolution", _I32, "", "Revolution of the satellite; -1 if unknown"),
        Column("ra_pnt", _F64, "deg", "Right ascension of the pointing; NaN if unknown"),
        Column("dec_pnt", _F64, "deg", "Declination of the pointing; NaN if unknown"),
        Column("pa_pnt", _F64, "deg", "Position angle of the pointing; NaN if unknown"),
        Column(
            "x_ref", _F64, "pixel", "Reference pixel of the projection, sky pixels; NaN if none"
        ),
        Column(
            "y_ref", _F64, "pixel", "Reference pixel of the projection, sky pixels; NaN if none"
        ),
        Column("ra_ref", _F64, "deg", "Right ascension of the reference pixel; NaN if none"),
        Column("dec_ref", _F64, "deg", "Declination of the reference pixel; NaN if none"),
        Column("x_delta", _F64, "deg", "Size of a sky pixel along X; NaN if none"),
        Column("y_delta", _F64, "deg", "Size of a sky pixel along Y; NaN if none"),
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
        Column("filename", _S, "", "File name of the event list"),
        Column("instrument", _S, "", "Camera: EPN, EMOS1 or EMOS2; empty if unreadable"),
        Column("expid", _S, "", "Exposure identifier"),
        Column("submode", _S, "", "Read-out mode"),
        Column("filter", _S, "", "Blocking filter"),
        Column("subset", _I16, "", "Group of overlapping exposures; -1 if left out"),
        Column("used", _B, "", "Whether the exposure was searched"),
        Column("reason", _S, "", "Why it was left out, or notes on its selection; else empty"),
        Column(
            "time_min", _F64, "s", "First event after energy, pattern and flag cuts; NaN if none"
        ),
        Column(
            "time_max", _F64, "s", "Last event after energy, pattern and flag cuts; NaN if none"
        ),
        Column("time_system", _S, "", "TIMESYS of the event list"),
        Column("n_rows", _I64, "", "Rows of the event list"),
        Column("n_selected", _I64, "", "Rows after the whole selection"),
        Column("n_hot_pixels", _I32, "", "Pixels or pixel episodes removed as hot or flickering"),
    ),
    ("obsid", "filename"),
)

SOURCES = Table(
    "sources",
    "Known sources of the observation that mask the background model",
    (
        OBSID,
        Column("ra_deg", _F64, "deg", "Right ascension"),
        Column("dec_deg", _F64, "deg", "Declination"),
        Column("det_ml", _F64, "", "EP_DET_ML, maximum likelihood of the detection"),
        Column("extent_arcsec", _F64, "arcsec", "Extent; 0 for a point source"),
        Column(
            "rate", _F64, "ct/s", "EP_TOT, total count rate of the EPIC cameras; NaN if unknown"
        ),
        Column("mask_radius_arcsec", _F64, "arcsec", "Radius of the disc in the source mask"),
    ),
    ("obsid", "ra_deg", "dec_deg"),
)

HOT_PIXELS = Table(
    "hot_pixels",
    "Detector pixels, and episodes of pixels, removed as hot or flickering",
    (
        OBSID,
        Column("filename", _S, "", "File name of the event list"),
        Column("ccdnr", _I16, "", "CCD number"),
        Column("rawx", _I16, "", "Pixel column"),
        Column("rawy", _I16, "", "Pixel row"),
        Column("time_lo", _F64, "s", "Start of the episode; start of the exposure if always hot"),
        Column("time_hi", _F64, "s", "End of the episode; end of the exposure if always hot"),
        Column("n", _I32, "ct", "Counts of the pixel in the episode"),
        Column(
            "n_neighbours",
            _I32,
            "ct",
            "Counts of its neighbours in the episode; -1 if from a table",
        ),
        Column(
            "log10_p",
            _F64,
            "",
            "log10 of the chance probability before trials; NaN if from a table",
        ),
    ),
    ("obsid", "filename", "ccdnr", "rawx", "rawy", "time_lo"),
)

BTI = Table(
    "bti",
    "Bad time intervals: flaring particle background",
    (
        RUNID,
        OBSID,
        Column("START", _F64, "s", "Start of the interval, mission elapsed time"),
        Column("STOP", _F64, "s", "End of the interval, mission elapsed time"),
    ),
    ("runid", "START", "STOP"),
)

RUNS = Table(
    "runs",
    "One row for each run: one subset, time bin and energy band of an observation",
    (
        *_RUN_KEY,
        Column("sigma", _F64, "", "Significance threshold, equivalent Gaussian sigmas"),
        Column("rule", _S, "", "Threshold rule: exod2 or exact; of no effect on sliding windows"),
        Column(
            "p_log",
            _F64,
            "",
            "log10 of the largest probability that is significant; NaN if windows do not slide",
        ),
        Column("window", _I16, "", "Cells along the side of a searched window"),
        Column("frame_shifts", _I16, "", "Frames start at every 1/frame_shifts of their length"),
        Column("false_peaks", _F64, "", "Peak regions that chance is expected to make"),
        Column("false_eclipses", _F64, "", "Eclipse regions that chance is expected to make"),
        Column("n50", _F64, "ct", "Median over the cells of the image n50; NaN if there is none"),
        Column("n90", _F64, "ct", "Median over the cells of the image n90; NaN if there is none"),
        Column("size_arcsec", _F64, "arcsec", "True size of a cell"),
        Column("t_lo", _F64, "s", "Start of the first frame, mission elapsed time"),
        Column("t_hi", _F64, "s", "End of the searched interval, mission elapsed time"),
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
        Column("seconds", _F64, "s", "Time taken by this run"),
        Column("peak_memory_mb", _F64, "Mbyte", "Peak resident memory of the process so far"),
        Column("notes", _S, "", "What was unusual in this run; empty if nothing"),
    ),
    ("runid",),
)

CELLS = Table(
    "cells",
    "Significant cells: counts incompatible with the expectation",
    (
        RUNID,
        OBSID,
        Column("kind", _S, "", "peak (too many counts) or eclipse (too few)"),
        Column("frame", _I32, "", "Frame, from 0"),
        Column("y", _I16, "", "Row in the full, uncropped grid"),
        Column("x", _I16, "", "Column in the full, uncropped grid"),
        Column("TIME_lo", _F64, "s", "Start of the frame, mission elapsed time"),
        Column("Y_lo", _F64, "pixel", "Lower edge of the cell, sky pixels of 0.05 arcsec"),
        Column("X_lo", _F64, "pixel", "Lower edge of the cell, sky pixels of 0.05 arcsec"),
        Column("n", _I32, "ct", "Counts"),
        Column("mu", _F64, "ct", "Expected counts"),
        Column("B_log", _F64, "", "log10 of the Bayes factor for its kind"),
        Column(
            "p_log", _F64, "", "log10 of the probability of its counts; NaN if windows do not slide"
        ),
        _LABEL,
    ),
    ("runid", "frame", "y", "x"),
)

REGIONS = Table(
    "regions",
    "Variable regions: 8-connected significant cells of one run",
    (
        DETID,
        *_RUN_KEY,
        _LABEL,
        Column("ra_deg", _F64, "deg", "Right ascension of the variable source"),
        Column("dec_deg", _F64, "deg", "Declination of the variable source"),
        Column(
            "pos_err_arcsec", _F64, "arcsec", "Radius that holds the position with 63 % probability"
        ),
        Column("X", _F64, "pixel", "Position, sky pixels of 0.05 arcsec"),
        Column("Y", _F64, "pixel", "Position, sky pixels of 0.05 arcsec"),
        Column("pos_method", _S, "", "psf (fit to the events) or centroid (of the cells)"),
        *_BBOX,
        Column("y_centroid", _F64, "", "Mean row of the region's cells, full grid"),
        Column("x_centroid", _F64, "", "Mean column of the region's cells, full grid"),
        Column("y_weighted", _F64, "", "Mean row weighted with the counts image, full grid"),
        Column("x_weighted", _F64, "", "Mean column weighted with the counts image, full grid"),
        Column("intensity_mean", _F64, "ct", "Mean of the counts image over the region's cells"),
        Column(
            "equivalent_diameter", _F64, "", "Diameter of a disc of the region's area, in cells"
        ),
        Column("area_bbox", _I32, "", "Cells in the bounding box"),
        Column("n_peak_cells", _I32, "", "Significant peak cells (frames counted separately)"),
        Column(
            "n_eclipse_cells", _I32, "", "Significant eclipse cells (frames counted separately)"
        ),
        Column("max_B_peak_log", _F64, "", "Largest log10 B_peak of its light curve; NaN if none"),
        Column(
            "max_B_eclipse_log", _F64, "", "Largest log10 B_eclipse of its light curve; NaN if none"
        ),
        Column("sigma_peak", _F64, "", "Equivalent sigma of max_B_peak_log, 0 to 10"),
        Column("sigma_eclipse", _F64, "", "Equivalent sigma of max_B_eclipse_log, 0 to 10"),
        Column(
            "strength",
            _F64,
            "",
            "Of its strongest cell: log10 of the Bayes factor that the rule compares, or -p_log",
        ),
        Column("fap_run", _F64, "", "Probability that chance makes one as strong in its run"),
        Column("fap_obs", _F64, "", "Probability that chance makes one as strong in any run"),
        *_EVENT,
    ),
    ("runid", "label"),
)

LIGHTCURVES = Table(
    "lightcurves",
    "Light curve of each region, one row a frame, summed over its bounding box",
    (
        DETID,
        RUNID,
        OBSID,
        _LABEL,
        Column("time", _F64, "s", "Start of the frame, mission elapsed time"),
        Column("n", _I32, "ct", "Counts in the bounding box"),
        Column("mu", _F32, "ct", "Expected counts in the bounding box"),
        Column("bti", _B, "", "Frame is in a bad time interval"),
        Column("bccd", _B, "", "A CCD or camera was off; the frame is masked unless set otherwise"),
        Column("B_peak_log", _F64, "", "log10 B_peak of n and mu; NaN where mu is 0"),
        Column("B_eclipse_log", _F64, "", "log10 B_eclipse of n and mu; NaN where mu is 0"),
    ),
    ("runid", "label", "time"),
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

RATES = Table(
    "rates",
    "Light curve of each exposure that was searched, for an overview of the observation",
    (
        OBSID,
        _SUBSET,
        Column("instrument", _S, "", "Camera: EPN, EMOS1 or EMOS2"),
        Column("expid", _S, "", "Exposure identifier"),
        Column("time", _F64, "s", "Start of the bin, mission elapsed time"),
        Column("width", _F64, "s", "Length of the bin"),
        Column("n", _I32, "ct", "Selected events of all energies"),
        Column("n_hard", _I32, "ct", "Selected events between 10 and 12 keV"),
    ),
    ("obsid", "subset", "instrument", "expid", "time"),
)

TABLES = MappingProxyType(
    {
        table.name: table
        for table in (
            OBSERVATIONS,
            EXPOSURES,
            SOURCES,
            HOT_PIXELS,
            BTI,
            RUNS,
            CELLS,
            REGIONS,
            LIGHTCURVES,
            IMAGES,
            RATES,
        )
    }
)
"""The tables that `exod detect` writes, by name."""
