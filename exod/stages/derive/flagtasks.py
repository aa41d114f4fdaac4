"""The tasks of the flags stage: where regions are on the detector, hot regions, and flags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import JsonValue

from exod.archive import Archive
from exod.archive.derived import DerivedFile
from exod.archive.increments import write_part
from exod.archive.parquet import read_file, to_pandas
from exod.archive.parts import Part, derived_pieces, read_part
from exod.archive.questions.cone import sky_pixels
from exod.archive.store import Store
from exod.schemas import FEATURES, FLAGS, LIGHTCURVES, Table
from exod.schemas.derived import DETECTOR, HOT_REGIONS
from exod.sky.plane import pixel_size
from exod.sources.vetting.artefacts import ArtefactRule, is_artefact_of_rates
from exod.sources.vetting.detectorframe import about_pivot, detector_position
from exod.sources.vetting.flags import flag_names, quality_flags, regions_of_run
from exod.sources.vetting.hotregions import (
    BOX_EDGES,
    HotSearch,
    hot_boxes,
    inside,
    merged,
    occupied,
)
from exod.stages.derive.flaginputs import no_boxes, read_excluded

FOUND: Final = "found"
"""Origin of the hot regions that the catalogue itself shows."""

_FEATURES: Final = ("n_max", "n_max_isolated", "n_max_first_bin", "n_max_last_bin")
_CURVE: Final = ("detid", "time", "n", "mu", "B_peak_log", "B_eclipse_log")


@dataclass(frozen=True)
class FlagSettings:
    """What flags are made with.

    Attributes
    ----------
    hot : HotSearch, optional
        How hot regions are found; None to use none but those given.
    rule : ArtefactRule
        What an artefact is.
    excluded : mapping of str to str
        Excluded observations and the reasons; by default those that come with exod.
    boxes : DataFrame
        Hot regions that the user gives, as `exod.stages.derive.flaginputs.read_boxes` makes it.
    pivot : (float, float), optional
        Sky pixel about which the sky is turned for these boxes; by default the pointing.
    verdicts : bool
        Whether regions get the labels of vetters, table ``vetted``.
    """

    hot: HotSearch | None = field(default_factory=HotSearch)
    rule: ArtefactRule = field(default_factory=ArtefactRule)
    excluded: Mapping[str, str] = field(default_factory=read_excluded)
    boxes: pd.DataFrame = field(default_factory=no_boxes)
    pivot: tuple[float, float] | None = None
    verdicts: bool = False

    def described(self) -> dict[str, JsonValue]:
        """All of it, as the pointer of the product keeps it."""
        boxes = self.boxes.astype(object).where(self.boxes.notna(), None)
        pivot: dict[str, JsonValue] = {"pivot": list(self.pivot)} if self.pivot else {}
        return pivot | {
            "hot": asdict(self.hot) if self.hot else None,
            "artefacts": asdict(self.rule),
            "excluded": dict(self.excluded),
            "boxes": cast("list[JsonValue]", boxes.to_dict("records")),
        }


def settings_of(parameters: Mapping[str, Any]) -> FlagSettings:
    """The settings that `FlagSettings.described` describes."""
    return FlagSettings(
        HotSearch(**parameters["hot"]) if parameters["hot"] else None,
        ArtefactRule(**parameters["artefacts"]),
        parameters["excluded"],
        pd.DataFrame(parameters["boxes"], columns=no_boxes().columns, dtype=np.float64),
        tuple(parameters["pivot"]) if parameters.get("pivot") else None,
        bool(parameters.get("verdicts")),
    )


class FlagBatch(NamedTuple):
    """Observations of a task, and the name of their part of the tables."""

    part: str
    obsids: tuple[str, ...]


class Kept(NamedTuple):
    """Parts of earlier versions, as pairs of flags and positions, and what they become."""

    part: str
    files: tuple[tuple[DerivedFile, DerivedFile], ...]


class FlagTask(NamedTuple):
    """What every task needs."""

    archive: Archive
    folder: str
    settings: FlagSettings


def place(batch: FlagBatch, task: FlagTask) -> DerivedFile:
    """First pass: where the regions are on the detector."""
    archive = task.archive
    rows = [
        _positions(archive.observation(obsid, "observations", "regions")) for obsid in batch.obsids
    ]
    return write_part(archive.store, task.folder, DETECTOR, pd.concat(rows), batch.part)


def _positions(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows of the table detector of one observation."""
    regions, observation = tables["regions"], tables["observations"].iloc[0]
    position = detector_position(regions["X"], regions["Y"], **_pointing(observation))
    places = sky_pixels(pa.table({name: regions[name] for name in ("ra_deg", "dec_deg")}))
    keys = regions[["detid", "runid", "obsid", "t_bin"]]
    return keys.assign(X_det=position[0], Y_det=position[1], place=places)


