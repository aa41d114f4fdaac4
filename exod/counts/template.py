"""Expected counts of cells, from the background and the constant sources (method.md, Expectation).

The expectation is the sum of two outer products, ``mu(t, y, x) = T(y, x) L(t) + S(y, x) e(t)``, so
any cell costs O(1) and the cube of mu is never stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import pandas as pd
from astropy.convolution import Gaussian2DKernel, convolve
from numpy.typing import NDArray

from exod.counts.cube import CellByCell, CountCube
from exod.counts.grid import Box, Cells, Grid, sum_over
from exod.counts.partial import (
    FramesLive,
    LivePart,
    PartialFrames,
    group_images,
    live_weights,
    shares_of,
)
from exod.schemas.arrays import Floats, Mask

Image = NDArray[np.float64]

MIN_DET_ML: Final = 8.0
"""Sources above this EP_DET_ML are masked (method.md, Source mask)."""

OFFSET_ARCSEC: Final = 4.0
"""Width of an image pixel, by which the published pipeline shifts masks, see `source_discs`."""

INPAINT_RADIUS: Final = 2
BLUR_SIGMA_CELLS: Final = 0.5
BRIGHT_FACTOR: Final = 3.0
BRIGHT_PERCENTILE: Final = 75.0


@dataclass(frozen=True)
class Template:
    """Shape of the background and its counts.

    Attributes
    ----------
    shape : ndarray of float64, shape (y, x)
        Expected counts of each cell for one count outside the source mask; 0 where the image that
        it was made of has no counts: no data, so no expectation.
    counts : float
        Counts of that image outside the source mask.
    """

    shape: Image
    counts: float


@dataclass(frozen=True)
class TemplateSteps:
    """What `background_template` makes on the way.

    Attributes
    ----------
    filled : ndarray of float, shape (y, x)
        The image inpainted under the mask, for one count outside it.
    blurred : ndarray of float, shape (y, x)
        The same, blurred.
    template : Template
        What comes of it.
    """

    filled: NDArray[np.floating]
    blurred: NDArray[np.floating]
    template: Template


@dataclass(frozen=True)
class Expectation(CellByCell):
    """Expected counts of a cube; cells without a template have none and are 0.

    Attributes
    ----------
    good, bad : Template
        Background in good and bad time.
    source : ndarray of float64, shape (y, x)
        Counts of the constant sources in a frame in which all CCDs are live.
    source_mask : ndarray of bool, shape (y, x)
        Cells of known sources and bright cells.
    level : ndarray of float64, shape (n_frames,)
        Counts of each frame outside the source mask.
    exposure : ndarray of float64, shape (n_frames,)
        Relative exposure of each frame; 0 for masked frames and for frames without any counts,
        which have no expectation.
    is_bad : ndarray of bool, shape (n_frames,)
        Frames in bad time intervals.
    partial : PartialFrames or None
        Live fractions of the cells in frames in which only some CCDs were live; there `exposure`
        is the mean of the field.
    """

    good: Template
    bad: Template
    source: Image
    source_mask: Mask
    level: Floats
    exposure: Floats
    is_bad: Mask
    partial: PartialFrames | None = None

    def _halves(self, which: Mask | None = None) -> tuple[tuple[Image, Image, Mask], ...]:
        """Background shape, constant sources and frames in good and in bad time."""
        use = np.ones(len(self.level), bool) if which is None else which
        return tuple(
            (template.shape, np.where(template.shape > 0, self.source, 0.0), use & frames)
            for template, frames in ((self.good, ~self.is_bad), (self.bad, self.is_bad))
        )

    def _wholes(self, which: Mask | None = None) -> Iterator[tuple[Image, Image, Mask]]:
        """The same of the frames in which all CCDs are live."""
        for background, source, frames in self._halves(which):
            whole = frames if self.partial is None else frames & ~self.partial.frames
            yield background, source, whole

    def _parts(
        self, which: Mask | None = None
    ) -> Iterator[tuple[tuple[Image, LivePart, Floats], tuple[Image, LivePart, Floats], Mask]]:
        """Background and sources in the other frames: images, live fractions, weights of frames."""
        if self.partial is None:
            return
        halves = zip(self._halves(which), (self.partial.good, self.partial.bad), strict=True)
        for (background, source, frames), part in halves:
            used = frames & self.partial.frames
            level = np.divide(
                self.level, part.mean, out=np.zeros_like(self.level), where=part.mean > 0
            )
            seen = (self.exposure > 0).astype(float)
            yield (background, part, level * seen), (source, self.partial.source, seen), used

    def at(self, frame: NDArray[np.integer], cell: NDArray[np.integer]) -> Floats:
        """As `CellByCell.at`."""
        template = np.where(
            self.is_bad[frame], self.bad.shape.ravel()[cell], self.good.shape.ravel()[cell]
        )
        source = np.where(template > 0, self.source.ravel()[cell], 0.0)
        total = np.asarray(template * self.level[frame] + source * self.exposure[frame])
        if self.partial is None:
            return total
        some = np.broadcast_to(self.partial.frames[frame], total.shape)
        if some.any():
            own, where, template, source = (
                np.broadcast_to(each, total.shape)[some] for each in (frame, cell, template, source)
            )
            background, steady = self.live_factors(own, where)
            total[some] = (
                template * self.level[own] * background + source * self.exposure[own] * steady
            )
        return total

    def live_factors(
        self, frame: NDArray[np.integer], cell: NDArray[np.integer]
    ) -> tuple[Floats, Floats]:
        """Live fraction of cells relative to that of the field, of background and sources.

        Where all CCDs are live both are 1; broadcast shape.
        """
        frame, cell = np.broadcast_arrays(frame, cell)
        background, steady = np.ones(frame.shape), np.ones(frame.shape)
        if self.partial is None:
            return background, steady
        some = self.partial.frames[frame]
        for part, is_bad in ((self.partial.good, False), (self.partial.bad, True)):
            mine = some & (self.is_bad[frame] == is_bad)
            if not mine.any():
                continue
            own, where = frame[mine], cell[mine]
            mean = np.where(part.mean > 0, part.mean, np.inf)[own]
            background[mine] = part.at(own, where) / mean
            steady[mine] = self.partial.source.at(own, where) / mean
        return background, steady

    def light_curve(self, cells: Cells) -> Floats:
        """Expected counts summed over cells of the cropped image, shape (n_frames,)."""
        total = np.zeros(len(self.level))
        for background, source, frames in self._wholes():
            total[frames] = (
                sum_over(background, cells) * self.level[frames]
                + sum_over(source, cells) * self.exposure[frames]
            )
        for *both, frames in self._parts():
            for image, part, weight in both:
                shares = part.shares.reshape(len(part.shares), *image.shape)
                own = sum_over(shares * image, cells) @ part.live
                total[frames] += (own * weight)[frames]
        return total

    def live_curve(self, cells: Cells) -> Floats | None:
        """Live fraction of some cells in each frame that is not masked, shape (n_frames,).

        That of what they are expected to have; None if all CCDs are live in all frames.
        """
        if self.partial is None:
            return None
        live = np.ones(len(self.level))
        for (background, part, weight), (steady, of_sources, seen), frames in self._parts():
            counts = [
                sum_over(own.shares.reshape(len(own.shares), *image.shape) * image, cells)
                * many[frames].sum()
                for own, image, many in ((part, background, weight), (of_sources, steady, seen))
            ]
            total = np.sum(counts, axis=0)
            known = part.mean
            if total.any():
                known = total / total.sum() @ part.live
            live[frames] = known[frames]
        return live

    def image(self, which: Mask | None = None) -> Image:
        """Expected counts summed over the frames where `which` (all by default), shape (y, x)."""
        total = self.background_image(which) + sum(
            source * self.exposure[frames].sum() for _, source, frames in self._wholes(which)
        )
        for _, (source, part, weight), frames in self._parts(which):
            total += part.summed(source, weight, frames)
        return np.asarray(total)

    def background_image(self, which: Mask | None = None) -> Image:
        """The part of `image` that is not constant sources."""
        parts = [
            background * self.level[frames].sum() for background, _, frames in self._wholes(which)
        ]
        for (background, part, weight), _, frames in self._parts(which):
            parts.append(part.summed(background, weight, frames))
        return np.sum(parts, axis=0)

    def largest(self) -> Image:
        """An upper limit of what any frame is expected to have in each cell, shape (y, x)."""
        most = [
            background * self.level[frames].max(initial=0)
            + source * self.exposure[frames].max(initial=0)
            for background, source, frames in self._wholes()
        ]
        for *both, frames in self._parts():
            bounds = [part.bound(image, weight, frames) for image, part, weight in both]
            most.append(np.sum(bounds, axis=0))
        return np.maximum.reduce(most)


def expect(
    cube: CountCube, is_bad: Mask, known_sources: Mask, live: FramesLive | None = None
) -> Expectation:
    """Work out the expectation of a cube.

    Parameters
    ----------
    cube : CountCube
        Counts.
    is_bad : ndarray of bool, shape (n_frames,)
        Frames in bad time intervals.
    known_sources : ndarray of bool, shape (y, x)
        Mask of the known sources, from `source_discs`.
    live : FramesLive, optional
        When which CCDs were live; by default all, in all frames that are not masked.
    """
    good_frames, bad_frames = ~is_bad & ~cube.masked, is_bad & ~cube.masked
    if live is not None and (live.is_partial & ~cube.masked).any():
        return _expect_partial(cube, is_bad, known_sources, live)
    image_good, image_bad = cube.image(good_frames), cube.image(bad_frames)
    mask = known_sources | bright_cells(image_good, known_sources)
    good, bad = background_template(image_good, mask), background_template(image_bad, mask)
    exposure = cube.exposure.copy()
    if good_frames.sum() >= bad_frames.sum():
        source = source_image(image_good, good, mask, float(exposure[good_frames].sum()))
    else:
        source = source_image(image_bad, bad, mask, float(exposure[bad_frames].sum()))
    exposure[cube.light_curve() == 0] = 0.0
    level = cube.light_curve(~mask).astype(float)
    return Expectation(good, bad, source, mask, level, exposure, is_bad)


def _expect_partial(
    cube: CountCube, is_bad: Mask, known_sources: Mask, frames_live: FramesLive
) -> Expectation:
    """As `expect`, with frames in which only some CCDs are live.

    Counts of each group of CCDs are scaled to what it had if it were always live.
    """
    shape, n_groups = cube.box.shape, len(frames_live.live)
    live = np.where(cube.masked, 0.0, frames_live.live)
    halves = [~is_bad & ~cube.masked, is_bad & ~cube.masked]
    # Events of masked frames are not in the cube: each is in good or in bad time.
    half_group = frames_live.group + n_groups * is_bad[cube.frame]
    images = group_images(half_group, cube.cell, 2 * n_groups, cube.box.size)
    images = images.reshape(2, n_groups, -1)
    steady = [_ratio(float(frames.sum()), live[:, frames].sum(1)) for frames in halves]
    typical = (steady[0] @ images[0]).reshape(shape)
    mask = known_sources | bright_cells(typical, known_sources)
    level = cube.light_curve(~mask).astype(float)
    is_partial = frames_live.is_partial & ~cube.masked
    templates, parts, trues = zip(
        *(
            _partial_half(
                counts, level, live, frames, mask, is_some=bool((frames & is_partial).any())
            )
            for frames, counts in zip(halves, images, strict=True)
        ),
        strict=True,
    )
    half = int(halves[0].sum() < halves[1].sum())
    background = templates[half].shape.ravel() * (
        (steady[half] * (live @ trues[half])) @ parts[half].shares
    )
    excess = np.maximum(steady[half] @ images[half] - background, 0.0)
    n_frames = float(halves[half].sum())
    source = np.where(mask, excess.reshape(shape), 0.0) / max(n_frames, 1.0)
    sources = LivePart(shares_of(images[half] * steady[half][:, None], shape), live, parts[0].mean)
    exposure = np.where(is_bad, parts[1].mean, parts[0].mean)
    exposure = np.where(frames_live.is_partial, exposure, cube.exposure)
    exposure[cube.light_curve() == 0] = 0.0
    partial = PartialFrames(is_partial, parts[0], parts[1], sources)
    good, bad = templates
    return Expectation(good, bad, source, mask, level, exposure, is_bad, partial)


def _partial_half(
    counts: Floats, level: Floats, live: Floats, frames: Mask, mask: Mask, *, is_some: bool
) -> tuple[Template, LivePart, Floats]:
    """Template, live fractions, and level as if all were live, of good or of bad time.

    Parameters
    ----------
    counts : ndarray, shape (n_groups, n_cells)
        Counts of its frames.
    level : ndarray, shape (n_frames,)
        Background counts of all frames.
    live : ndarray, shape (n_groups, n_frames)
        Live fractions.
    frames : ndarray of bool, shape (n_frames,)
        Its frames.
    mask : ndarray of bool, shape (y, x)
        Source mask.
    is_some : bool
        Whether one of its frames is live in part; if not, nobody asks for shares.
    """
    if not is_some:
        template = background_template(counts.sum(0).reshape(mask.shape), mask)
        whole = LivePart(np.full(counts.shape, 1 / len(counts)), live, frames.astype(float))
        return template, whole, np.where(frames, level, 0.0)
    weights = live_weights(counts[:, ~mask.ravel()].sum(1), level[frames], live[:, frames])
    mean = np.where(frames, weights @ live, 0.0)
    true = np.divide(level, mean, out=np.zeros_like(level), where=mean > 0)
    scaled = counts * _ratio(float(true.sum()), live @ true)[:, None]
    template = background_template(scaled.sum(0).reshape(mask.shape), mask)
    shares = shares_of(scaled, mask.shape)
    outside = shares @ np.where(mask, 0.0, template.shape).ravel()
    mean = np.where(frames, outside / max(float(outside.sum()), 1e-300) @ live, 0.0)
    true = np.divide(level, mean, out=np.zeros_like(level), where=mean > 0)
    return template, LivePart(shares, live, mean), true


def _ratio(number: float, by_group: Floats) -> Floats:
    """A number over one of each group; 0 where that is 0."""
    return np.divide(number, by_group, out=np.zeros_like(by_group), where=by_group > 0)


def bright_cells(image: NDArray[np.number], known_sources: Mask) -> Mask:
    """Cells with more than three times the 75th percentile of the rest (method.md, Source mask)."""
    outside = image[~known_sources]
    if not outside.any():
        return np.zeros(image.shape, bool)
    level = np.percentile(outside, BRIGHT_PERCENTILE)
    if not level:
        # Most cells are empty, and all others would be bright: nothing would be searched.
        level = np.percentile(outside[outside > 0], BRIGHT_PERCENTILE)
    return np.asarray(image > BRIGHT_FACTOR * level)


def background_template(image: NDArray[np.number], mask: Mask) -> Template:
    """Background under and around the sources (method.md, Background template).

    The image is inpainted under the mask, scaled to one count outside it, blurred and cut to the
    cells that have counts.
    """
    return template_steps(image, mask).template


def template_steps(image: NDArray[np.number], mask: Mask) -> TemplateSteps:
    """As `background_template`, with the images on the way."""
    counts = float(image[~mask].sum())
    if counts == 0:
        nothing = np.zeros(image.shape)
        return TemplateSteps(nothing, nothing, Template(nothing, 0.0))
    filled = inpaint(image, mask) / np.float32(counts)
    blurred = convolve(filled, _blur())
    shape = np.where(image > 0, blurred, 0.0).astype(np.float64)
    return TemplateSteps(filled, blurred, Template(shape, counts))


@lru_cache(maxsize=1)
def _blur() -> Gaussian2DKernel:
    """The kernel, which takes half as long to make as to use."""
    return Gaussian2DKernel(BLUR_SIGMA_CELLS)


def inpaint(image: NDArray[np.generic], mask: Mask) -> NDArray[np.float32]:
    """The image, shape (y, x), with what is under the mask continued from around it."""
    # The front marches along the first axis; EXOD2's is x, so the image is turned for equal values.
    source = np.ascontiguousarray(image.T, np.float32)
    hidden = np.ascontiguousarray(mask.T, np.uint8)
    return np.asarray(cv2.inpaint(source, hidden, INPAINT_RADIUS, cv2.INPAINT_NS)).T


def source_image(
    image: NDArray[np.integer], template: Template, mask: Mask, exposure: float
) -> Image:
    """Counts of the constant sources in a frame (method.md, Constant sources), shape (y, x)."""
    if exposure == 0:
        return np.zeros(image.shape)
    excess = np.maximum(image - template.shape * template.counts, 0.0)
    return np.where(mask, excess, 0.0) / exposure


def mask_radius(sources: pd.DataFrame, size_arcsec: float) -> Floats:
    """Radius in arcsec of the disc that masks each source (method.md, Source mask).

    Parameters
    ----------
    sources : DataFrame
        Columns extent_arcsec and rate.
    size_arcsec : float
        Width of a cell.
    """
    rate, extent = sources["rate"].to_numpy(float), sources["extent_arcsec"].to_numpy(float)
    point = np.select([rate > 1, rate > 0.1], [80.0, 40.0], size_arcsec)
    return np.where(extent > 0, extent, point)


def source_discs(box: Box, grid: Grid, x: Floats, y: Floats, radius_cells: Floats) -> Mask:
    """Rasterise discs around sources in cell coordinates (method.md, Source mask).

    Parameters
    ----------
    box, grid : Box, Grid
        The cropped image.
    x, y : ndarray, shape (n_sources,)
        Centres in sky pixels; NaN and positions outside the image are ignored.
    radius_cells : ndarray, shape (n_sources,)
        Radii in cells.

    Returns
    -------
    ndarray of bool, shape (y, x)
        Cells with an index closer to the centre than the radius; the outermost ring of the image
        is never masked.

    Notes
    -----
    The centre is counted from the first image pixel of 4 arcsec, as in the published pipeline,
    where position and cell index differ by that pixel; the discs lie 0.2 of a cell from where
    edges put them and 0.3 of a cell from where centres would.
    """
    mask = np.zeros(box.shape, bool)
    offset = OFFSET_ARCSEC / grid.pixel_arcsec
    column = (x - offset) / grid.width - box.x_lo
    row = (y - offset) / grid.width - box.y_lo
    for cx, cy, radius in zip(column, row, radius_cells, strict=True):
        if not np.isfinite([cx, cy, radius]).all():
            continue
        j0, j1 = (int(np.clip(v, 0, box.shape[0])) for v in (cy - radius, cy + radius + 2))
        i0, i1 = (int(np.clip(v, 0, box.shape[1])) for v in (cx - radius, cx + radius + 2))
        rows, columns = np.ogrid[j0:j1, i0:i1]
        mask[j0:j1, i0:i1] |= (columns - cx) ** 2 + (rows - cy) ** 2 < radius**2
    mask[:1] = mask[-1:] = False
    mask[:, :1] = mask[:, -1:] = False
    return mask
