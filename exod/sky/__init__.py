"""Positions on the sky: the tangent plane, the sphere, and HEALPix pixels."""
