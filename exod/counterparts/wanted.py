"""Which catalogues are wanted, as they are named on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from exod.counterparts.hats import is_hats
from exod.counterparts.registry import Catalogue, declared_as, declared_in, known, registry
from exod.errors import ConfigError
from exod.tablefiles.reading import FORMATS, table_place

RA_NAMES: Final = (
    "ra",
    "ra_deg",
    "RA_ICRS",
    "RAJ2000",
    "_RAJ2000",
    "RAdeg",
    "SC_RA",
    "ALPHA_J2000",
    *("coord.ra", "coords.ra", "skycoord.ra", "sky_coord.ra", "position.ra", "pos.ra"),
)
DEC_NAMES: Final = (
    *("dec", "dec_deg", "DE_ICRS", "DEJ2000", "_DEJ2000", "DEdeg", "SC_DEC", "DELTA_J2000"),
    *("DECJ2000", "de"),
    *("coord.dec", "coords.dec", "skycoord.dec", "sky_coord.dec", "position.dec", "pos.dec"),
)
"""What positions are called in tables whose columns nobody names."""

_GIVEN: Final = re.compile(r"(?P<name>[A-Za-z0-9_]{1,40})=(?P<path>.+)")


@dataclass(frozen=True)
class Own:
    """What a user says about a table of their own, or about all catalogues.

    Attributes
    ----------
    ra, dec : str, optional
        Columns of the position in degrees.
    name : str, optional
        What the catalogue is called.
    epoch : float, optional
        Epoch of the positions, Julian years.
    pm_ra, pm_dec : str, optional
        Columns of the proper motion in mas a year.
    radius : float, optional
        Search radius in arcsec, of all catalogues.
    """

    ra: str | None = None
    dec: str | None = None
    name: str | None = None
    epoch: float | None = None
    pm_ra: str | None = None
    pm_dec: str | None = None
    radius: float | None = None

    @property
    def declaration(self) -> dict[str, Any]:
        """The part of a declaration that it gives."""
        found: dict[str, Any] = {}
        if self.ra:
            found["ra"] = (self.ra,)
        if self.dec:
            found["dec"] = (self.dec,)
        if self.epoch is not None:
            found["epoch"] = self.epoch
        if (self.pm_ra is None) != (self.pm_dec is None):
            raise ConfigError("Proper motions need both --pm-ra and --pm-dec.")
        if self.pm_ra and self.pm_dec:
            found["motion"] = {"ra": (self.pm_ra,), "dec": (self.pm_dec,)}
        return found


@dataclass(frozen=True)
class Wanted:
    """A catalogue to match with.

    Attributes
    ----------
    catalogue : Catalogue
        Its declaration.
    where : str
        File, folder or address that was given; empty if a service is asked.
    """

    catalogue: Catalogue
    where: str = ""


def wanted_catalogues(texts: list[str], own: Own) -> list[Wanted]:
    """What ``--with`` asks for.

    Parameters
    ----------
    texts : list of str
        Each a name of the registry, ``NAME=PATH``, a TOML declaration, a table, or a HATS folder
        or address.
    own : Own
        What else was said.

    Raises
    ------
    ConfigError
        If a name is not known, a table has none, or two have the same.
    """
    found = [_radius(_wanted(text, own), own.radius) for text in texts]
    names = [one.catalogue.name for one in found]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ConfigError(
            f"Two catalogues are called {', '.join(double)}; use --name or NAME=PATH."
        )
    return found


def _wanted(text: str, own: Own) -> Wanted:
    if text in registry():
        return _of_registry(known(text), text)
    given = _GIVEN.fullmatch(text)
    if given and not Path(text).exists():
        return _with_path(given["name"], given["path"], own)
    if text.endswith(".toml"):
        return _declared(Path(text))
    path, _ = table_place(text)
    if path.exists() or "://" in text or path.suffix.lower() in FORMATS:
        stem = re.sub(r"\W", "_", path.name.split(".")[0], flags=re.ASCII)[:40]
        return _with_path(own.name or stem, text, own)
    return _of_registry(known(text), text)


def _of_registry(catalogue: Catalogue, name: str) -> Wanted:
    if catalogue.method == "table" and not catalogue.where:
        raise ConfigError(
            f"{name} needs a file, given as {name}=PATH. How to get it: {catalogue.obtain}."
        )
    return Wanted(catalogue, catalogue.where if catalogue.method in {"table", "hats"} else "")


def _with_path(name: str, path: str, own: Own) -> Wanted:
    method = "hats" if is_hats(path) else "table"
    if method == "table" and Path(path).is_dir():
        raise ConfigError(f"The folder {path} is no HATS catalogue: it lacks hats.properties.")
    if name in registry():
        content = known(name).model_dump(mode="json", exclude={"name"})
        content |= {"density_radius_arcsec": max(600.0, content["density_radius_arcsec"])}
    else:
        content = {
            "title": f"{name}, a table of the user",
            "prefix": f"{name}_",
            "ra": RA_NAMES,
            "dec": DEC_NAMES,
        }
    changes = {"method": method, "where": path, "whole": False} | own.declaration
    return Wanted(declared_as(name, content | changes, path), path)


def _declared(path: Path) -> Wanted:
    catalogue = declared_in(path)
    if catalogue.method not in {"table", "hats"}:
        return Wanted(catalogue)
    if not catalogue.where:
        raise ConfigError(f"{path} must say with `where` which table it declares.")
    where = catalogue.where
    if "://" not in where:
        where = str(path.parent / where)
    return Wanted(catalogue, where)


def _radius(one: Wanted, radius: float | None) -> Wanted:
    if radius is None:
        return one
    content = one.catalogue.model_dump(mode="json", exclude={"name"})
    density = max(content["density_radius_arcsec"], 3.0 * radius)
    changes = {"radius_arcsec": radius, "density_radius_arcsec": density}
    name = one.catalogue.name
    return Wanted(declared_as(name, content | changes, name), one.where)
