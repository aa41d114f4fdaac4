"""Benchmarks: ratios to a reference measured in the same run. Run `make bench`."""

import sys
from pathlib import Path

# What they compare with are the references of the tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
