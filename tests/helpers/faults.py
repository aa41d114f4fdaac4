"""Small simulated observations, and ways to spoil copies of them."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits

from exod.archive import open_archive
from exod.stages.inputs.simulate import simulate_files

GOOD, OTHER = "0900000101", "0900000201"
FAST = ("--t-bin", "200", "--band", "0.2-12", "--scheduler", "sync")
VOLATILE = ("seconds", "peak_memory_mb")


def write_small(folder: Path, obsid: str, seed: int) -> Path:
    """A short observation of both MOS cameras; the folder that holds its files."""
    cameras = ("EMOS1", "EMOS2")
    simulate_files(folder, obsid, seed, duration=2500, cameras=cameras, n_sources=6, n_flares=0)
    return folder / obsid


def copy(source: Path, folder: Path) -> Path:
    """A copy of an observation to spoil."""
    shutil.copytree(source, folder / source.name)
    return folder / source.name


def event_lists(folder: Path) -> list[Path]:
    return sorted(folder.glob("P*IEVLI*"))


def source_list(folder: Path) -> Path:
    return next(folder.glob("P*OBSMLI*"))


def edit(path: Path, change: Callable[[fits.HDUList], Any]) -> None:
    """Change a FITS file in place; what `change` returns replaces the list, if anything."""
    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus:
            hdu.data  # noqa: B018 - astropy reads it now, from the file that is replaced
        changed = change(hdus)
        (hdus if changed is None else changed).writeto(path.with_suffix(".new"))
    # Not packed again, which readers accept and which is fast.
    path.with_suffix(".new").replace(path)


def set_keys(path: Path, **keys: Any) -> None:
    """Change keywords in all headers; None removes one."""

    def change(hdus: fits.HDUList) -> None:
        for hdu in hdus:
            for key, value in keys.items():
                if value is None:
                    hdu.header.remove(key, ignore_missing=True)
                else:
                    hdu.header[key] = value

    edit(path, change)


def set_rows(path: Path, change: Callable[[Any], Any]) -> None:
    """Replace the rows of EVENTS by what `change` makes of them."""

    def replace(hdus: fits.HDUList) -> None:
        rows = change(hdus["EVENTS"].data)
        if rows is not None:
            hdus["EVENTS"].data = rows

    edit(path, replace)


def set_column(path: Path, name: str, values: Callable[[Any], Any]) -> None:
    """Change a column of EVENTS."""

    def change(rows: Any) -> None:
        rows[name] = values(rows[name])

    set_rows(path, change)


def unpack(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def digests(
    root: str | Path, obsid: str | None = None, options: dict[str, Any] | None = None
) -> dict[str, str]:
    """Hash of each table's content, without what differs from run to run."""
    archive = open_archive(root, options)
    names = ("observations", "exposures", "known_sources", "hot_pixels", "bti", "runs", "cells")
    names += ("regions", "lightcurves", "images", "rates")
    found = {}
    for name in names:
        frame = archive.table(name).compute()
        if obsid is not None:
            frame = frame[frame["obsid"] == obsid]
        found[name] = digest(frame)
    return found


def digest(frame: pd.DataFrame) -> str:
    plain = frame.drop(columns=[name for name in VOLATILE if name in frame])
    content = hashlib.sha256(repr(list(plain.columns)).encode())
    for row in plain.itertuples(index=False):
        content.update(repr([_plain(value) for value in row]).encode())
    return content.hexdigest()


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
