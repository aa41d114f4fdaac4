"""The command line: thin, one function a command."""

from importlib import import_module

from exod.cli.app import app, main

__all__ = ["app", "main"]

# Commands are listed in the order of these names: that in which people need them.
for _name in (
    *("data", "search", "archives", "pictures", "places", "sheets", "sources", "features"),
    *("filters", "astrometry.frames", "astrometry.observations", "astrometry.monitoring"),
    *("astrometry.matches", "astrometry.regions", "crossmatch", "catalogue"),
    *(
        "showing.report",
        "query",
        "showing.explore",
        "showing.verdicts",
        "showing.publish",
        "showing.users",
    ),
    *("measuring.simulations", "measuring.completeness", "measuring.injection"),
    *("measuring.exposure", "measuring.limits", "measuring.history", "measuring.spectra"),
    "measuring.variability",
):
    import_module(f"exod.cli.commands.{_name}")
