"""XMM-Newton pipeline products (PPS): finding the files of an observation and reading them.

The only module that knows how event lists and source lists look as files (METHOD 1).
"""

from __future__ import annotations

import gzip
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.io.registry import IORegistryError
from astropy.table import Table as AstropyTable
from numpy.typing import NDArray

from exod.errors import ConfigError, ExodError, ExposureRejected, InputError
from exod.events import EVENT_DTYPES, EventList, Exposure
from exod.instruments import CAMERAS, IMAGE_PIXEL_ARCSEC
from exod.sky import TangentPlane

SUFFIXES: Final = (".ftz", ".fits", ".fits.gz", ".fit", ".fit.gz", ".ds", ".evt", ".evt.gz")
"""Endings, in lower case, of files that may be event lists or source lists."""

_PPS_NAME = re.compile(
    r"P(?P<obsid>[0-9]{10})[A-Z0-9]{2}[A-Z][0-9]{3}(?P<product>[A-Z0-9_]{6})", re.I
)
_TIMING_PRODUCT = "TIEVLI"
_EVENT_PRODUCTS = ("PIEVLI", "MIEVLI", _TIMING_PRODUCT)
_SOURCE_PRODUCT = "OBSMLI"
_PIECE = 1 << 20
_DAMAGE = (
    OSError,
    EOFError,
    zlib.error,
    struct.error,
    fits.VerifyError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    MemoryError,
    Warning,
)
"""What astropy and gzip raise on files with wrong bytes, found by changing bytes at random."""
_FLAG_EXPRESSION = re.compile(r"FLAG\s*&\s*(0x[0-9a-fA-F]+)\s*\)\s*==\s*0")


