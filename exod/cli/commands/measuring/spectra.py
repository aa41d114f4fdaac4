"""The command that writes the spectrum of an event."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exod.cli.app import app, err, new_table, out, say_paths
from exod.cli.options import (
    Archive_,
    Input,
    Overwrite,
    PictureFormat,
    PictureSize,
    PictureStyle,
    Storage,
    drawing_of,
    storage_options,
)


@app.command()
def spectrum(
    root: Archive_,
    detid: Annotated[str, typer.Argument(metavar="DETID", help="A region.")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the files.")] = Path("spectra"),
    background: Annotated[
        str,
        typer.Option(
            metavar="beside|around",
            help="A ring around the region at the time of the event, without known sources; or "
            "the region itself in the rest of the time.",
        ),
    ] = "beside",
    group: Annotated[
        int, typer.Option(metavar="N", min=0, help="Counts of a group of channels; 0 for none.")
    ] = 0,
    overwrite: Overwrite = False,
    form: PictureFormat = "png",
    size: PictureSize = None,
    style: PictureStyle = None,
    storage: Storage = None,
    source: Input = None,
) -> None:
    """Write the spectrum of the event of a region, its background, and a picture.

    Two PHA files (OGIP) a camera, as XSPEC and Sherpa read them: exposure is live time in the
    event, BACKSCAL the area that was seen. The picture has the hardness before, during and after.

    Example: `exod spectrum results 0001730201_0_50_0.2_12.0_0 --to spectra`
    """
    from exod.archive import open_archive
    from exod.stages.places.spectra import event_spectra
    from exod.stages.places.spectrumwriting import check_free, draw_spectra, write_spectra

    drawing = drawing_of(form, size, style)
    archive = open_archive(root, storage_options(storage))
    if not overwrite:
        check_free(to, detid)
    with err.status("Reading events"):
        found = event_spectra(archive, detid, background, options=storage_options(source))
        paths = [*write_spectra(found, to, minimum=group, overwrite=overwrite)]
        paths += draw_spectra(found, to, drawing)
    numbers = ("Counts", "Background", "Live (s)")
    table = new_table("", "Camera", numbers=numbers)
    for one in found.cameras:
        during, beside = one.source["during"], one.background
        scaled = len(beside.pi) * during.scale / beside.scale if beside.scale else 0.0
        name = f"{one.exposure.instrument} {one.exposure.expid}"
        table.add_row(name, f"{len(during.pi):,}", f"{scaled:,.2f}", f"{during.seconds:,.2f}")
    out.print(table)
    hardness = new_table("", "When", numbers=("Soft", "Hard", "Hardness", "from", "to"))
    for when, row in found.hardness().iterrows():
        counts = (f"{row[name]:,.0f}" for name in ("n_soft", "n_hard"))
        ratios = (f"{row[name]:.2f}" for name in ("hr", "hr_lo", "hr_hi"))
        hardness.add_row(str(when), *counts, *ratios)
    out.print(hardness)
    for note in (*found.notes, *(text for one in found.cameras for text in one.notes)):
        err.print(note, style="yellow", markup=False, soft_wrap=True)
    say_paths(paths)
