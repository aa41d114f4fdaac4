"""The command that puts sources into event lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import app, complain, new_table, out, say
from exod.cli.options import Data, Input, Listed, Paths, input_paths, storage_options


@app.command()
def inject(
    to: Annotated[Path, typer.Option(metavar="DIR", help="Gets a folder an observation.")],
    paths: Paths = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,...",
            help="A source; repeatable. ra and dec, or off_axis (arcmin) and azimuth; counts in "
            "all cameras, or rate (of the most sensitive one, on axis), rate_<INSTRUME>; name, "
            "energy "
            "(keV), extent (arcsec); last, light=MODEL:KEY=VALUE,... with constant, box, gauss, "
            "fred, powerlaw, eclipse, periodic, qpe or table; times are seconds from the start.",
        ),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML or CSV file of sources, instead of --source."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the photons.")] = 1,
    listed: Listed = None,
    data: Data = None,
    input_options: Input = None,
) -> None:
    """Put sources photon by photon into event lists, and write them as new files.

    Example: `exod inject data/0001730201 --to injected --source
    "ra=263.67,dec=-32.58,counts=50,light=box:start=1000,duration=50" --seed 1`
    """
    from exod.stages.inputs.inject import inject_files, load_requests

    requests, tables = load_requests(source or [], sources)
    done = inject_files(
        input_paths(paths or [], listed, data),
        to,
        requests,
        seed,
        tables=tables,
        options=storage_options(input_options),
    )
    columns = ("Observation", "Source", "RA", "Dec", "Light curve")
    table = new_table("What was put in", *columns, numbers=("Expected", "Injected"))
    for observation in done:
        for row in observation.truth.to_dict("records"):
            place = (f"{row['ra_deg']:.4f}", f"{row['dec_deg']:.4f}", row["light"])
            counts = (f"{row['expected_total']:.1f}", str(row["counts_total"]))
            table.add_row(observation.obsid, row["name"], *place, *counts)
        for note in observation.notes:
            complain(f"exod: copied without new rows: {note}")
    out.print(table)
    say(f"To search: exod detect {to} --archive ARCHIVE")
