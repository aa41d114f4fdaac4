"""Light curves of a place that is asked for, from an archive or from event lists."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.archive.ledger.entry import MARKER
from exod.archive.store import Store
from exod.config import Band, Config
from exod.errors import ConfigError, InputError
from exod.observation.identifiers import obsids_of
from exod.pps import ObservationFiles, find_observations
from exod.schemas.arrays import number_of, numbers_of
from exod.sky.sphere import is_position
from exod.stages.images.onerun import with_one_run
from exod.stages.places.choosing import CoveringObservation, covering_observations, region_of
from exod.stages.places.curves import (
    NoFramesError,
    PlaceCurve,
    SkyPlace,
    curve_rows,
    observation_curves,
    with_runs,
)
from exod.stages.places.recorded import recorded_files

FARTHEST_ARCSEC: Final = 3600
"""Largest radius of a place; a field is half as wide."""

Found = tuple[str, list[PlaceCurve] | InputError]
"""An observation and its light curves, or why it has none though others may."""


def opened(path: str | Path, options: Mapping[str, Any] | None = None) -> Archive | None:
    """The archive at a path or URL; None if what is there is none."""
    try:
        is_archive = Store.at(path, options).exists(MARKER)
    except (OSError, ImportError):
        is_archive = False
    return Archive.open(path, options) if is_archive else None


def one_archive(
    paths: Sequence[str | Path], options: Mapping[str, Any] | None = None
) -> Archive | None:
    """The archive, if it is what is given; None if event lists are.

    Raises
    ------
    ConfigError
        If there is more than an archive.
    """
    # Event lists far away, of which there may be many, are not asked whether they are archives.
    near = [path for path in paths if len(paths) == 1 or "://" not in str(path)]
    for path in near:
        archive = opened(path, options)
        if archive is not None and len(paths) > 1:
            raise ConfigError(f"{path} is an archive: give one archive alone, or event lists.")
        if archive is not None:
            return archive
    return None


def light_curve_at(
    source: Archive | str | Path | Iterable[str | Path],
    ra_deg: float,
    dec_deg: float,
    *,
    t_bin: float | Sequence[float] | None = None,
    bands: Band | Sequence[Band] | None = None,
    radius_arcsec: float | None = None,
    between: tuple[float, float] | None = None,
    obsids: str | Sequence[str] = (),
    config: Config | None = None,
    options: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """The light curves of a place, whether something was found there or not.

    Parameters
    ----------
    source : Archive, path, URL or iterable of these
        An archive, whose event lists are read again from where they were, or the folder or the
        files of observations.
    ra_deg, dec_deg : float
        The place in degrees, ICRS.
    t_bin : float or sequence of float, optional
        Lengths of frames in seconds. By default that of the strongest region of an archive at the
        place; without one 50 s, or those of settings that differ from the presets.
    bands : (float, float) or sequence of them, optional
        Energies in keV, likewise; 0.2 to 12 without a region.
    radius_arcsec : float, optional
        Cells whose centres are so near are summed, and that of the place; 0 for the latter alone.
        By default the box of a region of an archive at the place, else the cell of the place.
    between : (float, float), optional
        Only frames that begin in this half-open range of mission elapsed seconds.
    obsids : str or sequence of str
        Only these observations, if any; by default all that cover the place.
    config : Config, optional
        Settings, if the source is no archive; the defaults if not given.
    options : dict, optional
        Of the fsspec file system of URLs of event lists.

    Returns
    -------
    DataFrame
        Rows of `exod.schemas.places.PLACE_CURVES`, one a frame, observation after observation.
        ``mu`` is 0 and the Bayes factors are NaN where there is no expectation.

    Raises
    ------
    InputError
        If the place is in no field, its event lists are gone, or no frame is in the time.
    ConfigError
        If the place, the radius, the time or the settings are impossible.

    Warns
    -----
    UserWarning
        For each observation that cannot be read, if there is a light curve of another, and for
        each light curve most of whose frames are left out, with the reason.

    Examples
    --------
    >>> import exod
    >>> curve = exod.light_curve_at("results", 263.677, -32.582, t_bin=[50])  # doctest: +SKIP
    >>> curve[["time", "n", "mu", "B_peak_log"]]  # doctest: +SKIP
    """
    place = place_of(ra_deg, dec_deg, radius_arcsec, between)
    if not isinstance(source, Archive):
        paths = [source] if isinstance(source, str | Path) else list(source)
        source = one_archive(paths) or paths
    found = asked_curves(
        source,
        place,
        t_bin=None if t_bin is None else np.atleast_1d(t_bin).tolist(),
        bands=None if bands is None else [tuple(band) for band in np.atleast_2d(bands).tolist()],
        obsids=obsids_of(obsids),
        config=config,
        options=options,
    )
    curves: list[PlaceCurve] = []
    for _, own in found:
        if isinstance(own, InputError):
            warnings.warn(str(own), stacklevel=2)
        else:
            curves += own
    for curve in curves:
        if curve.note:
            warnings.warn(curve.note, stacklevel=2)
    return curve_rows(curves)


def asked_curves(
    source: Archive | Sequence[str | Path],
    place: SkyPlace,
    *,
    t_bin: Sequence[float] | None = None,
    bands: Sequence[Band] | None = None,
    obsids: Sequence[str] = (),
    config: Config | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Found]:
    """As `light_curve_at`, an observation at a time.

    Yields
    ------
    obsid : str
        An observation that covers the place.
    curves : list of PlaceCurve or InputError
        Its light curves; or why it cannot be read, at the end and only if others have some.

    Raises
    ------
    InputError
        If no observation has a light curve.
    """
    if isinstance(source, Archive):
        yield from _archive_curves(source, place, t_bin, bands, obsids, options)
        return
    observations, problems = find_observations(source, options)
    if problems:
        raise problems[0]
    known = {files.obsid for files in observations}
    for obsid in obsids:
        if obsid not in known:
            raise InputError(f"There is no observation {obsid!r} among the files.")
    given = [name for name, asked in (("t_bin", t_bin), ("bands", bands)) if asked]
    wanted = with_one_run(with_runs(config or Config(), t_bin, bands), given)
    chosen = [files for files in observations if not obsids or files.obsid in obsids]
    asked_of = ((files.obsid, partial(lambda found: found, files), None) for files in chosen)
    yield from _seen(asked_of, place, wanted)


def _archive_curves(
    archive: Archive,
    place: SkyPlace,
    t_bin: Sequence[float] | None,
    bands: Sequence[Band] | None,
    obsids: Sequence[str],
    options: Mapping[str, Any] | None,
) -> Iterator[Found]:
    radius = place.radius_arcsec or 0.0
    # What is impossible is said before anything is looked for.
    config = with_runs(archive.config, t_bin, bands)
    covering = covering_observations(archive, place.ra_deg, place.dec_deg, radius, obsids)
    wanted = _runs_wanted(config, covering, place, t_bin, bands)
    asked_of = (
        (item.obsid, partial(recorded_files, archive, item.obsid, options), item.regions)
        for item in covering
    )
    yield from _seen(asked_of, place, wanted)


def _seen(
    observations: Iterable[tuple[str, Callable[[], ObservationFiles], pd.DataFrame | None]],
    place: SkyPlace,
    config: Config,
) -> Iterator[Found]:
    """Light curves of the observations that have a photon at the place, which one must have.

    What is wrong with one of several observations is no reason to show none of the others.
    """
    looked: list[str] = []
    left_out: list[tuple[str, InputError]] = []
    outside_time: list[tuple[str, InputError]] = []
    is_seen = False
    for obsid, files, regions in observations:
        looked.append(obsid)
        try:
            curves = observation_curves(files(), config, place, regions)
        except InputError as error:
            # Of many observations few are in a time that is asked for.
            is_expected = isinstance(error, NoFramesError) and place.between is not None
            (outside_time if is_expected else left_out).append((obsid, error))
            continue
        is_seen = is_seen or bool(curves)
        yield obsid, curves
    if is_seen:
        yield from left_out
        return
    reasons = [error for _, error in (*left_out, *outside_time)]
    if len(reasons) == 1:
        raise reasons[0]
    if reasons:
        raise InputError(
            f"None of the {len(looked)} observations of {place.text} has a light curve of it. "
            f"{' '.join(str(reason) for reason in reasons[:3])}{' ...' if reasons[3:] else ''}"
        )
    which = looked[0] if len(looked) == 1 else f"any of {', '.join(looked)}"
    raise InputError(
        f"The position {place.text} is outside the field of {which}: no photon fell on it or "
        f"on the cells beside it."
    )


def region_curves(
    archive: Archive,
    detid: str,
    *,
    t_bin: Sequence[float] | None = None,
    bands: Sequence[Band] | None = None,
    between: tuple[float, float] | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[SkyPlace, list[PlaceCurve]]:
    """Light curves of the box of a region, in its own run by default.

    Returns
    -------
    place : SkyPlace
        Where the region is.
    curves : list of PlaceCurve
        That of its own run is what the archive has of it.
    """
    region = region_of(archive, detid)
    place = SkyPlace(float(region["ra_deg"]), float(region["dec_deg"]), None, between)
    config = with_runs(
        archive.config,
        t_bin or [float(region["t_bin"])],
        bands or [(float(region["e_lo"]), float(region["e_hi"]))],
    )
    files = recorded_files(archive, str(region["obsid"]), options)
    rows = pd.DataFrame([region])
    return place, observation_curves(files, config, place, rows, int(region["subset"]))


def place_of(
    ra_deg: float,
    dec_deg: float,
    radius_arcsec: float | None = None,
    between: tuple[float, float] | None = None,
) -> SkyPlace:
    """A place that can be asked for.

    Raises
    ------
    ConfigError
        If it is not on the sky, its radius or time are impossible, or something is no number.
    """
    ra_deg = number_of(ra_deg, "A right ascension", "deg")
    dec_deg = number_of(dec_deg, "A declination", "deg")
    if not is_position(ra_deg, dec_deg):
        raise ConfigError(
            f"A right ascension is a number and a declination -90 to 90 deg, which the position "
            f"{ra_deg:g},{dec_deg:g} has not."
        )
    if radius_arcsec is not None:
        radius_arcsec = number_of(radius_arcsec, "The radius of a place", "arcsec")
    if radius_arcsec is not None and not 0 <= radius_arcsec <= FARTHEST_ARCSEC:
        raise ConfigError(
            f"The radius of a place is 0 to {FARTHEST_ARCSEC} arcsec, not {radius_arcsec:g}."
        )
    return SkyPlace(ra_deg, dec_deg, radius_arcsec, checked_between(between))


def checked_between(between: tuple[float, float] | None) -> tuple[float, float] | None:
    """A range of time as two numbers, if there is one; refuses one that is empty.

    Raises
    ------
    ConfigError
        If its start is not before its stop, or it is no pair of numbers.
    """
    if between is None:
        return None
    edges = numbers_of(between, "A time range", "s")
    if edges.shape != (2,):
        raise ConfigError(f"A time range has a start and a stop, not {edges.size} times.")
    start, stop = edges.tolist()
    if not start < stop:
        raise ConfigError(
            f"The time range from {start:.12g} to {stop:.12g} s is empty: it must start before it "
            f"stops."
        )
    return start, stop


def _runs_wanted(
    config: Config,
    covering: Sequence[CoveringObservation],
    place: SkyPlace,
    t_bin: Sequence[float] | None,
    bands: Sequence[Band] | None,
) -> Config:
    """The settings with the runs that are asked for, or that the strongest region has."""
    strongest = [item.regions.iloc[0] for item in covering if len(item.regions)]
    if strongest and not place.radius_arcsec:
        best = max(strongest, key=lambda row: max(row["sigma_peak"], row["sigma_eclipse"]))
        t_bin = t_bin or [float(best["t_bin"])]
        bands = bands or [(float(best["e_lo"]), float(best["e_hi"]))]
    given = [name for name, asked in (("t_bin", t_bin), ("bands", bands)) if asked]
    return with_one_run(with_runs(config, t_bin, bands), given)
