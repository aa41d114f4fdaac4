"""Bursts by the likelihood of their photons: the search of the preset ``ideal`` (docs/ideal.md).

Counts, light curves and expectation are those of `conditionalnull`, in frames of the lengths of the
settings. What is a burst is decided by the scan over all places, starts and lengths; each burst
belongs to the run whose frames are most nearly as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from exod.counts.grid import Box
from exod.observation.gti import Frames
from exod.schemas.arrays import Floats, Indices, Mask
from exod.search.nulls.conditionalnull import BandCounts, ConditionalNull
from exod.search.nulls.null import CountedRun, Found, Searched, Subset, TestedRun, Threshold
from exod.search.nulls.photonsearch.photonchance import (
    COUNTED_FROM,
    ENOUGH,
    MOST_SHUFFLES,
    ShuffledChance,
)
from exod.search.nulls.photonsearch.photonfield import field_of
from exod.search.nulls.photonsearch.photonmaps import counts_needed_of
from exod.search.nulls.photonsearch.photonscan import Bursts, scan_field, shuffled
from exod.search.nulls.photonsearch.sources.photoncurves import all_sources
from exod.search.nulls.photonsearch.sources.photondips import DipChance, find_dips
from exod.search.positions import Position, position_error
from exod.search.regions import SignificantCells
from exod.sensitivity.cellalarms import AlarmsByStrength, FalseAlarms

if TYPE_CHECKING:
    from exod.counts.shares import ConditionalExpectation, LiveTime
    from exod.search.nulls.photonsearch.photonmarks import PhotonField

SIDE: Final = 2
"""A burst is counted in so many cells along each axis."""

DIP_SHARE: Final = 0.2
"""Share of the false alarms that dips may make, where there are sources to have them."""

SEED: Final = 17
"""Of the shuffled times, so that the same photons always have the same threshold."""

_LN10 = float(np.log(10))


@dataclass(frozen=True)
class PhotonNull:
    """As `exod.search.nulls.null.NullHypothesis`; long frames come first."""

    subset: Subset

    @cached_property
    def counting(self) -> ConditionalNull:
        """What counts, and says what is expected of cells."""
        return ConditionalNull(self.subset)

    def counted(self) -> Iterator[CountedRun[ConditionalExpectation]]:
        """Count every time bin."""
        return self.counting.counted()

    def runs(self) -> Iterator[tuple[TestedRun, Searched]]:
        """Scan the photons, and give each run its bursts and dips."""
        for counts in self.counting.bands():
            field = self.field(counts)
            bursts = scan_field(field)
            chance = chance_of(field)
            dips, of_dips = self._dips(field)
            part = DIP_SHARE if of_dips.number > 0 else 0.0
            rate = (self.subset.config.detect.false_alarm_rate or 1.0) / self.subset.n_subsets
            least = chance.threshold((1 - part) * rate)
            # As strong as the bursts of which chance makes in proportion as few.
            ratio = part / (1 - part)
            fewer = of_dips.above(dips.value) / max(ratio, 1e-9)
            dips = replace(dips, value=np.array([chance.threshold(x) for x in fewer.tolist()]))
            bursts = bursts.take(bursts.alone).joined(dips)
            is_dip = np.arange(len(bursts)) >= len(bursts) - len(dips)
            wanted = bursts.value >= least
            bursts, is_dip = bursts.take(wanted), is_dip[wanted]
            longest = max(self.counting.t_bins, default=1.0)
            usable = [t for t in self.counting.t_bins if 2 * t <= field.levels.total]
            usable = usable or [longest]
            length_of_dips = of_dips.shares * field.levels.total
            run_of, of_chance, of_drawn = (
                _nearest(x, usable) for x in (bursts.length, chance.lengths, length_of_dips)
            )
            for t_bin in self.counting.t_bins:
                number = usable.index(t_bin) if t_bin in usable else -1
                counted = counts.counted(t_bin)
                own = run_of == number
                expected = (0.0, 0.0)
                if number >= 0:
                    dip_share = np.count_nonzero(of_drawn == number) / max(len(of_drawn), 1)
                    of_bursts = chance.share(of_chance == number, len(usable))
                    expected = (of_bursts, ratio * dip_share)
                found = (bursts.take(own), is_dip[own])
                yield self._tested(counted, found, field, chance, expected, least)

    def _dips(self, field: PhotonField) -> tuple[Bursts, DipChance]:
        """Dips of the sources of a field, and what chance makes of them."""
        seen = all_sources(field, self.known_places(field))
        chance = DipChance.of(seen, np.random.default_rng(SEED))
        return find_dips(seen, field.levels.total), chance

    def known_places(self, field: PhotonField) -> Floats:
        """Known sources, arcsec from the corner of the field, shape (n, 2)."""
        sources, plane = self.subset.sources, self.subset.events.plane
        x, y = plane.to_pixel(*(sources[name].to_numpy() for name in ("ra_deg", "dec_deg")))
        return np.asarray(np.stack([x, y], axis=1) * plane.pixel_arcsec - field.corner)

    def field(self, counts: BandCounts) -> PhotonField:
        """The photons of a band, with what they say of bursts."""
        events, cube = self.subset.events, counts.cube
        mask = counts.expectation.source_mask
        used, hidden = (np.zeros(len(events.time), bool) for _ in range(2))
        used[cube.event] = True
        hidden[cube.event] = mask.ravel()[cube.cell]
        group = self.subset.live_group if counts.expectation.groups else np.zeros(len(used), int)
        return field_of(events, counts.expectation, group, used, hidden)

    def _tested(
        self,
        counted: CountedRun[ConditionalExpectation],
        found: tuple[Bursts, Mask],
        field: PhotonField,
        chance: ShuffledChance,
        share: tuple[float, float],
        least: float,
    ) -> tuple[TestedRun, Searched]:
        """Bursts and dips (which of them are is the other part of `found`) of a run."""
        bursts, is_dip = found
        cube, expectation = counted.cube, counted.expectation
        spans = burst_spans(bursts, expectation.live_time)
        inside = spans[:, 0] < cube.frames.t_lo + cube.frames.t_bin * cube.frames.n
        bursts, is_dip, spans = bursts.take(inside), is_dip[inside], spans[inside]
        pixel = self.subset.events.plane.pixel_arcsec
        x, y = (
            (u + low) / pixel for u, low in zip((bursts.x, bursts.y), field.corner, strict=True)
        )
        corner = [
            np.clip(np.rint(u / cube.grid.width).astype(int) - SIDE // 2 - low, 0, max(n - SIDE, 0))
            for u, low, n in zip(
                (y, x), (cube.box.y_lo, cube.box.x_lo), cube.box.shape, strict=True
            )
        ]
        n, mu = self._counts(counted, spans, *corner)
        start = spans[:, 0]
        frame = np.clip(cube.frames.index(start), 0, max(cube.frames.n - 1, 0))
        cell = corner[0] * cube.box.shape[1] + corner[1]
        order = np.lexsort((is_dip, cell, start))
        cells = SignificantCells.of(
            cube,
            frame[order],
            cell[order],
            n[order],
            mu[order],
            ~is_dip[order],
            start[order],
        )
        positions = self._positions(bursts, x, y, mu / (SIDE * cube.grid.size_arcsec) ** 2)
        where = Found(tuple(positions[i] for i in order), spans[order])
        values = np.linspace(COUNTED_FROM, COUNTED_FROM + 60, 601)
        tested = TestedRun(
            **vars(counted),
            cells=cells,
            threshold=Threshold(np.nan, -least / _LN10),
            false_alarms=FalseAlarms(
                *(part * float(chance.above(np.array(least))) for part in share)
            ),
            alarms=AlarmsByStrength(values / _LN10, sum(share) * chance.above(values)),
            needed=counts_needed_of(counted, field, least, pixel),
        )
        strength = bursts.value[order] / _LN10
        return tested, Searched(cube, expectation, cells, strength, SIDE, 1, where)

    def _positions(
        self, bursts: Bursts, x: Floats, y: Floats, background: Floats
    ) -> list[Position]:
        """Positions at sky pixels, with errors; `background` is counts per square arcsec.

        The error is that of the expected information, as of any region: the curvature of so few
        photons is that of a maximum that sits on one of them.
        """
        observatory = self.subset.events.observatory
        result = []
        for i in range(len(bursts)):
            counts = max(float(bursts.counts[i]), 1.0)
            axis = position_error(counts, float(background[i]), observatory.position_psf)
            error = float(np.hypot(np.sqrt(2) * axis, observatory.attitude_error_arcsec))
            result.append(Position(float(x[i]), float(y[i]), error, counts))
        return result

    def _counts(
        self,
        counted: CountedRun[ConditionalExpectation],
        spans: Floats,
        row: Indices,
        column: Indices,
    ) -> tuple[Floats, Floats]:
        """Counts of bursts in their cells and windows, and what is expected there without them."""
        cube, time = counted.cube, self.subset.events.time
        y, x = np.divmod(cube.cell, max(cube.box.shape[1], 1))
        when = time[cube.event]
        n, mu = np.zeros(len(spans)), np.zeros(len(spans))
        for i, (start, stop) in enumerate(spans):
            near = slice(*np.searchsorted(when, [start, np.nextafter(stop, np.inf)]))
            box = Box(int(row[i]), int(row[i]) + SIDE, int(column[i]), int(column[i]) + SIDE)
            n[i] = np.count_nonzero(
                (y[near] >= box.y_lo)
                & (y[near] < box.y_hi)
                & (x[near] >= box.x_lo)
                & (x[near] < box.x_hi)
            )
            window = replace(
                counted.expectation,
                frames=Frames(start, max(stop - start, 1e-3), 1),
                is_bad=np.zeros(1, bool),
            )
            mu[i] = float(window.light_curve(box)[0])
        return n, mu


def burst_spans(bursts: Bursts, live: LiveTime) -> Floats:
    """Start and stop of bursts in mission elapsed time, shape (n, 2)."""
    seconds = live.at(live.edges)
    rising = np.concatenate([[True], np.diff(seconds) > 0])
    edges = np.stack([bursts.begin, bursts.begin + bursts.length], axis=1)
    return np.interp(edges, seconds[rising], live.edges[rising])


def _nearest(lengths: Floats, t_bins: list[float]) -> Indices:
    """Which frames are most nearly as long, by ratio, shape (n_lengths,)."""
    ratio = np.abs(np.log(lengths[:, None] / np.array(t_bins)))
    return np.argmin(ratio, axis=1)


def chance_of(field: PhotonField) -> ShuffledChance:
    """Bursts that chance makes, from shuffled times."""
    generator, shuffles = np.random.default_rng(SEED), []
    for _ in range(MOST_SHUFFLES):
        shuffles.append(scan_field(shuffled(field, generator)))
        if sum(np.count_nonzero(s.value >= COUNTED_FROM) for s in shuffles) >= ENOUGH:
            break
    return ShuffledChance.of(shuffles)
