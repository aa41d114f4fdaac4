"""The event of a region in its light curve: when it was, and what it was."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.plots.style import KIND_COLOURS, Row

LARGEST_SIGMA: Final = 10.0
"""Equivalent sigmas are not told apart from there on (method.md, Significance)."""

SHOWN_SIGMA: Final = 3.0
"""From there on a kind that is not that of the region is told, too."""


def has_windows(run: Row) -> bool:
    """Whether a run searched windows and tested their probability, not cells and Bayes factors."""
    return float(run.get("p_log", np.nan)) < 0


def sigma_text(run: Row, region: Row, cells: pd.DataFrame | None = None) -> str:
    """How significant the most significant frames are, and of a run of windows the best window.

    Parameters
    ----------
    run, region : mapping or Series
        Rows of the tables runs and regions.
    cells : DataFrame, optional
        Rows of the table cells of the region.

    Examples
    --------
    >>> sigma_text({}, {"kind": "peak", "sigma_peak": 7.25, "sigma_eclipse": 1.0})
    'peak 7.2σ'
    >>> sigma_text({}, {"kind": "eclipse", "sigma_peak": 10.0, "sigma_eclipse": 3.5})
    'eclipse 3.5σ, peak 10σ or more'
    """
    own = str(region["kind"])
    other = "eclipse" if own == "peak" else "peak"
    parts = [_sigmas(own, float(region[f"sigma_{own}"]))]
    if float(region[f"sigma_{other}"]) >= SHOWN_SIGMA:
        parts.append(_sigmas(other, float(region[f"sigma_{other}"])))
    if has_windows(run) and cells is not None and len(cells):
        best = cells["p_log"].min()
        parts.append(f"best window: probability 10$^{{{best:.1f}}}$")
    return ", ".join(parts)


def _sigmas(kind: str, sigma: float) -> str:
    if not np.isfinite(sigma):
        return f"{kind} of unknown σ"
    return f"{kind} 10σ or more" if sigma >= LARGEST_SIGMA else f"{kind} {sigma:.1f}σ"


def mark_event(axes: NDArray[Any], run: Row, region: Row) -> None:
    """A bar under the counts from the start to the end of the event."""
    if not np.isfinite(float(region["t_start"])):
        return
    ends = (np.array([region["t_start"], region["t_stop"]], float) - float(run["t_lo"])) / 1000
    for axis in axes:
        left, right = axis.get_xlim()
        inside = np.clip(ends, left, right)
        if ends[1] >= left and ends[0] <= right:
            axis.plot(
                inside,
                [0.02, 0.02],
                transform=axis.get_xaxis_transform(),
                color=KIND_COLOURS[str(region["kind"])],
                lw=5,
                solid_capstyle="butt",
                label="event",
                zorder=6,
            )


def _rounded(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.2g}"


def event_text(region: Row) -> str:
    """Length, counts and false-alarm probability of the event, as a third line."""
    parts = []
    if np.isfinite(float(region["duration"])):
        excess, low, high = (float(region[f"excess{name}"]) for name in ("", "_lo", "_hi"))
        length = f"{_rounded(region['duration'])} ± {_rounded(region['duration_err'])} s"
        # Without a fitted position nobody knows which part of the photons the region misses.
        corrected = "PSF-corrected excess" if region["pos_method"] == "psf" else "excess in region"
        number = _with_minus(f"{excess:.0f}")
        parts += [length, f"{corrected} {number} (+{high - excess:.0f} −{excess - low:.0f}) ct"]
    if np.isfinite(float(region["fap_obs"])):
        chance = _with_minus(f"{float(region['fap_obs']):.1g}")
        parts.append(f"by chance in the observation: {chance}")
    return "\n" + " · ".join(parts) if parts else ""


def _with_minus(number: str) -> str:
    return number.replace("-", "−")
