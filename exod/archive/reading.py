"""Reading an archive: its ledger, lazy tables, and single observations and light curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from exod.archive.compaction import read_pointer
from exod.archive.ledger.entry import FullEntry, LedgerEntry, read_entry
from exod.archive.ledger.table import read_ledger
from exod.archive.parquet import (
    FileReplacedError,
    Filters,
    declared,
    read_file,
    to_pandas,
)
from exod.archive.parts import holdings
from exod.archive.products import LazyTable, ProductReader
from exod.archive.questions.cone import box, check_cone, within
from exod.archive.store import Store
from exod.config import Config
from exod.errors import ArchiveError, InputError
from exod.observation.identifiers import obsid_of_row
from exod.schemas import LIGHTCURVES, REGIONS, TABLES, Table
from exod.schemas.columns import pandas_dtype

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd
    from numpy.typing import ArrayLike

_STATUS_TYPES: dict[str, pa.DataType] = {
    "obsid": pa.string(),
    "status": pa.string(),
    "reason": pa.string(),
    "attempt": pa.string(),
    "n_runs": pa.int64(),
    "n_regions": pa.int64(),
    "n_cells": pa.int64(),
    "seconds": pa.float64(),
    "peak_memory_mb": pa.float64(),
    "finished": pa.timestamp("us", "UTC"),
}


class ArchiveReader(ProductReader):
    """What an archive shows; `exod.archive.Archive` adds making and writing."""

    def __init__(self, store: Store, config: Config, fingerprint: str) -> None:
        self._store = store
        self.config = config
        self.fingerprint = fingerprint

    @property
    def root(self) -> str:
        """Absolute path or URL."""
        return self._store.root

    def __repr__(self) -> str:
        return f"Archive({self.root!r})"

    # ---------------------------------------------------------------- the ledger

    def entry(self, obsid: str) -> FullEntry | None:
        """Read the ledger entry of an observation, None if it was never committed.

        Raises
        ------
        InputError
            If `obsid` is no observation identifier.
        ArchiveError
            If the entry is damaged or cannot be read.
        """
        return read_entry(self._store, obsid)

    def entries(self) -> list[LedgerEntry]:
        """Read the whole ledger, sorted by obsid; `entry` has more of an observation.

        Raises
        ------
        ArchiveError
            If an entry is damaged or cannot be read.
        """
        return read_ledger(self._store).entries()

    def status(self) -> pd.DataFrame:
        """Summarise the ledger, one row an observation, sorted by obsid.

        Returns
        -------
        DataFrame
            Columns obsid, status, reason, attempt (str), n_runs, n_regions, n_cells (rows of these
            tables), seconds, peak_memory_mb, finished (UTC).
        """
        rows = read_ledger(self._store).rows
        counted = {f"n_{name}": rows[f"{name}.rows"] for name in ("runs", "regions", "cells")}
        frame = rows.select([n for n in _STATUS_TYPES if n not in counted]).to_pandas()
        for name, column in counted.items():
            frame[name] = column.fill_null(0).to_pandas()
        return frame[list(_STATUS_TYPES)].astype(
            {name: pandas_dtype(kind) for name, kind in _STATUS_TYPES.items()}
        )

    # ---------------------------------------------------------------- reading

    observations = LazyTable("observations")
    exposures = LazyTable("exposures")
    known_sources = LazyTable("known_sources")
    # Its name in scripts of earlier formats.
    sources = known_sources
    hot_pixels = LazyTable("hot_pixels")
    bti = LazyTable("bti")
    runs = LazyTable("runs")
    cells = LazyTable("cells")
    regions = LazyTable("regions")
    lightcurves = LazyTable("lightcurves")
    images = LazyTable("images")
    variability = LazyTable("variability")
    rates = LazyTable("rates")

    def table(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        filters: Filters = (),
        index: str | None = None,
    ) -> dd.DataFrame:
        """Open a table of all observations, lazily: only the ledger is read.

        Parameters
        ----------
        name : str
            Which table.
        columns : sequence of str, optional
            The columns wanted; all if not given. Filters may be about others.
        filters : sequence, optional
            Conditions ``(column, operator, value)`` that all hold, or lists of such of which one
            holds. Operators are ``==``, ``<``, ``<=``, ``>``, ``>=``, ``in`` and, but not for
            floating-point columns, ``!=`` and ``not in``. Parts of files whose statistics rule
            the conditions out are not read; nor for comparisons of a column with a value that are
            made of the table afterwards, as in ``table[table.obsid == "0724210501"]``.
        index : {"obsid"}, optional
            Make obsid the index, sorted and with known divisions: tables are then merged by it
            without a shuffle. Without it divisions are unknown.

        Returns
        -------
        dask.dataframe.DataFrame
            With the columns that `exod.schemas` declares. Rows of an observation are together and
            sorted, except those of regions in compact files, which are in order of the sky. It
            shows the archive as it is now.

        Raises
        ------
        ArchiveError
            If there is no such table or column, a filter does not fit, or a ledger entry or
            ``compact.json`` is damaged.

        Examples
        --------
        >>> import tempfile
        >>> from exod.archive import Archive
        >>> from exod.config import Config
        >>> archive = Archive.create(tempfile.mkdtemp(), Config())
        >>> quick = archive.table("regions", columns=["detid"], filters=[("t_bin", "==", 5)])
        >>> len(quick)
        0
        """
        table = declared(name).shown
        if index not in (None, "obsid"):
            raise ArchiveError(f"The index of a table can be obsid, not {index!r}.")
        found = holdings(self._store)
        last = found.last(name) if index else None
        parts = found.parts_by_obsid(name) if last else found.parts(name)
        from exod.archive.lazy import lazy_table

        return lazy_table(self._store, table, parts, filters, columns, last)

    def observation(self, obsid: str, *names: str) -> dict[str, pd.DataFrame]:
        """Tables of one observation, read from its own files.

        Parameters
        ----------
        obsid : str
            Observation identifier.
        *names : str
            Tables; all if none is named.

        Returns
        -------
        dict of str to DataFrame
            Without rows if the observation has none.

        Raises
        ------
        ArchiveError
            If the archive does not have the observation or a table of that name.
        """
        tables = [declared(name).shown for name in names or TABLES]
        try:
            return self._read_observation(obsid, tables)
        except FileReplacedError:
            # It was processed again between the reads of the entry and the files.
            return self._read_observation(obsid, tables)

    def _read_observation(self, obsid: str, tables: Iterable[Table]) -> dict[str, pd.DataFrame]:
        entry = self.entry(obsid)
        if entry is None:
            raise ArchiveError(f"The archive {self.root} has no observation {obsid}.")
        return {
            table.name: to_pandas(read_file(self._store, entry.file(table.name), table))
            for table in tables
        }

    def lightcurve(self, detid: str) -> pd.DataFrame:
        """One light curve, read from its part of a file.

        Parameters
        ----------
        detid : str
            Region identifier, ``{obsid}_{subset}_{t_bin}_{e_lo}_{e_hi}_{label}``.

        Returns
        -------
        DataFrame
            The rows of the table `lightcurves`, sorted by time.

        Raises
        ------
        ArchiveError
            If there is no such light curve.
        """
        try:
            frame = self._find_lightcurve(detid)
        except FileReplacedError:
            # The observation was processed again between the reads of the entry and the file.
            frame = self._find_lightcurve(detid)
        if frame.empty:
            raise ArchiveError(f"The archive {self.root} has no light curve {detid!r}.")
        return frame

    def _find_lightcurve(self, detid: str) -> pd.DataFrame:
        try:
            entry = self.entry(obsid_of_row(detid))
        except InputError:
            entry = None
        file = entry.file(LIGHTCURVES.name) if entry else None
        if entry is None or file is None:
            return LIGHTCURVES.shown.frame()
        compacted = read_pointer(self._store)
        files = compacted.files_with(LIGHTCURVES.name, entry) if compacted else None
        stored = [file] if files is None else [file.stored for file in files]
        # Files are sorted by runid, so their statistics leave few row groups to read.
        wanted = [[("runid", "==", detid.rpartition("_")[0]), ("detid", "==", detid)]]
        found = [read_file(self._store, file, LIGHTCURVES.shown, rows=wanted) for file in stored]
        return to_pandas(pa.concat_tables(found))

    def limits(
        self,
        ra_deg: ArrayLike,
        dec_deg: ArrayLike,
        *,
        start: ArrayLike | None = None,
        stop: ArrayLike | None = None,
        band: tuple[float, float] | None = None,
        level: float = 0.9,
        radius_arcsec: float = 20.0,
        obsids: str | Sequence[str] = (),
    ) -> pd.DataFrame:
        """What each observation that covered places says of a source there.

        Parameters
        ----------
        ra_deg, dec_deg : float or array_like, shape (n,)
            Places in degrees, ICRS.
        start, stop : float or array_like, shape (n,), optional
            Half-open range of mission elapsed seconds; by default all of each observation.
        band : (float, float), optional
            Energies in keV, one of the archive's bands; by default the widest.
        level : float
            Probability of the interval, or of the upper limit.
        radius_arcsec : float
            Cells whose centres are so near are counted, and that of the place.
        obsids : str or sequence of str
            Only these observations, if any.

        Returns
        -------
        DataFrame
            Rows of `exod.schemas.depth.LIMITS`, one for each place and observation that saw it
            in that time; none if none did.

        Raises
        ------
        ArchiveError
            If the product depth was not made yet, see `exod depth`.
        ConfigError
            If a place, time, band, level or radius is impossible, or no number.

        Notes
        -----
        Intervals are those of Kraft, Burrows & Nousek (1991, ApJ 374, 344).

        Examples
        --------
        >>> import exod
        >>> arc = exod.open_archive("results")  # doctest: +SKIP
        >>> arc.limits(263.677, -32.582)[["obsid", "n", "mu", "flux_hi"]]  # doctest: +SKIP
        """
        from exod.archive.questions.limits import limits

        return limits(
            self,
            ra_deg,
            dec_deg,
            start=start,
            stop=stop,
            band=band,
            level=level,
            radius_arcsec=radius_arcsec,
            obsids=obsids,
        )

    def cone(self, ra_deg: float, dec_deg: float, radius_arcsec: float) -> dd.DataFrame:
        """Regions within a circle on the sky, lazy.

        Parameters
        ----------
        ra_deg, dec_deg : float
            Centre in degrees, ICRS.
        radius_arcsec : float
            Radius in arcsec; the circle includes its edge.

        Returns
        -------
        dask.dataframe.DataFrame
            The columns of `regions` and `separation_arcsec`, in the order of the table.

        Raises
        ------
        ArchiveError
            If the circle is impossible.
        ConfigError
            If it is not made of three numbers.
        """
        check_cone(ra_deg, dec_deg, radius_arcsec)
        circle = (float(ra_deg), float(dec_deg), float(radius_arcsec))
        near = self.table(REGIONS.name, filters=box(*circle))
        found: dd.DataFrame = near.map_partitions(
            within, *circle, meta=within(REGIONS.shown.frame(), *circle)
        )
        return found
