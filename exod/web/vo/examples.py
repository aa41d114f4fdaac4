"""Examples of statements, which clients of TAP offer their users (DALI 1.1, section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from exod.web.vo.adql import SCHEMA


@dataclass(frozen=True)
class Example:
    """A statement with what it is for.

    Attributes
    ----------
    key, name, purpose : str
        What it is called in an address and by people, and what it finds.
    statement : str
        ADQL.
    """

    key: str
    name: str
    purpose: str
    statement: str


_PLACE: Final = "POINT('ICRS', ra_deg, dec_deg)"
"""With the name of the system, which ADQL 2.0 wants and 2.1 allows."""

EXAMPLES: Final = (
    Example(
        "strongest",
        "The most significant sources",
        "Ten sources whose peaks stand out most, with what their best detections are.",
        "SELECT TOP 10 srcid, ra_deg, dec_deg, sigma_peak, best_kind, best_duration\n"
        f"FROM {SCHEMA}.sources\nORDER BY sigma_peak DESC",
    ),
    Example(
        "circle",
        "Sources in a circle",
        "All sources within a degree of a place, the nearest first; of other places, write others.",
        f"SELECT srcid, DISTANCE({_PLACE}, POINT('ICRS', 83.8, -5.4)) AS away\n"
        f"FROM {SCHEMA}.sources\n"
        f"WHERE 1 = CONTAINS({_PLACE}, CIRCLE('ICRS', 83.8, -5.4, 1))\nORDER BY away",
    ),
    Example(
        "short",
        "Short events",
        "Detections of less than 100 s with many counts, and the sources that they are of.",
        "SELECT TOP 100 s.srcid, d.detid, d.duration, d.excess\n"
        f"FROM {SCHEMA}.detections AS d\n"
        f"JOIN {SCHEMA}.sources AS s ON s.region_num = d.region_num\n"
        "WHERE d.duration < 100 AND d.excess > 10\nORDER BY excess DESC",
    ),
    Example(
        "returning",
        "Sources that were seen more than once",
        "Sources by the number of observations with a detection.",
        "SELECT n_observations, count(*) AS n_sources\n"
        f"FROM {SCHEMA}.sources\nGROUP BY n_observations\nORDER BY n_observations",
    ),
    Example(
        "columns",
        "What columns there are",
        "The columns of the sources with their units and meanings.",
        "SELECT column_name, unit, description\nFROM TAP_SCHEMA.columns\n"
        f"WHERE table_name = '{SCHEMA}.sources'",
    ),
)


def examples_page() -> str:
    """The examples as a page of XHTML in which programs find them."""
    listed = "".join(
        f'<div typeof="example" id="{one.key}" resource="#{one.key}">'
        f'<h2 property="name">{escape(one.name)}</h2><p>{escape(one.purpose)}</p>'
        f'<pre property="query">{escape(one.statement)}</pre></div>\n'
        for one in EXAMPLES
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" lang="en"><head><title>Examples of ADQL</title>'
        '</head>\n<body vocab="http://www.ivoa.net/rdf/examples#">\n<h1>Examples of ADQL</h1>\n'
        f"{listed}</body></html>\n"
    )
