"""Completeness: simulated bursts in, the share that the search finds out."""
