"""The archive: tables of many observations under one root, committed whole or not at all.

One folder a table with Parquet files ``<obsid>-<attempt>.parquet``, and ``ledger/<obsid>.json``,
the commit marker. Readers follow the ledger only, so a run can be killed at any time: nothing is
lost, nothing is double, and no reader sees half an observation. Processing an observation again
replaces it; `Archive.gc` removes what is no longer referred to.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from exod.archive.ledger import (
    MARKER,
    LedgerEntry,
    Status,
    TableFile,
    differences,
    input_files,
    problem,
    read_marker,
    versions,
)
from exod.archive.parquet import (
    STRING,
    FileReplacedError,
    declared,
    encode,
    groups,
    read_file,
    read_group,
    to_pandas,
)
from exod.archive.store import Store, is_temporary, reported
from exod.config import Config
from exod.errors import ArchiveError, ConfigError, InputError
from exod.schemas import FORMAT_VERSION, LIGHTCURVES, TABLES, Table
from exod.sky import validate_obsid

if TYPE_CHECKING:
    import dask.dataframe as dd

_LEDGER = "ledger"
_ENTRY_NAME = re.compile(rf"{_LEDGER}/(\d{{10}})\.json")
_TABLE_NAME = re.compile(r"[a-z_]+/(\d{10})-\d+-[0-9a-f]+\.parquet")


class _LazyTable:
    """A table of the archive as an attribute."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.__doc__ = f"{TABLES[name].description} (lazy dask dataframe)."

    def __get__(self, archive: Archive | None, owner: type[Archive]) -> dd.DataFrame:
        # On the class it is its own documentation, as a property would be.
        return archive.table(self.name) if archive is not None else self


