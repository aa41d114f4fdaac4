"""What regions are worth: light curves and rates in, features, flags and filters out."""