def _pointing(observation: Mapping[str, Any] | pd.Series) -> dict[str, float]:
    """What turns the sky of an observation, as `detector_position` takes it."""
    return {
        "pa_deg": float(observation["pa_pnt"]),
        "x_ref": float(observation["x_ref"]),
        "y_ref": float(observation["y_ref"]),
        "pixel_arcsec": pixel_size(float(observation["y_delta"])),
    }


def _is_in_box(
    archive: Archive, known: pd.DataFrame, boxes: pd.DataFrame, settings: FlagSettings
) -> np.ndarray:
    """Which rows of the table detector are in a box, shape (n_rows,).

    Boxes that were given are about the pivot of the settings, if there is one, which is at another
    place of the detector in each observation; those that were found are about the pointing.
    """
    given = (boxes["origin"] != FOUND).to_numpy(bool)
    if settings.pivot is None or not given.any():
        return inside(known["X_det"], known["Y_det"], known["t_bin"], boxes)
    hot = inside(known["X_det"], known["Y_det"], known["t_bin"], boxes[~given])
    for obsid, rows in known.reset_index(drop=True).groupby("obsid"):
        observation = archive.observation(str(obsid), "observations")["observations"].iloc[0]
        turned = _pointing(observation)
        x, y = about_pivot(rows["X_det"], rows["Y_det"], **turned, pivot=settings.pivot)
        hot[rows.index] |= inside(x, y, rows["t_bin"], boxes[given])
    return hot


def flag(batch: FlagBatch, task: FlagTask, boxes: pd.DataFrame) -> DerivedFile:
    """Second pass: the flags."""
    archive = task.archive
    features = _features(archive, batch.obsids).set_index("detid")
    rows = []
    for obsid in batch.obsids:
        tables = archive.observation(obsid, "observations", "regions", "rates")
        known = _positions(tables)
        regions = tables["regions"].join(features, on="detid")
        facts = regions.assign(
            n_regions_run=regions_of_run(regions),
            excluded=obsid in task.settings.excluded,
            hot=_is_in_box(archive, known, boxes, task.settings),
            artefact=_artefacts(archive, obsid, tables, task.settings.rule),
        )
        rows.append(regions[["detid", "runid", "obsid"]].join(quality_flags(facts)))
    return write_part(archive.store, task.folder, FLAGS, pd.concat(rows), batch.part)


def _features(archive: Archive, obsids: Sequence[str]) -> pd.DataFrame:
    """What flags need of the features of some observations."""
    derived = archive.derived("features")
    files = derived.of("features") if derived else []
    wanted = [[("obsid", "in", list(obsids))]]
    columns = ["detid", *_FEATURES]
    return _read(archive.store, FEATURES, files, columns, wanted)


def _read(
    store: Store,
    table: Table,
    files: Iterable[DerivedFile],
    columns: Sequence[str] | None = None,
    rows: Sequence[Sequence[tuple[str, str, Any]]] = (),
) -> pd.DataFrame:
    """Rows of some files of a product."""
    conditions, names = [list(row) for row in rows], list(columns) if columns else None
    part = Part(tuple(derived_pieces(files)))
    return read_part(part, store=store, table=table, rows=conditions, columns=names)


def _artefacts(
    archive: Archive, obsid: str, tables: Mapping[str, pd.DataFrame], rule: ArtefactRule
) -> list[bool]:
    """Which regions are artefacts, in their order; one run's light curves in memory at a time."""
    regions, rates = tables["regions"], tables["rates"]
    entry = archive.entry(obsid)
    file = entry.file(LIGHTCURVES.name) if entry else None
    found = dict.fromkeys(regions["detid"], False)
    if file is None or rates.empty:
        return list(found.values())
    for runid, own in regions.groupby("runid"):
        of_run = [[("runid", "==", runid)]]
        rows = to_pandas(read_file(archive.store, file, LIGHTCURVES, _CURVE, of_run))
        curves = {str(detid): curve for detid, curve in rows.groupby("detid")}
        for region in own.to_dict("records"):
            if region["detid"] in curves:
                of_field = rates[rates["subset"] == region["subset"]]
                found[region["detid"]] = is_artefact_of_rates(
                    curves[region["detid"]], region["t_bin"], region["kind"], of_field, rule
                )
    return list(found.values())


