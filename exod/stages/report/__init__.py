"""Report: committed and derived tables in, one HTML page of statistics out."""
