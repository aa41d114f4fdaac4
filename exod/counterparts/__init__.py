"""Where counterparts come from: tables in files, HATS catalogues, services of the CDS."""
