"""Services: positions asked for in batches, tried again, kept, and checked before they are used."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exod.archive.parquet import to_pandas
from exod.counterparts.cache import REMEDY
from exod.counterparts.chance import with_chance
from exod.counterparts.matching import MatchedPairs, Positions, measured, nearest
from exod.counterparts.registry import Catalogue
from exod.counterparts.standard import ROW, conversions, nothing, positions, standard, wanted
from exod.errors import ConfigError, DownloadError, InputError
from exod.files.retry import PASSING_STATUS, PassingError, persistently
from exod.files.whole import write_whole
from exod.sky.sphere import angle, unit_vectors
from exod.tablefiles.plain import arrow_of

SOURCE: Final = "_source"
"""Column of answers: which of the positions asked for a row belongs to."""
ASKED: Final = ("exod_row", "exod_ra", "exod_dec")
"""Columns of what is sent: number of the source, position in degrees."""

_LAYOUT: Final = 1
_SLACK_ARCSEC: Final = 1.0
"""Positions are rounded on their way."""
_YEARS: Final = 50.0
"""Services may search at another epoch than that of the positions they give."""


class Services(BaseModel):
    """Where the services are and how they are asked.

    Attributes
    ----------
    xmatch, vizier, simbad : str
        Addresses: of X-Match, of the folder of VizieR's scripts, of SIMBAD's TAP.
    batch : int
        Positions asked for at once.
    attempts : int
        Tries of each question.
    wait : float
        Seconds before the second try; doubled before each further one.
    timeout : float
        Longest silence in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    xmatch: str = "http://cdsxmatch.u-strasbg.fr/xmatch/api/v1/sync"
    vizier: str = "https://vizier.cds.unistra.fr/viz-bin/"
    simbad: str = "https://simbad.cds.unistra.fr/simbad/sim-tap"
    batch: int = Field(default=2000, ge=1, le=100_000)
    attempts: int = Field(default=4, ge=1)
    wait: float = Field(default=2.0, ge=0)
    timeout: float = Field(default=300.0, gt=0)

    @classmethod
    def of(cls, text: str | None) -> Services:
        """Settings from JSON text.

        Raises
        ------
        ConfigError
            If it is no object of known settings.
        """
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(
                f"--services takes a JSON object with some of {', '.join(cls.model_fields)}: "
                f"{where} {first['msg']}."
            ) from error


@dataclass(frozen=True)
class ServiceQuestion:
    """Some positions, and how far around each.

    Attributes
    ----------
    catalogue : Catalogue
        What is asked for.
    ra_deg, dec_deg : ndarray of float64
        Positions; empty if a whole table is asked for.
    reach_arcsec : float
        Radius.
    """

    catalogue: Catalogue
    ra_deg: np.ndarray
    dec_deg: np.ndarray
    reach_arcsec: float

    @property
    def table(self) -> Any:
        """What is sent, as an astropy table with the columns `ASKED`."""
        from astropy.table import Table

        values = [np.arange(len(self.ra_deg)), self.ra_deg, self.dec_deg]
        return Table(values, names=ASKED)

    @property
    def key(self) -> str:
        """Changes with anything that the answer depends on."""
        about = f"{_LAYOUT} {self.catalogue.fingerprint} {self.reach_arcsec!r}"
        digest = sha256(about.encode())
        digest.update(np.ascontiguousarray(self.ra_deg, np.float64).tobytes())
        digest.update(np.ascontiguousarray(self.dec_deg, np.float64).tobytes())
        return digest.hexdigest()[:32]


Ask = Callable[[ServiceQuestion, Services], Any]
"""Asks a service: an astropy table with the numbers of the positions in `SOURCE`, or bytes."""


