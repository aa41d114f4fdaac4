"""Download: obsids -> event lists and source list of each observation, from the public archives."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, Final

from exod.astromon.process.chandraarchive import ChandraArchive
from exod.errors import ConfigError, DownloadError, InputError
from exod.files.text import read_text
from exod.files.whole import is_temporary, write_whole
from exod.observation.identifiers import (
    TEN_DIGITS,
    listed_obsids,
    validate_obsid,
    validate_xmm_obsid,
)
from exod.pps.publicarchives import (
    EVENT_PRODUCTS,
    PRODUCTS,
    Esa,
    Heasarc,
    Service,
    expected_name,
    is_whole,
)
from exod.pps.transfer import TransferError, Transport

SERVICES: Final[tuple[Service, ...]] = (Esa(), Heasarc())
"""Where the data are looked for, in this order."""

CHANDRA_PRODUCTS: Final = ("evt2", "msk", "bpix", "fov")
"""What is fetched of an observation of Chandra."""

RECORD: Final = "download.json"
"""File in the folder of an observation that says what was fetched: files, sizes, service."""


CHANDRA_SERVICE: Final = "CDA"


class DiskFullError(DownloadError):
    """There is no space left; going on makes no sense."""


@dataclass(frozen=True)
class Download:
    """What became of one observation.

    Attributes
    ----------
    obsid : str
        Its identifier.
    files : tuple of Path
        Everything that is there now, event lists first, also if it failed.
    n_fetched : int
        How many of them were fetched now.
    n_bytes : int
        Size of those.
    services : tuple of str
        Where the files came from, now or earlier.
    seconds : float
        Time it took.
    error : DownloadError or None
        Why it failed.
    """

    obsid: str
    files: tuple[Path, ...]
    n_fetched: int
    n_bytes: int
    services: tuple[str, ...]
    seconds: float
    error: DownloadError | None = None

    @property
    def status(self) -> str:
        """OK or FAILED."""
        return "FAILED" if self.error else "OK"

    @property
    def note(self) -> str:
        """The reason of a failure, or what is unusual; empty if nothing is."""
        if self.error:
            return str(self.error)
        if self.services == (CHANDRA_SERVICE,):
            return ""
        has_sources = any("OBSMLI" in path.name for path in self.files)
        return "" if has_sources else "It has no EPIC source list."


def download_many(
    obsids: Sequence[str],
    folder: str | Path,
    *,
    services: Sequence[Service] = SERVICES,
    transport: Transport | None = None,
    verify: bool = False,
    chandra: ChandraArchive | None = None,
) -> Iterator[Download]:
    """Fetch the event lists and source lists of observations.

    Files appear whole in ``folder/<obsid>/`` or not at all. What is there with the recorded size is
    not fetched again, so that the same call continues after an interruption.

    Parameters
    ----------
    obsids : sequence of str
        Ten digits each; of Chandra, numbers.
    folder : path
        Gets a folder an observation.
    services : sequence of Service
        Asked in this order, until one has all files.
    transport : Transport, optional
        The client, which is closed at the end. Its connections say how many observations are
        fetched at the same time.
    verify : bool
        Read what is there to the end, instead of comparing its size, and fetch what is damaged.
    chandra : ChandraArchive, optional
        Asked instead of the services: the observations are of Chandra. Its files are always read
        to the end.

    Yields
    ------
    Download
        In order of completion.

    Raises
    ------
    InputError
        If an obsid is not one of the mission; nothing is fetched then.
    DownloadError
        If the disk is full.
    """
    transport = transport or Transport()
    check = validate_xmm_obsid if chandra is None else validate_obsid
    wanted = list(dict.fromkeys(check(obsid) for obsid in obsids))
    one = partial(
        _download, folder=Path(folder), services=services, transport=transport, verify=verify
    )
    if chandra is not None:
        one = partial(_download_chandra, folder=Path(folder), archive=chandra, transport=transport)
    # Its threads are daemons: an interrupted process does not wait for a silent server.
    with ThreadPool(transport.connections) as pool:
        try:
            for number, done in enumerate(pool.imap_unordered(one, wanted), start=1):
                yield done
                if isinstance(done.error, DiskFullError):
                    raise DownloadError(
                        f"The disk of {folder} is full with {number - 1} of {len(wanted)} "
                        f"observations tried; make space and run the same command again."
                    )
        finally:
            transport.close()


def _download_chandra(
    obsid: str, *, folder: Path, archive: ChandraArchive, transport: Transport
) -> Download:
    began, place = time.perf_counter(), folder / obsid
    error: DownloadError | None = None
    there = set(place.rglob("*.fits*"))
    try:
        place.mkdir(parents=True, exist_ok=True)
        archive.fetch(obsid, CHANDRA_PRODUCTS, place, transport)
    except DownloadError as caught:
        error = caught
    except OSError as caught:
        error = _of_disk(caught, place)
    files = sorted(
        (path for path in place.rglob("*.fits*") if not is_temporary(path.name)),
        key=lambda path: ("_evt2" not in path.name, path.name),
    )
    new = [path for path in files if path not in there]
    with suppress(OSError):
        place.rmdir()  # Only if it is empty.
    return Download(
        obsid=obsid,
        files=tuple(files),
        n_fetched=len(new),
        n_bytes=sum(path.stat().st_size for path in new),
        services=(CHANDRA_SERVICE,),
        seconds=time.perf_counter() - began,
        error=error,
    )


def wanted_obsids(
    obsids: Iterable[str], file: Path | None = None, form: str = TEN_DIGITS
) -> list[str]:
    """Obsids of a command line: given, and from a file as `listed_obsids` reads them.

    Raises
    ------
    ConfigError
        If the file cannot be read, something is no obsid, or there is none.
    """
    try:
        found = [validate_obsid(obsid) for obsid in obsids]
    except InputError as error:
        raise ConfigError(str(error)) from error
    if file is not None:
        found += listed_obsids(read_text(file, "The list of observations"), str(file), form)
    if not found:
        raise ConfigError("No observation is given; give obsids, or a list with --from FILE.")
    return list(dict.fromkeys(found))


def _download(
    obsid: str, *, folder: Path, services: Sequence[Service], transport: Transport, verify: bool
) -> Download:
    began = time.perf_counter()
    place = folder / obsid
    error: DownloadError | None = None
    record = _Transferred(place, obsid)
    try:
        place.mkdir(parents=True, exist_ok=True)
        for remains in place.iterdir():
            if is_temporary(remains.name):
                remains.unlink()
        record.read(verify=verify)
        _fetch_missing(record, services, transport)
    except DownloadError as caught:
        error = caught
    except OSError as caught:
        error = _of_disk(caught, place)
    with suppress(OSError):
        place.rmdir()  # Only if it is empty.
    fetched = [size for product in record.fetched for size in record.sizes(product).values()]
    return Download(
        obsid=obsid,
        files=tuple(place / name for product in PRODUCTS for name in record.sizes(product)),
        n_fetched=len(fetched),
        n_bytes=sum(fetched),
        services=tuple(sorted({entry["service"] for entry in record.products.values()})),
        seconds=time.perf_counter() - began,
        error=error,
    )


def _fetch_missing(record: _Transferred, services: Sequence[Service], transport: Transport) -> None:
    """Ask the services in turn until one has said everything about the missing products."""
    if not record.missing:
        return
    reasons: list[str] = []
    for service in services:
        absent: list[str] = []
        try:
            for product, names in service.fetch(
                record.obsid, record.missing, record.folder, transport
            ):
                if names:
                    record.add(product, service.name, names)
                else:
                    absent.append(product)
        except TransferError as error:
            reasons.append(f"{service.name} {error}")
            continue
        if any(record.sizes(product) for product in EVENT_PRODUCTS):
            for product in absent:
                record.add(product, service.name, [])
            return
        reasons.append(f"{service.name} has no event lists in imaging mode")
    raise DownloadError(f"{'; '.join(reasons)}.")


def _of_disk(error: OSError, place: Path) -> DownloadError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFullError(f"There is no space left for {place}.")
    return DownloadError(f"{error.filename or place} cannot be written ({error.strerror}).")


@dataclass
class _Transferred:
    """What is known to be in the folder of an observation: for each product its files and sizes."""

    folder: Path
    obsid: str
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        return [product for product in PRODUCTS if product not in self.products]

    def sizes(self, product: str) -> dict[str, int]:
        """Bytes by file name."""
        return self.products.get(product, {}).get("files", {})

    def read(self, *, verify: bool) -> None:
        """Take over what the file says of products whose files are there and whole."""
        try:
            stored = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))["products"]
            for product in PRODUCTS:
                entry = stored.get(product)
                if entry is not None and self._holds(product, entry["files"], verify=verify):
                    self.products[product] = {
                        "service": str(entry["service"]),
                        "files": dict(entry["files"]),
                    }
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
            return  # None, or not ours: everything counts as missing.

    def _holds(self, product: str, sizes: dict[str, int], *, verify: bool) -> bool:
        pattern = expected_name(self.obsid, product)
        for name, size in sizes.items():
            path = self.folder / name
            if not pattern.fullmatch(name) or not path.is_file() or path.stat().st_size != size:
                return False
            if verify and not is_whole(path):
                return False
        return True

    def add(self, product: str, service: str, names: list[str]) -> None:
        """Add a product whose files have just come, and store the record."""
        files = {name: (self.folder / name).stat().st_size for name in names}
        self.products[product] = {"service": service, "files": files}
        self.fetched.append(product)
        text = json.dumps({"obsid": self.obsid, "products": self.products}, indent=2)
        write_whole(self.folder / RECORD, f"{text}\n", error=None)
