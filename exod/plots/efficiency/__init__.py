"""Pictures of the share that is found: of bursts by the search, of true ones by a filter."""
