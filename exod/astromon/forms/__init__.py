"""The forms in which tables of astromon are kept, behind one interface: see `storage`."""
