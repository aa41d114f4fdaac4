"""Detect: event lists of observations in, committed runs, regions and light curves out."""
