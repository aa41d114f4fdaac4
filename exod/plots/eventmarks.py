"""The event of a region in its light curve: when it was, and what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exod.plots.style import KIND_COLOURS, Row


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
        parts += [length, f"{excess:.0f} (+{high - excess:.0f} −{excess - low:.0f}) ct"]
    if np.isfinite(float(region["fap_obs"])):
        parts.append(f"by chance in the observation: {float(region['fap_obs']):.1g}")
    return ("\n" + " · ".join(parts)).replace("-", "−") if parts else ""
