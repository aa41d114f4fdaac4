"""Stages that bring observations: download, simulate, inject, ingest."""
