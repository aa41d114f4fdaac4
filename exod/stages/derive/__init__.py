"""Stages that derive products from all observations: sources, features, flags, matches."""