@dataclass(frozen=True)
class ObservationFiles:
    """The files of one observation.

    Attributes
    ----------
    obsid : str
        Ten digits.
    event_lists, source_lists : tuple of Path
        Sorted by file name.
    """

    obsid: str
    event_lists: tuple[Path, ...]
    source_lists: tuple[Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return self.event_lists + self.source_lists


def find_observations(
    paths: Iterable[str | Path],
) -> tuple[list[ObservationFiles], list[InputError]]:
    """Group the event lists and source lists in files and folders by observation.

    Files with pipeline names are known by them; others are opened and known by their header.
    Folders are searched with their subfolders.

    Parameters
    ----------
    paths : iterable of path
        Files or folders.

    Returns
    -------
    observations : list of ObservationFiles
        In order of obsid.
    problems : list of InputError
        One for each file or folder that belongs to no observation, with the reason.
    """
    found: dict[str, dict[str, dict[Path, Path]]] = {}
    problems: list[InputError] = []
    for path in map(Path, paths):
        before = len(problems)
        is_empty = True
        try:
            candidates = _candidates(path)
        except InputError as error:
            problems.append(error)
            continue
        for candidate in candidates:
            try:
                identity = _identify(candidate, required=candidate == path)
            except InputError as error:
                problems.append(error)
                continue
            if identity is not None:
                obsid, kind = identity
                group = found.setdefault(obsid, {"events": {}, "sources": {}})
                # A file may be given twice, by different names of its folder.
                group[kind][candidate.parent.resolve() / candidate.name] = candidate
                is_empty = False
        if is_empty and len(problems) == before:
            problems.append(
                InputError(
                    f"The folder {path} holds no event lists of XMM-Newton's EPIC cameras "
                    f"(*IEVLI*.FTZ, or any of {', '.join(SUFFIXES)} with an EVENTS extension)."
                )
            )
    observations = [
        ObservationFiles(
            obsid, _by_name(group["events"].values()), _by_name(group["sources"].values())
        )
        for obsid, group in sorted(found.items())
    ]
    return observations, problems


def _by_name(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(sorted(paths, key=lambda path: (path.name, str(path))))


def _candidates(path: Path) -> list[Path]:
    """Files that may be event or source lists."""
    if path.is_dir():
        return [
            file
            for file in path.rglob("*")
            # Hidden files are remains of programs: copies in progress, metadata of macOS.
            if file.name.lower().endswith(SUFFIXES) and file.name[0] != "." and not file.is_dir()
        ]
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    return [path]


def _identify(path: Path, *, required: bool) -> tuple[str, str] | None:
    """Obsid and kind ("events" or "sources") of a file; None if it is some other product."""
    match = _PPS_NAME.match(path.name)
    if match:
        product = match["product"].upper()
        if product in _EVENT_PRODUCTS:
            return match["obsid"], "events"
        if product == _SOURCE_PRODUCT:
            return match["obsid"], "sources"
        if not required:
            return None
    kind, obsid = _identify_by_header(path)
    if kind is None:
        if required:
            raise InputError(f"{path} holds neither an EVENTS nor a SRCLIST extension.")
        return None
    obsid = obsid or _obsid_of_path(path)
    if not obsid:
        raise InputError(f"{path} does not say its observation: OBS_ID is missing or malformed.")
    return obsid, kind


def _identify_by_header(path: Path) -> tuple[str | None, str | None]:
    try:
        with _open_fits(path, whole=False) as hdus:
            for kind, extension in (("events", "EVENTS"), ("sources", "SRCLIST")):
                if extension in hdus:
                    header = _Header(hdus[extension].header, hdus[0].header)
                    obsid = header.text("OBS_ID")
                    return kind, obsid if re.fullmatch(r"[0-9]{10}", obsid) else None
    except InputError:
        # Reading it again as part of its observation records the error there.
        if _obsid_of_path(path):
            return "events", None
        raise
    return None, None


def _obsid_of_path(path: Path) -> str:
    """Obsid by the name of the file, else of the nearest folder that has one as its name."""
    match = _PPS_NAME.match(path.name)
    if match:
        return match["obsid"]
    folders = [part for part in path.absolute().parts[:-1] if re.fullmatch(r"[0-9]{10}", part)]
    return folders[-1] if folders else ""


class _Header:
    """Keywords of the extension, falling back to the primary header."""

    def __init__(self, extension: fits.Header, primary: fits.Header) -> None:
        self._headers = (extension, primary)

    def get(self, key: str, default: Any = None) -> Any:
        for header in self._headers:
            value = header.get(key)
            # A card may have no value.
            if value is not None and not isinstance(value, fits.card.Undefined):
                return value
        return default

    def number(self, key: str, default: float = np.nan) -> float:
        try:
            return float(self.get(key, default))
        except (TypeError, ValueError):
            return default

    def text(self, key: str) -> str:
        return str(self.get(key, "")).strip()


@contextmanager
def _open_fits(path: Path, *, whole: bool = True) -> Iterator[fits.HDUList]:
    """Open a FITS file; whatever is wrong with it becomes an InputError that names it.

    With `whole` its end is read too: only there a gzip file has its checksum.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message=".*truncated.*")
            with _unpacked(path) as file, fits.open(file, memmap=False) as hdus:
                try:
                    yield hdus
                except InputError:
                    _read_rest(file)  # What is missing may stand in the part that is lost.
                    raise
                if whole:
                    _read_rest(file)
    except ExodError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read; give yourself the right to.") from error
    except _DAMAGE as error:
        cause = str(error).strip().rstrip(".").split("\n")[0] or type(error).__name__
        raise InputError(
            f"{path.name} cannot be read ({cause}); it is empty, truncated or not FITS: "
            f"fetch it again."
        ) from error


def _unpacked(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if is_gzip else path.open("rb")  # type: ignore[return-value]


def _read_rest(file: IO[bytes]) -> None:
    while file.read(_PIECE):
        pass


def read_event_list(path: Path) -> tuple[Exposure, EventList]:
    """Read one EPIC event list.

    Parameters
    ----------
    path : Path
        FITS file, plain or gzip.

    Returns
    -------
    exposure : Exposure
        From the EVENTS header, with the primary header as fallback.
    events : EventList
        All rows, in the order of the file.

    Raises
    ------
    InputError
        If the file is unreadable or lacks the EVENTS extension, a column or the projection.
    ExposureRejected
        If it is sound but of another telescope or instrument, or not in imaging mode.
    """
    with _open_fits(path) as hdus:
        hdu = next((item for item in hdus if item.name == "EVENTS"), None)
        if not isinstance(hdu, fits.BinTableHDU):
            raise InputError(
                f"{path.name} has no table EVENTS; it is no event list, or not the whole of one: "
                f"fetch it again."
            )
        exposure = _read_exposure(path, _Header(hdu.header, hdus[0].header), hdu.columns)
        columns = set(hdu.columns.names)
        missing = sorted(name.upper() for name in EVENT_DTYPES if name.upper() not in columns)
        if missing:
            raise InputError(
                f"{path.name} lacks the EVENTS columns {', '.join(missing)}: fetch it again."
            )
        table = hdu.data
        events = EventList(
            **{name: _column(table, name.upper(), dtype) for name, dtype in EVENT_DTYPES.items()}
        )
    return exposure, events


def _column(table: Any, name: str, dtype: str) -> NDArray[Any]:
    values = np.asarray(table[name])
    wanted = np.dtype(dtype)
    if wanted.kind in "iu" and not np.can_cast(values.dtype, wanted):
        limits = np.iinfo(wanted)
        if values.dtype.kind == "f":
            values = np.nan_to_num(values, nan=limits.min)
        values = np.clip(values, limits.min, limits.max)
    return values.astype(wanted)


def _read_exposure(path: Path, header: _Header, columns: fits.ColDefs) -> Exposure:
    name = path.name
    telescope, instrument = header.text("TELESCOP"), header.text("INSTRUME")
    if telescope != "XMM":
        raise ExposureRejected(f"{name} is of the telescope {telescope or '(none)'}, not XMM.")
    if instrument not in CAMERAS:
        raise ExposureRejected(
            f"{name} is of the instrument {instrument or '(none)'}, not {', '.join(CAMERAS)}."
        )
    datamode, match = header.text("DATAMODE"), _PPS_NAME.match(name)
    is_timing = match is not None and match["product"].upper() == _TIMING_PRODUCT
    mode = datamode or ("TIMING" if is_timing else "IMAGING")
    if mode != "IMAGING":
        raise ExposureRejected(f"{name} was taken in {mode} mode, which has no images.")
    obsid = header.text("OBS_ID") or _obsid_of_path(path)
    if not re.fullmatch(r"[0-9]{10}", obsid):
        raise InputError(f"{name} has the OBS_ID {obsid!r}, which is not ten digits.")
    camera = CAMERAS[instrument]
    flag = _FLAG_EXPRESSION.search(header.text(camera.flag_keyword))
    return Exposure(
        obsid=obsid,
        expid=header.text("EXPIDSTR"),
        instrument=instrument,
        submode=header.text("SUBMODE"),
        datamode=datamode,
        filter=header.text("FILTER"),
        revolution=int(header.number("REVOLUT", -1)),
        target=header.text("OBJECT"),
        date_obs=header.text("DATE-OBS"),
        elapsed=header.number("TELAPSE"),
        ra_pnt=header.number("RA_PNT"),
        dec_pnt=header.number("DEC_PNT"),
        pa_pnt=header.number("PA_PNT"),
        flag_mask=int(flag[1], 16) if flag else camera.flag_mask,
        plane=_read_plane(name, header, columns),
        time_system=header.text("TIMESYS"),
        filename=name,
    )


def _read_plane(name: str, header: _Header, columns: fits.ColDefs) -> TangentPlane:
    values = []
    for part in ("CRPX", "CRVL", "CDLT"):
        for axis in ("X", "Y"):
            number = header.number(f"REF{axis}{part}")
            if np.isnan(number) and axis in columns.names:
                number = header.number(f"T{part}{columns.names.index(axis) + 1}")
            values.append(number)
    if not np.isfinite(values).all():
        raise InputError(
            f"{name} has no sky projection: neither REFXCRPX, REFXCRVL, REFXCDLT (and Y) nor "
            f"TCRPX, TCRVL, TCDLT of the columns X and Y are in its headers."
        )
    return TangentPlane(*values)


def read_source_list(path: Path) -> pd.DataFrame:
    """Read an EPIC source list (OBSMLI).

    Returns
    -------
    DataFrame
        Columns ra_deg, dec_deg [deg], det_ml, extent_arcsec [arcsec; 0 for a point source],
        rate [ct/s; NaN if the list has no EP_TOT], a row for each source with a position.

    Raises
    ------
    InputError
        If the file is unreadable or no extension has RA, DEC and EP_DET_ML.

    Notes
    -----
    EP_EXTENT is in 4 arcsec image pixels unless its unit says arcsec (METHOD 6).
    """
    with _open_fits(path) as hdus:
        hdu = next((h for h in hdus if _is_source_table(h)), None)
        if hdu is None:
            raise InputError(f"{path.name} has no table with the columns RA, DEC and EP_DET_ML.")
        names = hdu.columns.names
        data = {
            "ra_deg": _column(hdu.data, "RA", "f8"),
            "dec_deg": _column(hdu.data, "DEC", "f8"),
            "det_ml": _column(hdu.data, "EP_DET_ML", "f8"),
        }
        size = len(data["ra_deg"])
        rate = _column(hdu.data, "EP_TOT", "f8") if "EP_TOT" in names else np.full(size, np.nan)
        extent = np.zeros(size)
        if "EP_EXTENT" in names:
            in_arcsec = "arcsec" in (hdu.columns["EP_EXTENT"].unit or "").lower()
            extent = _column(hdu.data, "EP_EXTENT", "f8")
            extent = np.nan_to_num(extent) * (1.0 if in_arcsec else IMAGE_PIXEL_ARCSEC)
    frame = pd.DataFrame({**data, "extent_arcsec": extent, "rate": rate})
    usable = np.isfinite(frame[["ra_deg", "dec_deg", "det_ml"]].to_numpy()).all(axis=1)
    return frame[usable & (frame["dec_deg"].abs() <= 90).to_numpy()].reset_index(drop=True)


def _is_source_table(hdu: Any) -> bool:
    names = getattr(getattr(hdu, "columns", None), "names", [])
    return {"RA", "DEC", "EP_DET_ML"} <= set(names)


def read_hot_pixel_table(path: Path) -> pd.DataFrame:
    """Read a table of hot pixels that a user gives in place of finding them.

    Parameters
    ----------
    path : Path
        FITS, ECSV or CSV file with the columns INSTRUME, CCDNR, RAWX, RAWY, REV1, REV2; a pixel
        is hot in revolutions after REV1 and before REV2.

    Raises
    ------
    ConfigError
        If it cannot be read or lacks a column.
    """
    wanted = ["INSTRUME", "CCDNR", "RAWX", "RAWY", "REV1", "REV2"]
    try:
        rows = AstropyTable.read(path)
        rows.convert_bytestring_to_unicode()  # FITS has text as bytes
        table = rows.to_pandas()
    except (OSError, ValueError, TypeError, LookupError, IORegistryError) as error:
        cause = str(error).split("\n")[0].rstrip(".")
        raise ConfigError(f"The hot pixel table {path} cannot be read: {cause}.") from error
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise ConfigError(f"The hot pixel table {path} lacks the columns {', '.join(missing)}.")
    return table[wanted]
