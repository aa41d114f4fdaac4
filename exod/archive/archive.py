"""The archive: tables of many observations under one root, committed whole or not at all.

One folder a table with Parquet files ``<obsid>-<attempt>.parquet``, and ``ledger/<obsid>.json``,
the commit marker. Readers follow the ledger only, so a run can be killed at any time: nothing is
lost, nothing is double, and no reader sees half an observation. Processing an observation again
replaces it; `Archive.gc` removes what is no longer referred to. `Archive.compact` adds copies in
large files (`exod.archive.compaction`).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from exod.archive.compaction import FILE_MB, Compacted, compact, unused_compacted
from exod.archive.derived import unused_derived
from exod.archive.ledger.entry import (
    LEDGER,
    MARKER,
    SEARCH_RECORD,
    FullEntry,
    Status,
    TableFile,
    differences,
    entry_name,
    input_files,
    problem,
    read_marker,
    table_path,
    versions,
)
from exod.archive.ledger.table import keep_ledger, read_ledger
from exod.archive.parquet import declared, encode
from exod.archive.reading import ArchiveReader
from exod.archive.store import Store, reported
from exod.config import Config
from exod.errors import ArchiveError, ConfigError
from exod.files.seals import sealed
from exod.files.whole import is_temporary, unique_mark
from exod.observation.identifiers import validate_obsid
from exod.schemas import FORMAT_VERSION, TABLES
from exod.schemas.kinds import OBSID_FORM

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd


_TABLE_NAME = re.compile(rf"[a-z_]+/({OBSID_FORM})-\d+-[0-9a-f]+\.parquet")


class Archive(ArchiveReader):
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
            if not store.exists(MARKER) and not store.names(LEDGER):
                store.create(MARKER, text, (*TABLES, LEDGER))
        found = read_marker(store)
        known = _settings(store, found)
        changes = list(differences(known.model_dump(mode="json"), settings))
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
        return cls(store, _settings(store, found), found["fingerprint"])

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
        predicted_memory_mb: float = 0.0,
        tries: int = 1,
        time_share: float | None = None,
        area_share: float | None = None,
    ) -> FullEntry:
        """Make the outcome of an observation visible, in place of any earlier one.

        Parameters
        ----------
        obsid : str
            Observation identifier.
        status : {"OK", "EMPTY", "SKIPPED", "FAILED"}
            The outcome.
        tables : dict of str to DataFrame
            Rows by table name, with the columns that `exod.schemas` declares in any order. A table
            without rows gets no file.
        reason, traceback : str
            Why it was skipped or failed.
        inputs : iterable
            Mappings or objects with name, size (bytes) and checksum; path and stamp if known.
        seconds, peak_memory_mb, predicted_memory_mb : float
            What it took, and the memory that was expected.
        tries : int
            How often it was tried.
        time_share, area_share : float, optional
            Shares of the exposure time and of the CCDs that were searched, 0 to 1.

        Returns
        -------
        FullEntry
            The entry as written.

        Raises
        ------
        InputError
            If `obsid` is no observation identifier.
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
            path = table_path(name, obsid, attempt, len(frame))
            digest = sealed(data).sha256 if data else ""
            files[name] = TableFile(path, len(frame), len(data), digest)
            if path is not None:
                contents[path] = data
        finished = datetime.now(UTC)
        try:
            entry = FullEntry(
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
                predicted_memory_mb=predicted_memory_mb,
                tries=tries,
                time_share=time_share,
                area_share=area_share,
                started=finished - timedelta(seconds=float(seconds)),
                finished=finished,
            )
        except (ValueError, TypeError, OverflowError) as error:
            raise ArchiveError(
                f"Observation {obsid} cannot be committed: {problem(error)}."
            ) from error
        with reported(f"Observation {obsid} cannot be committed to {self.root}"):
            self._store.publish(contents, entry_name(obsid), entry.to_json())
        return entry

    def _new_attempt(self, obsid: str) -> str:
        """Count on, with a suffix since two processes may be at it at once."""
        try:
            previous = self.entry(obsid)
            number = int(previous.attempt.split("-")[0]) + 1 if previous else 1
        except (ArchiveError, ValueError):
            # This attempt replaces the damaged entry, so its number does not matter.
            number = 1
        return f"{number:04d}-{unique_mark()}"

    def keep_ledger(self) -> None:
        """Keep a copy of the ledger in one file, if many entries are not in the last one yet.

        Readers then read this file and newer entries only, as after `compact`.

        Raises
        ------
        ArchiveError
            If an entry is damaged or the file cannot be written; readers do without it.
        """
        with reported(f"The ledger of {self.root} cannot be kept in one file"):
            keep_ledger(self._store)

    def compact(self, file_mb: float = FILE_MB, *, anew: bool = False) -> Compacted:
        """Copy what is new to few large files, which readers then use.

        Nothing is lost or double meanwhile or if it is interrupted, and observations may be
        committed at the same time. Those committed later are read from their own files until the
        archive is compacted again. Large files of earlier times are merged with new ones when
        those have grown to a part of them. The files of the observations stay, so that the tables
        take twice their space, and three times until `gc` removes what was merged.

        Parameters
        ----------
        file_mb : float
            Size at which a file is full, in MB.
        anew : bool
            Whether all is written again, for instance since a large file is damaged.

        Returns
        -------
        Compacted
            What readers use from now on.

        Raises
        ------
        ArchiveError
            If an observation cannot be read or something cannot be written; the earlier
            compaction, if any, then stays in use.
        """
        with reported(f"The archive {self.root} cannot be compacted"):
            return compact(self._store, read_ledger(self._store).rows, file_mb * 1e6, anew=anew)

    @property
    def detections(self) -> dd.DataFrame:
        """Regions with their source, features and flags, lazy.

        `exod.archive.questions.detections` says how they are put together.

        Raises
        ------
        ArchiveError
            If one of the products was not made yet.
        """
        # A search does without DuckDB, which these load.
        from exod.archive.questions.detections import all_detections
        from exod.archive.snapshot import Snapshot

        return all_detections(Snapshot(self)).frame

    def gc(self, older_than: float = 3600.0) -> list[str]:
        """Delete files that nothing refers to: of attempts, compactions and products replaced.

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
            If a ledger entry or a pointer is damaged (nothing is deleted then) or a file
            cannot be deleted.
        """
        with reported(f"Unused files of {self.root} cannot be removed"):
            # Files first and the ledger after: what is committed in between is then referred to.
            files: dict[str, float] = {}
            for folder in ("", *TABLES, LEDGER):
                files |= self._store.modified(folder)
            bulk = {**unused_compacted(self._store), **unused_derived(self._store)}
            ledger = read_ledger(self._store, listed=True).entries()
            entries = {entry.obsid: entry for entry in ledger}
            used = {file.path for entry in entries.values() for file in entry.files.values()}
            now = time.time()
            unused = [
                name for name, since in bulk.items() if older_than <= 0 or now - since >= older_than
            ]
            for name, changed in files.items():
                ours = _TABLE_NAME.fullmatch(name)
                if name in used or not (
                    ours or is_temporary(name) or SEARCH_RECORD.fullmatch(name)
                ):
                    continue
                since = changed
                if ours and ours[1] in entries:
                    since = max(since, entries[ours[1]].finished.timestamp())
                if older_than <= 0 or now - since >= older_than:
                    unused.append(name)
            self._store.remove(unused)
            for folder in {name.rpartition("/")[0] for name in unused if name in bulk}:
                self._store.remove_folder(folder)
        return sorted(unused)


def _settings(store: Store, marker: Mapping[str, Any]) -> Config:
    """Settings of an archive; those that came after it are as they were, or have their defaults."""
    settings, detect = dict(marker["config"]), marker["config"].get("detect")
    cube = settings.get("cube")
    if isinstance(cube, dict):
        # Frames were used whole before there was a choice.
        settings["cube"] = {"live_time": "frames", **cube}
    if isinstance(detect, dict) and "null" not in detect:
        # The null hypothesis could not be chosen then, and sliding windows ignored the rule.
        settings["detect"] = {
            key: value for key, value in detect.items() if (key, value) != ("rule", "exod2")
        }
    try:
        return Config.parse(settings)
    except ConfigError as error:
        raise ArchiveError(
            f"The archive {store.root} was written by exod {marker.get('exod')} "
            f"with settings that this version does not know: {error}"
        ) from error


def open_archive(
    root: str | os.PathLike[str] | Archive, storage_options: Mapping[str, Any] | None = None
) -> Archive:
    """Open an archive to read it, see `Archive.open`; one that is open stays as it is."""
    return root if isinstance(root, Archive) else Archive.open(root, storage_options)
