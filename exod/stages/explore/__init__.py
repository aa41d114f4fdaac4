"""Explore: tables of an archive -> what the explorer's pages read, product ``explorer``."""
