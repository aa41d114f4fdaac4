"""Regions of the sky whose sources are left out: added, changed and compared under one lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table
from astropy.time import Time

from exod.astromon.forms.storage import Storage
from exod.astromon.stored import declared, edited, looked_up, rows_of, with_table
from exod.astromon.tables import DTYPES, Rows, as_rows, as_table, empty
from exod.counterparts.matching import Positions, pairs
from exod.errors import InputError
from exod.files.whole import unique_mark
from exod.schemas.arrays import Mask
from exod.sky.sphere import is_position, separations_arcsec, unit_vectors

REGIONS = "astromon_regions"
META = "astromon_meta"

_GIVEN = ("ra", "dec", "radius", "obsid", "user", "comments")
_ASSUMED = {"obsid": 0, "user": "", "comments": ""}


def add_regions(regions: Any, dbfile: Any = None) -> Table:
    """Add regions, with numbers that none ever had and identifiers that no other file has.

    Parameters
    ----------
    regions : Table or what makes one
        Columns ra and dec (deg), radius (arcsec); obsid (0, any, by default), user, comments.
    dbfile : path or open file, optional
        The file; by default that of the environment.

    Returns
    -------
    Table
        The rows that were added.

    Raises
    ------
    MissingTableException
        If the file has no table of regions.
    InputError
        If a region is no circle on the sky.
    """
    rows = _rows_given(regions)
    with edited(dbfile) as storage:
        there = _regions_in(storage)
        last = _last_number(storage, there)
        rows["region_id"] = np.arange(last + 1, last + 1 + len(rows))
        rows["last_modified"] = _now()
        rows["region_id_str"] = _identifiers(rows, set(there["region_id_str"].tolist()))
        _write(storage, np.concatenate([there, rows]), last + len(rows))
    return as_table(rows)


def remove_regions(regions: int | Sequence[int], dbfile: Any = None) -> None:
    """Remove the regions of these numbers (region_id); those that there are not are ignored.

    Raises
    ------
    MissingTableException
        If the file has no table of regions.
    InputError
        If they are no numbers.
    """
    try:
        numbers = np.atleast_1d(np.asarray(regions, np.int64))
    except (TypeError, ValueError) as error:
        raise InputError(f"Regions are removed by their numbers ({error}).") from error
    with edited(dbfile) as storage:
        there = _regions_in(storage)
        left = ~np.isin(there["region_id"], numbers)
        _write(storage, there[left], _last_number(storage, there))


def update_regions(regions: Any, dbfile: Any = None) -> Any:
    """Change regions, which region_id_str names; those that do not differ stay as they are.

    Parameters
    ----------
    regions : Table or what makes one
        The column region_id_str and those that change. region_id and last_modified are not taken.
    dbfile : path or open file, optional
        The file; by default that of the environment.

    Returns
    -------
    Table
        What was given.

    Raises
    ------
    MissingTableException
        If the file has no table of regions.
    InputError
        If a region is not in the file or is no circle on the sky.
    """
    given = _as_given(regions)
    if not len(given):
        return regions
    if "region_id_str" not in given.colnames:
        raise InputError("Regions are updated by region_id_str, a column that is missing.")
    wanted = np.array([str(name).encode() for name in given["region_id_str"]], "S10")
    with edited(dbfile) as storage:
        there = _regions_in(storage)
        place = {name: row for row, name in enumerate(there["region_id_str"].tolist())}
        if unknown := [name.decode() for name in wanted.tolist() if name not in place]:
            raise InputError(f"There is no region {', '.join(unknown)} to update.")
        at = np.array([place[name] for name in wanted.tolist()])
        full = as_table(there[at])
        for name in set(_GIVEN) & set(given.colnames):
            full[name] = given[name]
        rows = as_rows(REGIONS, full)
        _check(rows)
        for row, changed in zip(at, rows, strict=True):
            if changed != there[row]:
                there[row] = changed
                there["last_modified"][row] = _now()
        _write(storage, there, _last_number(storage, there))
    return regions


def sync_regions(from_file: Any, to_file: Any, remove: bool = False) -> None:  # noqa: FBT001, FBT002
    """Bring the regions of a file into another; of a region in both the one that changed last.

    Parameters
    ----------
    from_file, to_file : path or open file
        The files; only `to_file` changes.
    remove : bool
        Whether regions that `from_file` has not are removed.

    Raises
    ------
    MissingTableException
        If a file has no table of regions.
    """
    ours = declared(REGIONS, rows_of(REGIONS, from_file))
    ours = ours[np.sort(np.unique(ours["region_id_str"], return_index=True)[1])]
    with edited(to_file) as storage:
        there = _regions_in(storage)
        last = _last_number(storage, there)
        both = np.intersect1d(ours["region_id_str"], there["region_id_str"], return_indices=True)
        newer = ours["last_modified"][both[1]] > there["last_modified"][both[2]]
        for column in set(there.dtype.names or ()) - {"region_id"}:
            there[column][both[2][newer]] = ours[column][both[1][newer]]
        new = ours[~np.isin(ours["region_id_str"], there["region_id_str"])]
        if remove:
            there = there[np.isin(there["region_id_str"], ours["region_id_str"])]
        merged = np.concatenate([there, new])
        last = max(last, int(merged["region_id"].max(initial=0)))
        # Numbers of the file come first, so that what is new gives way.
        first = np.zeros(len(merged), bool)
        first[np.unique(merged["region_id"], return_index=True)[1]] = True
        merged["region_id"][~first] = last + 1 + np.arange((~first).sum())
        merged = merged[np.argsort(merged["region_id"], kind="stable")]
        _write(storage, merged, last + int((~first).sum()))


def get_regions(
    obsid: int | None = None, dbfile: Any = None, radius: Any = 5 * units.arcmin
) -> Table:
    """Regions of a file, all or those of an observation and around its pointing.

    Parameters
    ----------
    obsid : int, optional
        The observation.
    dbfile : path or open file, optional
        The file; by default that of the environment.
    radius : Quantity or float
        Distance from the nominal pointing; a number is in arcmin.

    Raises
    ------
    MissingTableException
        If the file has no table of regions, or of observations.
    InputError
        If the observation is not in the file.
    """
    regions = looked_up(REGIONS, dbfile)
    if obsid is None:
        return regions
    observations = looked_up("astromon_obs", dbfile)
    row = np.flatnonzero(np.asarray(observations["obsid"]).astype(str) == str(obsid))
    if not len(row):
        raise InputError(f"There is no observation {obsid} in astromon_obs.")
    pointing = unit_vectors(observations["ra"][row[0]], observations["dec"][row[0]])
    apart = separations_arcsec(pointing, unit_vectors(regions["ra"], regions["dec"]))
    near = apart < units.Quantity(radius, units.arcmin).to_value(units.arcsec)
    return regions[near | (np.asarray(regions["obsid"]) == observations["obsid"][row[0]])]


def is_in_excluded_region(
    position: SkyCoord, obsid: Any = None, regions: Table | None = None, dbfile: Any = None
) -> Any:
    """Whether positions are in a region.

    Parameters
    ----------
    position : SkyCoord
        One position, or an array.
    obsid : int or array_like, optional
        Their observations; without, regions of any observation count.
    regions : Table, optional
        The regions; by default those of the file. They are not changed.
    dbfile : path or open file, optional
        The file; by default that of the environment.

    Returns
    -------
    bool or ndarray of bool
        In the shape of the positions.

    Raises
    ------
    ValueError
        If there are not as many observations as positions.
    """
    if obsid is not None and np.shape(obsid) != np.shape(position):
        raise ValueError("obsid and position must have the same shape")
    if regions is None:
        regions = looked_up(REGIONS, dbfile)
    places = position.icrs
    ra, dec = (np.atleast_1d(np.asarray(part.deg)).ravel() for part in (places.ra, places.dec))
    numbers = None if obsid is None else np.atleast_1d(np.asarray(obsid)).ravel()
    inside = in_regions(ra, dec, numbers, regions)
    return inside.reshape(np.shape(position)) if np.shape(position) else bool(inside[0])


def in_regions(ra_deg: Any, dec_deg: Any, obsid: Any, regions: Any) -> Mask:
    """Positions that are nearer to the centre of a region than its radius.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,)
        Positions.
    obsid : array_like of int, shape (n,), or None
        Their observations: a region counts if its own is 0 or less, or the same.
    regions : Table
        Columns ra, dec, radius, obsid.
    """
    inside = np.zeros(len(ra_deg), bool)
    radii = np.asarray(regions["radius"], float)
    centres = is_position(regions["ra"], regions["dec"]) & (radii > 0)
    places = np.flatnonzero(is_position(ra_deg, dec_deg))
    if not centres.any() or not len(places):
        return inside
    ra, dec, radii, of_obsid = (
        np.asarray(regions[name])[centres] for name in ("ra", "dec", "radius", "obsid")
    )
    there = Positions(ra.astype(float), dec.astype(float))
    here = Positions(np.asarray(ra_deg, float)[places], np.asarray(dec_deg, float)[places])
    met = pairs(here, there, float(radii.max()))
    counts = met.sep_arcsec < radii.astype(float)[met.row]
    if obsid is not None:
        own = np.asarray(obsid)[places]
        counts &= (of_obsid[met.row] <= 0) | (of_obsid[met.row] == own[met.source])
    inside[places[met.source[counts]]] = True
    return inside


def _as_given(regions: Any) -> Table:
    """What a user gives as regions, as a table of their own."""
    if regions is None:
        raise InputError("No regions are given; give a table, or a list of dictionaries.")
    if isinstance(regions, Mapping):
        regions = {name: np.atleast_1d(values) for name, values in regions.items()}
    if isinstance(regions, pd.DataFrame):
        return Table.from_pandas(regions)
    try:
        return Table(regions)
    except (TypeError, ValueError) as error:
        raise InputError(f"Regions are a table, or a list of dictionaries ({error}).") from error


def _rows_given(regions: Any) -> Rows:
    table = _as_given(regions)
    if not len(table):
        return empty(REGIONS)
    for name, value in _ASSUMED.items():
        if name not in table.colnames:
            table[name] = value
        elif isinstance(table[name], MaskedColumn):
            table[name] = table[name].filled(value)
    if missing := [name for name in _GIVEN if name not in table.colnames]:
        raise InputError(f"Regions cannot be added: column {', '.join(missing)} is missing.")
    for name in ("region_id", "region_id_str", "last_modified"):
        table[name] = np.zeros(len(table), DTYPES[REGIONS][name])
    rows = as_rows(REGIONS, table)
    _check(rows)
    return rows


def _check(rows: Rows) -> None:
    good = (
        is_position(rows["ra"], rows["dec"]) & np.isfinite(rows["radius"]) & (rows["radius"] >= 0)
    )
    if not good.all():
        first = rows[~good][0]
        raise InputError(
            f"The region at ra {first['ra']}, dec {first['dec']} deg with radius {first['radius']} "
            f"arcsec is no circle on the sky."
        )


def _regions_in(storage: Storage) -> Rows:
    return np.array(declared(REGIONS, with_table(storage, REGIONS).read(REGIONS)))


def _last_number(storage: Storage, regions: Rows) -> int:
    """The largest number that a region ever had, as far as the file tells."""
    known = storage.read(META)["last_region_id"] if META in storage.names() else np.zeros(0, int)
    return max(int(known.max(initial=0)), int(regions["region_id"].max(initial=0)))


def _write(storage: Storage, regions: Rows, last: int) -> None:
    # The number comes first: where tables follow one by one, no region has a number above it.
    meta = np.array([(last,)], DTYPES[META])
    storage.write({META: meta, REGIONS: regions})


def _identifiers(rows: Rows, taken: set[bytes]) -> list[bytes]:
    """Ten digits for each row that no other has; equal rows of several files differ too."""
    found: list[bytes] = []
    for row in rows:
        name = b""
        while not name or name in taken:
            name = sha256(f"{row} {unique_mark()}".encode()).hexdigest()[:10].encode()
        taken.add(name)
        found.append(name)
    return found


def _now() -> bytes:
    return str(Time.now().yday).encode()
