"""The command that says how sources vary over hours."""

from __future__ import annotations

from math import isfinite
from typing import Annotated

import typer

from exod.cli.app import app, err, new_table, out
from exod.cli.onerun import Places, archive_of, one_observation
from exod.cli.options import Input, Storage
from exod.errors import ConfigError


@app.command()
def variability(
    places: Places,
    most: Annotated[float, typer.Option(help="Largest probability that is shown.")] = 1.0,
    storage: Storage = None,
    source: Input = None,
) -> None:
    """Say how the sources of an observation vary in 1 to 30 ks, from the times of their photons.

    Known sources and those that are seen, of 30 photons and more; p is the probability of so large
    a variance if a source is constant, dip the logarithmic likelihood ratio of its best dip.

    Example: `exod variability 0001730201/`

    Of an observation of an archive: `exod variability results 0001730201 --most 0.01`
    """
    from exod.stages.places.recorded import recorded_files
    from exod.stages.places.variability import variability_of

    archive, obsids = archive_of(places, storage)
    if archive is None:
        files = one_observation("variability", places, source)
    elif len(obsids) != 1:
        raise ConfigError(f"exod variability takes one observation, not {len(obsids)}.")
    else:
        files = recorded_files(archive, obsids[0])
    with err.status("Reading events"):
        rows = variability_of(files)
    numbers = ("Photons", "p", "Blocks", "1 ks", "3 ks", "10 ks", "30 ks", "Dip")
    table = new_table("Excess variance, the least constant first", "Position", numbers=numbers)
    columns = ("excess_1000", "excess_3000", "excess_10000", "excess_30000")
    for row in rows[rows["p"] <= most].to_dict("records"):
        excess = (f"{row[name]:.2f}" if isfinite(row[name]) else "" for name in columns)
        place = f"{row['ra_deg']:.4f} {row['dec_deg']:+.4f}"
        dip = f"{row['dip']:.1f}" if isfinite(row["dip"]) else ""
        table.add_row(place, str(row["n"]), f"{row['p']:.2g}", str(row["blocks"]), *excess, dip)
    out.print(table)
