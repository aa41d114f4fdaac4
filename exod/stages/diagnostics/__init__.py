"""Diagnostics: event lists and tables of an archive -> sheets that show how it was searched."""
