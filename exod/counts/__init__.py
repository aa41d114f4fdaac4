"""Counts of cells of time and sky, and what they should be: events in, images and odds out."""
