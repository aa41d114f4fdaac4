"""Completeness of the search: how many counts a burst needs to be found.

By formula (`maps`, `probability`, `virtual`) and from injected bursts (`campaign`, `curves`).
"""
