"""The stages, in the order of the data flow: read, search, commit."""
