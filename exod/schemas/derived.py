"""The tables that are derived from the results of many observations.

A product is a folder of the archive: ``unique`` (with the tables unique, members, lineage,
footprints, places), ``features``, ``flags`` (with hot_regions), ``frames`` (with offsets,
positions), ``depth`` (with covered), ``history`` (with longterm), and one
``xmatch-<catalogue>`` a catalogue, whose columns its declaration in ``catalogs/`` adds to `MATCH`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from exod.schemas import kinds
from exod.schemas.columns import Column, Table
from exod.schemas.depth import COVERED, DEPTH
from exod.schemas.frames import FRAMES, OFFSETS, POSITIONS
from exod.schemas.longterm import HISTORY, LONGTERM
from exod.schemas.search import DETID, OBSID, REGION_KEY

_S, _B = pa.string(), pa.bool_()
_I16, _I32, _I64 = pa.int16(), pa.int32(), pa.int64()
_F32, _F64 = pa.float32(), pa.float64()

_REGION_NUM = Column(
    "region_num", _I64, "", "Number of the unique source; never used again", ucd="meta.record"
)
_SRCID = kinds.main_name("srcid", "Name of the unique source: EXOD JHHMMSS.s+DDMMSS")

UNIQUE = Table(
    "unique",
    "Unique sources: regions of all runs and observations at one place",
    (
        _REGION_NUM,
        _SRCID,
        kinds.right_ascension("ra_deg", "Right ascension of the mean position, ICRS"),
        kinds.declination("dec_deg", "Declination of the mean position, ICRS"),
        kinds.position_error(
            "pos_err_arcsec", "Radius that holds the position with 63 % probability"
        ),
        Column("n_detections", _I32, "", "Regions of the source, all runs and observations"),
        Column("n_observations", _I32, "", "Observations with a region of the source"),
        Column("n_covered", _I32, "", "Observations that covered the position or have a region"),
        Column("n_undetected", _I32, "", "Observations that covered it and have no region of it"),
        kinds.first_day("first_seen", "Start of its first event, MJD (TT)"),
        kinds.last_day("last_seen", "Start of its last event, MJD (TT)"),
        Column("best_detid", _S, "", "Its most significant region", ucd="meta.id.assoc"),
        kinds.likelihood("max_B_peak_log", "Largest log10 B_peak of its regions; NaN if none"),
        kinds.likelihood(
            "max_B_eclipse_log", "Largest log10 B_eclipse of its regions; NaN if none"
        ),
        kinds.significance("sigma_peak", "Largest equivalent sigma of a peak, 0 to 10"),
        kinds.significance("sigma_eclipse", "Largest equivalent sigma of an eclipse, 0 to 10"),
        kinds.false_alarm("fap_obs", "Smallest false-alarm probability of its regions"),
    ),
    ("region_num",),
)

MEMBERS = Table(
    "members",
    "Which regions make up which unique source",
    (
        DETID,
        OBSID,
        kinds.parent_source("region_num", "Its unique source, region_num of the table unique"),
        replace(_SRCID, ucd="meta.id.parent"),
        kinds.right_ascension("ra_deg", "Right ascension of the region"),
        kinds.declination("dec_deg", "Declination of the region"),
        Column("separation_arcsec", _F64, "arcsec", "Distance of the region from the source"),
        kinds.position_error("pos_err_arcsec", "Position error of the region; NaN if unknown"),
        kinds.day(
            "mjd", "Start of its event, or of its observation if not measured, MJD (TT); or NaN"
        ),
        kinds.likelihood("max_B_peak_log", "Its largest log10 B_peak; NaN if none"),
        kinds.likelihood("max_B_eclipse_log", "Its largest log10 B_eclipse; NaN if none"),
        kinds.significance("sigma_peak", "Its equivalent sigma of a peak, 0 to 10"),
        kinds.significance("sigma_eclipse", "Its equivalent sigma of an eclipse, 0 to 10"),
        kinds.false_alarm("fap_obs", "Its false-alarm probability in its observation"),
    ),
    ("region_num", "detid"),
)

LINEAGE = Table(
    "lineage",
    "What became of unique sources, and when: new, merged, split, gone and so on",
    (
        _REGION_NUM,
        _SRCID,
        Column(
            "change",
            _S,
            "",
            "new, merged, split, gone, returned, adopted, renamed or unobserved",
        ),
        replace(
            kinds.associated_source("other", "Merged into, or split from, it; -1 otherwise"),
            none=-1,
        ),
        kinds.version("version", "Version of the product unique that made the change"),
        Column("generation", _I32, "", "Number of that version, from 1"),
        kinds.right_ascension("ra_deg", "Right ascension of the source at the change"),
        kinds.declination("dec_deg", "Declination of the source at the change"),
    ),
    ("generation", "region_num"),
)

FOOTPRINTS = Table(
    "footprints",
    "What observations covered; a field across partitions of the sky has a row in each",
    (
        OBSID,
        Column("subset", _I16, "", "Number of the group of overlapping exposures, from 0"),
        kinds.angular_resolution("size_arcsec", "Width of a cell"),
        Column("y_lo", _I16, "", "First row of the mask in the full grid"),
        Column("y_hi", _I16, "", "One past the last row of the mask"),
        Column("x_lo", _I16, "", "First column of the mask in the full grid"),
        Column("x_hi", _I16, "", "One past the last column of the mask"),
        kinds.reference_pixel("x_ref", "Reference pixel of the projection, sky pixels"),
        kinds.reference_pixel("y_ref", "Reference pixel of the projection, sky pixels"),
        kinds.reference_value("ra_ref", "Right ascension of the reference pixel"),
        kinds.reference_value("dec_ref", "Declination of the reference pixel"),
        kinds.pixel_scale("x_delta", "Size of a sky pixel along X"),
        kinds.pixel_scale("y_delta", "Size of a sky pixel along Y"),
        Column(
            "mask", pa.list_(pa.uint8()), "", "Covered cells, eight a byte, in order of y, then x"
        ),
    ),
    ("obsid", "subset"),
)

PLACES = Table(
    "places",
    "Where observations are on the sky, so that one more is added without reading the others",
    (
        OBSID,
        Column("healpix_order", _I16, "", "Order of the HEALPix pixel"),
        Column("healpix", _I64, "", "HEALPix pixel, nested"),
        Column("n_regions", _I32, "", "Regions of the observation in the pixel"),
        Column("covered", _B, "", "Whether the observation covered some of it, or a little beside"),
    ),
    ("obsid", "healpix"),
)


def _moments(name: str, what: str) -> tuple[Column, ...]:
    """Columns of the distribution of counts or of expected counts over the frames."""
    return (
        kinds.greatest_counts(f"{name}_max", f"Largest {what} of a frame; NaN without frames"),
        kinds.least_counts(f"{name}_min", f"Smallest {what} of a frame; NaN without frames"),
        kinds.sum_of_counts(f"{name}_sum", f"Sum of the {what}; 0 without frames"),
        kinds.mean_counts(
            f"{name}_mean", f"Mean {what} of a frame, whatever its live time; NaN without frames"
        ),
        kinds.deviation_of_counts(
            f"{name}_std", f"Sample standard deviation of the {what}; NaN below 2 frames"
        ),
        kinds.skewness(f"{name}_skew", f"Population skewness of the {what}; NaN if constant"),
        kinds.kurtosis(f"{name}_kurt", f"Population excess kurtosis of the {what}, likewise"),
    )


def _significant(sigma: int) -> tuple[Column, ...]:
    """Columns that count significant frames: all, in bad and in good time."""
    where = {"": "", "_bti": " in bad time intervals", "_gti": " in good time intervals"}
    return tuple(
        Column(f"n_{sigma}_sig_{kind}_bins{end}", _I32, "", f"{what} at {sigma} sigma{text}")
        for kind, what in (("peak", "Frames with a peak"), ("eclipse", "Frames with an eclipse"))
        for end, text in where.items()
    )


_FLUXES = (
    Column(
        "flux_factor",
        _F64,
        "cm2 erg-1",
        "Counts of all cameras for each erg/cm2 in the band of its run; NaN if unknown",
    ),
    kinds.fluence("fluence", "Energy of the event in the band of its run, absorbed"),
    kinds.least_fluence("fluence_lo", "Lower end of its 68.3 % credible interval, flat prior"),
    kinds.greatest_fluence("fluence_hi", "Upper end of its 68.3 % credible interval, flat prior"),
    kinds.fluence("fluence_corr", "Median of the fluence with a prior N(>S) ~ S^-1.5; peaks only"),
    kinds.least_fluence("fluence_corr_lo", "15.9 % of the same"),
    kinds.greatest_fluence("fluence_corr_hi", "84.1 % of the same"),
    kinds.flux("flux_event", "Mean flux of the event: fluence / duration"),
    kinds.flux("flux_peak", "Flux in its brightest block: peak_rate / flux_factor"),
    kinds.flux_error("flux_peak_err", "Standard error of flux_peak, counts only"),
    Column(
        "flux_sys",
        _F64,
        "",
        "Relative error of all these if the spectrum is another",
        ucd="stat.error.sys",
    ),
    Column("flux_note", _S, "", "Why there is no flux; empty if there is one", ucd="meta.note"),
)


def _times_beside() -> Iterator[Column]:
    """Columns of counts beside the event in time, and of hardness before, during and after."""
    for when in ("before", "after"):
        for band in ("soft", "hard"):
            meaning = f"Counts of the {band} band in its run {when} the event; NaN if unknown"
            yield Column(f"n_{band}_{when}", _F64, "ct", meaning)
    for when in ("before", "during", "after"):
        what = f"hardness ratio of all counts {when} the event, background included"
        yield kinds.colour(f"hr_{when}", what.capitalize())
        yield kinds.least_colour(f"hr_{when}_lo", f"Lower end of the 68.3 % interval of hr_{when}")
        yield kinds.greatest_colour(f"hr_{when}_hi", f"Upper end of the interval of hr_{when}")


FEATURES = Table(
    "features",
    "Features of the light curve of each region, and its hardness ratio",
    (
        *REGION_KEY,
        Column("mission", _S, "", "Observatory, xmm or chandra", ucd="meta.id;instr.obsty"),
        kinds.instrument("instrument", "Cameras of its run, joined by +; empty if unknown"),
        Column("length", _I32, "", "Frames of the light curve"),
        Column("n_bccd", _I32, "", "Frames in which a CCD or a camera was off"),
        Column("n_bti", _I32, "", "Frames in bad time intervals"),
        Column("ratio_bccd", _F64, "", "n_bccd / length; NaN without frames", ucd="arith.factor"),
        Column("ratio_bti", _F64, "", "n_bti / length; NaN without frames", ucd="arith.factor"),
        *_moments("n", "counts"),
        *_moments("mu", "expected counts"),
        Column(
            "ks_stat", _F64, "", "Largest distance of the distributions of n and mu over frames"
        ),
        kinds.probability("ks_pval", "p of ks_stat if mu were a sample too, so only for ordering"),
        Column("n_max_index", _I32, "", "First frame with the largest counts; -1 without counts"),
        Column("n_max_first_bin", _B, "", "It is the first frame"),
        Column("n_max_last_bin", _B, "", "It is the last frame"),
        Column("n_max_isolated", _B, "", "It has a frame without counts on either side"),
        kinds.likelihood("max_B_peak_log", "Largest log10 B_peak; NaN if none"),
        kinds.likelihood("max_B_eclipse_log", "Largest log10 B_eclipse; NaN if none"),
        kinds.significance("sigma_peak", "Its equivalent sigma, 0 to 10; NaN if none"),
        kinds.significance("sigma_eclipse", "Its equivalent sigma, 0 to 10; NaN if none"),
        Column("n_local_peaks", _I32, "", "Local maxima of log10 B_peak above 6.4"),
        Column("n_local_eclipses", _I32, "", "Local maxima of log10 B_eclipse above 5.5"),
        Column("bin_min_between_peaks", _I32, "", "Frames that separate two episodes of n_peaks"),
        Column(
            "n_peaks", _I32, "", "Separated episodes of B_peak above 6.4 or B_eclipse above 5.5"
        ),
        *_significant(3),
        *_significant(5),
        Column("n_soft", _F64, "ct", "Counts in its box in the soft run; NaN if there is none"),
        Column("n_hard", _F64, "ct", "Counts in its box in the hard run; NaN if there is none"),
        kinds.colour("hr", "(n_hard - n_soft) / (n_hard + n_soft); NaN without counts"),
        kinds.least_colour("hr_lo", "Lower end of the shortest 68.3 % credible interval of hr"),
        kinds.greatest_colour("hr_hi", "Upper end of the shortest 68.3 % credible interval of hr"),
        Column("n_soft_event", _F64, "ct", "Counts of the event in the soft band; NaN if unknown"),
        Column("mu_soft_event", _F64, "ct", "Expected counts of the event in the soft band"),
        Column("n_hard_event", _F64, "ct", "Counts of the event in the hard band; NaN if unknown"),
        Column("mu_hard_event", _F64, "ct", "Expected counts of the event in the hard band"),
        kinds.colour("hr_event", "Median hardness ratio of the excess in the event"),
        kinds.least_colour("hr_event_lo", "Lower end of the central 68.3 % credible interval"),
        kinds.greatest_colour("hr_event_hi", "Upper end of the central 68.3 % credible interval"),
        *_times_beside(),
        *_FLUXES,
    ),
    ("runid", "detid"),
)

FLAG_MEANINGS: Final = MappingProxyType(
    {
        "filt_tbin_5_n_l_5": "Defect: frames of 5 s, and no frame of the light curve has 5 counts",
        "filt_g_20_detections": "Defect: its run has more than 20 regions",
        "filt_5sig": (
            "Merit: significant at 5 sigma, log10 B_peak above 13.2 or log10 B_eclipse above 12.38"
        ),
        "filt_exclude_obsid": (
            "Defect: its observation is in the table of excluded observations, which has the reason"
        ),
        "filt_hot_pixel": "Defect: in a hot region of the detector, table hot_regions",
        "filt_isolated_flare": (
            "Label: the frames before and after the highest frame of the light curve have no counts"
        ),
        "filt_first_last_bin": (
            "Defect: the highest frame of the light curve is its first or its last"
        ),
        "filt_artefact": (
            "Defect: all the field peaks (dips) at its event, and it by no more than 0.25 above "
            "that"
        ),
    }
)
"""What each quality flag means if it is set, in the order of the columns."""

FLAGS = Table(
    "flags",
    "Quality flags of each region",
    (
        *REGION_KEY,
        *(
            Column(name, _B, "", meaning, ucd="meta.code.qual")
            for name, meaning in FLAG_MEANINGS.items()
        ),
    ),
    ("runid", "detid"),
)

DETECTOR = Table(
    "detector",
    "Where regions are on the detector, whatever the position angle",
    (
        *REGION_KEY,
        kinds.time_resolution("t_bin", "Time bin"),
        kinds.detector_x("X_det", "Sky pixels from the pointing, turned by -PA_PNT; or NaN"),
        kinds.detector_y("Y_det", "Sky pixels from the pointing, turned by -PA_PNT; or NaN"),
        Column("place", _I64, "", "HEALPix pixel of order 10, nested; -1 without position"),
    ),
    ("runid", "detid"),
)

HOT_REGIONS = Table(
    "hot_regions",
    "Hot regions of the detector: boxes with far more regions than around them",
    (
        kinds.time_resolution("t_bin", "Time bin; NaN for all"),
        Column("x_lo", _F64, "pixel", "Lower edge in X_det"),
        Column("x_hi", _F64, "pixel", "Upper edge in X_det"),
        Column("y_lo", _F64, "pixel", "Lower edge in Y_det"),
        Column("y_hi", _F64, "pixel", "Upper edge in Y_det"),
        Column("n_regions", _I64, "", "Regions in it, all bands"),
        Column("n_observations", _I64, "", "Observations with a region in it"),
        Column("n_places", _I64, "", "Half cells and places on the sky with a region; -1 if given"),
        Column("expected", _F64, "", "The same from its surroundings; NaN if given"),
        kinds.probability(
            "p_log", "log10 of the chance probability of its best cell; NaN if given"
        ),
        Column("origin", _S, "", "found in the catalogue, or given by the user"),
    ),
    ("t_bin", "y_lo", "x_lo"),
)

MATCH = (
    _REGION_NUM,
    _SRCID,
    kinds.right_ascension("ra_deg", "Right ascension of the source when it was matched"),
    kinds.declination("dec_deg", "Declination of the source when it was matched"),
    kinds.day(
        "mjd", "Mean of first and last seen, to which counterparts were moved; NaN: not known"
    ),
)
"""The first columns of every cross-match; the others begin with the prefix of the catalogue."""


@dataclass(frozen=True)
class LaterColumns:
    """Columns that readers see in a table and that another product has, which is made later.

    Attributes
    ----------
    product : str
        The other product; columns are null without it.
    table : Table
        Its table.
    key, own_key : str
        Columns of the table that is read and of the other one that are the same.
    columns : mapping of str to Column
        As they are shown, by their names in the other table.
    """

    product: str
    table: Table
    key: str
    own_key: str
    columns: Mapping[str, Column]


_BEST = {
    column.name: replace(
        column,
        name=f"best_{column.name}",
        description=f"Of best_detid: {column.description}",
        nullable=True,
    )
    for column in _FLUXES
}
_LONG = {
    column.name: replace(column, nullable=True)
    for column in LONGTERM.columns
    if column.name not in UNIQUE.schema.names
}

BESIDE: Final = MappingProxyType(
    {
        "unique": (
            LaterColumns("features", FEATURES, "best_detid", "detid", _BEST),
            LaterColumns("history", LONGTERM, "region_num", "region_num", _LONG),
        )
    }
)
"""What readers see in tables of products besides what their files have, by table."""

DERIVED = MappingProxyType(
    {
        "unique": (UNIQUE, MEMBERS, LINEAGE, FOOTPRINTS, PLACES),
        "features": (FEATURES,),
        "flags": (FLAGS, HOT_REGIONS, DETECTOR),
        "frames": (FRAMES, OFFSETS, POSITIONS),
        "depth": (DEPTH, COVERED),
        "history": (HISTORY, LONGTERM),
    }
)
"""The products with fixed columns, by name, with their tables."""
