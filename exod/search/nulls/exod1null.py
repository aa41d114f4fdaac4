"""EXOD I: what varies stands out of the variability image (method.md, EXOD I).

No background is estimated: each cell is expected to have its own mean in every frame, and what
chance makes of that is not known. So there are no expected false alarms, and no counts that a burst
needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from exod.counts.cube import CountCube, EventsByCell
from exod.counts.partial import FramesLive
from exod.counts.template import Expectation, Template
from exod.schemas.arrays import Mask
from exod.search.nulls.binning import counted_runs
from exod.search.nulls.null import CountedRun, Searched, Subset, TestedRun, Threshold
from exod.search.nulls.variability import (
    CONSTANT,
    VariableCells,
    brightest_frames,
    p_constant,
    variability_image,
    variable_cells,
)
from exod.search.regions import SignificantCells
from exod.sensitivity.cellalarms import AlarmsByStrength, FalseAlarms
from exod.sensitivity.cellneeds import PROBABILITIES, DetectionCounts

FEWEST_FRAMES: Final = 2
"""Frames that a variability needs."""


@dataclass(frozen=True)
class Exod1Null:
    """As `exod.search.nulls.null.NullHypothesis`; runs are in the order of the settings."""

    subset: Subset

    def runs(self) -> Iterator[tuple[TestedRun, Searched]]:
        """Test every time bin and band."""
        for counted in self.counted():
            yield self._tested(counted)

    def counted(self) -> Iterator[CountedRun[Expectation]]:
        """Count every time bin and band."""
        return counted_runs(self.subset, constant_expectation)

    def _tested(self, counted: CountedRun[Expectation]) -> tuple[TestedRun, Searched]:
        cube, expectation = counted.cube, counted.expectation
        settings = self.subset.config.detect
        image = variability_image(cube)
        found = variable_cells(image, cube.image() > 0, settings.sigma)
        keep = varying(cube, found) if settings.method == "exod1-ks" else found.labels > 0
        frame, cell, n = brightest_frames(cube, keep)
        cells = SignificantCells.of(
            cube,
            frame,
            cell,
            n,
            expectation.at(frame, cell),
            np.ones(len(cell), bool),
            cube.frames.starts[frame],
        )
        unknown = np.full(cube.box.shape, np.nan, np.float32)
        tested = TestedRun(
            **vars(counted),
            cells=cells,
            threshold=Threshold(found.level),
            false_alarms=FalseAlarms(np.nan, np.nan),
            alarms=AlarmsByStrength(np.zeros(1), np.full(1, np.nan)),
            needed=DetectionCounts((unknown,) * len(PROBABILITIES)),
            variability=image,
        )
        return tested, Searched(cube, expectation, cells, image[cells.y, cells.x])


def constant_expectation(
    cube: CountCube, is_bad: Mask, _live: FramesLive | None = None
) -> Expectation:
    """The mean of each cell in every unmasked frame; no background.

    Nothing is expected of one frame alone: it is its own mean, so that nothing can vary.

    Parameters
    ----------
    cube : CountCube
        Counts.
    is_bad : ndarray of bool, shape (n_frames,)
        Frames in bad time intervals.
    """
    counts = cube.image()
    if np.count_nonzero(~cube.masked) < FEWEST_FRAMES:
        counts = np.zeros_like(counts)
    # Any template that is not 0 says that the cell has data; its level is 0 in all frames.
    template = Template((counts > 0).astype(float), 0.0)
    return Expectation(
        good=template,
        bad=template,
        source=counts / max(float(cube.exposure.sum()), 1.0),
        source_mask=np.zeros(cube.box.shape, bool),
        level=np.zeros(cube.frames.n),
        exposure=cube.exposure,
        is_bad=is_bad,
    )


def varying(cube: CountCube, found: VariableCells) -> Mask:
    """The cells of regions whose light curve is not that of a constant source, shape (y, x)."""
    near = np.zeros(cube.box.shape, bool)
    for box in found.boxes.values():
        near[box.slices] = True
    by_cell, used = EventsByCell(cube, near), ~cube.masked
    variable = []
    for label, box in found.boxes.items():
        counts = np.bincount(cube.frame[by_cell.in_box(box)], minlength=cube.frames.n)
        if p_constant(counts[used]) < CONSTANT:
            variable.append(label)
    return np.isin(found.labels, variable)
