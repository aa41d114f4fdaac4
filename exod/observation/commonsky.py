"""Sky pixels of exposures with different grids, brought onto one (method.md, Merging exposures)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exod.instruments.detector import POINTING_PIXEL
from exod.instruments.epic import SKY_DELTA_DEG
from exod.observation.events import SelectedEvents
from exod.sky.plane import TangentPlane

SAME_PIXELS: Final = 0.5
"""Grids that differ by less than this anywhere in the field are the same, sky pixels."""


@dataclass(frozen=True)
class SkyGrid:
    """Sky pixels: their projection, and how many there are along X and along Y."""

    plane: TangentPlane
    extent: int

    @classmethod
    def of(cls, item: SelectedEvents) -> SkyGrid:
        """The grid of an exposure."""
        return cls(item.exposure.plane, item.exposure.sky_extent)

    @property
    def order(self) -> tuple[float, ...]:
        """A key that puts grids in an order, whatever exposures have them."""
        return (self.extent, *astuple(self.plane))

    def difference(self, other: SkyGrid) -> float:
        """Largest distance between equal pixels of the two grids within this field, sky pixels.

        NaN if a pixel is behind the tangent plane of the other.
        """
        edges = np.linspace(0, self.extent, 3)
        x, y = (values.ravel() for values in np.meshgrid(edges, edges))
        there = other.plane.to_pixel(*self.plane.to_sky(x, y))
        return float(np.hypot(there[0] - x, there[1] - y).max())

    def reaches(self, other: SkyGrid) -> bool:
        """Whether the middle of the other field lies in this one."""
        middle = other.extent / 2
        x, y = self.plane.to_pixel(*other.plane.to_sky(middle, middle))
        return bool(0 <= x <= self.extent and 0 <= y <= self.extent)


def on_common_sky(
    items: Sequence[SelectedEvents],
) -> tuple[list[SelectedEvents], list[tuple[SelectedEvents, str]]]:
    """The exposures of an observation with X and Y on one grid.

    The grid is that of most of the exposed time. Exposures on it are left as they are. The events
    of others are projected to the sky and back; the grid grows if some lie outside.

    Parameters
    ----------
    items : sequence of SelectedEvents
        In any order, which does not matter for the choice of the grid.

    Returns
    -------
    items : list of SelectedEvents
        In the same order, all with the same plane and extent.
    left_out : list of (SelectedEvents, str)
        Exposures of another part of the sky, with the reason.
    """
    grids = [SkyGrid.of(item) for item in items]
    if len(set(grids)) < 2:
        return list(items), []
    common = _longest_exposed(items, grids)
    kept: list[SelectedEvents] = []
    left_out: list[tuple[SelectedEvents, str]] = []
    for item, grid in zip(items, grids, strict=True):
        name = item.exposure.filename
        if not (grid.reaches(common) and common.reaches(grid)):
            left_out.append((item, f"{name} is of another part of the sky than longer exposures."))
        elif common.difference(grid) < SAME_PIXELS:
            kept.append(item)
        else:
            kept.append(_reprojected(item, common.plane))
    return _within_one_field(kept, common), left_out


def _longest_exposed(items: Sequence[SelectedEvents], grids: Sequence[SkyGrid]) -> SkyGrid:
    """The grid of most of the exposed time; of equal ones that with the smallest numbers."""
    total: dict[SkyGrid, float] = {}
    for item, grid in zip(items, grids, strict=True):
        total[grid] = total.get(grid, 0.0) + item.time_max - item.time_min
    return min(total, key=lambda grid: (-total[grid], grid.order))


def _reprojected(item: SelectedEvents, plane: TangentPlane) -> SelectedEvents:
    """The exposure with X and Y of another projection, rounded to whole sky pixels."""
    events = item.events
    x, y = plane.to_pixel(*item.exposure.plane.to_sky(events.x, events.y))
    note = (
        f"{item.exposure.filename} has sky pixels of another projection than the other exposures; "
        f"its events were brought onto theirs."
    )
    return replace(
        item,
        events=replace(events, x=_whole(x), y=_whole(y)),
        notes=(*item.notes, note),
    )


def _whole(pixel: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(pixel).astype(np.int32)


def _within_one_field(items: list[SelectedEvents], common: SkyGrid) -> list[SelectedEvents]:
    """The exposures on a grid that holds all of their events, in whole sky pixels from 0."""
    reach = [(0, common.extent), *(_reach(item, common) for item in items)]
    lowest = min(low for low, _ in reach)
    plane, extent = common.plane, max(high for _, high in reach) - lowest
    plane = replace(plane, x_ref=plane.x_ref - lowest, y_ref=plane.y_ref - lowest)
    result = []
    for item in items:
        events = item.events
        if lowest:
            shift = np.int32(-lowest)
            events = replace(events, x=events.x + shift, y=events.y + shift)
        exposure = replace(item.exposure, plane=plane, sky_extent=extent)
        result.append(replace(item, exposure=exposure, events=events))
    return result


def _reach(item: SelectedEvents, common: SkyGrid) -> tuple[int, int]:
    """Least and largest pixel of the events of an exposure; those of no field are not counted."""
    own, pixels = SkyGrid.of(item), np.stack([item.events.x, item.events.y])
    if own == common:
        return 0, common.extent
    # What is outside of its own field is damaged, and would make the common one huge.
    x, y = own.plane.to_pixel(*common.plane.to_sky(*pixels))
    inside = (x >= -1) & (x <= own.extent + 1) & (y >= -1) & (y <= own.extent + 1)
    if not inside.any():
        return 0, common.extent
    return int(pixels[:, inside].min()), int(pixels[:, inside].max())


def sky_plane(ra_pnt: float, dec_pnt: float) -> TangentPlane:
    """The projection of X and Y for a pointing in degrees (REFX..., REFY... keywords)."""
    pixel, delta = POINTING_PIXEL, SKY_DELTA_DEG
    return TangentPlane(pixel, pixel, ra_pnt, dec_pnt, -delta, delta)
