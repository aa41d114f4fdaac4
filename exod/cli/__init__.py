"""The command line: thin, one function a command."""

from exod.cli.app import app, main

# Commands are listed in the order of these lines: that in which people need them.
# isort: off
from exod.cli import data
from exod.cli import search
from exod.cli import archives
from exod.cli import pictures
from exod.cli import sources
from exod.cli import features
from exod.cli import filters
from exod.cli import crossmatch
from exod.cli import catalogue
from exod.cli import report
from exod.cli import query
from exod.cli import simulations
from exod.cli import completeness
from exod.cli import injection

__all__ = [
    "app",
    "archives",
    "catalogue",
    "completeness",
    "crossmatch",
    "data",
    "features",
    "filters",
    "injection",
    "main",
    "pictures",
    "query",
    "report",
    "search",
    "simulations",
    "sources",
]
