"""The product ``explorer``: the tables that its pages read, in order of the sky."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pandas as pd

from exod.archive import Archive, open_archive
from exod.archive.derived import EXPLORER, Derived
from exod.archive.increments import deriving
from exod.archive.parquet import to_arrow
from exod.archive.questions.detections import detections
from exod.archive.snapshot import MATCHES, Snapshot
from exod.catalogue.columns import sources
from exod.catalogue.rows import source_rows
from exod.errors import ArchiveError
from exod.files.ahead import done_at_once
from exod.scheduler.plan import Plan
from exod.schemas import BTI
from exod.schemas.columns import Table
from exod.schemas.explorer import (
    COVERAGE,
    CUTOUTS,
    FIELDS,
    NEAR_PHOTONS,
    NEIGHBOURS,
    OUTLINES,
    SEARCHES,
    SIGNIFICANCES,
)
from exod.stages.explore.coverage import coverage_rows
from exod.stages.explore.cutouts import CELL_ROWS, CUTOUT_ROWS, cell_rows, cutout_rows
from exod.stages.explore.density import DENSITY, DENSITY_ROWS
from exod.stages.explore.fields import FIELD_ROWS, bad_time_rows, outline_rows, search_rows
from exod.stages.explore.lightcurves import (
    CURVES_KNOWN,
    LIGHT_CURVE_ROWS,
    detections_with_curves,
    earlier_curves,
    earlier_neighbours,
    light_curve_rows,
)
from exod.stages.explore.photons import (
    PHOTON_ROWS,
    PhotonsKept,
    covered_fields,
    gather_photons,
)
from exod.stages.explore.runs import PROGRESS, progress_rows
from exod.stages.explore.significances import significance_rows
from exod.stages.explore.similar import NEIGHBOUR_ROWS, SimilarCurves
from exod.stages.explore.standing import damaged_files, parts_of
from exod.stages.explore.whole import WHOLE, whole_rows
from exod.stages.explore.writing import DETAIL_ROWS, INDEX_ROWS, Chunks, ProductWriter, Told

_VERSION: Final = 15
"""Of what its files mean; with another one they are made anew."""


MOST_AT_ONCE: Final = 2
"""Tables that are written at once, if there are as many cores."""


@dataclass(frozen=True)
class ExplorerMade:
    """What became of the product.

    Attributes
    ----------
    version : str
        The version that is current now.
    made : bool
        Whether it was made now; otherwise it was up to date.
    n_detections, n_sources, n_photons : int
        Rows.
    left_out : dict of str to str
        Observations whose photons it does not have, with the reason where it is known.
    damaged : tuple of str
        Files of the earlier version that were gone or damaged, for which it was made anew.
    """

    version: str
    made: bool
    n_detections: int
    n_sources: int
    n_photons: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()


def make_explorer(
    archive: Archive | str,
    *,
    photons: str | None = None,
    force: bool = False,
    plan: Plan | None = None,
    on_step: Told = lambda _what: None,
) -> ExplorerMade:
    """Bring the product ``explorer`` of an archive up to date.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path.
    photons : str, optional
        Folder or URL of event lists, whose photons near the sources are kept, or ``recorded``:
        where the search read them. By default as before.
    force : bool
        Whether it is made anew in any case.
    plan : Plan, optional
        How event lists are read; by default by all cores of this machine.
    on_step : callable
        Is told what is being made.

    Raises
    ------
    ArchiveError
        If sources, features or flags were not made yet, or something cannot be read or written.
    InputError
        If there are no event lists in the folder.
    """
    archive = open_archive(archive)
    parts = parts_of(archive)
    earlier = archive.derived(EXPLORER)
    on_step("Looking at the files of the pages")
    damaged = () if force else tuple(damaged_files(archive))
    force = force or bool(damaged)
    attempts = {entry.obsid: entry.attempt for entry in archive.entries()}
    kept = PhotonsKept.of(None if force else earlier, photons, attempts, parts["unique"])
    parameters = {"version": _VERSION, "parts": parts, "photons": kept.place}
    current = not force and earlier and earlier.is_made_with(parameters)
    if earlier and current and earlier.attempts == attempts and kept.is_complete:
        return _made(earlier, kept.left_out, made=False)
    snapshot = Snapshot(archive)
    with deriving(archive.store, EXPLORER, ()) as new:
        new.parameters, new.attempts = parameters, attempts
        with tempfile.TemporaryDirectory(prefix="exod-explorer-") as folder:
            writer = ProductWriter(archive.store, new, Path(folder), on_step)
            is_good = earlier and not force and earlier.is_made_with({"version": _VERSION})
            reused = earlier if is_good else None
            coverage, known = _write_tables(writer, archive, snapshot, parts, earlier, reused)
            new.parameters = {**parameters, CURVES_KNOWN: known}
            new.files.sort(key=lambda file: file.table)
            if kept.is_complete:
                new.files += kept.files
            else:
                fields = covered_fields(snapshot, coverage)
                scratch = Path(folder, "photons-read.parquet")
                near = gather_photons(archive, fields, kept.place, scratch, plan or Plan(), on_step)
                kept = replace(kept, left_out=near.left_out)
                if near.rows:
                    on_step("Sorting photons")
                    writer.write_exact(NEAR_PHOTONS, near.chunks(), PHOTON_ROWS)
        new.summary = {
            "tables": dict(sorted(writer.described.items())),
            "catalogues": _catalogues(parts),
            "photons": kept.summary,
        }
    made = archive.derived(EXPLORER)
    if made is None:
        raise ArchiveError(f"The product {EXPLORER} of {archive.root} was removed meanwhile.")
    return replace(_made(made, kept.left_out, made=True), damaged=damaged)


def _write_tables(
    writer: ProductWriter,
    archive: Archive,
    snapshot: Snapshot,
    parts: Mapping[str, str],
    earlier: Derived | None,
    reused: Derived | None,
) -> tuple[pd.DataFrame, bool]:
    """Write all but photons, several tables at once.

    Of an earlier version it is told how significant sources were; if it may be `reused` too, light
    curves of observations that have not changed are taken from it, and images if none has. What
    covered each source is returned, and whether it is known what light curves depend on.
    """
    attempts = {entry.obsid: entry.attempt for entry in archive.entries()}
    matches = _catalogues(parts)

    def write_sources() -> None:
        density = writer.write(*shown_sources(snapshot, matches), "region_num")
        writer.write_exact(DENSITY, density.rows(), DENSITY_ROWS)

    def write_curves() -> bool:
        return _write_curves(writer, snapshot, reused, attempts)

    def write_coverage() -> pd.DataFrame:
        coverage = coverage_rows(snapshot)
        rows = to_arrow(COVERAGE, coverage, COVERAGE.name)
        writer.write_plain(COVERAGE, iter([rows]), DETAIL_ROWS)
        return coverage

    def write_images() -> None:
        # They depend on the search and the sources only.
        if reused and reused.attempts == attempts and _sources_of(reused) == parts["unique"]:
            kept = (reused.of(name) for name in (CUTOUTS.name, FIELDS.name, "cells"))
            writer.keep(chain.from_iterable(kept))
            return
        with writer.opened(FIELDS, FIELD_ROWS) as images:
            writer.write_plain(CUTOUTS, cutout_rows(snapshot, images.write), CUTOUT_ROWS)
        writer.write_plain(*cell_rows(snapshot), CELL_ROWS)

    def write_others() -> None:
        writer.write_plain(OUTLINES, outline_rows(snapshot), FIELD_ROWS)
        writer.write_plain(BTI, bad_time_rows(snapshot), DETAIL_ROWS)
        writer.write_plain(SEARCHES, search_rows(archive), DETAIL_ROWS)
        writer.write_plain(PROGRESS, progress_rows(archive), DETAIL_ROWS)
        history = significance_rows(snapshot, earlier)
        rows = to_arrow(SIGNIFICANCES, history, SIGNIFICANCES.name)
        writer.write_plain(SIGNIFICANCES, iter([rows]), INDEX_ROWS)
        for name in (*WHOLE, *(["longterm"] if snapshot.has("longterm") else [])):
            writer.write_plain(*whole_rows(snapshot, name), DETAIL_ROWS)

    def write_detections() -> None:
        writer.write(*shown_detections(snapshot, matches), "detid")

    # What takes longest comes first.
    tasks = (write_detections, write_sources, write_coverage, write_curves, write_images)

    def stop() -> None:
        snapshot.stop()
        writer.stop()

    every = (*tasks, write_others)
    done: list[Any] = done_at_once(every, threads=tables_at_once(), stop=stop)
    return done[every.index(write_coverage)], done[every.index(write_curves)]


def _catalogues(parts: Mapping[str, str]) -> list[str]:
    return [name.removeprefix("xmatch-") for name in parts if name.startswith("xmatch-")]


def _sources_of(product: Derived) -> str:
    """The version of the sources that it shows."""
    parts: Any = product.parameters["parts"]
    return str(parts["unique"])


def _write_curves(
    writer: ProductWriter,
    snapshot: Snapshot,
    reused: Derived | None,
    attempts: Mapping[str, str],
) -> bool:
    """Write light curves and their numbers; whether it is known what they depend on."""
    now = detections_with_curves(snapshot)
    with earlier_curves(snapshot, now, reused, attempts) as known:
        if known is None or reused is None:
            table, curves = light_curve_rows(snapshot)
            similar = SimilarCurves(snapshot)
            writer.write_plain(table, similar.watched(curves), LIGHT_CURVE_ROWS)
            writer.write_exact(NEIGHBOURS, similar.rows(), NEIGHBOUR_ROWS)
            return now is not None
        file, changed = known
        if not changed.obsids:
            writer.keep([*reused.of("lightcurves"), *reused.of(NEIGHBOURS.name)])
            return True
        table, curves = light_curve_rows(snapshot, changed.obsids)
        similar = SimilarCurves(snapshot)
        writer.write_merged(table, similar.watched(curves), LIGHT_CURVE_ROWS, file, changed)
        numbers = similar.rows([earlier_neighbours(snapshot, reused, changed)])
        writer.write_exact(NEIGHBOURS, numbers, NEIGHBOUR_ROWS)
    return True


def tables_at_once() -> int:
    """How many tables are written at once; each of them takes its share of the memory."""
    return min(os.cpu_count() or 1, MOST_AT_ONCE)


def _made(pointer: Derived, left_out: Mapping[str, str], *, made: bool) -> ExplorerMade:
    rows = {file.table: file.rows for file in pointer.files}
    return ExplorerMade(
        pointer.version,
        made,
        rows["detections"],
        rows["sources"],
        rows.get(NEAR_PHOTONS.name, 0),
        left_out,
    )


def shown_detections(snapshot: Snapshot, matches: Sequence[str]) -> tuple[Table, Chunks]:
    """All detections with the counterparts of their sources in some catalogues."""
    rows = detections(snapshot)
    # Where it is on the detector, beside the hot regions there.
    rows.add_measured("detector", ("X_det", "Y_det"))
    for name in matches:
        rows.add_matches(f"{MATCHES}{name}")
    table = Table("detections", "Regions with their source", tuple(rows.columns.values()), ())
    return table, rows.selected(table, order=None).chunks()


def shown_sources(snapshot: Snapshot, matches: Sequence[str]) -> tuple[Table, Chunks]:
    """All sources with their best detection and counterparts in some catalogues."""
    shapes = {name: snapshot.table(f"{MATCHES}{name}") for name in matches}
    table = sources(shapes, long_term=snapshot.has("longterm"))
    return table, source_rows(snapshot, table, matches, ordered=False)
