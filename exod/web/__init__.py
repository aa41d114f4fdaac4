"""The explorer: pages, an API and the protocols of the Virtual Observatory over an archive.

It reads products and computes nothing of its own. `exod.web.app` puts it together
and `exod.web.serving` runs it.
"""
