"""Catalogue: products of an archive -> a release of FITS, Parquet and HATS, and what it means.

A release is written to a folder beside its own and renamed when all its checks hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from exod.archive import Archive, open_archive
from exod.archive.derived import Derived, table_of
from exod.archive.ledger.entry import versions
from exod.archive.products import command_of, require_columns
from exod.archive.snapshot import Snapshot
from exod.catalogue import columns as declared
from exod.catalogue.checks import ReleaseCheck, file_checks, require, table_checks
from exod.catalogue.columns import CatalogueTable
from exod.catalogue.hats import using_lsdb
from exod.catalogue.readme import MANIFEST, Facts, column_page, is_release, manifest, readme
from exod.catalogue.rows import count_detections, detection_rows, source_rows
from exod.errors import ArchiveError
from exod.files.whole import whole_folder
from exod.instruments import observatories_of
from exod.scheduler.plan import Plan
from exod.stages.catalogue.hats import write_hats
from exod.tablefiles.fits import write_fits
from exod.tablefiles.writing import write_parquet

PRODUCTS = ("unique", "features", "flags")

Further = Callable[[Archive, Path], object]
"""Given the archive and the folder of a release, writes more files to it, as a report."""


@dataclass(frozen=True)
class Release:
    """A catalogue that was written.

    Attributes
    ----------
    folder : Path
        Where it is.
    facts : Facts
        What it says of itself.
    checks : tuple of ReleaseCheck
        The checks, all of which hold.
    """

    folder: Path
    facts: Facts
    checks: tuple[ReleaseCheck, ...]


def write_catalogue(
    archive: Archive | str,
    folder: str | Path,
    plan: Plan | None = None,
    *,
    hats: bool = True,
    replace: bool = False,
    without: Sequence[str] = (),
    further: Sequence[Further] = (),
) -> Release:
    """Write the catalogue of an archive.

    Parameters
    ----------
    archive : Archive or str
        The archive, or its path; its products must be up to date.
    folder : path
        The folder to make, on a local disk.
    plan : Plan, optional
        Where and how the HATS partitions are written; by default all cores of this machine.
    hats : bool
        Whether to write HATS catalogues too.
    replace : bool
        Whether the folder may be an earlier release, which is then replaced.
    without : sequence of str
        Cross-matches to leave out.
    further : sequence of callable
        What else writes to the folder before it is published, given the archive and the folder,
        as `exod.stages.report.page.add_report`.

    Raises
    ------
    ArchiveError
        If the folder exists, a product is missing or behind, or a check fails.
    ConfigError
        If the libraries for HATS are not installed.
    """
    if hats:
        with using_lsdb():
            pass
    archive = open_archive(archive)
    target = Path(folder).absolute()
    check_target(target, replace=replace)
    archive.store.check_outside(target)
    matches = _matches(archive, without)
    products = {name: _current(archive, name) for name in PRODUCTS}
    rectified = bool(products["unique"].parameters.get("positions"))
    if rectified:
        products["frames"] = _current(archive, "frames")
    products |= {f"xmatch-{name}": _match(archive, name) for name in matches}
    if archive.derived("history"):
        remedy = f"run `exod history {archive.root}`"
        products["history"] = _not_older(archive, "history", "history", remedy)
    with whole_folder(target, error=ArchiveError) as staging:
        tables = _write_rows(archive, matches, staging, rectified=rectified)
        checks = list(table_checks(staging, _numbers(archive, matches)))
        require(checks)
        facts = _facts(archive, products, tables, hats=hats)
        _write_fits(staging, tables, facts)
        checks += file_checks(staging, tables)
        if not facts.without_hats:
            detected, unique = tables
            checks += write_hats(staging / "hats", detected, unique, archive, plan or Plan())
        found = require(checks)
        before = {path.name for path in staging.iterdir()}
        for write in further:
            write(archive, staging)
        added = sorted({path.name for path in staging.iterdir()} - before)
        pages = {"README.md": readme(facts, found, added)}
        pages["columns.md"] = column_page(tables)
        for name, text in pages.items():
            (staging / name).write_text(text, encoding="utf-8")
        (staging / MANIFEST).write_text(manifest(staging, facts), encoding="utf-8")
    return Release(target, facts, tuple(found))


def check_target(target: Path, *, replace: bool) -> None:
    """Make sure that a release may be written to a folder.

    Raises
    ------
    ArchiveError
        If it exists with something in it, unless that is an earlier release to replace.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not is_release(target):
        raise ArchiveError(f"{target} exists and is no catalogue; give another folder.")
    if not replace:
        raise ArchiveError(
            f"{target} has a catalogue already; give another folder, or --replace it."
        )


# -------------------------------------------------------------------- the rows


