"""The registry of external catalogues: what `catalogs/*.toml` declare, checked."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from exod.counterparts.chance import NEIGHBOURS
from exod.errors import ConfigError
from exod.files.text import read_text
from exod.schemas import MATCH
from exod.schemas.columns import Column, Table
from exod.tablefiles.shipped import catalogs_folder

TYPES: Final = MappingProxyType(
    {
        "string": pa.string(),
        "bool": pa.bool_(),
        "int16": pa.int16(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "uint64": pa.uint64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
    }
)
"""Types of columns, as a declaration names them."""

_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,40}")
_F64: Final = pa.float64()
_result: Final = partial(Column, nullable=True)
RESULTS: Final = (
    _result("sep_arcsec", _F64, "arcsec", "Separation of the nearest row at the source's epoch"),
    _result(
        *("dra_arcsec", _F64, "arcsec", "Its right ascension minus the source's, times cos Dec"),
        ucd="pos.eq.ra;arith.diff",
    ),
    _result(
        *("ddec_arcsec", _F64, "arcsec", "Its declination minus the source's"),
        ucd="pos.eq.dec;arith.diff",
    ),
    _result("n_within", pa.int32(), "", "Rows of the catalogue within the search radius"),
    _result(
        *("density_arcmin2", _F64, "arcmin-2", "Density of the catalogue around the source"),
        ucd="src.density",
    ),
    _result(
        *("p_chance", _F64, "", "Probability that an unrelated row is as near as that"),
        ucd="stat.probability",
    ),
)
"""Columns of every cross-match, after the prefix of the catalogue."""

Method = Literal["cds-xmatch", "vizier", "simbad", "hats", "table"]
"""Where a catalogue is matched: three services, HATS catalogues and tables in files."""


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CatalogueColumn(_Declared):
    """A column of a catalogue that the cross-match keeps.

    Attributes
    ----------
    name : str
        Its name in the result, after the prefix.
    type : str
        One of `TYPES`.
    unit : str
        In FITS notation; empty if none.
    description : str
        Its meaning.
    ucd : str
        What it is in the words of the Virtual Observatory; empty if its unit tells.
    called : tuple of str
        What the catalogue calls it, if otherwise: the first of these that there is.
    optional : bool or "copy"
        Whether the catalogue may come without it, or a copy of it in a file or HATS, but not the
        answer of a service; it is null then.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
    type: Literal["string", "bool", "int16", "int32", "int64", "uint64", "float32", "float64"]
    unit: str = ""
    description: str = Field(min_length=1)
    ucd: str = ""
    called: tuple[str, ...] = ()
    optional: bool | Literal["copy"] = False

    @property
    def names(self) -> tuple[str, ...]:
        """What the catalogue may call it."""
        return self.called or (self.name,)


class Motion(_Declared):
    """Proper motion in a catalogue.

    Attributes
    ----------
    ra, dec : tuple of str
        What the catalogue calls its components; that in right ascension is times cos Dec.
    unit : str
        Of both.
    fastest_arcsec_yr : float
        The fastest that a service is asked for; tables know the fastest of their rows.
    """

    ra: tuple[str, ...]
    dec: tuple[str, ...]
    unit: Literal["mas/yr", "arcsec/yr"] = "mas/yr"
    fastest_arcsec_yr: float = Field(default=10.4, gt=0)


