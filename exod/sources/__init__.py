"""Sources: regions of all observations in, clusters with identity, name and coverage out.

What regions and sources are worth, in features, flags and filters, is the room `vetting`.
"""
