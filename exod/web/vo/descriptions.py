"""What the services are, for clients and registries: VOSI 1.1 and a record of VODataService 1.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from exod.schemas.columns import Column, Table
from exod.tablefiles.votable import MEDIA_TYPE, datatype
from exod.web.product import Product
from exod.web.vo.adql import SCHEMA
from exod.web.vo.answering import MOST_ROWS, USUAL_ROWS
from exod.web.vo.jobs import KEPT, LONGEST_KEPT, MOST_SECONDS
from exod.web.vo.reserved import in_statement
from exod.web.vo.tapschema import ForeignKey, foreign_keys, schema_tables

_XML: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'

_SPACES: Final = (
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:vr="http://www.ivoa.net/xml/VOResource/v1.0" '
    'xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1" '
    'xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0" '
    'xmlns:cs="http://www.ivoa.net/xml/ConeSearch/v1.0"'
)

_TAP: Final = "ivo://ivoa.net/std/TAP"
_VOSI: Final = "ivo://ivoa.net/std/VOSI"
_EXAMPLES: Final = "ivo://ivoa.net/std/DALI#examples"


@dataclass(frozen=True)
class Publisher:
    """Who publishes an archive: what a registry asks, and an archive does not know.

    Attributes
    ----------
    authority : str
        The naming authority that was registered, as ``example.org``.
    name, email : str
        Of those who answer for it.
    """

    authority: str = "unregistered"
    name: str = "unnamed"
    email: str = ""


def availability() -> str:
    """Whether the service is there: if it says so it is."""
    space = 'xmlns:vosi="http://www.ivoa.net/xml/VOSIAvailability/v1.0"'
    return (
        f"{_XML}<vosi:availability {space}>"
        "<vosi:available>true</vosi:available></vosi:availability>\n"
    )


def capabilities(base: str) -> str:
    """What the TAP service can do.

    Parameters
    ----------
    base : str
        The address of the site, with a slash at its end.
    """
    space = 'xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0"'
    return f"{_XML}<vosi:capabilities {space} {_SPACES}>{_tap(base)}</vosi:capabilities>\n"


def tables(known: Mapping[str, Table], *, detailed: bool = True) -> str:
    """All tables with their columns.

    Parameters
    ----------
    known : Mapping of str to Table
        Those of the archive.
    detailed : bool
        Whether columns are listed.
    """
    space = 'xmlns:vosi="http://www.ivoa.net/xml/VOSITables/v1.0"'
    inside = _schemas(known, detailed=detailed)
    return f"{_XML}<vosi:tableset {space} {_SPACES}>{inside}</vosi:tableset>\n"


def one_table(name: str, table: Table, keys: Sequence[ForeignKey]) -> str:
    """One of them.

    Parameters
    ----------
    name : str
        With its schema.
    table : Table
        Its columns.
    keys : sequence of ForeignKey
        Of all tables.
    """
    space = 'xmlns:vosi="http://www.ivoa.net/xml/VOSITables/v1.0"'
    return (
        f'{_XML}<vosi:table {space} {_SPACES} xsi:type="vs:Table">'
        f"{_inside(name, table, keys)}</vosi:table>\n"
    )


def resource(product: Product, known: Mapping[str, Table], base: str, publisher: Publisher) -> str:
    """The record of the archive for a registry: cone search, TAP and all tables.

    Parameters
    ----------
    product : Product
        The archive.
    known : Mapping of str to Table
        Its tables.
    base : str
        The address of the site, with a slash at its end.
    publisher : Publisher
        What the archive does not know.
    """
    made = product.meta["made"].removesuffix("Z")
    title = f"Fast X-ray transients of {product.telescopes}: {product.meta['archive']}"
    email = f"<email>{escape(publisher.email)}</email>" if publisher.email else ""
    name = escape(publisher.name)
    columns = escape(" ".join(table.description for table in known.values()))
    return (
        f'{_XML}<ri:Resource xmlns:ri="http://www.ivoa.net/xml/RegistryInterface/v1.0" {_SPACES} '
        f'xsi:type="vs:CatalogService" created="{made}" updated="{made}" status="active">'
        f"<title>{escape(title)}</title><shortName>EXOD</shortName>"
        f"<identifier>ivo://{escape(publisher.authority)}/exod/{_path(product)}</identifier>"
        f"<curation><publisher>{name}</publisher>"
        f"<contact><name>{name}</name>{email}</contact></curation>"
        "<content><subject>transient-sources</subject><subject>x-ray-surveys</subject>"
        f"<description>Fast transients, peaks and eclipses, in observations of "
        f"{escape(product.telescopes)}. "
        f"{columns}</description>"
        f"<referenceURL>{escape(base)}</referenceURL><type>Catalog</type></content>"
        f"{_cone(base)}{_tap(base)}"
        "<coverage><waveband>X-ray</waveband></coverage>"
        f"<tableset>{_schemas(known, detailed=True)}</tableset></ri:Resource>\n"
    )


def _path(product: Product) -> str:
    kept = (
        c if c.isascii() and (c.isalnum() or c in "-._") else "-" for c in product.meta["archive"]
    )
    return "".join(kept)


def _cone(base: str) -> str:
    return (
        '<capability standardID="ivo://ivoa.net/std/ConeSearch" xsi:type="cs:ConeSearch">'
        f'<interface xsi:type="vs:ParamHTTP" role="std" version="1.0">'
        f'<accessURL use="base">{escape(base)}vo/scs?</accessURL>'
        f"<queryType>GET</queryType><resultType>{MEDIA_TYPE}</resultType></interface>"
        f"<maxSR>180</maxSR><maxRecords>{MOST_ROWS}</maxRecords><verbosity>true</verbosity>"
        "<testQuery><ra>0</ra><dec>0</dec><sr>1</sr></testQuery></capability>"
    )


def _tap(base: str) -> str:
    site = escape(base)
    output = "".join(
        f"<outputFormat><mime>{mime}</mime><alias>{alias}</alias></outputFormat>"
        for mime, alias in (
            (MEDIA_TYPE, "votable"),
            ("text/csv", "csv"),
            ("text/tab-separated-values", "tsv"),
            ("application/fits", "fits"),
        )
    )
    shapes = "".join(
        f"<feature><form>{name}</form></feature>"
        for name in (
            *("POINT", "CIRCLE", "BOX", "POLYGON", "CONTAINS", "INTERSECTS", "DISTANCE"),
            *("COORD1", "COORD2"),
        )
    )
    kept, longest = (int(time.total_seconds()) for time in (KEPT, LONGEST_KEPT))
    return (
        f'<capability standardID="{_TAP}" xsi:type="tr:TableAccess">'
        '<interface xsi:type="vs:ParamHTTP" role="std" version="1.1">'
        f'<accessURL use="base">{site}vo/tap</accessURL></interface>'
        '<language><name>ADQL</name><version ivo-id="ivo://ivoa.net/std/ADQL#v2.1">2.1</version>'
        "<description>One SELECT; BOX and POLYGON of numbers</description>"
        '<languageFeatures type="ivo://ivoa.net/std/TAPRegExt#features-adqlgeo">'
        f"{shapes}</languageFeatures></language>{output}"
        f"<retentionPeriod><default>{kept}</default><hard>{longest}</hard></retentionPeriod>"
        f"<executionDuration><default>{MOST_SECONDS}</default><hard>{MOST_SECONDS}</hard>"
        f'</executionDuration><outputLimit><default unit="row">{USUAL_ROWS}</default>'
        f'<hard unit="row">{MOST_ROWS}</hard></outputLimit></capability>'
        + "".join(
            f'<capability standardID="{_VOSI}#{name}"><interface xsi:type="vs:ParamHTTP" '
            f'role="std"><accessURL use="full">{site}vo/tap/{name}</accessURL></interface>'
            "</capability>"
            for name in ("capabilities", "availability", "tables")
        )
        + f'<capability standardID="{_EXAMPLES}"><interface xsi:type="vr:WebBrowser">'
        f'<accessURL use="full">{site}vo/tap/examples</accessURL></interface></capability>'
    )


def _schemas(known: Mapping[str, Table], *, detailed: bool) -> str:
    own = {name: table for name, (table, _) in schema_tables({}).items()}
    keys = foreign_keys(known)
    return "".join(
        f"<schema><name>{schema}</name>"
        + "".join(
            f"<table>{_inside(f'{schema}.{name}', table, keys, detailed=detailed)}</table>"
            for name, table in those.items()
        )
        + "</schema>"
        for schema, those in ((SCHEMA, known), ("TAP_SCHEMA", own))
    )


def _inside(name: str, table: Table, keys: Sequence[ForeignKey], *, detailed: bool = True) -> str:
    head = f"<name>{name}</name><description>{escape(table.description)}</description>"
    if not detailed:
        return head
    own = (_foreign_key(key) for key in keys if key.from_table == name)
    return head + "".join((*map(_column, table.columns), *own))


def _foreign_key(key: ForeignKey) -> str:
    return (
        f"<foreignKey><targetTable>{key.target_table}</targetTable>"
        f"<fkColumn><fromColumn>{key.from_column}</fromColumn>"
        f"<targetColumn>{key.target_column}</targetColumn></fkColumn></foreignKey>"
    )


def _column(column: Column) -> str:
    kind, size = datatype(column)
    size = f' arraysize="{size}"' if size else ""
    parts = {"description": column.description, "unit": column.unit, "ucd": column.ucd}
    about = "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in parts.items() if text)
    return (
        f"<column><name>{escape(in_statement(column.name))}</name>{about}"
        f'<dataType xsi:type="vs:VOTableType"{size}>{kind}</dataType></column>'
    )
