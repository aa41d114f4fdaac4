"""Commands that ask an archive questions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from exod.cli.app import PlainConsole, app, new_table, out, say
from exod.cli.options import Archive_, Overwrite, Storage, storage_options
from exod.errors import ConfigError, plural

if TYPE_CHECKING:
    import pyarrow as pa

    from exod.schemas.columns import Table
    from exod.stages.query.rows import PlannedQuery

To = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write .csv, .ecsv, .fits, .parquet, .vot or .jsonl [show the first]."
    ),
]

SHOWN_ROWS = 20
"""Rows that a terminal shows."""

_IDENTIFIERS = ("detid", "runid", "srcid", "obsid")

_FIRST = {
    "sources": "srcid ra_deg dec_deg n_detections n_observations n_undetected sigma_peak fap_obs",
    "detections": "detid srcid ra_deg dec_deg sigma_peak sigma_eclipse duration",
    "regions": "detid ra_deg dec_deg pos_err_arcsec kind sigma_peak sigma_eclipse duration",
    "members": "detid srcid separation_arcsec",
    "runs": "runid n_frames n_bti n_regions false_peaks n90",
}
"""Columns of each table that a terminal shows first."""


@app.command()
def query(
    root: Archive_,
    cone: Annotated[
        str | None, typer.Option(metavar="RA,DEC,ARCSEC", help="Rows within a circle.")
    ] = None,
    where: Annotated[
        str, typer.Option(metavar="CONDITION", help="As in 'sigma_peak > 5 and duration < 100'.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of a source, or how it begins.")] = "",
    obsid: Annotated[list[str] | None, typer.Option(help="An observation; repeatable.")] = None,
    table: Annotated[
        str,
        typer.Option(
            help="sources, detections, regions, members, lineage, features, flags, runs, "
            "lightcurves, matches:NAME, ... [what fits the question]."
        ),
    ] = "",
    flag: Annotated[
        list[str] | None, typer.Option(help="A flag that is set, as 5sig; repeatable.")
    ] = None,
    no_flag: Annotated[
        list[str] | None, typer.Option(help="A flag that is not set, as hot_pixel; repeatable.")
    ] = None,
    columns: Annotated[str, typer.Option(metavar="A,B,...", help="The columns wanted [all].")] = "",
    matches: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME", help="Add counterparts of a catalogue; repeatable."),
    ] = None,
    sort: Annotated[
        str, typer.Option(metavar="COLUMN", help="Smallest first; -COLUMN for largest first.")
    ] = "",
    limit: Annotated[int | None, typer.Option(min=0, help="Largest number of rows.")] = None,
    from_url: Annotated[
        str,
        typer.Option(metavar="URL", help="The rows that a page of `exod explore` shows."),
    ] = "",
    to: To = None,
    overwrite: Overwrite = False,
    storage: Storage = None,
) -> None:
    """Find sources, detections or rows of any table, and show or write them.

    Example: `exod query results --cone 263.65,-32.58,60 --where "sigma_peak > 5" --to found.fits`
    """
    from exod.archive import open_archive
    from exod.schemas.conditions import Cone, Query
    from exod.stages.query.rows import PlannedQuery

    asked = Query(
        table=table,
        where=where,
        cone=Cone.parse(cone) if cone else None,
        name=name,
        obsids=tuple(obsid or ()),
        flags=tuple(flag or ()),
        no_flags=tuple(no_flag or ()),
        columns=tuple(part.strip() for part in columns.split(",") if part.strip()),
        matches=tuple(matches or ()),
        sort=sort,
        limit=limit,
    )
    _check(to, overwrite=overwrite)
    if from_url:
        if replace(asked, columns=(), limit=None) != Query():
            raise ConfigError(
                "--from-url says which rows are wanted; of other options it takes --columns, "
                "--limit and --to."
            )
        from exod.web.counting import viewed

        archive = open_archive(root, storage_options(storage))
        answer, chunks = viewed(archive, from_url, asked.columns, limit)
        first = _FIRST[answer.name].split()
        shown = [n for n in answer.schema.names if asked.columns or n in first]
        _give(answer, chunks, to, overwrite=overwrite, visible=shown)
        return
    found = PlannedQuery(open_archive(root, storage_options(storage)), asked)
    visible = list(asked.columns) or _visible(found)
    question = found.question(visible if to is None else None)
    _give(found.table, question.chunks(), to, overwrite=overwrite, visible=visible)


@app.command()
def sql(
    root: Archive_,
    statement: Annotated[
        str, typer.Argument(metavar="SELECT", help="A query; without one, the tables are listed.")
    ] = "",
    to: To = None,
    overwrite: Overwrite = False,
    timeout: Annotated[
        float, typer.Option(metavar="S", min=0, help="Longest time for the answer; 0 for no limit.")
    ] = 600.0,
    storage: Storage = None,
) -> None:
    """Ask an archive in SQL, through DuckDB.

    Example: `exod sql results "SELECT kind, count(*) FROM regions GROUP BY kind"`
    """
    from exod.archive import open_archive
    from exod.stages.query.statements import connect, list_tables

    _check(to, overwrite=overwrite)
    archive = open_archive(root, storage_options(storage))
    if not statement.strip():
        listed = new_table(f"Tables of {escape(root)}", "Table", "Columns")
        for name, columns in list_tables(archive):
            listed.add_row(escape(name), escape(", ".join(columns)))
        out.print(listed)
        return
    with connect(archive, statement, timeout) as answer:
        names = answer.table.schema.names
        _give(answer.table, answer.chunks(), to, overwrite=overwrite, visible=names)


def _check(to: Path | None, *, overwrite: bool) -> None:
    if to is not None:
        from exod.tablefiles.writing import check_target

        check_target(to, overwrite=overwrite)


def _give(
    table: Table,
    chunks: Iterable[pa.Table],
    to: Path | None,
    *,
    overwrite: bool,
    visible: Sequence[str],
) -> None:
    """Write rows to a file, or show the first of them."""
    if to is None:
        _show(table, chunks, visible)
        return
    from exod.tablefiles.writing import write_table

    rows = write_table(to, table, chunks, overwrite=overwrite)
    say(f"{plural(rows, 'row')} of {table.name} in {to}")


def _show(table: Table, chunks: Iterable[pa.Table], visible: Sequence[str]) -> None:
    shown = new_table(escape(table.name))
    units = {column.name: column.unit for column in table.columns}
    for name in visible:
        unit = f" ({units[name]})" if units[name] else ""
        shown.add_column(escape(f"{name}{unit}"), overflow="fold", no_wrap=name in _IDENTIFIERS)
    total = 0
    for chunk in chunks:
        for row in chunk.slice(0, max(0, SHOWN_ROWS - total)).select(visible).to_pylist():
            shown.add_row(*(escape(_cell(value)) for value in row.values()))
        total += chunk.num_rows
    # What reads a pipe wants a line a row.
    (out if out.is_terminal else PlainConsole(width=10_000, highlight=False)).print(shown)
    said = plural(total, "row")
    if total > SHOWN_ROWS:
        said += f", of which these are the first {SHOWN_ROWS}"
    hidden = len(table.columns) - len(visible)
    if hidden:
        said += f"; {plural(hidden, 'column')} more with --columns or --to"
    out.print(f"{said}.", soft_wrap=True)


def _visible(found: PlannedQuery) -> list[str]:
    """The columns that fit a terminal, if the user named none."""
    names = found.table.schema.names
    first = _FIRST.get(found.table.name, " ".join(names[:8])).split()
    wanted = {*first, *found.added[:6]}
    return [name for name in names if name in wanted]


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, float):
        return str(value)
    # Times in seconds and days have many digits before the point, and what counts stands after it.
    if 1000.0 <= abs(value) < 1e12:
        return f"{value:.5f}".rstrip("0").rstrip(".")
    return f"{value:.6g}"
