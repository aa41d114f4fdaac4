"""Rows of catalogues around X-ray sources, at the epoch of their observation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from astropy import units
from astropy.table import Table, vstack

from exod.astromon.matches import columns_of
from exod.astromon.moments import as_time
from exod.counterparts.cache import cache_folder
from exod.counterparts.matching import Positions
from exod.counterparts.opened import open_catalogue
from exod.counterparts.registry import Catalogue, declared_as, known
from exod.counterparts.service import Services, radius_to_ask
from exod.counterparts.wanted import Own, Wanted, wanted_catalogues
from exod.errors import DownloadError, InputError
from exod.sky.sphere import is_position


@dataclass(frozen=True)
class RoughCatalogue:
    """Which columns of a catalogue are name and magnitude.

    Attributes
    ----------
    known : str
        Its name in the registry of exod, empty if it is declared here.
    name : tuple of str
        Columns whose values make the name, joined by hyphens.
    mag : str
        Column of the magnitude; empty if there is none.
    where : str
        Table of VizieR if it is declared here.
    """

    known: str
    name: tuple[str, ...]
    mag: str
    where: str = ""


CATALOGUES: Final = MappingProxyType(
    {
        "Tycho2": RoughCatalogue("tycho2", ("TYC1", "TYC2", "TYC3"), "VTmag"),
        "ICRS": RoughCatalogue("icrf", ("ICRF",), ""),
        "USNO-B1.0": RoughCatalogue("usno_b1", ("name",), "R1mag"),
        "HIP": RoughCatalogue("", ("HIP",), "Vmag", "I/239/hip_main"),
        "HIP2": RoughCatalogue("", ("HIP",), "Hpmag", "I/311/hip2"),
        "UCAC4": RoughCatalogue("", ("UCAC4",), "f.mag", "I/322A/out"),
        "2MASS": RoughCatalogue("2mass", ("name",), "Kmag"),
        "SDSS": RoughCatalogue("sdss", ("objID",), "rmag"),
        "Gaia2": RoughCatalogue("", ("Source",), "Gmag", "I/345/gaia2"),
        "Gaia3": RoughCatalogue("gaia_dr3", ("source_id",), "g_mag"),
    }
)
"""Catalogues by the names that the column catalog has."""

_NAMES: Final = ("name", "id", "source_id", "designation")
_MAGNITUDES: Final = ("mag", "magnitude", "g_mag", "phot_g_mean_mag")
_SHORTEST: Final = 16


def rough_match(
    sources: Table,
    time: Any,
    radius: Any = 3 * units.arcsec,
    catalogs: Sequence[str] = ("Tycho2", "ICRS", "USNO-B1.0", "2MASS", "SDSS"),
    *,
    services: Services | None = None,
    cache: str | Path | None = None,
    refresh: bool = False,
) -> Any:
    """Find rows of catalogues around the sources of an observation.

    Parameters
    ----------
    sources : Table
        Columns ra, dec (deg), id, and obsid, if there is one, of one observation.
    time : time
        When the observation was made, to which stars are moved; see
        `exod.astromon.moments.as_time`.
    radius : Quantity or float
        Largest distance from a source; a number is in arcsec.
    catalogs : sequence of str
        Names of `CATALOGUES`, which services are asked for, or what ``exod crossmatch --with``
        takes: other catalogues of the registry, ``NAME=PATH`` of a table or HATS catalogue.
    services : Services, optional
        How services are asked.
    cache : path, optional
        Where tables and answers are kept; by default the folder of the environment.
    refresh : bool
        Whether to ask again what was answered before.

    Returns
    -------
    Table or list
        A row for each pair: catalog, name, ra, dec (deg, at the time), mag (NaN if none), x_id,
        separation (arcsec). An empty list if there are no sources.

    Raises
    ------
    InputError
        If the sources are of several observations, or have no positions.
    DownloadError
        If a service that is needed cannot be reached: the sentence says which catalogue.
    """
    if not len(sources):
        return []
    given = columns_of(sources, "The table of sources", ("ra", "dec", "id"))
    if "obsid" in sources.colnames and len(np.unique(np.asarray(sources["obsid"]))) > 1:
        raise InputError("rough_match takes the sources of one observation at a time.")
    good = is_position(given["ra"], given["dec"])
    year = np.full(good.sum(), as_time(time).utc.decimalyear)
    here = Positions(given["ra"][good].astype(float), given["dec"][good].astype(float), year)
    arcsec = units.Quantity(radius, units.arcsec).to_value(units.arcsec)
    found = []
    for catalog in catalogs:
        wanted = _wanted(catalog, float(arcsec))
        try:
            opened = open_catalogue(
                wanted, cache_folder(cache), services or Services(), refresh=refresh
            )
            # Services search at their own epoch, so fast stars are looked for farther away.
            rows = opened.near(here, radius_to_ask(here, wanted.catalogue))
        except DownloadError as error:
            raise DownloadError(
                f"{catalog} needs the network ({error}); give a copy as NAME=PATH, or leave it out."
            ) from error
        near = rows[rows["sep_arcsec"] < arcsec].sort_values(
            ["source", "sep_arcsec"], kind="stable"
        )
        found.append(_as_matches(catalog, near, given["id"][good]))
    return vstack([_matches([], [], [], [], [], given["id"][:0], []), *found])


def _wanted(catalog: str, radius: float) -> Wanted:
    about = CATALOGUES.get(catalog)
    if about is None:
        (wanted,) = wanted_catalogues([catalog], Own())
    elif about.known:
        wanted = Wanted(known(about.known))
    else:
        wanted = Wanted(_declared(catalog, about))
    wide = {"radius_arcsec": radius, "density_radius_arcsec": 3.0 * radius}
    return Wanted(wanted.catalogue.model_copy(update=wide), wanted.where)


def _declared(catalog: str, about: RoughCatalogue) -> Catalogue:
    """A catalogue that only this module asks for."""
    texts = [{"name": name, "type": "string", "description": "Name"} for name in about.name]
    magnitude = {
        "name": "mag",
        "called": (about.mag,),
        "type": "float64",
        "description": "Magnitude",
    }
    content = {
        "title": catalog,
        "method": "vizier",
        "where": about.where,
        "prefix": "rough_",
        # VizieR computes these from any positions and motions, for the epoch 2000.
        "ra": ("_RAJ2000",),
        "dec": ("_DEJ2000",),
        "epoch": 2000.0,
        "motion": {"ra": ("pmRA",), "dec": ("pmDE",)},
        "columns": (*texts, magnitude | {"called": (about.mag,), "optional": True}),
    }
    return declared_as(catalog.lower(), content, catalog)


def _as_matches(catalog: str, rows: pd.DataFrame, ids: Any) -> Table:
    there = {str(name).lower(): str(name) for name in rows.columns[4:]}
    about = CATALOGUES.get(catalog)
    names = [_called(there, name) for name in about.name] if about else []
    names = [name for name in names if name] or _first(there, _NAMES)
    mag = _first(there, _MAGNITUDES if about is None else (about.mag, "mag"))
    texts = [
        "-".join(str(value) for value in row)
        for row in rows[names].itertuples(index=False, name=None)
    ]
    return _matches(
        [re.sub(r"=.*", "", catalog)] * len(rows),
        texts if names else [""] * len(rows),
        rows["ra_deg"],
        rows["dec_deg"],
        rows[mag[0]] if mag else np.full(len(rows), np.nan),
        ids[rows["source"].to_numpy(np.int64)],
        rows["sep_arcsec"],
    )


def _called(there: dict[str, str], name: str) -> str:
    """The column of a name, whatever its prefix; empty if there is none."""
    ends = (full for low, full in there.items() if low.endswith(f"_{name.lower()}"))
    return min(ends, key=len, default="")


def _first(there: dict[str, str], names: Sequence[str]) -> list[str]:
    found = [_called(there, name) for name in names if name]
    return [name for name in found if name][:1]


def _matches(
    catalog: Any, name: Any, ra: Any, dec: Any, mag: Any, x_id: Any, separation: Any
) -> Table:
    """The columns of the original; names that are longer than its 16 letters stay whole."""
    longest = max([_SHORTEST, *map(len, name)])
    return Table(
        {
            "catalog": np.array(catalog, "U24"),
            "name": np.array(name, f"U{longest}"),
            "ra": np.array(ra, float),
            "dec": np.array(dec, float),
            "mag": np.array(mag, float),
            "x_id": np.asarray(x_id),
            "separation": np.array(separation, float),
        }
    )
