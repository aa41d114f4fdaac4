"""What the pictures have in common: colours, texts and the shading of flagged time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from astropy import units
from astropy.coordinates import Angle
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from exod.observation.times import utc_date
from exod.schemas.arrays import Floats, Mask

Row = Mapping[str, Any] | pd.Series
"""One row of a table."""

# The colour-blind safe palette of Okabe & Ito (2008), "Color Universal Design".
BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY_BLUE: Final = "#56B4E9"
GREEN: Final = "#009E73"
YELLOW: Final = "#F0E442"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#8A8A8A"

KIND_COLOURS: Final = MappingProxyType({"peak": VERMILLION, "eclipse": BLUE, "both": PURPLE})
"""Colours of the kinds of significance, the same in every picture."""

KIND_MARKERS: Final = MappingProxyType({"peak": "^", "eclipse": "v", "both": "D"})
"""Markers of the kinds of significance, so that nothing depends on colour alone."""

SMALL: Final = 8
"""Smallest font size, points."""


def utc(seconds: float) -> str:
    """UTC of a mission elapsed time, to the second.

    Examples
    --------
    >>> utc(100529505.65985)
    '2001-03-09 12:50:41'
    """
    return utc_date(seconds).replace("T", " ")


def position_text(ra_deg: float, dec_deg: float) -> str:
    """A position in hours and degrees, to 0.1 arcsec.

    Examples
    --------
    >>> position_text(263.677151, -32.58199)
    '17h34m42.52s −32°34′55.2″'
    """
    ra = Angle(ra_deg, units.deg).to_string(units.hour, precision=2, pad=True)
    dec = Angle(dec_deg, units.deg).to_string(
        units.deg, sep=("°", "′", "″"), precision=1, pad=True, alwayssign=True
    )
    return f"{ra} {dec.replace('-', '−')}"


def run_text(run: Row) -> str:
    """Band and time bin of a run.

    Examples
    --------
    >>> run_text({"e_lo": 0.2, "e_hi": 12.0, "t_bin": 50.0})
    '0.2–12 keV, 50 s frames'
    """
    return f"{run['e_lo']:g}–{run['e_hi']:g} keV, {run['t_bin']:g} s frames"


def has_variability(run: Row) -> bool:
    """Whether a run was searched as EXOD I did."""
    return str(run.get("rule", "")).startswith("exod1")


def found_text(run: Row) -> str:
    """What cells that a search found are: EXOD I finds variable ones, with any expected counts.

    Examples
    --------
    >>> found_text({"rule": "exod1"}), found_text({"rule": "exact"})
    ('variable', 'significant')
    """
    return "variable" if has_variability(run) else "significant"


def threshold_text(run: Row) -> str:
    """The threshold of a run.

    Examples
    --------
    >>> threshold_text({"sigma": 3.0, "rule": "exod2"})
    'at 3σ'
    >>> threshold_text({"sigma": 4.0, "rule": "exod1"})
    'by EXOD I, s = 4'
    """
    if has_variability(run):
        return f"by EXOD I, s = {run['sigma']:.3g}"
    return f"at {run['sigma']:.3g}σ"


def spans(flagged: Mask) -> list[tuple[int, int]]:
    """Half-open ranges of the indices at which `flagged` holds.

    Examples
    --------
    >>> spans(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    change = np.flatnonzero(np.diff(flagged.astype(np.int8), prepend=0, append=0))
    return list(zip(change[::2].tolist(), change[1::2].tolist(), strict=True))


def legend_below(figure: Figure, panels: Iterable[Axes], columns: int) -> None:
    """One entry for each label of the panels, below them."""
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        figure.legend(
            entries.values(),
            entries.keys(),
            loc="outside lower center",
            ncols=columns,
            fontsize=SMALL,
            frameon=False,
        )


def say_nothing(axes: Axes, text: str) -> None:
    """Say in the middle of axes why they are empty; they get no ticks, which would mean nothing."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center")
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)


def shade_bad_time(axes: Axes, starts: Floats, stops: Floats) -> None:
    """Shade bad time intervals over the whole height."""
    _shade(axes, starts, stops, label="bad time (flaring background)", color=YELLOW, alpha=0.5)


def shade_frames(axes: Axes, edges: Floats, bti: Mask, masked: Mask) -> None:
    """Shade frames in bad time and frames without data over the whole height."""
    bad, off = (np.array(spans(flagged), int).reshape(-1, 2) for flagged in (bti, masked))
    shade_bad_time(axes, edges[bad[:, 0]], edges[bad[:, 1]])
    # An edge keeps a frame visible that is narrower than a dot.
    _shade(
        axes,
        edges[off[:, 0]],
        edges[off[:, 1]],
        label="masked (CCD or camera off)",
        color=SKY_BLUE,
        alpha=0.4,
        linewidth=0.6,
    )


def _shade(axes: Axes, starts: Floats, stops: Floats, **style: Any) -> None:
    if not len(starts):
        return
    style = {"linewidth": 0} | style
    ranges = list(zip(starts.tolist(), (stops - starts).tolist(), strict=True))
    axes.broken_barh(ranges, (0, 1), transform=axes.get_xaxis_transform(), zorder=1.5, **style)


def as_it_is(text: str) -> str:
    r"""Text of a header or a service as it is: a dollar sign of it starts no formula.

    Examples
    --------
    >>> print(as_it_is("cost $5"))
    cost \$5
    """
    return "".join(sign if sign.isprintable() else "?" for sign in text).replace("$", r"\$")


_SERIES_COLOURS: Final = (BLUE, VERMILLION, GREEN, PURPLE, BLACK, ORANGE, SKY_BLUE)
_SERIES_LINES: Final = ("-", "--", "-.", ":")


def series_style(number: int) -> tuple[str, str]:
    """Colour and line of a series among others; the first 28 differ from one another.

    Examples
    --------
    >>> series_style(0), series_style(7)
    (('#0072B2', '-'), ('#0072B2', ':'))
    """
    # Seven colours and four lines have no common divisor, so both go round at once.
    return (
        _SERIES_COLOURS[number % len(_SERIES_COLOURS)],
        _SERIES_LINES[number % len(_SERIES_LINES)],
    )


def label_logarithm(axis: Axis) -> None:
    """Label a logarithmic axis with its final limits so that texts do not meet.

    Over less than a decade or so 1, 2 and 5 are labelled, over more 1 and 3, then powers of ten.
    """
    low, high = axis.get_view_interval()
    if high < 5 * low:
        axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    else:
        subs = (1.0, 2.0, 5.0) if high < 20 * low else (1.0, 3.0) if high < 300 * low else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axis.set_major_formatter(lambda value, _: _plain_or_power(value))
    axis.set_minor_formatter(NullFormatter())


def _plain_or_power(value: float) -> str:
    r"""A plain number if it is short, otherwise with a power of ten.

    Examples
    --------
    >>> _plain_or_power(200.0), _plain_or_power(2e-14), _plain_or_power(1e6)
    ('200', '$2\\times10^{-14}$', '$10^{6}$')
    """
    if 1e-3 <= value < 1e5:
        return f"{value:,.4g}" if value < 1e3 else f"{value:,.0f}"
    factor, exponent = f"{value:.2e}".split("e")
    factor = factor.rstrip("0").rstrip(".")
    times = "" if factor == "1" else rf"{factor}\times"
    return f"${times}10^{{{int(exponent)}}}$"
