"""The command that says what vetters agree on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from exod.cli.app import app, new_table, out, say
from exod.cli.options import Archive_, Overwrite, Storage, storage_options
from exod.errors import ConfigError, percent, plural

if TYPE_CHECKING:
    from exod.stages.derive.verdicts import Judged


@app.command()
def verdicts(
    root: Archive_,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the verdicts as .csv, .fits, .parquet, ..."),
    ] = None,
    controls: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of sources with a known answer: region_num,answer; or that of exod inject.",
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write boxes of the detector where vetters see artefacts, for exod flags --boxes.",
        ),
    ] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="Copy all votes to one file, which is read faster.")
    ] = False,
    overwrite: Overwrite = False,
    storage: Storage = None,
) -> None:
    """Say what vetters agree on: verdicts on sources, and how far they agree.

    Example: `exod verdicts results --to verdicts.fits --boxes hot.csv`
    """
    from exod.archive import open_archive
    from exod.archive.votes import VoteLog
    from exod.files.whole import write_whole
    from exod.stages.derive.verdicts import export_verdicts, judge, read_controls
    from exod.stages.derive.voteboxes import boxes_as_text, boxes_of_votes
    from exod.tablefiles.writing import check_target

    if to is not None:
        check_target(to, overwrite=overwrite)
    if boxes is not None:
        _check_boxes(boxes, overwrite=overwrite)
    archive = open_archive(root, storage_options(storage))
    answers = read_controls(controls, archive) if controls else {}
    log = VoteLog(archive.store)
    if compact:
        say(f"{plural(log.compact(), 'event')} copied to one file")
    judged = judge(archive, log)
    _show(root, judged)
    if controls:
        _show_controls(judged, answers)
    if boxes is not None:
        found = boxes_of_votes(archive, judged)
        write_whole(boxes, boxes_as_text(found, archive.root))
        say(f"{plural(len(found), 'box')} in {boxes}")
    if to is not None:
        rows = export_verdicts(archive, judged, to, overwrite=overwrite)
        say(f"{plural(rows, 'verdict')} in {to}")


def _check_boxes(path: Path, *, overwrite: bool) -> None:
    if path.suffix.lower() != ".csv":
        raise ConfigError(f"Boxes are written as CSV; give a name that ends in .csv, not {path}.")
    from exod.tablefiles.writing import check_target

    check_target(path, overwrite=overwrite)


def _show(root: str, judged: Judged) -> None:
    from exod.schemas.votes import LABELS
    from exod.sources.vetting.verdicts import CONFLICT, OPEN

    counts = judged.verdicts["verdict"].value_counts().to_dict()
    table = new_table(f"Verdicts of {escape(root)}", "Verdict", "Sources")
    for verdict in (*LABELS, CONFLICT, OPEN):
        table.add_row(verdict, str(counts.get(verdict, 0)))
    out.print(table)
    vetters = judged.states["vetter"].nunique()
    kappa = (
        "too few votes for an agreement"
        if math.isnan(judged.kappa)
        else f"Fleiss' kappa {judged.kappa:.3f}"
    )
    votes = plural(len(judged.states), "vote")
    stale = int(judged.states["stale"].sum())
    out.print(f"{votes} of {plural(vetters, 'vetter')}, of which {stale} stale; {kappa}.")


def _show_controls(judged: Judged, answers: dict[int, str]) -> None:
    from exod.sources.vetting.agreement import confusion

    table = new_table("Votes on controls", "Vetter", "Completeness", "False alarms")
    for row in confusion(judged.states, answers).to_dict("records"):
        shares = (row["completeness"], row["false_alarms"])
        words = ("" if math.isnan(share) else percent(share, ".1f") for share in shares)
        table.add_row(escape(row["vetter"]), *words)
    out.print(table)