@dataclass(frozen=True)
class Asker:
    """A service with what it answered before.

    Attributes
    ----------
    name : str
        What it is called in messages.
    ask : callable
        Asks it.
    services : Services
        Settings.
    cache : Path
        Where answers are kept.
    refresh : bool
        Whether to ask again what was answered before.
    say : callable
        Is told how far it is, a sentence.
    """

    name: str
    ask: Ask
    services: Services
    cache: Path
    refresh: bool = False
    say: Callable[[str], None] = lambda _sentence: None

    def answer(self, question: ServiceQuestion) -> pa.Table:
        """The answer to a question, checked; kept ones first.

        Returns
        -------
        pyarrow.Table
            The columns of `exod.counterparts.standard.standard`, and `SOURCE`.

        Raises
        ------
        DownloadError
            If the service cannot be reached, fails, or gives what was not asked for.
        """
        path = self.cache / "answers" / f"{question.catalogue.name}-{question.key}.parquet"
        if path.is_file() and not self.refresh:
            try:
                return pq.read_table(path)
            except (OSError, pa.ArrowException):
                path.unlink(missing_ok=True)
        settings = self.services
        found = persistently(partial(self._once, question), settings.attempts, settings.wait)
        buffer = BytesIO()
        pq.write_table(found, buffer, compression="zstd")
        write_whole(path, buffer.getvalue(), error=InputError, remedy=REMEDY)
        return found

    def _once(self, question: ServiceQuestion) -> pa.Table:
        try:
            with warnings.catch_warnings():
                # Of VOTables that are not to the letter, and of libraries about them.
                warnings.simplefilter("ignore")
                table, _ = arrow_of(self.ask(question, self.services))
        except DownloadError:
            raise
        except ImportError as error:
            raise DownloadError(
                f"{self.name} is asked by astroquery, which is missing; install exod[catalogue]."
            ) from error
        except Exception as error:
            # astroquery raises whatever its parsers do.
            raise self._wrong(error) from error
        return checked(table, question, self.name)

    def _wrong(self, error: Exception) -> DownloadError:
        status = _status(error)
        if status and status not in PASSING_STATUS:
            return DownloadError(
                f"{self.name} refuses the question (HTTP {status}: {_brief(error)})."
            )
        if status:
            return PassingError(
                f"{self.name} does not answer now (HTTP {status}); try again later."
            )
        kinds = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
        if kinds & {"InvalidQueryError", "DALQueryError"}:
            return DownloadError(f"{self.name} refuses the question ({_brief(error)}).")
        if kinds & {"RequestException", "TimeoutError", "DALServiceError"}:
            return PassingError(f"{self.name} cannot be reached ({_brief(error)}).")
        return PassingError(f"{self.name} answered what is not a table ({_brief(error)}).")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int:
    """HTTP status in what led to an error; 0 if there is none."""
    for one in _chain(error):
        # requests has it in the answer, pyvo in the error.
        status = getattr(getattr(one, "response", None), "status_code", None)
        status = status or getattr(one, "code", None)
        if isinstance(status, int) and status >= 400:
            return status
    return 0


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."


def checked(table: pa.Table, question: ServiceQuestion, name: str) -> pa.Table:
    """An answer with the columns of the cross-match, if it is one to the question.

    Raises
    ------
    DownloadError
        If columns are missing, rows belong to no position that was asked for, or are too far from
        it.
    """
    catalogue = question.catalogue
    origin = f"The answer of {name}"
    if not len(table):
        if catalogue.whole:
            raise DownloadError(f"{origin} has no rows.")
        return nothing(catalogue).append_column(SOURCE, pa.array([], pa.int64()))
    unit = {field.name: (field.metadata or {}).get(b"unit", b"").decode() for field in table.schema}
    try:
        which = wanted(catalogue, [column for column in unit if column != SOURCE], origin)
        factors, _ = conversions(which, catalogue, unit, origin)
        if catalogue.whole:
            numbered = table.append_column(ROW, pa.array(np.arange(len(table))))
            return standard(numbered, which, catalogue, factors, origin)
        # The number of its source travels as that of the row, so that those left out leave both.
        rows = standard(table.append_column(ROW, table[SOURCE]), which, catalogue, factors, origin)
    except InputError as error:
        raise DownloadError(str(error)) from error
    _check_rows(rows, question, origin)
    return rows.append_column(SOURCE, rows[ROW])


def _check_rows(rows: pa.Table, question: ServiceQuestion, origin: str) -> None:
    sources = rows[ROW].to_numpy()
    if len(sources) and not (sources.min() >= 0 and sources.max() < len(question.ra_deg)):
        raise DownloadError(f"{origin} has rows of positions that were not asked for.")
    there = positions(to_pandas(rows), question.catalogue)
    here = Positions(question.ra_deg, question.dec_deg)
    apart = measured(here, there, sources, np.arange(len(rows))).sep_arcsec
    allowed = np.full(len(rows), question.reach_arcsec + _SLACK_ARCSEC)
    if there.pm_ra is not None and there.pm_dec is not None:
        allowed = allowed + np.nan_to_num(np.hypot(there.pm_ra, there.pm_dec)) * _YEARS
    if (apart > allowed).any():
        raise DownloadError(
            f"{origin} has positions {apart.max():.0f} arcsec away, though "
            f"{question.reach_arcsec:.0f} were asked for."
        )


