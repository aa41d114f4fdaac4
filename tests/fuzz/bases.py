"""Small sound observations to damage: simulated, and thinned out from real ones where there are."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from exod.observation.availability import Availability
from exod.pps.products import event_list_hdus, source_list_hdus
from exod.simulate import default_observation, simulate
from fuzz import layout

N_ROWS = 900
"""Rows of an event list: few, so that a mutant takes milliseconds."""

KEPT_CCDS = (1, 2)
"""CCDs whose extensions are kept."""


@dataclass(frozen=True)
class Base:
    """A sound observation.

    Attributes
    ----------
    name : str
        For the report.
    obsid : str
        Ten digits.
    files : dict of str to bytes
        Content by file name, not packed; the source list is the last.
    """

    name: str
    obsid: str
    files: dict[str, bytes]

    @property
    def event_lists(self) -> list[str]:
        return [name for name in self.files if "OBSMLI" not in name]

    @property
    def source_list(self) -> str:
        return next(name for name in self.files if "OBSMLI" in name)


def simulated_bases() -> list[Base]:
    """Observations that show what event lists can have."""
    two = _simulated("two MOS", "0900000401", ("EMOS1", "EMOS2"))
    own = {name: f"{name[11:13].lower()}_mine.fits" for name in two.event_lists}
    return [
        _simulated("pn", "0900000301", ("EPN",)),
        two,
        replace(
            two, name="own names", files={own.get(name, name): c for name, c in two.files.items()}
        ),
        _simulated("checksums", "0900000501", ("EMOS1",), with_checksums),
        _simulated("scaled columns", "0900000601", ("EMOS2",), with_scaled_columns),
    ]


def _simulated(
    name: str,
    obsid: str,
    cameras: tuple[str, ...],
    change: Callable[[fits.HDUList], None] | None = None,
) -> Base:
    model = default_observation(
        obsid,
        seed=1,
        duration=2000.0,
        cameras=cameras,
        n_sources=60,
        n_bursts=0,
        n_eclipses=0,
        n_flares=0,
        n_hot_pixels=0,
        background_scale=0.3,
    )
    observation = simulate(model, seed=1)
    files = {}
    for one, settings in zip(observation.event_lists, model.exposures, strict=True):
        which = np.linspace(0, len(one.events) - 1, N_ROWS).astype(int)
        hdus = event_list_hdus(
            one.exposure,
            one.events.take(which),
            (one.detx[which], one.dety[which]),
            settings.availability,
        )
        hdus = fits.HDUList([hdu for hdu in hdus if _is_kept(hdu.name)])
        hdus.extend(_frames(settings.availability, ccdnr) for ccdnr in KEPT_CCDS)
        if change:
            change(hdus)
        files[one.exposure.filename] = _content(hdus)
    sources = source_list_hdus(observation.exposures[0], observation.source_list)
    if change is with_checksums:
        change(sources)
    files[f"P{obsid}EPX000OBSMLI0000.FTZ"] = _content(sources)
    return Base(name, obsid, files)


def _is_kept(name: str) -> bool:
    return not name[-2:].isdigit() or int(name[-2:]) in KEPT_CCDS


def _frames(available: Availability, ccdnr: int) -> fits.BinTableHDU:
    """An extension EXPOSUnn with frames of ten seconds."""
    time = np.arange(available.start + 5.0, available.stop, 10.0)
    return fits.BinTableHDU.from_columns(
        [
            fits.Column("TIME", "D", unit="s", array=time),
            fits.Column("TIMEDEL", "E", unit="s", array=np.full(len(time), 10.0)),
            fits.Column("FRACEXP", "E", array=np.full(len(time), 0.9)),
        ],
        name=f"EXPOSU{ccdnr:02d}",
    )


def with_checksums(hdus: fits.HDUList) -> None:
    """Add DATASUM and CHECKSUM to every header."""
    for hdu in hdus:
        hdu.add_checksum(when="")


def with_scaled_columns(hdus: fits.HDUList) -> None:
    """Store PI as unsigned numbers and FLAG of 64 bits, as users' own programs do."""
    table = hdus["EVENTS"]
    energy, flag = table.data["PI"].astype("u2"), table.data["FLAG"].astype("i8")
    others = {
        "PI": fits.Column("PI", "I", unit="eV", bzero=32768, array=energy),
        "FLAG": fits.Column("FLAG", "K", array=flag),
    }
    columns = [others.get(column.name, column) for column in table.columns]
    changed = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    for card in table.header.cards:
        if card.keyword not in changed.header and not card.keyword.startswith(("TFORM", "TZERO")):
            changed.header.append(card)
    hdus["EVENTS"] = changed


def real_bases(data: Path) -> list[Base]:
    """Real observations with every so many rows of their event lists, and few extensions."""
    bases = []
    for folder in sorted(path for path in (data / "xmm").glob("[0-9]" * 10) if path.is_dir()):
        lists = sorted([*folder.glob("P*IEVLI*"), *folder.glob("P*EPX*OBSMLI*")], key=_sources_last)
        files = {path.name: _thinned(path) for path in lists}
        if sum("OBSMLI" in name for name in files) == 1 and len(files) > 1:
            bases.append(Base(f"real {folder.name}", folder.name, files))
    return bases


def _sources_last(path: Path) -> tuple[bool, str]:
    return "OBSMLI" in path.name, path.name


def _thinned(path: Path) -> bytes:
    content = path.read_bytes()
    content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    if "OBSMLI" in path.name:
        return content
    pieces = []
    for hdu in layout.hdus(content):
        if not hdu.is_table:
            pieces.append(content[hdu.start : hdu.stop])
        elif hdu.name == "EVENTS" or _is_first(hdu.name):
            pieces.append(_every(content, hdu, N_ROWS if hdu.name == "EVENTS" else 200))
    return b"".join(pieces)


def _every(content: bytes, hdu: layout.Hdu, limit: int) -> bytes:
    """A table with so few of its rows, evenly taken, that they are within the limit."""
    width, n_rows = hdu.values["NAXIS1"], hdu.values["NAXIS2"]
    step = max(-(-n_rows // limit), 1)
    rows = np.frombuffer(content, np.uint8, n_rows * width, hdu.data).reshape(n_rows, width)[::step]
    lines = layout.cards(content, hdu)
    lines = [b"NAXIS2  = %20d" % len(rows) if c.startswith(b"NAXIS2 ") else c for c in lines]
    return layout.header(lines) + rows.tobytes() + bytes(-rows.size % layout.BLOCK)


def _is_first(name: str) -> bool:
    return name[-2:].isdigit() and int(name[-2:]) == KEPT_CCDS[0]


def _content(hdus: Any) -> bytes:
    file = io.BytesIO()
    hdus.writeto(file)
    return file.getvalue()


def packed(content: bytes, level: int = 1) -> bytes:
    """Compressed, with equal bytes for equal content."""
    return gzip.compress(content, level, mtime=0)