def _current(archive: Archive, product: str) -> Derived:
    """A product that has all observations as they are now."""
    found = archive.derived(product)
    command = command_of(product)
    if found is None:
        raise ArchiveError(
            f"The archive {archive.root} has no {product} yet; run `exod {command} {archive.root}`."
        )
    behind = found.outdated(archive.entries())
    if behind:
        raise ArchiveError(
            f"The {product} of {archive.root} are behind by {len(behind)} observations, for "
            f"instance {behind[0]}; run `exod {command} {archive.root}`."
        )
    require_columns(archive.store, found)
    return found


def _matches(archive: Archive, without: Sequence[str]) -> list[str]:
    """Names of the cross-matches to include."""
    found = archive.matched
    unknown = sorted(set(without) - set(found))
    if unknown:
        raise ArchiveError(
            f"The sources of {archive.root} were not matched with {', '.join(unknown)}; those "
            f"that can be left out are {', '.join(found) or 'none'}."
        )
    return [name for name in found if name not in without]


def _match(archive: Archive, name: str) -> Derived:
    """A cross-match that is not older than the sources."""
    remedy = f"run `exod crossmatch {archive.root} --with {name}`, or leave it out with --without"
    return _not_older(archive, f"xmatch-{name}", f"cross-match with {name}", f"{remedy} {name}")


def _not_older(archive: Archive, product: str, what: str, remedy: str) -> Derived:
    """A product that is not older than the sources."""
    found, sources = archive.derived(product), archive.derived("unique")
    if found is None or sources is None or found.finished < sources.finished:
        raise ArchiveError(f"The {what} is older than the sources; {remedy}.")
    return found


def _write_rows(
    archive: Archive, matches: Sequence[str], staging: Path, *, rectified: bool
) -> Mapping[CatalogueTable, int]:
    """Write the Parquet files; the tables with their numbers of rows."""
    snapshot, shapes = Snapshot(archive), {}
    for name in matches:
        pointer = archive.derived(f"xmatch-{name}")
        if pointer is not None:
            shapes[name] = table_of(archive.store, pointer.of("xmatch")[0])
    found = declared.detections(rectified=rectified)
    unique = declared.sources(shapes, long_term=snapshot.has("longterm"))
    n_detections = count_detections(snapshot)
    write_parquet(_parquet(staging, found), found, detection_rows(snapshot, found))
    write_parquet(_parquet(staging, unique), unique, source_rows(snapshot, unique, matches))
    return {found: n_detections, unique: pq.read_metadata(_parquet(staging, unique)).num_rows}


def _parquet(folder: Path, table: CatalogueTable) -> Path:
    return folder / f"{table.name}.parquet"


def _numbers(archive: Archive, matches: Sequence[str]) -> dict[str, np.ndarray]:
    """The sources that each cross-match has."""
    return {
        name: archive.matches(name)["region_num"].compute().to_numpy(np.int64) for name in matches
    }


def _facts(
    archive: Archive,
    products: Mapping[str, Derived],
    tables: Mapping[CatalogueTable, int],
    *,
    hats: bool,
) -> Facts:
    entries = archive.entries()
    searched = [entry.obsid for entry in entries if entry.status in ("OK", "EMPTY")]
    seen_by = observatories_of(searched)
    detected, _ = tables.values()
    return Facts(
        created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        exod=versions()["exod"],
        archive=archive.root,
        fingerprint=archive.fingerprint,
        products={name: product.version for name, product in products.items()},
        rows={table.name: n_rows for table, n_rows in tables.items()},
        observations=len(searched),
        telescopes=" and ".join(one.title for one in seen_by),
        cameras=" and ".join(one.cameras for one in seen_by),
        without_source=sum(entry.rows("regions") for entry in entries) - detected,
        without_hats="" if hats else "it was not asked for.",
    )


# -------------------------------------------------------------------- the files


def _write_fits(staging: Path, tables: Iterable[CatalogueTable], facts: Facts) -> None:
    header: dict[str, tuple[str | int | float, str]] = {
        "ORIGIN": ("exod", "Who made this file"),
        "CREATOR": (f"exod {facts.exod}", "Program and version"),
        "DATE": (facts.created.removesuffix("Z"), "When it was made, UTC"),
        "TELESCOP": (facts.telescopes, "Telescope"),
        "INSTRUME": (facts.cameras, "Instrument"),
        "RADESYS": ("ICRS", "Reference frame of the positions"),
        "SETTINGS": (facts.fingerprint, "Fingerprint of the settings of the search"),
        "NOBS": (facts.observations, "Observations that were searched"),
        "VUNIQUE": (facts.products["unique"], "Version of the unique sources"),
        "VFEATURE": (facts.products["features"], "Version of the features"),
        "VFLAGS": (facts.products["flags"], "Version of the flags"),
    }
    for table in tables:
        write_fits(staging / f"{table.name}.fits", table, _parquet(staging, table), header)