def set_again(kept: Kept, task: FlagTask, boxes: pd.DataFrame) -> tuple[DerivedFile, DerivedFile]:
    """The flag of hot regions anew, of rows that did not change otherwise."""
    store = task.archive.store
    flags = _read(store, FLAGS, [pair[0] for pair in kept.files])
    known = _read(store, DETECTOR, [pair[1] for pair in kept.files])
    hot = _is_in_box(task.archive, known, boxes, task.settings)
    flags["filt_hot_pixel"] = pd.Series(hot, known["detid"]).reindex(flags["detid"]).to_numpy()
    return (
        write_part(store, task.folder, FLAGS, flags, kept.part),
        write_part(store, task.folder, DETECTOR, known, kept.part),
    )


# -------------------------------------------------------------------- hot regions


def find_boxes(
    archive: Archive, files: Sequence[DerivedFile], settings: FlagSettings
) -> pd.DataFrame:
    """Rows of the table hot_regions: found in the catalogue, and given."""
    store = archive.store
    about = f", about {settings.pivot[0]:g}, {settings.pivot[1]:g}" if settings.pivot else ""
    boxes = [settings.boxes.assign(origin=f"given{about}")]
    if settings.hot:
        pairs: dict[float, list[np.ndarray]] = {}
        for known in _parts(store, files):
            for t_bin in known["t_bin"].unique().tolist():
                rows = known[(known["t_bin"] == t_bin) & (known["place"] >= 0)]
                here = occupied(rows["X_det"], rows["Y_det"], rows["place"], settings.hot)
                pairs[t_bin] = [merged([*pairs.get(t_bin, ()), here])]
        boxes += [
            hot_boxes(pairs[t_bin][0], settings.hot).assign(t_bin=t_bin, origin=FOUND)
            for t_bin in sorted(pairs)
        ]
    rows = pd.concat([box for box in boxes if len(box)] or boxes[:1], ignore_index=True)
    for name, nothing in (("n_places", -1), ("expected", np.nan), ("p_log", np.nan)):
        rows[name] = rows[name].fillna(nothing) if name in rows else nothing
    return HOT_REGIONS.frame(rows.assign(**_counted(archive, files, rows, settings)))


def are_same(boxes: pd.DataFrame, others: pd.DataFrame) -> bool:
    """Whether hot regions are the same places of the same time bins."""
    keys = ["t_bin", *BOX_EDGES]
    first, second = (rows[keys].sort_values(keys, ignore_index=True) for rows in (boxes, others))
    return first.equals(second)


def _counted(
    archive: Archive, files: Sequence[DerivedFile], boxes: pd.DataFrame, settings: FlagSettings
) -> dict[str, np.ndarray]:
    """Regions and observations in each box; an observation is in one file only."""
    counts = np.zeros((2, len(boxes)), np.int64)
    for known in _parts(archive.store, files) if len(boxes) else ():
        for number in range(len(boxes)):
            rows = known[_is_in_box(archive, known, boxes.iloc[number : number + 1], settings)]
            counts[:, number] += (len(rows), rows["obsid"].nunique())
    return {"n_regions": counts[0], "n_observations": counts[1]}


def _parts(store: Store, files: Sequence[DerivedFile]) -> Iterator[pd.DataFrame]:
    """Positions, one part in memory at a time."""
    columns = ["obsid", "t_bin", "X_det", "Y_det", "place"]
    return (_read(store, DETECTOR, [file], columns) for file in files)


def boxes_of(archive: Archive) -> pd.DataFrame:
    """Hot regions of the current version."""
    derived = archive.derived("flags")
    return _read(archive.store, HOT_REGIONS, derived.of(HOT_REGIONS.name) if derived else ())


def summary(
    store: Store, files: Sequence[DerivedFile], boxes: pd.DataFrame
) -> dict[str, JsonValue]:
    """Numbers of regions, of hot regions, and of regions with each flag."""
    names = flag_names()
    total, counts = 0, np.zeros(len(names), np.int64)
    for file in files:
        if file.table == FLAGS.name:
            rows = _read(store, FLAGS, [file], names)
            total += len(rows)
            counts += rows.to_numpy(np.int64).sum(axis=0)
    flags = dict(zip(names, counts.tolist(), strict=True))
    return {"regions": total, "hot_regions": len(boxes), **flags}
