"""Bursts by the likelihood of their photons (docs/ideal.md)."""
