"""The command line: thin, one function a command."""

from exod.cli.app import app, main

# Commands are listed in the order of these lines: that in which people need them.
# isort: off
from exod.cli.commands import data
from exod.cli.commands import search
from exod.cli.commands import archives
from exod.cli.commands import pictures
from exod.cli.commands import sources
from exod.cli.commands import features
from exod.cli.commands import filters
from exod.cli.commands import crossmatch
from exod.cli.commands import catalogue
from exod.cli.commands import report
from exod.cli.commands import query
from exod.cli.commands import simulations
from exod.cli.commands import completeness
from exod.cli.commands import injection

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