class Catalogue(_Declared):
    """An external catalogue.

    Attributes
    ----------
    name : str
        What it is called on the command line and in the product ``xmatch-<name>``.
    title : str
        What it is.
    method : str
        How it is matched.
    where : str
        Table of VizieR or X-Match, address or path of the HATS catalogue or table; empty if a
        table has to be given by path.
    whole : bool
        Whether VizieR is asked for the whole table once, rather than around each source.
    prefix : str
        Of its columns in the result.
    ra, dec : tuple of str
        What it calls its positions (ICRS, degrees); the first that there is.
    epoch : float or None
        Epoch of the positions in Julian years.
    motion : Motion or None
        Proper motion.
    radius_arcsec : float
        Search radius.
    density_radius_arcsec : float
        How far away neighbours count for the density.
    neighbours : int
        How many are enough.
    columns : tuple of CatalogueColumn
        What is kept; empty keeps all columns of a table.
    licence, citation, obtain : str
        What its makers ask for, and how to get it.
    notes : str
        What is uncertain, and what to know.
    """

    name: str
    title: str = Field(min_length=1)
    method: Method
    where: str = ""
    whole: bool = False
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+_$")]
    ra: tuple[str, ...] = Field(min_length=1)
    dec: tuple[str, ...] = Field(min_length=1)
    epoch: float | None = Field(default=None, ge=1800, le=2100)
    motion: Motion | None = None
    radius_arcsec: float = Field(default=20.0, gt=0, le=36000)
    density_radius_arcsec: float = Field(default=600.0, gt=0, le=648000)
    neighbours: int = Field(default=NEIGHBOURS, ge=3, le=1000)
    columns: tuple[CatalogueColumn, ...] = ()
    licence: str = ""
    citation: str = ""
    obtain: str = ""
    notes: str = ""

    @field_validator("name")
    @classmethod
    def _can_be_a_product(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("a name has 1 to 40 letters, digits and underscores")
        return name

    @model_validator(mode="after")
    def _fits_together(self) -> Catalogue:
        names = [column.name for column in self.columns] + [column.name for column in RESULTS]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"columns {', '.join(double)} come twice")
        ours = {"source", "row", "_row", "_source", *(column.name for column in RESULTS)}
        if clash := sorted(ours & set(self.kept)):
            raise ValueError(f"prefix {self.prefix} makes {', '.join(clash)} of a column")
        if self.density_radius_arcsec <= self.radius_arcsec:
            raise ValueError("density_radius_arcsec must be larger than radius_arcsec")
        if self.motion and self.epoch is None:
            raise ValueError("proper motions need an epoch")
        if self.method != "table" and not self.where:
            raise ValueError(f"method {self.method} needs where")
        if self.whole and self.method != "vizier":
            raise ValueError("only VizieR gives whole tables")
        return self

    @property
    def fingerprint(self) -> str:
        """Changes when anything changes that a result depends on."""
        left_out = {"title", "licence", "citation", "obtain", "notes"}
        if self.method in {"table", "hats"}:
            # Where a file is does not matter; what is in it has a fingerprint of its own.
            left_out.add("where")
        return sha256(self.model_dump_json(exclude=left_out).encode()).hexdigest()[:16]

    @property
    def kept(self) -> list[str]:
        """Names of the columns to keep, with the prefix."""
        return [self.prefix + column.name for column in self.columns]

    def table(self) -> Table:
        """The table of its cross-match."""
        found = [replace(column, name=self.prefix + column.name) for column in RESULTS]
        kept = [
            Column(
                self.prefix + one.name,
                TYPES[one.type],
                one.unit,
                one.description,
                nullable=True,
                ucd=one.ucd,
            )
            for one in self.columns
        ]
        about = f"Counterparts of the unique sources in {self.title}"
        return Table("xmatch", about, (*MATCH, *found, *kept), ("region_num",))


def declared_in(path: Path) -> Catalogue:
    """Read the declaration of a catalogue, named as the file.

    Raises
    ------
    ConfigError
        If it cannot be read, has unknown keys or values that do not fit.
    """
    try:
        content = tomllib.loads(read_text(path, "The catalogue"))
        return declared_as(path.stem, content, str(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The catalogue {path} cannot be read ({error}).") from error


def declared_as(name: str, content: dict[str, Any], origin: str) -> Catalogue:
    """A declaration from its keys and values; see `declared_in`."""
    try:
        return Catalogue.model_validate({"name": name} | content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = "is not known" if first["type"] == "extra_forbidden" else first["msg"]
        raise ConfigError(
            f"The catalogue {origin} is declared wrongly: {f'{where}: ' if where else ''}{what}."
        ) from error


@cache
def registry() -> MappingProxyType[str, Catalogue]:
    """The catalogues that exod comes with, by name.

    Raises
    ------
    ConfigError
        If a declaration is wrong.

    Examples
    --------
    >>> registry()["gaia_dr3"].prefix
    'gaia_'
    """
    paths = sorted(catalogs_folder().glob("*.toml"))
    return MappingProxyType({path.stem: declared_in(path) for path in paths})


def known(name: str) -> Catalogue:
    """The catalogue of a name.

    Raises
    ------
    ConfigError
        If there is none; the sentence lists those that there are.
    """
    found = registry().get(name)
    if found is None:
        raise ConfigError(
            f"There is no catalogue {name!r}; known are {', '.join(registry())}, and a table of "
            f"your own is given as a file with --ra and --dec."
        )
    return found
