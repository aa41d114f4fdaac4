"""Benchmarks: ratios to a reference measured in the same run. Run `make bench`."""
