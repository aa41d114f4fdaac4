"""Depth: event lists of each observation -> what is known of every place of it, for limits.

Event lists are read again from where they were searched. Observations are read in batches, each a
task that writes a part of two tables; what did not change is kept as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import numpy as np
import pandas as pd
from scipy.ndimage import binary_dilation

from exod.archive import Archive, LedgerEntry, open_archive
from exod.archive.increments import Changes, NewVersion, deriving, write_part
from exod.archive.questions.depthindex import ORDER, PRODUCT
from exod.archive.questions.depthrows import Row, depth_row
from exod.config import Config
from exod.counts.grid import Box, Grid
from exod.counts.template import bright_cells, mask_radius, source_discs
from exod.errors import ConfigError, ExodError, ExposureRejected
from exod.observation.events import SelectedEvents
from exod.pps import ObservationFiles, local_copies
from exod.scheduler.plan import Plan
from exod.schemas import DERIVED
from exod.schemas.arrays import Floats, Indices, Integers, Mask
from exod.schemas.depth import COVERED, DEPTH
from exod.sensitivity.depth.burstneeds import RUN_NUMBERS, run_numbers
from exod.sensitivity.depth.depthmaps import ExposureDepth, exposure_depth
from exod.sensitivity.depth.placelimits import combined, place_sums
from exod.sensitivity.depth.surveydepth import CHILDREN
from exod.sky.healpix import pixel_centres, sky_pixels
from exod.stages.derive.batched import (
    BatchDone,
    BatchedMade,
    Obsids,
    collect,
    divided,
    part_name,
    published,
    run_batches,
)
from exod.stages.derive.fluxes import conversions
from exod.stages.detect.read import read_sources
from exod.stages.images.exposures import read_exposure
from exod.stages.places.recorded import recorded_files

BATCH_OBSERVATIONS: Final = 100
BATCH_CELLS: Final = 10**9
"""Observations of a batch, and so of a file, at most; how many cells they have does not matter."""

MOST_BANDS: Final = 8

_VERSION: Final = 6


class DepthMade(BatchedMade):
    """What became of the depth of an archive."""

    @property
    def n_exposures(self) -> int:
        """Exposures in the version that is current."""
        return cast("int", self.derived.summary["exposures"])


def make_depth(
    archive: Archive | str,
    plan: Plan | None = None,
    *,
    photons: bool = True,
    options: Mapping[str, Any] | None = None,
    on_total: Callable[[int], None] = lambda _n: None,
    on_batch: Callable[[BatchDone], None] = lambda _done: None,
) -> DepthMade:
    """Bring the product ``depth`` of an archive up to date.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    plan : Plan, optional
        Where and how; by default all cores of this machine.
    photons : bool
        Whether to keep the photons, without which there are limits of whole observations only.
    options : dict, optional
        Of the fsspec file systems of URLs of event lists.
    on_total : callable
        Is told how many observations are to be read.
    on_batch : callable
        Is told of each batch that ended.

    Returns
    -------
    DepthMade
        Observations whose event lists cannot be read are left out, and tried again the next time.

    Raises
    ------
    ArchiveError
        If the archive cannot be opened, the earlier version is damaged, or nothing can be written.
    ConfigError
        If the archive has more bands than there can be limits of.
    """
    plan = plan or Plan()
    archive = open_archive(archive)
    entries, bands = archive.entries(), archive.config.cube.bands
    if len(bands) > MOST_BANDS:
        raise ConfigError(f"Limits are of {MOST_BANDS} energy bands at most, not {len(bands)}.")
    parameters = {
        "version": _VERSION,
        "photons": photons,
        "bands": [list(band) for band in bands],
        "size_arcsec": archive.config.cube.size_arcsec,
    }
    changes = Changes.since(archive.derived(PRODUCT), entries, parameters)
    on_total(len(changes.todo))
    if changes.earlier and changes.are_none:
        return DepthMade(changes.earlier, 0, len(entries))
    with deriving(archive.store, PRODUCT, DERIVED[PRODUCT]) as new:
        new.parameters, new.attempts = parameters, changes.attempts
        new.files = [file for table in DERIVED[PRODUCT] for file in changes.kept(table.name)]
        n_kept = len(new.attempts)
        found = _run(archive, changes.todo, new, options, plan, photons=photons)
        failures = collect(new, found, on_batch)
        rows = sum(file.rows for file in new.files if file.table == DEPTH.name)
        new.summary = {"exposures": rows, "observations": len(new.attempts)}
    n_read = len(new.attempts) - n_kept
    waiting = len(changes.todo) - n_read - len(failures)
    return DepthMade(published(archive, PRODUCT), n_read, n_kept, waiting, failures)


def _run(
    archive: Archive,
    todo: Sequence[LedgerEntry],
    new: NewVersion,
    options: Mapping[str, Any] | None,
    plan: Plan,
    *,
    photons: bool,
) -> Iterator[BatchDone]:
    """Read the observations in batches, each a task; those that were not searched take none."""
    empty = {entry.obsid: entry.attempt for entry in todo if not entry.rows("exposures")}
    if empty:
        yield BatchDone((), empty, {})
    some = (entry for entry in todo if entry.obsid not in empty)
    wanted = divided(some, "exposures", BATCH_CELLS, BATCH_OBSERVATIONS)
    task = partial(_derive, archive=archive, folder=new.folder, options=options, photons=photons)
    yield from run_batches(task, wanted, plan, PRODUCT)


def _derive(
    batch: Obsids,
    archive: Archive,
    folder: str,
    options: Mapping[str, Any] | None,
    photons: bool,  # noqa: FBT001
) -> BatchDone:
    """Read the observations of a batch and write their part of the tables."""
    attempts: dict[str, str] = {}
    failures: dict[str, str] = {}
    rows: list[Row] = []
    places: list[pd.DataFrame] = []
    for obsid in batch:
        entry = archive.entry(obsid)
        try:
            files = recorded_files(archive, obsid, options)
            depths = observation_depths(files, archive.config, photons=photons)
        except ExodError as error:
            failures[obsid] = str(error)
            continue
        attempts[obsid] = entry.attempt if entry else ""
        if depths:
            places.append(covered_rows(depths).assign(row_group=len(places)))
        rows += [depth_row(depth, _runs(archive, obsid)) for depth in depths]
    if not rows:
        return BatchDone((), attempts, failures)
    part = part_name(batch)
    write = partial(write_part, archive.store, folder)
    file = write(DEPTH, pd.DataFrame(rows), part, groups="obsid")
    index = write(COVERED, pd.concat(places, ignore_index=True), part)
    return BatchDone((file, index), attempts, failures)


def _runs(archive: Archive, obsid: str) -> Floats:
    """Numbers of the runs of an observation."""
    rows = archive.observation(obsid, "runs")["runs"]
    return run_numbers({name: rows[name].to_numpy() for name in RUN_NUMBERS})


def observation_depths(
    files: ObservationFiles, config: Config, *, photons: bool = True
) -> list[ExposureDepth]:
    """What is known of each exposure of an observation, in order of camera and exposure.

    Parameters
    ----------
    files : ObservationFiles
        The observation.
    config : Config
        Settings.
    photons : bool
        Whether to keep the photons.

    Returns
    -------
    list of ExposureDepth
        Of the exposures that can be searched and whose chips are known, each once.

    Raises
    ------
    InputError
        If an event list is damaged.
    """
    found: dict[tuple[str, str], ExposureDepth] = {}
    with local_copies(files) as here:
        sources, _, _ = read_sources(here, config)
        for path in here.event_lists:
            try:
                read = read_exposure(path, config)
            except (ExposureRejected, ConfigError):
                continue
            exposure, events = read.selected.exposure, read.selected.events
            key = exposure.instrument, exposure.expid
            if exposure.obsid != files.obsid or key in found or not read.live:
                continue
            grid = Grid.of_size(
                config.cube.size_arcsec, exposure.sky_extent, exposure.plane.pixel_arcsec
            )
            found[key] = exposure_depth(
                exposure,
                events,
                read.seen,
                read.live,
                _sources(read.selected, sources, grid),
                grid=grid,
                bands=config.cube.bands,
                factor=_factors(exposure.instrument, exposure.filter, config),
                with_photons=photons,
            )
    return [found[key] for key in sorted(found)]


def _sources(selected: SelectedEvents, sources: pd.DataFrame, grid: Grid) -> Mask:
    """Cells of known and bright sources, as a search masks them, in the whole grid."""
    events, plane = selected.events, selected.exposure.plane
    flat = grid.flat_index(events.x, events.y)
    flat = flat[flat >= 0]
    box = Box.around(flat, grid.n)
    image = np.bincount(flat, minlength=grid.n**2).reshape(grid.n, grid.n)[box.slices]
    known = np.zeros(box.shape, bool)
    if len(sources):
        x, y = plane.to_pixel(sources["ra_deg"].to_numpy(), sources["dec_deg"].to_numpy())
        size = grid.size_arcsec
        known = source_discs(box, grid, x, y, mask_radius(sources, size) / size)
    mask = np.zeros((grid.n, grid.n), bool)
    mask[box.slices] = known | bright_cells(image, known)
    return mask


def _factors(camera: str, filter_name: str, config: Config) -> Floats:
    """Counts for each erg/cm^2 without vignetting, shape (n_bands, 5); NaN if not known."""
    table = conversions()
    rows = []
    for band in config.cube.bands:
        if table.why_not(camera, filter_name, band):
            rows.append(np.full(5, np.nan))
            continue
        rows.append(table.counts(camera, filter_name, band, np.eye(5))[:, table.reference])
    return np.array(rows)


def covered_rows(depths: Sequence[ExposureDepth]) -> pd.DataFrame:
    """Rows of the table covered for the exposures of an observation, without ``row_group``."""
    pixel, first, bits, fine = pixels_of(depths)
    seconds, response, background = _depth_of_pixels(depths, fine, first)
    return pd.DataFrame(
        {
            "obsid": depths[0].obsid,
            "healpix": pixel,
            "children": bits,
            "seconds": seconds,
            "response": list(response),
            "background": list(background),
        }
    )


def pixels_of(
    depths: Sequence[ExposureDepth],
) -> tuple[Integers, Indices, Integers, Integers]:
    """Pixels of an observation, the first of their parts, bits of those seen, and all parts."""
    seen, around = (
        np.unique(np.concatenate([_fine_pixels(depth, margin) for depth in depths]))
        for margin in (0, 1)
    )
    fine = np.union1d(seen, around)
    pixel, first = np.unique(fine // CHILDREN, return_index=True)
    bits = np.bitwise_or.reduceat(np.isin(fine, seen).astype(np.int64) << (fine % CHILDREN), first)
    return pixel, first, bits, fine


def _fine_pixels(depth: ExposureDepth, margin: int) -> Integers:
    """Pixels two orders finer than `ORDER` in cells that saw, and in those so near."""
    step = (np.arange(2) + 0.5) / 2
    mask = np.pad(depth.area > 0, margin)
    if margin:
        mask = binary_dilation(mask, np.ones((3, 3), bool), margin)
    row, column = np.nonzero(mask)
    y = (row[:, None, None] + step[:, None] + depth.box.y_lo - margin) * depth.grid.width
    x = (column[:, None, None] + step + depth.box.x_lo - margin) * depth.grid.width
    y, x = (value.ravel() for value in np.broadcast_arrays(y, x))
    return np.unique(sky_pixels(*depth.plane.to_sky(x, y), ORDER + 2))


def _depth_of_pixels(
    depths: Sequence[ExposureDepth], fine: Integers, first: Indices
) -> tuple[Floats, Floats, Floats]:
    """Seconds, response and background rate of the deepest child of each pixel."""
    ra, dec = pixel_centres(fine, ORDER + 2)
    n_bands = len(depths[0].bands)
    n_children = np.diff(np.append(first, len(fine)))
    number = np.repeat(np.arange(len(first)), n_children)
    seconds = np.zeros(len(first))
    response, background = (np.zeros((len(first), n_bands)) for _ in range(2))
    for band in range(n_bands):
        sums = combined([place_sums(depths, band, ra, dec)])
        own = number[sums.place]
        weight = np.bincount(own, sums.longest, len(first))
        n = np.maximum(weight, 1e-300)
        response[:, band] = np.bincount(own, sums.response, len(first)) / n
        background[:, band] = np.bincount(own, sums.mu, len(first)) / n
        seconds = weight / np.maximum(np.bincount(own, minlength=len(first)), 1)
    return seconds, response.astype(np.float32), background.astype(np.float32)
