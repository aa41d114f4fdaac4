"""The public archives of XMM-Newton data, ESA's and HEASARC's, and how they name what they have."""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import urlencode

from exod.files.whole import scratch_file, whole_file
from exod.pps.fits.fitsstream import LARGEST_FILE
from exod.pps.transfer import NotThereError, ProtectedError, TransferError, Transport

PRODUCTS: Final[Mapping[str, str]] = MappingProxyType(
    {"PIEVLI": "PN", "MIEVLI": "M[12]", "OBSMLI": "EP"}
)
"""Product types that are read, and the instruments of their file names (method.md, Input files).

OBSMLI is also what the source list of the optical monitor is called, with the instrument OM.
"""
EVENT_PRODUCTS: Final = ("PIEVLI", "MIEVLI")

_PIECE: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_FITS: Final = b"SIMPLE  ="
_FITS_BLOCK: Final = 2880
_ENCRYPTED: Final = "has the data encrypted: they are not public yet"
_PGP: Final = (b"\x84", b"\x85", b"\x8c", b"\xc1", b"\xc3", b"-----BEGIN PGP")
"""First bytes of encrypted messages: session key packets, RFC 4880 sections 4.2 and 4.3."""
_DAMAGE: Final = (EOFError, gzip.BadGzipFile, zlib.error)