class Archive:
    """Results of many observations, on a local path or any fsspec URL.

    Use `create` to write and `open` (or `open_archive`) to read. An archive can be sent to other
    processes, and several processes can commit at the same time.

    Attributes
    ----------
    root : str
        Absolute path or URL.
    config : Config
        The settings of all its results.
    fingerprint : str
        The fingerprint of the settings.

    Examples
    --------
    >>> import tempfile
    >>> from exod.config import Config
    >>> from exod.schemas import BTI
    >>> archive = Archive.create(tempfile.mkdtemp(), Config())
    >>> run = "0001730201_0_50_0.2_12"
    >>> bti = BTI.frame([{"runid": run, "obsid": "0001730201", "START": 0.0, "STOP": 100.0}])
    >>> entry = archive.commit("0001730201", "EMPTY", {"bti": bti})
    >>> len(archive.bti)
    1
    >>> list(archive.status().status)
    ['EMPTY']
    """

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

    # ---------------------------------------------------------------- opening

    @classmethod
    def create(
        cls,
        root: str | os.PathLike[str],
        config: Config,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make an archive, or open the one that is there if its settings are the same.

        Parameters
        ----------
        root : str or path
            Local path or fsspec URL.
        config : Config
            Settings of the search.
        storage_options : dict, optional
            Options of the fsspec file system.

        Raises
        ------
        ArchiveError
            If the archive there has other settings (the text names each difference) or another
            format, or nothing can be written.
        """
        store = Store.at(root, storage_options)
        settings = config.model_dump(mode="json")
        content = {
            "format_version": FORMAT_VERSION,
            "config": settings,
            "fingerprint": config.fingerprint(),
            "exod": versions()["exod"],
        }
        text = json.dumps(content, sort_keys=True, indent=1).encode()
        with reported(f"The archive {store.root} cannot be made"):
            # Results without archive.json have unknown settings: do not adopt them.
            if not store.exists(MARKER) and not store.names(_LEDGER):
                store.create(MARKER, text, (*TABLES, _LEDGER))
        found = read_marker(store)
        changes = list(differences(found["config"], settings))
        if changes:
            raise ArchiveError(
                f"The archive {store.root} was made with other settings: "
                f"{'; '.join(changes)}; use another root."
            )
        return cls(store, config, found["fingerprint"])

    @classmethod
    def open(
        cls, root: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
    ) -> Self:
        """Open an archive to read it.

        Raises
        ------
        ArchiveError
            If there is none, or it cannot be read.
        """
        store = Store.at(root, storage_options)
        found = read_marker(store)
        try:
            config = Config.parse(found["config"])
        except ConfigError as error:
            raise ArchiveError(
                f"The archive {store.root} was written by exod {found.get('exod')} "
                f"with settings that this version does not know: {error}"
            ) from error
        return cls(store, config, found["fingerprint"])

    # ---------------------------------------------------------------- writing

    def commit(
        self,
        obsid: str,
        status: Status,
        tables: Mapping[str, pd.DataFrame] = MappingProxyType({}),
        *,
        reason: str = "",
        traceback: str = "",
        inputs: Iterable[Any] = (),
        seconds: float = 0.0,
        peak_memory_mb: float = 0.0,
    ) -> LedgerEntry:
        """Make the outcome of an observation visible, in place of any earlier one.

        Parameters
        ----------
        obsid : str
            Observation identifier, ten digits.
        status : {"OK", "EMPTY", "SKIPPED", "FAILED"}
            The outcome.
        tables : dict of str to DataFrame
            Rows by table name, with the columns that `exod.schemas` declares in any order. A table
            without rows gets no file.
        reason, traceback : str
            Why it was skipped or failed.
        inputs : iterable
            Mappings or objects with name, size (bytes) and checksum.
        seconds, peak_memory_mb : float
            What it took.

        Returns
        -------
        LedgerEntry
            The entry as written.

        Raises
        ------
        InputError
            If `obsid` is not ten digits.
        ArchiveError
            If a table does not fit its schema or something cannot be written; the earlier state
            is then untouched.
        """
        validate_obsid(obsid)
        attempt = self._new_attempt(obsid)
        contents: dict[str, bytes] = {}
        files: dict[str, TableFile] = {}
        for name, frame in tables.items():
            data = encode(declared(name), frame, obsid)
            path = f"{name}/{obsid}-{attempt}.parquet" if len(frame) else None
            files[name] = TableFile(path=path, rows=len(frame), bytes=len(data))
            if path is not None:
                contents[path] = data
        finished = datetime.now(UTC)
        try:
            entry = LedgerEntry(
                obsid=obsid,
                status=status,
                reason=reason,
                traceback=traceback,
                attempt=attempt,
                files=files,
                inputs=input_files(inputs),
                fingerprint=self.fingerprint,
                versions=versions(),
                seconds=seconds,
                peak_memory_mb=peak_memory_mb,
                started=finished - timedelta(seconds=float(seconds)),
                finished=finished,
            )
        except (ValueError, TypeError, OverflowError) as error:
            raise ArchiveError(
                f"Observation {obsid} cannot be committed: {problem(error)}."
            ) from error
        with reported(f"Observation {obsid} cannot be committed to {self.root}"):
            self._store.publish(contents, _entry_name(obsid), entry.to_json())
        return entry

    def _new_attempt(self, obsid: str) -> str:
        """Count on, with a suffix since two processes may be at it at once."""
        try:
            previous = self.entry(obsid)
            number = int(previous.attempt.split("-")[0]) + 1 if previous else 1
        except (ArchiveError, ValueError):
            # This attempt replaces the damaged entry, so its number does not matter.
            number = 1
        return f"{number:04d}-{uuid.uuid4().hex[:8]}"

    def gc(self, older_than: float = 3600.0) -> list[str]:
        """Delete files that no ledger entry refers to.

        Files of an attempt in progress look the same, and a reader may still use files that were
        replaced just now; so only files unreferred to for `older_than` seconds go. With 0 all go:
        do that only when nothing else uses the archive.

        Returns
        -------
        list of str
            What was deleted, paths relative to the root, sorted.

        Raises
        ------
        ArchiveError
            If a ledger entry is damaged (nothing is deleted then) or a file cannot be deleted.
        """
        with reported(f"Unused files of {self.root} cannot be removed"):
            # Files first and the ledger after: what is committed in between is then referred to.
            files: dict[str, float] = {}
            for folder in (*TABLES, _LEDGER):
                files |= self._store.modified(folder)
            entries = {entry.obsid: entry for entry in self.entries()}
            used = {file.path for entry in entries.values() for file in entry.files.values()}
            now = time.time()
            unused = []
            for name, changed in files.items():
                ours = _TABLE_NAME.fullmatch(name)
                if name in used or not (ours or is_temporary(name)):
                    continue
                since = changed
                if ours and ours[1] in entries:
                    since = max(since, entries[ours[1]].finished.timestamp())
                if older_than <= 0 or now - since >= older_than:
                    unused.append(name)
            self._store.remove(unused)
        return sorted(unused)

    # ---------------------------------------------------------------- the ledger

    def entry(self, obsid: str) -> LedgerEntry | None:
        """Read the ledger entry of an observation, None if it was never committed.

        Raises
        ------
        InputError
            If `obsid` is not ten digits.
        ArchiveError
            If the entry is damaged or cannot be read.
        """
        name = _entry_name(validate_obsid(obsid))
        with reported(f"The ledger file {self._store.path(name)} cannot be read"):
            try:
                data = self._store.read(name)
            except FileNotFoundError:
                return None
        return LedgerEntry.from_json(data, obsid, self._store.path(name))

    def entries(self) -> list[LedgerEntry]:
        """Read the whole ledger, sorted by obsid.

        Raises
        ------
        ArchiveError
            If an entry is damaged or cannot be read.
        """
        with reported(f"The ledger of {self.root} cannot be read"):
            names = [n for n in self._store.names(_LEDGER) if _ENTRY_NAME.fullmatch(n)]
            contents = self._store.read_many(names)
        return [
            LedgerEntry.from_json(data, name[-15:-5], self._store.path(name))
            for name, data in zip(names, contents, strict=True)
        ]

    def is_done(self, obsid: str, inputs: Iterable[Any]) -> bool:
        """Whether an observation needs no processing: done with these settings and these inputs.

        A failed one and one with a damaged entry are not done; processing replaces the entry.

        Parameters
        ----------
        obsid : str
            Observation identifier.
        inputs : iterable
            As in `commit`; the order does not matter.
        """
        try:
            entry = self.entry(obsid)
        except ArchiveError:
            return False
        return (
            entry is not None
            and entry.status != "FAILED"
            and entry.fingerprint == self.fingerprint
            and entry.inputs == input_files(inputs)
        )

    def status(self) -> pd.DataFrame:
        """Summarise the ledger, one row an observation, sorted by obsid.

        Returns
        -------
        DataFrame
            Columns obsid, status, reason, attempt (str), n_runs, n_regions, n_cells (rows of these
            tables), seconds, peak_memory_mb, finished (UTC).
        """
        rows = [
            {
                "obsid": entry.obsid,
                "status": entry.status,
                "reason": entry.reason,
                "attempt": entry.attempt,
                "n_runs": entry.rows("runs"),
                "n_regions": entry.rows("regions"),
                "n_cells": entry.rows("cells"),
                "seconds": entry.seconds,
                "peak_memory_mb": entry.peak_memory_mb,
                "finished": entry.finished,
            }
            for entry in self.entries()
        ]
        return pd.DataFrame(rows, columns=list(_STATUS_DTYPES)).astype(_STATUS_DTYPES)

    # ---------------------------------------------------------------- reading

    observations = _LazyTable("observations")
    exposures = _LazyTable("exposures")
    sources = _LazyTable("sources")
    hot_pixels = _LazyTable("hot_pixels")
    bti = _LazyTable("bti")
    runs = _LazyTable("runs")
    cells = _LazyTable("cells")
    regions = _LazyTable("regions")
    lightcurves = _LazyTable("lightcurves")
    images = _LazyTable("images")
    rates = _LazyTable("rates")

    def table(self, name: str) -> dd.DataFrame:
        """Open a table of all observations, lazily: only the ledger is read.

        Returns
        -------
        dask.dataframe.DataFrame
            With the columns that `exod.schemas` declares; divisions are unknown. It shows the
            archive as it is now.

        Raises
        ------
        ArchiveError
            If there is no such table, or a ledger entry is damaged.
        """
        # Importing dask.dataframe takes a second that writers need not spend.
        import dask
        import dask.dataframe as dd

        table = declared(name)
        files = [entry.files[name] for entry in self.entries() if name in entry.files]
        # One partition must exist: an empty group gives an empty frame.
        partitions = list(groups(files)) or [()]
        # dask would turn pandas' str into its nullable string; both are Arrow text.
        with dask.config.set({"dataframe.convert-string": False}):
            frame: dd.DataFrame = dd.from_map(
                read_group, partitions, store=self._store, name=name, meta=table.frame(), label=name
            )
        return frame

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
        tables = [declared(name) for name in names or TABLES]
        try:
            return self._read_observation(obsid, tables)
        except FileReplacedError:
            # It was processed again between the reads of the entry and the files.
            return self._read_observation(obsid, tables)

    def _read_observation(self, obsid: str, tables: Iterable[Table]) -> dict[str, pd.DataFrame]:
        entry = self.entry(obsid)
        if entry is None:
            raise ArchiveError(f"The archive {self.root} has no observation {obsid}.")
        found = {}
        for table in tables:
            path = entry.path(table.name)
            found[table.name] = (
                to_pandas(read_file(self._store, path, table)) if path else table.frame()
            )
        return found

    def lightcurve(self, detid: str) -> pd.DataFrame:
        """One light curve, read from its part of its observation's file.

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
            entry = self.entry(detid[:10])
        except InputError:
            entry = None
        path = entry.path(LIGHTCURVES.name) if entry else None
        if path is None:
            return LIGHTCURVES.frame()
        # The file is sorted by runid, so its statistics leave few row groups to read.
        wanted = [("runid", "==", detid.rpartition("_")[0]), ("detid", "==", detid)]
        return to_pandas(read_file(self._store, path, LIGHTCURVES, rows=wanted))

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
        """
        if not (np.isfinite(ra_deg) and abs(dec_deg) <= 90 and radius_arcsec >= 0):
            raise ArchiveError(
                f"A cone needs a right ascension, a declination within -90 and 90 deg and a "
                f"radius of at least 0 arcsec, not {ra_deg}, {dec_deg}, {radius_arcsec}."
            )
        centre = (float(ra_deg), float(dec_deg), float(radius_arcsec))
        meta = _within(TABLES["regions"].frame(), *centre)
        found: dd.DataFrame = self.regions.map_partitions(_within, *centre, meta=meta)
        return found


def open_archive(
    root: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> Archive:
    """Open an archive to read it; see `Archive.open`."""
    return Archive.open(root, storage_options)


_STATUS_DTYPES: dict[str, Any] = {
    "obsid": STRING,
    "status": STRING,
    "reason": STRING,
    "attempt": STRING,
    "n_runs": "int64",
    "n_regions": "int64",
    "n_cells": "int64",
    "seconds": "float64",
    "peak_memory_mb": "float64",
    "finished": "datetime64[us, UTC]",
}


def _entry_name(obsid: str) -> str:
    return f"{_LEDGER}/{obsid}.json"


def _within(
    regions: pd.DataFrame, ra_deg: float, dec_deg: float, radius_arcsec: float
) -> pd.DataFrame:
    """Keep the regions in a circle, with their separation from its centre in arcsec."""
    # Half a second that only a cone search needs.
    from astropy.coordinates import angular_separation

    centre = np.radians(ra_deg), np.radians(dec_deg)
    position = np.radians(regions["ra_deg"].to_numpy()), np.radians(regions["dec_deg"].to_numpy())
    separation = np.degrees(angular_separation(*centre, *position)) * 3600.0
    inside = separation <= radius_arcsec
    found: pd.DataFrame = regions[inside].assign(separation_arcsec=separation[inside])
    return found
