"""Light curves at a place: read the observations that cover it, count them, sum the cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from exod.config import Band, Config
from exod.counts.grid import Box, Cells
from exod.errors import InputError
from exod.instruments import searched_band
from exod.observation.observations import Observation
from exod.observation.subsets import MergedEvents
from exod.observation.times import mjd_of, utc_date
from exod.pps import ObservationFiles, local_copies
from exod.schemas.places import PLACE_CURVES
from exod.search.lightcurves import LightCurve
from exod.search.nulls.null import CountedRun
from exod.search.places import cells_near, cells_within, light_curve_at
from exod.search.subset import count_subset, run_id
from exod.stages.detect.read import read_observation
from exod.stages.images.onerun import check_overlap


class NoFramesError(InputError):
    """A sound observation saw the place, but has no frame there in the time that is asked for."""


@dataclass(frozen=True)
class SkyPlace:
    """A place on the sky, and when.

    Attributes
    ----------
    ra_deg, dec_deg : float
        Position in degrees.
    radius_arcsec : float, optional
        Cells whose centres are so near are summed; without it the cell of the position, or the box
        of a region that is there.
    between : (float, float), optional
        Frames that begin in this half-open range of mission elapsed seconds; all without it.
    """

    ra_deg: float
    dec_deg: float
    radius_arcsec: float | None = None
    between: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        """The position as users write it."""
        return f"{self.ra_deg:.5f},{self.dec_deg:.5f}"


@dataclass(frozen=True)
class PlaceCurve:
    """The light curve of a place in one run.

    Attributes
    ----------
    runid, obsid : str
        The run and its observation.
    subset : int
        Group of exposures.
    t_bin : float
        Length of a frame in seconds.
    band : (float, float)
        Energies in keV.
    sigma : float
        What counts as significant.
    t_lo : float
        Start of the first frame of the run, mission elapsed seconds.
    taken : str
        What was summed: ``cell``, ``radius R arcsec`` or ``region DETID``.
    n_cells : int
        Cells that are in the image.
    curve : LightCurve
        The frames.
    note : str
        Why most frames count nothing, if that is so; a sentence.
    """

    runid: str
    obsid: str
    subset: int
    t_bin: float
    band: Band
    sigma: float
    t_lo: float
    taken: str
    n_cells: int
    curve: LightCurve
    note: str = ""

    @property
    def run(self) -> dict[str, Any]:
        """What tables and pictures say of the run."""
        names = ("runid", "obsid", "subset", "t_bin", "sigma", "t_lo")
        row = {name: getattr(self, name) for name in names}
        return row | {"e_lo": self.band[0], "e_hi": self.band[1]}

    @property
    def rows(self) -> pd.DataFrame:
        """Rows of the table `exod.schemas.places.PLACE_CURVES`."""
        key = {name: value for name, value in self.run.items() if name not in ("sigma", "t_lo")}
        about = key | {"taken": self.taken, "n_cells": self.n_cells}
        frames = pd.DataFrame(vars(self.curve))
        return PLACE_CURVES.frame(frames.assign(**about, time_mjd=mjd_of(self.curve.time)))


def with_runs(
    config: Config, t_bin: Sequence[float] | None, bands: Sequence[Band] | None
) -> Config:
    """The settings with other time bins and bands, where they are given.

    Raises
    ------
    ConfigError
        If they are impossible.
    """
    settings = config.model_dump(mode="json")
    settings["cube"] |= {"t_bin": list(t_bin)} if t_bin else {}
    settings["cube"] |= {"bands": [list(band) for band in bands]} if bands else {}
    return Config.parse(settings)


def observation_curves(
    files: ObservationFiles,
    config: Config,
    place: SkyPlace,
    regions: pd.DataFrame | None = None,
    subset: int | None = None,
) -> list[PlaceCurve]:
    """The light curves of a place in one observation, in the order of subsets, bins and bands.

    Parameters
    ----------
    files : ObservationFiles
        The observation.
    config : Config
        Settings, with the time bins and bands that are wanted.
    place : SkyPlace
        Where and when.
    regions : DataFrame, optional
        Regions at the place, the strongest first. Without a radius the box of one of the run, or
        else of the strongest, is summed.
    subset : int, optional
        Only this group of exposures.

    Returns
    -------
    list of PlaceCurve
        Empty if no subset has a photon at the place.

    Raises
    ------
    NoFramesError
        If it saw the place, but there is no frame to show.
    InputError
        If an event list is damaged, or there is no subset.
    """
    with local_copies(files) as here:
        observation = read_observation(here, config)
    if not observation.subsets:
        raise InputError(f"Observation {files.obsid} cannot be searched: {observation.why_not}")
    found: list[PlaceCurve] = []
    reached = False
    for events in observation.subsets:
        if subset is not None and events.number != subset:
            continue
        x, y = (float(value) for value in events.plane.to_pixel(place.ra_deg, place.dec_deg))
        if not _is_seen(events, x, y, config, place.radius_arcsec):
            continue
        reached = True
        curves = []
        for run in count_subset(events, observation.sources, config):
            cells, taken = _cells(run, events, (x, y), place, regions)
            curve = _during(light_curve_at(run, cells), place.between)
            curves.append(_described(files.obsid, events, run, config, cells, taken, curve))
        found += sorted(curves, key=lambda item: _order(item, config))
    shown = [item for item in found if len(item.curve.time)]
    if reached and not shown:
        check_overlap(files.obsid, observation.subsets, config)
        if place.between is not None:
            raise NoFramesError(_no_frames(observation, place.between))
    return shown


def curve_rows(curves: Sequence[PlaceCurve]) -> pd.DataFrame:
    """Rows of the table `exod.schemas.places.PLACE_CURVES` of several curves."""
    if not curves:
        return PLACE_CURVES.frame()
    return PLACE_CURVES.frame(pd.concat([item.rows for item in curves], ignore_index=True))


def _order(item: PlaceCurve, config: Config) -> tuple[int, int]:
    bands = [searched_band(item.obsid, band) for band in config.cube.bands]
    return config.cube.t_bin.index(item.t_bin), bands.index(item.band)


def _is_seen(
    events: MergedEvents, x: float, y: float, config: Config, radius_arcsec: float | None
) -> bool:
    """Whether a photon of any energy fell on the place, its cell or one beside it."""
    cells = max(1.5 * config.cube.size_arcsec * events.cell_scale, radius_arcsec or 0.0)
    reach = cells / events.plane.pixel_arcsec
    return bool(np.any((np.abs(events.x - x) <= reach) & (np.abs(events.y - y) <= reach)))


def _cells(
    run: CountedRun,
    events: MergedEvents,
    pixel: tuple[float, float],
    place: SkyPlace,
    regions: pd.DataFrame | None,
) -> tuple[Cells, str]:
    """The cells to sum, and what they are."""
    cube, radius = run.cube, place.radius_arcsec
    if regions is not None and events.zone is not None:
        # Those of another ring are in other cells.
        regions = regions[regions["subset"] == events.number]
    if radius is None and regions is not None and len(regions):
        own = regions[
            (regions["t_bin"] == run.t_bin)
            & (regions["e_lo"] == run.band[0])
            & (regions["e_hi"] == run.band[1])
        ]
        region = (own if len(own) else regions).iloc[0]
        box = Box(*(int(region[name]) for name in ("y_lo", "y_hi", "x_lo", "x_hi")))
        return cells_within(box, cube.box), f"region {region['detid']}"
    cells = cells_near(cube.grid, cube.box, *pixel, radius)
    return cells, f"radius {radius:g} arcsec" if radius else "cell"


def _described(
    obsid: str,
    events: MergedEvents,
    run: CountedRun,
    config: Config,
    cells: Cells,
    taken: str,
    curve: LightCurve,
) -> PlaceCurve:
    return PlaceCurve(
        runid=run_id(obsid, events.number, run.t_bin, run.band),
        obsid=obsid,
        subset=events.number,
        t_bin=run.t_bin,
        band=run.band,
        sigma=config.detect.sigma,
        t_lo=run.cube.frames.t_lo,
        taken=taken,
        n_cells=cells.size if isinstance(cells, Box) else int(np.count_nonzero(cells)),
        curve=curve,
        note=_note(run_id(obsid, events.number, run.t_bin, run.band), events, run, config, curve),
    )


def _note(
    runid: str, events: MergedEvents, run: CountedRun, config: Config, curve: LightCurve
) -> str:
    """Why most frames are left out and count nothing; empty if most are not."""
    cube = config.cube
    off = curve.bccd & cube.mask_bad_ccd
    left_out = off | (curve.bti & cube.gti_only)
    if 2 * np.count_nonzero(left_out) <= len(left_out):
        return ""
    how_many = f"{np.count_nonzero(left_out):,} of {len(left_out):,} frames of {runid} are left out"
    if np.count_nonzero(off) <= np.count_nonzero(left_out & ~off):
        return (
            f"{how_many} and count nothing: they are in bad time, which cube.gti_only leaves out."
        )
    slowest = max((item.camera for item in events.exposures), key=lambda one: one.frame_time)
    short = (
        f"; a time bin of {run.t_bin:g} s is shorter than the {slowest.frame_time:g} s in which "
        f"{slowest.name} takes a full frame"
        if run.t_bin < slowest.frame_time
        else ""
    )
    return (
        f"{how_many} and count nothing: in each a camera or a CCD has no photon at all, as if it "
        f"were off{short}. Choose longer time bins, or give event lists and "
        f"--set cube.mask_bad_ccd=false."
    )


def _during(curve: LightCurve, between: tuple[float, float] | None) -> LightCurve:
    """The frames that begin in a range of time."""
    if between is None:
        return curve
    own = (curve.time >= between[0]) & (curve.time < between[1])
    return replace(curve, **{name: values[own] for name, values in vars(curve).items()})


def _no_frames(observation: Observation, between: tuple[float, float]) -> str:
    """Why a place that was seen has no light curve in a time."""
    start = min(events.t_lo for events in observation.subsets)
    stop = max(events.t_hi for events in observation.subsets)
    asked = " and ".join(f"{end:.12g}" for end in between)
    return (
        f"No frame of {observation.obsid} begins between {asked} s: it was observed from "
        f"{start:.12g} to {stop:.12g} s, {utc_date(start)} to {utc_date(stop)} UTC."
    )
