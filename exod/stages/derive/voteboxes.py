"""Hot regions of the detector as vetters see them: artefacts at one place become a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from exod.archive.parts import Part, derived_pieces, read_part
from exod.errors import ArchiveError
from exod.schemas import MEMBERS
from exod.schemas.derived import DETECTOR
from exod.sources.vetting.agreement import BELIEVED
from exod.sources.vetting.hotregions import BOX_EDGES, HotSearch, hot_boxes, inside, occupied
from exod.stages.derive.flaginputs import no_boxes

if TYPE_CHECKING:
    from exod.archive import Archive
    from exod.schemas import Table
    from exod.stages.derive.verdicts import Judged

_COLUMNS: Final = ("t_bin", *BOX_EDGES)


def boxes_of_votes(
    archive: Archive, judged: Judged, search: HotSearch | None = None
) -> pd.DataFrame:
    """Boxes around places of the detector where vetters see artefacts (method.md, Hot regions).

    Counted are the regions of sources that more than half of the votes take for an artefact, those
    of all time bins together. A box is left out if as many of the regions in it are of sources
    that more than half of the votes believe in.

    Parameters
    ----------
    archive : Archive
        The archive, with flags, which know where regions are on the detector.
    judged : Judged
        The votes.
    search : HotSearch, optional
        How boxes are found.

    Returns
    -------
    DataFrame
        Columns t_bin (s; NaN for boxes with artefacts of several), x_lo, x_hi, y_lo, y_hi, as
        `exod.stages.derive.flaginputs.read_boxes` reads them, and n_artefacts, the regions in it.

    Raises
    ------
    ArchiveError
        If there are no flags, or something cannot be read.
    """
    search = search or HotSearch()
    believed = sum(judged.verdicts[f"n_{label}"] for label in BELIEVED)
    regions = {
        name: _regions(archive, judged.verdicts.loc[2 * votes > judged.verdicts["n_votes"]])
        for name, votes in (("artefact", judged.verdicts["n_artefact"]), ("real", believed))
    }
    seen = regions["artefact"]
    known = seen[seen["place"] >= 0]
    boxes = hot_boxes(occupied(known["X_det"], known["Y_det"], known["place"], search), search)
    boxes = pd.concat([no_boxes(), boxes[[*BOX_EDGES]]], ignore_index=True)
    found = []
    for number in range(len(boxes)):
        box = boxes.iloc[number : number + 1]
        own, believed_in = (rows[_inside(rows, box)] for rows in (seen, regions["real"]))
        if len(own) > len(believed_in):
            bins = own["t_bin"].unique()
            t_bin = float(bins[0]) if len(bins) == 1 else np.nan
            found.append({**box.iloc[0].to_dict(), "t_bin": t_bin, "n_artefacts": len(own)})
    columns = pd.DataFrame(found, columns=[*_COLUMNS, "n_artefacts"])
    return columns.astype({**dict.fromkeys(_COLUMNS, np.float64), "n_artefacts": np.int64})


def boxes_as_text(boxes: pd.DataFrame, archive: str) -> str:
    """The boxes as a CSV that `exod flags --boxes` takes; comments say where they come from."""
    total = int(boxes["n_artefacts"].sum())
    told = f"# Proposed from votes on {' '.join(archive.split())}: {total} regions of artefacts.\n"
    return told + boxes[[*_COLUMNS]].to_csv(index=False, lineterminator="\n")


def _inside(rows: pd.DataFrame, box: pd.DataFrame) -> np.ndarray:
    return inside(rows["X_det"], rows["Y_det"], rows["t_bin"], box)


def _regions(archive: Archive, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table detector of the regions of some sources."""
    members = _whole(archive, "unique", MEMBERS, "cluster", ["detid", "region_num"])
    where = _whole(
        archive, "flags", DETECTOR, "flags", ["detid", "t_bin", "X_det", "Y_det", "place"]
    )
    own = members.loc[members["region_num"].isin(verdicts["region_num"]), "detid"]
    return where[where["detid"].isin(own)]


def _whole(
    archive: Archive, product: str, table: Table, command: str, columns: list[str]
) -> pd.DataFrame:
    derived = archive.derived(product)
    if derived is None:
        raise ArchiveError(
            f"Boxes need to know where regions are on the detector, and {archive.root} has no "
            f"{product} yet; run `exod {command} {archive.root}`."
        )
    part = Part(tuple(derived_pieces(derived.of(table.name))))
    return read_part(part, store=archive.store, table=table, rows=[], columns=columns)
