"""The folder of tables and declarations that exod comes with."""

from __future__ import annotations

from pathlib import Path

from exod.errors import ConfigError


def catalogs_folder() -> Path:
    """Folder ``catalogs``: inside an installed package, beside one that is worked on.

    Raises
    ------
    ConfigError
        If it is in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "catalogs", package.parent / "catalogs"):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"The tables that exod comes with are missing from {package}; install exod again."
    )
