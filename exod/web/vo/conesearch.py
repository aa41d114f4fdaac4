"""Simple Cone Search 1.03: the sources around a position, as a VOTable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from exod.archive.questions.cone import box_sql, check_cone, separation_sql
from exod.archive.questions.sql import patient
from exod.errors import ConfigError, ExodError
from exod.schemas.conditions.compiling import literal, quoted
from exod.stages.query.statements import answered
from exod.tablefiles import votable
from exod.web.product import Product
from exod.web.vo.answering import MOST_ROWS, PATIENCE_SECONDS
from exod.web.vo.tapschema import shown_table

UCDS: Final = {"srcid": "ID_MAIN", "ra_deg": "POS_EQ_RA_MAIN", "dec_deg": "POS_EQ_DEC_MAIN"}
"""The UCDs of version 1 by which clients find a source: no others may be in their place."""

_FIRST: Final = (
    *("srcid", "ra_deg", "dec_deg", "pos_err_arcsec", "region_num", "n_detections"),
    *("n_observations", "first_seen", "last_seen"),
)
_MAIN: Final = (
    *("best_detid", "best_obsid", "best_kind", "best_t_bin", "best_e_lo", "best_e_hi"),
    *("best_t_start_mjd", "best_duration", "best_excess", "best_peak_rate", "best_flux_peak"),
    "best_hr_event",
    *("sigma_peak", "sigma_eclipse", "fap_obs"),
)


@dataclass(frozen=True)
class ConeQuery:
    """What a cone search asks.

    Attributes
    ----------
    ra_deg, dec_deg, radius_deg : float
        Centre and radius, ICRS.
    verbosity : int
        1 for few columns, 2 for the main ones, 3 for all.
    rows : int
        Rows at most.
    """

    ra_deg: float
    dec_deg: float
    radius_deg: float
    verbosity: int = 2
    rows: int = MOST_ROWS

    @classmethod
    def read(cls, parameters: dict[str, str]) -> ConeQuery:
        """What an address asks; names of parameters are in upper case.

        Raises
        ------
        ConfigError
            If a parameter is missing or cannot be.
        """
        ra, dec, radius = (_number(parameters, name) for name in ("RA", "DEC", "SR"))
        verbosity = _whole(parameters, "VERB", 2)
        if verbosity not in {1, 2, 3}:
            raise ConfigError("VERB is 1, 2 or 3.")
        try:
            check_cone(ra, dec, radius * 3600.0)
        except ExodError as error:
            raise ConfigError(str(error)) from error
        if not 0 <= radius <= 180:
            raise ConfigError(f"SR is a radius of 0 to 180 deg, not {radius:g}.")
        rows = min(_whole(parameters, "MAXREC", MOST_ROWS), MOST_ROWS)
        return cls(ra % 360.0, dec, radius, verbosity, rows)


def problem(text: str) -> str:
    """An error as cone search tells it: a VOTable with an INFO called Error."""
    return votable.message({"Error": (text, text), "QUERY_STATUS": ("ERROR", text)})


@contextmanager
def found_around(product: Product, asked: ConeQuery) -> Iterator[Iterator[str]]:
    """The text of the VOTable of the sources in a circle, the nearest first.

    Raises
    ------
    ConfigError
        If that takes too long.
    ArchiveError
        If a file of the archive cannot be read.
    """
    table = shown_table(product, "sources")
    names = {1: _FIRST, 2: _FIRST + _MAIN}.get(asked.verbosity, tuple(table.schema.names))
    columns = [column for column in table.columns if column.name in names]
    place = ('"ra_deg"', '"dec_deg"', asked.ra_deg, asked.dec_deg)
    radius = asked.radius_deg * 3600.0
    apart = separation_sql(*place)
    # A radius of 0 asks for the columns only.
    rows = 0 if radius == 0 else asked.rows + 1
    words = (
        *("SELECT", ", ".join(quoted(column.name) for column in columns), "FROM sources WHERE"),
        *(box_sql(*place, radius), "AND", apart, "<=", literal(radius)),
        *("ORDER BY", apart, f", region_num LIMIT {rows}"),
    )
    with (
        product.connected(["sources"], plain=True) as connection,
        patient(connection, PATIENCE_SECONDS, "ask for a smaller circle") as patience,
        answered(connection, patience, " ".join(words)) as found,
    ):

        def text() -> Iterator[str]:
            about = f"Sources within {asked.radius_deg:g} deg of {asked.ra_deg:g} {asked.dec_deg:g}"
            ok = {"QUERY_STATUS": ("OK", "")}
            yield votable.opening(
                columns, ok, name="sources", description=about, ucds=ucds(columns)
            )
            left = asked.rows
            is_cut = False
            for chunk in found.chunks():
                yield votable.body(chunk.slice(0, left))
                is_cut |= chunk.num_rows > left
                left = max(left - chunk.num_rows, 0)
            yield votable.closing(votable.overflow(asked.rows) if is_cut else {})

        yield text()


def ucds(columns: list) -> dict[str, str]:
    """What each column is in words of the first version, where cone search needs it."""
    main = {column.name: column.ucd.removesuffix(";meta.main") for column in columns}
    return main | UCDS


def _number(parameters: dict[str, str], name: str) -> float:
    try:
        return float(parameters[name])
    except KeyError:
        raise ConfigError(
            f"{name} is missing; a cone search needs RA, DEC and SR in deg."
        ) from None
    except ValueError:
        raise ConfigError(f"{name}={parameters[name][:50]} is no number of deg.") from None


def _whole(parameters: dict[str, str], name: str, usual: int) -> int:
    text = parameters.get(name, "")
    if not text:
        return usual
    if not text.isdecimal() or len(text) > 12:
        raise ConfigError(f"{name}={text[:50]} is no whole number.")
    return int(text)