class Service(Protocol):
    """An archive that gives the files of an observation."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def fetch(
        self, obsid: str, products: Iterable[str], folder: Path, transport: Transport
    ) -> Iterator[tuple[str, list[str]]]:
        """Fetch the files of some products into a folder.

        Parameters
        ----------
        obsid : str
            Ten digits.
        products : iterable of str
            Some of `PRODUCTS`.
        folder : Path
            Gets the files, each whole or not at all.
        transport : Transport
            The client to use.

        Yields
        ------
        product : str
            One of `products`, when its files are all there.
        names : list of str
            Of its files; empty if the observation has none.

        Raises
        ------
        TransferError
            If the service fails.
        OSError
            If a file cannot be written.
        """


@dataclass(frozen=True)
class Esa:
    """The XMM-Newton Science Archive, by its AIO interface.

    A product type is asked for with ``obsno``, ``level=PPS``, ``name`` and ``extension``; without
    ``instname`` those of all instruments are meant. One matching file comes as itself, several as a
    tar file ``GUEST*.tar`` with members ``<obsid>/pps/P*.FTZ``. What is not public yet gives HTTP
    401, or a text that says "Data protected by proprietary rights"; so do observations that do not
    exist. Without a matching file the answer is empty or HTTP 404.

    Parameters
    ----------
    url : str
        Address of the interface.

    References
    ----------
    The parameters: section 3.4 of https://nxsa.esac.esa.int/nxsa-web/#aio, and
    https://astroquery.readthedocs.io/en/latest/esa/xmm_newton/xmm_newton.html. The answers: what
    astroquery.esa.xmm_newton and EXOD2 handle, and
    https://github.com/astropy/astroquery/issues/2173.
    """

    url: str = "https://nxsa.esac.esa.int/nxsa-sl/servlet/data-action-aio"
    name: str = "ESA"

    def fetch(
        self, obsid: str, products: Iterable[str], folder: Path, transport: Transport
    ) -> Iterator[tuple[str, list[str]]]:
        """Fetch the files of some products into a folder, see `Service`."""
        for product in products:
            yield product, self._fetch_product(obsid, product, folder, transport)

    def _fetch_product(
        self, obsid: str, product: str, folder: Path, transport: Transport
    ) -> list[str]:
        query = {"obsno": obsid, "level": "PPS", "name": product, "extension": "FTZ"}
        with scratch_file(folder / f"{obsid}-{product}") as part:
            try:
                given = transport.fetch(f"{self.url}?{urlencode(query)}", part)
            except NotThereError:
                return []
            if part.stat().st_size == 0:
                return []
            if _is_tar(part):
                return _unpack(part, obsid, product, folder)
            _require_data(part)
            if expected_name(obsid, product).fullmatch(given):
                with whole_file(folder / given, error=None) as temporary:
                    shutil.copyfile(part, temporary)
                    _require_whole(temporary, given)
                return [given]
            if given.startswith(f"P{obsid}"):
                return []  # Its namesake of another instrument.
            raise TransferError(f"gives a file of another name, {given!r}")


@dataclass(frozen=True)
class Heasarc:
    """The copy at NASA's HEASARC: a folder ``<obsid>/PPS/`` of each observation, with an index.

    Files that are not public yet are there too, encrypted, some with the ending ``.gpg``.

    Parameters
    ----------
    url : str
        Address of the folder of observations.

    References
    ----------
    The layout: pySAS, https://github.com/XMMGOF/pysas, of the XMM-Newton Guest Observer Facility,
    reads the same index. The encryption: https://heasarc.gsfc.nasa.gov/docs/xmm/pgp/pgp.html, and
    without the ending https://heasarc.gsfc.nasa.gov/docs/xmm/hera_guide/node20.html.
    """

    url: str = "https://heasarc.gsfc.nasa.gov/FTP/xmm/data/rev0"
    name: str = "HEASARC"

    def fetch(
        self, obsid: str, products: Iterable[str], folder: Path, transport: Transport
    ) -> Iterator[tuple[str, list[str]]]:
        """Fetch the files of some products into a folder, see `Service`."""
        place = f"{self.url.rstrip('/')}/{obsid}/PPS/"
        try:
            index = transport.text(place)
        except NotThereError as error:
            raise NotThereError("has no such observation") from error
        if f"P{obsid}" not in index and "Index of" not in index:
            raise TransferError("answers with something that is no index of the observation")
        for product in products:
            pattern = expected_name(obsid, product).pattern
            names = sorted(set(re.findall(rf"\b{pattern}(?!\.gpg)\b", index)))
            if not names and re.search(rf"{pattern}\.gpg", index):
                raise ProtectedError(_ENCRYPTED)
            for name in names:
                fetch_whole(place + name, folder, name, transport)
            yield product, names


def expected_name(obsid: str, product: str) -> re.Pattern[str]:
    """File names of a product of an observation.

    References
    ----------
    http://xmm-tools.cosmos.esa.int/external/xmm_user_support/documentation/dfhb/pps.html

    Examples
    --------
    >>> bool(expected_name("0001730201", "MIEVLI").fullmatch("P0001730201M1S001MIEVLI0000.FTZ"))
    True
    """
    return re.compile(rf"P{obsid}{PRODUCTS[product]}[SUX][0-9]{{3}}{product}[0-9A-Z]{{0,4}}\.FTZ")


def is_whole(path: Path) -> bool:
    """Whether a file is FITS, nearly always within gzip, to its end and its checksum."""
    start = _start(path)
    if not start.startswith(_GZIP):
        return start.startswith(_FITS) and path.stat().st_size % _FITS_BLOCK == 0
    try:
        with gzip.open(path) as file:
            is_fits = file.read(len(_FITS)) == _FITS
            size = 0
            while piece := file.read(_PIECE):
                size += len(piece)
                if size > LARGEST_FILE:
                    return False
    except _DAMAGE:
        return False
    return is_fits


def fetch_whole(url: str, folder: Path, name: str, transport: Transport) -> None:
    """Fetch a file of FITS into a folder, whole or not at all, unless it is there and whole.

    Raises
    ------
    TransferError
        If the service does not give it, or something that is no data, or damaged.
    OSError
        If it cannot be written.
    """
    if (folder / name).exists() and is_whole(folder / name):
        return
    with whole_file(folder / name, error=None) as temporary:
        transport.fetch(url, temporary)
        _require_data(temporary)
        _require_whole(temporary, name)


def _require_whole(path: Path, name: str) -> None:
    if not is_whole(path):
        raise TransferError(f"gives a damaged {name}")


def _unpack(archive: Path, obsid: str, product: str, folder: Path) -> list[str]:
    """Take the expected files out of a tar file, all of them or none."""
    pattern = expected_name(obsid, product)
    parts: dict[str, Path] = {}
    try:
        with ExitStack() as stack, tarfile.open(archive) as tar:
            for member in tar:
                safe = tarfile.data_filter(member, str(folder))
                name = PurePosixPath(safe.name).name
                if not (safe.isreg() and pattern.fullmatch(name)):
                    continue
                if name not in parts:
                    parts[name] = stack.enter_context(whole_file(folder / name, error=None))
                content = tar.extractfile(member)
                with parts[name].open("wb") as file:
                    shutil.copyfileobj(content or BytesIO(), file)
            for name, part in parts.items():
                _require_whole(part, name)
        return sorted(parts)
    except tarfile.FilterError as error:
        raise TransferError("gives a tar file that would write elsewhere") from error
    except (tarfile.TarError, *_DAMAGE) as error:
        raise TransferError("gives a damaged tar file") from error


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except _DAMAGE:  # Of a gzip file that is too short to tell.
        return False


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def _require_data(path: Path) -> None:
    """Raise the error that an answer which is no data stands for."""
    start = _start(path)
    if start.startswith((_GZIP, _FITS)):
        return
    if start.startswith(_PGP):
        raise ProtectedError(_ENCRYPTED)
    text = start.decode("utf-8", "replace")
    if "proprietary" in text.lower():
        raise ProtectedError("says that the data are not public yet, or do not exist")
    title = re.search(r"<title>(.*?)</title>", text, re.I | re.S)
    words = " ".join((title[1] if title else re.sub(r"<[^>]*>", " ", text)).split())
    words = "".join(letter for letter in words if letter.isprintable())[:80]
    raise TransferError(f"answers with something that is no data: {words!r}")
