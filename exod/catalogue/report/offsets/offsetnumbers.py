"""Everything that the page about offsets says, before it is words and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from exod.astrometry.drift import (
    ALERTS_PER_YEAR,
    Seasonal,
    binned_medians,
    find_steps,
    seasonal_fit,
    without_season,
)
from exod.astrometry.offsetstatistics import (
    RadialDistribution,
    by_observation,
    radial_distribution,
    rms_table,
)
from exod.errors import plural

AXES: Final = ("dy", "dz")
"""Components of an offset along the axes of the telescope; `_new` is after the correction."""

REQUIRED: Final = ("obsid", "year", "detector", *AXES)
"""Columns that offsets must have; dr and what is missing of `OPTIONAL` is added."""

OPTIONAL: Final = (
    *("dy_new", "dz_new", "roll_deg", "off_axis_arcmin", "temperature_c", "weight", "name"),
)
"""Columns that offsets may have, NaN where not known; name is what an offset is called. Weights
count for `rms_table` alone."""

WITHIN: Final = 0.5
"""Alerts whose dates are nearer than that, in years, are of the same step."""

HALVES: Final = 6
"""Half years whose distributions are compared."""

SEASON: Final = "season"
"""Column of the part of the year, 0 to 1 from January."""

BINS: Final = 12
"""Bins of what offsets may depend on."""


@dataclass(frozen=True)
class Wording:
    """What the offsets of a mission are called on the page.

    Attributes
    ----------
    selection : str
        Which offsets these are, a sentence.
    before, after : str
        What the offsets and the corrected ones are, as the title of a section.
    correction : str
        What the corrected ones are, a sentence; why there are none, if there are none.
    """

    selection: str
    before: str
    after: str
    correction: str


@dataclass(frozen=True)
class Version:
    """Statistics of offsets, as archived or corrected.

    Attributes
    ----------
    offsets : DataFrame
        Columns of `REQUIRED` and `OPTIONAL`, dr (arcsec) and `SEASON`; dy and dz are those of
        this version.
    medians : DataFrame
        One row an observation and detector, from `by_observation`.
    radial : dict of str to RadialDistribution
        By detector, ``"all"`` first.
    rms : DataFrame
        From `rms_table`.
    history : dict of str to DataFrame
        From `binned_medians` of dy and dz, a column axis in front; by detector, ``"all"`` first.
    seasonal : dict of str to Seasonal or None
        Of dy and dz of the observations.
    """

    offsets: pd.DataFrame
    medians: pd.DataFrame
    radial: dict[str, RadialDistribution]
    rms: pd.DataFrame
    history: dict[str, pd.DataFrame]
    seasonal: dict[str, Seasonal | None]


@dataclass(frozen=True)
class OffsetNumbers:
    """What the page says.

    Attributes
    ----------
    before : Version
        As archived.
    after : Version or None
        Corrected; None if there is no correction.
    alerts : DataFrame
        From `drift_alerts`, of the offsets as archived.
    words : Wording
    withdrawn : tuple of dict
        Alerts that were told and are none any more: detector, axis, year, size and when it was
        seen, ``"withdrawn"``.
    """

    before: Version
    after: Version | None
    alerts: pd.DataFrame
    words: Wording
    withdrawn: tuple[dict[str, Any], ...] = ()


def offset_numbers(
    offsets: pd.DataFrame, words: Wording, *, years: float | None = None, seed: int = 0
) -> OffsetNumbers:
    """Describe offsets.

    Parameters
    ----------
    offsets : DataFrame
        Columns of `REQUIRED`, and any of `OPTIONAL`; arcsec and decimal years.
    words : Wording
        What they are called.
    years : float, optional
        How many years before the last offset are described; alerts look at all.
    seed : int
        Of bootstraps.
    """
    known = _completed(offsets)
    if missing := len(offsets) - len(known):
        left = f"{plural(missing, 'row')} without time or offset {'is' if missing == 1 else 'are'}"
        words = replace(words, selection=f"{words.selection} {left} left out.")
    alerts = drift_alerts(known)
    if years is not None and len(known):
        known = known[known["year"] >= known["year"].max() - years]
    corrected = known[known[["dy_new", "dz_new"]].notna().all(axis=1)]
    corrected = corrected.assign(dy=corrected["dy_new"], dz=corrected["dz_new"])
    return OffsetNumbers(
        _version(known, seed),
        _version(corrected, seed) if len(corrected) else None,
        alerts,
        words,
    )


def _completed(offsets: pd.DataFrame) -> pd.DataFrame:
    """Rows with a time and both components, and all columns."""
    numbers = [name for name in OPTIONAL if name != "name"]
    full = offsets.assign(
        **{name: np.nan for name in numbers if name not in offsets},
        **({} if "name" in offsets else {"name": ""}),
    )
    known = np.isfinite(full[["year", *AXES]].to_numpy(float)).all(axis=1)
    rows = full.loc[known, [*REQUIRED, *OPTIONAL]]
    rows = rows.astype(dict.fromkeys(("year", *AXES, *numbers), float))
    return rows.sort_values(["year", "obsid"], kind="stable", ignore_index=True)


def _version(offsets: pd.DataFrame, seed: int) -> Version:
    offsets = offsets.assign(
        dr=np.hypot(offsets["dy"], offsets["dz"]), **{SEASON: offsets["year"] % 1.0}
    )
    medians = by_observation(offsets)
    parts = dict(_by_detector(offsets))
    radial = {
        name: radial_distribution(part["dr"], part["obsid"], seed=seed)
        for name, part in parts.items()
    }
    return Version(
        offsets,
        medians,
        {name: found for name, found in radial.items() if found is not None},
        rms_table(offsets),
        {name: history(part) for name, part in parts.items()},
        {axis: seasonal_fit(medians["year"], medians[axis]) for axis in AXES},
    )


def _by_detector(offsets: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """All offsets and, if there are several detectors, those of each."""
    yield "all", offsets
    detectors = sorted(set(offsets["detector"]))
    if len(detectors) > 1:
        yield from ((name, offsets[offsets["detector"] == name]) for name in detectors)


def half_year(start: float) -> str:
    """Name of the half year that begins there.

    Examples
    --------
    >>> half_year(2013.5)
    '2013 Jul–Dec'
    """
    return f"{int(start)} {'Jan–Jun' if start % 1 == 0 else 'Jul–Dec'}"


def in_bins(places: pd.Series, values: pd.Series) -> pd.DataFrame:
    """Medians of values in bins of a quantity, of equal width.

    Returns
    -------
    DataFrame
        Columns place (median of the quantity), n, median, low, high; bins with 5 values or more.
        Empty if the quantity is the same everywhere.
    """
    where, what = places.to_numpy(float), values.to_numpy(float)
    known = np.isfinite(where)
    where, what = where[known], what[known]
    if not len(where) or np.ptp(where) == 0:
        return pd.DataFrame(columns=["place", "n", "median", "low", "high"], dtype=float)
    number = np.floor((where - where.min()) / np.ptp(where) * BINS).clip(0, BINS - 1)
    bins = binned_medians(number, what, 1.0)
    bins["place"] = pd.Series(where).groupby(number).median().to_numpy()
    return bins.loc[bins["n"] >= 5, ["place", "n", "median", "low", "high"]]


def history(offsets: pd.DataFrame) -> pd.DataFrame:
    """Half-year medians of both components, axis by axis."""
    bins = [binned_medians(offsets["year"], offsets[axis]) for axis in AXES]
    return pd.concat(bins, keys=list(AXES), names=["axis", None]).reset_index("axis")


def drift_alerts(offsets: pd.DataFrame, per_year: float = ALERTS_PER_YEAR) -> pd.DataFrame:
    """Steps of the offsets, along either axis, of all detectors together and of each.

    What is tested is the median of each observation, without a yearly sine that is significant.
    An observation of many offsets counts more than one of few, as far as offsets of one
    observation scatter. Together, each detector counts from its own median, since detectors
    differ from one another without having changed.

    Parameters
    ----------
    offsets : DataFrame
        Columns obsid, detector, year, dy, dz, in any order.
    per_year : float
        Alerts by chance in a year. All detectors together may give the half of them, if there are
        several, and each its part of the other half.

    Returns
    -------
    DataFrame
        A row a step: detector ("all" or its name), axis, year, size, error (arcsec), before,
        after (observations) and chance_per_year (alerts as significant by chance in a year of all
        that is looked at); the most significant first. A step of one detector that all of them
        show at the same time is told once.
    """
    medians = by_observation(offsets)
    parts = dict(_by_detector(medians))
    errors = {axis: _median_errors(offsets, medians, axis) for axis in AXES}
    part_of_all = 1.0 if len(parts) == 1 else 0.5
    rows: list[dict[str, object]] = []
    for name, part in parts.items():
        share = (part_of_all if name == "all" else part_of_all / (len(parts) - 1)) / len(AXES)
        for axis in AXES:
            values = part[axis] - part.groupby("detector")[axis].transform("median")
            plain = without_season(part["year"], values)
            for step in find_steps(
                part["year"], plain, per_year * share, errors=errors[axis][part.index]
            ):
                known = [row for row in rows if row["axis"] == axis and row["detector"] == "all"]
                if name == "all" or not any(
                    abs(float(str(row["year"])) - step.year) < WITHIN for row in known
                ):
                    rows.append(
                        {
                            "detector": name,
                            "axis": axis,
                            "year": step.year,
                            "size": step.size_arcsec,
                            "error": step.error_arcsec,
                            "before": step.n_before,
                            "after": step.n_after,
                            "chance_per_year": step.chance_per_year / share,
                        }
                    )
    columns = ["detector", "axis", "year", "size", "error", "before", "after", "chance_per_year"]
    found = pd.DataFrame(rows, columns=columns)
    return found.sort_values(["chance_per_year", "year"], kind="stable", ignore_index=True)


def _median_errors(offsets: pd.DataFrame, medians: pd.DataFrame, axis: str) -> pd.Series:
    """Standard errors of the medians of observations, from the scatter within observations."""
    rows = offsets.sort_values(["obsid", "detector", axis], kind="stable")
    own = rows.groupby(["obsid", "detector"])[axis].transform("median")
    count = rows.groupby(["obsid", "detector"])[axis].transform("size")
    several = count > 1
    # Residuals from the median of so few are smaller than the scatter, by this in the variance.
    left = (rows[axis] - own)[several] * np.sqrt(count / (count - 1))[several]
    # The standard error of a median is sqrt(pi / 2) times that of a mean, of one or two as large.
    factor = np.where(medians["n"] > 2, 1.2533, 1.0)
    scatter = float(1.4826 * left.abs().median()) if len(left) else 0.0
    return pd.Series(scatter * factor / np.sqrt(medians["n"]), medians.index)
