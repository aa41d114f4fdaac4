"""Numbers and words of the pages about offsets from the sky and their drift."""
