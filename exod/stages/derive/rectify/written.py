"""What the parts of a version of the product frames say together: calibration, circles, summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from exod.archive.derived import DerivedFile
from exod.archive.increments import NewVersion, write_part
from exod.archive.parts import Part, derived_pieces, read_part
from exod.archive.store import Store
from exod.files.whole import unique_mark
from exod.schemas import FRAMES, OFFSETS, POSITIONS
from exod.schemas.columns import Table
from exod.stages.derive.rectify.calibration import (
    Calibrations,
    are_alike,
    calibrations,
    missions_of,
    with_circles,
)
from exod.stages.derive.rectify.rows import FIT, HEADER, NONE, SHIFTS


def _read(
    store: Store, table: Table, files: Sequence[DerivedFile], columns: Sequence[str] | None = None
) -> pd.DataFrame:
    part = Part(tuple(derived_pieces(files)))
    names = list(columns) if columns else None
    return read_part(part, store=store, table=table, rows=[], columns=names)


def calibrate_circles(store: Store, new: NewVersion) -> dict[str, dict[str, dict[str, float]]]:
    """What the pairs and frames of all parts say of circles."""
    files = [file for file in new.files if file.table == OFFSETS.name]
    columns = ("obsid", "source", "pos_err_arcsec", "frame_err_arcsec")
    offsets = ("east_corr_arcsec", "north_corr_arcsec")
    frames = [file for file in new.files if file.table == FRAMES.name]
    return calibrations(
        _read(store, OFFSETS, files, (*columns, *offsets)),
        _read(store, FRAMES, frames, ("obsid", "source", *SHIFTS)),
    )


def write_circles(store: Store, new: NewVersion, before: Calibrations, now: Calibrations) -> None:
    """Write the circles of all positions again if the calibration has changed."""
    if are_alike(before, now):
        return
    for number, file in enumerate(new.files):
        if file.table == POSITIONS.name:
            rows = with_circles(_read(store, POSITIONS, [file]), now)
            _, _, span = file.part.partition("-")
            part = f"{unique_mark()}-{span}"
            new.files[number] = write_part(store, new.folder, POSITIONS, rows, part)
            if file.path.startswith(f"{new.folder}/"):
                store.remove([file.path])


def summary_of(store: Store, new: NewVersion) -> dict[str, Any]:
    """Numbers of observations with each kind of frame, of the reasons why not, and of regions."""
    files = {
        table.name: [file for file in new.files if file.table == table.name]
        for table in (FRAMES, OFFSETS, POSITIONS)
    }
    frames = _read(store, FRAMES, files[FRAMES.name], ("obsid", "source", "reason"))
    kinds = Counter(frames["source"])
    reasons = Counter(reason for reason in frames["reason"] if reason)
    return {
        "observations": len(frames),
        **{kind: kinds.get(kind, 0) for kind in (HEADER, FIT, NONE)},
        "missions": {
            str(mission): sorted(set(some))
            for mission, some in frames["source"].groupby(missions_of(frames["obsid"]))
        },
        "pairs": len(_read(store, OFFSETS, files[OFFSETS.name], ("obsid",))),
        "regions": len(_read(store, POSITIONS, files[POSITIONS.name], ("obsid",))),
        "reasons": dict(reasons.most_common(20)),
    }
