"""Benchmarks: ratios to a reference measured in the same run. Run `make bench`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

# What they compare with are the references of the tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def data_folder() -> Path:
    """Where the real data are: EXOD_TEST_DATA, or shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("EXOD_TEST_DATA", beside))


def source_lists(arguments: Sequence[str]) -> list[Path]:
    """The pipeline's source lists (OBSMLI) in the folder that is given, else in the real data."""
    folder = Path(arguments[0]) if arguments else data_folder() / "obsmli"
    return sorted(folder.glob("*OBSMLI*"))
