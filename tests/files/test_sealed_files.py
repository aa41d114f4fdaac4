"""Sealed files as DuckDB reads them: several threads share one."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from exod.files import seals
from exod.files.sealedsystem import SealedFileSystem


def test_threads_read_one_file_at_their_own_places() -> None:
    content = np.random.default_rng(1).bytes(9 * seals.BLOCK)
    digests = (
        hashlib.sha256(content[start : start + seals.BLOCK]).hexdigest()[: seals.DIGITS]
        for start in range(0, len(content), seals.BLOCK)
    )
    seal = seals.Seal(len(content), hashlib.sha256(content).hexdigest(), "".join(digests))

    def fetch(start: int, stop: int) -> bytes:
        time.sleep(0)
        return content[start:stop]

    def opened() -> seals.SealedFile:
        return seals.SealedFile(fetch, seal, seals.DamagedError, 2 * seals.BLOCK)

    file = SealedFileSystem({"one": (opened, len(content))}).open("sealed://one")

    def wrong(seed: int) -> int:
        random = np.random.default_rng(seed)
        found = 0
        for start in random.integers(0, len(content) - 1, 60).tolist():
            size = int(random.integers(1, 3 * seals.BLOCK))
            file.seek(start)
            time.sleep(0)
            found += file.read(size) != content[start : start + size]
        return found

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(wrong, range(8))) == 0
