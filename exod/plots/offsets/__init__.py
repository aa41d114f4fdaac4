"""Pictures of offsets from the sky: distributions, history, what they depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from matplotlib.figure import Figure

from exod.catalogue.report.offsets.offsetnumbers import OffsetNumbers, Version
from exod.plots.offsets.dependences import DEPENDENCES, draw_dependence, draw_detectors
from exod.plots.offsets.histories import draw_history
from exod.plots.offsets.radii import draw_components, draw_plane, draw_radial
from exod.plots.statistics import png

__all__ = ["offset_pictures"]


def offset_pictures(numbers: OffsetNumbers) -> dict[str, bytes]:
    """Draw everything that the numbers allow.

    Parameters
    ----------
    numbers : OffsetNumbers
        Of offsets.

    Returns
    -------
    dict of str to bytes
        PNG by name, for `exod.catalogue.report.offsets.offsetsections.offset_sections`: the version
        (before, after), and what is drawn.
    """
    versions = {"before": numbers.before, "after": numbers.after}
    found = {
        f"{when}_{name}": png(draw())
        for when, version in versions.items()
        if version is not None and len(version.offsets)
        for name, draw in _of_version(version, numbers, when)
    }
    if len(numbers.before.offsets):
        for name in DEPENDENCES:
            if numbers.before.offsets[name].notna().any():
                found[name] = png(draw_dependence(numbers.before, name))
    return found


def _of_version(
    version: Version, numbers: OffsetNumbers, when: str
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    for detector, radial in version.radial.items():
        yield f"radial_{detector}", partial(draw_radial, radial, detector)
    yield "plane", partial(draw_plane, version)
    for detector in version.history:
        alerts = numbers.alerts if when == "before" else numbers.alerts.iloc[:0]
        alerts = alerts[alerts["detector"].isin(["all", detector])]
        yield f"history_{detector}", partial(draw_history, version, detector, alerts)
    if len(version.radial) > 1:
        yield "detectors", partial(draw_detectors, version)
    yield "halves", partial(draw_components, version)
