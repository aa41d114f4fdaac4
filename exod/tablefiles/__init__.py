"""Tables in files for other programs: FITS, CSV, ECSV, VOTable, Parquet, JSON lines."""
