"""The reference for the search in fixed cells: every cell of every frame."""

from __future__ import annotations

import numpy as np

from exod.counts.bayes import Thresholds
from exod.counts.cube import CountCube
from exod.counts.template import Expectation
from exod.search.regions import SignificantCells


def significant_cells_dense(
    cube: CountCube, expectation: Expectation, thresholds: Thresholds
) -> SignificantCells:
    """The significant cells from the dense cube; slow."""
    n = cube.to_dask().compute().astype(np.int64).reshape(cube.frames.n, cube.box.size)
    mu = expectation.at(np.arange(cube.frames.n)[:, None], np.arange(cube.box.size)[None, :])
    found = []
    for test, is_peak in ((thresholds.is_peak, True), (thresholds.is_eclipse, False)):
        hit = test(n, mu) & ~cube.masked[:, None]
        found.append((*np.nonzero(hit), n[hit], mu[hit], np.full(hit.sum(), is_peak)))
    frame, cell, n, mu, is_peak = (np.concatenate(column) for column in zip(*found, strict=True))
    start = cube.frames.t_lo + cube.frames.t_bin * frame
    return SignificantCells.of(cube, frame, cell, n, mu, is_peak, start)
