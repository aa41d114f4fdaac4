"""exod: search XMM-Newton observations for fast X-ray transients.

>>> import exod
>>> exod.Config().cube.t_bin
(5.0, 50.0, 200.0)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exod.archive import Archive, open_archive
    from exod.config import Config
    from exod.errors import ExodError
    from exod.stages.detect.observation import detect
    from exod.stages.places.asking import light_curve_at
    from exod.web.counting import rows_at

__version__ = "0.1.0"

__all__ = ["Archive", "Config", "ExodError", "detect", "light_curve_at", "open_archive", "rows_at"]

_HOME = {
    "Archive": "exod.archive",
    "Config": "exod.config",
    "ExodError": "exod.errors",
    "detect": "exod.stages.detect.observation",
    "light_curve_at": "exod.stages.places.asking",
    "open_archive": "exod.archive",
    "rows_at": "exod.web.counting",
}


def __getattr__(name: str) -> Any:
    # The science stack takes a second to import; `exod --help` does without it.
    if name not in _HOME:
        raise AttributeError(f"module 'exod' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
