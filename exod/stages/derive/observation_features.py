"""Features and hardness ratios of the regions of one observation, read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from exod.archive import LedgerEntry
from exod.archive.ledger.entry import StoredFile
from exod.archive.parquet import FileReplacedError, read_file, to_pandas
from exod.archive.store import Store
from exod.errors import ArchiveError
from exod.files.storage import one_line
from exod.instruments import mission_of
from exod.schemas import IMAGES, LIGHTCURVES, REGIONS, RUNS
from exod.schemas.arrays import Floats, Integers
from exod.schemas.columns import Table
from exod.sources.vetting.eventbands import (
    BOX,
    KEY,
    Columns,
    EventsInBands,
    Pair,
    boxes_of,
    is_band,
)
from exod.sources.vetting.features import Curves, features
from exod.sources.vetting.hardness import box_counts, soft_and_hard
from exod.stages.derive.fluxes import NEEDED, event_factors

PIECE_GROUPS: Final = 25
"""Row groups of light curves at a time: half a million frames, some 0.2 GB with what is made."""

_FRAMES = ("detid", "time", "n", "mu", "bti", "bccd", "B_peak_log", "B_eclipse_log")
_REGIONS = ["detid", "runid", "obsid", *KEY, "e_lo", "e_hi", *BOX, "kind", "t_start", "t_stop"]
_REGIONS += NEEDED
_RUNS = ["runid", *KEY, "e_lo", "e_hi", *BOX]


def observation_features(store: Store, entry: LedgerEntry, bands: Pair | None) -> Columns:
    """Columns of the table ``features`` for every region of an observation, without the ratios.

    Hardness ratios and fluxes follow from these columns: see
    `exod.sources.vetting.eventbands.with_ratios` and `exod.stages.derive.fluxes.with_fluxes`.

    Its light curves are read some row groups at a time, so that memory does not grow with their
    number.

    Parameters
    ----------
    store : Store
        The archive.
    entry : LedgerEntry
        The observation, with a region at least.
    bands : ((float, float), (float, float)) or None
        Soft and hard energy band in keV; None if there are no such runs.

    Returns
    -------
    dict of str to ndarray, each of shape (n_regions,)

    Raises
    ------
    ArchiveError
        If a file is damaged or its tables do not fit together.
    """
    regions = _read(store, entry, REGIONS, _REGIONS)
    if bands is not None:
        # Those of the settings, as far as the cameras of the observation are searched in them.
        own = _read(store, entry, RUNS, ["e_lo", "e_hi"])
        bands = soft_and_hard(zip(own["e_lo"], own["e_hi"], strict=True))
    names = {name: regions[name].to_numpy(object) for name in ("detid", "runid", "obsid")}
    return {
        **names,
        "mission": np.full(len(regions), mission_of(entry.obsid), object),
        **_stream(store, entry, regions, bands),
        **_boxed(store, entry, regions, bands),
        **event_factors(store, entry, regions, bands),
    }


def _read(
    store: Store, entry: LedgerEntry, table: Table, columns: list[str], rows: Any = None
) -> pd.DataFrame:
    """Columns of a table of the observation."""
    return to_pandas(read_file(store, entry.file(table.name), table, columns, rows))


# -------------------------------------------------------------------- light curves


@dataclass(frozen=True)
class _CurvePiece:
    """Whole light curves; `offsets` are those of `exod.sources.vetting.features.Curves`."""

    detids: list[str]
    offsets: Integers
    rows: dict[str, NDArray[Any]]


def _pieces(store: Store, entry: LedgerEntry) -> Iterator[_CurvePiece]:
    """The light curves of an observation, some row groups at a time."""
    file = entry.file(LIGHTCURVES.name)
    if file is None:
        return
    groups, n_rows = _row_groups(store, file), 0
    rest = LIGHTCURVES.schema.empty_table().select(_FRAMES)
    for first in range(0, groups, PIECE_GROUPS):
        last = min(first + PIECE_GROUPS, groups)
        new = read_file(store, file, LIGHTCURVES, _FRAMES, row_groups=(first, last))
        n_rows += len(new)
        rows = pa.concat_tables([rest, new])
        runs = pc.run_end_encode(rows["detid"].combine_chunks(), run_end_type=pa.int64())
        offsets = np.r_[0, runs.run_ends.to_numpy()]
        # The last one goes on in the next row groups, unless there are none.
        whole = len(offsets) - 1 - (last < groups)
        rest = rows.slice(offsets[whole])
        if whole:
            own = rows.slice(0, offsets[whole])
            columns = {name: own[name].to_numpy() for name in _FRAMES[1:]}
            yield _CurvePiece(runs.values[:whole].to_pylist(), offsets[: whole + 1], columns)
    if n_rows != file.rows:
        raise store.damaged(file.path, f"it has {n_rows} rows and had {file.rows}")


def _row_groups(store: Store, file: StoredFile) -> int:
    """Row groups of a file of light curves."""
    try:
        with store.open(file.path, file.seal) as source:
            return int(pq.read_metadata(source).num_row_groups)
    except FileNotFoundError as error:
        raise FileReplacedError(f"{store.path(file.path)} is gone; process it again.") from error
    except (OSError, pa.ArrowException) as error:
        raise store.unreadable(file.path, one_line(error)) from error


def _stream(store: Store, entry: LedgerEntry, regions: pd.DataFrame, bands: Pair | None) -> Columns:
    """Features of each region, and counts of events, in the order of `regions`."""
    place = pd.Index(regions["detid"])
    t_bin = regions["t_bin"].to_numpy()
    events = EventsInBands.of(regions, bands)
    parts, seen = [], [np.empty(0, np.int64)]
    for piece in _pieces(store, entry):
        curve = np.asarray(place.get_indexer(pd.Index(piece.detids)), np.int64)
        seen.append(curve)
        _check(store, entry, np.concatenate(seen))
        columns = (piece.rows[name] for name in _FRAMES[2:])
        parts.append(features(Curves(piece.offsets, t_bin[curve], *columns)))
        n, mu = piece.rows["n"], piece.rows["mu"].astype(float)
        events.count(piece.offsets, piece.rows["time"], n, mu, curve)
    without = np.setdiff1d(np.arange(len(regions)), np.concatenate(seen))
    parts.append(features(_empty(t_bin[without])))
    order = np.argsort(np.concatenate([*seen, without]))
    found = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    return found | events.columns()


def _check(store: Store, entry: LedgerEntry, curves: Integers) -> None:
    """Every light curve is of one region, and of no other light curve."""
    if (curves < 0).any() or len(np.unique(curves)) < len(curves):
        raise ArchiveError(
            f"{store.path(entry.files[LIGHTCURVES.name].path or '')} does not fit the regions of "
            f"{entry.obsid}: a light curve is of none of them, or there twice; process it again."
        )


def _empty(t_bin: Floats) -> Curves:
    """Light curves without frames."""
    nothing, none = np.empty(0), np.empty(0, bool)
    offsets = np.zeros(len(t_bin) + 1, np.int64)
    return Curves(offsets, t_bin, np.empty(0, int), nothing, none, none, nothing, nothing)


# -------------------------------------------------------------------- hardness ratios


def _boxed(store: Store, entry: LedgerEntry, regions: pd.DataFrame, bands: Pair | None) -> Columns:
    """Counts of each region's box in the soft and the hard run."""
    counts, boxes = np.full((2, len(regions)), np.nan), boxes_of(regions)
    if bands is not None:
        runs = _read(store, entry, RUNS, _RUNS)
        runs = runs[is_band(runs, bands[0]) | is_band(runs, bands[1])]
        own = [[("runid", "in", list(runs["runid"]))]]
        images = _read(store, entry, IMAGES, ["runid", "n"], own).set_index("runid")["n"]
        groups = regions.groupby(list(KEY)).indices
        for run in runs[runs["runid"].isin(images.index)].to_dict("records"):
            rows = groups.get((run["subset"], run["t_bin"]))
            if rows is not None:
                shape = run["y_hi"] - run["y_lo"], run["x_hi"] - run["x_lo"]
                image = np.asarray(images[run["runid"]])
                if image.size != shape[0] * shape[1]:
                    raise ArchiveError(
                        f"The image of run {run['runid']} does not fit its box; process "
                        f"observation {entry.obsid} again."
                    )
                band = int((run["e_lo"], run["e_hi"]) == bands[1])
                corner = run["y_lo"], run["x_lo"]
                counts[band, rows] = box_counts(image.reshape(shape), corner, boxes[rows])
    return {"n_soft": counts[0], "n_hard": counts[1]}
