"""The kinds of filters: how a value is written, and which rows it keeps (method.md, Filters)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.vetting.flags import QUALITY_FLAGS, flag_names

Keep = NDArray[np.bool_]

N_REGIONS: Final = "n_regions_observation"
"""Column with the regions of an observation; counted among the rows where it is missing."""

VARIABLE: Final = "DR14_SC_VAR_FLAG"
"""Column of 4XMM-DR14 that says whether a source is variable there."""

DEFECTS: Final = tuple(flag.name for flag in QUALITY_FLAGS if flag.defect)


@dataclass(frozen=True)
class Kind:
    """A kind of filter.

    Attributes
    ----------
    name : str
        How it is called.
    value : str
        How its value is written.
    meaning : str
        Which rows are kept.
    read : callable
        From the text of a value to its parts; ValueError if it cannot be.
    needs : callable
        From these parts to the columns that are read.
    keeps : callable
        From rows and these parts to booleans.
    """

    name: str
    value: str
    meaning: str
    read: Callable[[str], tuple[Any, ...]]
    needs: Callable[..., tuple[str, ...]]
    keeps: Callable[..., Any]


# -------------------------------------------------------------------- values


def _number(text: str) -> tuple[float]:
    number = float(text)
    if not np.isfinite(number):
        raise ValueError("it is not finite")
    return (number,)


def _numbers(text: str) -> tuple[tuple[float, ...]]:
    return (tuple(_number(part)[0] for part in text.split(",")),)


def _bands(text: str) -> tuple[tuple[tuple[float, float], ...]]:
    pairs = [part.split("-") for part in text.split(",")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("a band has two ends")
    return (tuple((_number(low)[0], _number(high)[0]) for low, high in pairs),)


def _separation(text: str) -> tuple[str, float]:
    prefix, _, limit = text.rpartition(":")
    if not prefix.isidentifier():
        raise ValueError("the prefix of a catalogue comes first")
    return prefix, _number(limit)[0]


def _bins(text: str) -> tuple[str, float]:
    kind, sigma, where, number = text.split(":")
    ends = {"all": "", "bti": "_bti", "gti": "_gti"}
    if kind not in ("peak", "eclipse") or sigma not in ("3", "5") or where not in ends:
        raise ValueError("there are no such bins")
    return f"n_{sigma}_sig_{kind}_bins{ends[where]}", _number(number)[0]


def _flags(text: str) -> tuple[tuple[str, ...]]:
    names = tuple(name if name.startswith("filt_") else f"filt_{name}" for name in text.split(","))
    unknown = sorted(set(names) - set(flag_names()))
    if unknown:
        raise ValueError(f"there is no flag {', '.join(unknown)}; use {', '.join(flag_names())}")
    return (names,)


def _yes(text: str) -> tuple[bool]:
    if text not in ("yes", "no"):
        raise ValueError("it is neither yes nor no")
    return (text == "yes",)


# -------------------------------------------------------------------- conditions


def _in_bins(rows: pd.DataFrame, bins: Sequence[float]) -> Keep:
    width = rows["t_bin"].to_numpy(np.float64)
    return np.isclose(width[:, None], np.asarray(bins)).any(axis=1)


def _in_bands(rows: pd.DataFrame, bands: Sequence[tuple[float, float]]) -> Keep:
    edges = rows[["e_lo", "e_hi"]].to_numpy(np.float64)
    return np.isclose(edges[:, None], np.asarray(bands)).all(axis=2).any(axis=1)


def _crowd(rows: pd.DataFrame, limit: float) -> pd.Series[Any]:
    known = N_REGIONS in rows
    return (rows[N_REGIONS] if known else rows.groupby("obsid")["obsid"].transform("size")) <= limit


def _either(rows: pd.DataFrame, limit: float) -> pd.Series[Any]:
    return (rows["sigma_peak"] >= limit) | (rows["sigma_eclipse"] >= limit)


def _near(rows: pd.DataFrame, prefix: str, limit: float) -> pd.Series[Any]:
    return rows[_of(prefix)[0]] <= limit


def _far(rows: pd.DataFrame, prefix: str, limit: float) -> pd.Series[Any]:
    separation = rows[_of(prefix)[0]]
    return separation.isna() | (separation > limit)


def _of(prefix: str, _limit: float = 0.0) -> tuple[str]:
    return (f"{prefix}_sep_arcsec",)


def _any_flag(rows: pd.DataFrame, names: Sequence[str]) -> pd.Series[Any]:
    return rows[list(names)].astype(bool).any(axis=1)


def _not_variable(rows: pd.DataFrame, wanted: object) -> pd.Series[Any]:
    variable = rows[VARIABLE].astype(pd.BooleanDtype()).fillna(value=False)
    return ~variable if wanted else variable


def _limit(name: str, column: str, meaning: str, *, least: bool) -> Kind:
    """A filter that keeps what is at least, or at most, a number."""

    def keeps(rows: pd.DataFrame, limit: float) -> pd.Series[Any]:
        return rows[column] >= limit if least else rows[column] <= limit

    return Kind(name, "N", meaning, _number, lambda _limit: (column,), keeps)


def _bins_limit(rows: pd.DataFrame, column: str, limit: float, *, least: bool) -> pd.Series[Any]:
    return rows[column] >= limit if least else rows[column] <= limit


_least, _most = partial(_limit, least=True), partial(_limit, least=False)
_WHERE = "peak|eclipse:3|5:all|gti|bti:N"

FILTERS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "t_bin",
                "S,...",
                "time bins of these lengths in seconds",
                _numbers,
                lambda _: ("t_bin",),
                _in_bins,
            ),
            Kind(
                "band",
                "LO-HI,...",
                "these energy bands in keV",
                _bands,
                lambda _: ("e_lo", "e_hi"),
                _in_bands,
            ),
            Kind(
                "max_regions",
                "N",
                "observations with at most N regions, all runs together",
                _number,
                lambda _: ("obsid",),
                _crowd,
            ),
            _most("max_intensity", "intensity_mean", "mean counts of its cells at most N"),
            _most("max_area", "area_bbox", "bounding box of at most N cells"),
            _least("min_sigma_peak", "sigma_peak", "a peak of at least N sigma"),
            _least("min_sigma_eclipse", "sigma_eclipse", "an eclipse of at least N sigma"),
            Kind(
                "min_sigma",
                "N",
                "a peak or an eclipse of at least N sigma",
                _number,
                lambda _: ("sigma_peak", "sigma_eclipse"),
                _either,
            ),
            Kind(
                "five_sigma",
                "yes|no",
                "significant at 5 sigma (filt_5sig), or not",
                _yes,
                lambda _: ("filt_5sig",),
                lambda rows, wanted: rows["filt_5sig"] == wanted,
            ),
            _least("min_counts", "n_sum", "at least N counts in the light curve"),
            _most("max_counts", "n_sum", "at most N counts in the light curve"),
            _least("min_n_max", "n_max", "at least N counts in the highest frame"),
            _most("max_n_max", "n_max", "at most N counts in the highest frame"),
            _most("max_bad_ccd", "ratio_bccd", "a CCD or camera off in at most this part of it"),
            _least("min_length", "length", "light curve of at least N frames"),
            Kind(
                "min_bins",
                _WHERE,
                "at least N significant frames of this kind, in all, good or bad time",
                _bins,
                lambda column, _: (column,),
                partial(_bins_limit, least=True),
            ),
            Kind(
                "max_bins",
                _WHERE,
                "at most N significant frames of this kind, in all, good or bad time",
                _bins,
                lambda column, _: (column,),
                partial(_bins_limit, least=False),
            ),
            Kind(
                "max_sep",
                "PREFIX:ARCSEC",
                "a counterpart in that catalogue within this separation",
                _separation,
                _of,
                _near,
            ),
            Kind(
                "min_sep",
                "PREFIX:ARCSEC",
                "no counterpart in that catalogue within this separation",
                _separation,
                _of,
                _far,
            ),
            Kind(
                "not_variable_4xmm",
                "yes|no",
                "not known as variable in 4XMM-DR14, or known",
                _yes,
                lambda _: (VARIABLE,),
                _not_variable,
            ),
            Kind(
                "flag",
                "FLAG,...",
                "one of these quality flags at least",
                _flags,
                lambda names: names,
                _any_flag,
            ),
            Kind(
                "without",
                "FLAG,...",
                "none of these quality flags",
                _flags,
                lambda names: names,
                lambda rows, names: ~_any_flag(rows, names),
            ),
            Kind(
                "clean",
                "yes|no",
                "no flag of a defect at all, or one at least",
                _yes,
                lambda _: DEFECTS,
                lambda rows, wanted: _any_flag(rows, DEFECTS) != wanted,
            ),
        )
    }
)
"""All kinds of filters, by name."""
