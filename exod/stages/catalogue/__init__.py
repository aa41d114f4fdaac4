"""Catalogue: products of an archive in, a release of FITS, Parquet and HATS out."""
