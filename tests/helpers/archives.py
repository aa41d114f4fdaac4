"""Tables made of random rows, what an archive of them holds, and power cuts."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exod.archive import Archive
from exod.archive.store import SETTLED, Store
from exod.schemas import TABLES, Table

OBSID = "0001730201"

INPUTS = [{"name": "P0001730201PNS001PIEVLI0000.FTZ", "size": 12345, "checksum": "ab12"}]


def make_rows(table: Table, n: int, obsid: str = OBSID, seed: int = 0) -> pd.DataFrame:
    """`n` random rows in random order (an observation has but one of its own)."""
    n = min(n, 1) if table.name == "observations" else n
    random = np.random.default_rng(seed)
    labels = random.permutation(n)
    is_run = table.name in ("runs", "images", "variability")
    runids = [f"{obsid}_{i if is_run else 0}_50_0.2_12.0" for i in labels]
    values: dict[str, Any] = {}
    for column in table.columns:
        if pa.types.is_boolean(column.type):
            values[column.name] = random.random(n) < 0.5
        elif pa.types.is_integer(column.type):
            values[column.name] = random.integers(0, 1000, n)
        elif pa.types.is_list(column.type):
            dtype = column.type.value_type.to_pandas_dtype()
            sizes = random.integers(0, 9, n)
            values[column.name] = [random.integers(0, 2, k).astype(dtype) for k in sizes]
        elif pa.types.is_floating(column.type):
            values[column.name] = random.uniform(0, 90, n)
        else:
            values[column.name] = [f"text {i}" for i in labels]
    known = {
        "obsid": [obsid] * n,
        "runid": runids,
        "detid": [f"{runid}_{i}" for runid, i in zip(runids, labels, strict=True)],
        "label": labels,
    }
    return table.frame(pd.DataFrame(values | {k: v for k, v in known.items() if k in values}))


def make_tables(
    obsid: str = OBSID, seed: int = 0, n: int = 3, names: Iterable[str] = TABLES
) -> dict[str, pd.DataFrame]:
    return {name: make_rows(TABLES[name], n, obsid, seed) for name in names}


def make_lightcurves(obsid: str, runs: int, labels: int, frames: int) -> pd.DataFrame:
    """Light curves whose n counts up, so that each is different."""
    runids = [f"{obsid}_0_{5 * (i + 1)}_0.2_12.0" for i in range(runs)]
    keys = [(r, i, t) for r in runids for i in range(labels) for t in range(frames)]
    frame = pd.DataFrame(keys, columns=["runid", "label", "time"])
    frame["detid"] = frame["runid"] + "_" + frame["label"].astype(str)
    constants = {
        "obsid": obsid,
        "mu": 0.5,
        "live": 1.0,
        "bti": False,
        "bccd": False,
        "B_eclipse_log": np.nan,
    }
    frame = frame.assign(n=np.arange(len(frame)), B_peak_log=1.0, **constants)
    return TABLES["lightcurves"].frame(frame)


def seed_of(archive: Archive, names: Iterable[str] = TABLES) -> int:
    """Which `make_tables` the archive shows; fails unless every table is there and of that seed."""
    entry = archive.entry(OBSID)
    assert entry is not None
    assert set(entry.files) == set(names)
    seed = int(entry.reason)
    for name, frame in make_tables(seed=seed, names=names).items():
        path = entry.path(name)
        assert path is not None
        assert_same_rows(pq.read_table(f"{archive.root}/{path}").to_pandas(), frame)
    return seed


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Arrays as tuples, which pandas can compare and sort."""
    arrays = [name for name in frame.columns if frame[name].dtype == object]
    return frame.assign(**{name: [tuple(row) for row in frame[name]] for name in arrays})


def stored(found: pd.DataFrame, name: str) -> pd.DataFrame:
    """The columns that files of a table have; readers see computed dates besides."""
    return found[[column.name for column in TABLES[name].columns]]


def assert_same_rows(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    found, expected = plain(found), plain(expected)
    columns = list(expected.columns)
    pd.testing.assert_frame_equal(
        found.sort_values(columns, ignore_index=True),
        expected.sort_values(columns, ignore_index=True),
        check_dtype=False,
    )


def files_of(archive: Archive) -> set[str]:
    root = Path(archive.root)
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


def files_expected(archive: Archive) -> set[str]:
    entries = archive.entries()
    tables = {file.path for entry in entries for file in entry.files.values() if file.path}
    return tables | {f"ledger/{entry.obsid}.json" for entry in entries} | {"archive.json"}


def settle(archive: Archive) -> None:
    """Let the times of last change lie so far back that they are certain."""
    folder = Path(archive.root, "ledger")
    for path in [folder, *folder.iterdir()]:
        changed = path.stat().st_mtime_ns
        if time.time_ns() - changed < 1e9 * SETTLED:
            os.utime(path, ns=(changed - 10**12, changed - 10**12))


class PowerCut(BaseException):
    """The process ends here."""


def fail_at(
    monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException, *, once: bool = False
) -> None:
    """Let the `step`-th call that changes the disk fail, and all after it unless `once`."""
    calls = iter(range(10**6))

    def wrap(module: Any, name: str) -> None:
        original = getattr(module, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            number = next(calls)
            if number == step or (number > step and not once):
                raise error
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, call)

    for name in ("replace", "rename", "link", "fsync", "mkdir"):
        wrap(os, name)


def cut_power(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the process end at the `step`-th call that changes the disk: nothing is tidied up."""
    fail_at(monkeypatch, step, PowerCut())
    monkeypatch.setattr(Store, "remove", lambda *_: None)
    monkeypatch.setattr(Store, "remove_folder", lambda *_: None)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
