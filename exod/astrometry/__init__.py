"""Positions against the sky: the body frame of a telescope, offsets, frames, errors that are true.

Arrays go in, arrays come out; missions differ by their attitude only.
"""
