"""Expected counts of cells, from the background and the constant sources (method.md, Expectation).

The expectation is the sum of two outer products, ``mu(t, y, x) = T(y, x) L(t) + S(y, x) e(t)``, so
any cell costs O(1) and the cube of mu is never stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import pandas as pd
from astropy.convolution import Gaussian2DKernel, convolve
from numpy.typing import NDArray

from exod.counts.cube import CellByCell, CountCube
from exod.counts.grid import Box, Cells, Grid, sum_over
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
        Counts of the constant sources in an unmasked frame.
    source_mask : ndarray of bool, shape (y, x)
        Cells of known sources and bright cells.
    level : ndarray of float64, shape (n_frames,)
        Counts of each frame outside the source mask.
    exposure : ndarray of float64, shape (n_frames,)
        Relative exposure of each frame; 0 for masked frames and for frames without any counts,
        which have no expectation.
    is_bad : ndarray of bool, shape (n_frames,)
        Frames in bad time intervals.
    """

    good: Template
    bad: Template
    source: Image
    source_mask: Mask
    level: Floats
    exposure: Floats
    is_bad: Mask

    def _halves(self, which: Mask | None = None) -> tuple[tuple[Image, Image, Mask], ...]:
        """Background shape, constant sources and frames in good and in bad time."""
        use = np.ones(len(self.level), bool) if which is None else which
        return tuple(
            (template.shape, np.where(template.shape > 0, self.source, 0.0), use & frames)
            for template, frames in ((self.good, ~self.is_bad), (self.bad, self.is_bad))
        )

    def at(self, frame: NDArray[np.integer], cell: NDArray[np.integer]) -> Floats:
        """As `CellByCell.at`."""
        template = np.where(
            self.is_bad[frame], self.bad.shape.ravel()[cell], self.good.shape.ravel()[cell]
        )
        source = np.where(template > 0, self.source.ravel()[cell], 0.0)
        return np.asarray(template * self.level[frame] + source * self.exposure[frame])

    def light_curve(self, cells: Cells) -> Floats:
        """Expected counts summed over cells of the cropped image, shape (n_frames,)."""
        total = np.zeros(len(self.level))
        for background, source, frames in self._halves():
            total[frames] = (
                sum_over(background, cells) * self.level[frames]
                + sum_over(source, cells) * self.exposure[frames]
            )
        return total

    def image(self, which: Mask | None = None) -> Image:
        """Expected counts summed over the frames where `which` (all by default), shape (y, x)."""
        return self.background_image(which) + sum(
            source * self.exposure[frames].sum() for _, source, frames in self._halves(which)
        )

    def background_image(self, which: Mask | None = None) -> Image:
        """The part of `image` that is not constant sources."""
        parts = [
            background * self.level[frames].sum() for background, _, frames in self._halves(which)
        ]
        return np.sum(parts, axis=0)

    def largest(self) -> Image:
        """An upper limit of what any frame is expected to have in each cell, shape (y, x)."""
        return np.maximum.reduce(
            [
                background * self.level[frames].max(initial=0)
                + source * self.exposure[frames].max(initial=0)
                for background, source, frames in self._halves()
            ]
        )


def expect(cube: CountCube, is_bad: Mask, known_sources: Mask) -> Expectation:
    """Work out the expectation of a cube.

    Parameters
    ----------
    cube : CountCube
        Counts.
    is_bad : ndarray of bool, shape (n_frames,)
        Frames in bad time intervals.
    known_sources : ndarray of bool, shape (y, x)
        Mask of the known sources, from `source_discs`.
    """
    good_frames, bad_frames = ~is_bad & ~cube.masked, is_bad & ~cube.masked
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


def bright_cells(image: NDArray[np.integer], known_sources: Mask) -> Mask:
    """Cells with more than three times the 75th percentile of the rest (method.md, Source mask)."""
    outside = image[~known_sources]
    if not outside.any():
        return np.zeros(image.shape, bool)
    level = np.percentile(outside, BRIGHT_PERCENTILE)
    if not level:
        # Most cells are empty, and all others would be bright: nothing would be searched.
        level = np.percentile(outside[outside > 0], BRIGHT_PERCENTILE)
    return np.asarray(image > BRIGHT_FACTOR * level)


def background_template(image: NDArray[np.integer], mask: Mask) -> Template:
    """Background under and around the sources (method.md, Background template).

    The image is inpainted under the mask, scaled to one count outside it, blurred and cut to the
    cells that have counts.
    """
    return template_steps(image, mask).template


def template_steps(image: NDArray[np.integer], mask: Mask) -> TemplateSteps:
    """As `background_template`, with the images on the way."""
    counts = float(image[~mask].sum())
    if counts == 0:
        nothing = np.zeros(image.shape)
        return TemplateSteps(nothing, nothing, Template(nothing, 0.0))
    filled = inpaint(image, mask) / np.float32(counts)
    blurred = convolve(filled, Gaussian2DKernel(BLUR_SIGMA_CELLS))
    shape = np.where(image > 0, blurred, 0.0).astype(np.float64)
    return TemplateSteps(filled, blurred, Template(shape, counts))


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
