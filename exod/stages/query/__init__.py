"""Query: a question in, rows of an archive out."""
