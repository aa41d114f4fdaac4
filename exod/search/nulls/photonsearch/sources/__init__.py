"""Constant sources of a field: their photons, dips and slow variability (docs/ideal.md)."""
