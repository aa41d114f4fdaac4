"""The kinds of filters: how a value is written, and which rows it keeps (method.md, Filters).

What a filter keeps is a condition on columns as `exod.schemas.conditions` has them, so that it is
the same for the rows of an archive and for those of a frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from exod.sources.vetting.flags import QUALITY_FLAGS, flag_names

N_REGIONS: Final = "n_regions_observation"
"""Column with the regions of an observation; counted among the rows where it is missing."""

VARIABLE: Final = "DR14_SC_VAR_FLAG"
"""Column of 4XMM-DR14 that says whether a source is variable there."""

DEFECTS: Final = tuple(flag.name for flag in QUALITY_FLAGS if flag.kind == "defect")
"""Flags that speak against a region; an isolated flare is a label, and 5 sigma a merit."""


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
    condition : callable
        From these parts to the condition that a row must fulfil.
    """

    name: str
    value: str
    meaning: str
    read: Callable[[str], tuple[Any, ...]]
    condition: Callable[..., str]


# -------------------------------------------------------------------- values


def _number(text: str) -> tuple[float]:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("it is not finite")
    return (number,)


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


def _near(column: str, value: float) -> str:
    """Equal but for rounding, as `numpy.isclose` is."""
    return f"abs({column} - {value!r}) <= {1e-8 + 1e-5 * abs(value)!r}"


def _any_flag(names: Sequence[str]) -> str:
    return " or ".join(names)


def _without(names: Sequence[str]) -> str:
    return f"not ({_any_flag(names)})"


def _limit(name: str, column: str, sign: str, meaning: str) -> Kind:
    """A filter that keeps what is at least, or at most, a number."""
    return Kind(name, "N", meaning, _number, lambda limit: f"{column} {sign} {limit!r}")


def _bins_limit(name: str, sign: str, words: str) -> Kind:
    """A filter by the number of significant frames."""
    value = "peak|eclipse:3|5:all|gti|bti:N"
    meaning = f"{words} N significant frames of this kind, in all, good or bad time"
    return Kind(name, value, meaning, _bins, lambda column, limit: f"{column} {sign} {limit!r}")


FILTERS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "t_bin",
                "S,...",
                "time bins of these lengths in seconds",
                lambda text: (tuple(_number(part)[0] for part in text.split(",")),),
                lambda bins: " or ".join(_near("t_bin", width) for width in bins),
            ),
            Kind(
                "band",
                "LO-HI,...",
                "these energy bands in keV",
                _bands,
                lambda bands: " or ".join(
                    f"({_near('e_lo', low)} and {_near('e_hi', high)})" for low, high in bands
                ),
            ),
            _limit(
                *("max_regions", N_REGIONS, "<="),
                "observations with at most N regions, all runs together",
            ),
            _limit("max_intensity", "intensity_mean", "<=", "mean counts of its cells at most N"),
            Kind(
                "max_pixel_intensity",
                "N",
                "mean counts of its cells, divided by the cells of its bounding box, at most N",
                _number,
                lambda limit: f"intensity_mean <= {limit!r} * area_bbox",
            ),
            _limit("max_area", "area_bbox", "<=", "bounding box of at most N cells"),
            _limit("min_sigma_peak", "sigma_peak", ">=", "a peak of at least N sigma"),
            _limit("min_sigma_eclipse", "sigma_eclipse", ">=", "an eclipse of at least N sigma"),
            Kind(
                "min_sigma",
                "N",
                "a peak or an eclipse of at least N sigma",
                _number,
                lambda limit: f"sigma_peak >= {limit!r} or sigma_eclipse >= {limit!r}",
            ),
            Kind(
                "five_sigma",
                "yes|no",
                "significant at 5 sigma (filt_5sig), or not",
                _yes,
                lambda wanted: "filt_5sig" if wanted else "not filt_5sig",
            ),
            _limit("min_counts", "n_sum", ">=", "at least N counts in the light curve"),
            _limit("max_counts", "n_sum", "<=", "at most N counts in the light curve"),
            _limit("min_n_max", "n_max", ">=", "at least N counts in the highest frame"),
            _limit("max_n_max", "n_max", "<=", "at most N counts in the highest frame"),
            _limit(
                "max_bad_ccd", "ratio_bccd", "<=", "a CCD or camera off in at most this part of it"
            ),
            _limit("min_length", "length", ">=", "light curve of at least N frames"),
            _bins_limit("min_bins", ">=", "at least"),
            _bins_limit("max_bins", "<=", "at most"),
            Kind(
                "max_sep",
                "PREFIX:ARCSEC",
                "a counterpart in that catalogue within this separation",
                _separation,
                lambda prefix, limit: f"{prefix}_sep_arcsec <= {limit!r}",
            ),
            Kind(
                "min_sep",
                "PREFIX:ARCSEC",
                "no counterpart in that catalogue within this separation",
                _separation,
                lambda prefix, limit: f"not {prefix}_sep_arcsec <= {limit!r}",
            ),
            Kind(
                "not_variable_4xmm",
                "yes|no",
                "not known as variable in 4XMM-DR14, or known",
                _yes,
                lambda wanted: f"not {VARIABLE}" if wanted else VARIABLE,
            ),
            Kind(
                "flag",
                "FLAG,...",
                "one of these quality flags at least",
                _flags,
                _any_flag,
            ),
            Kind(
                "without",
                "FLAG,...",
                "none of these quality flags",
                _flags,
                _without,
            ),
            Kind(
                "clean",
                "yes|no",
                "no flag of a defect at all, or one at least",
                _yes,
                lambda wanted: (_without if wanted else _any_flag)(DEFECTS),
            ),
        )
    }
)
"""All kinds of filters, by name."""
