"""Instruments: what the search needs to know of a camera. Constants and the PSF; no files."""