def match_service(
    sources: Positions, catalogue: Catalogue, asker: Asker, farthest: float
) -> pd.DataFrame:
    """The nearest row of each source in a catalogue that a service has.

    Parameters
    ----------
    sources : Positions
        Finite positions.
    catalogue : Catalogue
        What is asked for.
    asker : Asker
        The service.
    farthest : float
        Largest radius that the service allows, arcsec.

    Returns
    -------
    DataFrame
        As of `exod.counterparts.partitions.match_partitions`.

    Raises
    ------
    ConfigError
        If the service does not allow the radius.
    DownloadError
        If the service fails.
    """
    if catalogue.radius_arcsec > farthest:
        raise ConfigError(
            f"{asker.name} takes radii of at most {farthest:g} arcsec, and that of "
            f"{catalogue.name} is {catalogue.radius_arcsec:g}."
        )
    reach = min(farthest, max(catalogue.density_radius_arcsec, radius_to_ask(sources, catalogue)))
    empty = nothing(catalogue).append_column(SOURCE, pa.array([], pa.int64()))
    blocks = [_match_answer(sources, to_pandas(empty), catalogue, reach)]
    for start in range(0, len(sources), asker.services.batch):
        numbers = np.arange(start, min(start + asker.services.batch, len(sources)))
        some = sources.take(numbers)
        rows = asker.answer(ServiceQuestion(catalogue, some.ra_deg, some.dec_deg, reach))
        found = _match_answer(some, to_pandas(rows), catalogue, reach)
        blocks.append(found.assign(source=numbers[found["source"]]))
        asker.say(f"{catalogue.name}: {len(numbers) + start:,} of {len(sources):,} positions")
    return pd.concat([block for block in blocks if len(block)] or blocks[:1], ignore_index=True)


def radius_to_ask(sources: Positions, catalogue: Catalogue) -> float:
    """Radius that holds all counterparts, wherever their motion takes them, rounded up to 10"."""
    if catalogue.motion is None or catalogue.epoch is None or sources.year is None:
        return catalogue.radius_arcsec
    # From 2000 to now whatever the epochs: so the question of a source does not depend on others.
    known = np.concatenate([sources.year[np.isfinite(sources.year)], [2000.0, catalogue.epoch]])
    years = float(np.abs(known - catalogue.epoch).max())
    moved = catalogue.radius_arcsec + years * catalogue.motion.fastest_arcsec_yr
    return float(np.ceil(moved / 10.0) * 10.0)


def _match_answer(
    sources: Positions, rows: pd.DataFrame, catalogue: Catalogue, reach: float
) -> pd.DataFrame:
    there = positions(rows, catalogue)
    source = rows[SOURCE].to_numpy(np.int64)
    order = np.argsort(source, kind="stable")
    met = measured(sources, there, source[order], order)
    found = nearest(met.within(catalogue.radius_arcsec))
    values = rows[catalogue.kept].iloc[found["row"]].reset_index(drop=True)
    found = pd.concat([found.drop(columns="row"), values], axis=1)
    outer = _outer(sources, there, met, catalogue, reach)[found["source"]]
    return with_chance(found, outer, catalogue.radius_arcsec, reach)


def _outer(
    sources: Positions,
    rows: Positions,
    met: MatchedPairs,
    catalogue: Catalogue,
    reach: float,
) -> np.ndarray:
    """As `exod.counterparts.chance.outer_distances`, of the rows of an answer."""
    here = unit_vectors(sources.ra_deg[met.source], sources.dec_deg[met.source])
    there = unit_vectors(rows.ra_deg[met.row], rows.dec_deg[met.row])
    apart = angle(np.linalg.norm(here - there, axis=-1))
    ring = (apart > catalogue.radius_arcsec) & (apart <= reach)
    source, apart = met.source[ring], apart[ring]
    order = np.lexsort((apart, source))
    source, apart = source[order], apart[order]
    rank = np.arange(len(source)) - np.searchsorted(source, source)
    every = np.full((len(sources), catalogue.neighbours), np.inf)
    few = rank < catalogue.neighbours
    every[source[few], rank[few]] = apart[few]
    return every
