"""Pictures of a place: light curves on sheets, and a source over all its observations."""
