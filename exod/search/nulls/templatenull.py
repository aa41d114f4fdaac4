"""The template as the null hypothesis: a background of constant shape, tested in fixed cells.

Counts are Poisson numbers around the expectation of `exod.counts.template`, and Bayes factors tell
which are significant (method.md, Expectation; Significance).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from exod.counts.bayes import Thresholds, log10_b_peak, threshold
from exod.counts.cube import CountCube
from exod.counts.grid import Box
from exod.counts.partial import FramesLive
from exod.counts.template import Expectation, expect
from exod.schemas.arrays import Floats, Mask
from exod.search.nulls.binning import counted_runs
from exod.search.nulls.null import CountedRun, Searched, Subset, TestedRun, Threshold
from exod.search.regions import SignificantCells, significant_cells
from exod.sensitivity.cellalarms import (
    AlarmsByStrength,
    FalseAlarms,
    Tests,
    alarms_by_strength,
    expected_false_alarms,
    tests_of,
)
from exod.sensitivity.cellneeds import detection_counts

SIGMA_STEP: Final = 0.05
"""Step in which a false-alarm rate chooses equivalent sigmas."""

_STRENGTH_STEPS: Final = (0.0, 2.5)
"""Bayes factors above the threshold, log10, at which false alarms are counted for regions."""


@dataclass(frozen=True)
class TemplateNull:
    """As `exod.search.nulls.null.NullHypothesis`; runs are in the order of the settings."""

    subset: Subset

    def runs(self) -> Iterator[tuple[TestedRun, Searched]]:
        """Test every time bin and band."""
        for counted in self.counted():
            yield self._tested(counted)

    def counted(self) -> Iterator[CountedRun[Expectation]]:
        """Count every time bin and band."""
        known: dict[Box, Mask] = {}

        def expectation(cube: CountCube, is_bad: Mask, live: FramesLive | None) -> Expectation:
            if cube.box not in known:
                size = self.subset.size_arcsec
                known[cube.box] = self.subset.known_sources(cube.box, size, size)
            return expect(cube, is_bad, known[cube.box], live)

        return counted_runs(self.subset, expectation)

    def _tested(self, counted: CountedRun[Expectation]) -> tuple[TestedRun, Searched]:
        cube, expectation = counted.cube, counted.expectation
        tests = tests_of(cube, expectation)
        limits = self._thresholds(tests)
        cells = significant_cells(cube, expectation, limits)
        false_alarms = expected_false_alarms(tests, limits)
        tested = TestedRun(
            **vars(counted),
            cells=cells,
            threshold=Threshold(limits.sigma),
            false_alarms=false_alarms,
            alarms=_alarms(tests, limits, false_alarms, cells),
            needed=detection_counts(
                expectation, limits, cube.grid.size_arcsec, self.subset.profile
            ),
        )
        return tested, Searched(cube, expectation, cells, _strength(cells, limits))

    def _thresholds(self, tests: list[Tests]) -> Thresholds:
        """The thresholds of the settings, or those that give a run its share of false alarms."""
        settings, share = self.subset.config.detect, self.subset.alarms_per_run
        if share is None:
            return Thresholds(settings.sigma, settings.rule)
        low, high = round(1 / SIGMA_STEP), round(10 / SIGMA_STEP)
        while high > low:
            middle = (low + high) // 2
            limits = Thresholds(round(middle * SIGMA_STEP, 4), settings.rule)
            if expected_false_alarms(tests, limits).total > share:
                low = middle + 1
            else:
                high = middle
        return Thresholds(round(low * SIGMA_STEP, 4), settings.rule)


def _strength(cells: SignificantCells, limits: Thresholds) -> Floats:
    """log10 of the Bayes factor that is compared with the threshold, shape (n_cells,)."""
    if limits.rule == "exact":
        return cells.b_log
    # The published rule asks for one count more in a peak.
    fewer = log10_b_peak(np.maximum(cells.n - 1, 0), cells.mu)
    return np.where(cells.is_peak, fewer, cells.b_log)


def _alarms(
    tests: list[Tests], limits: Thresholds, false_alarms: FalseAlarms, cells: SignificantCells
) -> AlarmsByStrength:
    """False alarms by Bayes factor, from the threshold to the strongest region."""
    least = min(threshold(limits.sigma, "peak"), threshold(limits.sigma, "eclipse"))
    if not len(cells):
        return AlarmsByStrength(np.array([least]), np.array([false_alarms.total]))
    return alarms_by_strength(tests, [least + step for step in _STRENGTH_STEPS], limits.rule)
