"""Which matches are kept: limits of any column, targets and regions that are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from astropy.table import Column, Table

from exod.astromon.matches import columns_of
from exod.astromon.moments import seconds_of
from exod.astromon.regions import in_regions
from exod.astromon.stored import looked_up
from exod.astromon.tables import SIM_Z
from exod.schemas.arrays import Mask

BAD_TARGETS: Final = (*("rwaur", "tauboo", "70oph", "16cyg", "m87", "orion", "hd97950", "hd4915"),)
"""How the names of targets begin whose sources are known to be far from their counterparts."""


def filter_matches(
    matches: Any,
    snr: float | None = None,
    dr: float | None = None,
    r_angle: float | None = None,
    start: Any = None,
    stop: Any = None,
    r_angle_grating: float | None = None,
    near_neighbor_dist: float | None = None,
    sim_z: float | None = None,
    exclude_regions: bool = False,  # noqa: FBT001, FBT002 - as in the original
    exclude_bad_targets: bool = False,  # noqa: FBT001, FBT002
    exclude_categories: Sequence[str] = (),
    dbfile: Any = None,
    **kwargs: Any,
) -> Mask:
    """Which matches are within limits; every limit includes its value.

    Parameters
    ----------
    matches : Table
        Of `exod.astromon.db.get_cross_matches` or `compute_cross_matches`.
    snr : float, optional
        Signal to noise is at least that.
    dr, near_neighbor_dist : float, optional
        Distance from the counterpart and from the nearest other source (arcsec) are at most that.
    r_angle, r_angle_grating : float, optional
        Off-axis angle (arcsec) of matches without, and with, a grating is at most that.
    start, stop : time, optional
        tstart is between them; see `exod.astromon.moments.as_time`.
    sim_z : float, optional
        The detector is so near its nominal place (mm); detectors that are not known pass.
    exclude_regions : bool
        Whether sources in regions of `dbfile` are left out.
    exclude_bad_targets : bool
        Whether targets of `get_bad_target_mask` are left out.
    exclude_categories : sequence of str
        Categories that are left out.
    dbfile : path or open file, optional
        The file with the regions; by default that of the environment.
    **kwargs
        Values of columns: one of several, or equal to one.

    Returns
    -------
    ndarray of bool

    Raises
    ------
    InputError
        If there is no such column.
    """
    ok = np.ones(len(matches), bool)
    plain = partial(_column, matches)
    for name, smallest, most in (
        ("snr", snr, None),
        ("dr", None, dr),
        ("near_neighbor_dist", None, near_neighbor_dist),
    ):
        ok &= _between(plain, name, smallest, most)
    if r_angle is not None:
        ok &= (plain("grating") != "NONE") | _between(plain, "r_angle", None, r_angle)
    if r_angle_grating is not None:
        ok &= (plain("grating") == "NONE") | _between(plain, "r_angle", None, r_angle_grating)
    begin, end = (None if end is None else np.float64(seconds_of(end)) for end in (start, stop))
    ok &= _between(plain, "tstart", begin, end)
    if sim_z is not None:
        ok &= _sim_z_offset(plain("detector"), plain("sim_z")) <= sim_z
    if len(exclude_categories):
        ok &= ~_is_one(plain("category"), exclude_categories)
    for name, value in kwargs.items():
        ok &= _is_one(plain(name), value)
    if exclude_bad_targets:
        ok &= ~get_bad_target_mask(matches)
    if exclude_regions:
        ok &= ~get_excluded_regions_mask(matches, looked_up("astromon_regions", dbfile))
    return ok


def _between(
    plain: Callable[[str], Any], name: str, smallest: float | None, most: float | None
) -> Any:
    """Values of a column that are within limits, both included; nothing is no limit."""
    ok: Any = True
    if smallest is not None:
        ok = ok & (plain(name) >= smallest)
    if most is not None:
        ok = ok & (plain(name) <= most)
    return ok


def _is_one(values: Any, wanted: Any) -> Any:
    """Whether each is a value, or one of several."""
    several = isinstance(wanted, list | tuple | set | frozenset | np.ndarray | Column)
    return np.isin(values, list(wanted) if several else [wanted])


def _column(matches: Any, name: str) -> Any:
    return columns_of(matches, "The table of matches", (name,))[name]


def _sim_z_offset(detectors: Any, sim_z: Any) -> Any:
    """Distance in mm from the nominal place; none of detectors that are not known."""
    offset = np.zeros(len(sim_z))
    for detector, nominal in SIM_Z.items():
        here = detectors == detector
        offset[here] = np.abs(sim_z[here] - nominal)
    return offset


def get_bad_target_mask(matches: Any) -> Mask:
    """Matches of targets that are known to be far from their counterparts, to be left out.

    Examples
    --------
    >>> get_bad_target_mask(Table({"target": ["M 87 jet", "NGC 1624"]}))
    array([ True, False])
    """
    targets, rows = np.unique(_column(matches, "target").astype(str), return_inverse=True)
    bad = [str(target).replace(" ", "").lower().startswith(BAD_TARGETS) for target in targets]
    return np.array(bad, bool)[rows]


def get_excluded_regions_mask(matches: Any, regions: Any = None) -> Mask:
    """Matches whose X-ray source is in a region, to be left out.

    Parameters
    ----------
    matches : Table
        Matches, with obsid and x_loc, or x_ra and x_dec.
    regions : Table, optional
        The regions; by default those of the file of the environment. One with an obsid of 0 or
        less is of any observation.
    """
    if regions is None:
        regions = looked_up("astromon_regions")
    there = matches.colnames if isinstance(matches, Table) else list(matches.columns)
    if "x_loc" in there:
        places = matches["x_loc"].icrs
        ra, dec = np.asarray(places.ra.deg), np.asarray(places.dec.deg)
    else:
        ra, dec = _column(matches, "x_ra"), _column(matches, "x_dec")
    return in_regions(ra, dec, _column(matches, "obsid"), regions)
