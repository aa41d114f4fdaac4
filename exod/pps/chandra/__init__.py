"""Chandra's event lists of ACIS of level 2 (evt2), and what lies beside them: msk1, bpix1, fov1."""
