"""Names of sources as the IAU asks: acronym, J, truncated position (method.md, Clustering)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats, Indices

SNAP: Final = 1e-6
"""Share of the last digit by which rounding may miss it: 0.05125 deg are 12.3 s, not 12.2."""


def iau_names(
    ra_deg: ArrayLike,
    dec_deg: ArrayLike,
    *,
    acronym: str = "EXOD",
    ra_decimals: int = 1,
    dec_decimals: int = 0,
) -> list[str]:
    """Names ``EXOD JHHMMSS.s+DDMMSS``; digits are cut off, not rounded.

    Parameters
    ----------
    ra_deg, dec_deg : array_like of float, shape (n,)
        Positions in degrees, finite.
    acronym : str
        What the names begin with.
    ra_decimals, dec_decimals : int
        Decimals of the seconds of time and of arc, 0 to 4.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If a position is not finite or beyond a pole, or the decimals are impossible.

    References
    ----------
    "Specifications concerning designations for astronomical radiation sources outside the solar
    system", IAU Commission 5.

    Examples
    --------
    >>> iau_names([263.6579, 0.0], [-32.55699, 0.9999])
    ['EXOD J173437.8-323325', 'EXOD J000000.0+005959']
    >>> iau_names([263.6579], [-32.55699], ra_decimals=2, dec_decimals=1)
    ['EXOD J173437.89-323325.1']
    """
    ra = np.atleast_1d(np.asarray(ra_deg, float))
    dec = np.atleast_1d(np.asarray(dec_deg, float))
    if not (0 <= ra_decimals <= 4 and 0 <= dec_decimals <= 4):
        raise ValueError(f"names have 0 to 4 decimals, not {ra_decimals} and {dec_decimals}")
    if not (np.isfinite(ra).all() and (np.abs(dec) <= 90).all()):
        raise ValueError("a name needs a finite position within the poles")
    right = _sexagesimal(ra % 360.0 * 240.0, ra_decimals, 86400)
    south = dec < 0
    declination = _sexagesimal(np.abs(dec) * 3600.0, dec_decimals, None)
    sign = np.where(south, "-", "+")
    return [f"{acronym} J{a}{s}{d}" for a, s, d in zip(right, sign, declination, strict=True)]


def _sexagesimal(seconds: Floats, decimals: int, turn: int | None) -> list[str]:
    """Hours or degrees, minutes and seconds without separators."""
    unit = 10**decimals
    whole = np.floor(seconds * unit + SNAP).astype(np.int64)
    if turn is not None:
        whole %= turn * unit
    total, fraction = np.divmod(whole, unit)
    minutes, second = np.divmod(total, 60)
    hour, minute = np.divmod(minutes, 60)
    digits = f".{{:0{decimals}d}}" if decimals else ""
    pattern = f"{{:02d}}{{:02d}}{{:02d}}{digits}"
    columns = (hour.tolist(), minute.tolist(), second.tolist(), fraction.tolist())
    return [pattern.format(*row) for row in zip(*columns, strict=True)]


def suffix(number: int) -> str:
    """Letters that tell equal names apart: none for the first, then a to z, aa and so on.

    Examples
    --------
    >>> [suffix(n) for n in (0, 1, 26, 27)]
    ['', 'a', 'z', 'aa']
    """
    text = ""
    while number > 0:
        number, letter = divmod(number - 1, 26)
        text = chr(ord("a") + letter) + text
    return text


def unique_names(
    wanted: Sequence[str],
    numbers: Iterable[int],
    given: Mapping[str, int],
    taken: Iterable[str] = (),
) -> list[str]:
    """The wanted names in their order, each with the first suffix that nobody else has or had.

    Parameters
    ----------
    wanted : sequence of str
        Names.
    numbers : iterable of int
        The number of the source of each; -1 for new ones.
    given : dict of str to int
        Numbers of the sources that names were given to: nobody else gets them.
    taken : iterable of str
        Names that are not to be had.

    Examples
    --------
    >>> unique_names(["A", "A", "B"], [-1, -1, 7], {"A": 3, "Ab": 3, "B": 7})
    ['Aa', 'Ac', 'B']
    """
    used, names = set(taken), []
    for name, number in zip(wanted, numbers, strict=True):
        letters = count()
        found = next(
            own
            for own in (name + suffix(letter) for letter in letters)
            if own not in used and given.get(own, number) == number
        )
        used.add(found)
        names.append(found)
    return names


def naming_regions(regions: pd.DataFrame, labels: Indices) -> Indices:
    """The region whose position names each cluster: the best of its first observation.

    That is the one of the smallest position error, then of the first detid. What is observed later
    does not change it, and nor does the order in which observations are added.

    Parameters
    ----------
    regions : DataFrame
        With detid, obsid, mjd, pos_err_arcsec.
    labels : ndarray of intp, shape (n_regions,)
        The cluster of each, from 0 on, none left out.

    Returns
    -------
    ndarray of intp, shape (n_clusters,)
        Rows of regions.

    Examples
    --------
    >>> rows = pd.DataFrame({"detid": ["a", "b", "c"], "obsid": ["2", "2", "1"],
    ...     "mjd": [5.0, 5.1, 6.0], "pos_err_arcsec": [3.0, 2.0, 1.0]})
    >>> naming_regions(rows, np.array([0, 0, 0]))
    array([1])
    """
    frame = regions[["detid", "obsid"]].assign(
        label=labels,
        row=np.arange(len(regions)),
        error=regions["pos_err_arcsec"].where(regions["pos_err_arcsec"] > 0),
        start=regions["mjd"].groupby([labels, regions["obsid"]]).transform("min"),
    )
    first = frame.sort_values(["label", "start", "obsid", "error", "detid"], na_position="last")
    return first.drop_duplicates("label")["row"].to_numpy(np.intp)
