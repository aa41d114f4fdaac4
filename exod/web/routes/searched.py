"""What the search keeps of an observation, as it is now; sites of files have some of it."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
from fastapi import APIRouter, Path, Request

from exod.archive import Archive
from exod.archive.ledger.entry import FullEntry
from exod.errors import InputError, without_places
from exod.schemas.kinds import OBSID_FORM
from exod.web.routes.common import PROBLEMS

# An observation may be searched again while the pages stay as they are, so answers bear no version.
router = APIRouter(prefix="/api/v1", tags=["source"], responses=PROBLEMS)

_RATES = ["instrument", "expid", "subset", "time", "width", "n", "n_hard"]
_HOT = ["filename", "ccdnr", "rawx", "rawy", "n", "log10_p"]
_BOX = ["y_lo", "y_hi", "x_lo", "x_hi"]

Obsid = Annotated[str, Path(pattern=f"^{OBSID_FORM}$")]


@router.get("/obs/{obsid}/search")
def outcome(request: Request, obsid: Obsid) -> dict[str, Any]:
    """How its search ended, rates of its exposures, bad time, hot pixels, and names of its runs."""
    state = request.app.state
    found = kept_of_search(state.current.archive, obsid)
    if state.settings.public:
        ledger = found["ledger"]
        ledger["reason"] = without_places(ledger["reason"], state.current.archive.root)
    return found


@router.get("/obs/{obsid}/images/{runid}")
def image(
    request: Request, obsid: Obsid, runid: Annotated[str, Path(max_length=100)]
) -> dict[str, Any]:
    """The counts of a run in the cells of the sky, in order of y, then x, and boxes of regions."""
    return image_of(request.app.state.current.archive, obsid, runid)


def kept_of_search(archive: Archive, obsid: str) -> dict[str, Any]:
    """The ledger entry of an observation, its rates, bad time intervals and hot pixels.

    Parameters
    ----------
    archive : Archive
        The archive.
    obsid : str
        Observation identifier.

    Raises
    ------
    InputError
        If it was never searched.
    ArchiveError
        If something of it cannot be read.
    """
    entry = _entry(archive, obsid)
    read = archive.observation(obsid, "rates", "bti", "hot_pixels", "runs")
    # The frames of the shortest time bin tell bad time best.
    runs = read["runs"].sort_values(["t_bin", "runid"])
    bti = read["bti"][read["bti"]["runid"].isin(runs["runid"].iloc[:1])].sort_values("START")
    return {
        "ledger": {
            "status": entry.status,
            "reason": entry.reason,
            "attempt": entry.attempt,
            "tries": entry.tries,
            "seconds": entry.seconds,
            "peak_memory_mb": entry.peak_memory_mb,
            "started": f"{entry.started:%Y-%m-%dT%H:%M:%SZ}",
            "finished": f"{entry.finished:%Y-%m-%dT%H:%M:%SZ}",
            "versions": dict(entry.versions),
        },
        "rates": _columns(read["rates"].sort_values(_RATES[:4]), _RATES),
        "bad_time": bti[["START", "STOP"]].to_numpy(float).tolist(),
        "hot_pixels": _columns(read["hot_pixels"], _HOT),
        "runs": runs["runid"].tolist(),
    }


def image_of(archive: Archive, obsid: str, runid: str) -> dict[str, Any]:
    """The counts of a run in the cells of the sky, and the regions that were found in them.

    Parameters
    ----------
    archive : Archive
        The archive.
    obsid, runid : str
        The observation, and one of its runs.

    Returns
    -------
    dict
        ``rows`` and ``columns`` of the image, ``y_lo`` and ``x_lo`` of its corner in the full grid,
        its ``counts`` in order of y, then x, and ``regions`` with their boxes in cells of the
        image: y_lo <= y < y_hi.

    Raises
    ------
    InputError
        If there is no such run, or it has no image.
    ArchiveError
        If something of it cannot be read.
    """
    _entry(archive, obsid)
    read = archive.observation(obsid, "images", "runs", "regions")
    own = {name: rows[rows["runid"] == runid] for name, rows in read.items()}
    if own["images"].empty or own["runs"].empty or not len(own["images"]["n"].iloc[0]):
        raise InputError(f"Observation {obsid} has no image of a run {runid[:100]!r}.")
    run = own["runs"].iloc[0]
    regions = own["regions"][["detid", *_BOX]].copy()
    for axis in "yx":
        regions[[f"{axis}_lo", f"{axis}_hi"]] -= run[f"{axis}_lo"]
    counts = np.asarray(own["images"]["n"].iloc[0])
    return {
        "runid": runid,
        "y_lo": int(run["y_lo"]),
        "x_lo": int(run["x_lo"]),
        "rows": int(run["y_hi"] - run["y_lo"]),
        "columns": int(run["x_hi"] - run["x_lo"]),
        "size_arcsec": float(run["size_arcsec"]),
        "counts": counts.tolist(),
        "regions": regions.to_dict("records"),
    }


def _entry(archive: Archive, obsid: str) -> FullEntry:
    entry = archive.entry(obsid)
    if entry is None:
        raise InputError(f"Observation {obsid} was never searched.")
    return entry


def _columns(rows: pd.DataFrame, names: list[str]) -> dict[str, list[Any]]:
    return {
        name: rows[name].astype(object).where(rows[name].notna(), None).tolist() for name in names
    }
