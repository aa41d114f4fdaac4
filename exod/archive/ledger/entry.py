"""The ledger: what happened to each observation, and which files hold its tables.

An entry is the commit marker of an observation: its tables count if the entry names them. The
file ``archive.json`` says the same for the whole: its format and its settings.
"""

from __future__ import annotations

import functools
import json
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from exod.archive.store import Store, reported
from exod.errors import ArchiveError, without_credentials
from exod.files.seals import Seal, open_text, seal_text
from exod.observation.identifiers import validate_obsid
from exod.schemas import FORMAT_VERSION
from exod.schemas.kinds import OBSID_FORM

MARKER = "archive.json"
LEDGER = "ledger"

SEARCH_RECORD = re.compile(r"search-[0-9a-f]{8}\.json")
"""Pattern of the names of the records of searches that run."""

AFTER_ALL = "~"
"""A text after all identifiers of observations."""

Status = Literal["OK", "EMPTY", "SKIPPED", "FAILED"]


def _presentable(value: Any) -> Any:
    """Text without secrets, nor the lone surrogates of file names, which JSON readers refuse."""
    if not isinstance(value, str):
        return value
    return without_credentials(value).encode(errors="backslashreplace").decode()


Text = Annotated[str, BeforeValidator(_presentable)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    """What is kept as JSON: unchangeable, without unknown keys."""

    # A short command reads few kinds of them, and making a validator takes milliseconds.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def to_json(self, indent: int | None = 1) -> bytes:
        """Write it as JSON text with sorted keys, sealed."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=indent)
        return seal_text(text.encode())


class InputFile(Record):
    """An input as it was when it was read.

    Attributes
    ----------
    name : str
        File name.
    size : int
        In bytes.
    checksum : str
        Of the content; empty if it could not be read.
    path : str
        Absolute path or URL.
    stamp : str
        What changes when the file does: time of the last change or ETag.
    """

    model_config = ConfigDict(from_attributes=True)

    name: Text
    size: Count
    checksum: Text
    path: Text = ""
    stamp: Text = ""


@dataclass(frozen=True, slots=True)
class TableFile:
    """One table of an observation.

    Attributes
    ----------
    path : str, optional
        Relative to the root; none without rows.
    rows, bytes : int
        Size.
    sha256 : str
        SHA-256 of the file in hexadecimal digits, in the whole ledger the first of them; empty if
        it was written by a version that kept none.
    """

    # A ledger has a hundred thousand of them: no model of pydantic, which takes ten times as long.
    __pydantic_config__ = ConfigDict(extra="forbid")

    path: str | None
    rows: Count
    bytes: Count
    # Not compared: there may be more or fewer digits of it.
    sha256: str = field(default="", compare=False)

    @property
    def seal(self) -> Seal:
        """What the file was."""
        return Seal(self.bytes, self.sha256)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a table, as what names it says that it is.

    Attributes
    ----------
    path : str
        Relative to the root.
    rows : int
        How many it has.
    seal : Seal
        What it was when it was written.
    first, last : str
        No row is of an observation before or after these.
    """

    path: str
    rows: int
    seal: Seal
    first: str = ""
    last: str = AFTER_ALL


class LedgerEntry(Record):
    """The outcome of an observation, as the ledger shows all of them.

    Attributes
    ----------
    obsid : str
        Observation identifier.
    status : {"OK", "EMPTY", "SKIPPED", "FAILED"}
        EMPTY was searched and nothing was found; SKIPPED could not be searched.
    reason : str
        Why it was skipped or failed.
    attempt : str
        Unique name of the attempt, part of its file names.
    files : dict of str to TableFile
        The tables of the attempt.
    seconds : float
        Time taken, in seconds.
    peak_memory_mb : float
        Peak resident memory in MB; 0 if not measured.
    finished : datetime
        UTC.
    """

    obsid: Annotated[str, Field(pattern=f"^{OBSID_FORM}$")]
    status: Status
    reason: Text
    attempt: str
    files: dict[str, TableFile]
    seconds: Amount
    peak_memory_mb: Amount
    finished: AwareDatetime

    def rows(self, table: str) -> int:
        """Count the rows of a table; 0 if it was not written."""
        return self.files[table].rows if table in self.files else 0

    def path(self, table: str) -> str | None:
        """Find the path of a table's file, relative to the root; None if it has no rows."""
        return self.files[table].path if table in self.files else None

    def file(self, table: str) -> StoredFile | None:
        """Find the file of a table; None if it has no rows."""
        file = self.files.get(table)
        if file is None or file.path is None:
            return None
        return StoredFile(file.path, file.rows, file.seal, self.obsid, self.obsid)


class FullEntry(LedgerEntry):
    """The entry of an observation with all that its file has; committing it shows its tables.

    Attributes
    ----------
    traceback : str
        Of a failure.
    inputs : tuple of InputFile
        What was read.
    fingerprint : str
        Fingerprint of the settings.
    versions : dict of str to str
        Versions of exod, Python and the libraries that matter.
    predicted_memory_mb : float
        The memory that was expected.
    tries : int
        How often it was tried until this outcome.
    time_share, area_share : float, optional
        Shares of the exposure time and of the CCDs that were searched, 0 to 1; None if unknown.
    started : datetime
        UTC.
    """

    traceback: Text
    inputs: tuple[InputFile, ...]
    fingerprint: str
    versions: dict[str, str]
    predicted_memory_mb: Amount = 0.0
    tries: Count = 1
    time_share: Share | None = None
    area_share: Share | None = None
    started: AwareDatetime

    @model_validator(mode="after")
    def _named_after_the_attempt(self) -> Self:
        for name, file in self.files.items():
            if file.path != table_path(name, self.obsid, self.attempt, file.rows):
                raise ValueError(f"{file.path} is not the file of attempt {self.attempt}")
        return self

    @classmethod
    def from_json(cls, data: bytes, obsid: str, where: str) -> Self:
        """Read the entry of `obsid` from the content of its file `where`.

        Raises
        ------
        ArchiveError
            If the file is damaged, or holds the entry of another observation.
        """
        try:
            entry = cls.model_validate_json(open_text(data))
            if entry.obsid != obsid:
                raise ValueError(f"it is the entry of {entry.obsid}")
        except ValueError as error:
            raise ArchiveError(
                f"The ledger file {where} is damaged ({problem(error)}); "
                f"delete it and process observation {obsid} again."
            ) from error
        return entry


def entry_name(obsid: str) -> str:
    """Name of the file of an observation's entry."""
    return f"{LEDGER}/{obsid}.json"


def table_path(table: str, obsid: str, attempt: str, rows: int) -> str | None:
    """Where an attempt keeps a table, relative to the root; None without rows."""
    return f"{table}/{obsid}-{attempt}.parquet" if rows else None


def read_entry(store: Store, obsid: str) -> FullEntry | None:
    """Read the entry of an observation; see `exod.archive.Archive.entry`."""
    name = entry_name(validate_obsid(obsid))
    with reported(f"The ledger file {store.path(name)} cannot be read"):
        try:
            data = store.read(name)
        except FileNotFoundError:
            return None
    return FullEntry.from_json(data, obsid, store.path(name))


def problem(error: Exception) -> str:
    """Say what is wrong in one line; pydantic's own text takes several."""
    if not isinstance(error, ValidationError):
        return str(error)
    parts = (("".join(f"{place}: " for place in e["loc"]) + e["msg"]) for e in error.errors())
    return "; ".join(parts)


def input_files(inputs: Iterable[Any]) -> tuple[InputFile, ...]:
    """Put inputs in a fixed order, from mappings or objects with name, size and checksum."""
    files = (InputFile.model_validate(item) for item in inputs)
    return tuple(sorted(files, key=lambda file: (file.name, file.size, file.checksum, file.path)))


@functools.cache
def versions() -> dict[str, str]:
    """Versions of exod, Python and the libraries that can change a result."""
    found = {"python": platform.python_version()}
    for package in ("exod", "numpy", "scipy", "astropy", "pandas", "pyarrow"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


def read_marker(store: Store) -> dict[str, Any]:
    """Read ``archive.json``.

    Raises
    ------
    ArchiveError
        If it is missing, unreadable, damaged or of another format.
    """
    try:
        found = json.loads(store.read(MARKER))
        version = found["format_version"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArchiveError(f"There is no archive at {store.root}: it has no {MARKER}.") from error
    except OSError as error:
        reason = error.strerror or error
        raise ArchiveError(f"The archive {store.root} cannot be read: {reason}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"The file {store.path(MARKER)} is damaged.") from error
    if version != FORMAT_VERSION:
        raise ArchiveError(
            f"The archive {store.root} has format {version}, and this version of exod reads and "
            f"writes format {FORMAT_VERSION}; search into another root, or read it "
            f"with the exod that made it (docs/migration.md tells what changed)."
        )
    if not isinstance(found.get("config"), dict) or not isinstance(found.get("fingerprint"), str):
        raise ArchiveError(f"The file {store.path(MARKER)} is damaged.")
    return dict(found)


def differences(
    archive: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    """Describe each setting that differs.

    Examples
    --------
    >>> list(differences({"cube": {"t_bin": [5.0, 50.0]}}, {"cube": {"t_bin": [10.0]}}))
    ['cube.t_bin: archive has [5, 50], asked for [10]']
    """
    for key in sorted(archive.keys() | asked.keys()):
        old, new = archive.get(key), asked.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}: archive has {_toml(old)}, asked for {_toml(new)}"


def _toml(value: Any) -> str:
    """Write a setting as a user would type it: 5 rather than 5.0."""
    return re.sub(r"(?<=\d)\.0(?=[,\]]|$)", "", json.dumps(value))
