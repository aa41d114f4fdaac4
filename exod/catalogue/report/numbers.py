"""Everything that the report says, before it is words and pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from exod.catalogue.report.comparisons import ExtrasComparison, FluxGroups
from exod.catalogue.report.consistency import Consistency
from exod.catalogue.report.counterparts import Separations
from exod.catalogue.report.objecttypes import ObjectTypes
from exod.catalogue.report.statistics import Histogram
from exod.catalogue.report.survey import Survey


@dataclass(frozen=True)
class About:
    """What was described, when and by what.

    Attributes
    ----------
    root : str
        The archive.
    made : datetime
        When, UTC.
    versions : dict of str to str
        Versions of the software.
    fingerprint : str
        Fingerprint of the settings of the search.
    settings : dict
        The settings.
    """

    root: str
    made: datetime
    versions: dict[str, str]
    fingerprint: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class SourceNumbers:
    """Unique sources.

    Attributes
    ----------
    n : int
        How many.
    sky : DataFrame
        Column n, index HEALPix pixel; see `exod.catalogue.report.statistics.sky_pixels`.
    observations : DataFrame
        Column n, index number of observations with a region.
    top : DataFrame
        The most significant ones with columns of their best regions, `best_` before the name.
    separations : Histogram
        Of the regions from their sources, arcsec.
    """

    n: int
    sky: pd.DataFrame
    observations: pd.DataFrame
    top: pd.DataFrame
    separations: Histogram


@dataclass(frozen=True)
class Features:
    """Features of the light curves; what is None has no columns.

    Attributes
    ----------
    bins, regions : DataFrame or None
        From `exod.catalogue.report.statistics.good_and_bad`.
    hardness : Histogram or None
        Hardness ratios, one group each.
    highest : DataFrame or None
        From `exod.catalogue.report.highestframes.highest_frames`.
    """

    bins: pd.DataFrame | None
    regions: pd.DataFrame | None
    hardness: Histogram | None
    highest: pd.DataFrame | None = None


@dataclass(frozen=True)
class Numbers:
    """What the report says; None is what the archive does not have.

    Attributes
    ----------
    about : About
        What was described.
    status : dict of str to int
        Observations by status.
    n_runs, n_regions : int
        Rows of the tables.
    searched, good : float
        Seconds.
    survey : Survey
        What was searched.
    expected : DataFrame
        From `exod.catalogue.report.statistics.expected_false`.
    runs : DataFrame
        From `exod.catalogue.report.statistics.run_counts`.
    histograms : dict of str to Histogram
        log_b_peak, log_b_eclipse, duration, excess.
    products : DataFrame
        From `exod.archive.Archive.products`.
    sources : SourceNumbers, optional
    features : Features, optional
    flags : DataFrame, optional
        From `exod.catalogue.report.statistics.flag_counts`.
    matches : dict of str to Separations or None
        By catalogue; None if it has no separations.
    types : ObjectTypes, optional
        Object types of SIMBAD.
    stars : DataFrame, optional
        From `exod.catalogue.report.counterparts.absolute_magnitudes`.
    fluxes : DataFrame, optional
        From `exod.catalogue.report.counterparts.flux_pairs`.
    flux_groups : FluxGroups, optional
        Fluxes of sources, and of all of 4XMM if its table was given.
    extras : ExtrasComparison, optional
        If a table of EXTraS was given.
    given : dict of str to str
        Tables that were given, by what they are (extras, xmm).
    checks : list of Consistency
        In the order in which they are told.
    curves : dict of str to DataFrame or str
        Light curves of the first of the most significant sources by detid, or why there is none.
    """

    about: About
    status: dict[str, int]
    n_runs: int
    n_regions: int
    searched: float
    good: float
    survey: Survey
    expected: pd.DataFrame
    runs: pd.DataFrame
    histograms: dict[str, Histogram]
    products: pd.DataFrame
    sources: SourceNumbers | None = None
    features: Features | None = None
    flags: pd.DataFrame | None = None
    matches: dict[str, Separations | None] = field(default_factory=dict)
    types: ObjectTypes | None = None
    stars: pd.DataFrame | None = None
    fluxes: pd.DataFrame | None = None
    flux_groups: FluxGroups | None = None
    extras: ExtrasComparison | None = None
    given: dict[str, str] = field(default_factory=dict)
    checks: list[Consistency] = field(default_factory=list)
    curves: dict[str, pd.DataFrame | str] = field(default_factory=dict)
