"""A place on the sky: its light curves, the photons of a region, a source in all observations.

In come an archive, which knows where its event lists were, or event lists, and a position; out come
rows. Event lists are read again, since an archive keeps the light curves of regions only.
"""
