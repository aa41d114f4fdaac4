"""The services of the CDS through astroquery: X-Match, VizieR and SIMBAD.

astroquery is imported inside the functions: it is the extra ``catalogue`` of exod.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from exod.counterparts.registry import Catalogue
from exod.counterparts.service import ASKED, SOURCE, ServiceQuestion, Services
from exod.counterparts.standard import wanted
from exod.errors import DownloadError, InputError

XMATCH_LIMIT: Final = 180.0
"""Largest radius of X-Match, arcsec."""
MOST_ROWS: Final = 2_000_000
"""Rows that SIMBAD gives at most."""
_ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType({"otypes": "alltypes"})
"""Columns of SIMBAD that are not in its main table, and theirs, which has the object as oidref."""


def ask_xmatch(question: ServiceQuestion, services: Services) -> Any:
    """Ask X-Match for all rows of a table around positions."""
    from astropy import units
    from astroquery.xmatch import XMatchClass

    class XMatch(XMatchClass):
        def is_table_available(self, table_id: Any) -> bool:
            # Its list of all tables is long, and it says itself what it does not have.
            return isinstance(table_id, str)

    service = XMatch()
    service.URL = services.xmatch
    service.TIMEOUT = services.timeout
    found = service.query(
        cat1=question.table,
        cat2=question.catalogue.where,
        max_distance=question.reach_arcsec * units.arcsec,
        colRA1=ASKED[1],
        colDec1=ASKED[2],
        cache=False,
    )
    return _numbered(found, ASKED[0])


def ask_vizier(question: ServiceQuestion, services: Services) -> Any:
    """Ask VizieR for rows of a table around positions, or for all of it."""
    from astropy import units
    from astropy.table import Table
    from astroquery import cache_conf
    from astroquery.vizier import VizierClass

    class Vizier(VizierClass):
        def _server_to_url(self, return_type: str = "votable") -> str:
            return f"{services.vizier.rstrip('/')}/{return_type}"

    catalogue = question.catalogue
    service = Vizier(columns=["**", "_RAJ2000", "_DEJ2000"], row_limit=-1)
    service.TIMEOUT = services.timeout
    if catalogue.whole:
        # Kept answers are ours, which are checked first.
        with cache_conf.set_temp("cache_active", value=False):
            return _table_of(service.get_catalogs_async(catalogue.where), catalogue)
    where = Table(
        [question.ra_deg * units.deg, question.dec_deg * units.deg],
        names=["_RAJ2000", "_DEJ2000"],
    )
    response = service.query_region_async(
        where, radius=question.reach_arcsec * units.arcsec, catalog=catalogue.where, cache=False
    )
    # VizieR counts positions from 1.
    return _numbered(_table_of(response, catalogue), "_q", first=1)


def ask_simbad(question: ServiceQuestion, services: Services) -> Any:
    """Ask SIMBAD's TAP for all objects around positions, which are uploaded."""
    import requests
    from astroquery.simbad import SimbadClass
    from pyvo.dal import TAPService

    class Session(requests.Session):
        def request(self, *arguments: Any, **options: Any) -> requests.Response:
            return super().request(*arguments, **{"timeout": services.timeout} | options)

    class Simbad(SimbadClass):
        @property
        def tap(self) -> Any:
            return TAPService(baseurl=services.simbad, session=Session())

    catalogue = question.catalogue
    names = {name for column in catalogue.columns for name in column.names[:1]}
    names |= {catalogue.ra[0], catalogue.dec[0]}
    if catalogue.motion:
        names |= {catalogue.motion.ra[0], catalogue.motion.dec[0]}
    row, ra, dec = ASKED
    there = f"POINT('ICRS', basic.{catalogue.ra[0]}, basic.{catalogue.dec[0]})"
    circle = f"CIRCLE('ICRS', asked.{ra}, asked.{dec}, {question.reach_arcsec / 3600.0!r})"
    wanted_names = (f"{_ELSEWHERE.get(name, 'basic')}.{name}" for name in sorted(names))
    others = sorted({_ELSEWHERE[name] for name in names & _ELSEWHERE.keys()})
    query = (
        f"SELECT asked.{row}, {', '.join(wanted_names)} "  # noqa: S608
        f"FROM {catalogue.where} AS basic JOIN TAP_UPLOAD.asked AS asked "
        f"ON 1 = CONTAINS({there}, {circle})"
        + "".join(f" LEFT JOIN {other} ON {other}.oidref = basic.oid" for other in others)
    )
    answer = Simbad().tap.run_sync(query, maxrec=MOST_ROWS, uploads={"asked": question.table})
    found = answer.to_table()
    if len(found) >= MOST_ROWS:
        raise DownloadError("SIMBAD gives no more rows than this; ask for fewer positions at once.")
    return _numbered(found, row)


def _table_of(response: Any, catalogue: Catalogue) -> Any:
    """Of a VOTable that came over HTTP the first table with rows that has the columns wanted.

    The first with rows if none has them, so that it is told what it lacks; empty if none has rows.
    """
    from astropy.io import votable
    from astropy.table import Table

    response.raise_for_status()
    parsed = votable.parse(BytesIO(response.content), verify="ignore")
    tables = [table.to_table(use_names_over_ids=True) for table in parsed.iter_tables()]
    for info in parsed.infos:
        if info.name == "QUERY_STATUS" and info.value == "ERROR":
            raise ValueError(info.content or "it reports an error")
    full = [table for table in tables if len(table)]
    for table in full:
        with suppress(InputError):
            wanted(catalogue, table.colnames, catalogue.where)
            return table
    return full[0] if full else Table()


def _numbered(table: Any, name: str, first: int = 0) -> Any:
    """The table with the numbers of the positions asked for, from 0, as `SOURCE`."""
    if not len(table):
        return table
    if name not in table.colnames:
        raise DownloadError(
            f"The answer of the service lacks the column {name}, which says to which position "
            f"a row belongs."
        )
    table[SOURCE] = np.asarray(table[name]).astype(np.int64) - first
    return table
