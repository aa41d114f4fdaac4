"""Sources: regions of all observations in, clusters with identity, name and coverage out."""
