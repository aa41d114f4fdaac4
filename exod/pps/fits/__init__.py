"""FITS files of the pipeline: every byte accounted for, columns, headers, extensions."""
