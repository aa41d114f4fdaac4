"""Results of the search as rows of the tables that `exod.schemas` declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.config import Config
from exod.counts.bayes import Kind, sigma_equivalent
from exod.counts.partial import live_weights
from exod.observation.events import Exposure
from exod.observation.gti import Frames, is_hard
from exod.observation.subsets import MergedEvents
from exod.schemas import TABLES
from exod.schemas.arrays import Floats
from exod.search.bursts import Event
from exod.search.coverage import Coverage
from exod.search.runs import Run, VariableRegion
from exod.sensitivity.cellalarms import AlarmsByStrength
from exod.sky.plane import TangentPlane

RATE_BIN = 100.0
"""Bins of the overview light curves, seconds."""

LEAST_LIVE = 0.05
"""Bins with less live time say nothing of the rate; those that have photons count as having it."""

_ROUNDED = 1e-6
"""What may be missing of a bin that is live throughout, for rounding."""


class RowBlock(NamedTuple):
    """Rows of a table before they become a frame: an observation has hundreds of such parts.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    columns : dict of str to object
        Each an array of shape (n_rows,), or one value that all rows have; in all parts the same.
    """

    n_rows: int
    columns: dict[str, Any]


Rows = dict[str, list[RowBlock]]


class Tables(dict[str, pd.DataFrame]):
    """Tables by name, also as attributes: ``tables.regions`` is ``tables["regions"]``.

    Attributes
    ----------
    coverage : Coverage
        How much was searched of what there was.
    """

    coverage: Coverage = Coverage()

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name in self:
            return self[name]
        raise AttributeError(f"there is no table {name!r}; there are {', '.join(self)}")


def tables_from(parts: Mapping[str, list[pd.DataFrame]]) -> Tables:
    """Every declared table, from parts that may be missing or empty."""
    return Tables({name: _joined(name, parts.get(name, [])) for name in TABLES})


def _joined(name: str, parts: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    if not filled:
        return _empty(name).copy()
    return TABLES[name].frame(pd.concat(filled, ignore_index=True) if filled[1:] else filled[0])


@cache
def _empty(name: str) -> pd.DataFrame:
    """A table without rows; most observations have several."""
    return TABLES[name].frame()


def frame_of(parts: Sequence[RowBlock]) -> pd.DataFrame:
    """One frame of parts that have the same columns; without columns if they have no rows.

    Examples
    --------
    >>> parts = [RowBlock(2, {"n": np.array([3, 1]), "runid": "a"})]
    >>> parts.append(RowBlock(1, {"n": np.array([4]), "runid": "b"}))
    >>> frame_of(parts).to_dict("list")
    {'n': [3, 1, 4], 'runid': ['a', 'a', 'b']}
    """
    filled = [part for part in parts if part.n_rows]
    if not filled:
        return pd.DataFrame()
    n_rows = [part.n_rows for part in filled]
    columns: dict[str, Any] = {}
    for name, first in filled[0].columns.items():
        values = [part.columns[name] for part in filled]
        if isinstance(first, np.ndarray):
            columns[name] = np.concatenate(values)
        else:
            columns[name] = pd.Series(values).array.repeat(n_rows)
    return pd.DataFrame(columns, copy=False)


def run_rows(obsid: str, subset: MergedEvents, run: Run, config: Config, notes: str = "") -> Rows:
    """Rows of one run for the tables runs, bti, cells, regions, lightcurves and those of images.

    Parameters
    ----------
    obsid : str
        Observation identifier.
    subset : MergedEvents
        The events that were searched.
    run : Run
        The run.
    config : Config
        Settings.
    notes : str
        What was unusual.

    Returns
    -------
    dict of str to list of RowBlock
        For `frame_of`.
    """
    key = {
        "runid": run.runid,
        "obsid": obsid,
        "subset": subset.number,
        "t_bin": run.t_bin,
        "e_lo": run.band[0],
        "e_hi": run.band[1],
    }
    bad = run.bad_time.intervals
    return {
        "runs": [RowBlock(1, _run(key, subset, run, config, notes))],
        "bti": [_named(obsid, run, len(bad), START=bad[:, 0], STOP=bad[:, 1])],
        "cells": [_cells(obsid, run)],
        "regions": [RowBlock(1, _region(key, subset.plane, run, item)) for item in run.regions],
        "lightcurves": list(_light_curves(obsid, run)),
        "images": [_images(obsid, run)],
        "variability": _variability(obsid, run),
    }


def _named(obsid: str, run: Run, n_rows: int, /, **columns: Any) -> RowBlock:
    return RowBlock(n_rows, {**columns, "runid": run.runid, "obsid": obsid})


def _image(values: NDArray[np.generic]) -> NDArray[np.object_]:
    """An image as the value of a single row."""
    row = np.empty(1, object)
    row[0] = values.ravel()
    return row


def _run(
    key: dict[str, Any], subset: MergedEvents, run: Run, config: Config, notes: str
) -> dict[str, Any]:
    cube, box = run.cube, run.cube.box
    sentences = [notes, *run_notes(subset, run)]
    notes = " ".join(sentence for sentence in sentences if sentence)
    return {
        **key,
        "sigma": run.threshold.sigma,
        "rule": config.detect.rule if config.detect.method == "search" else config.detect.method,
        "p_log": run.threshold.p_log,
        "window": config.cube.window,
        "frame_shifts": config.cube.frame_shifts,
        "false_peaks": run.false_alarms.peaks,
        "false_eclipses": run.false_alarms.eclipses,
        "n50": run.needed.medians[0],
        "n90": run.needed.medians[1],
        "size_arcsec": cube.grid.size_arcsec,
        "t_lo": subset.t_lo,
        "t_hi": subset.t_hi,
        "n_exposures": len(subset.exposures),
        "n_frames": cube.frames.n,
        **vars(box),
        "n_events": run.n_events,
        "n_sum": float(cube.n_sum),
        "mu_sum": float(run.expected.sum()),
        "n_mask_pixels": int(run.expectation.source_mask.sum()),
        "n_bti": int(run.bad_time.frames.sum()),
        "n_gti": int((~run.bad_time.frames).sum()),
        "n_bccd": int(run.camera_off.sum()),
        "n_peak_cells": int(run.cells.is_peak.sum()),
        "n_eclipse_cells": int((~run.cells.is_peak).sum()),
        "n_regions": len(run.regions),
        "seconds": run.seconds,
        "notes": notes,
    }


def run_notes(subset: MergedEvents, run: Run) -> Iterator[str]:
    """What was unusual in a run, and why it searched nothing if it did not; sentences."""
    cube = run.cube
    if not cube.frames.n:
        yield "The exposures overlap for less than one time bin."
    elif cube.masked.all():
        yield "All frames are masked: in each a camera was off, or it is bad time and left out."
    elif not run.n_events:
        yield "There are no events in the band."
    elif not run.is_searched and run.variability is not None:
        yield "There is one frame that is not masked, which nothing can be compared with."
    elif not run.is_searched:
        yield "No cell has an expectation: there are no counts outside the known sources."
    if not subset.n_monitors:
        yield "Bad time cannot be found: there are no events between 10 and 12 keV."


def _cells(obsid: str, run: Run) -> RowBlock:
    cells, cube = run.cells, run.cube
    label = np.zeros(len(cells), np.int32)
    for item in run.regions:
        label[item.region.members] = item.region.label
    y, x = cells.y + cube.box.y_lo, cells.x + cube.box.x_lo
    return _named(
        obsid,
        run,
        len(cells),
        kind=np.where(cells.is_peak, "peak", "eclipse"),
        frame=cells.frame,
        y=y,
        x=x,
        TIME_lo=cells.start,
        Y_lo=cube.grid.edges[y],
        X_lo=cube.grid.edges[x],
        n=cells.n,
        mu=cells.mu,
        B_log=cells.b_log,
        p_log=cells.p_log,
        label=label,
    )


def _region(
    key: dict[str, Any], plane: TangentPlane, run: Run, item: VariableRegion
) -> dict[str, Any]:
    region, cube, curve = item.region, run.cube, item.light_curve
    box = region.box.shifted(cube.box.y_lo, cube.box.x_lo)
    x_weighted, y_weighted = region.x_weighted + cube.box.x_lo, region.y_weighted + cube.box.y_lo
    if item.position is not None:
        method, x, y = "psf", item.position.x, item.position.y
        error = item.position.error_arcsec
    else:
        # The index of a cell is its centre; the source is anywhere in the region.
        method = "centroid"
        x, y = ((value + 0.5) * cube.grid.width for value in (x_weighted, y_weighted))
        error = region.equivalent_diameter / 2 * cube.grid.size_arcsec
    ra, dec = plane.to_sky(x, y)
    is_peak = run.cells.is_peak[region.members]
    strongest = {
        kind: _largest(b_log)
        for kind, b_log in (("peak", curve.B_peak_log), ("eclipse", curve.B_eclipse_log))
    }
    return {
        "detid": f"{run.runid}_{region.label}",
        **key,
        "label": region.label,
        "ra_deg": float(ra),
        "dec_deg": float(dec),
        "pos_err_arcsec": error,
        "X": x,
        "Y": y,
        "pos_method": method,
        **vars(box),
        "y_centroid": region.y_centroid + cube.box.y_lo,
        "x_centroid": region.x_centroid + cube.box.x_lo,
        "y_weighted": y_weighted,
        "x_weighted": x_weighted,
        "intensity_mean": region.intensity_mean,
        "equivalent_diameter": region.equivalent_diameter,
        "area_bbox": box.size,
        "n_peak_cells": int(is_peak.sum()),
        "n_eclipse_cells": int((~is_peak).sum()),
        "max_B_peak_log": strongest["peak"],
        "max_B_eclipse_log": strongest["eclipse"],
        "sigma_peak": float(sigma_equivalent(strongest["peak"], "peak")),
        "sigma_eclipse": float(sigma_equivalent(strongest["eclipse"], "eclipse")),
        "strength": item.strength,
        "fap_run": float(-np.expm1(-run.alarms.at(item.strength))),
        "fap_obs": np.nan,
        **_event(item.event, "peak" if is_peak.any() else "eclipse"),
    }


def _event(event: Event | None, kind: Kind) -> dict[str, Any]:
    """Columns of an event."""
    values = vars(event) if event else dict.fromkeys((f.name for f in fields(Event)), np.nan)
    renamed = {"start": "t_start", "start_err": "t_start_err", "stop": "t_stop"}
    renamed |= {"stop_err": "t_stop_err", "n": "event_n", "mu": "event_mu"}
    return {renamed.get(name, name): value for name, value in values.items()} | {"kind": kind}


def with_observation_alarms(
    regions: pd.DataFrame, alarms: Sequence[AlarmsByStrength], *, equal_shares: bool
) -> pd.DataFrame:
    """Rows of regions with their false-alarm probability in the whole observation.

    Parameters
    ----------
    regions : DataFrame
        Rows for the table regions.
    alarms : sequence of AlarmsByStrength
        Of all runs of the observation.
    equal_shares : bool
        Whether each run may have an equal share of the false alarms: then a region is as strong as
        one of another run when its run expects as few of them. Otherwise strengths compare.
    """
    if not len(regions):
        return regions
    if equal_shares:
        number = len(alarms) * -np.log1p(-np.minimum(regions["fap_run"], 1 - 1e-15))
    else:
        number = np.array([sum(curve.at(s) for curve in alarms) for s in regions["strength"]])
    return regions.assign(fap_obs=-np.expm1(-number))


def _largest(values: Floats) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else np.nan


def _light_curves(obsid: str, run: Run) -> Iterator[RowBlock]:
    for item in run.regions:
        label, curve = item.region.label, item.light_curve
        detid = f"{run.runid}_{label}"
        yield _named(obsid, run, len(curve.time), detid=detid, label=label, **vars(curve))


def _images(obsid: str, run: Run) -> RowBlock:
    images = {
        "n": run.cube.image().astype(np.int32),
        "mu": run.expected.astype(np.float32),
        "source_mask": run.expectation.source_mask,
        "n50": run.needed.images[0],
        "n90": run.needed.images[1],
    }
    return _named(obsid, run, 1, **{name: _image(image) for name, image in images.items()})


def _variability(obsid: str, run: Run) -> list[RowBlock]:
    if run.variability is None:
        return []
    return [_named(obsid, run, 1, variability=_image(run.variability.astype(np.float32)))]


def rate_rows(obsid: str, subset: MergedEvents, *, with_live: bool = True) -> pd.DataFrame:
    """Rows of the table rates: the light curve of each exposure of a subset.

    With `with_live` the width of a bin is its live time, and bins in which nothing was live are
    left out.
    """
    # Exposures that overlap in a chain only have no time in common.
    n_bins = max(int((subset.t_hi - subset.t_lo) // RATE_BIN) + 1, 0)
    frames = Frames(subset.t_lo, RATE_BIN, n_bins)
    index = frames.index(subset.time)
    inside = (index >= 0) & (index < frames.n)
    hard = is_hard(subset.pi)
    width = np.minimum(RATE_BIN, subset.t_hi - frames.starts)
    parts = []
    for number, exposure in enumerate(subset.exposures):
        own = np.flatnonzero((subset.source == number) & inside)
        bins = index[own]
        counts = [np.bincount(part, minlength=frames.n) for part in (bins, bins[hard[own]])]
        share = np.ones(frames.n)
        if with_live:
            share = _live_share(exposure, subset.ccdnr[own], bins, frames.starts, width)
        keep = (width > 0) & ((share >= LEAST_LIVE) | (counts[0] > 0))
        live = width * np.maximum(share, LEAST_LIVE)
        columns = {"time": frames.starts, "width": live, "n": counts[0], "n_hard": counts[1]}
        parts.append(
            pd.DataFrame(
                {name: values[keep] for name, values in columns.items()}
                | {
                    "obsid": obsid,
                    "subset": subset.number,
                    "instrument": exposure.instrument,
                    "expid": exposure.expid,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _live_share(
    exposure: Exposure,
    ccdnr: NDArray[np.uint8],
    index: NDArray[np.integer],
    start: Floats,
    width: Floats,
) -> Floats:
    """Live share of bins: that of each CCD, as many photons as it usually has of all."""
    counts = np.bincount(ccdnr, minlength=256)
    chips = [number for number in sorted(exposure.live.curves) if counts[number]]
    if not chips:
        return np.ones(len(start))
    curves = (exposure.live.curves[number] for number in chips)
    seconds = np.stack([curve.at(start + width) - curve.at(start) for curve in curves])
    live = np.divide(seconds, width, out=np.ones_like(seconds), where=width > 0)
    is_chip = np.isin(np.arange(256), chips)
    level = np.bincount(index[is_chip[ccdnr]], minlength=len(start)).astype(float)
    share = live_weights(counts[chips].astype(float), level, live) @ live
    return np.where(share > 1 - _ROUNDED, 1.0, share)
