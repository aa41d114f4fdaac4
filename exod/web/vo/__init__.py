"""Protocols of the Virtual Observatory: cone search, TAP with ADQL, and a record for registries."""
