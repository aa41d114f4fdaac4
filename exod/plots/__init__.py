"""Pictures of observations, runs and light curves; the only importer of matplotlib.

Functions that draw take rows and frames and return a `matplotlib.figure.Figure`; nothing here
keeps state or opens a window. `save_observation` and `save_detection` write files of what an
archive holds, in the format, size and style of a `Drawing`.
"""

from __future__ import annotations

from exod.plots.drawing import Drawing, read_style, save_figure
from exod.plots.fields.overviews import observation_overview
from exod.plots.images import detection_image
from exod.plots.lightcurves import region_light_curve
from exod.plots.lightcurves.curves import significance_limits
from exod.plots.saving import save_detection, save_observation

__all__ = [
    "Drawing",
    "detection_image",
    "observation_overview",
    "read_style",
    "region_light_curve",
    "save_detection",
    "save_figure",
    "save_observation",
    "significance_limits",
]
